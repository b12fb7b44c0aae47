// SPDX-License-Identifier: GPL-2.0
/*
 * The watchdog of /dev/sw_sync; the suite loads the module with sw_sync_watchdog_ms=300. A slow
 * machine may take longer for a case, which then tries again.
 */
#include "lib/sw_sync.h"

#define WATCHDOG (300 * MSEC)
/* Attempts before a case skips because the machine is too slow. */
#define TRIES 40

FIXTURE(watchdog)
{
	int timeline;
};

FIXTURE_SETUP(watchdog)
{
	self->timeline = timeline_open(VFENCE_SW_SYNC_NODE);
	ASSERT_LE(0, self->timeline);
}

FIXTURE_TEARDOWN(watchdog)
{
	close(self->timeline);
}

/* Creates a fence and waits until it times out. */
#define TIME_OUT(value) \
	do { \
		int late_ = fence_create(self->timeline, value); \
		ASSERT_LE(0, late_); \
		ASSERT_EQ(-ETIMEDOUT, fence_wait(late_)); \
		close(late_); \
	} while (0)

TEST_F(watchdog, pending_fence_times_out)
{
	__u64 before = now_ns();
	int fence = fence_create(self->timeline, 1);

	ASSERT_LE(0, fence);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_LE(before + WATCHDOG, fence_timestamp(fence));
	EXPECT_EQ(POLLIN, polled(fence, POLLIN));
}

TEST_F(watchdog, fence_signalled_in_time_keeps_its_status)
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
	/* The status does not change later. */
	usleep(2 * WATCHDOG / 1000);
	EXPECT_EQ(1, fence_status(fence));
	EXPECT_GE(after, fence_timestamp(fence));
}

/* A fence that times out takes the fences of lower values along, whenever they were created. */
TEST_F(watchdog, lower_values_time_out_together)
{
	int last = fence_create(self->timeline, 5), fences[4];
	__u64 created[4];

	ASSERT_LE(0, last);
	for (int i = 3; i >= 0; i--) {
		/* Create half of the fences later. */
		if (i == 1)
			usleep(WATCHDOG / 2000);
		fences[i] = fence_create(self->timeline, i + 1);
		ASSERT_LE(0, fences[i]);
		created[i] = now_ns();
	}
	ASSERT_EQ(-ETIMEDOUT, fence_wait(last));
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(-ETIMEDOUT, fence_status(fences[i]));
		/* Fences that existed signal in the order of values. */
		if (created[i] < fence_timestamp(last))
			EXPECT_LE(fence_timestamp(fences[i]), fence_timestamp(last));
	}
}

/* Each value has its own timeout. */
TEST_F(watchdog, each_value_has_its_own_timeout)
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

/* A fence without a descriptor does not time out, and takes no other fence along. */
TEST_F_TIMEOUT(watchdog, closed_fence_does_not_time_out, 60)
{
	for (int i = 0; i < TRIES; i++) {
		int timeline = timeline_open(VFENCE_SW_SYNC_NODE), gone, fence;
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

TEST_F(watchdog, same_value_shares_the_timeout)
{
	int fence = fence_create(self->timeline, 5), same;

	usleep(WATCHDOG / 2000);
	same = fence_create(self->timeline, 5);
	ASSERT_LE(0, same);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(-ETIMEDOUT, fence_status(same));
}

/* Try again while the machine is too slow. */
TEST_F_TIMEOUT(watchdog, timeout_does_not_move_the_counter, 60)
{
	for (int i = 0; i < TRIES; i++) {
		int timeline = timeline_open(VFENCE_SW_SYNC_NODE), fence, pending, signalled;
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

TEST_F(watchdog, values_up_to_the_timed_out_one_are_created_timed_out)
{
	static const __u32 values[] = { 5, 1, 3, 4, 2 };

	TIME_OUT(5);
	for (int i = 0; i < 2; i++) {
		for (size_t j = 0; j < ARRAY_LEN(values); j++) {
			int fence = fence_create(self->timeline, values[j]);

			EXPECT_EQ(POLLIN, polled(fence, POLLIN));
			EXPECT_EQ(-ETIMEDOUT, fence_status(fence));
		}
		/* A value that the counter reached in time has no error. */
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

/* A value above the one that timed out has its own timeout. */
TEST_F(watchdog, timeline_continues_after_a_timeout)
{
	for (__u32 value = 5; value <= 15; value += 5) {
		__u64 before = now_ns();
		int fence = fence_create(self->timeline, value);

		ASSERT_LE(0, fence);
		EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
		EXPECT_LE(before + WATCHDOG, fence_timestamp(fence));
		close(fence);
	}
	/* A lower value that times out later does not reset the highest value that timed out. */
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence_create(self->timeline, 1)));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence_create(self->timeline, 15)));
	ASSERT_EQ(0, timeline_inc(self->timeline, 15));
	EXPECT_EQ(1, fence_status(fence_create(self->timeline, 15)));
}

/*
 * The counter wraps until the value that timed out is ahead again: the timeout no longer applies
 * to it.
 */
TEST_F(watchdog, reached_value_forgets_the_timeout)
{
	static const __u32 incs[] = { 5, 0x40000000, INT_MAX, 0x80000010, 0xffffff00, 0xffffffff };

	for (size_t i = 0; i < ARRAY_LEN(incs); i++) {
		__u32 value = incs[i] + 1;
		int timeline = timeline_open(VFENCE_SW_SYNC_NODE), fence;
		__u64 before;

		fence = fence_create(timeline, 5);
		ASSERT_EQ(-ETIMEDOUT, fence_wait(fence));
		ASSERT_EQ(0, timeline_inc(timeline, incs[i]));
		EXPECT_EQ(1, fence_status(fence_create(timeline, incs[i])));
		before = now_ns();
		fence = fence_create(timeline, value);
		ASSERT_LE(0, fence);
		/* The fence times out, but only after its own timeout. */
		EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
		EXPECT_LE(before + WATCHDOG, fence_timestamp(fence))
			TH_LOG("added %#x", incs[i]);
		close(timeline);
	}
}

TEST_F(watchdog, timeout_across_the_wrap)
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

TEST_F(watchdog, timeout_affects_one_timeline)
{
	int other = timeline_open(VFENCE_SW_SYNC_NODE), fence;
	__u64 before;

	TIME_OUT(5);
	before = now_ns();
	fence = fence_create(other, 3);
	ASSERT_LE(0, fence);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_LE(before + WATCHDOG, fence_timestamp(fence));
}

TEST_F(watchdog, timed_out_fence_keeps_its_deadline)
{
	int fence = fence_create(self->timeline, 5);
	int set = set_deadline(fence, 3 * SEC);

	ASSERT_EQ(0, set);
	/* The fence may have timed out before the deadline was set. */
	if (fence_status(fence))
		SKIP(return, "the machine is too slow");
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, fence));
}

TEST_F(watchdog, timeout_fails_a_waiting_job)
{
	int device = device_open();
	int fence = fence_create(self->timeline, 1);
	int out = submit_after(device, timer_queue(device), 0, fence);

	ASSERT_LE(0, out);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(out));
	/* The in-fence timed out, not the job: the watchdog of vfence's queues is longer. */
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence));
	EXPECT_LE(fence_timestamp(fence), fence_timestamp(out));
}

TEST_F(watchdog, timeout_signals_a_merged_fence)
{
	int other = timeline_open(VFENCE_SW_SYNC_NODE);
	int merged = fence_merge(fence_create(self->timeline, 1), fence_create(other, 1));

	ASSERT_LE(0, merged);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(merged));
}

/* The watchdog does not fire after close(). */
TEST_F(watchdog, closed_timeline_does_not_time_out)
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

/* Timers of timelines that are opened and closed, some while their fences time out. */
TEST_F(watchdog, many_timelines_time_out_and_close)
{
	int fences[64];

	for (int i = 0; i < 64; i++) {
		int timeline = timeline_open(VFENCE_SW_SYNC_NODE);

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
