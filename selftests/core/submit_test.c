// SPDX-License-Identifier: GPL-2.0
/* VFENCE_IOCTL_SUBMIT: order, times, out-fences, and refusals. */
#include <sys/eventfd.h>
#include <sys/resource.h>
#include "lib/test.h"

FIXTURE(submit)
{
	int device;
	__u32 queue;
	/* A queue with one pending job, whose out-fence is @gate_fence. */
	__u32 gate;
	int gate_fence;
	__u64 watchdog_ns;
};

FIXTURE_VARIANTS_OF_NODES(submit);

FIXTURE_SETUP(submit)
{
	struct vfence_query query = { 0 };

	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	self->watchdog_ns = query.watchdog_ns;
	self->queue = timer_queue(self->device);
	ASSERT_NE(0, self->queue);
	self->gate = manual_queue(self->device);
	self->gate_fence = submit(self->device, self->gate, 0);
	ASSERT_LE(0, self->gate_fence);
}

FIXTURE_TEARDOWN(submit)
{
	close(self->device);
}

TEST_F(submit, seqnos_have_no_gaps)
{
	__u32 other = timer_queue(self->device);

	for (__u64 seqno = 1; seqno <= 20; seqno++) {
		struct vfence_submit submit = { .queue = self->queue };

		ASSERT_EQ(0, submit_job(self->device, &submit));
		EXPECT_EQ(seqno, submit.seqno);
		/* A refused job takes no seqno. */
		submit.flags = ~0U;
		EXPECT_EQ(-1, submit_job(self->device, &submit));
		/* Each queue counts its own seqnos. */
		submit.queue = other;
		submit.flags = VFENCE_SUBMIT_OUT_FENCE;
		ASSERT_EQ(0, submit_job(self->device, &submit));
		EXPECT_EQ(seqno, submit.seqno);
	}
}

TEST_F(submit, out_fence_is_optional)
{
	struct vfence_submit submit = { .queue = self->queue, .out_fence = 77 };
	int before = open_fds();

	ASSERT_EQ(0, submit_job(self->device, &submit));
	EXPECT_EQ(-1, submit.out_fence);
	EXPECT_EQ(1, submit.seqno);
	EXPECT_EQ(before, open_fds());
}

TEST_F(submit, output_fields_are_ignored)
{
	struct vfence_submit submit = {
		.queue = self->queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.in_fences = ~0ULL,
		.out_fence = -77,
		.seqno = ~0ULL,
	};

	ASSERT_EQ(0, submit_job(self->device, &submit));
	EXPECT_LE(0, submit.out_fence);
	EXPECT_EQ(1, submit.seqno);
}

TEST_F(submit, input_fields_are_kept)
{
	struct vfence_submit submit = {
		.queue = self->queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.duration_ns = 1234,
		.in_fences = ptr_to_u64(&self->gate_fence),
		.in_fence_count = 1,
	};
	struct vfence_submit after = submit;

	ASSERT_EQ(0, submit_job(self->device, &after));
	submit.out_fence = after.out_fence;
	submit.seqno = after.seqno;
	EXPECT_EQ(0, memcmp(&submit, &after, sizeof(submit)));
}

TEST_F(submit, out_fence_closes_on_exec)
{
	int fence = submit(self->device, self->queue, 0);

	EXPECT_EQ(FD_CLOEXEC, fcntl(fence, F_GETFD));
}

TEST_F(submit, job_takes_its_duration)
{
	static const __u64 durations[] = { 1, 1000, MSEC, 20 * MSEC };

	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		__u64 before = now_ns();
		int fence = submit(self->device, self->queue, durations[i]);

		ASSERT_EQ(1, fence_wait(fence));
		EXPECT_LE(before + durations[i], fence_timestamp(fence));
		EXPECT_GE(now_ns(), fence_timestamp(fence));
	}
}

TEST_F(submit, zero_duration_completes_at_once)
{
	__u64 before = now_ns();
	int fence = submit(self->device, self->queue, 0);

	ASSERT_EQ(1, fence_wait(fence));
	EXPECT_LE(before, fence_timestamp(fence));
	EXPECT_EQ(1, queue_completed(self->device, self->queue));
}

TEST_F(submit, jobs_run_back_to_back)
{
	static const __u64 durations[] = { 5 * MSEC, MSEC, 0, 1, 3 * MSEC, 12345 };
	int fences[ARRAY_LEN(durations)];
	__u64 last;

	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		fences[i] = submit_after(self->device, self->queue, durations[i],
					 self->gate_fence);
		ASSERT_LE(0, fences[i]);
	}
	ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, 0));
	ASSERT_EQ(1, fence_wait(fences[ARRAY_LEN(durations) - 1]));
	last = fence_timestamp(fences[0]);
	for (size_t i = 1; i < ARRAY_LEN(durations); i++) {
		EXPECT_EQ(1, fence_status(fences[i]));
		EXPECT_EQ(last + durations[i], fence_timestamp(fences[i]));
		last = fence_timestamp(fences[i]);
	}
}

TEST_F(submit, jobs_run_in_submission_order)
{
	int first = submit_after(self->device, self->queue, 0, self->gate_fence);
	int second = submit(self->device, self->queue, 0);

	/* The in-fence has signalled, but the job is not the head. */
	EXPECT_EQ(0, fence_status(second));
	ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, 0));
	ASSERT_EQ(1, fence_wait(second));
	EXPECT_EQ(1, fence_status(first));
	EXPECT_LE(fence_timestamp(first), fence_timestamp(second));
}

TEST_F(submit, queues_run_concurrently)
{
	__u32 other = timer_queue(self->device);
	int slow = submit(self->device, self->queue, 2 * SEC);
	int fast = submit(self->device, other, 0);

	EXPECT_EQ(1, fence_wait(fast));
	EXPECT_EQ(1, queue_submitted(self->device, self->queue));
	EXPECT_LE(0, slow);
}

TEST_F(submit, job_runs_after_its_out_fence_is_closed)
{
	close(submit(self->device, self->queue, MSEC));
	ASSERT_EQ(1, fence_wait(submit(self->device, self->queue, 0)));
	EXPECT_EQ(2, queue_completed(self->device, self->queue));
}

/* Expects a submission to fail without a job or a descriptor. */
#define EXPECT_NO_JOB(error, submit) \
	do { \
		int before = open_fds(); \
		__u64 seqno = queue_submitted(self->device, self->queue); \
		EXPECT_REFUSED(error, submit_job(self->device, submit)); \
		EXPECT_EQ(before, open_fds()); \
		EXPECT_EQ(seqno, queue_submitted(self->device, self->queue)); \
	} while (0)

TEST_F(submit, duration_beyond_the_watchdog_is_refused)
{
	struct vfence_submit submit = { .queue = self->queue };

	ASSERT_NE(0, self->watchdog_ns);
	submit.duration_ns = self->watchdog_ns + 1;
	EXPECT_NO_JOB(EINVAL, &submit);
	submit.duration_ns = 1ULL << 63;
	EXPECT_NO_JOB(EINVAL, &submit);
	submit.duration_ns = ~0ULL;
	EXPECT_NO_JOB(EINVAL, &submit);
}

TEST_F(submit, unmapped_in_fences_are_refused)
{
	struct vfence_submit submit = {
		.queue = self->queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.in_fence_count = 1,
	};
	size_t page = sysconf(_SC_PAGESIZE);
	char *start = unmapped(2);

	EXPECT_NO_JOB(EFAULT, &submit);
	submit.in_fences = ptr_to_u64(start);
	EXPECT_NO_JOB(EFAULT, &submit);
	submit.in_fences = ~0ULL;
	EXPECT_NO_JOB(EFAULT, &submit);
	submit.in_fences = 1ULL << 63;
	EXPECT_NO_JOB(EFAULT, &submit);
	/* The first page is accessible, the second is not. */
	ASSERT_EQ(0, mprotect(start, page, PROT_READ | PROT_WRITE));
	memcpy(start + page - sizeof(__s32), &self->gate_fence, sizeof(__s32));
	submit.in_fences = ptr_to_u64(start + page - sizeof(__s32));
	submit.in_fence_count = 2;
	EXPECT_NO_JOB(EFAULT, &submit);
}

TEST_F(submit, too_many_in_fences_are_refused)
{
	static __s32 in_fences[VFENCE_MAX_IN_FENCES + 1];
	static const __u32 counts[] = {
		VFENCE_MAX_IN_FENCES + 1, 1U << 30, 1U << 31, ~0U,
	};
	struct vfence_submit submit = {
		.queue = self->queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.in_fences = ptr_to_u64(in_fences),
	};

	for (size_t i = 0; i < ARRAY_LEN(in_fences); i++)
		in_fences[i] = self->gate_fence;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		submit.in_fence_count = counts[i];
		EXPECT_NO_JOB(EINVAL, &submit);
	}
}

TEST_F(submit, in_fence_that_is_no_file_is_refused)
{
	static const __s32 fds[] = { -1, INT_MIN, INT_MAX, 1000 };
	struct vfence_submit submit = {
		.queue = self->queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.in_fence_count = 1,
	};

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		submit.in_fences = ptr_to_u64(&fds[i]);
		EXPECT_NO_JOB(EBADF, &submit);
	}
}

TEST_F(submit, in_fence_that_is_no_sync_file_is_refused)
{
	int pipes[2];
	struct vfence_submit submit = {
		.queue = self->queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.in_fence_count = 1,
	};

	ASSERT_EQ(0, pipe(pipes));
	__s32 fds[] = {
		pipes[0], pipes[1], eventfd(0, 0), self->device, open("/dev/null", O_RDONLY),
		open("/", O_RDONLY), open("/", O_PATH),
	};

	for (size_t i = 0; i < ARRAY_LEN(fds) - 1; i++) {
		ASSERT_LE(0, fds[i]);
		submit.in_fences = ptr_to_u64(&fds[i]);
		EXPECT_NO_JOB(EINVAL, &submit);
	}
	/* The kernel does not accept an O_PATH descriptor as an open file. */
	submit.in_fences = ptr_to_u64(&fds[ARRAY_LEN(fds) - 1]);
	EXPECT_NO_JOB(EBADF, &submit);
}

TEST_F(submit, one_bad_in_fence_refuses_the_job)
{
	__s32 in_fences[] = { self->gate_fence, -1 };
	struct vfence_submit submit = {
		.queue = self->queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.in_fences = ptr_to_u64(in_fences),
		.in_fence_count = ARRAY_LEN(in_fences),
	};

	EXPECT_NO_JOB(EBADF, &submit);
	EXPECT_EQ(1, signal_seqno(self->device, self->gate, 1, 0));
}

TEST_F(submit, full_descriptor_table_refuses_an_out_fence)
{
	struct vfence_submit submit = {
		.queue = self->queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.in_fences = ptr_to_u64(&self->gate_fence),
		.in_fence_count = 1,
	};
	int lowest = open("/dev/null", O_RDONLY);
	struct rlimit limit, full;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	full = limit;
	full.rlim_cur = lowest;
	close(lowest);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &full));
	EXPECT_REFUSED(EMFILE, submit_job(self->device, &submit));
	EXPECT_EQ(0, queue_submitted(self->device, self->queue));
	/* A job without an out-fence needs no descriptor. */
	submit.flags = 0;
	EXPECT_EQ(0, submit_job(self->device, &submit));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	submit.flags = VFENCE_SUBMIT_OUT_FENCE;
	EXPECT_EQ(0, submit_job(self->device, &submit));
	EXPECT_EQ(lowest, submit.out_fence);
	EXPECT_EQ(2, submit.seqno);
}

TEST_F(submit, read_only_argument_is_refused)
{
	struct vfence_submit valid = {
		.queue = self->queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.in_fences = ptr_to_u64(&self->gate_fence),
		.in_fence_count = 1,
	};
	struct vfence_submit *submit = read_only(&valid, sizeof(valid));

	ASSERT_NE(NULL, submit);
	EXPECT_NO_JOB(EFAULT, submit);
	ASSERT_EQ(0, mprotect(submit, sizeof(valid), PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, submit_job(self->device, submit));
	EXPECT_EQ(1, submit->seqno);
}

TEST_F(submit, unmapped_argument_is_refused)
{
	EXPECT_NO_JOB(EFAULT, NULL);
}

TEST_HARNESS_MAIN
