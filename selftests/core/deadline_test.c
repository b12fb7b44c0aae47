// SPDX-License-Identifier: GPL-2.0
/* Deadlines: JOB_INFO reports them, and queues with a boost run faster to meet them. */
#include "lib/test.h"

/* Long enough for a deadline to be set while the job runs, on a slow machine too. */
#define LONG (1000 * MSEC)

FIXTURE(deadline)
{
	int device;
	__u32 timer;
	__u32 manual;
	/* Runs at 400 % when a deadline asks for it. */
	__u32 fast;
	/* A queue with one pending job, whose out-fence is @gate_fence. */
	__u32 gate;
	int gate_fence;
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
	self->gate_fence = submit(self->device, self->gate, 0);
	ASSERT_LE(0, self->gate_fence);
}

FIXTURE_TEARDOWN(deadline)
{
	close(self->device);
}

TEST_F(deadline, job_without_deadline_reports_zero)
{
	submit(self->device, self->manual, 0);
	EXPECT_EQ(0, job_of(self->device, self->manual, 1).deadline_ns);
	signal_seqno(self->device, self->manual, 1, 0);
	EXPECT_EQ(0, job_of(self->device, self->manual, 1).deadline_ns);
}

TEST_F(deadline, earliest_deadline_wins)
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
	/* A completed job keeps its deadline. */
	signal_seqno(self->device, self->manual, 1, 0);
	EXPECT_EQ(1, job_of(self->device, self->manual, 1).deadline_ns);
}

TEST_F(deadline, deadline_beyond_the_clock_is_late)
{
	struct vfence_submit job = { .queue = self->fast, .duration_ns = 20 * MSEC };
	static const struct {
		__u64 set, shown;
	} steps[] = {
		{ ~0ULL, ~0ULL - 1 }, { 1ULL << 63, 1ULL << 63 }, { ~0ULL >> 1, ~0ULL >> 1 },
	};
	struct vfence_job_info info;

	/* A deadline of U64_MAX is late, not early: no boost. */
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

TEST_F(deadline, each_job_has_its_own_deadline)
{
	int fences[3];

	for (int i = 0; i < 3; i++)
		fences[i] = submit(self->device, self->manual, 0);
	ASSERT_EQ(0, set_deadline(fences[1], 5 * SEC));
	EXPECT_EQ(0, job_of(self->device, self->manual, 1).deadline_ns);
	EXPECT_EQ(5 * SEC, job_of(self->device, self->manual, 2).deadline_ns);
	EXPECT_EQ(0, job_of(self->device, self->manual, 3).deadline_ns);
}

TEST_F(deadline, merged_fence_passes_the_deadline_on)
{
	__u32 queue = manual_queue(self->device);
	int one = submit(self->device, self->manual, 0);
	int other = submit(self->device, queue, 0);
	int third = submit(self->device, self->manual, 0);
	int merged = fence_merge(fence_merge(one, other), third);

	ASSERT_LE(0, merged);
	ASSERT_EQ(0, set_deadline(merged, 5 * SEC));
	/* A merged sync_file has only the latest fence of each queue. */
	EXPECT_EQ(5 * SEC, job_of(self->device, self->manual, 2).deadline_ns);
	EXPECT_EQ(5 * SEC, job_of(self->device, queue, 1).deadline_ns);
	ASSERT_EQ(0, set_deadline(one, 4 * SEC));
	EXPECT_EQ(4 * SEC, job_of(self->device, self->manual, 1).deadline_ns);
}

TEST_F(deadline, exported_fence_takes_a_deadline)
{
	struct vfence_submit submit = { .queue = self->manual };
	int fence;

	ASSERT_EQ(0, submit_job(self->device, &submit));
	fence = export_fence(self->device, self->manual, 1);
	ASSERT_EQ(0, set_deadline(fence, 5 * SEC));
	EXPECT_EQ(5 * SEC, job_of(self->device, self->manual, 1).deadline_ns);
	/* A second export returns the same fence. */
	ASSERT_EQ(0, set_deadline(export_fence(self->device, self->manual, 1), 4 * SEC));
	EXPECT_EQ(4 * SEC, job_of(self->device, self->manual, 1).deadline_ns);
}

TEST_F(deadline, event_reports_the_deadline)
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

TEST_F(deadline, deadline_after_completion_is_ignored)
{
	int fence = submit(self->device, self->manual, 0);

	signal_seqno(self->device, self->manual, 1, 0);
	EXPECT_EQ(0, set_deadline(fence, 5 * SEC));
	EXPECT_EQ(0, job_of(self->device, self->manual, 1).deadline_ns);
}

TEST_F(deadline, deadline_after_queue_destroy_is_ignored)
{
	int fence = submit(self->device, self->manual, 0);

	ASSERT_EQ(0, queue_destroy(self->device, self->manual));
	EXPECT_EQ(0, set_deadline(fence, 5 * SEC));
	EXPECT_EQ(-ECANCELED, fence_status(fence));
}

TEST_F(deadline, queue_without_boost_keeps_its_speed)
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

/*
 * Sets a deadline on a running job and checks when it ends. The bounds depend on when the call was
 * made.
 */
static void boost_running_job(struct __test_metadata *_metadata, FIXTURE_DATA(deadline) *self,
			      __u64 after)
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
	/* The rest of the job runs at 400 %. */
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

TEST_F(deadline, feasible_deadline_is_met_exactly)
{
	boost_running_job(_metadata, self, LONG * 3 / 4);
	boost_running_job(_metadata, self, LONG * 9 / 10);
}

TEST_F(deadline, infeasible_deadline_runs_at_full_boost)
{
	boost_running_job(_metadata, self, 1);
	boost_running_job(_metadata, self, 0);
}

TEST_F(deadline, deadline_after_the_end_changes_nothing)
{
	int fence = submit(self->device, self->fast, 20 * MSEC);
	struct vfence_job_info info;

	ASSERT_EQ(0, set_deadline(fence, now_ns() + 10 * SEC));
	ASSERT_EQ(1, fence_wait(fence));
	info = job_of(self->device, self->fast, 1);
	EXPECT_EQ(info.start_ns + 20 * MSEC, info.end_ns);
}

TEST_F(deadline, deadline_of_a_queued_job_boosts_it_when_it_runs)
{
	int first = submit_after(self->device, self->fast, 10 * MSEC, self->gate_fence);
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

TEST_F(deadline, deadline_is_kept_while_in_fences_are_pending)
{
	int fence = submit_after(self->device, self->fast, 40 * MSEC, self->gate_fence);
	struct vfence_job_info info;

	ASSERT_EQ(0, set_deadline(fence, 1));
	ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, 0));
	ASSERT_EQ(1, fence_wait(fence));
	info = job_of(self->device, self->fast, 1);
	EXPECT_EQ(info.start_ns + 10 * MSEC, info.end_ns);
}

TEST_F(deadline, boost_lets_later_jobs_start_earlier)
{
	int hurried = submit_after(self->device, self->fast, 40 * MSEC, self->gate_fence);
	int behind = submit(self->device, self->fast, 4 * MSEC);

	ASSERT_EQ(0, set_deadline(hurried, 1));
	ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, 0));
	ASSERT_EQ(1, fence_wait(behind));
	EXPECT_EQ(fence_timestamp(hurried) + 4 * MSEC, fence_timestamp(behind));
}

TEST_F(deadline, invalid_boost_is_refused)
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
