// SPDX-License-Identifier: GPL-2.0
/* Merged sync_files of sw_sync fences. */
#include "sw_sync/fixture.h"

/* The kernel keeps the later one of a context, and has to be told how sequence numbers compare. */
TEST_F(sw_sync, merged_into_the_later_value)
{
	int one = FENCE(1), two = FENCE(2), before, after, merged;

	merged = fence_merge(two, one);
	EXPECT_EQ(1, fence_count(merged));
	INC(1);
	EXPECT_EQ(0, fence_status(merged));
	INC(1);
	EXPECT_EQ(1, fence_status(merged));

	INC(0xfffffff0);
	after = FENCE(4);
	before = FENCE(0xffffffff);
	merged = fence_merge(before, after);
	EXPECT_EQ(1, fence_count(merged));
	INC(0xffffffff - 0xfffffff2);
	EXPECT_EQ(1, fence_status(before));
	EXPECT_EQ(0, fence_status(merged));
	INC(5);
	EXPECT_EQ(1, fence_status(merged));
}

TEST_F(sw_sync, merged_of_several_timelines)
{
	int timelines[8], merged = -1;

	for (size_t i = 0; i < ARRAY_LEN(timelines); i++) {
		int fence, both;

		timelines[i] = timeline_open(variant->node);
		fence = fence_create(timelines[i], i + 1);
		ASSERT_LE(0, fence);
		both = i ? fence_merge(merged, fence) : dup(fence);
		ASSERT_LE(0, both);
		/* The merged one is all that is left. */
		close(fence);
		close(merged);
		merged = both;
	}
	EXPECT_EQ(ARRAY_LEN(timelines), fence_count(merged));
	for (size_t i = 0; i < ARRAY_LEN(timelines); i++) {
		EXPECT_EQ(0, fence_status(merged));
		EXPECT_EQ(0, polled(merged, POLLIN));
		ASSERT_EQ(0, timeline_inc(timelines[i], i + 1));
	}
	EXPECT_EQ(1, fence_wait(merged));
}

TEST_F(sw_sync, merged_with_one_of_a_timeline_that_is_closed)
{
	int other = timeline_open(variant->node);
	int fence = FENCE(1);
	int merged = fence_merge(fence, fence_create(other, 1));

	ASSERT_EQ(0, close(other));
	EXPECT_EQ(0, fence_status(merged));
	INC(1);
	EXPECT_EQ(-ENOENT, fence_wait(merged));
	EXPECT_EQ(1, fence_status(fence));
}

/*
 * Merged ones of merged ones, which are watched, and of which nothing else is left: the signal that comes to an end in
 * them gives fences of the same timelines back.
 */
TEST_F(sw_sync, merged_ones_end_in_the_signal)
{
	int other = timeline_open(variant->node);
	int kept = FENCE(100), merged = FENCE(1);

	for (__u32 value = 1; value <= 20; value++) {
		int theirs = fence_create(other, value), mine = FENCE(value + 1);
		int both = fence_merge(theirs, mine), all;

		ASSERT_LE(0, both);
		all = fence_merge(merged, both);
		ASSERT_LE(0, all);
		/* Somebody watches, and goes. */
		EXPECT_EQ(0, polled(both, POLLIN));
		EXPECT_EQ(0, polled(all, POLLIN));
		close(theirs);
		close(mine);
		close(both);
		close(merged);
		merged = all;
	}
	for (__u32 value = 1; value <= 21; value++) {
		ASSERT_EQ(0, timeline_inc(other, 1));
		EXPECT_EQ(0, fence_status(merged));
		INC(1);
	}
	EXPECT_EQ(1, fence_wait(merged));
	EXPECT_EQ(0, fence_status(kept));
}

TEST_HARNESS_MAIN
