// SPDX-License-Identifier: GPL-2.0
/* EXPORT gives a submitted job a sync_file; JOB_INFO describes it. */
#include <pthread.h>
#include <sys/resource.h>
#include "lib/test.h"

FIXTURE(export)
{
	int device;
	__u32 timer;
	__u32 manual;
};

FIXTURE_VARIANTS_OF_NODES(export);

FIXTURE_SETUP(export)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->timer = timer_queue(self->device);
	self->manual = manual_queue(self->device);
}

FIXTURE_TEARDOWN(export)
{
	close(self->device);
}

static __u64 submit_plain(int device, __u32 queue, __u64 duration_ns)
{
	struct vfence_submit job = { .queue = queue, .duration_ns = duration_ns };

	return submit_job(device, &job) ? 0 : job.seqno;
}

TEST_F(export, export_of_a_pending_job)
{
	__u64 seqno = submit_plain(self->device, self->manual, 0);
	struct vfence_queue_info info;
	struct sync_fence_info fence;
	int fd = export_fence(self->device, self->manual, seqno);

	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(0, queue_info(self->device, self->manual, &info));
	ASSERT_EQ(0, fence_info(fd, &fence));
	EXPECT_STREQ("vfence", fence.driver_name);
	EXPECT_STREQ("manual", fence.obj_name);
	EXPECT_EQ(0, fence_status(fd));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, seqno, -EIO));
	EXPECT_EQ(-EIO, fence_status(fd));
}

TEST_F(export, second_export_returns_the_same_fence)
{
	__u64 seqno = submit_plain(self->device, self->manual, 0);
	struct sync_file_info info = { 0 };
	int one = export_fence(self->device, self->manual, seqno);
	int two = export_fence(self->device, self->manual, seqno);
	int merged = fence_merge(one, two);

	ASSERT_LE(0, merged);
	ASSERT_EQ(0, ioctl(merged, SYNC_IOC_FILE_INFO, &info));
	EXPECT_EQ(1, info.num_fences);
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, seqno, 0));
	EXPECT_EQ(1, fence_status(one));
	EXPECT_EQ(1, fence_status(two));
	EXPECT_EQ(fence_timestamp(one), fence_timestamp(two));
}

TEST_F(export, export_of_a_job_with_an_out_fence)
{
	int out = submit(self->device, self->manual, 0);
	int late = export_fence(self->device, self->manual, 1);

	ASSERT_LE(0, late);
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	EXPECT_EQ(fence_timestamp(out), fence_timestamp(late));
}

TEST_F(export, export_of_a_completed_job)
{
	__u64 seqno = submit_plain(self->device, self->manual, 0);
	struct vfence_job_info job;
	int fd;

	ASSERT_EQ(1, signal_seqno(self->device, self->manual, seqno, -ENOSPC));
	ASSERT_EQ(0, job_info(self->device, self->manual, seqno, &job));
	fd = export_fence(self->device, self->manual, seqno);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOSPC, fence_status(fd));
	EXPECT_EQ(job.end_ns, fence_timestamp(fd));
}

TEST_F(export, export_races_with_the_timer)
{
	for (int i = 0; i < 100; i++) {
		__u64 seqno = submit_plain(self->device, self->timer, i * 5000);
		int fd = export_fence(self->device, self->timer, seqno);
		struct vfence_job_info job;

		ASSERT_LE(0, fd);
		ASSERT_EQ(1, fence_wait(fd));
		ASSERT_EQ(0, job_info(self->device, self->timer, seqno, &job));
		EXPECT_EQ(VFENCE_JOB_COMPLETED, job.state);
		EXPECT_EQ(job.end_ns, fence_timestamp(fd));
		EXPECT_EQ(i * 5000, job.end_ns - job.start_ns);
		close(fd);
	}
}

TEST_F(export, exported_fence_serves_as_in_fence)
{
	__u64 seqno = submit_plain(self->device, self->manual, 0);
	int in = export_fence(self->device, self->manual, seqno);
	int out = submit_after(self->device, self->timer, MSEC, in);

	ASSERT_LE(0, out);
	EXPECT_EQ(0, fence_status(out));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, seqno, 0));
	EXPECT_EQ(1, fence_wait(out));
	EXPECT_LE(fence_timestamp(in) + MSEC, fence_timestamp(out));
}

TEST_F(export, history_holds_the_last_jobs)
{
	struct vfence_job_info job;
	const __u64 count = 3 * VFENCE_HISTORY;
	int fd;

	for (__u64 i = 0; i < count; i++)
		submit_plain(self->device, self->manual, 0);
	ASSERT_EQ(count, signal_seqno(self->device, self->manual, count, 0));
	for (__u64 seqno = 1; seqno <= count - VFENCE_HISTORY; seqno++) {
		EXPECT_REFUSED(ENODATA, export_fence(self->device, self->manual, seqno));
		EXPECT_REFUSED(ENODATA, job_info(self->device, self->manual, seqno, &job));
	}
	for (__u64 seqno = count - VFENCE_HISTORY + 1; seqno <= count; seqno++) {
		fd = export_fence(self->device, self->manual, seqno);
		EXPECT_EQ(1, fence_status(fd));
		close(fd);
		EXPECT_EQ(0, job_info(self->device, self->manual, seqno, &job));
		EXPECT_EQ(VFENCE_JOB_COMPLETED, job.state);
	}
}

TEST_F(export, invalid_arguments_are_refused)
{
	struct vfence_export valid = { .queue = self->manual, .seqno = 1 };
	struct vfence_export *argument = read_only(&valid, sizeof(valid));
	struct vfence_job_info job;
	struct rlimit limit = { 0, 0 }, before;
	int fds;

	EXPECT_REFUSED(EINVAL, export_fence(self->device, self->manual, 1));
	EXPECT_REFUSED(EINVAL, job_info(self->device, self->manual, 1, &job));
	submit_plain(self->device, self->manual, 0);
	EXPECT_REFUSED(EINVAL, export_fence(self->device, self->manual, 0));
	EXPECT_REFUSED(EINVAL, export_fence(self->device, self->manual, 2));
	EXPECT_REFUSED(EINVAL, export_fence(self->device, self->manual, ~0ULL));
	EXPECT_REFUSED(EINVAL, job_info(self->device, self->manual, ~0ULL, &job));
	EXPECT_REFUSED(ENOENT, export_fence(self->device, 77, 1));
	EXPECT_REFUSED(ENOENT, job_info(self->device, 77, 1, &job));
	fds = open_fds();
	ASSERT_NE(NULL, argument);
	EXPECT_REFUSED(EFAULT, device_ioctl(self->device, VFENCE_IOCTL_EXPORT, argument));
	EXPECT_EQ(fds, open_fds());
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
	limit.rlim_max = before.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_REFUSED(EMFILE, export_fence(self->device, self->manual, 1));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
}

TEST_F(export, fence_outlives_queue_and_client)
{
	__u64 seqno = submit_plain(self->device, self->manual, 0);
	int pending = export_fence(self->device, self->manual, seqno);
	int other = variant->node->open();
	__u32 queue = manual_queue(other);
	int of_other;

	submit_plain(other, queue, 0);
	of_other = export_fence(other, queue, 1);
	ASSERT_EQ(0, queue_destroy(self->device, self->manual));
	EXPECT_EQ(-ECANCELED, fence_status(pending));
	EXPECT_EQ(0, fence_status(of_other));
	close(other);
	EXPECT_EQ(-ECANCELED, fence_status(of_other));
}

TEST_F(export, job_info_follows_the_state)
{
	int in = submit(self->device, self->manual, 0);
	int out = submit_after(self->device, self->timer, 100 * MSEC, in);
	struct vfence_job_info job;

	ASSERT_EQ(0, job_info(self->device, self->timer, 1, &job));
	EXPECT_EQ(VFENCE_JOB_PENDING, job.state);
	EXPECT_NE(0, job.submitted_ns);
	EXPECT_EQ(0, job.start_ns);
	EXPECT_EQ(0, job.end_ns);
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	ASSERT_EQ(0, job_info(self->device, self->timer, 1, &job));
	if (!fence_status(out)) {
		EXPECT_EQ(VFENCE_JOB_RUNNING, job.state);
		EXPECT_EQ(0, job.end_ns);
	}
	EXPECT_LE(fence_timestamp(in), job.start_ns);
	ASSERT_EQ(1, fence_wait(out));
	ASSERT_EQ(0, job_info(self->device, self->timer, 1, &job));
	EXPECT_EQ(VFENCE_JOB_COMPLETED, job.state);
	EXPECT_EQ(job.start_ns + 100 * MSEC, job.end_ns);
	ASSERT_EQ(0, job_info(self->device, self->manual, 1, &job));
	EXPECT_EQ(0, job.start_ns);
	EXPECT_EQ(fence_timestamp(in), job.end_ns);
}

struct exporter {
	pthread_t thread;
	int device;
	__u32 queue;
	__u64 count;
	int wrong;
};

/* Exports each job, in any state. */
static void *export_all(void *data)
{
	struct exporter *exporter = data;

	for (__u64 seqno = 1; seqno <= exporter->count; seqno++) {
		int fd = export_fence(exporter->device, exporter->queue, seqno);

		if (fd < 0) {
			exporter->wrong += errno != ENODATA;
			continue;
		}
		exporter->wrong += fence_wait(fd) != (seqno % 2 ? -EIO : 1);
		close(fd);
	}
	return NULL;
}

TEST_F(export, export_from_threads_while_jobs_complete)
{
	struct vfence_submit jobs[500];
	struct exporter exporters[3];

	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		jobs[i] = (struct vfence_submit) {
			.queue = self->timer,
			.duration_ns = 20000,
			.error = i % 2 ? 0 : -EIO,
		};
	ASSERT_EQ(0, submit_batch(self->device, jobs, ARRAY_LEN(jobs), NULL));
	for (size_t i = 0; i < ARRAY_LEN(exporters); i++) {
		exporters[i] = (struct exporter) {
			.device = self->device,
			.queue = self->timer,
			.count = ARRAY_LEN(jobs),
		};
		pthread_create(&exporters[i].thread, NULL, export_all, &exporters[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(exporters); i++) {
		pthread_join(exporters[i].thread, NULL);
		EXPECT_EQ(0, exporters[i].wrong);
	}
}

TEST_F(export, exported_fences_signal_in_seqno_order)
{
	struct vfence_submit jobs[300];

	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		jobs[i] = (struct vfence_submit) {
			.queue = self->timer,
			/* Every other job has an out-fence. */
			.flags = i % 2 ? 0 : VFENCE_SUBMIT_OUT_FENCE,
			.duration_ns = 10000,
		};
	ASSERT_EQ(0, submit_batch(self->device, jobs, ARRAY_LEN(jobs), NULL));
	for (size_t i = 1; i < ARRAY_LEN(jobs); i += 2) {
		struct vfence_job_info job;
		bool done = false;

		while (!done) {
			int fd = export_fence(self->device, self->timer, i + 1);

			if (fd < 0) {
				/* The job has left the history of the queue. */
				ASSERT_EQ(ENODATA, errno);
				break;
			}
			done = fence_status(fd) == 1;
			close(fd);
		}
		EXPECT_EQ(1, fence_status(jobs[i - 1].out_fence));
		if (done && !job_info(self->device, self->timer, i + 1, &job))
			EXPECT_EQ(VFENCE_JOB_COMPLETED, job.state);
		EXPECT_LE(i + 1, queue_completed(self->device, self->timer));
	}
}

TEST_HARNESS_MAIN
