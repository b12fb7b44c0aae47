/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Makes the suites of /dev/vfence suites of the DRM device: included before all else, it has device_open() open the
 * render node, and calls of the device go by the numbers that they have there, submissions in their wrapping.
 */
#ifndef ON_DRM_H
#define ON_DRM_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <errno.h>
#include <drm/vfence_drm.h>

/* Returns the path of the render node of the driver vfence. */
static inline const char *on_drm_path(void)
{
	static char path[32];

	for (int i = 128; i < 144; i++) {
		char name[16] = "";
		struct drm_version version = { .name = name, .name_len = sizeof(name) - 1 };
		int node, ret;

		snprintf(path, sizeof(path), "/dev/dri/renderD%d", i);
		node = open(path, O_RDWR | O_CLOEXEC);
		if (node < 0)
			continue;
		ret = ioctl(node, DRM_IOCTL_VERSION, &version);
		close(node);
		if (!ret && !strcmp(name, "vfence"))
			return path;
	}
	return "/dev/dri/none";
}

#define DEVICE_PATH on_drm_path()
#define MODULE "vfence_drm"

/*
 * Copies what may not be there, as the kernel does: memory that cannot be accessed is an error and no more. The kernel is what copies
 * it, to a pipe and back; without a descriptor for that, it has to be there.
 */
static inline int on_drm_copy(void *to, const void *from, size_t size)
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

static inline int on_drm_submit_batch(int fd, unsigned int number, void *argument)
{
	struct vfence_submit_batch batch, wrapped;
	struct drm_vfence_submit *jobs;
	int ret, error;

	if (_IOC_SIZE(number) != sizeof(batch) ||
	    on_drm_copy(&batch, argument, sizeof(batch)))
		return ioctl(fd, DRM_VFENCE_IOCTL(number), argument);
	wrapped = batch;
	jobs = calloc(VFENCE_MAX_BATCH, sizeof(*jobs));
	for (__u32 i = 0; jobs && i < batch.count && i < VFENCE_MAX_BATCH; i++)
		jobs[i] = (struct drm_vfence_submit) {
			.job = batch.jobs + (__u64)i * batch.job_size,
			.job_size = batch.job_size,
		};
	wrapped.jobs = (uintptr_t)jobs;
	wrapped.job_size = sizeof(*jobs);
	ret = ioctl(fd, DRM_IOCTL_VFENCE_SUBMIT_BATCH, &wrapped);
	error = errno;
	free(jobs);
	batch.refused = wrapped.refused;
	if (on_drm_copy(argument, &batch, sizeof(batch)) && !ret) {
		ret = -1;
		error = EFAULT;
	}
	errno = error;
	return ret;
}

static inline int on_drm_ioctl(int fd, unsigned long number, void *argument)
{
	struct drm_vfence_submit submit = {
		.job = (uintptr_t)argument, .job_size = _IOC_SIZE(number),
	};

	int ret;

	if (_IOC_TYPE(number) != VFENCE_IOCTL_TYPE)
		return ioctl(fd, number, argument);
	switch (_IOC_NR(number)) {
	case _IOC_NR(VFENCE_IOCTL_SUBMIT):
		ret = ioctl(fd, DRM_IOCTL_VFENCE_SUBMIT, &submit);
		break;
	case _IOC_NR(VFENCE_IOCTL_SUBMIT_BATCH):
		ret = on_drm_submit_batch(fd, number, argument);
		break;
	default:
		return ioctl(fd, DRM_VFENCE_IOCTL(number), argument);
	}
	/* That is the one errno that differs. */
	if (ret && errno == EBUSY)
		errno = EAGAIN;
	return ret;
}

#define ioctl(fd, number, ...) on_drm_ioctl(fd, number, (void *)(uintptr_t)(__VA_ARGS__ + 0))

#endif /* ON_DRM_H */
