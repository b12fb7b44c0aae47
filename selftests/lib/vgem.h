/* SPDX-License-Identifier: GPL-2.0 */
/* vgem: a DRM device of another driver, whose buffers carry fences that user space signals. */
#ifndef LIB_VGEM_H
#define LIB_VGEM_H

#include <drm/vgem_drm.h>
#include "lib/drm_node.h"

/* Opens the card of vgem. */
static inline int vgem_open(void)
{
	return drm_node_open("card", "vgem");
}

/* Loads vgem and opens its card. Returns -1 if the kernel has no vgem. */
static inline int vgem_load(void)
{
	int card = -1;

	if (system("modprobe vgem 2>/dev/null"))
		return -1;
	for (int i = 0; i < 100 && card < 0; i++) {
		card = vgem_open();
		/* devtmpfs creates the node after a delay. */
		if (card < 0)
			usleep(50000);
	}
	return card;
}

/* Adds a pending write fence to a buffer. Returns vgem's number of the fence. */
static inline int vgem_attach(int card, __u32 handle)
{
	struct drm_vgem_fence_attach attach = { .handle = handle, .flags = VGEM_FENCE_WRITE };

	return ioctl(card, DRM_IOCTL_VGEM_FENCE_ATTACH, &attach) ? -1 : (int)attach.out_fence;
}

static inline int vgem_signal(int card, int fence)
{
	struct drm_vgem_fence_signal signal = { .fence = fence };

	return ioctl(card, DRM_IOCTL_VGEM_FENCE_SIGNAL, &signal);
}

#endif /* LIB_VGEM_H */
