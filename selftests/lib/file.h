/* SPDX-License-Identifier: GPL-2.0 */
/* poll() events, open descriptors, and files below debugfs. */
#ifndef LIB_FILE_H
#define LIB_FILE_H

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include "lib/harness.h"

#define DEBUGFS "/sys/kernel/debug"

/* Returns the events of @events that a file reports now. */
static inline short polled(int fd, short events)
{
	struct pollfd pollfd = { .fd = fd, .events = events };

	return poll(&pollfd, 1, 0) < 0 ? -1 : pollfd.revents;
}

static inline int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* Returns the lowest free descriptor, which the next file gets. */
static inline int lowest_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

/* Writes a kernel setting, as in debugfs. Returns whether the kernel accepted it. */
static inline bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return done;
}

/* Reads a file into @text. Returns whether the kernel accepted it. */
static inline bool read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t more;

	while ((more = read(fd, text + length, size - 1 - length)) > 0)
		length += more;
	text[length] = 0;
	close(fd);
	return !more;
}

/* Mounts a file system at @at unless @file, which it contains, exists. */
static inline void need_mount(const char *type, const char *at, const char *file)
{
	if (access(file, F_OK))
		mount(type, at, type, 0, NULL);
}

#endif /* LIB_FILE_H */
