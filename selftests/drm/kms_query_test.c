// SPDX-License-Identifier: GPL-2.0
/* The lists of outputs and planes, which a device without outputs does not have. */
#include <drm/drm_mode.h>
#include "lib/drm.h"

/* Returns the primary node, open with @flags. */
static int card_open(int flags)
{
	int card = drm_node_open("card", "vfence"), again;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", card);
	again = open(path, flags | O_CLOEXEC);
	close(card);
	return again;
}

/* X.Org and KWin 5 display on a device that has a list, even if it is empty. */
TEST(display_servers_find_no_lists)
{
	int nodes[] = { card_open(O_RDWR), card_open(O_WRONLY) };

	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		struct drm_mode_card_res resources = { 0 };
		struct drm_mode_get_plane_res planes = { 0 };

		ASSERT_LE(0, nodes[i]);
		EXPECT_REFUSED(EOPNOTSUPP, ioctl(nodes[i], DRM_IOCTL_MODE_GETRESOURCES,
						 &resources));
		EXPECT_REFUSED(EOPNOTSUPP, ioctl(nodes[i], DRM_IOCTL_MODE_GETPLANERESOURCES,
						 &planes));
		close(nodes[i]);
	}
}

/* drm_info opens nodes for reading, and prints nothing of a device without lists. */
TEST(readers_find_empty_lists)
{
	int card = card_open(O_RDONLY);
	struct {
		struct drm_mode_card_res resources;
		unsigned char behind;
	} reply;
	struct drm_mode_get_plane_res planes = { .count_planes = 7 };

	ASSERT_LE(0, card);
	memset(&reply, 0xff, sizeof(reply));
	EXPECT_EQ(0, ioctl(card, DRM_IOCTL_MODE_GETRESOURCES, &reply.resources));
	EXPECT_EQ(0, reply.resources.count_connectors);
	EXPECT_EQ(0, reply.resources.count_crtcs);
	EXPECT_EQ(0, reply.resources.count_encoders);
	EXPECT_EQ(0, reply.resources.count_fbs);
	EXPECT_EQ(0xff, reply.behind);
	EXPECT_EQ(0, ioctl(card, DRM_IOCTL_MODE_GETPLANERESOURCES, &planes));
	EXPECT_EQ(0, planes.count_planes);
	EXPECT_REFUSED(EFAULT, ioctl(card, DRM_IOCTL_MODE_GETRESOURCES, 1));
	/* Other ioctls of KMS are refused. The size in the number limits what is written. */
	EXPECT_REFUSED(EOPNOTSUPP, ioctl(card, DRM_IOCTL_MODE_GETCRTC, &(struct drm_mode_crtc) {}));
	memset(&reply, 0xff, sizeof(reply));
	EXPECT_EQ(0, ioctl(card, _IOC(_IOC_READ | _IOC_WRITE, 'd', 0xa0, 8), &reply));
	EXPECT_EQ(0, reply.resources.fb_id_ptr);
	EXPECT_NE(0, reply.resources.crtc_id_ptr);
	close(card);
}

/* The render node is for rendering, whoever asks. */
TEST(render_node_has_no_lists)
{
	struct drm_mode_card_res resources = { 0 };
	int node = render_open();

	EXPECT_REFUSED(EACCES, ioctl(node, DRM_IOCTL_MODE_GETRESOURCES, &resources));
	close(node);
}

TEST_HARNESS_MAIN
