// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading of vfence with /dev/sw_sync: while a timeline is open, unloading is refused; fences outlive the module. Loads
 * the module itself.
 */
#include <sys/syscall.h>
#include "lib/sw_sync.h"

static int load(const char *parameters)
{
	const char *path = getenv("VFENCE_KO");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	int ret = syscall(SYS_finit_module, file, parameters, 0), error = errno;

	close(file);
	errno = error;
	return ret;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "vfence", O_NONBLOCK);
}

/* Whether a module is there that was not there before, or a node. */
static bool loaded(void)
{
	return !access("/sys/module/vfence", F_OK) || !access(OWN_NODE, F_OK) ||
	       !access(MISC_PATH, F_OK);
}

FIXTURE(lifetime)
{
	int timeline;
};

FIXTURE_SETUP(lifetime)
{
	/* KUnit's tests have run. */
	write_file("/sys/module/kunit/parameters/filter_glob", "none");
	ASSERT_EQ(0, load("sw_sync=1 sw_sync_watchdog_ms=60000"));
	self->timeline = timeline_open(OWN_NODE);
	ASSERT_LE(0, self->timeline);
}

FIXTURE_TEARDOWN(lifetime)
{
	/* What a case has closed is -1. */
	close(self->timeline);
	if (loaded())
		EXPECT_EQ(0, unload());
	EXPECT_FALSE(loaded());
}

/* Loads the module anew, and opens a timeline of it. */
static void reload(struct __test_metadata *_metadata, FIXTURE_DATA(lifetime) *self, const char *parameters)
{
	ASSERT_EQ(0, close(self->timeline));
	self->timeline = -1;
	ASSERT_EQ(0, unload());
	ASSERT_EQ(0, load(parameters));
	self->timeline = timeline_open(OWN_NODE);
	ASSERT_LE(0, self->timeline);
}

TEST_F(lifetime, refused_while_a_timeline_is_open)
{
	int fence = fence_create(self->timeline, 1);

	EXPECT_REFUSED(EAGAIN, unload());
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
	/* Somebody watches. */
	EXPECT_EQ(0, polled(merged, POLLIN));
	ASSERT_EQ(0, timeline_inc(self->timeline, 1));
	ASSERT_EQ(0, close(self->timeline));
	self->timeline = -1;
	ASSERT_EQ(0, unload());
	EXPECT_EQ(1, fence_status(reached));
	EXPECT_EQ(-ENOENT, fence_status(ended));
	EXPECT_EQ(-ENOENT, fence_status(merged));
	EXPECT_EQ(POLLIN, polled(merged, POLLIN));
	ASSERT_EQ(0, fence_info(reached, &info));
	EXPECT_STREQ("detached-driver", info.driver_name);
	EXPECT_EQ(0, set_deadline(ended, SEC));
	EXPECT_LE(0, fence_merge(reached, ended));
}

/* The fences of the one are none of the other. */
TEST_F(lifetime, deadline_of_a_fence_of_the_module_before)
{
	int fence = fence_create(self->timeline, 1);

	ASSERT_EQ(0, set_deadline(fence, SEC));
	reload(_metadata, self, "sw_sync=1");
	EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, fence, &(__u64){ 0 }));
}

TEST_F(lifetime, jobs_that_wait_end_with_the_timeline)
{
	int device = device_open();
	int out = submit_after(device, timer_queue(device), 0, fence_create(self->timeline, 1));

	ASSERT_LE(0, out);
	ASSERT_EQ(0, close(self->timeline));
	self->timeline = -1;
	EXPECT_EQ(-ENOENT, fence_wait(out));
	ASSERT_EQ(0, close(device));
	ASSERT_EQ(0, unload());
	EXPECT_EQ(-ENOENT, fence_status(out));
}

TEST_F(lifetime, many_times)
{
	for (int i = 0; i < 10; i++) {
		for (__u32 value = 1; value <= 20; value++)
			ASSERT_LE(0, fence_create(self->timeline, value));
		reload(_metadata, self, i % 2 ? "sw_sync=1" : "sw_sync=1 sw_sync_watchdog_ms=1");
	}
}

/* The bound that nobody has asked for. It takes as long as that is. */
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

TEST_F(lifetime, parameters_at_their_limits)
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
	/* The last of them has one place. */
	ASSERT_LE(0, fence_create(self->timeline, 2));
	EXPECT_REFUSED(ENOSPC, fence_create(self->timeline, 3));
}

TEST(parameters_that_are_refused)
{
	write_file("/sys/module/kunit/parameters/filter_glob", "none");
	EXPECT_REFUSED(EINVAL, load("sw_sync=2"));
	EXPECT_FALSE(loaded());
	/* What else is refused leaves no node behind. */
	EXPECT_REFUSED(EINVAL, load("sw_sync=1 max_jobs=0"));
	EXPECT_FALSE(loaded());
}

TEST(not_asked_for)
{
	write_file("/sys/module/kunit/parameters/filter_glob", "none");
	ASSERT_EQ(0, load("sw_sync=0"));
	EXPECT_NE(0, access(OWN_NODE, F_OK));
	EXPECT_EQ(0, access(MISC_PATH, F_OK));
	EXPECT_EQ(0, unload());
}

TEST_HARNESS_MAIN
