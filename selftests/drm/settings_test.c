// SPDX-License-Identifier: GPL-2.0
/* The settings of a device in debugfs: limits, default timing and fault plan, for each device. */
#include "drm/devices.h"

#define COUNT 2

FIXTURE(settings)
{
	/* The render node of each device. */
	int nodes[COUNT];
};

FIXTURE_SETUP(settings)
{
	ASSERT_EQ(0, load_drm("devices=2 watchdog_ms=60000 max_jobs=100"));
	need_mount("debugfs", DEBUGFS, DEBUGFS "/vfence_drm/queues");
	for (int i = 0; i < COUNT; i++) {
		self->nodes[i] = device_node_soon("renderD", i);
		ASSERT_LE(0, self->nodes[i]);
	}
}

FIXTURE_TEARDOWN(settings)
{
	for (int i = 0; i < COUNT; i++)
		close(self->nodes[i]);
	EXPECT_EQ(0, module_unload_soon("vfence_drm"));
}

/* Writes a setting of device @index. Returns whether the device accepted it. */
static bool set(int index, const char *setting, const char *text)
{
	char path[128], name[32];

	device_name(name, index);
	snprintf(path, sizeof(path), DEBUGFS "/%s/settings/%s", name, setting);
	return write_file(path, text);
}

/* Returns whether a setting of device @index reads as @text. */
static bool reads(int index, const char *setting, const char *text)
{
	char path[128], name[32], found[4096];
	ssize_t length;
	int fd;

	device_name(name, index);
	snprintf(path, sizeof(path), DEBUGFS "/%s/settings/%s", name, setting);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = read(fd, found, sizeof(found) - 1);
	close(fd);
	if (length < 0)
		return false;
	found[length] = '\0';
	return !strcmp(found, text);
}

static struct vfence_query query(int node)
{
	struct vfence_query query = { 0 };

	device_ioctl(node, VFENCE_IOCTL_QUERY, &query);
	return query;
}

/* Returns the error that the next job of a queue ends with. */
static int next_error(int node, __u32 queue)
{
	struct vfence_submit job = { .queue = queue };

	if (submit_job(node, &job) || wait_job(node, queue, job.seqno))
		return 1;
	return job_of(node, queue, job.seqno).error;
}

TEST_F(settings, parameters_are_the_first_settings)
{
	for (int i = 0; i < COUNT; i++) {
		EXPECT_TRUE(reads(i, "watchdog_ms", "60000\n"));
		EXPECT_TRUE(reads(i, "max_queues", "64\n"));
		EXPECT_TRUE(reads(i, "max_jobs", "100\n"));
		EXPECT_TRUE(reads(i, "max_buffer_mib", "256\n"));
		EXPECT_TRUE(reads(i, "duration_ns", "0\n"));
		EXPECT_TRUE(reads(i, "faults", ""));
	}
}

TEST_F(settings, limits_belong_to_one_device)
{
	struct drm_vfence_gem_create create = { .size = 2 << 20 };
	__u32 before = timer_queue(self->nodes[1]);

	ASSERT_NE(0, before);
	ASSERT_TRUE(set(1, "watchdog_ms", "100"));
	ASSERT_TRUE(set(1, "max_queues", "2\n"));
	ASSERT_TRUE(set(1, "max_jobs", "7"));
	ASSERT_TRUE(set(1, "max_buffer_mib", "1"));
	EXPECT_EQ(60000 * MSEC, query(self->nodes[0]).watchdog_ns);
	EXPECT_EQ(100 * MSEC, query(self->nodes[1]).watchdog_ns);
	EXPECT_EQ(2, query(self->nodes[1]).max_queues);
	EXPECT_EQ(7, query(self->nodes[1]).max_jobs);
	EXPECT_EQ(1 << 20, query(self->nodes[1]).max_buffer_size);
	EXPECT_NE(0, timer_queue(self->nodes[1]));
	EXPECT_EQ(0, timer_queue(self->nodes[1]));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(0, gem_create(self->nodes[1], &create));
	EXPECT_EQ(ENOSPC, errno);
	for (int i = 0; i < 3; i++)
		EXPECT_NE(0, timer_queue(self->nodes[0]));
	EXPECT_NE(0, gem_create(self->nodes[0], &create));
}

TEST_F(settings, queue_keeps_the_limits_of_its_creation)
{
	__u32 before = manual_queue(self->nodes[0]), after;
	struct vfence_submit job = { .queue = before };

	ASSERT_TRUE(set(0, "max_jobs", "1"));
	after = manual_queue(self->nodes[0]);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, submit_job(self->nodes[0], &job));
	job.queue = after;
	EXPECT_EQ(0, submit_job(self->nodes[0], &job));
	EXPECT_REFUSED(EAGAIN, submit_job(self->nodes[0], &job));
}

TEST_F(settings, invalid_settings_are_refused)
{
	EXPECT_FALSE(set(0, "max_queues", "0"));
	EXPECT_FALSE(set(0, "max_jobs", "0"));
	EXPECT_FALSE(set(0, "max_jobs", "1048577"));
	EXPECT_FALSE(set(0, "max_buffer_mib", "0"));
	EXPECT_FALSE(set(0, "max_buffer_mib", "1048577"));
	EXPECT_FALSE(set(0, "watchdog_ms", "4294967296"));
	EXPECT_FALSE(set(0, "watchdog_ms", "-1"));
	EXPECT_FALSE(set(0, "watchdog_ms", "soon"));
	EXPECT_FALSE(set(0, "watchdog_ms", "1111111111111111111111111111"));
	EXPECT_FALSE(set(0, "faults", "fail every=0 error=-5"));
	EXPECT_FALSE(set(0, "faults", "fail every=1 error=-5; crash every=1"));
	EXPECT_TRUE(reads(0, "max_queues", "64\n"));
	EXPECT_TRUE(reads(0, "max_jobs", "100\n"));
	EXPECT_TRUE(reads(0, "watchdog_ms", "60000\n"));
	EXPECT_TRUE(reads(0, "faults", ""));
}

TEST_F(settings, duration_is_that_of_jobs_without_one)
{
	__u32 before = timer_queue(self->nodes[0]), queue;
	struct vfence_job_info info;
	struct vfence_submit job = { 0 };

	ASSERT_TRUE(set(0, "duration_ns", "3000000"));
	queue = timer_queue(self->nodes[0]);
	job.queue = queue;
	ASSERT_EQ(0, submit_job(self->nodes[0], &job));
	job.duration_ns = 1000000;
	ASSERT_EQ(0, submit_job(self->nodes[0], &job));
	ASSERT_EQ(0, wait_idle(self->nodes[0], queue));
	info = job_of(self->nodes[0], queue, 1);
	EXPECT_EQ(3000000, info.end_ns - info.start_ns);
	info = job_of(self->nodes[0], queue, 2);
	EXPECT_EQ(1000000, info.end_ns - info.start_ns);
	/* The queue was created before; the other device has its own setting. */
	job = (struct vfence_submit) { .queue = before };
	ASSERT_EQ(0, submit_job(self->nodes[0], &job));
	ASSERT_EQ(0, wait_idle(self->nodes[0], before));
	info = job_of(self->nodes[0], before, 1);
	EXPECT_EQ(info.start_ns, info.end_ns);
	job.queue = timer_queue(self->nodes[1]);
	ASSERT_EQ(0, submit_job(self->nodes[1], &job));
	ASSERT_EQ(0, wait_idle(self->nodes[1], job.queue));
	info = job_of(self->nodes[1], job.queue, 1);
	EXPECT_EQ(info.start_ns, info.end_ns);
}

TEST_F(settings, fault_plan_is_that_of_new_queues)
{
	static const char plan[] = "fail every=2 error=-5\nhang every=1 limit=1\n";
	struct vfence_queue_faults none = { 0 };
	__u32 before = timer_queue(self->nodes[0]), queue, other;

	ASSERT_TRUE(set(0, "watchdog_ms", "50"));
	ASSERT_TRUE(set(0, "faults", plan));
	EXPECT_TRUE(reads(0, "faults", plan));
	queue = timer_queue(self->nodes[0]);
	other = worker_queue(self->nodes[0]);
	EXPECT_NE(0, manual_queue(self->nodes[0]));
	EXPECT_EQ(-ETIMEDOUT, next_error(self->nodes[0], queue));
	EXPECT_EQ(-EIO, next_error(self->nodes[0], queue));
	EXPECT_EQ(0, next_error(self->nodes[0], queue));
	/* Each queue has a plan of its own, and can replace it. */
	EXPECT_EQ(-ETIMEDOUT, next_error(self->nodes[0], other));
	none.queue = other;
	none.fault_size = sizeof(struct vfence_fault);
	ASSERT_EQ(0, device_ioctl(self->nodes[0], VFENCE_IOCTL_QUEUE_FAULTS, &none));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, next_error(self->nodes[0], other));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, next_error(self->nodes[0], before));
	queue = timer_queue(self->nodes[1]);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, next_error(self->nodes[1], queue));
	ASSERT_TRUE(set(0, "faults", "\n"));
	EXPECT_TRUE(reads(0, "faults", ""));
	queue = timer_queue(self->nodes[0]);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, next_error(self->nodes[0], queue));
}

TEST_HARNESS_MAIN
