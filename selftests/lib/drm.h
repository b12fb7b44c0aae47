/* SPDX-License-Identifier: GPL-2.0 */
/* The calls of vfence_drm that /dev/vfence lacks, and libdrm's syncobj calls for one syncobj. */
#ifndef LIB_DRM_H
#define LIB_DRM_H

#include <xf86drm.h>
#include <drm/vfence_drm.h>
#include "lib/drm_node.h"
#include "lib/test.h"

/* Returns a job with its syncobjs. */
static inline struct drm_vfence_submit drm_job(struct vfence_submit *job,
						       const struct drm_vfence_sync *in,
						       __u32 in_count,
						       const struct drm_vfence_sync *out,
						       __u32 out_count)
{
	return (struct drm_vfence_submit) {
		.job = ptr_to_u64(job),
		.job_size = sizeof(*job),
		.sync_size = sizeof(*in),
		.in_syncs = ptr_to_u64(in),
		.out_syncs = ptr_to_u64(out),
		.in_sync_count = in_count,
		.out_sync_count = out_count,
	};
}

/* Submits a job that waits for at most one syncobj and signals at most one. */
static inline int drm_submit(int node, struct vfence_submit *job,
				const struct drm_vfence_sync *in,
				const struct drm_vfence_sync *out)
{
	struct drm_vfence_submit submit = drm_job(job, in, !!in, out, !!out);

	return ioctl(node, DRM_IOCTL_VFENCE_SUBMIT, &submit);
}

static inline int drm_submit_batch(int node, struct drm_vfence_submit *jobs, __u32 count,
				      __u32 *refused)
{
	struct vfence_submit_batch batch = {
		.jobs = ptr_to_u64(jobs),
		.count = count,
		.job_size = sizeof(*jobs),
	};
	int ret = ioctl(node, DRM_IOCTL_VFENCE_SUBMIT_BATCH, &batch);

	if (refused)
		*refused = batch.refused;
	return ret;
}

/* Puts a fence with an error into syncobjs. */
static inline int syncobjs_fail(int node, const struct drm_vfence_sync *syncs, __u32 count,
				int error)
{
	struct drm_vfence_syncobj_signal signal = {
		.syncs = ptr_to_u64(syncs),
		.sync_count = count,
		.sync_size = sizeof(*syncs),
		.error = error,
	};

	return ioctl(node, DRM_IOCTL_VFENCE_SYNCOBJ_SIGNAL, &signal);
}

/* Returns a new syncobj, or 0. */
static inline __u32 syncobj_create(int node)
{
	__u32 handle;

	return drmSyncobjCreate(node, 0, &handle) ? 0 : handle;
}

/*
 * Waits for a point, or with point 0 for a binary syncobj. Returns 0 or a negative errno, as libdrm
 * does.
 */
static inline int syncobj_wait_until(int node, __u32 handle, __u64 point, __u32 flags,
				     int64_t until)
{
	uint64_t points[] = { point };

	return drmSyncobjTimelineWait(node, &handle, points, 1, until, flags, NULL);
}

static inline int syncobj_wait(int node, __u32 handle, __u64 point)
{
	return syncobj_wait_until(node, handle, point, 0, patience());
}

/* Returns 1 if a point has signalled, 0 if not, or a negative errno if it has no fence. */
static inline int syncobj_signalled(int node, __u32 handle, __u64 point)
{
	int ret = syncobj_wait_until(node, handle, point, 0, 0);

	return ret == -ETIME ? 0 : ret ? ret : 1;
}

/* Returns a sync_file of the fence in a syncobj. */
static inline int syncobj_export(int node, __u32 handle)
{
	int fence;

	return drmSyncobjExportSyncFile(node, handle, &fence) ? -1 : fence;
}

/* Returns a sync_file of the fence at a point, by way of a binary syncobj. */
static inline int syncobj_export_point(int node, __u32 handle, __u64 point)
{
	__u32 binary = syncobj_create(node);
	int fence = -1;

	if (binary && !drmSyncobjTransfer(node, binary, 0, handle, point, 0))
		fence = syncobj_export(node, binary);
	drmSyncobjDestroy(node, binary);
	return fence;
}

/*
 * Returns the status of the first fence of a sync_file. For a point that is the fence of its own
 * job; the status of the sync_file is that of the chain, which has no error.
 */
static inline int first_status(int fence)
{
	struct sync_fence_info infos[16];
	struct sync_file_info file = {
		.num_fences = ARRAY_LEN(infos),
		.sync_fence_info = ptr_to_u64(infos),
	};

	return ioctl(fence, SYNC_IOC_FILE_INFO, &file) || !file.num_fences ? INT_MIN
									    : infos[0].status;
}

static inline __u64 syncobj_query(int node, __u32 handle, __u32 flags)
{
	uint64_t point = UINT64_MAX;

	return drmSyncobjQuery2(node, &handle, &point, 1, flags) ? UINT64_MAX : point;
}

/* Creates a GEM object. Returns its handle, or 0. */
static inline __u32 gem_create(int node, struct drm_vfence_gem_create *create)
{
	return ioctl(node, DRM_IOCTL_VFENCE_GEM_CREATE, create) ? 0 : create->handle;
}

static inline void *gem_map(int node, __u64 offset, size_t length)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, node, offset);
}

#endif /* LIB_DRM_H */
