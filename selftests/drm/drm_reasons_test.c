// SPDX-License-Identifier: GPL-2.0
/* Each refusal of a DRM node, and of its file "control", has a reason in the kernel log. */
#include "drm/control.h"
#include "lib/reasons.h"

#define NODE self->node

FIXTURE(reasons)
{
	int log;
	int node;
	__u32 timer;
	__u32 manual;
	__u32 syncobj;
};

FIXTURE_VARIANTS_OF_REASONS(reasons);

FIXTURE_SETUP(reasons)
{
	if (variant->on && !has_reasons())
		SKIP(return, "the kernel has no CONFIG_DYNAMIC_DEBUG");
	need_mount("debugfs", DEBUGFS, CONTROL);
	ASSERT_TRUE(turn_reasons(variant->on));
	self->log = open_log();
	self->node = render_open();
	ASSERT_LE(0, self->log);
	ASSERT_LE(0, self->node);
	self->timer = timer_queue(self->node);
	self->manual = manual_queue(self->node);
	self->syncobj = syncobj_create(self->node);
	ASSERT_NE(0, self->syncobj);
}

FIXTURE_TEARDOWN(reasons)
{
	close(self->node);
	close(self->log);
	turn_reasons(false);
}

/* Submits a job that waits for @in. */
static int wait_for(int node, __u32 queue, struct drm_vfence_sync in)
{
	struct vfence_submit job = { .queue = queue };

	return drm_submit(node, &job, &in, NULL);
}

/* Submits a job that signals @out. */
static int signals(int node, __u32 queue, struct drm_vfence_sync out)
{
	struct vfence_submit job = { .queue = queue };

	return drm_submit(node, &job, NULL, &out);
}

/* Passes @count times the first of @syncs, or its own, to SYNCOBJ_SIGNAL. */
static int fail(int node, struct drm_vfence_sync sync, __u32 count, int error, __u32 flags)
{
	struct drm_vfence_syncobj_signal signal = {
		.syncs = ptr_to_u64(&sync),
		.sync_count = count,
		.sync_size = sizeof(sync),
		.error = error,
		.flags = flags,
	};

	return ioctl(node, DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL, &signal);
}

TEST_F(reasons, submit)
{
	struct drm_vfence_sync sync = { .handle = self->syncobj };
	struct drm_vfence_sync twice[] = { sync, sync };
	struct vfence_submit job = { .queue = self->manual };
	struct drm_vfence_submit waits = drm_job(&job, twice, 2, NULL, 0);
	char words[96];

	EXPECT_REASON(ENOENT, "77 is not the handle of a syncobj",
		      wait_for(NODE, self->timer, (struct drm_vfence_sync) { .handle = 77 }));
	EXPECT_REASON(ENOENT, "77 is not the handle of a syncobj",
		      signals(NODE, self->timer, (struct drm_vfence_sync) { .handle = 77 }));
	snprintf(words, sizeof(words), "submit: syncobj %u has no fence at point 3, and no ",
		 self->syncobj);
	EXPECT_REASON(EINVAL, words,
		      wait_for(NODE, self->timer, (struct drm_vfence_sync) {
			      .handle = self->syncobj, .point = 3 }));
	EXPECT_REASON(EINVAL, "unknown part of the flags of a sync is 0x2: must be 0",
		      wait_for(NODE, self->timer, (struct drm_vfence_sync) {
			      .handle = self->syncobj, .flags = 2 }));
	EXPECT_REASON(EINVAL, "unknown part of the flags of a sync is 0x1: must be 0",
		      signals(NODE, self->timer, (struct drm_vfence_sync) {
			      .handle = self->syncobj, .flags = 1 }));
	ASSERT_EQ(0, signals(NODE, self->timer, (struct drm_vfence_sync) {
		.handle = self->syncobj }));
	EXPECT_REASON(EINVAL, "submit: in_sync_count 2 on queue ",
		      ioctl(NODE, DRM_IOCTL_VFENCE_SUBMIT, &waits));
}

/* The number is the one of the call, not that of the same ioctl on /dev/vfence. */
TEST_F(reasons, unknown_ioctl)
{
	EXPECT_REASON(ENOTTY, "no such ioctl: 0x647f",
		      ioctl(NODE, _IO(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x3f), NULL));
}

TEST_F(reasons, batches)
{
	struct drm_vfence_sync binary = { .handle = self->syncobj };
	struct drm_vfence_sync point = { .handle = self->syncobj, .point = 2 };
	struct vfence_submit jobs[2] = { { .queue = self->timer }, { .queue = self->timer } };
	struct drm_vfence_submit batch[] = {
		drm_job(&jobs[0], NULL, 0, &binary, 1),
		drm_job(&jobs[1], &point, 1, NULL, 0),
	};

	batch[0].sync_size = sizeof(binary);
	EXPECT_REASON(EINVAL, "submit: point 2 of a syncobj that an earlier job of the call turns "
		      "into a binary one", drm_submit_batch(NODE, batch, 2, NULL));
	batch[0].out_sync_count = DRM_VFENCE_MAX_SYNCS + 1;
	EXPECT_REASON(EINVAL, "the call names 4097 syncobjs or more, DRM_VFENCE_MAX_SYNCS is 4096",
		      drm_submit_batch(NODE, batch, 1, NULL));
	batch[0].out_sync_count = 1;
	batch[0].sync_size = 1 << 20;
	EXPECT_REASON(E2BIG, "syncs: an element size of 1048576 exceeds one page, ",
		      drm_submit_batch(NODE, batch, 1, NULL));
	batch[0].sync_size = sizeof(binary);
	batch[0].job_size = 1 << 20;
	EXPECT_REASON(E2BIG, "submit: job: an element size of 1048576 exceeds one page, ",
		      drm_submit_batch(NODE, batch, 1, NULL));
}

/* More timelines than the limit on examined fences has room for in one call. */
#define TIMELINES (DRM_VFENCE_MAX_LINKS / DRM_VFENCE_MAX_SYNCS + 1)

TEST_F_TIMEOUT(reasons, examined_fences, 120)
{
	static struct drm_vfence_sync syncs[DRM_VFENCE_MAX_SYNCS];
	struct vfence_submit job = { .queue = self->timer };
	struct drm_vfence_submit waits = drm_job(&job, syncs, ARRAY_LEN(syncs), NULL, 0);
	int clients[TIMELINES], merged = -1, count = 0;
	__u32 queue = 0;

	for (__u32 i = 0; i < TIMELINES; i++) {
		int fence, both;

		queue = count ? manual_queue(clients[count - 1]) : 0;
		if (!queue) {
			clients[count] = render_open();
			ASSERT_LE(0, clients[count]);
			queue = manual_queue(clients[count++]);
		}
		fence = submit(clients[count - 1], queue, 0);
		ASSERT_LE(0, fence);
		both = merged < 0 ? fence : fence_merge(merged, fence);
		if (merged >= 0) {
			close(merged);
			close(fence);
		}
		merged = both;
	}
	ASSERT_EQ(TIMELINES, fence_count(merged));
	ASSERT_EQ(0, drmSyncobjImportSyncFile(NODE, self->syncobj, merged));
	for (size_t i = 0; i < ARRAY_LEN(syncs); i++)
		syncs[i].handle = self->syncobj;
	EXPECT_REASON(ENOSPC, "submit: the syncobjs that the call waits for have more than "
		      "DRM_VFENCE_MAX_LINKS, 1048576, fences",
		      ioctl(NODE, DRM_IOCTL_VFENCE_SUBMIT, &waits));
	while (count)
		close(clients[--count]);
	close(merged);
}

TEST_F(reasons, syncobj_signal)
{
	struct drm_vfence_sync sync = { .handle = self->syncobj };

	EXPECT_REASON(EINVAL, "syncobj_signal: flags is 0x1: must be 0",
		      fail(NODE, sync, 1, -EIO, 1));
	EXPECT_REASON(EINVAL, "syncobj_signal: error is 5: neither", fail(NODE, sync, 1, 5, 0));
	EXPECT_REASON(EINVAL, "syncobj_signal: error is 0", fail(NODE, sync, 1, 0, 0));
	EXPECT_REASON(EINVAL, "syncobj_signal: sync_count is 0", fail(NODE, sync, 0, -EIO, 0));
	EXPECT_REASON(EINVAL, "the call names 4097 syncobjs or more, DRM_VFENCE_MAX_SYNCS is 4096",
		      fail(NODE, sync, 4097, -EIO, 0));
	sync.handle = 77;
	EXPECT_REASON(ENOENT, "77 is not the handle of a syncobj", fail(NODE, sync, 1, -EIO, 0));
}

TEST_F(reasons, objects)
{
	struct drm_vfence_gem_create create = { .size = 4096, .flags = 1 };
	struct drm_vfence_gem_info info = { .flags = 2 };
	struct drm_mode_create_dumb dumb = { .width = 1, .height = 0, .bpp = 32 };
	struct drm_mode_map_dumb map = { .handle = 77 };
	struct drm_mode_destroy_dumb destroy = { .handle = 77 };
	struct vfence_use use = { .fd = 77, .flags = DRM_VFENCE_USE_HANDLE };
	struct vfence_submit job = buffer_job(self->timer, 0, &use, 1, NULL, 0);

	EXPECT_REASON(EINVAL, "gem_create: flags is 0x1: must be 0",
		      ioctl(NODE, DRM_IOCTL_VFENCE_GEM_CREATE, &create));
	create = (struct drm_vfence_gem_create) { .size = 0 };
	EXPECT_REASON(EINVAL, "buffer: size is 0",
		      ioctl(NODE, DRM_IOCTL_VFENCE_GEM_CREATE, &create));
	EXPECT_REASON(EINVAL, "gem_info: flags is 0x2: must be 0",
		      ioctl(NODE, DRM_IOCTL_VFENCE_GEM_INFO, &info));
	info = (struct drm_vfence_gem_info) { .handle = 77 };
	EXPECT_REASON(ENOENT, "77 is not the handle of a GEM object",
		      ioctl(NODE, DRM_IOCTL_VFENCE_GEM_INFO, &info));
	EXPECT_REASON(ENOENT, "submit: uses[0].fd, 77, is not the handle of a GEM object",
		      drm_submit(NODE, &job, NULL, NULL));
	EXPECT_REASON(EINVAL, "create_dumb: 1x0 pixels of 32 bits: one is 0, or 32 bits cannot",
		      ioctl(NODE, DRM_IOCTL_MODE_CREATE_DUMB, &dumb));
	EXPECT_REASON(ENOENT, "77 is not the handle of a GEM object",
		      ioctl(NODE, DRM_IOCTL_MODE_MAP_DUMB, &map));
	EXPECT_REASON(EINVAL, "destroy_dumb: there is no handle 77",
		      ioctl(NODE, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy));
}

/*
 * A newline in the text of user space does not begin a line of the log. The reason has "\n" for it,
 * and /dev/kmsg has "\x5c" for a backslash.
 */
TEST_F(reasons, control)
{
	int control = open(CONTROL, O_WRONLY | O_CLOEXEC);

	EXPECT_REASON(EINVAL, "control: \"fly\\x5cnvfence_drm: all is well\" is not a command",
		      command("fly\nvfence_drm: all is well"));
	EXPECT_REASON(EINVAL, "wedge: \"hammer\" is not rebind, bus-reset or vendor-specific",
		      command("wedge hammer"));
	EXPECT_REASON(EINVAL, "control: the command is not UTF-8", command("\xff"));
	EXPECT_REASON(EBUSY, "plug: the device is plugged in already", command("plug"));
	EXPECT_REASON(EFAULT, "control: 8 bytes are not accessible",
		      write(control, unmapped(1), 8));
	close(control);
}

TEST_F(reasons, loss)
{
	struct vfence_query query = { 0 };
	char byte[64], reasons[16384];

	ASSERT_EQ(0, command("wedge rebind"));
	/* poll() refuses nothing. */
	read_reasons(self->log, reasons, sizeof(reasons));
	EXPECT_EQ(POLLERR | POLLHUP, polled(NODE, POLLIN));
	EXPECT_EQ(0, read_reasons(self->log, reasons, sizeof(reasons))) {
		TH_LOG("reasons of poll(): %s", reasons);
	}
	EXPECT_REASON(EIO, "the client has lost the device, which is wedged",
		      device_ioctl(NODE, VFENCE_IOCTL_QUERY, &query));
	EXPECT_REASON(EIO, "the client has lost the device, which is wedged",
		      read(NODE, byte, sizeof(byte)));
	EXPECT_REASON(EIO, "wedge none: the device is wedged and cannot be reset",
		      command("wedge none"));
	ASSERT_EQ(0, command("unplug"));
	EXPECT_REASON(ENODEV, "control: the device is unplugged", command("unplug"));
	EXPECT_REASON(ENODEV, "control: the device is unplugged", command("wedge"));
	ASSERT_EQ(0, command("plug"));
	close(NODE);
	NODE = open_soon("renderD");
	ASSERT_LE(0, NODE);
	ASSERT_EQ(0, command("unplug"));
	EXPECT_REASON(ENODEV, "the client has lost the device, which was unplugged",
		      device_ioctl(NODE, VFENCE_IOCTL_QUERY, &query));
	ASSERT_EQ(0, command("plug"));
	close(NODE);
	NODE = open_soon("renderD");
}

TEST_HARNESS_MAIN
