/* SPDX-License-Identifier: GPL-2.0 */
/* The frames of a window: their jobs, commits, presentations and releases. */
#ifndef CLIENTS_FRAME_H
#define CLIENTS_FRAME_H

#include "window.h"

static inline void feedback_output(void *data, struct wp_presentation_feedback *feedback,
				   struct wl_output *output)
{
	(void)data, (void)feedback, (void)output;
}

/*
 * The time of presentation is that of the event: weston computes the event's timestamp from the
 * refresh rate, and it is too early when the frame took longer than a refresh period.
 */
static inline void feedback_presented(void *data, struct wp_presentation_feedback *feedback,
				      uint32_t sec_high, uint32_t sec_low, uint32_t nsec,
				      uint32_t refresh, uint32_t sequence_high,
				      uint32_t sequence_low, uint32_t flags)
{
	((struct frame *)data)->presented_ns = now_ns();
	wp_presentation_feedback_destroy(feedback);
	(void)sec_high, (void)sec_low, (void)nsec, (void)refresh, (void)sequence_high;
	(void)sequence_low, (void)flags;
}

static inline void feedback_discarded(void *data, struct wp_presentation_feedback *feedback)
{
	((struct frame *)data)->discarded = true;
	wp_presentation_feedback_destroy(feedback);
}

static const struct wp_presentation_feedback_listener feedback_listener = {
	.sync_output = feedback_output,
	.presented = feedback_presented,
	.discarded = feedback_discarded,
};

static inline void release_fenced(void *data, struct zwp_linux_buffer_release_v1 *release,
				  int32_t fence)
{
	struct frame *frame = data;

	frame->release_fence = fence;
	frame->released_ns = now_ns();
	zwp_linux_buffer_release_v1_destroy(release);
}

static inline void release_immediate(void *data, struct zwp_linux_buffer_release_v1 *release)
{
	((struct frame *)data)->released_ns = now_ns();
	zwp_linux_buffer_release_v1_destroy(release);
}

static const struct zwp_linux_buffer_release_v1_listener release_listener = {
	.fenced_release = release_fenced, .immediate_release = release_immediate,
};

static inline void buffer_release(void *data, struct wl_buffer *buffer)
{
	struct frame *frame = data;

	if (!frame->released_ns)
		frame->released_ns = now_ns();
	(void)buffer;
}

static const struct wl_buffer_listener buffer_listener = { .release = buffer_release };

/* Returns whether the compositor has released a frame's buffer. The release may have a fence. */
static inline bool frame_is_released(struct window *window, __u64 number)
{
	struct frame *frame = window_frame(window, number);

	if (window->sync == SYNC_TIMELINES && !frame->released_ns &&
	    !syncobj_wait_until(window->node, window->release, number,
				DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE, 0))
		frame->released_ns = now_ns();
	return frame->released_ns;
}

/* Waits until the compositor has released a frame's buffer. Returns 0 if it has. */
static inline int frame_wait_released(struct window *window, __u64 number)
{
	return window_until(window, frame_is_released(window, number)) ? 0 : -1;
}

/*
 * Submits the job of a frame: it fills the frame's buffer and signals the acquire point. @job has
 * its duration, its error and its flags. Returns 0, or -1.
 */
static inline int frame_submit(struct window *window, __u64 number, struct vfence_submit job)
{
	struct window_buffer *buffer = &window->buffers[number % WINDOW_BUFFERS];
	struct frame *frame = window_frame(window, number);
	struct vfence_use use = {
		.fd = buffer->handle, .flags = DRM_VFENCE_USE_HANDLE | VFENCE_USE_WRITE,
	};
	struct vfence_operation fill = {
		.kind = VFENCE_OPERATION_FILL, .length = WINDOW_SIZE * WINDOW_SIZE * 4,
		.pattern = 0xff000000 | (0x3f1f0f * number & 0xffffff), .pattern_size = 4,
	};
	struct drm_vfence_sync in = { .handle = window->release, .point = buffer->frame };
	struct drm_vfence_sync out = { .handle = window->acquire, .point = number };
	bool waits = buffer->frame && window->sync == SYNC_TIMELINES;

	if (window->sync != SYNC_IMPLICIT)
		use.flags |= VFENCE_USE_NO_WAIT | VFENCE_USE_NO_ADD;
	if (buffer->frame && window->sync == SYNC_FILES &&
	    window_frame(window, buffer->frame)->release_fence >= 0) {
		job.in_fences = ptr_to_u64(&window_frame(window, buffer->frame)->release_fence);
		job.in_fence_count = 1;
	}
	job.queue = window->queue;
	job.flags |= VFENCE_SUBMIT_OUT_FENCE;
	job.uses = ptr_to_u64(&use);
	job.use_count = 1;
	job.use_size = sizeof(use);
	job.operations = ptr_to_u64(&fill);
	job.operation_count = 1;
	job.operation_size = sizeof(fill);
	if (drm_submit(window->node, &job, waits ? &in : NULL, &out))
		return -1;
	buffer->frame = number;
	frame->fence = job.out_fence;
	return 0;
}

/* Begins the next frame: waits for its buffer. Returns its number, or 0. */
static inline __u64 frame_begin(struct window *window)
{
	__u64 number = window->last + 1;
	struct window_buffer *buffer = &window->buffers[number % WINDOW_BUFFERS];

	if (buffer->frame && frame_wait_released(window, buffer->frame))
		return 0;
	*window_frame(window, number) = (struct frame) { .fence = -1, .release_fence = -1 };
	window->last = number;
	return number;
}

/* Commits a frame. With timelines its job may be submitted later. */
static inline void frame_commit(struct window *window, __u64 number)
{
	struct window_buffer *buffer = &window->buffers[number % WINDOW_BUFFERS];
	struct frame *frame = window_frame(window, number);
	struct wp_presentation_feedback *feedback;

	wl_surface_attach(window->surface, buffer->proxy, 0, 0);
	wl_surface_damage_buffer(window->surface, 0, 0, WINDOW_SIZE, WINDOW_SIZE);
	if (window->sync == SYNC_TIMELINES) {
		wp_linux_drm_syncobj_surface_v1_set_acquire_point(
			window->timeline_surface, window->acquire_proxy, number >> 32, number);
		wp_linux_drm_syncobj_surface_v1_set_release_point(
			window->timeline_surface, window->release_proxy, number >> 32, number);
	} else if (window->sync == SYNC_FILES) {
		zwp_linux_surface_synchronization_v1_set_acquire_fence(window->file_surface,
								       frame->fence);
		zwp_linux_buffer_release_v1_add_listener(
			zwp_linux_surface_synchronization_v1_get_release(window->file_surface),
			&release_listener, frame);
	}
	if (window->sync == SYNC_IMPLICIT) {
		if (!wl_proxy_get_listener((struct wl_proxy *)buffer->proxy))
			wl_buffer_add_listener(buffer->proxy, &buffer_listener, frame);
		wl_buffer_set_user_data(buffer->proxy, frame);
	}
	feedback = wp_presentation_feedback(window->presentation, window->surface);
	wp_presentation_feedback_add_listener(feedback, &feedback_listener, frame);
	frame->committed_ns = now_ns();
	wl_surface_commit(window->surface);
	wl_display_flush(window->display);
}

/* Waits until a frame has been presented. Returns 0 if it has. */
static inline int frame_wait_presented(struct window *window, __u64 number)
{
	struct frame *frame = window_frame(window, number);

	return window_until(window, frame->presented_ns || frame->discarded) &&
	       frame->presented_ns ? 0 : -1;
}

/* Submits, commits and presents a frame. Returns its number, or 0. */
static inline __u64 frame_show(struct window *window, struct vfence_submit job)
{
	__u64 number = frame_begin(window);

	if (!number || frame_submit(window, number, job))
		return 0;
	frame_commit(window, number);
	return frame_wait_presented(window, number) ? 0 : number;
}

#endif /* CLIENTS_FRAME_H */
