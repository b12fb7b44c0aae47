// SPDX-License-Identifier: GPL-2.0
/* Out-fences as sync_files: FILE_INFO, merging, polling. */
#include <pthread.h>
#include <sys/epoll.h>
#include "lib/test.h"

FIXTURE(sync_file)
{
	int device;
	struct vfence_queue_create created;
	__u32 queue;
	/* Out-fences of the first two jobs, pending. */
	int fence;
	int next;
};

FIXTURE_SETUP(sync_file)
{
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_MANUAL, .name = "display" };

	self->device = device_open();
	ASSERT_LE(0, self->device);
	ASSERT_EQ(0, ioctl(self->device, VFENCE_IOCTL_QUEUE_CREATE, &create));
	self->created = create;
	self->queue = create.queue;
	self->fence = submit(self->device, self->queue, 0);
	self->next = submit(self->device, self->queue, 0);
	ASSERT_LE(0, self->fence);
	ASSERT_LE(0, self->next);
}

FIXTURE_TEARDOWN(sync_file)
{
	close(self->device);
}

#define SIGNAL(seqno, error) \
	ASSERT_LE(0, signal_seqno(self->device, self->queue, seqno, error))

static bool readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1 && pollfd.revents == POLLIN;
}

TEST_F(sync_file, info_while_pending)
{
	struct sync_fence_info info;

	ASSERT_EQ(0, fence_info(self->fence, &info));
	EXPECT_EQ(0, info.status);
	EXPECT_EQ(0, info.timestamp_ns);
	EXPECT_STREQ("vfence", info.driver_name);
	EXPECT_STREQ("display", info.obj_name);
	EXPECT_EQ(0, fence_status(self->fence));
	EXPECT_EQ(1, fence_count(self->fence));
}

TEST_F(sync_file, info_when_signalled)
{
	__u64 before = now_ns();
	struct sync_fence_info info;

	SIGNAL(1, 0);
	ASSERT_EQ(0, fence_info(self->fence, &info));
	EXPECT_EQ(1, info.status);
	EXPECT_LE(before, info.timestamp_ns);
	EXPECT_GE(now_ns(), info.timestamp_ns);
	EXPECT_STREQ("detached-driver", info.driver_name);
	EXPECT_STREQ("signaled-timeline", info.obj_name);
	EXPECT_EQ(1, fence_status(self->fence));
}

TEST_F(sync_file, info_when_failed)
{
	__u64 before = now_ns();
	struct sync_fence_info info;

	SIGNAL(1, -EIO);
	ASSERT_EQ(0, fence_info(self->fence, &info));
	EXPECT_EQ(-EIO, info.status);
	EXPECT_LE(before, info.timestamp_ns);
	EXPECT_EQ(-EIO, fence_status(self->fence));
}

TEST_F(sync_file, names_after_queue_destroy)
{
	__u32 queue = queue_create(self->device, VFENCE_QUEUE_MANUAL, "gone");
	int fence = submit(self->device, queue, 0);
	struct sync_fence_info info;

	ASSERT_EQ(0, queue_destroy(self->device, queue));
	ASSERT_EQ(0, fence_info(fence, &info));
	EXPECT_STREQ("detached-driver", info.driver_name);
	EXPECT_STREQ("signaled-timeline", info.obj_name);
}

/* The core names a sync_file after driver, timeline, context and seqno. */
TEST_F(sync_file, name_has_context_and_seqno)
{
	struct sync_file_info file = { 0 };
	char expected[sizeof(file.name) + 1];

	ASSERT_EQ(0, ioctl(self->next, SYNC_IOC_FILE_INFO, &file));
	snprintf(expected, sizeof(file.name), "vfence-display%llu-2", self->created.context);
	EXPECT_STREQ(expected, file.name);
}

TEST_F(sync_file, each_fence_has_the_status_of_its_job)
{
	SIGNAL(1, 0);
	EXPECT_EQ(1, fence_status(self->fence));
	EXPECT_EQ(0, fence_status(self->next));
	SIGNAL(2, -EIO);
	EXPECT_EQ(1, fence_status(self->fence));
	EXPECT_EQ(-EIO, fence_status(self->next));
}

TEST_F(sync_file, merge_of_two_queues)
{
	__u32 queue = queue_create(self->device, VFENCE_QUEUE_MANUAL, "render");
	int merged = fence_merge(self->fence, submit(self->device, queue, 0));
	struct sync_fence_info fences[2] = { 0 };
	struct sync_file_info file = {
		.num_fences = 2,
		.sync_fence_info = ptr_to_u64(fences),
	};

	ASSERT_LE(0, merged);
	ASSERT_EQ(0, ioctl(merged, SYNC_IOC_FILE_INFO, &file));
	EXPECT_EQ(2, file.num_fences);
	EXPECT_STREQ("merged", file.name);
	for (int i = 0; i < 2; i++) {
		EXPECT_STREQ("vfence", fences[i].driver_name);
		EXPECT_EQ(0, fences[i].status);
	}
	EXPECT_NE(0, strcmp(fences[0].obj_name, fences[1].obj_name));
	SIGNAL(1, 0);
	EXPECT_EQ(0, fence_status(merged));
	EXPECT_FALSE(readable(merged));
	ASSERT_EQ(1, signal_seqno(self->device, queue, 1, 0));
	EXPECT_EQ(1, fence_wait(merged));
}

TEST_F(sync_file, merge_of_one_queue_is_its_later_fence)
{
	int merged = fence_merge(self->fence, self->next);

	ASSERT_LE(0, merged);
	EXPECT_EQ(1, fence_count(merged));
	SIGNAL(1, 0);
	EXPECT_EQ(0, fence_status(merged));
	SIGNAL(2, -EIO);
	EXPECT_EQ(-EIO, fence_wait(merged));
}

TEST_F(sync_file, merge_with_a_signalled_fence)
{
	__u32 queue = manual_queue(self->device);
	int other = submit(self->device, queue, 0);
	int merged;

	SIGNAL(1, 0);
	merged = fence_merge(self->fence, other);
	ASSERT_LE(0, merged);
	EXPECT_EQ(0, fence_status(merged));
	ASSERT_EQ(1, signal_seqno(self->device, queue, 1, 0));
	EXPECT_EQ(1, fence_wait(merged));
}

TEST_F(sync_file, merge_of_two_signalled_fences)
{
	SIGNAL(2, 0);
	EXPECT_EQ(1, fence_wait(fence_merge(self->fence, self->next)));
}

TEST_F(sync_file, merged_fence_reports_the_error)
{
	__u32 queue = manual_queue(self->device);
	int merged = fence_merge(self->fence, submit(self->device, queue, 0));

	ASSERT_LE(0, merged);
	SIGNAL(1, -EIO);
	ASSERT_EQ(1, signal_seqno(self->device, queue, 1, 0));
	EXPECT_EQ(-EIO, fence_wait(merged));
}

TEST_F(sync_file, poll_reports_the_signal)
{
	EXPECT_FALSE(readable(self->fence));
	SIGNAL(1, 0);
	EXPECT_TRUE(readable(self->fence));
	EXPECT_FALSE(readable(self->next));
	SIGNAL(2, -EIO);
	EXPECT_TRUE(readable(self->next));
}

TEST_F(sync_file, epoll_reports_the_signal)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->fence, &event));
	EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	SIGNAL(1, 0);
	EXPECT_EQ(1, epoll_wait(epoll, &event, 1, PATIENCE_MS));
	EXPECT_EQ(EPOLLIN, event.events);
}

TEST_F(sync_file, deadline_does_not_signal)
{
	struct sync_set_deadline deadline = { .deadline_ns = now_ns() + MSEC };

	EXPECT_EQ(0, ioctl(self->fence, SYNC_IOC_SET_DEADLINE, &deadline));
	EXPECT_EQ(0, fence_status(self->fence));
}

struct waiter {
	int fence;
	int ready;
};

static void *wait_in_a_thread(void *data)
{
	struct waiter *waiter = data;
	struct pollfd pollfd = { .fd = waiter->fence, .events = POLLIN };

	waiter->ready = poll(&pollfd, 1, PATIENCE_MS);
	return NULL;
}

/* Returns once the only other thread sleeps, which it does in poll(). */
static void wait_for_sleep(void)
{
	char path[64], state = 0;
	pid_t self = getpid();
	struct dirent *entry;
	DIR *dir;

	while (state != 'S') {
		dir = opendir("/proc/self/task");
		while ((entry = readdir(dir))) {
			FILE *stat;

			if (atoi(entry->d_name) == self || entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", entry->d_name);
			stat = fopen(path, "r");
			if (fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
				state = 0;
			fclose(stat);
		}
		closedir(dir);
	}
}

TEST_F(sync_file, signal_wakes_a_poller)
{
	struct waiter waiter = { .fence = self->fence };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_in_a_thread, &waiter));
	wait_for_sleep();
	SIGNAL(1, 0);
	pthread_join(thread, NULL);
	EXPECT_EQ(1, waiter.ready);
}

TEST_F(sync_file, descriptor_closed_while_polled)
{
	struct waiter waiter = { .fence = self->fence };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_in_a_thread, &waiter));
	wait_for_sleep();
	ASSERT_EQ(0, close(self->fence));
	SIGNAL(1, 0);
	pthread_join(thread, NULL);
	/* poll() holds the file, not the descriptor. */
	EXPECT_EQ(1, waiter.ready);
}

TEST_F(sync_file, client_close_wakes_a_poller)
{
	struct waiter waiter = { .fence = self->fence };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_in_a_thread, &waiter));
	wait_for_sleep();
	ASSERT_EQ(0, close(self->device));
	pthread_join(thread, NULL);
	EXPECT_EQ(1, waiter.ready);
	EXPECT_EQ(-ECANCELED, fence_status(self->fence));
}

TEST_F(sync_file, descriptor_closed_after_poll)
{
	EXPECT_FALSE(readable(self->fence));
	ASSERT_EQ(0, close(self->fence));
	SIGNAL(1, 0);
	EXPECT_EQ(1, queue_completed(self->device, self->queue));
}

TEST_HARNESS_MAIN
