// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/dma-fence.h>
#include <linux/slab.h>

#include "dma-fence.h"

/* With a constant size, the compiler selects the slab cache of kmalloc(). */
void *rust_helper_dma_fence_kmalloc(void)
{
	return kmalloc(sizeof(struct dma_fence_memory), GFP_KERNEL_ACCOUNT);
}

void rust_helper_dma_fence_get(struct dma_fence *fence)
{
	dma_fence_get(fence);
}

void rust_helper_dma_fence_put(struct dma_fence *fence)
{
	dma_fence_put(fence);
}

unsigned int rust_helper_dma_fence_refcount(struct dma_fence *fence)
{
	return kref_read(&fence->refcount);
}

bool rust_helper_dma_fence_is_signaled(struct dma_fence *fence)
{
	return dma_fence_is_signaled(fence);
}

bool rust_helper_dma_fence_is_container(struct dma_fence *fence)
{
	return dma_fence_is_container(fence);
}

bool rust_helper_dma_fence_is_later_or_same(struct dma_fence *one, struct dma_fence *other)
{
	return dma_fence_is_later_or_same(one, other);
}

void rust_helper_dma_fence_set_error(struct dma_fence *fence, int error)
{
	dma_fence_set_error(fence, error);
}

/*
 * Signals a fence with the inline lock. The caller has disabled interrupts or,
 * on PREEMPT_RT, where the inline lock sleeps, holds a spinlock taken with
 * spin_lock_irqsave().
 */
void rust_helper_dma_fence_signal_timestamp_irqs_off(struct dma_fence *fence, ktime_t timestamp)
{
	spin_lock(&fence->inline_lock);
	dma_fence_signal_timestamp_locked(fence, timestamp);
	spin_unlock(&fence->inline_lock);
}

ktime_t rust_helper_dma_fence_timestamp(struct dma_fence *fence)
{
	return dma_fence_timestamp(fence);
}

/* Inline without CONFIG_LOCKDEP. */
bool rust_helper_dma_fence_begin_signalling(void)
{
	return dma_fence_begin_signalling();
}

void rust_helper_dma_fence_end_signalling(bool cookie)
{
	dma_fence_end_signalling(cookie);
}
