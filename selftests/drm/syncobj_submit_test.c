// SPDX-License-Identifier: GPL-2.0
/*
 * SUBMIT on the render node: syncobjs that jobs wait for and signal, refusals, and sync_files that
 * pass to /dev/vfence and back.
 */
#include <sys/time.h>
#include "drm/fixture.h"

TEST_F(render, job_waits_for_a_submitted_fence)
{
	struct drm_vfence_sync syncs[] = { at(self->binary, 0), at(self->timeline, 3) };

	for (size_t i = 0; i < ARRAY_LEN(syncs); i++) {
		ASSERT_EQ(i + 1, submit_to(self, self->manual, NONE, syncs[i]));
		ASSERT_EQ(i + 1, submit_to(self, self->timer, syncs[i], NONE));
		EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->timer, i + 1).state);
		signal_seqno(self->node, self->manual, i + 1, 0);
		EXPECT_EQ(0, wait_job(self->node, self->timer, i + 1));
		/* The job starts at the timestamp of its in-fence. */
		EXPECT_EQ(job_of(self->node, self->manual, i + 1).end_ns,
			  job_of(self->node, self->timer, i + 1).start_ns);
	}
}

TEST_F(render, wait_for_a_lower_point_uses_the_next_one)
{
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->timeline, 5)));
	ASSERT_EQ(1, submit_to(self, self->timer, at(self->timeline, 2), NONE));
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->timer, 1).state);
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 1));
	/* A job may wait for a point that has signalled. */
	ASSERT_EQ(2, submit_to(self, self->timer, at(self->timeline, 2), NONE));
	EXPECT_EQ(0, wait_job(self->node, self->timer, 2));
}

TEST_F(render, point_waits_for_lower_points)
{
	__u32 other = manual_queue(self->node);

	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->timeline, 1)));
	ASSERT_EQ(1, submit_to(self, other, NONE, at(self->timeline, 2)));
	ASSERT_EQ(1, submit_to(self, self->timer, at(self->timeline, 2), NONE));
	signal_seqno(self->node, other, 1, 0);
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->timer, 1).state);
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 1));
}

TEST_F(render, job_takes_several_syncobjs)
{
	struct drm_vfence_sync in[] = { at(self->binary, 0), at(self->timeline, 1) };
	struct drm_vfence_sync out[] = {
		at(syncobj_create(self->node), 0), at(self->timeline, 2), at(self->binary, 0),
	};
	struct vfence_submit job = { .queue = self->timer };
	struct drm_vfence_submit submit = drm_job(&job, in, 2, out, 3);

	ASSERT_EQ(1, submit_to(self, self->manual, NONE, in[0]));
	ASSERT_EQ(2, submit_to(self, self->manual, NONE, in[1]));
	ASSERT_EQ(0, ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->timer, 1).state);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, syncobj_signalled(self->node, out[i].handle, out[i].point));
	signal_seqno(self->node, self->manual, 2, 0);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, syncobj_wait(self->node, out[i].handle, out[i].point));
}

/* Each job waits for the fence in the syncobj and replaces it with its own. */
TEST_F(render, job_waits_for_and_signals_one_syncobj)
{
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->binary, 0)));
	ASSERT_EQ(1, submit_to(self, self->timer, at(self->binary, 0), at(self->binary, 0)));
	EXPECT_EQ(0, syncobj_signalled(self->node, self->binary, 0));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, syncobj_wait(self->node, self->binary, 0));
	EXPECT_EQ(VFENCE_JOB_COMPLETED, job_of(self->node, self->timer, 1).state);
}

TEST_F(render, syncobj_without_a_fence_is_refused)
{
	EXPECT_REFUSED(EINVAL, submit_to(self, self->timer, at(self->binary, 0), NONE) ? 0 : -1);
	EXPECT_REFUSED(EINVAL, submit_to(self, self->timer, at(self->timeline, 1), NONE) ? 0 : -1);
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->timeline, 1)));
	EXPECT_REFUSED(EINVAL, submit_to(self, self->timer, at(self->timeline, 2), NONE) ? 0 : -1);
	EXPECT_EQ(0, queue_submitted(self->node, self->timer));
}

/* Expects a job to be refused, and the syncobj to be unchanged. */
#define EXPECT_JOB_REFUSED(error, submit) \
	do { \
		EXPECT_REFUSED(error, ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &(submit))); \
		EXPECT_EQ(-EINVAL, syncobj_signalled(self->node, self->binary, 0)); \
		EXPECT_EQ(0, queue_submitted(self->node, self->timer)); \
		EXPECT_EQ(0, queue_submitted(self->node, self->manual)); \
		EXPECT_EQ(fds, open_fds()); \
	} while (0)

TEST_F(render, invalid_arguments_are_refused)
{
	struct vfence_submit job = { .queue = self->timer, .flags = VFENCE_SUBMIT_OUT_FENCE };
	struct drm_vfence_sync out = at(self->binary, 0), in = at(self->timeline, 1), bad;
	struct drm_vfence_submit valid = drm_job(&job, NULL, 0, &out, 1), submit;
	struct drm_vfence_sync *many = calloc(DRM_VFENCE_MAX_SYNCS, sizeof(*many));
	int fds = open_fds();

	ASSERT_NE(NULL, many);
	bad = at(12345, 0);
	submit = drm_job(&job, &bad, 1, &out, 1);
	EXPECT_JOB_REFUSED(ENOENT, submit);
	submit = drm_job(&job, NULL, 0, &bad, 1);
	EXPECT_JOB_REFUSED(ENOENT, submit);
	bad = out;
	bad.flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT;
	submit = drm_job(&job, NULL, 0, &bad, 1);
	EXPECT_JOB_REFUSED(EINVAL, submit);
	bad.flags = 1U << 1;
	submit = drm_job(&job, &bad, 1, &out, 1);
	EXPECT_JOB_REFUSED(EINVAL, submit);
	/* The limit applies to in-syncs and out-syncs together. */
	for (int i = 0; i < DRM_VFENCE_MAX_SYNCS; i++)
		many[i] = at(self->binary, 0);
	submit = drm_job(&job, &in, 1, many, DRM_VFENCE_MAX_SYNCS);
	drmSyncobjTimelineSignal(self->node, &in.handle, (uint64_t[]) { 1 }, 1);
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit.out_sync_count = UINT32_MAX;
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit = valid;
	submit.sync_size = sizeof(out) - 1;
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit.sync_size = 0;
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit = valid;
	submit.job_size = 7;
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit = valid;
	submit.job = ptr_to_u64(unmapped(1));
	EXPECT_JOB_REFUSED(EFAULT, submit);
	submit = valid;
	submit.out_syncs = ptr_to_u64(unmapped(1));
	EXPECT_JOB_REFUSED(EFAULT, submit);
	/* The reply is not writable; the kernel writes it last. */
	submit = valid;
	submit.job = ptr_to_u64(read_only(&job, sizeof(job)));
	EXPECT_JOB_REFUSED(EFAULT, submit);
	/* A manual job takes no in-syncs. */
	job.queue = self->manual;
	submit = drm_job(&job, &in, 1, &out, 1);
	drmSyncobjReset(self->node, &self->timeline, 1);
	EXPECT_JOB_REFUSED(EINVAL, submit);
	submit_to(self, self->timer, NONE, in);
	EXPECT_EQ(1, queue_submitted(self->node, self->timer));
	EXPECT_REFUSED(EINVAL, ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit));
	EXPECT_EQ(0, queue_submitted(self->node, self->manual));
	free(many);
}

TEST_F(render, unknown_ioctls_are_refused)
{
	EXPECT_REFUSED(ENOTTY, ioctl(self->node, DRM_IO(DRM_COMMAND_BASE + 0x3f), NULL));
	/* The ioctls of /dev/vfence have other numbers here. */
	EXPECT_REFUSED(ENOTTY, ioctl(self->node, VFENCE_IOCTL_QUERY, &(struct vfence_query) { 0 }));
	/* The fast ioctls exist neither with DRM's nor with their own numbers. */
	EXPECT_REFUSED(ENOTTY, ioctl(self->node, VFENCE_IOCTL_CREATE_FENCE, self->manual));
	EXPECT_REFUSED(ENOTTY, ioctl(self->node, VFENCE_IOCTL_SIGNAL_NEXT, self->manual));
	EXPECT_REFUSED(ENOTTY, ioctl(self->node, DRM_VFENCE_IOCTL(VFENCE_IOCTL_CREATE_FENCE),
				     self->manual));
	EXPECT_REFUSED(ENOTTY, ioctl(self->node, DRM_VFENCE_IOCTL(VFENCE_IOCTL_SIGNAL_NEXT),
				     self->manual));
	EXPECT_EQ(0, queue_submitted(self->node, self->manual));
}

TEST_F(render, structures_may_grow)
{
	struct {
		struct drm_vfence_submit submit;
		__u64 newer;
	} grown;
	struct vfence_submit job = { .queue = self->timer };
	const unsigned int number = _IOC(_IOC_READ | _IOC_WRITE, DRM_IOCTL_BASE,
					 DRM_COMMAND_BASE + DRM_VFENCE_SUBMIT, sizeof(grown));

	grown.submit = drm_job(&job, NULL, 0, NULL, 0);
	grown.newer = 1;
	EXPECT_REFUSED(E2BIG, ioctl(self->node, number, &grown));
	grown.newer = 0;
	EXPECT_EQ(0, ioctl(self->node, number, &grown));
	EXPECT_EQ(1, job.seqno);
}

TEST_F(render, wait_for_submit_blocks_until_the_point_exists)
{
	struct drm_vfence_sync syncs[] = { at(self->binary, 0), at(self->timeline, 7) };

	for (size_t i = 0; i < ARRAY_LEN(syncs); i++) {
		struct later later = { .self = self, .sync = syncs[i] };
		struct drm_vfence_sync in = syncs[i];
		pthread_t thread;

		in.flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT;
		ASSERT_EQ(0, pthread_create(&thread, NULL, submit_later, &later));
		EXPECT_EQ(i + 1, submit_to(self, self->timer, in, NONE));
		pthread_join(thread, NULL);
		EXPECT_EQ(i + 1, later.submitted);
		EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->timer, i + 1).state);
		signal_seqno(self->node, self->manual, i + 1, 0);
		EXPECT_EQ(0, wait_job(self->node, self->timer, i + 1));
	}
}

TEST_F(render, wait_for_submit_times_out)
{
	struct drm_vfence_sync in = at(self->timeline, 1);
	__u64 start = now_ns();

	in.flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT;
	EXPECT_REFUSED(ETIME, submit_to(self, self->timer, in, at(self->binary, 0)) ? 0 : -1);
	EXPECT_LE(4 * SEC, now_ns() - start);
	EXPECT_EQ(-EINVAL, syncobj_signalled(self->node, self->binary, 0));
	EXPECT_EQ(0, queue_submitted(self->node, self->timer));
}

static void nothing(int number)
{
	(void)number;
}

TEST_F(render, signal_interrupts_wait_for_submit)
{
	struct drm_vfence_sync in = at(self->timeline, 1);
	struct sigaction action = { .sa_handler = nothing };

	/* The timer repeats, in case the first signal comes before the call. */
	struct itimerval often = { { 0, 100000 }, { 0, 100000 } }, never = { 0 };

	in.flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT;
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	EXPECT_REFUSED(EINTR, submit_to(self, self->timer, in, NONE) ? 0 : -1);
	setitimer(ITIMER_REAL, &never, NULL);
}

/* An error propagates along syncobjs as along sync_files. */
TEST_F(render, errors_propagate)
{
	struct drm_vfence_sync syncs[] = { at(self->binary, 0), at(self->timeline, 3) };

	for (size_t i = 0; i < ARRAY_LEN(syncs); i++) {
		ASSERT_EQ(i + 1, submit_to(self, self->manual, NONE, syncs[i]));
		ASSERT_EQ(2 * i + 1, submit_to(self, self->timer, syncs[i], NONE));
		signal_seqno(self->node, self->manual, i + 1, -EREMOTEIO);
		EXPECT_EQ(0, wait_job(self->node, self->timer, 2 * i + 1));
		EXPECT_EQ(-EREMOTEIO, job_of(self->node, self->timer, 2 * i + 1).error);
		/* The fence may have failed before the submission. */
		ASSERT_EQ(2 * i + 2, submit_to(self, self->timer, syncs[i], NONE));
		EXPECT_EQ(0, wait_job(self->node, self->timer, 2 * i + 2));
		EXPECT_EQ(-EREMOTEIO, job_of(self->node, self->timer, 2 * i + 2).error);
	}
}

TEST_F(render, hang_signals_the_syncobj_with_etimedout)
{
	__u32 queue = queue_with(self->node, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER, .timeout_ns = 20 * MSEC,
	});
	struct vfence_submit job = { .queue = queue, .flags = VFENCE_SUBMIT_HANG };
	struct drm_vfence_sync out = at(self->timeline, 1);
	int fence;

	ASSERT_EQ(0, drm_submit(self->node, &job, NULL, &out));
	fence = syncobj_export_point(self->node, self->timeline, 1);
	EXPECT_EQ(0, syncobj_wait(self->node, self->timeline, 1));
	EXPECT_EQ(-ETIMEDOUT, first_status(fence));
	close(fence);
}

TEST_F(render, close_cancels_jobs)
{
	int other = render_open(), fd = -1, fence;
	__u32 queue = manual_queue(other), shared = 0;
	struct vfence_submit job = { .queue = queue };
	struct drm_vfence_sync out;

	ASSERT_EQ(0, drmSyncobjHandleToFD(self->node, self->timeline, &fd));
	ASSERT_EQ(0, drmSyncobjFDToHandle(other, fd, &shared));
	close(fd);
	out = at(shared, 1);
	ASSERT_EQ(0, drm_submit(other, &job, NULL, &out));
	fence = syncobj_export_point(self->node, self->timeline, 1);
	EXPECT_EQ(0, syncobj_signalled(self->node, self->timeline, 1));
	close(other);
	EXPECT_EQ(0, syncobj_wait(self->node, self->timeline, 1));
	EXPECT_EQ(-ECANCELED, first_status(fence));
	close(fence);
}

/* Each kind of syncobj passes to /dev/vfence and back as a sync_file. */
TEST_F(render, sync_files_pass_to_the_misc_device_and_back)
{
	struct drm_vfence_sync syncs[] = { at(self->binary, 0), at(self->timeline, 4) };
	__u32 misc = timer_queue(self->misc);

	for (size_t i = 0; i < ARRAY_LEN(syncs); i++) {
		__u32 back = syncobj_create(self->node);
		int fence, done;

		ASSERT_EQ(i + 1, submit_to(self, self->manual, NONE, syncs[i]));
		fence = syncobj_export_point(self->node, syncs[i].handle, syncs[i].point);
		ASSERT_LE(0, fence);
		done = submit_after(self->misc, misc, MSEC, fence);
		ASSERT_LE(0, done);
		ASSERT_EQ(0, drmSyncobjImportSyncFile(self->node, back, done));
		ASSERT_EQ(i + 1, submit_to(self, self->timer, at(back, 0), NONE));
		EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->node, self->timer, i + 1).state);
		signal_seqno(self->node, self->manual, i + 1, 0);
		EXPECT_EQ(0, wait_job(self->node, self->timer, i + 1));
		/* The timestamps agree across the two modules. */
		EXPECT_EQ(MSEC, job_of(self->node, self->timer, i + 1).start_ns -
				job_of(self->node, self->manual, i + 1).end_ns);
		close(fence);
		close(done);
	}
}

TEST_F(render, maximum_number_of_syncobjs)
{
	struct drm_vfence_sync *out = calloc(DRM_VFENCE_MAX_SYNCS, sizeof(*out));
	struct vfence_submit job = { .queue = self->timer };
	struct drm_vfence_submit submit = drm_job(&job, NULL, 0, out, DRM_VFENCE_MAX_SYNCS);

	ASSERT_NE(NULL, out);
	for (int i = 0; i < DRM_VFENCE_MAX_SYNCS; i++)
		out[i] = at(self->binary, 0);
	EXPECT_EQ(0, ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit));
	EXPECT_EQ(0, syncobj_wait(self->node, self->binary, 0));
	/* Syncobjs whose fence has signalled, or is the same, count as one wait. */
	ASSERT_EQ(1, submit_to(self, self->manual, NONE, at(self->binary, 0)));
	submit = drm_job(&job, out, DRM_VFENCE_MAX_SYNCS, NULL, 0);
	EXPECT_EQ(0, ioctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit));
	signal_seqno(self->node, self->manual, 1, 0);
	EXPECT_EQ(0, wait_job(self->node, self->timer, 2));
	free(out);
}

/* libdrm repeats a call that fails with EAGAIN, so a full queue fails with EBUSY. */
TEST_F(render, full_queue_fails_with_ebusy)
{
	struct vfence_query query = { 0 };
	struct vfence_submit job = { .queue = self->manual };
	struct drm_vfence_submit submit = drm_job(&job, NULL, 0, NULL, 0);
	struct drm_vfence_submit *submits = calloc(VFENCE_MAX_BATCH, sizeof(*submits));

	ASSERT_EQ(0, device_ioctl(self->node, VFENCE_IOCTL_QUERY, &query));
	ASSERT_EQ(0, query.max_jobs % VFENCE_MAX_BATCH);
	for (int i = 0; i < VFENCE_MAX_BATCH; i++)
		submits[i] = submit;
	for (__u32 jobs = 0; jobs < query.max_jobs; jobs += VFENCE_MAX_BATCH)
		ASSERT_EQ(0, drm_submit_batch(self->node, submits, VFENCE_MAX_BATCH, NULL));
	EXPECT_REFUSED(EBUSY, drmIoctl(self->node, DRM_IOCTL_VFENCE_SUBMIT, &submit));
	EXPECT_REFUSED(EBUSY, drm_submit_batch(self->node, submits, 1, NULL));
	EXPECT_EQ(query.max_jobs, queue_submitted(self->node, self->manual));
	free(submits);
}

TEST_F(render, fdinfo_describes_the_client)
{
	char path[64], text[4096];
	ssize_t length;
	int file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->node);
	file = open(path, O_RDONLY | O_CLOEXEC);
	length = read(file, text, sizeof(text) - 1);
	ASSERT_LT(0, length);
	text[length] = '\0';
	close(file);
	EXPECT_NE(NULL, strstr(text, "drm-driver:\tvfence\n"));
	EXPECT_NE(NULL, strstr(text, "drm-client-id:\t"));
	EXPECT_NE(NULL, strstr(text, "vfence-queues:\t2\n"));
}

/* The primary node works alike: jobs need no master and no authentication. */
TEST_F(render, primary_node_takes_jobs)
{
	int card = drm_node_open("card", "vfence");
	__u32 queue = timer_queue(card), handle = syncobj_create(card);
	struct vfence_submit job = { .queue = queue };
	struct drm_vfence_sync out = at(handle, 0);

	ASSERT_LE(0, card);
	EXPECT_EQ(0, drm_submit(card, &job, NULL, &out));
	EXPECT_EQ(0, syncobj_wait(card, handle, 0));
	close(card);
}

/* Runs the example program: a DMA job, then a render job that waits for it. */
TEST(example_program_succeeds)
{
	EXPECT_EQ(0, system("render"));
}

TEST_HARNESS_MAIN
