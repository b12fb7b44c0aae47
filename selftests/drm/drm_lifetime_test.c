// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading of vfence_drm while others use what it has made. While a client has a node open, or anybody a buffer,
 * unloading is refused; so nobody's device goes away. Fences outlive the module.
 */
#include <sys/syscall.h>
#include <sys/wait.h>
#include "lib/drm.h"

static int load(const char *variable, const char *parameters)
{
	const char *path = getenv(variable);
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	int ret = syscall(SYS_finit_module, file, parameters, 0), error = errno;

	close(file);
	errno = error;
	return ret;
}

static int load_drm(const char *parameters)
{
	return load("VFENCE_DRM_KO", parameters);
}

static int unload(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK);
}

/* Unloads when nobody uses the module any more: buffers that jobs have used are given back a little later. */
static int unload_soon(const char *module)
{
	for (int i = 0; i < 200; i++) {
		if (!unload(module))
			return 0;
		usleep(10000);
	}
	return -1;
}

/* The node, which devtmpfs makes in a thread of its own. */
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
	/* A pending job's fence, and the syncobj as a descriptor: the core's, not the module's. */
	int fence;
	int fd;
};

FIXTURE_SETUP(drm_lifetime)
{
	struct vfence_submit job = { .flags = VFENCE_SUBMIT_OUT_FENCE };
	struct drm_vfence_sync out = { .point = 1 };

	/* Where DRM is built in there is no such module; and KUnit's tests have run. */
	ASSERT_NE(-1, system("modprobe --quiet drm"));
	write_file("/sys/module/kunit/parameters/filter_glob", "none");
	/* The watchdog is not to come before a case has ended. */
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
	/* What a case has closed is -1. */
	close(self->node);
	close(self->fence);
	close(self->fd);
	/* A case that has unloaded it has loaded it again, so that this shows the end of all. */
	EXPECT_EQ(0, unload_soon("vfence_drm"));
}

TEST_F(drm_lifetime, refused_while_a_node_is_open)
{
	EXPECT_REFUSED(EAGAIN, unload("vfence_drm"));
	/* Nothing has changed for who has it. */
	EXPECT_EQ(0, fence_status(self->fence));
	EXPECT_EQ(1, signal_seqno(self->node, self->queue, 1, 0));
	EXPECT_EQ(1, fence_wait(self->fence));
}

TEST_F(drm_lifetime, refused_while_a_buffer_is_there)
{
	struct drm_vfence_gem_create create = { .size = 8192 };
	int buffer = -1;
	char *memory;

	ASSERT_NE(0, gem_create(self->node, &create));
	memory = gem_map(self->node, create.mmap_offset, create.size);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	ASSERT_EQ(0, drmPrimeHandleToFD(self->node, create.handle, DRM_CLOEXEC | DRM_RDWR, &buffer));
	close(self->node);
	self->node = -1;
	EXPECT_REFUSED(EAGAIN, unload("vfence_drm"));
	close(buffer);
	EXPECT_REFUSED(EAGAIN, unload("vfence_drm"));
	memory[0] = 1;
	munmap(memory, create.size);
}

TEST_F(drm_lifetime, fences_outlive_the_module)
{
	__u32 handle = 0;
	int exported;

	close(self->node);
	EXPECT_EQ(-ECANCELED, fence_wait(self->fence));
	ASSERT_EQ(0, unload_soon("vfence_drm"));
	EXPECT_EQ(-ECANCELED, fence_status(self->fence));
	EXPECT_EQ(POLLIN, polled(self->fence, POLLIN));
	/* A syncobj is the core's: the next device has what the last one has left in it. */
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

/* Clients that are killed at a bad moment: with jobs that run, wait, and write buffers. */
TEST_F(drm_lifetime, clients_are_killed)
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

			if (!gem_create(node, &create) || drmSyncobjFDToHandle(node, self->fd, &handle))
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
				/* Some wait for what does not come. */
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

/* Neither module needs the other, and they go in any order. */
TEST_F(drm_lifetime, both_modules)
{
	int device;

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, load("VFENCE_KO", ""));
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
			ASSERT_EQ(0, unload_soon("vfence"));
			continue;
		}
		close(self->node);
		ASSERT_EQ(0, unload_soon("vfence_drm"));
		ASSERT_EQ(0, unload_soon("vfence"));
	}
	ASSERT_EQ(0, load_drm(""));
	self->node = node_soon();
	EXPECT_LE(0, self->node);
}

TEST_F(drm_lifetime, parameters)
{
	struct vfence_query query = { 0 };

	close(self->node);
	ASSERT_EQ(0, unload_soon("vfence_drm"));
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
