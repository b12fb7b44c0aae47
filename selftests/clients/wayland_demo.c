// SPDX-License-Identifier: GPL-2.0
/*
 * Starts a compositor, unmodified, and shows a window in it whose buffers and timelines are on the
 * node of vfence_drm. Prints when the fence of each frame signals, beside when the compositor
 * presents the frame and when the window sees that the compositor has released the buffer.
 */
#include "compositor.h"
#include "frame.h"

struct step {
	const char *what;
	struct vfence_submit job;
};

#define PLAIN { "5 ms", { .duration_ns = 5 * MSEC } }

static const struct step steps[] = {
	PLAIN, PLAIN, PLAIN, PLAIN,
	{ "late: 500 ms", { .duration_ns = 500 * MSEC } }, PLAIN, PLAIN,
	{ "error: EIO", { .duration_ns = 5 * MSEC, .error = -EIO } }, PLAIN, PLAIN,
	{ "hang", { .flags = VFENCE_SUBMIT_HANG } }, PLAIN, PLAIN,
};

/* Prints a time after the commit of the frame, or a dash. */
static void print_after(const struct frame *frame, __u64 time_ns)
{
	if (time_ns)
		printf(" %+11.1f ms", ((double)time_ns - frame->committed_ns) / MSEC);
	else
		printf(" %14s", "-");
}

static void print_row(struct window *window, __u64 number)
{
	struct frame *frame = window_frame(window, number);
	int status = fence_status(frame->fence);

	printf("%5llu  %-14s", number, steps[number - 1].what);
	print_after(frame, fence_timestamp(frame->fence));
	print_after(frame, frame->presented_ns);
	print_after(frame, frame->released_ns);
	printf("   %s\n", status == 1 ? "signalled" : strerrorname_np(-status));
	fflush(stdout);
}

static int show(struct window *window)
{
	__u64 number;

	printf("shows a window of vfence_drm; synchronised by %s\n\n", sync_names[window->sync]);
	printf("After the commit of the frame:\n");
	printf("%5s  %-14s %14s %14s %14s   %s\n", "frame", "job", "fence", "presented",
	       "release seen", "status of the fence");
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		number = frame_show(window, steps[i].job);
		if (!number) {
			printf("frame %zu was not presented\n", i + 1);
			return 1;
		}
		/* The frame before has been replaced; its release tells when. */
		if (number > 1 && frame_wait_released(window, number - 1)) {
			printf("frame %zu was not released\n", i);
			return 1;
		}
		if (number > 1)
			print_row(window, number - 1);
	}
	print_row(window, number);
	return 0;
}

int main(int argc, char **argv)
{
	const struct compositor *compositor = argc == 2 ? compositor_named(argv[1]) : NULL;
	static struct window window;
	char version[128];
	pid_t process;
	int ret;

	if (!compositor) {
		fprintf(stderr, "usage: wayland_demo COMPOSITOR\n");
		return 2;
	}
	if (become_user(false))
		return 1;
	printf("starting %s, which takes a while without KVM\n", compositor->name);
	process = compositor_start(compositor);
	if (process < 0)
		return 1;
	if (window_open(&window)) {
		fprintf(stderr, "%s lacks a protocol, or refused a buffer\n", compositor->name);
		compositor_print_log();
		ret = 1;
	} else {
		compositor_version(compositor, version, sizeof(version));
		printf("%s ", version);
		ret = show(&window);
	}
	window_close(&window);
	return compositor_stop(process) || ret;
}
