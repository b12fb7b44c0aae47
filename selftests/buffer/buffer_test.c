// SPDX-License-Identifier: GPL-2.0
/* Buffers: dma-bufs of the device, used by user space and imported by other drivers. */
#include <sys/resource.h>
#include <sys/wait.h>
#include "lib/module.h"
#include "lib/test.h"
#include "lib/vgem.h"

#define PAGES 5

FIXTURE(buffer)
{
	int device;
	int buffer;
	size_t page;
	size_t size;
};

FIXTURE_VARIANTS_OF_NODES(buffer);

FIXTURE_SETUP(buffer)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->page = sysconf(_SC_PAGESIZE);
	self->size = PAGES * self->page;
	self->buffer = buffer_create(self->device, self->size);
	ASSERT_LE(0, self->buffer);
}

FIXTURE_TEARDOWN(buffer)
{
	close(self->buffer);
	close(self->device);
}

/* Maps @length bytes of a buffer. */
static unsigned char *map(int buffer, size_t length, int flags, off_t offset)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, flags, buffer, offset);
}

static int cpu_access(int buffer, __u64 flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	return ioctl(buffer, DMA_BUF_IOCTL_SYNC, &sync);
}

TEST_F(buffer, size_is_rounded_up_to_pages)
{
	static const struct {
		size_t wanted, pages;
	} sizes[] = { { 1, 1 }, { 4095, 1 }, { 4096, 1 }, { 4097, 2 }, { 1 << 20, 256 } };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct vfence_buffer_create create = { .size = sizes[i].wanted, .fd = 77 };

		ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_BUFFER_CREATE, &create));
		EXPECT_EQ(sizes[i].pages * 4096, create.size);
		EXPECT_EQ(FD_CLOEXEC, fcntl(create.fd, F_GETFD));
		EXPECT_EQ(sizes[i].pages * 4096, lseek(create.fd, 0, SEEK_END));
		EXPECT_EQ(0, lseek(create.fd, 0, SEEK_SET));
		close(create.fd);
	}
}

TEST_F(buffer, invalid_create_is_refused)
{
	struct vfence_buffer_create valid = { .size = 1 };
	struct vfence_buffer_create *create = read_only(&valid, sizeof(valid));
	struct rlimit limit = { 0, 0 }, before;
	struct vfence_query query = { 0 };
	int fds = open_fds();

	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	EXPECT_REFUSED(EINVAL, buffer_create(self->device, 0));
	EXPECT_REFUSED(ENOSPC, buffer_create(self->device, query.max_buffer_size + 1));
	EXPECT_REFUSED(ENOSPC, buffer_create(self->device, ~0ULL));
	ASSERT_NE(NULL, create);
	EXPECT_REFUSED(EFAULT, device_ioctl(self->device, VFENCE_IOCTL_BUFFER_CREATE, create));
	EXPECT_EQ(fds, open_fds());
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
	limit.rlim_max = before.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_REFUSED(EMFILE, buffer_create(self->device, 1));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
}

TEST_F(buffer, memory_is_zeroed_and_shared)
{
	unsigned char *one = map(self->buffer, self->size, MAP_SHARED, 0);
	unsigned char *other = map(self->buffer, self->page, MAP_SHARED, 3 * self->page);

	ASSERT_NE(MAP_FAILED, (void *)one);
	ASSERT_NE(MAP_FAILED, (void *)other);
	for (size_t i = 0; i < self->size; i++)
		ASSERT_EQ(0, one[i]);
	ASSERT_EQ(0, cpu_access(self->buffer, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW));
	one[3 * self->page + 7] = 42;
	EXPECT_EQ(42, other[7]);
	other[self->page - 1] = 43;
	EXPECT_EQ(43, one[4 * self->page - 1]);
	EXPECT_EQ(0, one[4 * self->page]);
	ASSERT_EQ(0, cpu_access(self->buffer, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW));
}

TEST_F(buffer, private_mapping_is_copied_on_write)
{
	unsigned char *own = map(self->buffer, self->size, MAP_PRIVATE, 0);
	unsigned char *shared = map(self->buffer, self->size, MAP_SHARED, 0);

	ASSERT_NE(MAP_FAILED, (void *)own);
	own[0] = 1;
	EXPECT_EQ(0, shared[0]);
	shared[1] = 2;
	EXPECT_EQ(1, own[0]);
}

TEST_F(buffer, mapping_beyond_the_buffer_is_refused)
{
	void *mapped;

	EXPECT_EQ(MAP_FAILED, (void *)map(self->buffer, self->size + 1, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, (void *)map(self->buffer, self->size, MAP_SHARED, self->page));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, (void *)map(self->buffer, self->page, MAP_SHARED, self->size));
	EXPECT_EQ(EINVAL, errno);
	mapped = map(self->buffer, self->page, MAP_SHARED, 0);
	EXPECT_EQ(MAP_FAILED, mremap(mapped, self->page, 2 * self->page, MREMAP_MAYMOVE));
}

TEST_F(buffer, mapping_outlives_descriptor_and_client)
{
	unsigned char *mapped = map(self->buffer, self->size, MAP_SHARED, 0);

	close(self->buffer);
	close(self->device);
	memset(mapped, 7, self->size);
	EXPECT_EQ(7, mapped[self->size - 1]);
	EXPECT_EQ(0, munmap(mapped, self->size));
	self->buffer = self->device = -1;
}

TEST_F(buffer, child_has_the_same_memory)
{
	unsigned char *mapped = map(self->buffer, self->size, MAP_SHARED, 0);
	int status;
	pid_t child = fork();

	if (!child) {
		mapped[9] = 99;
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(99, mapped[9]);
}

TEST_F(buffer, buffer_passed_over_a_socket_works)
{
	unsigned char *here = map(self->buffer, self->size, MAP_SHARED, 0);
	unsigned char *there;
	int sockets[2], received;
	__u32 number;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets));
	ASSERT_EQ(0, send_fd(sockets[0], 7, self->buffer));
	received = receive_fd(sockets[1], &number);
	ASSERT_LE(0, received);
	close(self->buffer);
	self->buffer = received;
	there = map(received, self->size, MAP_SHARED, 0);
	here[1] = 5;
	EXPECT_EQ(5, there[1]);
}

TEST_F(buffer, name_is_shown_in_fdinfo)
{
	char path[64], target[128] = "";

	ASSERT_EQ(0, ioctl(self->buffer, DMA_BUF_SET_NAME, "frame 7"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->buffer);
	ASSERT_LT(0, readlink(path, target, sizeof(target) - 1));
	EXPECT_STREQ("/dmabuf:frame 7", target);
}

TEST_F(buffer, idle_buffer_is_ready)
{
	struct pollfd pollfd = { .fd = self->buffer, .events = POLLIN | POLLOUT };

	EXPECT_EQ(1, poll(&pollfd, 1, 0));
	EXPECT_EQ(POLLIN | POLLOUT, pollfd.revents);
	EXPECT_EQ(1, fence_status(buffer_fences(self->buffer)));
}

TEST_F(buffer, reservation_object_carries_fences)
{
	__u32 queue = manual_queue(self->device);
	struct dma_buf_import_sync_file import = {
		.flags = DMA_BUF_SYNC_READ,
		.fd = submit(self->device, queue, 0),
	};
	struct pollfd pollfd = { .fd = self->buffer, .events = POLLIN | POLLOUT };
	int exported;

	/* With a read fence in the reservation object, the buffer is readable but not writable. */
	ASSERT_EQ(0, ioctl(self->buffer, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import));
	EXPECT_EQ(1, poll(&pollfd, 1, 0));
	EXPECT_EQ(POLLIN, pollfd.revents);
	exported = buffer_fences(self->buffer);
	EXPECT_EQ(0, fence_status(exported));
	ASSERT_EQ(1, signal_seqno(self->device, queue, 1, 0));
	EXPECT_EQ(1, fence_wait(exported));
	EXPECT_EQ(1, poll(&pollfd, 1, 0));
	EXPECT_EQ(POLLIN | POLLOUT, pollfd.revents);
}

TEST_F(buffer, buffer_keeps_the_module_loaded)
{
	close(self->device);
	self->device = -1;
	EXPECT_REFUSED(EAGAIN, module_unload(variant->node->module));
}

FIXTURE(imported)
{
	int device;
	int buffer;
	int card;
	__u32 handle;
	size_t size;
};

FIXTURE_VARIANTS_OF_NODES(imported);

FIXTURE_SETUP(imported)
{
	struct drm_prime_handle prime = { 0 };

	self->card = vgem_load();
	if (self->card < 0)
		SKIP(return, "the kernel has no vgem, or no node for it in /dev/dri");
	self->size = PAGES * sysconf(_SC_PAGESIZE);
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->buffer = buffer_create(self->device, self->size);
	ASSERT_LE(0, self->buffer);
	prime.fd = self->buffer;
	ASSERT_EQ(0, ioctl(self->card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime));
	self->handle = prime.handle;
}

FIXTURE_TEARDOWN(imported)
{
	close(self->card);
	close(self->buffer);
	close(self->device);
}

TEST_F(imported, import_shares_the_memory)
{
	struct drm_prime_handle prime = { .handle = self->handle, .flags = DRM_CLOEXEC | DRM_RDWR };
	unsigned char *ours = map(self->buffer, self->size, MAP_SHARED, 0);
	unsigned char *theirs;

	ASSERT_EQ(0, ioctl(self->card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	EXPECT_EQ((off_t)self->size, lseek(prime.fd, 0, SEEK_END));
	theirs = map(prime.fd, self->size, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, (void *)theirs);
	ours[self->size - 1] = 3;
	EXPECT_EQ(3, theirs[self->size - 1]);
	close(prime.fd);
}

TEST_F(imported, import_carries_fences_of_the_importer)
{
	struct pollfd pollfd = { .fd = self->buffer, .events = POLLIN };
	int theirs = vgem_attach(self->card, self->handle);

	ASSERT_LT(0, theirs);
	EXPECT_EQ(0, poll(&pollfd, 1, 0));
	EXPECT_EQ(0, fence_status(buffer_fences(self->buffer)));
	ASSERT_EQ(0, vgem_signal(self->card, theirs));
	EXPECT_EQ(1, poll(&pollfd, 1, PATIENCE_MS));
}

TEST_F(imported, import_outlives_the_exporting_client)
{
	struct drm_prime_handle prime = { .handle = self->handle, .flags = DRM_CLOEXEC | DRM_RDWR };
	unsigned char *ours = map(self->buffer, self->size, MAP_SHARED, 0);
	unsigned char *theirs;

	ours[0] = 11;
	munmap(ours, self->size);
	close(self->buffer);
	close(self->device);
	self->buffer = self->device = -1;
	ASSERT_EQ(0, ioctl(self->card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	theirs = map(prime.fd, self->size, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, (void *)theirs);
	EXPECT_EQ(11, theirs[0]);
	close(prime.fd);
}

TEST_HARNESS_MAIN
