/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef _RUST_HELPERS_DMA_FENCE_H
#define _RUST_HELPERS_DMA_FENCE_H

#include <linux/dma-fence.h>

/* The size of a fence from Rust: a pointer to its timeline, and the driver's data. */
struct dma_fence_memory {
	struct dma_fence base;
	u64 own[3];
};

#endif
