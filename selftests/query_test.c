// SPDX-License-Identifier: GPL-2.0
/* VFENCE_IOCTL_QUERY: its answer and what it refuses. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/vfence.h>

struct larger {
	struct vfence_query query;
	__u64 more;
};

#define QUERY_AS(type) _IOWR(VFENCE_IOCTL_TYPE, 0x00, type)

static int fd, cases, failures;

static void result(int ok, const char *name)
{
	printf("%s %d %s\n", ok ? "ok" : "not ok", ++cases, name);
	failures += !ok;
}

static int refused(unsigned long request, void *arg, int expected)
{
	errno = 0;
	return ioctl(fd, request, arg) == -1 && errno == expected;
}

int main(void)
{
	struct vfence_query query = { 0 };
	struct larger larger = { 0 };
	__u32 small = 0;

	printf("TAP version 13\n1..8\n");
	fd = open("/dev/vfence", O_RDWR | O_CLOEXEC);
	result(fd >= 0, "open");
	result(!ioctl(fd, VFENCE_IOCTL_QUERY, &query) &&
	       query.api_version == VFENCE_API_VERSION &&
	       query.watchdog_ns == 2000000000ULL, "answer");
	query.flags = 1;
	result(refused(VFENCE_IOCTL_QUERY, &query, EINVAL), "unknown_flag");
	result(!ioctl(fd, QUERY_AS(struct larger), &larger) &&
	       larger.query.api_version == VFENCE_API_VERSION, "larger_and_zero");
	memset(&larger, 0, sizeof(larger));
	larger.more = 1;
	result(refused(QUERY_AS(struct larger), &larger, E2BIG), "larger_and_not_zero");
	result(refused(QUERY_AS(__u32), &small, EINVAL), "too_small");
	result(refused(VFENCE_IOCTL_QUERY, NULL, EFAULT), "unmapped");
	result(refused(_IO(VFENCE_IOCTL_TYPE, 0xff), NULL, ENOTTY), "unknown_ioctl");
	return failures != 0;
}
