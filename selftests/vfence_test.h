/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the self-tests share: the harness, and each call of the device and of
 * sync_files as a function. Functions that return an int return -1 and set
 * errno when the kernel refuses.
 */
#ifndef VFENCE_TEST_H
#define VFENCE_TEST_H

#include "kselftest_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <linux/sync_file.h>
#include <linux/vfence.h>

/* Others: see on_drm.h. */
#ifndef DEVICE_PATH
#define DEVICE_PATH "/dev/vfence"
#define MODULE "vfence"
#endif

#define MSEC 1000000ULL
#define SEC 1000000000ULL

/* Only a test that is about to fail waits this long. */
#define PATIENCE_MS 20000

/* Expects that the kernel refuses a call with an errno. */
#define EXPECT_REFUSED(error, call) \
	do { \
		errno = 0; \
		EXPECT_EQ(-1, call); \
		EXPECT_EQ(error, errno); \
	} while (0)

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

static inline __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SEC + now.tv_nsec;
}

static inline __u64 ptr_to_u64(const void *ptr)
{
	return (uintptr_t)ptr;
}

/* An address range of @pages pages, of which none can be accessed. */
static inline char *unmapped(size_t pages)
{
	return mmap(NULL, pages * sysconf(_SC_PAGESIZE), PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* A copy of @argument that can be read, but not written; NULL if that cannot be had. */
static inline void *read_only(const void *argument, size_t size)
{
	void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (copy == MAP_FAILED)
		return NULL;
	memcpy(copy, argument, size);
	return mprotect(copy, size, PROT_READ) ? NULL : copy;
}

/* What of @events a file reports now. */
static inline short polled(int fd, short events)
{
	struct pollfd pollfd = { .fd = fd, .events = events };

	return poll(&pollfd, 1, 0) < 0 ? -1 : pollfd.revents;
}

/* The CRC-32C of some bytes, as RFC 3720 has it, bit by bit. */
static inline __u32 crc32c(const void *bytes, size_t length)
{
	const unsigned char *byte = bytes;
	__u32 crc = ~0U;

	while (length--) {
		crc ^= *byte++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
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

/* Writes a file of the kernel's, such as a setting in debugfs. Returns whether it took it. */
static inline bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return done;
}

/* Mounts a file system of the kernel's at @at unless @file, which is on it, is there. */
static inline void need_mount(const char *type, const char *at, const char *file)
{
	if (access(file, F_OK))
		mount(type, at, type, 0, NULL);
}

static inline int device_open(void)
{
	return open(DEVICE_PATH, O_RDWR | O_CLOEXEC);
}

/* For whatever a queue can be asked for; the id is in @create. */
static inline int queue_create_with(int device, struct vfence_queue_create *create)
{
	return ioctl(device, VFENCE_IOCTL_QUEUE_CREATE, create);
}

/* Refused with EFAULT, late: the argument can be read, but not written. */
static inline int queue_create_unseen(int device, __u32 kind)
{
	struct vfence_queue_create create = { .kind = kind };
	struct vfence_queue_create *argument = read_only(&create, sizeof(create));
	int ret, error;

	ret = argument ? queue_create_with(device, argument) : 0;
	error = errno;
	munmap(argument, sizeof(create));
	errno = error;
	return ret;
}

/* Returns the id of the new queue; 0, which is no id, when refused. */
static inline __u32 queue_with(int device, struct vfence_queue_create create)
{
	return queue_create_with(device, &create) ? 0 : create.queue;
}

static inline __u32 queue_create(int device, __u32 kind, const char *name)
{
	struct vfence_queue_create create = { .kind = kind };

	snprintf(create.name, sizeof(create.name), "%s", name);
	return queue_with(device, create);
}

static inline __u32 timer_queue(int device)
{
	return queue_create(device, VFENCE_QUEUE_TIMER, "timer");
}

static inline __u32 manual_queue(int device)
{
	return queue_create(device, VFENCE_QUEUE_MANUAL, "manual");
}

static inline __u32 worker_queue(int device)
{
	return queue_create(device, VFENCE_QUEUE_WORKER, "worker");
}

static inline int queue_destroy(int device, __u32 queue)
{
	struct vfence_queue_destroy destroy = { .queue = queue };

	return ioctl(device, VFENCE_IOCTL_QUEUE_DESTROY, &destroy);
}

static inline int queue_info(int device, __u32 queue, struct vfence_queue_info *info)
{
	memset(info, 0, sizeof(*info));
	info->queue = queue;
	return ioctl(device, VFENCE_IOCTL_QUEUE_INFO, info);
}

/* Returns the sequence number of the last job; U64_MAX when refused. */
static inline __u64 queue_submitted(int device, __u32 queue)
{
	struct vfence_queue_info info;

	return queue_info(device, queue, &info) ? UINT64_MAX : info.submitted;
}

static inline __u64 queue_completed(int device, __u32 queue)
{
	struct vfence_queue_info info;

	return queue_info(device, queue, &info) ? UINT64_MAX : info.completed;
}

/* Submits a job with in-fences and returns its out-fence. */
static inline int submit_waiting(int device, __u32 queue, __u64 duration_ns,
				 const __s32 *in_fences, __u32 count)
{
	struct vfence_submit submit = {
		.queue = queue,
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.duration_ns = duration_ns,
		.in_fences = ptr_to_u64(in_fences),
		.in_fence_count = count,
	};

	if (ioctl(device, VFENCE_IOCTL_SUBMIT, &submit))
		return -1;
	return submit.out_fence;
}

static inline int submit_after(int device, __u32 queue, __u64 duration_ns, __s32 in_fence)
{
	return submit_waiting(device, queue, duration_ns, &in_fence, 1);
}

static inline int submit(int device, __u32 queue, __u64 duration_ns)
{
	return submit_waiting(device, queue, duration_ns, NULL, 0);
}

/* For what else a job can be asked for; the sequence number and the out-fence are in @job. */
static inline int submit_job(int device, struct vfence_submit *job)
{
	return ioctl(device, VFENCE_IOCTL_SUBMIT, job);
}

/* @refused, which may be NULL, gets the index of the job that is. */
static inline int submit_batch(int device, struct vfence_submit *jobs, __u32 count,
			       __u32 *refused)
{
	struct vfence_submit_batch batch = {
		.jobs = ptr_to_u64(jobs),
		.count = count,
		.job_size = sizeof(*jobs),
	};
	int ret = ioctl(device, VFENCE_IOCTL_SUBMIT_BATCH, &batch);

	if (refused)
		*refused = batch.refused;
	return ret;
}

/* Submits jobs like @job until the queue is full. Returns how many, or -1. */
static inline int fill_queue(int device, struct vfence_submit job)
{
	static struct vfence_submit jobs[VFENCE_MAX_BATCH];
	struct vfence_query query = { 0 };
	struct vfence_queue_info info;
	__u32 room, left, count;

	if (ioctl(device, VFENCE_IOCTL_QUERY, &query) || queue_info(device, job.queue, &info))
		return -1;
	for (__u32 i = 0; i < VFENCE_MAX_BATCH; i++)
		jobs[i] = job;
	room = query.max_jobs - (info.submitted - info.completed);
	for (left = room; left; left -= count) {
		count = left < VFENCE_MAX_BATCH ? left : VFENCE_MAX_BATCH;
		if (submit_batch(device, jobs, count, NULL))
			return -1;
	}
	return room;
}

/* Waits until a device, whose descriptor @data points to, has room for a job: for a thread. Returns what poll() does. */
static inline void *poll_for_room(void *data)
{
	struct pollfd pollfd = { .fd = *(int *)data, .events = POLLOUT };

	return (void *)(long)poll(&pollfd, 1, PATIENCE_MS);
}

/* @timeout_ns is a point in time. */
static inline int wait_point(int device, __u32 queue, __u64 seqno, __u64 timeout_ns)
{
	struct vfence_point point = { .queue = queue, .seqno = seqno };
	struct vfence_wait wait = {
		.points = ptr_to_u64(&point),
		.count = 1,
		.timeout_ns = timeout_ns,
	};

	return ioctl(device, VFENCE_IOCTL_WAIT, &wait);
}

/* Waits until all jobs of a queue so far have completed. */
static inline int wait_idle(int device, __u32 queue)
{
	return wait_point(device, queue, queue_submitted(device, queue),
			  now_ns() + PATIENCE_MS * MSEC);
}

static inline int export_fence(int device, __u32 queue, __u64 seqno)
{
	struct vfence_export export = { .queue = queue, .seqno = seqno };

	return ioctl(device, VFENCE_IOCTL_EXPORT, &export) ? -1 : export.fence;
}

static inline int job_info(int device, __u32 queue, __u64 seqno, struct vfence_job_info *info)
{
	memset(info, 0, sizeof(*info));
	info->queue = queue;
	info->seqno = seqno;
	return ioctl(device, VFENCE_IOCTL_JOB_INFO, info);
}

/* The same, of a job that is known to be there. */
static inline struct vfence_job_info job_of(int device, __u32 queue, __u64 seqno)
{
	struct vfence_job_info info;

	job_info(device, queue, seqno, &info);
	return info;
}

/* @resets, which may be NULL, gets how often the queue has been. */
static inline int queue_reset(int device, __u32 queue, __u64 *resets)
{
	struct vfence_queue_reset reset = { .queue = queue };
	int ret = ioctl(device, VFENCE_IOCTL_QUEUE_RESET, &reset);

	if (resets)
		*resets = reset.resets;
	return ret;
}

static inline int set_faults(int device, __u32 queue, __u64 seed,
			     const struct vfence_fault *faults, __u32 count)
{
	struct vfence_queue_faults plan = {
		.queue = queue,
		.seed = seed,
		.faults = ptr_to_u64(faults),
		.count = count,
		.fault_size = sizeof(*faults),
	};

	return ioctl(device, VFENCE_IOCTL_QUEUE_FAULTS, &plan);
}

/* Returns a dma-buf of @size bytes, rounded up. */
static inline int buffer_create(int device, __u64 size)
{
	struct vfence_buffer_create create = { .size = size };

	return ioctl(device, VFENCE_IOCTL_BUFFER_CREATE, &create) ? -1 : create.fd;
}

/* Waits for an event. */
static inline int read_event(int device, struct vfence_event *event)
{
	return read(device, event, sizeof(*event)) == sizeof(*event) ? 0 : -1;
}

/*
 * Runs @count jobs of @low_ns to @high_ns, submitted as one batch in the memory @jobs, and reads their events.
 */
static inline int run_jobs(int device, __u32 queue, __u32 count, __u64 low_ns, __u64 high_ns,
			   struct vfence_submit *jobs, struct vfence_event *events)
{
	for (__u32 i = 0; i < count; i++)
		jobs[i] = (struct vfence_submit) {
			.queue = queue,
			.flags = VFENCE_SUBMIT_EVENT,
			.duration_ns = low_ns,
			.duration_max_ns = high_ns,
		};
	if (submit_batch(device, jobs, count, NULL))
		return -1;
	for (__u32 i = 0; i < count; i++)
		if (read_event(device, &events[i]))
			return -1;
	return 0;
}

static inline const volatile struct vfence_counters *map_counters(int device, __u64 offset)
{
	return mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, device, offset);
}

static inline int set_deadline(int fence, __u64 deadline_ns)
{
	struct sync_set_deadline deadline = { .deadline_ns = deadline_ns };

	return ioctl(fence, SYNC_IOC_SET_DEADLINE, &deadline);
}

/* Returns how many jobs of a manual queue have been completed by this. */
static inline int signal_seqno(int device, __u32 queue, __u64 seqno, __s32 error)
{
	struct vfence_signal signal = {
		.queue = queue,
		.seqno = seqno,
		.error = error,
	};

	if (ioctl(device, VFENCE_IOCTL_SIGNAL, &signal))
		return -1;
	return signal.completed;
}

/* The short calls. Returns the out-fence. */
static inline int create_fence(int device, __u32 queue)
{
	return ioctl(device, VFENCE_IOCTL_CREATE_FENCE, queue);
}

/* Returns how many jobs of a manual queue have been completed by this: one, if there was one. */
static inline int signal_next(int device, __u32 queue)
{
	return ioctl(device, VFENCE_IOCTL_SIGNAL_NEXT, queue);
}

/* Describes a sync_file of a single fence. */
static inline int fence_info(int fence, struct sync_fence_info *info)
{
	struct sync_file_info file = {
		.num_fences = 1,
		.sync_fence_info = ptr_to_u64(info),
	};

	memset(info, 0, sizeof(*info));
	return ioctl(fence, SYNC_IOC_FILE_INFO, &file);
}

/* Returns 0: pending, 1: signalled, or the negative errno; INT_MIN when refused. */
static inline int fence_status(int fence)
{
	struct sync_file_info file = { 0 };

	return ioctl(fence, SYNC_IOC_FILE_INFO, &file) ? INT_MIN : file.status;
}

/* Waits for a fence and returns its status. */
static inline int fence_wait(int fence)
{
	struct pollfd pollfd = { .fd = fence, .events = POLLIN };

	return poll(&pollfd, 1, PATIENCE_MS) < 0 ? INT_MIN : fence_status(fence);
}

static inline __u64 fence_timestamp(int fence)
{
	struct sync_fence_info info;

	return fence_info(fence, &info) ? 0 : info.timestamp_ns;
}

static inline int fence_merge(int one, int other)
{
	struct sync_merge_data merge = { .name = "merged", .fd2 = other };

	return ioctl(one, SYNC_IOC_MERGE, &merge) ? -1 : merge.fence;
}

/* Sends a queue's id, and a file descriptor with it. */
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

#endif /* VFENCE_TEST_H */
