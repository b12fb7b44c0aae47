// SPDX-License-Identifier: GPL-2.0
/* Bounds: how long the driver keeps the CPU from a thread with a real-time priority. */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include "bench/bench.h"

#define PERIOD_NS 20000
/* The kernel throttles a real-time thread that leaves too little time to others. */
#define CALL_PERIOD_NS 200000
#define PRIORITY 50
/* The first waits take page faults. */
#define FIRST_WAITS 10

static struct timespec timespec_of(__u64 ns)
{
	return (struct timespec){ .tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC };
}

void sleep_ns(__u64 ns)
{
	struct timespec time = timespec_of(ns);

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

struct watcher {
	sem_t started;
	bool stop;
	void (*call)(void *context);
	void *context;
	double longest;
};

static void *watch(void *argument)
{
	struct watcher *watcher = argument;

	for (int i = -FIRST_WAITS; !__atomic_load_n(&watcher->stop, __ATOMIC_RELAXED); i++) {
		__u64 due = now() + (watcher->call ? CALL_PERIOD_NS : PERIOD_NS);
		struct timespec time = timespec_of(due);
		double wait;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
		if (watcher->call)
			watcher->call(watcher->context);
		wait = now() - due;
		if (i == 0)
			sem_post(&watcher->started);
		if (i >= 0 && wait > watcher->longest)
			watcher->longest = wait;
	}
	return NULL;
}

double longest_call(void (*load)(void *context), void (*call)(void *context), void *context)
{
	struct watcher watcher = { .call = call, .context = context };
	struct sched_param priority = { .sched_priority = PRIORITY };
	pthread_attr_t attributes;
	pthread_t thread;

	sem_init(&watcher.started, 0, 0);
	if (pthread_attr_init(&attributes) ||
	    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED) ||
	    pthread_attr_setschedpolicy(&attributes, SCHED_FIFO) ||
	    pthread_attr_setschedparam(&attributes, &priority) ||
	    pthread_create(&thread, &attributes, watch, &watcher))
		die("a SCHED_FIFO thread");
	while (sem_wait(&watcher.started))
		;
	load(context);
	/* The load may have left work behind, for a timer or a worker. */
	sleep_ns(20000000);
	__atomic_store_n(&watcher.stop, true, __ATOMIC_RELAXED);
	if (pthread_join(thread, NULL))
		die("pthread_join");
	return watcher.longest;
}

double longest_wait(void (*load)(void *context), void *context)
{
	return longest_call(load, NULL, context);
}
