/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fixture of the suites that unplug, wedge and plug in the DRM device while clients use it, by
 * the debugfs file "control". The kernel's Documentation/gpu/drm-uapi.rst says what clients may
 * expect.
 */
#ifndef DRM_UNPLUG_H
#define DRM_UNPLUG_H

#include "drm/control.h"
#include "lib/module.h"

FIXTURE(unplug)
{
	int node;
	__u32 timer, worker, manual;
};

FIXTURE_VARIANT(unplug) { const char *kind; };
FIXTURE_VARIANT_ADD(unplug, render) { .kind = "renderD" };
FIXTURE_VARIANT_ADD(unplug, primary) { .kind = "card" };

FIXTURE_SETUP(unplug)
{
	/* No such module where DRM is built in. KUnit's suites have run before. */
	ASSERT_NE(-1, system("modprobe --quiet drm"));
	write_file("/sys/module/kunit/parameters/filter_glob", "none");
	/* The watchdog must not expire during a case. */
	ASSERT_EQ(0, module_load("VFENCE_DRM_KO", "watchdog_ms=600000"));
	need_mount("debugfs", DEBUGFS, CONTROL);
	ASSERT_TRUE(state_is("plugged"));
	self->node = open_soon(variant->kind);
	ASSERT_LE(0, self->node);
	self->timer = timer_queue(self->node);
	self->worker = worker_queue(self->node);
	self->manual = manual_queue(self->node);
	ASSERT_NE(0, self->timer);
	ASSERT_NE(0, self->worker);
	ASSERT_NE(0, self->manual);
}

FIXTURE_TEARDOWN(unplug)
{
	/* A case sets the descriptor to -1 if it has closed it. */
	close(self->node);
	/* A fence that is pending would make the unload hang. */
	EXPECT_EQ(0, module_unload_soon("vfence_drm"));
}

#endif /* DRM_UNPLUG_H */
