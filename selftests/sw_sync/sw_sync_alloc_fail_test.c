// SPDX-License-Identifier: GPL-2.0
/*
 * All or nothing for sw_sync: each allocation and each user copy of a call fails once, and a call
 * that fails leaves nothing behind. Runs on both nodes. max_jobs=64 bounds the fences of a timeline
 * of /dev/sw_sync, which shows whether a failed call kept one.
 */
#include "lib/fault_injection.h"
#include "lib/sw_sync.h"

#define MOST 64

FIXTURE(fault)
{
	/* The timeline, by the name that EACH_FAULT() uses. */
	int device;
	int fail_nth;
};

FIXTURE_VARIANT(fault)
{
	const char *node;
};

FIXTURE_VARIANT_ADD(fault, vfence) {
	.node = VFENCE_SW_SYNC_NODE,
};

FIXTURE_VARIANT_ADD(fault, kernel) {
	.node = KERNEL_NODE,
};

FIXTURE_SETUP(fault)
{
	self->device = -1;
	self->fail_nth = injection_open("vfence");
	if (self->fail_nth < 0)
		SKIP(return, "the kernel cannot inject faults");
	if (!kernel_has_sw_sync() && !strcmp(variant->node, KERNEL_NODE))
		SKIP(return, "the kernel has no CONFIG_SW_SYNC");
	self->device = timeline_open(variant->node);
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(fault)
{
	close(self->device);
}

/* Expects a timeline at @counter with @pending fences to have room for the rest, and to work. */
static void expect_room(struct __test_metadata *_metadata, const char *node, int timeline,
			__u32 counter, int pending)
{
	int fences[MOST];
	int room = MOST - pending;

	for (int i = 0; i < room; i++) {
		fences[i] = fence_create(timeline, counter + 1000 + i);
		ASSERT_LE(0, fences[i]);
		EXPECT_EQ(0, fence_status(fences[i]));
	}
	if (!strcmp(node, VFENCE_SW_SYNC_NODE))
		EXPECT_REFUSED(ENOSPC, fence_create(timeline, counter + 1000 + room));
	ASSERT_EQ(0, timeline_inc(timeline, 1000 + room));
	for (int i = 0; i < room; i++) {
		EXPECT_EQ(1, fence_status(fences[i]));
		close(fences[i]);
	}
}

TEST_F(fault, open)
{
	int fds = lowest_fd(), timeline = -1, failures = 0;

	for (int nth = 1; timeline < 0; nth++) {
		int error;

		ASSERT_GT(MOST_FAULTS, nth);
		ASSERT_TRUE(arm(self->fail_nth, nth));
		timeline = timeline_open(variant->node);
		error = errno;
		disarm(self->fail_nth);
		if (timeline >= 0)
			break;
		EXPECT_TRUE(error == ENOMEM || error == ENFILE || error == EFAULT)
			TH_LOG("fault %d: %s", nth, strerror(error));
		EXPECT_EQ(fds, lowest_fd());
		failures++;
	}
	EXPECT_LT(0, failures);
	expect_room(_metadata, variant->node, timeline, 0, 0);
}

TEST_F(fault, create)
{
	struct sw_sync_create_fence_data create, valid = { .value = 1 };
	int fds = 0;

	EACH_FAULT(SW_SYNC_IOC_CREATE_FENCE, create, ({
		fds = lowest_fd();
		/* The call survives some faults. */
		valid.value++;
		valid;
	}), EXPECT_EQ(fds, lowest_fd()));
	EXPECT_EQ(0, fence_status(create.fence));
	/* Refused calls left no fence. */
	for (__u32 value = 1; value < create.value; value++) {
		int fence = fence_create(self->device, value);

		ASSERT_LE(0, fence);
		EXPECT_EQ(0, fence_status(fence));
		close(fence);
	}
	ASSERT_EQ(0, timeline_inc(self->device, create.value));
	EXPECT_EQ(1, fence_status(create.fence));
	expect_room(_metadata, variant->node, self->device, create.value, 0);
}

TEST_F(fault, create_the_same_value)
{
	struct sw_sync_create_fence_data create, valid = { .value = 7 };
	int fence = fence_create(self->device, 7), fds = 0;

	ASSERT_LE(0, fence);
	ASSERT_EQ(0, set_deadline(fence, SEC));
	EACH_FAULT(SW_SYNC_IOC_CREATE_FENCE, create, ({
		fds = lowest_fd();
		valid;
	}), ({
		EXPECT_EQ(fds, lowest_fd());
		EXPECT_EQ(0, fence_status(fence));
	}));
	EXPECT_EQ(SEC, deadline_of(self->device, create.fence));
	expect_room(_metadata, variant->node, self->device, 0, 1);
	EXPECT_EQ(1, fence_status(fence));
	EXPECT_EQ(1, fence_status(create.fence));
}

/*
 * The value is the same, but no descriptor holds its fence: a refused call must neither free it
 * early nor keep it.
 */
TEST_F(fault, create_a_value_whose_fence_was_closed)
{
	struct sw_sync_create_fence_data create, valid = { .value = 7 };
	int fds = lowest_fd();

	create.fence = -1;
	EACH_FAULT(SW_SYNC_IOC_CREATE_FENCE, create, ({
		close(create.fence);
		valid;
	}), ({
		create.fence = -1;
		EXPECT_EQ(fds, lowest_fd());
	}));
	EXPECT_REFUSED(ENOENT, get_deadline(self->device, create.fence, &(__u64){ 0 }));
	expect_room(_metadata, variant->node, self->device, 0, 1);
	EXPECT_EQ(1, fence_status(create.fence));
}

TEST_F(fault, create_a_reached_value)
{
	struct sw_sync_create_fence_data create, valid = { .value = 0 };
	int fds = 0;

	EACH_FAULT(SW_SYNC_IOC_CREATE_FENCE, create, ({
		fds = lowest_fd();
		valid;
	}), EXPECT_EQ(fds, lowest_fd()));
	EXPECT_EQ(1, fence_status(create.fence));
	expect_room(_metadata, variant->node, self->device, 0, 0);
}

TEST_F(fault, inc)
{
	int fence = fence_create(self->device, 2), other = fence_create(self->device, 4);
	__u32 by, valid = 2;

	EACH_FAULT(SW_SYNC_IOC_INC, by, valid, ({
		EXPECT_EQ(0, fence_status(fence));
	}));
	EXPECT_EQ(1, fence_status(fence));
	/* INC took effect once. */
	EXPECT_EQ(0, fence_status(other));
	expect_room(_metadata, variant->node, self->device, 2, 1);
}

TEST_F(fault, get_deadline)
{
	struct sw_sync_get_deadline get, valid = { .fence_fd = fence_create(self->device, 1) };
	int fds = lowest_fd();

	ASSERT_EQ(0, set_deadline(valid.fence_fd, SEC));
	EACH_FAULT(SW_SYNC_GET_DEADLINE, get, valid, ({
		EXPECT_EQ(0, get.deadline_ns);
		EXPECT_EQ(fds, lowest_fd());
	}));
	EXPECT_EQ(SEC, get.deadline_ns);
	expect_room(_metadata, variant->node, self->device, 0, 1);
}

/* close() cannot fail, whichever allocation does. */
TEST_F(fault, close)
{
	for (int nth = 1; nth <= 20; nth++) {
		int timeline = timeline_open(variant->node), fences[3];

		for (int i = 0; i < 3; i++)
			fences[i] = fence_create(timeline, i + 1);
		ASSERT_EQ(0, timeline_inc(timeline, 1));
		ASSERT_TRUE(arm(self->fail_nth, nth));
		EXPECT_EQ(0, close(timeline));
		disarm(self->fail_nth);
		EXPECT_EQ(1, fence_status(fences[0]));
		EXPECT_EQ(-ENOENT, fence_status(fences[1]));
		EXPECT_EQ(-ENOENT, fence_status(fences[2]));
		for (int i = 0; i < 3; i++)
			close(fences[i]);
	}
	expect_room(_metadata, variant->node, self->device, 0, 0);
}

TEST_HARNESS_MAIN
