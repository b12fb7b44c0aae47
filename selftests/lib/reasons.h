/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The reasons of refusals: debug messages of the modules, which dynamic debug turns on. A fixture
 * with FIXTURE_VARIANTS_OF_REASONS() runs its cases with the messages on, and with the messages
 * off, when the same calls must print nothing.
 */
#ifndef LIB_REASONS_H
#define LIB_REASONS_H

#include "lib/file.h"

#define DYNAMIC_DEBUG DEBUGFS "/dynamic_debug/control"
#define OFF "module vfence -pflmt; module vfence_drm -pflmt"
#define ON "module vfence +p; module vfence_drm +p"

#define FIXTURE_VARIANTS_OF_REASONS(fixture_name) \
	FIXTURE_VARIANT(fixture_name) { bool on; }; \
	FIXTURE_VARIANT_ADD(fixture_name, off) { .on = false }; \
	FIXTURE_VARIANT_ADD(fixture_name, on) { .on = true }

/* Whether the kernel has dynamic debug. */
static inline bool has_reasons(void)
{
	need_mount("debugfs", DEBUGFS, DYNAMIC_DEBUG);
	return !access(DYNAMIC_DEBUG, F_OK);
}

/* Turns the reasons on or off. Returns whether the kernel did so. */
static inline bool turn_reasons(bool on)
{
	if (!has_reasons())
		return !on;
	return write_file(DYNAMIC_DEBUG, OFF) && (!on || write_file(DYNAMIC_DEBUG, ON));
}

/* Opens the kernel log behind its last message. */
static inline int open_log(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	lseek(log, 0, SEEK_END);
	return log;
}

/*
 * Reads the messages of the modules since the last call, without their prefixes, a line each.
 * Returns their number.
 */
static inline int read_reasons(int log, char *text, size_t size)
{
	char record[8192], *message;
	int count = 0;
	ssize_t length;

	*text = '\0';
	/* A record is "PRIORITY,SEQNO,TIME,FLAGS;MESSAGE\n". EPIPE: some were overwritten. */
	while ((length = read(log, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		if (length <= 0)
			continue;
		record[length] = '\0';
		message = strchr(record, ';');
		if (!message || !strstr(message, "vfence"))
			continue;
		snprintf(text + strlen(text), size - strlen(text), "%s", message + 1);
		count++;
	}
	return count;
}

/*
 * Expects @call to fail with @error, and to print one reason that contains @words, or none if the
 * messages are off. Needs the log in self->log.
 */
#define EXPECT_REASON(error, words, call) \
	do { \
		char reasons[16384]; \
		int count; \
		\
		read_reasons(self->log, reasons, sizeof(reasons)); \
		EXPECT_REFUSED(error, call); \
		count = read_reasons(self->log, reasons, sizeof(reasons)); \
		EXPECT_EQ(variant->on, count) { \
			TH_LOG("reasons of '%s': %s", #call, reasons); \
		} \
		EXPECT_TRUE(!variant->on || strstr(reasons, words)) { \
			TH_LOG("'%s' is not in: %s", words, reasons); \
		} \
	} while (0)

#endif /* LIB_REASONS_H */
