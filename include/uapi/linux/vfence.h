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
 * interrupt. A %VFENCE_QUEUE_WORKER queue is the same, but its jobs complete from
 * process context, on a workqueue of the device. A job of a
 * %VFENCE_QUEUE_MANUAL queue completes when user space says so, with
 * %VFENCE_IOCTL_SIGNAL or %VFENCE_IOCTL_SIGNAL_NEXT. What is said below of timer
 * queues holds for worker queues, too.
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
 * A queue may have a shorter bound of its own, &vfence_queue_create.timeout_ns.
 * What happens to the jobs behind one that timed out is the queue's policy: see
 * &enum vfence_timeout_policy. A queue that is *stopped* completes all its jobs
 * with -ECANCELED, those submitted later too, until %VFENCE_IOCTL_QUEUE_RESET.
 *
 * Closing the last reference to the client's open file completes what its
 * queues have pending with -ECANCELED, in order. Descriptors are references,
 * and so are mappings of counters. Fences outlive the client and
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
 * very nanosecond in which the one before ended, and a job that has waited for
 * its in-fences starts at the timestamp of the last of them, of whatever driver:
 * how late a machine is in telling does not show in the times of a pipeline.
 *
 * DOC: short calls
 *
 * %VFENCE_IOCTL_CREATE_FENCE and %VFENCE_IOCTL_SIGNAL_NEXT are for programs and scripts
 * that want a fence, and to signal it, and nothing else: what sw_sync is used for. Their
 * argument is the id of a manual queue itself, a __u32 and not a pointer, and the result
 * is what ioctl() returns: once there is a queue, there are no structures to fill in. For
 * one fence at a time they are the quickest calls, SIGNAL_NEXT most of all when it is for the
 * same queue as the last time. They can be mixed with all other calls. They came with
 * &vfence_query.api_version 4.
 *
 * DOC: jobs without file descriptors
 *
 * A job is known by its *point*: its queue and its sequence number there. One
 * that was submitted without an out-fence costs no file descriptor and
 * little memory. Still it can be
 *
 * - waited for, also many at a time, with %VFENCE_IOCTL_WAIT;
 * - given a sync_file later, with %VFENCE_IOCTL_EXPORT;
 * - looked at, with %VFENCE_IOCTL_JOB_INFO;
 * - seen to complete in the queue's counters, without a system call;
 * - reported by an event, when it was submitted with %VFENCE_SUBMIT_EVENT.
 *
 * A queue remembers the %VFENCE_HISTORY jobs that completed last.
 *
 * DOC: counters
 *
 * mmap() of one page of the device at the offset
 * &vfence_queue_create.counters_offset, with PROT_READ only, shows a
 * &struct vfence_counters that the device keeps up to date. The page stays when
 * the queue is gone, with what it said last. A mapping is a reference to the
 * client's open file, as a descriptor is: close() of the last descriptor
 * cancels nothing before munmap(), and a child of fork() has the mapping as it
 * has the descriptors. mmap() fails with EACCES for PROT_WRITE, which mprotect()
 * cannot add either, and with EINVAL for another length, PROT_EXEC, or an offset
 * of no queue.
 *
 * DOC: events
 *
 * read() on the device returns a &struct vfence_event for each job that was
 * submitted with %VFENCE_SUBMIT_EVENT and has completed, in the order of
 * completion, as many as fit. It blocks until there is one, or with O_NONBLOCK
 * fails with EAGAIN. One reader at a time is served: a second one waits for the
 * first, or with O_NONBLOCK fails with EAGAIN, too. read() fails with EINVAL when
 * not even one event fits, EFAULT when nothing could be written; no event is
 * lost then. No event is ever dropped: submitting needs room for it, see
 * %VFENCE_MAX_EVENTS.
 *
 * poll() on the device reports POLLIN when there is an event to be read, and
 * POLLOUT when a queue of the client has room for a job. When POLLIN
 * is reported, the fence of the job has signalled. POLLOUT does not tell
 * whether there is room for another event: who uses events reads them.
 *
 * DOC: buffers
 *
 * A job can *use* dma-bufs, of this driver (%VFENCE_IOCTL_BUFFER_CREATE) or of any
 * other: see &struct vfence_use. Those of a worker queue can also have
 * *operations* on them, see &struct vfence_operation: bytes that are really
 * written, copied and summed up, in the background, from the job's start on. The
 * job ends when its duration is over and the last byte is there for the CPU and
 * for all other users of the memory itself, whichever is later. A job that is ended
 * before, by the watchdog, a reset or the end of its queue, leaves its
 * operations half done; nothing is written any more once its fence has signalled.
 *
 * Each use is a read or a write, and takes part in *implicit synchronisation*
 * through the buffer's reservation object: the job waits for the fences that such
 * a use has to wait for, a read for writes, a write for reads and writes, and
 * adds its own fence, for others to wait for. All buffers of a call are locked
 * together, so two processes may use the same ones in any order. Fences that have
 * signalled by then are not looked at; the error of one that was pending counts
 * as that of any in-fence. Jobs of a batch see those before them. poll() on the
 * dma-buf, %DMA_BUF_IOCTL_EXPORT_SYNC_FILE and %DMA_BUF_IOCTL_IMPORT_SYNC_FILE see and give
 * these fences. Buffers may be closed after the call.
 *
 * It is the CPU that reads and writes for operations, and no more is done about
 * caches than for any access by the CPU. A device that does not see what the CPU
 * sees, because it is not coherent with the CPU's caches, or reaches the
 * memory only through bounce buffers (swiotlb), needs %DMA_BUF_IOCTL_SYNC in between:
 * with %DMA_BUF_SYNC_END and %DMA_BUF_SYNC_WRITE after operations that it is to see,
 * with %DMA_BUF_SYNC_START and %DMA_BUF_SYNC_READ before operations that are to see it.
 * Devices that map the buffer after the one and unmap it before the other need not.
 *
 * DOC: rules for all ioctls
 *
 * Structures may grow at their end in later versions. The size that the kernel
 * uses is the one in the ioctl number. A structure may end where it ended in
 * an earlier version: what is missing is taken for zero, and is not written. A
 * smaller one is refused with EINVAL. In a larger one, what the kernel does not
 * know must be zero, else the call is refused with E2BIG, and is not written.
 *
 * The same holds for the elements of arrays whose size is a field; one that is
 * larger than a page is refused with E2BIG whatever is in it.
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
#define VFENCE_API_VERSION 4

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
 * for itself. Also the most fences that the in-fences of one call, all jobs of a
 * batch together, may consist of when merged ones are counted by what they
 * contain, signalled or not.
 */
#define VFENCE_MAX_WAITS 65536

/** define VFENCE_MAX_BATCH - most jobs of one %VFENCE_IOCTL_SUBMIT_BATCH */
#define VFENCE_MAX_BATCH 1024

/** define VFENCE_MAX_WAIT_POINTS - most points of one %VFENCE_IOCTL_WAIT */
#define VFENCE_MAX_WAIT_POINTS 1024

/**
 * define VFENCE_MAX_EVENTS - most events that a client can have
 *
 * Those that were not read yet, and those that pending jobs will cause.
 */
#define VFENCE_MAX_EVENTS 65536

/** define VFENCE_HISTORY - how many completed jobs a queue remembers */
#define VFENCE_HISTORY 256

/** define VFENCE_MAX_FAULTS - most faults in the plan of a queue */
#define VFENCE_MAX_FAULTS 16

/** define VFENCE_MAX_USES - most buffers that the jobs of one call may use */
#define VFENCE_MAX_USES 1024

/**
 * define VFENCE_MAX_MAPPED - most pages of buffers that a client's jobs operate on
 *
 * The pages of all buffers that its pending jobs have operations on, and for a little
 * while afterwards. A buffer counts once, however many jobs and operations are on it;
 * one of this driver counts as one page, whatever its size. Buffers without
 * operations do not count.
 */
#define VFENCE_MAX_MAPPED 262144

/** define VFENCE_MAX_OPERATIONS - most operations of a job */
#define VFENCE_MAX_OPERATIONS 64

/** define VFENCE_MAX_BOOST_PERCENT - the fastest that an engine can be made */
#define VFENCE_MAX_BOOST_PERCENT 10000

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
 * define VFENCE_CAP_WORKER_QUEUE - queues of %VFENCE_QUEUE_WORKER can be created
 *
 * A bit of &vfence_query.capabilities.
 */
#define VFENCE_CAP_WORKER_QUEUE (1ULL << 2)
/**
 * define VFENCE_CAP_BUFFER - there are buffers, and jobs can use them
 *
 * A bit of &vfence_query.capabilities.
 */
#define VFENCE_CAP_BUFFER (1ULL << 3)

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
	/** @max_buffer_size: out: the largest &vfence_buffer_create.size, in bytes. */
	__u64 max_buffer_size;
};

/**
 * enum vfence_queue_kind - what completes the jobs of a queue
 * @VFENCE_QUEUE_TIMER: A timer: each job takes its &vfence_submit.duration_ns.
 *	It completes in the timer's interrupt, as from the interrupt of hardware.
 * @VFENCE_QUEUE_MANUAL: User space, with %VFENCE_IOCTL_SIGNAL or
 *	%VFENCE_IOCTL_SIGNAL_NEXT.
 * @VFENCE_QUEUE_WORKER: A timer that wakes a worker: as %VFENCE_QUEUE_TIMER, but
 *	jobs complete in process context, a little later.
 */
enum vfence_queue_kind {
	VFENCE_QUEUE_TIMER = 1,
	VFENCE_QUEUE_MANUAL = 2,
	VFENCE_QUEUE_WORKER = 3,
};

/**
 * enum vfence_in_fence_policy - what an in-fence that fails does to a job
 * @VFENCE_IN_FENCE_PROPAGATE: The job does not run. It completes with the error of
 *	the in-fence, when all its in-fences have signalled and it is the head.
 * @VFENCE_IN_FENCE_IGNORE: Nothing: the job runs.
 * @VFENCE_IN_FENCE_CANCEL: The job completes as with
 *	%VFENCE_IN_FENCE_PROPAGATE, and the queue is stopped.
 */
enum vfence_in_fence_policy {
	VFENCE_IN_FENCE_PROPAGATE = 0,
	VFENCE_IN_FENCE_IGNORE = 1,
	VFENCE_IN_FENCE_CANCEL = 2,
};

/**
 * enum vfence_timeout_policy - what a job that timed out does to those behind it
 * @VFENCE_TIMEOUT_CONTINUE: The queue is reset by itself, and they run.
 * @VFENCE_TIMEOUT_CANCEL: The queue is stopped.
 */
enum vfence_timeout_policy {
	VFENCE_TIMEOUT_CONTINUE = 0,
	VFENCE_TIMEOUT_CANCEL = 1,
};

/**
 * struct vfence_queue_create - make a queue
 *
 * Argument of %VFENCE_IOCTL_QUEUE_CREATE. Fails with EINVAL for an unknown @kind
 * or policy, a @name that has no NUL, a @timeout_ns or @boost_percent out
 * of range, and for a manual queue with an @in_fence_policy or a
 * @boost_percent; ENOSPC when the client has &vfence_query.max_queues already.
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
	/**
	 * @timeout_ns: in: the queue's own bound on the time that a job takes,
	 * in ns, counted like the watchdog's, of which it is at most
	 * &vfence_query.watchdog_ns; 0 for the watchdog's. Without a watchdog it
	 * may be anything, and both 0 and ~0 stand for none.
	 */
	__u64 timeout_ns;
	/**
	 * @seed: in: what the random durations of the queue are drawn from:
	 * queues with the same seed and the same jobs take the same times.
	 */
	__u64 seed;
	/** @in_fence_policy: in: one of &enum vfence_in_fence_policy. */
	__u32 in_fence_policy;
	/** @timeout_policy: in: one of &enum vfence_timeout_policy. */
	__u32 timeout_policy;
	/**
	 * @boost_percent: in: how fast the engine may run to meet a deadline, in
	 * percent of its usual speed, 100 to %VFENCE_MAX_BOOST_PERCENT; 0 is
	 * the same as 100: deadlines are recorded, and nothing more. See
	 * %SYNC_IOC_SET_DEADLINE: when the job that runs has a deadline before
	 * its end, the engine does what is left of it faster, as fast as it
	 * takes to meet the deadline or as it may.
	 */
	__u32 boost_percent;
	/** @pad2: in: must be 0. */
	__u32 pad2;
	/** @counters_offset: out: where mmap() finds the queue's &struct vfence_counters. */
	__u64 counters_offset;
};

/**
 * struct vfence_counters - what has become of a queue's jobs
 *
 * The device writes it while it is read, each field in one piece on 64-bit
 * machines. To be read with acquire semantics; a job counts as completed when
 * its fence has signalled.
 */
struct vfence_counters {
	/** @submitted: Sequence number of the job submitted last; 0 before the first. */
	__u64 submitted;
	/** @completed: Sequence number of the job completed last; 0 before the first. */
	__u64 completed;
	/** @errors: How many of the completed jobs have completed with an error. */
	__u64 errors;
	/** @timeouts: How many of them the watchdog has ended. */
	__u64 timeouts;
	/** @resets: How often the queue was reset, by itself or by %VFENCE_IOCTL_QUEUE_RESET. */
	__u64 resets;
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
 * define VFENCE_SUBMIT_EVENT - report the job's completion by a &struct vfence_event
 *
 * A flag of &vfence_submit.flags.
 */
#define VFENCE_SUBMIT_EVENT (1U << 1)
/**
 * define VFENCE_SUBMIT_HANG - the job never ends by itself
 *
 * A flag of &vfence_submit.flags; not for manual queues. The watchdog ends
 * the job with -ETIMEDOUT, or %VFENCE_IOCTL_QUEUE_RESET with -ECANCELED.
 */
#define VFENCE_SUBMIT_HANG (1U << 2)

/**
 * struct vfence_submit - append a job to a queue
 *
 * Argument of %VFENCE_IOCTL_SUBMIT, and a job of %VFENCE_IOCTL_SUBMIT_BATCH. An
 * in-fence that has signalled already is no obstacle. When an in-fence signals
 * with an error, &vfence_queue_create.in_fence_policy says what happens; of
 * several errors, the first one seen counts.
 * In-fences may be given more than once, be merged ones, and be fences of the
 * same queue; the descriptors may be closed after the call.
 *
 * Note that the kernel's %SYNC_IOC_MERGE leaves fences out that have signalled
 * already, and their errors with them.
 *
 * ===========  ===============================================================
 * EACCES       An operation writes a buffer whose descriptor is not open for
 *              writing, or reads one that is open for nothing else.
 * EAGAIN       The queue has &vfence_query.max_jobs pending: try again when
 *              poll() says POLLOUT. Or the client has %VFENCE_MAX_EVENTS, of
 *              which POLLOUT does not tell: try again when some have been read.
 * EBADF        An in-fence or a buffer is no open file descriptor.
 * EINTR        A signal came while buffers were to be locked that somebody else
 *              holds, and its handler was not installed with SA_RESTART.
 * EINVAL       An in-fence is a file, but no sync_file, or a buffer no dma-buf;
 *              too many uses or operations, or what &struct vfence_use and
 *              &struct vfence_operation say is refused; a duration is longer
 *              than the watchdog allows; @duration_max_ns is not 0 but
 *              below @duration_ns; @error out of range; @in_fence_count above
 *              %VFENCE_MAX_IN_FENCES; on a manual queue: a duration,
 *              in-fences, uses, or %VFENCE_SUBMIT_HANG; operations on a queue
 *              that is no worker queue.
 * EMFILE       No free file descriptor in the process.
 * ENOSPC       In-fences, merged ones and those of buffers included, are more
 *              than %VFENCE_MAX_IN_FENCES that are pending; or %VFENCE_MAX_WAITS or
 *              %VFENCE_MAX_MAPPED is exceeded.
 * EOPNOTSUPP   An operation is on a buffer that the CPU cannot reach: its
 *              exporter does not map it for the kernel, or it is the memory
 *              of a device. Or the kernel has all devices bounce what they
 *              access (swiotlb=force, guests with encrypted memory).
 * ===========  ===============================================================
 *
 * A buffer that has operations is attached to a device of this driver and mapped.
 * When its exporter refuses that, the call fails with the exporter's errno,
 * whatever that is.
 */
struct vfence_submit {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: any of %VFENCE_SUBMIT_OUT_FENCE, %VFENCE_SUBMIT_EVENT, %VFENCE_SUBMIT_HANG. */
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
	/**
	 * @duration_max_ns: in: when not 0, the duration is drawn from those
	 * between @duration_ns and this, both included and all of them
	 * equally likely, in ns. At most &vfence_query.watchdog_ns.
	 */
	__u64 duration_max_ns;
	/**
	 * @error: in: the error to complete with after the duration, as a negative
	 * errno, -4095 to -1; 0 for none. On a manual queue, an error
	 * of %VFENCE_IOCTL_SIGNAL takes precedence.
	 */
	__s32 error;
	/** @pad: in: must be 0. */
	__u32 pad;
	/** @uses: in: pointer to an array of @use_count &struct vfence_use. */
	__u64 uses;
	/** @operations: in: pointer to an array of @operation_count &struct vfence_operation. */
	__u64 operations;
	/** @use_count: in: number of buffers that the job uses; when 0, @uses is ignored. */
	__u32 use_count;
	/** @operation_count: in: number of operations; when 0, @operations is ignored. */
	__u32 operation_count;
	/** @use_size: in: sizeof(struct vfence_use) if there are any. */
	__u32 use_size;
	/** @operation_size: in: sizeof(struct vfence_operation) if there are any. */
	__u32 operation_size;
};

/**
 * define VFENCE_USE_WRITE - the job writes the buffer; else it only reads it
 *
 * A flag of &vfence_use.flags.
 */
#define VFENCE_USE_WRITE (1U << 0)
/**
 * define VFENCE_USE_NO_WAIT - the job does not wait for others who use the buffer
 *
 * A flag of &vfence_use.flags.
 */
#define VFENCE_USE_NO_WAIT (1U << 1)
/**
 * define VFENCE_USE_NO_ADD - others who use the buffer do not wait for the job
 *
 * A flag of &vfence_use.flags.
 */
#define VFENCE_USE_NO_ADD (1U << 2)

/**
 * struct vfence_use - a buffer that a job uses
 *
 * The same buffer may be given more than once; if it is written once, it is written.
 */
struct vfence_use {
	/** @fd: in: a dma-buf of any driver. */
	__s32 fd;
	/** @flags: in: any of %VFENCE_USE_WRITE, %VFENCE_USE_NO_WAIT, %VFENCE_USE_NO_ADD. */
	__u32 flags;
};

/**
 * enum vfence_operation_kind - what is done with buffers
 * @VFENCE_OPERATION_FILL: A range of the target is filled with a pattern.
 * @VFENCE_OPERATION_COPY: A range of the source is copied to the target, which may be the
 *	same buffer if the ranges do not overlap.
 * @VFENCE_OPERATION_CRC32C: The CRC-32C of a range of the source, as in RFC 3720, is the
 *	job's result: see &vfence_event.result. Of several, the last one's.
 */
enum vfence_operation_kind {
	VFENCE_OPERATION_FILL = 1,
	VFENCE_OPERATION_COPY = 2,
	VFENCE_OPERATION_CRC32C = 3,
};

/**
 * struct vfence_operation - what is done with buffers
 *
 * Operations of a job are done one after the other. Fields that a kind does not
 * need must be 0. Refused with EINVAL are an unknown kind; a buffer that the job
 * does not use, or does not write but is the target; a @length of 0; ranges that
 * are not in their buffer, or overlap in the same one; a @pattern_size
 * other than 1, 4 and 8, a @pattern that does not fit in that, a @target_offset or @length that
 * is no multiple of it.
 */
struct vfence_operation {
	/** @kind: in: one of &enum vfence_operation_kind. */
	__u32 kind;
	/** @target: in: index in &vfence_submit.uses of the buffer that is written. */
	__u32 target;
	/** @source: in: index in &vfence_submit.uses of the buffer that is read. */
	__u32 source;
	/** @pattern_size: in: size of the pattern in bytes: 1, 4 or 8. */
	__u32 pattern_size;
	/** @target_offset: in: where in the target, in bytes. */
	__u64 target_offset;
	/** @source_offset: in: where in the source, in bytes. */
	__u64 source_offset;
	/** @length: in: how many bytes. */
	__u64 length;
	/** @pattern: in: what to fill with, as a number of that size in the machine's byte order. */
	__u64 pattern;
};

/**
 * struct vfence_submit_batch - append jobs to queues, all of them or none
 *
 * Argument of %VFENCE_IOCTL_SUBMIT_BATCH. The jobs may be of different
 * queues; those of one queue are appended in their order. Each is
 * as for %VFENCE_IOCTL_SUBMIT, and @out_fence and @seqno of each are written. When
 * one is refused nothing has happened, the call fails with the
 * error of that job, and @refused is its index; the output fields of the jobs
 * are undefined then.
 *
 * Fails with EINVAL, and @refused is @count, when @count is 0 or above
 * %VFENCE_MAX_BATCH, or @job_size is smaller than &struct vfence_submit ever was.
 */
struct vfence_submit_batch {
	/** @jobs: in: pointer to an array of @count &struct vfence_submit. */
	__u64 jobs;
	/** @count: in: number of jobs. */
	__u32 count;
	/** @job_size: in: sizeof(struct vfence_submit). */
	__u32 job_size;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @refused: out: index of the job that was refused; @count if all were accepted. */
	__u32 refused;
};

/**
 * struct vfence_point - a job, by its queue and sequence number
 */
struct vfence_point {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @pad: in: must be 0. */
	__u32 pad;
	/** @seqno: in: the sequence number of the job. */
	__u64 seqno;
};

/**
 * define VFENCE_WAIT_ANY - wait for one of the points, not for all
 *
 * A flag of &vfence_wait.flags.
 */
#define VFENCE_WAIT_ANY (1U << 0)

/**
 * struct vfence_wait - wait until jobs have completed
 *
 * Argument of %VFENCE_IOCTL_WAIT. With an error or without is all the same. A
 * queue that is destroyed meanwhile completes its jobs.
 *
 * ===========  ===============================================================
 * EINTR        A signal came whose handler was not installed with SA_RESTART;
 *              with it, the call goes on, for @timeout_ns is a point in time.
 * EINVAL       A @seqno has not been submitted; @count is 0 or above
 *              %VFENCE_MAX_WAIT_POINTS.
 * ETIME        The time has come, but not the jobs' end.
 * ===========  ===============================================================
 */
struct vfence_wait {
	/** @points: in: pointer to an array of @count &struct vfence_point. */
	__u64 points;
	/** @count: in: number of points. */
	__u32 count;
	/** @flags: in: 0 or %VFENCE_WAIT_ANY. */
	__u32 flags;
	/**
	 * @timeout_ns: in: until when to wait, in ns on CLOCK_MONOTONIC. A time
	 * that has passed, such as 0, only looks; ~0 waits for ever.
	 */
	__u64 timeout_ns;
	/** @first: out: with %VFENCE_WAIT_ANY the lowest index of a point that has completed; else 0. */
	__u32 first;
	/** @pad: in: must be 0. */
	__u32 pad;
};

/**
 * struct vfence_export - return a sync_file for a job
 *
 * Argument of %VFENCE_IOCTL_EXPORT. May be called as often as wanted, also after
 * the job has completed: the fence then has signalled, with the error and the
 * timestamp of the job.
 *
 * ===========  ===============================================================
 * EINVAL       @seqno has not been submitted.
 * EMFILE       No free file descriptor in the process.
 * ENODATA      The job has completed, and %VFENCE_HISTORY others after it: the
 *              queue does not remember it.
 * ===========  ===============================================================
 */
struct vfence_export {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @seqno: in: the sequence number of the job. */
	__u64 seqno;
	/** @fence: out: a sync_file fd with close-on-exec set that the caller owns. */
	__s32 fence;
	/** @pad: in: must be 0. */
	__u32 pad;
};

/**
 * enum vfence_job_state - how far a job has come
 * @VFENCE_JOB_PENDING: It waits for its turn or for its in-fences; on a manual
 *	queue, for being completed.
 * @VFENCE_JOB_RUNNING: It has started.
 * @VFENCE_JOB_COMPLETED: It has completed.
 */
enum vfence_job_state {
	VFENCE_JOB_PENDING = 1,
	VFENCE_JOB_RUNNING = 2,
	VFENCE_JOB_COMPLETED = 3,
};

/**
 * struct vfence_job_info - where a job stands
 *
 * Argument of %VFENCE_IOCTL_JOB_INFO. Fails with EINVAL for a @seqno that has not
 * been submitted, ENODATA when the queue does not remember the job:
 * %VFENCE_HISTORY others have completed after it.
 */
struct vfence_job_info {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @seqno: in: the sequence number of the job. */
	__u64 seqno;
	/** @state: out: one of &enum vfence_job_state. */
	__u32 state;
	/** @error: out: what it has completed with: a negative errno, or 0. */
	__s32 error;
	/** @submitted_ns: out: when it was submitted. */
	__u64 submitted_ns;
	/** @start_ns: out: when it started to run; 0 if it has not, or never ran. */
	__u64 start_ns;
	/** @end_ns: out: when it ended, which is its fence's timestamp; 0 if it has not. */
	__u64 end_ns;
	/**
	 * @deadline_ns: out: the earliest deadline that was set on a fence of the
	 * job with %SYNC_IOC_SET_DEADLINE, or by the kernel, also through merged
	 * fences; 0 if none was. (0 is shown as 1, ~0 as one less than that.)
	 */
	__u64 deadline_ns;
	/** @faults: out: what was injected: bits 1 << &enum vfence_fault_kind. */
	__u32 faults;
	/** @pad: in: must be 0. */
	__u32 pad;
	/**
	 * @result: out: what the job's operations came to, once it has completed:
	 * see %VFENCE_OPERATION_CRC32C; 0 if nothing, or the job has failed.
	 */
	__u64 result;
};

/**
 * struct vfence_event - a job has completed
 *
 * What read() returns; see "events" above. The fields are those of
 * &struct vfence_job_info.
 */
struct vfence_event {
	/** @queue: Id of the queue. */
	__u32 queue;
	/** @error: What the job completed with: a negative errno, or 0. */
	__s32 error;
	/** @seqno: The sequence number of the job. */
	__u64 seqno;
	/** @submitted_ns: When it was submitted. */
	__u64 submitted_ns;
	/** @start_ns: When it started to run; 0 if it never ran. */
	__u64 start_ns;
	/** @end_ns: When it ended. */
	__u64 end_ns;
	/** @deadline_ns: The earliest deadline that was set on its fence; 0 if none was. */
	__u64 deadline_ns;
	/** @faults: What was injected: bits 1 << &enum vfence_fault_kind. */
	__u32 faults;
	/** @flags: 0. */
	__u32 flags;
	/** @result: What the job's operations came to, or 0. */
	__u64 result;
};

/**
 * struct vfence_queue_reset - reset a queue
 *
 * Argument of %VFENCE_IOCTL_QUEUE_RESET, as when a GPU is reset. A job that runs
 * completes with -ECANCELED, and so does one that hangs; a job that still waits
 * for in-fences does not run and stays. A queue that was stopped takes jobs
 * again. On a manual queue nothing runs, so only the latter happens.
 */
struct vfence_queue_reset {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @resets: out: &vfence_counters.resets, this one included. */
	__u64 resets;
};

/**
 * enum vfence_fault_kind - what can go wrong with a job
 * @VFENCE_FAULT_FAIL: It completes with an error after its duration.
 * @VFENCE_FAULT_HANG: It never ends by itself, as with %VFENCE_SUBMIT_HANG.
 * @VFENCE_FAULT_DELAY: It takes longer.
 * @VFENCE_FAULT_DROP_INTERRUPT: It ends, but the interrupt that tells of it is
 *	lost. Nobody looks at the queue until the watchdog does, when the job
 *	times out: then it is seen that the job has ended, and all jobs
 *	behind it that have ended meanwhile complete with it, without
 *	error, and with the times at which they ended.
 */
enum vfence_fault_kind {
	VFENCE_FAULT_FAIL = 1,
	VFENCE_FAULT_HANG = 2,
	VFENCE_FAULT_DELAY = 3,
	VFENCE_FAULT_DROP_INTERRUPT = 4,
};

/**
 * struct vfence_fault - what to do to which jobs
 *
 * Either @every or @probability is not 0, the other is.
 */
struct vfence_fault {
	/** @kind: in: one of &enum vfence_fault_kind. */
	__u32 kind;
	/** @every: in: do it to every so manyth job, counted from when the plan was set. */
	__u32 every;
	/** @probability: in: do it to a job with this probability, in millionths, 1 to 1000000. */
	__u32 probability;
	/** @error: in: %VFENCE_FAULT_FAIL: a negative errno, -4095 to -1; else 0. */
	__s32 error;
	/** @delay_ns: in: %VFENCE_FAULT_DELAY: how much longer, in ns, not 0; else 0. */
	__u64 delay_ns;
	/** @limit: in: do it so many times at most; 0 for no limit. */
	__u64 limit;
};

/**
 * struct vfence_queue_faults - set the fault plan of a queue
 *
 * Argument of %VFENCE_IOCTL_QUEUE_FAULTS. Holds for jobs that are submitted from now
 * on, in place of the plan before; what happens to a job is decided when it is
 * submitted. The faults of a plan are independent of each other, also those of the
 * same kind. A plan with the same @seed does the same to the same jobs.
 *
 * Fails with EINVAL for an unknown kind, fields of a fault that do not go
 * together, @count above %VFENCE_MAX_FAULTS, a manual queue, and for
 * %VFENCE_FAULT_DROP_INTERRUPT when nothing bounds the queue: the administrator has
 * lifted the watchdog, and the queue has no timeout.
 */
struct vfence_queue_faults {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @seed: in: what the probabilities are drawn from. */
	__u64 seed;
	/** @faults: in: pointer to an array of @count &struct vfence_fault. */
	__u64 faults;
	/** @count: in: number of faults; 0 ends the plan. */
	__u32 count;
	/** @fault_size: in: sizeof(struct vfence_fault). */
	__u32 fault_size;
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
 * Argument of %VFENCE_IOCTL_QUEUE_INFO. All is read together.
 * @submitted - @completed jobs are pending.
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
	/** @errors: out: &vfence_counters.errors. */
	__u64 errors;
	/** @timeouts: out: &vfence_counters.timeouts. */
	__u64 timeouts;
	/** @resets: out: &vfence_counters.resets. */
	__u64 resets;
	/** @timeout_ns: out: the bound that is in force, in ns; 0 if there is none. */
	__u64 timeout_ns;
	/**
	 * @faults: out: how many were injected of each &enum vfence_fault_kind,
	 * at the index of the kind.
	 */
	__u64 faults[8];
	/** @state: out: 0 or %VFENCE_QUEUE_STOPPED. */
	__u32 state;
	/** @pad2: in: must be 0. */
	__u32 pad2;
};

/**
 * struct vfence_buffer_create - make a buffer
 *
 * Argument of %VFENCE_IOCTL_BUFFER_CREATE. The memory is zero, and is charged to
 * the caller's memory cgroup. What is returned is a dma-buf like any other
 * driver's: it can be mapped with mmap(), between %DMA_BUF_IOCTL_SYNC calls, be
 * given a name, imported by drivers (%DRM_IOCTL_PRIME_FD_TO_HANDLE), have its
 * fences polled, exported and imported (see <linux/dma-buf.h>), and tells its size by
 * lseek(). It belongs to no client: it is there as long as anybody refers to
 * it, and as long as it is, the module cannot be unloaded.
 *
 * (There is no dma-heap of this device: the kernel knows no way to remove one,
 * so a module that adds one could never be unloaded.)
 *
 * ===========  ===============================================================
 * EINVAL       @size is 0.
 * EMFILE       No free file descriptor in the process.
 * ENOSPC       @size is above &vfence_query.max_buffer_size.
 * ===========  ===============================================================
 */
struct vfence_buffer_create {
	/** @size: in: how many bytes are wanted; out: how many there are, whole pages. */
	__u64 size;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @fd: out: a dma-buf fd with close-on-exec set that the caller owns. */
	__s32 fd;
};

/** define VFENCE_QUEUE_STOPPED - the queue is stopped: a bit of &vfence_queue_info.state */
#define VFENCE_QUEUE_STOPPED (1U << 0)

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
/** define VFENCE_IOCTL_SUBMIT_BATCH - see &struct vfence_submit_batch */
#define VFENCE_IOCTL_SUBMIT_BATCH \
	_IOWR(VFENCE_IOCTL_TYPE, 0x06, struct vfence_submit_batch)
/** define VFENCE_IOCTL_WAIT - see &struct vfence_wait */
#define VFENCE_IOCTL_WAIT \
	_IOWR(VFENCE_IOCTL_TYPE, 0x07, struct vfence_wait)
/** define VFENCE_IOCTL_EXPORT - see &struct vfence_export */
#define VFENCE_IOCTL_EXPORT \
	_IOWR(VFENCE_IOCTL_TYPE, 0x08, struct vfence_export)
/** define VFENCE_IOCTL_JOB_INFO - see &struct vfence_job_info */
#define VFENCE_IOCTL_JOB_INFO \
	_IOWR(VFENCE_IOCTL_TYPE, 0x09, struct vfence_job_info)
/** define VFENCE_IOCTL_QUEUE_RESET - see &struct vfence_queue_reset */
#define VFENCE_IOCTL_QUEUE_RESET \
	_IOWR(VFENCE_IOCTL_TYPE, 0x0a, struct vfence_queue_reset)
/** define VFENCE_IOCTL_QUEUE_FAULTS - see &struct vfence_queue_faults */
#define VFENCE_IOCTL_QUEUE_FAULTS \
	_IOW(VFENCE_IOCTL_TYPE, 0x0b, struct vfence_queue_faults)
/** define VFENCE_IOCTL_BUFFER_CREATE - see &struct vfence_buffer_create */
#define VFENCE_IOCTL_BUFFER_CREATE \
	_IOWR(VFENCE_IOCTL_TYPE, 0x0c, struct vfence_buffer_create)

/**
 * define VFENCE_IOCTL_CREATE_FENCE - submit a job that is nothing but an out-fence
 *
 * A short call, to a manual queue: see "short calls" above. Returns the out-fence, a
 * sync_file fd with close-on-exec set that the caller owns. The job is that of a
 * &struct vfence_submit with %VFENCE_SUBMIT_OUT_FENCE and 0 elsewhere, and the call
 * fails as %VFENCE_IOCTL_SUBMIT does; with EINVAL also on a queue that is not manual.
 */
#define VFENCE_IOCTL_CREATE_FENCE _IO(VFENCE_IOCTL_TYPE, 0x0d)
/**
 * define VFENCE_IOCTL_SIGNAL_NEXT - complete the next job of a manual queue
 *
 * A short call: see "short calls" above. Completes the oldest pending job: with the
 * job's own error if it was submitted with one, with -ETIMEDOUT if it is timing out in
 * that very moment, with -ECANCELED if the queue is stopped. Returns 1, or 0 when nothing
 * is pending. Calls that are made at the same time complete different jobs. Fails with
 * EINVAL on a queue that is not manual.
 */
#define VFENCE_IOCTL_SIGNAL_NEXT _IO(VFENCE_IOCTL_TYPE, 0x0e)

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_LINUX_VFENCE_H */
