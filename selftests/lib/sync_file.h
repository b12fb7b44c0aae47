/* SPDX-License-Identifier: GPL-2.0 */
/* sync_files: their ioctls, status, and timestamp. */
#ifndef LIB_SYNC_FILE_H
#define LIB_SYNC_FILE_H

#include <poll.h>
#include <sys/ioctl.h>
#include <linux/sync_file.h>
#include "lib/harness.h"
#include "lib/memory.h"

static inline int set_deadline(int fence, __u64 deadline_ns)
{
	struct sync_set_deadline deadline = { .deadline_ns = deadline_ns };

	return ioctl(fence, SYNC_IOC_SET_DEADLINE, &deadline);
}

/* Describes the only fence of a sync_file. */
static inline int fence_info(int fence, struct sync_fence_info *info)
{
	struct sync_file_info file = {
		.num_fences = 1,
		.sync_fence_info = ptr_to_u64(info),
	};

	memset(info, 0, sizeof(*info));
	return ioctl(fence, SYNC_IOC_FILE_INFO, &file);
}

/*
 * Returns 0 while pending, 1 once signalled, or the negative errno of the fence; INT_MIN when
 * refused.
 */
static inline int fence_status(int fence)
{
	struct sync_file_info file = { 0 };

	return ioctl(fence, SYNC_IOC_FILE_INFO, &file) ? INT_MIN : file.status;
}

/* Waits for a fence. Returns its status. */
static inline int fence_wait(int fence)
{
	struct pollfd pollfd = { .fd = fence, .events = POLLIN };

	return poll(&pollfd, 1, PATIENCE_MS) < 0 ? INT_MIN : fence_status(fence);
}

/* Returns the number of fences in a sync_file, or -1. */
static inline int fence_count(int fence)
{
	struct sync_file_info file = { 0 };

	return ioctl(fence, SYNC_IOC_FILE_INFO, &file) ? -1 : (int)file.num_fences;
}

static inline __u64 fence_timestamp(int fence)
{
	struct sync_fence_info info;

	return fence_info(fence, &info) ? 0 : info.timestamp_ns;
}

static inline int fence_merge(int one, int other)
{
	struct sync_merge_data merge = { .name = "merged", .fd2 = other };

	return ioctl(one, SYNC_IOC_MERGE, &merge) ? -1 : merge.fence;
}

#endif /* LIB_SYNC_FILE_H */
