// SPDX-License-Identifier: GPL-2.0
/* The DRM device is wedged: the uevent, the calls of its clients, and its return. */
#include <linux/netlink.h>
#include "drm/unplug.h"

/* Returns a socket that receives the uevents of the kernel. */
static int uevent_socket(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Waits for a uevent with the variable @wanted. Returns whether it is a change of a DRM node. */
static bool receives_change(int uevents, const char *wanted)
{
	struct pollfd pollfd = { .fd = uevents, .events = POLLIN };
	char text[8192];

	while (poll(&pollfd, 1, PATIENCE_MS) > 0) {
		ssize_t length = recv(uevents, text, sizeof(text) - 1, 0);
		bool found = false, change = false, drm = false;

		if (length < 0)
			return false;
		text[length] = 0;
		for (char *word = text; word < &text[length]; word += strlen(word) + 1) {
			found |= !strcmp(word, wanted);
			change |= !strcmp(word, "ACTION=change");
			drm |= !strcmp(word, "SUBSYSTEM=drm");
		}
		if (found)
			return change && drm;
	}
	return false;
}

TEST_F(unplug, wedged_device_refuses_calls_until_it_returns)
{
	struct {
		const char *command;
		const char *uevent;
	} ways[] = {
		{ "wedge rebind", "WEDGED=rebind" },
		{ "wedge bus-reset", "WEDGED=bus-reset" },
		{ "wedge vendor-specific", "WEDGED=vendor-specific" },
		{ "wedge bus-reset,rebind", "WEDGED=rebind,bus-reset" },
		{ "wedge", "WEDGED=unknown" },
	};
	struct vfence_query query = { 0 };
	struct drm_vfence_gem_create gem = { .size = 4096 };
	struct vfence_event event;
	uint64_t cap;
	int uevents = uevent_socket();

	ASSERT_LE(0, uevents);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		int fences[] = {
			submit(self->node, self->timer, 300 * SEC),
			submit(self->node, self->worker, 300 * SEC),
			submit(self->node, self->manual, 0),
		};
		int late;

		ASSERT_NE(0, gem_create(self->node, &gem));
		ASSERT_EQ(0, command(ways[i].command));
		for (size_t j = 0; j < ARRAY_LEN(fences); j++) {
			EXPECT_EQ(-EIO, fence_status(fences[j]));
			close(fences[j]);
		}
		EXPECT_TRUE(receives_change(uevents, ways[i].uevent)) {
			TH_LOG("%s", ways[i].uevent);
		}
		EXPECT_REFUSED(EIO, device_ioctl(self->node, VFENCE_IOCTL_QUERY, &query));
		EXPECT_REFUSED(EIO, queue_reset(self->node, self->timer, NULL));
		EXPECT_NE(0, drmGetCap(self->node, DRM_CAP_PRIME, &cap));
		EXPECT_EQ(EIO, errno);
		EXPECT_REFUSED(EIO, read(self->node, &event, sizeof(event)));
		EXPECT_EQ(MAP_FAILED, gem_map(self->node, gem.mmap_offset, 4096));
		EXPECT_EQ(EIO, errno);
		EXPECT_EQ(MAP_FAILED, (void *)map_counters(self->node, 4096));
		EXPECT_EQ(EIO, errno);
		EXPECT_EQ(POLLERR | POLLHUP, polled(self->node, POLLIN));
		/* The node is still there. */
		late = reopen(self->node);
		ASSERT_LE(0, late);
		EXPECT_REFUSED(EIO, device_ioctl(late, VFENCE_IOCTL_QUERY, &query));
		ASSERT_EQ(0, command("unplug"));
		EXPECT_REFUSED(ENODEV, device_ioctl(late, VFENCE_IOCTL_QUERY, &query));
		EXPECT_REFUSED(ENODEV, device_ioctl(self->node, VFENCE_IOCTL_QUERY, &query));
		close(late);
		close(self->node);
		ASSERT_EQ(0, command("plug"));
		self->node = open_soon(variant->kind);
		ASSERT_LE(0, self->node);
		self->timer = timer_queue(self->node);
		self->worker = worker_queue(self->node);
		self->manual = manual_queue(self->node);
	}
	close(uevents);
}

/* "none" says that the driver has recovered the device. */
TEST_F(unplug, wedge_without_recovery_resets_the_queues)
{
	int uevents = uevent_socket();
	int hanging = submit(self->node, self->timer, 300 * SEC);
	int behind = submit(self->node, self->timer, 0);
	int manual = submit(self->node, self->manual, 0);
	struct vfence_queue_info info;

	ASSERT_LE(0, uevents);
	ASSERT_EQ(0, command("wedge none"));
	EXPECT_EQ(-ECANCELED, fence_wait(hanging));
	EXPECT_EQ(1, fence_wait(behind));
	EXPECT_EQ(0, fence_status(manual));
	EXPECT_TRUE(receives_change(uevents, "WEDGED=none"));
	EXPECT_TRUE(state_is("plugged"));
	ASSERT_EQ(0, queue_info(self->node, self->worker, &info));
	EXPECT_EQ(1, info.resets);
	EXPECT_EQ(1, signal_seqno(self->node, self->manual, 1, 0));
	EXPECT_EQ(1, fence_wait(manual));
	close(hanging);
	close(behind);
	close(manual);
	close(uevents);
}

TEST_HARNESS_MAIN
