/* SPDX-License-Identifier: GPL-2.0 */
/* The debugfs file "control" of a DRM device: root unplugs, wedges and plugs in the device. */
#ifndef DRM_CONTROL_H
#define DRM_CONTROL_H

#include "lib/drm.h"

#define DIRECTORY DEBUGFS "/vfence_drm"
#define CONTROL DIRECTORY "/control"

/* Writes a command. Returns 0, or -1 with errno set. */
static inline int command(const char *text)
{
	int fd = open(CONTROL, O_WRONLY | O_CLOEXEC);
	int ret = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1, error = errno;

	close(fd);
	errno = error;
	return ret;
}

/* Returns whether the state of the device is @text. */
static inline bool state_is(const char *text)
{
	char state[32] = "";
	int fd = open(CONTROL, O_RDONLY | O_CLOEXEC);
	ssize_t length = read(fd, state, sizeof(state) - 1);

	close(fd);
	return length > 0 && state[length - 1] == '\n' &&
	       (size_t)length == strlen(text) + 1 && !strncmp(state, text, length - 1);
}

/* Opens a node of the device once devtmpfs has created it. */
static inline int open_soon(const char *kind)
{
	for (int i = 0; i < 1000; i++) {
		int node = drm_node_open(kind, "vfence");

		if (node >= 0)
			return node;
		usleep(10000);
	}
	return -1;
}

/* Opens the node on which @node is open once more. */
static inline int reopen(int node)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", node);
	return open(path, O_RDWR | O_CLOEXEC);
}

#endif /* DRM_CONTROL_H */
