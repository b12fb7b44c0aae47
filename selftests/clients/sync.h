/* SPDX-License-Identifier: GPL-2.0 */
/* The ways in which a window and a compositor synchronise, the best one first. */
#ifndef CLIENTS_SYNC_H
#define CLIENTS_SYNC_H

enum window_sync { SYNC_TIMELINES, SYNC_FILES, SYNC_IMPLICIT };

static const char *const sync_names[] __attribute__((unused)) = {
	[SYNC_TIMELINES] = "timelines (wp_linux_drm_syncobj_v1)",
	[SYNC_FILES] = "sync_files (zwp_linux_explicit_synchronization_v1)",
	[SYNC_IMPLICIT] = "fences of the buffer (the compositor has no explicit synchronisation)",
};

#endif /* CLIENTS_SYNC_H */
