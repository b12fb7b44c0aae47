// SPDX-License-Identifier: GPL-2.0
/* Submits a job of 5 ms, waits for its fence, and prints when the fence signalled. */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <linux/sync_file.h>
#include <linux/vfence.h>

int main(void)
{
	int device = open("/dev/vfence", O_RDWR | O_CLOEXEC);
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_TIMER, .name = "example" };
	struct vfence_submit submit = { .flags = VFENCE_SUBMIT_OUT_FENCE, .duration_ns = 5000000 };
	struct sync_fence_info fence;
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };

	if (device < 0 || ioctl(device, VFENCE_IOCTL_QUEUE_CREATE, &create) < 0)
		return perror("/dev/vfence"), 1;
	submit.queue = create.queue;
	if (ioctl(device, VFENCE_IOCTL_SUBMIT, &submit) < 0)
		return perror("submit"), 1;

	struct pollfd out_fence = { .fd = submit.out_fence, .events = POLLIN };

	if (poll(&out_fence, 1, -1) < 0 || ioctl(submit.out_fence, SYNC_IOC_FILE_INFO, &info) < 0)
		return perror("out-fence"), 1;
	printf("job %llu signalled at %llu ns, status %d\n", submit.seqno, fence.timestamp_ns,
	       fence.status);
	return 0;
}
