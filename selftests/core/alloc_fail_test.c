// SPDX-License-Identifier: GPL-2.0
/*
 * All or nothing: each allocation and each user copy of a call fails once, and a call that fails
 * leaves nothing behind.
 *
 * Needs a kernel with fault injection into slab, pages and user copies: see
 * Documentation/fault-injection/fault-injection.rst in the kernel source.
 */
#include <linux/dma-buf.h>
#include "lib/fault_injection.h"
#include "lib/foreign_buffer.h"

FIXTURE(fault)
{
	int device;
	__u32 manual;
	__u32 timer;
	int fail_nth;
};

FIXTURE_SETUP(fault)
{
	self->fail_nth = injection_open("vfence");
	if (self->fail_nth < 0)
		SKIP(return, "the kernel has no fault injection");
	self->device = device_open();
	ASSERT_LE(0, self->device);
	self->manual = manual_queue(self->device);
	self->timer = timer_queue(self->device);
	ASSERT_NE(0, self->manual);
	ASSERT_NE(0, self->timer);
}

FIXTURE_TEARDOWN(fault)
{
	close(self->device);
}

/*
 * Submits with each fault. The call survives some faults: then it returns a job and its out-fence.
 */
static void submit_with_faults(struct __test_metadata *_metadata, FIXTURE_DATA(fault) *self,
			       struct vfence_submit valid)
{
	struct vfence_submit submit;
	__u64 before = 0;
	int fds = 0;

	EACH_FAULT(VFENCE_IOCTL_SUBMIT, submit, ({
		before = queue_submitted(self->device, valid.queue);
		fds = open_fds();
		valid;
	}), ({
		EXPECT_EQ(fds, open_fds());
		EXPECT_EQ(before, queue_submitted(self->device, valid.queue));
	}));
	/* The last round had no fault. */
	EXPECT_EQ(before + 1, submit.seqno);
	EXPECT_EQ(submit.seqno, queue_submitted(self->device, valid.queue));
	if (valid.flags & VFENCE_SUBMIT_OUT_FENCE)
		EXPECT_LE(0, submit.out_fence);
}

TEST_F(fault, submit)
{
	submit_with_faults(_metadata, self, (struct vfence_submit) {
		.queue = self->manual,
	});
}

TEST_F(fault, submit_with_out_fence)
{
	submit_with_faults(_metadata, self, (struct vfence_submit) {
		.queue = self->manual,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
	});
}

TEST_F(fault, create_fence)
{
	/* The first submission must grow the queue. */
	for (int fences = 0; fences < 2; fences++) {
		bool injected = true;
		int refused = 0, fence = -1;

		for (int nth = 1; injected; nth++) {
			__u64 submitted = queue_submitted(self->device, self->manual);
			int fds = open_fds();

			ASSERT_GT(MOST_FAULTS, nth);
			fence = with_fault(self->fail_nth, nth, self->device,
					   VFENCE_IOCTL_CREATE_FENCE,
					   (void *)(unsigned long)self->manual, &injected);
			EXPECT_EQ(fds + (fence >= 0), open_fds());
			EXPECT_EQ(submitted + (fence >= 0),
				  queue_submitted(self->device, self->manual));
			if (fence >= 0)
				continue;
			EXPECT_EQ(-ENOMEM, fence);
			refused++;
		}
		EXPECT_LT(0, refused);
		EXPECT_EQ(0, fence_status(fence));
	}
}

TEST_F(fault, submit_grows_the_queue)
{
	/* 64 jobs pass each power of two at which the driver may grow a table. */
	for (int jobs = 1; jobs <= 64; jobs++) {
		struct vfence_submit job = { .queue = self->manual };

		ASSERT_EQ(0, ioctl(self->device, VFENCE_IOCTL_SUBMIT, &job));
		if (!(jobs & (jobs - 1)))
			submit_with_faults(_metadata, self, job);
	}
}

TEST_F(fault, submit_with_in_fences)
{
	__s32 in_fences[3];

	for (int i = 0; i < 3; i++)
		in_fences[i] = submit(self->device, manual_queue(self->device), 0);
	in_fences[2] = fence_merge(in_fences[1], in_fences[2]);
	submit_with_faults(_metadata, self, (struct vfence_submit) {
		.queue = self->timer,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.in_fences = ptr_to_u64(in_fences),
		.in_fence_count = ARRAY_LEN(in_fences),
	});
}

/*
 * Creates a queue with each fault. kmemleak, and the unload of the module, find what a failed call
 * leaves behind.
 */
static void create_with_faults(struct __test_metadata *_metadata, FIXTURE_DATA(fault) *self,
			       __u32 kind)
{
	struct vfence_query query = { 0 };
	struct vfence_queue_create create, valid = { .kind = kind };
	__u32 created = 0;

	ASSERT_EQ(0, ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	EACH_FAULT(VFENCE_IOCTL_QUEUE_CREATE, create, valid, );
	/* The client can create queues up to its limit: no failed call counts. */
	while (timer_queue(self->device))
		created++;
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_GE(query.max_queues - 3, created);
	for (__u32 queue = 1; queue <= create.queue; queue++)
		queue_destroy(self->device, queue);
	for (__u32 i = 0; i < query.max_queues - created; i++)
		EXPECT_NE(0, timer_queue(self->device));
	EXPECT_EQ(0, timer_queue(self->device));
}

TEST_F(fault, queue_create)
{
	create_with_faults(_metadata, self, VFENCE_QUEUE_TIMER);
}

TEST_F(fault, worker_queue_create)
{
	create_with_faults(_metadata, self, VFENCE_QUEUE_WORKER);
}

TEST_F(fault, queue_destroy)
{
	struct vfence_queue_destroy destroy, valid = { .queue = self->manual };
	int fence = submit(self->device, self->manual, 0);

	EACH_FAULT(VFENCE_IOCTL_QUEUE_DESTROY, destroy, valid, ({
		EXPECT_EQ(0, fence_status(fence));
		EXPECT_EQ(1, queue_submitted(self->device, self->manual));
	}));
	EXPECT_EQ(-ECANCELED, fence_status(fence));
}

TEST_F(fault, queue_info)
{
	struct vfence_queue_info info, valid = { .queue = self->manual };

	EACH_FAULT(VFENCE_IOCTL_QUEUE_INFO, info, valid, );
	EXPECT_EQ(VFENCE_QUEUE_MANUAL, info.kind);
}

TEST_F(fault, query)
{
	struct vfence_query query, valid = { 0 };

	EACH_FAULT(VFENCE_IOCTL_QUERY, query, valid, );
	EXPECT_EQ(VFENCE_API_VERSION, query.api_version);
}

TEST_F(fault, signal)
{
	struct vfence_signal signal, valid = { .queue = self->manual, .seqno = 1 };
	int fence = submit(self->device, self->manual, 0);

	EACH_FAULT(VFENCE_IOCTL_SIGNAL, signal, valid, EXPECT_EQ(0, fence_status(fence)));
	EXPECT_EQ(1, fence_status(fence));
}

TEST_F(fault, submit_batch)
{
	__s32 in_fence = submit(self->device, manual_queue(self->device), 0);
	struct vfence_submit jobs[6], valid[6] = {
		{ .queue = self->manual },
		{ .queue = self->manual, .flags = VFENCE_SUBMIT_OUT_FENCE },
		{ .queue = self->timer, .in_fences = ptr_to_u64(&in_fence), .in_fence_count = 1 },
		{ .queue = self->timer, .flags = VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT },
		{ .queue = self->manual, .flags = VFENCE_SUBMIT_EVENT },
		{ .queue = self->timer, .flags = VFENCE_SUBMIT_HANG },
	};
	struct vfence_submit_batch batch;
	__u64 manual = 0, timer = 0;
	int fds = 0;

	EACH_FAULT(VFENCE_IOCTL_SUBMIT_BATCH, batch, ({
		manual = queue_submitted(self->device, self->manual);
		timer = queue_submitted(self->device, self->timer);
		fds = open_fds();
		memcpy(jobs, valid, sizeof(jobs));
		(struct vfence_submit_batch) {
			.jobs = ptr_to_u64(jobs),
			.count = ARRAY_LEN(jobs),
			.job_size = sizeof(jobs[0]),
		};
	}), ({
		EXPECT_EQ(fds, open_fds());
		EXPECT_EQ(manual, queue_submitted(self->device, self->manual));
		EXPECT_EQ(timer, queue_submitted(self->device, self->timer));
	}));
	EXPECT_EQ(fds + 2, open_fds());
	EXPECT_EQ(manual + 3, queue_submitted(self->device, self->manual));
	EXPECT_EQ(timer + 3, queue_submitted(self->device, self->timer));
}

TEST_F(fault, wait)
{
	struct vfence_point points[40];
	struct vfence_wait wait, valid = {
		.points = ptr_to_u64(points),
		.count = ARRAY_LEN(points),
		.flags = VFENCE_WAIT_ANY,
		.timeout_ns = ~0ULL,
	};

	for (size_t i = 0; i < ARRAY_LEN(points); i++)
		points[i] = (struct vfence_point) {
			.queue = i % 2 ? self->manual : manual_queue(self->device),
			.seqno = 1,
		};
	for (size_t i = 1; i < ARRAY_LEN(points); i++)
		ASSERT_LE(0, submit(self->device, points[i].queue, 0));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	/*
	 * All rounds together may outlast the watchdog: submit the first job again in each round.
	 */
	EACH_FAULT(VFENCE_IOCTL_WAIT, wait, ({
		ASSERT_LE(0, submit(self->device, points[0].queue, 0));
		points[0].seqno = queue_submitted(self->device, points[0].queue);
		valid;
	}), );
	EXPECT_EQ(1, wait.first);
}

TEST_F(fault, wait_sleeps)
{
	struct vfence_point points[2] = {
		{ .queue = self->manual }, { .queue = self->timer },
	};
	struct vfence_wait wait, valid = {
		.points = ptr_to_u64(points),
		.count = ARRAY_LEN(points),
		.flags = VFENCE_WAIT_ANY,
		.timeout_ns = ~0ULL,
	};

	EACH_FAULT(VFENCE_IOCTL_WAIT, wait, ({
		struct vfence_submit job = { .queue = self->timer, .duration_ns = MSEC };

		ASSERT_EQ(0, submit_job(self->device, &job));
		job = (struct vfence_submit) { .queue = self->manual };
		ASSERT_EQ(0, submit_job(self->device, &job));
		points[0].seqno = job.seqno;
		points[1].seqno = queue_submitted(self->device, self->timer);
		valid;
	}), );
}

TEST_F(fault, export)
{
	struct vfence_export export, valid = { .queue = self->manual };
	__u64 seqno = 0;
	int fds = 0;

	/* EXPORT creates the fence of a job only once, so each round needs another job. */
	EACH_FAULT(VFENCE_IOCTL_EXPORT, export, ({
		struct vfence_submit job = { .queue = self->manual };

		ASSERT_EQ(0, submit_job(self->device, &job));
		fds = open_fds();
		seqno = valid.seqno = job.seqno;
		valid;
	}), EXPECT_EQ(fds, open_fds()));
	EXPECT_EQ(0, fence_status(export.fence));
	EXPECT_LT(0, signal_seqno(self->device, self->manual, seqno, -EIO));
	EXPECT_EQ(-EIO, fence_status(export.fence));
	/* Export the fence of a completed job. */
	EACH_FAULT(VFENCE_IOCTL_EXPORT, export, ({
		fds = open_fds();
		valid;
	}), EXPECT_EQ(fds, open_fds()));
	EXPECT_EQ(-EIO, fence_status(export.fence));
}

TEST_F(fault, job_info)
{
	struct vfence_job_info info, valid = { .queue = self->manual, .seqno = 1 };

	ASSERT_LE(0, submit(self->device, self->manual, 0));
	EACH_FAULT(VFENCE_IOCTL_JOB_INFO, info, valid, );
	EXPECT_EQ(VFENCE_JOB_PENDING, info.state);
}

TEST_F(fault, queue_reset)
{
	struct vfence_queue_reset reset, valid = { .queue = self->timer };

	EACH_FAULT(VFENCE_IOCTL_QUEUE_RESET, reset, valid, );
	EXPECT_LT(0, reset.resets);
}

TEST_F(fault, queue_faults)
{
	struct vfence_fault plan[2] = {
		{ .kind = VFENCE_FAULT_FAIL, .every = 1, .error = -EIO },
		{ .kind = VFENCE_FAULT_DELAY, .every = 1, .delay_ns = 1 },
	};
	struct vfence_queue_faults faults, valid = {
		.queue = self->timer,
		.faults = ptr_to_u64(plan),
		.count = ARRAY_LEN(plan),
		.fault_size = sizeof(plan[0]),
	};
	struct vfence_submit job = { .queue = self->timer };
	__u64 expected = 0;

	EACH_FAULT(VFENCE_IOCTL_QUEUE_FAULTS, faults, valid, ({
		struct vfence_queue_info info;

		/* No fault of the refused plan is in force. */
		ASSERT_EQ(0, submit_job(self->device, &job));
		ASSERT_EQ(0, queue_info(self->device, self->timer, &info));
		EXPECT_EQ(expected, info.faults[VFENCE_FAULT_FAIL]);
		EXPECT_EQ(expected, info.faults[VFENCE_FAULT_DELAY]);
	}));
}

TEST_F(fault, read)
{
	struct vfence_submit job = { .queue = self->manual, .flags = VFENCE_SUBMIT_EVENT };
	struct vfence_event events[4];
	bool failed = false;
	int error;

	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(8, signal_seqno(self->device, self->manual, 8, 0));
	for (__u64 nth = 1, seqno = 1; seqno <= 8; nth++) {
		ssize_t size;

		ASSERT_TRUE(arm(self->fail_nth, nth));
		size = read(self->device, events, sizeof(events));
		error = errno;
		disarm(self->fail_nth);
		if (size < 0) {
			EXPECT_EQ(EFAULT, error);
			failed = true;
			continue;
		}
		/* No event was lost. */
		for (ssize_t i = 0; i < size / 64; i++)
			EXPECT_EQ(seqno++, events[i].seqno);
	}
	EXPECT_TRUE(failed);
}

TEST_F(fault, buffer_create)
{
	struct vfence_buffer_create create, valid = { .size = 5 * 4096 };
	int fds = open_fds();

	EACH_FAULT(VFENCE_IOCTL_BUFFER_CREATE, create, ({
		fds = open_fds();
		valid;
	}), ({
		EXPECT_EQ(fds, open_fds());
	}));
	EXPECT_EQ(5 * 4096, lseek(create.fd, 0, SEEK_END));
}

TEST_F_TIMEOUT(fault, submit_with_buffers, 120)
{
	__u32 worker = worker_queue(self->device);
	struct vfence_use uses[] = {
		{ .fd = buffer_create(self->device, 8192), .flags = VFENCE_USE_WRITE },
		{ .fd = buffer_create(self->device, 8192) },
	};
	struct vfence_operation operations[] = {
		{ .kind = VFENCE_OPERATION_COPY, .source = 1, .length = 8192 },
		{ .kind = VFENCE_OPERATION_CRC32C, .length = 1 },
	};
	struct dma_buf_import_sync_file import = {
		.flags = DMA_BUF_SYNC_WRITE,
		.fd = submit(self->device, self->manual, 0),
	};

	/* A pending write fence in each buffer, for which the job must wait. */
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, ioctl(uses[i].fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import));
	submit_with_faults(_metadata, self, (struct vfence_submit) {
		.queue = worker,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.uses = ptr_to_u64(uses),
		.use_count = 2,
		.use_size = sizeof(uses[0]),
		.operations = ptr_to_u64(operations),
		.operation_count = 2,
		.operation_size = sizeof(operations[0]),
	});
}

/* The same with buffers of other exporters, which allocate in attach and map. */
TEST_F_TIMEOUT(fault, submit_with_foreign_buffers, 120)
{
	const size_t size = 1 << 16;
	int memory = user_memory(size), other = device_open();
	__u32 worker = worker_queue(self->device), busy = worker_queue(other);
	struct vfence_use uses[] = {
		{ .fd = heap_buffer(size, O_RDWR), .flags = VFENCE_USE_WRITE },
		{ .fd = user_buffer(memory, size), .flags = VFENCE_USE_NO_ADD },
	};
	struct vfence_operation operation = {
		.kind = VFENCE_OPERATION_COPY,
		.source = 1,
		.length = size,
	};
	struct vfence_submit job = {
		.queue = worker,
		.uses = ptr_to_u64(uses),
		.use_count = 2,
		.use_size = sizeof(uses[0]),
		.operations = ptr_to_u64(&operation),
		.operation_count = 1,
		.operation_size = sizeof(operation),
	}, theirs = job;

	if (uses[0].fd < 0 || uses[1].fd < 0)
		SKIP(return, "the kernel has no system heap or no udmabuf");
	/*
	 * The core warns when an exporter fails to map for the kernel, so another job keeps these
	 * buffers mapped.
	 */
	theirs.queue = busy;
	theirs.flags = VFENCE_SUBMIT_HANG;
	uses[0].flags |= VFENCE_USE_NO_ADD;
	for (int i = 0; i < 100; i++)
		ASSERT_EQ(0, submit_job(other, &theirs));
	uses[0].flags &= ~VFENCE_USE_NO_ADD;
	submit_with_faults(_metadata, self, job);
	EXPECT_EQ(0, wait_idle(self->device, worker));
	/* Refused calls left no fence in the reservation object. */
	EXPECT_EQ(POLLIN | POLLOUT, polled(uses[0].fd, POLLIN | POLLOUT));
	close(other);
}

/*
 * Jobs of one batch that depend on each other lock their buffers together. A refused batch leaves
 * no fence in them.
 */
TEST_F_TIMEOUT(fault, batch_with_buffers, 120)
{
	__u32 queues[] = { worker_queue(self->device), worker_queue(self->device) };
	struct vfence_use uses[] = {
		{ .fd = buffer_create(self->device, 4096), .flags = VFENCE_USE_WRITE },
		{ .fd = buffer_create(self->device, 4096) },
		{ .fd = -1, .flags = VFENCE_USE_WRITE },
	};
	struct vfence_operation operation = {
		.kind = VFENCE_OPERATION_COPY,
		.source = 1,
		.length = 4096,
	};
	__s32 in_fence = submit(self->device, self->manual, 0);
	struct vfence_submit jobs[4], valid[4] = {
		{ .queue = queues[0], .use_count = 2, .operation_count = 1 },
		{ .queue = queues[1], .use_count = 2, .flags = VFENCE_SUBMIT_OUT_FENCE },
		{ .queue = self->timer, .in_fences = ptr_to_u64(&in_fence), .in_fence_count = 1 },
		{ .queue = queues[0], .use_count = 3 },
	};
	struct vfence_submit_batch batch;
	__u64 before[ARRAY_LEN(queues)];
	int fds = 0;

	uses[2].fd = uses[1].fd;
	for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
		valid[i].uses = ptr_to_u64(uses);
		valid[i].use_size = sizeof(uses[0]);
		valid[i].operations = ptr_to_u64(&operation);
		valid[i].operation_size = sizeof(operation);
	}
	EACH_FAULT(VFENCE_IOCTL_SUBMIT_BATCH, batch, ({
		for (size_t i = 0; i < ARRAY_LEN(queues); i++) {
			before[i] = queue_submitted(self->device, queues[i]);
			/* The call survives some faults. */
			if (before[i])
				ASSERT_EQ(0, wait_idle(self->device, queues[i]));
		}
		fds = open_fds();
		memcpy(jobs, valid, sizeof(jobs));
		(struct vfence_submit_batch) {
			.jobs = ptr_to_u64(jobs),
			.count = ARRAY_LEN(jobs),
			.job_size = sizeof(jobs[0]),
		};
	}), ({
		EXPECT_EQ(fds, open_fds());
		for (size_t i = 0; i < ARRAY_LEN(queues); i++) {
			EXPECT_EQ(before[i], queue_submitted(self->device, queues[i]));
			EXPECT_EQ(POLLOUT, polled(uses[i].fd, POLLOUT));
		}
	}));
	EXPECT_EQ(fds + 1, open_fds());
	EXPECT_EQ(before[0] + 2, queue_submitted(self->device, queues[0]));
	EXPECT_EQ(before[1] + 1, queue_submitted(self->device, queues[1]));
	EXPECT_EQ(0, wait_idle(self->device, queues[0]));
}

TEST_F(fault, mmap)
{
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_TIMER };
	const volatile struct vfence_counters *counters = MAP_FAILED;
	int failures = 0;

	ASSERT_EQ(0, queue_create_with(self->device, &create));
	for (int nth = 1; counters == MAP_FAILED; nth++) {
		ASSERT_GT(MOST_FAULTS, nth);
		ASSERT_TRUE(arm(self->fail_nth, nth));
		counters = map_counters(self->device, create.counters_offset);
		failures += counters == MAP_FAILED;
		disarm(self->fail_nth);
	}
	EXPECT_LT(0, failures);
	EXPECT_EQ(0, counters->submitted);
}

TEST_HARNESS_MAIN
