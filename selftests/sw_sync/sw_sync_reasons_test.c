// SPDX-License-Identifier: GPL-2.0
/* Each refusal of /dev/sw_sync has a reason in the kernel log. Needs max_jobs=64. */
#include "lib/reasons.h"
#include "lib/sw_sync.h"

FIXTURE(reasons)
{
	int log;
	int timeline;
};

FIXTURE_VARIANTS_OF_REASONS(reasons);

FIXTURE_SETUP(reasons)
{
	if (variant->on && !has_reasons())
		SKIP(return, "the kernel has no CONFIG_DYNAMIC_DEBUG");
	ASSERT_TRUE(turn_reasons(variant->on));
	self->log = open_log();
	self->timeline = timeline_open(VFENCE_SW_SYNC_NODE);
	ASSERT_LE(0, self->log);
	ASSERT_LE(0, self->timeline);
}

FIXTURE_TEARDOWN(reasons)
{
	close(self->timeline);
	close(self->log);
	turn_reasons(false);
}

static int read_byte(int file)
{
	char byte;

	return read(file, &byte, 1);
}

static int map(int file)
{
	return mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED ? -1 : 0;
}

TEST_F(reasons, calls)
{
	EXPECT_REASON(ENOTTY, "no such ioctl: 0x573f",
		      ioctl(self->timeline, _IO(SW_SYNC_IOC_MAGIC, 0x3f), NULL));
	EXPECT_REASON(EFAULT, "a pointer does not point to accessible memory",
		      ioctl(self->timeline, SW_SYNC_IOC_INC, 8));
	EXPECT_REASON(EINVAL, "read: a timeline of sw_sync has no events",
		      read_byte(self->timeline));
	EXPECT_REASON(ENODEV, "mmap: a timeline of sw_sync has no memory", map(self->timeline));
}

TEST_F(reasons, full_timeline)
{
	for (int i = 0; i < 64; i++)
		ASSERT_LE(0, fence_create(self->timeline, i + 1));
	EXPECT_REASON(ENOSPC, "create_fence: the timeline has max_jobs, 64, pending fences",
		      fence_create(self->timeline, 65));
}

TEST_F(reasons, deadlines)
{
	struct sw_sync_get_deadline get = { .pad = 1 };
	int fence = FENCE(1), other = timeline_open(VFENCE_SW_SYNC_NODE), device = device_open();
	__u64 deadline;

	EXPECT_REASON(EINVAL, "get_deadline: pad is 0x1: must be 0",
		      ioctl(self->timeline, SW_SYNC_GET_DEADLINE, &get));
	get = (struct sw_sync_get_deadline) { .deadline_ns = 2 };
	EXPECT_REASON(EINVAL, "get_deadline: deadline_ns is 0x2: must be 0",
		      ioctl(self->timeline, SW_SYNC_GET_DEADLINE, &get));
	EXPECT_REASON(EINVAL, "get_deadline: fence_fd -1 is not a sync_file",
		      get_deadline(self->timeline, -1, &deadline));
	EXPECT_REASON(EINVAL, " is not a sync_file with one fence of this node",
		      get_deadline(self->timeline, submit(device, manual_queue(device), 0),
				   &deadline));
	EXPECT_REASON(EINVAL, " is not a sync_file with one fence of this node",
		      get_deadline(self->timeline, fence_merge(fence, fence_create(other, 1)),
				   &deadline));
	EXPECT_REASON(ENOENT, "get_deadline: the fence has none",
		      get_deadline(self->timeline, fence, &deadline));
	close(other);
	close(device);
}

TEST_HARNESS_MAIN
