// SPDX-License-Identifier: GPL-2.0
/* Each refusal of /dev/vfence and of its debugfs files has a reason in the kernel log. */
#include <sys/resource.h>
#include "lib/foreign_buffer.h"
#include "lib/reasons.h"
#include "lib/test.h"

#define SETTINGS DEBUGFS "/vfence/settings/"
#define NO_QUEUE "the client has no queue 99: it never existed or was destroyed"

FIXTURE(reasons)
{
	int log;
	int device;
	__u32 timer;
	__u32 manual;
	__u32 worker;
};

FIXTURE_VARIANTS_OF_REASONS(reasons);

FIXTURE_SETUP(reasons)
{
	struct rlimit files = { 4096, 4096 };

	if (variant->on && !has_reasons())
		SKIP(return, "the kernel has no CONFIG_DYNAMIC_DEBUG");
	need_mount("debugfs", DEBUGFS, SETTINGS);
	ASSERT_TRUE(turn_reasons(variant->on));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	self->log = open_log();
	ASSERT_LE(0, self->log);
	self->device = device_open();
	ASSERT_LE(0, self->device);
	self->timer = timer_queue(self->device);
	self->manual = manual_queue(self->device);
	self->worker = worker_queue(self->device);
	ASSERT_NE(0, self->worker);
}

FIXTURE_TEARDOWN(reasons)
{
	close(self->device);
	close(self->log);
	turn_reasons(false);
}

/* An ioctl whose argument is a value of any structure. */
#define CALL(name, ...) \
	device_ioctl(self->device, VFENCE_IOCTL_##name, &(__VA_ARGS__))
/* VFENCE_IOCTL_@name with an argument of @size bytes. */
#define SIZED(name, size) \
	_IOC(_IOC_DIR(VFENCE_IOCTL_##name), VFENCE_IOCTL_TYPE, _IOC_NR(VFENCE_IOCTL_##name), size)

static int create_queue(int device, struct vfence_queue_create create)
{
	return queue_create_with(device, &create);
}

static int submit_this(int device, struct vfence_submit job)
{
	return submit_job(device, &job);
}

/* Submits a job with one use, and one operation unless its kind is 0. */
static int use(int device, __u32 queue, struct vfence_use use, struct vfence_operation operation)
{
	struct vfence_submit job = buffer_job(queue, 0, &use, 1, &operation, !!operation.kind);

	return submit_job(device, &job);
}

/* Creates a batch of @count plain jobs. */
static int batch(int device, struct vfence_submit job, __u32 count)
{
	static struct vfence_submit jobs[VFENCE_MAX_BATCH + 1];

	for (__u32 i = 0; i < count; i++)
		jobs[i] = job;
	return submit_batch(device, jobs, count, NULL);
}

static int fault(int device, __u32 queue, struct vfence_fault fault)
{
	struct vfence_queue_faults faults = {
		.queue = queue,
		.faults = ptr_to_u64(&fault),
		.count = 1,
		.fault_size = sizeof(fault),
	};

	return device_ioctl(device, VFENCE_IOCTL_QUEUE_FAULTS, &faults);
}

/* Writes @length bytes to a setting. Returns -1 if the device refuses them. */
static int set_bytes(const char *setting, const char *text, size_t length)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), SETTINGS "%s", setting);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ret = write(fd, text, length);
	close(fd);
	return ret < 0 ? -1 : 0;
}

static int set(const char *setting, const char *text)
{
	return set_bytes(setting, text, strlen(text));
}

/* Replaces the queues by queues whose jobs stay pending for longer than a case takes. */
static void patient_queues(FIXTURE_DATA(reasons) *self)
{
	set("watchdog_ms", "120000");
	self->timer = timer_queue(self->device);
	self->manual = manual_queue(self->device);
	self->worker = worker_queue(self->device);
	set("watchdog_ms", "2000");
}

static int map(int device, size_t length, int protection, __u64 offset)
{
	return mmap(NULL, length, protection, MAP_SHARED, device, offset) == MAP_FAILED ? -1 : 0;
}

TEST_F(reasons, structures)
{
	struct {
		struct vfence_query query;
		__u64 more;
	} larger = { .more = 1 };

	EXPECT_REASON(EINVAL,
		      "vfence_query: no version of the structure has 4 bytes; this one has 40",
		      ioctl(self->device, SIZED(QUERY, 4), &larger));
	EXPECT_REASON(E2BIG,
		      "vfence_query: of 48 bytes, those beyond the kernel's 40 are not all 0",
		      ioctl(self->device, SIZED(QUERY, sizeof(larger)), &larger));
	EXPECT_REASON(EFAULT, "a pointer does not point to accessible memory: 40 bytes at 0x8",
		      ioctl(self->device, VFENCE_IOCTL_QUERY, 8));
	EXPECT_REASON(ENOTTY, "no such ioctl: 0xf73f",
		      ioctl(self->device, _IO(VFENCE_IOCTL_TYPE, 0x3f), NULL));
	EXPECT_REASON(EINVAL, "query: flags is 0x4: must be 0",
		      CALL(QUERY, (struct vfence_query) { .flags = 4 }));
}

TEST_F(reasons, queue_create)
{
	struct vfence_queue_create nameless = { .kind = VFENCE_QUEUE_TIMER };
	const __u32 kind = VFENCE_QUEUE_TIMER, manual = VFENCE_QUEUE_MANUAL;

	memset(nameless.name, 'x', sizeof(nameless.name));
#define CREATE(...) create_queue(self->device, (struct vfence_queue_create) { __VA_ARGS__ })
	EXPECT_REASON(EINVAL, "queue_create: flags is 0x1: must be 0",
		      CREATE(.kind = kind, .flags = 1));
	EXPECT_REASON(EINVAL, "queue_create: pad is 0x2: must be 0",
		      CREATE(.kind = kind, .pad = 2));
	EXPECT_REASON(EINVAL, "queue_create: pad2 is 0x3: must be 0",
		      CREATE(.kind = kind, .pad2 = 3));
	EXPECT_REASON(EINVAL, "queue_create: kind 9 is unknown", CREATE(.kind = 9));
	EXPECT_REASON(EINVAL, "queue_create: name has no NUL",
		      create_queue(self->device, nameless));
	EXPECT_REASON(EINVAL,
		      "queue_create: timeout_ns 5000000000 exceeds the watchdog's 2000000000",
		      CREATE(.kind = kind, .timeout_ns = 5 * SEC));
	EXPECT_REASON(EINVAL, "queue_create: in_fence_policy 8 is unknown",
		      CREATE(.kind = kind, .in_fence_policy = 8));
	EXPECT_REASON(EINVAL, "queue_create: timeout_policy 7 is unknown",
		      CREATE(.kind = kind, .timeout_policy = 7));
	EXPECT_REASON(EINVAL, "queue_create: boost_percent 99 is neither 0 nor from 100 to 10000",
		      CREATE(.kind = kind, .boost_percent = 99));
	EXPECT_REASON(EINVAL, "queue_create: a manual queue has no in_fence_policy",
		      CREATE(.kind = manual, .in_fence_policy = VFENCE_IN_FENCE_IGNORE));
	EXPECT_REASON(EINVAL, "queue_create: a manual queue has no boost_percent",
		      CREATE(.kind = manual, .boost_percent = 200));
	while (manual_queue(self->device))
		;
	EXPECT_REASON(ENOSPC, "queue_create: the client already has max_queues, 64",
		      CREATE(.kind = kind));
}

TEST_F(reasons, queues)
{
	EXPECT_REASON(ENOENT, NO_QUEUE, queue_destroy(self->device, 99));
	EXPECT_REASON(EINVAL, "queue_destroy: flags is 0x1: must be 0",
		      CALL(QUEUE_DESTROY, (struct vfence_queue_destroy) { .flags = 1 }));
	EXPECT_REASON(EINVAL, "queue_info: flags is 0x1: must be 0",
		      CALL(QUEUE_INFO, (struct vfence_queue_info) { .flags = 1 }));
	EXPECT_REASON(EINVAL, "queue_info: pad is 0x1: must be 0",
		      CALL(QUEUE_INFO, (struct vfence_queue_info) { .pad = 1 }));
	EXPECT_REASON(EINVAL, "queue_info: pad2 is 0x1: must be 0",
		      CALL(QUEUE_INFO, (struct vfence_queue_info) { .pad2 = 1 }));
	EXPECT_REASON(ENOENT, NO_QUEUE,
		      CALL(QUEUE_INFO, (struct vfence_queue_info) { .queue = 99 }));
	EXPECT_REASON(EINVAL, "queue_reset: flags is 0x1: must be 0",
		      CALL(QUEUE_RESET, (struct vfence_queue_reset) { .flags = 1 }));
	EXPECT_REASON(ENOENT, NO_QUEUE,
		      CALL(QUEUE_RESET, (struct vfence_queue_reset) { .queue = 99 }));
}

TEST_F(reasons, manual_queues)
{
	char words[64];

#define SIGNAL(...) CALL(SIGNAL, (struct vfence_signal) { __VA_ARGS__ })
	EXPECT_REASON(EINVAL, "signal: flags is 0x1: must be 0", SIGNAL(.flags = 1));
	EXPECT_REASON(EINVAL, "signal: error is 5: neither 0 nor a negative errno, -4095 to -1",
		      SIGNAL(.error = 5));
	EXPECT_REASON(ENOENT, NO_QUEUE, SIGNAL(.queue = 99));
	snprintf(words, sizeof(words), "queue %u is not manual", self->timer);
	EXPECT_REASON(EINVAL, words, SIGNAL(.queue = self->timer));
	EXPECT_REASON(EINVAL, words, create_fence(self->device, self->timer));
	EXPECT_REASON(EINVAL, words, signal_next(self->device, self->timer));
	snprintf(words, sizeof(words), "seqno 7 of queue %u has not been submitted", self->manual);
	EXPECT_REASON(EINVAL, words, SIGNAL(.queue = self->manual, .seqno = 7));
	EXPECT_REASON(ENOENT, NO_QUEUE, create_fence(self->device, 99));
	EXPECT_REASON(ENOENT, NO_QUEUE, signal_next(self->device, 99));
}

#define SUBMIT(queue_id, ...) \
	submit_this(self->device, (struct vfence_submit) { .queue = queue_id, __VA_ARGS__ })

TEST_F(reasons, submit)
{
	EXPECT_REASON(EINVAL, "submit: duration_ns 5000000000 exceeds the watchdog's 2000000000",
		      SUBMIT(self->timer, .duration_ns = 5 * SEC));
	EXPECT_REASON(EINVAL,
		      "submit: duration_max_ns 5000000000 exceeds the watchdog's 2000000000",
		      SUBMIT(self->timer, .duration_max_ns = 5 * SEC));
	EXPECT_REASON(EINVAL, "submit: duration_max_ns 1 is neither 0 nor at least duration_ns, 2",
		      SUBMIT(self->timer, .duration_ns = 2, .duration_max_ns = 1));
	EXPECT_REASON(EINVAL, "submit: unknown part of flags is 0x80: must be 0",
		      SUBMIT(self->timer, .flags = 0x81));
	EXPECT_REASON(EINVAL, "submit: pad is 0x1: must be 0", SUBMIT(self->timer, .pad = 1));
	EXPECT_REASON(EINVAL, "submit: error is -4096: neither 0 nor a negative errno, -4095 to -1",
		      SUBMIT(self->timer, .error = -4096));
	EXPECT_REASON(EINVAL, "submit: operation_count 1 on queue ",
		      SUBMIT(self->timer, .operation_count = 1));
	EXPECT_REASON(ENOENT, NO_QUEUE, SUBMIT(99));
}

TEST_F(reasons, submit_to_manual_queue)
{
	EXPECT_REASON(EINVAL, "submit: VFENCE_SUBMIT_HANG on queue ",
		      SUBMIT(self->manual, .flags = VFENCE_SUBMIT_HANG));
	EXPECT_REASON(EINVAL, "submit: unknown part of flags is 0x80: must be 0",
		      SUBMIT(self->manual, .flags = 0x80));
	EXPECT_REASON(EINVAL, "submit: pad is 0x1: must be 0", SUBMIT(self->manual, .pad = 1));
	EXPECT_REASON(EINVAL, "submit: error is 1: neither 0 nor a negative errno, -4095 to -1",
		      SUBMIT(self->manual, .error = 1));
	EXPECT_REASON(EINVAL, "submit: duration_ns 5 on queue ",
		      SUBMIT(self->manual, .duration_ns = 5));
	EXPECT_REASON(EINVAL, "submit: duration_max_ns 6 on queue ",
		      SUBMIT(self->manual, .duration_max_ns = 6));
	EXPECT_REASON(EINVAL, "submit: in_fence_count 7 on queue ",
		      SUBMIT(self->manual, .in_fence_count = 7));
	EXPECT_REASON(EINVAL, "submit: use_count 8 on queue ",
		      SUBMIT(self->manual, .use_count = 8));
	EXPECT_REASON(EINVAL, "submit: operation_count 9 on queue ",
		      SUBMIT(self->manual, .operation_count = 9));
}

TEST_F_TIMEOUT(reasons, full_queue_and_events, 120)
{
	struct rlimit none = { 3, 4096 }, all = { 4096, 4096 };
	struct vfence_submit job = { .flags = VFENCE_SUBMIT_EVENT };
	char words[64];

	patient_queues(self);
	job.queue = self->manual;
	EXPECT_LT(0, fill_queue(self->device, job));
	snprintf(words, sizeof(words), "queue %u has max_jobs, 16384, pending jobs", self->manual);
	EXPECT_REASON(EAGAIN, words, submit_job(self->device, &job));
	EXPECT_REASON(EAGAIN, words, create_fence(self->device, self->manual));
	EXPECT_REASON(EAGAIN, words, batch(self->device, job, 2));
	for (int i = 0; i < 3; i++) {
		job.queue = manual_queue(self->device);
		EXPECT_LT(0, fill_queue(self->device, job));
	}
	job.queue = manual_queue(self->device);
	EXPECT_REASON(EAGAIN, "submit: the client has VFENCE_MAX_EVENTS, 65536, unread events",
		      submit_job(self->device, &job));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_REASON(EMFILE, "no free file descriptor in the process",
		      submit(self->device, job.queue, 0));
	EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &all));
}

TEST_F_TIMEOUT(reasons, in_fences, 120)
{
	static __s32 fences[VFENCE_MAX_IN_FENCES];
	struct vfence_submit job = {
		.queue = self->timer,
		.in_fences = ptr_to_u64(fences),
		.in_fence_count = VFENCE_MAX_IN_FENCES,
	};
	__s32 pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_REASON(EBADF, "submit: in_fences[0], -1, is not an open file descriptor",
		      submit_after(self->device, self->timer, 0, -1));
	EXPECT_REASON(EINVAL, " is a file but not a sync_file",
		      submit_after(self->device, self->timer, 0, pipes[0]));
	EXPECT_REASON(EFAULT, "submit: in_fences 0x8 does not point to 2 accessible descriptors",
		      submit_waiting(self->device, self->timer, 0, (const __s32 *)8, 2));
	EXPECT_REASON(EINVAL, "submit: in_fence_count 1025 exceeds VFENCE_MAX_IN_FENCES, 1024",
		      submit_waiting(self->device, self->timer, 0, fences, 1025));
	patient_queues(self);
	for (int i = 0; i < VFENCE_MAX_IN_FENCES; i++)
		fences[i] = submit(self->device, self->manual, 0);
	ASSERT_LE(0, fences[VFENCE_MAX_IN_FENCES - 1]);
	job.queue = self->timer;
	EXPECT_REASON(ENOSPC, "submit: the in-fences and the buffers of the call have more than "
		      "VFENCE_MAX_WAITS, 65536, fences", batch(self->device, job, 65));
	for (int i = 0; i < VFENCE_MAX_WAITS / VFENCE_MAX_IN_FENCES; i++)
		ASSERT_EQ(0, submit_job(self->device, &job));
	EXPECT_REASON(ENOSPC, "submit: 1 pending in-fences exceed the 0 that are left of "
		      "VFENCE_MAX_WAITS", submit_after(self->device, self->timer, 0, fences[0]));
	fences[0] = fence_merge(fences[0], submit(self->device, manual_queue(self->device), 0));
	EXPECT_REASON(ENOSPC, "submit: more pending fences than VFENCE_MAX_IN_FENCES, 1024, with ",
		      submit_job(self->device, &job));
}

TEST_F(reasons, buffers)
{
	int buffer = buffer_create(self->device, 4096);
	struct vfence_use used = { .fd = buffer, .flags = VFENCE_USE_WRITE }, read = { buffer, 0 };
	struct vfence_submit job = { .queue = self->worker };
	__s32 pipes[2];

	ASSERT_LE(0, buffer);
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_REASON(EINVAL, "buffer: size is 0", buffer_create(self->device, 0));
	EXPECT_REASON(ENOSPC, "buffer: size 1099511627776 exceeds max_buffer_size, 268435456",
		      buffer_create(self->device, 1ULL << 40));
	EXPECT_REASON(EINVAL, "buffer_create: flags is 0x1: must be 0",
		      CALL(BUFFER_CREATE, (struct vfence_buffer_create) { 4096, 1, 0 }));
#define USE(...) \
	use(self->device, self->worker, (struct vfence_use) { __VA_ARGS__ }, \
	    (struct vfence_operation) { 0 })
	EXPECT_REASON(EINVAL, "submit: unknown part of the flags of a use is 0x80000000: must be 0",
		      USE(.fd = buffer, .flags = 1U << 31));
	EXPECT_REASON(EBADF, "submit: uses[0].fd, -1, is not an open file descriptor",
		      USE(.fd = -1));
	EXPECT_REASON(EINVAL, ", is a file but not a dma-buf", USE(.fd = pipes[0]));
	job.use_count = VFENCE_MAX_USES + 1;
	EXPECT_REASON(EINVAL, "submit: use_count 1025 exceeds VFENCE_MAX_USES, 1024",
		      submit_job(self->device, &job));
	job.use_count = 1;
	job.use_size = 1 << 20;
	EXPECT_REASON(E2BIG, "submit: uses: an element size of 1048576 exceeds one page, ",
		      submit_job(self->device, &job));
	job.uses = ptr_to_u64(&used);
	job.use_size = sizeof(used);
	job.operation_count = VFENCE_MAX_OPERATIONS + 1;
	EXPECT_REASON(EINVAL, "submit: operation_count 65 exceeds VFENCE_MAX_OPERATIONS, 64",
		      submit_job(self->device, &job));
#define OPERATE(use_, ...) \
	use(self->device, self->worker, use_, (struct vfence_operation) { __VA_ARGS__ })
#define FILL(...) \
	OPERATE(used, .kind = VFENCE_OPERATION_FILL, .pattern_size = 4, .length = 8, __VA_ARGS__)
#define CRC(...) OPERATE(used, .kind = VFENCE_OPERATION_CRC32C, .length = 8, __VA_ARGS__)
	EXPECT_REASON(EINVAL, "operation: kind 9 is unknown", OPERATE(used, .kind = 9));
	EXPECT_REASON(EINVAL, "operation: length is 0",
		      OPERATE(used, .kind = VFENCE_OPERATION_FILL));
	EXPECT_REASON(EINVAL, "operation: buffer 3 is not one of the job's 1 uses",
		      FILL(.target = 3));
	EXPECT_REASON(EINVAL, "operation: target 0 is a use without VFENCE_USE_WRITE",
		      OPERATE(read, .kind = VFENCE_OPERATION_FILL, .length = 8));
	EXPECT_REASON(EINVAL,
		      "operation: 8 bytes at 4092 are outside use 0, a buffer of 4096 bytes",
		      FILL(.target_offset = 4092));
	EXPECT_REASON(EINVAL, "operation: kind 1 needs no source and no source_offset",
		      FILL(.source_offset = 4));
	EXPECT_REASON(EINVAL, "operation: kind 3 needs no target and no target_offset",
		      CRC(.target_offset = 4));
	EXPECT_REASON(EINVAL, "operation: kind 3 needs no pattern and no pattern_size",
		      CRC(.pattern = 4));
	EXPECT_REASON(EINVAL, "operation: pattern_size 3 is not 1, 4 or 8",
		      OPERATE(used, .kind = VFENCE_OPERATION_FILL, .length = 6, .pattern_size = 3));
	EXPECT_REASON(EINVAL, "operation: pattern 0x100000000 does not fit in pattern_size, 4",
		      FILL(.pattern = 1ULL << 32));
	EXPECT_REASON(EINVAL,
		      "operation: target_offset 2 or length 8 is not a multiple of pattern_",
		      FILL(.target_offset = 2));
	EXPECT_REASON(EINVAL, "operation: the ranges of a copy overlap in one buffer: 8 bytes at 4",
		      OPERATE(used, .kind = VFENCE_OPERATION_COPY, .length = 8,
			      .target_offset = 4));
}

TEST_F(reasons, access_to_buffers)
{
	struct vfence_use used = { .fd = heap_buffer(4096, O_RDONLY), .flags = VFENCE_USE_WRITE };

	if (used.fd < 0)
		SKIP(return, "the kernel has no CONFIG_DMABUF_HEAPS_SYSTEM");
	EXPECT_REASON(EACCES, "operation: the descriptor of target 0 is not open for writing",
		      FILL());
	close(used.fd);
	used.fd = heap_buffer(4096, O_WRONLY);
	EXPECT_REASON(EACCES, "operation: the descriptor of source 0 is open for writing only",
		      CRC());
	close(used.fd);
}

/* The default limit of udmabuf. */
#define LARGE (64 << 20)

TEST_F_TIMEOUT(reasons, mapped_pages, 120)
{
	struct vfence_operation crc = { .kind = VFENCE_OPERATION_CRC32C, .length = 1 };
	struct vfence_use used = { .flags = VFENCE_USE_NO_WAIT | VFENCE_USE_NO_ADD };
	int memory = user_memory(LARGE), fence;
	struct vfence_submit job;

	if (access("/dev/udmabuf", F_OK))
		SKIP(return, "the kernel has no CONFIG_UDMABUF");
	patient_queues(self);
	fence = submit(self->device, self->manual, 0);
	job = buffer_job(self->worker, 0, &used, 1, &crc, 1);
	job.in_fences = ptr_to_u64(&fence);
	job.in_fence_count = 1;
	for (int i = 0; i < VFENCE_MAX_MAPPED / (LARGE >> 12); i++) {
		used.fd = user_buffer(memory, LARGE);
		ASSERT_EQ(0, submit_job(self->device, &job));
		close(used.fd);
	}
	used.fd = user_buffer(memory, 8192);
	EXPECT_REASON(ENOSPC, "submit: the 2 pages of a buffer exceed the 0 that are left of "
		      "VFENCE_MAX_MAPPED", submit_job(self->device, &job));
	close(used.fd);
	close(memory);
}

TEST_F(reasons, batches)
{
	struct vfence_submit job = { .queue = self->timer };
	struct vfence_submit_batch small = { .jobs = ptr_to_u64(&job), .count = 1, .job_size = 8 };

	EXPECT_REASON(EINVAL, "submit_batch: count 0 is 0 or above VFENCE_MAX_BATCH, 1024",
		      batch(self->device, job, 0));
	EXPECT_REASON(EINVAL, "submit_batch: count 1025 is 0 or above VFENCE_MAX_BATCH, 1024",
		      batch(self->device, job, 1025));
	EXPECT_REASON(EINVAL, "submit_batch: job_size 8 is smaller than the structure was in any",
		      CALL(SUBMIT_BATCH, small));
	small.flags = 1;
	EXPECT_REASON(EINVAL, "submit_batch: flags is 0x1: must be 0", CALL(SUBMIT_BATCH, small));
	small.flags = 0;
	small.job_size = 1 << 20;
	EXPECT_REASON(E2BIG, "submit_batch: jobs: an element size of 1048576 exceeds one page",
		      CALL(SUBMIT_BATCH, small));
	job.duration_ns = 5 * SEC;
	EXPECT_REASON(EINVAL, "submit: duration_ns 5000000000 exceeds the watchdog's 2000000000",
		      batch(self->device, job, 2));
}

TEST_F(reasons, jobs)
{
	struct vfence_point point = { .queue = self->timer, .pad = 1 };
	struct vfence_submit job = { .queue = self->timer };
	char unknown[64], forgotten[128];

	snprintf(unknown, sizeof(unknown), "seqno 7000 of queue %u has not been submitted",
		 self->timer);
	snprintf(forgotten, sizeof(forgotten), "queue %u no longer remembers job 1: "
		 "VFENCE_HISTORY, 256, later jobs have completed", self->timer);
#define WAIT(...) CALL(WAIT, (struct vfence_wait) { __VA_ARGS__ })
#define EXPORT(...) CALL(EXPORT, (struct vfence_export) { .queue = self->timer, __VA_ARGS__ })
#define INFO(...) CALL(JOB_INFO, (struct vfence_job_info) { .queue = self->timer, __VA_ARGS__ })
	EXPECT_REASON(EINVAL, "wait: unknown part of flags is 0x2: must be 0",
		      WAIT(.flags = 3));
	EXPECT_REASON(EINVAL, "wait: pad is 0x1: must be 0", WAIT(.pad = 1));
	EXPECT_REASON(EINVAL, "wait: count 0 is 0 or above VFENCE_MAX_WAIT_POINTS, 1024", WAIT());
	EXPECT_REASON(EINVAL, "wait: pad of a point is 0x1: must be 0",
		      WAIT(.points = ptr_to_u64(&point), .count = 1));
	EXPECT_REASON(EINVAL, unknown, wait_point(self->device, self->timer, 7000, 0));
	EXPECT_REASON(ENOENT, NO_QUEUE, wait_point(self->device, 99, 1, 0));
	EXPECT_REASON(EINVAL, "export: flags is 0x1: must be 0", EXPORT(.flags = 1));
	EXPECT_REASON(EINVAL, "export: pad is 0x1: must be 0", EXPORT(.pad = 1));
	EXPECT_REASON(EINVAL, unknown, EXPORT(.seqno = 7000));
	EXPECT_REASON(EINVAL, "job_info: flags is 0x1: must be 0", INFO(.flags = 1));
	EXPECT_REASON(EINVAL, "job_info: pad is 0x1: must be 0", INFO(.pad = 1));
	EXPECT_REASON(EINVAL, unknown, INFO(.seqno = 7000));
	for (int i = 0; i < VFENCE_HISTORY + 1; i++)
		ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(0, wait_job(self->device, self->timer, VFENCE_HISTORY + 1));
	EXPECT_REASON(ENODATA, forgotten, EXPORT(.seqno = 1));
	EXPECT_REASON(ENODATA, forgotten, INFO(.seqno = 1));
}

TEST_F(reasons, faults)
{
	struct vfence_queue_faults plan = { .queue = self->timer, .count = 17 };

#define FAULT(...) fault(self->device, self->timer, (struct vfence_fault) { __VA_ARGS__ })
	EXPECT_REASON(EINVAL, "queue_faults: count 17 exceeds VFENCE_MAX_FAULTS, 16",
		      CALL(QUEUE_FAULTS, plan));
	plan.flags = 1;
	EXPECT_REASON(EINVAL, "queue_faults: flags is 0x1: must be 0", CALL(QUEUE_FAULTS, plan));
	plan = (struct vfence_queue_faults) { .queue = self->manual };
	EXPECT_REASON(EINVAL, " is manual", CALL(QUEUE_FAULTS, plan));
	EXPECT_REASON(EINVAL, "fault: kind 9 is unknown", FAULT(.kind = 9));
	EXPECT_REASON(EINVAL, "fault: error is 5: neither", FAULT(.kind = 1, .error = 5));
	EXPECT_REASON(EINVAL, "fault: error 0 of kind 1: VFENCE_FAULT_FAIL has an error",
		      FAULT(.kind = VFENCE_FAULT_FAIL, .every = 1));
	EXPECT_REASON(EINVAL, "fault: delay_ns 0 of kind 3: VFENCE_FAULT_DELAY has a delay",
		      FAULT(.kind = VFENCE_FAULT_DELAY, .every = 1));
	EXPECT_REASON(EINVAL, "fault: every 1, probability 2: one must be 0",
		      FAULT(.kind = VFENCE_FAULT_HANG, .every = 1, .probability = 2));
	ASSERT_EQ(0, set("watchdog_ms", "0"));
	plan.queue = timer_queue(self->device);
	EXPECT_EQ(0, set("watchdog_ms", "2000"));
	EXPECT_REASON(EINVAL, "queue_faults: VFENCE_FAULT_DROP_INTERRUPT on queue ",
		      fault(self->device, plan.queue, (struct vfence_fault) {
			      .kind = VFENCE_FAULT_DROP_INTERRUPT, .every = 1 }));
}

TEST_F(reasons, read)
{
	struct vfence_submit job = { .queue = self->timer, .flags = VFENCE_SUBMIT_EVENT };
	struct vfence_event event;

	ASSERT_EQ(0, fcntl(self->device, F_SETFL, O_NONBLOCK));
	EXPECT_REASON(EINVAL, "read: a buffer of 8 bytes is smaller than one event, 64",
		      read(self->device, &event, 8));
	EXPECT_REASON(EAGAIN, "read: there is no event",
		      read(self->device, &event, sizeof(event)));
	ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(0, wait_job(self->device, self->timer, job.seqno));
	EXPECT_REASON(EFAULT, "read: no event could be written to the buffer",
		      read(self->device, unmapped(1), sizeof(event)));
}

TEST_F(reasons, mmap)
{
	long page = sysconf(_SC_PAGESIZE);

	EXPECT_REASON(EINVAL, "is not the counters_offset of a queue of the client",
		      map(self->device, page, PROT_READ, 99 * page));
	EXPECT_REASON(EACCES, "mmap: counters are read-only: PROT_WRITE",
		      map(self->device, page, PROT_READ | PROT_WRITE, self->timer * page));
	EXPECT_REASON(EINVAL, "mmap: counters are one page, ",
		      map(self->device, 2 * page, PROT_READ, self->timer * page));
	EXPECT_REASON(EINVAL, "mmap: counters cannot be executed: PROT_EXEC",
		      map(self->device, page, PROT_READ | PROT_EXEC, self->timer * page));
}

#define RULE "hang every=1000000\n"
#define RULES RULE RULE RULE RULE RULE RULE

TEST_F(reasons, settings)
{
	EXPECT_REASON(EINVAL, "max_jobs: \"many\" is not a number", set("max_jobs", "many\n"));
	EXPECT_REASON(EINVAL, "max_jobs: 23 bytes are longer than any number",
		      set("max_jobs", "00000000000000000000001"));
	EXPECT_REASON(EINVAL, "faults: \"crash\" is not a kind of fault",
		      set("faults", "crash every=1"));
	EXPECT_REASON(EINVAL, "faults: \"colour\" is not a field of a fault",
		      set("faults", "hang colour"));
	EXPECT_REASON(EINVAL, "faults: \"colour=1\" is not a field of a fault",
		      set("faults", "hang colour=1"));
	EXPECT_REASON(EINVAL, "faults: \"-1\" is not a number in range", set("faults", "seed=-1"));
	EXPECT_REASON(EINVAL, "faults: the text is not UTF-8", set("faults", "\xff"));
	EXPECT_REASON(EINVAL, "faults: more rules than VFENCE_MAX_FAULTS, 16",
		      set("faults", RULES RULES RULES "hang every=1\n"));
	EXPECT_REASON(EFAULT, "max_jobs: 8 bytes are not accessible",
		      set_bytes("max_jobs", unmapped(1), 8));
	EXPECT_REASON(EFAULT, "faults: 8 bytes are not accessible",
		      set_bytes("faults", unmapped(1), 8));
}

#define LISTED(flags) "[vfence]vfence_main::vfence::ioctl::prepare " flags \
	" \"submit: duration_ns {} exceeds the watchdog's {}\""

/* Returns whether a file contains @text. */
static bool contains(const char *path, const char *text)
{
	static char content[16 << 20];

	return read_file(path, content, sizeof(content)) && strstr(content, text);
}

/* The descriptors of the messages: the control file lists them, and selects by their parts. */
TEST_F(reasons, descriptors)
{
	char reasons[16384], thread[64];

	if (!has_reasons())
		return;
	EXPECT_TRUE(contains(DYNAMIC_DEBUG, variant->on ? LISTED("=p") : LISTED("=_")));
	ASSERT_TRUE(turn_reasons(false));
	ASSERT_TRUE(write_file(DYNAMIC_DEBUG, "module vfence format watchdog +pmflt"));
	read_reasons(self->log, reasons, sizeof(reasons));
	EXPECT_REFUSED(EINVAL, SUBMIT(self->timer, .pad = 1));
	EXPECT_EQ(0, read_reasons(self->log, reasons, sizeof(reasons)));
	EXPECT_REFUSED(EINVAL, SUBMIT(self->timer, .duration_ns = 5 * SEC));
	EXPECT_EQ(1, read_reasons(self->log, reasons, sizeof(reasons)));
	snprintf(thread, sizeof(thread), "[%d] vfence:vfence_main::vfence::ioctl::prepare:",
		 gettid());
	EXPECT_NE(NULL, strstr(reasons, thread)) {
		TH_LOG("no '%s' in: %s", thread, reasons);
	}
	EXPECT_NE(NULL, strstr(reasons, ": vfence: submit: duration_ns 5000000000 exceeds"));
	ASSERT_TRUE(turn_reasons(false));
	ASSERT_TRUE(write_file(DYNAMIC_DEBUG, "file rust/vfence/ioctl/prepare.rs +p"));
	EXPECT_REFUSED(EINVAL, SUBMIT(self->timer, .pad = 1));
	EXPECT_EQ(1, read_reasons(self->log, reasons, sizeof(reasons)));
}

TEST_HARNESS_MAIN
