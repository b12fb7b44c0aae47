/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Headers that the kernel's bindings crate leaves out. */

#include <linux/crc32.h>
#include <linux/dma-fence-array.h>
#include <linux/dma-fence-chain.h>
#include <linux/dma-fence-unwrap.h>
#include <linux/fault-inject.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/sync_file.h>

#include "../helpers/dma-fence.h"

/* Macros with casts or sizeof, which bindgen does not evaluate. */
const int RUST_CONST_IOCB_NOWAIT = IOCB_NOWAIT;
const size_t RUST_CONST_DMA_FENCE_MEMORY = sizeof(struct dma_fence_memory);
const fmode_t RUST_CONST_FMODE_NOWAIT = FMODE_NOWAIT;
