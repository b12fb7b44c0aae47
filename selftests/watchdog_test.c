// SPDX-License-Identifier: GPL-2.0
/*
 * The watchdog, at its default of 2 s: every fence signals in bounded time.
 *
 * The bound counts from where a job becomes the head of a timer queue, and from
 * the submission of a manual job. A timestamp is the engine's, so it is exact
 * however late the interrupt is.
 */
#include "vfence_test.h"

FIXTURE(watchdog)
{
	int device;
	__u32 queue;
	__u64 bound;
};

FIXTURE_SETUP(watchdog)
{
	struct vfence_query query = { 0 };

	self->device = device_open();
	ASSERT_LE(0, self->device);
	ASSERT_EQ(0, ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	self->bound = query.watchdog_ns;
	ASSERT_LT(0, self->bound);
	self->queue = timer_queue(self->device);
}

FIXTURE_TEARDOWN(watchdog)
{
	close(self->device);
}

/* A fence that comes after 1.5 times the bound. */
static int late_fence(int device, __u64 bound)
{
	__u32 queue = timer_queue(device);

	close(submit(device, queue, bound * 3 / 4));
	return submit(device, queue, bound * 3 / 4);
}

TEST_F(watchdog, in_fence_comes_too_late)
{
	int in_fence = late_fence(self->device, self->bound);
	__u64 before = now_ns();
	int fence = submit_after(self->device, self->queue, 0, in_fence);
	__u64 after = now_ns();

	ASSERT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_LE(before + self->bound, fence_timestamp(fence));
	EXPECT_GE(after + self->bound, fence_timestamp(fence));
	/* It still comes, and finds nobody waiting. */
	EXPECT_EQ(1, fence_wait(in_fence));
	EXPECT_LT(fence_timestamp(fence), fence_timestamp(in_fence));
}

TEST_F(watchdog, queue_goes_on)
{
	int in_fence = late_fence(self->device, self->bound);
	int stuck = submit_after(self->device, self->queue, 0, in_fence);
	int next = submit(self->device, self->queue, MSEC);

	ASSERT_EQ(1, fence_wait(next));
	ASSERT_EQ(-ETIMEDOUT, fence_status(stuck));
	EXPECT_EQ(fence_timestamp(stuck) + MSEC, fence_timestamp(next));
}

TEST_F(watchdog, duration_counts)
{
	__u32 gate = manual_queue(self->device);
	int in_fence = submit(self->device, gate, 0);
	int fence = submit_after(self->device, self->queue, self->bound, in_fence);

	/* It starts a little after it became the head, so it would end too late. */
	ASSERT_EQ(1, signal_seqno(self->device, gate, 1, 0));
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
}

TEST_F(watchdog, longest_duration)
{
	__u64 before = now_ns();
	int fence = submit(self->device, self->queue, self->bound);

	ASSERT_EQ(1, fence_wait(fence));
	EXPECT_LE(before + self->bound, fence_timestamp(fence));
}

TEST_F(watchdog, waiting_in_the_queue_does_not_count)
{
	int first = submit(self->device, self->queue, self->bound * 3 / 4);
	int second = submit(self->device, self->queue, self->bound * 3 / 4);

	EXPECT_EQ(1, fence_wait(second));
	EXPECT_EQ(1, fence_status(first));
}

TEST_F(watchdog, manual_job)
{
	__u32 queue = manual_queue(self->device);
	__u64 before = now_ns();
	int fence = submit(self->device, queue, 0);

	ASSERT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_LE(before + self->bound, fence_timestamp(fence));
	EXPECT_EQ(1, queue_completed(self->device, queue));
	EXPECT_EQ(0, signal_seqno(self->device, queue, 1, 0));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence));
}

TEST_F(watchdog, manual_jobs_count_from_their_submission)
{
	__u32 queue = manual_queue(self->device);
	int fences[3];
	__u64 after;

	for (size_t i = 0; i < ARRAY_LEN(fences); i++)
		fences[i] = submit(self->device, queue, 0);
	after = now_ns();
	ASSERT_EQ(-ETIMEDOUT, fence_wait(fences[2]));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fences[0]));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fences[1]));
	EXPECT_LE(fence_timestamp(fences[0]), fence_timestamp(fences[1]));
	EXPECT_LE(fence_timestamp(fences[1]), fence_timestamp(fences[2]));
	EXPECT_GE(after + self->bound, fence_timestamp(fences[2]));
}

TEST_F(watchdog, manual_queue_goes_on)
{
	__u32 queue = manual_queue(self->device);
	int stuck = submit(self->device, queue, 0);
	int next;

	ASSERT_EQ(-ETIMEDOUT, fence_wait(stuck));
	next = submit(self->device, queue, 0);
	EXPECT_EQ(0, fence_status(next));
	EXPECT_EQ(1, signal_seqno(self->device, queue, 2, 0));
	EXPECT_EQ(1, fence_status(next));
}

TEST_F(watchdog, reaches_those_who_wait)
{
	__u32 queue = manual_queue(self->device);
	int stuck = submit(self->device, queue, 0);
	int fence = submit_after(self->device, self->queue, 0, stuck);

	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(-ETIMEDOUT, fence_status(stuck));
}

TEST_HARNESS_MAIN
