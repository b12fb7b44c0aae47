// SPDX-License-Identifier: GPL-2.0
/* Fault plans of queues, and the kernel's fault injection, which applies to all queues. */
#include "lib/test.h"

#define JOBS 300
#define TIMEOUT (50 * MSEC)

FIXTURE(fault_plan)
{
	int device;
	__u32 queue;
	struct vfence_submit jobs[JOBS];
	struct vfence_event events[JOBS];
};

FIXTURE_VARIANTS_OF_NODES(fault_plan);

static __u32 bounded_queue(int device)
{
	return queue_with(device, (struct vfence_queue_create) {
		.kind = VFENCE_QUEUE_TIMER,
		.timeout_ns = TIMEOUT,
	});
}

FIXTURE_SETUP(fault_plan)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->queue = bounded_queue(self->device);
	ASSERT_NE(0, self->queue);
}

FIXTURE_TEARDOWN(fault_plan)
{
	close(self->device);
}

#define RUN(queue, count, low, high) \
	ASSERT_EQ(0, run_jobs(self->device, queue, count, low, high, self->jobs, self->events))

static __u64 injected(int device, __u32 queue, __u32 kind)
{
	struct vfence_queue_info info;

	return queue_info(device, queue, &info) ? ~0ULL : info.faults[kind];
}

#define BIT(kind) (1U << (kind))

TEST_F(fault_plan, every_third_job_fails)
{
	struct vfence_fault fault = { .kind = VFENCE_FAULT_FAIL, .every = 3, .error = -EPROTO };

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &fault, 1));
	RUN(self->queue, 30, 1000, 0);
	for (int i = 0; i < 30; i++) {
		bool hit = i % 3 == 2;

		EXPECT_EQ(hit ? -EPROTO : 0, self->events[i].error);
		EXPECT_EQ(hit ? BIT(VFENCE_FAULT_FAIL) : 0, self->events[i].faults);
		/* A job that fails still takes its duration. */
		EXPECT_EQ(1000, self->events[i].end_ns - self->events[i].start_ns);
	}
	EXPECT_EQ(10, injected(self->device, self->queue, VFENCE_FAULT_FAIL));
	EXPECT_EQ(0, injected(self->device, self->queue, VFENCE_FAULT_HANG));
	EXPECT_EQ(0, injected(self->device, self->queue, 0));
}

TEST_F(fault_plan, limit_bounds_the_faults)
{
	struct vfence_fault fault = {
		.kind = VFENCE_FAULT_FAIL, .every = 2, .error = -EIO, .limit = 3,
	};

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &fault, 1));
	RUN(self->queue, 30, 0, 0);
	for (int i = 0; i < 30; i++)
		EXPECT_EQ(i % 2 && i < 6 ? -EIO : 0, self->events[i].error);
	EXPECT_EQ(3, injected(self->device, self->queue, VFENCE_FAULT_FAIL));
}

TEST_F(fault_plan, every_second_job_hangs)
{
	struct vfence_fault fault = { .kind = VFENCE_FAULT_HANG, .every = 2 };
	struct vfence_queue_info info;

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &fault, 1));
	RUN(self->queue, 6, 1000, 0);
	for (int i = 0; i < 6; i++) {
		bool hit = i % 2;

		EXPECT_EQ(hit ? -ETIMEDOUT : 0, self->events[i].error);
		EXPECT_EQ(hit ? BIT(VFENCE_FAULT_HANG) : 0, self->events[i].faults);
		EXPECT_EQ(hit ? TIMEOUT : 1000, self->events[i].end_ns - self->events[i].start_ns);
	}
	ASSERT_EQ(0, queue_info(self->device, self->queue, &info));
	EXPECT_EQ(3, info.faults[VFENCE_FAULT_HANG]);
	EXPECT_EQ(3, info.timeouts);
}

TEST_F(fault_plan, every_second_job_is_delayed)
{
	struct vfence_fault fault = {
		.kind = VFENCE_FAULT_DELAY, .every = 2, .delay_ns = 3 * MSEC,
	};

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &fault, 1));
	RUN(self->queue, 10, MSEC, 0);
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(0, self->events[i].error);
		EXPECT_EQ(i % 2 ? 4 * MSEC : MSEC,
			  self->events[i].end_ns - self->events[i].start_ns);
		EXPECT_EQ(i % 2 ? BIT(VFENCE_FAULT_DELAY) : 0, self->events[i].faults);
	}
	EXPECT_EQ(5, injected(self->device, self->queue, VFENCE_FAULT_DELAY));
}

TEST_F(fault_plan, delay_beyond_the_timeout_times_out)
{
	struct vfence_fault fault = {
		.kind = VFENCE_FAULT_DELAY, .every = 1, .limit = 1, .delay_ns = ~0ULL,
	};

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &fault, 1));
	RUN(self->queue, 2, MSEC, 0);
	EXPECT_EQ(-ETIMEDOUT, self->events[0].error);
	EXPECT_EQ(0, self->events[1].error);
}

TEST_F(fault_plan, watchdog_finds_a_dropped_interrupt)
{
	struct vfence_fault fault = {
		.kind = VFENCE_FAULT_DROP_INTERRUPT, .every = 1, .limit = 1,
	};
	struct vfence_queue_info info;

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &fault, 1));
	RUN(self->queue, 5, MSEC, 0);
	/* No interrupt reported the end before the watchdog ran. */
	EXPECT_LE(self->events[0].start_ns + TIMEOUT, now_ns());
	/* The job ended in time nevertheless, and so did those behind it. */
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(0, self->events[i].error);
		EXPECT_EQ(self->events[i].start_ns + MSEC, self->events[i].end_ns);
		if (i)
			EXPECT_EQ(self->events[i - 1].end_ns, self->events[i].start_ns);
	}
	EXPECT_EQ(BIT(VFENCE_FAULT_DROP_INTERRUPT), self->events[0].faults);
	ASSERT_EQ(0, queue_info(self->device, self->queue, &info));
	EXPECT_EQ(1, info.faults[VFENCE_FAULT_DROP_INTERRUPT]);
	EXPECT_EQ(0, info.timeouts);
	EXPECT_EQ(0, info.errors);
}

TEST_F(fault_plan, reset_finds_a_dropped_interrupt)
{
	struct vfence_fault fault = { .kind = VFENCE_FAULT_DROP_INTERRUPT, .every = 1 };
	__u32 queue = timer_queue(self->device);
	int fence;

	ASSERT_EQ(0, set_faults(self->device, queue, 0, &fault, 1));
	fence = submit(self->device, queue, MSEC);
	usleep(20000);
	/* The watchdog expires only seconds later. */
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(0, queue_completed(self->device, queue));
	ASSERT_EQ(0, queue_reset(self->device, queue, NULL));
	EXPECT_EQ(1, fence_status(fence));
}

TEST_F(fault_plan, probability_of_one_hits_every_job)
{
	struct vfence_fault fault = {
		.kind = VFENCE_FAULT_FAIL, .probability = 1000000, .error = -EIO,
	};

	ASSERT_EQ(0, set_faults(self->device, self->queue, 5, &fault, 1));
	RUN(self->queue, JOBS, 0, 0);
	for (int i = 0; i < JOBS; i++)
		EXPECT_EQ(-EIO, self->events[i].error);
}

TEST_F(fault_plan, probability_of_a_half_hits_half_of_the_jobs)
{
	struct vfence_fault fault = {
		.kind = VFENCE_FAULT_FAIL, .probability = 500000, .error = -EIO,
	};
	int hits = 0;

	ASSERT_EQ(0, set_faults(self->device, self->queue, 5, &fault, 1));
	RUN(self->queue, JOBS, 0, 0);
	for (int i = 0; i < JOBS; i++)
		hits += self->events[i].error == -EIO;
	EXPECT_LT(JOBS / 3, hits);
	EXPECT_GT(JOBS * 2 / 3, hits);
	EXPECT_EQ(hits, injected(self->device, self->queue, VFENCE_FAULT_FAIL));
}

TEST_F(fault_plan, same_seed_same_faults)
{
	struct vfence_fault fault = {
		.kind = VFENCE_FAULT_FAIL, .probability = 300000, .error = -EIO,
	};
	__u32 other = timer_queue(self->device), third = timer_queue(self->device);
	int one[JOBS], same = 0;

	ASSERT_EQ(0, set_faults(self->device, self->queue, 5, &fault, 1));
	ASSERT_EQ(0, set_faults(self->device, other, 5, &fault, 1));
	ASSERT_EQ(0, set_faults(self->device, third, 6, &fault, 1));
	RUN(self->queue, JOBS, 0, 0);
	for (int i = 0; i < JOBS; i++)
		one[i] = self->events[i].error;
	RUN(other, JOBS, 0, 0);
	for (int i = 0; i < JOBS; i++)
		EXPECT_EQ(one[i], self->events[i].error);
	RUN(third, JOBS, 0, 0);
	for (int i = 0; i < JOBS; i++)
		same += one[i] == self->events[i].error;
	EXPECT_GT(JOBS * 9 / 10, same);
}

TEST_F(fault_plan, fault_plan_does_not_change_random_durations)
{
	struct vfence_fault fault = {
		.kind = VFENCE_FAULT_FAIL, .probability = 300000, .error = -EIO,
	};
	__u32 other = timer_queue(self->device);
	__u64 one[JOBS];

	ASSERT_EQ(0, set_faults(self->device, self->queue, 5, &fault, 1));
	RUN(self->queue, JOBS, 100, 10000);
	for (int i = 0; i < JOBS; i++)
		one[i] = self->events[i].end_ns - self->events[i].start_ns;
	RUN(other, JOBS, 100, 10000);
	for (int i = 0; i < JOBS; i++)
		EXPECT_EQ(one[i], self->events[i].end_ns - self->events[i].start_ns);
}

TEST_F(fault_plan, faults_combine)
{
	struct vfence_fault faults[] = {
		{ .kind = VFENCE_FAULT_FAIL, .every = 2, .error = -EIO },
		{ .kind = VFENCE_FAULT_FAIL, .every = 3, .error = -EPROTO },
		{ .kind = VFENCE_FAULT_DELAY, .every = 5, .delay_ns = 1000 },
	};

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, faults, ARRAY_LEN(faults)));
	RUN(self->queue, 60, 500, 0);
	for (int i = 1; i <= 60; i++) {
		struct vfence_event *event = &self->events[i - 1];

		EXPECT_EQ(i % 2 == 0 ? -EIO : i % 3 == 0 ? -EPROTO : 0, event->error);
		EXPECT_EQ(i % 5 ? 500 : 1500, event->end_ns - event->start_ns);
	}
	/* A job counts once for each kind of fault. */
	EXPECT_EQ(40, injected(self->device, self->queue, VFENCE_FAULT_FAIL));
	EXPECT_EQ(12, injected(self->device, self->queue, VFENCE_FAULT_DELAY));
}

TEST_F(fault_plan, planned_error_precedes_the_jobs_own)
{
	struct vfence_fault fault = { .kind = VFENCE_FAULT_FAIL, .every = 1, .error = -EPROTO };
	struct vfence_submit job = { .queue = self->queue, .error = -EIO };
	struct vfence_job_info info;

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &fault, 1));
	ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(0, wait_idle(self->device, self->queue));
	ASSERT_EQ(0, job_info(self->device, self->queue, 1, &info));
	EXPECT_EQ(-EPROTO, info.error);
	EXPECT_EQ(BIT(VFENCE_FAULT_FAIL), info.faults);
}

TEST_F(fault_plan, new_plan_replaces_the_old)
{
	struct vfence_fault fault = { .kind = VFENCE_FAULT_FAIL, .every = 2, .error = -EIO };

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &fault, 1));
	RUN(self->queue, 3, 0, 0);
	fault.error = -EPROTO;
	/* A new plan counts from its first job: the fourth job of the queue is its first. */
	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &fault, 1));
	RUN(self->queue, 2, 0, 0);
	EXPECT_EQ(0, self->events[0].error);
	EXPECT_EQ(-EPROTO, self->events[1].error);
	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, NULL, 0));
	RUN(self->queue, 10, 0, 0);
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, self->events[i].error);
	/* The counters keep the faults of the old plan. */
	EXPECT_EQ(2, injected(self->device, self->queue, VFENCE_FAULT_FAIL));
}

TEST_F(fault_plan, plan_does_not_affect_submitted_jobs)
{
	struct vfence_fault fault = { .kind = VFENCE_FAULT_FAIL, .every = 1, .error = -EIO };
	__u32 gate = manual_queue(self->device);
	int closed = submit(self->device, gate, 0);
	int fence = submit_after(self->device, self->queue, 0, closed);

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &fault, 1));
	ASSERT_EQ(1, signal_seqno(self->device, gate, 1, 0));
	EXPECT_EQ(1, fence_wait(fence));
}

TEST_F(fault_plan, refused_batch_does_not_count)
{
	struct vfence_fault fault = { .kind = VFENCE_FAULT_FAIL, .every = 4, .error = -EIO };

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &fault, 1));
	for (int i = 0; i < 4; i++)
		self->jobs[i].queue = i < 3 ? self->queue : 77;
	EXPECT_REFUSED(ENOENT, submit_batch(self->device, self->jobs, 4, NULL));
	RUN(self->queue, 4, 0, 0);
	EXPECT_EQ(0, self->events[0].error);
	EXPECT_EQ(-EIO, self->events[3].error);
	EXPECT_EQ(1, injected(self->device, self->queue, VFENCE_FAULT_FAIL));
}

TEST_F(fault_plan, number_of_faults_is_limited)
{
	struct vfence_fault faults[VFENCE_MAX_FAULTS + 1];

	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		faults[i] = (struct vfence_fault) {
			.kind = VFENCE_FAULT_DELAY, .every = 1, .delay_ns = 1000,
		};
	EXPECT_REFUSED(EINVAL, set_faults(self->device, self->queue, 0, faults,
					  VFENCE_MAX_FAULTS + 1));
	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, faults, VFENCE_MAX_FAULTS));
	RUN(self->queue, 1, 0, 0);
	EXPECT_EQ(1000 * VFENCE_MAX_FAULTS, self->events[0].end_ns - self->events[0].start_ns);
}

TEST_F(fault_plan, invalid_faults_are_refused)
{
	static const struct vfence_fault bad[] = {
		{ .kind = 0, .every = 1 },
		{ .kind = VFENCE_FAULT_DROP_INTERRUPT + 1, .every = 1 },
		{ .kind = ~0U, .every = 1 },
		{ .kind = VFENCE_FAULT_HANG },
		{ .kind = VFENCE_FAULT_HANG, .every = 1, .probability = 1 },
		{ .kind = VFENCE_FAULT_HANG, .probability = 1000001 },
		{ .kind = VFENCE_FAULT_HANG, .every = 1, .error = -EIO },
		{ .kind = VFENCE_FAULT_HANG, .every = 1, .delay_ns = 1 },
		{ .kind = VFENCE_FAULT_FAIL, .every = 1 },
		{ .kind = VFENCE_FAULT_FAIL, .every = 1, .error = 1 },
		{ .kind = VFENCE_FAULT_FAIL, .every = 1, .error = -4096 },
		{ .kind = VFENCE_FAULT_FAIL, .every = 1, .error = -EIO, .delay_ns = 1 },
		{ .kind = VFENCE_FAULT_DELAY, .every = 1 },
		{ .kind = VFENCE_FAULT_DELAY, .every = 1, .delay_ns = 1, .error = -EIO },
		{ .kind = VFENCE_FAULT_DROP_INTERRUPT, .every = 1, .delay_ns = 1 },
	};
	struct vfence_fault before = { .kind = VFENCE_FAULT_FAIL, .every = 1, .error = -EIO };

	ASSERT_EQ(0, set_faults(self->device, self->queue, 0, &before, 1));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_REFUSED(EINVAL, set_faults(self->device, self->queue, 0, &bad[i], 1));
	}
	/* The previous plan is still in force. */
	RUN(self->queue, 1, 0, 0);
	EXPECT_EQ(-EIO, self->events[0].error);
}

TEST_F(fault_plan, plan_of_a_manual_or_unknown_queue_is_refused)
{
	struct vfence_fault fault = { .kind = VFENCE_FAULT_HANG, .every = 1 };
	struct vfence_queue_faults plan = { .queue = self->queue };

	EXPECT_REFUSED(EINVAL, set_faults(self->device, manual_queue(self->device), 0, &fault, 1));
	EXPECT_REFUSED(ENOENT, set_faults(self->device, 77, 0, &fault, 1));
	EXPECT_REFUSED(EFAULT, set_faults(self->device, self->queue, 0,
					  (void *)unmapped(1), 1));
	EXPECT_REFUSED(EFAULT, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_FAULTS, unmapped(1)));
	plan.flags = 1;
	EXPECT_REFUSED(EINVAL, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_FAULTS, &plan));
}

TEST_F(fault_plan, fault_size_is_checked)
{
	struct {
		struct vfence_fault known;
		__u64 later;
	} faults[2] = { 0 };
	struct vfence_queue_faults plan = {
		.queue = self->queue,
		.faults = ptr_to_u64(faults),
		.count = 2,
	};

	for (int i = 0; i < 2; i++)
		faults[i].known = (struct vfence_fault) {
			.kind = VFENCE_FAULT_FAIL, .every = 2, .error = -EIO - i,
		};
	plan.fault_size = sizeof(struct vfence_fault) - 8;
	EXPECT_REFUSED(EINVAL, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_FAULTS, &plan));
	plan.fault_size = 0;
	EXPECT_REFUSED(EINVAL, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_FAULTS, &plan));
	plan.fault_size = sizeof(faults[0]);
	faults[1].later = 1;
	EXPECT_REFUSED(E2BIG, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_FAULTS, &plan));
	faults[1].later = 0;
	EXPECT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_FAULTS, &plan));
}

TEST_F(fault_plan, fault_larger_than_a_page_is_refused)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct vfence_fault *fault = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfence_queue_faults plan = {
		.queue = self->queue,
		.faults = ptr_to_u64(fault),
		.count = 1,
	};

	*fault = (struct vfence_fault) { .kind = VFENCE_FAULT_HANG, .every = 1 };
	plan.fault_size = page;
	EXPECT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_FAULTS, &plan));
	plan.fault_size = page + 1;
	EXPECT_REFUSED(E2BIG, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_FAULTS, &plan));
	plan.fault_size = ~0U;
	EXPECT_REFUSED(E2BIG, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_FAULTS, &plan));
}

/* A fault attribute applies to every client, so each case limits it to one job. */
FIXTURE(fault_attribute)
{
	int device;
	__u32 queue;
};

FIXTURE_VARIANTS_OF_NODES(fault_attribute);

/* Writes a setting of a fault attribute of the module that has @device. */
static bool set_attribute(int device, const char *attribute, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s/%s", node_of(device)->module, attribute, name);
	return write_file(path, value);
}

FIXTURE_SETUP(fault_attribute)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUGFS "/%s", variant->node->module);
	need_mount("debugfs", DEBUGFS, path);
	ASSERT_EQ(0, access(path, F_OK));
	strcat(path, "/fail/probability");
	if (access(path, F_OK))
		SKIP(return, "the kernel has no CONFIG_FAULT_INJECTION_DEBUG_FS");
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->queue = bounded_queue(self->device);
	ASSERT_NE(0, self->queue);
}

FIXTURE_TEARDOWN(fault_attribute)
{
	close(self->device);
}

/* Sets the attribute for one fault and runs three jobs. */
static void hit_once(struct __test_metadata *_metadata, FIXTURE_DATA(fault_attribute) *self,
		     const char *attribute, struct vfence_job_info *info)
{
	struct vfence_submit job = { .queue = self->queue, .duration_ns = MSEC };
	struct vfence_job_info next;

	ASSERT_TRUE(set_attribute(self->device, attribute, "verbose", "0"));
	ASSERT_TRUE(set_attribute(self->device, attribute, "times", "1"));
	ASSERT_TRUE(set_attribute(self->device, attribute, "probability", "100"));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_TRUE(set_attribute(self->device, attribute, "probability", "0"));
	ASSERT_EQ(0, wait_idle(self->device, self->queue));
	ASSERT_EQ(0, job_info(self->device, self->queue, 1, info));
	for (int i = 2; i <= 3; i++) {
		ASSERT_EQ(0, job_info(self->device, self->queue, i, &next));
		EXPECT_EQ(0, next.faults);
		EXPECT_EQ(0, next.error);
		EXPECT_EQ(next.start_ns + MSEC, next.end_ns);
	}
}

TEST_F(fault_attribute, fail_hits_one_job)
{
	struct vfence_job_info info;

	hit_once(_metadata, self, "fail", &info);
	EXPECT_EQ(-EIO, info.error);
	EXPECT_EQ(BIT(VFENCE_FAULT_FAIL), info.faults);
	EXPECT_EQ(1, injected(self->device, self->queue, VFENCE_FAULT_FAIL));
}

TEST_F(fault_attribute, hang_hits_one_job)
{
	struct vfence_job_info info;

	hit_once(_metadata, self, "hang", &info);
	EXPECT_EQ(-ETIMEDOUT, info.error);
	EXPECT_EQ(BIT(VFENCE_FAULT_HANG), info.faults);
	EXPECT_EQ(info.start_ns + TIMEOUT, info.end_ns);
	EXPECT_EQ(1, injected(self->device, self->queue, VFENCE_FAULT_HANG));
}

TEST_F(fault_attribute, delay_hits_one_job)
{
	struct vfence_job_info info;

	hit_once(_metadata, self, "delay", &info);
	EXPECT_EQ(0, info.error);
	EXPECT_EQ(BIT(VFENCE_FAULT_DELAY), info.faults);
	EXPECT_EQ(info.start_ns + 11 * MSEC, info.end_ns);
	EXPECT_EQ(1, injected(self->device, self->queue, VFENCE_FAULT_DELAY));
}

TEST_F(fault_attribute, drop_interrupt_hits_one_job)
{
	struct vfence_job_info info;

	hit_once(_metadata, self, "drop_interrupt", &info);
	EXPECT_EQ(0, info.error);
	EXPECT_EQ(BIT(VFENCE_FAULT_DROP_INTERRUPT), info.faults);
	EXPECT_EQ(info.start_ns + MSEC, info.end_ns);
	EXPECT_LE(info.start_ns + TIMEOUT, now_ns());
	EXPECT_EQ(1, injected(self->device, self->queue, VFENCE_FAULT_DROP_INTERRUPT));
}

TEST_F(fault_attribute, refused_jobs_do_not_count)
{
	struct vfence_submit jobs[3] = { { .queue = self->queue }, { .queue = self->queue },
					 { .queue = self->queue, .pad = 1 } };
	struct vfence_submit *job = read_only(&jobs[0], sizeof(jobs[0]));
	struct vfence_job_info info;

	ASSERT_NE(NULL, job);
	ASSERT_TRUE(set_attribute(self->device, "fail", "verbose", "0"));
	ASSERT_TRUE(set_attribute(self->device, "fail", "times", "1"));
	ASSERT_TRUE(set_attribute(self->device, "fail", "probability", "100"));
	EXPECT_REFUSED(EFAULT, submit_job(self->device, job));
	EXPECT_REFUSED(EINVAL, submit_batch(self->device, jobs, 3, NULL));
	EXPECT_EQ(0, submit_batch(self->device, jobs, 2, NULL));
	ASSERT_TRUE(set_attribute(self->device, "fail", "probability", "0"));
	ASSERT_EQ(0, wait_idle(self->device, self->queue));
	ASSERT_EQ(0, job_info(self->device, self->queue, 1, &info));
	EXPECT_EQ(-EIO, info.error);
	ASSERT_EQ(0, job_info(self->device, self->queue, 2, &info));
	EXPECT_EQ(0, info.error);
}

TEST_HARNESS_MAIN
