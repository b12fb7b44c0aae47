// SPDX-License-Identifier: GPL-2.0
/* Operations: jobs write, copy and checksum bytes of buffers. */
#include "lib/foreign_buffer.h"
#include "lib/module.h"
#include "lib/test.h"
#include "lib/vgem.h"

#define SIZE (1 << 20)

FIXTURE(operation)
{
	int device;
	__u32 queue;
	/* Two buffers and their mappings. */
	int buffers[2];
	unsigned char *memory[2];
};

FIXTURE_VARIANTS_OF_NODES(operation);

static unsigned char *map(int buffer, size_t length)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
}

FIXTURE_SETUP(operation)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->queue = worker_queue(self->device);
	ASSERT_NE(0, self->queue);
	for (int i = 0; i < 2; i++) {
		self->buffers[i] = buffer_create(self->device, SIZE);
		ASSERT_LE(0, self->buffers[i]);
		self->memory[i] = map(self->buffers[i], SIZE);
		ASSERT_NE(MAP_FAILED, (void *)self->memory[i]);
	}
}

FIXTURE_TEARDOWN(operation)
{
	close(self->device);
	for (int i = 0; i < 2; i++) {
		munmap(self->memory[i], SIZE);
		close(self->buffers[i]);
	}
}

/* Submits a job with operations on both buffers; it may write the first. */
static int operate_for(FIXTURE_DATA(operation) *self, __u64 duration_ns,
		       const struct vfence_operation *operations, __u32 count,
		       struct vfence_submit *job)
{
	struct vfence_use uses[] = {
		{ .fd = self->buffers[0], .flags = VFENCE_USE_WRITE },
		{ .fd = self->buffers[1] },
	};

	*job = buffer_job(self->queue, VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT, uses,
			ARRAY_LEN(uses), operations, count);
	job->duration_ns = duration_ns;
	return submit_job(self->device, job);
}

static int operate(FIXTURE_DATA(operation) *self, struct vfence_operation operation)
{
	struct vfence_submit job;
	int status;

	if (operate_for(self, 0, &operation, 1, &job))
		return -1;
	status = fence_wait(job.out_fence);
	close(job.out_fence);
	errno = status < 0 ? -status : 0;
	return status == 1 ? 0 : -1;
}

static struct vfence_operation fill(__u64 offset, __u64 length, __u64 pattern, __u32 size)
{
	return (struct vfence_operation) {
		.kind = VFENCE_OPERATION_FILL,
		.target_offset = offset,
		.length = length,
		.pattern = pattern,
		.pattern_size = size,
	};
}

static struct vfence_operation copy(__u32 source, __u64 from, __u64 to, __u64 length)
{
	return (struct vfence_operation) {
		.kind = VFENCE_OPERATION_COPY,
		.source = source,
		.source_offset = from,
		.target_offset = to,
		.length = length,
	};
}

static struct vfence_operation sum(__u32 source, __u64 offset, __u64 length)
{
	return (struct vfence_operation) {
		.kind = VFENCE_OPERATION_CRC32C,
		.source = source,
		.source_offset = offset,
		.length = length,
	};
}

static void scribble(unsigned char *memory, size_t length, unsigned int seed)
{
	for (size_t i = 0; i < length; i++)
		memory[i] = (seed = seed * 1103515245 + 12345) >> 16;
}

TEST_F(operation, fill_with_bytes)
{
	ASSERT_EQ(0, operate(self, fill(3, SIZE - 7, 0xa5, 1)));
	for (size_t i = 0; i < SIZE; i++)
		ASSERT_EQ(i < 3 || i >= SIZE - 4 ? 0 : 0xa5, self->memory[0][i]);
}

TEST_F(operation, fill_with_words)
{
	const __u32 *words = (__u32 *)self->memory[0];
	const __u64 *longs = (__u64 *)self->memory[0];

	ASSERT_EQ(0, operate(self, fill(4, SIZE - 12, 0x01020304, 4)));
	for (size_t i = 0; i < SIZE / 4; i++)
		ASSERT_EQ(i < 1 || i >= SIZE / 4 - 2 ? 0 : 0x01020304, words[i]);
	ASSERT_EQ(0, operate(self, fill(8, SIZE - 16, 0x0102030405060708, 8)));
	for (size_t i = 1; i < SIZE / 8 - 1; i++)
		ASSERT_EQ(0x0102030405060708, longs[i]);
	EXPECT_EQ(0x0102030400000000, longs[0]);
	EXPECT_EQ(0, longs[SIZE / 8 - 1]);
}

TEST_F(operation, copy_between_buffers)
{
	static const struct {
		size_t from, to, length;
	} ranges[] = { { 0, 0, SIZE }, { 1, 0, SIZE - 1 }, { 0, 5, SIZE - 5 }, { 77, 99, 1 },
		       { 262143, 262145, 262144 } };

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		memset(self->memory[0], 0, SIZE);
		scribble(self->memory[1], SIZE, i);
		ASSERT_EQ(0, operate(self, copy(1, ranges[i].from, ranges[i].to,
						ranges[i].length)));
		for (size_t j = 0; j < ranges[i].to; j++)
			ASSERT_EQ(0, self->memory[0][j]);
		ASSERT_EQ(0, memcmp(self->memory[0] + ranges[i].to,
				    self->memory[1] + ranges[i].from, ranges[i].length));
		for (size_t j = ranges[i].to + ranges[i].length; j < SIZE; j++)
			ASSERT_EQ(0, self->memory[0][j]);
	}
}

TEST_F(operation, copy_within_a_buffer)
{
	scribble(self->memory[0], SIZE / 2, 1);
	ASSERT_EQ(0, operate(self, copy(0, 0, SIZE / 2, SIZE / 2)));
	EXPECT_EQ(0, memcmp(self->memory[0], self->memory[0] + SIZE / 2, SIZE / 2));
	/* The ranges must not overlap. */
	EXPECT_REFUSED(EINVAL, operate(self, copy(0, 0, SIZE / 2 - 1, SIZE / 2)));
	EXPECT_REFUSED(EINVAL, operate(self, copy(0, 1, 0, 2)));
	EXPECT_REFUSED(EINVAL, operate(self, copy(0, 0, 0, SIZE)));
	EXPECT_EQ(0, operate(self, copy(0, 2, 0, 2)));
}

TEST_F(operation, crc32c_of_a_range)
{
	static const char text[] = "123456789";
	static const struct {
		size_t offset, length;
	} ranges[] = { { 0, 9 }, { 0, SIZE }, { 13, 600001 } };
	struct vfence_job_info info;
	struct vfence_event event;
	struct vfence_submit job;

	/* The check value of CRC-32C. */
	ASSERT_EQ(0xe3069283, crc32c(text, 9));
	scribble(self->memory[1], SIZE, 5);
	memcpy(self->memory[1], text, 9);
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		struct vfence_operation operation = sum(1, ranges[i].offset, ranges[i].length);
		__u32 expected = crc32c(self->memory[1] + ranges[i].offset, ranges[i].length);

		ASSERT_EQ(0, operate_for(self, 0, &operation, 1, &job));
		ASSERT_EQ(0, read_event(self->device, &event));
		EXPECT_EQ(0, event.error);
		EXPECT_EQ(expected, event.result);
		ASSERT_EQ(0, job_info(self->device, self->queue, job.seqno, &info));
		EXPECT_EQ(expected, info.result);
	}
}

TEST_F(operation, operations_run_in_order)
{
	struct vfence_operation operations[] = {
		fill(0, SIZE, 0x11, 1), fill(100, 100, 0x22, 1), copy(0, 100, 300, 100),
		sum(0, 0, SIZE), sum(0, 300, 50),
	};
	struct vfence_event event;
	struct vfence_submit job;

	ASSERT_EQ(0, operate_for(self, 0, operations, ARRAY_LEN(operations), &job));
	ASSERT_EQ(0, read_event(self->device, &event));
	EXPECT_EQ(0x11, self->memory[0][99]);
	EXPECT_EQ(0x22, self->memory[0][199]);
	EXPECT_EQ(0x22, self->memory[0][300]);
	EXPECT_EQ(0x11, self->memory[0][400]);
	/* The last checksum is the result. */
	EXPECT_EQ(crc32c(self->memory[0] + 300, 50), event.result);
}

TEST_F(operation, duration_is_a_minimum)
{
	struct vfence_operation operation = fill(0, SIZE, 1, 1);
	struct vfence_job_info info;
	struct vfence_submit job;

	ASSERT_EQ(0, operate_for(self, 300 * MSEC, &operation, 1, &job));
	ASSERT_EQ(1, fence_wait(job.out_fence));
	info = job_of(self->device, self->queue, 1);
	EXPECT_LE(info.start_ns + 300 * MSEC, info.end_ns);
	ASSERT_EQ(0, operate_for(self, 0, &operation, 1, &job));
	ASSERT_EQ(1, fence_wait(job.out_fence));
	info = job_of(self->device, self->queue, 2);
	EXPECT_LT(info.start_ns, info.end_ns);
}

TEST_F(operation, operations_start_after_the_in_fences)
{
	__u32 gate = manual_queue(self->device);
	__s32 fence = submit(self->device, gate, 0);
	struct vfence_operation operation = fill(0, SIZE, 7, 1);
	struct vfence_use use = { .fd = self->buffers[0], .flags = VFENCE_USE_WRITE };
	struct vfence_submit job = buffer_job(self->queue, 0, &use, 1, &operation, 1);

	job.in_fences = ptr_to_u64(&fence);
	job.in_fence_count = 1;
	ASSERT_EQ(0, submit_job(self->device, &job));
	usleep(20000);
	EXPECT_EQ(0, self->memory[0][0]);
	/* The job reads the bytes as they are when it starts. */
	ASSERT_EQ(1, signal_seqno(self->device, gate, 1, 0));
	ASSERT_EQ(0, wait_idle(self->device, self->queue));
	EXPECT_EQ(7, self->memory[0][SIZE - 1]);
}

TEST_F(operation, failed_in_fence_skips_the_operations)
{
	__u32 gate = manual_queue(self->device);
	__s32 fence = submit(self->device, gate, 0);
	struct vfence_operation operation = fill(0, SIZE, 7, 1);
	struct vfence_use use = { .fd = self->buffers[0], .flags = VFENCE_USE_WRITE };
	struct vfence_submit job = buffer_job(self->queue, VFENCE_SUBMIT_OUT_FENCE, &use, 1,
					    &operation, 1);

	job.in_fences = ptr_to_u64(&fence);
	job.in_fence_count = 1;
	ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(1, signal_seqno(self->device, gate, 1, -EIO));
	EXPECT_EQ(-EIO, fence_wait(job.out_fence));
	EXPECT_EQ(0, self->memory[0][0]);
}

TEST_F(operation, hang_skips_the_operations)
{
	struct vfence_operation operation = fill(0, SIZE, 7, 1);
	struct vfence_use use = { .fd = self->buffers[0], .flags = VFENCE_USE_WRITE };
	struct vfence_submit job = buffer_job(self->queue,
					    VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_HANG, &use, 1,
					    &operation, 1);

	ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(0, queue_reset(self->device, self->queue, NULL));
	EXPECT_EQ(-ECANCELED, fence_wait(job.out_fence));
	EXPECT_EQ(0, self->memory[0][0]);
	ASSERT_EQ(0, operate(self, fill(0, SIZE, 9, 1)));
	EXPECT_EQ(9, self->memory[0][0]);
}

/* Once the fence has signalled, the job writes nothing, whether it completed or was cancelled. */
TEST_F(operation, cancelled_job_writes_nothing_after_its_fence)
{
	for (int round = 0; round < 40; round++) {
		struct vfence_operation operations[8];
		struct vfence_submit job;
		int other = buffer_create(self->device, SIZE);
		unsigned char *memory = map(other, SIZE);
		__u32 queue = worker_queue(self->device);
		struct vfence_use use = { .fd = other, .flags = VFENCE_USE_WRITE };

		for (size_t i = 0; i < ARRAY_LEN(operations); i++)
			operations[i] = fill(0, SIZE, i + 1, 1);
		job = buffer_job(queue, VFENCE_SUBMIT_OUT_FENCE, &use, 1, operations,
			       ARRAY_LEN(operations));
		ASSERT_EQ(0, submit_job(self->device, &job));
		usleep(round * 20);
		if (round % 2)
			queue_destroy(self->device, queue);
		else
			queue_reset(self->device, queue, NULL);
		ASSERT_NE(0, fence_status(job.out_fence));
		memset(memory, 0xff, SIZE);
		usleep(300);
		for (size_t i = 0; i < SIZE; i += 4096)
			ASSERT_EQ(0xff, memory[i]);
		munmap(memory, SIZE);
		close(other);
		close(job.out_fence);
		queue_destroy(self->device, queue);
	}
}

#define HANGS 100

/* Keeps @queue busy for longer than a case takes. */
static bool keep_busy(FIXTURE_DATA(operation) *self, __u32 queue)
{
	struct vfence_submit hang = { .queue = queue, .flags = VFENCE_SUBMIT_HANG };

	for (int i = 0; i < HANGS; i++)
		if (submit_job(self->device, &hang))
			return false;
	return true;
}

/* Ends the jobs of keep_busy(), so that the jobs behind it run. */
static bool stop_busy(FIXTURE_DATA(operation) *self, __u32 queue)
{
	while (queue_completed(self->device, queue) < HANGS)
		if (queue_reset(self->device, queue, NULL))
			return false;
	return true;
}

/*
 * Submits a job that copies and checksums, closes the buffers while it is queued, and checks its
 * result.
 */
static void close_buffers_of_queued_job(struct __test_metadata *_metadata,
					FIXTURE_DATA(operation) *self, int card)
{
	struct vfence_operation operations[] = { copy(1, 0, 0, SIZE), sum(0, 0, SIZE) };
	struct vfence_event event;
	struct vfence_submit job;
	__u32 expected;

	scribble(self->memory[1], SIZE, 3);
	expected = crc32c(self->memory[1], SIZE);
	ASSERT_TRUE(keep_busy(self, self->queue));
	ASSERT_EQ(0, operate_for(self, 0, operations, 2, &job));
	for (int i = 0; i < 2; i++) {
		munmap(self->memory[i], SIZE);
		close(self->buffers[i]);
		self->buffers[i] = -1;
	}
	if (card >= 0) {
		close(card);
		/* The job holds the buffer, and the buffer holds the module. */
		EXPECT_REFUSED(EAGAIN, module_unload("vgem"));
	}
	ASSERT_TRUE(stop_busy(self, self->queue));
	ASSERT_EQ(0, read_event(self->device, &event));
	EXPECT_EQ(0, event.error);
	EXPECT_EQ(expected, event.result);
}

TEST_F(operation, job_keeps_its_buffers)
{
	close_buffers_of_queued_job(_metadata, self, -1);
}

/* Replaces the second buffer with one of vgem. Returns the card, or -1. */
static int take_vgem(struct __test_metadata *_metadata, FIXTURE_DATA(operation) *self)
{
	struct drm_mode_create_dumb create = { .width = 512, .height = 512, .bpp = 32 };
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
	int card = vgem_load();

	if (card < 0)
		return -1;
	ASSERT_EQ(0, ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &create)) return -1;
	ASSERT_EQ(SIZE, create.size) return -1;
	prime.handle = create.handle;
	ASSERT_EQ(0, ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime)) return -1;
	munmap(self->memory[1], SIZE);
	close(self->buffers[1]);
	self->buffers[1] = prime.fd;
	self->memory[1] = map(prime.fd, SIZE);
	ASSERT_NE(MAP_FAILED, (void *)self->memory[1]) return -1;
	return card;
}

TEST_F(operation, job_keeps_the_buffer_of_a_closed_exporter)
{
	int card = take_vgem(_metadata, self);

	if (card < 0)
		SKIP(return, "the kernel has no vgem, or no node for it in /dev/dri");
	close_buffers_of_queued_job(_metadata, self, card);
	/* The job drops the buffer soon after it completes, and with it the module. */
	EXPECT_EQ(0, module_unload_soon("vgem"));
}

TEST_F(operation, invalid_operations_are_refused)
{
	struct vfence_operation operation = fill(0, 1, 1, 1), many[VFENCE_MAX_OPERATIONS + 1];
	struct vfence_operation wrong[] = {
		{ 0 }, { .kind = 4, .length = 1 },
		fill(0, 0, 1, 1), fill(SIZE, 1, 1, 1), fill(0, SIZE + 1, 1, 1),
		fill(~0ULL, 2, 1, 1),
		fill(0, 1, 1, 0), fill(0, 2, 1, 2), fill(0, 8, 1, 16), fill(0, 1, 256, 1),
		fill(0, 4, 1ULL << 32, 4), fill(2, 4, 1, 4), fill(0, 6, 1, 4), fill(4, 8, 1, 8),
		copy(1, SIZE, 0, 1), copy(1, 0, SIZE, 1), copy(1, 0, 0, SIZE + 1), copy(2, 0, 0, 1),
		copy(1, 0, 0, 0), sum(1, 0, 0), sum(1, 1, SIZE), sum(2, 0, 1), sum(~0U, 0, 1),
	};
	struct vfence_submit job;
	__u32 timer = timer_queue(self->device);

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		EXPECT_EQ(-1, operate(self, wrong[i]))
			TH_LOG("operation %zu", i);
		EXPECT_EQ(EINVAL, errno);
	}
	/* Fields that an operation does not use must be 0. */
	operation.source = 1;
	EXPECT_REFUSED(EINVAL, operate(self, operation));
	operation = sum(1, 0, 1);
	operation.target_offset = 1;
	EXPECT_REFUSED(EINVAL, operate(self, operation));
	operation = copy(1, 0, 0, 1);
	operation.pattern_size = 1;
	EXPECT_REFUSED(EINVAL, operate(self, operation));
	/* The job does not declare the second buffer as written. */
	operation = fill(0, 1, 1, 1);
	operation.target = 1;
	EXPECT_REFUSED(EINVAL, operate(self, operation));
	/* One operation too many, then the maximum. */
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = fill(i, 1, i, 1);
	EXPECT_REFUSED(EINVAL, operate_for(self, 0, many, ARRAY_LEN(many), &job));
	EXPECT_EQ(0, operate_for(self, 0, many, VFENCE_MAX_OPERATIONS, &job));
	EXPECT_REFUSED(EFAULT, operate_for(self, 0, NULL, 1, &job));
	/* Only worker queues take operations. */
	self->queue = timer;
	EXPECT_REFUSED(EINVAL, operate(self, fill(0, 1, 1, 1)));
	EXPECT_EQ(0, queue_submitted(self->device, timer));
}

TEST_F(operation, buffer_of_vgem)
{
	int card = take_vgem(_metadata, self), theirs = self->buffers[1];

	if (card < 0)
		SKIP(return, "the kernel has no vgem, or no node for it in /dev/dri");
	scribble(self->memory[1], SIZE, 9);
	ASSERT_EQ(0, operate(self, copy(1, 0, 0, SIZE)));
	EXPECT_EQ(0, memcmp(self->memory[0], self->memory[1], SIZE));
	/* Write to the buffer of vgem. */
	self->buffers[1] = self->buffers[0];
	self->buffers[0] = theirs;
	ASSERT_EQ(0, operate(self, fill(0, SIZE, 0x77, 1)));
	EXPECT_EQ(0x77, self->memory[1][SIZE - 1]);
	close(card);
}

/* Reads and changes a buffer by the CPU, between DMA_BUF_IOCTL_SYNC calls. */
static void access_buffer(struct __test_metadata *_metadata, FIXTURE_DATA(operation) *self,
			  unsigned char byte)
{
	struct dma_buf_sync access = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct vfence_operation operation = sum(0, 0, SIZE);
	struct vfence_event event;
	struct vfence_submit job;

	ASSERT_EQ(0, ioctl(self->buffers[0], DMA_BUF_IOCTL_SYNC, &access));
	EXPECT_EQ(byte, self->memory[0][SIZE - 1]);
	memset(self->memory[0], byte + 1, SIZE);
	access.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	ASSERT_EQ(0, ioctl(self->buffers[0], DMA_BUF_IOCTL_SYNC, &access));
	ASSERT_EQ(0, operate_for(self, 0, &operation, 1, &job));
	do {
		ASSERT_EQ(0, read_event(self->device, &event));
	} while (event.seqno < job.seqno);
	EXPECT_EQ(crc32c(self->memory[0], SIZE), event.result);
	close(job.out_fence);
}

TEST_F(operation, cpu_access_while_the_buffer_is_mapped)
{
	struct drm_prime_handle prime = { .fd = self->buffers[0] };
	int card = vgem_load();

	/* Mapped by no device, then by vfence, then imported by another driver as well. */
	access_buffer(_metadata, self, 0);
	access_buffer(_metadata, self, 1);
	ASSERT_EQ(0, operate(self, fill(0, SIZE, 7, 1)));
	access_buffer(_metadata, self, 7);
	if (card < 0)
		SKIP(return, "the kernel has no vgem, or no node for it in /dev/dri");
	ASSERT_EQ(0, ioctl(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime));
	access_buffer(_metadata, self, 8);
	ASSERT_EQ(0, operate(self, fill(0, SIZE, 9, 1)));
	access_buffer(_metadata, self, 9);
	close(card);
	access_buffer(_metadata, self, 10);
}

/* Copies to and from a buffer of another exporter, and checks its memory. */
static void copy_to_and_from(struct __test_metadata *_metadata, FIXTURE_DATA(operation) *self,
			     int theirs, unsigned char *memory)
{
	int ours = self->buffers[0];

	ASSERT_NE(MAP_FAILED, (void *)memory);
	scribble(self->memory[1], SIZE, 7);
	self->buffers[0] = theirs;
	EXPECT_EQ(0, operate(self, copy(1, 0, 0, SIZE)));
	EXPECT_EQ(0, memcmp(memory, self->memory[1], SIZE));
	scribble(memory, SIZE, 8);
	close(self->buffers[1]);
	self->buffers[0] = ours;
	self->buffers[1] = theirs;
	EXPECT_EQ(0, operate(self, copy(1, 1, 2, SIZE - 2)));
	EXPECT_EQ(0, memcmp(self->memory[0] + 2, memory + 1, SIZE - 2));
}

TEST_F(operation, buffer_of_the_system_heap)
{
	int buffer = heap_buffer(SIZE, O_RDWR);

	if (buffer < 0)
		SKIP(return, "the kernel has no CONFIG_DMABUF_HEAPS_SYSTEM");
	copy_to_and_from(_metadata, self, buffer, map(buffer, SIZE));
}

TEST_F(operation, write_only_buffer)
{
	int buffer = heap_buffer(SIZE, O_WRONLY);

	if (buffer < 0)
		SKIP(return, "the kernel has no CONFIG_DMABUF_HEAPS_SYSTEM");
	close(self->buffers[1]);
	self->buffers[1] = buffer;
	EXPECT_REFUSED(EACCES, operate(self, sum(1, 0, SIZE)));
	EXPECT_REFUSED(EACCES, operate(self, copy(1, 0, 0, SIZE)));
	close(self->buffers[0]);
	self->buffers[0] = buffer;
	EXPECT_EQ(0, operate(self, fill(0, SIZE, 1, 1)));
}

TEST_F(operation, read_only_buffer)
{
	int buffer = heap_buffer(SIZE, O_RDONLY), ours = self->buffers[0];
	unsigned char *memory;

	if (buffer < 0)
		SKIP(return, "the kernel has no CONFIG_DMABUF_HEAPS_SYSTEM");
	memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, buffer, 0);
	ASSERT_NE(MAP_FAILED, (void *)memory);
	self->buffers[0] = buffer;
	EXPECT_REFUSED(EACCES, operate(self, fill(0, SIZE, 1, 1)));
	EXPECT_REFUSED(EACCES, operate(self, copy(1, 0, 0, SIZE)));
	EXPECT_EQ(0, memory[0]);
	EXPECT_EQ(0, operate(self, sum(0, 0, SIZE)));
	close(self->buffers[1]);
	self->buffers[0] = ours;
	self->buffers[1] = buffer;
	EXPECT_EQ(0, operate(self, copy(1, 0, 0, SIZE)));
}

TEST_F(operation, buffer_of_user_memory)
{
	int memory = user_memory(SIZE), buffer;

	if (access("/dev/udmabuf", F_OK))
		SKIP(return, "the kernel has no CONFIG_UDMABUF");
	buffer = user_buffer(memory, SIZE);
	ASSERT_LE(0, buffer);
	copy_to_and_from(_metadata, self, buffer, map(memory, SIZE));
}

/* The default limit of udmabuf. */
#define LARGE (64 << 20)

/* Submits a job with as many checksums of the first byte of @buffer as a job may have. */
static int sum_up(FIXTURE_DATA(operation) *self, __u32 queue, int buffer)
{
	struct vfence_operation operations[VFENCE_MAX_OPERATIONS];
	struct vfence_use uses[VFENCE_MAX_OPERATIONS];
	struct vfence_submit job;

	for (int i = 0; i < VFENCE_MAX_OPERATIONS; i++) {
		operations[i] = sum(i, 0, 1);
		uses[i] = (struct vfence_use) { .fd = buffer, .flags = VFENCE_USE_NO_ADD };
	}
	job = buffer_job(queue, VFENCE_SUBMIT_EVENT, uses, VFENCE_MAX_OPERATIONS, operations,
		       VFENCE_MAX_OPERATIONS);
	return submit_job(self->device, &job);
}

TEST_F_TIMEOUT(operation, jobs_share_a_mapping, 120)
{
	const int jobs = 64;
	int memory = user_memory(LARGE), buffer;
	unsigned char *bytes;
	__u32 expected;

	if (access("/dev/udmabuf", F_OK))
		SKIP(return, "the kernel has no CONFIG_UDMABUF");
	buffer = user_buffer(memory, LARGE);
	ASSERT_LE(0, buffer);
	bytes = map(memory, 4096);
	ASSERT_NE(MAP_FAILED, (void *)bytes);
	bytes[0] = 77;
	expected = crc32c(bytes, 1);
	/* If each job mapped the buffer itself, they would exceed the limit. */
	ASSERT_LT(VFENCE_MAX_MAPPED, (LARGE >> 12) * jobs);
	ASSERT_TRUE(keep_busy(self, self->queue));
	for (int i = 0; i < jobs; i++)
		ASSERT_EQ(0, sum_up(self, self->queue, buffer));
	close(buffer);
	ASSERT_TRUE(stop_busy(self, self->queue));
	/* Each job holds the buffer, until the last one has completed. */
	for (int i = 0; i < jobs; i++) {
		struct vfence_event event;

		ASSERT_EQ(0, read_event(self->device, &event));
		EXPECT_EQ(0, event.error);
		EXPECT_EQ(expected, event.result);
	}
}

TEST_F_TIMEOUT(operation, mapped_pages_are_limited, 120)
{
	const int count = VFENCE_MAX_MAPPED / (LARGE >> 12);
	int memory = user_memory(LARGE), first = -1;
	__u32 queue = worker_queue(self->device);

	if (access("/dev/udmabuf", F_OK))
		SKIP(return, "the kernel has no CONFIG_UDMABUF");
	ASSERT_TRUE(keep_busy(self, self->queue));
	/* Leave room for one page. */
	for (int i = 0; i < count; i++) {
		int buffer = user_buffer(memory, i ? LARGE : LARGE - 4096);

		ASSERT_LE(0, buffer);
		ASSERT_EQ(0, sum_up(self, self->queue, buffer))
			TH_LOG("buffer %d", i);
		if (i)
			close(buffer);
		else
			first = buffer;
	}
	EXPECT_REFUSED(ENOSPC, sum_up(self, queue, user_buffer(memory, 8192)));
	/*
	 * A buffer that is mapped may be used again, and a buffer of the device counts as one page,
	 * regardless of its size.
	 */
	EXPECT_EQ(0, sum_up(self, queue, first));
	EXPECT_EQ(0, sum_up(self, self->queue, self->buffers[0]));
	EXPECT_EQ(0, sum_up(self, queue, self->buffers[0]));
	EXPECT_REFUSED(ENOSPC, sum_up(self, queue, self->buffers[1]));
	EXPECT_EQ(0, wait_idle(self->device, queue));
	/* Pages that are unmapped are available again soon. */
	ASSERT_EQ(0, queue_destroy(self->device, self->queue));
	while (sum_up(self, queue, self->buffers[1]))
		ASSERT_EQ(ENOSPC, errno);
	EXPECT_EQ(0, wait_idle(self->device, queue));
}

TEST_HARNESS_MAIN
