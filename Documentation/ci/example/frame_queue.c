// SPDX-License-Identifier: GPL-2.0 OR MIT
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/sync_file.h>

#include "frame_queue.h"

struct entry {
	unsigned int frame;
	int fence;
};

struct frame_queue {
	int timeout_ms;
	unsigned int first, count;
	struct entry entries[FRAME_QUEUE_SIZE];
};

struct frame_queue *frame_queue_create(int timeout_ms)
{
	struct frame_queue *queue = calloc(1, sizeof(*queue));

	if (queue)
		queue->timeout_ms = timeout_ms;
	return queue;
}

void frame_queue_destroy(struct frame_queue *queue)
{
	for (unsigned int i = 0; i < queue->count; i++)
		close(queue->entries[(queue->first + i) % FRAME_QUEUE_SIZE].fence);
	free(queue);
}

int frame_queue_push(struct frame_queue *queue, unsigned int frame, int acquire_fence)
{
	struct entry entry = { .frame = frame, .fence = acquire_fence };

	if (queue->count == FRAME_QUEUE_SIZE)
		return -ENOBUFS;
	queue->entries[(queue->first + queue->count++) % FRAME_QUEUE_SIZE] = entry;
	return 0;
}

/* Returns 0 once the fence has signalled without an error. */
static int wait_for_fence(int fence, int timeout_ms)
{
	struct pollfd pollfd = { .fd = fence, .events = POLLIN };
	struct sync_file_info info = { 0 };
	int ready = poll(&pollfd, 1, timeout_ms);

	if (ready == 0)
		return -ETIME;
	if (ready < 0 || ioctl(fence, SYNC_IOC_FILE_INFO, &info) < 0)
		return -errno;
	return info.status < 0 ? info.status : 0;
}

int frame_queue_next(struct frame_queue *queue, unsigned int *frame)
{
	struct entry *entry = &queue->entries[queue->first];
	int status;

	if (queue->count == 0)
		return -ENOENT;
	status = wait_for_fence(entry->fence, queue->timeout_ms);
	if (status == -ETIME || status == -EINTR)
		return status;
	*frame = entry->frame;
	close(entry->fence);
	queue->first = (queue->first + 1) % FRAME_QUEUE_SIZE;
	queue->count--;
	return status;
}
