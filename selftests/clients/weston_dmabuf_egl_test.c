// SPDX-License-Identifier: GPL-2.0
/*
 * Weston's own client, weston-simple-dmabuf-egl, unmodified: it renders with EGL into buffers that
 * gbm allocates on the render node of vfence_drm, and shows them in weston with explicit
 * synchronisation. Its progress is read from what libwayland prints with WAYLAND_DEBUG=1.
 */
#include "compositor.h"
#include "lib/drm.h"

#define CLIENT "weston-simple-dmabuf-egl"
/* Bounds the time until the frames have been shown, in an emulated guest. */
#define CLIENT_MS 240000

/* Starts the client. Returns its process, and in @output the pipe of its messages. */
static pid_t client_start(const char *node, int *output)
{
	int fds[2];
	pid_t client;

	if (pipe(fds))
		return -1;
	client = fork();
	if (!client) {
		char argument[300];

		snprintf(argument, sizeof(argument), "--drm-render-node=%s", node);
		setenv("LIBGL_ALWAYS_SOFTWARE", "1", 1);
		setenv("WAYLAND_DEBUG", "1", 1);
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		close(fds[0]);
		execlp(CLIENT, CLIENT, argument, NULL);
		_exit(127);
	}
	close(fds[1]);
	*output = fds[0];
	return client;
}

struct messages {
	int commits, acquire_fences, releases, errors;
};

static void count(const char *line, struct messages *messages)
{
	messages->commits += !!strstr(line, ".commit(");
	messages->acquire_fences += !!strstr(line, ".set_acquire_fence(");
	messages->releases += strstr(line, ".fenced_release(") ||
			      strstr(line, ".immediate_release(");
	messages->errors += !!strstr(line, "wl_display#1.error(") ||
			    !!strstr(line, "wl_display@1.error(");
}

FIXTURE(egl)
{
	char *node;
};

FIXTURE_SETUP(egl)
{
	int render = render_open();

	self->node = drmGetRenderDeviceNameFromFd(render);
	close(render);
	ASSERT_NE(NULL, self->node);
}

FIXTURE_TEARDOWN(egl)
{
	free(self->node);
}

TEST_F_TIMEOUT(egl, frames_are_shown_with_fences, 400)
{
	__u64 end = now_ns() + CLIENT_MS * MSEC;
	struct messages messages = { 0 };
	char line[1024];
	size_t length = 0;
	int output;
	pid_t client;

	client = client_start(self->node, &output);
	ASSERT_LT(0, client);
	while (messages.releases < 10 && now_ns() < end) {
		struct pollfd pollfd = { .fd = output, .events = POLLIN };
		char byte;

		if (poll(&pollfd, 1, 1000) > 0 && read(output, &byte, 1) < 1)
			break;
		if (!(pollfd.revents & POLLIN))
			continue;
		if (byte != '\n' && length < sizeof(line) - 1) {
			line[length++] = byte;
			continue;
		}
		line[length] = '\0';
		length = 0;
		count(line, &messages);
		if (line[0] != '[')
			printf("# %s\n", line);
	}
	EXPECT_LE(10, messages.releases);
	EXPECT_LE(messages.releases, messages.acquire_fences);
	EXPECT_LE(messages.acquire_fences, messages.commits);
	EXPECT_EQ(0, messages.errors);
	/* The client still runs. */
	EXPECT_EQ(0, waitpid(client, NULL, WNOHANG));
	kill(client, SIGKILL);
	waitpid(client, NULL, 0);
}

int main(int argc, char **argv)
{
	return compositor_run("weston", test_harness_run, argc, argv);
}
