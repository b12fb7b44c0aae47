// SPDX-License-Identifier: GPL-2.0
/* The page of counters that a program maps and reads without system calls. */
#include <sys/wait.h>
#include "lib/test.h"

FIXTURE(counters)
{
	int device;
	struct vfence_queue_create timer;
	struct vfence_queue_create manual;
	long page;
};

FIXTURE_VARIANTS_OF_NODES(counters);

FIXTURE_SETUP(counters)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->timer.kind = VFENCE_QUEUE_TIMER;
	self->timer.timeout_ns = 50 * MSEC;
	self->manual.kind = VFENCE_QUEUE_MANUAL;
	ASSERT_EQ(0, queue_create_with(self->device, &self->timer));
	ASSERT_EQ(0, queue_create_with(self->device, &self->manual));
	self->page = sysconf(_SC_PAGESIZE);
}

FIXTURE_TEARDOWN(counters)
{
	close(self->device);
}

static void *map(FIXTURE_DATA(counters) *self, size_t length, int protection, __u64 offset)
{
	return mmap(NULL, length, protection, MAP_SHARED, self->device, offset);
}

static __u64 load(const volatile __u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

TEST_F(counters, counters_follow_the_jobs)
{
	const volatile struct vfence_counters *counters =
		map_counters(self->device, self->manual.counters_offset);
	struct vfence_submit job = { .queue = self->manual.queue };

	ASSERT_NE(MAP_FAILED, (void *)counters);
	EXPECT_EQ(0, counters->submitted);
	EXPECT_EQ(0, counters->completed);
	for (int i = 0; i < 5; i++)
		ASSERT_EQ(0, submit_job(self->device, &job));
	EXPECT_EQ(5, counters->submitted);
	EXPECT_EQ(0, counters->completed);
	ASSERT_EQ(2, signal_seqno(self->device, self->manual.queue, 2, 0));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual.queue, 3, -EIO));
	EXPECT_EQ(5, counters->submitted);
	EXPECT_EQ(3, counters->completed);
	EXPECT_EQ(1, counters->errors);
	EXPECT_EQ(0, counters->timeouts);
	EXPECT_EQ(0, counters->resets);
	ASSERT_EQ(0, queue_reset(self->device, self->manual.queue, NULL));
	EXPECT_EQ(1, counters->resets);
}

TEST_F(counters, counters_show_timeouts_and_resets)
{
	const volatile struct vfence_counters *counters =
		map_counters(self->device, self->timer.counters_offset);
	struct vfence_submit job = { .queue = self->timer.queue, .flags = VFENCE_SUBMIT_HANG };

	ASSERT_NE(MAP_FAILED, (void *)counters);
	ASSERT_EQ(0, submit_job(self->device, &job));
	while (!load(&counters->completed))
		;
	EXPECT_EQ(1, counters->errors);
	EXPECT_EQ(1, counters->timeouts);
	EXPECT_EQ(1, counters->resets);
}

TEST_F(counters, fence_signals_before_completed_counts_it)
{
	const volatile struct vfence_counters *counters =
		map_counters(self->device, self->timer.counters_offset);

	ASSERT_NE(MAP_FAILED, (void *)counters);
	for (int i = 1; i <= 100; i++) {
		int fence = submit(self->device, self->timer.queue, i * 1000);

		ASSERT_LE(0, fence);
		while (load(&counters->completed) < (__u64)i)
			;
		ASSERT_EQ(1, fence_status(fence));
		close(fence);
	}
}

TEST_F(counters, counters_never_decrease)
{
	const volatile struct vfence_counters *counters =
		map_counters(self->device, self->timer.counters_offset);
	struct vfence_submit jobs[1000];
	__u64 completed = 0;

	ASSERT_NE(MAP_FAILED, (void *)counters);
	for (int i = 0; i < 1000; i++)
		jobs[i] = (struct vfence_submit) {
			.queue = self->timer.queue,
			.duration_ns = 3000,
		};
	ASSERT_EQ(0, submit_batch(self->device, jobs, 1000, NULL));
	while (completed < 1000) {
		__u64 now = load(&counters->completed);

		ASSERT_LE(completed, now);
		ASSERT_LE(now, load(&counters->submitted));
		completed = now;
	}
}

TEST_F(counters, each_queue_has_its_own_counters)
{
	const volatile struct vfence_counters *timer =
		map_counters(self->device, self->timer.counters_offset);
	const volatile struct vfence_counters *manual =
		map_counters(self->device, self->manual.counters_offset);
	struct vfence_submit job = { .queue = self->manual.queue };

	EXPECT_NE(self->timer.counters_offset, self->manual.counters_offset);
	ASSERT_EQ(0, submit_job(self->device, &job));
	EXPECT_EQ(0, timer->submitted);
	EXPECT_EQ(1, manual->submitted);
}

TEST_F(counters, writable_mapping_is_refused)
{
	__u64 offset = self->manual.counters_offset;
	void *counters;

	EXPECT_EQ(MAP_FAILED, map(self, self->page, PROT_READ | PROT_WRITE, offset));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, map(self, self->page, PROT_WRITE, offset));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, map(self, self->page, PROT_READ | PROT_EXEC, offset));
	EXPECT_EQ(EINVAL, errno);
	counters = map(self, self->page, PROT_READ, offset);
	ASSERT_NE(MAP_FAILED, counters);
	EXPECT_REFUSED(EACCES, mprotect(counters, self->page, PROT_READ | PROT_WRITE));
	EXPECT_REFUSED(EACCES, mprotect(counters, self->page, PROT_READ | PROT_EXEC));
	EXPECT_EQ(MAP_FAILED, mremap(counters, self->page, 2 * self->page, MREMAP_MAYMOVE));
	EXPECT_EQ(0, munmap(counters, self->page));
}

TEST_F(counters, wrong_offset_or_length_is_refused)
{
	__u64 offset = self->manual.counters_offset;

	EXPECT_EQ(MAP_FAILED, map(self, 2 * self->page, PROT_READ, offset));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map(self, self->page, PROT_READ, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map(self, self->page, PROT_READ, offset + 16 * self->page));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(0, queue_destroy(self->device, self->manual.queue));
	EXPECT_EQ(MAP_FAILED, map(self, self->page, PROT_READ, offset));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(counters, private_mapping_shows_the_counters)
{
	const volatile struct vfence_counters *counters =
		mmap(NULL, self->page, PROT_READ, MAP_PRIVATE, self->device,
		     self->manual.counters_offset);
	struct vfence_submit job = { .queue = self->manual.queue };

	ASSERT_NE(MAP_FAILED, (void *)counters);
	ASSERT_EQ(0, submit_job(self->device, &job));
	EXPECT_EQ(1, counters->submitted);
}

TEST_F(counters, mapping_outlives_the_queue)
{
	const volatile struct vfence_counters *counters =
		map_counters(self->device, self->manual.counters_offset);
	struct vfence_submit job = { .queue = self->manual.queue };

	ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(0, queue_destroy(self->device, self->manual.queue));
	EXPECT_EQ(1, counters->submitted);
	EXPECT_EQ(1, counters->completed);
	EXPECT_EQ(1, counters->errors);
}

TEST_F(counters, mapping_keeps_the_client_open)
{
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_MANUAL };
	const volatile struct vfence_counters *counters;
	int fence, other = variant->node->open();

	ASSERT_EQ(0, queue_create_with(other, &create));
	counters = map_counters(other, create.counters_offset);
	ASSERT_NE(MAP_FAILED, (void *)counters);
	fence = submit(other, create.queue, 0);
	close(other);
	EXPECT_EQ(1, counters->submitted);
	EXPECT_EQ(0, counters->completed);
	EXPECT_EQ(0, fence_status(fence));
	/* The mapping was the last reference to the file. */
	EXPECT_EQ(0, munmap((void *)counters, self->page));
	EXPECT_EQ(-ECANCELED, fence_status(fence));
}

TEST_F(counters, child_inherits_the_mapping)
{
	const volatile struct vfence_counters *counters =
		map_counters(self->device, self->manual.counters_offset);
	struct vfence_submit job = { .queue = self->manual.queue };
	int status;
	pid_t child;

	child = fork();
	if (!child) {
		while (!load(&counters->submitted))
			;
		_exit(counters->submitted);
	}
	ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(1, WEXITSTATUS(status));
}

TEST_HARNESS_MAIN
