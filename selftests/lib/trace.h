/* SPDX-License-Identifier: GPL-2.0 */
/* Trace events, recorded in an instance of tracefs that the test has for itself. */
#ifndef LIB_TRACE_H
#define LIB_TRACE_H

#include <stdlib.h>
#include <sys/stat.h>
#include "lib/file.h"

#define TRACING "/sys/kernel/tracing"
#define TRACE_INSTANCE TRACING "/instances/vfence_test"

/* Creates the instance, which records nothing yet. Returns whether the kernel has instances. */
static inline bool trace_start(void)
{
	need_mount("tracefs", TRACING, TRACING "/events");
	return !mkdir(TRACE_INSTANCE, 0700) || errno == EEXIST;
}

static inline void trace_stop(void)
{
	rmdir(TRACE_INSTANCE);
}

/* Records an event from now on. */
static inline bool trace_event(const char *system, const char *event)
{
	char path[192];

	snprintf(path, sizeof(path), TRACE_INSTANCE "/events/%s/%s/enable", system, event);
	return write_file(path, "1");
}

/* Records no events any more. */
static inline bool trace_no_events(void)
{
	return write_file(TRACE_INSTANCE "/events/enable", "0");
}

/* Reads the events that were recorded into @text. */
static inline bool trace_read(char *text, size_t size)
{
	return read_file(TRACE_INSTANCE "/trace", text, size);
}

#endif /* LIB_TRACE_H */
