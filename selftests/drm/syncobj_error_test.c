// SPDX-License-Identifier: GPL-2.0
/* Fences with an error that no job puts into syncobjs: who sees the error, and who does not. */
#include <sys/eventfd.h>
#include "drm/fixture.h"

static int fail(FIXTURE_DATA(render) *self, struct drm_vfence_sync sync, int error)
{
	return syncobjs_fail(self->node, &sync, 1, error);
}

TEST_F(render, sync_file_of_a_binary_syncobj_has_the_error)
{
	static const int errors[] = { -EIO, -1, -4095 };

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct sync_fence_info info;
		__u64 before = now_ns();
		int fence;

		ASSERT_EQ(0, fail(self, at(self->binary, 0), errors[i]));
		EXPECT_EQ(1, syncobj_signalled(self->node, self->binary, 0));
		fence = syncobj_export(self->node, self->binary);
		EXPECT_EQ(errors[i], fence_status(fence));
		ASSERT_EQ(0, fence_info(fence, &info));
		EXPECT_EQ(errors[i], info.status);
		EXPECT_LE(before, info.timestamp_ns);
		EXPECT_GE(now_ns(), info.timestamp_ns);
		close(fence);
	}
}

TEST_F(render, sync_file_of_a_point_has_the_error)
{
	int fence;

	ASSERT_EQ(0, fail(self, at(self->timeline, 5), -EIO));
	/* The other interfaces have no place for it. */
	EXPECT_EQ(0, syncobj_wait(self->node, self->timeline, 5));
	EXPECT_EQ(1, syncobj_signalled(self->node, self->timeline, 5));
	EXPECT_EQ(5, syncobj_query(self->node, self->timeline, 0));
	EXPECT_EQ(-EINVAL, syncobj_signalled(self->node, self->timeline, 6));
	fence = syncobj_export_point(self->node, self->timeline, 5);
	EXPECT_EQ(-EIO, first_status(fence));
	/* The status of the chain. */
	EXPECT_EQ(1, fence_status(fence));
	close(fence);
}

TEST_F(render, later_point_hides_the_error)
{
	uint64_t later = 7;
	int fence, after;

	ASSERT_EQ(0, fail(self, at(self->timeline, 5), -EIO));
	fence = syncobj_export_point(self->node, self->timeline, 5);
	ASSERT_EQ(0, drmSyncobjTimelineSignal(self->node, &self->timeline, &later, 1));
	EXPECT_EQ(7, syncobj_query(self->node, self->timeline, 0));
	after = syncobj_export_point(self->node, self->timeline, 5);
	EXPECT_EQ(1, first_status(after));
	EXPECT_EQ(-EIO, first_status(fence));
	close(fence);
	close(after);
}

TEST_F(render, point_after_a_pending_one_signals_with_it)
{
	int fence;

	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->timeline, 1)));
	ASSERT_EQ(0, fail(self, at(self->timeline, 2), -EIO));
	EXPECT_EQ(2, syncobj_query(self->node, self->timeline,
				   DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED));
	EXPECT_EQ(0, syncobj_signalled(self->node, self->timeline, 2));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, syncobj_wait(self->node, self->timeline, 2));
	fence = syncobj_export_point(self->node, self->timeline, 2);
	EXPECT_EQ(-EIO, first_status(fence));
	close(fence);
}

/* The error of a job, by way of a syncobj; 0 if it has none. */
static int error_of_waiting_job(FIXTURE_DATA(render) *self, __u32 policy,
				const struct drm_vfence_sync *in, __u32 count)
{
	__u32 queue = queue_with(self->node, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER, .in_fence_policy = policy,
	});
	struct vfence_submit job = { .queue = queue };
	struct drm_vfence_submit submit = drm_job(&job, in, count, NULL, 0);

	if (ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit) ||
	    wait_job(self->node, queue, job.seqno))
		return 1;
	return job_of(self->node, queue, job.seqno).error;
}

TEST_F(render, job_that_waits_gets_the_error)
{
	struct drm_vfence_sync in[] = { at(self->timeline, 5), at(self->binary, 0) };
	struct drm_vfence_sync swapped[] = { in[1], in[0] };

	ASSERT_EQ(0, fail(self, in[0], -EIO));
	ASSERT_EQ(0, fail(self, in[1], -ENOSPC));
	EXPECT_EQ(-EIO, error_of_waiting_job(self, VFENCE_IN_FENCE_PROPAGATE, in, 1));
	EXPECT_EQ(0, error_of_waiting_job(self, VFENCE_IN_FENCE_IGNORE, in, 1));
	/* Each fence has a context of its own, so none stands for the other. */
	EXPECT_EQ(-EIO, error_of_waiting_job(self, VFENCE_IN_FENCE_PROPAGATE, in, 2));
	EXPECT_EQ(-ENOSPC, error_of_waiting_job(self, VFENCE_IN_FENCE_PROPAGATE, swapped, 2));
}

TEST_F(render, waiters_for_the_point_wake_up)
{
	struct { uint32_t handle; uint64_t point; int eventfd; } waits[] = {
		{ self->binary, 0, eventfd(0, EFD_CLOEXEC) },
		{ self->timeline, 3, eventfd(0, EFD_CLOEXEC) },
	};
	struct drm_vfence_sync syncs[] = { at(self->binary, 0), at(self->timeline, 3) };

	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		ASSERT_EQ(0, drmSyncobjEventfd(self->node, waits[i].handle, waits[i].point,
					       waits[i].eventfd, 0));
		EXPECT_EQ(0, polled(waits[i].eventfd, POLLIN));
	}
	ASSERT_EQ(0, syncobjs_fail(self->node, syncs, 2, -EIO));
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		EXPECT_EQ(POLLIN, polled(waits[i].eventfd, POLLIN));
		close(waits[i].eventfd);
	}
}

static void *fail_later(void *data)
{
	struct later *later = data;

	usleep(50000);
	later->submitted = !fail(later->self, later->sync, -EIO);
	return NULL;
}

TEST_F(render, wait_for_submission_ends)
{
	struct later later = { .self = self, .sync = at(self->timeline, 9) };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, fail_later, &later));
	EXPECT_EQ(0, syncobj_wait_until(self->node, self->timeline, 9,
					DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, patience()));
	pthread_join(thread, NULL);
	EXPECT_EQ(1, later.submitted);
}

TEST_F(render, points_of_one_call_have_the_error)
{
	struct drm_vfence_sync syncs[] = {
		at(self->timeline, 3), at(self->binary, 0), at(self->timeline, 8),
	};
	int fence;

	ASSERT_EQ(0, syncobjs_fail(self->node, syncs, 3, -EIO));
	EXPECT_EQ(8, syncobj_query(self->node, self->timeline, 0));
	fence = syncobj_export_point(self->node, self->timeline, 8);
	EXPECT_EQ(-EIO, first_status(fence));
	close(fence);
	fence = syncobj_export(self->node, self->binary);
	EXPECT_EQ(-EIO, fence_status(fence));
	close(fence);
}

TEST_F(render, invalid_calls_change_nothing)
{
	static struct drm_vfence_sync many[DRM_VFENCE_MAX_SYNCS + 1];
	struct drm_vfence_sync syncs[] = {
		at(self->binary, 0), at(self->timeline, 3), at(12345, 0),
	};
	struct drm_vfence_syncobj_signal signal = {
		.syncs = ptr_to_u64(syncs), .sync_count = 2, .sync_size = sizeof(syncs[0]),
		.error = -EIO, .flags = 1,
	};

	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = syncs[0];
	EXPECT_REFUSED(ENOENT, syncobjs_fail(self->node, syncs, 3, -EIO));
	EXPECT_REFUSED(EINVAL, syncobjs_fail(self->node, syncs, 2, 0));
	EXPECT_REFUSED(EINVAL, syncobjs_fail(self->node, syncs, 2, EIO));
	EXPECT_REFUSED(EINVAL, syncobjs_fail(self->node, syncs, 2, -4096));
	EXPECT_REFUSED(EINVAL, syncobjs_fail(self->node, syncs, 2, INT_MIN));
	EXPECT_REFUSED(EINVAL, syncobjs_fail(self->node, syncs, 0, -EIO));
	EXPECT_REFUSED(EINVAL, syncobjs_fail(self->node, many, ARRAY_LEN(many), -EIO));
	EXPECT_REFUSED(EFAULT, syncobjs_fail(self->node, (void *)unmapped(1), 2, -EIO));
	EXPECT_REFUSED(EINVAL, ioctl(self->node, DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL, &signal));
	signal.flags = 0;
	signal.sync_size = 8;
	EXPECT_REFUSED(EINVAL, ioctl(self->node, DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL, &signal));
	EXPECT_REFUSED(EFAULT, ioctl(self->node, DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL, unmapped(1)));
	/* The flag is for syncobjs that a job waits for. */
	syncs[1].flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT;
	EXPECT_REFUSED(EINVAL, syncobjs_fail(self->node, syncs, 2, -EIO));
	EXPECT_EQ(-EINVAL, syncobj_signalled(self->node, self->binary, 0));
	EXPECT_EQ(-EINVAL, syncobj_signalled(self->node, self->timeline, 3));
	/* The largest call. */
	EXPECT_EQ(0, syncobjs_fail(self->node, many, DRM_VFENCE_MAX_SYNCS, -EIO));
	EXPECT_EQ(1, syncobj_signalled(self->node, self->binary, 0));
}

TEST_HARNESS_MAIN
