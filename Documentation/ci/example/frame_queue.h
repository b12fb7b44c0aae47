/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A queue of frames for a display: a frame is shown once its acquire fence has signalled. */
#ifndef FRAME_QUEUE_H
#define FRAME_QUEUE_H

#define FRAME_QUEUE_SIZE 8

struct frame_queue;

/* Returns an empty queue that waits up to timeout_ms for a fence; NULL if out of memory. */
struct frame_queue *frame_queue_create(int timeout_ms);

/* Frees the queue, and closes the fences of the frames that are left. */
void frame_queue_destroy(struct frame_queue *queue);

/*
 * Appends a frame. acquire_fence is a sync_file, which the queue owns from now on. Returns 0, or
 * -ENOBUFS if the queue is full; the caller then still owns the fence.
 */
int frame_queue_push(struct frame_queue *queue, unsigned int frame, int acquire_fence);

/*
 * Waits for the fence of the oldest frame and removes the frame. Returns
 *
 * 0           *frame can be shown.
 * -ETIME      The fence has not signalled in time. The frame stays in the queue.
 * -ENOENT     The queue is empty.
 * otherwise   The negative error of the fence: the content of *frame is undefined.
 */
int frame_queue_next(struct frame_queue *queue, unsigned int *frame);

#endif /* FRAME_QUEUE_H */
