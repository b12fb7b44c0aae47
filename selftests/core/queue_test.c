// SPDX-License-Identifier: GPL-2.0
/* Queues: create, describe, destroy. */
#include "lib/test.h"

FIXTURE(queue)
{
	int device;
	__u32 max_queues;
};

FIXTURE_VARIANTS_OF_NODES(queue);

FIXTURE_SETUP(queue)
{
	struct vfence_query query = { 0 };

	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	self->max_queues = query.max_queues;
}

FIXTURE_TEARDOWN(queue)
{
	close(self->device);
}

TEST_F(queue, info_of_a_new_timer_queue)
{
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_TIMER, .name = "decode" };
	struct vfence_queue_info info;

	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_CREATE, &create));
	EXPECT_NE(0, create.queue);
	EXPECT_NE(0, create.context);
	ASSERT_EQ(0, queue_info(self->device, create.queue, &info));
	EXPECT_EQ(VFENCE_QUEUE_TIMER, info.kind);
	EXPECT_EQ(create.context, info.context);
	EXPECT_EQ(0, info.submitted);
	EXPECT_EQ(0, info.completed);
	EXPECT_STREQ("decode", info.name);
}

TEST_F(queue, info_of_a_new_manual_queue)
{
	struct vfence_queue_info info;
	__u32 queue = queue_create(self->device, VFENCE_QUEUE_MANUAL, "vblank");

	ASSERT_NE(0, queue);
	ASSERT_EQ(0, queue_info(self->device, queue, &info));
	EXPECT_EQ(VFENCE_QUEUE_MANUAL, info.kind);
	EXPECT_STREQ("vblank", info.name);
}

TEST_F(queue, info_counts_jobs)
{
	__u32 queue = manual_queue(self->device);

	for (__u64 seqno = 1; seqno <= 3; seqno++) {
		ASSERT_LE(0, submit(self->device, queue, 0));
		EXPECT_EQ(seqno, queue_submitted(self->device, queue));
		EXPECT_EQ(0, queue_completed(self->device, queue));
	}
	ASSERT_EQ(2, signal_seqno(self->device, queue, 2, 0));
	EXPECT_EQ(3, queue_submitted(self->device, queue));
	EXPECT_EQ(2, queue_completed(self->device, queue));
}

TEST_F(queue, info_ignores_output_fields)
{
	__u32 queue = timer_queue(self->device);
	struct vfence_queue_info info, other;

	memset(&info, 0xa5, sizeof(info));
	info.queue = queue;
	info.flags = 0;
	info.pad = 0;
	info.pad2 = 0;
	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_INFO, &info));
	ASSERT_EQ(0, queue_info(self->device, queue, &other));
	EXPECT_EQ(0, memcmp(&info, &other, sizeof(info)));
}

TEST_F(queue, create_ignores_output_fields)
{
	struct vfence_queue_create create;

	memset(&create, 0, sizeof(create));
	create.kind = VFENCE_QUEUE_TIMER;
	create.queue = ~0U;
	create.context = ~0ULL;
	create.counters_offset = ~0ULL;
	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_CREATE, &create));
	EXPECT_NE(~0U, create.queue);
	EXPECT_NE(~0ULL, create.context);
	EXPECT_NE(~0ULL, create.counters_offset);
}

TEST_F(queue, empty_name_becomes_the_id)
{
	struct vfence_queue_info info;
	char expected[VFENCE_NAME_LEN];

	for (int i = 0; i < 3; i++) {
		__u32 queue = queue_create(self->device, VFENCE_QUEUE_TIMER, "");

		ASSERT_EQ(0, queue_info(self->device, queue, &info));
		snprintf(expected, sizeof(expected), "queue%u", queue);
		EXPECT_STREQ(expected, info.name);
	}
}

TEST_F(queue, longest_name_is_accepted)
{
	static const char name[] = "0123456789012345678901234567890";
	struct vfence_queue_info info;

	_Static_assert(sizeof(name) == VFENCE_NAME_LEN, "with the NUL");
	ASSERT_EQ(0, queue_info(self->device,
				queue_create(self->device, VFENCE_QUEUE_TIMER, name), &info));
	EXPECT_STREQ(name, info.name);
}

TEST_F(queue, name_without_nul_is_refused)
{
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_TIMER };

	memset(create.name, 'x', sizeof(create.name));
	EXPECT_REFUSED(EINVAL, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_CREATE, &create));
}

TEST_F(queue, bytes_after_the_nul_are_ignored)
{
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_TIMER };
	struct vfence_queue_info info;

	memset(create.name, 'x', sizeof(create.name));
	create.name[3] = '\0';
	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_QUEUE_CREATE, &create));
	ASSERT_EQ(0, queue_info(self->device, create.queue, &info));
	EXPECT_STREQ("xxx", info.name);
	for (int i = 3; i < VFENCE_NAME_LEN; i++)
		EXPECT_EQ('\0', info.name[i]);
}

TEST_F(queue, names_need_not_be_unique)
{
	__u32 one = timer_queue(self->device), other = timer_queue(self->device);

	EXPECT_NE(0, one);
	EXPECT_NE(0, other);
	EXPECT_NE(one, other);
}

TEST_F(queue, unknown_kind_is_refused)
{
	static const __u32 kinds[] = { 0, 4, 5, 0x101, 0x80000001, ~0U };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct vfence_queue_create create = { .kind = kinds[i] };

		EXPECT_REFUSED(EINVAL,
			       device_ioctl(self->device, VFENCE_IOCTL_QUEUE_CREATE, &create));
	}
}

TEST_F(queue, contexts_are_unique)
{
	int device = variant->node->open();
	__u64 contexts[8];

	for (size_t i = 0; i < ARRAY_LEN(contexts); i++) {
		struct vfence_queue_create create = { .kind = VFENCE_QUEUE_TIMER };

		ASSERT_EQ(0, device_ioctl(i & 1 ? device : self->device,
					  VFENCE_IOCTL_QUEUE_CREATE, &create));
		contexts[i] = create.context;
		for (size_t j = 0; j < i; j++)
			EXPECT_NE(contexts[j], contexts[i]);
	}
}

TEST_F(queue, number_of_queues_is_limited)
{
	__u32 first = timer_queue(self->device);

	for (__u32 i = 1; i < self->max_queues; i++)
		ASSERT_NE(0, timer_queue(self->device));
	EXPECT_EQ(0, timer_queue(self->device));
	EXPECT_EQ(ENOSPC, errno);
	/* The limit applies to each client. */
	EXPECT_NE(0, timer_queue(variant->node->open()));
	ASSERT_EQ(0, queue_destroy(self->device, first));
	EXPECT_NE(0, timer_queue(self->device));
	EXPECT_EQ(0, timer_queue(self->device));
}

TEST_F(queue, refused_create_leaves_no_queue)
{
	for (__u32 kind = VFENCE_QUEUE_TIMER; kind <= VFENCE_QUEUE_WORKER; kind++)
		for (__u32 i = 0; i < self->max_queues; i++)
			EXPECT_REFUSED(EFAULT, queue_create_unseen(self->device, kind));
	for (__u32 i = 0; i < self->max_queues; i++)
		ASSERT_NE(0, timer_queue(self->device));
}

TEST_F(queue, ids_are_not_reused)
{
	__u32 last = 0;

	for (int i = 0; i < 10; i++) {
		__u32 queue = timer_queue(self->device);

		EXPECT_LT(last, queue);
		last = queue;
		ASSERT_EQ(0, queue_destroy(self->device, queue));
	}
}

static void expect_no_queue(struct __test_metadata *_metadata, int device, __u32 queue)
{
	struct vfence_queue_info info;

	EXPECT_REFUSED(ENOENT, queue_info(device, queue, &info));
	EXPECT_REFUSED(ENOENT, submit(device, queue, 0));
	EXPECT_REFUSED(ENOENT, signal_seqno(device, queue, 0, 0));
	EXPECT_REFUSED(ENOENT, queue_destroy(device, queue));
}

TEST_F(queue, unknown_id_is_refused)
{
	expect_no_queue(_metadata, self->device, 0);
	expect_no_queue(_metadata, self->device, 1);
	expect_no_queue(_metadata, self->device, ~0U);
}

TEST_F(queue, queue_of_another_client_is_refused)
{
	__u32 queue = manual_queue(self->device);
	int device = variant->node->open();

	expect_no_queue(_metadata, device, queue);
	EXPECT_EQ(0, queue_submitted(self->device, queue));
}

TEST_F(queue, destroyed_queue_is_refused)
{
	__u32 queue = manual_queue(self->device);

	ASSERT_EQ(0, queue_destroy(self->device, queue));
	expect_no_queue(_metadata, self->device, queue);
}

TEST_F(queue, destroyed_queue_is_refused_after_it_was_the_last_used)
{
	__u32 doomed = manual_queue(self->device), other = manual_queue(self->device);
	int fence = submit(self->device, doomed, 0);

	ASSERT_LE(0, fence);
	ASSERT_EQ(0, queue_destroy(self->device, doomed));
	expect_no_queue(_metadata, self->device, doomed);
	EXPECT_EQ(-ECANCELED, fence_status(fence));
	EXPECT_LE(0, submit(self->device, other, 0));
	EXPECT_EQ(1, queue_submitted(self->device, other));
}

TEST_F(queue, destroy_leaves_other_queues_alone)
{
	__u32 doomed = manual_queue(self->device), other = manual_queue(self->device);
	int fence = submit(self->device, other, 0);

	ASSERT_EQ(0, queue_destroy(self->device, doomed));
	EXPECT_EQ(0, fence_status(fence));
	EXPECT_EQ(1, signal_seqno(self->device, other, 1, 0));
	EXPECT_EQ(1, fence_status(fence));
}

/*
 * Destroys a queue whose pending jobs have @fences, oldest first, and expects -ECANCELED of each.
 */
static void expect_canceled(struct __test_metadata *_metadata, int device, __u32 queue,
			    const int *fences, int count)
{
	__u64 last = now_ns();

	ASSERT_EQ(0, queue_destroy(device, queue));
	for (int i = 0; i < count; i++) {
		EXPECT_EQ(-ECANCELED, fence_status(fences[i]));
		EXPECT_LE(last, fence_timestamp(fences[i]));
		last = fence_timestamp(fences[i]);
	}
}

TEST_F(queue, destroy_cancels_running_jobs)
{
	__u32 queue = timer_queue(self->device);
	int fences[3];

	for (size_t i = 0; i < ARRAY_LEN(fences); i++)
		fences[i] = submit(self->device, queue, 2 * SEC);
	expect_canceled(_metadata, self->device, queue, fences, ARRAY_LEN(fences));
}

TEST_F(queue, destroy_cancels_jobs_that_wait_for_in_fences)
{
	__u32 gate = manual_queue(self->device), queue = timer_queue(self->device);
	int in_fence = submit(self->device, gate, 0);
	int fences[3];

	for (size_t i = 0; i < ARRAY_LEN(fences); i++)
		fences[i] = submit_after(self->device, queue, 0, in_fence);
	expect_canceled(_metadata, self->device, queue, fences, ARRAY_LEN(fences));
	/* The in-fence signals with one waiter less. */
	EXPECT_EQ(1, signal_seqno(self->device, gate, 1, 0));
	EXPECT_EQ(1, fence_status(in_fence));
}

TEST_F(queue, destroy_cancels_manual_jobs)
{
	__u32 queue = manual_queue(self->device);
	int fences[3];

	for (size_t i = 0; i < ARRAY_LEN(fences); i++)
		fences[i] = submit(self->device, queue, 0);
	expect_canceled(_metadata, self->device, queue, fences, ARRAY_LEN(fences));
}

TEST_F(queue, destroy_leaves_completed_jobs_alone)
{
	__u32 queue = manual_queue(self->device);
	int good = submit(self->device, queue, 0);
	int bad = submit(self->device, queue, 0);

	ASSERT_EQ(1, signal_seqno(self->device, queue, 1, 0));
	ASSERT_EQ(1, signal_seqno(self->device, queue, 2, -EIO));
	ASSERT_EQ(0, queue_destroy(self->device, queue));
	EXPECT_EQ(1, fence_status(good));
	EXPECT_EQ(-EIO, fence_status(bad));
}

TEST_F(queue, destroy_fails_jobs_of_other_queues_that_wait_for_it)
{
	__u32 gate = manual_queue(self->device), queue = timer_queue(self->device);
	int in_fence = submit(self->device, gate, 0);
	int fence = submit_after(self->device, queue, 0, in_fence);

	ASSERT_EQ(0, queue_destroy(self->device, gate));
	EXPECT_EQ(-ECANCELED, fence_wait(fence));
}

TEST_HARNESS_MAIN
