// SPDX-License-Identifier: GPL-2.0
/*
 * Clients: an open file owns its queues, however it is shared, and its last close cancels their
 * jobs.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include "lib/page_fault.h"
#include "lib/test.h"

FIXTURE(client)
{
	int device;
	__u32 queue;
	int fence;
	/* Connects the parent with its child. */
	int sockets[2];
};

FIXTURE_VARIANTS_OF_NODES(client);

FIXTURE_SETUP(client)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->queue = manual_queue(self->device);
	self->fence = submit(self->device, self->queue, 0);
	ASSERT_LE(0, self->fence);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, self->sockets));
}

FIXTURE_TEARDOWN(client)
{
	close(self->device);
}

TEST_F(client, clients_are_independent)
{
	int second = variant->node->open();
	__u32 queue = manual_queue(second);
	int fence = submit(second, queue, 0);
	struct vfence_queue_info info;

	ASSERT_LE(0, fence);
	ASSERT_EQ(0, queue_destroy(self->device, self->queue));
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(0, queue_info(second, queue, &info));
	ASSERT_EQ(0, close(self->device));
	EXPECT_EQ(1, signal_seqno(second, queue, 1, 0));
	EXPECT_EQ(1, fence_status(fence));
}

TEST_F(client, last_close_cancels_jobs)
{
	ASSERT_EQ(0, close(self->device));
	EXPECT_EQ(-ECANCELED, fence_wait(self->fence));
}

TEST_F(client, last_close_cancels_in_seqno_order)
{
	__u32 queue = timer_queue(self->device);
	__u64 last = now_ns();
	int fences[5];

	for (size_t i = 0; i < ARRAY_LEN(fences); i++)
		fences[i] = submit_after(self->device, queue, SEC, self->fence);
	ASSERT_EQ(0, close(self->device));
	for (size_t i = 0; i < ARRAY_LEN(fences); i++) {
		EXPECT_EQ(-ECANCELED, fence_wait(fences[i]));
		EXPECT_LE(last, fence_timestamp(fences[i]));
		last = fence_timestamp(fences[i]);
	}
}

TEST_F(client, close_cancels_jobs_without_out_fences)
{
	struct vfence_submit submit = { .queue = timer_queue(self->device), .duration_ns = SEC };

	for (int i = 0; i < 5; i++)
		ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_SUBMIT, &submit));
	EXPECT_EQ(0, close(self->device));
}

TEST_F(client, close_of_a_duplicate_cancels_nothing)
{
	int second = dup(self->device);

	ASSERT_EQ(0, close(self->device));
	EXPECT_EQ(0, fence_status(self->fence));
	EXPECT_EQ(1, signal_seqno(second, self->queue, 1, 0));
	ASSERT_EQ(0, close(second));
	EXPECT_EQ(1, fence_status(self->fence));
}

TEST_F(client, child_shares_the_client)
{
	pid_t child = fork();

	if (!child) {
		if (signal_seqno(self->device, self->queue, 1, -EIO) != 1)
			_exit(1);
		close(submit(self->device, self->queue, 0));
		_exit(0);
	}
	ASSERT_EQ(0, child_status(child));
	EXPECT_EQ(-EIO, fence_status(self->fence));
	EXPECT_EQ(2, queue_submitted(self->device, self->queue));
	/* The exit of the child does not close the client. */
	EXPECT_EQ(1, queue_completed(self->device, self->queue));
	EXPECT_EQ(1, signal_seqno(self->device, self->queue, 2, 0));
}

TEST_F(client, child_keeps_the_client_open)
{
	pid_t child = fork();
	char byte;

	if (!child) {
		/* Wait until the parent has closed the device and checked the fence. */
		if (read(self->sockets[1], &byte, 1) != 1)
			_exit(1);
		_exit(signal_seqno(self->device, self->queue, 1, 0) != 1);
	}
	ASSERT_EQ(0, close(self->device));
	EXPECT_EQ(0, fence_status(self->fence));
	ASSERT_EQ(1, write(self->sockets[0], "", 1));
	ASSERT_EQ(0, child_status(child));
	EXPECT_EQ(1, fence_wait(self->fence));
}

TEST_F(client, device_passed_over_a_socket_works)
{
	pid_t child = fork();

	if (!child) {
		__u32 queue;
		int device;

		/* Keep only the descriptor that the socket delivers. */
		close(self->device);
		device = receive_fd(self->sockets[1], &queue);
		_exit(device < 0 || signal_seqno(device, queue, 1, -EIO) != 1);
	}
	ASSERT_EQ(0, send_fd(self->sockets[0], self->queue, self->device));
	ASSERT_EQ(0, child_status(child));
	EXPECT_EQ(-EIO, fence_status(self->fence));
}

TEST_F(client, device_in_flight_keeps_the_client_open)
{
	__u32 queue;
	int device;

	ASSERT_EQ(0, send_fd(self->sockets[0], self->queue, self->device));
	ASSERT_EQ(0, close(self->device));
	EXPECT_EQ(0, fence_status(self->fence));
	device = receive_fd(self->sockets[1], &queue);
	ASSERT_LE(0, device);
	EXPECT_EQ(1, signal_seqno(device, queue, 1, 0));
	EXPECT_EQ(1, fence_status(self->fence));
}

TEST_F(client, out_fence_passed_over_a_socket_works)
{
	pid_t child = fork();
	char byte;

	if (!child) {
		__u32 queue;
		int fence;

		close(self->device);
		close(self->fence);
		fence = receive_fd(self->sockets[1], &queue);
		if (fence < 0 || fence_status(fence) != 0 ||
		    write(self->sockets[1], "", 1) != 1)
			_exit(1);
		_exit(fence_wait(fence) != 1);
	}
	ASSERT_EQ(0, send_fd(self->sockets[0], self->queue, self->fence));
	ASSERT_EQ(0, close(self->fence));
	/* The child has received the pending fence. */
	ASSERT_EQ(1, read(self->sockets[0], &byte, 1));
	ASSERT_EQ(1, signal_seqno(self->device, self->queue, 1, 0));
	EXPECT_EQ(0, child_status(child));
}

TEST_F(client, closed_client_fails_jobs_of_others_that_wait_for_it)
{
	int second = variant->node->open();
	int fence = submit_after(second, timer_queue(second), 0, self->fence);

	ASSERT_EQ(0, close(self->device));
	EXPECT_EQ(-ECANCELED, fence_wait(fence));
}

TEST_F(client, closed_client_leaves_other_waiters_alone)
{
	int second = variant->node->open(), third = variant->node->open();
	int doomed = submit_after(second, timer_queue(second), 0, self->fence);
	int fence = submit_after(third, timer_queue(third), 0, self->fence);

	ASSERT_EQ(0, close(second));
	EXPECT_EQ(-ECANCELED, fence_wait(doomed));
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(1, signal_seqno(self->device, self->queue, 1, 0));
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(client, killed_process_cancels_its_jobs)
{
	__u32 queue;
	pid_t child;
	int fence;

	child = fork();
	if (!child) {
		int device = variant->node->open();

		queue = timer_queue(device);
		for (int i = 0; i < 10; i++)
			fence = submit(device, queue, SEC);
		send_fd(self->sockets[1], queue, fence);
		pause();
		_exit(1);
	}
	fence = receive_fd(self->sockets[0], &queue);
	ASSERT_LE(0, fence);
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(-SIGKILL, child_status(child));
	EXPECT_EQ(-ECANCELED, fence_wait(fence));
}

TEST_F(client, killed_child_leaves_the_shared_client_open)
{
	pid_t child = fork();
	char byte;

	if (!child) {
		close(submit(self->device, self->queue, 0));
		if (write(self->sockets[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	ASSERT_EQ(1, read(self->sockets[0], &byte, 1));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(-SIGKILL, child_status(child));
	EXPECT_EQ(0, fence_status(self->fence));
	EXPECT_EQ(2, signal_seqno(self->device, self->queue, 2, 0));
}

/* A thread whose SUBMIT blocks in a page fault, in the array of in-fences. */
struct stuck {
	pthread_t thread;
	int device;
	struct page_fault fault;
	struct vfence_submit job;
	int result;
};

static void *submit_slowly(void *data)
{
	struct stuck *stuck = data;

	stuck->result = submit_job(stuck->device, &stuck->job);
	return NULL;
}

/* Returns once the thread blocks; false if the kernel has no userfaultfd. */
static bool stuck_start(struct stuck *stuck, int device, __u32 queue)
{
	stuck->device = device;
	if (!page_fault_prepare(&stuck->fault))
		return false;
	stuck->job = (struct vfence_submit) {
		.queue = queue,
		.in_fences = ptr_to_u64(stuck->fault.memory),
		.in_fence_count = 1,
	};
	pthread_create(&stuck->thread, NULL, submit_slowly, stuck);
	return page_fault_wait(&stuck->fault);
}

/* Returns whether the process blocks in an ioctl; waits until it does. */
static bool blocks_in_ioctl(pid_t process)
{
	__u64 end = patience();
	char path[32], text[16];
	ssize_t length;
	int file;

	snprintf(path, sizeof(path), "/proc/%d/syscall", process);
	while (now_ns() < end) {
		file = open(path, O_RDONLY | O_CLOEXEC);
		length = read(file, text, sizeof(text) - 1);
		close(file);
		/* The text is "running" or begins with the number of the system call. */
		text[length > 0 ? length : 0] = 0;
		if (strtol(text, NULL, 10) == SYS_ioctl)
			return true;
		usleep(1000);
	}
	return false;
}

static int submit_two(int device, __u32 queue)
{
	struct vfence_submit jobs[2] = { { .queue = queue }, { .queue = queue } };

	return submit_batch(device, jobs, 2, NULL);
}

static int submit_one(int device, __u32 queue)
{
	struct vfence_submit job = { .queue = queue };

	return submit_job(device, &job);
}

static void on_signal(int number)
{
	(void)number;
}

/* Submission and destruction wait for the submissions of other threads, but not when killed. */
TEST_F(client, killed_caller_ends_while_another_caller_blocks)
{
	int (*calls[])(int, __u32) = { submit_one, submit_two, queue_destroy, create_fence };
	/* The render node has no CREATE_FENCE. */
	int count = variant->node == &misc_node ? 4 : 3;
	struct sigaction action = { .sa_handler = on_signal };
	struct stuck stuck;

	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	if (!stuck_start(&stuck, self->device, timer_queue(self->device)))
		SKIP(return, "the kernel has no CONFIG_USERFAULTFD");
	for (int i = 0; i < count; i++) {
		pid_t child = fork();

		if (!child)
			_exit(!!calls[i](self->device, self->queue));
		EXPECT_TRUE(blocks_in_ioctl(child));
		/* Other signals do not end the call. */
		kill(child, SIGUSR1);
		EXPECT_TRUE(blocks_in_ioctl(child));
		kill(child, SIGKILL);
		EXPECT_EQ(-SIGKILL, child_status(child));
	}
	/* Calls that submit nothing do not wait. */
	EXPECT_EQ(1, queue_submitted(self->device, self->queue));
	EXPECT_EQ(1, signal_seqno(self->device, self->queue, 1, 0));
	EXPECT_NE(0, manual_queue(self->device));
	page_fault_end(&stuck.fault);
	pthread_join(stuck.thread, NULL);
	/* Descriptor 0 is no sync_file. */
	EXPECT_EQ(-1, stuck.result);
	/* The killed calls had no effect. */
	EXPECT_EQ(0, submit_one(self->device, self->queue));
	EXPECT_EQ(2, queue_submitted(self->device, self->queue));
}

TEST_HARNESS_MAIN
