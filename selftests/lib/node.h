/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two nodes that take the ioctls of <linux/vfence.h>: /dev/vfence, and the render node of
 * vfence_drm. device_ioctl() gives a call the form of the node on which the descriptor is open, so
 * that a suite runs unchanged on both: see FIXTURE_VARIANTS_OF_NODES().
 */
#ifndef LIB_NODE_H
#define LIB_NODE_H

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <drm/vfence_drm.h>
#include "lib/drm_node.h"
#include "lib/memory.h"

#define MISC_PATH "/dev/vfence"
/* Character devices of this major number are DRM nodes. */
#define DRM_MAJOR 226

struct node {
	/* The module that creates the node. */
	const char *module;
	int (*open)(void);
	int (*ioctl)(int device, unsigned int number, void *argument);
};

/* Opens /dev/vfence. */
static inline int device_open(void)
{
	return open(MISC_PATH, O_RDWR | O_CLOEXEC);
}

static inline int misc_ioctl(int device, unsigned int number, void *argument)
{
	return ioctl(device, number, argument);
}

static const struct node misc_node __attribute__((unused)) = {
	.module = "vfence", .open = device_open, .ioctl = misc_ioctl,
};

/* Opens the render node of vfence_drm. */
static inline int render_open(void)
{
	return drm_node_open("renderD", "vfence");
}

/*
 * Copies memory that may be inaccessible. Returns -1 where memcpy() would fault: the kernel copies
 * it, to a pipe and back. Without two free descriptors the memory must be accessible.
 */
static inline int copy_user(void *to, const void *from, size_t size)
{
	int fds[2];
	int ret = -1;

	if (pipe(fds)) {
		memcpy(to, from, size);
		return 0;
	}
	if (write(fds[1], from, size) == (ssize_t)size && read(fds[0], to, size) == (ssize_t)size)
		ret = 0;
	close(fds[0]);
	close(fds[1]);
	return ret;
}

/* VFENCE_IOCTL_SUBMIT_BATCH: wraps each job in a struct drm_vfence_submit. */
static inline int render_submit_jobs(int device, unsigned int number, void *argument)
{
	struct vfence_submit_batch batch, wrapped;
	struct drm_vfence_submit *jobs;
	int ret, error;

	if (_IOC_SIZE(number) != sizeof(batch) || copy_user(&batch, argument, sizeof(batch)))
		return ioctl(device, DRM_VFENCE_IOCTL(number), argument);
	wrapped = batch;
	jobs = calloc(VFENCE_MAX_BATCH, sizeof(*jobs));
	for (__u32 i = 0; jobs && i < batch.count && i < VFENCE_MAX_BATCH; i++)
		jobs[i] = (struct drm_vfence_submit) {
			.job = batch.jobs + (__u64)i * batch.job_size,
			.job_size = batch.job_size,
		};
	wrapped.jobs = ptr_to_u64(jobs);
	wrapped.job_size = sizeof(*jobs);
	ret = ioctl(device, DRM_IOCTL_VFENCE_SUBMIT_BATCH, &wrapped);
	error = errno;
	free(jobs);
	batch.refused = wrapped.refused;
	if (copy_user(argument, &batch, sizeof(batch)) && !ret) {
		ret = -1;
		error = EFAULT;
	}
	errno = error;
	return ret;
}

static inline int render_ioctl(int device, unsigned int number, void *argument)
{
	struct drm_vfence_submit submit = {
		.job = ptr_to_u64(argument), .job_size = _IOC_SIZE(number),
	};
	int ret;

	switch (_IOC_NR(number)) {
	case _IOC_NR(VFENCE_IOCTL_SUBMIT):
		ret = ioctl(device, DRM_IOCTL_VFENCE_SUBMIT, &submit);
		break;
	case _IOC_NR(VFENCE_IOCTL_SUBMIT_BATCH):
		ret = render_submit_jobs(device, number, argument);
		break;
	default:
		return ioctl(device, DRM_VFENCE_IOCTL(number), argument);
	}
	/* Submissions to a full queue fail with EBUSY here, and with EAGAIN on /dev/vfence. */
	if (ret && errno == EBUSY)
		errno = EAGAIN;
	return ret;
}

static const struct node render_node __attribute__((unused)) = {
	.module = "vfence_drm", .open = render_open, .ioctl = render_ioctl,
};

/* Returns the node on which @device is open. */
static inline const struct node *node_of(int device)
{
	struct stat stat;

	if (!fstat(device, &stat) && S_ISCHR(stat.st_mode) && major(stat.st_rdev) == DRM_MAJOR)
		return &render_node;
	return &misc_node;
}

/* Calls an ioctl of <linux/vfence.h> on either node. */
static inline int device_ioctl(int device, unsigned int number, void *argument)
{
	return node_of(device)->ioctl(device, number, argument);
}

/* Runs each case of a fixture on both nodes; a node that is missing fails its variant. */
#define FIXTURE_VARIANTS_OF_NODES(fixture_name) \
	FIXTURE_VARIANT(fixture_name) { const struct node *node; }; \
	FIXTURE_VARIANT_ADD(fixture_name, misc) { .node = &misc_node }; \
	FIXTURE_VARIANT_ADD(fixture_name, render) { .node = &render_node }

#endif /* LIB_NODE_H */
