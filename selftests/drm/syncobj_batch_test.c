// SPDX-License-Identifier: GPL-2.0
/* Batches with syncobjs: each job sees the fences that earlier jobs of the call signal. */
#include <sys/eventfd.h>
#include "drm/fixture.h"

/* Three stages of two frames in one call; each job waits for fences of the same call. */
TEST_F(render, jobs_of_a_batch_wait_for_earlier_ones)
{
	__u32 queues[3];
	struct vfence_submit jobs[6];
	struct drm_vfence_sync in[6], out[6];
	struct drm_vfence_submit submits[6];
	__u32 refused = 77;

	for (int stage = 0; stage < 3; stage++)
		queues[stage] = timer_queue(self->node);
	for (int i = 0; i < 6; i++) {
		int stage = i % 3;

		jobs[i] = (struct vfence_submit) {
			.queue = queues[stage], .duration_ns = (stage + 1) * MSEC,
		};
		/*
		 * A timeline from decode to render, a binary syncobj, used twice, from render to
		 * display.
		 */
		out[i] = stage == 0 ? at(self->timeline, i + 1) : at(self->binary, 0);
		in[i] = stage == 1 ? at(self->timeline, i) : at(self->binary, 0);
		submits[i] = drm_job(&jobs[i], &in[i], stage > 0, &out[i], stage < 2);
	}
	ASSERT_EQ(0, drm_submit_batch(self->node, submits, 6, &refused));
	EXPECT_EQ(6, refused);
	EXPECT_EQ(0, wait_job(self->node, queues[2], 2));
	for (int frame = 1; frame <= 2; frame++) {
		for (int stage = 1; stage < 3; stage++) {
			__u64 given = job_of(self->node, queues[stage - 1], frame).end_ns;
			__u64 free = frame == 1 ? 0 : job_of(self->node, queues[stage], 1).end_ns;
			struct vfence_job_info job = job_of(self->node, queues[stage], frame);

			/* A job starts when its in-fence has signalled and its queue is free. */
			if (given < free)
				given = free;
			if (given < job.submitted_ns)
				given = job.submitted_ns;
			EXPECT_EQ(given, job.start_ns);
		}
	}
}

TEST_F(render, batch_waits_for_earlier_and_own_points)
{
	struct vfence_submit jobs[] = { { .queue = self->manual }, { .queue = self->timer } };
	__u32 other = manual_queue(self->node);
	struct drm_vfence_sync out = at(self->timeline, 5), in = at(self->timeline, 4);
	struct drm_vfence_submit submits[] = {
		drm_job(&jobs[0], NULL, 0, &out, 1),
		drm_job(&jobs[1], &in, 1, NULL, 0),
	};

	ASSERT_EQ(1, submit_to(self, other, NONE, at(self->timeline, 2)));
	ASSERT_EQ(0, drm_submit_batch(self->node, submits, 2, NULL));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->timer, 1).state);
	signal_seqno(self->node, other, 1, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 1));
}

/* A binary syncobj has the fence of the job before, not the one before the call. */
TEST_F(render, batch_replaces_a_binary_fence)
{
	struct vfence_submit jobs[] = { { .queue = self->manual }, { .queue = self->timer } };
	__u32 other = manual_queue(self->node);
	struct drm_vfence_sync sync = at(self->binary, 0);
	struct drm_vfence_submit submits[] = {
		drm_job(&jobs[0], NULL, 0, &sync, 1),
		drm_job(&jobs[1], &sync, 1, NULL, 0),
	};

	ASSERT_EQ(1, submit_to(self, other, NONE, sync));
	ASSERT_EQ(0, drm_submit_batch(self->node, submits, 2, NULL));
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->timer, 1).state);
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 1));
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, other, 1).state);
}

/*
 * Submits one batch: jobs that add @points to the timeline, then a job that waits for a point. It
 * waits for the same fences as after single submissions.
 */
static int batch_in_order(FIXTURE_DATA(render) *self, const __u64 *points, __u32 count, __u64 wait)
{
	struct vfence_submit jobs[4];
	struct drm_vfence_sync out[3], in = at(self->timeline, wait);
	struct drm_vfence_submit submits[4];

	for (__u32 i = 0; i < count; i++) {
		jobs[i] = (struct vfence_submit) { .queue = self->manual };
		out[i] = at(self->timeline, points[i]);
		submits[i] = drm_job(&jobs[i], NULL, 0, &out[i], 1);
	}
	jobs[count] = (struct vfence_submit) { .queue = self->timer };
	submits[count] = drm_job(&jobs[count], &in, 1, NULL, 0);
	return drm_submit_batch(self->node, submits, count + 1, NULL);
}

/* Returns whether the job of the timer queue has ended, once another queue has run. */
static bool timer_job_ended(FIXTURE_DATA(render) *self, __u64 seqno)
{
	struct vfence_submit job = { .queue = timer_queue(self->node) };

	drm_submit(self->node, &job, NULL, NULL);
	wait_job(self->node, job.queue, 1);
	return job_of(self->node, self->timer, seqno).state == VFENCE_JOB_COMPLETED;
}

TEST_F(render, batch_adds_points_below_the_last)
{
	__u32 other = manual_queue(self->node);

	/*
	 * The timeline is at 10. A point 5 that is added later counts as the last: point 7 needs
	 * both.
	 */
	ASSERT_EQ(1, submit_to(self, other, NONE, at(self->timeline, 10)));
	ASSERT_EQ(0, batch_in_order(self, (__u64[]) { 5 }, 1, 7));
	signal_seqno(self->node, other, 1, 0);
	EXPECT_FALSE(timer_job_ended(self, 1));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 1));
	/* Points 20, 10, 30: point 10 is the last when it is added, and 30 is not needed for it. */
	drmSyncobjReset(self->node, &self->timeline, 1);
	ASSERT_EQ(0, batch_in_order(self, (__u64[]) { 20, 10, 30 }, 3, 10));
	signal_seqno(self->node, self->manual, 2, 0);
	EXPECT_FALSE(timer_job_ended(self, 2));
	signal_seqno(self->node, self->manual, 3, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 2));
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->manual, 4).state);
}

/* A waiter for point 10 that came before the call waits for that point's job only. */
TEST_F(render, waiter_ignores_a_lower_point_of_the_batch)
{
	int event = eventfd(0, EFD_CLOEXEC);
	struct pollfd pollfd = { .fd = event, .events = POLLIN };
	__u32 other = manual_queue(self->node);
	struct vfence_submit jobs[] = { { .queue = self->manual }, { .queue = other } };
	struct drm_vfence_sync out[] = { at(self->timeline, 10), at(self->timeline, 5) };
	struct drm_vfence_submit submits[] = {
		drm_job(&jobs[0], NULL, 0, &out[0], 1), drm_job(&jobs[1], NULL, 0, &out[1], 1),
	};

	ASSERT_LE(0, event);
	ASSERT_EQ(0, drmSyncobjEventfd(self->node, self->timeline, 10, event, 0));
	ASSERT_EQ(0, drm_submit_batch(self->node, submits, 2, NULL));
	EXPECT_EQ(0, poll(&pollfd, 1, 0));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(1, poll(&pollfd, 1, PATIENCE_MS));
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, other, 1).state);
	close(event);
}

TEST_F(render, batch_waits_for_no_more_than_the_point)
{
	ASSERT_EQ(0, batch_in_order(self, (__u64[]) { 1, 2, 3 }, 3, 2));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_FALSE(timer_job_ended(self, 1));
	signal_seqno(self->node, self->manual, 2, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 1));
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->manual, 3).state);
	/* The wait does not include the fences from before the call. */
	ASSERT_EQ(0, batch_in_order(self, (__u64[]) { 4 }, 1, 3));
	signal_seqno(self->node, self->manual, 3, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 2));
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->manual, 4).state);
}

TEST_F(render, batch_makes_a_timeline_binary)
{
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->timeline, 10)));
	EXPECT_REFUSED(EINVAL, batch_in_order(self, (__u64[]) { 0 }, 1, 5));
	EXPECT_REFUSED(EINVAL, batch_in_order(self, (__u64[]) { 12, 0 }, 2, 5));
	/* The syncobj becomes a timeline again. */
	ASSERT_EQ(0, batch_in_order(self, (__u64[]) { 12, 0, 3 }, 3, 3));
	/*
	 * The timeline contains the binary fence. The fence that this one replaced is of the same
	 * queue.
	 */
	signal_seqno(self->node, self->manual, 4, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 1));
}

/* Two handles name one syncobj. */
TEST_F(render, batch_uses_two_handles_of_a_syncobj)
{
	struct vfence_submit jobs[] = { { .queue = self->manual }, { .queue = self->timer } };
	struct drm_vfence_sync out = at(self->binary, 0), in = { 0 };
	struct drm_vfence_submit submits[2];
	int fd;

	ASSERT_EQ(0, drmSyncobjHandleToFD(self->node, self->binary, &fd));
	ASSERT_EQ(0, drmSyncobjFDToHandle(self->node, fd, &in.handle));
	close(fd);
	ASSERT_NE(out.handle, in.handle);
	submits[0] = drm_job(&jobs[0], NULL, 0, &out, 1);
	submits[1] = drm_job(&jobs[1], &in, 1, NULL, 0);
	ASSERT_EQ(0, drm_submit_batch(self->node, submits, 2, NULL));
	EXPECT_FALSE(timer_job_ended(self, 1));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 1));
}

TEST_F(render, batch_waits_for_a_submission)
{
	struct later later = { .self = self, .sync = at(self->timeline, 7) };
	struct vfence_submit jobs[] = { { .queue = self->timer }, { .queue = self->timer } };
	struct drm_vfence_sync in[] = { later.sync, at(self->binary, 0) };
	struct drm_vfence_sync out = at(self->binary, 0);
	struct drm_vfence_submit submits[] = {
		drm_job(&jobs[0], &in[0], 1, &out, 1),
		drm_job(&jobs[1], &in[1], 1, NULL, 0),
	};
	pthread_t thread;

	/* The first job submits the point of the second, so the call need not block. */
	in[0].flags = in[1].flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT;
	ASSERT_EQ(0, pthread_create(&thread, NULL, submit_later, &later));
	EXPECT_EQ(0, drm_submit_batch(self->node, submits, 2, NULL));
	pthread_join(thread, NULL);
	EXPECT_EQ(1, later.submitted);
	EXPECT_FALSE(timer_job_ended(self, 1));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 2));
}

TEST_F(render, batch_mixes_syncobjs_and_buffers)
{
	struct drm_vfence_gem_create create = { .size = 4096 };
	struct vfence_use use = {
		.fd = gem_create(self->node, &create),
		.flags = VFENCE_USE_WRITE | DRM_VFENCE_USE_HANDLE,
	};
	struct vfence_submit jobs[] = {
		{ .queue = self->timer, .uses = ptr_to_u64(&use), .use_count = 1,
		  .use_size = sizeof(use) },
		{ .queue = timer_queue(self->node),
		  .uses = ptr_to_u64(&use), .use_count = 1, .use_size = sizeof(use) },
	};
	struct drm_vfence_sync in = at(self->binary, 0), out = at(self->timeline, 1);
	struct drm_vfence_submit submits[] = {
		drm_job(&jobs[0], &in, 1, NULL, 0),
		drm_job(&jobs[1], NULL, 0, &out, 1),
	};

	/* The second job waits for the first by the buffer, and the first for the syncobj. */
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, in));
	ASSERT_EQ(0, drm_submit_batch(self->node, submits, 2, NULL));
	EXPECT_EQ(0, syncobj_signalled(self->node, self->timeline, 1));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, syncobj_wait(self->node, self->timeline, 1));
	EXPECT_EQ(VFENCE_JOB_COMPLETED, job_of(self->node, self->timer, 1).state);
}

TEST_F(render, batch_is_all_or_nothing)
{
	struct vfence_submit jobs[3];
	struct drm_vfence_sync in[3], out[3];
	struct drm_vfence_submit submits[3];
	__u32 refused;

	for (int i = 0; i < 3; i++) {
		jobs[i] = (struct vfence_submit) { .queue = self->timer };
		in[i] = at(self->timeline, i);
		out[i] = at(self->timeline, i + 1);
		submits[i] = drm_job(&jobs[i], &in[i], i > 0, &out[i], 1);
	}
	/* A later job adds this point. */
	in[1].point = 3;
	EXPECT_REFUSED(EINVAL, drm_submit_batch(self->node, submits, 3, &refused));
	EXPECT_EQ(1, refused);
	in[1].point = 1;
	out[2].handle = 12345;
	EXPECT_REFUSED(ENOENT, drm_submit_batch(self->node, submits, 3, &refused));
	EXPECT_EQ(2, refused);
	out[2].handle = self->timeline;
	jobs[2].flags = 1U << 31;
	EXPECT_REFUSED(EINVAL, drm_submit_batch(self->node, submits, 3, &refused));
	EXPECT_EQ(2, refused);
	EXPECT_EQ(0, queue_submitted(self->node, self->timer));
	EXPECT_EQ(-EINVAL, syncobj_signalled(self->node, self->timeline, 1));
	jobs[2].flags = 0;
	EXPECT_EQ(0, drm_submit_batch(self->node, submits, 3, &refused));
	EXPECT_EQ(0, syncobj_wait(self->node, self->timeline, 3));
}

TEST_HARNESS_MAIN
