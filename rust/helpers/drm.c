// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <drm/drm_gem.h>
#include <drm/drm_syncobj.h>
#include <drm/drm_vma_manager.h>
#include <linux/dma-fence-chain.h>
#include <linux/spinlock.h>

void rust_helper_drm_gem_object_put(struct drm_gem_object *obj)
{
	drm_gem_object_put(obj);
}

u64 rust_helper_drm_vma_node_offset_addr(struct drm_vma_offset_node *node)
{
	return drm_vma_node_offset_addr(node);
}

void rust_helper_drm_syncobj_get(struct drm_syncobj *obj)
{
	drm_syncobj_get(obj);
}

void rust_helper_drm_syncobj_put(struct drm_syncobj *obj)
{
	drm_syncobj_put(obj);
}

struct dma_fence *rust_helper_drm_syncobj_fence_get(struct drm_syncobj *obj)
{
	return drm_syncobj_fence_get(obj);
}

/*
 * Does what drm_syncobj_add_point() does, except waking waiters and walking the
 * chain. Takes over the reference to the fence.
 */
void rust_helper_drm_syncobj_append_point(struct drm_syncobj *syncobj,
					  struct dma_fence_chain *chain,
					  struct dma_fence *fence, u64 point)
{
	struct dma_fence *prev;

	spin_lock(&syncobj->lock);
	prev = rcu_dereference_protected(syncobj->fence, lockdep_is_held(&syncobj->lock));
	/* The link takes over the syncobj's reference. */
	dma_fence_chain_init(chain, prev, fence, point);
	rcu_assign_pointer(syncobj->fence, &chain->base);
	spin_unlock(&syncobj->lock);
}
