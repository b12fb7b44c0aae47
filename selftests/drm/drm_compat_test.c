// SPDX-License-Identifier: GPL-2.0
/*
 * 32-bit programs on the DRM device, which the core serves by its compat ioctls. Built without
 * libdrm, of which the root file system has no 32-bit version.
 */
#include "lib/test.h"

FIXTURE(drm_compat)
{
	int node;
	__u32 manual;
	__u32 timer;
	__u32 syncobj;
};

FIXTURE_SETUP(drm_compat)
{
	struct drm_syncobj_create create = { 0 };

	self->node = render_open();
	ASSERT_LE(0, self->node);
	self->manual = manual_queue(self->node);
	self->timer = timer_queue(self->node);
	ASSERT_NE(0, self->manual);
	ASSERT_NE(0, self->timer);
	ASSERT_EQ(0, ioctl(self->node, DRM_IOCTL_SYNCOBJ_CREATE, &create));
	self->syncobj = create.handle;
}

FIXTURE_TEARDOWN(drm_compat)
{
	close(self->node);
}

static int submit_at(FIXTURE_DATA(drm_compat) *self, __u32 queue, __u64 in, __u64 out)
{
	struct vfence_submit job = { .queue = queue };
	struct drm_vfence_sync syncs[] = {
		{ .handle = self->syncobj, .point = in }, { .handle = self->syncobj, .point = out },
	};
	struct drm_vfence_submit submit = {
		.job = ptr_to_u64(&job), .job_size = sizeof(job), .sync_size = sizeof(syncs[0]),
		.in_syncs = ptr_to_u64(&syncs[0]), .in_sync_count = !!in,
		.out_syncs = ptr_to_u64(&syncs[1]), .out_sync_count = 1,
	};

	return ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit);
}

static int wait_for(FIXTURE_DATA(drm_compat) *self, __u64 point, __u64 until)
{
	struct drm_syncobj_timeline_wait wait = {
		.handles = ptr_to_u64(&self->syncobj), .points = ptr_to_u64(&point),
		.count_handles = 1, .timeout_nsec = until,
	};

	return ioctl(self->node, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &wait);
}

TEST_F(drm_compat, jobs_wait_for_and_signal_points)
{
	ASSERT_EQ(0, submit_at(self, self->manual, 0, 1ULL << 40));
	ASSERT_EQ(0, submit_at(self, self->timer, 1ULL << 40, 1ULL << 41));
	EXPECT_REFUSED(ETIME, wait_for(self, 1ULL << 41, 0));
	ASSERT_EQ(1, signal_seqno(self->node, self->manual, 1, 0));
	EXPECT_EQ(0, wait_for(self, 1ULL << 41, patience()));
}

TEST_F(drm_compat, syncobj_gets_a_fence_with_an_error)
{
	struct drm_vfence_sync sync = { .handle = self->syncobj, .point = 1ULL << 40 };
	struct drm_vfence_syncobj_signal signal = {
		.syncs = ptr_to_u64(&sync), .sync_count = 1, .sync_size = sizeof(sync),
		.error = -EIO,
	};

	ASSERT_EQ(0, ioctl(self->node, DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL, &signal));
	EXPECT_EQ(0, wait_for(self, 1ULL << 40, 0));
	ASSERT_EQ(0, submit_at(self, self->timer, 1ULL << 40, 1ULL << 41));
	EXPECT_EQ(0, wait_for(self, 1ULL << 41, patience()));
	EXPECT_EQ(-EIO, job_of(self->node, self->timer, 1).error);
}

TEST_F(drm_compat, mmap_offsets_beyond_4_gib_work)
{
	struct drm_vfence_gem_create create = { .size = 8192 };
	struct drm_vfence_gem_info info = { 0 };
	struct drm_prime_handle prime = { .flags = O_CLOEXEC | O_RDWR };
	char *one, *two;

	ASSERT_EQ(0, ioctl(self->node, DRM_IOCTL_VFENCE_GEM_CREATE, &create));
	EXPECT_LE(1ULL << 32, create.mmap_offset);
	one = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, self->node, create.mmap_offset);
	ASSERT_NE(MAP_FAILED, (void *)one);
	prime.handle = info.handle = create.handle;
	ASSERT_EQ(0, ioctl(self->node, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, prime.fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)two);
	one[8191] = 42;
	EXPECT_EQ(42, two[8191]);
	ASSERT_EQ(0, ioctl(self->node, DRM_IOCTL_VFENCE_GEM_INFO, &info));
	EXPECT_EQ(8192, info.size);
	EXPECT_EQ(create.mmap_offset, info.mmap_offset);
	close(prime.fd);
}

TEST_HARNESS_MAIN
