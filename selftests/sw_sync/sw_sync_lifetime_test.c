// SPDX-License-Identifier: GPL-2.0
/*
 * Loads and unloads vfence with /dev/sw_sync. An open timeline refuses the unload; fences outlive
 * the module.
 */
#include "lib/module.h"
#include "lib/sw_sync.h"

static int load(const char *parameters)
{
	return module_load("VFENCE_KO", parameters);
}

/* Returns whether the module is loaded or one of its nodes exists. */
static bool loaded(void)
{
	return !access("/sys/module/vfence", F_OK) || !access(VFENCE_SW_SYNC_NODE, F_OK) ||
	       !access(MISC_PATH, F_OK);
}

FIXTURE(lifetime)
{
	int timeline;
};

FIXTURE_SETUP(lifetime)
{
	/* KUnit's suites have run before. */
	write_file("/sys/module/kunit/parameters/filter_glob", "none");
	ASSERT_EQ(0, load("sw_sync=1 sw_sync_watchdog_ms=60000"));
	self->timeline = timeline_open(VFENCE_SW_SYNC_NODE);
	ASSERT_LE(0, self->timeline);
}

FIXTURE_TEARDOWN(lifetime)
{
	/* A case sets the descriptors that it has closed to -1. */
	close(self->timeline);
	if (loaded())
		EXPECT_EQ(0, module_unload("vfence"));
	EXPECT_FALSE(loaded());
}

/* Loads the module again and opens a timeline. */
static void reload(struct __test_metadata *_metadata, FIXTURE_DATA(lifetime) *self,
		   const char *parameters)
{
	ASSERT_EQ(0, close(self->timeline));
	self->timeline = -1;
	ASSERT_EQ(0, module_unload("vfence"));
	ASSERT_EQ(0, load(parameters));
	self->timeline = timeline_open(VFENCE_SW_SYNC_NODE);
	ASSERT_LE(0, self->timeline);
}

TEST_F(lifetime, open_timeline_refuses_unload)
{
	int fence = fence_create(self->timeline, 1);

	EXPECT_REFUSED(EAGAIN, module_unload("vfence"));
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(0, timeline_inc(self->timeline, 1));
	EXPECT_EQ(1, fence_status(fence));
}

TEST_F(lifetime, fences_outlive_the_module)
{
	int reached = fence_create(self->timeline, 1), ended = fence_create(self->timeline, 2);
	int merged = fence_merge(ended, fence_create(self->timeline, 3));
	struct sync_fence_info info;

	ASSERT_LE(0, merged);
	ASSERT_EQ(0, set_deadline(reached, SEC));
	/* poll() adds a callback. */
	EXPECT_EQ(0, polled(merged, POLLIN));
	ASSERT_EQ(0, timeline_inc(self->timeline, 1));
	ASSERT_EQ(0, close(self->timeline));
	self->timeline = -1;
	ASSERT_EQ(0, module_unload("vfence"));
	EXPECT_EQ(1, fence_status(reached));
	EXPECT_EQ(-ENOENT, fence_status(ended));
	EXPECT_EQ(-ENOENT, fence_status(merged));
	EXPECT_EQ(POLLIN, polled(merged, POLLIN));
	ASSERT_EQ(0, fence_info(reached, &info));
	EXPECT_STREQ("detached-driver", info.driver_name);
	EXPECT_EQ(0, set_deadline(ended, SEC));
	EXPECT_LE(0, fence_merge(reached, ended));
}

/* A fence of the previous module is not one of this module. */
TEST_F(lifetime, fence_of_a_previous_load_has_no_deadline)
{
	int fence = fence_create(self->timeline, 1);

	ASSERT_EQ(0, set_deadline(fence, SEC));
	reload(_metadata, self, "sw_sync=1");
	EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, fence, &(__u64){ 0 }));
}

TEST_F(lifetime, close_ends_waiting_jobs)
{
	int device = device_open();
	int out = submit_after(device, timer_queue(device), 0, fence_create(self->timeline, 1));

	ASSERT_LE(0, out);
	ASSERT_EQ(0, close(self->timeline));
	self->timeline = -1;
	EXPECT_EQ(-ENOENT, fence_wait(out));
	ASSERT_EQ(0, close(device));
	ASSERT_EQ(0, module_unload("vfence"));
	EXPECT_EQ(-ENOENT, fence_status(out));
}

TEST_F(lifetime, module_loads_many_times)
{
	for (int i = 0; i < 10; i++) {
		for (__u32 value = 1; value <= 20; value++)
			ASSERT_LE(0, fence_create(self->timeline, value));
		reload(_metadata, self, i % 2 ? "sw_sync=1" : "sw_sync=1 sw_sync_watchdog_ms=1");
	}
}

/* The default watchdog; the case takes as long as that. */
TEST_F_TIMEOUT(lifetime, default_watchdog, 60)
{
	struct sync_fence_info info;
	__u64 before, after;
	int fence;

	reload(_metadata, self, "sw_sync=1");
	before = now_ns();
	fence = fence_create(self->timeline, 1);
	after = now_ns();
	ASSERT_LE(0, fence);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	ASSERT_EQ(0, fence_info(fence, &info));
	EXPECT_LE(before + 10 * SEC, info.timestamp_ns);
	EXPECT_GE(after + 10 * SEC, info.timestamp_ns);
}

TEST_F(lifetime, extreme_parameters_are_accepted)
{
	static const char *const limits[] = {
		"sw_sync=1 sw_sync_watchdog_ms=4294967295", "sw_sync=1 max_jobs=1048576",
		"sw_sync=1 max_jobs=1",
	};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		int fence;

		reload(_metadata, self, limits[i]);
		ASSERT_LE(0, fence = fence_create(self->timeline, 1));
		EXPECT_EQ(0, fence_status(fence));
		ASSERT_EQ(0, timeline_inc(self->timeline, 1));
		EXPECT_EQ(1, fence_status(fence));
	}
	/* The timeline has room for one fence. */
	ASSERT_LE(0, fence_create(self->timeline, 2));
	EXPECT_REFUSED(ENOSPC, fence_create(self->timeline, 3));
}

TEST(invalid_parameters_are_refused)
{
	write_file("/sys/module/kunit/parameters/filter_glob", "none");
	EXPECT_REFUSED(EINVAL, load("sw_sync=2"));
	EXPECT_FALSE(loaded());
	/* Other invalid parameters leave no node either. */
	EXPECT_REFUSED(EINVAL, load("sw_sync=1 max_jobs=0"));
	EXPECT_FALSE(loaded());
}

TEST(node_is_absent_by_default)
{
	write_file("/sys/module/kunit/parameters/filter_glob", "none");
	ASSERT_EQ(0, load("sw_sync=0"));
	EXPECT_NE(0, access(VFENCE_SW_SYNC_NODE, F_OK));
	EXPECT_EQ(0, access(MISC_PATH, F_OK));
	EXPECT_EQ(0, module_unload("vfence"));
}

TEST_HARNESS_MAIN
