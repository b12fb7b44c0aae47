// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/dma-fence-chain.h>

struct dma_fence_chain *rust_helper_to_dma_fence_chain(struct dma_fence *fence)
{
	return to_dma_fence_chain(fence);
}
