/* SPDX-License-Identifier: GPL-2.0 */
/* Completion events, and poll() on a device. */
#ifndef LIB_EVENT_H
#define LIB_EVENT_H

#include "lib/file.h"
#include "lib/job.h"

/* Waits for an event. */
static inline int read_event(int device, struct vfence_event *event)
{
	return read(device, event, sizeof(*event)) == sizeof(*event) ? 0 : -1;
}

/*
 * Runs @count jobs of @low_ns to @high_ns, submitted as one batch in the memory @jobs, and reads their events.
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

/* Waits until a device, whose descriptor @data points to, has room for a job: for a thread. Returns what poll() does. */
static inline void *poll_for_room(void *data)
{
	struct pollfd pollfd = { .fd = *(int *)data, .events = POLLOUT };

	return (void *)(long)poll(&pollfd, 1, PATIENCE_MS);
}

#endif /* LIB_EVENT_H */
