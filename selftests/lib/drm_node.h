/* SPDX-License-Identifier: GPL-2.0 */
/* DRM device nodes, found by the name of their driver. */
#ifndef LIB_DRM_NODE_H
#define LIB_DRM_NODE_H

#include <fcntl.h>
#include <sys/ioctl.h>
#include <drm/drm.h>
#include "lib/harness.h"

/* Opens the first node of the kind "card" or "renderD" that belongs to @driver. */
static inline int drm_node_open(const char *kind, const char *driver)
{
	int first = strcmp(kind, "card") ? 128 : 0;

	for (int i = first; i < first + 16; i++) {
		char path[32], name[32] = "";
		struct drm_version version = { .name = name, .name_len = sizeof(name) - 1 };
		int node;

		snprintf(path, sizeof(path), "/dev/dri/%s%d", kind, i);
		node = open(path, O_RDWR | O_CLOEXEC);
		if (node < 0)
			continue;
		if (!ioctl(node, DRM_IOCTL_VERSION, &version) && !strcmp(name, driver))
			return node;
		close(node);
	}
	errno = ENOENT;
	return -1;
}

#endif /* LIB_DRM_NODE_H */
