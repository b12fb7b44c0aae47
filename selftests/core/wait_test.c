// SPDX-License-Identifier: GPL-2.0
/* VFENCE_IOCTL_WAIT: waits for jobs by queue and seqno. */
#include <pthread.h>
#include <signal.h>
#include "lib/test.h"

#define FOR_EVER (~0ULL)

FIXTURE(wait)
{
	int device;
	__u32 timer;
	__u32 manual;
};

FIXTURE_VARIANTS_OF_NODES(wait);

FIXTURE_SETUP(wait)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->timer = timer_queue(self->device);
	self->manual = manual_queue(self->device);
}

FIXTURE_TEARDOWN(wait)
{
	close(self->device);
}

static int wait_points(int device, const struct vfence_point *points, __u32 count, __u32 flags,
		       __u64 timeout_ns, __u32 *first)
{
	struct vfence_wait wait = {
		.points = ptr_to_u64(points),
		.count = count,
		.flags = flags,
		.timeout_ns = timeout_ns,
	};
	int ret = device_ioctl(device, VFENCE_IOCTL_WAIT, &wait);

	if (first)
		*first = wait.first;
	return ret;
}

static void submit_some(int device, __u32 queue, __u64 duration_ns, int count)
{
	struct vfence_submit job = { .queue = queue, .duration_ns = duration_ns };

	while (count--)
		submit_job(device, &job);
}

TEST_F(wait, completed_job_returns_at_once)
{
	submit_some(self->device, self->manual, 0, 2);
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	EXPECT_EQ(0, wait_point(self->device, self->manual, 1, 0));
	EXPECT_EQ(0, wait_point(self->device, self->manual, 1, FOR_EVER));
	EXPECT_REFUSED(ETIME, wait_point(self->device, self->manual, 2, 0));
}

TEST_F(wait, wait_returns_when_the_job_completes)
{
	submit_some(self->device, self->timer, 5 * MSEC, 3);
	EXPECT_EQ(0, wait_point(self->device, self->timer, 2, FOR_EVER));
	EXPECT_LE(2, queue_completed(self->device, self->timer));
	EXPECT_EQ(0, wait_point(self->device, self->timer, 3, patience()));
	EXPECT_EQ(3, queue_completed(self->device, self->timer));
}

TEST_F(wait, failed_job_ends_the_wait)
{
	submit_some(self->device, self->manual, 0, 1);
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, -EIO));
	EXPECT_EQ(0, wait_point(self->device, self->manual, 1, FOR_EVER));
}

TEST_F(wait, timeout_is_absolute)
{
	__u64 until = now_ns() + 3 * MSEC;

	submit_some(self->device, self->manual, 0, 1);
	EXPECT_REFUSED(ETIME, wait_point(self->device, self->manual, 1, until));
	EXPECT_LE(until, now_ns());
	EXPECT_REFUSED(ETIME, wait_point(self->device, self->manual, 1, 1));
	EXPECT_REFUSED(ETIME, wait_point(self->device, self->manual, 1, now_ns() - 1));
}

TEST_F(wait, wait_for_all_points)
{
	struct vfence_point points[] = { { self->timer, 0, 1 }, { self->manual, 0, 2 },
					 { self->timer, 0, 2 }, { self->manual, 0, 1 } };
	__u32 first;

	submit_some(self->device, self->timer, MSEC, 2);
	submit_some(self->device, self->manual, 0, 2);
	EXPECT_REFUSED(ETIME, wait_points(self->device, points, 4, 0, now_ns() + 10 * MSEC,
					  &first));
	ASSERT_EQ(2, signal_seqno(self->device, self->manual, 2, 0));
	EXPECT_EQ(0, wait_points(self->device, points, 4, 0, FOR_EVER, &first));
	EXPECT_EQ(0, first);
	EXPECT_EQ(2, queue_completed(self->device, self->timer));
}

TEST_F(wait, wait_any_returns_the_first_completed_point)
{
	struct vfence_point points[] = { { self->manual, 0, 1 }, { self->manual, 0, 2 },
					 { self->timer, 0, 1 }, { self->timer, 0, 2 } };
	__u32 first = 77;

	submit_some(self->device, self->manual, 0, 2);
	submit_some(self->device, self->timer, 2 * MSEC, 2);
	EXPECT_EQ(0, wait_points(self->device, points, 4, VFENCE_WAIT_ANY, FOR_EVER, &first));
	EXPECT_EQ(2, first);
	ASSERT_EQ(2, signal_seqno(self->device, self->manual, 2, 0));
	EXPECT_EQ(0, wait_points(self->device, points, 4, VFENCE_WAIT_ANY, 0, &first));
	EXPECT_EQ(0, first);
}

TEST_F(wait, points_of_one_queue_in_any_order)
{
	struct vfence_point points[] = { { self->manual, 0, 4 }, { self->manual, 0, 2 },
					 { self->manual, 0, 3 }, { self->manual, 0, 2 } };
	__u32 first;

	submit_some(self->device, self->manual, 0, 4);
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	EXPECT_REFUSED(ETIME, wait_points(self->device, points, 4, VFENCE_WAIT_ANY, 0, &first));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 2, 0));
	EXPECT_EQ(0, wait_points(self->device, points, 4, VFENCE_WAIT_ANY, FOR_EVER, &first));
	EXPECT_EQ(1, first);
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 3, 0));
	EXPECT_REFUSED(ETIME, wait_points(self->device, points, 4, 0, 0, &first));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 4, 0));
	EXPECT_EQ(0, wait_points(self->device, points, 4, 0, FOR_EVER, &first));
	EXPECT_EQ(0, wait_points(self->device, points, 4, VFENCE_WAIT_ANY, FOR_EVER, &first));
	EXPECT_EQ(0, first);
	/* Each point is checked, even when another point of its queue decides. */
	points[3].seqno = 5;
	EXPECT_REFUSED(EINVAL, wait_points(self->device, points, 4, VFENCE_WAIT_ANY, 0, &first));
	points[3].seqno = 0;
	EXPECT_REFUSED(EINVAL, wait_points(self->device, points, 4, 0, 0, &first));
}

TEST_F(wait, maximum_number_of_points)
{
	struct vfence_point *points = calloc(VFENCE_MAX_WAIT_POINTS, sizeof(*points));

	submit_some(self->device, self->timer, 1000, VFENCE_MAX_WAIT_POINTS);
	for (int i = 0; i < VFENCE_MAX_WAIT_POINTS; i++)
		points[i] = (struct vfence_point) { self->timer, 0, i + 1 };
	EXPECT_EQ(0, wait_points(self->device, points, VFENCE_MAX_WAIT_POINTS, 0, FOR_EVER, NULL));
	EXPECT_REFUSED(EINVAL, wait_points(self->device, points, VFENCE_MAX_WAIT_POINTS + 1, 0,
					   FOR_EVER, NULL));
	free(points);
}

TEST_F(wait, invalid_arguments_are_refused)
{
	struct vfence_point point = { self->manual, 0, 1 };

	EXPECT_REFUSED(EINVAL, wait_point(self->device, self->manual, 1, 0));
	submit_some(self->device, self->manual, 0, 1);
	EXPECT_REFUSED(EINVAL, wait_point(self->device, self->manual, 0, 0));
	EXPECT_REFUSED(EINVAL, wait_point(self->device, self->manual, 2, 0));
	EXPECT_REFUSED(ENOENT, wait_point(self->device, 77, 1, 0));
	EXPECT_REFUSED(EINVAL, wait_points(self->device, &point, 0, 0, 0, NULL));
	EXPECT_REFUSED(EFAULT, wait_points(self->device, NULL, 1, 0, 0, NULL));
	EXPECT_REFUSED(EFAULT, wait_points(self->device, (void *)unmapped(1), 1, 0, 0, NULL));
	point.pad = 1;
	EXPECT_REFUSED(EINVAL, wait_points(self->device, &point, 1, 0, 0, NULL));
	point.pad = 0;
	EXPECT_REFUSED(EINVAL, wait_points(self->device, &point, 1, 2, 0, NULL));
}

/* A thread that waits for the first job of the manual queue, and its result. */
struct waiter {
	pthread_t thread;
	int device;
	__u32 queue;
	__u32 flags;
	int error;
	volatile bool done;
};

static void *wait_in_thread(void *data)
{
	struct waiter *waiter = data;

	waiter->error = wait_point(waiter->device, waiter->queue, 1, FOR_EVER) ? errno : 0;
	waiter->done = true;
	return NULL;
}

static void waiter_start(struct waiter *waiter, int device, __u32 queue)
{
	*waiter = (struct waiter) { .device = device, .queue = queue, .error = -1 };
	pthread_create(&waiter->thread, NULL, wait_in_thread, waiter);
}

/* Most threads sleep by then; the others race with the completion. */
static void let_them_sleep(void)
{
	usleep(20000);
}

TEST_F(wait, completion_wakes_all_waiters)
{
	struct waiter waiters[50];

	submit_some(self->device, self->manual, 0, 1);
	for (size_t i = 0; i < ARRAY_LEN(waiters); i++)
		waiter_start(&waiters[i], self->device, self->manual);
	let_them_sleep();
	for (size_t i = 0; i < ARRAY_LEN(waiters); i++)
		EXPECT_FALSE(waiters[i].done);
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	for (size_t i = 0; i < ARRAY_LEN(waiters); i++) {
		pthread_join(waiters[i].thread, NULL);
		EXPECT_EQ(0, waiters[i].error);
	}
}

TEST_F(wait, queue_destroy_ends_the_wait)
{
	struct waiter waiter;

	submit_some(self->device, self->manual, 0, 1);
	waiter_start(&waiter, self->device, self->manual);
	let_them_sleep();
	ASSERT_EQ(0, queue_destroy(self->device, self->manual));
	pthread_join(waiter.thread, NULL);
	EXPECT_TRUE(waiter.error == 0 || waiter.error == ENOENT);
}

TEST_F(wait, no_wake_up_is_lost)
{
	for (int i = 0; i < 300; i++) {
		__u32 queue = manual_queue(self->device);
		struct waiter waiter;

		submit_some(self->device, queue, 0, 1);
		waiter_start(&waiter, self->device, queue);
		if (i % 3)
			usleep(i % 7 * 10);
		ASSERT_EQ(1, signal_seqno(self->device, queue, 1, 0));
		pthread_join(waiter.thread, NULL);
		ASSERT_EQ(0, waiter.error);
		queue_destroy(self->device, queue);
	}
}

#define OTHERS 50
/* Jobs that hang one after the other: the watchdog ends the last of them long after the case. */
#define HANGING 30

/*
 * Completions before the awaited one must not end the wait, even while the waiter is about to queue
 * up on the last of many queues.
 */
static void wait_behind_others(struct __test_metadata *_metadata, FIXTURE_DATA(wait) *self,
			       __u32 flags)
{
	struct vfence_point points[VFENCE_MAX_WAIT_POINTS] = { { .queue = self->timer } };
	struct vfence_submit jobs[100];
	__u32 first;

	for (size_t i = 1; i < ARRAY_LEN(points); i++) {
		if (i > OTHERS) {
			points[i] = points[i - OTHERS];
			continue;
		}
		points[i].queue = timer_queue(self->device);
		points[i].seqno = HANGING;
		for (int job = 0; job < HANGING; job++)
			jobs[job] = (struct vfence_submit) {
				.queue = points[i].queue,
				/*
				 * The other queues complete too late for a wait for any, and have
				 * completed for a wait for all.
				 */
				.flags = flags ? VFENCE_SUBMIT_HANG : 0,
			};
		ASSERT_EQ(0, submit_batch(self->device, jobs, HANGING, NULL));
		if (!flags)
			ASSERT_EQ(0, wait_idle(self->device, points[i].queue));
	}
	for (int round = 1; round <= 50; round++) {
		for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
			jobs[i] = (struct vfence_submit) {
				.queue = self->timer,
				.duration_ns = 50000 + round * 2000,
			};
		ASSERT_EQ(0, submit_batch(self->device, jobs, ARRAY_LEN(jobs), NULL));
		points[0].seqno = jobs[ARRAY_LEN(jobs) - 1].seqno;
		ASSERT_EQ(0, wait_points(self->device, points, ARRAY_LEN(points), flags,
					 patience(), &first));
		ASSERT_EQ(0, first);
	}
}

TEST_F(wait, wait_for_any_ignores_earlier_jobs)
{
	wait_behind_others(_metadata, self, VFENCE_WAIT_ANY);
}

TEST_F(wait, wait_for_all_ignores_earlier_jobs)
{
	wait_behind_others(_metadata, self, 0);
}

static void on_signal(int number)
{
	(void)number;
}

static void interrupt(struct __test_metadata *_metadata, FIXTURE_DATA(wait) *self,
		      int flags, struct waiter *waiter)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	submit_some(self->device, self->manual, 0, 1);
	waiter_start(waiter, self->device, self->manual);
	for (int i = 0; i < 20 && !waiter->done; i++) {
		let_them_sleep();
		pthread_kill(waiter->thread, SIGUSR1);
	}
}

TEST_F(wait, signal_interrupts_the_wait)
{
	struct waiter waiter;

	interrupt(_metadata, self, 0, &waiter);
	pthread_join(waiter.thread, NULL);
	EXPECT_EQ(EINTR, waiter.error);
}

TEST_F(wait, signal_with_sa_restart_restarts_the_wait)
{
	struct waiter waiter;

	interrupt(_metadata, self, SA_RESTART, &waiter);
	EXPECT_FALSE(waiter.done);
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	pthread_join(waiter.thread, NULL);
	EXPECT_EQ(0, waiter.error);
}

TEST_HARNESS_MAIN
