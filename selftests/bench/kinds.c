// SPDX-License-Identifier: GPL-2.0
/* The kinds of timelines: how their fences are created and signalled. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include "bench/bench.h"

/*
 * vfence: a manual queue with the default watchdog. CREATE_FENCE and SIGNAL_NEXT do one thing each;
 * SUBMIT and SIGNAL take every option.
 */

struct vfence_submit batch[VFENCE_MAX_BATCH];

__u32 make_queue(int device, __u32 kind)
{
	struct vfence_queue_create create = { .kind = kind };

	if (ioctl(device, VFENCE_IOCTL_QUEUE_CREATE, &create))
		die("VFENCE_IOCTL_QUEUE_CREATE");
	return create.queue;
}

static void vfence_prepare(struct timeline *timeline)
{
	__u32 queue = make_queue(timeline->device, VFENCE_QUEUE_MANUAL);

	timeline->submit = (struct vfence_submit) {
		.queue = queue, .flags = VFENCE_SUBMIT_OUT_FENCE,
	};
	timeline->signal = (struct vfence_signal){ .queue = queue };
}

static int vfence_submit(struct timeline *timeline)
{
	if (ioctl(timeline->device, VFENCE_IOCTL_SUBMIT, &timeline->submit))
		die("VFENCE_IOCTL_SUBMIT");
	return timeline->submit.out_fence;
}

static int vfence_create(struct timeline *timeline)
{
	int fence = ioctl(timeline->device, VFENCE_IOCTL_CREATE_FENCE, timeline->signal.queue);

	if (fence < 0)
		die("VFENCE_IOCTL_CREATE_FENCE");
	return fence;
}

static void vfence_signal(struct timeline *timeline, unsigned int count)
{
	timeline->signal.seqno += count;
	if (ioctl(timeline->device, VFENCE_IOCTL_SIGNAL, &timeline->signal))
		die("VFENCE_IOCTL_SIGNAL");
	/* Fewer if the watchdog came first. */
	if (timeline->signal.completed != count)
		die("VFENCE_IOCTL_SIGNAL completed %u jobs, not %u", timeline->signal.completed,
		    count);
}

static void vfence_signal_next(struct timeline *timeline, unsigned int count)
{
	while (count--)
		if (ioctl(timeline->device, VFENCE_IOCTL_SIGNAL_NEXT, timeline->signal.queue) != 1)
			die("VFENCE_IOCTL_SIGNAL_NEXT");
}

void prepare_batch(struct timeline *timeline, __u32 flags, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		batch[i] = (struct vfence_submit) {
			.queue = timeline->submit.queue, .flags = flags,
		};
}

void submit_batch(struct timeline *timeline, unsigned int count)
{
	struct vfence_submit_batch submit = {
		.jobs = (uintptr_t)batch, .count = count, .job_size = sizeof(batch[0])
	};

	if (ioctl(timeline->device, VFENCE_IOCTL_SUBMIT_BATCH, &submit))
		die("VFENCE_IOCTL_SUBMIT_BATCH");
}

static void vfence_fill(struct timeline *timeline, int *fds, unsigned int count)
{
	prepare_batch(timeline, VFENCE_SUBMIT_OUT_FENCE, VFENCE_MAX_BATCH);
	while (count) {
		unsigned int jobs = count < VFENCE_MAX_BATCH ? count : VFENCE_MAX_BATCH;

		submit_batch(timeline, jobs);
		for (unsigned int i = 0; i < jobs; i++)
			*fds++ = batch[i].out_fence;
		count -= jobs;
	}
}

const struct kind vfence = {
	.path = "/dev/vfence",
	.prepare = vfence_prepare,
	.create = vfence_create,
	.fill = vfence_fill,
	.signal = vfence_signal_next,
};

const struct kind vfence_full = {
	.path = "/dev/vfence",
	.prepare = vfence_prepare,
	.create = vfence_submit,
	.fill = vfence_fill,
	.signal = vfence_signal,
};

/* sw_sync, the kernel's and that of vfence. Values rise by one with each fence. */

static void sw_sync_prepare(struct timeline *timeline)
{
	timeline->create = (struct sw_sync_create_fence_data){ .name = "bench" };
}

static int sw_sync_create(struct timeline *timeline)
{
	timeline->create.value++;
	if (ioctl(timeline->device, SW_SYNC_IOC_CREATE_FENCE, &timeline->create))
		die("SW_SYNC_IOC_CREATE_FENCE of %s", timeline->kind->path);
	return timeline->create.fence;
}

static void sw_sync_signal(struct timeline *timeline, unsigned int count)
{
	if (ioctl(timeline->device, SW_SYNC_IOC_INC, &count))
		die("SW_SYNC_IOC_INC of %s", timeline->kind->path);
}

static void sw_sync_fill(struct timeline *timeline, int *fds, unsigned int count)
{
	while (count--)
		*fds++ = sw_sync_create(timeline);
}

const struct kind sw_sync = {
	.path = DEBUGFS "/sync/sw_sync",
	.prepare = sw_sync_prepare,
	.create = sw_sync_create,
	.fill = sw_sync_fill,
	.signal = sw_sync_signal,
};

const struct kind drop_in = {
	.path = "/dev/sw_sync",
	.prepare = sw_sync_prepare,
	.create = sw_sync_create,
	.fill = sw_sync_fill,
	.signal = sw_sync_signal,
};

struct timeline open_timeline(const struct kind *kind)
{
	struct timeline timeline = { .kind = kind, .device = open(kind->path, O_RDWR | O_CLOEXEC) };

	if (timeline.device < 0)
		die("cannot open %s", kind->path);
	kind->prepare(&timeline);
	return timeline;
}
