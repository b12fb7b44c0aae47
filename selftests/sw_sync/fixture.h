/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Runs each case on /dev/sw_sync and, where there is one, on the kernel's own sw_sync: what holds
 * for one holds for the other.
 */
#ifndef SW_SYNC_FIXTURE_H
#define SW_SYNC_FIXTURE_H

#include "lib/sw_sync.h"

FIXTURE(sw_sync)
{
	int timeline;
};

FIXTURE_VARIANT(sw_sync)
{
	const char *node;
	/* The node of the other driver. */
	const char *other;
};

FIXTURE_VARIANT_ADD(sw_sync, vfence) {
	.node = VFENCE_SW_SYNC_NODE,
	.other = KERNEL_NODE,
};

FIXTURE_VARIANT_ADD(sw_sync, kernel) {
	.node = KERNEL_NODE,
	.other = VFENCE_SW_SYNC_NODE,
};

FIXTURE_SETUP(sw_sync)
{
	self->timeline = -1;
	if (!kernel_has_sw_sync() && !strcmp(variant->node, KERNEL_NODE))
		SKIP(return, "the kernel has no CONFIG_SW_SYNC");
	self->timeline = timeline_open(variant->node);
	ASSERT_LE(0, self->timeline);
}

FIXTURE_TEARDOWN(sw_sync)
{
	close(self->timeline);
}

static inline void expect_statuses(struct __test_metadata *_metadata, const int *fences,
			    int first, int second, int third)
{
	EXPECT_EQ(first, fence_status(fences[0]));
	EXPECT_EQ(second, fence_status(fences[1]));
	EXPECT_EQ(third, fence_status(fences[2]));
}

#endif /* SW_SYNC_FIXTURE_H */
