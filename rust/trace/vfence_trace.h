/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of jobs. Their context and seqno are those of the core's dma_fence
 * events, so that the two kinds of events can be correlated.
 *
 * The events drm_sched_job_* have the names, fields and text of the kernel's GPU
 * scheduler, which are stable UAPI: see "Trace events" in the kernel's
 * Documentation/gpu/drm-uapi.rst. Their system is the module's own: a module that
 * defined events of the system gpu_scheduler would hide those of the scheduler.
 */
#undef TRACE_SYSTEM
#ifdef VFENCE_TRACE_SYSTEM
#define TRACE_SYSTEM VFENCE_TRACE_SYSTEM
#else
#define TRACE_SYSTEM vfence
#endif

#if !defined(VFENCE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VFENCE_TRACE_H

#include <linux/tracepoint.h>

/* A job was submitted. The duration is the job's minimum. */
TRACE_EVENT(vfence_submit,
	TP_PROTO(u64 context, u64 seqno, u32 queue, u64 duration_ns, u32 in_fences),
	TP_ARGS(context, seqno, queue, duration_ns, in_fences),
	TP_STRUCT__entry(
		__field(u64, context)
		__field(u64, seqno)
		__field(u64, duration_ns)
		__field(u32, queue)
		__field(u32, in_fences)
	),
	TP_fast_assign(
		__entry->context = context;
		__entry->seqno = seqno;
		__entry->duration_ns = duration_ns;
		__entry->queue = queue;
		__entry->in_fences = in_fences;
	),
	TP_printk("context=%llu seqno=%llu queue=%u duration_ns=%llu in_fences=%u",
		  __entry->context, __entry->seqno, __entry->queue,
		  __entry->duration_ns, __entry->in_fences)
);

/* A job has started. start_ns may be earlier than the event. */
TRACE_EVENT(vfence_start,
	TP_PROTO(u64 context, u64 seqno, u32 queue, u64 start_ns),
	TP_ARGS(context, seqno, queue, start_ns),
	TP_STRUCT__entry(
		__field(u64, context)
		__field(u64, seqno)
		__field(u64, start_ns)
		__field(u32, queue)
	),
	TP_fast_assign(
		__entry->context = context;
		__entry->seqno = seqno;
		__entry->start_ns = start_ns;
		__entry->queue = queue;
	),
	TP_printk("context=%llu seqno=%llu queue=%u start_ns=%llu",
		  __entry->context, __entry->seqno, __entry->queue, __entry->start_ns)
);

/* A job has completed. Its fence, if it has one, signals after this event. */
TRACE_EVENT(vfence_complete,
	TP_PROTO(u64 context, u64 seqno, u32 queue, int error, u64 start_ns, u64 end_ns),
	TP_ARGS(context, seqno, queue, error, start_ns, end_ns),
	TP_STRUCT__entry(
		__field(u64, context)
		__field(u64, seqno)
		__field(u64, start_ns)
		__field(u64, end_ns)
		__field(u32, queue)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->context = context;
		__entry->seqno = seqno;
		__entry->start_ns = start_ns;
		__entry->end_ns = end_ns;
		__entry->queue = queue;
		__entry->error = error;
	),
	TP_printk("context=%llu seqno=%llu queue=%u error=%d start_ns=%llu end_ns=%llu",
		  __entry->context, __entry->seqno, __entry->queue, __entry->error,
		  __entry->start_ns, __entry->end_ns)
);

DECLARE_EVENT_CLASS(vfence_sched_job,
	TP_PROTO(const char *dev, const char *ring, u64 fence_context, u64 fence_seqno,
		 u32 job_count, int hw_job_count, u64 client_id),
	TP_ARGS(dev, ring, fence_context, fence_seqno, job_count, hw_job_count, client_id),
	TP_STRUCT__entry(
		__string(name, ring)
		__field(u32, job_count)
		__field(int, hw_job_count)
		__string(dev, dev)
		__field(u64, fence_context)
		__field(u64, fence_seqno)
		__field(u64, client_id)
	),
	TP_fast_assign(
		__assign_str(name);
		__entry->job_count = job_count;
		__entry->hw_job_count = hw_job_count;
		__assign_str(dev);
		__entry->fence_context = fence_context;
		__entry->fence_seqno = fence_seqno;
		__entry->client_id = client_id;
	),
	TP_printk("dev=%s, fence=%llu:%llu, ring=%s, job count:%u, hw job count:%d, client_id:%llu",
		  __get_str(dev), __entry->fence_context, __entry->fence_seqno,
		  __get_str(name), __entry->job_count, __entry->hw_job_count,
		  __entry->client_id)
);

/* A job has entered its queue. The counts are those of the jobs before it. */
DEFINE_EVENT(vfence_sched_job, drm_sched_job_queue,
	TP_PROTO(const char *dev, const char *ring, u64 fence_context, u64 fence_seqno,
		 u32 job_count, int hw_job_count, u64 client_id),
	TP_ARGS(dev, ring, fence_context, fence_seqno, job_count, hw_job_count, client_id)
);

/* A job has started, or user space may signal it. hw_job_count includes it. */
DEFINE_EVENT(vfence_sched_job, drm_sched_job_run,
	TP_PROTO(const char *dev, const char *ring, u64 fence_context, u64 fence_seqno,
		 u32 job_count, int hw_job_count, u64 client_id),
	TP_ARGS(dev, ring, fence_context, fence_seqno, job_count, hw_job_count, client_id)
);

/* A job has completed. Its fence, if it has one, signals after this event. */
TRACE_EVENT(drm_sched_job_done,
	TP_PROTO(u64 fence_context, u64 fence_seqno),
	TP_ARGS(fence_context, fence_seqno),
	TP_STRUCT__entry(
		__field(u64, fence_context)
		__field(u64, fence_seqno)
	),
	TP_fast_assign(
		__entry->fence_context = fence_context;
		__entry->fence_seqno = fence_seqno;
	),
	TP_printk("fence=%llu:%llu signaled", __entry->fence_context, __entry->fence_seqno)
);

/* A job that has entered its queue waits for a fence, which was pending at submission. */
TRACE_EVENT(drm_sched_job_add_dep,
	TP_PROTO(u64 fence_context, u64 fence_seqno, u64 ctx, u64 seqno),
	TP_ARGS(fence_context, fence_seqno, ctx, seqno),
	TP_STRUCT__entry(
		__field(u64, fence_context)
		__field(u64, fence_seqno)
		__field(u64, ctx)
		__field(u64, seqno)
	),
	TP_fast_assign(
		__entry->fence_context = fence_context;
		__entry->fence_seqno = fence_seqno;
		__entry->ctx = ctx;
		__entry->seqno = seqno;
	),
	TP_printk("fence=%llu:%llu depends on fence=%llu:%llu",
		  __entry->fence_context, __entry->fence_seqno,
		  __entry->ctx, __entry->seqno)
);

/* The job is the head of its queue, and a fence for which it waits is pending. */
TRACE_EVENT(drm_sched_job_unschedulable,
	TP_PROTO(u64 fence_context, u64 fence_seqno, u64 ctx, u64 seqno),
	TP_ARGS(fence_context, fence_seqno, ctx, seqno),
	TP_STRUCT__entry(
		__field(u64, fence_context)
		__field(u64, fence_seqno)
		__field(u64, ctx)
		__field(u64, seqno)
	),
	TP_fast_assign(
		__entry->fence_context = fence_context;
		__entry->fence_seqno = fence_seqno;
		__entry->ctx = ctx;
		__entry->seqno = seqno;
	),
	TP_printk("fence=%llu:%llu depends on unsignalled fence=%llu:%llu",
		  __entry->fence_context, __entry->fence_seqno,
		  __entry->ctx, __entry->seqno)
);

#endif /* VFENCE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE vfence_trace
#include <trace/define_trace.h>
