// SPDX-License-Identifier: GPL-2.0
/*
 * Fences of other drivers as in-fences, and ours in the hands of other drivers.
 *
 * sw_sync is a file of debugfs, in kernels that have it; vgem is a DRM device
 * whose buffers carry fences that user space signals.
 */
#include "lib/vgem.h"
#include "lib/test.h"

/* From drivers/dma-buf/sw_sync.c: it has no header. */
struct sw_sync_create_fence_data {
	__u32 value;
	char name[32];
	__s32 fence;
};

#define SW_SYNC_IOC_CREATE_FENCE _IOWR('W', 0, struct sw_sync_create_fence_data)
#define SW_SYNC_IOC_INC _IOW('W', 1, __u32)

#define SW_SYNC "/sys/kernel/debug/sync/sw_sync"

FIXTURE(sw_sync)
{
	int timeline;
	int fence;
	int device;
	__u32 queue;
};

FIXTURE_SETUP(sw_sync)
{
	struct sw_sync_create_fence_data data = { .value = 1, .name = "foreign" };

	need_mount("debugfs", "/sys/kernel/debug", "/sys/kernel/debug/sync");
	self->timeline = open(SW_SYNC, O_RDWR | O_CLOEXEC);
	if (self->timeline < 0)
		SKIP(return, "%s: %s", SW_SYNC, strerror(errno));
	ASSERT_EQ(0, ioctl(self->timeline, SW_SYNC_IOC_CREATE_FENCE, &data));
	self->fence = data.fence;
	self->device = device_open();
	ASSERT_LE(0, self->device);
	self->queue = timer_queue(self->device);
}

FIXTURE_TEARDOWN(sw_sync)
{
	close(self->device);
	close(self->timeline);
}

static int sw_sync_inc(int timeline)
{
	__u32 value = 1;

	return ioctl(timeline, SW_SYNC_IOC_INC, &value);
}

TEST_F(sw_sync, job_waits)
{
	int fence = submit_after(self->device, self->queue, MSEC, self->fence);

	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(0, sw_sync_inc(self->timeline));
	EXPECT_EQ(1, fence_wait(fence));
	EXPECT_LE(fence_timestamp(self->fence) + MSEC, fence_timestamp(fence));
}

TEST_F(sw_sync, signalled_already)
{
	ASSERT_EQ(0, sw_sync_inc(self->timeline));
	EXPECT_EQ(1, fence_wait(submit_after(self->device, self->queue, 0, self->fence)));
}

TEST_F(sw_sync, error)
{
	int fence = submit_after(self->device, self->queue, SEC, self->fence);

	/* The end of the timeline ends its fences with -ENOENT. */
	ASSERT_EQ(0, close(self->timeline));
	EXPECT_EQ(-ENOENT, fence_wait(fence));
}

TEST_F(sw_sync, merged_with_ours)
{
	__u32 gate = manual_queue(self->device);
	int merged = fence_merge(submit(self->device, gate, 0), self->fence);
	int fence = submit_after(self->device, self->queue, 0, merged);

	ASSERT_EQ(1, signal_seqno(self->device, gate, 1, 0));
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(0, sw_sync_inc(self->timeline));
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(sw_sync, never_comes)
{
	int fence = submit_after(self->device, self->queue, 0, self->fence);
	int next = submit(self->device, self->queue, 0);

	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(1, fence_wait(next));
	EXPECT_EQ(0, fence_status(self->fence));
	/* Nobody waits for it any more. */
	ASSERT_EQ(0, sw_sync_inc(self->timeline));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence));
}

TEST_F(sw_sync, outlives_the_client)
{
	int fence = submit_after(self->device, self->queue, 0, self->fence);

	ASSERT_EQ(0, close(self->device));
	EXPECT_EQ(-ECANCELED, fence_wait(fence));
	EXPECT_EQ(0, sw_sync_inc(self->timeline));
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

TEST_F(vgem, job_waits)
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

TEST_F(vgem, signalled_already)
{
	int theirs = vgem_attach(self->card, self->handle);
	int in_fence = buffer_fences(self->buffer);

	ASSERT_EQ(0, vgem_signal(self->card, theirs));
	EXPECT_EQ(1, fence_wait(submit_after(self->device, self->queue, 0, in_fence)));
}

TEST_F(vgem, comes_too_late)
{
	int theirs = vgem_attach(self->card, self->handle);
	int fence = submit_after(self->device, self->queue, 0, buffer_fences(self->buffer));

	EXPECT_EQ(-ETIMEDOUT, fence_wait(fence));
	EXPECT_EQ(0, vgem_signal(self->card, theirs));
	EXPECT_EQ(-ETIMEDOUT, fence_status(fence));
}

TEST_F(vgem, buffer_waits_for_ours)
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
	/* vgem refuses a buffer that is in use. */
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
