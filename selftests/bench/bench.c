// SPDX-License-Identifier: GPL-2.0
/*
 * What vfence costs, next to what the kernel's sw_sync and timerfd cost: `make bench`.
 *
 * The guest is emulated such that each instruction takes a nanosecond, so what CLOCK_MONOTONIC says is a number of instructions.
 * The program prints {"rows": N}, then a line of JSON for each row. A figure that could not be measured is null there; why is said on
 * stderr, and the exit status is 1.
 *
 * Each figure is measured in a process of its own, by the function that the row names. Both columns of a row call
 * functions of the same shape, mostly the very same one. The arguments of ioctls are filled in
 * beforehand, what does not change of them. What is not between two calls of now() is not counted. A figure
 * is the median of SAMPLES; each sample is a loop of BATCH, and the WARMUP first ones are thrown away.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/sw_sync.h>
#include <linux/sync_file.h>
#include <linux/vfence.h>

#define BATCH 64
#define SAMPLES 801
#define WARMUP 50
/* Not quite as many as a queue takes with max_jobs=1048576: signalling in a full queue also tells those who poll. */
#define MOST 1000000
/*
 * So many fences that what is not theirs is lost in the sum, and that the table of descriptors is nearly full: it grows to 65536. The first
 * of them use up what the allocators have in reserve.
 */
#define MEMORY_FENCES 65000
#define MEMORY_FIRST 8000
/* A job is a tenth of that, and has no descriptor. */
#define MEMORY_JOBS 650000
#define NSEC_PER_SEC 1000000000ULL
#define TIMER_NS 1000000ULL

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define DEBUGFS "/sys/kernel/debug"

/* One timeline of either kind, and the arguments of the calls on it. */
struct timeline {
	const struct kind *kind;
	int device;
	struct vfence_submit submit;
	struct vfence_signal signal;
	struct sw_sync_create_fence_data create;
};

/* What has fences that are signalled by hand. */
struct kind {
	const char *path;
	void (*prepare)(struct timeline *timeline);
	/* Makes a fence and returns its descriptor. */
	int (*create)(struct timeline *timeline);
	/* Makes @count fences, as fast as it gets: for what is not measured. */
	void (*fill)(struct timeline *timeline, int *fds, unsigned int count);
	/* Signals the @count oldest fences that are pending. */
	void (*signal)(struct timeline *timeline, unsigned int count);
};

/* What is being measured, for messages. */
static const char *measuring = "preparing";

static __attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...)
{
	int error = errno;
	va_list arguments;

	fprintf(stderr, "%s: ", measuring);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
	/* What stdout has not written yet is the parent's. */
	_exit(1);
}

/* CLOCK_MONOTONIC is read in user space, so that takes few instructions, and the same number each time. */
static inline __u64 now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

/*
 * vfence: a manual queue. The watchdog is on, as it is for users. There are calls that do one thing, and those that do everything.
 */

static struct vfence_submit batch[VFENCE_MAX_BATCH];

static __u32 make_queue(int device, __u32 kind)
{
	struct vfence_queue_create create = { .kind = kind };

	if (ioctl(device, VFENCE_IOCTL_QUEUE_CREATE, &create))
		die("VFENCE_IOCTL_QUEUE_CREATE");
	return create.queue;
}

static void vfence_prepare(struct timeline *timeline)
{
	__u32 queue = make_queue(timeline->device, VFENCE_QUEUE_MANUAL);

	timeline->submit = (struct vfence_submit){ .queue = queue, .flags = VFENCE_SUBMIT_OUT_FENCE };
	timeline->signal = (struct vfence_signal){ .queue = queue };
}

static int vfence_submit(struct timeline *timeline)
{
	if (ioctl(timeline->device, VFENCE_IOCTL_SUBMIT, &timeline->submit))
		die("VFENCE_IOCTL_SUBMIT");
	return timeline->submit.out_fence;
}

static int vfence_create(struct timeline *timeline)
{
	int fence = ioctl(timeline->device, VFENCE_IOCTL_CREATE_FENCE, timeline->signal.queue);

	if (fence < 0)
		die("VFENCE_IOCTL_CREATE_FENCE");
	return fence;
}

static void vfence_signal(struct timeline *timeline, unsigned int count)
{
	timeline->signal.seqno += count;
	if (ioctl(timeline->device, VFENCE_IOCTL_SIGNAL, &timeline->signal))
		die("VFENCE_IOCTL_SIGNAL");
	/* Else the watchdog was there before. */
	if (timeline->signal.completed != count)
		die("VFENCE_IOCTL_SIGNAL completed %u jobs, not %u", timeline->signal.completed, count);
}

static void vfence_signal_next(struct timeline *timeline, unsigned int count)
{
	while (count--)
		if (ioctl(timeline->device, VFENCE_IOCTL_SIGNAL_NEXT, timeline->signal.queue) != 1)
			die("VFENCE_IOCTL_SIGNAL_NEXT");
}

static void prepare_batch(struct timeline *timeline, __u32 flags, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		batch[i] = (struct vfence_submit){ .queue = timeline->submit.queue, .flags = flags };
}

static void submit_batch(struct timeline *timeline, unsigned int count)
{
	struct vfence_submit_batch submit = {
		.jobs = (uintptr_t)batch, .count = count, .job_size = sizeof(batch[0])
	};

	if (ioctl(timeline->device, VFENCE_IOCTL_SUBMIT_BATCH, &submit))
		die("VFENCE_IOCTL_SUBMIT_BATCH");
}

static void vfence_fill(struct timeline *timeline, int *fds, unsigned int count)
{
	prepare_batch(timeline, VFENCE_SUBMIT_OUT_FENCE, VFENCE_MAX_BATCH);
	while (count) {
		unsigned int jobs = count < VFENCE_MAX_BATCH ? count : VFENCE_MAX_BATCH;

		submit_batch(timeline, jobs);
		for (unsigned int i = 0; i < jobs; i++)
			*fds++ = batch[i].out_fence;
		count -= jobs;
	}
}

static const struct kind vfence = {
	.path = "/dev/vfence",
	.prepare = vfence_prepare,
	.create = vfence_create,
	.fill = vfence_fill,
	.signal = vfence_signal_next,
};

static const struct kind vfence_full = {
	.path = "/dev/vfence",
	.prepare = vfence_prepare,
	.create = vfence_submit,
	.fill = vfence_fill,
	.signal = vfence_signal,
};

/*
 * sw_sync, the kernel's and ours. Values rise by one with each fence.
 */

static void sw_sync_prepare(struct timeline *timeline)
{
	timeline->create = (struct sw_sync_create_fence_data){ .name = "bench" };
}

static int sw_sync_create(struct timeline *timeline)
{
	timeline->create.value++;
	if (ioctl(timeline->device, SW_SYNC_IOC_CREATE_FENCE, &timeline->create))
		die("SW_SYNC_IOC_CREATE_FENCE of %s", timeline->kind->path);
	return timeline->create.fence;
}

static void sw_sync_signal(struct timeline *timeline, unsigned int count)
{
	if (ioctl(timeline->device, SW_SYNC_IOC_INC, &count))
		die("SW_SYNC_IOC_INC of %s", timeline->kind->path);
}

static void sw_sync_fill(struct timeline *timeline, int *fds, unsigned int count)
{
	while (count--)
		*fds++ = sw_sync_create(timeline);
}

static const struct kind sw_sync = {
	.path = DEBUGFS "/sync/sw_sync",
	.prepare = sw_sync_prepare,
	.create = sw_sync_create,
	.fill = sw_sync_fill,
	.signal = sw_sync_signal,
};

static const struct kind drop_in = {
	.path = "/dev/sw_sync",
	.prepare = sw_sync_prepare,
	.create = sw_sync_create,
	.fill = sw_sync_fill,
	.signal = sw_sync_signal,
};

static struct timeline open_timeline(const struct kind *kind)
{
	struct timeline timeline = { .kind = kind, .device = open(kind->path, O_RDWR | O_CLOEXEC) };

	if (timeline.device < 0)
		die("cannot open %s", kind->path);
	kind->prepare(&timeline);
	return timeline;
}

/*
 * Samples.
 */

static int by_size(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static double median(double *samples, unsigned int count)
{
	qsort(samples, count, sizeof(*samples), by_size);
	return count % 2 ? samples[count / 2] : (samples[count / 2 - 1] + samples[count / 2]) / 2;
}

/* What is between two calls of now() that have nothing between them. */
static double clock_cost(void)
{
	double samples[SAMPLES];

	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();
		__u64 end = now();

		if (sample >= 0)
			samples[sample] = end - start;
	}
	return median(samples, SAMPLES);
}

static bool readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents == POLLIN;
}

/* The first are signalled and closed; the last one shows that it was so. */
static void finish(struct timeline *timeline, const int *fds, unsigned int count)
{
	timeline->kind->signal(timeline, count);
	errno = 0;
	if (!readable(fds[count - 1]))
		die("a fence of %s has not signalled", timeline->kind->path);
	for (unsigned int i = 0; i < count; i++)
		close(fds[i]);
}

/* What a row has from one column. */
typedef double figure_fn(const struct kind *kind, unsigned int pending);

/*
 * One call that makes one fence and its descriptor, BATCH times. They are signalled and closed outside. So between 0 and 63 others are
 * pending, and the descriptors are the lowest ones.
 */
static double create(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();
	int fds[BATCH];

	(void)pending;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();

		for (int i = 0; i < BATCH; i++)
			fds[i] = kind->create(&timeline);

		__u64 end = now();

		finish(&timeline, fds, BATCH);
		if (sample >= 0)
			samples[sample] = (end - start - clock) / BATCH;
	}
	return median(samples, SAMPLES);
}

/* One call that signals BATCH fences of BATCH values, all that are pending, for each of them. They have descriptors, which nobody waits for. */
static double increment(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();
	int fds[BATCH];

	(void)pending;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		for (int i = 0; i < BATCH; i++)
			fds[i] = kind->create(&timeline);

		__u64 start = now();

		kind->signal(&timeline, BATCH);

		__u64 end = now();

		if (!readable(fds[BATCH - 1]))
			die("a fence of %s has not signalled", kind->path);
		for (int i = 0; i < BATCH; i++)
			close(fds[i]);
		if (sample >= 0)
			samples[sample] = (end - start - clock) / BATCH;
	}
	return median(samples, SAMPLES);
}

/* Four calls for each fence, one fence at a time: it is made, signalled, found readable by poll() without waiting, and closed. */
static double cycle(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();

	(void)pending;
	errno = 0;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();

		for (int i = 0; i < BATCH; i++) {
			int fd = kind->create(&timeline);

			kind->signal(&timeline, 1);
			if (!readable(fd))
				die("a fence of %s has not signalled", kind->path);
			close(fd);
		}

		__u64 end = now();

		if (sample >= 0)
			samples[sample] = (end - start - clock) / BATCH;
	}
	return median(samples, SAMPLES);
}

/* One call that makes BATCH fences with descriptors, for each of them; the rest is as in create(). */
static double create_batch(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();
	int fds[BATCH];

	(void)pending;
	prepare_batch(&timeline, VFENCE_SUBMIT_OUT_FENCE, BATCH);
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();

		submit_batch(&timeline, BATCH);

		__u64 end = now();

		for (int i = 0; i < BATCH; i++)
			fds[i] = batch[i].out_fence;
		finish(&timeline, fds, BATCH);
		if (sample >= 0)
			samples[sample] = (end - start - clock) / BATCH;
	}
	return median(samples, SAMPLES);
}

/* Two calls, for each of BATCH jobs: one that submits them, without descriptors, and one that completes them all. */
static double cycle_batch(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();

	(void)pending;
	prepare_batch(&timeline, 0, BATCH);
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();

		submit_batch(&timeline, BATCH);
		kind->signal(&timeline, BATCH);

		__u64 end = now();

		if (sample >= 0)
			samples[sample] = (end - start - clock) / BATCH;
	}
	return median(samples, SAMPLES);
}

/*
 * One call that signals the oldest of @pending fences, all of which have descriptors. Before the next sample that one is closed and
 * another one made. Each sample is one call: instructions need no more to be counted right.
 */
static double signal_one(const struct kind *kind, unsigned int pending)
{
	static int fds[MOST];
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();
	unsigned int oldest = 0;

	kind->fill(&timeline, fds, pending);
	errno = 0;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();

		kind->signal(&timeline, 1);

		__u64 end = now();
		unsigned int next = (oldest + 1) % pending;

		if (!readable(fds[oldest]) || readable(fds[next]))
			die("%s has not signalled one fence", kind->path);
		close(fds[oldest]);
		fds[oldest] = kind->create(&timeline);
		oldest = next;
		if (sample >= 0)
			samples[sample] = end - start - clock;
	}
	return median(samples, SAMPLES);
}

/* Returns how many bytes are free, those included that a CPU keeps at hand. */
static double free_bytes(void)
{
	char line[256];
	unsigned long pages, sum = 0;
	FILE *file;
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);

	/* Or the counters lag behind. */
	if (fd < 0 || write(fd, "1", 1) != 1)
		die("/proc/sys/vm/stat_refresh");
	close(fd);
	file = fopen("/proc/zoneinfo", "re");
	if (!file)
		die("/proc/zoneinfo");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %lu", &pages) == 1 || sscanf(line, " count: %lu", &pages) == 1)
			sum += pages;
	fclose(file);
	return (double)sum * sysconf(_SC_PAGESIZE);
}

/* The first time also allocates what reading takes, so it is done twice. */
static double per_fence(struct timeline *timeline, int count)
{
	double before;

	for (int i = 0; i < MEMORY_FIRST; i++)
		timeline->kind->create(timeline);
	free_bytes();
	before = free_bytes();
	for (int i = MEMORY_FIRST; i < count; i++)
		timeline->kind->create(timeline);
	return (before - free_bytes()) / (count - MEMORY_FIRST);
}

/*
 * How much less memory is free with so many fences pending, for each of them: whatever is allocated for a fence and its descriptor, by
 * whomever. The table of descriptors counts, too; the timeline itself, with what it has from the beginning, does not.
 */
static double memory(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);

	(void)pending;
	return per_fence(&timeline, MEMORY_FENCES);
}

/* The same for jobs without descriptors. */
static double memory_of_jobs(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);

	(void)pending;
	timeline.submit.flags = 0;
	return per_fence(&timeline, MEMORY_JOBS);
}

static void wait_for(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	if (poll(&poll_fd, 1, -1) != 1)
		die("poll");
}

/*
 * From the moment at which a timer was due until poll(), which has waited for it, has returned. Nothing else runs, so the CPU was idle. The
 * job is of a timer queue; it was due at the timestamp of its fence.
 */
static double timer_fence(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES];

	(void)pending;
	timeline.submit.queue = make_queue(timeline.device, VFENCE_QUEUE_TIMER);
	timeline.submit.duration_ns = TIMER_NS;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		int fd = kind->create(&timeline);

		wait_for(fd);

		__u64 end = now();
		struct sync_fence_info fence = { 0 };
		struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };

		if (ioctl(fd, SYNC_IOC_FILE_INFO, &info))
			die("SYNC_IOC_FILE_INFO");
		errno = 0;
		if (fence.status != 1)
			die("a job of a timer queue has status %d", fence.status);
		close(fd);
		if (sample >= 0)
			samples[sample] = (double)end - fence.timestamp_ns;
	}
	return median(samples, SAMPLES);
}

/* The same for a timerfd, which is set to a point in time. */
static double timer_fd(const struct kind *kind, unsigned int pending)
{
	double samples[SAMPLES];

	(void)kind;
	(void)pending;
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
		__u64 due = now() + TIMER_NS;
		struct itimerspec time = {
			.it_value = { .tv_sec = due / NSEC_PER_SEC, .tv_nsec = due % NSEC_PER_SEC }
		};

		if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME, &time, NULL))
			die("timerfd");
		wait_for(fd);

		__u64 end = now();

		close(fd);
		if (sample >= 0)
			samples[sample] = (double)end - due;
	}
	return median(samples, SAMPLES);
}

/*
 * The table.
 */

struct column {
	figure_fn *figure;
	const struct kind *kind;
};

/*
 * @goal is the most that the ratio of @vfence to @peer may be. Where there is no peer, it is the most that @vfence may be. Rows with @pending
 * and the same before the colon of their names are a series: @vfence should be about the same in all of them.
 */
static const struct row {
	const char *operation;
	const char *unit;
	double goal;
	struct column vfence;
	struct column peer;
	unsigned int pending;
} rows[] = {
	{ "CREATE_FENCE: create a fence with fd", "instructions", 1.00, { create, &vfence }, { create, &sw_sync }, 0 },
	{ "SUBMIT: create a fence with fd", "instructions", 1.00, { create, &vfence_full }, { create, &sw_sync }, 0 },
	{ "drop-in: create a fence with fd", "instructions", 1.00, { create, &drop_in }, { create, &sw_sync }, 0 },
	{ "drop-in: increment, per fence", "instructions", 1.00, { increment, &drop_in }, { increment, &sw_sync }, 0 },
	{ "CREATE_FENCE, SIGNAL_NEXT, poll, close", "instructions", 0.95, { cycle, &vfence }, { cycle, &sw_sync }, 0 },
	{ "SUBMIT, SIGNAL, poll, close", "instructions", 0.95, { cycle, &vfence_full }, { cycle, &sw_sync }, 0 },
	{ "create 64 with fds, per fence", "instructions", 0.85, { create_batch, &vfence }, { create, &sw_sync }, 0 },
	{ "submit 64 and signal, per job", "instructions", 0.25, { cycle_batch, &vfence_full }, { cycle, &sw_sync }, 0 },
	{ "SIGNAL_NEXT: one of 1000", "instructions", 1.00, { signal_one, &vfence }, { signal_one, &sw_sync }, 1000 },
	{ "SIGNAL_NEXT: one of 16000", "instructions", 1.00, { signal_one, &vfence }, { signal_one, &sw_sync }, 16000 },
	{ "SIGNAL_NEXT: one of 256000", "instructions", 1.00, { signal_one, &vfence }, { signal_one, &sw_sync }, 256000 },
	{ "SIGNAL_NEXT: one of 1000000", "instructions", 1.00, { signal_one, &vfence }, { signal_one, &sw_sync }, MOST },
	{ "SIGNAL: one of 1000", "instructions", 1.00, { signal_one, &vfence_full }, { signal_one, &sw_sync }, 1000 },
	{ "SIGNAL: one of 1000000", "instructions", 1.00, { signal_one, &vfence_full }, { signal_one, &sw_sync }, MOST },
	{ "memory of a fence with fd", "bytes", 1.00, { memory, &vfence }, { memory, &sw_sync }, 0 },
	{ "memory of a job without fd", "bytes", 256, { memory_of_jobs, &vfence_full }, { NULL, NULL }, 0 },
	{ "timer due to poll() returning", "instructions", 1.10, { timer_fence, &vfence_full }, { timer_fd, NULL }, 0 },
};

/* Returns a figure, or a negative number if it cannot be measured. */
static double measure(const struct column *column, unsigned int pending)
{
	double *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double figure;
	int status;
	pid_t child;

	if (shared == MAP_FAILED)
		die("mmap");
	*shared = -1;
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		/* What was freed before is really free then. Nobody but the guest's clock notices. */
		sleep(10);
		*shared = column->figure(column->kind, pending);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	if (WIFSIGNALED(status))
		fprintf(stderr, "%s: ended by signal %d\n", measuring, WTERMSIG(status));
	figure = *shared;
	munmap(shared, sizeof(*shared));
	return figure;
}

static void print_figure(const char *name, double figure)
{
	if (figure < 0)
		printf(", \"%s\": null", name);
	else
		printf(", \"%s\": %.1f", name, figure);
}

/* Returns the first row that has the same peer: their figures should agree. */
static const struct row *first_with_peer(const struct row *row)
{
	const struct row *first = rows;

	while (first->peer.figure != row->peer.figure || first->peer.kind != row->peer.kind || first->pending != row->pending)
		first++;
	return first;
}

/* Prints a row and returns whether it is complete. */
static bool print_row(const struct row *row)
{
	double figure;
	bool complete;

	measuring = row->operation;
	figure = measure(&row->vfence, row->pending);
	complete = figure >= 0;
	printf("{\"operation\": \"%s\", \"unit\": \"%s\", \"goal\": %.2f", row->operation, row->unit, row->goal);
	print_figure("vfence", figure);
	if (row->peer.figure) {
		figure = measure(&row->peer, row->pending);
		complete = complete && figure >= 0;
		print_figure("peer", figure);
		printf(", \"peer_of\": \"%s\"", first_with_peer(row)->operation);
	}
	if (row->pending)
		printf(", \"pending\": %u", row->pending);
	printf("}\n");
	fflush(stdout);
	return complete;
}

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("%s", path);
	close(fd);
}

/* Lets a process have a million descriptors, and finds the kernel's sw_sync. */
static void prepare(void)
{
	struct rlimit limit = { .rlim_cur = 2 * MOST, .rlim_max = 2 * MOST };

	write_to("/proc/sys/fs/file-max", "4194304");
	write_to("/proc/sys/fs/nr_open", "2097152");
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("RLIMIT_NOFILE");
	if (access(DEBUGFS "/sync", F_OK) && mount("debugfs", DEBUGFS, "debugfs", 0, NULL))
		die(DEBUGFS);
}

int main(void)
{
	bool complete = true;

	prepare();
	printf("{\"rows\": %zu}\n", ARRAY_LEN(rows));
	fflush(stdout);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		complete = print_row(&rows[i]) && complete;
	return complete ? 0 : 1;
}
