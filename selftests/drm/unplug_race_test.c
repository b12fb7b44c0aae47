// SPDX-License-Identifier: GPL-2.0
/* Calls, and the death of clients, that race with the loss of the DRM device. */
#include <pthread.h>
#include <sys/resource.h>
#include "drm/unplug.h"

/* Calls that race with the loss of the device: all fences that they return end. */
struct racer {
	pthread_t thread;
	pthread_barrier_t *begun;
	int node;
	__u32 kind;
	int (*call)(struct racer *racer, __u32 queue, __u32 syncobj);
	int fences[1024];
	size_t count;
	/* The errno of the call that failed. */
	int error;
};

static int keep(struct racer *racer, int fence)
{
	if (fence < 0)
		return -1;
	racer->fences[racer->count++] = fence;
	return 0;
}

static int race_to_submit(struct racer *racer, __u32 queue, __u32 syncobj)
{
	struct vfence_submit jobs[8];

	(void)syncobj;
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		jobs[i] = (struct vfence_submit) {
			.queue = queue, .flags = VFENCE_SUBMIT_OUT_FENCE,
		};
	if (submit_batch(racer->node, jobs, ARRAY_LEN(jobs), NULL))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		keep(racer, jobs[i].out_fence);
	return 0;
}

/* Some queues are created after the others have lost the device. */
static int race_to_create(struct racer *racer, __u32 queue, __u32 syncobj)
{
	(void)queue;
	(void)syncobj;
	queue = queue_create(racer->node, racer->kind, "late");
	if (!queue || keep(racer, submit(racer->node, queue, 0)))
		return -1;
	return queue_destroy(racer->node, queue);
}

/* Waits for a point that is never submitted. */
static int race_to_wait(struct racer *racer, __u32 queue, __u32 syncobj)
{
	struct vfence_submit job = { .queue = queue };
	struct drm_vfence_sync in = {
		.handle = syncobj, .flags = DRM_VFENCE_SYNC_WAIT_FOR_SUBMIT, .point = 1,
	};
	int ret;

	if (keep(racer, submit(racer->node, queue, 300 * SEC)))
		return -1;
	ret = drm_submit(racer->node, &job, &in, NULL);
	return ret && errno == ETIME ? 0 : ret;
}

static void *race(void *data)
{
	struct racer *racer = data;
	__u32 queue = queue_create(racer->node, racer->kind, "racer");
	__u32 syncobj = syncobj_create(racer->node);

	pthread_barrier_wait(racer->begun);
	while (racer->count + 8 <= ARRAY_LEN(racer->fences))
		if (racer->call(racer, queue, syncobj)) {
			racer->error = errno;
			break;
		}
	return NULL;
}

TEST_F_TIMEOUT(unplug, no_fence_is_pending_after_a_race, 300)
{
	const struct {
		__u32 kind;
		int (*call)(struct racer *racer, __u32 queue, __u32 syncobj);
	} kinds[] = {
		{ VFENCE_QUEUE_TIMER, race_to_submit }, { VFENCE_QUEUE_TIMER, race_to_create },
		{ VFENCE_QUEUE_TIMER, race_to_wait }, { VFENCE_QUEUE_WORKER, race_to_submit },
		{ VFENCE_QUEUE_WORKER, race_to_create }, { VFENCE_QUEUE_WORKER, race_to_wait },
		{ VFENCE_QUEUE_MANUAL, race_to_submit }, { VFENCE_QUEUE_MANUAL, race_to_create },
	};
	static struct racer racers[ARRAY_LEN(kinds)];
	struct rlimit files = { 65536, 65536 };

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	for (int round = 0; round < 10; round++) {
		pthread_barrier_t begun;

		pthread_barrier_init(&begun, NULL, ARRAY_LEN(racers) + 1);
		for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
			racers[i] = (struct racer) {
				.begun = &begun, .kind = kinds[i].kind, .call = kinds[i].call,
				/* Some share an open file. */
				.node = i % 2 ? dup(self->node) : reopen(self->node),
			};
			ASSERT_LE(0, racers[i].node);
			ASSERT_EQ(0, pthread_create(&racers[i].thread, NULL, race, &racers[i]));
		}
		pthread_barrier_wait(&begun);
		usleep(round * 1000);
		EXPECT_EQ(0, command(round % 3 == 2 ? "wedge" : "unplug"));
		for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
			struct racer *racer = &racers[i];

			ASSERT_EQ(0, pthread_join(racer->thread, NULL));
			if (racer->error)
				EXPECT_EQ(round % 3 == 2 ? EIO : ENODEV, racer->error);
			for (size_t j = 0; j < racer->count; j++) {
				EXPECT_NE(0, fence_wait(racer->fences[j]));
				close(racer->fences[j]);
			}
			close(racer->node);
		}
		pthread_barrier_destroy(&begun);
		close(self->node);
		if (round % 3 == 2)
			ASSERT_EQ(0, command("unplug"));
		ASSERT_EQ(0, command("plug"));
		self->node = open_soon(variant->kind);
		ASSERT_LE(0, self->node);
	}
}

/* Clients are killed at the moment in which they lose the device. */
TEST_F_TIMEOUT(unplug, killed_clients_leave_nothing, 300)
{
	for (int round = 0; round < 10; round++) {
		pthread_barrier_t alone;
		struct racer racer = {
			.begun = &alone, .call = round % 2 ? race_to_submit : race_to_create,
			.kind = 1 + round % 3, .node = self->node,
		};
		pid_t child, killer;

		pthread_barrier_init(&alone, NULL, 1);
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			race(&racer);
			pause();
		}
		usleep(2000 + round * 1000);
		close(self->node);
		killer = fork();
		ASSERT_LE(0, killer);
		if (!killer)
			_exit(kill(child, SIGKILL) ? 1 : 0);
		EXPECT_EQ(0, command("unplug"));
		EXPECT_EQ(0, child_status(killer));
		EXPECT_EQ(-SIGKILL, child_status(child));
		ASSERT_EQ(0, command("plug"));
		self->node = open_soon(variant->kind);
		ASSERT_LE(0, self->node);
	}
}

TEST_HARNESS_MAIN
