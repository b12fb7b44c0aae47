// SPDX-License-Identifier: GPL-2.0
/* SW_SYNC_IOC_CREATE_FENCE: the value, the name, the context, and the descriptor of a fence. */
#include <pthread.h>
#include <sys/prctl.h>
#include "sw_sync/fixture.h"

/*
 * Parses the name of a sync_file. Returns whether it is of sw_sync, with the timeline name @comm.
 */
static bool name_of(int fence, const char *comm, __u64 *context, __u64 *value)
{
	struct sync_file_info file = { 0 };
	char format[64];
	int end = 0;

	if (ioctl(fence, SYNC_IOC_FILE_INFO, &file))
		return false;
	snprintf(format, sizeof(format), "sw_sync-%s%%llu-%%llu%%n", comm);
	return sscanf(file.name, format, context, value, &end) == 2 && !file.name[end];
}

TEST_F(sw_sync, counter_starts_at_zero)
{
	int zero = FENCE(0), one = FENCE(1);

	EXPECT_EQ(1, fence_status(zero));
	EXPECT_EQ(POLLIN, polled(zero, POLLIN));
	EXPECT_EQ(0, fence_status(one));
	EXPECT_EQ(0, polled(one, POLLIN));
}

TEST_F(sw_sync, reached_value_is_created_signalled)
{
	static const __u32 values[] = { 0, 1, 4, 5 };
	struct sync_fence_info info;

	INC(5);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		__u64 before = now_ns();
		int fence = FENCE(values[i]);

		/* poll() is the first call on the fence. */
		EXPECT_EQ(POLLIN, polled(fence, POLLIN));
		ASSERT_EQ(0, fence_info(fence, &info));
		EXPECT_EQ(1, info.status);
		EXPECT_LE(before, info.timestamp_ns);
		EXPECT_GE(now_ns(), info.timestamp_ns);
	}
	EXPECT_EQ(0, fence_status(FENCE(6)));
}

TEST_F(sw_sync, same_value_shares_a_fence)
{
	int one = FENCE(7), other = FENCE(7), another;
	int merged = fence_merge(one, other);
	__u64 deadline;

	/* Both descriptors have one fence. */
	ASSERT_EQ(0, set_deadline(one, 5 * SEC));
	EXPECT_EQ(5 * SEC, deadline_of(self->timeline, other));
	ASSERT_LE(0, merged);
	EXPECT_EQ(1, fence_count(merged));
	EXPECT_EQ(5 * SEC, deadline_of(self->timeline, merged));
	/* The fence lives as long as its last descriptor. */
	ASSERT_EQ(0, close(one));
	ASSERT_EQ(0, close(merged));
	one = FENCE(7);
	EXPECT_EQ(5 * SEC, deadline_of(self->timeline, one));
	INC(7);
	EXPECT_EQ(1, fence_status(one));
	EXPECT_EQ(1, fence_status(other));
	EXPECT_EQ(fence_timestamp(one), fence_timestamp(other));
	/* The fence has signalled, so the value gets a new one. */
	another = FENCE(7);
	EXPECT_EQ(1, fence_status(another));
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, another, &deadline));
}

TEST_F(sw_sync, closed_fence_is_not_reused)
{
	int fence = FENCE(7);
	__u64 deadline;

	ASSERT_EQ(0, set_deadline(fence, 5 * SEC));
	ASSERT_EQ(0, close(fence));
	fence = FENCE(7);
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, fence, &deadline));
	INC(7);
	EXPECT_EQ(1, fence_status(fence));
}

TEST_F(sw_sync, descriptors_are_close_on_exec)
{
	int plain = open(variant->node, O_RDWR);
	int fence = fence_create(plain, 1);

	/* The timeline was opened without O_CLOEXEC. */
	EXPECT_EQ(0, fcntl(plain, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(fence, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(fence_create(plain, 0), F_GETFD));
	EXPECT_EQ(fcntl(fence_merge(fence, fence), F_GETFL), fcntl(fence, F_GETFL));
}

TEST_F(sw_sync, timeline_is_named_after_the_task)
{
	struct sync_fence_info info;
	int timeline, fence;

	ASSERT_EQ(0, prctl(PR_SET_NAME, "painter"));
	timeline = timeline_open(variant->node);
	ASSERT_EQ(0, prctl(PR_SET_NAME, "another"));
	fence = fence_create(timeline, 1);
	ASSERT_EQ(0, fence_info(fence, &info));
	EXPECT_STREQ("sw_sync", info.driver_name);
	EXPECT_STREQ("painter", info.obj_name);
	EXPECT_EQ(0, info.status);
	EXPECT_EQ(0, info.timestamp_ns);
	ASSERT_EQ(0, timeline_inc(timeline, 1));
	ASSERT_EQ(0, fence_info(fence, &info));
	EXPECT_STREQ("detached-driver", info.driver_name);
	EXPECT_STREQ("signaled-timeline", info.obj_name);
	/* The longest name. */
	ASSERT_EQ(0, prctl(PR_SET_NAME, "fifteen letters"));
	timeline = timeline_open(variant->node);
	ASSERT_EQ(0, fence_info(fence_create(timeline, 1), &info));
	EXPECT_STREQ("fifteen letters", info.obj_name);
	ASSERT_EQ(0, prctl(PR_SET_NAME, ""));
	timeline = timeline_open(variant->node);
	ASSERT_EQ(0, fence_info(fence_create(timeline, 1), &info));
	EXPECT_STREQ("", info.obj_name);
}

static void *open_as_thread(void *node)
{
	prctl(PR_SET_NAME, "thread");
	return (void *)(intptr_t)timeline_open(node);
}

TEST_F(sw_sync, timeline_is_named_after_the_thread)
{
	struct sync_fence_info info;
	pthread_t thread;
	void *timeline;

	ASSERT_EQ(0, prctl(PR_SET_NAME, "process"));
	ASSERT_EQ(0, pthread_create(&thread, NULL, open_as_thread, (void *)variant->node));
	ASSERT_EQ(0, pthread_join(thread, &timeline));
	ASSERT_EQ(0, fence_info(fence_create((intptr_t)timeline, 1), &info));
	EXPECT_STREQ("thread", info.obj_name);
}

/* The core names a sync_file after driver, timeline, context and seqno. */
TEST_F(sw_sync, name_has_context_and_value)
{
	__u64 contexts[3], value;
	int timelines[2];

	ASSERT_EQ(0, prctl(PR_SET_NAME, "tl-"));
	for (int i = 0; i < 2; i++)
		timelines[i] = timeline_open(variant->node);
	ASSERT_TRUE(name_of(fence_create(timelines[0], 1), "tl-", &contexts[0], &value));
	EXPECT_EQ(1, value);
	ASSERT_TRUE(name_of(fence_create(timelines[0], INT_MAX), "tl-", &contexts[1], &value));
	EXPECT_EQ(INT_MAX, value);
	ASSERT_TRUE(name_of(fence_create(timelines[1], 2), "tl-", &contexts[2], &value));
	EXPECT_EQ(2, value);
	/* Each timeline has one context. */
	EXPECT_EQ(contexts[0], contexts[1]);
	EXPECT_NE(contexts[0], contexts[2]);
	ASSERT_EQ(0, timeline_inc(timelines[0], 0x80000000));
	ASSERT_TRUE(name_of(fence_create(timelines[0], 0xffffffff), "tl-", &contexts[1], &value));
	EXPECT_EQ(0xffffffff, value);
	EXPECT_EQ(contexts[0], contexts[1]);
	/* Values beyond the end of the counter start at 0 again. */
	ASSERT_TRUE(name_of(fence_create(timelines[0], 0xffffffff), "tl-", &contexts[1], &value));
	ASSERT_EQ(0, timeline_inc(timelines[0], 0x7fffffff));
	ASSERT_TRUE(name_of(fence_create(timelines[0], 3), "tl-", &contexts[1], &value));
	EXPECT_EQ(3, value);
	EXPECT_EQ(contexts[0], contexts[1]);
}

TEST_HARNESS_MAIN
