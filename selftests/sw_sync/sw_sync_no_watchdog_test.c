// SPDX-License-Identifier: GPL-2.0
/* /dev/sw_sync with no watchdog: the module is loaded with sw_sync_watchdog_ms=0. */
#include "lib/sw_sync.h"

/* The bound that there is by default: what it would have been too long for is still pending. */
#define DEFAULT_MS 10000

TEST(log_says_that_it_is_lifted)
{
	EXPECT_TRUE(logged("vfence", "sw_sync_watchdog_ms=0"));
}

FIXTURE(unbounded)
{
	int timeline;
};

FIXTURE_SETUP(unbounded)
{
	self->timeline = timeline_open(OWN_NODE);
	ASSERT_LE(0, self->timeline);
}

FIXTURE_TEARDOWN(unbounded)
{
}

TEST_F_TIMEOUT(unbounded, fences_stay_pending, 60)
{
	int timeline = self->timeline, device = device_open();
	int fence = fence_create(timeline, 2), later, bounded;

	ASSERT_LE(0, fence);
	later = fence_create(timeline, 3);
	/* Of vfence, whose watchdog is as it was, and is not the one. */
	bounded = submit(device, manual_queue(device), 0);
	ASSERT_LE(0, bounded);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(bounded));
	EXPECT_EQ(0, fence_status(fence));
	/* However late that was, this is later. */
	usleep((DEFAULT_MS + 500) * 1000);
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(0, fence_status(later));
	ASSERT_EQ(0, timeline_inc(timeline, 2));
	EXPECT_EQ(1, fence_status(fence));
	ASSERT_EQ(0, close(timeline));
	EXPECT_EQ(-ENOENT, fence_status(later));
}

TEST_HARNESS_MAIN
