// SPDX-License-Identifier: GPL-2.0
/* Figures: instructions of calls, and from the expiry of a timer until poll() returns. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <linux/sync_file.h>
#include "bench/bench.h"

#define TIMER_NS 1000000ULL

static int by_size(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double median(double *samples, unsigned int count)
{
	qsort(samples, count, sizeof(*samples), by_size);
	return count % 2 ? samples[count / 2] : (samples[count / 2 - 1] + samples[count / 2]) / 2;
}

double clock_cost(void)
{
	double samples[SAMPLES];

	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();
		__u64 end = now();

		if (sample >= 0)
			samples[sample] = end - start;
	}
	return median(samples, SAMPLES);
}

static bool readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents == POLLIN;
}

/* Signals and closes fences; poll() on the last one checks that they have signalled. */
static void finish(struct timeline *timeline, const int *fds, unsigned int count)
{
	timeline->kind->signal(timeline, count);
	errno = 0;
	if (!readable(fds[count - 1]))
		die("a fence of %s has not signalled", timeline->kind->path);
	for (unsigned int i = 0; i < count; i++)
		close(fds[i]);
}

/*
 * One call creates one fence with a descriptor, BATCH times. Signalling and closing them is not
 * measured. So 0 to 63 other fences are pending, and the descriptors are the lowest ones.
 */
double create(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();
	int fds[BATCH];

	(void)pending;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();

		for (int i = 0; i < BATCH; i++)
			fds[i] = kind->create(&timeline);

		__u64 end = now();

		finish(&timeline, fds, BATCH);
		if (sample >= 0)
			samples[sample] = (end - start - clock) / BATCH;
	}
	return median(samples, SAMPLES);
}

/*
 * One call signals BATCH fences, all that are pending, with descriptors but no waiters; per fence.
 */
double increment(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();
	int fds[BATCH];

	(void)pending;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		for (int i = 0; i < BATCH; i++)
			fds[i] = kind->create(&timeline);

		__u64 start = now();

		kind->signal(&timeline, BATCH);

		__u64 end = now();

		if (!readable(fds[BATCH - 1]))
			die("a fence of %s has not signalled", kind->path);
		for (int i = 0; i < BATCH; i++)
			close(fds[i]);
		if (sample >= 0)
			samples[sample] = (end - start - clock) / BATCH;
	}
	return median(samples, SAMPLES);
}

/* Four calls for each fence: create it, signal it, poll() without blocking, close it. */
double cycle(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();

	(void)pending;
	errno = 0;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();

		for (int i = 0; i < BATCH; i++) {
			int fd = kind->create(&timeline);

			kind->signal(&timeline, 1);
			if (!readable(fd))
				die("a fence of %s has not signalled", kind->path);
			close(fd);
		}

		__u64 end = now();

		if (sample >= 0)
			samples[sample] = (end - start - clock) / BATCH;
	}
	return median(samples, SAMPLES);
}

/* One call creates BATCH fences with descriptors; per fence. Otherwise like create(). */
double create_batch(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();
	int fds[BATCH];

	(void)pending;
	prepare_batch(&timeline, VFENCE_SUBMIT_OUT_FENCE, BATCH);
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();

		submit_batch(&timeline, BATCH);

		__u64 end = now();

		for (int i = 0; i < BATCH; i++)
			fds[i] = batch[i].out_fence;
		finish(&timeline, fds, BATCH);
		if (sample >= 0)
			samples[sample] = (end - start - clock) / BATCH;
	}
	return median(samples, SAMPLES);
}

/* Two calls for BATCH jobs without descriptors: submit them, and complete them all; per job. */
double cycle_batch(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();

	(void)pending;
	prepare_batch(&timeline, 0, BATCH);
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();

		submit_batch(&timeline, BATCH);
		kind->signal(&timeline, BATCH);

		__u64 end = now();

		if (sample >= 0)
			samples[sample] = (end - start - clock) / BATCH;
	}
	return median(samples, SAMPLES);
}

/*
 * One call signals the oldest of @pending fences, which all have descriptors. Before the next
 * sample that fence is closed and another created. Each sample is one call: the count is exact.
 */
double signal_one(const struct kind *kind, unsigned int pending)
{
	static int fds[MOST];
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();
	unsigned int oldest = 0;

	kind->fill(&timeline, fds, pending);
	errno = 0;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();

		kind->signal(&timeline, 1);

		__u64 end = now();
		unsigned int next = (oldest + 1) % pending;

		if (!readable(fds[oldest]) || readable(fds[next]))
			die("%s has not signalled one fence", kind->path);
		close(fds[oldest]);
		fds[oldest] = kind->create(&timeline);
		oldest = next;
		if (sample >= 0)
			samples[sample] = end - start - clock;
	}
	return median(samples, SAMPLES);
}

static void wait_for(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	if (poll(&poll_fd, 1, -1) != 1)
		die("poll");
}

/*
 * From the expiry of a timer until the poll() that waits for it has returned, on an idle CPU. The
 * job is due at the timestamp of its fence.
 */
double timer_fence(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES];

	(void)pending;
	timeline.submit.queue = make_queue(timeline.device, VFENCE_QUEUE_TIMER);
	timeline.submit.duration_ns = TIMER_NS;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		int fd = kind->create(&timeline);

		wait_for(fd);

		__u64 end = now();
		struct sync_fence_info fence = { 0 };
		struct sync_file_info info = {
			.num_fences = 1, .sync_fence_info = (uintptr_t)&fence,
		};

		if (ioctl(fd, SYNC_IOC_FILE_INFO, &info))
			die("SYNC_IOC_FILE_INFO");
		errno = 0;
		if (fence.status != 1)
			die("a job of a timer queue has status %d", fence.status);
		close(fd);
		if (sample >= 0)
			samples[sample] = (double)end - fence.timestamp_ns;
	}
	return median(samples, SAMPLES);
}

/* The same for a timerfd with an absolute expiry. */
double timer_fd(const struct kind *kind, unsigned int pending)
{
	double samples[SAMPLES];

	(void)kind;
	(void)pending;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
		__u64 due = now() + TIMER_NS;
		struct itimerspec time = {
			.it_value = { .tv_sec = due / NSEC_PER_SEC, .tv_nsec = due % NSEC_PER_SEC }
		};

		if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME, &time, NULL))
			die("timerfd");
		wait_for(fd);

		__u64 end = now();

		close(fd);
		if (sample >= 0)
			samples[sample] = (double)end - due;
	}
	return median(samples, SAMPLES);
}
