// SPDX-License-Identifier: GPL-2.0
/* Manual queues: VFENCE_IOCTL_SIGNAL, and what their jobs refuse. */
#include "lib/test.h"

FIXTURE(manual)
{
	int device;
	__u32 queue;
	/* Out-fences of jobs 1 to 3. */
	int fences[3];
};

FIXTURE_VARIANTS_OF_NODES(manual);

FIXTURE_SETUP(manual)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->queue = manual_queue(self->device);
	for (int i = 0; i < 3; i++) {
		self->fences[i] = submit(self->device, self->queue, 0);
		ASSERT_LE(0, self->fences[i]);
	}
}

FIXTURE_TEARDOWN(manual)
{
	close(self->device);
}

static void expect_statuses(struct __test_metadata *_metadata, const int *fences,
			    int first, int second, int third)
{
	EXPECT_EQ(first, fence_status(fences[0]));
	EXPECT_EQ(second, fence_status(fences[1]));
	EXPECT_EQ(third, fence_status(fences[2]));
}

TEST_F(manual, jobs_are_pending_until_signalled)
{
	expect_statuses(_metadata, self->fences, 0, 0, 0);
	EXPECT_EQ(1, signal_seqno(self->device, self->queue, 1, 0));
	expect_statuses(_metadata, self->fences, 1, 0, 0);
}

TEST_F(manual, signal_completes_all_jobs_up_to_the_seqno)
{
	EXPECT_EQ(2, signal_seqno(self->device, self->queue, 2, 0));
	expect_statuses(_metadata, self->fences, 1, 1, 0);
	EXPECT_EQ(2, queue_completed(self->device, self->queue));
}

TEST_F(manual, timestamps_are_the_times_of_the_call)
{
	__u64 before = now_ns();

	ASSERT_EQ(3, signal_seqno(self->device, self->queue, 3, 0));
	EXPECT_LE(before, fence_timestamp(self->fences[0]));
	EXPECT_LE(fence_timestamp(self->fences[0]), fence_timestamp(self->fences[1]));
	EXPECT_LE(fence_timestamp(self->fences[1]), fence_timestamp(self->fences[2]));
	EXPECT_GE(now_ns(), fence_timestamp(self->fences[2]));
}

TEST_F(manual, signal_of_completed_jobs_completes_none)
{
	ASSERT_EQ(2, signal_seqno(self->device, self->queue, 2, 0));
	EXPECT_EQ(0, signal_seqno(self->device, self->queue, 2, 0));
	EXPECT_EQ(0, signal_seqno(self->device, self->queue, 1, -EIO));
	expect_statuses(_metadata, self->fences, 1, 1, 0);
	EXPECT_EQ(1, signal_seqno(self->device, self->queue, 3, 0));
}

TEST_F(manual, seqno_zero_completes_none)
{
	EXPECT_EQ(0, signal_seqno(self->device, self->queue, 0, 0));
	EXPECT_EQ(0, queue_completed(self->device, self->queue));
}

TEST_F(manual, output_field_is_ignored)
{
	struct vfence_signal signal = { .queue = self->queue, .seqno = 1, .completed = 77 };

	ASSERT_EQ(0, device_ioctl(self->device, VFENCE_IOCTL_SIGNAL, &signal));
	EXPECT_EQ(1, signal.completed);
}

TEST_F(manual, signal_sets_the_error)
{
	EXPECT_EQ(2, signal_seqno(self->device, self->queue, 2, -EIO));
	expect_statuses(_metadata, self->fences, -EIO, -EIO, 0);
	EXPECT_EQ(1, signal_seqno(self->device, self->queue, 3, 0));
	expect_statuses(_metadata, self->fences, -EIO, -EIO, 1);
}

TEST_F(manual, smallest_and_largest_error_are_accepted)
{
	EXPECT_EQ(1, signal_seqno(self->device, self->queue, 1, -1));
	EXPECT_EQ(1, signal_seqno(self->device, self->queue, 2, -4095));
	expect_statuses(_metadata, self->fences, -1, -4095, 0);
}

TEST_F(manual, error_out_of_range_is_refused)
{
	static const __s32 errors[] = { 1, EIO, INT_MAX, -4096, INT_MIN };

	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		EXPECT_REFUSED(EINVAL, signal_seqno(self->device, self->queue, 1, errors[i]));
	expect_statuses(_metadata, self->fences, 0, 0, 0);
}

TEST_F(manual, seqno_that_was_not_submitted_is_refused)
{
	EXPECT_REFUSED(EINVAL, signal_seqno(self->device, self->queue, 4, 0));
	EXPECT_REFUSED(EINVAL, signal_seqno(self->device, self->queue, ~0ULL, 0));
	expect_statuses(_metadata, self->fences, 0, 0, 0);
}

TEST_F(manual, signal_of_a_timer_queue_is_refused)
{
	__u32 timer = timer_queue(self->device);

	EXPECT_REFUSED(EINVAL, signal_seqno(self->device, timer, 0, 0));
	ASSERT_LE(0, submit_after(self->device, timer, 0, self->fences[0]));
	EXPECT_REFUSED(EINVAL, signal_seqno(self->device, timer, 1, 0));
	EXPECT_EQ(0, queue_completed(self->device, timer));
}

TEST_F(manual, read_only_argument_is_refused)
{
	struct vfence_signal valid = { .queue = self->queue, .seqno = 3 };
	struct vfence_signal *signal = read_only(&valid, sizeof(valid));

	ASSERT_NE(NULL, signal);
	EXPECT_REFUSED(EFAULT, device_ioctl(self->device, VFENCE_IOCTL_SIGNAL, signal));
	expect_statuses(_metadata, self->fences, 0, 0, 0);
}

TEST_F(manual, job_with_a_duration_is_refused)
{
	EXPECT_REFUSED(EINVAL, submit(self->device, self->queue, 1));
	EXPECT_EQ(3, queue_submitted(self->device, self->queue));
}

TEST_F(manual, job_with_in_fences_is_refused)
{
	__u32 other = manual_queue(self->device);

	EXPECT_REFUSED(EINVAL, submit_after(self->device, other, 0, self->fences[0]));
	EXPECT_EQ(0, queue_submitted(self->device, other));
}

TEST_HARNESS_MAIN
