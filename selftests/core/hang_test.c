// SPDX-License-Identifier: GPL-2.0
/* Jobs that hang, the watchdog that ends them, and resets. */
#include "lib/test.h"

#define TIMEOUT (40 * MSEC)

FIXTURE(hang)
{
	int device;
	/* One queue for each timeout policy. */
	struct vfence_queue_create proceed;
	struct vfence_queue_create cancel;
	__u32 manual;
	/* A queue with one pending job, whose out-fence is @fence. */
	__u32 gate;
	int fence;
};

FIXTURE_VARIANTS_OF_NODES(hang);

FIXTURE_SETUP(hang)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->proceed = (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER,
		.timeout_ns = TIMEOUT,
		.timeout_policy = VFENCE_TIMEOUT_CONTINUE,
	};
	self->cancel = self->proceed;
	self->cancel.timeout_policy = VFENCE_TIMEOUT_CANCEL;
	ASSERT_EQ(0, queue_create_with(self->device, &self->proceed));
	ASSERT_EQ(0, queue_create_with(self->device, &self->cancel));
	self->manual = manual_queue(self->device);
	self->gate = manual_queue(self->device);
	self->fence = submit(self->device, self->gate, 0);
	ASSERT_LE(0, self->fence);
}

FIXTURE_TEARDOWN(hang)
{
	close(self->device);
}

/* Submits a job that hangs and returns its out-fence. */
static int submit_hang(int device, __u32 queue)
{
	struct vfence_submit submit = {
		.queue = queue,
		.flags = VFENCE_SUBMIT_HANG | VFENCE_SUBMIT_OUT_FENCE,
	};

	return submit_job(device, &submit) ? -1 : submit.out_fence;
}

static struct vfence_queue_info info(int device, __u32 queue)
{
	struct vfence_queue_info info;

	queue_info(device, queue, &info);
	return info;
}

/* Waits until a job has started. */
static void wait_for_start(int device, __u32 queue, __u64 seqno)
{
	while (job_of(device, queue, seqno).state == VFENCE_JOB_PENDING)
		;
}

TEST_F(hang, hang_ends_at_the_timeout)
{
	int fence = submit_hang(self->device, self->proceed.queue);
	struct vfence_job_info info;

	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	info = job_of(self->device, self->proceed.queue, 1);
	EXPECT_EQ(info.submitted_ns, info.start_ns);
	EXPECT_EQ(info.start_ns + TIMEOUT, info.end_ns);
	EXPECT_EQ(info.end_ns, fence_timestamp(fence));
	EXPECT_LE(info.end_ns, now_ns());
}

TEST_F(hang, timeout_counts_from_when_the_job_is_the_head)
{
	int before = submit(self->device, self->proceed.queue, 25 * MSEC);
	int fence = submit_hang(self->device, self->proceed.queue);

	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(1, fence_status(before));
	EXPECT_EQ(fence_timestamp(before) + TIMEOUT, fence_timestamp(fence));
}

TEST_F(hang, continue_runs_the_next_job)
{
	int guilty = submit_hang(self->device, self->proceed.queue);
	int innocent = submit(self->device, self->proceed.queue, MSEC);
	struct vfence_queue_info after;

	EXPECT_EQ(-ETIMEDOUT, fence_wait(guilty));
	EXPECT_EQ(1, fence_wait(innocent));
	EXPECT_EQ(fence_timestamp(guilty) + MSEC, fence_timestamp(innocent));
	after = info(self->device, self->proceed.queue);
	EXPECT_EQ(1, after.timeouts);
	EXPECT_EQ(1, after.resets);
	EXPECT_EQ(1, after.errors);
	EXPECT_EQ(0, after.state);
}

TEST_F(hang, cancel_cancels_the_jobs_behind)
{
	int guilty = submit_hang(self->device, self->cancel.queue);
	int innocent = submit(self->device, self->cancel.queue, MSEC);
	int waiting = submit_after(self->device, self->cancel.queue, MSEC, self->fence);
	struct vfence_queue_info after;

	EXPECT_EQ(-ETIMEDOUT, fence_wait(guilty));
	EXPECT_EQ(-ECANCELED, fence_wait(innocent));
	EXPECT_EQ(-ECANCELED, fence_wait(waiting));
	EXPECT_EQ(fence_timestamp(guilty), fence_timestamp(innocent));
	after = info(self->device, self->cancel.queue);
	EXPECT_EQ(1, after.timeouts);
	EXPECT_EQ(0, after.resets);
	EXPECT_EQ(3, after.errors);
	EXPECT_EQ(VFENCE_QUEUE_STOPPED, after.state);
}

TEST_F(hang, cancel_stops_the_queue_until_reset)
{
	__u64 resets;

	EXPECT_EQ(-ETIMEDOUT, fence_wait(submit_hang(self->device, self->cancel.queue)));
	EXPECT_EQ(-ECANCELED, fence_wait(submit(self->device, self->cancel.queue, MSEC)));
	EXPECT_EQ(-ECANCELED, fence_wait(submit_hang(self->device, self->cancel.queue)));
	ASSERT_EQ(0, queue_reset(self->device, self->cancel.queue, &resets));
	EXPECT_EQ(1, resets);
	EXPECT_EQ(0, info(self->device, self->cancel.queue).state);
	EXPECT_EQ(1, fence_wait(submit(self->device, self->cancel.queue, MSEC)));
	/* The queue may stop again. */
	EXPECT_EQ(-ETIMEDOUT, fence_wait(submit_hang(self->device, self->cancel.queue)));
	EXPECT_EQ(VFENCE_QUEUE_STOPPED, info(self->device, self->cancel.queue).state);
	EXPECT_EQ(2, info(self->device, self->cancel.queue).timeouts);
}

TEST_F(hang, counters_page_agrees_with_queue_info)
{
	const volatile struct vfence_counters *counters =
		map_counters(self->device, self->cancel.counters_offset);

	ASSERT_NE(MAP_FAILED, (void *)counters);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(submit_hang(self->device, self->cancel.queue)));
	ASSERT_EQ(0, submit(self->device, self->cancel.queue, 0) < 0);
	ASSERT_EQ(0, wait_idle(self->device, self->cancel.queue));
	EXPECT_EQ(2, counters->submitted);
	EXPECT_EQ(2, counters->completed);
	EXPECT_EQ(2, counters->errors);
	EXPECT_EQ(1, counters->timeouts);
	EXPECT_EQ(0, counters->resets);
	ASSERT_EQ(0, queue_reset(self->device, self->cancel.queue, NULL));
	EXPECT_EQ(1, counters->resets);
}

TEST_F(hang, queue_info_reports_the_timeout)
{
	struct vfence_query query = { 0 };
	struct vfence_queue_info reported;

	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	reported = info(self->device, self->proceed.queue);
	EXPECT_EQ(TIMEOUT, reported.timeout_ns);
	reported = info(self->device, self->manual);
	EXPECT_EQ(query.watchdog_ns, reported.timeout_ns);
}

TEST_F(hang, timeout_beyond_the_watchdog_is_refused)
{
	struct vfence_query query = { 0 };
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_TIMER };

	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	ASSERT_NE(0, query.watchdog_ns);
	create.timeout_ns = query.watchdog_ns;
	EXPECT_EQ(0, queue_create_with(self->device, &create));
	create.timeout_ns = query.watchdog_ns + 1;
	EXPECT_REFUSED(EINVAL, queue_create_with(self->device, &create));
	create.timeout_ns = ~0ULL;
	EXPECT_REFUSED(EINVAL, queue_create_with(self->device, &create));
}

TEST_F(hang, job_that_takes_too_long_times_out)
{
	int fence = submit(self->device, self->proceed.queue, TIMEOUT + 1);
	int fits = submit(self->device, self->proceed.queue, TIMEOUT);

	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(1, fence_wait(fits));
	EXPECT_EQ(fence_timestamp(fence) + TIMEOUT, fence_timestamp(fits));
	EXPECT_EQ(1, info(self->device, self->proceed.queue).timeouts);
}

TEST_F(hang, time_spent_on_in_fences_counts)
{
	int fence = submit_after(self->device, self->proceed.queue, 0, self->fence);
	struct vfence_job_info info;

	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(0, fence_status(self->fence));
	info = job_of(self->device, self->proceed.queue, 1);
	EXPECT_EQ(0, info.start_ns);
	EXPECT_EQ(info.submitted_ns + TIMEOUT, info.end_ns);
}

TEST_F(hang, timeout_of_a_manual_queue)
{
	struct vfence_queue_create create = {
		.kind = VFENCE_QUEUE_MANUAL,
		.timeout_ns = TIMEOUT,
		.timeout_policy = VFENCE_TIMEOUT_CANCEL,
	};
	struct vfence_job_info info;
	int fence, behind;

	ASSERT_EQ(0, queue_create_with(self->device, &create));
	fence = submit(self->device, create.queue, 0);
	behind = submit(self->device, create.queue, 0);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(-ECANCELED, fence_wait(behind));
	info = job_of(self->device, create.queue, 1);
	EXPECT_EQ(info.submitted_ns + TIMEOUT, info.end_ns);
	/* No job is left to signal. */
	EXPECT_EQ(0, signal_seqno(self->device, create.queue, 2, 0));
	EXPECT_EQ(-ECANCELED, fence_wait(submit(self->device, create.queue, 0)));
	ASSERT_EQ(0, queue_reset(self->device, create.queue, NULL));
	ASSERT_LE(0, fence = submit(self->device, create.queue, 0));
	EXPECT_EQ(0, fence_status(fence));
}

TEST_F(hang, timeout_propagates_to_another_queue)
{
	int guilty = submit_hang(self->device, self->cancel.queue);
	int reader = submit_after(self->device, timer_queue(self->device), MSEC, guilty);

	EXPECT_EQ(-ETIMEDOUT, fence_wait(reader));
	EXPECT_LE(fence_timestamp(guilty), fence_timestamp(reader));
}

TEST_F(hang, manual_queue_refuses_a_hang)
{
	struct vfence_submit submit = { .queue = self->manual, .flags = VFENCE_SUBMIT_HANG };

	EXPECT_REFUSED(EINVAL, submit_job(self->device, &submit));
	EXPECT_EQ(0, queue_submitted(self->device, self->manual));
}

TEST_F(hang, reset_cancels_the_running_job)
{
	__u32 queue = timer_queue(self->device);
	int guilty = submit_hang(self->device, queue);
	int next = submit(self->device, queue, MSEC);
	struct vfence_queue_info after;
	__u64 resets, before = now_ns();

	ASSERT_EQ(0, queue_reset(self->device, queue, &resets));
	EXPECT_EQ(1, resets);
	/* The fence has signalled before the call returns. */
	EXPECT_EQ(-ECANCELED, fence_status(guilty));
	EXPECT_LE(before, fence_timestamp(guilty));
	EXPECT_EQ(1, fence_wait(next));
	EXPECT_EQ(fence_timestamp(guilty) + MSEC, fence_timestamp(next));
	after = info(self->device, queue);
	EXPECT_EQ(1, after.errors);
	EXPECT_EQ(0, after.timeouts);
	EXPECT_EQ(1, after.resets);
}

TEST_F(hang, reset_leaves_queued_jobs)
{
	__u32 queue = timer_queue(self->device);
	int fences[3];

	for (int i = 0; i < 3; i++)
		fences[i] = submit(self->device, queue, 1900 * MSEC);
	wait_for_start(self->device, queue, 1);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, fence_status(fences[i]));
		ASSERT_EQ(0, queue_reset(self->device, queue, NULL));
		EXPECT_EQ(-ECANCELED, fence_status(fences[i]));
	}
	EXPECT_EQ(3, info(self->device, queue).resets);
}

TEST_F(hang, reset_leaves_a_job_that_waits_for_in_fences)
{
	__u32 queue = timer_queue(self->device);
	int fence = submit_after(self->device, queue, MSEC, self->fence);

	ASSERT_EQ(0, queue_reset(self->device, queue, NULL));
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, 0));
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(hang, reset_of_an_idle_queue_counts)
{
	__u64 resets;

	for (__u64 i = 1; i <= 3; i++) {
		ASSERT_EQ(0, queue_reset(self->device, self->proceed.queue, &resets));
		EXPECT_EQ(i, resets);
	}
	EXPECT_EQ(3, info(self->device, self->proceed.queue).resets);
	EXPECT_EQ(1, fence_wait(submit(self->device, self->proceed.queue, 0)));
}

TEST_F(hang, reset_of_a_manual_queue)
{
	int fence = submit(self->device, self->manual, 0);
	__u64 resets;

	ASSERT_EQ(0, queue_reset(self->device, self->manual, &resets));
	EXPECT_EQ(1, resets);
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	EXPECT_EQ(1, fence_status(fence));
}

TEST_F(hang, invalid_reset_is_refused)
{
	struct vfence_queue_reset reset = { .queue = 77 };

	EXPECT_REFUSED(ENOENT, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_RESET, &reset));
	reset.queue = self->proceed.queue;
	reset.flags = 1;
	EXPECT_REFUSED(EINVAL, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_RESET, &reset));
	EXPECT_REFUSED(EFAULT, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_RESET, unmapped(1)));
	EXPECT_EQ(0, info(self->device, self->proceed.queue).resets);
}

TEST_F(hang, many_hangs_in_a_row)
{
	struct vfence_submit jobs[10] = { 0 };
	struct vfence_job_info info, before = { 0 };

	for (int i = 0; i < 10; i++)
		jobs[i] = (struct vfence_submit) {
			.queue = self->proceed.queue,
			.flags = VFENCE_SUBMIT_HANG,
		};
	ASSERT_EQ(0, submit_batch(self->device, jobs, 10, NULL));
	ASSERT_EQ(0, wait_idle(self->device, self->proceed.queue));
	for (int i = 1; i <= 10; i++) {
		info = job_of(self->device, self->proceed.queue, i);
		EXPECT_EQ(-ETIMEDOUT, info.error);
		EXPECT_EQ(info.start_ns + TIMEOUT, info.end_ns);
		if (i > 1)
			EXPECT_EQ(before.end_ns, info.start_ns);
		before = info;
	}
}

TEST_HARNESS_MAIN
