/* SPDX-License-Identifier: GPL-2.0 */
/* An ordinary user of the group render, who has access to the device nodes of that group. */
#ifndef CLIENTS_USER_H
#define CLIENTS_USER_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USER_ID 1000
#define RUNTIME_DIR "/run/vfence-user"

/* Gives a device node to a group, as udev's rules do. A node that is missing is ignored. */
static inline void node_to_group(const char *directory, const char *name, gid_t group)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (!chown(path, 0, group))
		chmod(path, 0660);
}

/* Gives the nodes of a directory whose names begin with @prefix to a group. */
static inline void nodes_to_group(const char *directory, const char *prefix, gid_t group)
{
	DIR *dir = opendir(directory);

	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (!strncmp(entry->d_name, prefix, strlen(prefix)))
			node_to_group(directory, entry->d_name, group);
	if (dir)
		closedir(dir);
}

/* Returns the id of a group, or 0. */
static inline gid_t group_id(const char *name)
{
	struct group *group = getgrnam(name);

	return group ? group->gr_gid : 0;
}

/*
 * Makes this process one of an ordinary user of the group render, and with @video of the group
 * video too, with an empty XDG_RUNTIME_DIR. The guest runs no udev, so the function gives the nodes
 * to the groups first. Returns 0, or -1 with a message.
 */
static inline int become_user(bool video)
{
	gid_t groups[] = { group_id("render"), group_id("video") };

	if (!groups[0] || !groups[1]) {
		fprintf(stderr, "no group render or video\n");
		return -1;
	}
	nodes_to_group("/dev/dri", "card", groups[1]);
	nodes_to_group("/dev/dri", "renderD", groups[0]);
	nodes_to_group("/dev", "video", groups[1]);
	node_to_group("/dev", "vfence", groups[0]);
	node_to_group("/dev", "udmabuf", groups[0]);
	if ((mkdir(RUNTIME_DIR, 0700) && errno != EEXIST) ||
	    chown(RUNTIME_DIR, USER_ID, USER_ID) || setgroups(video ? 2 : 1, groups) ||
	    setgid(USER_ID) || setuid(USER_ID)) {
		perror("an ordinary user");
		return -1;
	}
	setenv("XDG_RUNTIME_DIR", RUNTIME_DIR, 1);
	setenv("HOME", RUNTIME_DIR, 1);
	return chdir(RUNTIME_DIR);
}

#endif /* CLIENTS_USER_H */
