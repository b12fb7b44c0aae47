/* SPDX-License-Identifier: GPL-2.0 */
/* A timeline of /dev/sw_sync, for cases that the kernel's own sw_sync does not pass. */
#ifndef SW_SYNC_VFENCE_ONLY_H
#define SW_SYNC_VFENCE_ONLY_H

#include "lib/sw_sync.h"

FIXTURE(vfence_sw_sync)
{
	int timeline;
};

FIXTURE_SETUP(vfence_sw_sync)
{
	self->timeline = timeline_open(VFENCE_SW_SYNC_NODE);
	ASSERT_LE(0, self->timeline);
}

FIXTURE_TEARDOWN(vfence_sw_sync)
{
	close(self->timeline);
}

#endif /* SW_SYNC_VFENCE_ONLY_H */
