// SPDX-License-Identifier: GPL-2.0
/*
 * The distribution's udev, with the rules of udev/60-vfence.rules, gives the nodes to their groups.
 * A process of the group render, and of no other, can then open those that it needs.
 */
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "lib/test.h"

#define RULES "udev/60-vfence.rules"
#define USER_ID 1000

struct entry {
	const char *path;
	const char *group;
	mode_t mode;
};

/* vfence is the only DRM driver that is loaded. */
static const struct entry nodes[] = {
	{ "/dev/vfence", "render", 0660 },
	{ "/dev/udmabuf", "render", 0660 },
	{ "/dev/dri/renderD128", "render", 0660 },
	{ "/dev/dri/card0", "video", 0660 },
};

FIXTURE(udev)
{
};

FIXTURE_SETUP(udev)
{
	ASSERT_EQ(0, system("udevadm trigger --action=add --settle --subsystem-match=misc "
			    "--subsystem-match=drm"));
}

FIXTURE_TEARDOWN(udev)
{
}

TEST_F(udev, rules_are_valid)
{
	EXPECT_EQ(0, system("udevadm verify " RULES));
}

TEST_F(udev, nodes_belong_to_their_groups)
{
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		struct group *group = getgrnam(nodes[i].group);
		struct stat status;

		ASSERT_NE(NULL, group);
		ASSERT_EQ(0, stat(nodes[i].path, &status))
			TH_LOG("%s: %s", nodes[i].path, strerror(errno));
		EXPECT_EQ(group->gr_gid, status.st_gid)
			TH_LOG("%s", nodes[i].path);
		EXPECT_EQ(0, status.st_uid);
		EXPECT_EQ(nodes[i].mode, status.st_mode & 07777)
			TH_LOG("%s", nodes[i].path);
	}
}

TEST_F(udev, group_render_opens_its_nodes)
{
	struct group *render = getgrnam("render");

	ASSERT_NE(NULL, render);
	ASSERT_EQ(0, setgroups(1, &render->gr_gid));
	ASSERT_EQ(0, setgid(USER_ID));
	ASSERT_EQ(0, setuid(USER_ID));
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		bool allowed = !strcmp(nodes[i].group, "render");
		int node = open(nodes[i].path, O_RDWR | O_CLOEXEC);

		EXPECT_EQ(allowed, node >= 0)
			TH_LOG("%s: %s", nodes[i].path, strerror(errno));
		if (node < 0) {
			EXPECT_EQ(EACCES, errno);
		} else {
			close(node);
		}
	}
}

/* Where setfacl(1) is installed, the group kvm keeps the access that udev's own rules give it. */
TEST_F(udev, group_kvm_keeps_udmabuf)
{
	if (access("/usr/bin/setfacl", X_OK)) {
		printf("measured: without setfacl, the group kvm loses /dev/udmabuf\n");
		return;
	}
	EXPECT_EQ(0, system("getfacl --omit-header --absolute-names /dev/udmabuf | "
			    "grep -q '^group:kvm:rw-'"));
}

int main(int argc, char **argv)
{
	int status = -1;
	pid_t cases;

	if (system("mkdir -p /run/udev/rules.d && cp " RULES " /run/udev/rules.d/ && "
		   "/usr/lib/systemd/systemd-udevd --daemon")) {
		fprintf(stderr, "udev did not start\n");
		return 1;
	}
	fflush(stdout);
	/* The harness ends its process. */
	cases = fork();
	if (!cases)
		exit(test_harness_run(argc, argv));
	waitpid(cases, &status, 0);
	return system("udevadm control --exit") || status;
}
