// SPDX-License-Identifier: GPL-2.0
/* The tracepoints of vfence_drm.ko, whose trace system is vfence_drm. */
#define VFENCE_TRACE_SYSTEM vfence_drm
#include "vfence_trace.c"
