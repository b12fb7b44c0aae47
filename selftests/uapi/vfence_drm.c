// SPDX-License-Identifier: GPL-2.0
/* The layouts and numbers of <drm/vfence_drm.h>, which are the same on 32 and 64 bit. */
#include <drm/vfence_drm.h>
#include "uapi/layout.h"

SIZE(drm_vfence_sync, 16);
FIELD(drm_vfence_sync, handle, 0, 4);
FIELD(drm_vfence_sync, flags, 4, 4);
FIELD(drm_vfence_sync, point, 8, 8);

SIZE(drm_vfence_submit, 40);
FIELD(drm_vfence_submit, job, 0, 8);
FIELD(drm_vfence_submit, job_size, 8, 4);
FIELD(drm_vfence_submit, sync_size, 12, 4);
FIELD(drm_vfence_submit, in_syncs, 16, 8);
FIELD(drm_vfence_submit, out_syncs, 24, 8);
FIELD(drm_vfence_submit, in_sync_count, 32, 4);
FIELD(drm_vfence_submit, out_sync_count, 36, 4);

SIZE(drm_vfence_gem_create, 24);
FIELD(drm_vfence_gem_create, size, 0, 8);
FIELD(drm_vfence_gem_create, flags, 8, 4);
FIELD(drm_vfence_gem_create, handle, 12, 4);
FIELD(drm_vfence_gem_create, mmap_offset, 16, 8);

SIZE(drm_vfence_gem_info, 24);
FIELD(drm_vfence_gem_info, handle, 0, 4);
FIELD(drm_vfence_gem_info, flags, 4, 4);
FIELD(drm_vfence_gem_info, size, 8, 8);
FIELD(drm_vfence_gem_info, mmap_offset, 16, 8);

SIZE(drm_vfence_syncobj_signal, 24);
FIELD(drm_vfence_syncobj_signal, syncs, 0, 8);
FIELD(drm_vfence_syncobj_signal, sync_count, 8, 4);
FIELD(drm_vfence_syncobj_signal, sync_size, 12, 4);
FIELD(drm_vfence_syncobj_signal, error, 16, 4);
FIELD(drm_vfence_syncobj_signal, flags, 20, 4);

NUMBER(DRM_VFENCE_MAX_SYNCS, 4096);
NUMBER(DRM_VFENCE_MAX_LINKS, 1048576);
NUMBER(DRM_VFENCE_USE_HANDLE, 0x80000000);
NUMBER(DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT, 1);
NUMBER(DRM_VFENCE_SUBMIT, _IOC_NR(VFENCE_IOCTL_SUBMIT));
NUMBER(DRM_VFENCE_SUBMIT_BATCH, _IOC_NR(VFENCE_IOCTL_SUBMIT_BATCH));

NUMBER(DRM_VFENCE_IOCTL(VFENCE_IOCTL_QUERY), 0xc0286440);
NUMBER(DRM_VFENCE_IOCTL(VFENCE_IOCTL_QUEUE_DESTROY), 0x40086442);
NUMBER(DRM_IOCTL_VFENCE_SUBMIT, 0xc0286444);
NUMBER(DRM_IOCTL_VFENCE_SUBMIT_BATCH, 0xc0186446);
NUMBER(DRM_IOCTL_VFENCE_GEM_CREATE, 0xc0186460);
NUMBER(DRM_IOCTL_VFENCE_GEM_INFO, 0xc0186461);
NUMBER(DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL, 0x40186462);
