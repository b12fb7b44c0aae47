// SPDX-License-Identifier: GPL-2.0
/*
 * All or nothing on the DRM device: each allocation and each user copy of a call fails once. A call
 * that fails leaves no job, no handle, and no fence in a syncobj.
 */
#include <sys/stat.h>
#include "lib/drm.h"
#include "lib/fault_injection.h"

FIXTURE(drm_fault)
{
	/* The render node, by the name that EACH_FAULT() uses. */
	int device;
	int fail_nth;
	__u32 manual;
	__u32 timer;
	__u32 binary;
	__u32 timeline;
};

FIXTURE_SETUP(drm_fault)
{
	self->fail_nth = injection_open("vfence_drm");
	if (self->fail_nth < 0)
		SKIP(return, "the kernel cannot inject faults");
	self->device = render_open();
	ASSERT_LE(0, self->device);
	self->manual = manual_queue(self->device);
	self->timer = timer_queue(self->device);
	self->binary = syncobj_create(self->device);
	self->timeline = syncobj_create(self->device);
	ASSERT_NE(0, self->manual);
	ASSERT_NE(0, self->timer);
	ASSERT_NE(0, self->binary);
	ASSERT_NE(0, self->timeline);
}

FIXTURE_TEARDOWN(drm_fault)
{
	close(self->device);
}

TEST_F(drm_fault, submit)
{
	struct vfence_submit job, gate = { .queue = self->manual };
	struct drm_vfence_sync opens = { .handle = syncobj_create(self->device), .point = 3 };
	struct drm_vfence_sync in[] = { opens, opens };
	struct drm_vfence_sync out[] = {
		{ .handle = self->binary }, { .handle = self->timeline, .point = 7 },
	};
	struct drm_vfence_submit submit;
	int fds = 0;

	ASSERT_EQ(0, drm_submit(self->device, &gate, NULL, &opens));
	in[1].point = 0;
	EACH_FAULT(DRM_IOCTL_VFENCE_SUBMIT, submit, ({
		fds = open_fds();
		drmSyncobjReset(self->device, &self->binary, 1);
		drmSyncobjReset(self->device, &self->timeline, 1);
		job = (struct vfence_submit) {
			.queue = self->timer, .flags = VFENCE_SUBMIT_OUT_FENCE,
		};
		drm_job(&job, in, ARRAY_LEN(in), out, ARRAY_LEN(out));
	}), ({
		EXPECT_EQ(fds, open_fds());
		EXPECT_EQ(-EINVAL, syncobj_signalled(self->device, self->binary, 0));
		EXPECT_EQ(-EINVAL, syncobj_signalled(self->device, self->timeline, 7));
	}));
	/* The last round had no fault. */
	EXPECT_EQ(0, syncobj_signalled(self->device, self->binary, 0));
	EXPECT_EQ(0, syncobj_signalled(self->device, self->timeline, 7));
	signal_seqno(self->device, self->manual, 1, 0);
	EXPECT_EQ(0, syncobj_wait(self->device, self->timeline, 7));
	EXPECT_EQ(1, fence_wait(job.out_fence));
}

TEST_F(drm_fault, submit_batch)
{
	struct vfence_submit jobs[3];
	struct drm_vfence_sync in[3], out[3];
	struct drm_vfence_submit submits[3];
	struct vfence_submit_batch batch;
	__u64 before = 0;

	for (int i = 0; i < 3; i++) {
		in[i] = (struct drm_vfence_sync) { .handle = self->timeline, .point = i };
		out[i] = (struct drm_vfence_sync) { .handle = self->timeline, .point = i + 1 };
		submits[i] = drm_job(&jobs[i], &in[i], i > 0, &out[i], 1);
	}
	EACH_FAULT(DRM_IOCTL_VFENCE_SUBMIT_BATCH, batch, ({
		drmSyncobjReset(self->device, &self->timeline, 1);
		before = queue_submitted(self->device, self->timer);
		for (int i = 0; i < 3; i++)
			jobs[i] = (struct vfence_submit) { .queue = self->timer };
		(struct vfence_submit_batch) {
			.jobs = ptr_to_u64(submits),
			.count = 3,
			.job_size = sizeof(submits[0]),
		};
	}), ({
		EXPECT_EQ(before, queue_submitted(self->device, self->timer));
		EXPECT_EQ(-EINVAL, syncobj_signalled(self->device, self->timeline, 1));
	}));
	EXPECT_EQ(before + 3, queue_submitted(self->device, self->timer));
	EXPECT_EQ(0, syncobj_wait(self->device, self->timeline, 3));
}

TEST_F(drm_fault, syncobj_signal)
{
	struct drm_vfence_sync syncs[] = {
		{ .handle = self->binary }, { .handle = self->timeline, .point = 7 },
	};
	struct drm_vfence_syncobj_signal signal;

	EACH_FAULT(DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL, signal, ({
		drmSyncobjReset(self->device, &self->binary, 1);
		drmSyncobjReset(self->device, &self->timeline, 1);
		(struct drm_vfence_syncobj_signal) {
			.syncs = ptr_to_u64(syncs), .sync_count = 2,
			.sync_size = sizeof(syncs[0]), .error = -EIO,
		};
	}), ({
		EXPECT_EQ(-EINVAL, syncobj_signalled(self->device, self->binary, 0));
		EXPECT_EQ(-EINVAL, syncobj_signalled(self->device, self->timeline, 7));
	}));
	EXPECT_EQ(1, syncobj_signalled(self->device, self->binary, 0));
	EXPECT_EQ(1, syncobj_signalled(self->device, self->timeline, 7));
}

TEST_F(drm_fault, gem_create)
{
	struct drm_vfence_gem_create create, valid = { .size = 3 * 4096 };
	int calls = 0, failures = 0, handles = 0;

	EACH_FAULT(DRM_IOCTL_VFENCE_GEM_CREATE, create, ({
		calls++;
		valid;
	}), failures++);
	EXPECT_EQ(3 * 4096, create.size);
	/* The call survives some faults. Calls that failed left no handle. */
	for (__u32 handle = 1; handle <= MOST_FAULTS; handle++) {
		struct drm_vfence_gem_info info = { .handle = handle };

		handles += !ioctl(self->device, DRM_IOCTL_VFENCE_GEM_INFO, &info);
	}
	EXPECT_EQ(calls - failures, handles);
}

TEST_F(drm_fault, dumb_create)
{
	struct drm_mode_create_dumb create, valid = { .width = 1024, .height = 3, .bpp = 32 };
	int calls = 0, failures = 0, handles = 0;

	EACH_FAULT(DRM_IOCTL_MODE_CREATE_DUMB, create, ({
		calls++;
		valid;
	}), ({
		failures++;
		/* The reply is written, unless writing it is what failed. */
		EXPECT_EQ(0, create.handle);
	}));
	EXPECT_EQ(3 * 4096, create.size);
	/* Calls that failed left no handle. */
	for (__u32 handle = 1; handle <= MOST_FAULTS; handle++) {
		struct drm_mode_destroy_dumb destroy = { .handle = handle };

		handles += !ioctl(self->device, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy);
	}
	EXPECT_EQ(calls - failures, handles);
}

TEST_F(drm_fault, dumb_map)
{
	struct drm_mode_create_dumb create = { .width = 1024, .height = 1, .bpp = 32 };
	struct drm_mode_map_dumb map;

	/* The first call for an object allocates its offset, so each round needs another one. */
	EACH_FAULT(DRM_IOCTL_MODE_MAP_DUMB, map, ({
		ASSERT_EQ(0, ioctl(self->device, DRM_IOCTL_MODE_CREATE_DUMB, &create));
		(struct drm_mode_map_dumb) { .handle = create.handle };
	}), EXPECT_EQ(0, map.offset));
	EXPECT_NE(MAP_FAILED, gem_map(self->device, map.offset, 4096));
}

TEST_F(drm_fault, gem_info)
{
	struct drm_vfence_gem_create create = { .size = 4096 };
	struct drm_vfence_gem_info info, valid = { .handle = gem_create(self->device, &create) };

	EACH_FAULT(DRM_IOCTL_VFENCE_GEM_INFO, info, valid, );
	EXPECT_EQ(4096, info.size);
}

/* The core's PRIME ioctls, with the driver's callbacks. */
TEST_F(drm_fault, prime)
{
	struct drm_vfence_gem_create create = { .size = 4096 };
	int other = render_open();
	struct drm_prime_handle export, import;

	/* If only the reply cannot be written, the core leaves the descriptor open. */
	EACH_FAULT(DRM_IOCTL_PRIME_HANDLE_TO_FD, export, ({
		/*
		 * The core keeps the dma-buf of the first export, so each round needs another
		 * object.
		 */
		__u32 handle = gem_create(self->device, &create);

		(struct drm_prime_handle) { .handle = handle, .flags = DRM_CLOEXEC };
	}), );
	EXPECT_EQ(4096, lseek(export.fd, 0, SEEK_END));
	close(self->device);
	self->device = other;
	EACH_FAULT(DRM_IOCTL_PRIME_FD_TO_HANDLE, import, ({
		(struct drm_prime_handle) { .fd = export.fd };
	}), );
	EXPECT_NE(0, import.handle);
	close(export.fd);
}

TEST_F(drm_fault, open)
{
	int node = -1, failures = 0;
	char path[32] = "";

	for (int i = 128; i < 144 && !*path; i++) {
		/* Find the path by device number: drm_node_open() would open other nodes. */
		struct stat one, two;

		snprintf(path, sizeof(path), "/dev/dri/renderD%d", i);
		if (stat(path, &one) || fstat(self->device, &two) || one.st_rdev != two.st_rdev)
			*path = '\0';
	}
	for (int nth = 1; node < 0; nth++) {
		ASSERT_GT(MOST_FAULTS, nth);
		ASSERT_TRUE(arm(self->fail_nth, nth));
		node = open(path, O_RDWR | O_CLOEXEC);
		failures += node < 0;
		disarm(self->fail_nth);
	}
	EXPECT_LT(0, failures);
	EXPECT_NE(0, timer_queue(node));
	close(node);
}

TEST_F(drm_fault, mmap)
{
	struct drm_vfence_gem_create create = { .size = 4096 };
	char *memory = MAP_FAILED;
	int failures = 0;

	ASSERT_NE(0, gem_create(self->device, &create));
	for (int nth = 1; memory == MAP_FAILED; nth++) {
		ASSERT_GT(MOST_FAULTS, nth);
		ASSERT_TRUE(arm(self->fail_nth, nth));
		memory = gem_map(self->device, create.mmap_offset, 4096);
		failures += memory == MAP_FAILED;
		disarm(self->fail_nth);
	}
	EXPECT_LT(0, failures);
	memory[0] = 1;
}

TEST_HARNESS_MAIN
