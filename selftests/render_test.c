// SPDX-License-Identifier: GPL-2.0
/* Jobs of the DRM device: what they wait for and signal by handles, what is refused, and the way to /dev/vfence and back. */
#include <pthread.h>
#include <sys/time.h>
#include "drm_test.h"

FIXTURE(render)
{
	int node;
	int misc;
	__u32 manual;
	__u32 timer;
	/* Of no point yet. */
	__u32 timeline;
	__u32 binary;
};

FIXTURE_SETUP(render)
{
	self->node = render_open();
	self->misc = device_open();
	ASSERT_LE(0, self->node);
	ASSERT_LE(0, self->misc);
	self->manual = render_queue(self->node, VFENCE_QUEUE_MANUAL);
	self->timer = render_queue(self->node, VFENCE_QUEUE_TIMER);
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

static struct drm_vfence_sync at(__u32 handle, __u64 point)
{
	return (struct drm_vfence_sync) { .handle = handle, .point = point };
}

/* Submits a job to a queue that waits for and signals these, if they are of a syncobj. Returns its sequence number, 0 when refused. */
static __u64 submit_to(FIXTURE_DATA(render) *self, __u32 queue, struct drm_vfence_sync in,
		       struct drm_vfence_sync out)
{
	struct vfence_submit job = { .queue = queue };

	if (render_submit(self->node, &job, in.handle ? &in : NULL, out.handle ? &out : NULL))
		return 0;
	return job.seqno;
}

static const struct drm_vfence_sync NONE;

TEST_F(render, job_waits_for_what_is_submitted)
{
	struct drm_vfence_sync syncs[] = { at(self->binary, 0), at(self->timeline, 3) };

	for (size_t i = 0; i < ARRAY_LEN(syncs); i++) {
		ASSERT_EQ(i + 1, submit_to(self, self->manual, NONE, syncs[i]));
		ASSERT_EQ(i + 1, submit_to(self, self->timer, syncs[i], NONE));
		EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, self->timer, i + 1).state);
		render_signal(self->node, self->manual, i + 1, 0);
		EXPECT_EQ(0, render_wait(self->node, self->timer, i + 1));
		/* It starts at the very timestamp. */
		EXPECT_EQ(render_job(self->node, self->manual, i + 1).end_ns,
			  render_job(self->node, self->timer, i + 1).start_ns);
	}
}

TEST_F(render, a_point_below_is_reached_by_the_one_above)
{
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->timeline, 5)));
	ASSERT_EQ(1, submit_to(self, self->timer, at(self->timeline, 2), NONE));
	EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, self->timer, 1).state);
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 1));
	/* It does not matter that all has signalled. */
	ASSERT_EQ(2, submit_to(self, self->timer, at(self->timeline, 2), NONE));
	EXPECT_EQ(0, render_wait(self->node, self->timer, 2));
}

TEST_F(render, a_point_waits_for_those_below)
{
	__u32 other = render_queue(self->node, VFENCE_QUEUE_MANUAL);

	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->timeline, 1)));
	ASSERT_EQ(1, submit_to(self, other, NONE, at(self->timeline, 2)));
	ASSERT_EQ(1, submit_to(self, self->timer, at(self->timeline, 2), NONE));
	render_signal(self->node, other, 1, 0);
	EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, self->timer, 1).state);
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 1));
}

TEST_F(render, several_syncobjs_of_a_job)
{
	struct drm_vfence_sync in[] = { at(self->binary, 0), at(self->timeline, 1) };
	struct drm_vfence_sync out[] = {
		at(syncobj_create(self->node), 0), at(self->timeline, 2), at(self->binary, 0),
	};
	struct vfence_submit job = { .queue = self->timer };
	struct drm_vfence_submit submit = render_describe(&job, in, 2, out, 3);

	ASSERT_EQ(1, submit_to(self, self->manual, NONE, in[0]));
	ASSERT_EQ(2, submit_to(self, self->manual, NONE, in[1]));
	ASSERT_EQ(0, ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit));
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, self->timer, 1).state);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, syncobj_signalled(self->node, out[i].handle, out[i].point));
	render_signal(self->node, self->manual, 2, 0);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, syncobj_wait(self->node, out[i].handle, out[i].point));
}

/* A ring of two: a job takes what the one before has left, and leaves its own there. */
TEST_F(render, job_waits_for_and_signals_the_same)
{
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->binary, 0)));
	ASSERT_EQ(1, submit_to(self, self->timer, at(self->binary, 0), at(self->binary, 0)));
	EXPECT_EQ(0, syncobj_signalled(self->node, self->binary, 0));
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, syncobj_wait(self->node, self->binary, 0));
	EXPECT_EQ(VFENCE_JOB_COMPLETED, render_job(self->node, self->timer, 1).state);
}

TEST_F(render, refused_without_a_fence)
{
	EXPECT_REFUSED(EINVAL, submit_to(self, self->timer, at(self->binary, 0), NONE) ? 0 : -1);
	EXPECT_REFUSED(EINVAL, submit_to(self, self->timer, at(self->timeline, 1), NONE) ? 0 : -1);
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->timeline, 1)));
	EXPECT_REFUSED(EINVAL, submit_to(self, self->timer, at(self->timeline, 2), NONE) ? 0 : -1);
	EXPECT_EQ(0, render_submitted(self->node, self->timer));
}

/* Refuses a job that would signal, and looks whether the syncobj is as before. */
#define EXPECT_JOB_REFUSED(error, submit) \
	do { \
		EXPECT_REFUSED(error, ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &(submit))); \
		EXPECT_EQ(-EINVAL, syncobj_signalled(self->node, self->binary, 0)); \
		EXPECT_EQ(0, render_submitted(self->node, self->timer)); \
		EXPECT_EQ(0, render_submitted(self->node, self->manual)); \
		EXPECT_EQ(fds, open_fds()); \
	} while (0)

TEST_F(render, refused)
{
	struct vfence_submit job = { .queue = self->timer, .flags = VFENCE_SUBMIT_OUT_FENCE };
	struct drm_vfence_sync out = at(self->binary, 0), in = at(self->timeline, 1), bad;
	struct drm_vfence_submit valid = render_describe(&job, NULL, 0, &out, 1), submit;
	struct drm_vfence_sync *many = calloc(DRM_VFENCE_MAX_SYNCS, sizeof(*many));
	int fds = open_fds();

	ASSERT_NE(NULL, many);
	bad = at(12345, 0);
	submit = render_describe(&job, &bad, 1, &out, 1);
	EXPECT_JOB_REFUSED(ENOENT, submit);
	submit = render_describe(&job, NULL, 0, &bad, 1);
	EXPECT_JOB_REFUSED(ENOENT, submit);
	bad = out;
	bad.flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT;
	submit = render_describe(&job, NULL, 0, &bad, 1);
	EXPECT_JOB_REFUSED(EINVAL, submit);
	bad.flags = 1U << 1;
	submit = render_describe(&job, &bad, 1, &out, 1);
	EXPECT_JOB_REFUSED(EINVAL, submit);
	/* More than there may be, counted together. */
	for (int i = 0; i < DRM_VFENCE_MAX_SYNCS; i++)
		many[i] = at(self->binary, 0);
	submit = render_describe(&job, &in, 1, many, DRM_VFENCE_MAX_SYNCS);
	drmSyncobjTimelineSignal(self->node, &in.handle, (uint64_t[]) { 1 }, 1);
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit.out_sync_count = UINT32_MAX;
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit = valid;
	submit.sync_size = sizeof(out) - 1;
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit.sync_size = 0;
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit = valid;
	submit.job_size = 7;
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit = valid;
	submit.job = ptr_to_u64(unmapped(1));
	EXPECT_JOB_REFUSED(EFAULT, submit);
	submit = valid;
	submit.out_syncs = ptr_to_u64(unmapped(1));
	EXPECT_JOB_REFUSED(EFAULT, submit);
	/* The reply cannot be written: that comes last. */
	submit = valid;
	submit.job = ptr_to_u64(read_only(&job, sizeof(job)));
	EXPECT_JOB_REFUSED(EFAULT, submit);
	/* Manual jobs wait for nothing. */
	job.queue = self->manual;
	submit = render_describe(&job, &in, 1, &out, 1);
	drmSyncobjReset(self->node, &self->timeline, 1);
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit_to(self, self->timer, NONE, in);
	EXPECT_EQ(1, render_submitted(self->node, self->timer));
	EXPECT_REFUSED(EINVAL, ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit));
	EXPECT_EQ(0, render_submitted(self->node, self->manual));
	free(many);
}

TEST_F(render, unknown_ioctls)
{
	EXPECT_REFUSED(ENOTTY, ioctl(self->node, DRM_IO(DRM_COMMAND_BASE + 0x3f), NULL));
	/* Those of the misc device by their own numbers. */
	EXPECT_REFUSED(ENOTTY, ioctl(self->node, VFENCE_IOCTL_QUERY, &(struct vfence_query) { 0 }));
}

TEST_F(render, growing_structures)
{
	struct {
		struct drm_vfence_submit submit;
		__u64 newer;
	} grown;
	struct vfence_submit job = { .queue = self->timer };
	const unsigned int number = _IOC(_IOC_READ | _IOC_WRITE, DRM_IOCTL_BASE,
					 DRM_COMMAND_BASE + DRM_VFENCE_SUBMIT, sizeof(grown));

	grown.submit = render_describe(&job, NULL, 0, NULL, 0);
	grown.newer = 1;
	EXPECT_REFUSED(E2BIG, ioctl(self->node, number, &grown));
	grown.newer = 0;
	EXPECT_EQ(0, ioctl(self->node, number, &grown));
	EXPECT_EQ(1, job.seqno);
}

struct later {
	FIXTURE_DATA(render) *self;
	struct drm_vfence_sync sync;
	__u64 submitted;
};

static void *submit_later(void *data)
{
	struct later *later = data;

	/* Others do not have to wait for who waits for a submission, not even on the same file. */
	usleep(50000);
	later->submitted = submit_to(later->self, later->self->manual, NONE, later->sync);
	return NULL;
}

TEST_F(render, job_waits_for_a_submission)
{
	struct drm_vfence_sync syncs[] = { at(self->binary, 0), at(self->timeline, 7) };

	for (size_t i = 0; i < ARRAY_LEN(syncs); i++) {
		struct later later = { .self = self, .sync = syncs[i] };
		struct drm_vfence_sync in = syncs[i];
		pthread_t thread;

		in.flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT;
		ASSERT_EQ(0, pthread_create(&thread, NULL, submit_later, &later));
		EXPECT_EQ(i + 1, submit_to(self, self->timer, in, NONE));
		pthread_join(thread, NULL);
		EXPECT_EQ(i + 1, later.submitted);
		EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, self->timer, i + 1).state);
		render_signal(self->node, self->manual, i + 1, 0);
		EXPECT_EQ(0, render_wait(self->node, self->timer, i + 1));
	}
}

TEST_F(render, submission_that_does_not_come)
{
	struct drm_vfence_sync in = at(self->timeline, 1);
	__u64 start = now_ns();

	in.flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT;
	EXPECT_REFUSED(ETIME, submit_to(self, self->timer, in, at(self->binary, 0)) ? 0 : -1);
	EXPECT_LE(4 * SEC, now_ns() - start);
	EXPECT_EQ(-EINVAL, syncobj_signalled(self->node, self->binary, 0));
	EXPECT_EQ(0, render_submitted(self->node, self->timer));
}

static void nothing(int number)
{
	(void)number;
}

TEST_F(render, submission_is_waited_for_until_a_signal)
{
	struct drm_vfence_sync in = at(self->timeline, 1);
	struct sigaction action = { .sa_handler = nothing };

	/* Again and again, should the first one come too early. */
	struct itimerval often = { { 0, 100000 }, { 0, 100000 } }, never = { 0 };

	in.flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT;
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	EXPECT_REFUSED(EINTR, submit_to(self, self->timer, in, NONE) ? 0 : -1);
	setitimer(ITIMER_REAL, &never, NULL);
}

/* An error goes from job to job along syncobjs, as along sync_files. */
TEST_F(render, errors_are_propagated)
{
	struct drm_vfence_sync syncs[] = { at(self->binary, 0), at(self->timeline, 3) };

	for (size_t i = 0; i < ARRAY_LEN(syncs); i++) {
		ASSERT_EQ(i + 1, submit_to(self, self->manual, NONE, syncs[i]));
		ASSERT_EQ(2 * i + 1, submit_to(self, self->timer, syncs[i], NONE));
		render_signal(self->node, self->manual, i + 1, -EREMOTEIO);
		EXPECT_EQ(0, render_wait(self->node, self->timer, 2 * i + 1));
		EXPECT_EQ(-EREMOTEIO, render_job(self->node, self->timer, 2 * i + 1).error);
		/* Also when it has signalled before. */
		ASSERT_EQ(2 * i + 2, submit_to(self, self->timer, syncs[i], NONE));
		EXPECT_EQ(0, render_wait(self->node, self->timer, 2 * i + 2));
		EXPECT_EQ(-EREMOTEIO, render_job(self->node, self->timer, 2 * i + 2).error);
	}
}

TEST_F(render, hang_ends_with_the_watchdogs_error)
{
	__u32 queue = render_queue_with(self->node, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER, .timeout_ns = 20 * MSEC,
	});
	struct vfence_submit job = { .queue = queue, .flags = VFENCE_SUBMIT_HANG };
	struct drm_vfence_sync out = at(self->timeline, 1);
	int fence;

	ASSERT_EQ(0, render_submit(self->node, &job, NULL, &out));
	fence = syncobj_export_point(self->node, self->timeline, 1);
	EXPECT_EQ(0, syncobj_wait(self->node, self->timeline, 1));
	EXPECT_EQ(-ETIMEDOUT, first_status(fence));
	close(fence);
}

TEST_F(render, closing_cancels)
{
	int other = render_open(), fd = -1, fence;
	__u32 queue = render_queue(other, VFENCE_QUEUE_MANUAL), shared = 0;
	struct vfence_submit job = { .queue = queue };
	struct drm_vfence_sync out;

	ASSERT_EQ(0, drmSyncobjHandleToFD(self->node, self->timeline, &fd));
	ASSERT_EQ(0, drmSyncobjFDToHandle(other, fd, &shared));
	close(fd);
	out = at(shared, 1);
	ASSERT_EQ(0, render_submit(other, &job, NULL, &out));
	fence = syncobj_export_point(self->node, self->timeline, 1);
	EXPECT_EQ(0, syncobj_signalled(self->node, self->timeline, 1));
	close(other);
	EXPECT_EQ(0, syncobj_wait(self->node, self->timeline, 1));
	EXPECT_EQ(-ECANCELED, first_status(fence));
	close(fence);
}

/* To /dev/vfence and back: each kind as a sync_file. */
TEST_F(render, misc_device_and_back)
{
	struct drm_vfence_sync syncs[] = { at(self->binary, 0), at(self->timeline, 4) };
	__u32 misc = timer_queue(self->misc);

	for (size_t i = 0; i < ARRAY_LEN(syncs); i++) {
		__u32 back = syncobj_create(self->node);
		int fence, done;

		ASSERT_EQ(i + 1, submit_to(self, self->manual, NONE, syncs[i]));
		fence = syncobj_export_point(self->node, syncs[i].handle, syncs[i].point);
		ASSERT_LE(0, fence);
		done = submit_after(self->misc, misc, MSEC, fence);
		ASSERT_LE(0, done);
		ASSERT_EQ(0, drmSyncobjImportSyncFile(self->node, back, done));
		ASSERT_EQ(i + 1, submit_to(self, self->timer, at(back, 0), NONE));
		EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, self->timer, i + 1).state);
		render_signal(self->node, self->manual, i + 1, 0);
		EXPECT_EQ(0, render_wait(self->node, self->timer, i + 1));
		/* To the nanosecond, over two modules. */
		EXPECT_EQ(MSEC, render_job(self->node, self->timer, i + 1).start_ns -
				render_job(self->node, self->manual, i + 1).end_ns);
		close(fence);
		close(done);
	}
}

/* Three stages of two frames in one call, tied together by what the call itself submits. */
TEST_F(render, jobs_of_a_batch_see_those_before_them)
{
	__u32 queues[3];
	struct vfence_submit jobs[6];
	struct drm_vfence_sync in[6], out[6];
	struct drm_vfence_submit submits[6];
	__u32 refused = 77;

	for (int stage = 0; stage < 3; stage++)
		queues[stage] = render_queue(self->node, VFENCE_QUEUE_TIMER);
	for (int i = 0; i < 6; i++) {
		int stage = i % 3;

		jobs[i] = (struct vfence_submit) {
			.queue = queues[stage], .duration_ns = (stage + 1) * MSEC,
		};
		/* Decode to render by a timeline, render to display by a binary syncobj that is used again. */
		out[i] = stage == 0 ? at(self->timeline, i + 1) : at(self->binary, 0);
		in[i] = stage == 1 ? at(self->timeline, i) : at(self->binary, 0);
		submits[i] = render_describe(&jobs[i], &in[i], stage > 0, &out[i], stage < 2);
	}
	ASSERT_EQ(0, render_submit_batch(self->node, submits, 6, &refused));
	EXPECT_EQ(6, refused);
	EXPECT_EQ(0, render_wait(self->node, queues[2], 2));
	for (int frame = 1; frame <= 2; frame++) {
		for (int stage = 1; stage < 3; stage++) {
			__u64 given = render_job(self->node, queues[stage - 1], frame).end_ns;
			__u64 free = frame == 1 ? 0 : render_job(self->node, queues[stage], 1).end_ns;
			struct vfence_job_info job = render_job(self->node, queues[stage], frame);

			/* When it has what it waits for, its queue has come to it, and it was there. */
			if (given < free)
				given = free;
			if (given < job.submitted_ns)
				given = job.submitted_ns;
			EXPECT_EQ(given, job.start_ns);
		}
	}
}

TEST_F(render, batch_waits_for_what_was_there_and_for_its_own)
{
	struct vfence_submit jobs[] = { { .queue = self->manual }, { .queue = self->timer } };
	__u32 other = render_queue(self->node, VFENCE_QUEUE_MANUAL);
	struct drm_vfence_sync out = at(self->timeline, 5), in = at(self->timeline, 4);
	struct drm_vfence_submit submits[] = {
		render_describe(&jobs[0], NULL, 0, &out, 1),
		render_describe(&jobs[1], &in, 1, NULL, 0),
	};

	ASSERT_EQ(1, submit_to(self, other, NONE, at(self->timeline, 2)));
	ASSERT_EQ(0, render_submit_batch(self->node, submits, 2, NULL));
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, self->timer, 1).state);
	render_signal(self->node, other, 1, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 1));
}

/* A binary syncobj in a batch: the one before it counts, and not what was there. */
TEST_F(render, batch_replaces_what_was_there)
{
	struct vfence_submit jobs[] = { { .queue = self->manual }, { .queue = self->timer } };
	__u32 other = render_queue(self->node, VFENCE_QUEUE_MANUAL);
	struct drm_vfence_sync sync = at(self->binary, 0);
	struct drm_vfence_submit submits[] = {
		render_describe(&jobs[0], NULL, 0, &sync, 1),
		render_describe(&jobs[1], &sync, 1, NULL, 0),
	};

	ASSERT_EQ(1, submit_to(self, other, NONE, sync));
	ASSERT_EQ(0, render_submit_batch(self->node, submits, 2, NULL));
	EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, self->timer, 1).state);
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 1));
	EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, other, 1).state);
}

/*
 * A job of the call waits for a point of what the timeline had and what those before it add, in any order: what it would
 * find had they been submitted one by one.
 */
static int batch_in_order(FIXTURE_DATA(render) *self, const __u64 *points, __u32 count, __u64 wait)
{
	struct vfence_submit jobs[4];
	struct drm_vfence_sync out[3], in = at(self->timeline, wait);
	struct drm_vfence_submit submits[4];

	for (__u32 i = 0; i < count; i++) {
		jobs[i] = (struct vfence_submit) { .queue = self->manual };
		out[i] = at(self->timeline, points[i]);
		submits[i] = render_describe(&jobs[i], NULL, 0, &out[i], 1);
	}
	jobs[count] = (struct vfence_submit) { .queue = self->timer };
	submits[count] = render_describe(&jobs[count], &in, 1, NULL, 0);
	return render_submit_batch(self->node, submits, count + 1, NULL);
}

/* Returns whether the timer's job has ended, once one has seen that nothing is in its way. */
static bool timer_job_ended(FIXTURE_DATA(render) *self, __u64 seqno)
{
	struct vfence_submit job = { .queue = render_queue(self->node, VFENCE_QUEUE_TIMER) };

	render_submit(self->node, &job, NULL, NULL);
	render_wait(self->node, job.queue, 1);
	return render_job(self->node, self->timer, seqno).state == VFENCE_JOB_COMPLETED;
}

TEST_F(render, batch_with_points_below_the_last)
{
	__u32 other = render_queue(self->node, VFENCE_QUEUE_MANUAL);

	/* The timeline is at 10. One more at 5 counts as the last one: who waits for 7 waits for both. */
	ASSERT_EQ(1, submit_to(self, other, NONE, at(self->timeline, 10)));
	ASSERT_EQ(0, batch_in_order(self, (__u64[]) { 5 }, 1, 7));
	render_signal(self->node, other, 1, 0);
	EXPECT_FALSE(timer_job_ended(self, 1));
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 1));
	/* 20, 10, then 30: 10 is the last one when it is added, and 30 is not needed for it. */
	drmSyncobjReset(self->node, &self->timeline, 1);
	ASSERT_EQ(0, batch_in_order(self, (__u64[]) { 20, 10, 30 }, 3, 10));
	render_signal(self->node, self->manual, 2, 0);
	EXPECT_FALSE(timer_job_ended(self, 2));
	render_signal(self->node, self->manual, 3, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 2));
	EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, self->manual, 4).state);
}

TEST_F(render, batch_waits_for_no_more_than_the_point)
{
	ASSERT_EQ(0, batch_in_order(self, (__u64[]) { 1, 2, 3 }, 3, 2));
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_FALSE(timer_job_ended(self, 1));
	render_signal(self->node, self->manual, 2, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 1));
	EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, self->manual, 3).state);
	/* What was there before is not waited for with more. */
	ASSERT_EQ(0, batch_in_order(self, (__u64[]) { 4 }, 1, 3));
	render_signal(self->node, self->manual, 3, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 2));
	EXPECT_EQ(VFENCE_JOB_PENDING, render_job(self->node, self->manual, 4).state);
}

TEST_F(render, batch_that_makes_it_binary)
{
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->timeline, 10)));
	EXPECT_REFUSED(EINVAL, batch_in_order(self, (__u64[]) { 0 }, 1, 5));
	EXPECT_REFUSED(EINVAL, batch_in_order(self, (__u64[]) { 12, 0 }, 2, 5));
	/* And a timeline again. */
	ASSERT_EQ(0, batch_in_order(self, (__u64[]) { 12, 0, 3 }, 3, 3));
	/* That of the binary one comes before it; what it has replaced does not matter, but is of the same queue. */
	render_signal(self->node, self->manual, 4, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 1));
}

/* A syncobj has as many handles as one likes. */
TEST_F(render, batch_with_two_handles_of_a_syncobj)
{
	struct vfence_submit jobs[] = { { .queue = self->manual }, { .queue = self->timer } };
	struct drm_vfence_sync out = at(self->binary, 0), in = { 0 };
	struct drm_vfence_submit submits[2];
	int fd;

	ASSERT_EQ(0, drmSyncobjHandleToFD(self->node, self->binary, &fd));
	ASSERT_EQ(0, drmSyncobjFDToHandle(self->node, fd, &in.handle));
	close(fd);
	ASSERT_NE(out.handle, in.handle);
	submits[0] = render_describe(&jobs[0], NULL, 0, &out, 1);
	submits[1] = render_describe(&jobs[1], &in, 1, NULL, 0);
	ASSERT_EQ(0, render_submit_batch(self->node, submits, 2, NULL));
	EXPECT_FALSE(timer_job_ended(self, 1));
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 1));
}

TEST_F(render, batch_waits_for_a_submission)
{
	struct later later = { .self = self, .sync = at(self->timeline, 7) };
	struct vfence_submit jobs[] = { { .queue = self->timer }, { .queue = self->timer } };
	struct drm_vfence_sync in[] = { later.sync, at(self->binary, 0) }, out = at(self->binary, 0);
	struct drm_vfence_submit submits[] = {
		render_describe(&jobs[0], &in[0], 1, &out, 1),
		render_describe(&jobs[1], &in[1], 1, NULL, 0),
	};
	pthread_t thread;

	/* The second one's is submitted by the first one: nothing is to be waited for. */
	in[0].flags = in[1].flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT;
	ASSERT_EQ(0, pthread_create(&thread, NULL, submit_later, &later));
	EXPECT_EQ(0, render_submit_batch(self->node, submits, 2, NULL));
	pthread_join(thread, NULL);
	EXPECT_EQ(1, later.submitted);
	EXPECT_FALSE(timer_job_ended(self, 1));
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 2));
}

TEST_F(render, batch_with_syncobjs_and_buffers)
{
	struct drm_vfence_gem_create create = { .size = 4096 };
	struct vfence_use use = {
		.fd = gem_create(self->node, &create), .flags = VFENCE_USE_WRITE | DRM_VFENCE_USE_HANDLE,
	};
	struct vfence_submit jobs[] = {
		{ .queue = self->timer, .uses = ptr_to_u64(&use), .use_count = 1, .use_size = sizeof(use) },
		{ .queue = render_queue(self->node, VFENCE_QUEUE_TIMER),
		  .uses = ptr_to_u64(&use), .use_count = 1, .use_size = sizeof(use) },
	};
	struct drm_vfence_sync in = at(self->binary, 0), out = at(self->timeline, 1);
	struct drm_vfence_submit submits[] = {
		render_describe(&jobs[0], &in, 1, NULL, 0),
		render_describe(&jobs[1], NULL, 0, &out, 1),
	};

	/* The second waits for the first by the buffer, and that for the syncobj. */
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, in));
	ASSERT_EQ(0, render_submit_batch(self->node, submits, 2, NULL));
	EXPECT_EQ(0, syncobj_signalled(self->node, self->timeline, 1));
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, syncobj_wait(self->node, self->timeline, 1));
	EXPECT_EQ(VFENCE_JOB_COMPLETED, render_job(self->node, self->timer, 1).state);
}

TEST_F(render, as_many_syncobjs_as_there_may_be)
{
	struct drm_vfence_sync *out = calloc(DRM_VFENCE_MAX_SYNCS, sizeof(*out));
	struct vfence_submit job = { .queue = self->timer };
	struct drm_vfence_submit submit = render_describe(&job, NULL, 0, out, DRM_VFENCE_MAX_SYNCS);

	ASSERT_NE(NULL, out);
	for (int i = 0; i < DRM_VFENCE_MAX_SYNCS; i++)
		out[i] = at(self->binary, 0);
	EXPECT_EQ(0, ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit));
	EXPECT_EQ(0, syncobj_wait(self->node, self->binary, 0));
	/* A job that waits for as many, of which each has signalled or is the same, waits for one. */
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->binary, 0)));
	submit = render_describe(&job, out, DRM_VFENCE_MAX_SYNCS, NULL, 0);
	EXPECT_EQ(0, ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit));
	render_signal(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, render_wait(self->node, self->timer, 2));
	free(out);
}

/* libdrm calls again while it is told EAGAIN, so a full queue must say something else. */
TEST_F(render, full_queue)
{
	struct vfence_query query = { 0 };
	struct vfence_submit job = { .queue = self->manual };
	struct drm_vfence_submit submit = render_describe(&job, NULL, 0, NULL, 0);
	struct drm_vfence_submit *submits = calloc(VFENCE_MAX_BATCH, sizeof(*submits));

	ASSERT_EQ(0, vfence_ioctl(self->node, VFENCE_IOCTL_QUERY, &query));
	ASSERT_EQ(0, query.max_jobs % VFENCE_MAX_BATCH);
	for (int i = 0; i < VFENCE_MAX_BATCH; i++)
		submits[i] = submit;
	for (__u32 jobs = 0; jobs < query.max_jobs; jobs += VFENCE_MAX_BATCH)
		ASSERT_EQ(0, render_submit_batch(self->node, submits, VFENCE_MAX_BATCH, NULL));
	EXPECT_REFUSED(EBUSY, drmIoctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit));
	EXPECT_REFUSED(EBUSY, render_submit_batch(self->node, submits, 1, NULL));
	EXPECT_EQ(query.max_jobs, render_submitted(self->node, self->manual));
	free(submits);
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
		submits[i] = render_describe(&jobs[i], &in[i], i > 0, &out[i], 1);
	}
	/* A point that comes after. */
	in[1].point = 3;
	EXPECT_REFUSED(EINVAL, render_submit_batch(self->node, submits, 3, &refused));
	EXPECT_EQ(1, refused);
	in[1].point = 1;
	out[2].handle = 12345;
	EXPECT_REFUSED(ENOENT, render_submit_batch(self->node, submits, 3, &refused));
	EXPECT_EQ(2, refused);
	out[2].handle = self->timeline;
	jobs[2].flags = 1U << 31;
	EXPECT_REFUSED(EINVAL, render_submit_batch(self->node, submits, 3, &refused));
	EXPECT_EQ(2, refused);
	EXPECT_EQ(0, render_submitted(self->node, self->timer));
	EXPECT_EQ(-EINVAL, syncobj_signalled(self->node, self->timeline, 1));
	jobs[2].flags = 0;
	EXPECT_EQ(0, render_submit_batch(self->node, submits, 3, &refused));
	EXPECT_EQ(0, syncobj_wait(self->node, self->timeline, 3));
}

TEST_F(render, seen_in_fdinfo)
{
	char path[64], text[4096];
	ssize_t length;
	int file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->node);
	file = open(path, O_RDONLY | O_CLOEXEC);
	length = read(file, text, sizeof(text) - 1);
	ASSERT_LT(0, length);
	text[length] = '\0';
	close(file);
	EXPECT_NE(NULL, strstr(text, "drm-driver:\tvfence\n"));
	EXPECT_NE(NULL, strstr(text, "drm-client-id:\t"));
	EXPECT_NE(NULL, strstr(text, "vfence-queues:\t2\n"));
}

/* The primary node is no worse: no job needs a master or authentication. */
TEST_F(render, primary_node)
{
	int card = drm_node_open("card", "vfence");
	__u32 queue = render_queue(card, VFENCE_QUEUE_TIMER), handle = syncobj_create(card);
	struct vfence_submit job = { .queue = queue };
	struct drm_vfence_sync out = at(handle, 0);

	ASSERT_LE(0, card);
	EXPECT_EQ(0, render_submit(card, &job, NULL, &out));
	EXPECT_EQ(0, syncobj_wait(card, handle, 0));
	close(card);
}

/* The example of the literature: create, hand to the DMA job, wait, render. */
TEST(dma_then_render)
{
	EXPECT_EQ(0, system("render"));
}

TEST_HARNESS_MAIN
