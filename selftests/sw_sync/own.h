/* SPDX-License-Identifier: GPL-2.0 */
/* A timeline of /dev/sw_sync, for cases that the kernel's own sw_sync does not pass. */
#ifndef SW_SYNC_OWN_H
#define SW_SYNC_OWN_H

#include "lib/sw_sync.h"

FIXTURE(own)
{
	int timeline;
};

FIXTURE_SETUP(own)
{
	self->timeline = timeline_open(OWN_NODE);
	ASSERT_LE(0, self->timeline);
}

FIXTURE_TEARDOWN(own)
{
	close(self->timeline);
}

#endif /* SW_SYNC_OWN_H */
