// SPDX-License-Identifier: GPL-2.0
/* The same tracepoints for the DRM driver, in a system of their own. */
#define VFENCE_TRACE_SYSTEM vfence_drm
#include "vfence_trace.c"
