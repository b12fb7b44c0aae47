/* SPDX-License-Identifier: GPL-2.0 */
/* Queues: create, destroy, describe, reset, fault plans, counters. */
#ifndef LIB_QUEUE_H
#define LIB_QUEUE_H

#include "lib/memory.h"
#include "lib/node.h"

/* Creates a queue with any fields; the kernel sets its id. */
static inline int queue_create_with(int device, struct vfence_queue_create *create)
{
	return device_ioctl(device, VFENCE_IOCTL_QUEUE_CREATE, create);
}

/*
 * Creates a queue with an argument that is not writable, so that the call fails late, with EFAULT.
 */
static inline int queue_create_unseen(int device, __u32 kind)
{
	struct vfence_queue_create create = { .kind = kind };
	struct vfence_queue_create *argument = read_only(&create, sizeof(create));
	int ret, error;

	ret = argument ? queue_create_with(device, argument) : 0;
	error = errno;
	munmap(argument, sizeof(create));
	errno = error;
	return ret;
}

/* Returns the id of a new queue, or 0. */
static inline __u32 queue_with(int device, struct vfence_queue_create create)
{
	return queue_create_with(device, &create) ? 0 : create.queue;
}

static inline __u32 queue_create(int device, __u32 kind, const char *name)
{
	struct vfence_queue_create create = { .kind = kind };

	snprintf(create.name, sizeof(create.name), "%s", name);
	return queue_with(device, create);
}

static inline __u32 timer_queue(int device)
{
	return queue_create(device, VFENCE_QUEUE_TIMER, "timer");
}

static inline __u32 manual_queue(int device)
{
	return queue_create(device, VFENCE_QUEUE_MANUAL, "manual");
}

static inline __u32 worker_queue(int device)
{
	return queue_create(device, VFENCE_QUEUE_WORKER, "worker");
}

static inline int queue_destroy(int device, __u32 queue)
{
	struct vfence_queue_destroy destroy = { .queue = queue };

	return device_ioctl(device, VFENCE_IOCTL_QUEUE_DESTROY, &destroy);
}

static inline int queue_info(int device, __u32 queue, struct vfence_queue_info *info)
{
	memset(info, 0, sizeof(*info));
	info->queue = queue;
	return device_ioctl(device, VFENCE_IOCTL_QUEUE_INFO, info);
}

/* Returns the seqno of the last job, or U64_MAX. */
static inline __u64 queue_submitted(int device, __u32 queue)
{
	struct vfence_queue_info info;

	return queue_info(device, queue, &info) ? UINT64_MAX : info.submitted;
}

static inline __u64 queue_completed(int device, __u32 queue)
{
	struct vfence_queue_info info;

	return queue_info(device, queue, &info) ? UINT64_MAX : info.completed;
}

/* @resets gets the number of resets of the queue; it may be NULL. */
static inline int queue_reset(int device, __u32 queue, __u64 *resets)
{
	struct vfence_queue_reset reset = { .queue = queue };
	int ret = device_ioctl(device, VFENCE_IOCTL_QUEUE_RESET, &reset);

	if (resets)
		*resets = reset.resets;
	return ret;
}

static inline int set_faults(int device, __u32 queue, __u64 seed,
			     const struct vfence_fault *faults, __u32 count)
{
	struct vfence_queue_faults plan = {
		.queue = queue,
		.seed = seed,
		.faults = ptr_to_u64(faults),
		.count = count,
		.fault_size = sizeof(*faults),
	};

	return device_ioctl(device, VFENCE_IOCTL_QUEUE_FAULTS, &plan);
}

static inline const volatile struct vfence_counters *map_counters(int device, __u64 offset)
{
	return mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, device, offset);
}

#endif /* LIB_QUEUE_H */
