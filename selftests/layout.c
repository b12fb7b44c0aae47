// SPDX-License-Identifier: GPL-2.0
/* What must not change in the UAPI header: layouts, the same on 32 and 64 bit, and numbers. */
#include <assert.h>
#include <stddef.h>
#include <linux/vfence.h>

#define SIZE(type, size) \
	static_assert(sizeof(struct type) == (size), #type)
#define FIELD(type, field, offset, size) \
	static_assert(offsetof(struct type, field) == (offset) && \
		      sizeof(((struct type *)0)->field) == (size), #type "." #field)
#define NUMBER(name, number) \
	static_assert((name) == (number), #name)

SIZE(vfence_query, 32);
FIELD(vfence_query, api_version, 0, 4);
FIELD(vfence_query, flags, 4, 4);
FIELD(vfence_query, capabilities, 8, 8);
FIELD(vfence_query, watchdog_ns, 16, 8);
FIELD(vfence_query, max_queues, 24, 4);
FIELD(vfence_query, max_jobs, 28, 4);

SIZE(vfence_queue_create, 56);
FIELD(vfence_queue_create, kind, 0, 4);
FIELD(vfence_queue_create, flags, 4, 4);
FIELD(vfence_queue_create, name, 8, 32);
FIELD(vfence_queue_create, queue, 40, 4);
FIELD(vfence_queue_create, pad, 44, 4);
FIELD(vfence_queue_create, context, 48, 8);

SIZE(vfence_queue_destroy, 8);
FIELD(vfence_queue_destroy, queue, 0, 4);
FIELD(vfence_queue_destroy, flags, 4, 4);

SIZE(vfence_submit, 40);
FIELD(vfence_submit, queue, 0, 4);
FIELD(vfence_submit, flags, 4, 4);
FIELD(vfence_submit, duration_ns, 8, 8);
FIELD(vfence_submit, in_fences, 16, 8);
FIELD(vfence_submit, in_fence_count, 24, 4);
FIELD(vfence_submit, out_fence, 28, 4);
FIELD(vfence_submit, seqno, 32, 8);

SIZE(vfence_signal, 24);
FIELD(vfence_signal, queue, 0, 4);
FIELD(vfence_signal, flags, 4, 4);
FIELD(vfence_signal, seqno, 8, 8);
FIELD(vfence_signal, error, 16, 4);
FIELD(vfence_signal, completed, 20, 4);

SIZE(vfence_queue_info, 72);
FIELD(vfence_queue_info, queue, 0, 4);
FIELD(vfence_queue_info, flags, 4, 4);
FIELD(vfence_queue_info, kind, 8, 4);
FIELD(vfence_queue_info, pad, 12, 4);
FIELD(vfence_queue_info, context, 16, 8);
FIELD(vfence_queue_info, submitted, 24, 8);
FIELD(vfence_queue_info, completed, 32, 8);
FIELD(vfence_queue_info, name, 40, 32);

/* Constants that programs are compiled with. */
NUMBER(VFENCE_API_VERSION, 1);
NUMBER(VFENCE_NAME_LEN, 32);
NUMBER(VFENCE_MAX_IN_FENCES, 1024);
NUMBER(VFENCE_MAX_WAITS, 65536);
NUMBER(VFENCE_QUEUE_TIMER, 1);
NUMBER(VFENCE_QUEUE_MANUAL, 2);
NUMBER(VFENCE_CAP_TIMER_QUEUE, 1);
NUMBER(VFENCE_CAP_MANUAL_QUEUE, 2);
NUMBER(VFENCE_SUBMIT_OUT_FENCE, 1);

NUMBER(VFENCE_IOCTL_QUERY, 0xc020f700);
NUMBER(VFENCE_IOCTL_QUEUE_CREATE, 0xc038f701);
NUMBER(VFENCE_IOCTL_QUEUE_DESTROY, 0x4008f702);
NUMBER(VFENCE_IOCTL_QUEUE_INFO, 0xc048f703);
NUMBER(VFENCE_IOCTL_SUBMIT, 0xc028f704);
NUMBER(VFENCE_IOCTL_SIGNAL, 0xc018f705);
