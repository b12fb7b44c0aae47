/* SPDX-License-Identifier: GPL-2.0 */
/* Buffers of other exporters: the system heap, and udmabuf, which exports user memory. */
#ifndef LIB_FOREIGN_BUFFER_H
#define LIB_FOREIGN_BUFFER_H

#include <fcntl.h>
#include <sys/ioctl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include "lib/harness.h"

/* Returns a buffer of the system heap, open with mode @access, or -1. */
static inline int heap_buffer(size_t size, int access)
{
	struct dma_heap_allocation_data data = { .len = size, .fd_flags = access | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC), ret;

	ret = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data);
	close(heap);
	return ret ? -1 : (int)data.fd;
}

/* Returns a memfd that udmabuf accepts, or -1. */
static inline int user_memory(size_t size)
{
	int memfd = memfd_create("udmabuf", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	if (memfd < 0 || ftruncate(memfd, size) || fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -1;
	return memfd;
}

/* Returns a new buffer of the first @size bytes of a memfd, or -1. */
static inline int user_buffer(int memfd, size_t size)
{
	struct udmabuf_create create = {
		.memfd = memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = size,
	};
	int udmabuf = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), buffer;

	buffer = ioctl(udmabuf, UDMABUF_CREATE, &create);
	close(udmabuf);
	return buffer;
}

#endif /* LIB_FOREIGN_BUFFER_H */
