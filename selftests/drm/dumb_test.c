// SPDX-License-Identifier: GPL-2.0
/*
 * Dumb buffers on both nodes: the ioctls and capabilities of the DRM core, and the uses of such a
 * buffer as a GEM object. Uses nothing of libdrm, of which the root file system has no 32-bit
 * version.
 */
#include "lib/foreign_buffer.h"
#include "lib/test.h"
#include "lib/vgem.h"

#define PAGE 4096UL
#define WIDTH 128
#define HEIGHT 64
#define SIZE (WIDTH * HEIGHT * 4UL)

FIXTURE(dumb)
{
	int node;
	struct drm_mode_create_dumb buffer;
	unsigned char *memory;
};

FIXTURE_VARIANT(dumb)
{
	const char *kind;
};

FIXTURE_VARIANT_ADD(dumb, primary)
{
	.kind = "card",
};

FIXTURE_VARIANT_ADD(dumb, render)
{
	.kind = "renderD",
};

static int dumb_create(int node, struct drm_mode_create_dumb *create)
{
	return ioctl(node, DRM_IOCTL_MODE_CREATE_DUMB, create);
}

static int dumb_destroy(int node, __u32 handle)
{
	struct drm_mode_destroy_dumb destroy = { .handle = handle };

	return ioctl(node, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy);
}

/* Returns the offset for mmap(), or 0. */
static __u64 dumb_offset(int node, __u32 handle)
{
	struct drm_mode_map_dumb map = { .handle = handle };

	return ioctl(node, DRM_IOCTL_MODE_MAP_DUMB, &map) ? 0 : map.offset;
}

static void *map_at(int node, __u64 offset, size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, node, offset);
}

static int gem_close(int node, __u32 handle)
{
	struct drm_gem_close close = { .handle = handle };

	return ioctl(node, DRM_IOCTL_GEM_CLOSE, &close);
}

/* Returns a dma-buf of an object. */
static int export(int node, __u32 handle)
{
	struct drm_prime_handle prime = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR };

	return ioctl(node, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) ? -1 : prime.fd;
}

/* Returns a handle of a dma-buf, or 0. */
static __u32 import(int node, int buffer)
{
	struct drm_prime_handle prime = { .fd = buffer };

	return ioctl(node, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime) ? 0 : prime.handle;
}

FIXTURE_SETUP(dumb)
{
	self->node = drm_node_open(variant->kind, "vfence");
	ASSERT_LE(0, self->node);
	self->buffer = (struct drm_mode_create_dumb) {
		.width = WIDTH, .height = HEIGHT, .bpp = 32,
	};
	ASSERT_EQ(0, dumb_create(self->node, &self->buffer));
	self->memory = map_at(self->node, dumb_offset(self->node, self->buffer.handle), SIZE);
	ASSERT_NE(MAP_FAILED, (void *)self->memory);
}

FIXTURE_TEARDOWN(dumb)
{
	munmap(self->memory, SIZE);
	close(self->node);
}

/* The value of a capability, or the negative errno. */
static int capability(int node, __u64 capability)
{
	struct drm_get_cap cap = { .capability = capability, .value = 12345 };

	return ioctl(node, DRM_IOCTL_GET_CAP, &cap) ? -errno : (int)cap.value;
}

TEST_F(dumb, capabilities_are_reported)
{
	EXPECT_EQ(1, capability(self->node, DRM_CAP_DUMB_BUFFER));
	EXPECT_EQ(24, capability(self->node, DRM_CAP_DUMB_PREFERRED_DEPTH));
	EXPECT_EQ(0, capability(self->node, DRM_CAP_DUMB_PREFER_SHADOW));
	/* The core still answers for the others. */
	EXPECT_EQ(DRM_PRIME_CAP_IMPORT | DRM_PRIME_CAP_EXPORT,
		  capability(self->node, DRM_CAP_PRIME));
	EXPECT_EQ(-EOPNOTSUPP, capability(self->node, DRM_CAP_ADDFB2_MODIFIERS));
	EXPECT_EQ(-EOPNOTSUPP, capability(self->node, 12345));
	EXPECT_REFUSED(EFAULT, ioctl(self->node, DRM_IOCTL_GET_CAP, unmapped(1)));
}

/* The node must not become a KMS device, nor open more of the core to render nodes. */
TEST_F(dumb, node_stays_without_modes)
{
	struct drm_mode_card_res resources = { 0 };
	int error = strcmp(variant->kind, "card") ? EACCES : EOPNOTSUPP;

	EXPECT_REFUSED(error, ioctl(self->node, DRM_IOCTL_MODE_GETRESOURCES, &resources));
}

struct size {
	__u32 width, height, bpp, pitch;
	__u64 size;
};

/* Returns whether a node computes the pitch and the size of a row. */
static bool has_size(int node, const struct size *row)
{
	struct drm_mode_create_dumb create = {
		.width = row->width, .height = row->height, .bpp = row->bpp,
	};

	return !dumb_create(node, &create) && create.handle && create.pitch == row->pitch &&
	       create.size == row->size && create.width == row->width &&
	       create.height == row->height && create.bpp == row->bpp &&
	       !dumb_destroy(node, create.handle);
}

TEST_F(dumb, lines_and_sizes_are_those_of_the_core)
{
	static const struct size sizes[] = {
		{ 1, 1, 32, 4, PAGE },
		{ 640, 480, 32, 2560, 300 * PAGE },
		{ 101, 10, 32, 404, PAGE },
		{ 101, 11, 32, 404, 2 * PAGE },
		{ 17, 3, 24, 51, PAGE },
		{ 33, 3, 16, 66, PAGE },
		{ 33, 3, 15, 66, PAGE },
		{ 33, 3, 8, 33, PAGE },
		/* Pixels smaller than a byte. */
		{ 33, 3, 4, 17, PAGE },
		{ 33, 3, 2, 9, PAGE },
		{ 65, 3, 1, 9, PAGE },
		/* Formats of several planes or more than 32 bits. */
		{ 33, 3, 10, 66, PAGE },
		{ 33, 3, 12, 66, PAGE },
		{ 33, 3, 30, 132, PAGE },
		{ 33, 3, 64, 264, PAGE },
	};
	int vgem = vgem_load();

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		EXPECT_TRUE(has_size(self->node, &sizes[i])) TH_LOG("row %zu", i);
		EXPECT_TRUE(vgem < 0 || has_size(vgem, &sizes[i])) TH_LOG("row %zu", i);
	}
	close(vgem);
}

/* vgem would have the same sizes, and log a warning. */
TEST_F(dumb, pixels_without_a_format_have_whole_bytes)
{
	static const struct size sizes[] = {
		{ 33, 3, 3, 33, PAGE },
		{ 33, 3, 9, 66, PAGE },
		{ 33, 3, 33, 165, PAGE },
		{ 33, 3, 48, 198, PAGE },
		{ 33, 3, 128, 528, PAGE },
		{ 1, 3, 0x10000, 8192, 6 * PAGE },
	};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		EXPECT_TRUE(has_size(self->node, &sizes[i])) TH_LOG("row %zu", i);
	}
}

TEST_F(dumb, sizes_beyond_the_limits_are_refused)
{
	static const struct drm_mode_create_dumb invalid[] = {
		{ .width = 0, .height = 1, .bpp = 32 },
		{ .width = 1, .height = 0, .bpp = 32 },
		{ .width = 1, .height = 1, .bpp = 0 },
		{ .width = 1, .height = 1, .bpp = UINT32_MAX },
		{ .width = 1, .height = 1, .bpp = UINT32_MAX - 7 },
		{ .width = 9, .height = 1, .bpp = UINT32_MAX - 8 },
		{ .width = 1U << 30, .height = 1, .bpp = 32 },
		{ .width = 1U << 15, .height = 1U << 15, .bpp = 32 },
		/* Only rounded up, the size has more than 32 bits. */
		{ .width = UINT32_MAX, .height = 1, .bpp = 8 },
		{ .width = UINT32_MAX, .height = UINT32_MAX, .bpp = 32 },
		{ .width = UINT32_MAX, .height = UINT32_MAX, .bpp = 5 },
	};
	struct vfence_query query = { 0 };
	struct drm_mode_create_dumb create;

	for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
		create = invalid[i];
		create.handle = create.pitch = create.size = 12345;
		EXPECT_REFUSED(EINVAL, dumb_create(self->node, &create));
		EXPECT_EQ(0, create.handle);
		EXPECT_EQ(0, create.pitch);
		EXPECT_EQ(0, create.size);
	}
	ASSERT_EQ(0, device_ioctl(self->node, VFENCE_IOCTL_QUERY, &query));
	create = (struct drm_mode_create_dumb) {
		.width = 1024, .height = query.max_buffer_size / 4096 + 1, .bpp = 32,
		.handle = 12345,
	};
	EXPECT_REFUSED(ENOSPC, dumb_create(self->node, &create));
	EXPECT_EQ(0, create.handle);
	create.height--;
	EXPECT_EQ(0, dumb_create(self->node, &create));
	EXPECT_EQ(query.max_buffer_size, create.size);
}

TEST_F(dumb, unknown_handles_are_refused)
{
	struct drm_mode_map_dumb map = { .handle = 12345, .offset = 12345 };

	EXPECT_REFUSED(ENOENT, ioctl(self->node, DRM_IOCTL_MODE_MAP_DUMB, &map));
	EXPECT_EQ(0, map.offset);
	EXPECT_REFUSED(EINVAL, dumb_destroy(self->node, 12345));
	EXPECT_REFUSED(EINVAL, dumb_destroy(self->node, 0));
	EXPECT_EQ(0, dumb_destroy(self->node, self->buffer.handle));
	EXPECT_REFUSED(EINVAL, dumb_destroy(self->node, self->buffer.handle));
	map.handle = self->buffer.handle;
	EXPECT_REFUSED(ENOENT, ioctl(self->node, DRM_IOCTL_MODE_MAP_DUMB, &map));
}

TEST_F(dumb, inaccessible_arguments_leave_no_handle)
{
	struct drm_mode_create_dumb create = { .width = 1, .height = 1, .bpp = 32 };
	struct drm_mode_map_dumb map = { .handle = self->buffer.handle };
	__u32 free;

	ASSERT_EQ(0, dumb_create(self->node, &create));
	free = create.handle;
	EXPECT_EQ(0, dumb_destroy(self->node, free));
	EXPECT_REFUSED(EFAULT, dumb_create(self->node, (void *)unmapped(1)));
	EXPECT_REFUSED(EFAULT, dumb_create(self->node, read_only(&create, sizeof(create))));
	EXPECT_REFUSED(EFAULT, ioctl(self->node, DRM_IOCTL_MODE_MAP_DUMB, unmapped(1)));
	EXPECT_REFUSED(EFAULT, ioctl(self->node, DRM_IOCTL_MODE_MAP_DUMB,
				     read_only(&map, sizeof(map))));
	EXPECT_REFUSED(EFAULT, ioctl(self->node, DRM_IOCTL_MODE_DESTROY_DUMB, unmapped(1)));
	ASSERT_EQ(0, dumb_create(self->node, &create));
	EXPECT_EQ(free, create.handle);
}

/* As in drm_ioctl(), the number of the function decides, and the rest says what is copied. */
TEST_F(dumb, structures_of_other_sizes_are_accepted)
{
	struct {
		struct drm_mode_create_dumb create;
		__u64 unknown;
	} later = { .create = { .width = 5, .height = 5, .bpp = 32 }, .unknown = 12345 };
	struct drm_mode_create_dumb earlier = {
		.width = 5, .height = 5, .bpp = 32, .flags = 12345, .size = 12345,
	};

	EXPECT_EQ(0, ioctl(self->node, DRM_IOWR(0xb2, later), &later));
	EXPECT_EQ(PAGE, later.create.size);
	EXPECT_EQ(12345, later.unknown);
	EXPECT_EQ(0, ioctl(self->node, DRM_IOWR(0xb2, char[24]), &earlier));
	EXPECT_EQ(later.create.handle + 1, earlier.handle);
	EXPECT_EQ(20, earlier.pitch);
	EXPECT_EQ(12345, earlier.size);
	/* Nothing is written. */
	earlier.handle = 0;
	EXPECT_EQ(0, ioctl(self->node, DRM_IOW(0xb2, earlier), &earlier));
	EXPECT_EQ(0, earlier.handle);
	/* Nothing is read: the width is 0. */
	EXPECT_REFUSED(EINVAL, ioctl(self->node, DRM_IOR(0xb2, earlier), &earlier));
	EXPECT_EQ(0, earlier.pitch);
}

TEST_F(dumb, memory_is_zeroed_and_shared_by_mappings)
{
	unsigned char *other;
	__u64 offset = dumb_offset(self->node, self->buffer.handle);

	for (size_t i = 0; i < SIZE; i++)
		ASSERT_EQ(0, self->memory[i]);
	/* The offset stays the same. */
	EXPECT_EQ(offset, dumb_offset(self->node, self->buffer.handle));
	other = map_at(self->node, offset, SIZE);
	ASSERT_NE(MAP_FAILED, (void *)other);
	self->memory[SIZE - 1] = 42;
	EXPECT_EQ(42, other[SIZE - 1]);
	munmap(other, SIZE);
	/* A mapping must fit. */
	EXPECT_EQ(MAP_FAILED, map_at(self->node, offset, SIZE + PAGE));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(dumb, mappings_outlive_the_handle_and_the_file)
{
	__u64 offset = dumb_offset(self->node, self->buffer.handle);

	self->memory[0] = 1;
	EXPECT_EQ(0, dumb_destroy(self->node, self->buffer.handle));
	EXPECT_EQ(MAP_FAILED, map_at(self->node, offset, SIZE));
	self->memory[SIZE - 1] = 2;
	EXPECT_EQ(1, self->memory[0]);
	close(self->node);
	self->node = -1;
	EXPECT_EQ(2, self->memory[SIZE - 1]);
}

TEST_F(dumb, gem_close_releases_the_handle)
{
	struct drm_vfence_gem_create gem = { .size = PAGE };

	EXPECT_EQ(0, gem_close(self->node, self->buffer.handle));
	EXPECT_REFUSED(EINVAL, dumb_destroy(self->node, self->buffer.handle));
	/* And the reverse: all objects are alike. */
	ASSERT_EQ(0, ioctl(self->node, DRM_IOCTL_VFENCE_GEM_CREATE, &gem));
	EXPECT_EQ(gem.mmap_offset, dumb_offset(self->node, gem.handle));
	EXPECT_EQ(0, dumb_destroy(self->node, gem.handle));
}

TEST_F(dumb, gem_info_describes_the_buffer)
{
	struct drm_vfence_gem_info info = { .handle = self->buffer.handle };

	ASSERT_EQ(0, ioctl(self->node, DRM_IOCTL_VFENCE_GEM_INFO, &info));
	EXPECT_EQ(SIZE, info.size);
	EXPECT_EQ(dumb_offset(self->node, self->buffer.handle), info.mmap_offset);
}

/* Two open files, of this node and of the other one. */
TEST_F(dumb, files_share_a_buffer_by_descriptor_only)
{
	static const char *const kinds[] = { "card", "renderD" };
	__u64 offset = dumb_offset(self->node, self->buffer.handle);
	int buffer = export(self->node, self->buffer.handle);

	ASSERT_LE(0, buffer);
	EXPECT_EQ(SIZE, lseek(buffer, 0, SEEK_END));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		int other = drm_node_open(kinds[i], "vfence");
		unsigned char *memory;
		__u32 handle;

		ASSERT_LE(0, other);
		EXPECT_EQ(0, dumb_offset(other, self->buffer.handle));
		EXPECT_EQ(ENOENT, errno);
		EXPECT_EQ(MAP_FAILED, map_at(other, offset, SIZE));
		EXPECT_EQ(EACCES, errno);
		handle = import(other, buffer);
		ASSERT_NE(0, handle);
		memory = map_at(other, dumb_offset(other, handle), SIZE);
		ASSERT_NE(MAP_FAILED, (void *)memory);
		self->memory[i] = 17 + i;
		EXPECT_EQ(17 + i, memory[i]);
		munmap(memory, SIZE);
		close(other);
	}
	EXPECT_EQ(self->buffer.handle, import(self->node, buffer));
	close(buffer);
}

/* As in drm_gem_dumb_map_offset(). GEM_INFO has an offset for these buffers, too. */
TEST_F(dumb, buffers_of_other_exporters_are_not_mapped)
{
	int foreign = user_buffer(user_memory(SIZE), SIZE);
	struct drm_mode_map_dumb map = { 0 };

	if (foreign < 0)
		SKIP(return, "the kernel has no udmabuf");
	map.handle = import(self->node, foreign);
	ASSERT_NE(0, map.handle);
	EXPECT_REFUSED(EINVAL, ioctl(self->node, DRM_IOCTL_MODE_MAP_DUMB, &map));
	EXPECT_EQ(0, dumb_destroy(self->node, map.handle));
	close(foreign);
}

TEST_F(dumb, jobs_use_the_buffer)
{
	struct drm_mode_create_dumb copy = { .width = WIDTH, .height = HEIGHT, .bpp = 32 };
	__u32 queue = worker_queue(self->node);
	struct vfence_use uses[] = {
		{ .fd = self->buffer.handle, .flags = DRM_VFENCE_USE_HANDLE | VFENCE_USE_WRITE },
		{ .flags = DRM_VFENCE_USE_HANDLE | VFENCE_USE_WRITE },
	};
	struct vfence_operation operations[] = {
		{
			.kind = VFENCE_OPERATION_FILL, .target = 0, .length = SIZE,
			.pattern = 0x5a, .pattern_size = 1,
		},
		{
			.kind = VFENCE_OPERATION_COPY, .target = 1, .source = 0, .length = SIZE,
		},
	};
	struct vfence_submit job = buffer_job(queue, 0, uses, 2, operations, 2);
	__u32 manual = manual_queue(self->node);
	unsigned char *memory;
	__s32 gate;
	int buffer;

	ASSERT_EQ(0, dumb_create(self->node, &copy));
	uses[1].fd = copy.handle;
	memory = map_at(self->node, dumb_offset(self->node, copy.handle), SIZE);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	ASSERT_EQ(0, submit_job(self->node, &job));
	ASSERT_EQ(0, wait_job(self->node, queue, 1));
	EXPECT_EQ(0, job_of(self->node, queue, 1).error);
	EXPECT_EQ(0x5a, self->memory[0]);
	EXPECT_EQ(0x5a, memory[SIZE - 1]);
	/* The fence of a job is in the reservation object of the exported buffer. */
	gate = submit(self->node, manual, 0);
	ASSERT_LE(0, gate);
	job = buffer_job(timer_queue(self->node), 0, uses, 1, NULL, 0);
	job.in_fences = ptr_to_u64(&gate);
	job.in_fence_count = 1;
	ASSERT_EQ(0, submit_job(self->node, &job));
	buffer = export(self->node, self->buffer.handle);
	EXPECT_EQ(0, polled(buffer, POLLIN));
	EXPECT_EQ(1, signal_seqno(self->node, manual, 1, 0));
	EXPECT_EQ(0, wait_job(self->node, job.queue, 1));
	EXPECT_EQ(POLLIN, polled(buffer, POLLIN));
	munmap(memory, SIZE);
	close(buffer);
	close(gate);
}

TEST_HARNESS_MAIN
