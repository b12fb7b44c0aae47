// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/PID/fdinfo of a DRM node: the busy time of queues, and the memory of GEM objects. The
 * format is that of Documentation/gpu/drm-usage-stats.rst in the kernel.
 */
#include <ctype.h>
#include <pthread.h>
#include "lib/drm.h"

#ifndef DRM_IOCTL_SET_CLIENT_NAME
struct drm_set_client_name {
	__u64 name_len;
	__u64 name;
};
#define DRM_IOCTL_SET_CLIENT_NAME DRM_IOWR(0xD1, struct drm_set_client_name)
#endif

#define PAGE 4096UL
/* gputop reads no more of the file, and aborts if there are more engines. */
#define MAX_LENGTH 4095
#define MAX_ENGINES 15
/* The value of a key that the file does not have. */
#define ABSENT UINT64_MAX

FIXTURE(fdinfo)
{
	int node;
	char text[2 * MAX_LENGTH];
};

FIXTURE_SETUP(fdinfo)
{
	self->node = render_open();
	ASSERT_LE(0, self->node);
}

FIXTURE_TEARDOWN(fdinfo)
{
	close(self->node);
}

/* Reads the fdinfo of @fd into @text. Returns its length. */
static size_t slurp(int fd, char *text, size_t size)
{
	size_t length = 0;
	char path[64];
	ssize_t count;
	int file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = open(path, O_RDONLY | O_CLOEXEC);
	while ((count = read(file, text + length, size - 1 - length)) > 0)
		length += count;
	text[length] = '\0';
	close(file);
	return length;
}

/* Returns the text behind "@key:" and whitespace, or NULL. */
static const char *find(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, length) && line[length] == ':') {
			line += length + 1;
			return line + strspn(line, "\t ");
		}
	}
	return NULL;
}

/* Returns the number that a key has, in bytes or ns. */
static __u64 value(const char *text, const char *key)
{
	const char *number = find(text, key);
	__u64 value;
	char *unit;

	if (!number || !isdigit(*number))
		return ABSENT;
	value = strtoull(number, &unit, 10);
	if (!strncmp(unit, " KiB\n", 5))
		value <<= 10;
	if (!strncmp(unit, " MiB\n", 5))
		value <<= 20;
	return value;
}

static __u64 read_value(int node, const char *key)
{
	char text[2 * MAX_LENGTH];

	slurp(node, text, sizeof(text));
	return value(text, key);
}

static __u64 busy(int node, const char *engine)
{
	char key[128];

	snprintf(key, sizeof(key), "drm-engine-%s", engine);
	return read_value(node, key);
}

static __u64 capacity(int node, const char *engine)
{
	char key[128];

	snprintf(key, sizeof(key), "drm-engine-capacity-%s", engine);
	return read_value(node, key);
}

/* Returns whether @text is "NUMBER" and one of @units, which may be empty. */
static bool is_quantity(const char *text, const char *const *units)
{
	size_t digits = strspn(text, "0123456789");

	if (!digits)
		return false;
	for (; *units; units++)
		if (!strcmp(text + digits, *units))
			return true;
	return false;
}

/* Returns whether a line has the format of its key. @engines counts those of engines. */
static bool is_valid(const char *key, const char *text, int *engines)
{
	static const char *const none[] = { "", NULL };
	static const char *const time[] = { " ns", NULL };
	static const char *const size[] = { "", " KiB", " MiB", NULL };
	static const char *const memory[] = {
		"drm-total-memory", "drm-shared-memory", "drm-resident-memory", "drm-active-memory",
	};

	if (!strcmp(key, "drm-driver"))
		return !strcmp(text, "vfence");
	if (!strcmp(key, "drm-client-id"))
		return is_quantity(text, none);
	if (!strcmp(key, "drm-client-name"))
		return true;
	if (!strncmp(key, "drm-engine-capacity-", 20))
		return key[20] && is_quantity(text, none) && atoi(text) > 0;
	if (!strncmp(key, "drm-engine-", 11)) {
		(*engines)++;
		return key[11] && is_quantity(text, time);
	}
	for (size_t i = 0; i < ARRAY_LEN(memory); i++)
		if (!strcmp(key, memory[i]))
			return is_quantity(text, size);
	/* The driver's own keys, and those of all files. */
	return !strncmp(key, "vfence-", 7) || !strchr(key, '-');
}

/* Checks all lines. Returns the number of engines, or -1. */
static int parse(const char *text)
{
	char keys[128][64], line[256];
	int count = 0, engines = 0;

	for (const char *end; *text; text = end + 1) {
		char *colon;

		end = strchr(text, '\n');
		if (!end || end - text >= (int)sizeof(line) || count == ARRAY_LEN(keys))
			return -1;
		snprintf(line, sizeof(line), "%.*s", (int)(end - text), text);
		colon = strchr(line, ':');
		if (!colon || colon == line || colon - line >= (int)sizeof(keys[0]))
			return -1;
		*colon++ = '\0';
		for (const char *c = line; *c; c++)
			if (!isgraph(*c))
				return -1;
		for (int i = 0; i < count; i++)
			if (!strcmp(keys[i], line))
				return -1;
		strcpy(keys[count++], line);
		if (!is_valid(line, colon + strspn(colon, "\t "), &engines))
			return -1;
	}
	return engines;
}

static int read_and_parse(int node)
{
	char text[2 * MAX_LENGTH];

	return slurp(node, text, sizeof(text)) <= MAX_LENGTH ? parse(text) : -1;
}

TEST_F(fdinfo, identifies_the_client)
{
	struct drm_set_client_name name = { .name_len = 4, .name = ptr_to_u64("test") };
	int other = render_open(), copy = dup(self->node);

	EXPECT_LT(0, slurp(self->node, self->text, sizeof(self->text)));
	EXPECT_EQ(1, parse(self->text));
	EXPECT_NE(NULL, strstr(self->text, "drm-driver:\tvfence\n"));
	EXPECT_NE(ABSENT, value(self->text, "drm-client-id"));
	EXPECT_EQ(value(self->text, "drm-client-id"), read_value(copy, "drm-client-id"));
	EXPECT_NE(value(self->text, "drm-client-id"), read_value(other, "drm-client-id"));
	EXPECT_EQ(0, ioctl(self->node, DRM_IOCTL_SET_CLIENT_NAME, &name));
	slurp(self->node, self->text, sizeof(self->text));
	EXPECT_NE(NULL, strstr(self->text, "drm-client-name:\ttest\n"));
	EXPECT_EQ(1, parse(self->text));
	close(copy);
	close(other);
}

/* gputop keeps the list of engines of its first look, so the client must have one from its open. */
TEST_F(fdinfo, client_has_the_same_number_in_debugfs)
{
	__u64 id = read_value(self->node, "drm-client-id");
	static char queues[1 << 16];
	char line[64];

	need_mount("debugfs", DEBUGFS, DEBUGFS "/vfence_drm/queues");
	ASSERT_NE(0, queue_create(self->node, VFENCE_QUEUE_TIMER, "numbered"));
	ASSERT_TRUE(read_file(DEBUGFS "/vfence_drm/queues", queues, sizeof(queues)));
	snprintf(line, sizeof(line), "client %llu queue 1 numbered ", id);
	EXPECT_NE(NULL, strstr(queues, line));
}

TEST_F(fdinfo, client_without_queues_has_an_engine)
{
	EXPECT_EQ(0, busy(self->node, "other"));
	ASSERT_NE(0, timer_queue(self->node));
	EXPECT_EQ(ABSENT, busy(self->node, "other"));
	EXPECT_EQ(0, busy(self->node, "timer"));
	EXPECT_EQ(1, read_and_parse(self->node));
}

TEST_F(fdinfo, busy_time_is_the_sum_of_durations)
{
	const __u32 queues[] = { timer_queue(self->node), worker_queue(self->node) };
	const __u64 durations[] = { 2000001, 30, 0, 700000 };

	for (size_t i = 0; i < ARRAY_LEN(queues); i++) {
		for (size_t j = 0; j < ARRAY_LEN(durations); j++) {
			struct vfence_submit job = {
				.queue = queues[i],
				.duration_ns = durations[j],
				.error = j ? 0 : -EIO,
				.flags = j % 2 ? VFENCE_SUBMIT_EVENT : 0,
			};

			ASSERT_EQ(0, submit_job(self->node, &job));
		}
		EXPECT_EQ(0, wait_idle(self->node, queues[i]));
	}
	EXPECT_EQ(2700031, busy(self->node, "timer"));
	EXPECT_EQ(2700031, busy(self->node, "worker"));
	EXPECT_EQ(2, read_and_parse(self->node));
}

/* An operation takes as long as its job is recorded to run. */
TEST_F(fdinfo, operations_are_busy_time)
{
	struct drm_vfence_gem_create object = { .size = 256 * PAGE };
	struct vfence_use use = { .flags = VFENCE_USE_WRITE | DRM_VFENCE_USE_HANDLE };
	struct vfence_operation fill = {
		.kind = VFENCE_OPERATION_FILL, .length = object.size, .pattern_size = 1,
	};
	__u32 queue = worker_queue(self->node);
	struct vfence_submit job = buffer_job(queue, 0, &use, 1, &fill, 1);
	__u64 sum = 0;

	use.fd = gem_create(self->node, &object);
	ASSERT_NE(0, use.fd);
	for (int i = 1; i <= 3; i++) {
		struct vfence_job_info info;

		ASSERT_EQ(0, submit_job(self->node, &job));
		ASSERT_EQ(0, wait_job(self->node, queue, i));
		info = job_of(self->node, queue, i);
		sum += info.end_ns - info.start_ns;
	}
	EXPECT_LT(0, sum);
	EXPECT_EQ(sum, busy(self->node, "worker"));
}

/* A job that hangs is busy until its timeout or a reset, and counts while it runs. */
TEST_F(fdinfo, hang_is_busy_time)
{
	struct vfence_queue_create create = {
		.kind = VFENCE_QUEUE_TIMER, .name = "hangs", .timeout_ns = 5 * MSEC,
	};
	struct vfence_submit job = { .flags = VFENCE_SUBMIT_HANG };
	struct vfence_job_info info;
	__u64 last = 0;

	job.queue = queue_with(self->node, create);
	ASSERT_EQ(0, submit_job(self->node, &job));
	EXPECT_EQ(0, wait_idle(self->node, job.queue));
	EXPECT_EQ(5 * MSEC, busy(self->node, "hangs"));

	job.queue = timer_queue(self->node);
	ASSERT_EQ(0, submit_job(self->node, &job));
	for (int i = 0; i < 20; i++) {
		__u64 now = busy(self->node, "timer");

		EXPECT_LT(last, now);
		last = now;
	}
	EXPECT_EQ(0, queue_reset(self->node, job.queue, NULL));
	info = job_of(self->node, job.queue, 1);
	EXPECT_EQ(-ECANCELED, info.error);
	EXPECT_LE(last, info.end_ns - info.start_ns);
	EXPECT_EQ(info.end_ns - info.start_ns, busy(self->node, "timer"));
}

/* A job that waits does not run, and neither do the jobs of a manual queue. */
TEST_F(fdinfo, waiting_is_no_busy_time)
{
	__u32 manual = manual_queue(self->node), timer = timer_queue(self->node);
	int gate = submit(self->node, manual, 0);

	ASSERT_LE(0, gate);
	ASSERT_LE(0, submit_after(self->node, timer, 1000, gate));
	EXPECT_EQ(0, busy(self->node, "manual"));
	EXPECT_EQ(0, busy(self->node, "timer"));
	EXPECT_EQ(1, signal_seqno(self->node, manual, 1, 0));
	EXPECT_EQ(0, wait_idle(self->node, timer));
	EXPECT_EQ(0, busy(self->node, "manual"));
	EXPECT_EQ(1000, busy(self->node, "timer"));
}

/* The name is user space's: it must not end the key or the line, or make another key. */
TEST_F(fdinfo, names_cannot_break_the_format)
{
	static const char *const names[][2] = {
		{ "a b", "a_b" },
		{ "x:\t7 ns", "x__7_ns" },
		{ "\ndrm-driver: i915", "_drm-driver__i915" },
		{ "capacity-render", "capacity_render" },
		{ "\xc3\xa4", "__" },
		{ "video-enhance.2", "video-enhance.2" },
		{ "", "queue7" },
		{ ":", "_" },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct vfence_submit job = { .duration_ns = i + 1 };

		job.queue = queue_create(self->node, VFENCE_QUEUE_TIMER, names[i][0]);
		ASSERT_EQ(0, submit_job(self->node, &job));
		ASSERT_EQ(0, wait_idle(self->node, job.queue));
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		EXPECT_EQ(i + 1, busy(self->node, names[i][1]));
	EXPECT_EQ(ARRAY_LEN(names), read_and_parse(self->node));
}

/* The time of destroyed queues stays, so that no counter decreases. */
TEST_F(fdinfo, queues_with_one_name_are_one_engine)
{
	struct vfence_submit jobs[3];

	for (int i = 0; i < 3; i++) {
		jobs[i] = (struct vfence_submit) {
			.queue = timer_queue(self->node), .duration_ns = 1000 << i,
		};
		ASSERT_EQ(0, submit_job(self->node, &jobs[i]));
		ASSERT_EQ(0, wait_idle(self->node, jobs[i].queue));
	}
	EXPECT_EQ(7000, busy(self->node, "timer"));
	EXPECT_EQ(3, capacity(self->node, "timer"));
	EXPECT_EQ(1, read_and_parse(self->node));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, queue_destroy(self->node, jobs[i].queue));
	EXPECT_EQ(7000, busy(self->node, "timer"));
	EXPECT_EQ(ABSENT, capacity(self->node, "timer"));
	jobs[0].queue = timer_queue(self->node);
	ASSERT_EQ(0, submit_job(self->node, &jobs[0]));
	ASSERT_EQ(0, wait_idle(self->node, jobs[0].queue));
	EXPECT_EQ(8000, busy(self->node, "timer"));
}

/* The tools take a limited number of engines; the engine "other" has the time of the rest. */
TEST_F(fdinfo, many_queues_fit)
{
	struct vfence_query query = { 0 };

	ASSERT_EQ(0, device_ioctl(self->node, VFENCE_IOCTL_QUERY, &query));
	ASSERT_LT(MAX_ENGINES, query.max_queues);
	for (__u32 i = 0; i < query.max_queues; i++) {
		struct vfence_submit job = { .duration_ns = 1000 };
		char name[VFENCE_NAME_LEN];

		snprintf(name, sizeof(name), "%031u", i);
		job.queue = queue_create(self->node, VFENCE_QUEUE_TIMER, name);
		ASSERT_EQ(0, submit_job(self->node, &job));
		ASSERT_EQ(0, wait_idle(self->node, job.queue));
	}
	EXPECT_EQ(MAX_ENGINES, read_and_parse(self->node));
	EXPECT_EQ(1000, busy(self->node, "0000000000000000000000000000013"));
	EXPECT_EQ(ABSENT, busy(self->node, "0000000000000000000000000000014"));
	EXPECT_EQ(1000 * (query.max_queues - 14), busy(self->node, "other"));
	EXPECT_EQ(query.max_queues - 14, capacity(self->node, "other"));
}

TEST_F(fdinfo, clients_are_counted_separately)
{
	int other = render_open();
	struct vfence_submit job = { .queue = timer_queue(self->node), .duration_ns = 1000 };

	ASSERT_NE(0, timer_queue(other));
	ASSERT_EQ(0, submit_job(self->node, &job));
	ASSERT_EQ(0, wait_idle(self->node, job.queue));
	EXPECT_EQ(1000, busy(self->node, "timer"));
	EXPECT_EQ(0, busy(other, "timer"));
	close(other);
}

struct churn {
	int node;
	bool stop;
	int failures;
};

static void *create_and_destroy(void *data)
{
	struct churn *churn = data;

	while (!__atomic_load_n(&churn->stop, __ATOMIC_RELAXED)) {
		struct vfence_submit job = {
			.queue = timer_queue(churn->node), .duration_ns = 20000,
		};

		for (int i = 0; i < 4; i++)
			churn->failures += submit_job(churn->node, &job) != 0;
		if (wait_job(churn->node, job.queue, 2) || queue_destroy(churn->node, job.queue))
			churn->failures++;
	}
	return NULL;
}

TEST_F(fdinfo, busy_time_does_not_decrease)
{
	struct churn churn = { .node = self->node };
	__u64 last = 0, now;
	pthread_t thread;

	ASSERT_NE(0, timer_queue(self->node));
	ASSERT_EQ(0, pthread_create(&thread, NULL, create_and_destroy, &churn));
	for (int i = 0; i < 300; i++) {
		now = busy(self->node, "timer");
		EXPECT_LE(last, now);
		last = now;
	}
	__atomic_store_n(&churn.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, churn.failures);
	EXPECT_LE(last, busy(self->node, "timer"));
}

static __u64 memory(int node, const char *stat)
{
	char key[64];

	snprintf(key, sizeof(key), "drm-%s-memory", stat);
	return read_value(node, key);
}

TEST_F(fdinfo, memory_is_that_of_gem_objects)
{
	struct drm_vfence_gem_create small = { .size = PAGE }, large = { .size = 256 * PAGE };
	int misc = device_open(), foreign = buffer_create(misc, 4 * PAGE), buffer;
	__u32 imported;

	EXPECT_EQ(0, memory(self->node, "total"));
	EXPECT_EQ(0, memory(self->node, "shared"));
	ASSERT_NE(0, gem_create(self->node, &small));
	ASSERT_NE(0, gem_create(self->node, &large));
	EXPECT_EQ(257 * PAGE, memory(self->node, "total"));
	EXPECT_EQ(257 * PAGE, memory(self->node, "resident"));
	EXPECT_EQ(0, memory(self->node, "shared"));
	EXPECT_EQ(1, read_and_parse(self->node));
	/* Exported and imported objects are shared. */
	ASSERT_EQ(0, drmPrimeHandleToFD(self->node, small.handle, DRM_CLOEXEC, &buffer));
	EXPECT_EQ(PAGE, memory(self->node, "shared"));
	ASSERT_EQ(0, drmPrimeFDToHandle(self->node, foreign, &imported));
	EXPECT_EQ(5 * PAGE, memory(self->node, "shared"));
	EXPECT_EQ(261 * PAGE, memory(self->node, "total"));
	EXPECT_EQ(261 * PAGE, memory(self->node, "resident"));
	close(buffer);
	close(foreign);
	EXPECT_EQ(0, drmCloseBufferHandle(self->node, small.handle));
	EXPECT_EQ(0, drmCloseBufferHandle(self->node, imported));
	EXPECT_EQ(256 * PAGE, memory(self->node, "total"));
	EXPECT_EQ(0, drmCloseBufferHandle(self->node, large.handle));
	EXPECT_EQ(0, memory(self->node, "total"));
	close(misc);
}

TEST_F(fdinfo, memory_that_jobs_use_is_active)
{
	struct drm_vfence_gem_create object = { .size = 2 * PAGE }, idle = { .size = PAGE };
	struct vfence_use use = { .flags = VFENCE_USE_WRITE | DRM_VFENCE_USE_HANDLE };
	struct vfence_submit job = buffer_job(timer_queue(self->node), 0, &use, 1, NULL, 0);
	__u32 manual = manual_queue(self->node);
	int gate = submit(self->node, manual, 0);

	use.fd = gem_create(self->node, &object);
	ASSERT_NE(0, use.fd);
	ASSERT_NE(0, gem_create(self->node, &idle));
	EXPECT_EQ(ABSENT, memory(self->node, "active"));
	job.in_fences = ptr_to_u64(&gate);
	job.in_fence_count = 1;
	ASSERT_EQ(0, submit_job(self->node, &job));
	EXPECT_EQ(2 * PAGE, memory(self->node, "active"));
	EXPECT_EQ(2, read_and_parse(self->node));
	EXPECT_EQ(1, signal_seqno(self->node, manual, 1, 0));
	EXPECT_EQ(0, wait_idle(self->node, job.queue));
	EXPECT_EQ(ABSENT, memory(self->node, "active"));
}

/* /dev/vfence is no DRM device: tools must not take it for one. */
TEST(misc_device_has_keys_of_its_own)
{
	int misc = device_open();
	struct vfence_submit job = { .queue = timer_queue(misc), .duration_ns = 1000 };
	char text[2 * MAX_LENGTH];

	ASSERT_EQ(0, submit_job(misc, &job));
	ASSERT_EQ(0, wait_idle(misc, job.queue));
	EXPECT_LT(0, slurp(misc, text, sizeof(text)));
	EXPECT_EQ(NULL, strstr(text, "drm-"));
	EXPECT_NE(NULL, strstr(text, "vfence-engine-timer:\t1000 ns\n"));
	close(misc);
}

TEST_HARNESS_MAIN
