/* SPDX-License-Identifier: GPL-2.0 */
/* Compositors of the distribution, unmodified: how to start them without a display, and to end. */
#ifndef CLIENTS_COMPOSITOR_H
#define CLIENTS_COMPOSITOR_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sync.h"
#include "user.h"

/* How long a compositor may take to start. An emulated guest needs ten seconds for most. */
#define START_SECONDS 240
#define STOP_SECONDS 60
#define LOG_PATH RUNTIME_DIR "/compositor.log"

struct compositor {
	const char *name;
	/* The command line. */
	const char *argv[16];
	/* Environment variables beside those of the function compositor_start(). */
	const char *env[8];
	/* The best synchronisation that it offers. */
	enum window_sync sync;
};

/* The process of the compositor that compositor_start() has started last. */
static pid_t compositor_process;

/* Mesa has no driver for the device: it must be asked for the software rasteriser. */
#define SOFTWARE "LIBGL_ALWAYS_SOFTWARE=1"
/* wlroots refuses that one unless it is allowed to use it. */
#define WLROOTS SOFTWARE, "WLR_RENDERER_ALLOW_SOFTWARE=1", "WLR_BACKENDS=headless", \
	"WLR_RENDERER=gles2"

static const struct compositor compositors[] = {
	{
		.name = "weston",
		.argv = { "weston", "--backend=headless", "--renderer=gl", "--no-config",
			  "--idle-time=0", "--socket=wayland-0" },
		.env = { SOFTWARE },
		.sync = SYNC_FILES,
	},
	{
		.name = "sway",
		.argv = { "sway", "--config", "/dev/null" },
		.env = { WLROOTS },
		.sync = SYNC_TIMELINES,
	},
	{
		.name = "labwc",
		.argv = { "labwc", "--config-dir", RUNTIME_DIR },
		.env = { WLROOTS },
		.sync = SYNC_TIMELINES,
	},
	{
		.name = "kwin",
		.argv = { "kwin_wayland", "--virtual", "--width", "640", "--height", "480",
			  "--no-lockscreen", "--no-global-shortcuts", "--socket", "wayland-0" },
		.env = { SOFTWARE },
		.sync = SYNC_TIMELINES,
	},
};

static inline const struct compositor *compositor_named(const char *name)
{
	for (size_t i = 0; i < sizeof(compositors) / sizeof(compositors[0]); i++)
		if (!strcmp(compositors[i].name, name))
			return &compositors[i];
	return NULL;
}

static inline void compositor_exec(const struct compositor *compositor)
{
	int log = open(LOG_PATH, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	setenv("WLR_LIBINPUT_NO_DEVICES", "1", 1);
	for (int i = 0; compositor->env[i]; i++)
		putenv((char *)compositor->env[i]);
	dup2(log, 1);
	dup2(log, 2);
	setsid();
	execvp(compositor->argv[0], (char **)compositor->argv);
	fprintf(stderr, "%s: %s\n", compositor->argv[0], strerror(errno));
	_exit(127);
}

/* Prints the log of the compositor, each line after a #. */
static inline void compositor_print_log(void)
{
	FILE *log = fopen(LOG_PATH, "r");
	char line[400];

	while (log && fgets(line, sizeof(line), log))
		printf("# %s%s", line, strchr(line, '\n') ? "" : "\n");
	if (log)
		fclose(log);
}

/* Finds the socket of the compositor. Returns 0 if there is one. */
static inline int compositor_socket(char *name, size_t size)
{
	DIR *directory = opendir(RUNTIME_DIR);
	int ret = -1;

	for (struct dirent *entry; directory && (entry = readdir(directory));) {
		if (strncmp(entry->d_name, "wayland-", 8) || strchr(entry->d_name, '.'))
			continue;
		snprintf(name, size, "%.60s", entry->d_name);
		ret = 0;
	}
	if (directory)
		closedir(directory);
	return ret;
}

/*
 * Starts a compositor, and sets WAYLAND_DISPLAY when it takes connections. Returns its process, or
 * -1 after printing its log.
 */
static inline pid_t compositor_start(const struct compositor *compositor)
{
	char socket[64];
	pid_t process;

	/* A compositor that was killed leaves its socket. */
	while (!compositor_socket(socket, sizeof(socket)) && !unlink(socket))
		;
	fflush(stdout);
	/* compositor_stop() waits for the orphans too. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	process = fork();
	if (!process)
		compositor_exec(compositor);
	for (int i = 0; process > 0 && i < START_SECONDS * 10; i++) {
		if (!compositor_socket(socket, sizeof(socket))) {
			setenv("WAYLAND_DISPLAY", socket, 1);
			compositor_process = process;
			return process;
		}
		if (waitpid(process, NULL, WNOHANG) == process) {
			compositor_print_log();
			return -1;
		}
		usleep(100000);
	}
	kill(-process, SIGKILL);
	compositor_print_log();
	return -1;
}

/*
 * Returns whether the other end of a connection is the compositor: its process, or one of the
 * session that it has begun.
 */
static inline bool compositor_is_peer(int connection)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return !getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
	       getsid(peer.pid) == compositor_process;
}

/* Waits until all children and orphans have ended, for a limited time. Returns 0 if they have. */
static inline int wait_for_children(void)
{
	pid_t ended = 1;

	for (int i = 0; ended >= 0 && i < STOP_SECONDS * 10;) {
		ended = waitpid(-1, NULL, WNOHANG);
		if (!ended) {
			usleep(100000);
			i++;
		}
	}
	return ended < 0 ? 0 : -1;
}

/*
 * Ends a compositor and the programs that it has started, which hold buffers of the device. Returns
 * 0 if it ended by itself, or by SIGTERM, which KWin reports as its exit status; else 1, after
 * printing its log.
 */
static inline int compositor_stop(pid_t process)
{
	pid_t ended = 0;
	int status;

	kill(process, SIGTERM);
	for (int i = 0; !ended && i < STOP_SECONDS * 10; i++) {
		usleep(100000);
		ended = waitpid(process, &status, WNOHANG);
	}
	kill(-process, SIGKILL);
	if (wait_for_children()) {
		printf("# programs that the compositor has started did not end\n");
		compositor_print_log();
		return 1;
	}
	if (ended && ((WIFEXITED(status) && (!WEXITSTATUS(status) ||
					     WEXITSTATUS(status) == SIGTERM)) ||
		      (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)))
		return 0;
	if (ended)
		printf("# the compositor ended with status %#x\n", status);
	else
		printf("# the compositor did not end within %d s\n", STOP_SECONDS);
	compositor_print_log();
	return 1;
}

/* Reads the first line of what the compositor prints with --version, or just its name. */
static inline void compositor_version(const struct compositor *compositor, char *line, int size)
{
	char command[64];
	FILE *output;

	snprintf(command, sizeof(command), "%s --version 2>/dev/null", compositor->argv[0]);
	output = popen(command, "r");
	if (!output || !fgets(line, size, output))
		snprintf(line, size, "%s", compositor->name);
	line[strcspn(line, "\n")] = '\0';
	if (output)
		pclose(output);
}

/* Runs the cases of a suite, as an ordinary user, with a compositor. Returns the exit status. */
static inline int compositor_run(const char *name, int (*run)(int argc, char **argv), int argc,
				 char **argv)
{
	const struct compositor *compositor = compositor_named(name);
	char version[128];
	pid_t process, cases;
	int status = -1;

	if (!compositor || become_user(false))
		return 1;
	process = compositor_start(compositor);
	if (process < 0)
		return 1;
	compositor_version(compositor, version, sizeof(version));
	printf("measured: %s\n", version);
	fflush(stdout);
	/* The harness ends its process. */
	cases = fork();
	if (!cases)
		exit(run(argc, argv));
	waitpid(cases, &status, 0);
	return compositor_stop(process) || status;
}

#endif /* CLIENTS_COMPOSITOR_H */
