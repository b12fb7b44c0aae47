// SPDX-License-Identifier: GPL-2.0
/* The DRM device is unplugged and returns: the calls, fences and objects of its clients. */
#include <pthread.h>
#include <sys/epoll.h>
#include "drm/unplug.h"

TEST_F(unplug, pending_fences_end_with_enodev)
{
	struct vfence_use use = { .flags = VFENCE_USE_WRITE };
	struct vfence_operation fill = {
		.kind = VFENCE_OPERATION_FILL, .length = 4096, .pattern_size = 1,
	};
	struct vfence_submit job;
	int fences[16], count = 0, done;

	use.fd = buffer_create(self->node, 4096);
	ASSERT_LE(0, use.fd);
	done = submit(self->node, self->timer, 0);
	ASSERT_EQ(1, fence_wait(done));
	for (int i = 0; i < 3; i++) {
		fences[count++] = submit(self->node, self->timer, 300 * SEC);
		fences[count++] = submit(self->node, self->worker, 300 * SEC);
		fences[count++] = submit(self->node, self->manual, 0);
	}
	/* Jobs that wait for in-fences, alone and behind others. */
	fences[count++] = submit_after(self->node, timer_queue(self->node), 0, fences[2]);
	fences[count++] = submit_after(self->node, worker_queue(self->node), 0, fences[2]);
	fences[count++] = submit_after(self->node, self->timer, 0, fences[2]);
	job = buffer_job(self->worker, VFENCE_SUBMIT_OUT_FENCE, &use, 1, &fill, 1);
	ASSERT_EQ(0, submit_job(self->node, &job));
	fences[count++] = job.out_fence;
	fences[count++] = buffer_fences(use.fd);
	for (int i = 0; i < count; i++)
		ASSERT_EQ(0, fence_status(fences[i]));
	ASSERT_EQ(0, command("unplug"));
	for (int i = 0; i < count; i++) {
		EXPECT_EQ(-ENODEV, fence_status(fences[i])) {
			TH_LOG("fence %d", i);
		}
		close(fences[i]);
	}
	EXPECT_EQ(1, fence_status(done));
	EXPECT_EQ(POLLOUT, polled(use.fd, POLLOUT));
	close(use.fd);
	close(done);
}

TEST_F(unplug, calls_fail_with_enodev)
{
	struct vfence_query query = { 0 };
	struct vfence_event event;
	struct epoll_event ready = { .events = EPOLLIN };
	struct drm_vfence_gem_create gem = { .size = 4096 };
	struct drm_version version = { 0 };
	char link[64], path[64] = "";
	__u32 handle;
	uint64_t cap;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_NE(0, gem_create(self->node, &gem));
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->node, &ready));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", self->node);
	ASSERT_LT(0, readlink(link, path, sizeof(path) - 1));
	ASSERT_EQ(0, access(path, F_OK));
	ASSERT_EQ(0, command("unplug"));
	EXPECT_REFUSED(ENODEV, device_ioctl(self->node, VFENCE_IOCTL_QUERY, &query));
	EXPECT_REFUSED(ENODEV, submit(self->node, self->timer, 0));
	EXPECT_REFUSED(ENODEV, signal_seqno(self->node, self->manual, 1, 0));
	EXPECT_REFUSED(ENODEV, queue_reset(self->node, self->timer, NULL));
	EXPECT_REFUSED(ENODEV, queue_destroy(self->node, self->timer));
	EXPECT_REFUSED(ENODEV, buffer_create(self->node, 4096));
	EXPECT_EQ(0, timer_queue(self->node));
	EXPECT_EQ(0, gem_create(self->node, &gem));
	/* Calls of the core, and numbers that nobody knows. */
	EXPECT_REFUSED(ENODEV, drmIoctl(self->node, DRM_IOCTL_VERSION, &version));
	EXPECT_NE(0, drmGetCap(self->node, DRM_CAP_PRIME, &cap));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_REFUSED(ENODEV, drmSyncobjCreate(self->node, 0, &handle));
	EXPECT_REFUSED(ENODEV, drmCloseBufferHandle(self->node, gem.handle));
	EXPECT_REFUSED(ENODEV, ioctl(self->node, _IO('d', 0x9f)));
	EXPECT_REFUSED(ENODEV, ioctl(self->node, _IO('x', 0)));
	EXPECT_REFUSED(ENODEV, read(self->node, &event, sizeof(event)));
	EXPECT_EQ(MAP_FAILED, (void *)map_counters(self->node, 4096));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(MAP_FAILED, gem_map(self->node, gem.mmap_offset, 4096));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(POLLERR | POLLHUP, polled(self->node, POLLIN | POLLOUT));
	EXPECT_EQ(1, epoll_wait(epoll, &ready, 1, PATIENCE_MS));
	EXPECT_EQ(EPOLLERR | EPOLLHUP, ready.events);
	close(epoll);
	/* The node is gone from /dev, and does not open by other ways. */
	EXPECT_REFUSED(ENOENT, open(path, O_RDWR | O_CLOEXEC));
	EXPECT_REFUSED(ENODEV, reopen(self->node));
	EXPECT_REFUSED(EAGAIN, module_unload("vfence_drm"));
}

/* Mappings, dma-bufs, sync_files and syncobjs belong to their users. */
TEST_F(unplug, objects_outlive_the_device)
{
	struct drm_vfence_gem_create gem = { .size = 8192 };
	struct drm_vfence_sync out = { .point = 1 };
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_MANUAL };
	struct vfence_submit job = { .flags = VFENCE_SUBMIT_OUT_FENCE };
	const volatile struct vfence_counters *counters;
	int buffer, syncobj, fresh;
	unsigned char *memory, *other;
	__u32 handle;

	ASSERT_EQ(0, queue_create_with(self->node, &create));
	counters = map_counters(self->node, create.counters_offset);
	ASSERT_NE(MAP_FAILED, (void *)counters);
	out.handle = syncobj_create(self->node);
	job.queue = create.queue;
	ASSERT_EQ(0, drm_submit(self->node, &job, NULL, &out));
	ASSERT_EQ(1, signal_seqno(self->node, create.queue, 1, 0));
	ASSERT_EQ(0, drm_submit(self->node, &(struct vfence_submit) { .queue = create.queue },
				NULL, &(struct drm_vfence_sync) { out.handle, 0, 2 }));
	EXPECT_EQ(1, counters->completed);
	ASSERT_NE(0, gem_create(self->node, &gem));
	memory = gem_map(self->node, gem.mmap_offset, gem.size);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	memory[4096] = 1;
	ASSERT_EQ(0, drmPrimeHandleToFD(self->node, gem.handle, DRM_CLOEXEC | DRM_RDWR, &buffer));
	ASSERT_EQ(0, drmSyncobjHandleToFD(self->node, out.handle, &syncobj));
	ASSERT_EQ(0, command("unplug"));
	for (int closed = 0; closed < 2; closed++) {
		EXPECT_EQ(2, counters->submitted);
		EXPECT_EQ(2, counters->completed);
		EXPECT_EQ(1, memory[4096]++);
		other = mmap(NULL, gem.size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
		ASSERT_NE(MAP_FAILED, (void *)other);
		EXPECT_EQ(2, other[4096]--);
		munmap(other, gem.size);
		EXPECT_EQ(1, fence_status(job.out_fence));
		EXPECT_REFUSED(EAGAIN, module_unload("vfence_drm"));
		close(self->node);
	}
	munmap((void *)counters, sysconf(_SC_PAGESIZE));
	munmap(memory, gem.size);
	ASSERT_EQ(0, command("plug"));
	fresh = open_soon(variant->kind);
	ASSERT_LE(0, fresh);
	ASSERT_EQ(0, drmPrimeFDToHandle(fresh, buffer, &handle));
	ASSERT_EQ(0, drmSyncobjFDToHandle(fresh, syncobj, &handle));
	EXPECT_EQ(1, syncobj_signalled(fresh, handle, 2));
	close(buffer);
	buffer = syncobj_export_point(fresh, handle, 2);
	EXPECT_EQ(-ENODEV, first_status(buffer));
	close(buffer);
	close(syncobj);
	close(job.out_fence);
	self->node = fresh;
}

/* The calls of tasks that are blocked. */
struct blocked {
	pthread_t thread;
	int node;
	__u32 queue;
	__u32 syncobj;
	pid_t tid;
	int ret, error;
};

static void *block_in_read(void *data)
{
	struct blocked *blocked = data;
	struct vfence_event event;

	blocked->tid = gettid();
	blocked->ret = read(blocked->node, &event, sizeof(event));
	blocked->error = errno;
	return NULL;
}

static void *block_in_poll(void *data)
{
	struct blocked *blocked = data;
	struct pollfd pollfd = { .fd = blocked->node, .events = POLLIN };

	blocked->tid = gettid();
	blocked->ret = poll(&pollfd, 1, -1);
	blocked->error = pollfd.revents;
	return NULL;
}

static void *block_in_wait(void *data)
{
	struct blocked *blocked = data;

	blocked->tid = gettid();
	blocked->ret = wait_point(blocked->node, blocked->queue, 1, UINT64_MAX);
	blocked->error = errno;
	return NULL;
}

static void *block_in_submit(void *data)
{
	struct blocked *blocked = data;
	struct vfence_submit job = { .queue = blocked->queue };
	struct drm_vfence_sync in = {
		.handle = blocked->syncobj, .flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT, .point = 1,
	};

	blocked->tid = gettid();
	/* Each call waits for 5 s at most. */
	do {
		blocked->ret = drm_submit(blocked->node, &job, &in, NULL);
		blocked->error = errno;
	} while (blocked->ret && blocked->error == ETIME);
	return NULL;
}

/* Waits until a thread sleeps. */
static bool sleeps(const struct blocked *blocked)
{
	for (int i = 0; i < 2000; i++) {
		char path[64], stat[512] = "", *state;
		int fd;

		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", blocked->tid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (read(fd, stat, sizeof(stat) - 1) < 0)
			stat[0] = 0;
		close(fd);
		state = strrchr(stat, ')');
		if (blocked->tid && state && state[1] && state[2] == 'S')
			return true;
		usleep(10000);
	}
	return false;
}

static void blocked_tasks_return(struct __test_metadata *_metadata, FIXTURE_DATA(unplug) *self,
				 const char *word, int error)
{
	void *(*const calls[])(void *) = {
		block_in_read, block_in_read, block_in_poll, block_in_poll, block_in_wait,
		block_in_submit, block_in_submit,
	};
	struct blocked blocked[ARRAY_LEN(calls)] = { 0 };
	int fence = submit(self->node, self->manual, 0), idle = dup(self->node);

	ASSERT_LE(0, fence);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		blocked[i].node = i % 2 ? idle : self->node;
		blocked[i].queue = calls[i] == block_in_wait ? self->manual : self->timer;
		blocked[i].syncobj = syncobj_create(self->node);
		ASSERT_EQ(0, pthread_create(&blocked[i].thread, NULL, calls[i], &blocked[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		EXPECT_TRUE(sleeps(&blocked[i]));
	EXPECT_EQ(0, command(word));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		ASSERT_EQ(0, pthread_join(blocked[i].thread, NULL));
		if (calls[i] == block_in_wait) {
			/* The job has completed. */
			EXPECT_EQ(0, blocked[i].ret);
		} else if (calls[i] == block_in_poll) {
			EXPECT_EQ(1, blocked[i].ret);
			EXPECT_EQ(POLLERR | POLLHUP, blocked[i].error);
		} else {
			EXPECT_EQ(-1, blocked[i].ret);
			EXPECT_EQ(error, blocked[i].error);
		}
	}
	EXPECT_EQ(-error, fence_status(fence));
	close(fence);
	close(idle);
}

TEST_F(unplug, blocked_tasks_return_when_the_device_is_unplugged)
{
	blocked_tasks_return(_metadata, self, "unplug", ENODEV);
}

TEST_F(unplug, blocked_tasks_return_when_the_device_is_wedged)
{
	blocked_tasks_return(_metadata, self, "wedge", EIO);
}

TEST_F(unplug, device_that_returns_is_a_new_one)
{
	struct stat old, new;
	struct vfence_query query = { 0 };
	int fresh, fence;

	ASSERT_EQ(0, fstat(self->node, &old));
	ASSERT_EQ(0, command("unplug"));
	EXPECT_EQ(-1, drm_node_open(variant->kind, "vfence"));
	ASSERT_EQ(0, command("plug"));
	fresh = open_soon(variant->kind);
	ASSERT_LE(0, fresh);
	ASSERT_EQ(0, fstat(fresh, &new));
	EXPECT_NE(old.st_rdev, new.st_rdev);
	fence = submit(fresh, timer_queue(fresh), 1000);
	EXPECT_EQ(1, fence_wait(fence));
	close(fence);
	ASSERT_EQ(0, device_ioctl(fresh, VFENCE_IOCTL_QUERY, &query));
	EXPECT_EQ(600 * SEC, query.watchdog_ns);
	EXPECT_REFUSED(ENODEV, device_ioctl(self->node, VFENCE_IOCTL_QUERY, &query));
	EXPECT_EQ(POLLERR | POLLHUP, polled(self->node, POLLIN));
	/* Each of the two keeps the module. */
	close(fresh);
	EXPECT_REFUSED(EAGAIN, module_unload("vfence_drm"));
}

TEST_F(unplug, commands_are_checked)
{
	static const char *const unknown[] = {
		"\n", "eject", "plug now", "unplug rebind", "wedge sideways", "wedge none,rebind",
		"wedge rebind bus-reset", "wedge rebind,", "PLUG",
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		EXPECT_REFUSED(EINVAL, command(unknown[i]));
	memset(text, ' ', sizeof(text));
	memcpy(&text[sizeof(text) - 7], "unplug", 7);
	EXPECT_REFUSED(EINVAL, command(text));
	EXPECT_REFUSED(EBUSY, command("plug"));
	EXPECT_TRUE(state_is("plugged"));
	ASSERT_EQ(0, command(" unplug\n"));
	EXPECT_TRUE(state_is("unplugged"));
	EXPECT_REFUSED(ENODEV, command("unplug"));
	EXPECT_REFUSED(ENODEV, command("wedge"));
	ASSERT_EQ(0, command("plug\n"));
	EXPECT_TRUE(state_is("plugged"));
	ASSERT_EQ(0, command("wedge vendor-specific"));
	EXPECT_TRUE(state_is("wedged"));
	/* The uevent can be sent again, but the device cannot be reset. */
	ASSERT_EQ(0, command("wedge rebind"));
	EXPECT_REFUSED(EIO, command("wedge none"));
	EXPECT_TRUE(state_is("wedged"));
	EXPECT_REFUSED(EBUSY, command("plug"));
	ASSERT_EQ(0, command("unplug"));
	EXPECT_TRUE(state_is("unplugged"));
}

TEST_F(unplug, hundred_clients_lose_the_device)
{
	enum { CLIENTS = 100 };
	int nodes[CLIENTS], fences[CLIENTS];

	for (int i = 0; i < CLIENTS; i++) {
		const __u32 kinds[] = {
			VFENCE_QUEUE_TIMER, VFENCE_QUEUE_WORKER, VFENCE_QUEUE_MANUAL,
		};
		__u32 kind = kinds[i % 3], queue;

		nodes[i] = reopen(self->node);
		ASSERT_LE(0, nodes[i]);
		queue = queue_create(nodes[i], kind, "one of many");
		fences[i] = submit(nodes[i], queue, kind == VFENCE_QUEUE_MANUAL ? 0 : 300 * SEC);
		ASSERT_LE(0, fences[i]);
	}
	ASSERT_EQ(0, command("unplug"));
	for (int i = CLIENTS - 1; i >= 0; i--) {
		EXPECT_EQ(-ENODEV, fence_status(fences[i]));
		EXPECT_EQ(POLLERR | POLLHUP, polled(nodes[i], POLLIN));
		close(nodes[i]);
		close(fences[i]);
	}
}

TEST_F(unplug, device_comes_and_goes)
{
	int kept[5] = { -1, -1, -1, -1, -1 };

	for (int i = 0; i < 50; i++) {
		int fence = submit(self->node, self->manual, 0), *place = &kept[i % 5];

		ASSERT_LE(0, fence);
		ASSERT_EQ(0, command("unplug"));
		EXPECT_EQ(-ENODEV, fence_status(fence));
		close(fence);
		ASSERT_EQ(0, command("plug"));
		/* Clients of earlier devices close later. */
		close(*place);
		*place = self->node;
		self->node = open_soon(variant->kind);
		ASSERT_LE(0, self->node);
		self->manual = manual_queue(self->node);
	}
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		close(kept[i]);
}

TEST_F(unplug, device_without_clients_can_be_unplugged)
{
	close(self->node);
	self->node = -1;
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, command("unplug"));
		ASSERT_EQ(0, command("plug"));
	}
	/* The module unloads in either state. */
	ASSERT_EQ(0, module_unload_soon("vfence_drm"));
	ASSERT_EQ(0, module_load("VFENCE_DRM_KO", ""));
	ASSERT_EQ(0, command("unplug"));
}

TEST_HARNESS_MAIN
