/* SPDX-License-Identifier: GPL-2.0 */
/* A render node with two queues and two syncobjs, for suites of jobs with syncobjs. */
#ifndef DRM_FIXTURE_H
#define DRM_FIXTURE_H

#include <pthread.h>
#include "lib/drm.h"

FIXTURE(render)
{
	int node;
	int misc;
	__u32 manual;
	__u32 timer;
	/* A timeline without points. */
	__u32 timeline;
	__u32 binary;
};

FIXTURE_SETUP(render)
{
	self->node = render_open();
	self->misc = device_open();
	ASSERT_LE(0, self->node);
	ASSERT_LE(0, self->misc);
	self->manual = manual_queue(self->node);
	self->timer = timer_queue(self->node);
	self->timeline = syncobj_create(self->node);
	self->binary = syncobj_create(self->node);
	ASSERT_NE(0, self->manual);
	ASSERT_NE(0, self->timer);
	ASSERT_NE(0, self->timeline);
	ASSERT_NE(0, self->binary);
}

FIXTURE_TEARDOWN(render)
{
	close(self->node);
	close(self->misc);
}

static inline struct drm_vfence_sync at(__u32 handle, __u64 point)
{
	return (struct drm_vfence_sync) { .handle = handle, .point = point };
}

/*
 * Submits a job that waits for @in and signals @out, unless they are NONE. Returns its seqno, or 0.
 */
static inline __u64 submit_to(FIXTURE_DATA(render) *self, __u32 queue, struct drm_vfence_sync in,
		       struct drm_vfence_sync out)
{
	struct vfence_submit job = { .queue = queue };

	if (drm_submit(self->node, &job, in.handle ? &in : NULL, out.handle ? &out : NULL))
		return 0;
	return job.seqno;
}

static const struct drm_vfence_sync NONE __attribute__((unused));

struct later {
	FIXTURE_DATA(render) *self;
	struct drm_vfence_sync sync;
	__u64 submitted;
};

static inline void *submit_later(void *data)
{
	struct later *later = data;

	/* A call that waits for a submission must not block this one, even on the same file. */
	usleep(50000);
	later->submitted = submit_to(later->self, later->self->manual, NONE, later->sync);
	return NULL;
}

#endif /* DRM_FIXTURE_H */
