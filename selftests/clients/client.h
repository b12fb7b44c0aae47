/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A Wayland client of the distribution, unmodified. Its progress is read from what libwayland
 * prints with WAYLAND_DEBUG=1.
 */
#ifndef CLIENTS_CLIENT_H
#define CLIENTS_CLIENT_H

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/harness.h"

/* Bounds the time until the frames have been shown, in an emulated guest. */
#define CLIENT_MS 240000

struct messages {
	int commits, acquire_fences, releases, callbacks, errors;
};

/* Starts a client. Returns its process, or -1, and in @output the pipe of its messages. */
static inline pid_t client_start(const char *const argv[], int *output)
{
	int fds[2];
	pid_t client;

	if (pipe(fds))
		return -1;
	client = fork();
	if (!client) {
		setenv("LIBGL_ALWAYS_SOFTWARE", "1", 1);
		setenv("WAYLAND_DEBUG", "1", 1);
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		close(fds[0]);
		execvp(argv[0], (char **)argv);
		_exit(127);
	}
	close(fds[1]);
	*output = fds[0];
	return client;
}

static inline void client_count(const char *line, struct messages *messages)
{
	messages->commits += !!strstr(line, ".commit(");
	messages->acquire_fences += !!strstr(line, ".set_acquire_fence(");
	messages->releases += strstr(line, ".fenced_release(") ||
			      strstr(line, ".immediate_release(");
	messages->callbacks += strstr(line, "wl_callback") && strstr(line, ".done(");
	messages->errors += !!strstr(line, "wl_display#1.error(") ||
			    !!strstr(line, "wl_display@1.error(");
}

/*
 * Reads the messages of a client until *@counter, one of @messages, has reached @count, the client
 * has ended, or the time is over. Prints the lines that are not of libwayland.
 */
static inline void client_follow(int output, struct messages *messages, const int *counter,
				 int count)
{
	__u64 end = now_ns() + CLIENT_MS * MSEC;
	char line[1024];
	size_t length = 0;

	while (*counter < count && now_ns() < end) {
		struct pollfd pollfd = { .fd = output, .events = POLLIN };
		char byte;

		if (poll(&pollfd, 1, 1000) > 0 && read(output, &byte, 1) < 1)
			break;
		if (!(pollfd.revents & POLLIN))
			continue;
		if (byte != '\n' && length < sizeof(line) - 1) {
			line[length++] = byte;
			continue;
		}
		line[length] = '\0';
		length = 0;
		client_count(line, messages);
		if (line[0] != '[')
			printf("# %s\n", line);
	}
}

/* Ends a client. Returns whether it still ran. */
static inline bool client_stop(pid_t client)
{
	bool runs = !waitpid(client, NULL, WNOHANG);

	if (runs) {
		kill(client, SIGKILL);
		waitpid(client, NULL, 0);
	}
	return runs;
}

#endif /* CLIENTS_CLIENT_H */
