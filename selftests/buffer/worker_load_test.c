// SPDX-License-Identifier: GPL-2.0
/* Worker queues that are all busy: their threads, their share of the CPUs, and how they close. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include "lib/file.h"
#include "lib/test.h"

/* The default of max_queues. */
#define QUEUES 64
#define JOBS 4
#define SIZE (4 << 20)
#define CGROUPS "/sys/fs/cgroup"

/* Prints a figure, which has no limit. */
#define measured(...) \
	do { \
		printf("measured: " __VA_ARGS__); \
		printf("\n"); \
		fflush(stdout); \
	} while (0)

FIXTURE(worker_load)
{
	int device;
	int buffer;
	unsigned char *memory;
	int fences[QUEUES][JOBS];
};

FIXTURE_VARIANTS_OF_NODES(worker_load);

FIXTURE_SETUP(worker_load)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->buffer = buffer_create(self->device, SIZE);
	ASSERT_LE(0, self->buffer);
	self->memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->buffer, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->memory);
}

FIXTURE_TEARDOWN(worker_load)
{
	close(self->device);
}

/* Submits a job that fills @buffer as often as a job may, 1 GiB if it is not cut off. */
static int submit_fills(int device, __u32 queue, __u32 flags, int buffer)
{
	/* NO_ADD: the jobs of all queues run at the same time. */
	struct vfence_use use = {
		.fd = buffer, .flags = VFENCE_USE_WRITE | VFENCE_USE_NO_ADD,
	};
	struct vfence_operation operations[VFENCE_MAX_OPERATIONS];
	struct vfence_submit job;

	for (int i = 0; i < VFENCE_MAX_OPERATIONS; i++)
		operations[i] = (struct vfence_operation) {
			.kind = VFENCE_OPERATION_FILL,
			.length = SIZE,
			.pattern = i,
			.pattern_size = 1,
		};
	job = buffer_job(queue, flags, &use, 1, operations, VFENCE_MAX_OPERATIONS);
	return submit_job(device, &job) ? -1 : job.out_fence;
}

/* Makes @count queues busy. @fences gets the out-fences. Returns whether it succeeded. */
static bool make_busy(int device, int buffer, int count, int fences[][JOBS])
{
	for (int i = 0; i < count; i++) {
		__u32 queue = worker_queue(device);

		for (int j = 0; j < JOBS; j++) {
			fences[i][j] = submit_fills(device, queue, VFENCE_SUBMIT_OUT_FENCE,
						    buffer);
			if (fences[i][j] < 0)
				return false;
		}
	}
	return true;
}

/* Checks that all jobs have completed and write nothing any more. */
static void expect_all_ended(struct __test_metadata *_metadata, FIXTURE_DATA(worker_load) *self)
{
	for (int i = 0; i < QUEUES; i++)
		for (int j = 0; j < JOBS; j++) {
			int status = fence_status(self->fences[i][j]);

			EXPECT_TRUE(status == 1 || status == -ECANCELED || status == -ETIMEDOUT)
				TH_LOG("job %d of queue %d: %d", j, i, status);
		}
	memset(self->memory, 0xff, SIZE);
	usleep(20000);
	for (size_t i = 0; i < SIZE; i += 64)
		ASSERT_EQ(0xff, self->memory[i]);
}

TEST_F_TIMEOUT(worker_load, close_ends_all_jobs, 120)
{
	__u64 begun;

	ASSERT_TRUE(make_busy(self->device, self->buffer, QUEUES, self->fences));
	usleep(50000);
	begun = now_ns();
	ASSERT_EQ(0, close(self->device));
	measured("close() of 64 busy worker queues: %llu us", (now_ns() - begun) / 1000);
	self->device = -1;
	expect_all_ended(_metadata, self);
}

TEST_F_TIMEOUT(worker_load, destroy_and_reset_end_the_jobs_of_one_queue, 120)
{
	int other[2][JOBS], fence;
	__u32 queues[2];
	__u64 begun;

	ASSERT_TRUE(make_busy(self->device, self->buffer, QUEUES - 2, self->fences));
	for (int i = 0; i < 2; i++) {
		queues[i] = worker_queue(self->device);
		for (int j = 0; j < JOBS; j++) {
			other[i][j] = submit_fills(self->device, queues[i],
						   VFENCE_SUBMIT_OUT_FENCE, self->buffer);
			ASSERT_LE(0, other[i][j]);
		}
	}
	usleep(50000);
	begun = now_ns();
	ASSERT_EQ(0, queue_destroy(self->device, queues[0]));
	measured("QUEUE_DESTROY beside 64 busy worker queues: %llu us", (now_ns() - begun) / 1000);
	begun = now_ns();
	ASSERT_EQ(0, queue_reset(self->device, queues[1], NULL));
	measured("QUEUE_RESET beside 64 busy worker queues: %llu us", (now_ns() - begun) / 1000);
	for (int j = 0; j < JOBS; j++)
		EXPECT_NE(0, fence_status(other[0][j]));
	EXPECT_NE(0, fence_status(other[1][0]));
	/* The queue goes on after the reset. */
	for (int j = 1; j < JOBS; j++)
		EXPECT_NE(0, fence_wait(other[1][j]));
	fence = submit(self->device, queues[1], 0);
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F_TIMEOUT(worker_load, killed_process_ends_all_jobs, 120)
{
	int sockets[2], status;
	__u32 index;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int device = variant->node->open();

		close(self->device);
		if (!make_busy(device, self->buffer, QUEUES, self->fences))
			_exit(1);
		for (int i = 0; i < QUEUES * JOBS; i++)
			if (send_fd(sockets[1], i, self->fences[i / JOBS][i % JOBS]))
				_exit(2);
		pause();
	}
	for (int i = 0; i < QUEUES * JOBS; i++) {
		int fence = receive_fd(sockets[0], &index);

		ASSERT_LE(0, fence);
		self->fences[index / JOBS][index % JOBS] = fence;
	}
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	expect_all_ended(_metadata, self);
}

/* Returns the number of threads whose names begin with @name. @nice gets the nice value of one. */
static int threads_named(const char *name, int *nice)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	int count = 0;

	while ((entry = readdir(proc))) {
		char path[64], comm[64] = "";
		int pid = atoi(entry->d_name), fd;

		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		fd = pid ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		if (fd < 0)
			continue;
		if (read(fd, comm, sizeof(comm) - 1) > 0 && !strncmp(comm, name, strlen(name))) {
			*nice = getpriority(PRIO_PROCESS, pid);
			count++;
		}
		close(fd);
	}
	closedir(proc);
	return count;
}

TEST_F_TIMEOUT(worker_load, threads_are_few_and_nice, 120)
{
	int before, during, nice = 0;
	char name[32];

	snprintf(name, sizeof(name), "%s_operate/", variant->node->module);
	before = threads_named(name, &nice);
	EXPECT_LE(1, before);
	EXPECT_GE(3, before);
	EXPECT_GE(sysconf(_SC_NPROCESSORS_ONLN), before);
	EXPECT_EQ(19, nice);
	ASSERT_TRUE(make_busy(self->device, self->buffer, QUEUES, self->fences));
	usleep(50000);
	during = threads_named(name, &nice);
	EXPECT_EQ(before, during);
}

/* Makes a CPU cgroup, and writes @limit to its cpu.max. Returns whether the kernel has such. */
static bool make_group(const char *group, const char *limit)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", CGROUPS, group);
	if (mkdir(path, 0755) && errno != EEXIST)
		return false;
	snprintf(path, sizeof(path), "%s/%s/cpu.max", CGROUPS, group);
	return write_file(path, limit);
}

static bool join_group(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s/cgroup.procs", CGROUPS, group);
	return write_file(path, "0");
}

/* Returns the CPU time that a group has used, in us. */
static long long group_usage(const char *group)
{
	char path[128], text[256] = "";
	long long usage = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/%s/cpu.stat", CGROUPS, group);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (read(fd, text, sizeof(text) - 1) > 0)
		sscanf(text, "usage_usec %lld", &usage);
	close(fd);
	return usage;
}

/* Prints what part of a CPU each of @victims spinning tasks gets beside 64 busy queues. */
static void measure_share(struct __test_metadata *_metadata,
			  const FIXTURE_VARIANT(worker_load) *variant,
			  FIXTURE_DATA(worker_load) *self, int victims)
{
	pid_t attacker, spinning[16];
	long long used;
	__u64 begun;

	attacker = fork();
	ASSERT_LE(0, attacker);
	if (!attacker) {
		int device = variant->node->open();

		if (!join_group("vfence-attacker") ||
		    !make_busy(device, self->buffer, QUEUES, self->fences))
			_exit(1);
		/* Ids of queues begin with 1. Submissions to a full queue fail. */
		for (__u32 queue = 0;; queue = (queue + 1) % QUEUES) {
			submit_fills(device, queue + 1, 0, self->buffer);
			usleep(1000);
		}
	}
	for (int i = 0; i < victims; i++) {
		spinning[i] = fork();
		ASSERT_LE(0, spinning[i]);
		if (!spinning[i]) {
			join_group("vfence-victim");
			for (;;)
				;
		}
	}
	sleep(2);
	begun = now_ns();
	used = group_usage("vfence-victim");
	sleep(4);
	used = group_usage("vfence-victim") - used;
	measured("%d spinning tasks beside 64 busy worker queues: %lld %% of a CPU each", victims,
		 used * 100000 / (long long)(now_ns() - begun) / victims);
	EXPECT_LT(0, used);
	kill(attacker, SIGKILL);
	EXPECT_EQ(-SIGKILL, child_status(attacker));
	for (int i = 0; i < victims; i++) {
		kill(spinning[i], SIGKILL);
		EXPECT_EQ(-SIGKILL, child_status(spinning[i]));
	}
}

TEST_F_TIMEOUT(worker_load, victim_in_another_cgroup, 120)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN);

	need_mount("cgroup2", CGROUPS, CGROUPS "/cgroup.procs");
	if (!write_file(CGROUPS "/cgroup.subtree_control", "+cpu") ||
	    !make_group("vfence-attacker", "10000 100000") || !make_group("vfence-victim", "max"))
		SKIP(return, "the kernel has no CPU cgroups");
	measure_share(_metadata, variant, self, 1);
	measure_share(_metadata, variant, self, cpus < 16 ? cpus : 16);
}

TEST_HARNESS_MAIN
