// SPDX-License-Identifier: GPL-2.0
/*
 * V4L2 ignores fences: vivid takes buffers of vfence before their fences signal.
 *
 * These cases describe the kernel. If one fails, V4L2 has learned to wait.
 */
#include <linux/videodev2.h>
#include "fixture.h"

#define BUFFERS 4
#define PATTERN 0x5a5a5a5a

FIXTURE(vivid)
{
	int device;
	int video;
	__u32 size;
	int buffers[BUFFERS];
};

FIXTURE_VARIANT(vivid)
{
	__u32 capability;
	enum v4l2_buf_type type;
};

FIXTURE_VARIANT_ADD(vivid, output)
{
	.capability = V4L2_CAP_VIDEO_OUTPUT, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
};

FIXTURE_VARIANT_ADD(vivid, capture)
{
	.capability = V4L2_CAP_VIDEO_CAPTURE, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
};

/* Opens the device of vivid that has a capability, or returns -1. */
static int vivid_open(__u32 capability)
{
	for (int i = 0; i < 64; i++) {
		struct v4l2_capability caps;
		char path[32];
		int video;

		snprintf(path, sizeof(path), "/dev/video%d", i);
		video = open(path, O_RDWR | O_CLOEXEC);
		if (video < 0)
			continue;
		if (!ioctl(video, VIDIOC_QUERYCAP, &caps) &&
		    !strcmp((const char *)caps.driver, "vivid") &&
		    caps.device_caps & capability && caps.device_caps & V4L2_CAP_STREAMING)
			return video;
		close(video);
	}
	return -1;
}

/* Queues buffer @index with its dma-buf. */
static int queue_buffer(int video, __u32 type, __u32 index, int dma_buf, __u32 size)
{
	struct v4l2_buffer buffer = {
		.index = index,
		.type = type,
		.memory = V4L2_MEMORY_DMABUF,
		.bytesused = size,
		.length = size,
		.field = V4L2_FIELD_NONE,
		.m.fd = dma_buf,
	};

	return ioctl(video, VIDIOC_QBUF, &buffer);
}

/* Waits for a buffer that the device has finished. Returns its index, or -1. */
static int dequeue_buffer(int video, __u32 type)
{
	short event = type == V4L2_BUF_TYPE_VIDEO_OUTPUT ? POLLOUT : POLLIN;
	struct pollfd pollfd = { .fd = video, .events = event };
	struct v4l2_buffer buffer = { .type = type, .memory = V4L2_MEMORY_DMABUF };

	if (poll(&pollfd, 1, PATIENCE_MS) != 1 || ioctl(video, VIDIOC_DQBUF, &buffer))
		return -1;
	return buffer.index;
}

enum contents { EMPTY, FILLED, CAPTURED, MIXED };

/* Returns who wrote a buffer last, by its first and its last word: nobody, a job, or vivid. */
static enum contents contents_of(int dma_buf, __u32 size)
{
	__u32 *words = mmap(NULL, size, PROT_READ, MAP_SHARED, dma_buf, 0);
	enum contents contents = MIXED;
	__u32 first, last;

	if (words == MAP_FAILED)
		return contents;
	first = words[0];
	last = words[size / 4 - 1];
	munmap(words, size);
	if (!first && !last)
		contents = EMPTY;
	else if (first == PATTERN && last == PATTERN)
		contents = FILLED;
	else if (first && first != PATTERN && last && last != PATTERN)
		contents = CAPTURED;
	return contents;
}

FIXTURE_SETUP(vivid)
{
	struct v4l2_format format = { .type = variant->type };
	struct v4l2_requestbuffers request = {
		.count = BUFFERS, .type = variant->type, .memory = V4L2_MEMORY_DMABUF,
	};

	self->video = vivid_open(variant->capability);
	ASSERT_LE(0, self->video);
	self->device = render_open();
	ASSERT_LE(0, self->device);
	ASSERT_EQ(0, ioctl(self->video, VIDIOC_G_FMT, &format));
	self->size = format.fmt.pix.sizeimage;
	ASSERT_EQ(0, ioctl(self->video, VIDIOC_REQBUFS, &request));
	ASSERT_EQ(BUFFERS, request.count);
	for (int i = 0; i < BUFFERS; i++) {
		self->buffers[i] = buffer_create(self->device, self->size);
		ASSERT_LE(0, self->buffers[i]);
	}
}

FIXTURE_TEARDOWN(vivid)
{
	close(self->video);
	close(self->device);
}

/*
 * A job is about to write the buffers; vivid has read or written one before the job starts. What a
 * capture wrote is then lost.
 */
TEST_F(vivid, buffer_is_taken_before_its_fence_signals)
{
	__u32 queue = manual_queue(self->device);
	int gate = submit(self->device, queue, 0), filled[BUFFERS], index;

	ASSERT_LE(0, gate);
	for (int i = 0; i < BUFFERS; i++) {
		filled[i] = fill_buffer(self->device, self->buffers[i], self->size & ~3, PATTERN,
					0, gate);
		ASSERT_LE(0, filled[i]);
		ASSERT_EQ(0, queue_buffer(self->video, variant->type, i, self->buffers[i],
					  self->size));
	}
	ASSERT_EQ(0, ioctl(self->video, VIDIOC_STREAMON, &variant->type));
	index = dequeue_buffer(self->video, variant->type);
	ASSERT_LE(0, index);
	EXPECT_EQ(0, fence_status(filled[index]));
	EXPECT_EQ(0, polled(self->buffers[index], POLLIN));
	EXPECT_EQ(variant->capability == V4L2_CAP_VIDEO_CAPTURE ? CAPTURED : EMPTY,
		  contents_of(self->buffers[index], self->size));
	EXPECT_EQ(1, signal_seqno(self->device, queue, 1, 0));
	EXPECT_EQ(1, fence_wait(filled[index]));
	EXPECT_EQ(FILLED, contents_of(self->buffers[index], self->size));
}

/* The use by vivid adds no fence: a job that writes the buffer does not wait until it is done. */
TEST_F(vivid, queued_buffer_has_no_fence)
{
	for (int i = 0; i < BUFFERS; i++)
		ASSERT_EQ(0, queue_buffer(self->video, variant->type, i, self->buffers[i],
					  self->size));
	/* Nothing is streaming: all buffers are queued. */
	for (int i = 0; i < BUFFERS; i++)
		EXPECT_EQ(POLLIN | POLLOUT, polled(self->buffers[i], POLLIN | POLLOUT));
	EXPECT_EQ(1, fence_wait(fill_buffer(self->device, self->buffers[0], self->size & ~3,
					    PATTERN, 0, -1)));
}

/*
 * A program that waits for the fence before it queues the buffer outputs what the job wrote, and
 * keeps what vivid captured.
 */
TEST_F(vivid, poll_before_qbuf_is_the_remedy)
{
	struct pollfd pollfd = { .events = POLLIN };
	int index;

	for (int i = 0; i < BUFFERS; i++) {
		ASSERT_LE(0, fill_buffer(self->device, self->buffers[i], self->size & ~3, PATTERN,
					 LATE_MS * MSEC, -1));
		pollfd.fd = self->buffers[i];
		ASSERT_EQ(1, poll(&pollfd, 1, PATIENCE_MS));
		EXPECT_EQ(FILLED, contents_of(self->buffers[i], self->size));
		ASSERT_EQ(0, queue_buffer(self->video, variant->type, i, self->buffers[i],
					  self->size));
	}
	ASSERT_EQ(0, ioctl(self->video, VIDIOC_STREAMON, &variant->type));
	index = dequeue_buffer(self->video, variant->type);
	ASSERT_LE(0, index);
	EXPECT_EQ(variant->capability == V4L2_CAP_VIDEO_CAPTURE ? CAPTURED : FILLED,
		  contents_of(self->buffers[index], self->size));
}

int main(int argc, char **argv)
{
	return run_as_user("vivid", argc, argv);
}
