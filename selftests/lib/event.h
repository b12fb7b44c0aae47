/* SPDX-License-Identifier: GPL-2.0 */
/* Completion events, and poll() on a device. */
#ifndef LIB_EVENT_H
#define LIB_EVENT_H

#include "lib/file.h"
#include "lib/job.h"

/* Blocks until an event is read. */
static inline int read_event(int device, struct vfence_event *event)
{
	return read(device, event, sizeof(*event)) == sizeof(*event) ? 0 : -1;
}

/*
 * Submits @count jobs of @low_ns to @high_ns as one batch, in the memory @jobs, and reads their
 * events.
 */
static inline int run_jobs(int device, __u32 queue, __u32 count, __u64 low_ns, __u64 high_ns,
			   struct vfence_submit *jobs, struct vfence_event *events)
{
	for (__u32 i = 0; i < count; i++)
		jobs[i] = (struct vfence_submit) {
			.queue = queue,
			.flags = VFENCE_SUBMIT_EVENT,
			.duration_ns = low_ns,
			.duration_max_ns = high_ns,
		};
	if (submit_batch(device, jobs, count, NULL))
		return -1;
	for (__u32 i = 0; i < count; i++)
		if (read_event(device, &events[i]))
			return -1;
	return 0;
}

/*
 * For a thread: waits until the device, to whose descriptor @data points, has room for a job.
 * Returns the result of poll().
 */
static inline void *poll_for_room(void *data)
{
	struct pollfd pollfd = { .fd = *(int *)data, .events = POLLOUT };

	return (void *)(long)poll(&pollfd, 1, PATIENCE_MS);
}

#endif /* LIB_EVENT_H */
