// SPDX-License-Identifier: GPL-2.0
/* Figures of timelines of the DRM core, on the node of vfence_drm. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <drm/vfence_drm.h>
#include "bench/bench.h"

#define POINTS 10000
#define TIMELINE_SAMPLES 101

static int open_node(void)
{
	for (int i = 128; i < 144; i++) {
		char path[32], name[32] = "";
		struct drm_version version = { .name = name, .name_len = sizeof(name) - 1 };
		int node;

		snprintf(path, sizeof(path), "/dev/dri/renderD%d", i);
		node = open(path, O_RDWR | O_CLOEXEC);
		if (node >= 0 && !ioctl(node, DRM_IOCTL_VERSION, &version) &&
		    !strcmp(name, "vfence"))
			return node;
		if (node >= 0)
			close(node);
	}
	die("there is no render node of vfence");
}

static __u32 make_drm_queue(int node, __u32 kind)
{
	struct vfence_queue_create create = { .kind = kind };

	if (ioctl(node, DRM_VFENCE_IOCTL(VFENCE_IOCTL_QUEUE_CREATE), &create))
		die("QUEUE_CREATE of vfence_drm");
	return create.queue;
}

static __u32 make_syncobj(int node)
{
	struct drm_syncobj_create create = { 0 };

	if (ioctl(node, DRM_IOCTL_SYNCOBJ_CREATE, &create))
		die("DRM_IOCTL_SYNCOBJ_CREATE");
	return create.handle;
}

static void submit_drm(int node, struct drm_vfence_submit *submit)
{
	if (ioctl(node, DRM_IOCTL_VFENCE_SUBMIT, submit))
		die("DRM_IOCTL_VFENCE_SUBMIT");
}

/*
 * SUBMIT of a job that waits for the last of POINTS points of a timeline. Each point has a fence
 * of the same manual queue.
 */
double wait_for_timeline(const struct kind *kind, unsigned int pending)
{
	int node = open_node();
	struct drm_vfence_sync sync = { .handle = make_syncobj(node) };
	struct vfence_submit job = { .queue = make_drm_queue(node, VFENCE_QUEUE_MANUAL) };
	struct drm_vfence_submit submit = {
		.job = (uintptr_t)&job,
		.job_size = sizeof(job),
		.sync_size = sizeof(sync),
		.out_syncs = (uintptr_t)&sync,
		.out_sync_count = 1,
	};
	double samples[TIMELINE_SAMPLES], clock = clock_cost();

	(void)kind;
	(void)pending;
	for (sync.point = 1; sync.point <= POINTS; sync.point++)
		submit_drm(node, &submit);
	sync.point = POINTS;
	job.queue = make_drm_queue(node, VFENCE_QUEUE_TIMER);
	submit.in_syncs = submit.out_syncs;
	submit.in_sync_count = 1;
	submit.out_sync_count = 0;
	for (int sample = -WARMUP; sample < TIMELINE_SAMPLES; sample++) {
		__u64 start = now();

		submit_drm(node, &submit);

		__u64 end = now();

		if (sample >= 0)
			samples[sample] = end - start - clock;
	}
	return median(samples, TIMELINE_SAMPLES);
}

/* A job that signals as many points of one timeline as a call can, per point. */
double signal_timeline(const struct kind *kind, unsigned int pending)
{
	static struct drm_vfence_sync syncs[DRM_VFENCE_MAX_SYNCS];
	int node = open_node();
	struct vfence_submit job = { .queue = make_drm_queue(node, VFENCE_QUEUE_MANUAL) };
	struct drm_vfence_submit submit = {
		.job = (uintptr_t)&job,
		.job_size = sizeof(job),
		.sync_size = sizeof(syncs[0]),
		.out_syncs = (uintptr_t)syncs,
		.out_sync_count = ARRAY_LEN(syncs),
	};
	__u32 handle = make_syncobj(node);

	(void)kind;
	(void)pending;
	for (unsigned int i = 0; i < ARRAY_LEN(syncs); i++)
		syncs[i] = (struct drm_vfence_sync){ .handle = handle, .point = i + 1 };

	__u64 start = now();

	submit_drm(node, &submit);

	__u64 end = now();

	return (double)(end - start) / ARRAY_LEN(syncs);
}

/* The same number of points, by the core's own ioctl. */
double signal_timeline_by_core(const struct kind *kind, unsigned int pending)
{
	static __u32 handles[DRM_VFENCE_MAX_SYNCS];
	static __u64 points[DRM_VFENCE_MAX_SYNCS];
	int node = open_node();
	struct drm_syncobj_timeline_array array = {
		.handles = (uintptr_t)handles,
		.points = (uintptr_t)points,
		.count_handles = ARRAY_LEN(handles),
	};
	__u32 handle = make_syncobj(node);

	(void)kind;
	(void)pending;
	for (unsigned int i = 0; i < ARRAY_LEN(handles); i++) {
		handles[i] = handle;
		points[i] = i + 1;
	}

	__u64 start = now();

	if (ioctl(node, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &array))
		die("DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL");

	__u64 end = now();

	return (double)(end - start) / ARRAY_LEN(handles);
}
