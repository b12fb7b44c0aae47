// SPDX-License-Identifier: GPL-2.0
/* GEM objects: buffers of the device by handle, imported and exported, mapped, and used by jobs. */
#include <linux/dma-heap.h>
#include <sys/stat.h>
#include "lib/drm.h"
#include "lib/vgem.h"

#define PAGE 4096UL
#define SIZE (64 * PAGE)

FIXTURE(gem)
{
	int node;
	int misc;
	__u32 worker;
	struct drm_vfence_gem_create object;
	unsigned char *memory;
};

FIXTURE_SETUP(gem)
{
	self->node = render_open();
	self->misc = device_open();
	ASSERT_LE(0, self->node);
	ASSERT_LE(0, self->misc);
	self->worker = worker_queue(self->node);
	ASSERT_NE(0, self->worker);
	self->object = (struct drm_vfence_gem_create) { .size = SIZE };
	ASSERT_NE(0, gem_create(self->node, &self->object));
	self->memory = gem_map(self->node, self->object.mmap_offset, SIZE);
	ASSERT_NE(MAP_FAILED, (void *)self->memory);
}

FIXTURE_TEARDOWN(gem)
{
	munmap(self->memory, SIZE);
	close(self->node);
	close(self->misc);
}

static struct vfence_operation fills(__u8 pattern)
{
	return (struct vfence_operation) {
		.kind = VFENCE_OPERATION_FILL,
		.length = SIZE,
		.pattern = pattern,
		.pattern_size = 1,
	};
}

/*
 * Runs an operation on objects of the node; it may write the first. Returns the error of the job or
 * of the call.
 */
static int operate(FIXTURE_DATA(gem) *self, const __u32 *handles, __u32 count,
		   struct vfence_operation operation, __u32 *result)
{
	struct vfence_use uses[2];
	struct vfence_submit job = buffer_job(self->worker, 0, uses, count, &operation, 1);
	struct vfence_job_info info;

	for (__u32 i = 0; i < count; i++)
		uses[i] = (struct vfence_use) {
			.fd = handles[i],
			.flags = DRM_VFENCE_USE_HANDLE | (i ? 0 : VFENCE_USE_WRITE),
		};
	if (drm_submit(self->node, &job, NULL, NULL))
		return -errno;
	wait_job(self->node, self->worker, job.seqno);
	info = job_of(self->node, self->worker, job.seqno);
	if (result)
		*result = info.result;
	return info.error;
}

static int fill(FIXTURE_DATA(gem) *self, __u32 handle, __u8 pattern)
{
	return operate(self, &handle, 1, fills(pattern), NULL);
}

static __u32 import(int node, int buffer)
{
	uint32_t handle = 0;

	return drmPrimeFDToHandle(node, buffer, &handle) ? 0 : handle;
}

static int export(int node, __u32 handle)
{
	int buffer = -1;

	return drmPrimeHandleToFD(node, handle, DRM_CLOEXEC | DRM_RDWR, &buffer) ? -1 : buffer;
}

static int gem_info(int node, struct drm_vfence_gem_info *info)
{
	return ioctl(node, DRM_IOCTL_VFENCE_GEM_INFO, info);
}

TEST_F(gem, size_is_rounded_up_to_pages)
{
	const __u64 sizes[][2] = { { 1, PAGE }, { PAGE, PAGE }, { PAGE + 1, 2 * PAGE } };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct drm_vfence_gem_create create = { .size = sizes[i][0] };
		struct drm_vfence_gem_info info = { 0 };

		ASSERT_NE(0, gem_create(self->node, &create));
		EXPECT_EQ(sizes[i][1], create.size);
		info.handle = create.handle;
		EXPECT_EQ(0, gem_info(self->node, &info));
		EXPECT_EQ(create.size, info.size);
		EXPECT_EQ(create.mmap_offset, info.mmap_offset);
	}
}

static int create_refused(int node, struct drm_vfence_gem_create create)
{
	return gem_create(node, &create) ? 0 : -1;
}

TEST_F(gem, invalid_arguments_are_refused)
{
	struct vfence_query query = { 0 };
	struct drm_vfence_gem_create create = { .size = PAGE }, *unseen;
	struct drm_vfence_gem_info info = { .handle = 12345 };
	__u32 next = self->object.handle + 1;

	ASSERT_EQ(0, device_ioctl(self->node, VFENCE_IOCTL_QUERY, &query));
	EXPECT_REFUSED(EINVAL, create_refused(self->node, (struct drm_vfence_gem_create) { 0 }));
	EXPECT_REFUSED(EINVAL, create_refused(self->node, (struct drm_vfence_gem_create) {
		.size = PAGE, .flags = 1 }));
	EXPECT_REFUSED(ENOSPC, create_refused(self->node, (struct drm_vfence_gem_create) {
		.size = query.max_buffer_size + 1 }));
	unseen = read_only(&create, sizeof(create));
	EXPECT_REFUSED(EFAULT, ioctl(self->node, DRM_IOCTL_VFENCE_GEM_CREATE, unseen));
	EXPECT_REFUSED(EFAULT, ioctl(self->node, DRM_IOCTL_VFENCE_GEM_CREATE, unmapped(1)));
	EXPECT_REFUSED(ENOENT, gem_info(self->node, &info));
	info = (struct drm_vfence_gem_info) { .handle = self->object.handle, .flags = 1 };
	EXPECT_REFUSED(EINVAL, gem_info(self->node, &info));
	/* No refused call left a handle. */
	EXPECT_EQ(next, gem_create(self->node, &create));
	EXPECT_EQ(-ENOENT, fill(self, 12345, 1));
}

TEST_F(gem, memory_is_zeroed_and_written_by_jobs)
{
	__u32 crc;

	for (size_t i = 0; i < SIZE; i += 512)
		ASSERT_EQ(0, self->memory[i]);
	EXPECT_EQ(0, fill(self, self->object.handle, 0xa5));
	for (size_t i = 0; i < SIZE; i += 512)
		ASSERT_EQ(0xa5, self->memory[i]);
	self->memory[77] = 1;
	EXPECT_EQ(0, operate(self, &self->object.handle, 1, (struct vfence_operation) {
		.kind = VFENCE_OPERATION_CRC32C, .length = SIZE }, &crc));
	EXPECT_EQ(crc32c(self->memory, SIZE), crc);
}

TEST_F(gem, mapping_shares_the_memory)
{
	int other = render_open();

	/* Another client cannot map the object, and no offset beside it can be mapped. */
	EXPECT_EQ(MAP_FAILED, gem_map(other, self->object.mmap_offset, SIZE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, gem_map(self->node, self->object.mmap_offset, SIZE + PAGE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, gem_map(self->node, self->object.mmap_offset + SIZE, PAGE));
	/* The mapping outlives the handle. */
	self->memory[5] = 42;
	EXPECT_EQ(0, drmCloseBufferHandle(self->node, self->object.handle));
	EXPECT_EQ(42, self->memory[5]);
	EXPECT_EQ(MAP_FAILED, gem_map(self->node, self->object.mmap_offset, SIZE));
	close(other);
}

TEST_F(gem, prime_returns_the_same_buffer)
{
	int buffer = export(self->node, self->object.handle), again, other = render_open();
	struct stat one, two;
	struct drm_vfence_gem_info info;
	unsigned char *memory;

	ASSERT_LE(0, buffer);
	EXPECT_EQ(SIZE, lseek(buffer, 0, SEEK_END));
	/* A second export returns the same dma-buf, and its import the same handle. */
	again = export(self->node, self->object.handle);
	ASSERT_EQ(0, fstat(buffer, &one));
	ASSERT_EQ(0, fstat(again, &two));
	EXPECT_EQ(one.st_ino, two.st_ino);
	EXPECT_EQ(self->object.handle, import(self->node, buffer));
	close(again);
	/* Another client imports the same memory, which outlives the first client. */
	info = (struct drm_vfence_gem_info) { .handle = import(other, buffer) };
	ASSERT_NE(0, info.handle);
	ASSERT_EQ(0, gem_info(other, &info));
	EXPECT_EQ(SIZE, info.size);
	memory = gem_map(other, info.mmap_offset, SIZE);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	self->memory[9] = 99;
	EXPECT_EQ(99, memory[9]);
	again = export(other, info.handle);
	ASSERT_EQ(0, fstat(again, &two));
	EXPECT_EQ(one.st_ino, two.st_ino);
	close(again);
	close(buffer);
	close(self->node);
	self->memory[9] = 98;
	EXPECT_EQ(98, memory[9]);
	munmap(memory, SIZE);
	self->node = other;
}

TEST_F(gem, invalid_import_is_refused)
{
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	uint32_t handle;

	EXPECT_NE(0, drmPrimeFDToHandle(self->node, file, &handle));
	EXPECT_NE(0, drmPrimeFDToHandle(self->node, -1, &handle));
	EXPECT_EQ(-1, export(self->node, 12345));
	close(file);
}

/* Buffers pass between the render node and /dev/vfence, which belong to different modules. */
TEST_F(gem, buffers_pass_to_and_from_the_misc_device)
{
	int buffer = buffer_create(self->misc, SIZE), back;
	__u32 handle = import(self->node, buffer);
	unsigned char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	__u32 queue = worker_queue(self->misc);

	ASSERT_NE(0, handle);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	EXPECT_EQ(0, fill(self, handle, 0x11));
	EXPECT_EQ(0x11, memory[SIZE - 1]);
	/* By handle on the render node, by descriptor on /dev/vfence. */
	back = export(self->node, self->object.handle);
	{
		struct vfence_use use = { .fd = back, .flags = VFENCE_USE_WRITE };
		struct vfence_operation operation = fills(7);
		struct vfence_submit job = buffer_job(queue, 0, &use, 1, &operation, 1);

		ASSERT_EQ(0, submit_job(self->misc, &job));
		EXPECT_EQ(0, wait_idle(self->misc, queue));
	}
	EXPECT_EQ(7, self->memory[SIZE - 1]);
	munmap(memory, SIZE);
	close(buffer);
	close(back);
}

TEST_F(gem, jobs_copy_between_objects)
{
	struct drm_vfence_gem_create other = { .size = SIZE };
	__u32 handles[2] = { self->object.handle, gem_create(self->node, &other) };

	EXPECT_EQ(0, fill(self, other.handle, 0x3c));
	EXPECT_EQ(0, operate(self, handles, 2, (struct vfence_operation) {
		.kind = VFENCE_OPERATION_COPY, .target = 0, .source = 1, .length = SIZE }, NULL));
	EXPECT_EQ(0x3c, self->memory[0]);
	EXPECT_EQ(0x3c, self->memory[SIZE - 1]);
}

/* One job names the same buffer by descriptor and by handle. */
TEST_F(gem, handles_and_descriptors_mix)
{
	int buffer = export(self->node, self->object.handle);
	struct vfence_use uses[] = {
		{ .fd = buffer, .flags = VFENCE_USE_WRITE },
		{ .fd = self->object.handle, .flags = DRM_VFENCE_USE_HANDLE },
	};
	struct vfence_submit job = buffer_job(timer_queue(self->node), 0, uses, 2, NULL, 0);
	struct vfence_submit gate = { .queue = manual_queue(self->node) };
	struct drm_vfence_sync opens = { .handle = syncobj_create(self->node) };

	ASSERT_EQ(0, drm_submit(self->node, &gate, NULL, &opens));
	ASSERT_EQ(0, drm_submit(self->node, &job, &opens, NULL));
	/* The buffer is busy until the job has written it. */
	EXPECT_EQ(0, polled(buffer, POLLIN));
	signal_seqno(self->node, gate.queue, 1, 0);
	EXPECT_EQ(0, wait_job(self->node, job.queue, 1));
	EXPECT_EQ(POLLIN, polled(buffer, POLLIN));
	/* /dev/vfence does not know the flag. */
	uses[0].fd = self->object.handle;
	uses[0].flags |= DRM_VFENCE_USE_HANDLE;
	job.queue = timer_queue(self->misc);
	EXPECT_REFUSED(EINVAL, submit_job(self->misc, &job));
	close(buffer);
}

TEST_F(gem, job_keeps_the_buffer_of_a_closed_handle)
{
	struct vfence_use use = {
		.fd = self->object.handle, .flags = VFENCE_USE_WRITE | DRM_VFENCE_USE_HANDLE,
	};
	struct vfence_operation operation = fills(0x77);
	struct vfence_submit job = buffer_job(self->worker, 0, &use, 1, &operation, 1);
	__u32 gate = manual_queue(self->node);
	__u32 syncobj = syncobj_create(self->node);
	struct vfence_submit opens = { .queue = gate };
	struct drm_vfence_sync sync = { .handle = syncobj };

	ASSERT_EQ(0, drm_submit(self->node, &opens, NULL, &sync));
	ASSERT_EQ(0, drm_submit(self->node, &job, &sync, NULL));
	EXPECT_EQ(0, drmCloseBufferHandle(self->node, self->object.handle));
	signal_seqno(self->node, gate, 1, 0);
	EXPECT_EQ(0, wait_job(self->node, self->worker, 1));
	EXPECT_EQ(0x77, self->memory[SIZE - 1]);
}

/* A handle of a read-only buffer does not let a job write it. */
TEST_F(gem, read_only_buffer_stays_read_only)
{
	int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);
	struct dma_heap_allocation_data data = { .len = SIZE, .fd_flags = O_RDONLY | O_CLOEXEC };
	struct drm_vfence_gem_info info = { 0 };
	void *memory;

	if (heap < 0 || ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data))
		SKIP(return, "the kernel has no system heap");
	info.handle = import(self->node, data.fd);
	ASSERT_NE(0, info.handle);
	ASSERT_EQ(0, gem_info(self->node, &info));
	EXPECT_EQ(MAP_FAILED, gem_map(self->node, info.mmap_offset, SIZE));
	EXPECT_EQ(EACCES, errno);
	memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, self->node, info.mmap_offset);
	ASSERT_NE(MAP_FAILED, memory);
	EXPECT_REFUSED(EACCES, mprotect(memory, SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-EACCES, fill(self, info.handle, 1));
	munmap(memory, SIZE);
	close(data.fd);
	close(heap);
}

TEST_F(gem, fences_are_exchanged_with_vgem)
{
	int card = vgem_load(), buffer;
	struct drm_vfence_gem_info info = { 0 };
	struct drm_mode_create_dumb dumb = { .width = SIZE / 4, .height = 1, .bpp = 32 };
	struct drm_mode_map_dumb map = { 0 };
	unsigned char *memory;
	int fence;

	if (card < 0)
		SKIP(return, "the kernel has no vgem");
	/* Import a buffer of vgem. */
	ASSERT_EQ(0, ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb));
	map.handle = dumb.handle;
	ASSERT_EQ(0, ioctl(card, DRM_IOCTL_MODE_MAP_DUMB, &map));
	memory = gem_map(card, map.offset, SIZE);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	buffer = export(card, dumb.handle);
	info.handle = import(self->node, buffer);
	ASSERT_NE(0, info.handle);
	/* A job waits for vgem's fence. */
	fence = vgem_attach(card, dumb.handle);
	ASSERT_LE(0, fence);
	{
		struct vfence_use use = {
			.fd = info.handle, .flags = VFENCE_USE_WRITE | DRM_VFENCE_USE_HANDLE,
		};
		struct vfence_operation operation = fills(0x42);
		struct vfence_submit job = buffer_job(self->worker, 0, &use, 1, &operation, 1);

		ASSERT_EQ(0, drm_submit(self->node, &job, NULL, NULL));
		EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->worker, 1).state);
		EXPECT_EQ(0, memory[0]);
		EXPECT_EQ(0, vgem_signal(card, fence));
		EXPECT_EQ(0, wait_job(self->node, self->worker, 1));
		EXPECT_EQ(0x42, memory[SIZE - 1]);
	}
	close(buffer);
	/* vgem waits for the fence of a job. */
	buffer = export(self->node, self->object.handle);
	EXPECT_NE(0, import(card, buffer));
	close(buffer);
	munmap(memory, SIZE);
	close(card);
}

TEST_HARNESS_MAIN
