// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/string.h>

void *rust_helper_memset64(u64 *to, u64 value, size_t count)
{
	return memset64(to, value, count);
}
