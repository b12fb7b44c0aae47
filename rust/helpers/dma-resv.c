// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/dma-resv.h>

int rust_helper_dma_resv_lock_slow_interruptible(struct dma_resv *obj, struct ww_acquire_ctx *ctx)
{
	return dma_resv_lock_slow_interruptible(obj, ctx);
}
