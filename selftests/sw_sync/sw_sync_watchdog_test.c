// SPDX-License-Identifier: GPL-2.0
/*
 * The watchdog of /dev/sw_sync, which the kernel's has not: the module is loaded with sw_sync_watchdog_ms=300. That goes by quickly on a
 * slow machine, so what has to be done before it is done again where it was not.
 */
#include "lib/sw_sync.h"

#define WATCHDOG (300 * MSEC)
/* How often a slow machine may be too slow before a case gives up. */
#define TRIES 40

FIXTURE(watchdog)
{
	int timeline;
};

FIXTURE_SETUP(watchdog)
{
	self->timeline = timeline_open(OWN_NODE);
	ASSERT_LE(0, self->timeline);
}

FIXTURE_TEARDOWN(watchdog)
{
	close(self->timeline);
}

/* Has a value time out. */
#define TIME_OUT(value) \
	do { \
		int late_ = fence_create(self->timeline, value); \
		ASSERT_LE(0, late_); \
		ASSERT_EQ(-ETIMEDOUT, fence_wait(late_)); \
		close(late_); \
	} while (0)

TEST_F(watchdog, not_before_its_time)
{
	__u64 before = now_ns();
	int fence = fence_create(self->timeline, 1);

	ASSERT_LE(0, fence);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_LE(before + WATCHDOG, fence_timestamp(fence));
	EXPECT_EQ(POLLIN, polled(fence, POLLIN));
}

TEST_F(watchdog, one_that_signals_in_time)
{
	int fence = -1;
	__u64 before, after;

	for (int i = 0; i < TRIES; i++) {
		before = now_ns();
		fence = fence_create(self->timeline, i + 1);
		ASSERT_LE(0, fence);
		ASSERT_EQ(0, timeline_inc(self->timeline, 1));
		after = now_ns();
		if (after - before < WATCHDOG)
			break;
		fence = -1;
	}
	if (fence < 0)
		SKIP(return, "the machine is too slow");
	EXPECT_EQ(1, fence_status(fence));
	/* It stays so. */
	usleep(2 * WATCHDOG / 1000);
	EXPECT_EQ(1, fence_status(fence));
	EXPECT_GE(after, fence_timestamp(fence));
}

/* Whenever these are created: each has to wait for the earlier ones, or comes too late itself. */
TEST_F(watchdog, earlier_values_time_out_with_it)
{
	int last = fence_create(self->timeline, 5), fences[4];
	__u64 created[4];

	ASSERT_LE(0, last);
	for (int i = 3; i >= 0; i--) {
		/* Half of them in the course of it. */
		if (i == 1)
			usleep(WATCHDOG / 2000);
		fences[i] = fence_create(self->timeline, i + 1);
		ASSERT_LE(0, fences[i]);
		created[i] = now_ns();
	}
	ASSERT_EQ(-ETIMEDOUT, fence_wait(last));
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(-ETIMEDOUT, fence_status(fences[i]));
		/* In the order of values, those that were there. */
		if (created[i] < fence_timestamp(last))
			EXPECT_LE(fence_timestamp(fences[i]), fence_timestamp(last));
	}
}

/* Each value has a time of its own. */
TEST_F(watchdog, later_values_have_longer)
{
	int fences[8];
	__u64 before[8];

	for (int i = 0; i < 8; i++) {
		before[i] = now_ns();
		fences[i] = fence_create(self->timeline, i + 1);
		ASSERT_LE(0, fences[i]);
		usleep(WATCHDOG / 8000);
	}
	for (int i = 0; i < 8; i++) {
		EXPECT_EQ(-ETIMEDOUT, fence_wait(fences[i]));
		EXPECT_LE(before[i] + WATCHDOG, fence_timestamp(fences[i]));
	}
}

/* A fence that nobody has any more is none, and takes nobody along. */
TEST_F_TIMEOUT(watchdog, one_that_is_gone, 60)
{
	for (int i = 0; i < TRIES; i++) {
		int timeline = timeline_open(OWN_NODE), gone, fence;
		__u64 first = now_ns(), before;

		gone = fence_create(timeline, 9);
		ASSERT_LE(0, gone);
		usleep(WATCHDOG / 2000);
		close(gone);
		before = now_ns();
		fence = fence_create(timeline, 5);
		ASSERT_LE(0, fence);
		if (now_ns() - first < WATCHDOG) {
			EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
			EXPECT_LE(before + WATCHDOG, fence_timestamp(fence));
			return;
		}
		close(fence);
		close(timeline);
	}
	SKIP(return, "the machine is too slow");
}

TEST_F(watchdog, same_value_has_the_time_of_the_first)
{
	int fence = fence_create(self->timeline, 5), same;

	usleep(WATCHDOG / 2000);
	same = fence_create(self->timeline, 5);
	ASSERT_LE(0, same);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(-ETIMEDOUT, fence_status(same));
}

/* Once more, for as long as the machine has been too slow. */
TEST_F_TIMEOUT(watchdog, counter_stays_as_it_is, 60)
{
	for (int i = 0; i < TRIES; i++) {
		int timeline = timeline_open(OWN_NODE), fence, pending, signalled;
		__u64 before;

		fence = fence_create(timeline, 5);
		ASSERT_EQ(-ETIMEDOUT, fence_wait(fence));
		before = now_ns();
		fence = fence_create(timeline, 6);
		ASSERT_LE(0, fence);
		ASSERT_EQ(0, timeline_inc(timeline, 5));
		pending = fence_status(fence);
		ASSERT_EQ(0, timeline_inc(timeline, 1));
		signalled = fence_status(fence);
		if (now_ns() - before < WATCHDOG) {
			EXPECT_EQ(0, pending);
			EXPECT_EQ(1, signalled);
			return;
		}
		close(fence);
		close(timeline);
	}
	SKIP(return, "the machine is too slow");
}

TEST_F(watchdog, values_up_to_the_late_one_are_born_late)
{
	static const __u32 values[] = { 5, 1, 3, 4, 2 };

	TIME_OUT(5);
	for (int i = 0; i < 2; i++) {
		for (size_t j = 0; j < ARRAY_LEN(values); j++) {
			int fence = fence_create(self->timeline, values[j]);

			EXPECT_EQ(POLLIN, polled(fence, POLLIN));
			EXPECT_EQ(-ETIMEDOUT, fence_status(fence));
		}
		/* Nothing was wrong with what the counter has reached. */
		EXPECT_EQ(1, fence_status(fence_create(self->timeline, 0)));
	}
	ASSERT_EQ(0, timeline_inc(self->timeline, 3));
	EXPECT_EQ(1, fence_status(fence_create(self->timeline, 1)));
	EXPECT_EQ(1, fence_status(fence_create(self->timeline, 3)));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence_create(self->timeline, 4)));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence_create(self->timeline, 5)));
	ASSERT_EQ(0, timeline_inc(self->timeline, 2));
	EXPECT_EQ(1, fence_status(fence_create(self->timeline, 4)));
	EXPECT_EQ(1, fence_status(fence_create(self->timeline, 5)));
}

/* A value later than the late one has its time, and is waited for as ever. */
TEST_F(watchdog, goes_on)
{
	for (__u32 value = 5; value <= 15; value += 5) {
		__u64 before = now_ns();
		int fence = fence_create(self->timeline, value);

		ASSERT_LE(0, fence);
		EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
		EXPECT_LE(before + WATCHDOG, fence_timestamp(fence));
		close(fence);
	}
	/* An earlier one that comes after a later one does not make that forgotten. */
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence_create(self->timeline, 1)));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence_create(self->timeline, 15)));
	ASSERT_EQ(0, timeline_inc(self->timeline, 15));
	EXPECT_EQ(1, fence_status(fence_create(self->timeline, 15)));
}

/* The counter has come round to where the late value is ahead once more: that was long ago. */
TEST_F(watchdog, late_value_is_forgotten_when_it_is_reached)
{
	static const __u32 incs[] = { 5, 0x40000000, INT_MAX, 0x80000010, 0xffffff00, 0xffffffff };

	for (size_t i = 0; i < ARRAY_LEN(incs); i++) {
		__u32 value = incs[i] + 1;
		int timeline = timeline_open(OWN_NODE), fence;
		__u64 before;

		fence = fence_create(timeline, 5);
		ASSERT_EQ(-ETIMEDOUT, fence_wait(fence));
		ASSERT_EQ(0, timeline_inc(timeline, incs[i]));
		EXPECT_EQ(1, fence_status(fence_create(timeline, incs[i])));
		before = now_ns();
		fence = fence_create(timeline, value);
		ASSERT_LE(0, fence);
		/* Late, but in its own time. */
		EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
		EXPECT_LE(before + WATCHDOG, fence_timestamp(fence))
			TH_LOG("added %#x", incs[i]);
		close(timeline);
	}
}

TEST_F(watchdog, around_the_end_of_the_counter)
{
	ASSERT_EQ(0, timeline_inc(self->timeline, 0xfffffffe));
	TIME_OUT(2);
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence_create(self->timeline, 0xffffffff)));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence_create(self->timeline, 0)));
	EXPECT_EQ(1, fence_status(fence_create(self->timeline, 0xfffffffe)));
	ASSERT_EQ(0, timeline_inc(self->timeline, 2));
	EXPECT_EQ(1, fence_status(fence_create(self->timeline, 0)));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence_create(self->timeline, 1)));
}

TEST_F(watchdog, of_one_timeline)
{
	int other = timeline_open(OWN_NODE), fence;
	__u64 before;

	TIME_OUT(5);
	before = now_ns();
	fence = fence_create(other, 3);
	ASSERT_LE(0, fence);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_LE(before + WATCHDOG, fence_timestamp(fence));
}

TEST_F(watchdog, deadline_is_remembered)
{
	int fence = fence_create(self->timeline, 5);
	int set = set_deadline(fence, 3 * SEC);

	ASSERT_EQ(0, set);
	/* Unless it was late before it could be set. */
	if (fence_status(fence))
		SKIP(return, "the machine is too slow");
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, fence));
}

TEST_F(watchdog, job_that_waits_is_told)
{
	int device = device_open();
	int fence = fence_create(self->timeline, 1);
	int out = submit_after(device, timer_queue(device), 0, fence);

	ASSERT_LE(0, out);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(out));
	/* By the fence, and not because it was the job that took too long: vfence's own watchdog waits for longer. */
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence));
	EXPECT_LE(fence_timestamp(fence), fence_timestamp(out));
}

TEST_F(watchdog, merged)
{
	int other = timeline_open(OWN_NODE);
	int merged = fence_merge(fence_create(self->timeline, 1), fence_create(other, 1));

	ASSERT_LE(0, merged);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(merged));
}

/* It does not come after the end. */
TEST_F(watchdog, closed_before)
{
	__u64 before = now_ns(), after;
	int fence = fence_create(self->timeline, 1);

	ASSERT_LE(0, fence);
	ASSERT_EQ(0, close(self->timeline));
	after = now_ns();
	self->timeline = -1;
	usleep(2 * WATCHDOG / 1000);
	if (after - before >= WATCHDOG)
		SKIP(return, "the machine is too slow");
	EXPECT_EQ(-ENOENT, fence_status(fence));
	EXPECT_GE(after, fence_timestamp(fence));
}

/* Many timers, of timelines that come and go, also while they are at it. */
TEST_F(watchdog, many_timelines_come_and_go)
{
	int fences[64];

	for (int i = 0; i < 64; i++) {
		int timeline = timeline_open(OWN_NODE);

		ASSERT_LE(0, timeline);
		fences[i] = fence_create(timeline, 1);
		ASSERT_LE(0, fences[i]);
		usleep(WATCHDOG / 32000);
		if (i % 2)
			close(timeline);
	}
	for (int i = 0; i < 64; i++) {
		int status = fence_wait(fences[i]);

		EXPECT_TRUE(status == -ETIMEDOUT || (i % 2 && status == -ENOENT));
	}
}

TEST_HARNESS_MAIN
