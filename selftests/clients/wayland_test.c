// SPDX-License-Identifier: GPL-2.0
/*
 * A compositor of the distribution, unmodified, shows a window whose buffers, acquire points and
 * release points are on the node of vfence_drm. Both run as an ordinary user of group render.
 *
 * COMPOSITOR is the compositor's name. One process of it serves all cases, so a case also fails if
 * the compositor did not survive the case before.
 */
#include "compositor.h"
#include "frame.h"

/* A window shows some frames: the compositor runs. */
#define EXPECT_FRAMES(window, count) \
	for (int frame_ = 0; frame_ < (count); frame_++) \
		ASSERT_NE(0, frame_show(window, (struct vfence_submit) { .duration_ns = MSEC }))

FIXTURE(wayland)
{
	struct window window;
};

FIXTURE_SETUP(wayland)
{
	const struct compositor *compositor = compositor_named(COMPOSITOR);

	ASSERT_EQ(0, window_open(&self->window));
	ASSERT_TRUE(compositor_is_peer(wl_display_get_fd(self->window.display)));
	ASSERT_EQ(compositor->sync, self->window.sync)
		TH_LOG("the compositor synchronises by %s", sync_names[self->window.sync]);
}

FIXTURE_TEARDOWN(wayland)
{
	window_close(&self->window);
}

/* How long the compositor is observed to wait for a point that has not been submitted. */
#define UNSUBMITTED_NS (500 * MSEC)

/* A frame is not shown before the fence of its job has signalled. */
#define EXPECT_SHOWN_AFTER_FENCE(frame) \
	do { \
		EXPECT_NE(0, fence_status((frame)->fence)); \
		EXPECT_LE(fence_timestamp((frame)->fence), (frame)->presented_ns); \
	} while (0)

TEST_F_TIMEOUT(wayland, frames_are_shown_after_their_points_and_released, 400)
{
	struct window *window = &self->window;
	struct vfence_submit job = { .duration_ns = 5 * MSEC };

	printf("measured: " COMPOSITOR " synchronises by %s\n", sync_names[window->sync]);
	for (int i = 0; i < 10; i++) {
		__u64 number = frame_show(window, job);

		ASSERT_NE(0, number);
		EXPECT_SHOWN_AFTER_FENCE(window_frame(window, number));
		EXPECT_EQ(1, fence_status(window_frame(window, number)->fence));
	}
	/* The last frame keeps its buffer. */
	for (__u64 number = 1; number < window->last; number++)
		EXPECT_EQ(0, frame_wait_released(window, number));
	EXPECT_FALSE(frame_is_released(window, window->last));
}

/* Submits a job that waits for a release point, which need not have been submitted. */
static int submit_after_release(struct window *window, __u32 queue, __u64 point)
{
	struct vfence_submit job = { .queue = queue };
	struct drm_vfence_sync in = {
		.handle = window->release,
		.flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT,
		.point = point,
	};
	__u64 end = now_ns() + COMPOSITOR_MS * MSEC;
	int ret;

	do
		ret = drm_submit(window->node, &job, &in, NULL);
	while (ret && errno == ETIME && now_ns() < end);
	return ret;
}

/* The compositor releases the buffer of frame 1 after the commit of frame 2, and not before. */
TEST_F_TIMEOUT(wayland, job_waits_for_the_release_of_its_buffer, 400)
{
	struct window *window = &self->window;
	__u32 queue = timer_queue(window->node);
	struct vfence_submit job = { .queue = queue };
	struct drm_vfence_sync in = { .handle = window->release, .point = 1 };
	int status = -1;
	pid_t child;

	if (window->sync != SYNC_TIMELINES)
		SKIP(return, "the compositor has no release timeline");
	EXPECT_FRAMES(window, 1);
	EXPECT_REFUSED(EINVAL, drm_submit(window->node, &job, &in, NULL));
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(!!submit_after_release(window, queue, 1));
	}
	EXPECT_EQ(0, window_dispatch_for(window, UNSUBMITTED_NS));
	EXPECT_EQ(0, waitpid(child, NULL, WNOHANG));
	EXPECT_EQ(0, queue_submitted(window->node, queue));
	EXPECT_FRAMES(window, 1);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_EQ(0, wait_job(window->node, queue, 1));
	EXPECT_LE(window_frame(window, 2)->committed_ns,
		  job_of(window->node, queue, 1).start_ns);
}

TEST_F_TIMEOUT(wayland, late_frame_is_shown_after_its_point, 400)
{
	struct window *window = &self->window;
	__u64 number;

	EXPECT_FRAMES(window, 1);
	number = frame_show(window, (struct vfence_submit) { .duration_ns = 2 * SEC });
	ASSERT_NE(0, number);
	EXPECT_SHOWN_AFTER_FENCE(window_frame(window, number));
	EXPECT_LE(window_frame(window, number)->committed_ns,
		  fence_timestamp(window_frame(window, number)->fence));
	EXPECT_FRAMES(window, 3);
}

TEST_F_TIMEOUT(wayland, frame_whose_point_is_submitted_after_the_commit_is_shown, 400)
{
	struct window *window = &self->window;
	__u64 number;

	if (window->sync != SYNC_TIMELINES)
		SKIP(return, "the compositor has no acquire timeline");
	EXPECT_FRAMES(window, 1);
	number = frame_begin(window);
	ASSERT_NE(0, number);
	frame_commit(window, number);
	/* The compositor answers, so it does not block on the point. */
	EXPECT_LE(0, wl_display_roundtrip(window->display));
	EXPECT_EQ(0, window_dispatch_for(window, UNSUBMITTED_NS));
	EXPECT_EQ(0, window_frame(window, number)->presented_ns);
	EXPECT_FALSE(window_frame(window, number)->discarded);
	ASSERT_EQ(0, frame_submit(window, number, (struct vfence_submit) { .duration_ns = SEC }));
	EXPECT_EQ(0, frame_wait_presented(window, number));
	EXPECT_SHOWN_AFTER_FENCE(window_frame(window, number));
	EXPECT_FRAMES(window, 3);
}

TEST_F_TIMEOUT(wayland, frame_with_an_error_is_shown, 400)
{
	struct window *window = &self->window;
	__u64 number;

	EXPECT_FRAMES(window, 1);
	number = frame_show(window, (struct vfence_submit) { .duration_ns = MSEC, .error = -EIO });
	ASSERT_NE(0, number);
	EXPECT_EQ(-EIO, fence_status(window_frame(window, number)->fence));
	EXPECT_FRAMES(window, 3);
	EXPECT_EQ(0, frame_wait_released(window, number));
}

TEST_F_TIMEOUT(wayland, hung_frame_is_shown_after_the_watchdog, 400)
{
	struct window *window = &self->window;
	__u64 number;

	EXPECT_FRAMES(window, 1);
	number = frame_show(window, (struct vfence_submit) { .flags = VFENCE_SUBMIT_HANG });
	ASSERT_NE(0, number);
	EXPECT_EQ(-ETIMEDOUT, fence_status(window_frame(window, number)->fence));
	EXPECT_SHOWN_AFTER_FENCE(window_frame(window, number));
	EXPECT_FRAMES(window, 3);
	EXPECT_EQ(0, frame_wait_released(window, number));
}

TEST_F_TIMEOUT(wayland, other_windows_are_shown_after_a_client_leaves_with_a_pending_point, 400)
{
	struct window *gone = malloc(sizeof(*gone));
	__u64 number;

	ASSERT_EQ(0, window_open(gone));
	number = frame_begin(gone);
	ASSERT_NE(0, number);
	ASSERT_EQ(0, frame_submit(gone, number,
				  (struct vfence_submit) { .flags = VFENCE_SUBMIT_HANG }));
	frame_commit(gone, number);
	window_close(gone);
	EXPECT_EQ(-ECANCELED, fence_wait(window_frame(gone, number)->fence));
	EXPECT_FRAMES(&self->window, 3);
	free(gone);
}

int main(int argc, char **argv)
{
	return compositor_run(COMPOSITOR, test_harness_run, argc, argv);
}
