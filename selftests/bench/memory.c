// SPDX-License-Identifier: GPL-2.0
/* The memory that pending fences and jobs take. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "bench/bench.h"

/*
 * Enough fences that other allocations do not matter, and nearly as many as the descriptor table
 * holds at its size of 65536. The first ones use up the reserves of the allocators.
 */
#define MEMORY_FENCES 65000
#define MEMORY_FIRST 8000
/* A job takes a tenth of that, and no descriptor. */
#define MEMORY_JOBS 650000

/* Returns the free memory, including the per-CPU lists of the page allocator. */
static double free_bytes(void)
{
	char line[256];
	unsigned long pages, sum = 0;
	FILE *file;
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);

	/* Flush the per-CPU counters. */
	if (fd < 0 || write(fd, "1", 1) != 1)
		die("/proc/sys/vm/stat_refresh");
	close(fd);
	file = fopen("/proc/zoneinfo", "re");
	if (!file)
		die("/proc/zoneinfo");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %lu", &pages) == 1 ||
		    sscanf(line, " count: %lu", &pages) == 1)
			sum += pages;
	fclose(file);
	return (double)sum * sysconf(_SC_PAGESIZE);
}

/* Reads the free memory twice before, because the first read allocates. */
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
 * The free memory that each of many pending fences takes: all that the kernel allocates for a
 * fence and its descriptor, including the descriptor table, but not the timeline itself.
 */
double memory(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);

	(void)pending;
	return per_fence(&timeline, MEMORY_FENCES);
}

/* The same for jobs without descriptors. */
double memory_of_jobs(const struct kind *kind, unsigned int pending)
{
	struct timeline timeline = open_timeline(kind);

	(void)pending;
	timeline.submit.flags = 0;
	return per_fence(&timeline, MEMORY_JOBS);
}
