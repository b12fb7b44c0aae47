// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Functions that are inline or macros in C cannot be called from Rust. These
 * shims can; one file per header, as in the kernel's rust/helpers/.
 */

#include "dma-fence.c"
#include "dma-fence-chain.c"
#include "dma-mapping.c"
#include "dma-resv.c"
#include "fault-inject.c"
#include "mm.c"
#include "sched.c"
#include "string.c"
#include "uaccess.c"
#include "wait.c"
#include "ww_mutex.c"
