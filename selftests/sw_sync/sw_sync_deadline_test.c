// SPDX-License-Identifier: GPL-2.0
/* Deadlines of sw_sync fences, and SW_SYNC_GET_DEADLINE. */
#include "sw_sync/fixture.h"

/* Signalled fences between setting a deadline and reading it. */
#define MANY 1000

TEST_F(sw_sync, deadline_is_absent_until_set)
{
	int fence = FENCE(1), born = FENCE(0);
	__u64 deadline;

	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, fence, &deadline));
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, born, &deadline));
	INC(1);
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, fence, &deadline));
	/* The core drops a deadline on a signalled fence. */
	ASSERT_EQ(0, set_deadline(fence, SEC));
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, fence, &deadline));
	ASSERT_EQ(0, set_deadline(born, SEC));
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, born, &deadline));
}

TEST_F(sw_sync, deadline_earliest_wins)
{
	int fence = FENCE(1);
	static const struct {
		__u64 set, shown;
	} steps[] = {
		{ 5 * SEC, 5 * SEC }, { 7 * SEC, 5 * SEC }, { 3 * SEC, 3 * SEC },
		{ 3 * SEC + 1, 3 * SEC }, { 2, 2 }, { 1, 1 }, { 0, 0 }, { 1, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		ASSERT_EQ(0, set_deadline(fence, steps[i].set));
		EXPECT_EQ(steps[i].shown, deadline_of(self->timeline, fence));
	}
	/* Other fences have no deadline. */
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, FENCE(2), &(__u64){ 0 }));
	/* A signalled fence keeps its deadline. */
	INC(1);
	ASSERT_EQ(0, set_deadline(fence, 0));
	EXPECT_EQ(0, deadline_of(self->timeline, fence));
}

TEST_F(sw_sync, deadline_of_zero)
{
	int fence = FENCE(1);

	ASSERT_EQ(0, set_deadline(fence, 0));
	EXPECT_EQ(0, deadline_of(self->timeline, fence));
}

/* ktime_t is signed, so a deadline beyond its range is early, not late. */
TEST_F(sw_sync, deadline_beyond_the_clock_is_early)
{
	int fence = FENCE(1), other = FENCE(2);
	__u64 deadline;

	ASSERT_EQ(0, set_deadline(fence, INT64_MAX));
	EXPECT_EQ(INT64_MAX, deadline_of(self->timeline, fence));
	ASSERT_EQ(0, set_deadline(fence, 5 * SEC));
	EXPECT_EQ(5 * SEC, deadline_of(self->timeline, fence));
	ASSERT_EQ(0, set_deadline(fence, 1ULL << 63));
	EXPECT_EQ(1ULL << 63, deadline_of(self->timeline, fence));
	ASSERT_EQ(0, set_deadline(fence, 1));
	EXPECT_EQ(1ULL << 63, deadline_of(self->timeline, fence));
	ASSERT_EQ(0, set_deadline(other, ~0ULL));
	ASSERT_EQ(0, get_deadline(self->timeline, other, &deadline));
	EXPECT_EQ(~0ULL, deadline);
	ASSERT_EQ(0, set_deadline(other, 0));
	ASSERT_EQ(0, get_deadline(self->timeline, other, &deadline));
	EXPECT_EQ(~0ULL, deadline);
}

TEST_F(sw_sync, deadline_outlives_the_signal)
{
	int fence = FENCE(1), failed = FENCE(2);
	int other = timeline_open(variant->node);

	ASSERT_EQ(0, set_deadline(fence, 3 * SEC));
	ASSERT_EQ(0, set_deadline(failed, 4 * SEC));
	INC(1);
	EXPECT_EQ(1, fence_status(fence));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, fence));
	/* A fence keeps its deadline when its timeline is closed. */
	ASSERT_EQ(0, close(self->timeline));
	EXPECT_EQ(-ENOENT, fence_status(failed));
	EXPECT_EQ(3 * SEC, deadline_of(other, fence));
	EXPECT_EQ(4 * SEC, deadline_of(other, failed));
	self->timeline = -1;
}

TEST_F_TIMEOUT(sw_sync, deadline_outlives_many_later_fences, 60)
{
	int fence = FENCE(1);

	ASSERT_EQ(0, set_deadline(fence, 3 * SEC));
	for (__u32 value = 1; value <= MANY; value++) {
		int one = FENCE(value);

		ASSERT_EQ(0, set_deadline(one, 2 * SEC));
		INC(1);
		ASSERT_EQ(1, fence_status(one));
		ASSERT_EQ(0, close(one));
	}
	/* The loop set an earlier deadline on the fence of value 1. */
	EXPECT_EQ(2 * SEC, deadline_of(self->timeline, fence));
	/* Another fence of the same value has no deadline. */
	INC(0xffffffff - MANY);
	fence = FENCE(1);
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, fence, &(__u64){ 0 }));
}

TEST_F(sw_sync, deadline_of_a_fence_of_another_timeline)
{
	int other = timeline_open(variant->node);
	int fence = fence_create(other, 1);

	ASSERT_EQ(0, set_deadline(fence, 3 * SEC));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, fence));
}

TEST_F(sw_sync, deadline_on_a_merged_fence)
{
	int other = timeline_open(variant->node);
	int mine = FENCE(1), theirs = fence_create(other, 1);
	int merged = fence_merge(mine, theirs);
	__u64 deadline;

	ASSERT_EQ(0, set_deadline(merged, 3 * SEC));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, mine));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, theirs));
	EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, merged, &deadline));
	/* A merge with one pending fence returns that fence. */
	ASSERT_EQ(0, timeline_inc(other, 1));
	merged = fence_merge(mine, theirs);
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, merged));
}

TEST_F(sw_sync, deadline_query_is_refused)
{
	int fence = FENCE(1), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fds = lowest_fd();
	struct sw_sync_get_deadline get;

	ASSERT_EQ(0, set_deadline(fence, 3 * SEC));
	for (int bit = 0; bit < 64; bit += 9) {
		get = (struct sw_sync_get_deadline) { 1ULL << bit, 0, fence };
		EXPECT_REFUSED(EINVAL, ioctl(self->timeline, SW_SYNC_GET_DEADLINE, &get));
		EXPECT_EQ(1ULL << bit, get.deadline_ns);
	}
	for (int bit = 0; bit < 32; bit++) {
		get = (struct sw_sync_get_deadline) { 0, 1U << bit, fence };
		EXPECT_REFUSED(EINVAL, ioctl(self->timeline, SW_SYNC_GET_DEADLINE, &get));
		EXPECT_EQ(0, get.deadline_ns);
	}
	EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, -1, &(__u64){ 0 }));
	EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, INT_MAX, &(__u64){ 0 }));
	EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, fds, &(__u64){ 0 }));
	EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, null, &(__u64){ 0 }));
	EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, self->timeline, &(__u64){ 0 }));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, fence));
	EXPECT_EQ(fds, lowest_fd());
}

/* The counter has wrapped: two fences have the same value, and one of them has signalled. */
TEST_F(sw_sync, deadlines_of_two_fences_of_one_value)
{
	int fence = FENCE(1), again;

	ASSERT_EQ(0, set_deadline(fence, 3 * SEC));
	INC(0xffffffff);
	EXPECT_EQ(1, fence_status(fence));
	again = FENCE(1);
	EXPECT_EQ(0, fence_status(again));
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, again, &(__u64){ 0 }));
	ASSERT_EQ(0, set_deadline(again, 5 * SEC));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, fence));
	EXPECT_EQ(5 * SEC, deadline_of(self->timeline, again));
	INC(2);
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, fence));
	EXPECT_EQ(5 * SEC, deadline_of(self->timeline, again));
}

TEST_F(sw_sync, deadline_of_a_fence_of_another_driver)
{
	int device = device_open();
	int fence = submit(device, manual_queue(device), 0);
	int other = timeline_open(variant->other);

	ASSERT_LE(0, fence);
	ASSERT_EQ(0, set_deadline(fence, 3 * SEC));
	EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, fence, &(__u64){ 0 }));
	/* Both drivers have the same name, but are different drivers. */
	if (other >= 0) {
		fence = fence_create(other, 1);
		ASSERT_EQ(0, set_deadline(fence, 3 * SEC));
		EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, fence, &(__u64){ 0 }));
		EXPECT_EQ(3 * SEC, deadline_of(other, fence));
	}
}

TEST_HARNESS_MAIN
