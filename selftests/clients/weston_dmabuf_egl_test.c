// SPDX-License-Identifier: GPL-2.0
/*
 * Weston's own client, weston-simple-dmabuf-egl, unmodified: it renders with EGL into buffers that
 * gbm allocates on the render node of vfence_drm, and shows them in weston with explicit
 * synchronisation.
 */
#include "client.h"
#include "compositor.h"
#include "lib/drm.h"

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
	struct messages messages = { 0 };
	char argument[300];
	const char *const argv[] = { "weston-simple-dmabuf-egl", argument, NULL };
	int output;
	pid_t client;

	snprintf(argument, sizeof(argument), "--drm-render-node=%s", self->node);
	client = client_start(argv, &output);
	ASSERT_LT(0, client);
	client_follow(output, &messages, &messages.releases, 10);
	EXPECT_LE(10, messages.releases);
	EXPECT_LE(messages.releases, messages.acquire_fences);
	EXPECT_LE(messages.acquire_fences, messages.commits);
	EXPECT_EQ(0, messages.errors);
	EXPECT_TRUE(client_stop(client));
}

int main(int argc, char **argv)
{
	return compositor_run("weston", test_harness_run, argc, argv);
}
