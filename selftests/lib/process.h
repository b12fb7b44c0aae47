/* SPDX-License-Identifier: GPL-2.0 */
/* Child processes, and descriptors passed between processes. */
#ifndef LIB_PROCESS_H
#define LIB_PROCESS_H

#include <sys/socket.h>
#include <sys/wait.h>
#include "lib/harness.h"

/*
 * Waits for a child. Returns its exit status, or the negative number of the signal that killed it.
 */
static inline int child_status(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return INT_MIN;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Sends the id of a queue together with a descriptor. */
static inline int send_fd(int socket, __u32 queue, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec data = { &queue, sizeof(queue) };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(socket, &message, 0) == sizeof(queue) ? 0 : -1;
}

static inline int receive_fd(int socket, __u32 *queue)
{
	int fd;
	char control[CMSG_SPACE(sizeof(fd))];
	struct iovec data = { queue, sizeof(*queue) };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != sizeof(*queue) ||
	    !CMSG_FIRSTHDR(&message))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

#endif /* LIB_PROCESS_H */
