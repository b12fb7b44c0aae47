/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The headers that the kernel's own bindings crate leaves out. */

#include <linux/dma-fence-array.h>
#include <linux/dma-fence-chain.h>
#include <linux/dma-fence-unwrap.h>
#include <linux/sync_file.h>
