// SPDX-License-Identifier: GPL-2.0
/*
 * Loading vfence_drm does not break a compositor that works without it: headless, and with no other
 * variable set, it shows frames of weston-simple-shm without the modules and with them.
 */
#include "client.h"
#include "compositor.h"
#include "lib/module.h"

/* The frames of the client, and the callbacks of its first round trips. */
#define CALLBACKS 20

FIXTURE(plain)
{
};

FIXTURE_VARIANT(plain)
{
	struct compositor compositor;
};

FIXTURE_VARIANT_ADD(plain, weston)
{
	.compositor.argv = { "weston", "--backend=headless", "--no-config", "--idle-time=0",
			     "--socket=wayland-0" },
};

FIXTURE_VARIANT_ADD(plain, sway)
{
	.compositor.argv = { "sway", "--config", "/dev/null" },
	.compositor.env = { "WLR_BACKENDS=headless" },
};

FIXTURE_VARIANT_ADD(plain, labwc)
{
	.compositor.argv = { "labwc", "--config-dir", RUNTIME_DIR },
	.compositor.env = { "WLR_BACKENDS=headless" },
};

FIXTURE_VARIANT_ADD(plain, kwin)
{
	.compositor.argv = { "kwin_wayland", "--virtual", "--no-lockscreen",
			     "--no-global-shortcuts", "--socket", "wayland-0" },
};

FIXTURE_SETUP(plain)
{
}

FIXTURE_TEARDOWN(plain)
{
	module_unload_soon("vfence_drm");
	module_unload_soon("vfence");
}

/* Returns 0 if the compositor, which is started for it, shows the frames of the client. */
static int show_frames(const struct compositor *compositor)
{
	const char *const argv[] = { "weston-simple-shm", NULL };
	struct messages messages = { 0 };
	pid_t process, client;
	bool shown = false;
	int output;

	process = compositor_start(compositor);
	if (process < 0)
		return 1;
	client = client_start(argv, &output);
	if (client > 0) {
		client_follow(output, &messages, &messages.callbacks, CALLBACKS);
		shown = client_stop(client) && messages.callbacks == CALLBACKS && !messages.errors;
	}
	if (!shown)
		compositor_print_log();
	return compositor_stop(process) || !shown;
}

/* Does so as an ordinary user. */
static int user_sees_frames(const struct compositor *compositor)
{
	int status = -1;
	pid_t user;

	fflush(stdout);
	user = fork();
	if (!user) {
		int ret = become_user(false) || show_frames(compositor);

		fflush(stdout);
		_exit(ret);
	}
	waitpid(user, &status, 0);
	return status;
}

TEST_F_TIMEOUT(plain, frames_are_shown_without_the_modules_and_with_them, 600)
{
	ASSERT_EQ(0, user_sees_frames(&variant->compositor));
	ASSERT_EQ(0, module_load("VFENCE_KO", ""));
	ASSERT_EQ(0, system("modprobe --quiet drm"));
	ASSERT_EQ(0, module_load("VFENCE_DRM_KO", ""));
	ASSERT_EQ(0, user_sees_frames(&variant->compositor));
	EXPECT_EQ(0, module_unload_soon("vfence_drm"));
	EXPECT_EQ(0, module_unload_soon("vfence"));
}

int main(int argc, char **argv)
{
	return test_harness_run(argc, argv);
}
