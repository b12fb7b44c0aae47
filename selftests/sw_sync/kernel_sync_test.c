// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the kernel's own sw_sync suite, tools/testing/selftests/sync, on /dev/sw_sync. The suite
 * opens the node below debugfs, so it runs in a mount namespace whose debugfs has /dev/sw_sync
 * there.
 */
#include <stdbool.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define NODE "/dev/sw_sync"
#define DEBUGFS "/sys/kernel/debug"
/*
 * The suite skips everything if the node is missing, and does not report a case whose process dies,
 * so this program counts the cases.
 */
#define CASES 10
/*
 * In this case two threads wake each other 131072 times and never run concurrently. An emulator
 * takes ten times as long across CPUs, so the suite has one CPU until the case is over.
 */
#define HANDOVERS "test_stress_two_threads_shared_timeline"

static int failed(const char *what)
{
	perror(what);
	return 1;
}

/* Binds /dev/sw_sync to the path that the suite opens, in a mount namespace of this process. */
static int show_node(void)
{
	int fd;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return failed("a mount namespace");
	if (mount("tmpfs", DEBUGFS, "tmpfs", 0, "mode=0700") || mkdir(DEBUGFS "/sync", 0700))
		return failed(DEBUGFS);
	fd = open(DEBUGFS "/sync/sw_sync", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || close(fd) || mount(NODE, DEBUGFS "/sync/sw_sync", NULL, MS_BIND, NULL))
		return failed(NODE);
	return 0;
}

/*
 * Starts the suite on one CPU, with its output in the pipe @output. The program is in the same
 * directory.
 */
static pid_t start(const int output[2])
{
	char self[PATH_MAX] = "", suite[PATH_MAX + 16];
	pid_t child;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return -1;
	snprintf(suite, sizeof(suite), "%s/sync_test", dirname(self));
	child = fork();
	if (!child) {
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET(sched_getcpu(), &one);
		sched_setaffinity(0, sizeof(one), &one);
		dup2(output[1], STDOUT_FILENO);
		close(output[0]);
		close(output[1]);
		execl(suite, suite, NULL);
		perror(suite);
		_exit(127);
	}
	close(output[1]);
	return child;
}

int main(void)
{
	int output[2], status, passed = 0;
	cpu_set_t all;
	char line[4096];
	pid_t child;
	FILE *said;

	if (show_node())
		return 1;
	if (pipe(output) || sched_getaffinity(0, sizeof(all), &all))
		return failed("pipe");
	child = start(output);
	said = fdopen(output[0], "r");
	if (child < 0 || !said)
		return failed("sync_test");
	while (fgets(line, sizeof(line), said)) {
		passed += !strncmp(line, "ok ", 3) && !strstr(line, "# SKIP");
		fputs(line, stdout);
		fflush(stdout);
		/* The following cases inherit all CPUs. */
		if (strstr(line, HANDOVERS))
			sched_setaffinity(child, sizeof(all), &all);
	}
	if (waitpid(child, &status, 0) != child)
		return failed("sync_test");
	if (passed != CASES || !WIFEXITED(status) || WEXITSTATUS(status)) {
		printf("# %d of %d passed, wait status %#x\n", passed, CASES, status);
		return 1;
	}
	return 0;
}
