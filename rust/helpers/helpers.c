// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Rust cannot call inline functions and macros of C. These functions wrap them,
 * in one file for each header, as in the kernel's rust/helpers/.
 */

#include "compat.c"
#include "cpumask.c"
#include "dma-fence.c"
#include "dma-fence-chain.c"
#include "dma-mapping.c"
#include "dma-resv.c"
#include "fault-inject.c"
#include "kthread.c"
#include "mm.c"
#include "mutex.c"
#include "sched.c"
#include "string.c"
#include "uaccess.c"
#include "wait.c"
#include "ww_mutex.c"
