// SPDX-License-Identifier: GPL-2.0
/* The views from outside: debugfs, fdinfo and tracepoints. */
#include <sys/prctl.h>
#include "lib/test.h"

#define QUEUES DEBUGFS "/vfence/queues"
#define TRACING "/sys/kernel/tracing"

FIXTURE(debugfs)
{
	int device;
	__u32 timer;
	__u32 manual;
	/* Pending until the gate is signalled. */
	int fence;
	/* The text that slurp() read last. */
	char text[1 << 20];
};

FIXTURE_SETUP(debugfs)
{
	need_mount("debugfs", DEBUGFS, QUEUES);
	ASSERT_EQ(0, access(QUEUES, F_OK));
	self->device = device_open();
	ASSERT_LE(0, self->device);
	self->timer = queue_create(self->device, VFENCE_QUEUE_TIMER, "a-timer-queue");
	self->manual = queue_create(self->device, VFENCE_QUEUE_MANUAL, "a-manual-queue");
	self->fence = submit(self->device, self->manual, 0);
	ASSERT_LE(0, self->fence);
}

FIXTURE_TEARDOWN(debugfs)
{
	close(self->device);
}

/* Reads a file into self->text. */
static bool slurp(FIXTURE_DATA(debugfs) *self, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t more;

	while ((more = read(fd, self->text + length, sizeof(self->text) - 1 - length)) > 0)
		length += more;
	self->text[length] = 0;
	close(fd);
	return !more;
}

/* Returns the rest of the first line that contains @start, or NULL. */
static const char *behind(const char *text, const char *start)
{
	const char *found = strstr(text, start);

	return found ? found + strlen(start) : NULL;
}

TEST_F(debugfs, queues_are_listed_with_their_counters)
{
	struct vfence_queue_create create = {
		.kind = VFENCE_QUEUE_WORKER,
		.name = "a-worker-queue",
		.in_fence_policy = VFENCE_IN_FENCE_CANCEL,
	};
	struct vfence_submit job = { .error = -EIO };
	__u64 context, submitted, completed, errors, timeouts, resets, faults;
	unsigned int client, other, queue;
	char line[128];
	const char *text;

	ASSERT_EQ(0, queue_create_with(self->device, &create));
	job.queue = create.queue;
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(0, wait_idle(self->device, create.queue));
	ASSERT_EQ(0, queue_reset(self->device, create.queue, NULL));
	ASSERT_TRUE(slurp(self, QUEUES));
	snprintf(line, sizeof(line), " queue %u a-worker-queue worker context ", create.queue);
	ASSERT_NE(NULL, text = behind(self->text, line));
	ASSERT_EQ(7, sscanf(text, "%llu submitted %llu completed %llu errors %llu timeouts %llu "
				  "resets %llu faults %llu", &context, &submitted, &completed,
			    &errors, &timeouts, &resets, &faults));
	EXPECT_EQ(create.context, context);
	EXPECT_EQ(3, submitted);
	EXPECT_EQ(3, completed);
	EXPECT_EQ(3, errors);
	EXPECT_EQ(0, timeouts);
	EXPECT_EQ(1, resets);
	EXPECT_EQ(0, faults);
	/* All queues belong to one client. */
	snprintf(line, sizeof(line), " queue %u a-manual-queue manual", self->manual);
	ASSERT_NE(NULL, strstr(self->text, line));
	for (text = strstr(self->text, line); text > self->text && text[-1] != '\n'; text--)
		;
	ASSERT_EQ(2, sscanf(text, "client %u queue %u", &client, &queue));
	snprintf(line, sizeof(line), "client %u queue %u a-timer-queue timer", client,
		 self->timer);
	EXPECT_NE(NULL, strstr(self->text, line));
	/* A second open file is a second client. */
	ASSERT_NE(0, queue_create(device_open(), VFENCE_QUEUE_TIMER, "other-client"));
	ASSERT_TRUE(slurp(self, QUEUES));
	ASSERT_NE(NULL, text = strstr(self->text, "other-client"));
	while (text > self->text && text[-1] != '\n')
		text--;
	ASSERT_EQ(1, sscanf(text, "client %u", &other));
	EXPECT_NE(client, other);
}

TEST_F(debugfs, stopped_queue_is_shown_as_stopped)
{
	struct vfence_queue_create create = {
		.kind = VFENCE_QUEUE_TIMER,
		.name = "a-stopped-queue",
		.timeout_ns = 10 * MSEC,
		.timeout_policy = VFENCE_TIMEOUT_CANCEL,
	};
	struct vfence_submit job = { .flags = VFENCE_SUBMIT_HANG };
	const char *line;

	ASSERT_EQ(0, queue_create_with(self->device, &create));
	ASSERT_TRUE(slurp(self, QUEUES));
	ASSERT_NE(NULL, line = strstr(self->text, "a-stopped-queue"));
	EXPECT_GT(strchr(line, '\n') - line, 0);
	EXPECT_EQ(NULL, memmem(line, strchr(line, '\n') - line, " stopped", 8));
	job.queue = create.queue;
	ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(0, wait_idle(self->device, create.queue));
	ASSERT_TRUE(slurp(self, QUEUES));
	ASSERT_NE(NULL, line = strstr(self->text, "a-stopped-queue"));
	EXPECT_NE(NULL, memmem(line, strchr(line, '\n') - line, " stopped", 8));
	EXPECT_NE(NULL, memmem(line, strchr(line, '\n') - line, " timeouts 1 ", 12));
}

TEST_F(debugfs, pending_in_fences_are_listed)
{
	struct vfence_queue_info info;
	__u64 submitted;
	char line[128];
	const char *text;

	ASSERT_LE(0, submit_after(self->device, self->timer, MSEC, self->fence));
	ASSERT_LE(0, submit(self->device, self->timer, MSEC));
	ASSERT_EQ(0, queue_info(self->device, self->manual, &info));
	ASSERT_TRUE(slurp(self, QUEUES));
	ASSERT_NE(NULL, text = strstr(self->text, "a-timer-queue"));
	ASSERT_EQ(1, sscanf(behind(text, "\n  job 1 pending submitted "), "%llu", &submitted));
	EXPECT_GE(now_ns(), submitted);
	snprintf(line, sizeof(line),
		 "\n    waits for vfence a-manual-queue %llu:1\n  job 2 pending ",
		 info.context);
	EXPECT_NE(NULL, strstr(text, line));
}

TEST_F(debugfs, running_job_is_listed)
{
	struct vfence_submit job = {
		.queue = self->timer,
		.flags = VFENCE_SUBMIT_HANG | VFENCE_SUBMIT_OUT_FENCE,
	};
	struct vfence_job_info info;
	__u64 submitted, start, deadline;
	const char *text;

	ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(0, set_deadline(job.out_fence, 12345));
	ASSERT_TRUE(slurp(self, QUEUES));
	ASSERT_NE(NULL, text = strstr(self->text, "a-timer-queue"));
	ASSERT_NE(NULL, text = behind(text, "\n  job 1 running "));
	ASSERT_EQ(3, sscanf(text, "submitted %llu start %llu deadline %llu faults 0x0\n",
			    &submitted, &start, &deadline));
	ASSERT_EQ(0, job_info(self->device, self->timer, 1, &info));
	EXPECT_EQ(info.submitted_ns, submitted);
	EXPECT_EQ(info.start_ns, start);
	EXPECT_EQ(12345, deadline);
}

TEST_F(debugfs, signalled_in_fences_are_not_listed)
{
	__u32 other = queue_create(self->device, VFENCE_QUEUE_MANUAL, "the-other");
	__s32 in_fences[] = { self->fence, submit(self->device, other, 0) };
	const char *text;

	ASSERT_LE(0, submit_waiting(self->device, self->timer, 0, in_fences, 2));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	ASSERT_TRUE(slurp(self, QUEUES));
	ASSERT_NE(NULL, text = strstr(self->text, "a-timer-queue"));
	EXPECT_EQ(NULL, strstr(text, "waits for vfence a-manual-queue"));
	EXPECT_NE(NULL, strstr(text, "waits for vfence the-other"));
}

TEST_F(debugfs, long_lists_are_cut)
{
	struct vfence_submit jobs[100] = { 0 };
	__s32 in_fences[20];
	const char *text;
	int shown = 0;

	for (int i = 0; i < 20; i++)
		in_fences[i] = submit(self->device, manual_queue(self->device), 0);
	ASSERT_LE(0, submit_waiting(self->device, self->timer, 0, in_fences, 20));
	for (int i = 0; i < 100; i++)
		jobs[i].queue = self->timer;
	ASSERT_EQ(0, submit_batch(self->device, jobs, 100, NULL));
	ASSERT_TRUE(slurp(self, QUEUES));
	ASSERT_NE(NULL, text = strstr(self->text, "a-timer-queue"));
	EXPECT_NE(NULL, strstr(text, "\n    and 12 more in-fences\n"));
	EXPECT_NE(NULL, strstr(text, "\n  and 69 more jobs\n"));
	while ((text = behind(text, "\n  job ")))
		shown++;
	/* The manual queues follow the others. */
	EXPECT_EQ(32 + 1 + 20, shown);
}

/* Returns how many in-fences of a job are listed; @more is how many are not. */
static int waits_shown(FIXTURE_DATA(debugfs) *self, const char *job, int *more)
{
	char *text = (char *)behind(behind(self->text, "a-timer-queue"), job);
	const char *shown;
	int count = 0;

	/* Cut the text where the next job begins. */
	*strstr(text, "\n  job ") = 0;
	*more = 0;
	if ((shown = behind(text, "\n    and ")))
		*more = atoi(shown);
	while ((text = (char *)behind(text, "\n    waits for ")))
		count++;
	return count;
}

TEST_F(debugfs, pending_in_fences_are_counted)
{
	__s32 in_fences[20];
	int more;

	for (int i = 0; i < 20; i++)
		in_fences[i] = submit(self->device, self->manual, 0);
	ASSERT_LE(0, submit_waiting(self->device, self->timer, 0, in_fences, 20));
	ASSERT_LE(0, submit(self->device, self->timer, 0));
	ASSERT_TRUE(slurp(self, QUEUES));
	EXPECT_EQ(8, waits_shown(self, "\n  job 1 ", &more));
	EXPECT_EQ(12, more);
	/* The fixture submitted the first job of the queue. */
	ASSERT_EQ(1 + 5, signal_seqno(self->device, self->manual, 1 + 5, 0));
	ASSERT_TRUE(slurp(self, QUEUES));
	EXPECT_EQ(8, waits_shown(self, "\n  job 1 ", &more));
	EXPECT_EQ(7, more);
	ASSERT_EQ(13, signal_seqno(self->device, self->manual, 1 + 18, 0));
	ASSERT_TRUE(slurp(self, QUEUES));
	EXPECT_EQ(2, waits_shown(self, "\n  job 1 ", &more));
	EXPECT_EQ(0, more);
}

TEST_F(debugfs, destroyed_queue_is_not_listed)
{
	ASSERT_EQ(0, queue_destroy(self->device, self->timer));
	ASSERT_TRUE(slurp(self, QUEUES));
	EXPECT_EQ(NULL, strstr(self->text, "a-timer-queue"));
	EXPECT_NE(NULL, strstr(self->text, "a-manual-queue"));
	close(self->device);
	ASSERT_TRUE(slurp(self, QUEUES));
	EXPECT_EQ(NULL, strstr(self->text, "a-manual-queue"));
	self->device = -1;
}

/* Returns the number of queues in the list; -1 if its lines or its order are not as expected. */
static int count_queues(const char *text)
{
	unsigned int client, queue, last_client = 0, last_queue = 0;
	int count = 0;

	for (const char *end; *text; text = end + 1) {
		end = strchr(text, '\n');
		if (!end)
			return -1;
		if (!strncmp(text, "  ", 2))
			continue;
		if (sscanf(text, "client %u queue %u ", &client, &queue) != 2)
			return -1;
		if (client < last_client || (client == last_client && queue <= last_queue))
			return -1;
		last_client = client;
		last_queue = queue;
		count++;
	}
	return count;
}

TEST_F(debugfs, read_races_with_changes)
{
	pid_t child = fork();
	__u32 newest;

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			__u32 queue = timer_queue(self->device);
			int other = device_open();

			for (int i = 0; i < 3; i++)
				timer_queue(other);
			for (int i = 0; i < 20; i++)
				close(submit_after(self->device, queue, 1000, self->fence));
			close(submit(self->device, self->manual, 0));
			signal_seqno(self->device, self->manual,
				     queue_submitted(self->device, self->manual) - 1, 0);
			queue_destroy(self->device, queue);
			close(other);
		}
	}
	for (int i = 0; i < 200; i++) {
		newest = queue_create(self->device, VFENCE_QUEUE_MANUAL, "the-newest");
		ASSERT_TRUE(slurp(self, QUEUES));
		EXPECT_LE(3, count_queues(self->text));
		EXPECT_NE(NULL, strstr(self->text, " a-timer-queue timer "));
		EXPECT_NE(NULL, strstr(self->text, " the-newest manual "));
		ASSERT_EQ(0, queue_destroy(self->device, newest));
	}
	kill(child, SIGKILL);
	EXPECT_EQ(child, waitpid(child, NULL, 0));
}

TEST_F(debugfs, fdinfo_describes_the_client)
{
	struct vfence_submit job = { .queue = self->timer, .flags = VFENCE_SUBMIT_EVENT };
	unsigned int queues, jobs, events;
	const char *text;
	char path[64];

	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, submit_job(self->device, &job));
	ASSERT_EQ(0, wait_idle(self->device, self->timer));
	ASSERT_LE(0, submit_after(self->device, self->timer, 0, self->fence));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->device);
	ASSERT_TRUE(slurp(self, path));
	ASSERT_NE(NULL, text = strstr(self->text, "vfence-queues:"));
	ASSERT_EQ(3, sscanf(text, "vfence-queues:\t%u\nvfence-jobs:\t%u\nvfence-events:\t%u\n",
			    &queues, &jobs, &events));
	EXPECT_EQ(2, queues);
	EXPECT_EQ(2, jobs);
	EXPECT_EQ(3, events);
}

/* Returns the number of records of @event for one job; @last is the last of them. */
static int records(const char *text, const char *event, __u64 context, __u64 seqno,
		   const char **last)
{
	char start[128];
	int count = 0;

	snprintf(start, sizeof(start), "%s: context=%llu seqno=%llu ", event, context, seqno);
	while ((text = behind(text, start))) {
		*last = text;
		count++;
	}
	return count;
}

/* Returns whether self->text has the core's dma_fence_signaled event of a fence. */
static bool is_traced(FIXTURE_DATA(debugfs) *self, __u64 context, __u64 seqno)
{
	char fence[64];

	snprintf(fence, sizeof(fence), "context=%llu seqno=%llu\n", context, seqno);
	return strstr(self->text, fence);
}

TEST_F(debugfs, tracepoints_follow_a_job)
{
	struct vfence_submit jobs[2] = { 0 };
	__u64 submitted, start_ns, end_ns;
	struct vfence_queue_info queue;
	struct vfence_job_info info;
	unsigned int id, in_fences;
	const char *text;
	int error;

	need_mount("tracefs", TRACING, TRACING "/events");
	if (access(TRACING "/events", F_OK))
		SKIP(return, "the kernel has no CONFIG_TRACING");
	ASSERT_TRUE(write_file(TRACING "/trace", "\n"));
	ASSERT_TRUE(write_file(TRACING "/events/vfence/enable", "1"));
	ASSERT_TRUE(write_file(TRACING "/events/dma_fence/dma_fence_signaled/enable", "1"));
	for (int i = 0; i < 2; i++)
		jobs[i] = (struct vfence_submit) {
			.queue = self->timer,
			.duration_ns = MSEC + i,
			.in_fences = ptr_to_u64(&self->fence),
			.in_fence_count = 1,
		};
	jobs[1].error = -EPROTO;
	jobs[1].flags = VFENCE_SUBMIT_OUT_FENCE;
	EXPECT_EQ(0, submit_batch(self->device, jobs, 2, NULL));
	EXPECT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	EXPECT_EQ(0, wait_idle(self->device, self->timer));
	EXPECT_TRUE(write_file(TRACING "/events/dma_fence/dma_fence_signaled/enable", "0"));
	EXPECT_TRUE(write_file(TRACING "/events/vfence/enable", "0"));
	ASSERT_TRUE(slurp(self, TRACING "/trace"));
	ASSERT_EQ(0, queue_info(self->device, self->timer, &queue));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, job_info(self->device, self->timer, i + 1, &info));
		ASSERT_EQ(1, records(self->text, "vfence_submit", queue.context, i + 1, &text));
		ASSERT_EQ(3, sscanf(text, "queue=%u duration_ns=%llu in_fences=%u", &id,
				    &submitted, &in_fences));
		EXPECT_EQ(self->timer, id);
		EXPECT_EQ(MSEC + i, submitted);
		EXPECT_EQ(1, in_fences);
		ASSERT_EQ(1, records(self->text, "vfence_start", queue.context, i + 1, &text));
		ASSERT_EQ(2, sscanf(text, "queue=%u start_ns=%llu", &id, &start_ns));
		EXPECT_EQ(self->timer, id);
		EXPECT_EQ(info.start_ns, start_ns);
		ASSERT_EQ(1, records(self->text, "vfence_complete", queue.context, i + 1, &text));
		ASSERT_EQ(4, sscanf(text, "queue=%u error=%d start_ns=%llu end_ns=%llu", &id,
				    &error, &start_ns, &end_ns));
		EXPECT_EQ(self->timer, id);
		EXPECT_EQ(i ? -EPROTO : 0, error);
		EXPECT_EQ(info.start_ns, start_ns);
		EXPECT_EQ(info.end_ns, end_ns);
	}
	/* The core's own events have the same context and seqno. */
	text = strstr(self->text, "dma_fence_signaled: driver=vfence timeline=a-timer-queue ");
	ASSERT_NE(NULL, text);
	EXPECT_TRUE(is_traced(self, queue.context, 2));
	ASSERT_TRUE(write_file(TRACING "/trace", "\n"));
}

/* A refused EXPORT drops the fence that it created, so the job completes without one. */
TEST_F(debugfs, refused_export_leaves_no_fence)
{
	struct vfence_submit job = { .queue = self->manual };
	struct vfence_export valid = { .queue = self->manual }, *export;
	struct vfence_queue_info queue;

	need_mount("tracefs", TRACING, TRACING "/events");
	if (access(TRACING "/events", F_OK))
		SKIP(return, "the kernel has no CONFIG_TRACING");
	ASSERT_EQ(0, submit_job(self->device, &job));
	valid.seqno = job.seqno;
	export = read_only(&valid, sizeof(valid));
	ASSERT_NE(NULL, export);
	EXPECT_REFUSED(EFAULT, ioctl(self->device, VFENCE_IOCTL_EXPORT, export));
	ASSERT_TRUE(write_file(TRACING "/trace", "\n"));
	ASSERT_TRUE(write_file(TRACING "/events/dma_fence/dma_fence_signaled/enable", "1"));
	EXPECT_EQ(2, signal_seqno(self->device, self->manual, job.seqno, 0));
	EXPECT_TRUE(write_file(TRACING "/events/dma_fence/dma_fence_signaled/enable", "0"));
	ASSERT_TRUE(slurp(self, TRACING "/trace"));
	ASSERT_EQ(0, queue_info(self->device, self->manual, &queue));
	EXPECT_TRUE(is_traced(self, queue.context, 1));
	EXPECT_FALSE(is_traced(self, queue.context, job.seqno));
	ASSERT_TRUE(write_file(TRACING "/trace", "\n"));
}

TEST_HARNESS_MAIN
