/* SPDX-License-Identifier: GPL-2.0 */
/* Memory whose first access blocks in a page fault: userfaultfd. */
#ifndef LIB_PAGE_FAULT_H
#define LIB_PAGE_FAULT_H

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <linux/userfaultfd.h>
#include "lib/memory.h"

struct page_fault {
	/* One page. Accesses block until page_fault_end(), and then find zeroes. */
	void *memory;
	int fd;
};

/* Returns false if the kernel has no userfaultfd. */
static inline bool page_fault_prepare(struct page_fault *fault)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range.len = page,
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	fault->memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
	fault->fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	range.range.start = ptr_to_u64(fault->memory);
	return !ioctl(fault->fd, UFFDIO_API, &api) && !ioctl(fault->fd, UFFDIO_REGISTER, &range);
}

/* Returns once a thread blocks. */
static inline bool page_fault_wait(struct page_fault *fault)
{
	struct uffd_msg message;

	return read(fault->fd, &message, sizeof(message)) == sizeof(message);
}

static inline void page_fault_end(struct page_fault *fault)
{
	close(fault->fd);
}

#endif /* LIB_PAGE_FAULT_H */
