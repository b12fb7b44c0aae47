// SPDX-License-Identifier: GPL-2.0
/* Random durations, drawn from the seed of a queue. */
#include "lib/test.h"

#define JOBS 200

FIXTURE(random)
{
	int device;
	struct vfence_submit jobs[2 * JOBS];
	struct vfence_event events[2 * JOBS];
};

FIXTURE_VARIANTS_OF_NODES(random);

FIXTURE_SETUP(random)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(random)
{
	close(self->device);
}

static __u32 seeded_queue(int device, __u64 seed)
{
	return queue_with(device, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER,
		.seed = seed,
	});
}

static __u64 duration_of(const struct vfence_event *event)
{
	return event->end_ns - event->start_ns;
}

/* Reads the events of @count jobs and returns their durations. */
static void durations(struct __test_metadata *_metadata, FIXTURE_DATA(random) *self, int count,
		      __u64 *duration)
{
	for (int i = 0; i < count; i++) {
		ASSERT_EQ(0, read_event(self->device, &self->events[i]));
		duration[i] = duration_of(&self->events[i]);
	}
}

/* Runs @count jobs of @low to @high ns, submitted as one batch, on a new queue. */
static void run(struct __test_metadata *_metadata, FIXTURE_DATA(random) *self, __u64 seed,
		__u64 low, __u64 high, int count, __u64 *duration)
{
	__u32 queue = seeded_queue(self->device, seed);

	ASSERT_NE(0, queue);
	ASSERT_EQ(0, run_jobs(self->device, queue, count, low, high, self->jobs, self->events));
	for (int i = 0; i < count; i++)
		duration[i] = duration_of(&self->events[i]);
}

TEST_F(random, same_seed_draws_the_same_durations)
{
	__u64 one[JOBS], other[JOBS];

	run(_metadata, self, 42, 1000, 200000, JOBS, one);
	run(_metadata, self, 42, 1000, 200000, JOBS, other);
	for (int i = 0; i < JOBS; i++)
		EXPECT_EQ(one[i], other[i]);
}

TEST_F(random, other_seed_draws_other_durations)
{
	__u64 one[JOBS], other[JOBS];
	int same = 0;

	run(_metadata, self, 42, 1000, 200000, JOBS, one);
	run(_metadata, self, 43, 1000, 200000, JOBS, other);
	for (int i = 0; i < JOBS; i++)
		same += one[i] == other[i];
	EXPECT_GT(JOBS / 10, same);
}

TEST_F(random, durations_are_spread_between_the_bounds)
{
	__u64 duration[JOBS];
	int quarters[4] = { 0 };

	run(_metadata, self, 7, 100000, 179999, JOBS, duration);
	for (int i = 0; i < JOBS; i++) {
		ASSERT_LE(100000, duration[i]);
		ASSERT_GE(179999, duration[i]);
		quarters[(duration[i] - 100000) / 20000]++;
	}
	for (int i = 0; i < 4; i++)
		EXPECT_LT(JOBS / 8, quarters[i]);
}

TEST_F(random, both_bounds_occur)
{
	__u64 duration[2 * JOBS];
	int seen[4] = { 0 };

	run(_metadata, self, 1, 1000, 1003, 2 * JOBS, duration);
	for (int i = 0; i < 2 * JOBS; i++) {
		ASSERT_LE(1000, duration[i]);
		ASSERT_GE(1003, duration[i]);
		seen[duration[i] - 1000]++;
	}
	for (int i = 0; i < 4; i++)
		EXPECT_LT(0, seen[i]);
}

TEST_F(random, equal_bounds_fix_the_duration)
{
	__u64 duration[10];

	run(_metadata, self, 1, 5000, 5000, 10, duration);
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(5000, duration[i]);
}

TEST_F(random, single_submits_draw_like_a_batch)
{
	__u64 batch[20], single[20];
	__u32 queue = seeded_queue(self->device, 9);

	run(_metadata, self, 9, 0, 100000, 20, batch);
	for (int i = 0; i < 20; i++) {
		self->jobs[i].queue = queue;
		ASSERT_EQ(0, submit_job(self->device, &self->jobs[i]));
	}
	durations(_metadata, self, 20, single);
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(batch[i], single[i]);
}

TEST_F(random, jobs_of_fixed_duration_do_not_draw)
{
	__u64 plain[20], mixed[40];
	__u32 queue = seeded_queue(self->device, 9);

	run(_metadata, self, 9, 0, 100000, 20, plain);
	for (int i = 0; i < 40; i++)
		self->jobs[i] = (struct vfence_submit) {
			.queue = queue,
			.flags = VFENCE_SUBMIT_EVENT,
			.duration_max_ns = i % 2 ? 0 : 100000,
		};
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 40, NULL));
	durations(_metadata, self, 40, mixed);
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(plain[i], mixed[2 * i]);
		EXPECT_EQ(0, mixed[2 * i + 1]);
	}
}

TEST_F(random, refused_batch_does_not_draw)
{
	__u64 expected[20], duration[20];
	__u32 queue = seeded_queue(self->device, 9);

	run(_metadata, self, 9, 0, 100000, 20, expected);
	for (int i = 0; i < 20; i++)
		self->jobs[i].queue = queue;
	self->jobs[19].pad = 1;
	EXPECT_REFUSED(EINVAL, submit_batch(self->device, self->jobs, 20, NULL));
	self->jobs[19].pad = 0;
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 20, NULL));
	durations(_metadata, self, 20, duration);
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(expected[i], duration[i]);
}

TEST_F(random, invalid_bounds_are_refused)
{
	struct vfence_query query = { 0 };
	struct vfence_submit job = { .queue = seeded_queue(self->device, 0) };

	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	job.duration_ns = 2;
	job.duration_max_ns = 1;
	EXPECT_REFUSED(EINVAL, submit_job(self->device, &job));
	job.duration_max_ns = query.watchdog_ns + 1;
	EXPECT_REFUSED(EINVAL, submit_job(self->device, &job));
	job.duration_max_ns = ~0ULL;
	EXPECT_REFUSED(EINVAL, submit_job(self->device, &job));
	job.duration_ns = 0;
	job.duration_max_ns = 1;
	job.queue = manual_queue(self->device);
	EXPECT_REFUSED(EINVAL, submit_job(self->device, &job));
}

TEST_HARNESS_MAIN
