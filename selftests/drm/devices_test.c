// SPDX-License-Identifier: GPL-2.0
/*
 * vfence_drm with several devices: names and nodes, fences and buffers that cross from one device
 * to another, and loading and unloading.
 */
#include "drm/devices.h"
#include "lib/buffer.h"

#define COUNT 3

FIXTURE(devices)
{
	/* The render node of each device. */
	int nodes[COUNT];
	__u32 manual[COUNT];
	__u32 worker[COUNT];
};

FIXTURE_SETUP(devices)
{
	/* The watchdog must not expire during a case. */
	ASSERT_EQ(0, load_drm("devices=3 watchdog_ms=60000"));
	for (int i = 0; i < COUNT; i++) {
		self->nodes[i] = device_node_soon("renderD", i);
		ASSERT_LE(0, self->nodes[i]);
		self->manual[i] = manual_queue(self->nodes[i]);
		self->worker[i] = worker_queue(self->nodes[i]);
		ASSERT_NE(0, self->manual[i]);
		ASSERT_NE(0, self->worker[i]);
	}
}

FIXTURE_TEARDOWN(devices)
{
	/* A case sets the descriptors that it has closed to -1. */
	for (int i = 0; i < COUNT; i++)
		close(self->nodes[i]);
	EXPECT_EQ(0, module_unload_soon("vfence_drm"));
}

TEST_F(devices, each_has_two_nodes_and_a_directory)
{
	need_mount("debugfs", DEBUGFS, DEBUGFS "/vfence_drm/queues");
	for (int i = 0; i < COUNT; i++) {
		char path[96], name[32];
		int card = device_node("card", i);

		EXPECT_LE(0, card);
		EXPECT_NE(0, timer_queue(card));
		close(card);
		device_name(name, i);
		snprintf(path, sizeof(path), DEBUGFS "/%s/queues", name);
		EXPECT_EQ(0, access(path, R_OK)) TH_LOG("%s", path);
	}
	EXPECT_EQ(-1, device_node("renderD", COUNT));
}

/* Returns the number of lines of a device's list of queues. */
static int listed(int index)
{
	char path[96], name[32], line[512];
	int count = 0;
	FILE *file;

	device_name(name, index);
	snprintf(path, sizeof(path), DEBUGFS "/%s/queues", name);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		count++;
	if (file)
		fclose(file);
	return count;
}

TEST_F(devices, each_lists_its_own_queues)
{
	need_mount("debugfs", DEBUGFS, DEBUGFS "/vfence_drm/queues");
	ASSERT_NE(0, timer_queue(self->nodes[1]));
	EXPECT_EQ(2, listed(0));
	EXPECT_EQ(3, listed(1));
	EXPECT_EQ(2, listed(2));
}

TEST_F(devices, job_waits_for_a_job_of_another_device)
{
	struct vfence_submit first = {
		.queue = self->manual[0], .flags = VFENCE_SUBMIT_OUT_FENCE,
	};
	int second;

	ASSERT_EQ(0, submit_job(self->nodes[0], &first));
	second = submit_after(self->nodes[1], self->worker[1], 0, first.out_fence);
	ASSERT_LE(0, second);
	EXPECT_EQ(0, fence_status(second));
	EXPECT_EQ(1, signal_seqno(self->nodes[0], self->manual[0], 1, 0));
	EXPECT_EQ(1, fence_wait(second));
	close(first.out_fence);
	close(second);
}

TEST_F(devices, syncobj_crosses_to_another_device)
{
	struct vfence_submit job = { .queue = self->manual[0] };
	struct drm_vfence_sync out = { .handle = syncobj_create(self->nodes[0]), .point = 5 };
	struct drm_vfence_sync in = { .point = 5 };
	struct vfence_submit waits = { .queue = self->worker[2] };
	int fd;

	ASSERT_EQ(0, drmSyncobjHandleToFD(self->nodes[0], out.handle, &fd));
	ASSERT_EQ(0, drmSyncobjFDToHandle(self->nodes[2], fd, &in.handle));
	close(fd);
	ASSERT_EQ(0, drm_submit(self->nodes[0], &job, NULL, &out));
	ASSERT_EQ(0, drm_submit(self->nodes[2], &waits, &in, NULL));
	EXPECT_EQ(0, syncobj_signalled(self->nodes[2], in.handle, 5));
	EXPECT_EQ(1, signal_seqno(self->nodes[0], self->manual[0], 1, 0));
	EXPECT_EQ(0, wait_job(self->nodes[2], self->worker[2], waits.seqno));
	EXPECT_EQ(1, syncobj_signalled(self->nodes[2], in.handle, 5));
}

/* One buffer under the handles of two devices: both write to it, and implicit fences order them. */
TEST_F(devices, buffer_crosses_to_another_device)
{
	struct drm_vfence_gem_create create = { .size = 8192 };
	struct vfence_use use = { .flags = VFENCE_USE_WRITE | DRM_VFENCE_USE_HANDLE };
	struct vfence_operation fill = {
		.kind = VFENCE_OPERATION_FILL, .length = 8192, .pattern_size = 1, .pattern = 7,
	};
	struct vfence_submit job;
	int gate, buffer, fence;
	__u32 imported;
	char *memory;

	ASSERT_NE(0, gem_create(self->nodes[0], &create));
	memory = gem_map(self->nodes[0], create.mmap_offset, create.size);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	ASSERT_EQ(0, drmPrimeHandleToFD(self->nodes[0], create.handle, DRM_CLOEXEC | DRM_RDWR,
					&buffer));
	ASSERT_EQ(0, drmPrimeFDToHandle(self->nodes[1], buffer, &imported));
	gate = submit(self->nodes[0], self->manual[0], 0);
	ASSERT_LE(0, gate);
	/* Device 0 writes when the gate signals, device 1 after device 0. */
	use.fd = create.handle;
	job = buffer_job(self->worker[0], 0, &use, 1, &fill, 1);
	job.in_fences = ptr_to_u64(&gate);
	job.in_fence_count = 1;
	ASSERT_EQ(0, submit_job(self->nodes[0], &job));
	use.fd = imported;
	fill.pattern = 9;
	fill.length = 4096;
	job = buffer_job(self->worker[1], VFENCE_SUBMIT_OUT_FENCE, &use, 1, &fill, 1);
	ASSERT_EQ(0, submit_job(self->nodes[1], &job));
	fence = job.out_fence;
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(0, memory[0]);
	EXPECT_EQ(1, signal_seqno(self->nodes[0], self->manual[0], 1, 0));
	EXPECT_EQ(1, fence_wait(fence));
	EXPECT_EQ(9, memory[0]);
	EXPECT_EQ(7, memory[4096]);
	munmap(memory, create.size);
	close(buffer);
	close(fence);
	close(gate);
}

TEST_F(devices, client_of_any_device_refuses_unload)
{
	for (int i = 0; i < COUNT; i++) {
		EXPECT_REFUSED(EAGAIN, module_unload("vfence_drm"));
		close(self->nodes[i]);
		self->nodes[i] = -1;
	}
}

TEST(number_of_devices_is_checked)
{
	EXPECT_REFUSED(EINVAL, load_drm("devices=0"));
	EXPECT_REFUSED(EINVAL, load_drm("devices=65"));
	EXPECT_REFUSED(EINVAL, load_drm("devices=two"));
}

/* The case loads the module often, which takes long on the debug kernel. */
FIXTURE(load)
{
};

FIXTURE_SETUP(load)
{
}

FIXTURE_TEARDOWN(load)
{
	/* A case that has failed leaves it. */
	module_unload("vfence_drm");
}

TEST_F_TIMEOUT(load, module_is_loaded_with_any_number_of_devices, 300)
{
	static const char *const parameters[] = { "devices=64", "devices=1", "devices=2" };
	static const int counts[] = { 64, 1, 2 };

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		int node;

		ASSERT_EQ(0, load_drm(parameters[i]));
		/* The first, the last, and one between them. */
		for (int third = 0; third < 3; third++) {
			node = device_node_soon("renderD", (counts[i] - 1) * third / 2);
			ASSERT_LE(0, node);
			EXPECT_NE(0, timer_queue(node));
			close(node);
		}
		EXPECT_EQ(-1, device_node("renderD", counts[i]));
		ASSERT_EQ(0, module_unload_soon("vfence_drm"));
	}
}

TEST_HARNESS_MAIN
