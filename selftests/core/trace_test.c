// SPDX-License-Identifier: GPL-2.0
/* The events of jobs in the form of the kernel's GPU scheduler. */
#include "lib/module.h"
#include "lib/test.h"
#include "lib/trace.h"

/* The events of the class of drm_sched_job_run. */
struct job_event {
	char dev[64];
	char ring[128];
	unsigned int job_count;
	int hw_job_count;
	__u64 client_id;
};

static const char *const names[] = {
	"drm_sched_job_queue", "drm_sched_job_run", "drm_sched_job_done", "drm_sched_job_add_dep",
	"drm_sched_job_unschedulable",
};

FIXTURE(trace)
{
	int device;
	__u32 timer;
	__u32 manual;
	__u64 timer_context;
	__u64 manual_context;
	/* Pending until job 1 of the manual queue is signalled. */
	int fence;
	/* The text that show() has read last. */
	char text[1 << 20];
};

FIXTURE_VARIANTS_OF_NODES(trace);

static __u64 context_of(int device, __u32 queue)
{
	struct vfence_queue_info info;

	return queue_info(device, queue, &info) ? 0 : info.context;
}

FIXTURE_SETUP(trace)
{
	if (!trace_start())
		SKIP(return, "the kernel has no CONFIG_TRACING");
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->timer = timer_queue(self->device);
	self->manual = manual_queue(self->device);
	self->timer_context = context_of(self->device, self->timer);
	self->manual_context = context_of(self->device, self->manual);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ASSERT_TRUE(trace_event(variant->node->module, names[i]));
	self->fence = submit(self->device, self->manual, 0);
	ASSERT_LE(0, self->fence);
}

FIXTURE_TEARDOWN(trace)
{
	close(self->device);
	trace_stop();
}

/* Reads the events of a case into self->text. */
#define SHOW() \
	do { \
		ASSERT_TRUE(trace_no_events()); \
		ASSERT_TRUE(trace_read(self->text, sizeof(self->text))); \
	} while (0)

/* Returns what follows the only occurrence of @start, or NULL. */
static const char *behind_only(const char *text, const char *start)
{
	const char *found = strstr(text, start);

	if (!found || strstr(found + 1, start))
		return NULL;
	return found + strlen(start);
}

/* Finds the only drm_sched_job_queue or _run event of a job. Returns its place, or NULL. */
static const char *find_job(const char *text, const char *event, __u64 context, __u64 seqno,
			    struct job_event *job)
{
	char start[128], fence[64], *line;
	const char *place = text, *found = NULL;

	snprintf(start, sizeof(start), " drm_sched_job_%s: dev=", event);
	snprintf(fence, sizeof(fence), ", fence=%llu:%llu, ", context, seqno);
	while ((place = strstr(place, start))) {
		place += strlen(start);
		line = strndup(place, strcspn(place, "\n"));
		if (strstr(line, fence)) {
			__u64 id[2];

			if (found || sscanf(line, "%63[^,], fence=%llu:%llu, ring=%127[^,], "
						  "job count:%u, hw job count:%d, client_id:%llu",
					    job->dev, &id[0], &id[1], job->ring, &job->job_count,
					    &job->hw_job_count, &job->client_id) != 7)
				return NULL;
			found = place;
		}
		free(line);
	}
	return found;
}

/* Finds the only drm_sched_job_done event of a job. */
static const char *find_done(const char *text, __u64 context, __u64 seqno)
{
	char line[128];

	snprintf(line, sizeof(line), " drm_sched_job_done: fence=%llu:%llu signaled\n", context,
		 seqno);
	return behind_only(text, line);
}

/* Finds the only event of a dependency on a fence: add_dep, or unschedulable. */
static const char *find_edge(const char *text, const char *event, __u64 context, __u64 seqno,
			     __u64 on_context, __u64 on_seqno)
{
	const char *which = strcmp(event, "add_dep") ? "unsignalled fence" : "fence";
	char line[192];

	snprintf(line, sizeof(line),
		 " drm_sched_job_%s: fence=%llu:%llu depends on %s=%llu:%llu\n", event, context,
		 seqno, which, on_context, on_seqno);
	return behind_only(text, line);
}

static int count(const char *text, const char *what)
{
	int count = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		count++;
	}
	return count;
}

TEST_F(trace, job_of_a_timer_queue)
{
	const char *queued, *dependency, *waits, *run, *done;
	struct job_event job;

	ASSERT_LE(0, submit_after(self->device, self->timer, MSEC, self->fence));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	ASSERT_EQ(0, wait_idle(self->device, self->timer));
	SHOW();
	queued = find_job(self->text, "queue", self->timer_context, 1, &job);
	ASSERT_NE(NULL, queued);
	EXPECT_EQ(0, job.job_count);
	EXPECT_EQ(0, job.hw_job_count);
	dependency = find_edge(self->text, "add_dep", self->timer_context, 1,
			       self->manual_context, 1);
	waits = find_edge(self->text, "unschedulable", self->timer_context, 1,
			  self->manual_context, 1);
	run = find_job(self->text, "run", self->timer_context, 1, &job);
	ASSERT_NE(NULL, run);
	EXPECT_EQ(0, job.job_count);
	EXPECT_EQ(1, job.hw_job_count);
	done = find_done(self->text, self->timer_context, 1);
	EXPECT_LT(queued, dependency);
	EXPECT_LT(dependency, waits);
	EXPECT_LT(waits, run);
	EXPECT_LT(run, done);
}

TEST_F(trace, jobs_of_a_manual_queue_run_from_their_submission)
{
	struct vfence_submit plain = { .queue = self->manual };
	struct job_event job;

	/* Neither has a fence of its own. */
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, submit_job(self->device, &plain));
	ASSERT_EQ(3, signal_seqno(self->device, self->manual, 3, 0));
	SHOW();
	for (int i = 1; i <= 3; i++) {
		ASSERT_NE(NULL, find_job(self->text, "queue", self->manual_context, i, &job));
		EXPECT_EQ(0, job.job_count);
		EXPECT_EQ(i - 1, job.hw_job_count);
		ASSERT_NE(NULL, find_job(self->text, "run", self->manual_context, i, &job));
		EXPECT_EQ(0, job.job_count);
		EXPECT_EQ(i, job.hw_job_count);
		EXPECT_NE(NULL, find_done(self->text, self->manual_context, i));
	}
	EXPECT_EQ(0, count(self->text, "depends on"));
}

TEST_F(trace, each_pending_in_fence_is_a_dependency)
{
	__u32 other = manual_queue(self->device);
	__u64 context = context_of(self->device, other);
	int second = submit(self->device, other, 0), signalled = submit(self->device, other, 0);
	__s32 fences[3] = { fence_merge(self->fence, second), second, signalled };

	/* In a merged fence, and twice. */
	ASSERT_EQ(2, signal_seqno(self->device, other, 2, 0));
	second = submit(self->device, other, 0);
	fences[0] = fence_merge(self->fence, second);
	fences[1] = second;
	ASSERT_LE(0, submit_waiting(self->device, self->timer, 0, fences, 3));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	ASSERT_EQ(1, signal_seqno(self->device, other, 3, 0));
	ASSERT_EQ(0, wait_idle(self->device, self->timer));
	SHOW();
	EXPECT_NE(NULL, find_edge(self->text, "add_dep", self->timer_context, 1,
				  self->manual_context, 1));
	EXPECT_NE(NULL, find_edge(self->text, "add_dep", self->timer_context, 1, context, 3));
	EXPECT_NE(NULL, find_edge(self->text, "unschedulable", self->timer_context, 1,
				  self->manual_context, 1));
	EXPECT_NE(NULL, find_edge(self->text, "unschedulable", self->timer_context, 1, context,
				  3));
	EXPECT_EQ(4, count(self->text, "depends on"));
}

TEST_F(trace, only_the_head_is_unschedulable)
{
	__u32 other = manual_queue(self->device);
	__u64 context = context_of(self->device, other);
	int second = submit(self->device, other, 0), third = submit(self->device, other, 0);
	const char *waits, *done;
	struct job_event job;

	ASSERT_LE(0, submit_after(self->device, self->timer, 0, self->fence));
	ASSERT_LE(0, submit_after(self->device, self->timer, 0, second));
	ASSERT_LE(0, submit_after(self->device, self->timer, 0, third));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	ASSERT_EQ(0, wait_job(self->device, self->timer, 1));
	/* PREEMPT_RT may run the waiter before the completion reaches the second job. */
	for (int tries = 0; tries < 500; tries++) {
		ASSERT_TRUE(trace_read(self->text, sizeof(self->text)));
		if (find_edge(self->text, "unschedulable", self->timer_context, 2, context, 1))
			break;
		usleep(10000);
	}
	/* The third job's fence has signalled when the job becomes the head. */
	ASSERT_EQ(2, signal_seqno(self->device, other, 2, 0));
	ASSERT_EQ(0, wait_idle(self->device, self->timer));
	SHOW();
	EXPECT_EQ(3, count(self->text, "drm_sched_job_add_dep: "));
	EXPECT_EQ(2, count(self->text, "drm_sched_job_unschedulable: "));
	done = find_done(self->text, self->timer_context, 1);
	waits = find_edge(self->text, "unschedulable", self->timer_context, 2, context, 1);
	ASSERT_NE(NULL, done);
	EXPECT_LT(done, waits);
	ASSERT_NE(NULL, find_job(self->text, "queue", self->timer_context, 3, &job));
	EXPECT_EQ(2, job.job_count);
	EXPECT_EQ(0, job.hw_job_count);
	ASSERT_NE(NULL, find_job(self->text, "run", self->timer_context, 2, &job));
	EXPECT_EQ(1, job.job_count);
	EXPECT_EQ(1, job.hw_job_count);
}

TEST_F(trace, job_that_is_cancelled_does_not_run)
{
	struct job_event job;

	ASSERT_LE(0, submit_after(self->device, self->timer, 0, self->fence));
	ASSERT_EQ(0, queue_destroy(self->device, self->timer));
	SHOW();
	EXPECT_NE(NULL, find_job(self->text, "queue", self->timer_context, 1, &job));
	EXPECT_EQ(NULL, find_job(self->text, "run", self->timer_context, 1, &job));
	EXPECT_NE(NULL, find_done(self->text, self->timer_context, 1));
}

TEST_F(trace, fast_ioctls)
{
	struct job_event job;

	if (variant->node != &misc_node)
		SKIP(return, "/dev/vfence only");
	close(create_fence(self->device, self->manual));
	ASSERT_EQ(1, signal_next(self->device, self->manual));
	ASSERT_EQ(1, signal_next(self->device, self->manual));
	SHOW();
	EXPECT_NE(NULL, find_job(self->text, "queue", self->manual_context, 2, &job));
	EXPECT_NE(NULL, find_job(self->text, "run", self->manual_context, 2, &job));
	EXPECT_NE(NULL, find_done(self->text, self->manual_context, 2));
}

/* Together with the device, the ring identifies the queue; its client is that of fdinfo. */
TEST_F(trace, ring_is_the_queue)
{
	int other = variant->node->open();
	__u32 queue = timer_queue(other);
	struct job_event one, two, three;
	char path[64], ring[128], *text;
	struct vfence_submit plain = { .queue = queue };
	__u32 same = timer_queue(self->device);
	__u64 client;

	ASSERT_EQ(0, submit_job(other, &plain));
	plain.queue = self->timer;
	ASSERT_EQ(0, submit_job(self->device, &plain));
	plain.queue = same;
	ASSERT_EQ(0, submit_job(self->device, &plain));
	SHOW();
	ASSERT_NE(NULL, find_job(self->text, "queue", context_of(other, queue), 1, &one));
	ASSERT_NE(NULL, find_job(self->text, "queue", self->timer_context, 1, &two));
	ASSERT_NE(NULL, find_job(self->text, "queue", context_of(self->device, same), 1,
				 &three));
	EXPECT_STREQ(one.dev, two.dev);
	EXPECT_EQ(0, strncmp(one.dev, variant->node->module, strlen(variant->node->module)));
	EXPECT_NE(one.client_id, two.client_id);
	EXPECT_EQ(two.client_id, three.client_id);
	EXPECT_STRNE(one.ring, two.ring);
	EXPECT_STRNE(two.ring, three.ring);
	snprintf(ring, sizeof(ring), "timer_%llu.%u", two.client_id, self->timer);
	EXPECT_STREQ(ring, two.ring);
	if (variant->node != &render_node)
		return;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->device);
	ASSERT_TRUE(read_file(path, self->text, sizeof(self->text)));
	text = strstr(self->text, "drm-client-id:");
	ASSERT_NE(NULL, text);
	ASSERT_EQ(1, sscanf(text, "drm-client-id: %llu", &client));
	EXPECT_EQ(client, two.client_id);
}

/* The clock "mono" is that of the timestamps of fences. */
TEST_F(trace, monotonic_clock_is_that_of_fences)
{
	__u64 before, after, at, end;
	char what[96];
	const char *text;
	double seconds;
	int fence;

	ASSERT_TRUE(write_file(TRACE_INSTANCE "/trace_clock", "mono"));
	ASSERT_TRUE(trace_event(variant->node->module, "vfence_complete"));
	before = now_ns();
	fence = submit(self->device, self->timer, MSEC);
	ASSERT_LE(0, fence);
	ASSERT_EQ(1, fence_wait(fence));
	after = now_ns();
	SHOW();
	snprintf(what, sizeof(what), ": vfence_complete: context=%llu seqno=1 ",
		 self->timer_context);
	text = behind_only(self->text, what);
	ASSERT_NE(NULL, text);
	ASSERT_NE(NULL, strstr(text, "end_ns="));
	ASSERT_EQ(1, sscanf(strstr(text, "end_ns="), "end_ns=%llu", &end));
	EXPECT_EQ(fence_timestamp(fence), end);
	for (text -= strlen(what); text > self->text && text[-1] != ' '; text--)
		;
	ASSERT_EQ(1, sscanf(text, "%lf", &seconds));
	/* The event shows microseconds. */
	at = seconds * SEC + 1000;
	EXPECT_LE(before, at);
	EXPECT_LE(end, at);
	EXPECT_GE(after + 1000, at);
}

/* Reads what the "format" file of an event says behind its ID. */
static const char *format_of(const char *system, const char *event, char *text, size_t size)
{
	char path[160];
	const char *format;

	snprintf(path, sizeof(path), TRACING "/events/%s/%s/format", system, event);
	if (!read_file(path, text, size))
		return NULL;
	format = strstr(text, "format:\n");
	return format;
}

#define SCHEDULER TRACING "/events/gpu_scheduler"

TEST_F(trace, formats_are_those_of_the_gpu_scheduler)
{
	static char ours[1 << 14], theirs[1 << 14];
	bool loaded = access(SCHEDULER, F_OK) && !system("modprobe -q gpu-sched");
	const char *one, *two;

	if (access(SCHEDULER, F_OK))
		SKIP(return, "the kernel has no GPU scheduler");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		one = format_of(variant->node->module, names[i], ours, sizeof(ours));
		two = format_of("gpu_scheduler", names[i], theirs, sizeof(theirs));
		EXPECT_NE(NULL, one);
		EXPECT_NE(NULL, two);
		if (one && two)
			EXPECT_STREQ(two, one);
	}
	if (loaded)
		EXPECT_EQ(0, module_unload("gpu_sched"));
}

/* Defines or, with "-", removes probes. */
static bool change_probes(const char *text)
{
	int fd = open(TRACING "/dynamic_events", O_WRONLY | O_APPEND | O_CLOEXEC);
	bool done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return done;
}

/* See Documentation/tracing.md: tools that read the system gpu_scheduler read these events. */
TEST_F(trace, probes_show_the_events_in_the_system_gpu_scheduler)
{
	char probe[512], expected[256];

	if (access(TRACING "/dynamic_events", F_OK))
		SKIP(return, "the kernel has no CONFIG_EPROBE_EVENTS");
	if (!access(SCHEDULER, F_OK))
		SKIP(return, "the kernel has a GPU scheduler");
	snprintf(probe, sizeof(probe),
		 "e:gpu_scheduler/drm_sched_job_run %s/drm_sched_job_run name=$name:string "
		 "job_count=$job_count:u32 hw_job_count=$hw_job_count:s32 dev=$dev:string "
		 "fence_context=$fence_context:u64 fence_seqno=$fence_seqno:u64 "
		 "client_id=$client_id:u64\n", variant->node->module);
	ASSERT_TRUE(change_probes(probe));
	EXPECT_TRUE(trace_event("gpu_scheduler", "drm_sched_job_run"));
	EXPECT_LE(0, submit(self->device, self->timer, 0));
	EXPECT_EQ(0, wait_idle(self->device, self->timer));
	EXPECT_TRUE(trace_no_events());
	EXPECT_TRUE(trace_read(self->text, sizeof(self->text)));
	EXPECT_TRUE(change_probes("-:gpu_scheduler/drm_sched_job_run\n"));
	snprintf(expected, sizeof(expected),
		 " drm_sched_job_run: (%s.drm_sched_job_run) name=\"timer_", variant->node->module);
	EXPECT_NE(NULL, behind_only(self->text, expected));
	snprintf(expected, sizeof(expected), "\" fence_context=%llu fence_seqno=1 client_id=",
		 self->timer_context);
	EXPECT_NE(NULL, behind_only(self->text, expected));
}

TEST_HARNESS_MAIN
