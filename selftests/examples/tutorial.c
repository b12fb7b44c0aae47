// SPDX-License-Identifier: GPL-2.0
/* Tests a function that waits for a fence: the program of Documentation/tutorial.md. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <linux/sync_file.h>
#include <linux/vfence.h>

#define MS 1000000ULL

/* The code under test: returns 0, the error of the fence, or -ETIME after timeout_ms. */
static int wait_for_fence(int fence, int timeout_ms)
{
	struct pollfd pollfd = { .fd = fence, .events = POLLIN };
	struct sync_file_info info = { 0 };
	int ready = poll(&pollfd, 1, timeout_ms);

	if (ready == 0)
		return -ETIME;
	if (ready < 0 || ioctl(fence, SYNC_IOC_FILE_INFO, &info) < 0)
		return -errno;
	return info.status < 0 ? info.status : 0;
}

static int device;

static __u32 create_queue(void)
{
	struct vfence_queue_create create = {
		.kind = VFENCE_QUEUE_TIMER,
		.timeout_ns = 500 * MS,
	};

	if (ioctl(device, VFENCE_IOCTL_QUEUE_CREATE, &create) < 0) {
		perror("VFENCE_IOCTL_QUEUE_CREATE");
		exit(1);
	}
	return create.queue;
}

/* Submits a job and returns its out-fence. */
static int submit(struct vfence_submit job)
{
	job.flags |= VFENCE_SUBMIT_OUT_FENCE;
	if (ioctl(device, VFENCE_IOCTL_SUBMIT, &job) < 0) {
		perror("VFENCE_IOCTL_SUBMIT");
		exit(1);
	}
	return job.out_fence;
}

static int test_success(void)
{
	int fence = submit((struct vfence_submit){
		.queue = create_queue(),
		.duration_ns = 5 * MS,
	});

	return wait_for_fence(fence, 2000) == 0;
}

static int test_timeout(void)
{
	int fence = submit((struct vfence_submit){
		.queue = create_queue(),
		.duration_ns = 400 * MS,
	});

	return wait_for_fence(fence, 10) == -ETIME;
}

static int test_error(void)
{
	int fence = submit((struct vfence_submit){
		.queue = create_queue(),
		.duration_ns = 5 * MS,
		.error = -EIO,
	});

	return wait_for_fence(fence, 2000) == -EIO;
}

static int test_hang(void)
{
	int fence = submit((struct vfence_submit){
		.queue = create_queue(),
		.flags = VFENCE_SUBMIT_HANG,
	});

	return wait_for_fence(fence, 2000) == -ETIMEDOUT;
}

/* The error of a decoder reaches the renderer that waits for its fence. */
static int test_in_fence(void)
{
	int decoded = submit((struct vfence_submit){
		.queue = create_queue(),
		.duration_ns = 5 * MS,
		.error = -EIO,
	});
	int rendered = submit((struct vfence_submit){
		.queue = create_queue(),
		.duration_ns = 5 * MS,
		.in_fences = (uintptr_t)&decoded,
		.in_fence_count = 1,
	});

	return wait_for_fence(rendered, 2000) == -EIO;
}

static const struct {
	const char *name;
	int (*passes)(void);
} tests[] = {
	{ "success", test_success },
	{ "timeout", test_timeout },
	{ "error", test_error },
	{ "hang", test_hang },
	{ "in_fence", test_in_fence },
};

int main(void)
{
	const unsigned int count = sizeof(tests) / sizeof(tests[0]);
	unsigned int passed = 0;

	device = open("/dev/vfence", O_RDWR | O_CLOEXEC);
	if (device < 0) {
		perror("/dev/vfence");
		return 1;
	}
	for (unsigned int i = 0; i < count; i++) {
		int passes = tests[i].passes();

		printf("%s %u %s\n", passes ? "ok" : "not ok", i + 1, tests[i].name);
		passed += passes;
	}
	printf("%u of %u tests passed\n", passed, count);
	return passed != count;
}
