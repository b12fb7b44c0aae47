// SPDX-License-Identifier: GPL-2.0
/*
 * The pipeline of this field, on real pixels: a DMA engine fills a buffer, a GPU copies it to another and draws on it, a display
 * sums it up at 60 Hz. Whatever runs in a wrong order shows as a wrong sum.
 */
#include <linux/dma-heap.h>
#include "vgem.h"

#define WIDTH 256
#define HEIGHT 128
#define SIZE (WIDTH * HEIGHT * 4)
/* Buffers of a stage, in turn. */
#define BUFFERS 2
#define FRAMES 30
#define REFRESH (SEC / 60)

enum stage { DMA, GPU, DISPLAY, STAGES };

FIXTURE(pipeline)
{
	int device;
	int card;
	__u32 queues[STAGES];
	/* What the DMA engine fills, and what is displayed. */
	int sources[BUFFERS];
	int frames[BUFFERS];
	/* Of the last jobs, by stage and frame. */
	int fences[STAGES][FRAMES];
	__u64 sums[FRAMES];
};

/* A buffer of the system's heap; of the device if there is no such heap. */
static int heap_buffer(int device)
{
	struct dma_heap_allocation_data data = {
		.len = SIZE,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	int ret = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data);

	close(heap);
	return ret ? buffer_create(device, SIZE) : (int)data.fd;
}

FIXTURE_SETUP(pipeline)
{
	self->device = device_open();
	ASSERT_LE(0, self->device);
	self->card = -1;
	for (int stage = 0; stage < STAGES; stage++)
		self->queues[stage] = worker_queue(self->device);
	for (int i = 0; i < BUFFERS; i++) {
		self->sources[i] = heap_buffer(self->device);
		self->frames[i] = heap_buffer(self->device);
		ASSERT_LE(0, self->sources[i]);
		ASSERT_LE(0, self->frames[i]);
	}
}

FIXTURE_TEARDOWN(pipeline)
{
	close(self->device);
	close(self->card);
	for (int i = 0; i < BUFFERS; i++) {
		close(self->sources[i]);
		close(self->frames[i]);
	}
}

/* What the DMA engine fills frame @frame with, and what the GPU draws on it, in its upper half. */
static __u32 background(int frame)
{
	return 0xff000000 | (frame * 0x10203 + 1);
}

static __u32 foreground(int frame)
{
	return 0x80ffffff ^ (frame * 0x30201);
}

/* What the display has to see. */
static __u32 expected_sum(int frame)
{
	static __u32 pixels[WIDTH * HEIGHT];

	for (int i = 0; i < WIDTH * HEIGHT; i++)
		pixels[i] = i < WIDTH * HEIGHT / 2 ? foreground(frame) : background(frame);
	return crc32c(pixels, sizeof(pixels));
}

/* The flags of all uses, and whether jobs are given the fences of those before them. */
struct mode {
	__u32 flags;
	bool fences;
	/* What the first job waits for, or -1. */
	int gate;
};

static int submit_stage(FIXTURE_DATA(pipeline) *self, enum stage stage, int frame,
			const struct mode *mode)
{
	int source = self->sources[frame % BUFFERS], target = self->frames[frame % BUFFERS];
	struct vfence_use uses[2] = {
		[0] = { .fd = stage == DMA ? source : target,
			.flags = mode->flags | (stage == DISPLAY ? 0 : VFENCE_USE_WRITE) },
		[1] = { .fd = source, .flags = mode->flags },
	};
	struct vfence_operation operations[STAGES][2] = {
		[DMA] = { {
			.kind = VFENCE_OPERATION_FILL,
			.length = SIZE,
			.pattern = background(frame),
			.pattern_size = 4,
		} },
		[GPU] = { {
			.kind = VFENCE_OPERATION_COPY,
			.source = 1,
			.length = SIZE,
		}, {
			.kind = VFENCE_OPERATION_FILL,
			.length = SIZE / 2,
			.pattern = foreground(frame),
			.pattern_size = 4,
		} },
		[DISPLAY] = { {
			.kind = VFENCE_OPERATION_CRC32C,
			.length = SIZE,
		} },
	};
	struct vfence_submit job = {
		.queue = self->queues[stage],
		.flags = VFENCE_SUBMIT_OUT_FENCE | (stage == DISPLAY ? VFENCE_SUBMIT_EVENT : 0),
		.duration_ns = stage == DISPLAY ? REFRESH : 0,
		.uses = ptr_to_u64(uses),
		.use_count = stage == GPU ? 2 : 1,
		.use_size = sizeof(uses[0]),
		.operations = ptr_to_u64(operations[stage]),
		.operation_count = stage == GPU ? 2 : 1,
		.operation_size = sizeof(operations[0][0]),
	};
	__s32 in_fences[2];

	/* The stage before, and who uses the buffer that is written, a round ago. */
	if (mode->fences && stage > DMA)
		in_fences[job.in_fence_count++] = self->fences[stage - 1][frame];
	if (mode->fences && stage < DISPLAY && frame >= BUFFERS)
		in_fences[job.in_fence_count++] = self->fences[stage + 1][frame - BUFFERS];
	if (mode->gate >= 0 && stage == DMA && !frame)
		in_fences[job.in_fence_count++] = mode->gate;
	job.in_fences = ptr_to_u64(in_fences);
	if (submit_job(self->device, &job))
		return -1;
	self->fences[stage][frame] = job.out_fence;
	return 0;
}

/* Submits a frame, from its first stage to its last. */
static int submit_frame(FIXTURE_DATA(pipeline) *self, int frame, const struct mode *mode)
{
	for (enum stage stage = DMA; stage < STAGES; stage++)
		if (submit_stage(self, stage, frame, mode))
			return -1;
	return 0;
}

/* Reads what has been displayed. Returns how many frames were wrong. */
static int wrong_frames(FIXTURE_DATA(pipeline) *self)
{
	int wrong = 0;

	for (int frame = 0; frame < FRAMES; frame++) {
		struct vfence_event event;

		if (read_event(self->device, &event) || event.error)
			return -1;
		wrong += event.result != expected_sum(frame);
	}
	return wrong;
}

TEST_F(pipeline, explicit_fences)
{
	struct mode mode = {
		.flags = VFENCE_USE_NO_WAIT | VFENCE_USE_NO_ADD,
		.fences = true,
		.gate = -1,
	};

	for (int frame = 0; frame < FRAMES; frame++)
		ASSERT_EQ(0, submit_frame(self, frame, &mode));
	EXPECT_EQ(0, wrong_frames(self));
	/* The display has had the time it takes, frame by frame. */
	EXPECT_LE(fence_timestamp(self->fences[DISPLAY][0]) + (FRAMES - 1) * REFRESH,
		  fence_timestamp(self->fences[DISPLAY][FRAMES - 1]));
}

TEST_F(pipeline, implicit_synchronisation)
{
	struct mode mode = { .gate = -1 };

	for (int frame = 0; frame < FRAMES; frame++)
		ASSERT_EQ(0, submit_frame(self, frame, &mode));
	EXPECT_EQ(0, wrong_frames(self));
}

/* A wrong order shows: nothing but luck keeps the stages apart here, and the first one is late. */
TEST_F(pipeline, no_synchronisation)
{
	__u32 manual = manual_queue(self->device);
	struct mode mode = {
		.flags = VFENCE_USE_NO_WAIT | VFENCE_USE_NO_ADD,
		.gate = submit(self->device, manual, 0),
	};

	for (int frame = 0; frame < FRAMES; frame++)
		ASSERT_EQ(0, submit_frame(self, frame, &mode));
	ASSERT_EQ(1, fence_wait(self->fences[DISPLAY][0]));
	ASSERT_EQ(1, signal_seqno(self->device, manual, 1, 0));
	EXPECT_LT(0, wrong_frames(self));
}

TEST_F(pipeline, with_another_driver)
{
	struct drm_mode_create_dumb create = { .width = WIDTH, .height = HEIGHT, .bpp = 32 };
	struct mode mode = { .gate = -1 };
	__u32 handles[BUFFERS];
	unsigned char *memory[BUFFERS];

	self->card = vgem_load();
	if (self->card < 0)
		SKIP(return, "the kernel has no vgem, or no node for it in /dev/dri");
	/* What is displayed is the other driver's. What is filled it has imported, and its clients draw there first. */
	for (int i = 0; i < BUFFERS; i++) {
		struct drm_prime_handle exported = { .flags = DRM_CLOEXEC | DRM_RDWR };
		struct drm_prime_handle imported = { .fd = self->sources[i] };

		create.handle = 0;
		ASSERT_EQ(0, ioctl(self->card, DRM_IOCTL_MODE_CREATE_DUMB, &create));
		exported.handle = create.handle;
		ASSERT_EQ(0, ioctl(self->card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &exported));
		close(self->frames[i]);
		self->frames[i] = exported.fd;
		ASSERT_EQ(0, ioctl(self->card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &imported));
		handles[i] = imported.handle;
		memory[i] = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->sources[i], 0);
		ASSERT_NE(MAP_FAILED, (void *)memory[i]);
	}
	for (int frame = 0; frame < FRAMES; frame++) {
		struct pollfd idle = { .fd = self->sources[frame % BUFFERS], .events = POLLOUT };
		int theirs;

		/* Its client waits for ours, ours for its. */
		ASSERT_EQ(1, poll(&idle, 1, PATIENCE_MS));
		theirs = vgem_attach(self->card, handles[frame % BUFFERS]);
		ASSERT_LT(0, theirs);
		ASSERT_EQ(0, submit_frame(self, frame, &mode));
		memset(memory[frame % BUFFERS], frame, SIZE);
		ASSERT_EQ(0, vgem_signal(self->card, theirs));
	}
	EXPECT_EQ(0, wrong_frames(self));
}

TEST_HARNESS_MAIN
