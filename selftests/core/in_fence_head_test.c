// SPDX-License-Identifier: GPL-2.0
/*
 * In-fences of jobs behind the head: a queue waits only for those of its head, and what happened to
 * the others before is not lost.
 */
#include "core/in_fence_fixture.h"
#include "lib/process.h"

/* More in-fences than an interrupt waits for at a time. */
#define MANY 300

/* Submits a batch of @count jobs that wait for @fence. */
static int submit_waiters(int device, __u32 queue, __u32 count, __u64 duration_ns, __s32 fence)
{
	static struct vfence_submit jobs[VFENCE_MAX_BATCH];

	for (__u32 i = 0; i < count; i++)
		jobs[i] = (struct vfence_submit) {
			.queue = queue,
			.duration_ns = duration_ns,
			.in_fences = ptr_to_u64(&fence),
			.in_fence_count = 1,
		};
	return submit_batch(device, jobs, count, NULL);
}

TEST_F(in_fence, jobs_of_many_queues_wait_for_one_fence)
{
	enum { QUEUES = 32, JOBS = 40 };
	__u32 queues[QUEUES];
	__u64 end;

	for (int i = 0; i < QUEUES; i++) {
		queues[i] = i % 2 ? timer_queue(self->device) : worker_queue(self->device);
		ASSERT_EQ(0, submit_waiters(self->device, queues[i], JOBS, 1000 + i,
					    self->fences[0]));
	}
	for (int i = 0; i < QUEUES; i++)
		EXPECT_EQ(0, queue_completed(self->device, queues[i]));
	OPEN_GATE(0, 0);
	for (int i = 0; i < QUEUES; i++) {
		ASSERT_EQ(0, wait_idle(self->device, queues[i]));
		end = fence_timestamp(self->fences[0]);
		for (int seqno = 1; seqno <= JOBS; seqno++) {
			struct vfence_job_info info = job_of(self->device, queues[i], seqno);

			EXPECT_EQ(0, info.error);
			EXPECT_EQ(end, info.start_ns);
			end += 1000 + i;
			EXPECT_EQ(end, info.end_ns);
		}
	}
}

TEST_F(in_fence, error_reaches_all_jobs)
{
	enum { JOBS = 40 };

	ASSERT_EQ(0, submit_waiters(self->device, self->queue, JOBS, MSEC, self->fences[0]));
	OPEN_GATE(0, -EIO);
	ASSERT_EQ(0, wait_idle(self->device, self->queue));
	for (int seqno = 1; seqno <= JOBS; seqno++) {
		struct vfence_job_info info = job_of(self->device, self->queue, seqno);

		EXPECT_EQ(-EIO, info.error);
		EXPECT_EQ(fence_timestamp(self->fences[0]), info.end_ns);
	}
}

TEST_F(in_fence, in_fence_that_signalled_during_the_job_before)
{
	int first = submit(self->device, self->queue, 30 * MSEC);
	int second = submit_after(self->device, self->queue, MSEC, self->fences[0]);

	OPEN_GATE(0, 0);
	ASSERT_EQ(1, fence_wait(second));
	EXPECT_LT(fence_timestamp(self->fences[0]), fence_timestamp(first));
	EXPECT_EQ(fence_timestamp(first), job_of(self->device, self->queue, 2).start_ns);
	EXPECT_EQ(fence_timestamp(first) + MSEC, fence_timestamp(second));
}

/* The job before ends before the in-fence signals, but its interrupt comes after that. */
TEST_F(in_fence, in_fence_that_signalled_before_the_interrupt)
{
	struct vfence_fault fault = {
		.kind = VFENCE_FAULT_DROP_INTERRUPT, .every = 1, .limit = 1,
	};
	/* The timeout finds the end of the first job. */
	__u32 queue = queue_with(self->device, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER, .timeout_ns = 200 * MSEC,
	});
	int second;

	ASSERT_EQ(0, set_faults(self->device, queue, 0, &fault, 1));
	ASSERT_LE(0, submit(self->device, queue, 1000));
	second = submit_after(self->device, queue, MSEC, self->fences[0]);
	OPEN_GATE(0, 0);
	ASSERT_EQ(1, fence_wait(second));
	EXPECT_LT(job_of(self->device, queue, 1).end_ns, fence_timestamp(self->fences[0]));
	EXPECT_EQ(fence_timestamp(self->fences[0]), job_of(self->device, queue, 2).start_ns);
}

/* Of several errors that a job meets as the head, the earliest counts, in any order of fences. */
TEST_F(in_fence, first_error_before_the_head_wins)
{
	__s32 reversed[] = { self->fences[1], self->fences[0] };
	int first = submit(self->device, self->queue, 30 * MSEC);
	int second = submit_waiting(self->device, self->queue, 0, self->fences, 2);
	int third = submit_waiting(self->device, self->queue, 0, reversed, 2);

	OPEN_GATE(1, -EIO);
	OPEN_GATE(0, -ENODATA);
	EXPECT_EQ(1, fence_wait(first));
	EXPECT_EQ(-EIO, fence_wait(second));
	EXPECT_EQ(-EIO, fence_wait(third));
}

TEST_F(in_fence, error_before_the_head_wins_over_a_later_one)
{
	int first = submit(self->device, self->queue, MSEC);
	int second = submit_waiting(self->device, self->queue, 0, self->fences, 2);

	OPEN_GATE(0, -EIO);
	EXPECT_EQ(1, fence_wait(first));
	OPEN_GATE(1, -ENODATA);
	EXPECT_EQ(-EIO, fence_wait(second));
	EXPECT_EQ(fence_timestamp(self->fences[1]), fence_timestamp(second));
}

TEST_F(in_fence, interrupt_waits_for_many_in_fences)
{
	static __s32 many[MANY];
	__u32 gate = manual_queue(self->device);
	int first, second, third;

	for (int i = 0; i < MANY; i++) {
		many[i] = submit(self->device, gate, 0);
		ASSERT_LE(0, many[i]);
	}
	first = submit(self->device, self->queue, MSEC);
	second = submit_waiting(self->device, self->queue, MSEC, many, MANY);
	third = submit(self->device, self->queue, MSEC);
	ASSERT_EQ(1, fence_wait(first));
	usleep(10000);
	EXPECT_EQ(MANY - 1, signal_seqno(self->device, gate, MANY - 1, 0));
	EXPECT_EQ(0, fence_status(second));
	EXPECT_EQ(1, signal_seqno(self->device, gate, MANY, 0));
	ASSERT_EQ(1, fence_wait(third));
	EXPECT_EQ(fence_timestamp(many[MANY - 1]) + MSEC, fence_timestamp(second));
	EXPECT_EQ(fence_timestamp(second) + MSEC, fence_timestamp(third));
	for (int i = 0; i < MANY; i++)
		close(many[i]);
}

TEST_F(in_fence, next_job_waits_after_a_timeout)
{
	__u32 queue = queue_with(self->device, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER, .timeout_ns = 20 * MSEC,
	});
	int first = submit_after(self->device, queue, 0, self->fences[0]);
	int second = submit_after(self->device, queue, 0, self->fences[1]);

	EXPECT_EQ(-ETIMEDOUT, fence_wait(first));
	OPEN_GATE(1, 0);
	EXPECT_EQ(1, fence_wait(second));
	OPEN_GATE(0, 0);
}

TEST_F(in_fence, jobs_end_while_they_wait)
{
	enum { JOBS = 100 };
	__u32 stopped = queue_with(self->device, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER,
		.timeout_ns = MSEC,
		.timeout_policy = VFENCE_TIMEOUT_CANCEL,
	});
	__u32 worker = worker_queue(self->device);
	int other = variant->node->open();
	__u32 closed = timer_queue(other);
	int last;

	/* A stopped queue waits for nothing, and waits again once it is reset. */
	ASSERT_EQ(0, submit_waiters(self->device, stopped, JOBS, 0, self->fences[0]));
	EXPECT_EQ(0, wait_idle(self->device, stopped));
	EXPECT_EQ(-ECANCELED, job_of(self->device, stopped, JOBS).error);
	last = submit_after(self->device, stopped, 0, self->fences[0]);
	EXPECT_EQ(-ECANCELED, fence_wait(last));
	ASSERT_EQ(0, submit_waiters(self->device, self->queue, JOBS, 0, self->fences[0]));
	ASSERT_EQ(0, submit_waiters(self->device, worker, JOBS, 0, self->fences[0]));
	ASSERT_EQ(0, submit_waiters(other, closed, JOBS, 0, self->fences[0]));
	ASSERT_EQ(0, queue_reset(self->device, self->queue, NULL));
	EXPECT_EQ(0, queue_completed(self->device, self->queue));
	ASSERT_EQ(0, queue_destroy(self->device, worker));
	close(other);
	OPEN_GATE(0, 0);
	EXPECT_EQ(0, wait_idle(self->device, self->queue));
}

TEST_F(in_fence, killed_process_leaves_no_wait)
{
	int pipes[2];
	pid_t child;
	char byte;

	ASSERT_EQ(0, pipe(pipes));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int device = variant->node->open();

		for (int i = 0; i < 16; i++)
			if (submit_waiters(device, timer_queue(device), 100, 0, self->fences[0]))
				_exit(1);
		if (write(pipes[1], "!", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	ASSERT_EQ(1, read(pipes[0], &byte, 1));
	kill(child, SIGKILL);
	EXPECT_EQ(-SIGKILL, child_status(child));
	OPEN_GATE(0, 0);
	close(pipes[0]);
}

TEST_HARNESS_MAIN
