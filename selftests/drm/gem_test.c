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

/* Describes a job with an operation on buffers. */
static struct vfence_submit describe(__u32 queue, const struct vfence_use *uses, __u32 count,
				     const struct vfence_operation *operation)
{
	return (struct vfence_submit) {
		.queue = queue,
		.uses = ptr_to_u64(uses),
		.use_count = count,
		.use_size = sizeof(*uses),
		.operations = ptr_to_u64(operation),
		.operation_count = !!operation,
		.operation_size = sizeof(*operation),
	};
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

/* Runs an operation on objects of the node, of which the first is written. Returns its error, or that of the call. */
static int operate(FIXTURE_DATA(gem) *self, const __u32 *handles, __u32 count,
		   struct vfence_operation operation, __u32 *result)
{
	struct vfence_use uses[2];
	struct vfence_submit job = describe(self->worker, uses, count, &operation);
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

TEST_F(gem, sizes)
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

TEST_F(gem, refused)
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
	/* None of these has left a handle. */
	EXPECT_EQ(next, gem_create(self->node, &create));
	EXPECT_EQ(-ENOENT, fill(self, 12345, 1));
}

TEST_F(gem, memory_is_zero_and_what_jobs_write)
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

TEST_F(gem, mapping)
{
	int other = render_open();

	/* Nobody else may, and nothing but the object is to be had. */
	EXPECT_EQ(MAP_FAILED, gem_map(other, self->object.mmap_offset, SIZE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, gem_map(self->node, self->object.mmap_offset, SIZE + PAGE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, gem_map(self->node, self->object.mmap_offset + SIZE, PAGE));
	/* It outlives the handle. */
	self->memory[5] = 42;
	EXPECT_EQ(0, drmCloseBufferHandle(self->node, self->object.handle));
	EXPECT_EQ(42, self->memory[5]);
	EXPECT_EQ(MAP_FAILED, gem_map(self->node, self->object.mmap_offset, SIZE));
	close(other);
}

TEST_F(gem, export_and_import)
{
	int buffer = export(self->node, self->object.handle), again, other = render_open();
	struct stat one, two;
	struct drm_vfence_gem_info info;
	unsigned char *memory;

	ASSERT_LE(0, buffer);
	EXPECT_EQ(SIZE, lseek(buffer, 0, SEEK_END));
	/* The same one each time, by the same handle. */
	again = export(self->node, self->object.handle);
	ASSERT_EQ(0, fstat(buffer, &one));
	ASSERT_EQ(0, fstat(again, &two));
	EXPECT_EQ(one.st_ino, two.st_ino);
	EXPECT_EQ(self->object.handle, import(self->node, buffer));
	close(again);
	/* And the same memory elsewhere, for longer than the file is open. */
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

TEST_F(gem, import_refused)
{
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	uint32_t handle;

	EXPECT_NE(0, drmPrimeFDToHandle(self->node, file, &handle));
	EXPECT_NE(0, drmPrimeFDToHandle(self->node, -1, &handle));
	EXPECT_EQ(-1, export(self->node, 12345));
	close(file);
}

/* From and to /dev/vfence, which is another module's. */
TEST_F(gem, buffers_of_the_misc_device)
{
	int buffer = buffer_create(self->misc, SIZE), back;
	__u32 handle = import(self->node, buffer);
	unsigned char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	__u32 queue = worker_queue(self->misc);

	ASSERT_NE(0, handle);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	EXPECT_EQ(0, fill(self, handle, 0x11));
	EXPECT_EQ(0x11, memory[SIZE - 1]);
	/* By handle there, by descriptor here. */
	back = export(self->node, self->object.handle);
	{
		struct vfence_use use = { .fd = back, .flags = VFENCE_USE_WRITE };
		struct vfence_operation operation = fills(7);
		struct vfence_submit job = describe(queue, &use, 1, &operation);

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

/* Descriptors and handles in one job, of the same buffer. */
TEST_F(gem, handles_and_descriptors)
{
	int buffer = export(self->node, self->object.handle);
	struct vfence_use uses[] = {
		{ .fd = buffer, .flags = VFENCE_USE_WRITE },
		{ .fd = self->object.handle, .flags = DRM_VFENCE_USE_HANDLE },
	};
	struct vfence_submit job = describe(timer_queue(self->node), uses, 2, NULL);
	struct vfence_submit gate = { .queue = manual_queue(self->node) };
	struct drm_vfence_sync opens = { .handle = syncobj_create(self->node) };

	ASSERT_EQ(0, drm_submit(self->node, &gate, NULL, &opens));
	ASSERT_EQ(0, drm_submit(self->node, &job, &opens, NULL));
	/* Busy until it has been written. */
	EXPECT_EQ(0, polled(buffer, POLLIN));
	signal_seqno(self->node, gate.queue, 1, 0);
	EXPECT_EQ(0, wait_job(self->node, job.queue, 1));
	EXPECT_EQ(POLLIN, polled(buffer, POLLIN));
	/* The flag is this device's alone. */
	uses[0].fd = self->object.handle;
	uses[0].flags |= DRM_VFENCE_USE_HANDLE;
	job.queue = timer_queue(self->misc);
	EXPECT_REFUSED(EINVAL, submit_job(self->misc, &job));
	close(buffer);
}

TEST_F(gem, handle_is_closed_while_a_job_uses_it)
{
	struct vfence_use use = {
		.fd = self->object.handle, .flags = VFENCE_USE_WRITE | DRM_VFENCE_USE_HANDLE,
	};
	struct vfence_operation operation = fills(0x77);
	struct vfence_submit job = describe(self->worker, &use, 1, &operation);
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

/* Who may only read a buffer does not get to write it by way of a handle. */
TEST_F(gem, read_only_buffers_stay_so)
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

TEST_F(gem, shared_with_another_driver)
{
	int card = vgem_load(), buffer;
	struct drm_vfence_gem_info info = { 0 };
	struct drm_mode_create_dumb dumb = { .width = SIZE / 4, .height = 1, .bpp = 32 };
	struct drm_mode_map_dumb map = { 0 };
	unsigned char *memory;
	int fence;

	if (card < 0)
		SKIP(return, "the kernel has no vgem");
	/* Its buffer here: */
	ASSERT_EQ(0, ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb));
	map.handle = dumb.handle;
	ASSERT_EQ(0, ioctl(card, DRM_IOCTL_MODE_MAP_DUMB, &map));
	memory = gem_map(card, map.offset, SIZE);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	buffer = export(card, dumb.handle);
	info.handle = import(self->node, buffer);
	ASSERT_NE(0, info.handle);
	/* A job waits for that driver's fence. */
	fence = vgem_attach(card, dumb.handle);
	ASSERT_LE(0, fence);
	{
		struct vfence_use use = {
			.fd = info.handle, .flags = VFENCE_USE_WRITE | DRM_VFENCE_USE_HANDLE,
		};
		struct vfence_operation operation = fills(0x42);
		struct vfence_submit job = describe(self->worker, &use, 1, &operation);

		ASSERT_EQ(0, drm_submit(self->node, &job, NULL, NULL));
		EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->worker, 1).state);
		EXPECT_EQ(0, memory[0]);
		EXPECT_EQ(0, vgem_signal(card, fence));
		EXPECT_EQ(0, wait_job(self->node, self->worker, 1));
		EXPECT_EQ(0x42, memory[SIZE - 1]);
	}
	close(buffer);
	/* And ours there. */
	buffer = export(self->node, self->object.handle);
	EXPECT_NE(0, import(card, buffer));
	close(buffer);
	munmap(memory, SIZE);
	close(card);
}

TEST_HARNESS_MAIN
