// SPDX-License-Identifier: GPL-2.0
/* The layouts of the UAPI header, the same on 32 and 64 bit. */
#include <assert.h>
#include <stddef.h>
#include <linux/vfence.h>

static_assert(sizeof(struct vfence_query) == 32, "vfence_query");
static_assert(offsetof(struct vfence_query, watchdog_ns) == 16, "watchdog_ns");
static_assert(sizeof(struct vfence_queue_create) == 56, "vfence_queue_create");
static_assert(offsetof(struct vfence_queue_create, context) == 48, "context");
static_assert(sizeof(struct vfence_queue_destroy) == 8, "vfence_queue_destroy");
static_assert(sizeof(struct vfence_queue_info) == 72, "vfence_queue_info");
static_assert(sizeof(struct vfence_submit) == 40, "vfence_submit");
static_assert(offsetof(struct vfence_submit, seqno) == 32, "seqno");
static_assert(sizeof(struct vfence_signal) == 24, "vfence_signal");
