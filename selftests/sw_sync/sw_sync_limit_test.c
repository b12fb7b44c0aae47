// SPDX-License-Identifier: GPL-2.0
/*
 * max_jobs bounds the pending fences of a timeline; the suite loads the module with max_jobs=64.
 * The kernel's sw_sync has no bound.
 */
#include "lib/sw_sync.h"

#define MOST 64

FIXTURE(full)
{
	int timeline;
	/* Fences of the values 1 to MOST. */
	int fences[MOST];
};

FIXTURE_SETUP(full)
{
	self->timeline = timeline_open(VFENCE_SW_SYNC_NODE);
	ASSERT_LE(0, self->timeline);
	for (int i = 0; i < MOST; i++) {
		self->fences[i] = fence_create(self->timeline, i + 1);
		ASSERT_LE(0, self->fences[i])
			TH_LOG("fence %d: %s", i + 1, strerror(errno));
	}
}

FIXTURE_TEARDOWN(full)
{
	close(self->timeline);
}

TEST_F(full, full_timeline_refuses_a_fence)
{
	int fds = lowest_fd();

	for (__u32 i = 1; i <= 100; i++) {
		EXPECT_REFUSED(ENOSPC, fence_create(self->timeline, MOST + i));
		EXPECT_EQ(fds, lowest_fd());
	}
	for (int i = 0; i < MOST; i++)
		EXPECT_EQ(0, fence_status(self->fences[i]));
}

TEST_F(full, full_timeline_accepts_reached_and_existing_values)
{
	/* Reached values and existing fences take no room. */
	EXPECT_EQ(1, fence_status(fence_create(self->timeline, 0)));
	EXPECT_EQ(1, fence_status(fence_create(self->timeline, 0x80000000)));
	ASSERT_EQ(0, set_deadline(self->fences[2], SEC));
	EXPECT_EQ(SEC, deadline_of(self->timeline, fence_create(self->timeline, 3)));
	EXPECT_EQ(0, fence_status(fence_create(self->timeline, MOST)));
	EXPECT_REFUSED(ENOSPC, fence_create(self->timeline, MOST + 1));
}

TEST_F(full, other_timelines_have_room)
{
	int other = timeline_open(VFENCE_SW_SYNC_NODE);

	for (__u32 value = 1; value <= MOST; value++)
		EXPECT_LE(0, fence_create(other, value));
	EXPECT_REFUSED(ENOSPC, fence_create(other, MOST + 1));
}

TEST_F(full, inc_makes_room)
{
	int fence;

	ASSERT_EQ(0, timeline_inc(self->timeline, 1));
	fence = fence_create(self->timeline, MOST + 1);
	ASSERT_LE(0, fence);
	EXPECT_REFUSED(ENOSPC, fence_create(self->timeline, MOST + 2));
	/* Signal all fences. */
	ASSERT_EQ(0, timeline_inc(self->timeline, MOST));
	EXPECT_EQ(1, fence_status(fence));
	for (__u32 value = 1; value <= MOST; value++)
		EXPECT_LE(0, fence_create(self->timeline, MOST + 1 + value));
	EXPECT_REFUSED(ENOSPC, fence_create(self->timeline, 2 * MOST + 2));
}

/* Closing the last descriptor of a fence makes room, as it frees the kernel's. */
TEST_F(full, closing_a_fence_makes_room)
{
	ASSERT_EQ(0, close(self->fences[MOST / 2]));
	ASSERT_LE(0, fence_create(self->timeline, MOST + 1));
	EXPECT_REFUSED(ENOSPC, fence_create(self->timeline, MOST + 2));
	/* Closed fences never count. */
	ASSERT_EQ(0, close(self->fences[0]));
	for (__u32 i = 2; i < 4 * MOST; i++) {
		int fence = fence_create(self->timeline, MOST + i);

		ASSERT_LE(0, fence);
		ASSERT_EQ(0, close(fence));
	}
}

TEST_F(full, refused_replies_take_no_room)
{
	struct sw_sync_create_fence_data create = { .value = MOST + 1 };
	struct sw_sync_create_fence_data *unwritable = read_only(&create, sizeof(create));

	ASSERT_NE(NULL, unwritable);
	ASSERT_EQ(0, timeline_inc(self->timeline, 1));
	for (int i = 0; i < 2 * MOST; i++)
		EXPECT_REFUSED(EFAULT, ioctl(self->timeline, SW_SYNC_IOC_CREATE_FENCE, unwritable));
	EXPECT_LE(0, fence_create(self->timeline, MOST + 1));
	EXPECT_REFUSED(ENOSPC, fence_create(self->timeline, MOST + 2));
}

TEST_F(full, closing_a_full_timeline_signals_all)
{
	ASSERT_EQ(0, close(self->timeline));
	for (int i = 0; i < MOST; i++)
		EXPECT_EQ(-ENOENT, fence_status(self->fences[i]));
	self->timeline = -1;
}

TEST_HARNESS_MAIN
