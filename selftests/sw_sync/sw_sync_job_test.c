// SPDX-License-Identifier: GPL-2.0
/* Jobs of vfence that wait for sw_sync fences. */
#include "sw_sync/fixture.h"
#include "sw_sync/vfence_only.h"

TEST_F(sw_sync, job_waits_for_a_fence)
{
	int device = device_open();
	int fence = FENCE(1);
	int out = submit_after(device, timer_queue(device), MSEC, fence);

	ASSERT_LE(0, out);
	EXPECT_EQ(0, fence_status(out));
	INC(1);
	EXPECT_EQ(1, fence_wait(out));
	EXPECT_LE(fence_timestamp(fence) + MSEC, fence_timestamp(out));
}

TEST_F(sw_sync, job_waits_for_a_merged_fence)
{
	int device = device_open(), other = timeline_open(variant->node);
	int theirs = fence_create(other, 1), mine = FENCE(1);
	int merged = fence_merge(mine, theirs);
	int out = submit_after(device, timer_queue(device), 0, merged);

	ASSERT_LE(0, out);
	/* Only the job holds the fences. */
	close(theirs);
	close(mine);
	close(merged);
	INC(1);
	EXPECT_EQ(0, fence_status(out));
	ASSERT_EQ(0, timeline_inc(other, 1));
	EXPECT_EQ(1, fence_wait(out));
	INC(1);
}

TEST_F(sw_sync, close_fails_a_waiting_job)
{
	int device = device_open();
	int out = submit_after(device, timer_queue(device), MSEC, FENCE(1));

	ASSERT_LE(0, out);
	ASSERT_EQ(0, close(self->timeline));
	EXPECT_EQ(-ENOENT, fence_wait(out));
	self->timeline = -1;
}

/*
 * A fence callback drops the last reference to a fence of the timeline that signals. The kernel's
 * sw_sync would deadlock: it signals under the lock that it takes to release a fence.
 */
TEST_F(vfence_sw_sync, jobs_drop_fences_during_inc)
{
	int device = device_open();
	__u32 queue = timer_queue(device);
	int out = -1;

	for (__u32 value = 1; value <= 100; value++) {
		/* Two jobs wait for each fence, in both orders. */
		__s32 in_fences[] = { FENCE(value), FENCE(value + 1), FENCE(value + 2) };

		close(out);
		out = submit_waiting(device, queue, 0, in_fences, ARRAY_LEN(in_fences));
		ASSERT_LE(0, out);
		for (size_t i = 0; i < ARRAY_LEN(in_fences); i++)
			close(in_fences[i]);
	}
	for (int i = 0; i < 50; i++)
		INC(1);
	INC(50);
	EXPECT_EQ(0, fence_status(out));
	INC(2);
	EXPECT_EQ(1, fence_wait(out));
}

TEST_F(vfence_sw_sync, jobs_drop_fences_during_close)
{
	int device = device_open();
	__u32 stopped = queue_with(device, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER,
		.in_fence_policy = VFENCE_IN_FENCE_CANCEL,
	});
	__u32 queues[] = { timer_queue(device), worker_queue(device), stopped };
	int outs[ARRAY_LEN(queues)][20];

	for (int i = 0; i < 20; i++) {
		__s32 in_fences[] = { FENCE(i + 1), FENCE(i + 2) };

		for (size_t queue = 0; queue < ARRAY_LEN(queues); queue++) {
			outs[queue][i] = submit_waiting(device, queues[queue], 0, in_fences,
							ARRAY_LEN(in_fences));
			ASSERT_LE(0, outs[queue][i]);
		}
		close(in_fences[0]);
		close(in_fences[1]);
	}
	ASSERT_EQ(0, close(self->timeline));
	for (size_t queue = 0; queue < 2; queue++)
		for (int i = 0; i < 20; i++)
			EXPECT_EQ(-ENOENT, fence_wait(outs[queue][i]));
	EXPECT_EQ(-ENOENT, fence_wait(outs[2][0]));
	self->timeline = -1;
}

/* The job's reference to the fence was the last. */
TEST_F(vfence_sw_sync, client_closes_while_its_job_waits)
{
	int device = device_open();
	int fence = FENCE(1), merged = fence_merge(fence, FENCE(2));

	ASSERT_EQ(0, set_deadline(fence, SEC));
	ASSERT_LE(0, submit_after(device, timer_queue(device), 0, fence));
	ASSERT_LE(0, submit_after(device, timer_queue(device), 0, merged));
	close(fence);
	ASSERT_EQ(0, close(device));
	INC(1);
	EXPECT_EQ(0, fence_status(merged));
	INC(1);
	EXPECT_EQ(1, fence_status(merged));
}

TEST_HARNESS_MAIN
