// SPDX-License-Identifier: GPL-2.0
/* Without sw_sync=1 there is no /dev/sw_sync. */
#include "lib/sw_sync.h"

TEST(node_is_absent)
{
	EXPECT_REFUSED(ENOENT, timeline_open(VFENCE_SW_SYNC_NODE));
}

TEST(misc_device_is_absent)
{
	FILE *devices = fopen("/proc/misc", "r");
	char name[64] = "";
	bool vfence = false;
	int minor;

	ASSERT_NE(NULL, devices);
	while (fscanf(devices, "%d %63s", &minor, name) == 2) {
		EXPECT_STRNE("sw_sync", name);
		vfence |= !strcmp("vfence", name);
	}
	fclose(devices);
	/* The module is loaded. */
	EXPECT_TRUE(vfence);
	EXPECT_NE(0, access("/sys/class/misc/sw_sync", F_OK));
}

TEST_HARNESS_MAIN
