/* SPDX-License-Identifier: GPL-2.0 */
/* Jobs: submit, signal, wait, export, describe. */
#ifndef LIB_JOB_H
#define LIB_JOB_H

#include "lib/queue.h"

/* Submits a job with in-fences. Returns its out-fence. */
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

	if (device_ioctl(device, VFENCE_IOCTL_SUBMIT, &submit))
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

/* Submits a job with any fields; the kernel sets its seqno and out-fence. */
static inline int submit_job(int device, struct vfence_submit *job)
{
	return device_ioctl(device, VFENCE_IOCTL_SUBMIT, job);
}

/* @refused gets the index of the refused job; it may be NULL. */
static inline int submit_batch(int device, struct vfence_submit *jobs, __u32 count,
			       __u32 *refused)
{
	struct vfence_submit_batch batch = {
		.jobs = ptr_to_u64(jobs),
		.count = count,
		.job_size = sizeof(*jobs),
	};
	int ret = device_ioctl(device, VFENCE_IOCTL_SUBMIT_BATCH, &batch);

	if (refused)
		*refused = batch.refused;
	return ret;
}

/* Submits jobs like @job until the queue is full. Returns their number, or -1. */
static inline int fill_queue(int device, struct vfence_submit job)
{
	static struct vfence_submit jobs[VFENCE_MAX_BATCH];
	struct vfence_query query = { 0 };
	struct vfence_queue_info info;
	__u32 room, left, count;

	if (device_ioctl(device, VFENCE_IOCTL_QUERY, &query) ||
	    queue_info(device, job.queue, &info))
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

/* Returns the number of jobs that the call completed. */
static inline int signal_seqno(int device, __u32 queue, __u64 seqno, __s32 error)
{
	struct vfence_signal signal = {
		.queue = queue,
		.seqno = seqno,
		.error = error,
	};

	if (device_ioctl(device, VFENCE_IOCTL_SIGNAL, &signal))
		return -1;
	return signal.completed;
}

/* The fast ioctls. Returns the out-fence. */
static inline int create_fence(int device, __u32 queue)
{
	return ioctl(device, VFENCE_IOCTL_CREATE_FENCE, queue);
}

/* Returns the number of jobs that the call completed: 1 or 0. */
static inline int signal_next(int device, __u32 queue)
{
	return ioctl(device, VFENCE_IOCTL_SIGNAL_NEXT, queue);
}

/* @timeout_ns is absolute. */
static inline int wait_point(int device, __u32 queue, __u64 seqno, __u64 timeout_ns)
{
	struct vfence_point point = { .queue = queue, .seqno = seqno };
	struct vfence_wait wait = {
		.points = ptr_to_u64(&point),
		.count = 1,
		.timeout_ns = timeout_ns,
	};

	return device_ioctl(device, VFENCE_IOCTL_WAIT, &wait);
}

/* Waits for a job that must complete. */
static inline int wait_job(int device, __u32 queue, __u64 seqno)
{
	return wait_point(device, queue, seqno, patience());
}

/* Waits for all jobs of a queue so far. */
static inline int wait_idle(int device, __u32 queue)
{
	return wait_job(device, queue, queue_submitted(device, queue));
}

static inline int export_fence(int device, __u32 queue, __u64 seqno)
{
	struct vfence_export export = { .queue = queue, .seqno = seqno };

	return device_ioctl(device, VFENCE_IOCTL_EXPORT, &export) ? -1 : export.fence;
}

static inline int job_info(int device, __u32 queue, __u64 seqno, struct vfence_job_info *info)
{
	memset(info, 0, sizeof(*info));
	info->queue = queue;
	info->seqno = seqno;
	return device_ioctl(device, VFENCE_IOCTL_JOB_INFO, info);
}

/* Describes a job that must exist. */
static inline struct vfence_job_info job_of(int device, __u32 queue, __u64 seqno)
{
	struct vfence_job_info info;

	job_info(device, queue, seqno, &info);
	return info;
}

#endif /* LIB_JOB_H */
