/* SPDX-License-Identifier: GPL-2.0 */
/* Timelines of each kind, the clock, and the figures that main.c puts into a table. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <linux/sw_sync.h>
#include <linux/vfence.h>

/*
 * A figure is the median of SAMPLES; each sample is a loop of BATCH. The first WARMUP are
 * discarded.
 */
#define BATCH 64
#define SAMPLES 801
#define WARMUP 50
/* Fewer than a queue holds with max_jobs=1048576: signalling in a full queue also wakes pollers. */
#define MOST 1000000
#define NSEC_PER_SEC 1000000000ULL
#define DEBUGFS "/sys/kernel/debug"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* A timeline of either kind, and the arguments of its calls. */
struct timeline {
	const struct kind *kind;
	int device;
	struct vfence_submit submit;
	struct vfence_signal signal;
	struct sw_sync_create_fence_data create;
};

/* A kind of timeline whose fences user space signals. */
struct kind {
	const char *path;
	void (*prepare)(struct timeline *timeline);
	/* Creates a fence and returns its descriptor. */
	int (*create)(struct timeline *timeline);
	/* Creates @count fences as fast as possible, outside of what is measured. */
	void (*fill)(struct timeline *timeline, int *fds, unsigned int count);
	/* Signals the @count oldest pending fences. */
	void (*signal)(struct timeline *timeline, unsigned int count);
};

/* vfence by CREATE_FENCE and SIGNAL_NEXT, and by SUBMIT and SIGNAL. */
extern const struct kind vfence, vfence_full;
/* The kernel's sw_sync, and /dev/sw_sync of vfence. */
extern const struct kind sw_sync, drop_in;

struct timeline open_timeline(const struct kind *kind);
__u32 make_queue(int device, __u32 kind);

/* The jobs that submit_batch() submits. */
extern struct vfence_submit batch[VFENCE_MAX_BATCH];
void prepare_batch(struct timeline *timeline, __u32 flags, unsigned int count);
void submit_batch(struct timeline *timeline, unsigned int count);

/* One figure of a row: either column of a row calls the same function where it can. */
typedef double figure_fn(const struct kind *kind, unsigned int pending);
figure_fn create, increment, cycle, create_batch, cycle_batch, signal_one;
figure_fn timer_fence, timer_fd;
figure_fn memory, memory_of_jobs;
figure_fn create_in_order, create_shuffled, create_scattered, wait_for_creation;
figure_fn idle, burst_of_4_files, burst_of_16_files, burst_with_fds, hangs_of_burst, many_waiters;
figure_fn dump, close_busy;
figure_fn wait_for_timeline, signal_timeline, signal_timeline_by_core;

/* Returns the median of @count figures, which it sorts. */
double median(double *samples, unsigned int count);
/* Returns what two adjacent calls of now() measure. */
double clock_cost(void);
void sleep_ns(__u64 ns);

/*
 * Runs @load while a SCHED_FIFO thread sleeps for PERIOD_NS over and over. Returns the longest time
 * from the end of a sleep until the thread runs: the longest time for which interrupts,
 * or code with interrupts or preemption disabled, kept the CPU.
 */
double longest_wait(void (*load)(void *context), void *context);
/* The same until @call has returned, which the thread makes after each sleep. */
double longest_call(void (*load)(void *context), void (*call)(void *context), void *context);

/* The row that is being measured, for messages. */
extern const char *measuring;
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

/*
 * The vDSO reads CLOCK_MONOTONIC in user space, with few instructions and always the same number.
 */
static inline __u64 now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

#endif /* BENCH_H */
