// SPDX-License-Identifier: GPL-2.0
/* Timelines shared between processes, with many pending points and waits before submission. */
#include <sys/wait.h>
#include "lib/drm.h"

/* Pending points at a time. */
#define POINTS 1000

FIXTURE(timeline)
{
	int node;
	__u32 handle;
	/* A descriptor of the syncobj, for other processes. */
	int fd;
};

FIXTURE_SETUP(timeline)
{
	self->node = render_open();
	ASSERT_LE(0, self->node);
	self->handle = syncobj_create(self->node);
	ASSERT_NE(0, self->handle);
	ASSERT_EQ(0, drmSyncobjHandleToFD(self->node, self->handle, &self->fd));
}

FIXTURE_TEARDOWN(timeline)
{
	close(self->fd);
	close(self->node);
}

/* Submits @count jobs in one call; they signal the points after @first. */
static int submit_points(int node, __u32 queue, __u32 handle, __u64 first, __u32 count)
{
	struct vfence_submit *jobs = calloc(count, sizeof(*jobs));
	struct drm_vfence_sync *out = calloc(count, sizeof(*out));
	struct drm_vfence_submit *submits = calloc(count, sizeof(*submits));
	int ret = -1;

	if (jobs && out && submits) {
		for (__u32 i = 0; i < count; i++) {
			jobs[i].queue = queue;
			out[i] = (struct drm_vfence_sync) {
				.handle = handle, .point = first + 1 + i,
			};
			submits[i] = drm_job(&jobs[i], NULL, 0, &out[i], 1);
		}
		ret = drm_submit_batch(node, submits, count, NULL);
	}
	free(jobs);
	free(out);
	free(submits);
	return ret;
}

TEST_F_TIMEOUT(timeline, thousand_points_are_pending, 300)
{
	__u32 queue = manual_queue(self->node);

	ASSERT_EQ(0, submit_points(self->node, queue, self->handle, 0, POINTS));
	EXPECT_EQ(POINTS, syncobj_query(self->node, self->handle,
					DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED));
	EXPECT_EQ(0, syncobj_query(self->node, self->handle, 0));
	for (__u64 point = 100; point <= POINTS; point += 100) {
		EXPECT_EQ(0, syncobj_signalled(self->node, self->handle, point));
		signal_seqno(self->node, queue, point, 0);
		EXPECT_EQ(0, syncobj_wait(self->node, self->handle, point));
		EXPECT_EQ(point, syncobj_query(self->node, self->handle, 0));
	}
}

/*
 * 1000 jobs wait, each for another point, submitted one by one or in one call. A wait for a
 * point needs only the last fence of the queue, so the jobs stay within VFENCE_MAX_WAITS.
 */
TEST_F_TIMEOUT(timeline, thousand_jobs_wait_for_thousand_points, 300)
{
	__u32 producer = manual_queue(self->node);
	__u32 consumers[2] = {
		timer_queue(self->node), timer_queue(self->node),
	};
	struct vfence_submit *jobs = calloc(POINTS, sizeof(*jobs));
	struct drm_vfence_sync *in = calloc(POINTS, sizeof(*in));
	struct drm_vfence_submit *submits = calloc(POINTS, sizeof(*submits));

	ASSERT_TRUE(jobs && in && submits);
	ASSERT_EQ(0, submit_points(self->node, producer, self->handle, 0, POINTS));
	for (int i = 0; i < POINTS; i++) {
		jobs[i].queue = consumers[1];
		in[i] = (struct drm_vfence_sync) { .handle = self->handle, .point = i + 1 };
		submits[i] = drm_job(&jobs[i], &in[i], 1, NULL, 0);
	}
	ASSERT_EQ(0, drm_submit_batch(self->node, submits, POINTS, NULL));
	for (int i = 0; i < POINTS; i++) {
		struct vfence_submit job = { .queue = consumers[0] };

		ASSERT_EQ(0, drm_submit(self->node, &job, &in[i], NULL));
	}
	signal_seqno(self->node, producer, POINTS / 2, 0);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, wait_job(self->node, consumers[i], POINTS / 2));
		EXPECT_EQ(VFENCE_JOB_PENDING,
			  job_of(self->node, consumers[i], POINTS / 2 + 1).state);
	}
	signal_seqno(self->node, producer, POINTS, 0);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, wait_job(self->node, consumers[i], POINTS));
	free(jobs);
	free(in);
	free(submits);
}

/* All in one call: each job that waits for a point follows the job that signals it. */
TEST_F_TIMEOUT(timeline, producers_and_consumers_in_one_call, 300)
{
	__u32 producer = manual_queue(self->node);
	__u32 consumer = timer_queue(self->node);
	struct vfence_submit *jobs = calloc(POINTS, sizeof(*jobs));
	struct drm_vfence_sync *syncs = calloc(POINTS, sizeof(*syncs));
	struct drm_vfence_submit *submits = calloc(POINTS, sizeof(*submits));

	ASSERT_TRUE(jobs && syncs && submits);
	for (int i = 0; i < POINTS; i++) {
		bool waits = i % 2;

		jobs[i].queue = waits ? consumer : producer;
		syncs[i] = (struct drm_vfence_sync) { .handle = self->handle, .point = i / 2 + 1 };
		submits[i] = drm_job(&jobs[i], &syncs[i], waits, &syncs[i], !waits);
	}
	ASSERT_EQ(0, drm_submit_batch(self->node, submits, POINTS, NULL));
	signal_seqno(self->node, producer, POINTS / 4, 0);
	EXPECT_EQ(0, wait_job(self->node, consumer, POINTS / 4));
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, consumer, POINTS / 4 + 1).state);
	signal_seqno(self->node, producer, POINTS / 2, 0);
	EXPECT_EQ(0, wait_job(self->node, consumer, POINTS / 2));
	free(jobs);
	free(syncs);
	free(submits);
}

/* More queues than the driver compares: a job waits for more fences, and misses none. */
TEST_F(timeline, many_queues_signal_one_timeline)
{
	enum { QUEUES = 12 };
	__u32 producers[QUEUES], consumer = timer_queue(self->node);
	struct vfence_submit job = { .queue = consumer };
	struct drm_vfence_sync in = { .handle = self->handle };

	for (int i = 0; i < QUEUES; i++)
		producers[i] = manual_queue(self->node);
	for (int i = 0; i < 4 * QUEUES; i++)
		ASSERT_EQ(0, submit_points(self->node, producers[i % QUEUES], self->handle, i, 1));
	in.point = 4 * QUEUES;
	ASSERT_EQ(0, drm_submit(self->node, &job, &in, NULL));
	for (int i = 0; i < QUEUES; i++) {
		EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, consumer, 1).state);
		signal_seqno(self->node, producers[i], 4, 0);
	}
	EXPECT_EQ(0, wait_job(self->node, consumer, 1));
}

/* A job waits for more points than the driver unwraps, in whatever order their queues signal. */
TEST_F(timeline, job_waits_for_points_behind_the_last_ones)
{
	enum { QUEUES = 3, EACH = 100 };
	__u32 producers[QUEUES], queue = timer_queue(self->node);
	struct drm_vfence_sync in = { .handle = self->handle, .point = QUEUES * EACH };
	struct vfence_submit job = { .queue = queue, .duration_ns = MSEC };

	/* The last points are all of one queue. */
	for (int i = 0; i < QUEUES; i++) {
		producers[i] = manual_queue(self->node);
		ASSERT_EQ(0, submit_points(self->node, producers[i], self->handle, i * EACH, EACH));
	}
	ASSERT_EQ(0, drm_submit(self->node, &job, &in, NULL));
	signal_seqno(self->node, producers[2], EACH, 0);
	usleep(10000);
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, queue, 1).state);
	signal_seqno(self->node, producers[0], EACH, 0);
	usleep(10000);
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, queue, 1).state);
	signal_seqno(self->node, producers[1], EACH - 1, 0);
	usleep(10000);
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, queue, 1).state);
	/* An error of a point so far behind does not reach the job. */
	signal_seqno(self->node, producers[1], EACH, -EIO);
	EXPECT_EQ(0, wait_job(self->node, queue, 1));
	EXPECT_EQ(0, job_of(self->node, queue, 1).error);
	EXPECT_LE(job_of(self->node, producers[1], EACH).end_ns,
		  job_of(self->node, queue, 1).start_ns);
}

/* The same with a sync_file of the timeline. */
TEST_F(timeline, sync_file_of_a_long_timeline_takes_few_waits)
{
	__u32 producer = manual_queue(self->node), queue = timer_queue(self->node);
	struct vfence_submit job = { .queue = queue };
	__s32 fence;

	ASSERT_EQ(0, submit_points(self->node, producer, self->handle, 0, POINTS));
	fence = syncobj_export(self->node, self->handle);
	ASSERT_LE(0, fence);
	job.in_fences = ptr_to_u64(&fence);
	job.in_fence_count = 1;
	/* With a wait for each point, VFENCE_MAX_WAITS would be exceeded. */
	for (int i = 0; i < 100; i++)
		ASSERT_EQ(0, drm_submit(self->node, &job, NULL, NULL));
	signal_seqno(self->node, producer, POINTS - 1, 0);
	usleep(10000);
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, queue, 1).state);
	signal_seqno(self->node, producer, POINTS, 0);
	EXPECT_EQ(0, wait_job(self->node, queue, 100));
	close(fence);
}

/* All points of a call are there when it returns, and each wakes its waiters. */
TEST_F(timeline, call_adds_points_to_alternating_timelines)
{
	enum { TIMELINES = 12, JOBS = 10 };
	struct drm_vfence_sync out[JOBS][2 * TIMELINES];
	struct drm_vfence_submit submits[JOBS];
	struct vfence_submit jobs[JOBS] = { 0 };
	__u32 handles[TIMELINES], queue = manual_queue(self->node);

	for (int i = 0; i < TIMELINES; i++)
		handles[i] = syncobj_create(self->node);
	for (int i = 0; i < JOBS; i++) {
		jobs[i].queue = queue;
		for (int j = 0; j < 2 * TIMELINES; j++)
			out[i][j] = (struct drm_vfence_sync) {
				.handle = handles[j / 2], .point = 2 * i + j % 2 + 1,
			};
		submits[i] = drm_job(&jobs[i], NULL, 0, out[i], 2 * TIMELINES);
	}
	ASSERT_EQ(0, drm_submit_batch(self->node, submits, JOBS, NULL));
	for (int point = 1; point <= 2 * JOBS; point++) {
		if (point % 2) {
			EXPECT_EQ(0, syncobj_signalled(self->node, handles[0], point));
			signal_seqno(self->node, queue, (point + 1) / 2, 0);
		}
		for (int i = 0; i < TIMELINES; i++)
			EXPECT_EQ(1, syncobj_signalled(self->node, handles[i], point));
	}
	for (int i = 0; i < TIMELINES; i++)
		EXPECT_EQ(2 * JOBS, syncobj_query(self->node, handles[i], 0));
}

/* Two queues take turns on a timeline: a job waits for the last fence of each. */
TEST_F(timeline, two_queues_signal_one_timeline)
{
	__u32 producers[2], consumer = timer_queue(self->node);
	struct vfence_submit job = { .queue = consumer };
	struct drm_vfence_sync in = { .handle = self->handle, .point = 200 };

	for (int i = 0; i < 2; i++)
		producers[i] = manual_queue(self->node);
	for (int i = 0; i < 200; i++)
		ASSERT_EQ(0, submit_points(self->node, producers[i % 2], self->handle, i, 1));
	ASSERT_EQ(0, drm_submit(self->node, &job, &in, NULL));
	signal_seqno(self->node, producers[1], 100, 0);
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, consumer, 1).state);
	signal_seqno(self->node, producers[0], 99, 0);
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, consumer, 1).state);
	signal_seqno(self->node, producers[0], 100, 0);
	EXPECT_EQ(0, wait_job(self->node, consumer, 1));
}

/*
 * The other process waits for points before they are submitted, and answers each with a point of
 * its own.
 */
static int consume(int fd, int answers)
{
	int node = render_open();
	__u32 handle = 0, answer = 0, queue = timer_queue(node);

	if (!queue || drmSyncobjFDToHandle(node, fd, &handle) ||
	    drmSyncobjFDToHandle(node, answers, &answer))
		return 1;
	for (__u64 point = 1; point <= 50; point++) {
		struct vfence_submit job = { .queue = queue };
		struct drm_vfence_sync in = {
			.handle = handle,
			.flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT,
			.point = point,
		};
		struct drm_vfence_sync out = { .handle = answer, .point = point };

		if (drm_submit(node, &job, &in, &out))
			return 2;
	}
	/* Closing the file cancels the pending job. */
	return syncobj_wait(node, answer, 50) ? 3 : 0;
}

TEST_F(timeline, processes_exchange_points)
{
	__u32 queue = timer_queue(self->node);
	__u32 answer = syncobj_create(self->node);
	int answers, status;
	pid_t child;

	ASSERT_EQ(0, drmSyncobjHandleToFD(self->node, answer, &answers));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(consume(self->fd, answers));
	for (__u64 point = 1; point <= 50; point++) {
		struct vfence_submit job = { .queue = queue };
		struct drm_vfence_sync out = { .handle = self->handle, .point = point };

		ASSERT_EQ(0, drm_submit(self->node, &job, NULL, &out));
		/* The consumer submits this point when it receives the producer's. */
		EXPECT_EQ(0, syncobj_wait_until(self->node, answer, point,
						DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
							patience()));
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(50, syncobj_query(self->node, answer, 0));
	close(answers);
}

/* Killing the producer cancels its jobs, and their consumer gets the error. */
TEST_F(timeline, killed_producer_cancels_its_points)
{
	int pipes[2], status;
	pid_t child;
	char byte;
	__u32 queue = timer_queue(self->node);
	struct vfence_submit job = { .queue = queue };
	struct drm_vfence_sync in = { .handle = self->handle, .point = 1 };

	ASSERT_EQ(0, pipe(pipes));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int node = render_open();
		__u32 handle = 0, gate = manual_queue(node);

		if (drmSyncobjFDToHandle(node, self->fd, &handle) ||
		    submit_points(node, gate, handle, 0, 1))
			_exit(1);
		if (write(pipes[1], "!", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(pipes[0], &byte, 1));
	ASSERT_EQ(0, drm_submit(self->node, &job, &in, NULL));
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, queue, 1).state);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	EXPECT_EQ(0, syncobj_wait(self->node, self->handle, 1));
	EXPECT_EQ(0, wait_job(self->node, queue, 1));
	EXPECT_EQ(-ECANCELED, job_of(self->node, queue, 1).error);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_HARNESS_MAIN
