// SPDX-License-Identifier: GPL-2.0
/* Merged sync_files of sw_sync fences. */
#include "sw_sync/fixture.h"

/* SYNC_IOC_MERGE keeps the later fence of a context, by comparing seqnos. */
TEST_F(sw_sync, merge_keeps_the_later_value)
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

TEST_F(sw_sync, merge_waits_for_all_timelines)
{
	int timelines[8], merged = -1;

	for (size_t i = 0; i < ARRAY_LEN(timelines); i++) {
		int fence, both;

		timelines[i] = timeline_open(variant->node);
		fence = fence_create(timelines[i], i + 1);
		ASSERT_LE(0, fence);
		both = i ? fence_merge(merged, fence) : dup(fence);
		ASSERT_LE(0, both);
		/* Only the merged sync_file is left. */
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

TEST_F(sw_sync, merge_reports_a_closed_timeline)
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
 * Merged sync_files of merged sync_files, watched by poll(), hold the only references to their
 * fences: signalling the last one frees fences of the same timelines.
 */
TEST_F(sw_sync, merged_fences_are_freed_during_inc)
{
	int other = timeline_open(variant->node);
	int kept = FENCE(100), merged = FENCE(1);

	for (__u32 value = 1; value <= 20; value++) {
		int theirs = fence_create(other, value), mine = FENCE(value + 1);
		int both = fence_merge(theirs, mine), all;

		ASSERT_LE(0, both);
		all = fence_merge(merged, both);
		ASSERT_LE(0, all);
		/* poll() adds a callback and removes it. */
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
