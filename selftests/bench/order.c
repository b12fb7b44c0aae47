// SPDX-License-Identifier: GPL-2.0
/* Figures of sw_sync with 100000 pending fences, whose values come in order or not. */
#define _GNU_SOURCE
#include "bench/bench.h"

#define PENDING 100000
/* Coprime to PENDING: the multiples modulo PENDING are a permutation. */
#define STRIDE 61803

/* Returns the value of fence @i, from 0 up. */
typedef __u32 order_fn(__u32 i);

static __u32 in_order(__u32 i)
{
	return i + 1;
}

/* Among the pending fences. The first PENDING have the even values. */
static __u32 shuffled(__u32 i)
{
	return 2 * (__u32)((__u64)i * STRIDE % PENDING) + 1 + (i < PENDING);
}

/* The same, far from each other. */
static __u32 scattered(__u32 i)
{
	return 1000 * shuffled(i);
}

static void create_next(struct timeline *timeline, order_fn *order, __u32 *next)
{
	/* create() of this kind adds one. */
	timeline->create.value = order((*next)++) - 1;
	timeline->kind->create(timeline);
}

/* The fences remain pending, with descriptors. */
static double create_after(const struct kind *kind, order_fn *order)
{
	struct timeline timeline = open_timeline(kind);
	double samples[SAMPLES], clock = clock_cost();
	__u32 next = 0;

	while (next < PENDING)
		create_next(&timeline, order, &next);
	for (int sample = -WARMUP; sample < SAMPLES; sample++) {
		__u64 start = now();

		for (int i = 0; i < BATCH; i++)
			create_next(&timeline, order, &next);

		__u64 end = now();

		if (sample >= 0)
			samples[sample] = (end - start - clock) / BATCH;
	}
	return median(samples, SAMPLES);
}

double create_in_order(const struct kind *kind, unsigned int pending)
{
	(void)pending;
	return create_after(kind, in_order);
}

double create_shuffled(const struct kind *kind, unsigned int pending)
{
	(void)pending;
	return create_after(kind, shuffled);
}

double create_scattered(const struct kind *kind, unsigned int pending)
{
	(void)pending;
	return create_after(kind, scattered);
}

struct creation {
	struct timeline timeline;
	order_fn *order;
	__u32 next;
};

static void create_many(void *context)
{
	struct creation *creation = context;

	for (int i = 0; i < 1000; i++)
		create_next(&creation->timeline, creation->order, &creation->next);
}

/*
 * Few fences, because the kernel disables interrupts for up to 260000 instructions when it converts
 * a block of pages for the memory of files.
 */
double wait_for_creation(const struct kind *kind, unsigned int pending)
{
	struct creation creation = { .timeline = open_timeline(kind), .order = scattered };

	(void)pending;
	while (creation.next < PENDING)
		create_next(&creation.timeline, creation.order, &creation.next);
	return longest_wait(create_many, &creation);
}
