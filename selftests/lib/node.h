/* SPDX-License-Identifier: GPL-2.0 */
/* The device node that a suite opens: /dev/vfence, or with on_drm.h the render node. */
#ifndef LIB_NODE_H
#define LIB_NODE_H

#include <fcntl.h>
#include <sys/ioctl.h>
#include <linux/vfence.h>
#include "lib/harness.h"

#ifndef DEVICE_PATH
#define DEVICE_PATH "/dev/vfence"
#define MODULE "vfence"
#endif

static inline int device_open(void)
{
	return open(DEVICE_PATH, O_RDWR | O_CLOEXEC);
}

#endif /* LIB_NODE_H */
