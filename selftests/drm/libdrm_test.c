// SPDX-License-Identifier: GPL-2.0
/*
 * drmGetDevices2(), by which programs find devices. libdrm 2.4.124 of Debian 13 does not know the
 * faux bus and finds the devices with bus=platform only; libdrm 2.4.134 knows both.
 */
#include "drm/devices.h"

#define MOST 256
/* DRM_BUS_FAUX, which the headers of older versions lack. */
#define BUS_FAUX 4

FIXTURE(libdrm)
{
	drmDevicePtr devices[MOST];
	int count;
};

FIXTURE_VARIANT(libdrm)
{
	const char *parameters;
	int bus;
	int count;
};

FIXTURE_VARIANT_ADD(libdrm, platform) {
	.parameters = "bus=platform", .bus = DRM_BUS_PLATFORM, .count = 1,
};

FIXTURE_VARIANT_ADD(libdrm, platform_several) {
	.parameters = "bus=platform devices=3", .bus = DRM_BUS_PLATFORM, .count = 3,
};

FIXTURE_VARIANT_ADD(libdrm, faux) {
	.parameters = "bus=faux", .bus = BUS_FAUX, .count = 1,
};

FIXTURE_VARIANT_ADD(libdrm, faux_several) {
	.parameters = "bus=faux devices=3", .bus = BUS_FAUX, .count = 3,
};

FIXTURE_SETUP(libdrm)
{
	ASSERT_EQ(0, load_drm(variant->parameters));
	for (int i = 0; i < variant->count; i++) {
		int node = device_node_soon("renderD", i);

		ASSERT_LE(0, node);
		close(node);
		node = device_node_soon("card", i);
		ASSERT_LE(0, node);
		close(node);
	}
	self->count = drmGetDevices2(0, self->devices, MOST);
	ASSERT_LE(0, self->count);
}

FIXTURE_TEARDOWN(libdrm)
{
	drmFreeDevices(self->devices, self->count);
	EXPECT_EQ(0, module_unload_soon("vfence_drm"));
}

/* Returns the listed device that has the node of @kind of device @index, or NULL. */
static drmDevicePtr find(FIXTURE_DATA(libdrm) *self, int index, int kind)
{
	static const char *const names[] = {
		[DRM_NODE_PRIMARY] = "card", [DRM_NODE_RENDER] = "renderD",
	};
	int node = device_node(names[kind], index);
	drmDevicePtr found = NULL;
	struct stat own, listed;

	if (node < 0 || fstat(node, &own))
		return NULL;
	close(node);
	for (int i = 0; i < self->count; i++) {
		drmDevicePtr device = self->devices[i];

		if (device->available_nodes & 1 << kind && !stat(device->nodes[kind], &listed) &&
		    listed.st_rdev == own.st_rdev)
			found = device;
	}
	return found;
}

TEST_F(libdrm, each_device_is_listed_once_with_both_nodes)
{
	int on_bus = 0;

	for (int i = 0; i < self->count; i++)
		on_bus += self->devices[i]->bustype == variant->bus;
	if (variant->bus == BUS_FAUX && !on_bus)
		SKIP(return, "this libdrm does not know the faux bus");
	for (int i = 0; i < variant->count; i++) {
		drmDevicePtr device = find(self, i, DRM_NODE_RENDER);
		char name[32];

		ASSERT_NE(NULL, device);
		EXPECT_EQ(device, find(self, i, DRM_NODE_PRIMARY));
		EXPECT_EQ(variant->bus, device->bustype);
		device_name(name, i);
		if (variant->bus == DRM_BUS_PLATFORM)
			EXPECT_STREQ(name, device->businfo.platform->fullname);
	}
}

/* wlroots and Mesa compare the devices of two nodes. */
TEST_F(libdrm, nodes_of_one_device_are_the_same_device)
{
	drmDevicePtr render, card, other;
	int node = device_node("renderD", 0);

	if (drmGetDevice2(node, 0, &render)) {
		close(node);
		ASSERT_EQ(BUS_FAUX, variant->bus);
		SKIP(return, "this libdrm does not know the faux bus");
	}
	close(node);
	node = device_node("card", 0);
	ASSERT_EQ(0, drmGetDevice2(node, 0, &card));
	close(node);
	EXPECT_TRUE(drmDevicesEqual(render, card));
	node = device_node("renderD", 1);
	if (node >= 0) {
		ASSERT_EQ(0, drmGetDevice2(node, 0, &other));
		EXPECT_FALSE(drmDevicesEqual(render, other));
		drmFreeDevice(&other);
		close(node);
	}
	drmFreeDevice(&render);
	drmFreeDevice(&card);
}

TEST(unknown_bus_is_refused)
{
	EXPECT_REFUSED(EINVAL, load_drm("bus=pci"));
	EXPECT_REFUSED(EINVAL, load_drm("bus="));
	EXPECT_REFUSED(EINVAL, load_drm("bus=fauxy"));
}

TEST_HARNESS_MAIN
