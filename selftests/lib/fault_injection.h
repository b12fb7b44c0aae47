/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's fault injection, by which each allocation and each user copy of a call fails once:
 * see Documentation/fault-injection/fault-injection.rst in the kernel source.
 */
#ifndef LIB_FAULT_INJECTION_H
#define LIB_FAULT_INJECTION_H

#include "lib/test.h"

/* More faults than any call can have. */
#define MOST_FAULTS 1000

/*
 * Opens the file that injects faults into this thread; -1 if the kernel has no fault injection.
 * Silences the log of the kernel's fault attributes and those of @module.
 */
static inline int injection_open(const char *module)
{
	static const char *const own[] = { "fail", "hang", "delay", "drop_interrupt" };

	need_mount("debugfs", DEBUGFS, DEBUGFS "/failslab");
	/* Include allocations that may sleep; log nothing. */
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

/* Makes the @nth allocation or copy from now on fail. */
static inline bool arm(int fail_nth, int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", nth);

	return write(fail_nth, text, length) == length;
}

static inline void disarm(int fail_nth)
{
	/* This write may be the one that fails. */
	while (write(fail_nth, "0", 1) != 1)
		;
}

/*
 * Calls an ioctl whose @nth allocation or copy fails. Returns the result, or the negative errno;
 * @injected is whether the call got that far.
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
	/*
	 * The count that is left: 0 once the fault was injected. The read fails if it takes the
	 * fault.
	 */
	*injected = pread(fail_nth, left, sizeof(left) - 1, 0) > 0 && !atoi(left);
	disarm(fail_nth);
	return ret;
}

/*
 * Calls an ioctl on self->device once for each fault; @ARGUMENT makes the argument of each round.
 * Runs @CHECK after each refused call. The fixture has the descriptor of injection_open() as
 * fail_nth.
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
