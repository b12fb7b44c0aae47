// SPDX-License-Identifier: GPL-2.0
/* Bounds: loads of a user on queues, and what others wait meanwhile. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "bench/bench.h"

#define MAX_FILES 16
#define FILE_QUEUES 64

/* Timer queues over @files clients, whose jobs wait for one fence of a manual queue. */
struct backlog {
	int device;
	__u32 manual;
	int fence;
	unsigned int files;
	int clients[MAX_FILES];
	unsigned int queues;
	struct vfence_point last[MAX_FILES][FILE_QUEUES];
};

static int open_device(void)
{
	int device = open("/dev/vfence", O_RDWR | O_CLOEXEC);

	if (device < 0)
		die("cannot open /dev/vfence");
	return device;
}

static void submit_jobs(int client, unsigned int count)
{
	struct vfence_submit_batch submit = {
		.jobs = (uintptr_t)batch, .count = count, .job_size = sizeof(batch[0])
	};

	if (ioctl(client, VFENCE_IOCTL_SUBMIT_BATCH, &submit))
		die("VFENCE_IOCTL_SUBMIT_BATCH");
}

/*
 * Creates @queues queues for each of @files clients, with @jobs jobs of zero duration each. The
 * first @waiting jobs of each queue wait for the fence.
 */
static void prepare_backlog(struct backlog *backlog, unsigned int files, unsigned int queues,
			    unsigned int jobs, unsigned int waiting, __u32 flags)
{
	backlog->device = open_device();
	backlog->manual = make_queue(backlog->device, VFENCE_QUEUE_MANUAL);
	backlog->fence = ioctl(backlog->device, VFENCE_IOCTL_CREATE_FENCE, backlog->manual);
	if (backlog->fence < 0)
		die("VFENCE_IOCTL_CREATE_FENCE");
	backlog->files = files;
	backlog->queues = queues;
	for (unsigned int file = 0; file < files; file++) {
		int client = backlog->clients[file] = open_device();

		for (unsigned int i = 0; i < queues; i++) {
			__u32 queue = make_queue(client, VFENCE_QUEUE_TIMER);

			for (unsigned int job = 0; job < jobs; job++)
				batch[job] = (struct vfence_submit) {
					.queue = queue,
					.flags = flags,
					.in_fences = (uintptr_t)&backlog->fence,
					.in_fence_count = job < waiting,
				};
			submit_jobs(client, jobs);
			backlog->last[file][i] = (struct vfence_point) {
				.queue = queue, .seqno = batch[jobs - 1].seqno,
			};
		}
	}
}

/* Signals the fence, and waits until all jobs have completed. */
static void signal_backlog(void *context)
{
	struct backlog *backlog = context;

	if (ioctl(backlog->device, VFENCE_IOCTL_SIGNAL_NEXT, backlog->manual) != 1)
		die("VFENCE_IOCTL_SIGNAL_NEXT");
	for (unsigned int file = 0; file < backlog->files; file++) {
		struct vfence_wait wait = {
			.points = (uintptr_t)backlog->last[file],
			.count = backlog->queues,
			.timeout_ns = ~0ULL,
		};

		if (ioctl(backlog->clients[file], VFENCE_IOCTL_WAIT, &wait))
			die("VFENCE_IOCTL_WAIT");
	}
}

/* 256 queues with 128 jobs become due together. */
static double burst(unsigned int files, __u32 flags)
{
	struct backlog backlog;

	prepare_backlog(&backlog, files, 256 / files, 128, 1, flags);
	return longest_wait(signal_backlog, &backlog);
}

double burst_of_4_files(const struct kind *kind, unsigned int pending)
{
	(void)kind;
	(void)pending;
	return burst(4, 0);
}

double burst_of_16_files(const struct kind *kind, unsigned int pending)
{
	(void)kind;
	(void)pending;
	return burst(16, 0);
}

double burst_with_fds(const struct kind *kind, unsigned int pending)
{
	(void)kind;
	(void)pending;
	return burst(16, VFENCE_SUBMIT_OUT_FENCE);
}

/* Returns how often the kernel has found that the interrupt of a hrtimer hangs. */
static unsigned long hangs(void)
{
	FILE *file = fopen("/proc/timer_list", "re");
	unsigned long count, sum = 0;
	bool found = false;
	char line[256];

	if (!file)
		die("/proc/timer_list");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, " .nr_hangs : %lu", &count) != 1)
			continue;
		found = true;
		sum += count;
	}
	fclose(file);
	if (!found)
		die("/proc/timer_list has no nr_hangs");
	return sum;
}

/* More jobs than a queue completes in one interrupt. */
double hangs_of_burst(const struct kind *kind, unsigned int pending)
{
	struct backlog backlog;
	unsigned long before;

	(void)kind;
	(void)pending;
	prepare_backlog(&backlog, 16, 16, 512, 1, 0);
	before = hangs();
	signal_backlog(&backlog);
	return hangs() - before;
}

/* 60000 jobs of one client that wait for one fence. */
double many_waiters(const struct kind *kind, unsigned int pending)
{
	struct backlog backlog;

	(void)kind;
	(void)pending;
	prepare_backlog(&backlog, 1, 60, 1000, 1000, 0);
	return longest_wait(signal_backlog, &backlog);
}

static void sleep_a_second(void *context)
{
	(void)context;
	sleep_ns(NSEC_PER_SEC);
}

double idle(const struct kind *kind, unsigned int pending)
{
	(void)kind;
	(void)pending;
	return longest_wait(sleep_a_second, NULL);
}

static void dump_queues(void *context)
{
	static char text[1 << 16];
	int file = open(DEBUGFS "/vfence/queues", O_RDONLY | O_CLOEXEC);
	ssize_t length, sum = 0;

	(void)context;
	if (file < 0)
		die("cannot open the list of queues");
	while ((length = read(file, text, sizeof(text))) > 0)
		sum += length;
	if (length < 0 || sum < 1000000)
		die("the list of queues has %zd bytes", sum);
	close(file);
}

/*
 * A timeline is listed like a queue, and its memory does not depend on max_jobs, which is high
 * here.
 */
static void open_and_close(void *context)
{
	int timeline = open("/dev/sw_sync", O_RDWR | O_CLOEXEC);

	(void)context;
	if (timeline < 0)
		die("/dev/sw_sync");
	close(timeline);
}

/* 1000 queues with 40 jobs each are listed, while timelines are added and removed. */
double dump(const struct kind *kind, unsigned int pending)
{
	(void)kind;
	(void)pending;
	for (int i = 0; i < 1000; i++) {
		static int client;
		__u32 queue;

		if (i % FILE_QUEUES == 0)
			client = open_device();
		queue = make_queue(client, VFENCE_QUEUE_MANUAL);
		for (int job = 0; job < 40; job++)
			batch[job] = (struct vfence_submit){ .queue = queue };
		submit_jobs(client, 40);
	}
	return longest_call(dump_queues, open_and_close, NULL);
}

/* The time that close() takes while the workers of 64 queues fill buffers. */
double close_busy(const struct kind *kind, unsigned int pending)
{
	struct vfence_buffer_create buffer = { .size = 16 << 20 };
	struct vfence_operation fill = {
		.kind = VFENCE_OPERATION_FILL, .pattern_size = 1, .length = buffer.size,
	};
	int device = open_device();
	struct vfence_use use;
	__u64 start;

	(void)kind;
	(void)pending;
	if (ioctl(device, VFENCE_IOCTL_BUFFER_CREATE, &buffer))
		die("VFENCE_IOCTL_BUFFER_CREATE");
	/* The queues do not wait for each other. */
	use = (struct vfence_use) {
		.fd = buffer.fd,
		.flags = VFENCE_USE_WRITE | VFENCE_USE_NO_WAIT | VFENCE_USE_NO_ADD,
	};
	for (int i = 0; i < FILE_QUEUES; i++) {
		__u32 queue = make_queue(device, VFENCE_QUEUE_WORKER);

		for (int job = 0; job < 16; job++)
			batch[job] = (struct vfence_submit) {
				.queue = queue,
				.uses = (uintptr_t)&use,
				.operations = (uintptr_t)&fill,
				.use_count = 1,
				.operation_count = 1,
				.use_size = sizeof(use),
				.operation_size = sizeof(fill),
			};
		submit_jobs(device, 16);
	}
	sleep_ns(100000000);
	start = now();
	close(device);
	return now() - start;
}
