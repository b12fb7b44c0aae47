// SPDX-License-Identifier: GPL-2.0
/* The layouts and numbers of <linux/vfence.h>, which are the same on 32 and 64 bit. */
#include <linux/vfence.h>
#include "uapi/layout.h"

SIZE(vfence_query, 40);
FIELD(vfence_query, api_version, 0, 4);
FIELD(vfence_query, flags, 4, 4);
FIELD(vfence_query, capabilities, 8, 8);
FIELD(vfence_query, watchdog_ns, 16, 8);
FIELD(vfence_query, max_queues, 24, 4);
FIELD(vfence_query, max_jobs, 28, 4);
FIELD(vfence_query, max_buffer_size, 32, 8);

SIZE(vfence_queue_create, 96);
FIELD(vfence_queue_create, kind, 0, 4);
FIELD(vfence_queue_create, flags, 4, 4);
FIELD(vfence_queue_create, name, 8, 32);
FIELD(vfence_queue_create, queue, 40, 4);
FIELD(vfence_queue_create, pad, 44, 4);
FIELD(vfence_queue_create, context, 48, 8);
FIELD(vfence_queue_create, timeout_ns, 56, 8);
FIELD(vfence_queue_create, seed, 64, 8);
FIELD(vfence_queue_create, in_fence_policy, 72, 4);
FIELD(vfence_queue_create, timeout_policy, 76, 4);
FIELD(vfence_queue_create, boost_percent, 80, 4);
FIELD(vfence_queue_create, pad2, 84, 4);
FIELD(vfence_queue_create, counters_offset, 88, 8);

SIZE(vfence_counters, 40);
FIELD(vfence_counters, submitted, 0, 8);
FIELD(vfence_counters, completed, 8, 8);
FIELD(vfence_counters, errors, 16, 8);
FIELD(vfence_counters, timeouts, 24, 8);
FIELD(vfence_counters, resets, 32, 8);

SIZE(vfence_queue_destroy, 8);
FIELD(vfence_queue_destroy, queue, 0, 4);
FIELD(vfence_queue_destroy, flags, 4, 4);

SIZE(vfence_submit, 88);
FIELD(vfence_submit, queue, 0, 4);
FIELD(vfence_submit, flags, 4, 4);
FIELD(vfence_submit, duration_ns, 8, 8);
FIELD(vfence_submit, in_fences, 16, 8);
FIELD(vfence_submit, in_fence_count, 24, 4);
FIELD(vfence_submit, out_fence, 28, 4);
FIELD(vfence_submit, seqno, 32, 8);
FIELD(vfence_submit, duration_max_ns, 40, 8);
FIELD(vfence_submit, error, 48, 4);
FIELD(vfence_submit, pad, 52, 4);
FIELD(vfence_submit, uses, 56, 8);
FIELD(vfence_submit, operations, 64, 8);
FIELD(vfence_submit, use_count, 72, 4);
FIELD(vfence_submit, operation_count, 76, 4);
FIELD(vfence_submit, use_size, 80, 4);
FIELD(vfence_submit, operation_size, 84, 4);

SIZE(vfence_use, 8);
FIELD(vfence_use, fd, 0, 4);
FIELD(vfence_use, flags, 4, 4);

SIZE(vfence_operation, 48);
FIELD(vfence_operation, kind, 0, 4);
FIELD(vfence_operation, target, 4, 4);
FIELD(vfence_operation, source, 8, 4);
FIELD(vfence_operation, pattern_size, 12, 4);
FIELD(vfence_operation, target_offset, 16, 8);
FIELD(vfence_operation, source_offset, 24, 8);
FIELD(vfence_operation, length, 32, 8);
FIELD(vfence_operation, pattern, 40, 8);

SIZE(vfence_submit_batch, 24);
FIELD(vfence_submit_batch, jobs, 0, 8);
FIELD(vfence_submit_batch, count, 8, 4);
FIELD(vfence_submit_batch, job_size, 12, 4);
FIELD(vfence_submit_batch, flags, 16, 4);
FIELD(vfence_submit_batch, refused, 20, 4);

SIZE(vfence_point, 16);
FIELD(vfence_point, queue, 0, 4);
FIELD(vfence_point, pad, 4, 4);
FIELD(vfence_point, seqno, 8, 8);

SIZE(vfence_wait, 32);
FIELD(vfence_wait, points, 0, 8);
FIELD(vfence_wait, count, 8, 4);
FIELD(vfence_wait, flags, 12, 4);
FIELD(vfence_wait, timeout_ns, 16, 8);
FIELD(vfence_wait, first, 24, 4);
FIELD(vfence_wait, pad, 28, 4);

SIZE(vfence_export, 24);
FIELD(vfence_export, queue, 0, 4);
FIELD(vfence_export, flags, 4, 4);
FIELD(vfence_export, seqno, 8, 8);
FIELD(vfence_export, fence, 16, 4);
FIELD(vfence_export, pad, 20, 4);

SIZE(vfence_job_info, 72);
FIELD(vfence_job_info, queue, 0, 4);
FIELD(vfence_job_info, flags, 4, 4);
FIELD(vfence_job_info, seqno, 8, 8);
FIELD(vfence_job_info, state, 16, 4);
FIELD(vfence_job_info, error, 20, 4);
FIELD(vfence_job_info, submitted_ns, 24, 8);
FIELD(vfence_job_info, start_ns, 32, 8);
FIELD(vfence_job_info, end_ns, 40, 8);
FIELD(vfence_job_info, deadline_ns, 48, 8);
FIELD(vfence_job_info, faults, 56, 4);
FIELD(vfence_job_info, pad, 60, 4);
FIELD(vfence_job_info, result, 64, 8);

SIZE(vfence_event, 64);
FIELD(vfence_event, queue, 0, 4);
FIELD(vfence_event, error, 4, 4);
FIELD(vfence_event, seqno, 8, 8);
FIELD(vfence_event, submitted_ns, 16, 8);
FIELD(vfence_event, start_ns, 24, 8);
FIELD(vfence_event, end_ns, 32, 8);
FIELD(vfence_event, deadline_ns, 40, 8);
FIELD(vfence_event, faults, 48, 4);
FIELD(vfence_event, flags, 52, 4);
FIELD(vfence_event, result, 56, 8);

SIZE(vfence_queue_reset, 16);
FIELD(vfence_queue_reset, queue, 0, 4);
FIELD(vfence_queue_reset, flags, 4, 4);
FIELD(vfence_queue_reset, resets, 8, 8);

SIZE(vfence_fault, 32);
FIELD(vfence_fault, kind, 0, 4);
FIELD(vfence_fault, every, 4, 4);
FIELD(vfence_fault, probability, 8, 4);
FIELD(vfence_fault, error, 12, 4);
FIELD(vfence_fault, delay_ns, 16, 8);
FIELD(vfence_fault, limit, 24, 8);

SIZE(vfence_queue_faults, 32);
FIELD(vfence_queue_faults, queue, 0, 4);
FIELD(vfence_queue_faults, flags, 4, 4);
FIELD(vfence_queue_faults, seed, 8, 8);
FIELD(vfence_queue_faults, faults, 16, 8);
FIELD(vfence_queue_faults, count, 24, 4);
FIELD(vfence_queue_faults, fault_size, 28, 4);

SIZE(vfence_signal, 24);
FIELD(vfence_signal, queue, 0, 4);
FIELD(vfence_signal, flags, 4, 4);
FIELD(vfence_signal, seqno, 8, 8);
FIELD(vfence_signal, error, 16, 4);
FIELD(vfence_signal, completed, 20, 4);

SIZE(vfence_queue_info, 176);
FIELD(vfence_queue_info, queue, 0, 4);
FIELD(vfence_queue_info, flags, 4, 4);
FIELD(vfence_queue_info, kind, 8, 4);
FIELD(vfence_queue_info, pad, 12, 4);
FIELD(vfence_queue_info, context, 16, 8);
FIELD(vfence_queue_info, submitted, 24, 8);
FIELD(vfence_queue_info, completed, 32, 8);
FIELD(vfence_queue_info, name, 40, 32);
FIELD(vfence_queue_info, errors, 72, 8);
FIELD(vfence_queue_info, timeouts, 80, 8);
FIELD(vfence_queue_info, resets, 88, 8);
FIELD(vfence_queue_info, timeout_ns, 96, 8);
FIELD(vfence_queue_info, faults, 104, 64);
FIELD(vfence_queue_info, state, 168, 4);
FIELD(vfence_queue_info, pad2, 172, 4);

SIZE(vfence_buffer_create, 16);
FIELD(vfence_buffer_create, size, 0, 8);
FIELD(vfence_buffer_create, flags, 8, 4);
FIELD(vfence_buffer_create, fd, 12, 4);

/* Constants that programs are compiled with. */
NUMBER(VFENCE_IOCTL_TYPE, 247);
NUMBER(VFENCE_API_VERSION, 4);
NUMBER(VFENCE_NAME_LEN, 32);
NUMBER(VFENCE_MAX_IN_FENCES, 1024);
NUMBER(VFENCE_MAX_WAITS, 65536);
NUMBER(VFENCE_MAX_BATCH, 1024);
NUMBER(VFENCE_MAX_WAIT_POINTS, 1024);
NUMBER(VFENCE_MAX_EVENTS, 65536);
NUMBER(VFENCE_HISTORY, 256);
NUMBER(VFENCE_MAX_FAULTS, 16);
NUMBER(VFENCE_MAX_USES, 1024);
NUMBER(VFENCE_MAX_MAPPED, 262144);
NUMBER(VFENCE_MAX_OPERATIONS, 64);
NUMBER(VFENCE_MAX_BOOST_PERCENT, 10000);
NUMBER(VFENCE_CAP_TIMER_QUEUE, 1);
NUMBER(VFENCE_CAP_MANUAL_QUEUE, 2);
NUMBER(VFENCE_CAP_WORKER_QUEUE, 4);
NUMBER(VFENCE_CAP_BUFFER, 8);
NUMBER(VFENCE_SUBMIT_OUT_FENCE, 1);
NUMBER(VFENCE_SUBMIT_EVENT, 2);
NUMBER(VFENCE_SUBMIT_HANG, 4);
NUMBER(VFENCE_WAIT_ANY, 1);
NUMBER(VFENCE_USE_WRITE, 1);
NUMBER(VFENCE_USE_NO_WAIT, 2);
NUMBER(VFENCE_USE_NO_ADD, 4);
NUMBER(VFENCE_OPERATION_FILL, 1);
NUMBER(VFENCE_OPERATION_COPY, 2);
NUMBER(VFENCE_OPERATION_CRC32C, 3);
NUMBER(VFENCE_QUEUE_STOPPED, 1);
NUMBER(VFENCE_QUEUE_TIMER, 1);
NUMBER(VFENCE_QUEUE_MANUAL, 2);
NUMBER(VFENCE_QUEUE_WORKER, 3);
NUMBER(VFENCE_IN_FENCE_PROPAGATE, 0);
NUMBER(VFENCE_IN_FENCE_IGNORE, 1);
NUMBER(VFENCE_IN_FENCE_CANCEL, 2);
NUMBER(VFENCE_TIMEOUT_CONTINUE, 0);
NUMBER(VFENCE_TIMEOUT_CANCEL, 1);
NUMBER(VFENCE_JOB_PENDING, 1);
NUMBER(VFENCE_JOB_RUNNING, 2);
NUMBER(VFENCE_JOB_COMPLETED, 3);
NUMBER(VFENCE_FAULT_FAIL, 1);
NUMBER(VFENCE_FAULT_HANG, 2);
NUMBER(VFENCE_FAULT_DELAY, 3);
NUMBER(VFENCE_FAULT_DROP_INTERRUPT, 4);

NUMBER(VFENCE_IOCTL_QUERY, 0xc028f700);
NUMBER(VFENCE_IOCTL_QUEUE_CREATE, 0xc060f701);
NUMBER(VFENCE_IOCTL_QUEUE_DESTROY, 0x4008f702);
NUMBER(VFENCE_IOCTL_QUEUE_INFO, 0xc0b0f703);
NUMBER(VFENCE_IOCTL_SUBMIT, 0xc058f704);
NUMBER(VFENCE_IOCTL_SIGNAL, 0xc018f705);
NUMBER(VFENCE_IOCTL_SUBMIT_BATCH, 0xc018f706);
NUMBER(VFENCE_IOCTL_WAIT, 0xc020f707);
NUMBER(VFENCE_IOCTL_EXPORT, 0xc018f708);
NUMBER(VFENCE_IOCTL_JOB_INFO, 0xc048f709);
NUMBER(VFENCE_IOCTL_QUEUE_RESET, 0xc010f70a);
NUMBER(VFENCE_IOCTL_QUEUE_FAULTS, 0x4020f70b);
NUMBER(VFENCE_IOCTL_BUFFER_CREATE, 0xc010f70c);
NUMBER(VFENCE_IOCTL_CREATE_FENCE, 0xf70d);
NUMBER(VFENCE_IOCTL_SIGNAL_NEXT, 0xf70e);
