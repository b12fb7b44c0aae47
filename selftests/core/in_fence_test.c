// SPDX-License-Identifier: GPL-2.0
/* In-fences: what a job waits for, and how their errors reach it. */
#include "core/in_fence_fixture.h"

TEST_F(in_fence, job_waits_for_its_in_fence)
{
	int fence = submit_after(self->device, self->queue, MSEC, self->fences[0]);

	EXPECT_EQ(0, fence_status(fence));
	OPEN_GATE(0, 0);
	ASSERT_EQ(1, fence_wait(fence));
	EXPECT_EQ(fence_timestamp(self->fences[0]) + MSEC, fence_timestamp(fence));
}

/* Timestamps follow the durations, however late the interrupts come. */
TEST_F(in_fence, pipeline_takes_the_sum_of_its_durations)
{
	__u32 queues[] = { self->queue, worker_queue(self->device), timer_queue(self->device) };
	int last = self->fences[0];

	for (int i = 0; i < 60; i++) {
		last = submit_after(self->device, queues[i % ARRAY_LEN(queues)], 10000 + i, last);
		ASSERT_LE(0, last);
	}
	OPEN_GATE(0, 0);
	ASSERT_EQ(1, fence_wait(last));
	EXPECT_EQ(fence_timestamp(self->fences[0]) + 60 * 10000 + 59 * 60 / 2,
		  fence_timestamp(last));
}

TEST_F(in_fence, job_starts_at_the_last_in_fence)
{
	int fence = submit_waiting(self->device, self->queue, MSEC, self->fences, 2);

	OPEN_GATE(0, 0);
	OPEN_GATE(1, 0);
	ASSERT_EQ(1, fence_wait(fence));
	EXPECT_EQ(fence_timestamp(self->fences[1]), job_of(self->device, self->queue, 1).start_ns);
	EXPECT_EQ(fence_timestamp(self->fences[1]) + MSEC, fence_timestamp(fence));
}

TEST_F(in_fence, job_waits_for_all_in_fences)
{
	int fence = submit_waiting(self->device, self->queue, 0, self->fences, 2);

	OPEN_GATE(1, 0);
	EXPECT_EQ(0, fence_status(fence));
	OPEN_GATE(0, 0);
	ASSERT_EQ(1, fence_wait(fence));
	EXPECT_LE(fence_timestamp(self->fences[0]), fence_timestamp(fence));
	EXPECT_LE(fence_timestamp(self->fences[1]), fence_timestamp(fence));
}

TEST_F(in_fence, signalled_in_fence_starts_the_job)
{
	OPEN_GATE(0, 0);
	EXPECT_EQ(1, fence_wait(submit_after(self->device, self->queue, 0, self->fences[0])));
}

TEST_F(in_fence, signalled_in_fence_among_pending_ones)
{
	int fence;

	OPEN_GATE(0, 0);
	fence = submit_waiting(self->device, self->queue, 0, self->fences, 2);
	EXPECT_EQ(0, fence_status(fence));
	OPEN_GATE(1, 0);
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(in_fence, same_in_fence_twice)
{
	__s32 twice[] = { self->fences[0], self->fences[0] };
	int fence = submit_waiting(self->device, self->queue, 0, twice, 2);

	EXPECT_EQ(0, fence_status(fence));
	OPEN_GATE(0, 0);
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(in_fence, maximum_number_of_in_fences)
{
	static __s32 many[VFENCE_MAX_IN_FENCES];
	int fence;

	for (int i = 0; i < VFENCE_MAX_IN_FENCES; i++)
		many[i] = self->fences[i & 1];
	fence = submit_waiting(self->device, self->queue, 0, many, VFENCE_MAX_IN_FENCES);
	ASSERT_LE(0, fence);
	OPEN_GATE(0, 0);
	EXPECT_EQ(0, fence_status(fence));
	OPEN_GATE(1, 0);
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(in_fence, job_waits_for_a_merged_fence)
{
	int merged = fence_merge(self->fences[0], self->fences[1]);
	int fence = submit_after(self->device, self->queue, 0, merged);

	ASSERT_LE(0, merged);
	OPEN_GATE(0, 0);
	EXPECT_EQ(0, fence_status(fence));
	OPEN_GATE(1, 0);
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(in_fence, merged_fence_and_one_of_its_parts)
{
	__s32 both[] = { fence_merge(self->fences[0], self->fences[1]), self->fences[1] };
	int fence = submit_waiting(self->device, self->queue, 0, both, 2);

	OPEN_GATE(1, 0);
	EXPECT_EQ(0, fence_status(fence));
	OPEN_GATE(0, 0);
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(in_fence, in_fence_of_the_same_queue)
{
	int first = submit_after(self->device, self->queue, MSEC, self->fences[0]);
	int second = submit_after(self->device, self->queue, MSEC, first);

	EXPECT_EQ(0, fence_status(second));
	OPEN_GATE(0, 0);
	ASSERT_EQ(1, fence_wait(second));
	EXPECT_EQ(1, fence_status(first));
	EXPECT_LE(fence_timestamp(first) + MSEC, fence_timestamp(second));
}

TEST_F(in_fence, in_fence_may_be_closed_after_submit)
{
	int in_fence = dup(self->fences[0]);
	int fence = submit_after(self->device, self->queue, 0, in_fence);

	close(in_fence);
	close(self->fences[0]);
	EXPECT_EQ(0, fence_status(fence));
	OPEN_GATE(0, 0);
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(in_fence, chain_over_three_queues)
{
	__u32 second_queue = timer_queue(self->device), third_queue = timer_queue(self->device);
	int first = submit_after(self->device, self->queue, 3 * MSEC, self->fences[0]);
	int second = submit_after(self->device, second_queue, 2 * MSEC, first);
	int third = submit_after(self->device, third_queue, MSEC, second);

	EXPECT_EQ(0, fence_status(third));
	OPEN_GATE(0, 0);
	ASSERT_EQ(1, fence_wait(third));
	EXPECT_LE(fence_timestamp(self->fences[0]) + 3 * MSEC, fence_timestamp(first));
	EXPECT_LE(fence_timestamp(first) + 2 * MSEC, fence_timestamp(second));
	EXPECT_LE(fence_timestamp(second) + MSEC, fence_timestamp(third));
}

TEST_F(in_fence, in_fence_of_another_client)
{
	int other = variant->node->open();
	int fence = submit_after(other, timer_queue(other), 0, self->fences[0]);

	EXPECT_EQ(0, fence_status(fence));
	OPEN_GATE(0, 0);
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(in_fence, many_jobs_wait_for_one_fence)
{
	int fences[8];

	for (size_t i = 0; i < ARRAY_LEN(fences); i++)
		fences[i] = submit_after(self->device, timer_queue(self->device), 0,
					 self->fences[0]);
	OPEN_GATE(0, 0);
	for (size_t i = 0; i < ARRAY_LEN(fences); i++)
		EXPECT_EQ(1, fence_wait(fences[i]));
}

TEST_F(in_fence, error_of_an_in_fence_propagates)
{
	/* If the job ran, the watchdog would end it. */
	int fence = submit_after(self->device, self->queue, 2 * SEC, self->fences[0]);

	OPEN_GATE(0, -EIO);
	EXPECT_EQ(-EIO, fence_wait(fence));
	EXPECT_LE(fence_timestamp(self->fences[0]), fence_timestamp(fence));
}

TEST_F(in_fence, error_of_a_signalled_in_fence_propagates)
{
	int fence;

	OPEN_GATE(0, -EIO);
	fence = submit_after(self->device, self->queue, 2 * SEC, self->fences[0]);
	EXPECT_EQ(-EIO, fence_wait(fence));
}

TEST_F(in_fence, error_waits_for_the_others)
{
	int fence = submit_waiting(self->device, self->queue, 0, self->fences, 2);

	OPEN_GATE(1, -EIO);
	EXPECT_EQ(0, fence_status(fence));
	OPEN_GATE(0, 0);
	EXPECT_EQ(-EIO, fence_wait(fence));
	EXPECT_LE(fence_timestamp(self->fences[0]), fence_timestamp(fence));
}

TEST_F(in_fence, first_error_wins)
{
	int fence = submit_waiting(self->device, self->queue, 0, self->fences, 2);

	OPEN_GATE(1, -EIO);
	OPEN_GATE(0, -ENODATA);
	EXPECT_EQ(-EIO, fence_wait(fence));
}

TEST_F(in_fence, error_present_at_submit_wins)
{
	int fence;

	OPEN_GATE(1, -EIO);
	fence = submit_waiting(self->device, self->queue, 0, self->fences, 2);
	OPEN_GATE(0, -ENODATA);
	EXPECT_EQ(-EIO, fence_wait(fence));
}

TEST_F(in_fence, error_takes_effect_when_the_job_is_the_head)
{
	int first, second;

	OPEN_GATE(1, -EIO);
	first = submit_after(self->device, self->queue, MSEC, self->fences[0]);
	second = submit_after(self->device, self->queue, MSEC, self->fences[1]);
	EXPECT_EQ(0, fence_status(second));
	OPEN_GATE(0, 0);
	EXPECT_EQ(-EIO, fence_wait(second));
	EXPECT_EQ(1, fence_status(first));
	EXPECT_LE(fence_timestamp(first), fence_timestamp(second));
}

TEST_F(in_fence, error_does_not_stop_the_queue)
{
	int first = submit_after(self->device, self->queue, MSEC, self->fences[0]);
	int second = submit(self->device, self->queue, MSEC);

	OPEN_GATE(0, -EIO);
	EXPECT_EQ(1, fence_wait(second));
	EXPECT_EQ(-EIO, fence_status(first));
}

TEST_F(in_fence, error_passes_through_a_chain)
{
	__u32 second_queue = timer_queue(self->device), third_queue = timer_queue(self->device);
	int first = submit_after(self->device, self->queue, MSEC, self->fences[0]);
	int second = submit_after(self->device, second_queue, MSEC, first);
	int third = submit_after(self->device, third_queue, MSEC, second);

	OPEN_GATE(0, -EIO);
	EXPECT_EQ(-EIO, fence_wait(third));
	EXPECT_EQ(-EIO, fence_status(second));
	EXPECT_EQ(-EIO, fence_status(first));
}

TEST_F(in_fence, error_of_a_merged_fence_propagates)
{
	int merged = fence_merge(self->fences[0], self->fences[1]);
	int fence = submit_after(self->device, self->queue, 0, merged);

	OPEN_GATE(0, 0);
	OPEN_GATE(1, -EIO);
	EXPECT_EQ(-EIO, fence_wait(fence));
}

TEST_HARNESS_MAIN
