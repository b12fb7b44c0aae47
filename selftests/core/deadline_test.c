// SPDX-License-Identifier: GPL-2.0
/* Deadlines: recorded, and obeyed by queues that may hurry. */
#include "lib/test.h"

/* Long enough that a deadline comes while the job runs, also on a slow machine. */
#define LONG (1000 * MSEC)

FIXTURE(deadline)
{
	int device;
	__u32 timer;
	__u32 manual;
	/* Four times as fast when it must be. */
	__u32 fast;
	/* Stays pending until it is signalled. */
	__u32 gate;
	int closed;
};

FIXTURE_VARIANTS_OF_NODES(deadline);

static __u32 queue_with_boost(int device, __u32 percent)
{
	return queue_with(device, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER,
		.boost_percent = percent,
	});
}

FIXTURE_SETUP(deadline)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->timer = timer_queue(self->device);
	self->manual = manual_queue(self->device);
	self->fast = queue_with_boost(self->device, 400);
	ASSERT_NE(0, self->timer);
	ASSERT_NE(0, self->manual);
	ASSERT_NE(0, self->fast);
	self->gate = manual_queue(self->device);
	self->closed = submit(self->device, self->gate, 0);
	ASSERT_LE(0, self->closed);
}

FIXTURE_TEARDOWN(deadline)
{
	close(self->device);
}

TEST_F(deadline, none)
{
	submit(self->device, self->manual, 0);
	EXPECT_EQ(0, job_of(self->device, self->manual, 1).deadline_ns);
	signal_seqno(self->device, self->manual, 1, 0);
	EXPECT_EQ(0, job_of(self->device, self->manual, 1).deadline_ns);
}

TEST_F(deadline, earliest_wins)
{
	int fence = submit(self->device, self->manual, 0);
	static const struct {
		__u64 set, shown;
	} steps[] = {
		{ 5 * SEC, 5 * SEC }, { 7 * SEC, 5 * SEC }, { 3 * SEC, 3 * SEC },
		{ 3 * SEC + 1, 3 * SEC }, { 2, 2 }, { 0, 1 }, { ~0ULL, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		ASSERT_EQ(0, set_deadline(fence, steps[i].set));
		EXPECT_EQ(steps[i].shown, job_of(self->device, self->manual, 1).deadline_ns);
	}
	/* It is remembered. */
	signal_seqno(self->device, self->manual, 1, 0);
	EXPECT_EQ(1, job_of(self->device, self->manual, 1).deadline_ns);
}

TEST_F(deadline, beyond_what_the_clock_can_show)
{
	struct vfence_submit job = { .queue = self->fast, .duration_ns = 20 * MSEC };
	static const struct {
		__u64 set, shown;
	} steps[] = {
		{ ~0ULL, ~0ULL - 1 }, { 1ULL << 63, 1ULL << 63 }, { ~0ULL >> 1, ~0ULL >> 1 },
	};
	struct vfence_job_info info;

	/* It is late, not early: nobody hurries for it. */
	job.flags = VFENCE_SUBMIT_OUT_FENCE;
	ASSERT_EQ(0, submit_job(self->device, &job));
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		int fence = submit(self->device, self->manual, 0);

		ASSERT_EQ(0, set_deadline(fence, steps[i].set));
		info = job_of(self->device, self->manual, i + 1);
		EXPECT_EQ(steps[i].shown, info.deadline_ns);
		ASSERT_EQ(0, set_deadline(job.out_fence, steps[i].set));
	}
	ASSERT_EQ(1, fence_wait(job.out_fence));
	info = job_of(self->device, self->fast, 1);
	EXPECT_EQ(20 * MSEC, info.end_ns - info.start_ns);
}

TEST_F(deadline, of_each_job_for_itself)
{
	int fences[3];

	for (int i = 0; i < 3; i++)
		fences[i] = submit(self->device, self->manual, 0);
	ASSERT_EQ(0, set_deadline(fences[1], 5 * SEC));
	EXPECT_EQ(0, job_of(self->device, self->manual, 1).deadline_ns);
	EXPECT_EQ(5 * SEC, job_of(self->device, self->manual, 2).deadline_ns);
	EXPECT_EQ(0, job_of(self->device, self->manual, 3).deadline_ns);
}

TEST_F(deadline, through_merged_fences)
{
	__u32 queue = manual_queue(self->device);
	int one = submit(self->device, self->manual, 0);
	int other = submit(self->device, queue, 0);
	int third = submit(self->device, self->manual, 0);
	int merged = fence_merge(fence_merge(one, other), third);

	ASSERT_LE(0, merged);
	ASSERT_EQ(0, set_deadline(merged, 5 * SEC));
	/* Those of one queue are merged into the last of them. */
	EXPECT_EQ(5 * SEC, job_of(self->device, self->manual, 2).deadline_ns);
	EXPECT_EQ(5 * SEC, job_of(self->device, queue, 1).deadline_ns);
	ASSERT_EQ(0, set_deadline(one, 4 * SEC));
	EXPECT_EQ(4 * SEC, job_of(self->device, self->manual, 1).deadline_ns);
}

TEST_F(deadline, on_an_exported_fence)
{
	struct vfence_submit submit = { .queue = self->manual };
	int fence;

	ASSERT_EQ(0, submit_job(self->device, &submit));
	fence = export_fence(self->device, self->manual, 1);
	ASSERT_EQ(0, set_deadline(fence, 5 * SEC));
	EXPECT_EQ(5 * SEC, job_of(self->device, self->manual, 1).deadline_ns);
	/* It is the same fence. */
	ASSERT_EQ(0, set_deadline(export_fence(self->device, self->manual, 1), 4 * SEC));
	EXPECT_EQ(4 * SEC, job_of(self->device, self->manual, 1).deadline_ns);
}

TEST_F(deadline, in_the_event)
{
	struct vfence_submit submit = {
		.queue = self->manual,
		.flags = VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT,
	};
	struct vfence_event event;

	ASSERT_EQ(0, submit_job(self->device, &submit));
	ASSERT_EQ(0, set_deadline(submit.out_fence, 5 * SEC));
	signal_seqno(self->device, self->manual, 1, 0);
	ASSERT_EQ(0, read_event(self->device, &event));
	EXPECT_EQ(5 * SEC, event.deadline_ns);
}

TEST_F(deadline, after_completion)
{
	int fence = submit(self->device, self->manual, 0);

	signal_seqno(self->device, self->manual, 1, 0);
	EXPECT_EQ(0, set_deadline(fence, 5 * SEC));
	EXPECT_EQ(0, job_of(self->device, self->manual, 1).deadline_ns);
}

TEST_F(deadline, after_the_queue_is_gone)
{
	int fence = submit(self->device, self->manual, 0);

	ASSERT_EQ(0, queue_destroy(self->device, self->manual));
	EXPECT_EQ(0, set_deadline(fence, 5 * SEC));
	EXPECT_EQ(-ECANCELED, fence_status(fence));
}

TEST_F(deadline, nobody_hurries_unasked)
{
	__u32 queues[] = {
		self->timer, queue_with_boost(self->device, 100), queue_with_boost(self->device, 0),
	};

	for (size_t i = 0; i < ARRAY_LEN(queues); i++) {
		int fence = submit(self->device, queues[i], 30 * MSEC);
		struct vfence_job_info info;

		ASSERT_EQ(0, set_deadline(fence, 1));
		ASSERT_EQ(1, fence_wait(fence));
		info = job_of(self->device, queues[i], 1);
		EXPECT_EQ(1, info.deadline_ns);
		EXPECT_EQ(info.start_ns + 30 * MSEC, info.end_ns);
	}
}

/* Sets a deadline on a job that runs, and checks when it ends: that depends on when the call was made. */
static void hurry(struct __test_metadata *_metadata, FIXTURE_DATA(deadline) *self, __u64 after)
{
	int fence = submit(self->device, self->fast, LONG);
	__u64 start, before, deadline, called, earliest, latest;
	struct vfence_job_info info;

	do
		info = job_of(self->device, self->fast, queue_submitted(self->device, self->fast));
	while (info.state == VFENCE_JOB_PENDING);
	start = info.start_ns;
	deadline = after ? start + after : 0;
	before = now_ns();
	ASSERT_EQ(0, set_deadline(fence, deadline));
	called = now_ns();
	ASSERT_EQ(1, fence_wait(fence));
	info = job_of(self->device, self->fast, info.seqno);
	/* What was left is done four times as fast. */
	earliest = before + (start + LONG - before) / 4;
	latest = called >= start + LONG ? start + LONG : called + (start + LONG - called) / 4 + 1;
	if (deadline > earliest)
		earliest = deadline;
	if (deadline > latest)
		latest = deadline;
	EXPECT_LE(earliest, info.end_ns);
	EXPECT_GE(latest, info.end_ns);
	EXPECT_EQ(info.end_ns, fence_timestamp(fence));
	close(fence);
}

TEST_F(deadline, that_can_be_met_is_met_exactly)
{
	hurry(_metadata, self, LONG * 3 / 4);
	hurry(_metadata, self, LONG * 9 / 10);
}

TEST_F(deadline, that_cannot_be_met_is_missed_by_little)
{
	hurry(_metadata, self, 1);
	hurry(_metadata, self, 0);
}

TEST_F(deadline, later_than_the_end)
{
	int fence = submit(self->device, self->fast, 20 * MSEC);
	struct vfence_job_info info;

	ASSERT_EQ(0, set_deadline(fence, now_ns() + 10 * SEC));
	ASSERT_EQ(1, fence_wait(fence));
	info = job_of(self->device, self->fast, 1);
	EXPECT_EQ(info.start_ns + 20 * MSEC, info.end_ns);
}

TEST_F(deadline, set_before_the_job_starts)
{
	int first = submit_after(self->device, self->fast, 10 * MSEC, self->closed);
	int hurried = submit(self->device, self->fast, 40 * MSEC);
	struct vfence_job_info info;

	ASSERT_EQ(0, set_deadline(hurried, 1));
	ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, 0));
	ASSERT_EQ(1, fence_wait(hurried));
	info = job_of(self->device, self->fast, 1);
	EXPECT_EQ(info.start_ns + 10 * MSEC, info.end_ns);
	EXPECT_EQ(fence_timestamp(first), info.end_ns);
	info = job_of(self->device, self->fast, 2);
	EXPECT_EQ(info.start_ns + 10 * MSEC, info.end_ns);
	EXPECT_EQ(1, info.deadline_ns);
}

TEST_F(deadline, kept_while_in_fences_are_waited_for)
{
	int fence = submit_after(self->device, self->fast, 40 * MSEC, self->closed);
	struct vfence_job_info info;

	ASSERT_EQ(0, set_deadline(fence, 1));
	ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, 0));
	ASSERT_EQ(1, fence_wait(fence));
	info = job_of(self->device, self->fast, 1);
	EXPECT_EQ(info.start_ns + 10 * MSEC, info.end_ns);
}

TEST_F(deadline, jobs_behind_gain_what_was_saved)
{
	int hurried = submit_after(self->device, self->fast, 40 * MSEC, self->closed);
	int behind = submit(self->device, self->fast, 4 * MSEC);

	ASSERT_EQ(0, set_deadline(hurried, 1));
	ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, 0));
	ASSERT_EQ(1, fence_wait(behind));
	EXPECT_EQ(fence_timestamp(hurried) + 4 * MSEC, fence_timestamp(behind));
}

TEST_F(deadline, boost_that_is_refused)
{
	static const __u32 percents[] = { 1, 99, VFENCE_MAX_BOOST_PERCENT + 1, ~0U };
	struct vfence_queue_create manual = {
		.kind = VFENCE_QUEUE_MANUAL,
		.boost_percent = 200,
	};

	for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
		EXPECT_REFUSED(EINVAL, queue_with_boost(self->device, percents[i]) ? 0 : -1);
	}
	EXPECT_NE(0, queue_with_boost(self->device, VFENCE_MAX_BOOST_PERCENT));
	EXPECT_REFUSED(EINVAL, queue_create_with(self->device, &manual));
}

TEST_HARNESS_MAIN
