// SPDX-License-Identifier: GPL-2.0
/*
 * The interface of sw_sync, tried on /dev/sw_sync and on the kernel's own: what holds for one holds for the other. The few cases
 * at the end are for /dev/sw_sync alone, and say why.
 */
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "lib/sw_sync.h"

/* How many fences are many: with them, the descriptors of a process run short. */
#define MANY 1000

FIXTURE(sw_sync)
{
	int timeline;
};

FIXTURE_VARIANT(sw_sync)
{
	const char *node;
	/* The node of the other driver. */
	const char *other;
};

FIXTURE_VARIANT_ADD(sw_sync, own) {
	.node = OWN_NODE,
	.other = KERNEL_NODE,
};

FIXTURE_VARIANT_ADD(sw_sync, kernel) {
	.node = KERNEL_NODE,
	.other = OWN_NODE,
};

FIXTURE_SETUP(sw_sync)
{
	self->timeline = -1;
	if (!kernel_has_sw_sync() && !strcmp(variant->node, KERNEL_NODE))
		SKIP(return, "the kernel has no CONFIG_SW_SYNC");
	self->timeline = timeline_open(variant->node);
	ASSERT_LE(0, self->timeline);
}

FIXTURE_TEARDOWN(sw_sync)
{
	close(self->timeline);
}

/* A fence that can be had. */
#define FENCE(value) \
	({ \
		int fence_ = fence_create(self->timeline, value); \
		ASSERT_LE(0, fence_); \
		fence_; \
	})

#define INC(by) ASSERT_EQ(0, timeline_inc(self->timeline, by))

/* Takes the name of a sync_file apart. Returns whether it is one of sw_sync with the comm @comm. */
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

/* The same order each time. */
static void shuffle(__u32 *values, size_t count)
{
	__u64 state = 1;

	for (size_t i = count - 1; i > 0; i--) {
		size_t other;
		__u32 value = values[i];

		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		other = (state >> 33) % (i + 1);
		values[i] = values[other];
		values[other] = value;
	}
}

static void expect_statuses(struct __test_metadata *_metadata, const int *fences,
			    int first, int second, int third)
{
	EXPECT_EQ(first, fence_status(fences[0]));
	EXPECT_EQ(second, fence_status(fences[1]));
	EXPECT_EQ(third, fence_status(fences[2]));
}

TEST_F(sw_sync, numbers_of_the_ioctls)
{
	/* The layouts are compared in layout_sw_sync.c, when it is compiled; this is what a binary sends. */
	struct sw_sync_create_fence_data create = { .value = 1 };
	struct sw_sync_get_deadline get = { 0 };
	__u32 by = 1;

	ASSERT_EQ(0, ioctl(self->timeline, 0xc0285700, &create));
	EXPECT_EQ(1, create.value);
	EXPECT_EQ(0, fence_status(create.fence));
	ASSERT_EQ(0, set_deadline(create.fence, SEC));
	get.fence_fd = create.fence;
	ASSERT_EQ(0, ioctl(self->timeline, 0xc0105702, &get));
	EXPECT_EQ(SEC, get.deadline_ns);
	EXPECT_EQ(0, get.pad);
	EXPECT_EQ(create.fence, get.fence_fd);
	ASSERT_EQ(0, ioctl(self->timeline, 0x40045701, &by));
	EXPECT_EQ(1, by);
	EXPECT_EQ(1, fence_status(create.fence));
}

TEST_F(sw_sync, name_and_fence_of_the_argument_are_not_read)
{
	struct sw_sync_create_fence_data create = { .value = 1, .fence = -7 };

	/* A name without an end, too. */
	memset(create.name, 0xff, sizeof(create.name));
	ASSERT_EQ(0, ioctl(self->timeline, SW_SYNC_IOC_CREATE_FENCE, &create));
	ASSERT_LE(0, create.fence);
	EXPECT_EQ(0, fence_status(create.fence));
	for (size_t i = 0; i < sizeof(create.name); i++)
		EXPECT_EQ('\xff', create.name[i]);
}

TEST_F(sw_sync, begins_at_zero)
{
	int zero = FENCE(0), one = FENCE(1);

	EXPECT_EQ(1, fence_status(zero));
	EXPECT_EQ(POLLIN, polled(zero, POLLIN));
	EXPECT_EQ(0, fence_status(one));
	EXPECT_EQ(0, polled(one, POLLIN));
}

TEST_F(sw_sync, value_that_is_reached_is_born_signalled)
{
	static const __u32 values[] = { 0, 1, 4, 5 };
	struct sync_fence_info info;

	INC(5);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		__u64 before = now_ns();
		int fence = FENCE(values[i]);

		/* poll() comes first: nobody has asked it before. */
		EXPECT_EQ(POLLIN, polled(fence, POLLIN));
		ASSERT_EQ(0, fence_info(fence, &info));
		EXPECT_EQ(1, info.status);
		EXPECT_LE(before, info.timestamp_ns);
		EXPECT_GE(now_ns(), info.timestamp_ns);
	}
	EXPECT_EQ(0, fence_status(FENCE(6)));
}

TEST_F(sw_sync, signals_when_the_counter_reaches_it)
{
	int fence = FENCE(5);
	__u64 before;

	INC(4);
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(0, polled(fence, POLLIN));
	before = now_ns();
	INC(1);
	EXPECT_EQ(POLLIN, polled(fence, POLLIN));
	EXPECT_EQ(1, fence_status(fence));
	EXPECT_LE(before, fence_timestamp(fence));
	EXPECT_GE(now_ns(), fence_timestamp(fence));
	INC(10);
	EXPECT_EQ(1, fence_status(fence));
}

TEST_F(sw_sync, wakes_who_waits)
{
	int fence = FENCE(2);
	pid_t child = fork();

	if (!child) {
		struct pollfd pollfd = { .fd = fence, .events = POLLIN };

		/* The parent's INC comes before or while it waits. */
		_exit(poll(&pollfd, 1, PATIENCE_MS) != 1 || fence_status(fence) != 1);
	}
	INC(1);
	EXPECT_EQ(0, fence_status(fence));
	INC(1);
	EXPECT_EQ(0, child_status(child));
}

TEST_F(sw_sync, timelines_are_independent)
{
	int other = timeline_open(variant->node);
	int fence = FENCE(1), theirs = fence_create(other, 1);

	INC(1);
	EXPECT_EQ(1, fence_status(fence));
	EXPECT_EQ(0, fence_status(theirs));
	ASSERT_EQ(0, close(self->timeline));
	EXPECT_EQ(0, fence_status(theirs));
	ASSERT_EQ(0, timeline_inc(other, 1));
	EXPECT_EQ(1, fence_status(theirs));
}

TEST_F(sw_sync, same_value_is_the_same_fence)
{
	int one = FENCE(7), other = FENCE(7), another;
	int merged = fence_merge(one, other);
	__u64 deadline;

	/* What is set on one is set on the other. */
	ASSERT_EQ(0, set_deadline(one, 5 * SEC));
	EXPECT_EQ(5 * SEC, deadline_of(self->timeline, other));
	ASSERT_LE(0, merged);
	EXPECT_EQ(1, fence_count(merged));
	EXPECT_EQ(5 * SEC, deadline_of(self->timeline, merged));
	/* It stays as long as one descriptor. */
	ASSERT_EQ(0, close(one));
	ASSERT_EQ(0, close(merged));
	one = FENCE(7);
	EXPECT_EQ(5 * SEC, deadline_of(self->timeline, one));
	INC(7);
	EXPECT_EQ(1, fence_status(one));
	EXPECT_EQ(1, fence_status(other));
	EXPECT_EQ(fence_timestamp(one), fence_timestamp(other));
	/* It has signalled, so there is a new one. */
	another = FENCE(7);
	EXPECT_EQ(1, fence_status(another));
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, another, &deadline));
}

TEST_F(sw_sync, value_whose_fence_is_gone_has_another)
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

TEST_F(sw_sync, created_out_of_order)
{
	int fences[3];

	fences[2] = FENCE(3);
	fences[0] = FENCE(1);
	fences[1] = FENCE(2);
	expect_statuses(_metadata, fences, 0, 0, 0);
	INC(1);
	expect_statuses(_metadata, fences, 1, 0, 0);
	INC(1);
	expect_statuses(_metadata, fences, 1, 1, 0);
	INC(1);
	expect_statuses(_metadata, fences, 1, 1, 1);
}

TEST_F(sw_sync, one_of_the_middle_is_gone)
{
	int fences[3] = { FENCE(2), FENCE(6), FENCE(5) };
	int gone = FENCE(4);

	ASSERT_EQ(0, close(gone));
	INC(4);
	expect_statuses(_metadata, fences, 1, 0, 0);
	INC(2);
	expect_statuses(_metadata, fences, 1, 1, 1);
	EXPECT_LE(fence_timestamp(fences[2]), fence_timestamp(fences[1]));
}

/*
 * Creates fences of the values 1 to MANY in the order of @values. Some steps signal one, some many; what one step signals
 * it does in the order of values.
 */
static void many(struct __test_metadata *_metadata, int timeline, const __u32 *values)
{
	static const __u32 steps[] = { 1, 0, 2, 97, 400, 1, 498, 1 };
	int fences[MANY + 1];
	struct rlimit limit = { .rlim_cur = MANY + 64, .rlim_max = MANY + 64 };
	__u32 counter = 0;
	__u64 last = 0;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < MANY; i++) {
		fences[values[i]] = fence_create(timeline, values[i]);
		ASSERT_LE(0, fences[values[i]]);
	}
	for (size_t step = 0; step < ARRAY_LEN(steps); step++) {
		ASSERT_EQ(0, timeline_inc(timeline, steps[step]));
		counter += steps[step];
		for (__u32 value = 1; value <= MANY; value++)
			ASSERT_EQ(value <= counter, fence_status(fences[value]));
	}
	ASSERT_EQ(MANY, counter);
	for (__u32 value = 1; value <= MANY; value++) {
		EXPECT_LE(last, fence_timestamp(fences[value]));
		last = fence_timestamp(fences[value]);
	}
}

TEST_F_TIMEOUT(sw_sync, created_in_order, 120)
{
	__u32 values[MANY];

	for (__u32 i = 0; i < MANY; i++)
		values[i] = i + 1;
	many(_metadata, self->timeline, values);
}

TEST_F_TIMEOUT(sw_sync, created_in_reverse, 120)
{
	__u32 values[MANY];

	for (__u32 i = 0; i < MANY; i++)
		values[i] = MANY - i;
	many(_metadata, self->timeline, values);
}

TEST_F_TIMEOUT(sw_sync, created_at_random, 120)
{
	__u32 values[MANY];

	for (__u32 i = 0; i < MANY; i++)
		values[i] = i + 1;
	shuffle(values, MANY);
	many(_metadata, self->timeline, values);
}

TEST_F(sw_sync, inc_by_nothing)
{
	int fence = FENCE(1);

	INC(0);
	EXPECT_EQ(0, fence_status(fence));
	INC(1);
	INC(0);
	EXPECT_EQ(1, fence_status(fence));
	EXPECT_EQ(0, fence_status(FENCE(2)));
}

/* Added at once, more than INT_MAX would lead past values that then were far ahead. */
TEST_F(sw_sync, inc_by_more_than_int_max_leaves_none_out)
{
	static const __u32 incs[] = {
		1, INT_MAX - 1U, INT_MAX, INT_MAX + 1U, INT_MAX + 2U, 0xc0000000, 0xfffffffe, 0xffffffff,
	};
	static const __u32 values[] = { 1, 2, 0x40000000, INT_MAX - 1U, INT_MAX };

	for (size_t i = 0; i < ARRAY_LEN(incs); i++) {
		int timeline = timeline_open(variant->node);
		int fences[ARRAY_LEN(values)];

		for (size_t j = 0; j < ARRAY_LEN(values); j++) {
			fences[j] = fence_create(timeline, values[j]);
			ASSERT_EQ(0, fence_status(fences[j]));
		}
		ASSERT_EQ(0, timeline_inc(timeline, incs[i]));
		for (size_t j = 0; j < ARRAY_LEN(values); j++) {
			EXPECT_EQ(values[j] <= incs[i], fence_status(fences[j]))
				TH_LOG("value %#x, added %#x", values[j], incs[i]);
		}
		/* And the counter is where it should be. */
		EXPECT_EQ(1, fence_status(fence_create(timeline, incs[i])));
		EXPECT_EQ(0, fence_status(fence_create(timeline, incs[i] + 1)));
		close(timeline);
	}
}

TEST_F(sw_sync, counter_wraps_around)
{
	static const __u32 values[] = { 0xfffffff5, 0xffffffff, 0, 5 };
	int fences[ARRAY_LEN(values)];

	INC(0xfffffff0);
	/* The latest first. */
	for (int i = ARRAY_LEN(values) - 1; i >= 0; i--) {
		fences[i] = FENCE(values[i]);
		EXPECT_EQ(0, fence_status(fences[i]));
	}
	INC(5);
	EXPECT_EQ(1, fence_status(fences[0]));
	expect_statuses(_metadata, fences + 1, 0, 0, 0);
	INC(10);
	expect_statuses(_metadata, fences + 1, 1, 0, 0);
	INC(1);
	expect_statuses(_metadata, fences + 1, 1, 1, 0);
	INC(4);
	EXPECT_EQ(0, fence_status(fences[3]));
	INC(1);
	EXPECT_EQ(1, fence_status(fences[3]));
	/* What was before is behind. */
	EXPECT_EQ(1, fence_status(FENCE(0xfffffff5)));
}

TEST_F(sw_sync, one_inc_over_the_end_of_the_counter)
{
	int fences[3];

	INC(0xfffffffe);
	fences[0] = FENCE(0xffffffff);
	fences[2] = FENCE(1);
	fences[1] = FENCE(0);
	INC(3);
	expect_statuses(_metadata, fences, 1, 1, 1);
	EXPECT_LE(fence_timestamp(fences[0]), fence_timestamp(fences[1]));
	EXPECT_LE(fence_timestamp(fences[1]), fence_timestamp(fences[2]));
}

TEST_F(sw_sync, half_the_circle_is_ahead)
{
	static const __u32 counters[] = { 0, 1, INT_MAX, 0x80000000, 0x80000001, 0xffffffff };

	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		int timeline = timeline_open(variant->node);
		__u32 counter = counters[i];
		int fence;

		ASSERT_EQ(0, timeline_inc(timeline, counter));
		EXPECT_EQ(1, fence_status(fence_create(timeline, counter)));
		EXPECT_EQ(1, fence_status(fence_create(timeline, counter - 1)));
		EXPECT_EQ(1, fence_status(fence_create(timeline, counter - INT_MAX)));
		EXPECT_EQ(1, fence_status(fence_create(timeline, counter + 0x80000000)));
		EXPECT_EQ(0, fence_status(fence_create(timeline, counter + 1)));
		fence = fence_create(timeline, counter + INT_MAX);
		EXPECT_EQ(0, fence_status(fence));
		ASSERT_EQ(0, timeline_inc(timeline, INT_MAX - 1));
		EXPECT_EQ(0, fence_status(fence));
		ASSERT_EQ(0, timeline_inc(timeline, 1));
		EXPECT_EQ(1, fence_status(fence));
		close(timeline);
	}
}

/* What is reached is behind the counter, though it is ahead of what is pending. */
TEST_F(sw_sync, behind_the_counter_with_some_pending)
{
	static const __u32 pending[] = { 1, 2, 0x3fffffff, INT_MAX };
	static const __u32 behind[] = {
		0, 0xffffffff, 0xc0000000, 0x80000002, 0x80000001, 0x80000000,
	};
	int fences[ARRAY_LEN(pending)];

	for (__u32 counter = 0; counter < 4; counter++) {
		for (size_t i = 0; i < ARRAY_LEN(pending); i++) {
			fences[i] = FENCE(counter + pending[i]);
			for (size_t j = 0; j < ARRAY_LEN(behind); j++) {
				int fence = FENCE(counter + behind[j]);

				ASSERT_EQ(1, fence_status(fence))
					TH_LOG("value %#x, pending up to %#x, counter %#x",
					       counter + behind[j], counter + pending[i], counter);
				close(fence);
			}
		}
		for (size_t i = 0; i < ARRAY_LEN(pending); i++) {
			EXPECT_EQ(0, fence_status(fences[i]));
			close(fences[i]);
		}
		INC(1);
	}
}

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

TEST_F(sw_sync, descriptors_are_close_on_exec)
{
	int plain = open(variant->node, O_RDWR);
	int fence = fence_create(plain, 1);

	/* Asked for or not. */
	EXPECT_EQ(0, fcntl(plain, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(fence, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(fence_create(plain, 0), F_GETFD));
	EXPECT_EQ(fcntl(fence_merge(fence, fence), F_GETFL), fcntl(fence, F_GETFL));
}

TEST_F(sw_sync, names)
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
	/* As long as it may be. */
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

TEST_F(sw_sync, name_is_the_thread_s)
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

/* The kernel names a sync_file after driver, timeline, context and seqno. */
TEST_F(sw_sync, context_and_seqno)
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
	/* One context for each timeline. */
	EXPECT_EQ(contexts[0], contexts[1]);
	EXPECT_NE(contexts[0], contexts[2]);
	ASSERT_EQ(0, timeline_inc(timelines[0], 0x80000000));
	ASSERT_TRUE(name_of(fence_create(timelines[0], 0xffffffff), "tl-", &contexts[1], &value));
	EXPECT_EQ(0xffffffff, value);
	EXPECT_EQ(contexts[0], contexts[1]);
	/* Around the end of the counter they begin anew. */
	ASSERT_TRUE(name_of(fence_create(timelines[0], 0xffffffff), "tl-", &contexts[1], &value));
	ASSERT_EQ(0, timeline_inc(timelines[0], 0x7fffffff));
	ASSERT_TRUE(name_of(fence_create(timelines[0], 3), "tl-", &contexts[1], &value));
	EXPECT_EQ(3, value);
	EXPECT_EQ(contexts[0], contexts[1]);
}

TEST_F(sw_sync, close_completes_what_is_pending)
{
	int fences[3] = { FENCE(1), FENCE(3), FENCE(2) };
	__u64 before;

	INC(1);
	before = now_ns();
	ASSERT_EQ(0, close(self->timeline));
	expect_statuses(_metadata, fences, 1, -ENOENT, -ENOENT);
	EXPECT_EQ(POLLIN, polled(fences[1], POLLIN));
	EXPECT_GE(before, fence_timestamp(fences[0]));
	/* In the order of values. */
	EXPECT_LE(before, fence_timestamp(fences[2]));
	EXPECT_LE(fence_timestamp(fences[2]), fence_timestamp(fences[1]));
	/* What is left of it is an ordinary fence. */
	EXPECT_EQ(0, set_deadline(fences[1], SEC));
	EXPECT_LE(0, fence_merge(fences[1], fences[2]));
	self->timeline = -1;
}

TEST_F(sw_sync, close_without_descriptors_of_fences)
{
	for (__u32 value = 1; value <= 5; value++)
		ASSERT_EQ(0, close(FENCE(value)));
	EXPECT_EQ(0, close(self->timeline));
	self->timeline = -1;
}

TEST_F(sw_sync, close_of_one_of_two_descriptors)
{
	int fences[3] = { FENCE(1), FENCE(2), FENCE(3) };
	int second = dup(self->timeline);

	ASSERT_EQ(0, close(self->timeline));
	expect_statuses(_metadata, fences, 0, 0, 0);
	ASSERT_EQ(0, timeline_inc(second, 1));
	expect_statuses(_metadata, fences, 1, 0, 0);
	ASSERT_EQ(0, close(second));
	expect_statuses(_metadata, fences, 1, -ENOENT, -ENOENT);
	self->timeline = -1;
}

TEST_F(sw_sync, fork_shares)
{
	int fences[3] = { FENCE(1), FENCE(2), FENCE(3) };
	pid_t child = fork();

	if (!child)
		_exit(timeline_inc(self->timeline, 2) || fence_create(self->timeline, 4) < 0);
	ASSERT_EQ(0, child_status(child));
	/* The child's end was not that of the timeline. */
	expect_statuses(_metadata, fences, 1, 1, 0);
	INC(1);
	expect_statuses(_metadata, fences, 1, 1, 1);
}

TEST_F(sw_sync, fork_keeps_it_open)
{
	int fence = FENCE(1), other = FENCE(2);
	int sockets[2];
	pid_t child;
	char byte;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));
	child = fork();
	if (!child) {
		/* Until the parent has closed the timeline, and looked. */
		if (read(sockets[1], &byte, 1) != 1)
			_exit(1);
		_exit(timeline_inc(self->timeline, 1) ? 1 : 0);
	}
	ASSERT_EQ(0, close(self->timeline));
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(1, write(sockets[0], "", 1));
	ASSERT_EQ(0, child_status(child));
	EXPECT_EQ(1, fence_wait(fence));
	EXPECT_EQ(-ENOENT, fence_wait(other));
	self->timeline = -1;
}

TEST_F(sw_sync, killed)
{
	int sockets[2], fence;
	pid_t child;
	__u32 none;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));
	child = fork();
	if (!child) {
		int timeline = timeline_open(variant->node);

		send_fd(sockets[1], 0, fence_create(timeline, 1));
		pause();
		_exit(1);
	}
	fence = receive_fd(sockets[0], &none);
	ASSERT_LE(0, fence);
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(-SIGKILL, child_status(child));
	EXPECT_EQ(-ENOENT, fence_wait(fence));
}

TEST_F(sw_sync, deadline_none)
{
	int fence = FENCE(1), born = FENCE(0);
	__u64 deadline;

	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, fence, &deadline));
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, born, &deadline));
	INC(1);
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, fence, &deadline));
	/* Too late: nobody is told of that. */
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
	/* Others are not concerned. */
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, FENCE(2), &(__u64){ 0 }));
	/* It is remembered: when it has signalled, and when the timeline has gone. */
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

/* Times are signed in the kernel, so what does not fit is not late but early. */
TEST_F(sw_sync, deadline_beyond_what_the_clock_can_show)
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

TEST_F(sw_sync, deadline_after_the_fence_has_signalled)
{
	int fence = FENCE(1), failed = FENCE(2);
	int other = timeline_open(variant->node);

	ASSERT_EQ(0, set_deadline(fence, 3 * SEC));
	ASSERT_EQ(0, set_deadline(failed, 4 * SEC));
	INC(1);
	EXPECT_EQ(1, fence_status(fence));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, fence));
	/* Also when there is no timeline any more. */
	ASSERT_EQ(0, close(self->timeline));
	EXPECT_EQ(-ENOENT, fence_status(failed));
	EXPECT_EQ(3 * SEC, deadline_of(other, fence));
	EXPECT_EQ(4 * SEC, deadline_of(other, failed));
	self->timeline = -1;
}

TEST_F_TIMEOUT(sw_sync, deadline_long_after_the_fence_has_signalled, 60)
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
	/* The first one set is earlier: value 1 was its own. */
	EXPECT_EQ(2 * SEC, deadline_of(self->timeline, fence));
	/* No other one has come by the same value. */
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

TEST_F(sw_sync, deadline_through_a_merged_fence)
{
	int other = timeline_open(variant->node);
	int mine = FENCE(1), theirs = fence_create(other, 1);
	int merged = fence_merge(mine, theirs);
	__u64 deadline;

	ASSERT_EQ(0, set_deadline(merged, 3 * SEC));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, mine));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, theirs));
	EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, merged, &deadline));
	/* Of which one is left is none, but that one. */
	ASSERT_EQ(0, timeline_inc(other, 1));
	merged = fence_merge(mine, theirs);
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, merged));
}

TEST_F(sw_sync, deadline_that_is_refused)
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

/* The counter has come round: there are two fences of one value, and one of them has signalled. */
TEST_F(sw_sync, deadline_of_the_same_value_once_more)
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
	/* They call themselves by the same name, and are not the same. */
	if (other >= 0) {
		fence = fence_create(other, 1);
		ASSERT_EQ(0, set_deadline(fence, 3 * SEC));
		EXPECT_REFUSED(EINVAL, get_deadline(self->timeline, fence, &(__u64){ 0 }));
		EXPECT_EQ(3 * SEC, deadline_of(other, fence));
	}
}

TEST_F(sw_sync, unknown_ioctls)
{
	static const unsigned int unknown[] = {
		_IOWR('W', 3, struct sw_sync_create_fence_data), _IO('W', 0), _IO('W', 1), _IO('W', 2),
		_IOW('W', 0, struct sw_sync_create_fence_data), _IOR('W', 1, __u32), _IOWR('W', 1, __u32),
		_IOW('W', 1, __u64), _IOWR('V', 0, struct sw_sync_create_fence_data), _IOWR('W', 0, __u32),
		_IOW('W', 2, struct sw_sync_get_deadline), 0, ~0U, VFENCE_IOCTL_QUERY, SYNC_IOC_FILE_INFO,
	};
	char argument[512] = { 0 };
	int fds = lowest_fd();

	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		EXPECT_REFUSED(ENOTTY, ioctl(self->timeline, unknown[i], argument));
	EXPECT_EQ(fds, lowest_fd());
}

TEST_F(sw_sync, cannot_be_read_written_or_mapped)
{
	char byte = 0;

	EXPECT_REFUSED(EINVAL, read(self->timeline, &byte, 1));
	EXPECT_REFUSED(EINVAL, write(self->timeline, &byte, 1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->timeline, 0));
	/* It cannot tell when it would be ready. */
	EXPECT_EQ(POLLIN | POLLOUT, polled(self->timeline, POLLIN | POLLOUT | POLLPRI));
	EXPECT_REFUSED(EPERM, epoll_ctl(epoll_create1(EPOLL_CLOEXEC), EPOLL_CTL_ADD, self->timeline,
					&(struct epoll_event){ .events = EPOLLIN }));
}

/* As the file of debugfs is, which asks nobody how it was opened. */
TEST_F(sw_sync, opened_to_read_or_to_write)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR | O_NONBLOCK };

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		int timeline = open(variant->node, modes[i] | O_CLOEXEC);
		int fence = fence_create(timeline, 1);

		ASSERT_LE(0, fence);
		EXPECT_EQ(POLLIN | POLLOUT, polled(timeline, POLLIN | POLLOUT));
		ASSERT_EQ(0, timeline_inc(timeline, 1));
		EXPECT_EQ(1, fence_status(fence));
	}
}

TEST_F(sw_sync, pointers_that_lead_nowhere)
{
	static const unsigned int numbers[] = {
		SW_SYNC_IOC_CREATE_FENCE, SW_SYNC_IOC_INC, SW_SYNC_GET_DEADLINE,
	};
	char *edge = unmapped(2), *nowhere = unmapped(1);
	size_t page = sysconf(_SC_PAGESIZE);
	int fence = FENCE(1), fds = lowest_fd();

	/* The last byte is one too many. */
	ASSERT_EQ(0, mprotect(edge, page, PROT_READ | PROT_WRITE));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		size_t size = _IOC_SIZE(numbers[i]);

		memset(edge + page - size + 1, 1, size - 1);
		EXPECT_REFUSED(EFAULT, ioctl(self->timeline, numbers[i], NULL));
		EXPECT_REFUSED(EFAULT, ioctl(self->timeline, numbers[i], nowhere));
		EXPECT_REFUSED(EFAULT, ioctl(self->timeline, numbers[i], edge + page - size + 1));
		EXPECT_EQ(fds, lowest_fd());
	}
	/* The counter has not moved. */
	EXPECT_EQ(0, fence_status(fence));
	INC(1);
	EXPECT_EQ(1, fence_status(fence));
}

TEST_F(sw_sync, reply_that_cannot_be_written)
{
	struct sw_sync_create_fence_data create = { .value = 7 };
	struct sw_sync_create_fence_data *unwritable = read_only(&create, sizeof(create));
	struct sw_sync_get_deadline get = { .fence_fd = FENCE(1) }, *unseen;
	int fds = lowest_fd(), fence;
	__u64 deadline;

	ASSERT_NE(NULL, unwritable);
	EXPECT_REFUSED(EFAULT, ioctl(self->timeline, SW_SYNC_IOC_CREATE_FENCE, unwritable));
	EXPECT_EQ(fds, lowest_fd());
	/* Born signalled. */
	create.value = 0;
	EXPECT_REFUSED(EFAULT, ioctl(self->timeline, SW_SYNC_IOC_CREATE_FENCE,
				     read_only(&create, sizeof(create))));
	EXPECT_EQ(fds, lowest_fd());
	/* One that is there stays as it is. */
	fence = FENCE(7);
	EXPECT_EQ(fds, fence);
	fds = lowest_fd();
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, fence, &deadline));
	ASSERT_EQ(0, set_deadline(fence, 3 * SEC));
	for (int i = 0; i < 10; i++)
		EXPECT_REFUSED(EFAULT, ioctl(self->timeline, SW_SYNC_IOC_CREATE_FENCE, unwritable));
	EXPECT_EQ(fds, lowest_fd());
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, fence));
	/* INC writes nothing. */
	ASSERT_EQ(0, ioctl(self->timeline, SW_SYNC_IOC_INC, read_only(&(__u32){ 7 }, sizeof(__u32))));
	EXPECT_EQ(1, fence_status(fence));
	get.fence_fd = fence;
	unseen = read_only(&get, sizeof(get));
	ASSERT_NE(NULL, unseen);
	EXPECT_REFUSED(EFAULT, ioctl(self->timeline, SW_SYNC_GET_DEADLINE, unseen));
}

TEST_F(sw_sync, no_descriptor_is_free)
{
	int fds = lowest_fd(), fence;
	struct rlimit limit = { .rlim_cur = fds, .rlim_max = 1024 };
	__u64 deadline;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_REFUSED(EMFILE, fence_create(self->timeline, 7));
	EXPECT_REFUSED(EMFILE, fence_create(self->timeline, 0));
	limit.rlim_cur = fds + 1;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	fence = FENCE(7);
	EXPECT_EQ(fds, fence);
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, fence, &deadline));
	EXPECT_REFUSED(EMFILE, fence_create(self->timeline, 7));
	INC(7);
	EXPECT_EQ(1, fence_status(fence));
}

TEST_F(sw_sync, job_waits)
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

TEST_F(sw_sync, job_waits_for_a_merged_one)
{
	int device = device_open(), other = timeline_open(variant->node);
	int theirs = fence_create(other, 1), mine = FENCE(1);
	int merged = fence_merge(mine, theirs);
	int out = submit_after(device, timer_queue(device), 0, merged);

	ASSERT_LE(0, out);
	/* Only the job has it. */
	close(theirs);
	close(mine);
	close(merged);
	INC(1);
	EXPECT_EQ(0, fence_status(out));
	ASSERT_EQ(0, timeline_inc(other, 1));
	EXPECT_EQ(1, fence_wait(out));
	INC(1);
}

TEST_F(sw_sync, job_that_waits_is_told_of_the_close)
{
	int device = device_open();
	int out = submit_after(device, timer_queue(device), MSEC, FENCE(1));

	ASSERT_LE(0, out);
	ASSERT_EQ(0, close(self->timeline));
	EXPECT_EQ(-ENOENT, fence_wait(out));
	self->timeline = -1;
}

/* One increments, the others create fences and look at them. */
struct race {
	int timeline;
	/* What the counter has reached for sure, and what it may have reached. */
	__u32 done, started;
	/* How many of the others are not through yet. */
	int left;
};

#define RACERS 3
#define RACES 300

static void *race_inc(void *argument)
{
	struct race *race = argument;

	while (__atomic_load_n(&race->left, __ATOMIC_SEQ_CST)) {
		__u32 next = __atomic_add_fetch(&race->started, 1, __ATOMIC_SEQ_CST);

		if (timeline_inc(race->timeline, 1))
			return "INC failed";
		__atomic_store_n(&race->done, next, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static const char *race_one(struct race *race, __u32 ahead)
{
	__u32 value = __atomic_load_n(&race->done, __ATOMIC_SEQ_CST) + ahead;
	int fence = fence_create(race->timeline, value);
	int status = 0;

	if (fence < 0)
		return "CREATE failed";
	for (int looks = 0; !status; looks++) {
		__u32 done = __atomic_load_n(&race->done, __ATOMIC_SEQ_CST);
		struct pollfd pollfd = { .fd = fence, .events = POLLIN };
		__u32 started;

		status = fence_status(fence);
		started = __atomic_load_n(&race->started, __ATOMIC_SEQ_CST);
		if (!status && (__s32)(done - value) >= 0)
			return "pending, though its value is reached";
		if (status == 1 && (__s32)(started - value) < 0)
			return "signalled, though its value is not reached";
		if (status != 0 && status != 1)
			return "failed";
		if (!status && looks >= 2 && poll(&pollfd, 1, PATIENCE_MS) != 1)
			return "nobody woke who waited";
	}
	close(fence);
	return NULL;
}

static void *race_create(void *argument)
{
	struct race *race = argument;
	const char *problem = NULL;

	for (__u32 i = 0; i < RACES && !problem; i++)
		problem = race_one(race, i % 8);
	__atomic_sub_fetch(&race->left, 1, __ATOMIC_SEQ_CST);
	return (void *)problem;
}

TEST_F_TIMEOUT(sw_sync, threads_create_and_increment, 120)
{
	/* Its end comes while they are at it. */
	const __u32 start = 0xffffff80;
	struct race race = {
		.timeline = self->timeline, .done = start, .started = start, .left = RACERS,
	};
	pthread_t threads[RACERS + 1];

	INC(start);
	for (int i = 0; i <= RACERS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, i ? race_create : race_inc, &race));
	for (int i = 0; i <= RACERS; i++) {
		void *problem;

		ASSERT_EQ(0, pthread_join(threads[i], &problem));
		EXPECT_EQ(NULL, problem)
			TH_LOG("%s", (const char *)problem);
	}
}

static void *increment(void *timeline)
{
	for (int i = 0; i < RACES; i++)
		if (timeline_inc(*(int *)timeline, 1))
			return "INC failed";
	return NULL;
}

TEST_F(sw_sync, threads_increment)
{
	int fence = FENCE(4 * RACES), next = FENCE(4 * RACES + 1);
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, increment, &self->timeline));
	for (int i = 0; i < 4; i++) {
		void *problem;

		ASSERT_EQ(0, pthread_join(threads[i], &problem));
		EXPECT_EQ(NULL, problem);
	}
	/* None was lost. */
	EXPECT_EQ(1, fence_status(fence));
	EXPECT_EQ(0, fence_status(next));
}

static void *inc_by_64(void *timeline)
{
	return timeline_inc(*(int *)timeline, 64) ? "INC failed" : NULL;
}

/* While an INC signals many, one of the last value is asked for again and again: when that has signalled, so have all before it. */
TEST_F_TIMEOUT(sw_sync, threads_do_not_overtake, 60)
{
	for (__u32 base = 0; base < 64 * 50; base += 64) {
		pthread_t thread;
		void *problem;
		int fences[64], status, before, fence;

		for (__u32 i = 0; i < 64; i++)
			fences[i] = FENCE(base + i + 1);
		ASSERT_EQ(0, pthread_create(&thread, NULL, inc_by_64, &self->timeline));
		do {
			fence = FENCE(base + 64);
			status = fence_status(fence);
			before = fence_status(fences[62]);
			close(fence);
		} while (!status);
		EXPECT_EQ(1, status);
		EXPECT_EQ(1, before);
		ASSERT_EQ(0, pthread_join(thread, &problem));
		ASSERT_EQ(NULL, problem);
		for (__u32 i = 0; i < 64; i++)
			close(fences[i]);
	}
}

static void *inc_half_the_circle(void *timeline)
{
	return timeline_inc(*(int *)timeline, INT_MAX) ? "INC failed" : NULL;
}

/* So many that one INC takes a while, and not too many for a kernel that is slow. */
#define CROWD 4000

/*
 * Two that go half round the counter each, the second while the first signals: what that has reached would be far ahead once
 * more, so it has to be over then, however many these are.
 */
TEST_F_TIMEOUT(sw_sync, threads_go_round, 120)
{
	struct rlimit limit = { .rlim_cur = CROWD + 64, .rlim_max = CROWD + 64 };
	static int fences[CROWD];

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (int round = 0; round < 2; round++) {
		pthread_t thread;
		void *problem;

		for (__u32 i = 0; i < CROWD; i++) {
			fences[i] = FENCE(i + 1);
			ASSERT_EQ(0, polled(fences[i], POLLIN));
		}
		ASSERT_EQ(0, pthread_create(&thread, NULL, inc_half_the_circle, &self->timeline));
		while (!fence_status(fences[0]))
			;
		INC(INT_MAX);
		ASSERT_EQ(0, pthread_join(thread, &problem));
		ASSERT_EQ(NULL, problem);
		for (__u32 i = 0; i < CROWD; i++) {
			ASSERT_EQ(1, fence_status(fences[i]))
				TH_LOG("round %d, value %u", round, i + 1);
			close(fences[i]);
		}
		/* Back to 0. */
		INC(2);
	}
}

struct meeting {
	pthread_barrier_t barrier;
	int timeline;
	int fences[4][64];
};

struct guest {
	struct meeting *meeting;
	int number;
};

static void *create_same(void *argument)
{
	struct guest *guest = argument;
	struct meeting *meeting = guest->meeting;

	for (int i = 0; i < 64; i++) {
		pthread_barrier_wait(&meeting->barrier);
		meeting->fences[guest->number][i] = fence_create(meeting->timeline, i + 1);
	}
	return NULL;
}

TEST_F(sw_sync, threads_create_the_same)
{
	struct meeting meeting = { .timeline = self->timeline };
	struct guest guests[4];
	pthread_t threads[4];

	ASSERT_EQ(0, pthread_barrier_init(&meeting.barrier, NULL, 4));
	for (int i = 0; i < 4; i++) {
		guests[i] = (struct guest) { &meeting, i };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, create_same, &guests[i]));
	}
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	for (int value = 1; value <= 64; value++) {
		ASSERT_EQ(0, set_deadline(meeting.fences[value % 4][value - 1], value * SEC));
		for (int i = 0; i < 4; i++)
			EXPECT_EQ(value * SEC,
				  deadline_of(self->timeline, meeting.fences[i][value - 1]));
	}
}

static void *create_and_close(void *timeline)
{
	for (int i = 0; i < RACES; i++) {
		int fence = fence_create(*(int *)timeline, 1);

		if (fence < 0 || fence_status(fence) || close(fence))
			return "not a pending fence";
	}
	return NULL;
}

/* The last reference goes while another one is taken. */
TEST_F(sw_sync, threads_create_and_close_the_same)
{
	pthread_t threads[4];
	int fence;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, create_and_close, &self->timeline));
	for (int i = 0; i < 4; i++) {
		void *problem;

		ASSERT_EQ(0, pthread_join(threads[i], &problem));
		EXPECT_EQ(NULL, problem);
	}
	fence = FENCE(1);
	EXPECT_EQ(0, fence_status(fence));
	INC(1);
	EXPECT_EQ(1, fence_status(fence));
}

/* What is for /dev/sw_sync alone. */
FIXTURE(own)
{
	int timeline;
};

FIXTURE_SETUP(own)
{
	self->timeline = timeline_open(OWN_NODE);
	ASSERT_LE(0, self->timeline);
}

FIXTURE_TEARDOWN(own)
{
	close(self->timeline);
}

/* The kernel's is a file of debugfs, for all to see. */
TEST_F(own, only_root_may_open_it)
{
	struct stat node;
	pid_t child;

	ASSERT_EQ(0, stat(OWN_NODE, &node));
	EXPECT_TRUE(S_ISCHR(node.st_mode));
	EXPECT_EQ(0600, node.st_mode & 07777);
	EXPECT_EQ(0, node.st_uid);
	EXPECT_EQ(0, node.st_gid);
	/* A misc device's major number. */
	EXPECT_EQ(10, major(node.st_rdev));
	child = fork();
	if (!child) {
		if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
			_exit(1);
		_exit(timeline_open(OWN_NODE) != -1 || errno != EACCES);
	}
	EXPECT_EQ(0, child_status(child));
}

static long tainted(void)
{
	FILE *file = fopen("/proc/sys/kernel/tainted", "r");
	long taints = -1;

	if (file && fscanf(file, "%ld", &taints) != 1)
		taints = -1;
	if (file)
		fclose(file);
	return taints;
}

/* The kernel's sets TAINT_SOFTLOCKUP with the first fence: it can hang the kernel. */
TEST_F(own, does_not_taint)
{
	long before = tainted();

	ASSERT_LE(0, before);
	ASSERT_LE(0, fence_create(self->timeline, 1));
	ASSERT_LE(0, fence_create(self->timeline, 0));
	INC(1);
	EXPECT_EQ(before, tainted());
}

/*
 * A callback that lets go of the last reference to a fence of the same timeline, while this signals. The kernel's holds its lock
 * then, and takes it to release a fence: it would hang.
 */
TEST_F(own, jobs_let_go_of_fences_in_the_signal)
{
	int device = device_open();
	__u32 queue = timer_queue(device);
	int out = -1;

	for (__u32 value = 1; value <= 100; value++) {
		/* Each of two jobs, and in both orders. */
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

TEST_F(own, jobs_let_go_of_fences_in_the_close)
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

/* What else waits has gone, and with it the fence. */
TEST_F(own, client_that_waits_is_gone)
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

/* Fences are shown there by their values. */
TEST_F(own, values_in_debugfs)
{
	char text[65536];
	int file, length;

	ASSERT_LE(0, fence_create(self->timeline, 4321));
	ASSERT_LE(0, fence_create(self->timeline, 1234));
	need_mount("debugfs", "/sys/kernel/debug", "/sys/kernel/debug/vfence");
	file = open("/sys/kernel/debug/vfence/queues", O_RDONLY | O_CLOEXEC);
	length = read(file, text, sizeof(text) - 1);
	ASSERT_LT(0, length);
	text[length] = '\0';
	EXPECT_NE(NULL, strstr(text, "\n  job 1234 pending "));
	EXPECT_NE(NULL, strstr(text, "\n  job 4321 pending "));
	EXPECT_EQ(NULL, strstr(text, "\n  job 1 pending "));
}

/* A program that looks in debugfs finds another one where the kernel has it: the log says which there are. */
TEST_F(own, log_says_which_nodes_there_are)
{
	bool both = kernel_has_sw_sync();

	EXPECT_TRUE(logged(OWN_NODE, KERNEL_NODE));
	EXPECT_EQ(both, logged(KERNEL_NODE, "is the kernel's own"));
}

TEST_HARNESS_MAIN
