/* SPDX-License-Identifier: GPL-2.0 */
/* dma-bufs: those of the device, and the fences of any. */
#ifndef LIB_BUFFER_H
#define LIB_BUFFER_H

#include <linux/dma-buf.h>
#include "lib/node.h"

/* Returns a dma-buf of @size bytes, rounded up to pages. */
static inline int buffer_create(int device, __u64 size)
{
	struct vfence_buffer_create create = { .size = size };

	return device_ioctl(device, VFENCE_IOCTL_BUFFER_CREATE, &create) ? -1 : create.fd;
}

/* Returns a job that uses buffers and operates on them. */
static inline struct vfence_submit buffer_job(__u32 queue, __u32 flags,
					      const struct vfence_use *uses, __u32 use_count,
					      const struct vfence_operation *operations,
					      __u32 operation_count)
{
	return (struct vfence_submit) {
		.queue = queue,
		.flags = flags,
		.uses = ptr_to_u64(uses),
		.use_count = use_count,
		.use_size = sizeof(*uses),
		.operations = ptr_to_u64(operations),
		.operation_count = operation_count,
		.operation_size = sizeof(*operations),
	};
}

/* Returns a sync_file of all fences in the reservation object of a dma-buf. */
static inline int buffer_fences(int buffer)
{
	struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_RW };

	return ioctl(buffer, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export) ? -1 : export.fd;
}

#endif /* LIB_BUFFER_H */
