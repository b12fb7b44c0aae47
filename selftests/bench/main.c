// SPDX-License-Identifier: GPL-2.0
/*
 * `make bench`: what vfence costs beside the kernel's sw_sync and timerfd, and how long it keeps
 * others from the CPU.
 *
 * The guest is emulated so that each instruction takes a nanosecond, so CLOCK_MONOTONIC counts
 * instructions. The program prints {"rows": N}, then a line of JSON for each row. A figure that
 * could not be measured is null; stderr has the reason, and the exit status is 1.
 *
 * Each figure is measured in a process of its own. Constant arguments of ioctls are filled in
 * before, and only the code between two calls of now() counts.
 *
 * Arguments select rows: those whose operation contains one of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench/bench.h"

const char *measuring = "preparing";

void die(const char *format, ...)
{
	int error = errno;
	va_list arguments;

	fprintf(stderr, "%s: ", measuring);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
	/* Not exit(): the buffer of stdout belongs to the parent. */
	_exit(1);
}

struct column {
	figure_fn *figure;
	const struct kind *kind;
};

/*
 * @goal bounds the ratio of @vfence to @peer, or @vfence itself where there is no peer. Rows with
 * @pending and the same name before the colon are a series, in which @vfence should be constant.
 */
static const struct row {
	const char *operation;
	const char *unit;
	double goal;
	struct column vfence;
	struct column peer;
	unsigned int pending;
} rows[] = {
	{ "CREATE_FENCE: create a fence with fd", "instructions", 1.00,
	  { create, &vfence }, { create, &sw_sync }, 0 },
	{ "SUBMIT: create a fence with fd", "instructions", 1.00,
	  { create, &vfence_full }, { create, &sw_sync }, 0 },
	{ "drop-in: create a fence with fd", "instructions", 1.00,
	  { create, &drop_in }, { create, &sw_sync }, 0 },
	{ "drop-in: increment, per fence", "instructions", 1.00,
	  { increment, &drop_in }, { increment, &sw_sync }, 0 },
	{ "CREATE_FENCE, SIGNAL_NEXT, poll, close", "instructions", 0.95,
	  { cycle, &vfence }, { cycle, &sw_sync }, 0 },
	{ "SUBMIT, SIGNAL, poll, close", "instructions", 0.95,
	  { cycle, &vfence_full }, { cycle, &sw_sync }, 0 },
	{ "create 64 with fds, per fence", "instructions", 0.85,
	  { create_batch, &vfence }, { create, &sw_sync }, 0 },
	{ "submit 64 and signal, per job", "instructions", 0.25,
	  { cycle_batch, &vfence_full }, { cycle, &sw_sync }, 0 },
	{ "SIGNAL_NEXT: one of 1000", "instructions", 1.00,
	  { signal_one, &vfence }, { signal_one, &sw_sync }, 1000 },
	{ "SIGNAL_NEXT: one of 16000", "instructions", 1.00,
	  { signal_one, &vfence }, { signal_one, &sw_sync }, 16000 },
	{ "SIGNAL_NEXT: one of 256000", "instructions", 1.00,
	  { signal_one, &vfence }, { signal_one, &sw_sync }, 256000 },
	{ "SIGNAL_NEXT: one of 1000000", "instructions", 1.00,
	  { signal_one, &vfence }, { signal_one, &sw_sync }, MOST },
	{ "SIGNAL: one of 1000", "instructions", 1.00,
	  { signal_one, &vfence_full }, { signal_one, &sw_sync }, 1000 },
	{ "SIGNAL: one of 1000000", "instructions", 1.00,
	  { signal_one, &vfence_full }, { signal_one, &sw_sync }, MOST },
	{ "memory of a fence with fd", "bytes", 1.00,
	  { memory, &vfence }, { memory, &sw_sync }, 0 },
	{ "memory of a job without fd", "bytes", 256,
	  { memory_of_jobs, &vfence_full }, { NULL, NULL }, 0 },
	{ "timer due to poll() returning", "instructions", 1.10,
	  { timer_fence, &vfence_full }, { timer_fd, NULL }, 0 },
	{ "longest wait: idle", "instructions", 200000,
	  { idle, NULL }, { NULL, NULL }, 0 },
	{ "longest wait: 256 queues over 4 files", "instructions", 200000,
	  { burst_of_4_files, NULL }, { NULL, NULL }, 0 },
	{ "longest wait: 256 queues over 16 files", "instructions", 200000,
	  { burst_of_16_files, NULL }, { NULL, NULL }, 0 },
	{ "longest wait: 256 queues with fds", "instructions", 200000,
	  { burst_with_fds, NULL }, { NULL, NULL }, 0 },
	{ "hangs of hrtimers: 256 queues", "hangs", 0,
	  { hangs_of_burst, NULL }, { NULL, NULL }, 0 },
	{ "longest wait: 60000 jobs wait for one fence", "instructions", 200000,
	  { many_waiters, NULL }, { NULL, NULL }, 0 },
	{ "longest wait: drop-in, create among 100000", "instructions", 200000,
	  { wait_for_creation, &drop_in }, { NULL, NULL }, 0 },
	{ "longest wait: call during a dump of 1000 queues", "instructions", 200000,
	  { dump, NULL }, { NULL, NULL }, 0 },
	{ "close with 64 busy worker queues", "ns", 100000000,
	  { close_busy, NULL }, { NULL, NULL }, 0 },
	{ "drop-in: create among 100000, close together", "instructions", 1.10,
	  { create_shuffled, &drop_in }, { create_in_order, &sw_sync }, 0 },
	{ "drop-in: create among 100000, far apart", "instructions", 1.10,
	  { create_scattered, &drop_in }, { create_in_order, &sw_sync }, 0 },
	{ "SUBMIT on DRM: wait for the last of 10000 points", "instructions", 10000,
	  { wait_for_timeline, NULL }, { NULL, NULL }, 0 },
	{ "SUBMIT on DRM: signal 4096 points, per point", "instructions", 1.20,
	  { signal_timeline, NULL }, { signal_timeline_by_core, NULL }, 0 },
};

/* Returns a figure, or a negative number if it cannot be measured. */
static double measure(const struct column *column, unsigned int pending)
{
	double *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
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
		/*
		 * Let RCU free what the previous figure used. Only the clock of the guest advances.
		 */
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

/* Returns the first row with the same peer: their figures must agree. */
static const struct row *first_with_peer(const struct row *row)
{
	const struct row *first = rows;

	while (first->peer.figure != row->peer.figure || first->peer.kind != row->peer.kind ||
	       first->pending != row->pending)
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
	printf("{\"operation\": \"%s\", \"unit\": \"%s\", \"goal\": %.2f", row->operation,
	       row->unit, row->goal);
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

/* Raises the limits to a million descriptors, and mounts debugfs for the kernel's sw_sync. */
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

/* Returns whether the arguments select a row. */
static bool is_selected(const struct row *row, char **words)
{
	bool selected = !*words;

	for (; *words; words++)
		selected = selected || strstr(row->operation, *words);
	return selected;
}

int main(int argc, char **argv)
{
	bool complete = true;
	size_t count = 0;

	(void)argc;
	prepare();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		count += is_selected(&rows[i], argv + 1);
	printf("{\"rows\": %zu}\n", count);
	fflush(stdout);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (is_selected(&rows[i], argv + 1))
			complete = print_row(&rows[i]) && complete;
	return complete ? 0 : 1;
}
