// SPDX-License-Identifier: GPL-2.0
/* Memory cgroups: the client is charged for its pending jobs and its buffers. */
#include <sys/stat.h>
#include "lib/test.h"

#define CGROUPS "/sys/fs/cgroup"
#define GROUP CGROUPS "/vfence-memory-test"
#define JOBS 16384
/* The kernel charges in batches of 64 pages for each CPU. */
#define STEPS (4 * 64 * 4096)

/* Returns the bytes that the group is charged for. */
static long long charged(void)
{
	char text[32] = "";
	int fd = open(GROUP "/memory.current", O_RDONLY | O_CLOEXEC);

	if (read(fd, text, sizeof(text) - 1) <= 0)
		text[0] = 0;
	close(fd);
	return atoll(text);
}

static struct vfence_submit jobs[VFENCE_MAX_BATCH];

/*
 * Fills a new queue with jobs that hang: the watchdog ends them one after the other, and only a few
 * of them before the case ends.
 */
static bool fill(int device)
{
	__u32 queue = timer_queue(device);

	for (int i = 0; i < VFENCE_MAX_BATCH; i++)
		jobs[i] = (struct vfence_submit) { .queue = queue, .flags = VFENCE_SUBMIT_HANG };
	for (int batch = 0; batch < JOBS / VFENCE_MAX_BATCH; batch++)
		if (!queue || submit_batch(device, jobs, VFENCE_MAX_BATCH, NULL))
			return false;
	return true;
}

FIXTURE(memcg)
{
	int device;
};

FIXTURE_SETUP(memcg)
{
	need_mount("cgroup2", CGROUPS, CGROUPS "/cgroup.procs");
	if (!write_file(CGROUPS "/cgroup.subtree_control", "+memory"))
		SKIP(return, "the kernel has no memory cgroups");
	ASSERT_TRUE(!mkdir(GROUP, 0755) || errno == EEXIST);
	ASSERT_TRUE(write_file(GROUP "/memory.max", "max"));
	/* Each case is a process of its own, so its end moves no other process. */
	ASSERT_TRUE(write_file(GROUP "/cgroup.procs", "0"));
	self->device = device_open();
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(memcg)
{
	close(self->device);
}

TEST_F(memcg, pending_jobs_are_charged)
{
	long long before, after, each;

	/* Allocate what the driver allocates once. */
	ASSERT_TRUE(fill(self->device));
	before = charged();
	for (int i = 0; i < 4; i++)
		ASSERT_TRUE(fill(self->device));
	after = charged();
	each = (after - before) / (4 * JOBS);
	TH_LOG("%lld bytes for each pending job without a fence", each);
	EXPECT_GE(256, each);
	/* The charge is no less than what JOB_INFO reports of each job. */
	EXPECT_LE(4 * JOBS * 48LL, after - before + STEPS);
}

TEST_F(memcg, completed_jobs_are_uncharged)
{
	long long before, full;

	ASSERT_TRUE(fill(self->device));
	before = charged();
	for (int i = 0; i < 4; i++)
		ASSERT_TRUE(fill(self->device));
	full = charged();
	close(self->device);
	self->device = -1;
	/* RCU frees the jobs after a grace period. */
	for (int i = 0; i < 1000 && charged() > before + STEPS; i++)
		usleep(10000);
	EXPECT_GE(before + STEPS, charged());
	EXPECT_LT(before + STEPS, full);
}

TEST_F(memcg, buffer_is_charged)
{
	const long long size = 64 << 20;
	long long before = charged(), full;
	int buffer = buffer_create(self->device, size);
	char *memory;

	ASSERT_LE(0, buffer);
	full = charged();
	EXPECT_LE(before + size, full + STEPS);
	/* CREATE allocated the pages: using them adds only page tables. */
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	memset(memory, 1, size);
	EXPECT_GE(full + STEPS, charged());
	ASSERT_EQ(0, munmap(memory, size));
	close(self->device);
	self->device = -1;
	EXPECT_LE(before + size, charged() + STEPS);
	close(buffer);
	for (int i = 0; i < 1000 && charged() > before + STEPS; i++)
		usleep(10000);
	EXPECT_GE(before + STEPS, charged());
}

TEST_F(memcg, dumb_buffer_is_charged)
{
	struct drm_mode_create_dumb create = { .width = 4096, .height = 4096, .bpp = 32 };
	int node = render_open();
	long long before = charged();
	struct drm_mode_destroy_dumb destroy;

	ASSERT_LE(0, node);
	ASSERT_EQ(0, ioctl(node, DRM_IOCTL_MODE_CREATE_DUMB, &create));
	EXPECT_LE(before + (64 << 20), charged() + STEPS);
	destroy.handle = create.handle;
	ASSERT_EQ(0, ioctl(node, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy));
	for (int i = 0; i < 1000 && charged() > before + STEPS; i++)
		usleep(10000);
	EXPECT_GE(before + STEPS, charged());
	close(node);
}

TEST_HARNESS_MAIN
