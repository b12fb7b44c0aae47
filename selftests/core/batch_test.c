// SPDX-License-Identifier: GPL-2.0
/* SUBMIT_BATCH submits all jobs or none. */
#include <sys/resource.h>
#include "lib/test.h"

FIXTURE(batch)
{
	int device;
	__u32 timer;
	__u32 manual;
	struct vfence_submit jobs[VFENCE_MAX_BATCH + 1];
};

FIXTURE_VARIANTS_OF_NODES(batch);

FIXTURE_SETUP(batch)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->timer = timer_queue(self->device);
	self->manual = manual_queue(self->device);
	ASSERT_NE(0, self->timer);
	ASSERT_NE(0, self->manual);
	for (size_t i = 0; i < ARRAY_LEN(self->jobs); i++)
		self->jobs[i].queue = self->manual;
}

FIXTURE_TEARDOWN(batch)
{
	close(self->device);
}

TEST_F(batch, batch_of_any_size_is_accepted)
{
	static const __u32 counts[] = { 1, 2, 63, 64, 65, 1000, VFENCE_MAX_BATCH };
	__u64 before = 0;
	__u32 refused;

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		ASSERT_EQ(0, submit_batch(self->device, self->jobs, counts[i], &refused));
		EXPECT_EQ(counts[i], refused);
		for (__u32 job = 0; job < counts[i]; job++) {
			ASSERT_EQ(before + job + 1, self->jobs[job].seqno);
			ASSERT_EQ(-1, self->jobs[job].out_fence);
		}
		before += counts[i];
		EXPECT_EQ(before, queue_submitted(self->device, self->manual));
	}
	EXPECT_EQ(before, signal_seqno(self->device, self->manual, before, 0));
}

TEST_F(batch, empty_or_too_large_batch_is_refused)
{
	__u32 refused = 7;

	EXPECT_REFUSED(EINVAL, submit_batch(self->device, self->jobs, 0, &refused));
	EXPECT_EQ(0, refused);
	EXPECT_REFUSED(EINVAL, submit_batch(self->device, self->jobs, VFENCE_MAX_BATCH + 1,
					    &refused));
	EXPECT_EQ(VFENCE_MAX_BATCH + 1, refused);
	EXPECT_REFUSED(EINVAL, submit_batch(self->device, self->jobs, ~0U, &refused));
	EXPECT_EQ(0, queue_submitted(self->device, self->manual));
}

TEST_F(batch, jobs_may_be_for_several_queues)
{
	__u32 queues[3] = { self->timer, self->manual, worker_queue(self->device) };

	for (int i = 0; i < 300; i++)
		self->jobs[i].queue = queues[i % 3];
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 300, NULL));
	for (int i = 0; i < 300; i++)
		ASSERT_EQ(i / 3 + 1, self->jobs[i].seqno);
	EXPECT_EQ(0, wait_idle(self->device, queues[0]));
	EXPECT_EQ(0, wait_idle(self->device, queues[2]));
	EXPECT_EQ(0, queue_completed(self->device, self->manual));
}

TEST_F(batch, each_job_keeps_its_own_flags)
{
	int fence = submit(self->device, self->manual, 0);

	for (int i = 0; i < 4; i++)
		self->jobs[i].queue = self->timer;
	self->jobs[0].duration_ns = MSEC;
	self->jobs[1].flags = VFENCE_SUBMIT_OUT_FENCE;
	self->jobs[1].duration_ns = 2 * MSEC;
	self->jobs[2].flags = VFENCE_SUBMIT_OUT_FENCE;
	self->jobs[2].in_fences = ptr_to_u64(&fence);
	self->jobs[2].in_fence_count = 1;
	self->jobs[3].flags = VFENCE_SUBMIT_OUT_FENCE;
	self->jobs[3].error = -EIO;
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 4, NULL));
	EXPECT_EQ(-1, self->jobs[0].out_fence);
	EXPECT_EQ(1, fence_wait(self->jobs[1].out_fence));
	EXPECT_EQ(0, fence_status(self->jobs[2].out_fence));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	EXPECT_EQ(1, fence_wait(self->jobs[2].out_fence));
	EXPECT_EQ(-EIO, fence_wait(self->jobs[3].out_fence));
	EXPECT_EQ(fence_timestamp(self->jobs[2].out_fence),
		  fence_timestamp(self->jobs[3].out_fence));
}

TEST_F(batch, job_may_wait_for_an_earlier_job_of_its_queue)
{
	int fence = submit(self->device, self->timer, MSEC);

	for (int i = 0; i < 10; i++) {
		self->jobs[i].queue = self->timer;
		self->jobs[i].in_fences = ptr_to_u64(&fence);
		self->jobs[i].in_fence_count = 1;
	}
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 10, NULL));
	EXPECT_EQ(0, wait_idle(self->device, self->timer));
}

/* Expects @error for job @index, and no effect. */
static void refuse(struct __test_metadata *_metadata, FIXTURE_DATA(batch) *self,
		   const struct vfence_submit *bad, int error)
{
	static const __u32 places[] = { 0, 1, 50, 99 };
	int fds = open_fds();

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		__u64 manual = queue_submitted(self->device, self->manual);
		__u64 timer = queue_submitted(self->device, self->timer);
		__u32 refused = ~0U;

		for (int job = 0; job < 100; job++) {
			self->jobs[job] = (struct vfence_submit) {
				.queue = job % 2 ? self->manual : self->timer,
				.flags = job % 3 ? VFENCE_SUBMIT_EVENT : VFENCE_SUBMIT_OUT_FENCE,
			};
		}
		self->jobs[places[i]] = *bad;
		EXPECT_REFUSED(error, submit_batch(self->device, self->jobs, 100, &refused));
		EXPECT_EQ(places[i], refused);
		EXPECT_EQ(fds, open_fds());
		EXPECT_EQ(manual, queue_submitted(self->device, self->manual));
		EXPECT_EQ(timer, queue_submitted(self->device, self->timer));
	}
	/* The refused batches left no gap in the seqnos. */
	self->jobs[0] = (struct vfence_submit) { .queue = self->manual };
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 1, NULL));
	EXPECT_EQ(queue_submitted(self->device, self->manual), self->jobs[0].seqno);
}

TEST_F(batch, invalid_job_refuses_the_batch)
{
	__s32 closed = -1, device = self->device;
	const struct {
		struct vfence_submit job;
		int error;
	} bad[] = {
		{ { .queue = 0 }, ENOENT },
		{ { .queue = 77 }, ENOENT },
		{ { .queue = self->timer, .flags = 1U << 31 }, EINVAL },
		{ { .queue = self->timer, .pad = 1 }, EINVAL },
		{ { .queue = self->timer, .duration_ns = ~0ULL }, EINVAL },
		{ { .queue = self->timer, .duration_max_ns = ~0ULL }, EINVAL },
		{ { .queue = self->timer, .duration_ns = 2, .duration_max_ns = 1 }, EINVAL },
		{ { .queue = self->timer, .error = 1 }, EINVAL },
		{ { .queue = self->timer, .error = -4096 }, EINVAL },
		{ { .queue = self->manual, .duration_ns = 1 }, EINVAL },
		{ { .queue = self->manual, .duration_max_ns = 1 }, EINVAL },
		{ { .queue = self->manual, .flags = VFENCE_SUBMIT_HANG }, EINVAL },
		{ { .queue = self->timer, .in_fence_count = 1,
		    .in_fences = ptr_to_u64(&closed) }, EBADF },
		{ { .queue = self->timer, .in_fence_count = 1,
		    .in_fences = ptr_to_u64(&device) }, EINVAL },
		{ { .queue = self->timer, .in_fence_count = 1,
		    .in_fences = ptr_to_u64(unmapped(1)) }, EFAULT },
		{ { .queue = self->timer, .in_fence_count = VFENCE_MAX_IN_FENCES + 1 }, EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		refuse(_metadata, self, &bad[i].job, bad[i].error);
}

TEST_F(batch, full_queue_refuses_the_batch)
{
	struct vfence_query query = { 0 };
	__u32 refused, room;

	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	room = query.max_jobs;
	while (room > VFENCE_MAX_BATCH / 2) {
		__u32 count = room - VFENCE_MAX_BATCH / 2;

		if (count > VFENCE_MAX_BATCH)
			count = VFENCE_MAX_BATCH;
		ASSERT_EQ(0, submit_batch(self->device, self->jobs, count, NULL));
		room -= count;
	}
	EXPECT_REFUSED(EAGAIN, submit_batch(self->device, self->jobs, VFENCE_MAX_BATCH, &refused));
	EXPECT_EQ(room, refused);
	EXPECT_EQ(query.max_jobs - room, queue_submitted(self->device, self->manual));
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, room, NULL));
	EXPECT_REFUSED(EAGAIN, submit_batch(self->device, self->jobs, 1, &refused));
	EXPECT_EQ(0, refused);
	/* One completed job makes room for one. */
	EXPECT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	EXPECT_EQ(0, submit_batch(self->device, self->jobs, 1, NULL));
	EXPECT_EQ(query.max_jobs, signal_seqno(self->device, self->manual, query.max_jobs + 1, 0));
}

/* A full queue counts its own jobs, regardless of other jobs between them. */
TEST_F(batch, full_queue_counts_only_its_own_jobs)
{
	struct vfence_query query = { 0 };
	__u32 refused;

	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	for (__u32 room = query.max_jobs - 3, count; room; room -= count) {
		count = room > VFENCE_MAX_BATCH ? VFENCE_MAX_BATCH : room;
		ASSERT_EQ(0, submit_batch(self->device, self->jobs, count, NULL));
	}
	for (int i = 1; i < 8; i += 2)
		self->jobs[i].queue = self->timer;
	/* Every second job is for the full queue, so its fourth job has index 6. */
	EXPECT_REFUSED(EAGAIN, submit_batch(self->device, self->jobs, 8, &refused));
	EXPECT_EQ(6, refused);
	EXPECT_EQ(query.max_jobs - 3, queue_submitted(self->device, self->manual));
	EXPECT_EQ(0, queue_submitted(self->device, self->timer));
	EXPECT_EQ(0, submit_batch(self->device, self->jobs, 6, &refused));
	EXPECT_EQ(query.max_jobs, queue_submitted(self->device, self->manual));
	EXPECT_EQ(3, queue_submitted(self->device, self->timer));
	EXPECT_EQ(query.max_jobs, signal_seqno(self->device, self->manual, query.max_jobs, 0));
}

TEST_F(batch, no_free_descriptor_refuses_the_batch)
{
	struct rlimit limit = { 20, 20 };
	__u32 refused;
	int fds = open_fds();

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < 64; i++)
		self->jobs[i].flags = VFENCE_SUBMIT_OUT_FENCE;
	EXPECT_REFUSED(EMFILE, submit_batch(self->device, self->jobs, 64, &refused));
	EXPECT_LT(0, refused);
	EXPECT_GT(20, refused);
	EXPECT_EQ(fds, open_fds());
	EXPECT_EQ(0, queue_submitted(self->device, self->manual));
}

TEST_F(batch, inaccessible_jobs_are_refused)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *start = unmapped(3);
	struct vfence_submit *jobs = (void *)(start + page);
	__u32 fit = page / sizeof(*jobs), refused;
	int fds = open_fds();

	EXPECT_REFUSED(EFAULT, submit_batch(self->device, (void *)start, 1, &refused));
	EXPECT_EQ(0, refused);
	EXPECT_REFUSED(EFAULT, submit_batch(self->device, (void *)-4096L, 2, &refused));
	EXPECT_EQ(0, refused);
	ASSERT_EQ(0, mprotect(jobs, page, PROT_READ | PROT_WRITE));
	for (__u32 i = 0; i < fit; i++)
		jobs[i] = (struct vfence_submit) {
			.queue = self->manual,
			.flags = VFENCE_SUBMIT_OUT_FENCE,
		};
	/* One job too many for the memory, then a page that cannot be written. */
	EXPECT_REFUSED(EFAULT, submit_batch(self->device, jobs, fit + 1, &refused));
	EXPECT_EQ(fit, refused);
	ASSERT_EQ(0, mprotect(jobs, page, PROT_READ));
	EXPECT_REFUSED(EFAULT, submit_batch(self->device, jobs, fit, &refused));
	EXPECT_EQ(0, refused);
	EXPECT_EQ(fds, open_fds());
	EXPECT_EQ(0, queue_submitted(self->device, self->manual));
}

TEST_F(batch, job_size_is_checked)
{
	char jobs[3 * 128] = { 0 };
	struct vfence_submit_batch batch = { .jobs = ptr_to_u64(jobs), .count = 3 };

	for (__u32 size = 0; size <= 128; size++) {
		bool known = size == 40 || size == 56 || size >= sizeof(struct vfence_submit);

		memset(jobs, 0, sizeof(jobs));
		for (int i = 0; i < 3; i++)
			memcpy(jobs + i * size, &self->manual, sizeof(self->manual));
		batch.job_size = size;
		if (known) {
			EXPECT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_SUBMIT_BATCH, &batch));
			continue;
		}
		EXPECT_REFUSED(EINVAL,
			       device_ioctl(self->device, VFENCE_IOCTL_SUBMIT_BATCH, &batch));
	}
	/*
	 * The kernel does not know the bytes behind struct vfence_submit: they must be zero in each
	 * job.
	 */
	batch.job_size = 96;
	memset(jobs, 0, sizeof(jobs));
	for (int i = 0; i < 3; i++)
		memcpy(jobs + i * 96, &self->manual, sizeof(self->manual));
	jobs[2 * 96 - 1] = 1;
	EXPECT_REFUSED(E2BIG, device_ioctl(self->device, VFENCE_IOCTL_SUBMIT_BATCH, &batch));
	EXPECT_EQ(1, batch.refused);
}

TEST_F(batch, job_larger_than_a_page_is_refused)
{
	size_t page = sysconf(_SC_PAGESIZE);
	/* All bytes behind the job are zero, so only the size can be refused. */
	struct vfence_submit *job = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfence_submit_batch batch = { .jobs = ptr_to_u64(job), .count = 1 };

	job->queue = self->manual;
	batch.job_size = page;
	EXPECT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_SUBMIT_BATCH, &batch));
	batch.job_size = page + 1;
	EXPECT_REFUSED(E2BIG, device_ioctl(self->device, VFENCE_IOCTL_SUBMIT_BATCH, &batch));
	EXPECT_EQ(0, batch.refused);
	batch.job_size = 8 * page;
	EXPECT_REFUSED(E2BIG, device_ioctl(self->device, VFENCE_IOCTL_SUBMIT_BATCH, &batch));
	batch.job_size = ~0U;
	EXPECT_REFUSED(E2BIG, device_ioctl(self->device, VFENCE_IOCTL_SUBMIT_BATCH, &batch));
	EXPECT_EQ(1, queue_submitted(self->device, self->manual));
}

TEST_F(batch, in_fences_of_a_call_are_limited)
{
	int fence = submit(self->device, self->manual, 0);
	__s32 in_fences[VFENCE_MAX_IN_FENCES];
	__u32 refused;

	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	for (size_t i = 0; i < ARRAY_LEN(in_fences); i++)
		in_fences[i] = fence;
	for (size_t i = 0; i < ARRAY_LEN(self->jobs); i++) {
		self->jobs[i].queue = self->timer;
		self->jobs[i].in_fences = ptr_to_u64(in_fences);
		self->jobs[i].in_fence_count = ARRAY_LEN(in_fences);
	}
	/* All in-fences have signalled, but the kernel counts each of them. */
	EXPECT_REFUSED(ENOSPC, submit_batch(self->device, self->jobs, VFENCE_MAX_BATCH, &refused));
	EXPECT_EQ(VFENCE_MAX_WAITS / VFENCE_MAX_IN_FENCES, refused);
	EXPECT_EQ(0, submit_batch(self->device, self->jobs, refused, NULL));
	EXPECT_EQ(refused, queue_submitted(self->device, self->timer));
}

/*
 * Fences of reservation objects count after all in-fences of the call, and the error names the job
 * that reaches the limit.
 */
TEST_F(batch, fences_of_buffers_count_as_in_fences)
{
	enum { WHOLE = VFENCE_MAX_WAITS / VFENCE_MAX_IN_FENCES };
	int fence = submit(self->device, self->manual, 0);
	struct vfence_use use = {
		.fd = buffer_create(self->device, 4096), .flags = VFENCE_USE_WRITE,
	};
	struct vfence_submit busy = {
		.queue = timer_queue(self->device),
		.flags = VFENCE_SUBMIT_HANG,
		.uses = ptr_to_u64(&use),
		.use_count = 1,
		.use_size = sizeof(use),
	};
	__s32 in_fences[VFENCE_MAX_IN_FENCES];
	__u32 refused;

	ASSERT_LE(0, use.fd);
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	for (size_t i = 0; i < ARRAY_LEN(in_fences); i++)
		in_fences[i] = fence;
	ASSERT_EQ(0, submit_job(self->device, &busy));
	/*
	 * One manual job, jobs with as many in-fences as the call allows, and a job whose buffer
	 * has one fence more.
	 */
	for (size_t i = 1; i <= WHOLE; i++) {
		self->jobs[i].queue = self->timer;
		self->jobs[i].in_fences = ptr_to_u64(in_fences);
		self->jobs[i].in_fence_count = ARRAY_LEN(in_fences);
	}
	self->jobs[WHOLE + 1] = busy;
	self->jobs[WHOLE + 1].queue = self->timer;
	self->jobs[WHOLE + 1].flags = 0;
	EXPECT_REFUSED(ENOSPC, submit_batch(self->device, self->jobs, WHOLE + 2, &refused));
	EXPECT_EQ(WHOLE + 1, refused);
	EXPECT_EQ(1, queue_submitted(self->device, self->manual));
	EXPECT_EQ(0, queue_submitted(self->device, self->timer));
	/* One in-fence less leaves room for the fence of the buffer. */
	self->jobs[WHOLE].in_fence_count--;
	EXPECT_EQ(0, submit_batch(self->device, self->jobs, WHOLE + 2, &refused));
	EXPECT_EQ(2, queue_submitted(self->device, self->manual));
	EXPECT_EQ(WHOLE + 1, queue_submitted(self->device, self->timer));
	EXPECT_EQ(1, signal_seqno(self->device, self->manual, 2, 0));
}

TEST_F(batch, job_starts_when_the_previous_ends)
{
	struct vfence_job_info info;
	__u64 end = 0;

	for (int i = 0; i < 200; i++) {
		self->jobs[i].queue = self->timer;
		self->jobs[i].duration_ns = 10000 + i;
	}
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 200, NULL));
	ASSERT_EQ(0, wait_idle(self->device, self->timer));
	for (int i = 0; i < 200; i++) {
		ASSERT_EQ(0, job_info(self->device, self->timer, i + 1, &info));
		EXPECT_EQ(VFENCE_JOB_COMPLETED, info.state);
		if (end)
			EXPECT_EQ(end, info.start_ns);
		EXPECT_EQ(10000 + i, info.end_ns - info.start_ns);
		end = info.end_ns;
	}
}

TEST_HARNESS_MAIN
