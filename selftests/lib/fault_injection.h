/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's fault injection: each allocation and each copy of a call fails once. See
 * Documentation/fault-injection/fault-injection.rst of the kernel.
 */
#ifndef LIB_FAULT_INJECTION_H
#define LIB_FAULT_INJECTION_H

#include "lib/test.h"

/* More faults than any call has places for. */
#define MOST_FAULTS 1000

/* Returns the file that has this thread's faults injected, or -1 if the kernel cannot do that. @module has attributes of its own. */
static inline int injection_open(const char *module)
{
	static const char *const own[] = { "fail", "hang", "delay", "drop_interrupt" };

	need_mount("debugfs", DEBUGFS, DEBUGFS "/failslab");
	/* Also where the kernel may sleep for memory; without a word in the log. */
	if (!write_file(DEBUGFS "/failslab/ignore-gfp-wait", "N") ||
	    !write_file(DEBUGFS "/failslab/verbose", "0") ||
	    !write_file(DEBUGFS "/fail_page_alloc/ignore-gfp-wait", "N") ||
	    !write_file(DEBUGFS "/fail_page_alloc/min-order", "0") ||
	    !write_file(DEBUGFS "/fail_page_alloc/verbose", "0") ||
	    !write_file(DEBUGFS "/fail_usercopy/verbose", "0"))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		char path[96];

		snprintf(path, sizeof(path), DEBUGFS "/%s/%s/verbose", module, own[i]);
		if (!write_file(path, "0"))
			return -1;
	}
	return open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
}

/* Has the @nth place that can fail do so, from now on. */
static inline bool arm(int fail_nth, int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", nth);

	return write(fail_nth, text, length) == length;
}

static inline void disarm(int fail_nth)
{
	/* Writing is a place, too. */
	while (write(fail_nth, "0", 1) != 1)
		;
}

/*
 * Calls an ioctl whose @nth place that can fail does. Returns what the call does, or the negative errno;
 * @injected says whether there was such a place.
 */
static inline int with_fault(int fail_nth, int nth, int device, unsigned long number,
			     void *argument, bool *injected)
{
	char left[16] = "";
	int ret;

	if (!arm(fail_nth, nth))
		return -EIO;
	ret = ioctl(device, number, argument);
	if (ret < 0)
		ret = -errno;
	/* What is left of the count; reading it fails when it comes to an end there. */
	*injected = pread(fail_nth, left, sizeof(left) - 1, 0) > 0 && !atoi(left);
	disarm(fail_nth);
	return ret;
}

/*
 * Tries a call of self->device with each fault; @ARGUMENT is made anew for each. Runs @CHECK when it was refused. The fixture
 * has what injection_open() returns as fail_nth.
 */
#define EACH_FAULT(number, argument, ARGUMENT, CHECK) \
	do { \
		bool injected = true; \
		int refused = 0; \
		for (int nth = 1; injected; nth++) { \
			int ret; \
			ASSERT_GT(MOST_FAULTS, nth); \
			(argument) = ARGUMENT; \
			ret = with_fault(self->fail_nth, nth, self->device, number, &(argument), \
					 &injected); \
			if (ret >= 0) \
				continue; \
			EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT) \
				TH_LOG("fault %d: %s", nth, strerror(-ret)); \
			refused++; \
			CHECK; \
		} \
		EXPECT_LT(0, refused); \
	} while (0)

#endif /* LIB_FAULT_INJECTION_H */
