// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/dma-mapping.h>

int rust_helper_dma_coerce_mask_and_coherent(struct device *dev, u64 mask)
{
	return dma_coerce_mask_and_coherent(dev, mask);
}

unsigned int rust_helper_dma_get_max_seg_size(struct device *dev)
{
	return dma_get_max_seg_size(dev);
}

void rust_helper_dma_sync_sgtable_for_cpu(struct device *dev, struct sg_table *sgt,
					  enum dma_data_direction dir)
{
	dma_sync_sgtable_for_cpu(dev, sgt, dir);
}

void rust_helper_dma_sync_sgtable_for_device(struct device *dev, struct sg_table *sgt,
					     enum dma_data_direction dir)
{
	dma_sync_sgtable_for_device(dev, sgt, dir);
}
