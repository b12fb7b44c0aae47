/* SPDX-License-Identifier: GPL-2.0 */
/* dma-bufs: those of the device, and the fences of any. */
#ifndef LIB_BUFFER_H
#define LIB_BUFFER_H

#include <linux/dma-buf.h>
#include "lib/node.h"

/* Returns a dma-buf of @size bytes, rounded up. */
static inline int buffer_create(int device, __u64 size)
{
	struct vfence_buffer_create create = { .size = size };

	return device_ioctl(device, VFENCE_IOCTL_BUFFER_CREATE, &create) ? -1 : create.fd;
}

/* Returns a sync_file of all fences in the reservation object of a dma-buf. */
static inline int buffer_fences(int buffer)
{
	struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_RW };

	return ioctl(buffer, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export) ? -1 : export.fd;
}

#endif /* LIB_BUFFER_H */
