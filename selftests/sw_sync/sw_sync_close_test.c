// SPDX-License-Identifier: GPL-2.0
/* The end of a timeline: close(), shared descriptors, and processes that die. */
#include <signal.h>
#include "sw_sync/fixture.h"

TEST_F(sw_sync, close_signals_pending_fences)
{
	int fences[3] = { FENCE(1), FENCE(3), FENCE(2) };
	__u64 before;

	INC(1);
	before = now_ns();
	ASSERT_EQ(0, close(self->timeline));
	expect_statuses(_metadata, fences, 1, -ENOENT, -ENOENT);
	EXPECT_EQ(POLLIN, polled(fences[1], POLLIN));
	EXPECT_GE(before, fence_timestamp(fences[0]));
	/* Fences signal in the order of their values. */
	EXPECT_LE(before, fence_timestamp(fences[2]));
	EXPECT_LE(fence_timestamp(fences[2]), fence_timestamp(fences[1]));
	/* A signalled fence of a closed timeline is an ordinary fence. */
	EXPECT_EQ(0, set_deadline(fences[1], SEC));
	EXPECT_LE(0, fence_merge(fences[1], fences[2]));
	self->timeline = -1;
}

TEST_F(sw_sync, close_with_fences_already_closed)
{
	for (__u32 value = 1; value <= 5; value++)
		ASSERT_EQ(0, close(FENCE(value)));
	EXPECT_EQ(0, close(self->timeline));
	self->timeline = -1;
}

TEST_F(sw_sync, close_of_a_duplicate_signals_nothing)
{
	int fences[3] = { FENCE(1), FENCE(2), FENCE(3) };
	int second = dup(self->timeline);

	ASSERT_EQ(0, close(self->timeline));
	expect_statuses(_metadata, fences, 0, 0, 0);
	ASSERT_EQ(0, timeline_inc(second, 1));
	expect_statuses(_metadata, fences, 1, 0, 0);
	ASSERT_EQ(0, close(second));
	expect_statuses(_metadata, fences, 1, -ENOENT, -ENOENT);
	self->timeline = -1;
}

TEST_F(sw_sync, child_shares_the_timeline)
{
	int fences[3] = { FENCE(1), FENCE(2), FENCE(3) };
	pid_t child = fork();

	if (!child)
		_exit(timeline_inc(self->timeline, 2) || fence_create(self->timeline, 4) < 0);
	ASSERT_EQ(0, child_status(child));
	/* The exit of the child does not close the timeline. */
	expect_statuses(_metadata, fences, 1, 1, 0);
	INC(1);
	expect_statuses(_metadata, fences, 1, 1, 1);
}

TEST_F(sw_sync, child_keeps_the_timeline_open)
{
	int fence = FENCE(1), other = FENCE(2);
	int sockets[2];
	pid_t child;
	char byte;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));
	child = fork();
	if (!child) {
		/* Wait until the parent has closed the timeline and checked the fence. */
		if (read(sockets[1], &byte, 1) != 1)
			_exit(1);
		_exit(timeline_inc(self->timeline, 1) ? 1 : 0);
	}
	ASSERT_EQ(0, close(self->timeline));
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(1, write(sockets[0], "", 1));
	ASSERT_EQ(0, child_status(child));
	EXPECT_EQ(1, fence_wait(fence));
	EXPECT_EQ(-ENOENT, fence_wait(other));
	self->timeline = -1;
}

TEST_F(sw_sync, killed_process_closes_the_timeline)
{
	int sockets[2], fence;
	pid_t child;
	__u32 none;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));
	child = fork();
	if (!child) {
		int timeline = timeline_open(variant->node);

		send_fd(sockets[1], 0, fence_create(timeline, 1));
		pause();
		_exit(1);
	}
	fence = receive_fd(sockets[0], &none);
	ASSERT_LE(0, fence);
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(-SIGKILL, child_status(child));
	EXPECT_EQ(-ENOENT, fence_wait(fence));
}

TEST_HARNESS_MAIN
