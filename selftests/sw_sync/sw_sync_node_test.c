// SPDX-License-Identifier: GPL-2.0
/* /dev/sw_sync as a node: its permissions, the taint flags, debugfs, and the log. */
#include <grp.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "sw_sync/vfence_only.h"

/* The kernel's sw_sync is a debugfs file of mode 0644. */
TEST_F(vfence_sw_sync, only_root_may_open_it)
{
	struct stat node;
	pid_t child;

	ASSERT_EQ(0, stat(VFENCE_SW_SYNC_NODE, &node));
	EXPECT_TRUE(S_ISCHR(node.st_mode));
	EXPECT_EQ(0600, node.st_mode & 07777);
	EXPECT_EQ(0, node.st_uid);
	EXPECT_EQ(0, node.st_gid);
	/* The major number of misc devices. */
	EXPECT_EQ(10, major(node.st_rdev));
	child = fork();
	if (!child) {
		if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
			_exit(1);
		_exit(timeline_open(VFENCE_SW_SYNC_NODE) != -1 || errno != EACCES);
	}
	EXPECT_EQ(0, child_status(child));
}

static long tainted(void)
{
	FILE *file = fopen("/proc/sys/kernel/tainted", "r");
	long taints = -1;

	if (file && fscanf(file, "%ld", &taints) != 1)
		taints = -1;
	if (file)
		fclose(file);
	return taints;
}

/* The kernel's sw_sync sets TAINT_SOFTLOCKUP with its first fence. */
TEST_F(vfence_sw_sync, does_not_taint)
{
	long before = tainted();

	ASSERT_LE(0, before);
	ASSERT_LE(0, fence_create(self->timeline, 1));
	ASSERT_LE(0, fence_create(self->timeline, 0));
	INC(1);
	EXPECT_EQ(before, tainted());
}

/* debugfs lists fences by their values. */
TEST_F(vfence_sw_sync, debugfs_lists_fences_by_value)
{
	char text[65536];
	int file, length;

	ASSERT_LE(0, fence_create(self->timeline, 4321));
	ASSERT_LE(0, fence_create(self->timeline, 1234));
	need_mount("debugfs", DEBUGFS, DEBUGFS "/vfence");
	file = open(DEBUGFS "/vfence/queues", O_RDONLY | O_CLOEXEC);
	length = read(file, text, sizeof(text) - 1);
	ASSERT_LT(0, length);
	text[length] = '\0';
	EXPECT_NE(NULL, strstr(text, "\n  job 1234 pending "));
	EXPECT_NE(NULL, strstr(text, "\n  job 4321 pending "));
	EXPECT_EQ(NULL, strstr(text, "\n  job 1 pending "));
}

/*
 * A program that opens the debugfs path gets the kernel's sw_sync where there is one: the log says
 * which nodes exist.
 */
TEST_F(vfence_sw_sync, log_names_the_nodes)
{
	bool both = kernel_has_sw_sync();

	EXPECT_TRUE(logged(VFENCE_SW_SYNC_NODE " registered", KERNEL_NODE));
	EXPECT_EQ(both, logged(KERNEL_NODE, "get the kernel's own sw_sync"));
}

TEST_HARNESS_MAIN
