// SPDX-License-Identifier: GPL-2.0
/*
 * Atomic commits of virtio-gpu that wait for fences of vfence, and jobs that wait for a commit.
 *
 * The guest needs a virtio-gpu device. It needs no display: the connector is connected.
 */
#include <xf86drm.h>
#include <xf86drmMode.h>
#include "fixture.h"
#include "lib/drm_node.h"

/* The framebuffers: a commit shows the one that is not shown. */
#define BUFFERS 2

/* The objects of the display, and the properties that a commit sets. */
struct display {
	uint32_t connector, crtc, plane, mode;
	uint32_t width, height;
	uint32_t framebuffers[BUFFERS], handles[BUFFERS];
	__u64 size;
};

/* Returns the id of a property of an object, and its value; 0 if the object has none. */
static uint32_t property(int card, uint32_t object, uint32_t type, const char *name,
			 uint64_t *value)
{
	drmModeObjectProperties *properties = drmModeObjectGetProperties(card, object, type);
	uint32_t id = 0;

	for (uint32_t i = 0; properties && i < properties->count_props && !id; i++) {
		drmModePropertyRes *found = drmModeGetProperty(card, properties->props[i]);

		if (found && !strcmp(found->name, name)) {
			id = found->prop_id;
			*value = properties->prop_values[i];
		}
		drmModeFreeProperty(found);
	}
	drmModeFreeObjectProperties(properties);
	return id;
}

static void set(drmModeAtomicReq *request, int card, uint32_t object, uint32_t type,
		const char *name, uint64_t value)
{
	uint64_t old;

	drmModeAtomicAddProperty(request, object, property(card, object, type, name, &old), value);
}

static uint32_t primary_plane(int card)
{
	drmModePlaneRes *planes = drmModeGetPlaneResources(card);
	uint32_t primary = 0;

	for (uint32_t i = 0; planes && i < planes->count_planes; i++) {
		uint64_t type = DRM_PLANE_TYPE_OVERLAY;

		if (property(card, planes->planes[i], DRM_MODE_OBJECT_PLANE, "type", &type) &&
		    type == DRM_PLANE_TYPE_PRIMARY)
			primary = planes->planes[i];
	}
	drmModeFreePlaneResources(planes);
	return primary;
}

/* Finds the connector and its CRTC and creates the framebuffers. Returns -1 without a display. */
static int display_open(int card, struct display *display)
{
	drmModeRes *resources = drmModeGetResources(card);
	drmModeConnector *connector = NULL;
	uint32_t pitch;
	uint64_t size;

	if (!resources || !resources->count_connectors || !resources->count_crtcs)
		return -1;
	connector = drmModeGetConnector(card, resources->connectors[0]);
	if (!connector || !connector->count_modes)
		return -1;
	display->connector = connector->connector_id;
	display->crtc = resources->crtcs[0];
	display->plane = primary_plane(card);
	display->width = connector->modes[0].hdisplay;
	display->height = connector->modes[0].vdisplay;
	if (drmModeCreatePropertyBlob(card, connector->modes, sizeof(connector->modes[0]),
				      &display->mode))
		return -1;
	for (int i = 0; i < BUFFERS; i++) {
		if (drmModeCreateDumbBuffer(card, display->width, display->height, 32, 0,
					    &display->handles[i], &pitch, &size) ||
		    drmModeAddFB(card, display->width, display->height, 24, 32, pitch,
				 display->handles[i], &display->framebuffers[i]))
			return -1;
	}
	display->size = size;
	drmModeFreeConnector(connector);
	drmModeFreeResources(resources);
	return 0;
}

/*
 * Commits framebuffer @index, after @in_fence unless it is -1. Returns the out-fence of the commit,
 * or -1.
 */
static int commit(int card, const struct display *display, int index, int in_fence, uint32_t flags)
{
	drmModeAtomicReq *request = drmModeAtomicAlloc();
	uint32_t plane = display->plane;
	int32_t out_fence = -1;
	int ret;

	set(request, card, display->connector, DRM_MODE_OBJECT_CONNECTOR, "CRTC_ID",
	    display->crtc);
	set(request, card, display->crtc, DRM_MODE_OBJECT_CRTC, "MODE_ID", display->mode);
	set(request, card, display->crtc, DRM_MODE_OBJECT_CRTC, "ACTIVE", 1);
	set(request, card, display->crtc, DRM_MODE_OBJECT_CRTC, "OUT_FENCE_PTR",
	    ptr_to_u64(&out_fence));
	set(request, card, plane, DRM_MODE_OBJECT_PLANE, "FB_ID", display->framebuffers[index]);
	set(request, card, plane, DRM_MODE_OBJECT_PLANE, "CRTC_ID", display->crtc);
	set(request, card, plane, DRM_MODE_OBJECT_PLANE, "SRC_W", display->width << 16);
	set(request, card, plane, DRM_MODE_OBJECT_PLANE, "SRC_H", display->height << 16);
	set(request, card, plane, DRM_MODE_OBJECT_PLANE, "CRTC_W", display->width);
	set(request, card, plane, DRM_MODE_OBJECT_PLANE, "CRTC_H", display->height);
	if (in_fence >= 0)
		set(request, card, plane, DRM_MODE_OBJECT_PLANE, "IN_FENCE_FD", in_fence);
	ret = drmModeAtomicCommit(card, request, flags, NULL);
	drmModeAtomicFree(request);
	return ret ? -1 : out_fence;
}

/* Shows framebuffer 0, as the master of the device. */
static int display_start(int card, struct display *display)
{
	int out;

	if (drmSetClientCap(card, DRM_CLIENT_CAP_ATOMIC, 1) || display_open(card, display))
		return -1;
	out = commit(card, display, 0, -1, DRM_MODE_ATOMIC_ALLOW_MODESET);
	return out < 0 ? -1 : close(out);
}

FIXTURE(virtio_gpu)
{
	int device;
	int card;
	struct display display;
};

FIXTURE_VARIANTS_OF_OUTCOMES(virtio_gpu);

FIXTURE_SETUP(virtio_gpu)
{
	self->card = drm_node_open("card", "virtio_gpu");
	ASSERT_LE(0, self->card);
	self->device = render_open();
	ASSERT_LE(0, self->device);
	ASSERT_EQ(0, display_start(self->card, &self->display));
}

FIXTURE_TEARDOWN(virtio_gpu)
{
	close(self->card);
	close(self->device);
}

/* The flip happens after the fence has signalled, also with an error. */
TEST_F(virtio_gpu, flip_waits_for_the_in_fence)
{
	int in = pending_fence(self->device, &variant->outcome);
	int out = commit(self->card, &self->display, 1, in, DRM_MODE_ATOMIC_NONBLOCK);

	ASSERT_LE(0, out);
	EXPECT_EQ(1, fence_wait(out));
	EXPECT_EQ(variant->outcome.status, fence_status(in));
	EXPECT_LE(fence_timestamp(in), fence_timestamp(out));
}

TEST_F(virtio_gpu, blocking_commit_waits_for_the_in_fence)
{
	int in = pending_fence(self->device, &variant->outcome);
	int out = commit(self->card, &self->display, 1, in, 0);

	ASSERT_LE(0, out);
	EXPECT_EQ(variant->outcome.status, fence_status(in));
	EXPECT_EQ(1, fence_wait(out));
}

/* The job waits for the flip, which waits for the in-fence. No error reaches the job. */
TEST_F(virtio_gpu, job_waits_for_the_flip)
{
	int in = pending_fence(self->device, &variant->outcome);
	int out = commit(self->card, &self->display, 1, in, DRM_MODE_ATOMIC_NONBLOCK);
	__u32 queue = timer_queue(self->device);
	int fence;

	ASSERT_LE(0, out);
	fence = submit_after(self->device, queue, 0, out);
	ASSERT_LE(0, fence);
	EXPECT_EQ(1, fence_wait(fence));
	EXPECT_EQ(1, fence_status(out));
	EXPECT_EQ(variant->outcome.status, fence_status(in));
	EXPECT_LE(fence_timestamp(out), job_of(self->device, queue, 1).start_ns);
}

FIXTURE(implicit)
{
	int device;
	int card;
	struct display display;
};

FIXTURE_SETUP(implicit)
{
	self->card = drm_node_open("card", "virtio_gpu");
	ASSERT_LE(0, self->card);
	self->device = render_open();
	ASSERT_LE(0, self->device);
	ASSERT_EQ(0, display_start(self->card, &self->display));
}

FIXTURE_TEARDOWN(implicit)
{
	close(self->card);
	close(self->device);
}

/* Without an in-fence, the flip waits for the job that writes the framebuffer. */
TEST_F(implicit, flip_waits_for_the_job_that_fills_the_framebuffer)
{
	int buffer, filled, out;

	ASSERT_EQ(0, drmPrimeHandleToFD(self->card, self->display.handles[1],
					DRM_CLOEXEC | DRM_RDWR, &buffer));
	filled = fill_buffer(self->device, buffer, self->display.size, 0xff8000ff,
			     LATE_MS * MSEC, -1);
	ASSERT_LE(0, filled);
	out = commit(self->card, &self->display, 1, -1, DRM_MODE_ATOMIC_NONBLOCK);
	ASSERT_LE(0, out);
	EXPECT_EQ(1, fence_wait(out));
	EXPECT_EQ(1, fence_status(filled));
	EXPECT_LE(fence_timestamp(filled), fence_timestamp(out));
}

int main(int argc, char **argv)
{
	return run_as_user("virtio-gpu", argc, argv);
}
