// SPDX-License-Identifier: GPL-2.0
/* The fast ioctls: VFENCE_IOCTL_CREATE_FENCE and VFENCE_IOCTL_SIGNAL_NEXT. */
#include "lib/test.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>

FIXTURE(fast_ioctl)
{
	int device;
	__u32 queue;
};

FIXTURE_SETUP(fast_ioctl)
{
	self->device = device_open();
	ASSERT_LE(0, self->device);
	self->queue = manual_queue(self->device);
	ASSERT_NE(0, self->queue);
}

FIXTURE_TEARDOWN(fast_ioctl)
{
	close(self->device);
}

TEST_F(fast_ioctl, create_returns_a_pending_out_fence)
{
	int fence = create_fence(self->device, self->queue);
	struct sync_fence_info info;
	struct vfence_job_info job;

	ASSERT_LE(0, fence);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fence, F_GETFD));
	ASSERT_EQ(0, fence_info(fence, &info));
	EXPECT_STREQ("vfence", info.driver_name);
	EXPECT_STREQ("manual", info.obj_name);
	EXPECT_EQ(0, info.status);
	EXPECT_EQ(0, polled(fence, POLLIN));
	EXPECT_EQ(1, queue_submitted(self->device, self->queue));
	ASSERT_EQ(0, job_info(self->device, self->queue, 1, &job));
	EXPECT_EQ(VFENCE_JOB_PENDING, job.state);
	EXPECT_GE(now_ns(), job.submitted_ns);
}

TEST_F(fast_ioctl, signal_completes_jobs_in_seqno_order)
{
	__u64 before = now_ns(), times[3];
	int fences[3];

	for (int i = 0; i < 3; i++)
		ASSERT_LE(0, fences[i] = create_fence(self->device, self->queue));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(1, signal_next(self->device, self->queue));
		for (int other = 0; other < 3; other++)
			EXPECT_EQ(other <= i, fence_status(fences[other]));
		EXPECT_EQ(i + 1, queue_completed(self->device, self->queue));
		times[i] = fence_timestamp(fences[i]);
		EXPECT_EQ(times[i], job_of(self->device, self->queue, i + 1).end_ns);
	}
	EXPECT_LE(before, times[0]);
	EXPECT_LE(times[0], times[1]);
	EXPECT_LE(times[1], times[2]);
	EXPECT_GE(now_ns(), times[2]);
	EXPECT_EQ(0, signal_next(self->device, self->queue));
	EXPECT_EQ(3, queue_completed(self->device, self->queue));
}

TEST_F(fast_ioctl, signal_of_an_idle_queue_returns_zero)
{
	int fence;

	EXPECT_EQ(0, signal_next(self->device, self->queue));
	/* SIGNAL_NEXT on an idle queue has no effect on later jobs. */
	fence = create_fence(self->device, self->queue);
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(1, signal_next(self->device, self->queue));
	EXPECT_EQ(1, fence_status(fence));
}

/*
 * More jobs than a segment of the queue holds, which is 64, so that segments are allocated and
 * freed.
 */
TEST_F(fast_ioctl, many_jobs_pass_through_a_queue)
{
	int fences[200];

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_LEN(fences); i++)
			ASSERT_LE(0, fences[i] = create_fence(self->device, self->queue));
		for (size_t i = 0; i < ARRAY_LEN(fences); i++) {
			EXPECT_EQ(0, fence_status(fences[i]));
			ASSERT_EQ(1, signal_next(self->device, self->queue));
			EXPECT_EQ(1, fence_status(fences[i]));
			close(fences[i]);
		}
	}
	EXPECT_EQ(0, signal_next(self->device, self->queue));
}

TEST_F(fast_ioctl, calls_mix_with_submit_and_signal)
{
	struct vfence_submit jobs[] = {
		{ .queue = self->queue, .flags = VFENCE_SUBMIT_OUT_FENCE },
		{ .queue = self->queue },
	};
	int fences[4];

	ASSERT_LE(0, fences[0] = create_fence(self->device, self->queue));
	ASSERT_EQ(0, submit_batch(self->device, jobs, ARRAY_LEN(jobs), NULL));
	EXPECT_EQ(2, jobs[0].seqno);
	EXPECT_EQ(3, jobs[1].seqno);
	fences[1] = jobs[0].out_fence;
	ASSERT_LE(0, fences[2] = create_fence(self->device, self->queue));
	ASSERT_EQ(0, submit_job(self->device, &jobs[0]));
	EXPECT_EQ(5, jobs[0].seqno);
	fences[3] = jobs[0].out_fence;

	EXPECT_EQ(1, signal_next(self->device, self->queue));
	EXPECT_EQ(1, fence_status(fences[0]));
	EXPECT_EQ(0, fence_status(fences[1]));
	EXPECT_EQ(1, signal_seqno(self->device, self->queue, 2, -EIO));
	EXPECT_EQ(-EIO, fence_status(fences[1]));
	/* A job without a fence. */
	EXPECT_EQ(1, signal_next(self->device, self->queue));
	EXPECT_EQ(VFENCE_JOB_COMPLETED, job_of(self->device, self->queue, 3).state);
	EXPECT_EQ(0, fence_status(fences[2]));
	EXPECT_EQ(2, signal_seqno(self->device, self->queue, 5, 0));
	EXPECT_EQ(1, fence_status(fences[3]));
	EXPECT_EQ(0, signal_next(self->device, self->queue));
}

TEST_F(fast_ioctl, signal_reports_the_jobs_error)
{
	struct vfence_submit job = {
		.queue = self->queue, .flags = VFENCE_SUBMIT_OUT_FENCE, .error = -EREMOTEIO,
	};
	struct vfence_queue_info info;
	int fence;

	ASSERT_EQ(0, submit_job(self->device, &job));
	fence = create_fence(self->device, self->queue);
	EXPECT_EQ(1, signal_next(self->device, self->queue));
	EXPECT_EQ(-EREMOTEIO, fence_status(job.out_fence));
	EXPECT_EQ(1, signal_next(self->device, self->queue));
	EXPECT_EQ(1, fence_status(fence));
	ASSERT_EQ(0, queue_info(self->device, self->queue, &info));
	EXPECT_EQ(1, info.errors);
}

TEST_F(fast_ioctl, signal_sends_the_jobs_event)
{
	struct vfence_submit job = { .queue = self->queue, .flags = VFENCE_SUBMIT_EVENT };
	struct vfence_event event;

	ASSERT_EQ(0, submit_job(self->device, &job));
	EXPECT_EQ(0, polled(self->device, POLLIN));
	EXPECT_EQ(1, signal_next(self->device, self->queue));
	EXPECT_EQ(POLLIN, polled(self->device, POLLIN));
	ASSERT_EQ(0, read_event(self->device, &event));
	EXPECT_EQ(1, event.seqno);
	EXPECT_EQ(0, event.error);
}

TEST_F(fast_ioctl, created_fence_takes_a_deadline)
{
	int fence = create_fence(self->device, self->queue);

	EXPECT_EQ(0, job_of(self->device, self->queue, 1).deadline_ns);
	ASSERT_EQ(0, set_deadline(fence, 12345));
	EXPECT_EQ(12345, job_of(self->device, self->queue, 1).deadline_ns);
	ASSERT_EQ(1, signal_next(self->device, self->queue));
	EXPECT_EQ(12345, job_of(self->device, self->queue, 1).deadline_ns);
	/* No queue has the id 0. */
	fence = create_fence(self->device, self->queue);
	ASSERT_EQ(0, set_deadline(fence, 0));
	ASSERT_EQ(1, signal_next(self->device, self->queue));
	EXPECT_EQ(1, job_of(self->device, self->queue, 2).deadline_ns);
}

TEST_F(fast_ioctl, counters_follow_the_calls)
{
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_MANUAL };
	const volatile struct vfence_counters *counters;

	ASSERT_EQ(0, queue_create_with(self->device, &create));
	counters = map_counters(self->device, create.counters_offset);
	ASSERT_NE(MAP_FAILED, (void *)counters);
	for (__u64 i = 1; i <= 3; i++) {
		ASSERT_LE(0, create_fence(self->device, create.queue));
		EXPECT_EQ(i, counters->submitted);
		EXPECT_EQ(i - 1, counters->completed);
		EXPECT_EQ(1, signal_next(self->device, create.queue));
		EXPECT_EQ(i, counters->completed);
	}
	EXPECT_EQ(0, counters->errors);
}

TEST_F(fast_ioctl, timer_and_worker_queues_are_refused)
{
	__u32 queues[] = { timer_queue(self->device), worker_queue(self->device) };

	for (size_t i = 0; i < ARRAY_LEN(queues); i++) {
		ASSERT_NE(0, queues[i]);
		EXPECT_REFUSED(EINVAL, create_fence(self->device, queues[i]));
		EXPECT_REFUSED(EINVAL, signal_next(self->device, queues[i]));
		/* The same with a job that could complete. */
		ASSERT_LE(0, submit(self->device, queues[i], 100 * MSEC));
		EXPECT_REFUSED(EINVAL, signal_next(self->device, queues[i]));
		EXPECT_EQ(1, queue_submitted(self->device, queues[i]));
	}
}

TEST_F(fast_ioctl, unknown_queue_is_refused)
{
	unsigned long ids[] = {
		0, self->queue + 1, UINT32_MAX, INT32_MAX, (unsigned long)self->device + 1000,
	};
	int fds = open_fds();

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
			EXPECT_REFUSED(ENOENT,
				       ioctl(self->device, VFENCE_IOCTL_CREATE_FENCE, ids[i]));
			EXPECT_REFUSED(ENOENT,
				       ioctl(self->device, VFENCE_IOCTL_SIGNAL_NEXT, ids[i]));
		}
		/* Again once the client caches a queue. */
		if (!pass) {
			EXPECT_EQ(fds, open_fds());
			ASSERT_LE(0, create_fence(self->device, self->queue));
			ASSERT_EQ(1, signal_next(self->device, self->queue));
			ASSERT_LE(0, create_fence(self->device, self->queue));
		}
	}
	EXPECT_EQ(2, queue_submitted(self->device, self->queue));
	EXPECT_EQ(1, queue_completed(self->device, self->queue));
}

/*
 * The kernel ignores the upper half of the argument: a caller of ioctl() with a __u32 leaves it
 * undefined.
 */
TEST_F(fast_ioctl, upper_half_of_the_argument_is_ignored)
{
	unsigned long arg = ULONG_MAX - UINT32_MAX + self->queue;

	EXPECT_LE(0, ioctl(self->device, VFENCE_IOCTL_CREATE_FENCE, arg));
	EXPECT_EQ(1, queue_submitted(self->device, self->queue));
	EXPECT_EQ(1, ioctl(self->device, VFENCE_IOCTL_SIGNAL_NEXT, arg));
	EXPECT_EQ(0, ioctl(self->device, VFENCE_IOCTL_SIGNAL_NEXT, arg));
}

TEST_F(fast_ioctl, destroyed_queue_is_refused)
{
	__u32 other = manual_queue(self->device);
	int fence = create_fence(self->device, self->queue);

	ASSERT_LE(0, create_fence(self->device, other));
	ASSERT_LE(0, create_fence(self->device, self->queue));
	/* The client caches this queue. */
	ASSERT_EQ(1, signal_next(self->device, self->queue));
	ASSERT_EQ(1, fence_status(fence));
	ASSERT_EQ(0, queue_destroy(self->device, self->queue));
	EXPECT_REFUSED(ENOENT, signal_next(self->device, self->queue));
	EXPECT_REFUSED(ENOENT, create_fence(self->device, self->queue));
	EXPECT_EQ(1, signal_next(self->device, other));
	EXPECT_EQ(0, signal_next(self->device, other));
}

TEST_F(fast_ioctl, queues_may_alternate)
{
	__u32 queues[3] = { self->queue, manual_queue(self->device), manual_queue(self->device) };
	int fences[3][10];

	for (int i = 0; i < 10; i++)
		for (int queue = 0; queue < 3; queue++)
			ASSERT_LE(0, fences[queue][i] = create_fence(self->device, queues[queue]));
	for (int i = 0; i < 10; i++)
		for (int queue = 0; queue < 3; queue++) {
			EXPECT_EQ(0, fence_status(fences[queue][i]));
			ASSERT_EQ(1, signal_next(self->device, queues[queue]));
			EXPECT_EQ(1, fence_status(fences[queue][i]));
		}
	for (int queue = 0; queue < 3; queue++)
		EXPECT_EQ(10, queue_completed(self->device, queues[queue]));
}

/* Closing the client cancels the pending job, whichever queue the client caches. */
TEST_F(fast_ioctl, close_cancels_pending_jobs)
{
	int fences[2];

	for (int i = 0; i < 2; i++)
		ASSERT_LE(0, fences[i] = create_fence(self->device, self->queue));
	ASSERT_EQ(1, signal_next(self->device, self->queue));
	close(self->device);
	EXPECT_EQ(1, fence_status(fences[0]));
	EXPECT_EQ(-ECANCELED, fence_status(fences[1]));
}

TEST_F(fast_ioctl, no_free_descriptor_refuses_create)
{
	struct rlimit before, limit;
	int fds = open_fds();

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
	limit = (struct rlimit) { .rlim_cur = 0, .rlim_max = before.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_REFUSED(EMFILE, create_fence(self->device, self->queue));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
	EXPECT_EQ(fds, open_fds());
	EXPECT_EQ(0, queue_submitted(self->device, self->queue));
	EXPECT_LE(0, create_fence(self->device, self->queue));
	EXPECT_EQ(1, queue_submitted(self->device, self->queue));
}

/* Fills the queue. Returns how many jobs it took. */
static __u32 fill(struct __test_metadata *_metadata, int device, __u32 queue)
{
	int jobs = fill_queue(device, (struct vfence_submit) { .queue = queue });

	ASSERT_LT(0, jobs);
	return jobs;
}

TEST_F(fast_ioctl, full_queue_refuses_create)
{
	__u32 jobs = fill(_metadata, self->device, self->queue);
	pthread_t thread;
	void *polled_thread;

	EXPECT_REFUSED(EAGAIN, create_fence(self->device, self->queue));
	EXPECT_EQ(0, polled(self->device, POLLOUT));
	EXPECT_EQ(1, signal_next(self->device, self->queue));
	EXPECT_EQ(POLLOUT, polled(self->device, POLLOUT));
	EXPECT_LE(0, create_fence(self->device, self->queue));
	EXPECT_REFUSED(EAGAIN, create_fence(self->device, self->queue));
	/* Making room wakes a poller. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, poll_for_room, &self->device));
	usleep(10000);
	EXPECT_EQ(1, signal_next(self->device, self->queue));
	ASSERT_EQ(0, pthread_join(thread, &polled_thread));
	EXPECT_EQ(1, (long)polled_thread);
	EXPECT_EQ(jobs + 1, queue_submitted(self->device, self->queue));
	EXPECT_EQ(2, queue_completed(self->device, self->queue));
}

/*
 * An edge-triggered watcher gets an edge each time a full queue has room again, whether or not a
 * caller was refused meanwhile.
 */
TEST_F(fast_ioctl, room_is_an_edge_for_epoll)
{
	struct epoll_event wanted = { .events = EPOLLOUT | EPOLLET }, event;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->device, &wanted));
	ASSERT_EQ(1, epoll_wait(epoll, &event, 1, 0));
	fill(_metadata, self->device, self->queue);
	for (int i = 0; i < 6; i++) {
		if (i % 2)
			EXPECT_REFUSED(EAGAIN, create_fence(self->device, self->queue));
		EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
		ASSERT_EQ(1, signal_next(self->device, self->queue));
		EXPECT_EQ(1, epoll_wait(epoll, &event, 1, PATIENCE_MS));
		EXPECT_LE(0, create_fence(self->device, self->queue));
	}
}

TEST_F(fast_ioctl, room_in_one_of_two_full_queues_wakes_a_poller)
{
	__u32 second = manual_queue(self->device);
	pthread_t thread;
	void *polled_thread;

	fill(_metadata, self->device, self->queue);
	fill(_metadata, self->device, second);
	EXPECT_EQ(0, polled(self->device, POLLOUT));
	ASSERT_EQ(0, pthread_create(&thread, NULL, poll_for_room, &self->device));
	usleep(10000);
	EXPECT_EQ(1, signal_next(self->device, second));
	ASSERT_EQ(0, pthread_join(thread, &polled_thread));
	EXPECT_EQ(1, (long)polled_thread);
}

struct waiter {
	int device;
	__u32 queue;
	__u64 seqno;
	int result;
};

static void *wait_for_job(void *data)
{
	struct waiter *waiter = data;

	waiter->result = wait_point(waiter->device, waiter->queue, waiter->seqno,
				    patience());
	return NULL;
}

TEST_F(fast_ioctl, signal_wakes_waiters)
{
	struct waiter waiters[3];
	pthread_t threads[3];

	for (int round = 0; round < 20; round++) {
		__u64 first = round * 4 + 1;

		for (int i = 0; i < 4; i++)
			close(create_fence(self->device, self->queue));
		for (int i = 0; i < 3; i++) {
			waiters[i] = (struct waiter) { self->device, self->queue, first + i, -1 };
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, wait_for_job, &waiters[i]));
		}
		/* Some threads sleep by then, and some are about to. */
		usleep(round * 100);
		for (int i = 0; i < 3; i++)
			ASSERT_EQ(1, signal_next(self->device, self->queue));
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(0, pthread_join(threads[i], NULL));
			EXPECT_EQ(0, waiters[i].result);
		}
		/* No thread waits for this job. */
		ASSERT_EQ(1, signal_next(self->device, self->queue));
	}
}

/* Waits that fail leave the others' wake-ups intact. */
TEST_F(fast_ioctl, failed_waits_lose_no_wake_up)
{
	struct vfence_point points[] = { { self->queue, 0, 1 }, { self->queue + 1, 0, 1 } };
	struct vfence_wait wait = { .points = ptr_to_u64(points), .count = 2, .timeout_ns = 1 };
	struct waiter waiter = { self->device, self->queue, 2, -1 };
	pthread_t thread;

	for (int i = 0; i < 2; i++)
		ASSERT_LE(0, create_fence(self->device, self->queue));
	EXPECT_REFUSED(ENOENT, ioctl(self->device, VFENCE_IOCTL_WAIT, &wait));
	points[1] = (struct vfence_point) { self->queue, 0, 3 };
	EXPECT_REFUSED(EINVAL, ioctl(self->device, VFENCE_IOCTL_WAIT, &wait));
	points[1] = (struct vfence_point) { self->queue, 0, 2 };
	EXPECT_REFUSED(ETIME, ioctl(self->device, VFENCE_IOCTL_WAIT, &wait));
	wait.points = ptr_to_u64(unmapped(1));
	EXPECT_REFUSED(EFAULT, ioctl(self->device, VFENCE_IOCTL_WAIT, &wait));
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_job, &waiter));
	usleep(10000);
	EXPECT_EQ(1, signal_next(self->device, self->queue));
	EXPECT_EQ(1, signal_next(self->device, self->queue));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, waiter.result);
}

static void *wait_for_any(void *data)
{
	struct waiter *waiter = data;
	struct vfence_point points[] = { { waiter->queue, 0, 1 }, { waiter->queue + 1, 0, 1 } };
	struct vfence_wait wait = {
		.points = ptr_to_u64(points),
		.count = 2,
		.flags = VFENCE_WAIT_ANY,
		.timeout_ns = patience(),
	};

	waiter->result = ioctl(waiter->device, VFENCE_IOCTL_WAIT, &wait) ? -1 : (int)wait.first;
	return NULL;
}

TEST_F(fast_ioctl, signal_wakes_a_wait_for_any)
{
	for (__u32 which = 0; which < 2; which++) {
		__u32 first = manual_queue(self->device), second = manual_queue(self->device);
		struct waiter waiter = { self->device, first, 0, -1 };
		pthread_t thread;

		ASSERT_EQ(first + 1, second);
		ASSERT_LE(0, create_fence(self->device, first));
		ASSERT_LE(0, create_fence(self->device, second));
		ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_any, &waiter));
		usleep(10000);
		ASSERT_EQ(1, signal_next(self->device, first + which));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(which, waiter.result);
	}
}

/* A full queue times out while new jobs arrive. */
TEST_F(fast_ioctl, create_while_jobs_time_out)
{
	__u32 policies[] = { VFENCE_TIMEOUT_CONTINUE, VFENCE_TIMEOUT_CANCEL };

	for (size_t policy = 0; policy < ARRAY_LEN(policies); policy++) {
		__u32 queue = queue_with(self->device, (struct vfence_queue_create) {
			.kind = VFENCE_QUEUE_MANUAL, .timeout_ns = 300 * MSEC,
			.timeout_policy = policies[policy],
		});
		__u32 jobs = fill(_metadata, self->device, queue);
		bool cancel = policies[policy] == VFENCE_TIMEOUT_CANCEL;
		int last = -1;
		struct vfence_queue_info info;

		do {
			int fence = create_fence(self->device, queue);

			if (fence >= 0) {
				close(last);
				last = fence;
			} else {
				ASSERT_EQ(EAGAIN, errno);
			}
			ASSERT_EQ(0, queue_info(self->device, queue, &info));
		} while (info.completed < jobs);
		ASSERT_LE(0, last);
		EXPECT_EQ(cancel ? -ECANCELED : -ETIMEDOUT, fence_wait(last));
		ASSERT_EQ(0, queue_info(self->device, queue, &info));
		EXPECT_EQ(info.submitted, info.completed);
		EXPECT_EQ(info.submitted, info.errors);
		ASSERT_EQ(0, queue_destroy(self->device, queue));
	}
}

TEST_F(fast_ioctl, job_times_out)
{
	__u32 queue = queue_with(self->device, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_MANUAL, .timeout_ns = 20 * MSEC,
	});
	int fence = create_fence(self->device, queue);

	ASSERT_LE(0, fence);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(0, signal_next(self->device, queue));
	/* The timer is armed again for later jobs. */
	fence = create_fence(self->device, queue);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
}

/*
 * The timer is armed for the first job. When that has completed, the jobs behind it still time out.
 */
TEST_F(fast_ioctl, job_behind_completed_jobs_times_out)
{
	__u32 queue = queue_with(self->device, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_MANUAL, .timeout_ns = SEC,
	});
	int fences[3];

	for (int i = 0; i < 3; i++) {
		ASSERT_LE(0, fences[i] = create_fence(self->device, queue));
		if (i < 2)
			ASSERT_EQ(1, signal_next(self->device, queue));
		usleep(1000);
	}
	EXPECT_EQ(-ETIMEDOUT, fence_wait(fences[2]));
	EXPECT_EQ(job_of(self->device, queue, 3).submitted_ns + SEC, fence_timestamp(fences[2]));
}

TEST_F(fast_ioctl, stopped_queue_cancels_created_fences)
{
	__u32 queue = queue_with(self->device, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_MANUAL, .timeout_ns = 500 * MSEC,
		.timeout_policy = VFENCE_TIMEOUT_CANCEL,
	});
	int fence = create_fence(self->device, queue);

	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	for (int i = 0; i < 3; i++) {
		fence = create_fence(self->device, queue);
		ASSERT_LE(0, fence);
		/* Either this call or the timer cancels the job. */
		EXPECT_LE(0, signal_next(self->device, queue));
		EXPECT_EQ(-ECANCELED, fence_wait(fence));
	}
	fence = create_fence(self->device, queue);
	EXPECT_EQ(-ECANCELED, fence_wait(fence));
	ASSERT_EQ(0, queue_reset(self->device, queue, NULL));
	fence = create_fence(self->device, queue);
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(1, signal_next(self->device, queue));
	EXPECT_EQ(1, fence_status(fence));
}

#define THREADS 4
#define EACH 200

struct signaller {
	int device;
	__u32 queue;
	int signalled;
	int created;
	int error;
};

static void *create_and_signal(void *data)
{
	struct signaller *signaller = data;

	for (int i = 0; i < EACH; i++) {
		int fence = create_fence(signaller->device, signaller->queue);

		signaller->created += fence >= 0;
		signaller->signalled += signal_next(signaller->device, signaller->queue);
		/*
		 * The call may complete another thread's job, but the other threads complete as
		 * many.
		 */
		if (fence_wait(fence) != 1)
			return NULL;
		close(fence);
	}
	return NULL;
}

/*
 * Each call completes another job, so none is left. Half of the threads have a queue of their own.
 */
TEST_F(fast_ioctl, threads_create_and_signal)
{
	__u32 queues[] = { self->queue, manual_queue(self->device), manual_queue(self->device) };
	struct signaller signallers[THREADS];
	pthread_t threads[THREADS];
	int signalled = 0;

	for (int i = 0; i < THREADS; i++) {
		signallers[i] = (struct signaller) {
			.device = self->device, .queue = queues[i < 2 ? 0 : i - 1],
		};
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, create_and_signal, &signallers[i]));
	}
	for (int i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(EACH, signallers[i].created);
		signalled += signallers[i].signalled;
	}
	EXPECT_EQ(THREADS * EACH, signalled);
	for (size_t i = 0; i < ARRAY_LEN(queues); i++)
		EXPECT_EQ(0, signal_next(self->device, queues[i]));
}

/* Signals a queue until it is destroyed; the calls then fail with ENOENT. */
static void *signal_until_gone(void *data)
{
	struct signaller *signaller = data;

	while ((signaller->signalled = signal_next(signaller->device, signaller->queue)) >= 0)
		;
	signaller->error = errno;
	return NULL;
}

TEST_F(fast_ioctl, destroy_races_with_signal)
{
	for (int round = 0; round < 50; round++) {
		__u32 queue = manual_queue(self->device);
		struct signaller signallers[2];
		pthread_t threads[2];
		int fences[8];

		for (int i = 0; i < 2; i++) {
			signallers[i] = (struct signaller) {
				.device = self->device, .queue = queue,
			};
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, signal_until_gone,
						    &signallers[i]));
		}
		for (size_t i = 0; i < ARRAY_LEN(fences); i++)
			ASSERT_LE(0, fences[i] = create_fence(self->device, queue));
		ASSERT_EQ(0, queue_destroy(self->device, queue));
		for (int i = 0; i < 2; i++) {
			ASSERT_EQ(0, pthread_join(threads[i], NULL));
			EXPECT_EQ(ENOENT, signallers[i].error);
		}
		for (size_t i = 0; i < ARRAY_LEN(fences); i++) {
			int status = fence_status(fences[i]);

			EXPECT_TRUE(status == 1 || status == -ECANCELED)
				TH_LOG("status %d", status);
			close(fences[i]);
		}
	}
}

TEST_HARNESS_MAIN
