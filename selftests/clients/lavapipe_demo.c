// SPDX-License-Identifier: GPL-2.0
/*
 * lavapipe waits for jobs of vfence_drm: prints when the fence of each job signals, beside when the
 * submission that waits for it is complete.
 */
#include "lavapipe.h"

struct step {
	const char *what;
	struct vfence_submit job;
};

static const struct step steps[] = {
	{ "5 ms", { .duration_ns = 5 * MSEC } },
	{ "5 ms", { .duration_ns = 5 * MSEC } },
	{ "late: 500 ms", { .duration_ns = 500 * MSEC } },
	{ "error: EIO", { .duration_ns = 5 * MSEC, .error = -EIO } },
	{ "hang", { .flags = VFENCE_SUBMIT_HANG } },
	{ "5 ms", { .duration_ns = 5 * MSEC } },
};

/* Runs a job and a submission that waits for it, and prints their times. Returns -1 on failure. */
static int show(struct lavapipe *lavapipe, int device, __u32 queue, const struct step *step)
{
	struct vfence_submit job = step->job;
	VkSemaphore semaphore;
	__u64 begin = now_ns(), end;
	int status;

	job.queue = queue;
	job.flags |= VFENCE_SUBMIT_OUT_FENCE;
	if (submit_job(device, &job))
		return -1;
	semaphore = semaphore_of(lavapipe, dup(job.out_fence));
	lavapipe->words[0] = EMPTY;
	if (!semaphore || fill(lavapipe, VK_NULL_HANDLE, semaphore, VK_NULL_HANDLE) ||
	    wait_for(lavapipe, PATIENCE_MS * MSEC) || lavapipe->words[0] != FILLED ||
	    vkResetFences(lavapipe->vulkan, 1, &lavapipe->fence) ||
	    vkResetCommandPool(lavapipe->vulkan, lavapipe->pool, 0))
		return -1;
	end = now_ns();
	status = fence_status(job.out_fence);
	printf("%-14s %+11.1f ms %+11.1f ms   %s\n", step->what,
	       ((double)fence_timestamp(job.out_fence) - begin) / MSEC,
	       ((double)end - begin) / MSEC,
	       status == 1 ? "signalled" : strerrorname_np(-status));
	close(job.out_fence);
	return 0;
}

int main(void)
{
	struct lavapipe lavapipe;
	VkPhysicalDeviceProperties properties;
	const char *missing;
	int device;
	__u32 queue;

	if (become_user(false))
		return 1;
	missing = lavapipe_open(&lavapipe);
	device = render_open();
	if (missing || device < 0) {
		fprintf(stderr, "%s\n", missing ? missing : "no render node of vfence");
		return 1;
	}
	vkGetPhysicalDeviceProperties(lavapipe.physical, &properties);
	queue = timer_queue(device);
	printf("%s waits for semaphores that are fences of vfence_drm.\n\n"
	       "After the submission of the job:\n%-14s %14s %14s   %s\n", properties.deviceName,
	       "job", "fence", "Vulkan", "status of the fence");
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (show(&lavapipe, device, queue, &steps[i]))
			return 1;
	return 0;
}
