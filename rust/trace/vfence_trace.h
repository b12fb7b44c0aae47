/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of jobs. Their context and seqno are those of the core's dma_fence
 * events, so that the two kinds of events can be correlated.
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

#endif /* VFENCE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE vfence_trace
#include <trace/define_trace.h>
