/* SPDX-License-Identifier: GPL-2.0 */
/* The devices of vfence_drm loaded with devices=N, by their number. */
#ifndef DRM_DEVICES_H
#define DRM_DEVICES_H

#include "lib/drm.h"
#include "lib/module.h"

/* The largest valid devices=N. */
#define MAX_DEVICES 64

/* Stores the name of device @index in the device model and in debugfs. */
static inline void device_name(char name[32], int index)
{
	if (index)
		snprintf(name, 32, "vfence_drm.%d", index);
	else
		strcpy(name, "vfence_drm");
}

/* Opens the node of the kind "card" or "renderD" of device @index, or returns -1. */
static inline int device_node(const char *kind, int index)
{
	int first = strcmp(kind, "card") ? 128 : 0;
	char path[64], link[PATH_MAX], name[32];

	device_name(name, index);
	/* Another driver may have some of the 64 minors. More nodes of both kinds begin at 192. */
	for (int i = first; i < 192 + 4 * MAX_DEVICES; i = i == first + 63 ? 192 : i + 1) {
		ssize_t length;

		snprintf(path, sizeof(path), "/dev/dri/%s%d", kind, i);
		if (access(path, F_OK))
			continue;
		snprintf(path, sizeof(path), "/sys/dev/char/%d:%d/device", DRM_MAJOR, i);
		length = readlink(path, link, sizeof(link) - 1);
		if (length < 0)
			continue;
		link[length] = '\0';
		if (strcmp(basename(link), name))
			continue;
		snprintf(path, sizeof(path), "/dev/dri/%s%d", kind, i);
		return open(path, O_RDWR | O_CLOEXEC);
	}
	errno = ENOENT;
	return -1;
}

/* Opens the node once devtmpfs has created it. */
static inline int device_node_soon(const char *kind, int index)
{
	for (int i = 0; i < 1000; i++) {
		int node = device_node(kind, index);

		if (node >= 0)
			return node;
		usleep(10000);
	}
	return -1;
}

/* Loads vfence_drm. */
static inline int load_drm(const char *parameters)
{
	/* No such module where DRM is built in. KUnit's suites have run before. */
	if (system("modprobe --quiet drm") == -1)
		return -1;
	write_file("/sys/module/kunit/parameters/filter_glob", "none");
	return module_load("VFENCE_DRM_KO", parameters);
}

#endif /* DRM_DEVICES_H */
