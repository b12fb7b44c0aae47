// SPDX-License-Identifier: GPL-2.0
/* sw_sync_watchdog_ms=0 lifts the watchdog of /dev/sw_sync. */
#include "lib/sw_sync.h"

/* The default watchdog. Fences older than that are still pending. */
#define DEFAULT_MS 10000

TEST(log_reports_the_lifted_watchdog)
{
	EXPECT_TRUE(logged("vfence", "sw_sync_watchdog_ms=0"));
}

FIXTURE(unbounded)
{
	int timeline;
};

FIXTURE_SETUP(unbounded)
{
	self->timeline = timeline_open(VFENCE_SW_SYNC_NODE);
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
	/* The watchdog of vfence's queues still applies. */
	bounded = submit(device, manual_queue(device), 0);
	ASSERT_LE(0, bounded);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(bounded));
	EXPECT_EQ(0, fence_status(fence));
	/* Later than the default watchdog of any fence above. */
	usleep((DEFAULT_MS + 500) * 1000);
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(0, fence_status(later));
	ASSERT_EQ(0, timeline_inc(timeline, 2));
	EXPECT_EQ(1, fence_status(fence));
	ASSERT_EQ(0, close(timeline));
	EXPECT_EQ(-ENOENT, fence_status(later));
}

TEST_HARNESS_MAIN
