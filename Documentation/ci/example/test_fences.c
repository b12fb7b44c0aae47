// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Tests the frame queue with fences that are late, fail and never signal. Prints TAP. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/vfence.h>

#include "frame_queue.h"

#define MS 1000000ULL
#define TIMEOUT_MS 1000

static int device;

static void die(const char *what)
{
	printf("Bail out! %s: error %d\n", what, errno);
	exit(1);
}

/* A GPU whose jobs take as long as their duration, or, if manual, until signal_next(). */
static __u32 create_gpu(__u32 kind)
{
	struct vfence_queue_create create = { .kind = kind, .name = "test" };

	if (ioctl(device, VFENCE_IOCTL_QUEUE_CREATE, &create) < 0)
		die("VFENCE_IOCTL_QUEUE_CREATE");
	return create.queue;
}

/* Submits a job to a new GPU and returns its fence. */
static int render(__u64 duration_ns, int error)
{
	struct vfence_submit job = {
		.queue = create_gpu(VFENCE_QUEUE_TIMER),
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.duration_ns = duration_ns,
		.error = error,
	};

	if (ioctl(device, VFENCE_IOCTL_SUBMIT, &job) < 0)
		die("VFENCE_IOCTL_SUBMIT");
	return job.out_fence;
}

/* Returns the fence of a job that lasts until signal_next(). */
static int create_fence(__u32 gpu)
{
	int fence = ioctl(device, VFENCE_IOCTL_CREATE_FENCE, gpu);

	if (fence < 0)
		die("VFENCE_IOCTL_CREATE_FENCE");
	return fence;
}

static void signal_next(__u32 gpu)
{
	if (ioctl(device, VFENCE_IOCTL_SIGNAL_NEXT, gpu) != 1)
		die("VFENCE_IOCTL_SIGNAL_NEXT");
}

static bool has_signalled(int fence)
{
	struct pollfd pollfd = { .fd = fence, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

static struct frame_queue *create_queue(int timeout_ms)
{
	struct frame_queue *queue = frame_queue_create(timeout_ms);

	if (!queue)
		die("frame_queue_create");
	return queue;
}

/* A frame is not shown before its fence has signalled. */
static bool test_waits(void)
{
	struct frame_queue *queue = create_queue(TIMEOUT_MS);
	int fence = render(100 * MS, 0);
	int copy = dup(fence);
	unsigned int frame = 0;
	bool ok = frame_queue_push(queue, 1, fence) == 0 &&
		  frame_queue_next(queue, &frame) == 0 && frame == 1 && has_signalled(copy) &&
		  frame_queue_next(queue, &frame) == -ENOENT;

	close(copy);
	frame_queue_destroy(queue);
	return ok;
}

/* Frames keep their order when a later fence signals first. */
static bool test_order(void)
{
	struct frame_queue *queue = create_queue(TIMEOUT_MS);
	unsigned int first = 0, second = 0;
	bool ok = frame_queue_push(queue, 1, render(100 * MS, 0)) == 0 &&
		  frame_queue_push(queue, 2, render(0, 0)) == 0 &&
		  frame_queue_next(queue, &first) == 0 && first == 1 &&
		  frame_queue_next(queue, &second) == 0 && second == 2;

	frame_queue_destroy(queue);
	return ok;
}

/* A frame whose fence is late stays, and is shown when the fence signals. */
static bool test_late(void)
{
	struct frame_queue *queue = create_queue(10);
	__u32 gpu = create_gpu(VFENCE_QUEUE_MANUAL);
	unsigned int frame = 0;
	bool ok = frame_queue_push(queue, 1, create_fence(gpu)) == 0 &&
		  frame_queue_next(queue, &frame) == -ETIME;

	signal_next(gpu);
	ok = ok && frame_queue_next(queue, &frame) == 0 && frame == 1;
	frame_queue_destroy(queue);
	return ok;
}

/* A frame whose fence fails is reported, and the frames behind it are shown. */
static bool test_error(void)
{
	struct frame_queue *queue = create_queue(TIMEOUT_MS);
	unsigned int broken = 0, good = 0;
	bool ok = frame_queue_push(queue, 1, render(5 * MS, -EIO)) == 0 &&
		  frame_queue_push(queue, 2, render(5 * MS, 0)) == 0 &&
		  frame_queue_next(queue, &broken) == -EIO && broken == 1 &&
		  frame_queue_next(queue, &good) == 0 && good == 2;

	frame_queue_destroy(queue);
	return ok;
}

/* Nobody signals the fence: the device ends the job with -ETIMEDOUT after its watchdog's 2 s. */
static bool test_hang(void)
{
	struct frame_queue *queue = create_queue(100);
	unsigned int frame = 0, late = 0;
	bool ok = frame_queue_push(queue, 1,
				   create_fence(create_gpu(VFENCE_QUEUE_MANUAL))) == 0;
	int status;

	do {
		status = frame_queue_next(queue, &frame);
	} while (status == -ETIME && ++late < 100);
	ok = ok && late > 0 && status == -ETIMEDOUT && frame == 1;
	frame_queue_destroy(queue);
	return ok;
}

/* A full queue leaves the fence to the caller; destroy closes the fences of the others. */
static bool test_full(void)
{
	struct frame_queue *queue = create_queue(TIMEOUT_MS);
	__u32 gpu = create_gpu(VFENCE_QUEUE_MANUAL);
	int fences[FRAME_QUEUE_SIZE + 1];
	bool ok = true;

	for (unsigned int i = 0; i <= FRAME_QUEUE_SIZE; i++) {
		fences[i] = create_fence(gpu);
		ok = ok && frame_queue_push(queue, i, fences[i]) ==
				   (i < FRAME_QUEUE_SIZE ? 0 : -ENOBUFS);
	}
	frame_queue_destroy(queue);
	for (unsigned int i = 0; i < FRAME_QUEUE_SIZE; i++)
		ok = ok && fcntl(fences[i], F_GETFD) < 0;
	return ok && close(fences[FRAME_QUEUE_SIZE]) == 0;
}

static const struct {
	const char *name;
	bool (*passes)(void);
} tests[] = {
	{ "waits", test_waits },
	{ "order", test_order },
	{ "late", test_late },
	{ "error", test_error },
	{ "hang", test_hang },
	{ "full", test_full },
};

int main(void)
{
	const unsigned int count = sizeof(tests) / sizeof(tests[0]);
	bool passed = true;

	device = open("/dev/vfence", O_RDWR | O_CLOEXEC);
	if (device < 0 && (errno == ENOENT || errno == EACCES)) {
		printf("1..0 # SKIP no access to /dev/vfence\n");
		return 0;
	}
	if (device < 0)
		die("/dev/vfence");
	/* A crash must not lose the lines before it. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%u\n", count);
	for (unsigned int i = 0; i < count; i++) {
		bool ok = tests[i].passes();

		printf("%s %u %s\n", ok ? "ok" : "not ok", i + 1, tests[i].name);
		passed = passed && ok;
	}
	return !passed;
}
