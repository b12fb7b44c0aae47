// SPDX-License-Identifier: GPL-2.0
/*
 * lavapipe, Mesa's Vulkan driver for the CPU, imports fences of vfence as semaphores and fences,
 * and jobs wait for its semaphores.
 */
#include "lavapipe.h"

FIXTURE(lavapipe)
{
	int device;
	struct lavapipe lavapipe;
};

FIXTURE_VARIANTS_OF_OUTCOMES(lavapipe);

FIXTURE_SETUP(lavapipe)
{
	const char *missing = lavapipe_open(&self->lavapipe);

	ASSERT_EQ(NULL, missing)
		TH_LOG("%s", missing);
	self->device = render_open();
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(lavapipe)
{
	/* The process ends: the driver's objects end with it. */
	close(self->device);
}

/* The submission runs when the fence has signalled, and succeeds whether it has an error or not. */
TEST_F(lavapipe, submission_waits_for_an_imported_semaphore)
{
	int in = pending_fence(self->device, &variant->outcome);
	VkSemaphore semaphore = semaphore_of(&self->lavapipe, dup(in));

	ASSERT_NE(VK_NULL_HANDLE, semaphore);
	ASSERT_EQ(VK_SUCCESS, fill(&self->lavapipe, VK_NULL_HANDLE, semaphore, VK_NULL_HANDLE));
	ASSERT_EQ(VK_SUCCESS, wait_for(&self->lavapipe, PATIENCE_MS * MSEC));
	EXPECT_EQ(variant->outcome.status, fence_status(in));
	EXPECT_EQ(FILLED, self->lavapipe.words[0]);
}

TEST_F(lavapipe, imported_fence_waits)
{
	int in = pending_fence(self->device, &variant->outcome);
	const VkImportFenceFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_FENCE_FD_INFO_KHR,
		.fence = self->lavapipe.fence,
		.flags = VK_FENCE_IMPORT_TEMPORARY_BIT,
		.handleType = VK_EXTERNAL_FENCE_HANDLE_TYPE_SYNC_FD_BIT,
		.fd = dup(in),
	};

	ASSERT_EQ(VK_SUCCESS, self->lavapipe.import_fence(self->lavapipe.vulkan, &import));
	ASSERT_EQ(VK_SUCCESS, wait_for(&self->lavapipe, PATIENCE_MS * MSEC));
	EXPECT_EQ(variant->outcome.status, fence_status(in));
}

/* The job waits for the submission, which waits for the in-fence. No error reaches the job. */
TEST_F(lavapipe, job_waits_for_an_exported_semaphore)
{
	int in = pending_fence(self->device, &variant->outcome), out = -1, fence;
	VkSemaphore wait = semaphore_of(&self->lavapipe, dup(in));
	VkSemaphore signal = semaphore_of(&self->lavapipe, -1);
	const VkSemaphoreGetFdInfoKHR export = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_GET_FD_INFO_KHR,
		.semaphore = signal,
		.handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
	};

	ASSERT_NE(VK_NULL_HANDLE, wait);
	ASSERT_NE(VK_NULL_HANDLE, signal);
	ASSERT_EQ(VK_SUCCESS, fill(&self->lavapipe, VK_NULL_HANDLE, wait, signal));
	ASSERT_EQ(VK_SUCCESS, self->lavapipe.export_semaphore(self->lavapipe.vulkan, &export,
							      &out));
	/* -1 is a fence that has signalled. */
	fence = submit_waiting(self->device, timer_queue(self->device), 0, &out, out >= 0);
	ASSERT_LE(0, fence);
	EXPECT_EQ(1, fence_wait(fence));
	EXPECT_EQ(variant->outcome.status, fence_status(in));
	EXPECT_EQ(FILLED, self->lavapipe.words[0]);
}

/* A job fills a dma-buf; the submission that waits for the job copies what the job wrote. */
TEST_F(lavapipe, copy_reads_what_the_job_wrote)
{
	int late = pending_fence(self->device, &variant->outcome);
	int dma_buf = buffer_create(self->device, SIZE), filled;
	VkSemaphore semaphore;
	VkDeviceMemory memory;
	VkBuffer source;

	filled = fill_buffer(self->device, dma_buf, SIZE, FILLED, 0, late);
	ASSERT_LE(0, filled);
	ASSERT_EQ(VK_SUCCESS, buffer_in(self->lavapipe.physical, self->lavapipe.vulkan,
					dup(dma_buf), &source,
					&memory));
	semaphore = semaphore_of(&self->lavapipe, dup(filled));
	ASSERT_NE(VK_NULL_HANDLE, semaphore);
	ASSERT_EQ(VK_SUCCESS, fill(&self->lavapipe, source, semaphore, VK_NULL_HANDLE));
	ASSERT_EQ(VK_SUCCESS, wait_for(&self->lavapipe, PATIENCE_MS * MSEC));
	EXPECT_EQ(variant->outcome.status, fence_status(filled));
	/* A job whose in-fence failed does not run, but Vulkan copies nevertheless. */
	EXPECT_EQ(variant->outcome.ending == LATE ? FILLED : 0, self->lavapipe.words[0]);
}

int main(int argc, char **argv)
{
	return run_as_user(NULL, argc, argv);
}
