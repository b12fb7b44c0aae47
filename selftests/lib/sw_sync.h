/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites of /dev/sw_sync share: each of its calls as a function, for either node. Functions that return an
 * int return -1 and set errno when the kernel refuses.
 */
#ifndef LIB_SW_SYNC_H
#define LIB_SW_SYNC_H

#include "lib/test.h"

#include <linux/sw_sync.h>

#define OWN_NODE "/dev/sw_sync"
/* The kernel's, where it was built with CONFIG_SW_SYNC. */
#define KERNEL_NODE "/sys/kernel/debug/sync/sw_sync"

/* Whether the kernel has a sw_sync of its own. */
static inline bool kernel_has_sw_sync(void)
{
	need_mount("debugfs", "/sys/kernel/debug", "/sys/kernel/debug/sync");
	return !access(KERNEL_NODE, F_OK);
}

static inline int timeline_open(const char *node)
{
	return open(node, O_RDWR | O_CLOEXEC);
}

/* Returns a descriptor of the fence of a value. */
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

/* The same, where it is known to be there; U64_MAX if it is not. */
static inline __u64 deadline_of(int timeline, int fence)
{
	__u64 deadline_ns;

	return get_deadline(timeline, fence, &deadline_ns) ? UINT64_MAX : deadline_ns;
}

/* Whether the kernel's log has a line with both words in it, since the suite began if the log says when that was. */
static inline bool logged(const char *one, const char *other)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char line[8192];
	bool found = false;
	ssize_t length;

	/* A read is a line; EPIPE says that some have been lost. */
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
