/* SPDX-License-Identifier: GPL-2.0 OR MIT */

#include <drm/vfence_drm.h>
