/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * vfence: a virtual device that produces fences.
 *
 * This header is the manual of /dev/vfence.
 */
#ifndef _UAPI_LINUX_VFENCE_H
#define _UAPI_LINUX_VFENCE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#if defined(__cplusplus)
extern "C" {
#endif

/**
 * DOC: overview
 *
 * /dev/vfence behaves, to everything that consumes fences, like the completion
 * side of a DMA engine or a GPU. An open file is a *client*. A client owns
 * *queues*; a queue is one execution context of the kernel's dma_fence: its
 * jobs have the sequence numbers 1, 2, 3, … and complete in that order, one at
 * a time. Submitting a job returns its sequence number and, when asked for, an
 * *out-fence*: a sync_file file descriptor (see <linux/sync_file.h>) to poll,
 * merge, query, or hand to any driver that takes one. A job may wait for
 * *in-fences*: sync_files of this or of any other driver.
 *
 * The *head* of a queue is its oldest job that has not completed. A job of a
 * %VFENCE_QUEUE_TIMER queue starts when it is the head and all its in-fences
 * have signalled, runs for its duration, and completes from the timer's
 * interrupt. A job of a %VFENCE_QUEUE_MANUAL queue completes when user space
 * says so, with %VFENCE_IOCTL_SIGNAL.
 *
 * Errors travel on fences as negative errno values: %SYNC_IOC_FILE_INFO shows
 * them as the status. A fence with an error has signalled like any other and
 * polls readable.
 *
 * Every fence signals in bounded time: a job waits for those before it in its
 * queue, and each of them ends. The *watchdog* (module parameter
 * watchdog_ms, 2000 by default, &vfence_query.watchdog_ns) ends with
 * -ETIMEDOUT
 *
 * - the head of a timer queue, that long after it became the head, the wait
 *   for its in-fences included;
 * - a job of a manual queue, that long after its submission.
 *
 * Closing the last reference to the client's open file completes what its
 * queues have pending with -ECANCELED, in order. Fences outlive the client and
 * the module: a signalled sync_file stays valid after both are gone. When
 * a fence has signalled, the kernel shows "detached-driver" and
 * "signaled-timeline" in place of this driver's and the queue's name: it lets
 * go of the driver at that moment.
 *
 * A client may be shared between threads, inherited over fork() and passed over
 * a socket; queue ids belong to the open file, not to the process.
 *
 * Times are in nanoseconds on CLOCK_MONOTONIC. The timestamp of a fence
 * (&sync_fence_info.timestamp_ns) is the time at which the engine completed the
 * job, like the timestamps of hardware: the interrupt that signals the fence
 * comes a little later. Jobs that follow each other without a gap start at the
 * very nanosecond in which the one before ended.
 *
 * DOC: rules for all ioctls
 *
 * Structures may grow at their end in later versions. The size that the kernel
 * uses is the one in the ioctl number. A structure smaller than in this header
 * is refused with EINVAL. In a larger one, what the kernel does not
 * know must be zero, else the call is refused with E2BIG, and is not written.
 *
 * Fields called flags and pad must be zero but for the flags named here.
 * Output fields are ignored on input. A call that fails changes nothing: no
 * file descriptor, no fence, no job, no queue is left of it.
 *
 * Errors common to all:
 *
 * ===========  ===============================================================
 * EFAULT       A pointer does not point to accessible memory.
 * EINVAL       An unknown flag or value of an enumeration, a non-zero pad, a
 *              structure that is too small.
 * E2BIG        A structure larger than the kernel's, and not zero there.
 * ENOENT       The client has no queue of that id (never had, or destroyed).
 * ENOMEM       Out of memory, or the memory cgroup's limit is reached.
 * ENOTTY       No such ioctl.
 * ===========  ===============================================================
 */

/** define VFENCE_IOCTL_TYPE - the type byte of the ioctl numbers */
#define VFENCE_IOCTL_TYPE 0xF7

/** define VFENCE_API_VERSION - &vfence_query.api_version that this header describes */
#define VFENCE_API_VERSION 1

/** define VFENCE_NAME_LEN - size of a queue's name, the closing NUL included */
#define VFENCE_NAME_LEN 32

/**
 * define VFENCE_MAX_IN_FENCES - most in-fences a job may have
 *
 * Bounds &vfence_submit.in_fence_count, and also the fences a job really waits
 * for when merged sync_files among them are counted by what they contain.
 */
#define VFENCE_MAX_IN_FENCES 1024

/**
 * define VFENCE_MAX_WAITS - most pending in-fences that a client's jobs wait for
 *
 * The pending in-fences of all pending jobs of a client, each job's counted
 * for itself. Also the most fences that the in-fences of one job may consist of
 * when merged ones are counted by what they contain, signalled or not.
 */
#define VFENCE_MAX_WAITS 65536

/**
 * define VFENCE_CAP_TIMER_QUEUE - queues of %VFENCE_QUEUE_TIMER can be created
 *
 * A bit of &vfence_query.capabilities.
 */
#define VFENCE_CAP_TIMER_QUEUE (1ULL << 0)
/**
 * define VFENCE_CAP_MANUAL_QUEUE - queues of %VFENCE_QUEUE_MANUAL can be created
 *
 * A bit of &vfence_query.capabilities.
 */
#define VFENCE_CAP_MANUAL_QUEUE (1ULL << 1)

/**
 * struct vfence_query - what this device is and can do
 *
 * Argument of %VFENCE_IOCTL_QUERY.
 */
struct vfence_query {
	/** @api_version: out: %VFENCE_API_VERSION of the kernel side; only ever grows. */
	__u32 api_version;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @capabilities: out: bits VFENCE_CAP_*; unknown bits are to be ignored. */
	__u64 capabilities;
	/**
	 * @watchdog_ns: out: the bound on the time that the head of a timer
	 * queue, or any job of a manual queue, stays pending, and on
	 * &vfence_submit.duration_ns, in ns; 0 when the administrator has
	 * lifted it.
	 */
	__u64 watchdog_ns;
	/** @max_queues: out: most queues that a client can have at a time. */
	__u32 max_queues;
	/** @max_jobs: out: most jobs that a queue can have pending at a time. */
	__u32 max_jobs;
};

/**
 * enum vfence_queue_kind - what completes the jobs of a queue
 * @VFENCE_QUEUE_TIMER: A timer: each job takes its &vfence_submit.duration_ns.
 * @VFENCE_QUEUE_MANUAL: User space, with %VFENCE_IOCTL_SIGNAL.
 */
enum vfence_queue_kind {
	VFENCE_QUEUE_TIMER = 1,
	VFENCE_QUEUE_MANUAL = 2,
};

/**
 * struct vfence_queue_create - make a queue
 *
 * Argument of %VFENCE_IOCTL_QUEUE_CREATE. Fails with EINVAL for an unknown @kind
 * or a @name that has no NUL, ENOSPC when the client has
 * &vfence_query.max_queues already.
 */
struct vfence_queue_create {
	/** @kind: in: one of &enum vfence_queue_kind. */
	__u32 kind;
	/** @flags: in: must be 0. */
	__u32 flags;
	/**
	 * @name: in: what the queue's pending fences show as timeline name
	 * (&sync_fence_info.obj_name), NUL-terminated; bytes after the NUL are
	 * ignored. When empty, the device makes one: "queue" and the id.
	 */
	char name[VFENCE_NAME_LEN];
	/** @queue: out: the id of the queue, not 0; ids are not used again. */
	__u32 queue;
	/** @pad: in: must be 0. */
	__u32 pad;
	/** @context: out: the dma_fence context of the queue, unique in the system until it reboots. */
	__u64 context;
};

/**
 * struct vfence_queue_destroy - end a queue
 *
 * Argument of %VFENCE_IOCTL_QUEUE_DESTROY. Jobs that are pending complete with
 * -ECANCELED, in order, before the call returns.
 */
struct vfence_queue_destroy {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
};

/**
 * define VFENCE_SUBMIT_OUT_FENCE - return a sync_file for the job
 *
 * A flag of &vfence_submit.flags.
 */
#define VFENCE_SUBMIT_OUT_FENCE (1U << 0)

/**
 * struct vfence_submit - append a job to a queue
 *
 * Argument of %VFENCE_IOCTL_SUBMIT. An in-fence that has signalled already
 * is no obstacle. When an in-fence signals with an error, the job does not run:
 * it completes with that error (the first one seen, if there are several) once
 * all its in-fences have signalled and it is the head of its queue.
 * In-fences may be given more than once, be merged ones, and be fences of the
 * same queue; the descriptors may be closed after the call.
 *
 * Note that the kernel's %SYNC_IOC_MERGE leaves fences out that have signalled
 * already, and their errors with them.
 *
 * ===========  ===============================================================
 * EAGAIN       The queue has &vfence_query.max_jobs pending. Try again when a
 *              fence of the queue has signalled.
 * EBADF        An in-fence is no open file descriptor.
 * EINVAL       An in-fence is a file, but no sync_file; @duration_ns is longer
 *              than the watchdog allows; @in_fence_count above
 *              %VFENCE_MAX_IN_FENCES; on a manual queue: a duration or
 *              in-fences.
 * EMFILE       No free file descriptor in the process.
 * ENOSPC       Merged in-fences contain more than %VFENCE_MAX_IN_FENCES fences
 *              that are pending, or %VFENCE_MAX_WAITS is exceeded.
 * ===========  ===============================================================
 */
struct vfence_submit {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: 0 or %VFENCE_SUBMIT_OUT_FENCE. */
	__u32 flags;
	/**
	 * @duration_ns: in: how long the job runs once it has started, in ns.
	 * 0 is a job that is done as soon as it starts. At most
	 * &vfence_query.watchdog_ns. Must be 0 on a manual queue.
	 */
	__u64 duration_ns;
	/** @in_fences: in: pointer to an array of @in_fence_count sync_file fds (__s32). */
	__u64 in_fences;
	/**
	 * @in_fence_count: in: number of in-fences; when 0, @in_fences is
	 * ignored. Must be 0 on a manual queue.
	 */
	__u32 in_fence_count;
	/**
	 * @out_fence: out: with %VFENCE_SUBMIT_OUT_FENCE a sync_file fd with
	 * close-on-exec set that the caller owns; else -1.
	 */
	__s32 out_fence;
	/** @seqno: out: the sequence number of the job on its queue, from 1 on without gaps. */
	__u64 seqno;
};

/**
 * struct vfence_signal - complete jobs of a manual queue
 *
 * Argument of %VFENCE_IOCTL_SIGNAL. Completes, in order, every pending job whose
 * sequence number is @seqno or lower. Fails with EINVAL on a queue that is not
 * manual, for a @seqno that has not been submitted, and for an @error out of
 * range. A @seqno that has completed already is no error: @completed says 0.
 */
struct vfence_signal {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @seqno: in: the last sequence number to complete. */
	__u64 seqno;
	/** @error: in: 0, or the error to complete with as a negative errno, -4095 to -1. */
	__s32 error;
	/**
	 * @completed: out: how many jobs have completed by this call, those
	 * included that the watchdog ended with -ETIMEDOUT in that very moment.
	 */
	__u32 completed;
};

/**
 * struct vfence_queue_info - where a queue stands
 *
 * Argument of %VFENCE_IOCTL_QUEUE_INFO. The two sequence numbers are read
 * together. @submitted - @completed jobs are pending.
 */
struct vfence_queue_info {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @kind: out: one of &enum vfence_queue_kind. */
	__u32 kind;
	/** @pad: in: must be 0. */
	__u32 pad;
	/** @context: out: the dma_fence context. */
	__u64 context;
	/** @submitted: out: sequence number of the job submitted last; 0 before the first. */
	__u64 submitted;
	/** @completed: out: sequence number of the job completed last; 0 before the first. */
	__u64 completed;
	/** @name: out: the timeline name, NUL-terminated. */
	char name[VFENCE_NAME_LEN];
};

/** define VFENCE_IOCTL_QUERY - see &struct vfence_query */
#define VFENCE_IOCTL_QUERY \
	_IOWR(VFENCE_IOCTL_TYPE, 0x00, struct vfence_query)
/** define VFENCE_IOCTL_QUEUE_CREATE - see &struct vfence_queue_create */
#define VFENCE_IOCTL_QUEUE_CREATE \
	_IOWR(VFENCE_IOCTL_TYPE, 0x01, struct vfence_queue_create)
/** define VFENCE_IOCTL_QUEUE_DESTROY - see &struct vfence_queue_destroy */
#define VFENCE_IOCTL_QUEUE_DESTROY \
	_IOW(VFENCE_IOCTL_TYPE, 0x02, struct vfence_queue_destroy)
/** define VFENCE_IOCTL_QUEUE_INFO - see &struct vfence_queue_info */
#define VFENCE_IOCTL_QUEUE_INFO \
	_IOWR(VFENCE_IOCTL_TYPE, 0x03, struct vfence_queue_info)
/** define VFENCE_IOCTL_SUBMIT - see &struct vfence_submit */
#define VFENCE_IOCTL_SUBMIT \
	_IOWR(VFENCE_IOCTL_TYPE, 0x04, struct vfence_submit)
/** define VFENCE_IOCTL_SIGNAL - see &struct vfence_signal */
#define VFENCE_IOCTL_SIGNAL \
	_IOWR(VFENCE_IOCTL_TYPE, 0x05, struct vfence_signal)

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_LINUX_VFENCE_H */
