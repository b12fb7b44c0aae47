// SPDX-License-Identifier: GPL-2.0
/* SW_SYNC_IOC_INC: which fences it signals, in which order, and how the counter wraps. */
#include <sys/resource.h>
#include "sw_sync/fixture.h"

/* More fences than the default limit of descriptors allows. */
#define MANY 1000

/* Shuffles with a fixed seed. */
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

TEST_F(sw_sync, fence_signals_when_the_counter_reaches_it)
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

TEST_F(sw_sync, inc_wakes_a_poller)
{
	int fence = FENCE(2);
	pid_t child = fork();

	if (!child) {
		struct pollfd pollfd = { .fd = fence, .events = POLLIN };

		/* INC comes before or during poll(). */
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

TEST_F(sw_sync, closed_fence_in_the_middle)
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
 * Creates fences of the values 1 to MANY in the order of @values and increments in steps of
 * different sizes. Each step signals its fences in the order of values.
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

TEST_F(sw_sync, inc_by_zero_signals_nothing)
{
	int fence = FENCE(1);

	INC(0);
	EXPECT_EQ(0, fence_status(fence));
	INC(1);
	INC(0);
	EXPECT_EQ(1, fence_status(fence));
	EXPECT_EQ(0, fence_status(FENCE(2)));
}

/* An increment above INT_MAX passes pending values that would be ahead of the new counter. */
TEST_F(sw_sync, inc_above_int_max_signals_all_it_passes)
{
	static const __u32 incs[] = {
		1, INT_MAX - 1U, INT_MAX, INT_MAX + 1U, INT_MAX + 2U, 0xc0000000, 0xfffffffe,
		0xffffffff,
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
		/* The counter has advanced by the whole increment. */
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
	/* Create the highest value first. */
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
	/* A value before the wrap has been reached. */
	EXPECT_EQ(1, fence_status(FENCE(0xfffffff5)));
}

TEST_F(sw_sync, one_inc_across_the_wrap)
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

TEST_F(sw_sync, values_up_to_int_max_are_ahead)
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

/* A reached value is signalled, even though it is ahead of pending values modulo 2^32. */
TEST_F(sw_sync, values_behind_the_counter_are_signalled)
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

TEST_HARNESS_MAIN
