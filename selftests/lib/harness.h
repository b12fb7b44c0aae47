/* SPDX-License-Identifier: GPL-2.0 */
/* The kselftest harness, what it lacks, and CLOCK_MONOTONIC in nanoseconds. */
#ifndef LIB_HARNESS_H
#define LIB_HARNESS_H

#include "kselftest_harness.h"

#include <limits.h>
#include <stddef.h>
#include <time.h>
#include <linux/types.h>

#define MSEC 1000000ULL
#define SEC 1000000000ULL

/*
 * Seconds for a case. Two guests share a machine, and the debug kernel may then take 10 s to load
 * or unload a module.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 120

/* Bounds each wait: only a case that is about to fail waits this long. */
#define PATIENCE_MS 20000

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* Expects @call to return -1 and to set errno to @error. */
#define EXPECT_REFUSED(error, call) \
	do { \
		errno = 0; \
		EXPECT_EQ(-1, call); \
		EXPECT_EQ(error, errno); \
	} while (0)

static inline __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SEC + now.tv_nsec;
}

/* Returns the absolute timeout of a wait that must succeed. */
static inline __u64 patience(void)
{
	return now_ns() + PATIENCE_MS * MSEC;
}

#endif /* LIB_HARNESS_H */
