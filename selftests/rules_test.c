// SPDX-License-Identifier: GPL-2.0
/*
 * The header's "rules for all ioctls", tried on each of them: sizes, flags, pad,
 * pointers and numbers.
 */
#include "vfence_test.h"

/* The largest argument that an ioctl number can tell. */
#define LARGEST ((1 << _IOC_SIZEBITS) - 1)

union argument {
	struct vfence_query query;
	struct vfence_queue_create create;
	struct vfence_queue_destroy destroy;
	struct vfence_queue_info info;
	struct vfence_submit submit;
	struct vfence_signal signal;
	char bytes[LARGEST];
};

FIXTURE(argument)
{
	int device;
	/* What the kernel takes as it is. */
	union argument valid;
};

FIXTURE_VARIANT(argument)
{
	unsigned int number;
	__u32 kind;
	size_t flags;
	__u32 known_flags;
	/* 0: has none. */
	size_t pad;
};

FIXTURE_VARIANT_ADD(argument, query) {
	.number = VFENCE_IOCTL_QUERY,
	.flags = offsetof(struct vfence_query, flags),
};

FIXTURE_VARIANT_ADD(argument, queue_create) {
	.number = VFENCE_IOCTL_QUEUE_CREATE,
	.kind = VFENCE_QUEUE_TIMER,
	.flags = offsetof(struct vfence_queue_create, flags),
	.pad = offsetof(struct vfence_queue_create, pad),
};

FIXTURE_VARIANT_ADD(argument, queue_destroy) {
	.number = VFENCE_IOCTL_QUEUE_DESTROY,
	.flags = offsetof(struct vfence_queue_destroy, flags),
};

FIXTURE_VARIANT_ADD(argument, queue_info) {
	.number = VFENCE_IOCTL_QUEUE_INFO,
	.flags = offsetof(struct vfence_queue_info, flags),
	.pad = offsetof(struct vfence_queue_info, pad),
};

FIXTURE_VARIANT_ADD(argument, submit) {
	.number = VFENCE_IOCTL_SUBMIT,
	.flags = offsetof(struct vfence_submit, flags),
	.known_flags = VFENCE_SUBMIT_OUT_FENCE,
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
	/* The kind or the queue is the first field of those that have one. */
	if (variant->number != VFENCE_IOCTL_QUERY)
		self->valid.create.kind = variant->kind ?: queue;
}

FIXTURE_TEARDOWN(argument)
{
	close(self->device);
}

/* The number of an ioctl with another size. */
static unsigned int sized(unsigned int number, unsigned int size)
{
	return _IOC(_IOC_DIR(number), _IOC_TYPE(number), _IOC_NR(number), size);
}

TEST_F(argument, as_the_header_says)
{
	EXPECT_EQ(0, ioctl(self->device, variant->number, &self->valid));
}

TEST_F(argument, too_small)
{
	for (unsigned int size = 0; size < _IOC_SIZE(variant->number); size++)
		EXPECT_REFUSED(EINVAL, ioctl(self->device, sized(variant->number, size),
					     &self->valid));
}

TEST_F(argument, larger_and_zero)
{
	unsigned int number = sized(variant->number, LARGEST);

	EXPECT_EQ(0, ioctl(self->device, number, &self->valid));
	for (unsigned int i = _IOC_SIZE(variant->number); i < LARGEST; i++)
		ASSERT_EQ(0, self->valid.bytes[i]);
}

TEST_F(argument, larger_and_not_zero)
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

TEST_F(argument, unknown_flags_and_pad)
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

TEST_F(argument, unmapped)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t size = _IOC_SIZE(variant->number);
	char *start = unmapped(2);
	char *across = start + page - size / 2;

	EXPECT_REFUSED(EFAULT, ioctl(self->device, variant->number, NULL));
	EXPECT_REFUSED(EFAULT, ioctl(self->device, variant->number, start));
	EXPECT_REFUSED(EFAULT, ioctl(self->device, variant->number, -4096L));
	/* Its first half can be read. */
	ASSERT_EQ(0, mprotect(start, page, PROT_READ | PROT_WRITE));
	memcpy(across, &self->valid, size / 2);
	EXPECT_REFUSED(EFAULT, ioctl(self->device, variant->number, across));
}

TEST_F(argument, read_only)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *start = unmapped(1);

	ASSERT_EQ(0, mprotect(start, page, PROT_READ | PROT_WRITE));
	memcpy(start, &self->valid, _IOC_SIZE(variant->number));
	ASSERT_EQ(0, mprotect(start, page, PROT_READ));
	if (_IOC_DIR(variant->number) & _IOC_READ)
		EXPECT_REFUSED(EFAULT, ioctl(self->device, variant->number, start));
	else
		EXPECT_EQ(0, ioctl(self->device, variant->number, start));
}

TEST_F(argument, wrong_direction_or_type)
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

TEST(unknown_number)
{
	int device = device_open();

	ASSERT_LE(0, device);
	for (unsigned int nr = 6; nr < 256; nr++) {
		EXPECT_REFUSED(ENOTTY, ioctl(device, _IO(VFENCE_IOCTL_TYPE, nr), NULL));
		EXPECT_REFUSED(ENOTTY, ioctl(device, _IOWR(VFENCE_IOCTL_TYPE, nr, __u64), NULL));
	}
}

TEST_HARNESS_MAIN
