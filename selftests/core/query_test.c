// SPDX-License-Identifier: GPL-2.0
/* VFENCE_IOCTL_QUERY: version, capabilities and limits. */
#include "lib/test.h"

FIXTURE(query)
{
	int device;
};

FIXTURE_SETUP(query)
{
	self->device = device_open();
	ASSERT_LE(0, self->device);
}

FIXTURE_TEARDOWN(query)
{
	close(self->device);
}

TEST_F(query, api_version_is_that_of_the_header)
{
	struct vfence_query query = { 0 };

	ASSERT_EQ(0, ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	EXPECT_EQ(VFENCE_API_VERSION, query.api_version);
}

TEST_F(query, all_capabilities_are_reported)
{
	struct vfence_query query = { 0 };

	ASSERT_EQ(0, ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	EXPECT_TRUE(query.capabilities & VFENCE_CAP_TIMER_QUEUE);
	EXPECT_TRUE(query.capabilities & VFENCE_CAP_MANUAL_QUEUE);
	EXPECT_TRUE(query.capabilities & VFENCE_CAP_WORKER_QUEUE);
	EXPECT_TRUE(query.capabilities & VFENCE_CAP_BUFFER);
}

TEST_F(query, default_limits_are_reported)
{
	struct vfence_query query = { 0 };

	ASSERT_EQ(0, ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	EXPECT_EQ(2 * SEC, query.watchdog_ns);
	EXPECT_LT(0, query.max_queues);
	EXPECT_LT(0, query.max_jobs);
	EXPECT_EQ(256 << 20, query.max_buffer_size);
}

TEST_F(query, output_fields_are_ignored)
{
	struct vfence_query query, other = { 0 };

	memset(&query, 0xa5, sizeof(query));
	query.flags = 0;
	ASSERT_EQ(0, ioctl(self->device, VFENCE_IOCTL_QUERY, &query));
	ASSERT_EQ(0, ioctl(self->device, VFENCE_IOCTL_QUERY, &other));
	EXPECT_EQ(0, memcmp(&query, &other, sizeof(query)));
}

TEST_HARNESS_MAIN
