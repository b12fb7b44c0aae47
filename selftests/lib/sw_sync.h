/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls of sw_sync, for /dev/sw_sync and the kernel's own node. Functions that return an int
 * return -1 and set errno when the kernel refuses.
 */
#ifndef LIB_SW_SYNC_H
#define LIB_SW_SYNC_H

#include "lib/test.h"

#include <linux/sw_sync.h>

#define VFENCE_SW_SYNC_NODE "/dev/sw_sync"
/* The node of a kernel with CONFIG_SW_SYNC. */
#define KERNEL_NODE "/sys/kernel/debug/sync/sw_sync"

/* Returns whether the kernel has CONFIG_SW_SYNC. */
static inline bool kernel_has_sw_sync(void)
{
	need_mount("debugfs", DEBUGFS, DEBUGFS "/sync");
	return !access(KERNEL_NODE, F_OK);
}

static inline int timeline_open(const char *node)
{
	return open(node, O_RDWR | O_CLOEXEC);
}

/* Returns a sync_file of the fence of @value. */
static inline int fence_create(int timeline, __u32 value)
{
	struct sw_sync_create_fence_data create = { .value = value, .name = "fence" };

	return ioctl(timeline, SW_SYNC_IOC_CREATE_FENCE, &create) ? -1 : create.fence;
}

static inline int timeline_inc(int timeline, __u32 by)
{
	return ioctl(timeline, SW_SYNC_IOC_INC, &by);
}

/* Creates a fence on the fixture's timeline. */
#define FENCE(value) \
	({ \
		int fence_ = fence_create(self->timeline, value); \
		ASSERT_LE(0, fence_); \
		fence_; \
	})

#define INC(by) ASSERT_EQ(0, timeline_inc(self->timeline, by))

static inline int get_deadline(int timeline, int fence, __u64 *deadline_ns)
{
	struct sw_sync_get_deadline get = { .fence_fd = fence };
	int ret = ioctl(timeline, SW_SYNC_GET_DEADLINE, &get);

	*deadline_ns = get.deadline_ns;
	return ret;
}

/* Returns a deadline that must be set; U64_MAX if it is not. */
static inline __u64 deadline_of(int timeline, int fence)
{
	__u64 deadline_ns;

	return get_deadline(timeline, fence, &deadline_ns) ? UINT64_MAX : deadline_ns;
}

/*
 * Returns whether a line of the kernel's log contains both strings. In a test run the search starts
 * at the mark of the current suite.
 */
static inline bool logged(const char *one, const char *other)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char line[8192];
	bool found = false;
	ssize_t length;

	/* Each read returns one line; EPIPE reports lost lines. */
	while ((length = read(log, line, sizeof(line) - 1)) > 0 || (length < 0 && errno == EPIPE)) {
		if (length < 0)
			continue;
		line[length] = '\0';
		if (strstr(line, "vfence-guest: suite "))
			found = false;
		if (strstr(line, one) && strstr(line, other))
			found = true;
	}
	close(log);
	return found;
}

#endif /* LIB_SW_SYNC_H */
