// SPDX-License-Identifier: GPL-2.0
/*
 * Fences of other drivers as in-fences of jobs, and vfence's fences in other drivers.
 *
 * sw_sync is a debugfs file of some kernels. vgem is a DRM device whose buffers carry fences that
 * user space signals.
 */
#include "lib/sw_sync.h"
#include "lib/vgem.h"

FIXTURE(sw_sync)
{
	int timeline;
	int fence;
	int device;
	__u32 queue;
};

FIXTURE_SETUP(sw_sync)
{
	if (!kernel_has_sw_sync())
		SKIP(return, "the kernel has no CONFIG_SW_SYNC");
	self->timeline = timeline_open(KERNEL_NODE);
	ASSERT_LE(0, self->timeline);
	self->fence = fence_create(self->timeline, 1);
	ASSERT_LE(0, self->fence);
	self->device = device_open();
	ASSERT_LE(0, self->device);
	self->queue = timer_queue(self->device);
}

FIXTURE_TEARDOWN(sw_sync)
{
	close(self->device);
	close(self->timeline);
}

TEST_F(sw_sync, job_waits_for_a_fence)
{
	int fence = submit_after(self->device, self->queue, MSEC, self->fence);

	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(0, timeline_inc(self->timeline, 1));
	EXPECT_EQ(1, fence_wait(fence));
	EXPECT_LE(fence_timestamp(self->fence) + MSEC, fence_timestamp(fence));
}

TEST_F(sw_sync, signalled_fence_starts_the_job)
{
	ASSERT_EQ(0, timeline_inc(self->timeline, 1));
	EXPECT_EQ(1, fence_wait(submit_after(self->device, self->queue, 0, self->fence)));
}

TEST_F(sw_sync, close_fails_the_job)
{
	int fence = submit_after(self->device, self->queue, SEC, self->fence);

	/* Closing the timeline signals its fences with -ENOENT. */
	ASSERT_EQ(0, close(self->timeline));
	EXPECT_EQ(-ENOENT, fence_wait(fence));
}

TEST_F(sw_sync, job_waits_for_a_merged_fence)
{
	__u32 gate = manual_queue(self->device);
	int merged = fence_merge(submit(self->device, gate, 0), self->fence);
	int fence = submit_after(self->device, self->queue, 0, merged);

	ASSERT_EQ(1, signal_seqno(self->device, gate, 1, 0));
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(0, timeline_inc(self->timeline, 1));
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(sw_sync, pending_fence_times_out)
{
	int fence = submit_after(self->device, self->queue, 0, self->fence);
	int next = submit(self->device, self->queue, 0);

	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(1, fence_wait(next));
	EXPECT_EQ(0, fence_status(self->fence));
	/* No job waits for the fence any more. */
	ASSERT_EQ(0, timeline_inc(self->timeline, 1));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence));
}

TEST_F(sw_sync, fence_outlives_the_client)
{
	int fence = submit_after(self->device, self->queue, 0, self->fence);

	ASSERT_EQ(0, close(self->device));
	EXPECT_EQ(-ECANCELED, fence_wait(fence));
	EXPECT_EQ(0, timeline_inc(self->timeline, 1));
	EXPECT_EQ(1, fence_status(self->fence));
}

FIXTURE(vgem)
{
	int card;
	__u32 handle;
	int buffer;
	int device;
	__u32 queue;
};

FIXTURE_SETUP(vgem)
{
	struct drm_mode_create_dumb create = { .width = 64, .height = 64, .bpp = 32 };
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };

	self->card = vgem_load();
	if (self->card < 0)
		SKIP(return, "the kernel has no vgem, or no node for it in /dev/dri");
	ASSERT_EQ(0, ioctl(self->card, DRM_IOCTL_MODE_CREATE_DUMB, &create));
	self->handle = create.handle;
	prime.handle = create.handle;
	ASSERT_EQ(0, ioctl(self->card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	self->buffer = prime.fd;
	self->device = device_open();
	ASSERT_LE(0, self->device);
	self->queue = timer_queue(self->device);
}

FIXTURE_TEARDOWN(vgem)
{
	close(self->device);
	close(self->buffer);
	close(self->card);
}

TEST_F(vgem, job_waits_for_a_fence)
{
	int theirs = vgem_attach(self->card, self->handle);
	int in_fence = buffer_fences(self->buffer);
	int fence = submit_after(self->device, self->queue, MSEC, in_fence);

	ASSERT_LT(0, theirs);
	ASSERT_LE(0, in_fence);
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(0, vgem_signal(self->card, theirs));
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(vgem, signalled_fence_starts_the_job)
{
	int theirs = vgem_attach(self->card, self->handle);
	int in_fence = buffer_fences(self->buffer);

	ASSERT_EQ(0, vgem_signal(self->card, theirs));
	EXPECT_EQ(1, fence_wait(submit_after(self->device, self->queue, 0, in_fence)));
}

TEST_F(vgem, pending_fence_times_out)
{
	int theirs = vgem_attach(self->card, self->handle);
	int fence = submit_after(self->device, self->queue, 0, buffer_fences(self->buffer));

	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(0, vgem_signal(self->card, theirs));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence));
}

TEST_F(vgem, buffer_carries_a_jobs_fence)
{
	__u32 gate = manual_queue(self->device);
	int fence = submit(self->device, gate, 0);
	struct dma_buf_import_sync_file import = { .flags = DMA_BUF_SYNC_WRITE, .fd = fence };
	struct pollfd pollfd = { .fd = self->buffer, .events = POLLIN };
	int exported;

	ASSERT_EQ(0, ioctl(self->buffer, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import));
	EXPECT_EQ(0, poll(&pollfd, 1, 0));
	exported = buffer_fences(self->buffer);
	EXPECT_EQ(0, fence_status(exported));
	/* vgem refuses a buffer with pending fences. */
	EXPECT_REFUSED(EBUSY, vgem_attach(self->card, self->handle));
	ASSERT_EQ(1, signal_seqno(self->device, gate, 1, 0));
	EXPECT_EQ(1, poll(&pollfd, 1, PATIENCE_MS));
	EXPECT_EQ(1, fence_wait(exported));
	EXPECT_LT(0, vgem_attach(self->card, self->handle));
}

TEST_F(vgem, buffer_outlives_the_client)
{
	int fence = submit(self->device, manual_queue(self->device), 0);
	struct dma_buf_import_sync_file import = { .flags = DMA_BUF_SYNC_WRITE, .fd = fence };
	struct pollfd pollfd = { .fd = self->buffer, .events = POLLIN };

	ASSERT_EQ(0, ioctl(self->buffer, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import));
	ASSERT_EQ(0, close(fence));
	ASSERT_EQ(0, close(self->device));
	EXPECT_EQ(1, poll(&pollfd, 1, PATIENCE_MS));
}

TEST_HARNESS_MAIN
