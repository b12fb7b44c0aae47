// SPDX-License-Identifier: GPL-2.0
/* Implicit synchronisation: jobs that wait for each other because they use the same buffers. */
#include <sys/wait.h>
#include "lib/test.h"
#include "lib/vgem.h"

#define SIZE (1 << 16)

FIXTURE(implicit)
{
	int device;
	/* Worker queues, whose jobs complete by themselves. */
	__u32 queues[2];
	__u32 manual;
	int buffer;
	unsigned char *memory;
};

FIXTURE_VARIANTS_OF_NODES(implicit);

FIXTURE_SETUP(implicit)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	for (int i = 0; i < 2; i++)
		self->queues[i] = worker_queue(self->device);
	self->manual = manual_queue(self->device);
	self->buffer = buffer_create(self->device, SIZE);
	ASSERT_LE(0, self->buffer);
	self->memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->buffer, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->memory);
}

FIXTURE_TEARDOWN(implicit)
{
	close(self->device);
	munmap(self->memory, SIZE);
	close(self->buffer);
}

/* Returns a job that uses buffers without an operation on them. */
static struct vfence_submit use_job(__u32 queue, __u64 duration_ns, const struct vfence_use *uses,
				 __u32 count)
{
	struct vfence_submit job = buffer_job(queue, VFENCE_SUBMIT_OUT_FENCE, uses, count, NULL, 0);

	job.duration_ns = duration_ns;
	return job;
}

/* Submits a job that uses a buffer, and returns its out-fence. */
static int submit_use(int device, __u32 queue, __u64 duration_ns, int buffer, __u32 flags)
{
	struct vfence_use use = { .fd = buffer, .flags = flags };
	struct vfence_submit job = use_job(queue, duration_ns, &use, 1);

	return submit_job(device, &job) ? -1 : job.out_fence;
}

/* Returns the CRC-32C of @length bytes of value @byte. */
static __u32 sum_of(unsigned char byte, size_t length)
{
	static unsigned char bytes[SIZE];

	memset(bytes, byte, length);
	return crc32c(bytes, length);
}

/* Adds a fence to the buffer that is pending until release(). */
static int occupy(FIXTURE_DATA(implicit) *self, __u32 flags)
{
	struct dma_buf_import_sync_file import = {
		.flags = flags,
		.fd = submit(self->device, self->manual, 0),
	};

	return ioctl(self->buffer, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import);
}

static int release(FIXTURE_DATA(implicit) *self, __s32 error)
{
	return signal_seqno(self->device, self->manual,
			    queue_submitted(self->device, self->manual), error);
}

TEST_F(implicit, reader_waits_for_a_writer)
{
	int fence;

	ASSERT_EQ(0, occupy(self, DMA_BUF_SYNC_WRITE));
	fence = submit_use(self->device, self->queues[0], 0, self->buffer, 0);
	usleep(10000);
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(1, release(self, 0));
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(implicit, reader_does_not_wait_for_a_reader)
{
	int fence;

	ASSERT_EQ(0, occupy(self, DMA_BUF_SYNC_READ));
	fence = submit_use(self->device, self->queues[0], 0, self->buffer, 0);
	EXPECT_EQ(1, fence_wait(fence));
	EXPECT_EQ(1, release(self, 0));
}

TEST_F(implicit, writer_waits_for_readers_and_writers)
{
	static const __u32 flags[] = { DMA_BUF_SYNC_READ, DMA_BUF_SYNC_WRITE };

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		int fence;

		ASSERT_EQ(0, occupy(self, flags[i]));
		fence = submit_use(self->device, self->queues[0], 0, self->buffer,
				   VFENCE_USE_WRITE);
		usleep(10000);
		EXPECT_EQ(0, fence_status(fence));
		ASSERT_EQ(1, release(self, 0));
		EXPECT_EQ(1, fence_wait(fence));
	}
}

TEST_F(implicit, jobs_add_fences_for_other_users)
{
	/* A job that only takes time on a timer queue adds its fence, too. */
	__u32 timer = timer_queue(self->device);
	struct vfence_submit hang;
	struct vfence_use use = { .fd = self->buffer };
	int exported;

	hang = use_job(timer, 0, &use, 1);
	hang.flags |= VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_job(self->device, &hang));
	EXPECT_EQ(POLLIN, polled(self->buffer, POLLIN | POLLOUT));
	ASSERT_EQ(0, queue_reset(self->device, timer, NULL));
	EXPECT_EQ(POLLIN | POLLOUT, polled(self->buffer, POLLIN | POLLOUT));
	use.flags = VFENCE_USE_WRITE;
	ASSERT_EQ(0, submit_job(self->device, &hang));
	EXPECT_EQ(0, polled(self->buffer, POLLIN | POLLOUT));
	exported = buffer_fences(self->buffer);
	EXPECT_EQ(0, fence_status(exported));
	ASSERT_EQ(0, queue_reset(self->device, timer, NULL));
	EXPECT_EQ(-ECANCELED, fence_wait(exported));
	EXPECT_EQ(POLLIN | POLLOUT, polled(self->buffer, POLLIN | POLLOUT));
}

TEST_F(implicit, no_wait_runs_the_job_at_once)
{
	ASSERT_EQ(0, occupy(self, DMA_BUF_SYNC_WRITE));
	EXPECT_EQ(1, fence_wait(submit_use(self->device, self->queues[0], 0, self->buffer,
					   VFENCE_USE_WRITE | VFENCE_USE_NO_WAIT)));
	EXPECT_EQ(1, release(self, 0));
}

TEST_F(implicit, no_add_leaves_no_fence)
{
	struct vfence_use use = {
		.fd = self->buffer, .flags = VFENCE_USE_WRITE | VFENCE_USE_NO_ADD,
	};
	struct vfence_submit hang = use_job(self->queues[0], 0, &use, 1);

	hang.flags |= VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_job(self->device, &hang));
	EXPECT_EQ(POLLIN | POLLOUT, polled(self->buffer, POLLIN | POLLOUT));
	EXPECT_EQ(1, fence_wait(submit_use(self->device, self->queues[1], 0, self->buffer, 0)));
	/* A job with NO_ADD needs no fence. */
	hang.flags = VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_job(self->device, &hang));
	EXPECT_EQ(-1, hang.out_fence);
}

TEST_F(implicit, job_without_an_out_fence_adds_its_fence)
{
	struct vfence_use use = { .fd = self->buffer, .flags = VFENCE_USE_WRITE };
	struct vfence_submit job = use_job(self->queues[0], 0, &use, 1);

	job.flags = VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_job(self->device, &job));
	EXPECT_EQ(-1, job.out_fence);
	EXPECT_EQ(0, polled(self->buffer, POLLIN));
	ASSERT_EQ(0, queue_destroy(self->device, self->queues[0]));
	EXPECT_EQ(POLLIN, polled(self->buffer, POLLIN));
}

TEST_F(implicit, jobs_of_one_queue_do_not_wait_for_each_other)
{
	int last = -1;

	for (int i = 0; i < 50; i++)
		last = submit_use(self->device, self->queues[0], 1000, self->buffer,
				  VFENCE_USE_WRITE);
	ASSERT_EQ(1, fence_wait(last));
}

TEST_F(implicit, next_job_reads_the_bytes_of_the_previous)
{
	/* Two queues take turns; only the buffer orders their jobs. */
	for (int i = 1; i <= 100; i++) {
		struct vfence_use use = { .fd = self->buffer, .flags = VFENCE_USE_WRITE };
		struct vfence_operation fill = {
			.kind = VFENCE_OPERATION_FILL,
			.length = SIZE,
			.pattern = i,
			.pattern_size = 1,
		}, half = {
			.kind = VFENCE_OPERATION_COPY,
			.target_offset = SIZE / 2,
			.length = SIZE / 2,
		};
		struct vfence_submit first = use_job(self->queues[0], 0, &use, 1);
		struct vfence_submit second = use_job(self->queues[1], 0, &use, 1);

		first.flags = second.flags = 0;
		first.operations = ptr_to_u64(&fill);
		second.operations = ptr_to_u64(&half);
		first.operation_count = second.operation_count = 1;
		first.operation_size = second.operation_size = sizeof(fill);
		/* The second job copies bytes that only the first one writes. */
		fill.length = SIZE / 2;
		ASSERT_EQ(0, submit_job(self->device, &first));
		ASSERT_EQ(0, submit_job(self->device, &second));
	}
	ASSERT_EQ(0, wait_idle(self->device, self->queues[1]));
	for (int i = 0; i < SIZE; i++)
		ASSERT_EQ(100, self->memory[i]);
}

TEST_F(implicit, jobs_of_a_batch_wait_for_earlier_ones)
{
	struct vfence_use write = { .fd = self->buffer, .flags = VFENCE_USE_WRITE };
	struct vfence_use read = { .fd = self->buffer };
	struct vfence_operation fills[50], sums[50];
	struct vfence_submit jobs[100];

	for (int i = 0; i < 50; i++) {
		fills[i] = (struct vfence_operation) {
			.kind = VFENCE_OPERATION_FILL,
			.length = SIZE,
			.pattern = i,
			.pattern_size = 1,
		};
		sums[i] = (struct vfence_operation) {
			.kind = VFENCE_OPERATION_CRC32C,
			.length = SIZE,
		};
		jobs[2 * i] = use_job(self->queues[0], 0, &write, 1);
		jobs[2 * i].operations = ptr_to_u64(&fills[i]);
		jobs[2 * i + 1] = use_job(self->queues[1], 0, &read, 1);
		jobs[2 * i + 1].operations = ptr_to_u64(&sums[i]);
	}
	for (int i = 0; i < 100; i++) {
		jobs[i].flags = i % 2 ? VFENCE_SUBMIT_EVENT : 0;
		jobs[i].operation_count = 1;
		jobs[i].operation_size = sizeof(fills[0]);
	}
	ASSERT_EQ(0, submit_batch(self->device, jobs, 100, NULL));
	/* Each sum covers the fill before it and no later one. */
	for (int i = 0; i < 50; i++) {
		struct vfence_event event;

		ASSERT_EQ(0, read_event(self->device, &event));
		EXPECT_EQ(0, event.error);
		EXPECT_EQ(sum_of(i, SIZE), event.result)
			TH_LOG("sum %d", i);
	}
}

/* Two queues take turns on a buffer: each job waits only for the last job of the other queue. */
TEST_F_TIMEOUT(implicit, full_batch_waits_once_per_queue, 120)
{
	static struct vfence_submit jobs[VFENCE_MAX_BATCH];
	static struct vfence_operation operations[VFENCE_MAX_BATCH];
	struct vfence_use use = { .fd = self->buffer, .flags = VFENCE_USE_WRITE };
	const int hangs = 50;
	struct sync_file_info file = { 0 };

	for (int i = 0; i < VFENCE_MAX_BATCH; i++) {
		operations[i] = (struct vfence_operation) {
			.kind = i % 2 ? VFENCE_OPERATION_CRC32C : VFENCE_OPERATION_FILL,
			.length = 4096,
			.pattern = i % 2 ? 0 : i / 2 % 256,
			.pattern_size = i % 2 ? 0 : 1,
		};
		jobs[i] = use_job(self->queues[i % 2], 0, &use, 1);
		jobs[i].flags = i % 2 ? VFENCE_SUBMIT_EVENT : 0;
		jobs[i].operations = ptr_to_u64(&operations[i]);
		jobs[i].operation_count = 1;
		jobs[i].operation_size = sizeof(operations[i]);
	}
	/* Hangs hold the jobs back for longer than it takes to submit them. */
	for (int i = 0; i < 2 * hangs; i++) {
		struct vfence_submit hang = {
			.queue = self->queues[i % 2],
			.flags = VFENCE_SUBMIT_HANG,
		};

		ASSERT_EQ(0, submit_job(self->device, &hang));
	}
	ASSERT_EQ(0, submit_batch(self->device, jobs, VFENCE_MAX_BATCH, NULL));
	/* The reservation object has the last fence of each queue. */
	ASSERT_EQ(0, ioctl(buffer_fences(self->buffer), SYNC_IOC_FILE_INFO, &file));
	EXPECT_EQ(2, file.num_fences);
	for (int i = 0; i < 2; i++)
		while (queue_completed(self->device, self->queues[i]) < (__u64)hangs)
			ASSERT_EQ(0, queue_reset(self->device, self->queues[i], NULL));
	for (int i = 0; i < VFENCE_MAX_BATCH / 2; i++) {
		struct vfence_event event;

		ASSERT_EQ(0, read_event(self->device, &event));
		ASSERT_EQ(0, event.error);
		ASSERT_EQ(sum_of(i % 256, 4096), event.result)
			TH_LOG("sum %d", i);
	}
}

/* A write fence of a queue does not hide its read fence, nor the reverse. */
TEST_F(implicit, read_and_write_fences_of_a_queue_coexist)
{
	struct vfence_use read = { .fd = self->buffer };
	struct vfence_use write = { .fd = self->buffer, .flags = VFENCE_USE_WRITE };
	__u32 others[] = { worker_queue(self->device), worker_queue(self->device) };
	struct vfence_submit jobs[] = {
		use_job(self->queues[0], 0, &write, 1),
		use_job(self->queues[0], 0, &read, 1),
		use_job(others[0], 0, &read, 1),
		use_job(others[1], 0, &write, 1),
	};

	/*
	 * The reader waits for the write but not for the read that hangs. The writer waits for
	 * both.
	 */
	jobs[0].duration_ns = 100 * MSEC;
	jobs[1].flags |= VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_batch(self->device, jobs, ARRAY_LEN(jobs), NULL));
	EXPECT_EQ(1, fence_wait(jobs[2].out_fence));
	EXPECT_EQ(job_of(self->device, self->queues[0], 1).end_ns,
		  job_of(self->device, others[0], 1).start_ns);
	EXPECT_EQ(0, fence_status(jobs[1].out_fence));
	EXPECT_EQ(0, fence_status(jobs[3].out_fence));
	ASSERT_EQ(0, queue_reset(self->device, self->queues[0], NULL));
	EXPECT_EQ(-ECANCELED, fence_wait(jobs[3].out_fence));
}

TEST_F(implicit, buffer_used_twice_counts_as_written)
{
	struct vfence_use uses[] = {
		{ .fd = self->buffer },
		{ .fd = self->buffer, .flags = VFENCE_USE_WRITE },
		{ .fd = dup(self->buffer) },
	};
	struct vfence_submit job = use_job(self->queues[0], 0, uses, 3);

	ASSERT_EQ(0, occupy(self, DMA_BUF_SYNC_READ));
	job.flags |= VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_job(self->device, &job));
	/* The job waits as a writer. */
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->device, self->queues[0], 1).state);
	ASSERT_EQ(1, release(self, 0));
	while (job_of(self->device, self->queues[0], 1).state == VFENCE_JOB_PENDING)
		;
	EXPECT_EQ(0, polled(self->buffer, POLLIN));
	ASSERT_EQ(0, queue_reset(self->device, self->queues[0], NULL));
	EXPECT_EQ(POLLIN | POLLOUT, polled(self->buffer, POLLIN | POLLOUT));
}

TEST_F_TIMEOUT(implicit, job_uses_hundreds_of_buffers, 120)
{
	struct vfence_use uses[400];
	struct vfence_operation operations[VFENCE_MAX_OPERATIONS];
	struct vfence_submit job = use_job(self->queues[0], 0, uses, ARRAY_LEN(uses));

	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		uses[i].fd = buffer_create(self->device, 4096);
		uses[i].flags = VFENCE_USE_WRITE;
		ASSERT_LE(0, uses[i].fd);
	}
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		operations[i] = (struct vfence_operation) {
			.kind = VFENCE_OPERATION_FILL,
			.target = 400 - 1 - i,
			.length = 4096,
			.pattern = i,
			.pattern_size = 1,
		};
	job.operations = ptr_to_u64(operations);
	job.operation_count = ARRAY_LEN(operations);
	job.operation_size = sizeof(operations[0]);
	for (int round = 0; round < 5; round++) {
		ASSERT_EQ(0, submit_job(self->device, &job));
		ASSERT_EQ(1, fence_wait(job.out_fence));
		close(job.out_fence);
	}
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		unsigned char *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED,
					     uses[400 - 1 - i].fd, 0);

		ASSERT_EQ(i, memory[4095]);
	}
}

TEST_F(implicit, invalid_uses_are_refused)
{
	static struct vfence_use uses[VFENCE_MAX_USES + 1];
	struct vfence_use use = { .fd = self->buffer };
	struct vfence_submit job = use_job(self->queues[0], 0, &use, 1), both[2];
	__u32 refused;

	for (size_t i = 0; i < ARRAY_LEN(uses); i++)
		uses[i].fd = self->buffer;
	EXPECT_REFUSED(EBADF, submit_use(self->device, self->queues[0], 0, -1, 0));
	EXPECT_REFUSED(EBADF, submit_use(self->device, self->queues[0], 0, 12345, 0));
	EXPECT_REFUSED(EINVAL, submit_use(self->device, self->queues[0], 0, self->device, 0));
	EXPECT_REFUSED(EINVAL, submit_use(self->device, self->queues[0], 0, self->buffer, 8));
	EXPECT_REFUSED(EINVAL, submit_use(self->device, self->manual, 0, self->buffer, 0));
	job.uses = ptr_to_u64(unmapped(1));
	EXPECT_REFUSED(EFAULT, submit_job(self->device, &job));
	job.uses = ptr_to_u64(&use);
	job.use_size = 0;
	EXPECT_REFUSED(EINVAL, submit_job(self->device, &job));
	job.use_size = 5000;
	EXPECT_REFUSED(E2BIG, submit_job(self->device, &job));
	job = use_job(self->queues[0], 0, uses, VFENCE_MAX_USES + 1);
	EXPECT_REFUSED(EINVAL, submit_job(self->device, &job));
	job.use_count = VFENCE_MAX_USES;
	EXPECT_EQ(0, submit_job(self->device, &job));
	/* The limit applies to all jobs of a batch together. */
	both[0] = both[1] = job;
	both[1].use_count = 1;
	EXPECT_REFUSED(EINVAL, submit_batch(self->device, both, 2, &refused));
	EXPECT_EQ(1, refused);
	both[0].use_count--;
	EXPECT_EQ(0, submit_batch(self->device, both, 2, NULL));
}

TEST_F(implicit, refused_job_leaves_no_fence)
{
	struct vfence_use use = { .fd = self->buffer, .flags = VFENCE_USE_WRITE };
	struct vfence_submit valid = use_job(self->queues[0], SEC, &use, 1);
	struct vfence_submit *job = read_only(&valid, sizeof(valid)), jobs[] = { valid, valid };

	ASSERT_NE(NULL, job);
	EXPECT_REFUSED(EFAULT, submit_job(self->device, job));
	jobs[1].pad = 1;
	EXPECT_REFUSED(EINVAL, submit_batch(self->device, jobs, 2, NULL));
	EXPECT_EQ(POLLIN | POLLOUT, polled(self->buffer, POLLIN | POLLOUT));
	EXPECT_EQ(0, queue_submitted(self->device, self->queues[0]));
}

TEST_F(implicit, timeout_of_a_writer_propagates_to_readers)
{
	struct vfence_queue_create create = {
		.kind = VFENCE_QUEUE_WORKER,
		.timeout_ns = 50 * MSEC,
	};
	struct vfence_use use = { .fd = self->buffer, .flags = VFENCE_USE_WRITE };
	struct vfence_submit hang;
	int reader;

	ASSERT_EQ(0, queue_create_with(self->device, &create));
	hang = use_job(create.queue, 0, &use, 1);
	hang.flags |= VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_job(self->device, &hang));
	reader = submit_use(self->device, self->queues[0], 0, self->buffer, 0);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(reader));
	EXPECT_EQ(-ETIMEDOUT, fence_status(hang.out_fence));
	/* The job has ended, so the buffer is free. */
	EXPECT_EQ(1, fence_wait(submit_use(self->device, self->queues[0], 0, self->buffer,
					   VFENCE_USE_WRITE)));
}

/*
 * The driver sorts the locks of a call, so these two processes never back off. The KUnit test
 * opposite_orders_do_not_block_each_other covers a driver with another order.
 */
TEST_F(implicit, processes_lock_buffers_in_opposite_orders)
{
	int buffers[4], status;
	pid_t child;

	for (size_t i = 0; i < ARRAY_LEN(buffers); i++)
		buffers[i] = buffer_create(self->device, 4096);
	child = fork();
	for (int round = 0; round < 200; round++) {
		struct vfence_use uses[ARRAY_LEN(buffers)];
		struct vfence_submit job;
		int device = self->device;

		for (size_t i = 0; i < ARRAY_LEN(buffers); i++)
			uses[i] = (struct vfence_use) {
				.fd = buffers[child ? i : ARRAY_LEN(buffers) - 1 - i],
				.flags = VFENCE_USE_WRITE,
			};
		if (!round && !child) {
			/* A second client, so that the processes share no mutex. */
			self->device = device = variant->node->open();
			self->queues[1] = worker_queue(device);
		}
		job = use_job(self->queues[child ? 0 : 1], 1000, uses, ARRAY_LEN(uses));
		job.flags = 0;
		if (submit_job(device, &job)) {
			TH_LOG("round %d: %s", round, strerror(errno));
			if (!child)
				_exit(1);
			ASSERT_TRUE(false);
		}
	}
	if (!child)
		_exit(wait_idle(self->device, self->queues[1]) ? 2 : 0);
	EXPECT_EQ(0, wait_idle(self->device, self->queues[0]));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(implicit, fences_are_exchanged_with_vgem)
{
	struct drm_prime_handle prime = { .fd = self->buffer };
	int card = vgem_load(), theirs, fence;

	if (card < 0)
		SKIP(return, "the kernel has no vgem, or no node for it in /dev/dri");
	ASSERT_EQ(0, ioctl(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime));
	theirs = vgem_attach(card, prime.handle);
	ASSERT_LT(0, theirs);
	fence = submit_use(self->device, self->queues[0], 0, self->buffer, 0);
	usleep(10000);
	EXPECT_EQ(0, fence_status(fence));
	ASSERT_EQ(0, vgem_signal(card, theirs));
	EXPECT_EQ(1, fence_wait(fence));
	/* vgem refuses a buffer with pending fences. */
	ASSERT_EQ(0, occupy(self, DMA_BUF_SYNC_WRITE));
	fence = submit_use(self->device, self->queues[0], 0, self->buffer, VFENCE_USE_WRITE);
	EXPECT_REFUSED(EBUSY, vgem_attach(card, prime.handle));
	ASSERT_EQ(1, release(self, 0));
	ASSERT_EQ(1, fence_wait(fence));
	theirs = vgem_attach(card, prime.handle);
	EXPECT_LT(0, theirs);
	EXPECT_EQ(0, vgem_signal(card, theirs));
	close(card);
}

TEST_HARNESS_MAIN
