// SPDX-License-Identifier: GPL-2.0
/*
 * Worker queues behave like timer queues, except for the context in which jobs complete: each case
 * runs on both kinds.
 */
#include "lib/test.h"

FIXTURE(worker)
{
	int device;
	__u32 queue;
	/* A queue with one pending job, whose out-fence is @fence. */
	__u32 gate;
	int fence;
};

FIXTURE_VARIANT(worker)
{
	const struct node *node;
	__u32 kind;
};

FIXTURE_VARIANT_ADD(worker, misc_timer)
{
	.node = &misc_node,
	.kind = VFENCE_QUEUE_TIMER,
};

FIXTURE_VARIANT_ADD(worker, misc_worker)
{
	.node = &misc_node,
	.kind = VFENCE_QUEUE_WORKER,
};

FIXTURE_VARIANT_ADD(worker, render_timer)
{
	.node = &render_node,
	.kind = VFENCE_QUEUE_TIMER,
};

FIXTURE_VARIANT_ADD(worker, render_worker)
{
	.node = &render_node,
	.kind = VFENCE_QUEUE_WORKER,
};

FIXTURE_SETUP(worker)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->queue = queue_create(self->device, variant->kind, "tested");
	ASSERT_NE(0, self->queue);
	self->gate = manual_queue(self->device);
	self->fence = submit(self->device, self->gate, 0);
	ASSERT_LE(0, self->fence);
}

FIXTURE_TEARDOWN(worker)
{
	close(self->device);
}

TEST_F(worker, queue_info_reports_the_kind)
{
	struct vfence_query query = { 0 };
	struct vfence_queue_info info;

	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	EXPECT_TRUE(query.capabilities & VFENCE_CAP_TIMER_QUEUE);
	EXPECT_TRUE(query.capabilities & VFENCE_CAP_WORKER_QUEUE);
	ASSERT_EQ(0, queue_info(self->device, self->queue, &info));
	EXPECT_EQ(variant->kind, info.kind);
	EXPECT_STREQ("tested", info.name);
}

TEST_F(worker, job_takes_its_duration)
{
	struct vfence_job_info job;
	int fence = submit(self->device, self->queue, 3 * MSEC);

	ASSERT_EQ(1, fence_wait(fence));
	ASSERT_EQ(0, job_info(self->device, self->queue, 1, &job));
	EXPECT_EQ(job.submitted_ns, job.start_ns);
	EXPECT_EQ(job.start_ns + 3 * MSEC, job.end_ns);
	EXPECT_EQ(job.end_ns, fence_timestamp(fence));
	/* The fence cannot have signalled before the end of the job. */
	EXPECT_LE(job.end_ns, now_ns());
}

TEST_F(worker, jobs_run_back_to_back)
{
	int fences[20];

	for (int i = 0; i < 20; i++)
		fences[i] = submit(self->device, self->queue, 20 * MSEC + i);
	for (int i = 1; i < 5; i++) {
		ASSERT_EQ(1, fence_wait(fences[i]));
		EXPECT_EQ(fence_timestamp(fences[i - 1]) + 20 * MSEC + i,
			  fence_timestamp(fences[i]));
	}
	/* The later jobs are pending: jobs of a queue do not run concurrently. */
	EXPECT_EQ(0, fence_status(fences[19]));
}

TEST_F(worker, fences_signal_in_order)
{
	struct vfence_submit jobs[64] = { 0 };

	for (int i = 0; i < 64; i++)
		jobs[i] = (struct vfence_submit) {
			.queue = self->queue,
			.flags = VFENCE_SUBMIT_OUT_FENCE,
			.duration_ns = i % 3 * 100000,
		};
	ASSERT_EQ(0, submit_batch(self->device, jobs, 64, NULL));
	for (;;) {
		/* From the last to the first: before a fence that has signalled, all have. */
		bool signalled = false;
		int pending = 0;

		for (int i = 63; i >= 0; i--) {
			if (fence_status(jobs[i].out_fence) == 1) {
				signalled = true;
			} else {
				EXPECT_FALSE(signalled);
				pending++;
			}
		}
		if (!pending)
			break;
	}
}

TEST_F(worker, job_waits_for_its_in_fence)
{
	int fence = submit_after(self->device, self->queue, MSEC, self->fence);

	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, 0));
	ASSERT_EQ(1, fence_wait(fence));
	EXPECT_LE(fence_timestamp(self->fence) + MSEC, fence_timestamp(fence));
}

TEST_F(worker, error_of_an_in_fence_propagates)
{
	int fence = submit_after(self->device, self->queue, MSEC, self->fence);

	ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, -EPROTO));
	EXPECT_EQ(-EPROTO, fence_wait(fence));
}

TEST_F(worker, queues_of_both_kinds_exchange_fences)
{
	__u32 ring[] = {
		self->queue, worker_queue(self->device), timer_queue(self->device),
	};
	int fence = submit_after(self->device, ring[0], MSEC, self->fence), last = self->fence;
	int fences[30];

	close(fence);
	for (int i = 0; i < 30; i++)
		last = fences[i] = submit_after(self->device, ring[i % 3], MSEC, last);
	ASSERT_EQ(1, signal_seqno(self->device, self->gate, 1, 0));
	ASSERT_EQ(1, fence_wait(last));
	for (int i = 1; i < 30; i++)
		EXPECT_LE(fence_timestamp(fences[i - 1]) + MSEC, fence_timestamp(fences[i]));
}

TEST_F(worker, thousand_jobs_of_zero_duration)
{
	struct vfence_submit jobs[1000];
	struct vfence_queue_info info;

	for (int round = 0; round < 3; round++) {
		memset(jobs, 0, sizeof(jobs));
		for (int i = 0; i < 1000; i++)
			jobs[i].queue = self->queue;
		ASSERT_EQ(0, submit_batch(self->device, jobs, 1000, NULL));
	}
	ASSERT_EQ(0, wait_idle(self->device, self->queue));
	ASSERT_EQ(0, queue_info(self->device, self->queue, &info));
	EXPECT_EQ(3000, info.completed);
	EXPECT_EQ(0, info.errors);
}

TEST_F(worker, events_are_in_seqno_order)
{
	struct vfence_submit jobs[100] = { 0 };
	struct vfence_event event;

	for (int i = 0; i < 100; i++) {
		jobs[i].queue = self->queue;
		jobs[i].flags = VFENCE_SUBMIT_EVENT;
		jobs[i].duration_ns = i * 1000;
		jobs[i].error = i % 10 ? 0 : -EIO;
	}
	ASSERT_EQ(0, submit_batch(self->device, jobs, 100, NULL));
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(0, read_event(self->device, &event));
		EXPECT_EQ(i + 1, event.seqno);
		EXPECT_EQ(i % 10 ? 0 : -EIO, event.error);
		EXPECT_EQ(i * 1000, event.end_ns - event.start_ns);
	}
}

TEST_F(worker, hang_ends_at_the_timeout)
{
	struct vfence_queue_create create = {
		.kind = variant->kind,
		.timeout_ns = 30 * MSEC,
	};
	struct vfence_submit job = { .flags = VFENCE_SUBMIT_HANG | VFENCE_SUBMIT_OUT_FENCE };
	struct vfence_job_info info;

	ASSERT_EQ(0, queue_create_with(self->device, &create));
	job.queue = create.queue;
	ASSERT_EQ(0, submit_job(self->device, &job));
	EXPECT_EQ(-ETIMEDOUT, fence_wait(job.out_fence));
	ASSERT_EQ(0, job_info(self->device, create.queue, 1, &info));
	EXPECT_EQ(info.submitted_ns + 30 * MSEC, info.end_ns);
}

TEST_F(worker, queue_destroy_cancels_jobs)
{
	int running = submit(self->device, self->queue, 1500 * MSEC);
	int waiting = submit_after(self->device, self->queue, 0, self->fence);

	ASSERT_EQ(0, queue_destroy(self->device, self->queue));
	EXPECT_EQ(-ECANCELED, fence_status(running));
	EXPECT_EQ(-ECANCELED, fence_status(waiting));
	EXPECT_LE(fence_timestamp(running), fence_timestamp(waiting));
}

TEST_F(worker, client_close_cancels_jobs)
{
	int running = submit(self->device, self->queue, 1500 * MSEC);
	int waiting = submit_after(self->device, self->queue, 0, self->fence);

	close(self->device);
	EXPECT_EQ(-ECANCELED, fence_status(running));
	EXPECT_EQ(-ECANCELED, fence_status(waiting));
	EXPECT_EQ(-ECANCELED, fence_status(self->fence));
	self->device = -1;
}

TEST_F(worker, queue_destroy_races_with_completion)
{
	for (int round = 0; round < 50; round++) {
		__u32 queue = queue_create(self->device, variant->kind, "brief");
		struct vfence_submit jobs[64] = { 0 };
		int last;

		for (int i = 0; i < 64; i++) {
			jobs[i].queue = queue;
			jobs[i].duration_ns = 1000 * round;
		}
		jobs[63].flags = VFENCE_SUBMIT_OUT_FENCE;
		ASSERT_EQ(0, submit_batch(self->device, jobs, 64, NULL));
		last = jobs[63].out_fence;
		ASSERT_EQ(0, queue_destroy(self->device, queue));
		EXPECT_NE(0, fence_status(last));
		close(last);
	}
}

TEST_HARNESS_MAIN
