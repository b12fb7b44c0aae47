/* SPDX-License-Identifier: GPL-2.0 */
/* Jobs of the render node that are late or fail, for the suites about other consumers. */
#ifndef CLIENTS_FIXTURE_H
#define CLIENTS_FIXTURE_H

#include "lib/test.h"
#include "user.h"

/* How long a consumer is observed to wait for a fence that is pending. */
#define LATE_MS 200
/* The timeout of the queue on which a job hangs. */
#define HANG_MS 300

enum ending { LATE, FAILS, HANGS };

/* Describes how the fence of pending_fence() signals, as a variant of a fixture. */
struct outcome {
	enum ending ending;
	/* The status of the fence. */
	int status;
};

/* Runs each case of a fixture with a fence that is late, fails, and hangs. */
#define FIXTURE_VARIANTS_OF_OUTCOMES(fixture_name) \
	FIXTURE_VARIANT(fixture_name) { struct outcome outcome; }; \
	FIXTURE_VARIANT_ADD(fixture_name, late) { .outcome = { LATE, 1 } }; \
	FIXTURE_VARIANT_ADD(fixture_name, error) { .outcome = { FAILS, -EIO } }; \
	FIXTURE_VARIANT_ADD(fixture_name, hang) { .outcome = { HANGS, -ETIMEDOUT } }

/* Returns a fence that is pending, and signals after a while as @outcome says. */
static inline int pending_fence(int device, const struct outcome *outcome)
{
	struct vfence_queue_create create = {
		.kind = VFENCE_QUEUE_TIMER,
		.timeout_ns = outcome->ending == HANGS ? HANG_MS * MSEC : 0,
	};
	struct vfence_submit job = {
		.queue = queue_with(device, create),
		.flags = VFENCE_SUBMIT_OUT_FENCE,
		.duration_ns = LATE_MS * MSEC,
		.error = outcome->ending == FAILS ? outcome->status : 0,
	};

	if (outcome->ending == HANGS)
		job.flags |= VFENCE_SUBMIT_HANG;
	return submit_job(device, &job) ? -1 : job.out_fence;
}

/*
 * Submits a job that fills a dma-buf and ends @duration_ns after @in_fence, unless that is -1, has
 * signalled. Returns its out-fence.
 */
static inline int fill_buffer(int device, int buffer, __u64 size, __u32 pattern,
			      __u64 duration_ns, __s32 in_fence)
{
	struct vfence_use use = { .fd = buffer, .flags = VFENCE_USE_WRITE };
	struct vfence_operation fill = {
		.kind = VFENCE_OPERATION_FILL,
		.length = size,
		.pattern = pattern,
		.pattern_size = sizeof(pattern),
	};
	struct vfence_submit job =
		buffer_job(worker_queue(device), VFENCE_SUBMIT_OUT_FENCE, &use, 1, &fill, 1);

	job.duration_ns = duration_ns;
	job.in_fences = ptr_to_u64(&in_fence);
	job.in_fence_count = in_fence >= 0;
	return submit_job(device, &job) ? -1 : job.out_fence;
}

/*
 * Runs the cases as an ordinary user. With @driver, a module, it is loaded first, and the user is
 * also of the group video, to which its nodes belong.
 */
static inline int run_as_user(const char *driver, int argc, char **argv)
{
	char command[64];

	snprintf(command, sizeof(command), "modprobe %s", driver ? driver : "");
	if (driver && system(command)) {
		printf("# %s has failed\n", command);
		return 1;
	}
	return become_user(driver) || test_harness_run(argc, argv);
}

#endif /* CLIENTS_FIXTURE_H */
