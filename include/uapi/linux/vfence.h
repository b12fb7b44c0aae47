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
 * /dev/vfence behaves, to every consumer of fences, like the completion side of a DMA engine or a
 * GPU. An open file is a *client*. A client owns *queues*. A queue is one dma_fence context: its
 * jobs have the sequence numbers 1, 2, 3, … and complete in that order, one at a time. Submitting
 * a job returns its sequence number and, on request, an *out-fence*: a sync_file file descriptor
 * (see <linux/sync_file.h>) that user space can poll, merge, query, or pass to any driver that
 * accepts one. A job may wait for *in-fences*: sync_files of this or of any other driver.
 *
 * The *head* of a queue is its oldest job that has not completed. The kind of the queue decides
 * when the head completes:
 *
 * - %VFENCE_QUEUE_TIMER: the head starts when all its in-fences have signalled, runs for its
 *   duration, and completes in the interrupt of a timer, or soon after it in a work item if much
 *   is due.
 * - %VFENCE_QUEUE_WORKER: the same, but the job completes in process context, in a kernel thread
 *   of the device. Every statement about timer queues below holds for worker queues too.
 * - %VFENCE_QUEUE_MANUAL: the head completes when user space calls %VFENCE_IOCTL_SIGNAL or
 *   %VFENCE_IOCTL_SIGNAL_NEXT.
 *
 * A fence carries an error as a negative errno value: %SYNC_IOC_FILE_INFO reports it as the
 * status. A fence with an error has signalled like any other and polls readable.
 *
 * Every fence signals in bounded time: a job waits for the jobs before it in its queue, and each
 * of them ends in bounded time. The *watchdog* (module parameter watchdog_ms, 2000 by default,
 * &vfence_query.watchdog_ns) completes with -ETIMEDOUT
 *
 * - the head of a timer queue, that long after it became the head; the wait for its in-fences
 *   counts;
 * - a job of a manual queue, that long after its submission.
 *
 * A queue may have a shorter bound of its own, &vfence_queue_create.timeout_ns. The queue's
 * policy decides about the jobs behind a timed-out job: see &enum vfence_timeout_policy. A
 * *stopped* queue completes all its jobs with -ECANCELED, including those submitted later, until
 * %VFENCE_IOCTL_QUEUE_RESET.
 *
 * Closing the last reference to the client's open file completes the pending jobs of its queues
 * with -ECANCELED, in order. File descriptors and mappings of counters are such references.
 * Fences outlive the client and the module: a signalled sync_file stays valid after both are
 * gone. The kernel detaches the driver from a fence when the fence signals. From then on, the
 * names of the driver and the timeline read "detached-driver" and "signaled-timeline".
 *
 * A client may be shared between threads, inherited across fork() and passed over a socket;
 * queue ids belong to the open file, not to the process.
 *
 * Times are in nanoseconds on CLOCK_MONOTONIC. The timestamp of a fence
 * (&sync_fence_info.timestamp_ns) is the time at which the engine completed the job, like a
 * timestamp taken by hardware: the interrupt that signals the fence comes a little later. A job
 * that follows another without a gap starts at the nanosecond at which the other ended. A job
 * that waited for in-fences starts at the latest of their timestamps, whichever driver they
 * belong to. Interrupt latency therefore does not accumulate along a pipeline.
 *
 * DOC: fast ioctls
 *
 * %VFENCE_IOCTL_CREATE_FENCE and %VFENCE_IOCTL_SIGNAL_NEXT create a fence and signal it, and do
 * nothing else. They serve programs and scripts that need no more than sw_sync provides. Their
 * argument is the id of a manual queue itself, a __u32 and not a pointer, and their result is the
 * return value of ioctl(): once the queue exists, there is no structure to fill in. For one fence
 * at a time they are the fastest ioctls, SIGNAL_NEXT above all when the client passes the same
 * queue as in its previous call. They can be mixed with all other ioctls. They were added in
 * &vfence_query.api_version 4.
 *
 * DOC: jobs without file descriptors
 *
 * A queue id and a sequence number on that queue identify a job: see &struct vfence_point. A job
 * submitted without an out-fence uses no file descriptor and little memory. User space can still
 *
 * - wait for it, and for many jobs at once, with %VFENCE_IOCTL_WAIT;
 * - create a sync_file for it later, with %VFENCE_IOCTL_EXPORT;
 * - query it, with %VFENCE_IOCTL_JOB_INFO;
 * - observe its completion in the queue's counters, without a system call;
 * - read an event for it, if it was submitted with %VFENCE_SUBMIT_EVENT.
 *
 * A queue remembers the last %VFENCE_HISTORY jobs that completed.
 *
 * DOC: counters
 *
 * mmap() of one page of the device at the offset &vfence_queue_create.counters_offset, with
 * PROT_READ only, maps a &struct vfence_counters that the device keeps up to date. The page keeps
 * its last values after the queue is destroyed. A mapping is a reference to the client's open
 * file, like a file descriptor: close() of the last descriptor cancels nothing before munmap(),
 * and a child of fork() inherits mappings as it inherits descriptors. mmap() fails with EACCES
 * for PROT_WRITE, which mprotect() cannot add either, and with EINVAL for another length, for
 * PROT_EXEC, or for an offset of no queue.
 *
 * DOC: events
 *
 * read() on the device returns a &struct vfence_event for each completed job that was submitted
 * with %VFENCE_SUBMIT_EVENT, in the order of completion, as many as fit. Without an event it
 * blocks, or with O_NONBLOCK fails with EAGAIN. One reader is served at a time: a second reader
 * waits for the first, or with O_NONBLOCK fails with EAGAIN too. read() fails with EINVAL when
 * the buffer is smaller than one event, and with EFAULT when no event could be written; neither
 * loses an event. The device never drops an event: submission reserves the room for it, see
 * %VFENCE_MAX_EVENTS.
 *
 * poll() on the device reports POLLIN when an event can be read, and POLLOUT when a queue of the
 * client has room for a job. When POLLIN is reported, the fence of the job has signalled. POLLOUT
 * makes no statement about the room for events: a client that uses events must read them.
 *
 * DOC: buffers
 *
 * A job can *use* dma-bufs, of this driver (%VFENCE_IOCTL_BUFFER_CREATE) or of any other: see
 * &struct vfence_use. A job of a worker queue can also have *operations* on them, see
 * &struct vfence_operation: from the start of the job on, the device fills, copies and checksums
 * the memory in the background. The job ends when its duration is over and the last byte is
 * visible to the CPU and to all other coherent users of the memory, whichever is later. A job
 * that the watchdog, a reset or the destruction of its queue ends early leaves its operations
 * incomplete; once its fence has signalled, nothing more is written.
 *
 * Each use is a read or a write, and takes part in *implicit synchronisation* through the
 * reservation object of the buffer. The job waits for the fences there that conflict with its
 * use: a read waits for writes, a write waits for reads and writes. The job then adds its own
 * fence, so that later users wait for it. All buffers of a call are locked together, so two
 * processes may use the same buffers in any order. Fences that have already signalled are
 * ignored, with their errors; the error of a pending one counts like that of an in-fence. In a
 * batch, the same rules apply to the fences of the jobs before. poll() on the dma-buf,
 * %DMA_BUF_IOCTL_EXPORT_SYNC_FILE and %DMA_BUF_IOCTL_IMPORT_SYNC_FILE operate on the same fences.
 * Buffers may be closed after the call.
 *
 * The operations of all clients run in a few kernel threads of the lowest priority, a queue at a
 * time, and use the CPU time that other tasks leave, or little more. On a busy system, or beside
 * many other queues with operations, they are slow, and a job with many may reach the timeout of
 * its queue.
 *
 * The CPU performs the operations, with no more cache maintenance than for any access by the CPU.
 * A device that is not coherent with the CPU's caches, or that reaches the memory only through
 * bounce buffers (swiotlb), needs %DMA_BUF_IOCTL_SYNC: with %DMA_BUF_SYNC_END and
 * %DMA_BUF_SYNC_WRITE after operations whose result it reads, with %DMA_BUF_SYNC_START and
 * %DMA_BUF_SYNC_READ before operations that read what it wrote. A device that maps the buffer
 * after the former operations, and unmaps it before the latter, needs neither.
 *
 * DOC: rules for all ioctls
 *
 * Structures may grow at their end in later versions. The kernel takes the size of the caller's
 * structure from the ioctl number. A structure may end where it ended in an earlier version: the
 * kernel reads the missing fields as zero and does not write them. Any other smaller size fails
 * with EINVAL. In a larger structure, the bytes that the kernel does not know must be zero, or the
 * call fails with E2BIG; the kernel does not write these bytes.
 *
 * The same holds for the elements of arrays whose element size is a field; an element size above
 * one page fails with E2BIG.
 *
 * Fields called flags and pad must be zero, apart from the flags defined here. Output fields are
 * ignored on input. A call that fails has no effect: it leaves no file descriptor, no fence, no
 * job and no queue behind.
 *
 * An errno has several causes. When root has turned on the module's debug messages (dynamic debug,
 * "module vfence +p", or "module vfence_drm +p" for the DRM nodes), the kernel log has the cause of
 * each call that the device refuses: Documentation/uapi.md says how.
 *
 * Errors common to all ioctls:
 *
 * ===========  ===================================================================================
 * EFAULT       A pointer does not point to accessible memory.
 * EINVAL       An unknown flag or enumeration value, a non-zero pad, a structure that is too
 *              small.
 * E2BIG        A structure larger than the kernel's with non-zero bytes beyond it.
 * ENOENT       The client has no queue with that id: it never existed or was destroyed.
 * ENOMEM       Out of memory, or the memory cgroup's limit is reached.
 * ENOTTY       No such ioctl.
 * ===========  ===================================================================================
 *
 * The memory that the driver allocates for a call is charged to the memory cgroup of the caller.
 * At the cgroup's limit the kernel first reclaims memory of the cgroup, and then runs the OOM
 * killer in it. A process of the cgroup, perhaps the caller, may therefore be killed before a call
 * fails with ENOMEM.
 */

/** define VFENCE_IOCTL_TYPE - the type byte of the ioctl numbers */
#define VFENCE_IOCTL_TYPE 0xF7

/** define VFENCE_API_VERSION - &vfence_query.api_version that this header describes */
#define VFENCE_API_VERSION 4

/** define VFENCE_NAME_LEN - size of a queue's name, including the terminating NUL */
#define VFENCE_NAME_LEN 32

/**
 * define VFENCE_MAX_IN_FENCES - most in-fences of a job
 *
 * Bounds &vfence_submit.in_fence_count, and the pending fences of a job after merged sync_files
 * have been expanded into the fences that they contain, and chains as &struct vfence_submit says.
 */
#define VFENCE_MAX_IN_FENCES 1024

/**
 * define VFENCE_MAX_WAITS - most pending in-fences of all pending jobs of a client
 *
 * An in-fence of several jobs counts once for each of them. The same number bounds the fences
 * that the in-fences of one call contain, signalled or pending: those of all jobs of a batch
 * together, with merged sync_files expanded.
 */
#define VFENCE_MAX_WAITS 65536

/** define VFENCE_MAX_BATCH - most jobs of one %VFENCE_IOCTL_SUBMIT_BATCH */
#define VFENCE_MAX_BATCH 1024

/** define VFENCE_MAX_WAIT_POINTS - most jobs of one %VFENCE_IOCTL_WAIT */
#define VFENCE_MAX_WAIT_POINTS 1024

/**
 * define VFENCE_MAX_EVENTS - most events of a client
 *
 * Counts unread events and those that pending jobs will cause.
 */
#define VFENCE_MAX_EVENTS 65536

/** define VFENCE_HISTORY - number of completed jobs that a queue remembers */
#define VFENCE_HISTORY 256

/** define VFENCE_MAX_FAULTS - most faults in the plan of a queue */
#define VFENCE_MAX_FAULTS 16

/** define VFENCE_MAX_USES - most buffers that the jobs of one call may use */
#define VFENCE_MAX_USES 1024

/**
 * define VFENCE_MAX_MAPPED - most pages of buffers that a client's jobs operate on
 *
 * Counts the pages of all buffers on which pending jobs have operations, until shortly after
 * these jobs complete. A buffer counts once, however many jobs and operations use it. A buffer of
 * this driver counts as one page, regardless of its size. Buffers without operations do not count.
 */
#define VFENCE_MAX_MAPPED 262144

/** define VFENCE_MAX_OPERATIONS - most operations of a job */
#define VFENCE_MAX_OPERATIONS 64

/** define VFENCE_MAX_BOOST_PERCENT - largest &vfence_queue_create.boost_percent */
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
 * define VFENCE_CAP_BUFFER - buffers can be created, and jobs can use buffers
 *
 * A bit of &vfence_query.capabilities.
 */
#define VFENCE_CAP_BUFFER (1ULL << 3)

/**
 * struct vfence_query - query the device's version, capabilities and limits
 *
 * Argument of %VFENCE_IOCTL_QUERY.
 */
struct vfence_query {
	/** @api_version: out: %VFENCE_API_VERSION of the kernel side; never decreases. */
	__u32 api_version;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @capabilities: out: bits VFENCE_CAP_*; user space must ignore unknown bits. */
	__u64 capabilities;
	/**
	 * @watchdog_ns: out: the bound on how long the head of a timer queue, or any job of a
	 * manual queue, stays pending, and on &vfence_submit.duration_ns, in ns; 0 if the
	 * administrator has lifted it.
	 */
	__u64 watchdog_ns;
	/** @max_queues: out: most queues of a client. */
	__u32 max_queues;
	/** @max_jobs: out: most pending jobs of a queue. */
	__u32 max_jobs;
	/** @max_buffer_size: out: largest &vfence_buffer_create.size, in bytes. */
	__u64 max_buffer_size;
};

/**
 * enum vfence_queue_kind - what completes the jobs of a queue
 * @VFENCE_QUEUE_TIMER: A timer. Each job takes its &vfence_submit.duration_ns and completes in the
 *	timer's interrupt, like a job of real hardware.
 * @VFENCE_QUEUE_MANUAL: User space, with %VFENCE_IOCTL_SIGNAL or %VFENCE_IOCTL_SIGNAL_NEXT.
 * @VFENCE_QUEUE_WORKER: A timer that wakes a worker. Like %VFENCE_QUEUE_TIMER, but jobs complete
 *	in process context, a little later.
 */
enum vfence_queue_kind {
	VFENCE_QUEUE_TIMER = 1,
	VFENCE_QUEUE_MANUAL = 2,
	VFENCE_QUEUE_WORKER = 3,
};

/**
 * enum vfence_in_fence_policy - effect of an in-fence's error on the job that waits for it
 * @VFENCE_IN_FENCE_PROPAGATE: The job does not run. When all its in-fences have signalled and it
 *	is the head, it completes with the error of the in-fence.
 * @VFENCE_IN_FENCE_IGNORE: None. The job runs.
 * @VFENCE_IN_FENCE_CANCEL: The job completes as with %VFENCE_IN_FENCE_PROPAGATE, and the queue is
 *	stopped.
 */
enum vfence_in_fence_policy {
	VFENCE_IN_FENCE_PROPAGATE = 0,
	VFENCE_IN_FENCE_IGNORE = 1,
	VFENCE_IN_FENCE_CANCEL = 2,
};

/**
 * enum vfence_timeout_policy - effect of a job's timeout on the jobs behind it
 * @VFENCE_TIMEOUT_CONTINUE: The queue resets itself, and they run.
 * @VFENCE_TIMEOUT_CANCEL: The queue is stopped.
 */
enum vfence_timeout_policy {
	VFENCE_TIMEOUT_CONTINUE = 0,
	VFENCE_TIMEOUT_CANCEL = 1,
};

/**
 * struct vfence_queue_create - create a queue
 *
 * Argument of %VFENCE_IOCTL_QUEUE_CREATE.
 *
 * ===========  ===================================================================================
 * EINVAL       An unknown @kind or policy; a @name without a NUL; a @timeout_ns or @boost_percent
 *              out of range; an @in_fence_policy or a @boost_percent for a manual queue.
 * ENOSPC       The client already has &vfence_query.max_queues.
 * ===========  ===================================================================================
 */
struct vfence_queue_create {
	/** @kind: in: one of &enum vfence_queue_kind. */
	__u32 kind;
	/** @flags: in: must be 0. */
	__u32 flags;
	/**
	 * @name: in: timeline name of the queue's pending fences (&sync_fence_info.obj_name),
	 * NUL-terminated; bytes after the NUL are ignored. When it is empty, the device uses
	 * "queue" followed by the id.
	 */
	char name[VFENCE_NAME_LEN];
	/** @queue: out: id of the queue, not 0; ids are not reused. */
	__u32 queue;
	/** @pad: in: must be 0. */
	__u32 pad;
	/** @context: out: dma_fence context of the queue, unique in the system until it reboots. */
	__u64 context;
	/**
	 * @timeout_ns: in: the queue's own bound on the time that a job takes, in ns, counted like
	 * the watchdog's. At most &vfence_query.watchdog_ns; 0 selects the watchdog's bound. When
	 * the watchdog has been lifted, any value is valid, and both 0 and ~0 mean no bound.
	 */
	__u64 timeout_ns;
	/**
	 * @seed: in: seed of the queue's random durations: two queues with the same seed and the
	 * same jobs have the same durations.
	 */
	__u64 seed;
	/** @in_fence_policy: in: one of &enum vfence_in_fence_policy. */
	__u32 in_fence_policy;
	/** @timeout_policy: in: one of &enum vfence_timeout_policy. */
	__u32 timeout_policy;
	/**
	 * @boost_percent: in: how fast the engine may run to meet a deadline, in percent of its
	 * normal speed, 100 to %VFENCE_MAX_BOOST_PERCENT. 0 means 100: deadlines are recorded and
	 * have no other effect. When the running job has a deadline (%SYNC_IOC_SET_DEADLINE)
	 * before its end, the engine runs the rest of the job at the speed that meets the
	 * deadline, or at this speed if that is not enough.
	 */
	__u32 boost_percent;
	/** @pad2: in: must be 0. */
	__u32 pad2;
	/** @counters_offset: out: mmap() offset of the queue's &struct vfence_counters. */
	__u64 counters_offset;
};

/**
 * struct vfence_counters - progress of a queue
 *
 * The device updates the structure while user space reads it; on 64-bit machines it writes each
 * field in one piece. Read the fields with acquire semantics. A job counts as completed when its
 * fence has signalled.
 */
struct vfence_counters {
	/** @submitted: Sequence number of the job submitted last; 0 before the first. */
	__u64 submitted;
	/** @completed: Sequence number of the job completed last; 0 before the first. */
	__u64 completed;
	/** @errors: Number of jobs that have completed with an error. */
	__u64 errors;
	/** @timeouts: Number of jobs that the watchdog has ended. */
	__u64 timeouts;
	/** @resets: Number of resets, by %VFENCE_TIMEOUT_CONTINUE or %VFENCE_IOCTL_QUEUE_RESET. */
	__u64 resets;
};

/**
 * struct vfence_queue_destroy - destroy a queue
 *
 * Argument of %VFENCE_IOCTL_QUEUE_DESTROY. Pending jobs complete with -ECANCELED, in order, before
 * the call returns.
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
 * define VFENCE_SUBMIT_EVENT - report the job's completion with a &struct vfence_event
 *
 * A flag of &vfence_submit.flags.
 */
#define VFENCE_SUBMIT_EVENT (1U << 1)
/**
 * define VFENCE_SUBMIT_HANG - the job does not end by itself
 *
 * A flag of &vfence_submit.flags; not for manual queues. The watchdog ends the job with
 * -ETIMEDOUT, or %VFENCE_IOCTL_QUEUE_RESET with -ECANCELED.
 */
#define VFENCE_SUBMIT_HANG (1U << 2)

/**
 * struct vfence_submit - append a job to a queue
 *
 * Argument of %VFENCE_IOCTL_SUBMIT, and a job of %VFENCE_IOCTL_SUBMIT_BATCH. In-fences may have
 * signalled already, may be given more than once, may be merged sync_files, and may be fences of
 * the same queue. Their descriptors may be closed after the call. When an in-fence signals with an
 * error, &vfence_queue_create.in_fence_policy applies; of several errors, the first one observed
 * counts. The queue observes the in-fences of a job when the job is submitted, and from the moment
 * the job is the head; of those that signalled in between, the one with the earliest timestamp
 * counts as the first.
 *
 * A job asks the drivers of its in-fences to signal them (in the kernel: adds a callback) when it
 * becomes the head. A driver that signals only when it is asked therefore does so later than it
 * would for a reader that polls the sync_file, and with a later timestamp.
 *
 * Of a fence chain, such as a timeline of DRM syncobjs, the job waits for the fences of the last 8
 * pending links, and for all links before these as for one fence, the chain's own: this one has no
 * error, and signals when the kernel has noticed, a little late, that the last of them has
 * signalled.
 *
 * Note that the kernel's %SYNC_IOC_MERGE drops fences that have already signalled, and their
 * errors with them.
 *
 * ===========  ===================================================================================
 * EACCES       An operation writes a buffer whose descriptor is not open for writing, or reads one
 *              whose descriptor is open for writing only.
 * EAGAIN       The queue has &vfence_query.max_jobs pending jobs: retry when poll() reports
 *              POLLOUT. Or the client has %VFENCE_MAX_EVENTS, about which POLLOUT says nothing:
 *              retry after reading some.
 * EBADF        An in-fence or a buffer is not an open file descriptor.
 * EINTR        A signal arrived while the call waited for the locks of its buffers, and the
 *              signal's handler was not installed with SA_RESTART.
 * EINVAL       An in-fence is a file but not a sync_file, or a buffer is a file but not a dma-buf;
 *              too many uses or operations, or a use or an operation that &struct vfence_use or
 *              &struct vfence_operation excludes; a duration above the watchdog's bound;
 *              a @duration_max_ns that is neither 0 nor at least @duration_ns; @error out of
 *              range; @in_fence_count above %VFENCE_MAX_IN_FENCES; on a manual queue: a duration,
 *              in-fences, uses, or %VFENCE_SUBMIT_HANG; operations on a queue of any kind but
 *              %VFENCE_QUEUE_WORKER.
 * EMFILE       No free file descriptor in the process.
 * ENOSPC       More than %VFENCE_MAX_IN_FENCES pending fences, with merged in-fences expanded and
 *              those of buffers included; or %VFENCE_MAX_WAITS or %VFENCE_MAX_MAPPED is exceeded.
 * EOPNOTSUPP   An operation uses a buffer that the CPU cannot access: its exporter does not map it
 *              for the kernel, or it is device memory. Or the kernel bounces the accesses of all
 *              devices (swiotlb=force, guests with encrypted memory).
 * ===========  ===================================================================================
 *
 * The driver attaches to, and maps, each buffer that has operations. If the exporter refuses, the
 * call fails with the exporter's errno.
 */
struct vfence_submit {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/**
	 * @flags: in: any of %VFENCE_SUBMIT_OUT_FENCE, %VFENCE_SUBMIT_EVENT and
	 * %VFENCE_SUBMIT_HANG.
	 */
	__u32 flags;
	/**
	 * @duration_ns: in: how long the job runs once it has started, in ns; a job of 0 ends when
	 * it starts, unless the administrator has set another duration for jobs without one. At
	 * most &vfence_query.watchdog_ns. Must be 0 on a manual queue.
	 */
	__u64 duration_ns;
	/** @in_fences: in: pointer to an array of @in_fence_count sync_file fds (__s32). */
	__u64 in_fences;
	/**
	 * @in_fence_count: in: number of in-fences; when 0, @in_fences is ignored. Must be 0 on a
	 * manual queue.
	 */
	__u32 in_fence_count;
	/**
	 * @out_fence: out: with %VFENCE_SUBMIT_OUT_FENCE a sync_file fd with close-on-exec set that
	 * the caller owns; else -1.
	 */
	__s32 out_fence;
	/** @seqno: out: sequence number of the job on its queue, from 1 without gaps. */
	__u64 seqno;
	/**
	 * @duration_max_ns: in: when not 0, the duration is random: uniformly distributed from
	 * @duration_ns to this, both included, in ns. At most &vfence_query.watchdog_ns.
	 */
	__u64 duration_max_ns;
	/**
	 * @error: in: the error with which the job completes after its duration, as a negative
	 * errno, -4095 to -1; 0 for none. On a manual queue, an error passed to
	 * %VFENCE_IOCTL_SIGNAL takes precedence.
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
 * define VFENCE_USE_WRITE - the job writes the buffer; without it, the job only reads it
 *
 * A flag of &vfence_use.flags.
 */
#define VFENCE_USE_WRITE (1U << 0)
/**
 * define VFENCE_USE_NO_WAIT - the job does not wait for other users of the buffer
 *
 * A flag of &vfence_use.flags.
 */
#define VFENCE_USE_NO_WAIT (1U << 1)
/**
 * define VFENCE_USE_NO_ADD - other users of the buffer do not wait for the job
 *
 * A flag of &vfence_use.flags.
 */
#define VFENCE_USE_NO_ADD (1U << 2)

/**
 * struct vfence_use - a buffer that a job uses
 *
 * A job may use the same buffer more than once. If any of these uses is a write, the job writes
 * the buffer.
 */
struct vfence_use {
	/** @fd: in: a dma-buf of any driver. */
	__s32 fd;
	/** @flags: in: any of %VFENCE_USE_WRITE, %VFENCE_USE_NO_WAIT, %VFENCE_USE_NO_ADD. */
	__u32 flags;
};

/**
 * enum vfence_operation_kind - kind of a &struct vfence_operation
 * @VFENCE_OPERATION_FILL: Fills a range of the target with a pattern.
 * @VFENCE_OPERATION_COPY: Copies a range of the source to the target, which may be the same buffer
 *	if the ranges do not overlap.
 * @VFENCE_OPERATION_CRC32C: Computes the CRC-32C (RFC 3720) of a range of the source. It is the
 *	result of the job, see &vfence_event.result; of several, the last one counts.
 */
enum vfence_operation_kind {
	VFENCE_OPERATION_FILL = 1,
	VFENCE_OPERATION_COPY = 2,
	VFENCE_OPERATION_CRC32C = 3,
};

/**
 * struct vfence_operation - an operation of a job on its buffers
 *
 * The operations of a job run one after the other. Fields that a kind does not need must be 0.
 *
 * The submission fails with EINVAL for an unknown kind; a buffer that the job does not use, or a
 * target that it does not write; a @length of 0; a range outside its buffer, or ranges of a copy
 * that overlap in one buffer; a @pattern_size other than 1, 4 and 8, a @pattern that does not fit
 * in it, or a @target_offset or @length of a fill that is not a multiple of it.
 */
struct vfence_operation {
	/** @kind: in: one of &enum vfence_operation_kind. */
	__u32 kind;
	/** @target: in: index in &vfence_submit.uses of the buffer to write. */
	__u32 target;
	/** @source: in: index in &vfence_submit.uses of the buffer to read. */
	__u32 source;
	/** @pattern_size: in: size of the pattern in bytes: 1, 4 or 8. */
	__u32 pattern_size;
	/** @target_offset: in: offset in the target, in bytes. */
	__u64 target_offset;
	/** @source_offset: in: offset in the source, in bytes. */
	__u64 source_offset;
	/** @length: in: number of bytes. */
	__u64 length;
	/** @pattern: in: the pattern, as a number of @pattern_size bytes in native byte order. */
	__u64 pattern;
};

/**
 * struct vfence_submit_batch - append jobs to queues, all of them or none
 *
 * Argument of %VFENCE_IOCTL_SUBMIT_BATCH. The jobs may belong to different queues; the jobs of one
 * queue are appended in the order of the array. Each job follows the rules of
 * %VFENCE_IOCTL_SUBMIT, and its @out_fence and @seqno are written. If the device refuses a job,
 * the call has no effect and fails with the error of that job; @refused is the index of the job,
 * and the output fields of the jobs are undefined.
 *
 * Fails with EINVAL, and @refused is @count, when @count is 0 or above %VFENCE_MAX_BATCH, or when
 * @job_size is smaller than &struct vfence_submit was in any version.
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
	/** @refused: out: index of the job that the device refused; @count on success. */
	__u32 refused;
};

/**
 * struct vfence_point - a job, identified by its queue and sequence number
 */
struct vfence_point {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @pad: in: must be 0. */
	__u32 pad;
	/** @seqno: in: sequence number of the job. */
	__u64 seqno;
};

/**
 * define VFENCE_WAIT_ANY - wait for any of the jobs instead of all
 *
 * A flag of &vfence_wait.flags.
 */
#define VFENCE_WAIT_ANY (1U << 0)

/**
 * struct vfence_wait - wait until jobs have completed
 *
 * Argument of %VFENCE_IOCTL_WAIT. A job that completes with an error has completed like any other.
 * Destroying a queue during the wait completes its jobs.
 *
 * ===========  ===================================================================================
 * EINTR        A signal arrived whose handler was not installed with SA_RESTART; with SA_RESTART
 *              the call restarts, with the same absolute @timeout_ns.
 * EINVAL       A @seqno has not been submitted; @count is 0 or above %VFENCE_MAX_WAIT_POINTS.
 * ETIME        @timeout_ns passed before the jobs completed.
 * ===========  ===================================================================================
 */
struct vfence_wait {
	/** @points: in: pointer to an array of @count &struct vfence_point. */
	__u64 points;
	/** @count: in: number of jobs. */
	__u32 count;
	/** @flags: in: 0 or %VFENCE_WAIT_ANY. */
	__u32 flags;
	/**
	 * @timeout_ns: in: absolute end of the wait, in ns on CLOCK_MONOTONIC. With a time in the
	 * past, such as 0, the call only checks; ~0 waits without a timeout.
	 */
	__u64 timeout_ns;
	/** @first: out: with %VFENCE_WAIT_ANY the lowest index of a completed job; else 0. */
	__u32 first;
	/** @pad: in: must be 0. */
	__u32 pad;
};

/**
 * struct vfence_export - return a sync_file for a job
 *
 * Argument of %VFENCE_IOCTL_EXPORT. May be called any number of times, also after the job has
 * completed: the fence has then signalled, with the error and the timestamp of the job.
 *
 * ===========  ===================================================================================
 * EINVAL       @seqno has not been submitted.
 * EMFILE       No free file descriptor in the process.
 * ENODATA      The queue no longer remembers the job: %VFENCE_HISTORY later jobs have completed.
 * ===========  ===================================================================================
 */
struct vfence_export {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @seqno: in: sequence number of the job. */
	__u64 seqno;
	/** @fence: out: a sync_file fd with close-on-exec set that the caller owns. */
	__s32 fence;
	/** @pad: in: must be 0. */
	__u32 pad;
};

/**
 * enum vfence_job_state - progress of a job
 * @VFENCE_JOB_PENDING: It has not started: it waits for its in-fences or for the jobs before it.
 *	Jobs of a manual queue stay in this state until they complete.
 * @VFENCE_JOB_RUNNING: It has started.
 * @VFENCE_JOB_COMPLETED: It has completed.
 */
enum vfence_job_state {
	VFENCE_JOB_PENDING = 1,
	VFENCE_JOB_RUNNING = 2,
	VFENCE_JOB_COMPLETED = 3,
};

/**
 * struct vfence_job_info - query the state of a job
 *
 * Argument of %VFENCE_IOCTL_JOB_INFO.
 *
 * ===========  ===================================================================================
 * EINVAL       @seqno has not been submitted.
 * ENODATA      The queue no longer remembers the job: %VFENCE_HISTORY later jobs have completed.
 * ===========  ===================================================================================
 */
struct vfence_job_info {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @seqno: in: sequence number of the job. */
	__u64 seqno;
	/** @state: out: one of &enum vfence_job_state. */
	__u32 state;
	/** @error: out: error with which the job completed, a negative errno; 0 if none. */
	__s32 error;
	/** @submitted_ns: out: time of submission. */
	__u64 submitted_ns;
	/** @start_ns: out: time at which the job started; 0 if it has not, or never ran. */
	__u64 start_ns;
	/** @end_ns: out: time at which it ended, the timestamp of its fence; 0 if it has not. */
	__u64 end_ns;
	/**
	 * @deadline_ns: out: earliest deadline set on a fence of the job, by
	 * %SYNC_IOC_SET_DEADLINE or by the kernel, also through merged fences; 0 if there is none.
	 * (A deadline of 0 reads as 1, and one of ~0 as ~0 - 1.)
	 */
	__u64 deadline_ns;
	/** @faults: out: injected faults: bits 1 << &enum vfence_fault_kind. */
	__u32 faults;
	/** @pad: in: must be 0. */
	__u32 pad;
	/**
	 * @result: out: result of the completed job's operations, see %VFENCE_OPERATION_CRC32C; 0
	 * if they have none, or the job completed with an error.
	 */
	__u64 result;
};

/**
 * struct vfence_event - a job has completed
 *
 * read() returns these; see "events" above. The fields are those of &struct vfence_job_info.
 */
struct vfence_event {
	/** @queue: Id of the queue. */
	__u32 queue;
	/** @error: Error with which the job completed, a negative errno; 0 if none. */
	__s32 error;
	/** @seqno: Sequence number of the job. */
	__u64 seqno;
	/** @submitted_ns: Time of submission. */
	__u64 submitted_ns;
	/** @start_ns: Time at which the job started; 0 if it never ran. */
	__u64 start_ns;
	/** @end_ns: Time at which it ended. */
	__u64 end_ns;
	/** @deadline_ns: Earliest deadline set on its fence; 0 if there is none. */
	__u64 deadline_ns;
	/** @faults: Injected faults: bits 1 << &enum vfence_fault_kind. */
	__u32 faults;
	/** @flags: 0. */
	__u32 flags;
	/** @result: Result of the job's operations, or 0. */
	__u64 result;
};

/**
 * struct vfence_queue_reset - reset a queue
 *
 * Argument of %VFENCE_IOCTL_QUEUE_RESET; models the reset of a GPU. The running job, hung or not,
 * completes with -ECANCELED. A head that still waits for in-fences stays pending. A stopped queue
 * resumes. A manual queue has no running job; its reset only resumes the queue.
 */
struct vfence_queue_reset {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @resets: out: &vfence_counters.resets, including this one. */
	__u64 resets;
};

/**
 * enum vfence_fault_kind - kind of a &struct vfence_fault
 * @VFENCE_FAULT_FAIL: The job completes with an error after its duration.
 * @VFENCE_FAULT_HANG: The job does not end by itself, as with %VFENCE_SUBMIT_HANG.
 * @VFENCE_FAULT_DELAY: The job takes longer.
 * @VFENCE_FAULT_DROP_INTERRUPT: The job ends, but its completion interrupt is lost. Nothing
 *	completes on the queue until the job's timeout expires. The watchdog then finds that the
 *	job has ended, and completes it together with all jobs behind it that have ended
 *	meanwhile: without -ETIMEDOUT, and with the times at which they ended.
 */
enum vfence_fault_kind {
	VFENCE_FAULT_FAIL = 1,
	VFENCE_FAULT_HANG = 2,
	VFENCE_FAULT_DELAY = 3,
	VFENCE_FAULT_DROP_INTERRUPT = 4,
};

/**
 * struct vfence_fault - a fault, and the jobs into which it is injected
 *
 * Exactly one of @every and @probability is not 0.
 */
struct vfence_fault {
	/** @kind: in: one of &enum vfence_fault_kind. */
	__u32 kind;
	/** @every: in: inject into every Nth job, counted from when the plan was set. */
	__u32 every;
	/** @probability: in: inject with this probability, in millionths, 1 to 1000000. */
	__u32 probability;
	/** @error: in: %VFENCE_FAULT_FAIL: a negative errno, -4095 to -1; else 0. */
	__s32 error;
	/** @delay_ns: in: %VFENCE_FAULT_DELAY: added to the duration, in ns, not 0; else 0. */
	__u64 delay_ns;
	/** @limit: in: largest number of injections; 0 for no limit. */
	__u64 limit;
};

/**
 * struct vfence_queue_faults - set the fault plan of a queue
 *
 * Argument of %VFENCE_IOCTL_QUEUE_FAULTS. A new queue has the plan that the administrator has set
 * for the device, by default none. The plan replaces the previous one and applies to jobs
 * submitted from now on: the faults of a job are decided at its submission. The faults of a plan
 * are independent of each other, including those of the same kind. A plan with the same @seed
 * injects the same faults into the same jobs.
 *
 * Fails with EINVAL for an unknown kind, an invalid combination of fields in a fault, @count above
 * %VFENCE_MAX_FAULTS, and a manual queue; also for %VFENCE_FAULT_DROP_INTERRUPT on a queue without
 * a bound, when the administrator has lifted the watchdog and the queue has no timeout.
 */
struct vfence_queue_faults {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @seed: in: seed of the random decisions. */
	__u64 seed;
	/** @faults: in: pointer to an array of @count &struct vfence_fault. */
	__u64 faults;
	/** @count: in: number of faults; 0 clears the plan. */
	__u32 count;
	/** @fault_size: in: sizeof(struct vfence_fault). */
	__u32 fault_size;
};

/**
 * struct vfence_signal - complete jobs of a manual queue
 *
 * Argument of %VFENCE_IOCTL_SIGNAL. Completes, in order, every pending job whose sequence number
 * is @seqno or lower. If @seqno has already completed, the call succeeds and @completed is 0.
 *
 * Fails with EINVAL on a queue that is not manual, for a @seqno that has not been submitted, and
 * for an @error out of range.
 */
struct vfence_signal {
	/** @queue: in: id of the queue. */
	__u32 queue;
	/** @flags: in: must be 0. */
	__u32 flags;
	/** @seqno: in: last sequence number to complete. */
	__u64 seqno;
	/** @error: in: 0, or the error to complete with, as a negative errno, -4095 to -1. */
	__s32 error;
	/**
	 * @completed: out: number of jobs that this call completed, including jobs that timed out
	 * at that moment and completed with -ETIMEDOUT.
	 */
	__u32 completed;
};

/**
 * struct vfence_queue_info - query the state of a queue
 *
 * Argument of %VFENCE_IOCTL_QUEUE_INFO. The fields are a consistent snapshot.
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
	/** @context: out: dma_fence context of the queue. */
	__u64 context;
	/** @submitted: out: sequence number of the job submitted last; 0 before the first. */
	__u64 submitted;
	/** @completed: out: sequence number of the job completed last; 0 before the first. */
	__u64 completed;
	/** @name: out: timeline name, NUL-terminated. */
	char name[VFENCE_NAME_LEN];
	/** @errors: out: &vfence_counters.errors. */
	__u64 errors;
	/** @timeouts: out: &vfence_counters.timeouts. */
	__u64 timeouts;
	/** @resets: out: &vfence_counters.resets. */
	__u64 resets;
	/** @timeout_ns: out: bound in force, in ns; 0 if there is none. */
	__u64 timeout_ns;
	/**
	 * @faults: out: number of injected faults of each &enum vfence_fault_kind, indexed by the
	 * kind.
	 */
	__u64 faults[8];
	/** @state: out: 0 or %VFENCE_QUEUE_STOPPED. */
	__u32 state;
	/** @pad2: in: must be 0. */
	__u32 pad2;
};

/**
 * struct vfence_buffer_create - create a buffer
 *
 * Argument of %VFENCE_IOCTL_BUFFER_CREATE. The memory is zeroed, and charged to the caller's memory
 * cgroup: see "rules for all ioctls" above about its limit. The buffer is a dma-buf: user space can
 * mmap() it and access it between %DMA_BUF_IOCTL_SYNC calls, name it, import it into drivers
 * (%DRM_IOCTL_PRIME_FD_TO_HANDLE), poll, export and import its fences (see <linux/dma-buf.h>), and
 * query its size with lseek(). It belongs to no client: it exists as long as there is a reference
 * to it, and while it exists, the module cannot be unloaded.
 *
 * There is no dma-heap of this device: the kernel cannot remove a heap, so a module that adds one
 * could not be unloaded.
 *
 * ===========  ===================================================================================
 * EINVAL       @size is 0.
 * EMFILE       No free file descriptor in the process.
 * ENOSPC       @size is above &vfence_query.max_buffer_size.
 * ===========  ===================================================================================
 */
struct vfence_buffer_create {
	/** @size: in: requested size in bytes; out: actual size, whole pages. */
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
 * define VFENCE_IOCTL_CREATE_FENCE - append a job to a manual queue and return its out-fence
 *
 * A fast ioctl: see "fast ioctls" above. Returns a sync_file fd with close-on-exec set that the
 * caller owns. The job is that of a &struct vfence_submit with %VFENCE_SUBMIT_OUT_FENCE and 0 in
 * all other fields. Fails as %VFENCE_IOCTL_SUBMIT does, and with EINVAL on a queue that is not
 * manual.
 */
#define VFENCE_IOCTL_CREATE_FENCE _IO(VFENCE_IOCTL_TYPE, 0x0d)
/**
 * define VFENCE_IOCTL_SIGNAL_NEXT - complete the oldest pending job of a manual queue
 *
 * A fast ioctl: see "fast ioctls" above. The job completes with the error of its submission, if
 * any; with -ETIMEDOUT if it times out at that moment; with -ECANCELED if the queue is stopped.
 * Returns 1, or 0 when no job is pending. Concurrent calls complete different jobs. Fails with
 * EINVAL on a queue that is not manual.
 */
#define VFENCE_IOCTL_SIGNAL_NEXT _IO(VFENCE_IOCTL_TYPE, 0x0e)

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_LINUX_VFENCE_H */
