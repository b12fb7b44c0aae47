// SPDX-License-Identifier: GPL-2.0
/* The ioctls of sw_sync: their numbers, their refusals, and that a refusal has no effect. */
#include <sys/epoll.h>
#include <sys/resource.h>
#include "sw_sync/fixture.h"

TEST_F(sw_sync, ioctl_numbers_are_those_of_the_kernel)
{
	/* The literal numbers that a binary sends; uapi/sw_sync.c asserts the layouts. */
	struct sw_sync_create_fence_data create = { .value = 1 };
	struct sw_sync_get_deadline get = { 0 };
	__u32 by = 1;

	ASSERT_EQ(0, ioctl(self->timeline, 0xc0285700, &create));
	EXPECT_EQ(1, create.value);
	EXPECT_EQ(0, fence_status(create.fence));
	ASSERT_EQ(0, set_deadline(create.fence, SEC));
	get.fence_fd = create.fence;
	ASSERT_EQ(0, ioctl(self->timeline, 0xc0105702, &get));
	EXPECT_EQ(SEC, get.deadline_ns);
	EXPECT_EQ(0, get.pad);
	EXPECT_EQ(create.fence, get.fence_fd);
	ASSERT_EQ(0, ioctl(self->timeline, 0x40045701, &by));
	EXPECT_EQ(1, by);
	EXPECT_EQ(1, fence_status(create.fence));
}

TEST_F(sw_sync, name_and_fence_are_ignored)
{
	struct sw_sync_create_fence_data create = { .value = 1, .fence = -7 };

	/* The name has no NUL. */
	memset(create.name, 0xff, sizeof(create.name));
	ASSERT_EQ(0, ioctl(self->timeline, SW_SYNC_IOC_CREATE_FENCE, &create));
	ASSERT_LE(0, create.fence);
	EXPECT_EQ(0, fence_status(create.fence));
	for (size_t i = 0; i < sizeof(create.name); i++)
		EXPECT_EQ('\xff', create.name[i]);
}

TEST_F(sw_sync, unknown_ioctls_are_refused)
{
	static const unsigned int unknown[] = {
		_IOWR('W', 3, struct sw_sync_create_fence_data),
		_IO('W', 0), _IO('W', 1), _IO('W', 2),
		_IOW('W', 0, struct sw_sync_create_fence_data), _IOWR('W', 0, __u32),
		_IOR('W', 1, __u32), _IOWR('W', 1, __u32), _IOW('W', 1, __u64),
		_IOW('W', 2, struct sw_sync_get_deadline),
		_IOWR('V', 0, struct sw_sync_create_fence_data),
		0, ~0U, VFENCE_IOCTL_QUERY, SYNC_IOC_FILE_INFO,
	};
	char argument[512] = { 0 };
	int fds = lowest_fd();

	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		EXPECT_REFUSED(ENOTTY, ioctl(self->timeline, unknown[i], argument));
	EXPECT_EQ(fds, lowest_fd());
}

TEST_F(sw_sync, read_write_and_mmap_are_refused)
{
	char byte = 0;

	EXPECT_REFUSED(EINVAL, read(self->timeline, &byte, 1));
	EXPECT_REFUSED(EINVAL, write(self->timeline, &byte, 1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->timeline, 0));
	/* The file has no poll method, so it is always ready and cannot be watched. */
	EXPECT_EQ(POLLIN | POLLOUT, polled(self->timeline, POLLIN | POLLOUT | POLLPRI));
	EXPECT_REFUSED(EPERM, epoll_ctl(epoll_create1(EPOLL_CLOEXEC), EPOLL_CTL_ADD, self->timeline,
					&(struct epoll_event){ .events = EPOLLIN }));
}

/* The debugfs file does not check the mode in which it was opened. */
TEST_F(sw_sync, open_mode_does_not_matter)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR | O_NONBLOCK };

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		int timeline = open(variant->node, modes[i] | O_CLOEXEC);
		int fence = fence_create(timeline, 1);

		ASSERT_LE(0, fence);
		EXPECT_EQ(POLLIN | POLLOUT, polled(timeline, POLLIN | POLLOUT));
		ASSERT_EQ(0, timeline_inc(timeline, 1));
		EXPECT_EQ(1, fence_status(fence));
	}
}

TEST_F(sw_sync, inaccessible_argument_is_refused)
{
	static const unsigned int numbers[] = {
		SW_SYNC_IOC_CREATE_FENCE, SW_SYNC_IOC_INC, SW_SYNC_GET_DEADLINE,
	};
	char *edge = unmapped(2), *nowhere = unmapped(1);
	size_t page = sysconf(_SC_PAGESIZE);
	int fence = FENCE(1), fds = lowest_fd();

	/* One byte more than the mapping has. */
	ASSERT_EQ(0, mprotect(edge, page, PROT_READ | PROT_WRITE));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		size_t size = _IOC_SIZE(numbers[i]);

		memset(edge + page - size + 1, 1, size - 1);
		EXPECT_REFUSED(EFAULT, ioctl(self->timeline, numbers[i], NULL));
		EXPECT_REFUSED(EFAULT, ioctl(self->timeline, numbers[i], nowhere));
		EXPECT_REFUSED(EFAULT, ioctl(self->timeline, numbers[i], edge + page - size + 1));
		EXPECT_EQ(fds, lowest_fd());
	}
	/* The counter has not moved. */
	EXPECT_EQ(0, fence_status(fence));
	INC(1);
	EXPECT_EQ(1, fence_status(fence));
}

TEST_F(sw_sync, unwritable_reply_leaves_nothing)
{
	struct sw_sync_create_fence_data create = { .value = 7 };
	struct sw_sync_create_fence_data *unwritable = read_only(&create, sizeof(create));
	struct sw_sync_get_deadline get = { .fence_fd = FENCE(1) }, *unseen;
	int fds = lowest_fd(), fence;
	__u64 deadline;

	ASSERT_NE(NULL, unwritable);
	EXPECT_REFUSED(EFAULT, ioctl(self->timeline, SW_SYNC_IOC_CREATE_FENCE, unwritable));
	EXPECT_EQ(fds, lowest_fd());
	/* A reached value, whose fence is created signalled. */
	create.value = 0;
	EXPECT_REFUSED(EFAULT, ioctl(self->timeline, SW_SYNC_IOC_CREATE_FENCE,
				     read_only(&create, sizeof(create))));
	EXPECT_EQ(fds, lowest_fd());
	/* A refused call does not affect the existing fence of the value. */
	fence = FENCE(7);
	EXPECT_EQ(fds, fence);
	fds = lowest_fd();
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, fence, &deadline));
	ASSERT_EQ(0, set_deadline(fence, 3 * SEC));
	for (int i = 0; i < 10; i++)
		EXPECT_REFUSED(EFAULT, ioctl(self->timeline, SW_SYNC_IOC_CREATE_FENCE, unwritable));
	EXPECT_EQ(fds, lowest_fd());
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(3 * SEC, deadline_of(self->timeline, fence));
	/* INC writes no reply. */
	ASSERT_EQ(0, ioctl(self->timeline, SW_SYNC_IOC_INC,
			   read_only(&(__u32) { 7 }, sizeof(__u32))));
	EXPECT_EQ(1, fence_status(fence));
	get.fence_fd = fence;
	unseen = read_only(&get, sizeof(get));
	ASSERT_NE(NULL, unseen);
	EXPECT_REFUSED(EFAULT, ioctl(self->timeline, SW_SYNC_GET_DEADLINE, unseen));
}

TEST_F(sw_sync, no_free_descriptor_refuses_create)
{
	int fds = lowest_fd(), fence;
	struct rlimit limit = { .rlim_cur = fds, .rlim_max = 1024 };
	__u64 deadline;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_REFUSED(EMFILE, fence_create(self->timeline, 7));
	EXPECT_REFUSED(EMFILE, fence_create(self->timeline, 0));
	limit.rlim_cur = fds + 1;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	fence = FENCE(7);
	EXPECT_EQ(fds, fence);
	EXPECT_REFUSED(ENOENT, get_deadline(self->timeline, fence, &deadline));
	EXPECT_REFUSED(EMFILE, fence_create(self->timeline, 7));
	INC(7);
	EXPECT_EQ(1, fence_status(fence));
}

TEST_HARNESS_MAIN
