// SPDX-License-Identifier: GPL-2.0
/* Errors: those that a job is submitted with, and the policies for the errors of in-fences. */
#include "lib/test.h"

FIXTURE(policy)
{
	int device;
	__u32 manual;
	/* A queue with one pending job, whose out-fence is @fence. */
	__u32 gate;
	int fence;
	/* One queue for each policy. */
	__u32 propagate;
	__u32 ignore;
	__u32 cancel;
};

FIXTURE_VARIANTS_OF_NODES(policy);

static __u32 queue_with_policy(int device, __u32 policy)
{
	return queue_with(device, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER,
		.in_fence_policy = policy,
	});
}

FIXTURE_SETUP(policy)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->manual = manual_queue(self->device);
	self->gate = manual_queue(self->device);
	self->fence = submit(self->device, self->gate, 0);
	ASSERT_LE(0, self->fence);
	self->propagate = queue_with_policy(self->device, VFENCE_IN_FENCE_PROPAGATE);
	self->ignore = queue_with_policy(self->device, VFENCE_IN_FENCE_IGNORE);
	self->cancel = queue_with_policy(self->device, VFENCE_IN_FENCE_CANCEL);
	ASSERT_NE(0, self->propagate);
	ASSERT_NE(0, self->ignore);
	ASSERT_NE(0, self->cancel);
}

FIXTURE_TEARDOWN(policy)
{
	close(self->device);
}

#define OPEN_GATE(error) ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, error))

static bool stopped(int device, __u32 queue)
{
	struct vfence_queue_info info;

	return !queue_info(device, queue, &info) && info.state & VFENCE_QUEUE_STOPPED;
}

TEST_F(policy, job_ends_with_its_error)
{
	static const int errors[] = { -1, -EIO, -ECANCELED, -ENOENT, -4095 };

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct vfence_submit submit = {
			.queue = self->propagate,
			.flags = VFENCE_SUBMIT_OUT_FENCE,
			.duration_ns = MSEC,
			.error = errors[i],
		};
		struct vfence_job_info info;

		ASSERT_EQ(0, submit_job(self->device, &submit));
		EXPECT_EQ(errors[i], fence_wait(submit.out_fence));
		info = job_of(self->device, self->propagate, i + 1);
		EXPECT_EQ(VFENCE_JOB_COMPLETED, info.state);
		EXPECT_EQ(errors[i], info.error);
		/* The job ran for its duration. */
		EXPECT_EQ(info.start_ns + MSEC, info.end_ns);
	}
}

TEST_F(policy, job_error_does_not_affect_the_next)
{
	struct vfence_submit submit = { .queue = self->cancel, .error = -EIO };
	struct vfence_queue_info info;

	ASSERT_EQ(0, submit_job(self->device, &submit));
	submit.error = 0;
	ASSERT_EQ(0, submit_job(self->device, &submit));
	ASSERT_EQ(0, wait_idle(self->device, self->cancel));
	EXPECT_EQ(-EIO, job_of(self->device, self->cancel, 1).error);
	EXPECT_EQ(0, job_of(self->device, self->cancel, 2).error);
	ASSERT_EQ(0, queue_info(self->device, self->cancel, &info));
	EXPECT_EQ(1, info.errors);
	EXPECT_EQ(0, info.state);
}

TEST_F(policy, invalid_error_is_refused)
{
	static const int errors[] = { 1, EIO, -4096, INT_MAX, INT_MIN };

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct vfence_submit submit = { .queue = self->propagate, .error = errors[i] };

		EXPECT_REFUSED(EINVAL, submit_job(self->device, &submit));
		submit.queue = self->manual;
		EXPECT_REFUSED(EINVAL, submit_job(self->device, &submit));
	}
	EXPECT_EQ(0, queue_submitted(self->device, self->propagate));
}

TEST_F(policy, signal_overrides_a_manual_jobs_error)
{
	struct vfence_submit submit = { .queue = self->manual };

	for (int i = 0; i < 3; i++) {
		submit.error = i < 2 ? -EIO : 0;
		ASSERT_EQ(0, submit_job(self->device, &submit));
	}
	/* The job's own error, the error of the call, and no error. */
	EXPECT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	EXPECT_EQ(1, signal_seqno(self->device, self->manual, 2, -EPROTO));
	EXPECT_EQ(1, signal_seqno(self->device, self->manual, 3, 0));
	EXPECT_EQ(-EIO, job_of(self->device, self->manual, 1).error);
	EXPECT_EQ(-EPROTO, job_of(self->device, self->manual, 2).error);
	EXPECT_EQ(0, job_of(self->device, self->manual, 3).error);
}

TEST_F(policy, propagate_fails_the_job_without_running_it)
{
	int fence = submit_after(self->device, self->propagate, 10 * MSEC, self->fence);
	struct vfence_job_info info;

	OPEN_GATE(-EPROTO);
	EXPECT_EQ(-EPROTO, fence_wait(fence));
	info = job_of(self->device, self->propagate, 1);
	EXPECT_EQ(0, info.start_ns);
	EXPECT_EQ(-EPROTO, info.error);
	EXPECT_FALSE(stopped(self->device, self->propagate));
	/* The jobs behind it run. */
	EXPECT_EQ(1, fence_wait(submit(self->device, self->propagate, MSEC)));
}

TEST_F(policy, ignore_runs_the_job)
{
	int late = submit_after(self->device, self->ignore, 2 * MSEC, self->fence), early;
	struct vfence_job_info info;

	OPEN_GATE(-EPROTO);
	early = submit_after(self->device, self->ignore, 2 * MSEC, self->fence);
	EXPECT_EQ(1, fence_wait(late));
	EXPECT_EQ(1, fence_wait(early));
	for (int i = 1; i <= 2; i++) {
		info = job_of(self->device, self->ignore, i);
		EXPECT_EQ(0, info.error);
		EXPECT_EQ(info.start_ns + 2 * MSEC, info.end_ns);
	}
}

/* Submits a job with an error of its own and an in-fence. Returns its out-fence. */
static int submit_failing(FIXTURE_DATA(policy) *self, __u32 queue)
{
	struct vfence_submit submit = {
		.queue = queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.in_fences = ptr_to_u64(&self->fence),
		.in_fence_count = 1,
		.error = -EIO,
	};

	return submit_job(self->device, &submit) ? -1 : submit.out_fence;
}

TEST_F(policy, ignore_keeps_the_jobs_own_error)
{
	int fence = submit_failing(self, self->ignore);

	ASSERT_LE(0, fence);
	OPEN_GATE(-EPROTO);
	EXPECT_EQ(-EIO, fence_wait(fence));
}

TEST_F(policy, in_fence_error_precedes_the_jobs_own)
{
	int fence = submit_failing(self, self->propagate);

	ASSERT_LE(0, fence);
	OPEN_GATE(-EPROTO);
	EXPECT_EQ(-EPROTO, fence_wait(fence));
}

TEST_F(policy, cancel_stops_the_queue)
{
	int first = submit_after(self->device, self->cancel, MSEC, self->fence);
	int behind = submit(self->device, self->cancel, MSEC);
	__u32 other = manual_queue(self->device);
	int never = submit(self->device, other, 0);
	int waiting = submit_after(self->device, self->cancel, MSEC, never);

	OPEN_GATE(-EPROTO);
	EXPECT_EQ(-EPROTO, fence_wait(first));
	EXPECT_EQ(-ECANCELED, fence_wait(behind));
	/* The jobs behind it are cancelled without waiting for their in-fences. */
	EXPECT_EQ(-ECANCELED, fence_wait(waiting));
	EXPECT_EQ(0, fence_status(never));
	EXPECT_TRUE(stopped(self->device, self->cancel));
	EXPECT_EQ(0, job_of(self->device, self->cancel, 2).start_ns);
	/* A stopped queue cancels jobs that are submitted later. */
	EXPECT_EQ(-ECANCELED, fence_wait(submit(self->device, self->cancel, MSEC)));
	EXPECT_EQ(-ECANCELED, fence_wait(submit_after(self->device, self->cancel, 0, never)));
}

TEST_F(policy, cancel_applies_to_an_in_fence_that_failed_before_submit)
{
	OPEN_GATE(-EPROTO);
	EXPECT_EQ(-EPROTO, fence_wait(submit_after(self->device, self->cancel, MSEC, self->fence)));
	EXPECT_TRUE(stopped(self->device, self->cancel));
	EXPECT_EQ(-ECANCELED, fence_wait(submit(self->device, self->cancel, 0)));
}

TEST_F(policy, cancel_applies_when_the_job_is_the_head)
{
	int running = submit(self->device, self->cancel, 20 * MSEC), failing;

	OPEN_GATE(-EPROTO);
	failing = submit_after(self->device, self->cancel, 0, self->fence);
	EXPECT_EQ(1, fence_wait(running));
	EXPECT_EQ(-EPROTO, fence_wait(failing));
	EXPECT_EQ(fence_timestamp(running), fence_timestamp(failing));
}

TEST_F(policy, cancel_policy_without_an_error_runs_jobs)
{
	OPEN_GATE(0);
	EXPECT_EQ(1, fence_wait(submit_after(self->device, self->cancel, MSEC, self->fence)));
	EXPECT_FALSE(stopped(self->device, self->cancel));
}

TEST_F(policy, reset_restarts_a_stopped_queue)
{
	__u64 resets;

	OPEN_GATE(-EPROTO);
	EXPECT_EQ(-EPROTO, fence_wait(submit_after(self->device, self->cancel, 0, self->fence)));
	ASSERT_EQ(0, queue_reset(self->device, self->cancel, &resets));
	EXPECT_EQ(1, resets);
	EXPECT_FALSE(stopped(self->device, self->cancel));
	EXPECT_EQ(1, fence_wait(submit(self->device, self->cancel, MSEC)));
}

TEST_F(policy, stopped_queue_still_numbers_and_counts)
{
	struct vfence_submit jobs[100] = { 0 };
	struct vfence_queue_info info;

	OPEN_GATE(-EPROTO);
	EXPECT_EQ(-EPROTO, fence_wait(submit_after(self->device, self->cancel, 0, self->fence)));
	for (int i = 0; i < 100; i++)
		jobs[i].queue = self->cancel;
	ASSERT_EQ(0, submit_batch(self->device, jobs, 100, NULL));
	EXPECT_EQ(101, jobs[99].seqno);
	ASSERT_EQ(0, wait_idle(self->device, self->cancel));
	ASSERT_EQ(0, queue_info(self->device, self->cancel, &info));
	EXPECT_EQ(101, info.completed);
	EXPECT_EQ(101, info.errors);
	EXPECT_EQ(0, info.timeouts);
}

TEST_F(policy, unknown_policy_is_refused)
{
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_TIMER };

	create.in_fence_policy = VFENCE_IN_FENCE_CANCEL + 1;
	EXPECT_REFUSED(EINVAL, queue_create_with(self->device, &create));
	create.in_fence_policy = ~0U;
	EXPECT_REFUSED(EINVAL, queue_create_with(self->device, &create));
	create.in_fence_policy = 0;
	create.timeout_policy = VFENCE_TIMEOUT_CANCEL + 1;
	EXPECT_REFUSED(EINVAL, queue_create_with(self->device, &create));
	create.timeout_policy = 0;
	create.pad2 = 1;
	EXPECT_REFUSED(EINVAL, queue_create_with(self->device, &create));
}

TEST_F(policy, manual_queue_refuses_an_in_fence_policy)
{
	struct vfence_queue_create create = {
		.kind = VFENCE_QUEUE_MANUAL,
		.in_fence_policy = VFENCE_IN_FENCE_IGNORE,
	};

	EXPECT_REFUSED(EINVAL, queue_create_with(self->device, &create));
	create.in_fence_policy = 0;
	EXPECT_EQ(0, queue_create_with(self->device, &create));
}

TEST_HARNESS_MAIN
