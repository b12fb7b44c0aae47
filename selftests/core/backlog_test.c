// SPDX-License-Identifier: GPL-2.0
/* Backlogs: queues with more jobs due at once than timer interrupts may complete. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "lib/test.h"

#define QUEUES 32
#define JOBS 192

FIXTURE(backlog)
{
	int device;
	/* A manual queue whose job holds back the first job of each other queue. */
	__u32 gate;
	int fence;
	int sockets[2];
	__u32 queues[QUEUES];
	int last[QUEUES];
	struct vfence_submit jobs[JOBS];
};

FIXTURE_VARIANTS_OF_NODES(backlog);

FIXTURE_SETUP(backlog)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->gate = manual_queue(self->device);
	self->fence = submit(self->device, self->gate, 0);
	ASSERT_LE(0, self->fence);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->sockets));
}

FIXTURE_TEARDOWN(backlog)
{
	close(self->device);
}

/* The duration of job @seqno, in ns. */
static __u64 duration(__u64 seqno)
{
	return seqno % 7 * 100;
}

/* Submits JOBS jobs to @queue, of which the first waits for @fence. Returns the last out-fence. */
static int fill(int device, __u32 queue, int fence, struct vfence_submit *jobs, __u32 flags)
{
	for (int i = 0; i < JOBS; i++)
		jobs[i] = (struct vfence_submit) {
			.queue = queue, .flags = flags, .duration_ns = duration(i + 1),
		};
	jobs[0].in_fences = ptr_to_u64(&fence);
	jobs[0].in_fence_count = 1;
	jobs[JOBS - 1].flags |= VFENCE_SUBMIT_OUT_FENCE;
	return submit_batch(device, jobs, JOBS, NULL) ? -1 : jobs[JOBS - 1].out_fence;
}

/* Fills all queues, which are of the kind @kind. */
#define FILL(kind, flags) \
	for (int i = 0; i < QUEUES; i++) { \
		self->queues[i] = queue_create(self->device, kind, "backlog"); \
		ASSERT_NE(0, self->queues[i]); \
		self->last[i] = fill(self->device, self->queues[i], self->fence, self->jobs, \
				     flags); \
		ASSERT_LE(0, self->last[i]); \
	}

#define OPEN_GATE() ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, 0))

/* Jobs that were submitted when the gate opens end in any case. */
#define EXPECT_ENDED(fence) \
	do { \
		int status = fence_wait(fence); \
		EXPECT_TRUE(status == 1 || status == -ECANCELED); \
	} while (0)

/* Reads the events of all jobs: in order, each job starts at the end of the one before. */
static int read_in_order(int device, const __u32 *queues, __u64 opened)
{
	__u64 seqnos[QUEUES] = { 0 }, ends[QUEUES];
	struct vfence_event event;

	for (int i = 0; i < QUEUES; i++)
		ends[i] = opened;
	for (int i = 0; i < QUEUES * JOBS; i++) {
		int queue = 0;

		if (read_event(device, &event))
			return -1;
		while (queue < QUEUES && queues[queue] != event.queue)
			queue++;
		if (queue == QUEUES || event.error || event.seqno != ++seqnos[queue] ||
		    event.start_ns != ends[queue] ||
		    event.end_ns != event.start_ns + duration(event.seqno))
			return -1;
		ends[queue] = event.end_ns;
	}
	return 0;
}

TEST_F(backlog, completes_in_order_at_logical_times)
{
	FILL(VFENCE_QUEUE_TIMER, VFENCE_SUBMIT_EVENT);
	OPEN_GATE();
	EXPECT_EQ(0, read_in_order(self->device, self->queues, fence_timestamp(self->fence)));
}

TEST_F(backlog, of_worker_queues_completes_in_order)
{
	FILL(VFENCE_QUEUE_WORKER, VFENCE_SUBMIT_EVENT);
	OPEN_GATE();
	EXPECT_EQ(0, read_in_order(self->device, self->queues, fence_timestamp(self->fence)));
}

TEST_F(backlog, jobs_with_fences_signal_in_order)
{
	struct rlimit limit = { QUEUES * JOBS + 64, QUEUES * JOBS + 64 };
	int fences[JOBS];

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	FILL(VFENCE_QUEUE_TIMER, VFENCE_SUBMIT_OUT_FENCE);
	for (int i = 0; i < JOBS; i++)
		fences[i] = self->jobs[i].out_fence;
	OPEN_GATE();
	for (int i = 0; i < QUEUES; i++)
		EXPECT_EQ(1, fence_wait(self->last[i]));
	for (int i = 1; i < JOBS; i++) {
		EXPECT_EQ(1, fence_status(fences[i]));
		EXPECT_EQ(fence_timestamp(fences[i - 1]) + duration(i + 1),
			  fence_timestamp(fences[i]));
	}
}

/* Each interrupt could start the timer for an event that is almost due. */
TEST_F(backlog, short_jobs_end_at_logical_times)
{
	__u64 opened;

	for (int i = 0; i < QUEUES; i++) {
		self->queues[i] = timer_queue(self->device);
		for (int job = 0; job < JOBS; job++)
			self->jobs[job] = (struct vfence_submit) {
				.queue = self->queues[i], .duration_ns = 10000,
			};
		self->jobs[0].in_fences = ptr_to_u64(&self->fence);
		self->jobs[0].in_fence_count = 1;
		ASSERT_EQ(0, submit_batch(self->device, self->jobs, JOBS, NULL));
	}
	OPEN_GATE();
	opened = fence_timestamp(self->fence);
	for (int i = 0; i < QUEUES; i++) {
		ASSERT_EQ(0, wait_idle(self->device, self->queues[i]));
		EXPECT_EQ(opened + JOBS * 10000,
			  job_of(self->device, self->queues[i], JOBS).end_ns);
	}
}

TEST_F(backlog, grows_while_it_is_worked_off)
{
	FILL(VFENCE_QUEUE_TIMER, 0);
	OPEN_GATE();
	for (int i = 0; i < QUEUES; i++) {
		self->last[i] = fill(self->device, self->queues[i], self->last[i], self->jobs, 0);
		ASSERT_LE(0, self->last[i]);
	}
	for (int i = 0; i < QUEUES; i++) {
		EXPECT_EQ(1, fence_wait(self->last[i]));
		EXPECT_EQ(0, wait_idle(self->device, self->queues[i]));
		EXPECT_EQ(2 * JOBS, queue_completed(self->device, self->queues[i]));
	}
}

TEST_F(backlog, timeouts_of_manual_jobs_come_at_logical_times)
{
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_MANUAL, .timeout_ns = MSEC };

	for (int i = 0; i < QUEUES; i++) {
		self->queues[i] = queue_with(self->device, create);
		ASSERT_NE(0, self->queues[i]);
		for (int job = 0; job < JOBS; job++)
			self->jobs[job] = (struct vfence_submit){ .queue = self->queues[i] };
		self->jobs[JOBS - 1].flags = VFENCE_SUBMIT_OUT_FENCE;
		ASSERT_EQ(0, submit_batch(self->device, self->jobs, JOBS, NULL));
		self->last[i] = self->jobs[JOBS - 1].out_fence;
	}
	for (int i = 0; i < QUEUES; i++) {
		struct vfence_job_info job;

		EXPECT_EQ(-ETIMEDOUT, fence_wait(self->last[i]));
		job = job_of(self->device, self->queues[i], JOBS);
		EXPECT_EQ(job.submitted_ns + MSEC, job.end_ns);
	}
}

TEST_F(backlog, survives_resets)
{
	FILL(VFENCE_QUEUE_TIMER, 0);
	OPEN_GATE();
	for (int i = 0; i < QUEUES; i++)
		ASSERT_EQ(0, queue_reset(self->device, self->queues[i], NULL));
	for (int i = 0; i < QUEUES; i++) {
		EXPECT_ENDED(self->last[i]);
		EXPECT_EQ(JOBS, queue_completed(self->device, self->queues[i]));
	}
}

TEST_F(backlog, survives_the_destruction_of_queues)
{
	FILL(VFENCE_QUEUE_TIMER, 0);
	OPEN_GATE();
	for (int i = 0; i < QUEUES; i++)
		ASSERT_EQ(0, queue_destroy(self->device, self->queues[i]));
	for (int i = 0; i < QUEUES; i++)
		EXPECT_ENDED(self->last[i]);
}

TEST_F(backlog, survives_the_closing_of_the_client)
{
	int device = variant->node->open();

	for (int i = 0; i < QUEUES; i++) {
		self->last[i] = fill(device, timer_queue(device), self->fence, self->jobs, 0);
		ASSERT_LE(0, self->last[i]);
	}
	OPEN_GATE();
	ASSERT_EQ(0, close(device));
	for (int i = 0; i < QUEUES; i++)
		EXPECT_ENDED(self->last[i]);
}

TEST_F(backlog, survives_a_killed_process)
{
	pid_t child = fork();

	if (!child) {
		int device = variant->node->open();

		for (int i = 0; i < QUEUES; i++) {
			__u32 queue = timer_queue(device);

			send_fd(self->sockets[1], queue,
				fill(device, queue, self->fence, self->jobs, 0));
		}
		pause();
		_exit(1);
	}
	for (int i = 0; i < QUEUES; i++) {
		self->last[i] = receive_fd(self->sockets[0], &self->queues[i]);
		ASSERT_LE(0, self->last[i]);
	}
	OPEN_GATE();
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(-SIGKILL, child_status(child));
	for (int i = 0; i < QUEUES; i++)
		EXPECT_ENDED(self->last[i]);
}

TEST_HARNESS_MAIN
