// SPDX-License-Identifier: GPL-2.0
/*
 * Loads and unloads vfence_drm while its objects are in use. An open node or a buffer refuses the
 * unload; fences and syncobjs outlive the module.
 */
#include <sys/wait.h>
#include "drm/devices.h"

/* Opens the node once devtmpfs has created it. */
static int node_soon(void)
{
	for (int i = 0; i < 1000; i++) {
		int node = render_open();

		if (node >= 0)
			return node;
		usleep(10000);
	}
	return -1;
}

FIXTURE(drm_lifetime)
{
	int node;
	__u32 queue;
	__u32 syncobj;
	/* The fence of a pending job, and a descriptor of the syncobj. Both belong to the core. */
	int fence;
	int fd;
};

FIXTURE_SETUP(drm_lifetime)
{
	struct vfence_submit job = { .flags = VFENCE_SUBMIT_OUT_FENCE };
	struct drm_vfence_sync out = { .point = 1 };

	/* The watchdog must not expire during a case. */
	ASSERT_EQ(0, load_drm("watchdog_ms=60000"));
	self->node = node_soon();
	ASSERT_LE(0, self->node);
	self->queue = manual_queue(self->node);
	self->syncobj = syncobj_create(self->node);
	out.handle = self->syncobj;
	job.queue = self->queue;
	ASSERT_EQ(0, drm_submit(self->node, &job, NULL, &out));
	self->fence = job.out_fence;
	ASSERT_EQ(0, drmSyncobjHandleToFD(self->node, self->syncobj, &self->fd));
}

FIXTURE_TEARDOWN(drm_lifetime)
{
	/* A case sets the descriptors that it has closed to -1. */
	close(self->node);
	close(self->fence);
	close(self->fd);
	/*
	 * A case that unloads the module loads it again, so this unload shows that nothing is left.
	 */
	EXPECT_EQ(0, module_unload_soon("vfence_drm"));
}

TEST_F(drm_lifetime, open_node_refuses_unload)
{
	EXPECT_REFUSED(EAGAIN, module_unload("vfence_drm"));
	/* The refusal has no effect on the client. */
	EXPECT_EQ(0, fence_status(self->fence));
	EXPECT_EQ(1, signal_seqno(self->node, self->queue, 1, 0));
	EXPECT_EQ(1, fence_wait(self->fence));
}

TEST_F(drm_lifetime, buffer_refuses_unload)
{
	struct drm_vfence_gem_create create = { .size = 8192 };
	int buffer = -1;
	char *memory;

	ASSERT_NE(0, gem_create(self->node, &create));
	memory = gem_map(self->node, create.mmap_offset, create.size);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	ASSERT_EQ(0, drmPrimeHandleToFD(self->node, create.handle, DRM_CLOEXEC | DRM_RDWR,
					&buffer));
	close(self->node);
	self->node = -1;
	EXPECT_REFUSED(EAGAIN, module_unload("vfence_drm"));
	close(buffer);
	EXPECT_REFUSED(EAGAIN, module_unload("vfence_drm"));
	memory[0] = 1;
	munmap(memory, create.size);
}

TEST_F(drm_lifetime, fences_outlive_the_module)
{
	__u32 handle = 0;
	struct drm_vfence_sync failed = { .handle = syncobj_create(self->node) };
	int exported, without_job;

	ASSERT_EQ(0, syncobjs_fail(self->node, &failed, 1, -EIO));
	without_job = syncobj_export(self->node, failed.handle);
	close(self->node);
	EXPECT_EQ(-ECANCELED, fence_wait(self->fence));
	ASSERT_EQ(0, module_unload_soon("vfence_drm"));
	EXPECT_EQ(-EIO, fence_status(without_job));
	close(without_job);
	EXPECT_EQ(-ECANCELED, fence_status(self->fence));
	EXPECT_EQ(POLLIN, polled(self->fence, POLLIN));
	/* A syncobj belongs to the core: the next device finds the fence in it. */
	ASSERT_EQ(0, load_drm(""));
	self->node = node_soon();
	ASSERT_LE(0, self->node);
	ASSERT_EQ(0, drmSyncobjFDToHandle(self->node, self->fd, &handle));
	EXPECT_EQ(1, syncobj_signalled(self->node, handle, 1));
	EXPECT_EQ(1, syncobj_query(self->node, handle, 0));
	exported = syncobj_export_point(self->node, handle, 1);
	EXPECT_EQ(-ECANCELED, first_status(exported));
	close(exported);
}

/* Kills clients while their jobs run, wait, and write buffers. */
TEST_F(drm_lifetime, killed_clients_leave_nothing)
{
	for (int i = 0; i < 20; i++) {
		int status;
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			int node = render_open();
			__u32 worker = worker_queue(node);
			__u32 handle = 0, timeline = syncobj_create(node);
			struct drm_vfence_gem_create create = { .size = 1 << 20 };

			if (!gem_create(node, &create) ||
			    drmSyncobjFDToHandle(node, self->fd, &handle))
				_exit(1);
			for (__u64 point = 1;; point++) {
				struct vfence_use use = {
					.fd = create.handle,
					.flags = VFENCE_USE_WRITE | DRM_VFENCE_USE_HANDLE,
				};
				struct vfence_operation operation = {
					.kind = VFENCE_OPERATION_FILL, .length = 1 << 20,
					.pattern_size = 1, .pattern = point & 0xff,
				};
				struct vfence_submit job = {
					.queue = worker,
					.uses = ptr_to_u64(&use), .use_count = 1,
					.use_size = sizeof(use),
					.operations = ptr_to_u64(&operation),
					.operation_count = 1,
					.operation_size = sizeof(operation),
				};
				/* Some jobs wait for a point that is never submitted. */
				struct drm_vfence_sync in = { .handle = handle, .point = 1 };
				struct drm_vfence_sync out = { .handle = timeline, .point = point };

				if (drm_submit(node, &job, point > 20 ? &in : NULL, &out) &&
				    errno != EAGAIN && errno != ENOSPC)
					_exit(2);
			}
		}
		usleep(1000 + i * 5000);
		kill(child, SIGKILL);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	EXPECT_EQ(0, fence_status(self->fence));
}

/* Neither module needs the other, and they unload in either order. */
TEST_F(drm_lifetime, modules_unload_in_either_order)
{
	int device;

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, module_load("VFENCE_KO", ""));
		for (int tries = 0; tries < 1000; tries++) {
			device = device_open();
			if (device >= 0)
				break;
			usleep(10000);
		}
		ASSERT_LE(0, device);
		ASSERT_NE(0, timer_queue(device));
		close(device);
		if (i == 0) {
			ASSERT_EQ(0, module_unload_soon("vfence"));
			continue;
		}
		close(self->node);
		ASSERT_EQ(0, module_unload_soon("vfence_drm"));
		ASSERT_EQ(0, module_unload_soon("vfence"));
	}
	ASSERT_EQ(0, load_drm(""));
	self->node = node_soon();
	EXPECT_LE(0, self->node);
}

TEST_F(drm_lifetime, parameters_are_checked_and_applied)
{
	struct vfence_query query = { 0 };

	close(self->node);
	ASSERT_EQ(0, module_unload_soon("vfence_drm"));
	EXPECT_REFUSED(EINVAL, load_drm("max_queues=0"));
	EXPECT_REFUSED(EINVAL, load_drm("max_jobs=0"));
	ASSERT_EQ(0, load_drm("watchdog_ms=100 max_queues=3 max_jobs=7 max_buffer_mib=1"));
	self->node = node_soon();
	ASSERT_LE(0, self->node);
	ASSERT_EQ(0, device_ioctl(self->node, VFENCE_IOCTL_QUERY, &query));
	EXPECT_EQ(100 * MSEC, query.watchdog_ns);
	EXPECT_EQ(3, query.max_queues);
	EXPECT_EQ(7, query.max_jobs);
	EXPECT_EQ(1 << 20, query.max_buffer_size);
}

TEST_HARNESS_MAIN
