// SPDX-License-Identifier: GPL-2.0
/*
 * The "rules for all ioctls" of <linux/vfence.h>, on each ioctl: sizes, flags, padding, pointers
 * and numbers.
 */
#include "lib/test.h"

/* The largest argument size that an ioctl number encodes. */
#define LARGEST ((1 << _IOC_SIZEBITS) - 1)

union argument {
	struct vfence_query query;
	struct vfence_queue_create create;
	struct vfence_queue_destroy destroy;
	struct vfence_queue_info info;
	struct vfence_submit submit;
	struct vfence_signal signal;
	struct vfence_submit_batch batch;
	struct vfence_wait wait;
	struct vfence_export export;
	struct vfence_job_info job;
	struct vfence_queue_reset reset;
	struct vfence_queue_faults faults;
	struct vfence_buffer_create buffer;
	char bytes[LARGEST];
};

FIXTURE(argument)
{
	int device;
	/* An argument that the kernel accepts. */
	union argument valid;
	/* Memory that @valid points to. */
	struct vfence_submit job;
	struct vfence_point point;
};

FIXTURE_VARIANT(argument)
{
	unsigned int number;
	__u32 kind;
	size_t flags;
	__u32 known_flags;
	/* Offset of the padding; 0 if the structure has none. */
	size_t pad;
	/* Sizes of earlier versions of the structure; 0 where there is none. */
	size_t first_size;
	size_t second_size;
};

FIXTURE_VARIANT_ADD(argument, query) {
	.number = VFENCE_IOCTL_QUERY,
	.flags = offsetof(struct vfence_query, flags),
	.first_size = 32,
};

FIXTURE_VARIANT_ADD(argument, queue_create) {
	.number = VFENCE_IOCTL_QUEUE_CREATE,
	.kind = VFENCE_QUEUE_TIMER,
	.flags = offsetof(struct vfence_queue_create, flags),
	.pad = offsetof(struct vfence_queue_create, pad),
	.first_size = 56,
};

FIXTURE_VARIANT_ADD(argument, queue_create_pad2) {
	.number = VFENCE_IOCTL_QUEUE_CREATE,
	.kind = VFENCE_QUEUE_TIMER,
	.flags = offsetof(struct vfence_queue_create, flags),
	.pad = offsetof(struct vfence_queue_create, pad2),
	.first_size = 56,
};

FIXTURE_VARIANT_ADD(argument, queue_destroy) {
	.number = VFENCE_IOCTL_QUEUE_DESTROY,
	.flags = offsetof(struct vfence_queue_destroy, flags),
};

FIXTURE_VARIANT_ADD(argument, queue_info) {
	.number = VFENCE_IOCTL_QUEUE_INFO,
	.flags = offsetof(struct vfence_queue_info, flags),
	.pad = offsetof(struct vfence_queue_info, pad),
	.first_size = 72,
};

FIXTURE_VARIANT_ADD(argument, queue_info_pad2) {
	.number = VFENCE_IOCTL_QUEUE_INFO,
	.flags = offsetof(struct vfence_queue_info, flags),
	.pad = offsetof(struct vfence_queue_info, pad2),
	.first_size = 72,
};

FIXTURE_VARIANT_ADD(argument, submit) {
	.number = VFENCE_IOCTL_SUBMIT,
	.flags = offsetof(struct vfence_submit, flags),
	/* VFENCE_SUBMIT_EVENT is known, but refused on this kind of queue. */
	.known_flags = VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT,
	.pad = offsetof(struct vfence_submit, pad),
	.first_size = 40,
	.second_size = 56,
};

FIXTURE_VARIANT_ADD(argument, submit_batch) {
	.number = VFENCE_IOCTL_SUBMIT_BATCH,
	.flags = offsetof(struct vfence_submit_batch, flags),
};

FIXTURE_VARIANT_ADD(argument, wait) {
	.number = VFENCE_IOCTL_WAIT,
	.flags = offsetof(struct vfence_wait, flags),
	.known_flags = VFENCE_WAIT_ANY,
	.pad = offsetof(struct vfence_wait, pad),
};

FIXTURE_VARIANT_ADD(argument, export) {
	.number = VFENCE_IOCTL_EXPORT,
	.flags = offsetof(struct vfence_export, flags),
	.pad = offsetof(struct vfence_export, pad),
};

FIXTURE_VARIANT_ADD(argument, job_info) {
	.number = VFENCE_IOCTL_JOB_INFO,
	.flags = offsetof(struct vfence_job_info, flags),
	.pad = offsetof(struct vfence_job_info, pad),
	.first_size = 64,
};

FIXTURE_VARIANT_ADD(argument, queue_reset) {
	.number = VFENCE_IOCTL_QUEUE_RESET,
	.flags = offsetof(struct vfence_queue_reset, flags),
};

FIXTURE_VARIANT_ADD(argument, queue_faults) {
	.number = VFENCE_IOCTL_QUEUE_FAULTS,
	.flags = offsetof(struct vfence_queue_faults, flags),
};

FIXTURE_VARIANT_ADD(argument, buffer_create) {
	.number = VFENCE_IOCTL_BUFFER_CREATE,
	.flags = offsetof(struct vfence_buffer_create, flags),
};

FIXTURE_VARIANT_ADD(argument, signal) {
	.number = VFENCE_IOCTL_SIGNAL,
	.flags = offsetof(struct vfence_signal, flags),
};

FIXTURE_SETUP(argument)
{
	__u32 queue;

	self->device = device_open();
	ASSERT_LE(0, self->device);
	queue = manual_queue(self->device);
	ASSERT_NE(0, queue);
	ASSERT_LE(0, submit(self->device, queue, 0));
	switch (variant->number) {
	case VFENCE_IOCTL_QUERY:
		break;
	case VFENCE_IOCTL_SUBMIT_BATCH:
		self->job.queue = queue;
		self->valid.batch.jobs = ptr_to_u64(&self->job);
		self->valid.batch.job_size = sizeof(self->job);
		self->valid.batch.count = 1;
		break;
	case VFENCE_IOCTL_WAIT:
		ASSERT_EQ(1, signal_seqno(self->device, queue, 1, 0));
		self->point.queue = queue;
		self->point.seqno = 1;
		self->valid.wait.points = ptr_to_u64(&self->point);
		self->valid.wait.count = 1;
		break;
	case VFENCE_IOCTL_EXPORT:
	case VFENCE_IOCTL_JOB_INFO:
		self->valid.export.queue = queue;
		self->valid.export.seqno = 1;
		break;
	case VFENCE_IOCTL_QUEUE_FAULTS:
		self->valid.faults.queue = timer_queue(self->device);
		break;
	case VFENCE_IOCTL_BUFFER_CREATE:
		self->valid.buffer.size = 1;
		break;
	default:
		/* The first field is the kind or the queue. */
		self->valid.create.kind = variant->kind ?: queue;
	}
}

FIXTURE_TEARDOWN(argument)
{
	close(self->device);
}

/* Returns @number with another argument size. */
static unsigned int sized(unsigned int number, unsigned int size)
{
	return _IOC(_IOC_DIR(number), _IOC_TYPE(number), _IOC_NR(number), size);
}

TEST_F(argument, valid_argument_is_accepted)
{
	EXPECT_EQ(0, ioctl(self->device, variant->number, &self->valid));
}

TEST_F(argument, smaller_argument_is_refused)
{
	for (unsigned int size = 0; size < _IOC_SIZE(variant->number); size++)
		if (!size || (size != variant->first_size && size != variant->second_size))
			EXPECT_REFUSED(EINVAL, ioctl(self->device, sized(variant->number, size),
						     &self->valid));
}

TEST_F(argument, size_of_an_earlier_version_is_accepted)
{
	const size_t sizes[] = { variant->first_size, variant->second_size };
	const union argument valid = self->valid;

	if (!variant->first_size)
		SKIP(return, "the structure never grew");
	for (size_t i = 0; i < ARRAY_LEN(sizes) && sizes[i]; i++) {
		union argument before = valid;

		memset(before.bytes + sizes[i], 0xa5, 256);
		self->valid = before;
		EXPECT_EQ(0, ioctl(self->device, sized(variant->number, sizes[i]), &self->valid));
		/* The kernel neither read nor wrote the bytes behind it. */
		EXPECT_EQ(0, memcmp(before.bytes + sizes[i], self->valid.bytes + sizes[i], 256));
	}
}

TEST_F(argument, larger_argument_with_zero_tail_is_accepted)
{
	unsigned int number = sized(variant->number, LARGEST);

	EXPECT_EQ(0, ioctl(self->device, number, &self->valid));
	for (unsigned int i = _IOC_SIZE(variant->number); i < LARGEST; i++)
		ASSERT_EQ(0, self->valid.bytes[i]);
}

TEST_F(argument, larger_argument_with_nonzero_tail_is_refused)
{
	unsigned int first = _IOC_SIZE(variant->number);
	union argument before;

	for (unsigned int size = first + 1; size <= LARGEST; size = size * 2 - first) {
		self->valid.bytes[size - 1] = 1;
		before = self->valid;
		EXPECT_REFUSED(E2BIG, ioctl(self->device, sized(variant->number, size),
					    &self->valid));
		EXPECT_EQ(0, memcmp(&before, &self->valid, sizeof(before)));
		self->valid.bytes[size - 1] = 0;
	}
}

TEST_F(argument, unknown_flags_and_padding_are_refused)
{
	__u32 *flags = (__u32 *)(self->valid.bytes + variant->flags);
	__u32 *pad = (__u32 *)(self->valid.bytes + variant->pad);

	for (int bit = 0; bit < 32; bit++) {
		*flags = 1U << bit;
		if (!(*flags & variant->known_flags))
			EXPECT_REFUSED(EINVAL, ioctl(self->device, variant->number, &self->valid));
	}
	*flags = 0;
	for (int bit = 0; variant->pad && bit < 32; bit++) {
		*pad = 1U << bit;
		EXPECT_REFUSED(EINVAL, ioctl(self->device, variant->number, &self->valid));
	}
}

TEST_F(argument, unmapped_argument_is_refused)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t size = _IOC_SIZE(variant->number);
	char *start = unmapped(2);
	char *across = start + page - size / 2;

	EXPECT_REFUSED(EFAULT, ioctl(self->device, variant->number, NULL));
	EXPECT_REFUSED(EFAULT, ioctl(self->device, variant->number, start));
	EXPECT_REFUSED(EFAULT, ioctl(self->device, variant->number, -4096L));
	/* Only the first half of the argument is readable. */
	ASSERT_EQ(0, mprotect(start, page, PROT_READ | PROT_WRITE));
	memcpy(across, &self->valid, size / 2);
	EXPECT_REFUSED(EFAULT, ioctl(self->device, variant->number, across));
}

TEST_F(argument, read_only_argument_is_refused_if_written)
{
	void *start = read_only(&self->valid, _IOC_SIZE(variant->number));

	ASSERT_NE(NULL, start);
	if (_IOC_DIR(variant->number) & _IOC_READ)
		EXPECT_REFUSED(EFAULT, ioctl(self->device, variant->number, start));
	else
		EXPECT_EQ(0, ioctl(self->device, variant->number, start));
}

TEST_F(argument, wrong_direction_or_type_is_refused)
{
	unsigned int number = variant->number;

	for (unsigned int other = 0; other < 1 << _IOC_DIRBITS; other++)
		if (other != _IOC_DIR(number))
			EXPECT_REFUSED(ENOTTY, ioctl(self->device,
						     _IOC(other, VFENCE_IOCTL_TYPE,
							  _IOC_NR(number), _IOC_SIZE(number)),
						     &self->valid));
	for (unsigned int other = 0; other < 1 << _IOC_TYPEBITS; other++)
		if (other != VFENCE_IOCTL_TYPE)
			EXPECT_REFUSED(ENOTTY, ioctl(self->device,
						     _IOC(_IOC_DIR(number), other,
							  _IOC_NR(number), _IOC_SIZE(number)),
						     &self->valid));
}

TEST(unknown_number_is_refused)
{
	int device = device_open();

	ASSERT_LE(0, device);
	for (unsigned int nr = 15; nr < 256; nr++) {
		EXPECT_REFUSED(ENOTTY, ioctl(device, _IO(VFENCE_IOCTL_TYPE, nr), NULL));
		EXPECT_REFUSED(ENOTTY, ioctl(device, _IOWR(VFENCE_IOCTL_TYPE, nr, __u64), NULL));
	}
	/* The fast ioctls take no structure. */
	for (unsigned int nr = 13; nr < 15; nr++)
		for (unsigned int dir = 0; dir < 1 << _IOC_DIRBITS; dir++)
			for (unsigned int size = !dir; size < 32; size++)
				EXPECT_REFUSED(ENOTTY, ioctl(device, _IOC(dir, VFENCE_IOCTL_TYPE,
									  nr, size), 1));
}

TEST_HARNESS_MAIN
