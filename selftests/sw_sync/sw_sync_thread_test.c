// SPDX-License-Identifier: GPL-2.0
/* Threads that use one timeline concurrently. */
#include <pthread.h>
#include <sys/resource.h>
#include "sw_sync/fixture.h"

/* One thread increments; the others create fences and check them. */
struct race {
	int timeline;
	/* Lower and upper bound of the counter. */
	__u32 done, started;
	/* The number of creating threads that still run. */
	int left;
};

#define RACERS 3
#define RACES 300

static void *race_inc(void *argument)
{
	struct race *race = argument;

	while (__atomic_load_n(&race->left, __ATOMIC_SEQ_CST)) {
		__u32 next = __atomic_add_fetch(&race->started, 1, __ATOMIC_SEQ_CST);

		if (timeline_inc(race->timeline, 1))
			return "INC failed";
		__atomic_store_n(&race->done, next, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static const char *race_one(struct race *race, __u32 ahead)
{
	__u32 value = __atomic_load_n(&race->done, __ATOMIC_SEQ_CST) + ahead;
	int fence = fence_create(race->timeline, value);
	int status = 0;

	if (fence < 0)
		return "CREATE failed";
	for (int checks = 0; !status; checks++) {
		__u32 done = __atomic_load_n(&race->done, __ATOMIC_SEQ_CST);
		struct pollfd pollfd = { .fd = fence, .events = POLLIN };
		__u32 started;

		status = fence_status(fence);
		started = __atomic_load_n(&race->started, __ATOMIC_SEQ_CST);
		if (!status && (__s32)(done - value) >= 0)
			return "pending although its value is reached";
		if (status == 1 && (__s32)(started - value) < 0)
			return "signalled although its value is not reached";
		if (status != 0 && status != 1)
			return "failed";
		if (!status && checks >= 2 && poll(&pollfd, 1, PATIENCE_MS) != 1)
			return "the poller was not woken";
	}
	close(fence);
	return NULL;
}

static void *race_create(void *argument)
{
	struct race *race = argument;
	const char *problem = NULL;

	for (__u32 i = 0; i < RACES && !problem; i++)
		problem = race_one(race, i % 8);
	__atomic_sub_fetch(&race->left, 1, __ATOMIC_SEQ_CST);
	return (void *)problem;
}

TEST_F_TIMEOUT(sw_sync, threads_create_while_one_increments, 120)
{
	/* The counter wraps while the threads run. */
	const __u32 start = 0xffffff80;
	struct race race = {
		.timeline = self->timeline, .done = start, .started = start, .left = RACERS,
	};
	pthread_t threads[RACERS + 1];

	INC(start);
	for (int i = 0; i <= RACERS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, i ? race_create : race_inc, &race));
	for (int i = 0; i <= RACERS; i++) {
		void *problem;

		ASSERT_EQ(0, pthread_join(threads[i], &problem));
		EXPECT_EQ(NULL, problem)
			TH_LOG("%s", (const char *)problem);
	}
}

static void *increment(void *timeline)
{
	for (int i = 0; i < RACES; i++)
		if (timeline_inc(*(int *)timeline, 1))
			return "INC failed";
	return NULL;
}

TEST_F(sw_sync, threads_increment_without_loss)
{
	int fence = FENCE(4 * RACES), next = FENCE(4 * RACES + 1);
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, increment, &self->timeline));
	for (int i = 0; i < 4; i++) {
		void *problem;

		ASSERT_EQ(0, pthread_join(threads[i], &problem));
		EXPECT_EQ(NULL, problem);
	}
	/* No increment was lost. */
	EXPECT_EQ(1, fence_status(fence));
	EXPECT_EQ(0, fence_status(next));
}

static void *inc_by_64(void *timeline)
{
	return timeline_inc(*(int *)timeline, 64) ? "INC failed" : NULL;
}

/*
 * While one INC signals many fences, another thread creates the last value again and again. Once
 * its fence has signalled, all earlier fences have.
 */
TEST_F_TIMEOUT(sw_sync, threads_see_values_signal_in_order, 60)
{
	for (__u32 base = 0; base < 64 * 50; base += 64) {
		pthread_t thread;
		void *problem;
		int fences[64], status, before, fence;

		for (__u32 i = 0; i < 64; i++)
			fences[i] = FENCE(base + i + 1);
		ASSERT_EQ(0, pthread_create(&thread, NULL, inc_by_64, &self->timeline));
		do {
			fence = FENCE(base + 64);
			status = fence_status(fence);
			before = fence_status(fences[62]);
			close(fence);
		} while (!status);
		EXPECT_EQ(1, status);
		EXPECT_EQ(1, before);
		ASSERT_EQ(0, pthread_join(thread, &problem));
		ASSERT_EQ(NULL, problem);
		for (__u32 i = 0; i < 64; i++)
			close(fences[i]);
	}
}

static void *inc_half_the_circle(void *timeline)
{
	return timeline_inc(*(int *)timeline, INT_MAX) ? "INC failed" : NULL;
}

/* Enough fences that one INC takes a while on a fast kernel, and few enough for a slow one. */
#define CROWD 4000

/*
 * Two increments of half the range; the second starts while the first signals. The first must have
 * signalled its fences by then, since their values would be ahead of the counter again.
 */
TEST_F_TIMEOUT(sw_sync, threads_increment_across_the_range, 120)
{
	struct rlimit limit = { .rlim_cur = CROWD + 64, .rlim_max = CROWD + 64 };
	static int fences[CROWD];

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (int round = 0; round < 2; round++) {
		pthread_t thread;
		void *problem;

		for (__u32 i = 0; i < CROWD; i++) {
			fences[i] = FENCE(i + 1);
			ASSERT_EQ(0, polled(fences[i], POLLIN));
		}
		ASSERT_EQ(0, pthread_create(&thread, NULL, inc_half_the_circle, &self->timeline));
		while (!fence_status(fences[0]))
			;
		INC(INT_MAX);
		ASSERT_EQ(0, pthread_join(thread, &problem));
		ASSERT_EQ(NULL, problem);
		for (__u32 i = 0; i < CROWD; i++) {
			ASSERT_EQ(1, fence_status(fences[i]))
				TH_LOG("round %d, value %u", round, i + 1);
			close(fences[i]);
		}
		/* Back to 0. */
		INC(2);
	}
}

struct meeting {
	pthread_barrier_t barrier;
	int timeline;
	int fences[4][64];
};

struct guest {
	struct meeting *meeting;
	int number;
};

static void *create_same(void *argument)
{
	struct guest *guest = argument;
	struct meeting *meeting = guest->meeting;

	for (int i = 0; i < 64; i++) {
		pthread_barrier_wait(&meeting->barrier);
		meeting->fences[guest->number][i] = fence_create(meeting->timeline, i + 1);
	}
	return NULL;
}

TEST_F(sw_sync, threads_creating_one_value_share_a_fence)
{
	struct meeting meeting = { .timeline = self->timeline };
	struct guest guests[4];
	pthread_t threads[4];

	ASSERT_EQ(0, pthread_barrier_init(&meeting.barrier, NULL, 4));
	for (int i = 0; i < 4; i++) {
		guests[i] = (struct guest) { &meeting, i };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, create_same, &guests[i]));
	}
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	for (int value = 1; value <= 64; value++) {
		ASSERT_EQ(0, set_deadline(meeting.fences[value % 4][value - 1], value * SEC));
		for (int i = 0; i < 4; i++)
			EXPECT_EQ(value * SEC,
				  deadline_of(self->timeline, meeting.fences[i][value - 1]));
	}
}

static void *create_and_close(void *timeline)
{
	for (int i = 0; i < RACES; i++) {
		int fence = fence_create(*(int *)timeline, 1);

		if (fence < 0 || fence_status(fence) || close(fence))
			return "not a pending fence";
	}
	return NULL;
}

/* One thread drops the last reference while another takes one. */
TEST_F(sw_sync, threads_create_and_close_one_value)
{
	pthread_t threads[4];
	int fence;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, create_and_close, &self->timeline));
	for (int i = 0; i < 4; i++) {
		void *problem;

		ASSERT_EQ(0, pthread_join(threads[i], &problem));
		EXPECT_EQ(NULL, problem);
	}
	fence = FENCE(1);
	EXPECT_EQ(0, fence_status(fence));
	INC(1);
	EXPECT_EQ(1, fence_status(fence));
}

TEST_HARNESS_MAIN
