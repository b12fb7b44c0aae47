/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * vfence: a virtual device that produces fences.
 *
 * This header is the manual of what the DRM driver "vfence" (module vfence_drm) adds to
 * <linux/vfence.h>.
 */
#ifndef _UAPI_DRM_VFENCE_DRM_H
#define _UAPI_DRM_VFENCE_DRM_H

#include <drm/drm.h>
#include <linux/vfence.h>

#if defined(__cplusplus)
extern "C" {
#endif

/**
 * DOC: overview
 *
 * The DRM device behaves like /dev/vfence and adds DRM objects. It has a primary node without
 * outputs and a render node; no ioctl needs more privilege than opening the render node. An open
 * file is a client, as on /dev/vfence. The two devices share nothing except what user space
 * passes between them as file descriptors. The module parameter devices=N creates N such devices,
 * which share nothing else either.
 *
 * - *Syncobjs*, binary and timeline: the device reports %DRM_CAP_SYNCOBJ and
 *   %DRM_CAP_SYNCOBJ_TIMELINE, and all ioctls of the DRM core for them (libdrm's drmSyncobj*())
 *   work. Jobs wait for syncobjs and signal them: see &struct drm_vfence_submit.
 * - *GEM objects*: each represents one dma-buf, either the device's own
 *   (%DRM_IOCTL_VFENCE_GEM_CREATE) or an imported one (%DRM_IOCTL_PRIME_FD_TO_HANDLE), and exports
 *   that same dma-buf (%DRM_IOCTL_PRIME_HANDLE_TO_FD; with or without %DRM_RDWR, the export
 *   neither adds nor removes write permission). Jobs use GEM objects by handle: see
 *   %DRM_VFENCE_USE_HANDLE. A writable mmap() of a dma-buf that is not open for writing fails
 *   with EACCES.
 * - *Dumb buffers*: GEM objects with their own memory, for programs that know no driver's ioctls,
 *   such as Mesa's software rasterisers. See below.
 *
 * All users of the device share one range of offsets for mmap() of GEM objects, 1 TiB (4 GiB on
 * 32-bit machines). An object takes as much of the range as its size, while it has a handle: an
 * object of %DRM_IOCTL_VFENCE_GEM_CREATE from the start, a dumb buffer or an imported one from the
 * first %DRM_IOCTL_MODE_MAP_DUMB or %DRM_IOCTL_VFENCE_GEM_INFO. A buffer that several open files
 * import is an object of each. The core does not limit the share of a user, so one user can use up
 * the range. The three ioctls then fail with ENOSPC for others who need an offset. Jobs, syncobjs
 * and mmap() of dma-bufs need none.
 *
 * The ioctls of <linux/vfence.h> work as described there, except the fast ioctls, which cannot be
 * expressed as DRM ioctls: they fail with ENOTTY. DRM_VFENCE_IOCTL() converts an ioctl number of
 * that header to the number on a DRM node. read(), poll() and mmap() of counters also work as on
 * /dev/vfence; there are no DRM events. The counters of a queue whose id is 0x100000 or above
 * cannot be mapped, because GEM objects use these offsets.
 *
 * One errno differs: when a queue is full or the client has too many events, submission fails
 * with EBUSY instead of EAGAIN, because libdrm's drmIoctl() repeats a call that fails with EAGAIN
 * or EINTR.
 *
 * The ioctls of KMS fail as for other devices without outputs: with EOPNOTSUPP on the primary node,
 * with EACCES on the render node. There is one exception, for programs that describe devices, such
 * as drm_info: in a file of the primary node that is open for reading only,
 * %DRM_IOCTL_MODE_GETRESOURCES and %DRM_IOCTL_MODE_GETPLANERESOURCES return empty lists.
 *
 * While a client has a node open, the module is in use and cannot be unloaded. The device can
 * disappear nevertheless: see "loss of the device".
 *
 * DOC: dumb buffers
 *
 * %DRM_IOCTL_MODE_CREATE_DUMB, %DRM_IOCTL_MODE_MAP_DUMB and %DRM_IOCTL_MODE_DESTROY_DUMB work on
 * both nodes. The DRM core has them on primary nodes only; here the driver answers them before the
 * core, and %DRM_CAP_DUMB_BUFFER (1), %DRM_CAP_DUMB_PREFERRED_DEPTH (24) and
 * %DRM_CAP_DUMB_PREFER_SHADOW (0) as well. The device still has no outputs: a display needs the
 * buffer's dma-buf.
 *
 * A dumb buffer is a GEM object like that of %DRM_IOCTL_VFENCE_GEM_CREATE, whose memory it has:
 * jobs use it, %DRM_IOCTL_PRIME_HANDLE_TO_FD exports it, %DRM_IOCTL_GEM_CLOSE releases it, too. Its
 * lines follow each other without a gap, and the size is whole pages. Pixels of 1, 2 or 4 bits are
 * packed; any other &drm_mode_create_dumb.bpp is rounded up to whole bytes, as in the core. For a
 * value that no format has, the core logs a warning; this device does not.
 * &drm_mode_create_dumb.flags is ignored.
 *
 * ======  ========================================================================================
 * EINVAL  CREATE_DUMB: a width, height or bpp of 0, or a size that 32 bits cannot hold. MAP_DUMB: a
 *         buffer that is not from vfence; %DRM_IOCTL_VFENCE_GEM_INFO has an offset for these.
 *         DESTROY_DUMB: there is no such handle.
 * ENOENT  MAP_DUMB: there is no such handle.
 * ENOMEM  There is no memory, or the limit of the caller's memory cgroup is reached.
 * ENOSPC  CREATE_DUMB: more than &vfence_query.max_buffer_size. MAP_DUMB: no offset for mmap() is
 *         left.
 * ======  ========================================================================================
 *
 * DOC: loss of the device
 *
 * Root can unplug the device, or wedge it, as if it were hardware (Documentation/uapi.md says how).
 * Clients that have opened it before lose it for good:
 *
 * - All pending jobs complete with -ENODEV if the device was unplugged, with -EIO if it was wedged,
 *   in-fences or not.
 * - All ioctls, also those of the DRM core, read() and mmap() fail with the same error. So do calls
 *   that are blocked in read() or for %DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT; %VFENCE_IOCTL_WAIT succeeds
 *   if the jobs have completed. poll() reports POLLERR and POLLHUP, and nothing else.
 * - The core does not wake what waits for a point that nobody has submitted, on any DRM device: a
 *   call with %DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT waits until its timeout or a signal, and an
 *   eventfd of %DRM_IOCTL_SYNCOBJ_EVENTFD is not signalled. Points of pending jobs are reached.
 * - Mappings of GEM objects and of counters, dma-bufs, sync_files, and descriptors of syncobjs stay
 *   valid.
 *
 * The nodes of an unplugged device are gone. A device that is plugged in again is another one, with
 * new nodes. A wedged device keeps its nodes, and new clients can open them, but all calls fail
 * until the device has been unplugged and plugged in.
 *
 * DOC: fdinfo
 *
 * /proc/PID/fdinfo/FD of a node has the keys of Documentation/gpu/drm-usage-stats.rst in the
 * kernel, unless the device has been unplugged, and the vfence-* keys of /dev/vfence:
 *
 * - drm-driver, drm-client-id, and drm-client-name after %DRM_IOCTL_SET_CLIENT_NAME.
 * - drm-engine-NAME: the time for which the queues with the name NAME have been busy, which is the
 *   sum of &vfence_event.end_ns - &vfence_event.start_ns over the jobs that ran, plus the time of
 *   the running jobs so far. A job that hangs is busy until its timeout or a reset. The jobs of a
 *   manual queue take no time. Destroying a queue keeps its time, and the value never decreases.
 * - drm-engine-capacity-NAME: the number of queues with that name, if it is more than 1.
 * - drm-total-memory, drm-shared-memory, drm-resident-memory, drm-active-memory: the size of the
 *   GEM objects that the file has handles of; of those that were exported or imported; of all
 *   again, because their memory stays allocated; and of those with pending fences. The core omits
 *   the last two if there are none.
 *
 * In NAME, an underscore replaces each character other than letters, digits, '.', '-' and '_', and
 * the first '-' of a name like "capacity-x". A file lists at most 15 engines, in the order in
 * which their first queues were created: gputop of IGT 2.5 aborts if it finds more. Queues with a
 * 15th name and all later ones belong to the engine "other", which a file without queues also has.
 *
 * DOC: errors
 *
 * The fence of a job carries the job's error. For a job that waits for the syncobj, it counts like
 * the error of an in-fence. A sync_file exported from a syncobj shows the error in
 * %SYNC_IOC_FILE_INFO: for a binary syncobj as &sync_file_info.status; for a point of a timeline
 * as &sync_fence_info.status of the first fence, because &sync_file_info.status belongs to the
 * timeline's fence chain, and chains carry no error. The other interfaces of the core have no
 * field for an error: %DRM_IOCTL_SYNCOBJ_WAIT and %DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT succeed,
 * %DRM_IOCTL_SYNCOBJ_QUERY reports the point as reached, and an eventfd
 * (%DRM_IOCTL_SYNCOBJ_EVENTFD) is signalled, with or without an error.
 *
 * The core drops signalled points of a timeline, and their errors, once the timeline has later
 * points. To observe the error of a point, export a sync_file, or submit the job that waits for
 * the point, before that.
 *
 * To test what a program, or a query of the core to come, does with errors, put one at a point:
 *
 * - with a job that fails: &vfence_submit.error, or &vfence_signal.error on a manual queue. The
 *   point is pending until the job completes, and is replaced if the syncobj is reset meanwhile.
 * - at once, without a queue: %DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL. The core's
 *   %DRM_IOCTL_SYNCOBJ_SIGNAL and %DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL have no field for an error.
 */

/**
 * define DRM_VFENCE_MAX_SYNCS - most syncobjs in one call
 *
 * Counts the syncobjs that the jobs of the call wait for and those that they signal, each as often
 * as it is given.
 */
#define DRM_VFENCE_MAX_SYNCS 4096
/** define DRM_VFENCE_MAX_LINKS - most fences that the waits of one call examine */
#define DRM_VFENCE_MAX_LINKS (1U << 20)

/**
 * define DRM_VFENCE_USE_HANDLE - &vfence_use.fd is the handle of a GEM object
 *
 * A flag of &vfence_use.flags on this device only.
 */
#define DRM_VFENCE_USE_HANDLE (1U << 31)

/**
 * define DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT - wait until the point has been submitted
 *
 * A flag of &drm_vfence_sync.flags, for syncobjs that a job waits for.
 */
#define DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT (1U << 0)

/**
 * struct drm_vfence_sync - a syncobj, or a point of one, that a job waits for or signals
 *
 * A job that waits for a syncobj waits for the fence that the syncobj has at the time of the call,
 * which may be one of a job before it in the same call. If there is no fence, or the timeline has
 * not reached the point, the call fails with EINVAL. With %DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT the
 * call instead blocks, before it does anything else, until the fence has been submitted; after
 * 5 seconds it fails with ETIME. A call restarted after a signal waits for another 5 seconds.
 *
 * A job that waits for a point of a timeline also waits for all earlier pending points. Among the
 * fences of the last 8 pending points, the job waits only for the last one of each queue, and only
 * the error of that one counts. It waits for all points before these as for one fence, as &struct
 * vfence_submit says of chains: their errors do not count. A timeline of any length therefore takes
 * at most 9 of %VFENCE_MAX_IN_FENCES and %VFENCE_MAX_WAITS, unless its points are merged fences.
 *
 * A job that signals a syncobj replaces the fence of a binary syncobj (@point is 0), or adds a
 * point to a timeline, when the call succeeds. The points of a timeline should increase; the core
 * accepts others, and counts them as the last one. The core walks all pending points of a timeline
 * when a point is added to it. A call causes one such walk for each timeline that its jobs signal,
 * if no more than 8 timelines alternate; the points before the last one of a call may be visible a
 * moment before their waiters are woken.
 *
 * ======  ========================================================================================
 * EINTR   A signal arrived while the call was blocked, and its handler was not installed with
 *         SA_RESTART.
 * EINVAL  There is no fence, see above; a point of a syncobj that an earlier job of the call turns
 *         into a binary one; unknown flags, or any flag on a syncobj that the job signals; more
 *         than %DRM_VFENCE_MAX_SYNCS.
 * ENOENT  There is no such handle.
 * ENOSPC  More than %DRM_VFENCE_MAX_LINKS, or a limit on in-fences is exceeded.
 * ETIME   The fence has not been submitted within 5 seconds.
 * ======  ========================================================================================
 */
struct drm_vfence_sync {
	/** @handle: in: handle of the syncobj. */
	__u32 handle;
	/** @flags: in: %DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT, or 0. */
	__u32 flags;
	/** @point: in: point of a timeline; 0 for a binary syncobj, or for a whole timeline. */
	__u64 point;
};

/**
 * struct drm_vfence_submit - append a job to a queue, with syncobjs
 *
 * Argument of %DRM_IOCTL_VFENCE_SUBMIT, and element of the array of
 * %DRM_IOCTL_VFENCE_SUBMIT_BATCH. The syncobjs that the job waits for are in-fences of the job and
 * count towards their limits. A job of a manual queue cannot wait for syncobjs. Fails as
 * %VFENCE_IOCTL_SUBMIT and &struct drm_vfence_sync describe, and then leaves all syncobjs
 * unchanged.
 */
struct drm_vfence_submit {
	/** @job: in: pointer to a &struct vfence_submit; its output fields are written. */
	__u64 job;
	/** @job_size: in: sizeof(struct vfence_submit). */
	__u32 job_size;
	/** @sync_size: in: sizeof(struct drm_vfence_sync) if there are any. */
	__u32 sync_size;
	/** @in_syncs: in: pointer to an array of &struct drm_vfence_sync that the job waits for. */
	__u64 in_syncs;
	/** @out_syncs: in: pointer to an array of &struct drm_vfence_sync that the job signals. */
	__u64 out_syncs;
	/** @in_sync_count: in: length of @in_syncs; when 0, @in_syncs is ignored. */
	__u32 in_sync_count;
	/** @out_sync_count: in: length of @out_syncs; when 0, @out_syncs is ignored. */
	__u32 out_sync_count;
};

/**
 * struct drm_vfence_gem_create - create a GEM object with its own memory
 *
 * Argument of %DRM_IOCTL_VFENCE_GEM_CREATE. Allocates memory as %VFENCE_IOCTL_BUFFER_CREATE does,
 * and fails with the same errors; with ENOSPC also if no offset for mmap() is left, see the
 * overview. %DRM_IOCTL_GEM_CLOSE releases the handle; jobs that use the buffer, and mappings, keep
 * its memory.
 */
struct drm_vfence_gem_create {
	/** @size: in: requested size in bytes; out: actual size, whole pages. */
	__u64 size;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @handle: out: handle of the object. */
	__u32 handle;
	/** @mmap_offset: out: offset of the object for mmap() of the DRM device. */
	__u64 mmap_offset;
};

/**
 * struct drm_vfence_gem_info - query a GEM object, imported or not
 *
 * Argument of %DRM_IOCTL_VFENCE_GEM_INFO. Fails with ENOENT for an unknown handle, and with ENOSPC
 * if no offset for mmap() is left, see the overview.
 */
struct drm_vfence_gem_info {
	/** @handle: in: handle of the object. */
	__u32 handle;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @size: out: size in bytes. */
	__u64 size;
	/** @mmap_offset: out: offset of the object for mmap() of the DRM device. */
	__u64 mmap_offset;
};

/**
 * struct drm_vfence_syncobj_signal - put a signalled fence with an error into syncobjs
 *
 * Argument of %DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL. Replaces the fence of a binary syncobj
 * (&drm_vfence_sync.point is 0), or adds a point to a timeline, as a job that signals the syncobj
 * does: see &struct drm_vfence_sync. All elements get the same fence: it has signalled with @error,
 * at the time of the call, and is the only one of its context. A call that fails leaves all
 * syncobjs unchanged.
 *
 * A point of a timeline has signalled only once all earlier points have: the error of a point that
 * follows a pending one shows when that one has signalled.
 *
 * ======  ========================================================================================
 * EINVAL  @error is not an errno, see below; @sync_count is 0 or exceeds %DRM_VFENCE_MAX_SYNCS;
 *         flags, here or in an element.
 * ENOENT  There is no such handle.
 * ENOMEM  There is no memory, or the limit of the caller's memory cgroup is reached.
 * ======  ========================================================================================
 */
struct drm_vfence_syncobj_signal {
	/** @syncs: in: pointer to an array of &struct drm_vfence_sync. */
	__u64 syncs;
	/** @sync_count: in: length of @syncs, at least 1. */
	__u32 sync_count;
	/** @sync_size: in: sizeof(struct drm_vfence_sync). */
	__u32 sync_size;
	/** @error: in: negative errno, -4095 to -1. */
	__s32 error;
	/** @flags: in: must be 0. */
	__u32 flags;
};

/** define DRM_VFENCE_SUBMIT - command index for libdrm's drmCommandWriteRead() */
#define DRM_VFENCE_SUBMIT 0x04
/** define DRM_VFENCE_SUBMIT_BATCH - command index for libdrm's drmCommandWriteRead() */
#define DRM_VFENCE_SUBMIT_BATCH 0x06
/** define DRM_VFENCE_GEM_CREATE - command index for libdrm's drmCommandWriteRead() */
#define DRM_VFENCE_GEM_CREATE 0x20
/** define DRM_VFENCE_GEM_INFO - command index for libdrm's drmCommandWriteRead() */
#define DRM_VFENCE_GEM_INFO 0x21
/** define DRM_VFENCE_SYNCOBJ_SIGNAL - command index for libdrm's drmCommandWrite() */
#define DRM_VFENCE_SYNCOBJ_SIGNAL 0x22

/**
 * DRM_VFENCE_IOCTL() - convert an ioctl number of <linux/vfence.h> to that on a DRM node
 * @number: the ioctl number
 *
 * Not for %VFENCE_IOCTL_SUBMIT and %VFENCE_IOCTL_SUBMIT_BATCH, whose arguments differ on DRM nodes.
 */
#define DRM_VFENCE_IOCTL(number) \
	_IOC(_IOC_DIR(number), DRM_IOCTL_BASE, DRM_COMMAND_BASE + _IOC_NR(number), \
	     _IOC_SIZE(number))

/** define DRM_IOCTL_VFENCE_SUBMIT - see &struct drm_vfence_submit */
#define DRM_IOCTL_VFENCE_SUBMIT \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VFENCE_SUBMIT, struct drm_vfence_submit)
/**
 * define DRM_IOCTL_VFENCE_SUBMIT_BATCH - see &struct vfence_submit_batch
 *
 * The elements of &vfence_submit_batch.jobs are &struct drm_vfence_submit here.
 */
#define DRM_IOCTL_VFENCE_SUBMIT_BATCH \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VFENCE_SUBMIT_BATCH, struct vfence_submit_batch)
/** define DRM_IOCTL_VFENCE_GEM_CREATE - see &struct drm_vfence_gem_create */
#define DRM_IOCTL_VFENCE_GEM_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VFENCE_GEM_CREATE, struct drm_vfence_gem_create)
/** define DRM_IOCTL_VFENCE_GEM_INFO - see &struct drm_vfence_gem_info */
#define DRM_IOCTL_VFENCE_GEM_INFO \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VFENCE_GEM_INFO, struct drm_vfence_gem_info)
/** define DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL - see &struct drm_vfence_syncobj_signal */
#define DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VFENCE_SYNCOBJ_SIGNAL, struct drm_vfence_syncobj_signal)

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_DRM_VFENCE_DRM_H */
