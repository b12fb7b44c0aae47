/* SPDX-License-Identifier: GPL-2.0 */
/* The CRC-32C of RFC 3720. */
#ifndef LIB_CRC32C_H
#define LIB_CRC32C_H

#include <stddef.h>
#include <linux/types.h>

/* Returns the CRC-32C of @length bytes, bit by bit. */
static inline __u32 crc32c(const void *bytes, size_t length)
{
	const unsigned char *byte = bytes;
	__u32 crc = ~0U;

	while (length--) {
		crc ^= *byte++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

#endif /* LIB_CRC32C_H */
