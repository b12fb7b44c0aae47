// SPDX-License-Identifier: GPL-2.0
/* The layouts and numbers of <linux/sw_sync.h>, which are those of drivers/dma-buf/sw_sync.c. */
#include <linux/sw_sync.h>
#include "uapi/layout.h"

SIZE(sw_sync_create_fence_data, 40);
FIELD(sw_sync_create_fence_data, value, 0, 4);
FIELD(sw_sync_create_fence_data, name, 4, 32);
FIELD(sw_sync_create_fence_data, fence, 36, 4);

SIZE(sw_sync_get_deadline, 16);
FIELD(sw_sync_get_deadline, deadline_ns, 0, 8);
FIELD(sw_sync_get_deadline, pad, 8, 4);
FIELD(sw_sync_get_deadline, fence_fd, 12, 4);

NUMBER(SW_SYNC_IOC_MAGIC, 'W');
NUMBER(SW_SYNC_IOC_CREATE_FENCE, 0xc0285700);
NUMBER(SW_SYNC_IOC_INC, 0x40045701);
NUMBER(SW_SYNC_GET_DEADLINE, 0xc0105702);
