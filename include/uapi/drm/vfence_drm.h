/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * vfence: a virtual device that produces fences.
 *
 * This header is the manual of what the DRM driver "vfence", the module
 * vfence_drm, has of its own. The rest is in <linux/vfence.h>.
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
 * The DRM device behaves like /dev/vfence with the objects of DRM added. It has
 * a primary node without outputs and a render node, and no more privilege is
 * needed than to open the latter. An open file is a client, as one of
 * /dev/vfence is; the two devices share nothing but what is passed between them
 * as descriptors.
 *
 * - *Syncobjs*, binary and timeline: %DRM_CAP_SYNCOBJ and
 *   %DRM_CAP_SYNCOBJ_TIMELINE are reported, and all of the core's ioctls
 *   (libdrm's drmSyncobj*()) work. Jobs wait for them and signal them: see
 *   &struct drm_vfence_submit.
 * - *GEM objects*: each stands for a dma-buf, one of the device's own
 *   (%DRM_IOCTL_VFENCE_GEM_CREATE) or an imported one
 *   (%DRM_IOCTL_PRIME_FD_TO_HANDLE), and exports that same dma-buf
 *   (%DRM_IOCTL_PRIME_HANDLE_TO_FD, which adds or takes away no right to write,
 *   with %DRM_RDWR or without). Jobs use them by handle: see
 *   %DRM_VFENCE_USE_HANDLE. mmap() fails with EACCES where a dma-buf that is not
 *   open for writing would be written.
 *
 * The ioctls of <linux/vfence.h> work as described there, but for the short calls, which DRM has
 * no place for: they fail with ENOTTY. Their numbers here are
 * DRM_VFENCE_IOCTL() of those there. read(), poll() and the counters' mmap() are
 * those of /dev/vfence too: there are no DRM events. Counters of queues with ids
 * from 0x100000 on cannot be mapped, for GEM objects have these offsets.
 *
 * One errno differs: where a queue is full, or too many events are unread, the
 * submission fails with EBUSY and not EAGAIN, because libdrm's drmIoctl() calls
 * again and again while it is told EAGAIN or EINTR.
 *
 * While a client has a node open, the module is in use and cannot be unloaded.
 * There are no dumb buffers.
 *
 * DOC: errors
 *
 * The error of a job travels on its fence, and counts as that of an in-fence for
 * jobs that wait for its syncobj. A sync_file that is exported from a syncobj
 * shows it by %SYNC_IOC_FILE_INFO: for a binary one as &sync_file_info.status,
 * for a point as &sync_fence_info.status of the first fence, since
 * &sync_file_info.status is that of the chain that a timeline is, and chains have
 * no errors. The core hides it where it has no place for it:
 * %DRM_IOCTL_SYNCOBJ_WAIT and %DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT succeed,
 * %DRM_IOCTL_SYNCOBJ_QUERY reports the point as reached, and an eventfd
 * (%DRM_IOCTL_SYNCOBJ_EVENTFD) is written as for a success.
 *
 * The core forgets points that have signalled, with their errors, once there are
 * later ones on the timeline. So who must know about an error takes a sync_file,
 * or submits what waits for the point, before.
 */

/**
 * define DRM_VFENCE_MAX_SYNCS - most syncobjs that a call names
 *
 * Those that its jobs wait for and those that they signal, each as often as it is
 * given.
 */
#define DRM_VFENCE_MAX_SYNCS 4096
/** define DRM_VFENCE_MAX_LINKS - most points of timelines that the waits of a call are made of */
#define DRM_VFENCE_MAX_LINKS (1U << 20)

/**
 * define DRM_VFENCE_USE_HANDLE - &vfence_use.fd is the handle of a GEM object
 *
 * A flag of &vfence_use.flags, only for this device.
 */
#define DRM_VFENCE_USE_HANDLE (1U << 31)

/**
 * define DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT - wait for somebody to submit the point
 *
 * A flag of &drm_vfence_sync.flags, for syncobjs that a job waits for.
 */
#define DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT (1U << 0)

/**
 * struct drm_vfence_sync - a syncobj, or a point of one, that a job waits for or signals
 *
 * To wait for takes the fence that is there at the time of the call; what jobs
 * before it in the same call signal is there, too. If there is none, or the
 * timeline is not that far, the call fails with EINVAL; with
 * %DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT it blocks until somebody has submitted it,
 * before anything else is done, and fails with ETIME after 5 seconds, counted
 * anew when a signal has restarted the call.
 *
 * A point of a timeline waits for all those before it that are pending. Of the
 * fences of one queue among them only the last is waited for, and only its error
 * counts; so a job that waits for a long timeline takes no more of
 * %VFENCE_MAX_IN_FENCES and %VFENCE_MAX_WAITS than one for each of the queues, up
 * to 8, that take turns on it.
 *
 * To signal puts the job's fence into a binary syncobj (@point is 0), or adds it
 * to a timeline, when the call succeeds. The points of a timeline should grow;
 * the core allows others, and counts them as the last one. The core looks at all
 * points of a timeline that are pending whenever one is added.
 *
 * ======  =====================================================================
 * EINTR   A signal came while the call was blocked, and its handler was not
 *         installed with SA_RESTART.
 * EINVAL  There is no fence, see above; a point of a syncobj that a job before it
 *         makes a binary one; unknown flags, or for what is signalled any; more
 *         than %DRM_VFENCE_MAX_SYNCS.
 * ENOENT  There is no such handle.
 * ENOSPC  More than %DRM_VFENCE_MAX_LINKS, or as with any in-fences.
 * ETIME   Nobody has submitted it.
 * ======  =====================================================================
 */
struct drm_vfence_sync {
	/** @handle: in: handle of the syncobj. */
	__u32 handle;
	/** @flags: in: %DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT, or 0. */
	__u32 flags;
	/** @point: in: point of a timeline; 0 for a binary syncobj, or for all of a timeline. */
	__u64 point;
};

/**
 * struct drm_vfence_submit - append a job to a queue, with syncobjs
 *
 * Argument of %DRM_IOCTL_VFENCE_SUBMIT, and element of the array that
 * %DRM_IOCTL_VFENCE_SUBMIT_BATCH takes. What the job waits for here adds to its
 * in-fences, and is bounded with them. Must be nothing for a job of a manual
 * queue. Fails as %VFENCE_IOCTL_SUBMIT and as &struct drm_vfence_sync say, and
 * then leaves all syncobjs as they were.
 */
struct drm_vfence_submit {
	/** @job: in: pointer to a &struct vfence_submit, which is written, too. */
	__u64 job;
	/** @job_size: in: sizeof(struct vfence_submit). */
	__u32 job_size;
	/** @sync_size: in: sizeof(struct drm_vfence_sync) if there are any. */
	__u32 sync_size;
	/** @in_syncs: in: pointer to an array of &struct drm_vfence_sync that the job waits for. */
	__u64 in_syncs;
	/** @out_syncs: in: pointer to an array of those that it signals. */
	__u64 out_syncs;
	/** @in_sync_count: in: how many it waits for; when 0, @in_syncs is ignored. */
	__u32 in_sync_count;
	/** @out_sync_count: in: how many it signals; when 0, @out_syncs is ignored. */
	__u32 out_sync_count;
};

/**
 * struct drm_vfence_gem_create - create a GEM object with memory of its own
 *
 * Argument of %DRM_IOCTL_VFENCE_GEM_CREATE. The memory is that of
 * %VFENCE_IOCTL_BUFFER_CREATE, and so are the errors. %DRM_IOCTL_GEM_CLOSE gives
 * the handle back; jobs that use the buffer, and mappings, keep its memory.
 */
struct drm_vfence_gem_create {
	/** @size: in: how many bytes are wanted; out: how many there are, whole pages. */
	__u64 size;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @handle: out: handle of the object. */
	__u32 handle;
	/** @mmap_offset: out: where mmap() of the DRM device finds it. */
	__u64 mmap_offset;
};

/**
 * struct drm_vfence_gem_info - look at a GEM object, also an imported one
 *
 * Argument of %DRM_IOCTL_VFENCE_GEM_INFO. Fails with ENOENT for a handle that is
 * not there.
 */
struct drm_vfence_gem_info {
	/** @handle: in: handle of the object. */
	__u32 handle;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @size: out: how many bytes it has. */
	__u64 size;
	/** @mmap_offset: out: where mmap() of the DRM device finds it. */
	__u64 mmap_offset;
};

/** define DRM_VFENCE_SUBMIT - number of %DRM_IOCTL_VFENCE_SUBMIT for libdrm's drmCommandWriteRead() */
#define DRM_VFENCE_SUBMIT 0x04
/** define DRM_VFENCE_SUBMIT_BATCH - number of %DRM_IOCTL_VFENCE_SUBMIT_BATCH */
#define DRM_VFENCE_SUBMIT_BATCH 0x06
/** define DRM_VFENCE_GEM_CREATE - number of %DRM_IOCTL_VFENCE_GEM_CREATE */
#define DRM_VFENCE_GEM_CREATE 0x20
/** define DRM_VFENCE_GEM_INFO - number of %DRM_IOCTL_VFENCE_GEM_INFO */
#define DRM_VFENCE_GEM_INFO 0x21

/**
 * define DRM_VFENCE_IOCTL - the number of an ioctl of <linux/vfence.h> on a DRM node
 *
 * For all but %VFENCE_IOCTL_SUBMIT and %VFENCE_IOCTL_SUBMIT_BATCH, whose arguments
 * differ.
 */
#define DRM_VFENCE_IOCTL(number) \
	_IOC(_IOC_DIR(number), DRM_IOCTL_BASE, DRM_COMMAND_BASE + _IOC_NR(number), _IOC_SIZE(number))

/** define DRM_IOCTL_VFENCE_SUBMIT - see &struct drm_vfence_submit */
#define DRM_IOCTL_VFENCE_SUBMIT \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VFENCE_SUBMIT, struct drm_vfence_submit)
/** define DRM_IOCTL_VFENCE_SUBMIT_BATCH - &struct vfence_submit_batch, of &struct drm_vfence_submit */
#define DRM_IOCTL_VFENCE_SUBMIT_BATCH \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VFENCE_SUBMIT_BATCH, struct vfence_submit_batch)
/** define DRM_IOCTL_VFENCE_GEM_CREATE - see &struct drm_vfence_gem_create */
#define DRM_IOCTL_VFENCE_GEM_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VFENCE_GEM_CREATE, struct drm_vfence_gem_create)
/** define DRM_IOCTL_VFENCE_GEM_INFO - see &struct drm_vfence_gem_info */
#define DRM_IOCTL_VFENCE_GEM_INFO \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VFENCE_GEM_INFO, struct drm_vfence_gem_info)

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_DRM_VFENCE_DRM_H */
