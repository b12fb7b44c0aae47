// SPDX-License-Identifier: GPL-2.0
/* Implicit synchronisation: jobs that wait for each other because they use the same buffers. */
#include <sys/wait.h>
#include "lib/vgem.h"
#include "lib/test.h"

#define SIZE (1 << 16)

FIXTURE(implicit)
{
	int device;
	/* Two that run for themselves. */
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

/* Describes a job that uses buffers, and does nothing with them. */
static struct vfence_submit user(__u32 queue, __u64 duration_ns, const struct vfence_use *uses,
				 __u32 count)
{
	return (struct vfence_submit) {
		.queue = queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.duration_ns = duration_ns,
		.uses = ptr_to_u64(uses),
		.use_count = count,
		.use_size = sizeof(*uses),
	};
}

/* Submits a job that uses a buffer, and returns its out-fence. */
static int submit_use(int device, __u32 queue, __u64 duration_ns, int buffer, __u32 flags)
{
	struct vfence_use use = { .fd = buffer, .flags = flags };
	struct vfence_submit job = user(queue, duration_ns, &use, 1);

	return submit_job(device, &job) ? -1 : job.out_fence;
}

/* The sum of so many bytes of @byte. */
static __u32 sum_of(unsigned char byte, size_t length)
{
	static unsigned char bytes[SIZE];

	memset(bytes, byte, length);
	return crc32c(bytes, length);
}

/* Has the buffer written or read until the manual queue's next job is completed. */
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

TEST_F(implicit, others_wait_for_ours)
{
	/* Also those that only take time, on a timer queue. */
	__u32 timer = timer_queue(self->device);
	struct vfence_submit hang;
	struct vfence_use use = { .fd = self->buffer };
	int exported;

	hang = user(timer, 0, &use, 1);
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

TEST_F(implicit, without_waiting)
{
	ASSERT_EQ(0, occupy(self, DMA_BUF_SYNC_WRITE));
	EXPECT_EQ(1, fence_wait(submit_use(self->device, self->queues[0], 0, self->buffer,
					   VFENCE_USE_WRITE | VFENCE_USE_NO_WAIT)));
	EXPECT_EQ(1, release(self, 0));
}

TEST_F(implicit, without_adding)
{
	struct vfence_use use = { .fd = self->buffer, .flags = VFENCE_USE_WRITE | VFENCE_USE_NO_ADD };
	struct vfence_submit hang = user(self->queues[0], 0, &use, 1);

	hang.flags |= VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_job(self->device, &hang));
	EXPECT_EQ(POLLIN | POLLOUT, polled(self->buffer, POLLIN | POLLOUT));
	EXPECT_EQ(1, fence_wait(submit_use(self->device, self->queues[1], 0, self->buffer, 0)));
	/* Nor does it need a fence. */
	hang.flags = VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_job(self->device, &hang));
	EXPECT_EQ(-1, hang.out_fence);
}

TEST_F(implicit, job_without_out_fence)
{
	struct vfence_use use = { .fd = self->buffer, .flags = VFENCE_USE_WRITE };
	struct vfence_submit job = user(self->queues[0], 0, &use, 1);

	job.flags = VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_job(self->device, &job));
	EXPECT_EQ(-1, job.out_fence);
	EXPECT_EQ(0, polled(self->buffer, POLLIN));
	ASSERT_EQ(0, queue_destroy(self->device, self->queues[0]));
	EXPECT_EQ(POLLIN, polled(self->buffer, POLLIN));
}

TEST_F(implicit, jobs_of_a_queue_do_not_wait_for_themselves)
{
	int last = -1;

	for (int i = 0; i < 50; i++)
		last = submit_use(self->device, self->queues[0], 1000, self->buffer,
				  VFENCE_USE_WRITE);
	ASSERT_EQ(1, fence_wait(last));
}

TEST_F(implicit, bytes_are_there_when_the_next_begins)
{
	/* Two queues in turn, nothing but the buffer between them. */
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
		struct vfence_submit first = user(self->queues[0], 0, &use, 1);
		struct vfence_submit second = user(self->queues[1], 0, &use, 1);

		first.flags = second.flags = 0;
		first.operations = ptr_to_u64(&fill);
		second.operations = ptr_to_u64(&half);
		first.operation_count = second.operation_count = 1;
		first.operation_size = second.operation_size = sizeof(fill);
		/* What is copied is only there when the first is done. */
		fill.length = SIZE / 2;
		ASSERT_EQ(0, submit_job(self->device, &first));
		ASSERT_EQ(0, submit_job(self->device, &second));
	}
	ASSERT_EQ(0, wait_idle(self->device, self->queues[1]));
	for (int i = 0; i < SIZE; i++)
		ASSERT_EQ(100, self->memory[i]);
}

TEST_F(implicit, jobs_of_a_batch_see_those_before_them)
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
		jobs[2 * i] = user(self->queues[0], 0, &write, 1);
		jobs[2 * i].operations = ptr_to_u64(&fills[i]);
		jobs[2 * i + 1] = user(self->queues[1], 0, &read, 1);
		jobs[2 * i + 1].operations = ptr_to_u64(&sums[i]);
	}
	for (int i = 0; i < 100; i++) {
		jobs[i].flags = i % 2 ? VFENCE_SUBMIT_EVENT : 0;
		jobs[i].operation_count = 1;
		jobs[i].operation_size = sizeof(fills[0]);
	}
	ASSERT_EQ(0, submit_batch(self->device, jobs, 100, NULL));
	/* Each sum is of all that was filled before it, and of nothing that came after. */
	for (int i = 0; i < 50; i++) {
		struct vfence_event event;

		ASSERT_EQ(0, read_event(self->device, &event));
		EXPECT_EQ(0, event.error);
		EXPECT_EQ(sum_of(i, SIZE), event.result)
			TH_LOG("sum %d", i);
	}
}

/* Two queues write a buffer in turn: a job waits for the last one of the other queue, and for no more. */
TEST_F_TIMEOUT(implicit, full_batch, 120)
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
		jobs[i] = user(self->queues[i % 2], 0, &use, 1);
		jobs[i].flags = i % 2 ? VFENCE_SUBMIT_EVENT : 0;
		jobs[i].operations = ptr_to_u64(&operations[i]);
		jobs[i].operation_count = 1;
		jobs[i].operation_size = sizeof(operations[i]);
	}
	/* They are held back for longer than it takes to submit them. */
	for (int i = 0; i < 2 * hangs; i++) {
		struct vfence_submit hang = {
			.queue = self->queues[i % 2],
			.flags = VFENCE_SUBMIT_HANG,
		};

		ASSERT_EQ(0, submit_job(self->device, &hang));
	}
	ASSERT_EQ(0, submit_batch(self->device, jobs, VFENCE_MAX_BATCH, NULL));
	/* Of each queue the last one. */
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

/* A write of the same queue does not hide a read of it, nor the other way round. */
TEST_F(implicit, reads_and_writes_of_a_batch)
{
	struct vfence_use read = { .fd = self->buffer };
	struct vfence_use write = { .fd = self->buffer, .flags = VFENCE_USE_WRITE };
	__u32 others[] = { worker_queue(self->device), worker_queue(self->device) };
	struct vfence_submit jobs[] = {
		user(self->queues[0], 0, &write, 1),
		user(self->queues[0], 0, &read, 1),
		user(others[0], 0, &read, 1),
		user(others[1], 0, &write, 1),
	};

	/* The one that reads waits for the write, and not for the read that hangs; the one that writes waits for that. */
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

TEST_F(implicit, buffer_that_is_given_twice)
{
	struct vfence_use uses[] = {
		{ .fd = self->buffer },
		{ .fd = self->buffer, .flags = VFENCE_USE_WRITE },
		{ .fd = dup(self->buffer) },
	};
	struct vfence_submit job = user(self->queues[0], 0, uses, 3);

	ASSERT_EQ(0, occupy(self, DMA_BUF_SYNC_READ));
	job.flags |= VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_job(self->device, &job));
	/* It waits as a writer. */
	EXPECT_EQ(VFENCE_JOB_PENDING, job_of(self->device, self->queues[0], 1).state);
	ASSERT_EQ(1, release(self, 0));
	while (job_of(self->device, self->queues[0], 1).state == VFENCE_JOB_PENDING)
		;
	EXPECT_EQ(0, polled(self->buffer, POLLIN));
	ASSERT_EQ(0, queue_reset(self->device, self->queues[0], NULL));
	EXPECT_EQ(POLLIN | POLLOUT, polled(self->buffer, POLLIN | POLLOUT));
}

TEST_F_TIMEOUT(implicit, hundreds_of_buffers, 120)
{
	struct vfence_use uses[400];
	struct vfence_operation operations[VFENCE_MAX_OPERATIONS];
	struct vfence_submit job = user(self->queues[0], 0, uses, ARRAY_LEN(uses));

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

TEST_F(implicit, misuse)
{
	static struct vfence_use uses[VFENCE_MAX_USES + 1];
	struct vfence_use use = { .fd = self->buffer };
	struct vfence_submit job = user(self->queues[0], 0, &use, 1), both[2];
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
	job = user(self->queues[0], 0, uses, VFENCE_MAX_USES + 1);
	EXPECT_REFUSED(EINVAL, submit_job(self->device, &job));
	job.use_count = VFENCE_MAX_USES;
	EXPECT_EQ(0, submit_job(self->device, &job));
	/* All jobs of a batch together. */
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
	struct vfence_submit valid = user(self->queues[0], SEC, &use, 1);
	struct vfence_submit *job = read_only(&valid, sizeof(valid)), jobs[] = { valid, valid };

	ASSERT_NE(NULL, job);
	EXPECT_REFUSED(EFAULT, submit_job(self->device, job));
	jobs[1].pad = 1;
	EXPECT_REFUSED(EINVAL, submit_batch(self->device, jobs, 2, NULL));
	EXPECT_EQ(POLLIN | POLLOUT, polled(self->buffer, POLLIN | POLLOUT));
	EXPECT_EQ(0, queue_submitted(self->device, self->queues[0]));
}

TEST_F(implicit, hang_of_a_writer_is_an_error_for_its_readers)
{
	struct vfence_queue_create create = {
		.kind = VFENCE_QUEUE_WORKER,
		.timeout_ns = 50 * MSEC,
	};
	struct vfence_use use = { .fd = self->buffer, .flags = VFENCE_USE_WRITE };
	struct vfence_submit hang;
	int reader;

	ASSERT_EQ(0, queue_create_with(self->device, &create));
	hang = user(create.queue, 0, &use, 1);
	hang.flags |= VFENCE_SUBMIT_HANG;
	ASSERT_EQ(0, submit_job(self->device, &hang));
	reader = submit_use(self->device, self->queues[0], 0, self->buffer, 0);
	EXPECT_EQ(-ETIMEDOUT, fence_wait(reader));
	EXPECT_EQ(-ETIMEDOUT, fence_status(hang.out_fence));
	/* It is over then: the buffer can be used again. */
	EXPECT_EQ(1, fence_wait(submit_use(self->device, self->queues[0], 0, self->buffer,
					   VFENCE_USE_WRITE)));
}

/*
 * The driver locks in an order of its own, so these two wait for each other, but never have to back off. That whoever
 * locks in another order is no danger is shown by the KUnit test opposite_orders_do_not_block_each_other.
 */
TEST_F(implicit, two_processes_in_opposite_order)
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
			/* A client of its own, so that not even a mutex is shared. */
			self->device = device = variant->node->open();
			self->queues[1] = worker_queue(device);
		}
		job = user(self->queues[child ? 0 : 1], 1000, uses, ARRAY_LEN(uses));
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

TEST_F(implicit, with_the_other_driver)
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
	/* vgem refuses a buffer that is in use. */
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
