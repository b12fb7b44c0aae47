// SPDX-License-Identifier: GPL-2.0
/*
 * Each syncobj operation of libdrm, with jobs behind it. Ioctls without a function in libdrm go
 * through drmIoctl().
 */
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "lib/drm.h"

FIXTURE(syncobj)
{
	int node;
	/* Jobs of this queue complete when they are signalled. */
	__u32 manual;
	__u32 timer;
	__u32 handle;
};

FIXTURE_SETUP(syncobj)
{
	self->node = render_open();
	ASSERT_LE(0, self->node);
	self->manual = manual_queue(self->node);
	self->timer = timer_queue(self->node);
	self->handle = syncobj_create(self->node);
	ASSERT_NE(0, self->manual);
	ASSERT_NE(0, self->timer);
	ASSERT_NE(0, self->handle);
}

FIXTURE_TEARDOWN(syncobj)
{
	close(self->node);
}

/* Submits a manual job that signals a point. */
static int submit_point(FIXTURE_DATA(syncobj) *self, __u32 handle, __u64 point)
{
	struct vfence_submit job = { .queue = self->manual };
	struct drm_vfence_sync out = { .handle = handle, .point = point };

	return drm_submit(self->node, &job, NULL, &out);
}

TEST_F(syncobj, driver_and_features)
{
	drmVersionPtr version = drmGetVersion(self->node);
	uint64_t value = 0;
	int card = drm_node_open("card", "vfence");

	ASSERT_NE(NULL, version);
	EXPECT_STREQ("vfence", version->name);
	EXPECT_EQ(1, version->version_major);
	drmFreeVersion(version);
	EXPECT_EQ(DRM_NODE_RENDER, drmGetNodeTypeFromFd(self->node));
	EXPECT_LE(0, card);
	EXPECT_EQ(DRM_NODE_PRIMARY, drmGetNodeTypeFromFd(card));
	EXPECT_EQ(0, drmGetCap(self->node, DRM_CAP_SYNCOBJ, &value));
	EXPECT_EQ(1, value);
	value = 0;
	EXPECT_EQ(0, drmGetCap(self->node, DRM_CAP_SYNCOBJ_TIMELINE, &value));
	EXPECT_EQ(1, value);
	value = 0;
	EXPECT_EQ(0, drmGetCap(self->node, DRM_CAP_PRIME, &value));
	EXPECT_EQ(DRM_PRIME_CAP_IMPORT | DRM_PRIME_CAP_EXPORT, value);
	close(card);
}

/* Checks what udev's rule for the group "render" matches: SUBSYSTEM=="drm", KERNEL=="renderD*". */
TEST_F(syncobj, udev_rule_matches_the_render_node)
{
	char path[64], link[256] = "", uevent[512] = "";
	struct stat node;
	int file;

	ASSERT_EQ(0, fstat(self->node, &node));
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/subsystem", major(node.st_rdev),
		 minor(node.st_rdev));
	ASSERT_LT(0, readlink(path, link, sizeof(link) - 1));
	EXPECT_STREQ("/drm", strrchr(link, '/'));
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/uevent", major(node.st_rdev),
		 minor(node.st_rdev));
	file = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LT(0, read(file, uevent, sizeof(uevent) - 1));
	EXPECT_NE(NULL, strstr(uevent, "DEVNAME=dri/renderD"));
	close(file);
}

TEST_F(syncobj, create_and_destroy)
{
	__u32 handle;

	EXPECT_EQ(0, drmSyncobjDestroy(self->node, self->handle));
	EXPECT_EQ(-ENOENT, syncobj_wait(self->node, self->handle, 0));
	EXPECT_EQ(0, drmSyncobjCreate(self->node, DRM_SYNCOBJ_CREATE_SIGNALED, &handle));
	EXPECT_EQ(1, syncobj_signalled(self->node, handle, 0));
}

TEST_F(syncobj, new_syncobj_has_no_fence)
{
	EXPECT_EQ(-EINVAL, syncobj_wait(self->node, self->handle, 0));
	EXPECT_EQ(-ETIME, syncobj_wait_until(self->node, self->handle, 0,
					     DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
					     now_ns() + MSEC));
}

TEST_F(syncobj, binary_signals_with_its_job)
{
	ASSERT_EQ(0, submit_point(self, self->handle, 0));
	EXPECT_EQ(0, syncobj_signalled(self->node, self->handle, 0));
	EXPECT_EQ(1, signal_seqno(self->node, self->manual, 1, 0));
	EXPECT_EQ(0, syncobj_wait(self->node, self->handle, 0));
}

TEST_F(syncobj, syncobj_is_shared_by_fd)
{
	int other = render_open(), fd = -1;
	__u32 handle = 0;

	ASSERT_EQ(0, drmSyncobjHandleToFD(self->node, self->handle, &fd));
	ASSERT_EQ(0, drmSyncobjFDToHandle(other, fd, &handle));
	close(fd);
	ASSERT_EQ(0, submit_point(self, self->handle, 0));
	EXPECT_EQ(0, syncobj_signalled(other, handle, 0));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, syncobj_wait(other, handle, 0));
	/* The syncobj outlives the handle that it was created with. */
	EXPECT_EQ(0, drmSyncobjDestroy(self->node, self->handle));
	EXPECT_EQ(1, syncobj_signalled(other, handle, 0));
	close(other);
}

TEST_F(syncobj, imports_sync_files)
{
	struct vfence_submit job = {
		.queue = self->manual,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
	};

	ASSERT_EQ(0, drm_submit(self->node, &job, NULL, NULL));
	EXPECT_EQ(0, drmSyncobjImportSyncFile(self->node, self->handle, job.out_fence));
	close(job.out_fence);
	EXPECT_EQ(0, syncobj_signalled(self->node, self->handle, 0));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, syncobj_wait(self->node, self->handle, 0));
}

TEST_F(syncobj, exports_sync_files)
{
	int fence;

	EXPECT_EQ(-1, syncobj_export(self->node, self->handle));
	ASSERT_EQ(0, submit_point(self, self->handle, 0));
	fence = syncobj_export(self->node, self->handle);
	ASSERT_LE(0, fence);
	EXPECT_EQ(0, fence_status(fence));
	signal_seqno(self->node, self->manual, 1, -EIO);
	/* The fence has the error; the wait does not report it. */
	EXPECT_EQ(-EIO, fence_status(fence));
	EXPECT_EQ(0, syncobj_wait(self->node, self->handle, 0));
	close(fence);
	fence = syncobj_export(self->node, self->handle);
	EXPECT_EQ(-EIO, fence_status(fence));
	close(fence);
}

/* From <drm/drm.h> of Linux 7.3; libdrm's copy lacks the point. */
struct handle_with_point {
	__u32 handle;
	__u32 flags;
	__s32 fd;
	__u32 pad;
	__u64 point;
};

#define IMPORT_AT_POINT DRM_IOWR(0xC2, struct handle_with_point)
#define EXPORT_AT_POINT DRM_IOWR(0xC1, struct handle_with_point)
#define SYNC_FILE_AT_POINT (1 << 0 | 1 << 1)

TEST_F(syncobj, imports_and_exports_sync_files_at_a_point)
{
	struct vfence_submit job = {
		.queue = self->manual,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
	};
	struct handle_with_point at = {
		.handle = self->handle,
		.flags = SYNC_FILE_AT_POINT,
		.point = 5,
	};

	ASSERT_EQ(0, drm_submit(self->node, &job, NULL, NULL));
	at.fd = job.out_fence;
	ASSERT_EQ(0, drmIoctl(self->node, IMPORT_AT_POINT, &at));
	close(job.out_fence);
	EXPECT_EQ(5, syncobj_query(self->node, self->handle,
				   DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED));
	at.fd = -1;
	ASSERT_EQ(0, drmIoctl(self->node, EXPORT_AT_POINT, &at));
	EXPECT_EQ(0, fence_status(at.fd));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(1, fence_wait(at.fd));
	close(at.fd);
	at.point = 6;
	EXPECT_REFUSED(EINVAL, drmIoctl(self->node, EXPORT_AT_POINT, &at));
}

TEST_F(syncobj, binary_is_signalled_and_reset)
{
	EXPECT_EQ(0, drmSyncobjSignal(self->node, &self->handle, 1));
	EXPECT_EQ(1, syncobj_signalled(self->node, self->handle, 0));
	EXPECT_EQ(0, drmSyncobjReset(self->node, &self->handle, 1));
	EXPECT_EQ(-EINVAL, syncobj_signalled(self->node, self->handle, 0));
	/* A fence that replaces a job's fence does not end the job. */
	ASSERT_EQ(0, submit_point(self, self->handle, 0));
	EXPECT_EQ(0, drmSyncobjSignal(self->node, &self->handle, 1));
	EXPECT_EQ(1, syncobj_signalled(self->node, self->handle, 0));
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->manual, 1).state);
}

TEST_F(syncobj, waits_for_any_and_for_all)
{
	__u32 handles[2] = { self->handle, syncobj_create(self->node) };
	uint32_t first = 7;

	ASSERT_EQ(0, submit_point(self, handles[1], 0));
	ASSERT_EQ(0, submit_point(self, handles[0], 0));
	EXPECT_EQ(-ETIME, drmSyncobjWait(self->node, handles, 2, 0, 0, &first));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, drmSyncobjWait(self->node, handles, 2, patience(), 0, &first));
	EXPECT_EQ(1, first);
	EXPECT_EQ(-ETIME, drmSyncobjWait(self->node, handles, 2, 0,
					 DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL, NULL));
	signal_seqno(self->node, self->manual, 2, 0);
	EXPECT_EQ(0, drmSyncobjWait(self->node, handles, 2, patience(),
				    DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL, NULL));
}

TEST_F(syncobj, wait_sets_a_deadline)
{
	__u64 deadline = now_ns() + SEC;
	struct drm_syncobj_wait wait = {
		.handles = ptr_to_u64(&self->handle),
		.count_handles = 1,
		.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE,
		.deadline_nsec = deadline,
	};
	uint64_t point = 3;
	__u32 timeline = syncobj_create(self->node);
	struct drm_syncobj_timeline_wait points = {
		.handles = ptr_to_u64(&timeline),
		.points = ptr_to_u64(&point),
		.count_handles = 1,
		.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE,
		.deadline_nsec = deadline + 1,
	};

	ASSERT_EQ(0, submit_point(self, self->handle, 0));
	ASSERT_EQ(0, submit_point(self, timeline, 3));
	EXPECT_REFUSED(ETIME, drmIoctl(self->node, DRM_IOCTL_SYNCOBJ_WAIT, &wait));
	EXPECT_EQ(deadline, job_of(self->node, self->manual, 1).deadline_ns);
	EXPECT_REFUSED(ETIME, drmIoctl(self->node, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &points));
	EXPECT_EQ(deadline + 1, job_of(self->node, self->manual, 2).deadline_ns);
}

TEST_F(syncobj, timeline_is_signalled)
{
	uint64_t point = 9;

	EXPECT_EQ(0, drmSyncobjTimelineSignal(self->node, &self->handle, &point, 1));
	EXPECT_EQ(1, syncobj_signalled(self->node, self->handle, 4));
	EXPECT_EQ(1, syncobj_signalled(self->node, self->handle, 9));
	EXPECT_EQ(-EINVAL, syncobj_signalled(self->node, self->handle, 10));
	EXPECT_EQ(9, syncobj_query(self->node, self->handle, 0));
}

TEST_F(syncobj, timeline_follows_its_jobs)
{
	ASSERT_EQ(0, submit_point(self, self->handle, 2));
	ASSERT_EQ(0, submit_point(self, self->handle, 5));
	EXPECT_EQ(0, syncobj_query(self->node, self->handle, 0));
	EXPECT_EQ(5, syncobj_query(self->node, self->handle,
				   DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED));
	EXPECT_EQ(0, syncobj_signalled(self->node, self->handle, 1));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, syncobj_wait(self->node, self->handle, 2));
	EXPECT_EQ(0, syncobj_signalled(self->node, self->handle, 3));
	EXPECT_EQ(2, syncobj_query(self->node, self->handle, 0));
	signal_seqno(self->node, self->manual, 2, 0);
	EXPECT_EQ(0, syncobj_wait(self->node, self->handle, 5));
	EXPECT_EQ(5, syncobj_query(self->node, self->handle, 0));
}

TEST_F(syncobj, wait_for_a_point_that_is_available)
{
	const __u32 available = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE;

	EXPECT_EQ(-ETIME, syncobj_wait_until(self->node, self->handle, 2, available,
					     now_ns() + MSEC));
	ASSERT_EQ(0, submit_point(self, self->handle, 2));
	EXPECT_EQ(0, syncobj_wait_until(self->node, self->handle, 2, available, patience()));
	EXPECT_EQ(0, syncobj_signalled(self->node, self->handle, 2));
}

TEST_F(syncobj, transfers_points)
{
	__u32 binary = syncobj_create(self->node), other = syncobj_create(self->node);

	ASSERT_EQ(0, submit_point(self, self->handle, 2));
	EXPECT_EQ(0, drmSyncobjTransfer(self->node, binary, 0, self->handle, 2, 0));
	EXPECT_EQ(0, drmSyncobjTransfer(self->node, other, 8, binary, 0, 0));
	EXPECT_NE(0, drmSyncobjTransfer(self->node, other, 9, self->handle, 3, 0));
	EXPECT_EQ(0, syncobj_signalled(self->node, binary, 0));
	EXPECT_EQ(0, syncobj_signalled(self->node, other, 8));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, syncobj_wait(self->node, binary, 0));
	EXPECT_EQ(0, syncobj_wait(self->node, other, 8));
	EXPECT_EQ(8, syncobj_query(self->node, other, 0));
}

static bool eventfd_waits(int event)
{
	struct pollfd pollfd = { .fd = event, .events = POLLIN };

	return poll(&pollfd, 1, PATIENCE_MS) == 1;
}

TEST_F(syncobj, eventfd_is_written)
{
	int signalled = eventfd(0, EFD_CLOEXEC), available = eventfd(0, EFD_CLOEXEC);
	eventfd_t value = 0;

	ASSERT_EQ(0, drmSyncobjEventfd(self->node, self->handle, 4, signalled, 0));
	ASSERT_EQ(0, drmSyncobjEventfd(self->node, self->handle, 4, available,
				       DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE));
	EXPECT_EQ(0, polled(available, POLLIN));
	ASSERT_EQ(0, submit_point(self, self->handle, 4));
	EXPECT_TRUE(eventfd_waits(available));
	EXPECT_EQ(0, polled(signalled, POLLIN));
	/* An eventfd does not report an error. */
	signal_seqno(self->node, self->manual, 1, -EIO);
	EXPECT_TRUE(eventfd_waits(signalled));
	EXPECT_EQ(0, eventfd_read(signalled, &value));
	EXPECT_EQ(1, value);
	close(signalled);
	close(available);
}

/* sync_files show errors; the core hides them where it has no place for them. */
TEST_F(syncobj, sync_file_reports_the_error_of_a_point)
{
	int fence;

	ASSERT_EQ(0, submit_point(self, self->handle, 1));
	ASSERT_EQ(0, submit_point(self, self->handle, 2));
	signal_seqno(self->node, self->manual, 1, -EIO);
	fence = syncobj_export_point(self->node, self->handle, 2);
	ASSERT_LE(0, fence);
	signal_seqno(self->node, self->manual, 2, -EPIPE);
	EXPECT_EQ(0, syncobj_wait(self->node, self->handle, 2));
	EXPECT_EQ(2, syncobj_query(self->node, self->handle, 0));
	/*
	 * The error is that of the point's own job; the earlier one had signalled. The chain has no
	 * error.
	 */
	EXPECT_EQ(-EPIPE, first_status(fence));
	EXPECT_EQ(1, fence_status(fence));
	close(fence);
}

TEST_F(syncobj, timer_signals_in_time)
{
	struct vfence_submit job = { .queue = self->timer, .duration_ns = MSEC };
	struct drm_vfence_sync out = { .handle = self->handle };
	struct vfence_job_info info;
	int fence;

	ASSERT_EQ(0, drm_submit(self->node, &job, NULL, &out));
	fence = syncobj_export(self->node, self->handle);
	EXPECT_EQ(0, syncobj_wait(self->node, self->handle, 0));
	info = job_of(self->node, self->timer, 1);
	EXPECT_EQ(MSEC, info.end_ns - info.start_ns);
	EXPECT_EQ(info.end_ns, fence_timestamp(fence));
	close(fence);
}

TEST_HARNESS_MAIN
