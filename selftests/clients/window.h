/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A window whose buffers and timelines are on the node of vfence_drm.
 *
 * Each frame has a number. A job of the node fills the frame's buffer; its fence is the acquire
 * point of the frame. The job waits for the release point of the frame that had the buffer before.
 * Both points have the frame's number. The window uses the best protocol that the compositor has:
 * timelines (wp_linux_drm_syncobj_v1), sync_files (zwp_linux_explicit_synchronization_v1), or the
 * fences in the reservation object of the buffer.
 */
#ifndef CLIENTS_WINDOW_H
#define CLIENTS_WINDOW_H

#include <drm_fourcc.h>
#include <poll.h>
#include <stdbool.h>
#include <wayland-client.h>
#include "lib/drm.h"
#include "linux-dmabuf-v1.h"
#include "linux-drm-syncobj-v1.h"
#include "linux-explicit-synchronization-unstable-v1.h"
#include "presentation-time.h"
#include "sync.h"
#include "xdg-shell.h"

/* Bounds each wait for the compositor, which is slow in an emulated guest. */
#define COMPOSITOR_MS 120000
#define WINDOW_SIZE 256
#define WINDOW_BUFFERS 3
#define MAX_FRAMES 256

/* Times are in ns on CLOCK_MONOTONIC, and 0 as long as the event has not occurred. */
struct frame {
	__u64 committed_ns;
	__u64 presented_ns;
	/* When the window saw that the compositor has released the buffer. */
	__u64 released_ns;
	bool discarded;
	/* A sync_file of the job. */
	int fence;
	/* The compositor's sync_file, or -1. */
	int release_fence;
};

struct window_buffer {
	struct wl_buffer *proxy;
	__u32 handle;
	/* The frame that has the buffer; 0 for none. */
	__u64 frame;
};

struct window {
	struct wl_display *display;
	struct wl_compositor *compositor;
	struct xdg_wm_base *shell;
	struct zwp_linux_dmabuf_v1 *dmabuf;
	struct wp_linux_drm_syncobj_manager_v1 *timelines;
	struct zwp_linux_explicit_synchronization_v1 *files;
	struct wp_presentation *presentation;

	struct wl_surface *surface;
	struct xdg_surface *xdg_surface;
	struct xdg_toplevel *toplevel;
	struct wp_linux_drm_syncobj_surface_v1 *timeline_surface;
	struct zwp_linux_surface_synchronization_v1 *file_surface;
	struct wp_linux_drm_syncobj_timeline_v1 *acquire_proxy, *release_proxy;
	bool configured;
	enum window_sync sync;

	int node;
	__u32 queue;
	/* Handles of the two timelines. */
	__u32 acquire, release;
	struct window_buffer buffers[WINDOW_BUFFERS];
	/* The number of the last frame, from 1. */
	__u64 last;
	struct frame frames[MAX_FRAMES];
};

static inline void shell_ping(void *data, struct xdg_wm_base *shell, uint32_t serial)
{
	(void)data;
	xdg_wm_base_pong(shell, serial);
}

static const struct xdg_wm_base_listener shell_listener = { .ping = shell_ping };

static inline void registry_global(void *data, struct wl_registry *registry, uint32_t name,
				   const char *interface, uint32_t version)
{
	struct window *window = data;

#define BIND(field, type, newest) \
	if (!strcmp(interface, type##_interface.name)) \
		window->field = wl_registry_bind(registry, name, &type##_interface, \
						 version < (newest) ? version : (newest))
	BIND(compositor, wl_compositor, 4);
	BIND(shell, xdg_wm_base, 1);
	BIND(dmabuf, zwp_linux_dmabuf_v1, 3);
	BIND(timelines, wp_linux_drm_syncobj_manager_v1, 1);
	BIND(files, zwp_linux_explicit_synchronization_v1, 2);
	BIND(presentation, wp_presentation, 1);
#undef BIND
	if (!strcmp(interface, xdg_wm_base_interface.name))
		xdg_wm_base_add_listener(window->shell, &shell_listener, window);
}

static inline void registry_remove(void *data, struct wl_registry *registry, uint32_t name)
{
	(void)data, (void)registry, (void)name;
}

static const struct wl_registry_listener registry_listener = {
	.global = registry_global, .global_remove = registry_remove,
};

static inline void surface_configure(void *data, struct xdg_surface *surface, uint32_t serial)
{
	xdg_surface_ack_configure(surface, serial);
	((struct window *)data)->configured = true;
}

static const struct xdg_surface_listener surface_listener = { .configure = surface_configure };

static inline void toplevel_configure(void *data, struct xdg_toplevel *toplevel, int32_t width,
				      int32_t height, struct wl_array *states)
{
	(void)data, (void)toplevel, (void)width, (void)height, (void)states;
}

static inline void toplevel_close(void *data, struct xdg_toplevel *toplevel)
{
	(void)data, (void)toplevel;
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = toplevel_configure, .close = toplevel_close,
};

/*
 * Dispatches the events that arrive within @timeout_ms. Returns -1 if the connection has ended.
 */
static inline int window_dispatch(struct window *window, int timeout_ms)
{
	struct pollfd pollfd = { .fd = wl_display_get_fd(window->display), .events = POLLIN };

	if (wl_display_dispatch_pending(window->display) < 0)
		return -1;
	if (wl_display_flush(window->display) < 0 && errno != EAGAIN)
		return -1;
	if (poll(&pollfd, 1, timeout_ms) > 0 && wl_display_dispatch(window->display) < 0)
		return -1;
	return wl_display_dispatch_pending(window->display) < 0 ? -1 : 0;
}

/* Dispatches events until @condition holds. Evaluates to whether it does. */
#define window_until(window, condition) \
	({ \
		__u64 end_ = now_ns() + COMPOSITOR_MS * MSEC; \
		while (!(condition) && now_ns() < end_ && !window_dispatch(window, 10)) \
			; \
		(condition); \
	})

/* Dispatches events for a while. Returns -1 if the connection has ended. */
static inline int window_dispatch_for(struct window *window, __u64 duration_ns)
{
	__u64 end = now_ns() + duration_ns;
	int ret = 0;

	while (!ret && now_ns() < end)
		ret = window_dispatch(window, 10);
	return ret;
}

static inline struct frame *window_frame(struct window *window, __u64 number)
{
	return &window->frames[number % MAX_FRAMES];
}

/* Wraps a dma-buf of the node in a wl_buffer. */
static inline int window_buffer_create(struct window *window, struct window_buffer *buffer)
{
	struct drm_vfence_gem_create create = { .size = WINDOW_SIZE * WINDOW_SIZE * 4 };
	struct zwp_linux_buffer_params_v1 *params;
	int fd;

	buffer->handle = gem_create(window->node, &create);
	if (!buffer->handle ||
	    drmPrimeHandleToFD(window->node, buffer->handle, DRM_CLOEXEC | DRM_RDWR, &fd))
		return -1;
	params = zwp_linux_dmabuf_v1_create_params(window->dmabuf);
	zwp_linux_buffer_params_v1_add(params, fd, 0, 0, WINDOW_SIZE * 4,
				       DRM_FORMAT_MOD_LINEAR >> 32,
				       (uint32_t)DRM_FORMAT_MOD_LINEAR);
	buffer->proxy = zwp_linux_buffer_params_v1_create_immed(params, WINDOW_SIZE, WINDOW_SIZE,
								DRM_FORMAT_XRGB8888, 0);
	zwp_linux_buffer_params_v1_destroy(params);
	close(fd);
	return buffer->proxy ? 0 : -1;
}

/* Shares a timeline of the node with the compositor. Returns its handle, or 0. */
static inline __u32 window_timeline(struct window *window,
				    struct wp_linux_drm_syncobj_timeline_v1 **proxy)
{
	__u32 handle = syncobj_create(window->node);
	int fd;

	if (!handle || drmSyncobjHandleToFD(window->node, handle, &fd))
		return 0;
	if (window->sync == SYNC_TIMELINES)
		*proxy = wp_linux_drm_syncobj_manager_v1_import_timeline(window->timelines, fd);
	close(fd);
	return handle;
}

/* Connects to WAYLAND_DISPLAY and opens a window. Returns 0, or -1 if anything is missing. */
static inline int window_open(struct window *window)
{
	struct wl_registry *registry;

	memset(window, 0, sizeof(*window));
	window->node = render_open();
	window->queue = worker_queue(window->node);
	window->display = wl_display_connect(NULL);
	if (window->node < 0 || !window->queue || !window->display)
		return -1;
	registry = wl_display_get_registry(window->display);
	wl_registry_add_listener(registry, &registry_listener, window);
	if (wl_display_roundtrip(window->display) < 0 ||
	    wl_display_roundtrip(window->display) < 0 || !window->compositor || !window->shell ||
	    !window->dmabuf || !window->presentation)
		return -1;
	window->sync = window->timelines ? SYNC_TIMELINES :
		       window->files ? SYNC_FILES : SYNC_IMPLICIT;
	window->acquire = window_timeline(window, &window->acquire_proxy);
	window->release = window_timeline(window, &window->release_proxy);
	window->surface = wl_compositor_create_surface(window->compositor);
	window->xdg_surface = xdg_wm_base_get_xdg_surface(window->shell, window->surface);
	xdg_surface_add_listener(window->xdg_surface, &surface_listener, window);
	window->toplevel = xdg_surface_get_toplevel(window->xdg_surface);
	xdg_toplevel_add_listener(window->toplevel, &toplevel_listener, window);
	if (window->sync == SYNC_TIMELINES)
		window->timeline_surface = wp_linux_drm_syncobj_manager_v1_get_surface(
			window->timelines, window->surface);
	if (window->sync == SYNC_FILES)
		window->file_surface = zwp_linux_explicit_synchronization_v1_get_synchronization(
			window->files, window->surface);
	for (int i = 0; i < WINDOW_BUFFERS; i++)
		if (window_buffer_create(window, &window->buffers[i]))
			return -1;
	wl_surface_commit(window->surface);
	return window->acquire && window->release &&
	       window_until(window, window->configured) ? 0 : -1;
}

/* Closes the connection and the node: the node's jobs that are still pending are cancelled. */
static inline void window_close(struct window *window)
{
	if (window->display)
		wl_display_disconnect(window->display);
	if (window->node >= 0)
		close(window->node);
}

#endif /* CLIENTS_WINDOW_H */
