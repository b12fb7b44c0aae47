/* SPDX-License-Identifier: GPL-2.0 */
/* User memory that the kernel cannot read or cannot write. */
#ifndef LIB_MEMORY_H
#define LIB_MEMORY_H

#include "lib/harness.h"

static inline __u64 ptr_to_u64(const void *ptr)
{
	return (uintptr_t)ptr;
}

/* Returns @pages pages of address space without access. */
static inline char *unmapped(size_t pages)
{
	return mmap(NULL, pages * sysconf(_SC_PAGESIZE), PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Returns a copy of @argument that is not writable, or NULL. */
static inline void *read_only(const void *argument, size_t size)
{
	void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (copy == MAP_FAILED)
		return NULL;
	memcpy(copy, argument, size);
	return mprotect(copy, size, PROT_READ) ? NULL : copy;
}

#endif /* LIB_MEMORY_H */
