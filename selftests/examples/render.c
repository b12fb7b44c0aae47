// SPDX-License-Identifier: GPL-2.0
/*
 * DMA, then render: two engines share work by a syncobj, with libdrm and without a GPU.
 *
 * A DMA engine fills a buffer; its job signals a point of a timeline. A job of the GPU waits for
 * that point, changes the buffer, and signals the next point, for which the CPU waits. Each engine
 * has its own file, as in two processes. They share descriptors of the timeline and of the buffer.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xf86drm.h>
#include <drm/vfence_drm.h>

#define SIZE (1 << 20)

/* An engine: its file and queue, and its handles of the shared objects. */
struct engine {
	const char *name;
	int node;
	__u32 queue;
	__u32 timeline;
	__u32 buffer;
};

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static struct engine start(const char *name)
{
	struct vfence_queue_create create = { .kind = VFENCE_QUEUE_WORKER };
	struct engine engine = {
		.name = name, .node = drmOpenWithType("vfence", NULL, DRM_NODE_RENDER),
	};

	check(engine.node < 0, "the render node of vfence");
	snprintf(create.name, sizeof(create.name), "%s", name);
	check(drmIoctl(engine.node, DRM_VFENCE_IOCTL(VFENCE_IOCTL_QUEUE_CREATE), &create), name);
	engine.queue = create.queue;
	return engine;
}

/*
 * Submits a job that fills a range of the buffer in at least 5 ms. It waits for point @wait, unless
 * that is 0, and signals point @signal.
 */
static void submit(const struct engine *engine, uint64_t offset, uint64_t length, uint8_t byte,
		   uint64_t wait, uint64_t signal)
{
	struct vfence_use use = {
		.fd = engine->buffer, .flags = DRM_VFENCE_USE_HANDLE | VFENCE_USE_WRITE,
	};
	struct vfence_operation fill = {
		.kind = VFENCE_OPERATION_FILL, .target_offset = offset, .length = length,
		.pattern = byte, .pattern_size = 1,
	};
	struct vfence_submit job = {
		.queue = engine->queue, .duration_ns = 5000000,
		.uses = (uintptr_t)&use, .use_count = 1, .use_size = sizeof(use),
		.operations = (uintptr_t)&fill, .operation_count = 1,
		.operation_size = sizeof(fill),
	};
	struct drm_vfence_sync in = { .handle = engine->timeline, .point = wait };
	struct drm_vfence_sync out = { .handle = engine->timeline, .point = signal };
	struct drm_vfence_submit submit = {
		.job = (uintptr_t)&job, .job_size = sizeof(job), .sync_size = sizeof(in),
		.in_syncs = (uintptr_t)&in, .in_sync_count = wait != 0,
		.out_syncs = (uintptr_t)&out, .out_sync_count = 1,
	};

	/* Explicit synchronisation only: the job ignores the reservation object. */
	use.flags |= VFENCE_USE_NO_WAIT | VFENCE_USE_NO_ADD;
	check(drmIoctl(engine->node, DRM_IOCTL_VFENCE_SUBMIT, &submit), engine->name);
	printf("%-6s submitted: waits for point %llu, signals point %llu\n", engine->name,
	       (unsigned long long)wait, (unsigned long long)signal);
}

int main(void)
{
	struct engine dma = start("dma"), gpu = start("gpu");
	struct drm_vfence_gem_create create = { .size = SIZE };
	uint64_t point = 2, begin = now();
	unsigned char *pixels;
	int buffer, timeline;

	/* The DMA engine creates both objects and exports them. */
	check(drmIoctl(dma.node, DRM_IOCTL_VFENCE_GEM_CREATE, &create), "buffer");
	dma.buffer = create.handle;
	check(drmSyncobjCreate(dma.node, 0, &dma.timeline), "timeline");
	check(drmPrimeHandleToFD(dma.node, dma.buffer, DRM_CLOEXEC | DRM_RDWR, &buffer),
	      "export of the buffer");
	check(drmSyncobjHandleToFD(dma.node, dma.timeline, &timeline), "export of the timeline");
	check(drmPrimeFDToHandle(gpu.node, buffer, &gpu.buffer), "import of the buffer");
	check(drmSyncobjFDToHandle(gpu.node, timeline, &gpu.timeline), "import of the timeline");

	/* Point 1 is submitted but not signalled when the GPU's job waits for it. */
	submit(&dma, 0, SIZE, 0x11, 0, 1);
	submit(&gpu, SIZE / 2, SIZE / 2, 0x22, 1, 2);

	check(drmSyncobjTimelineWait(gpu.node, &gpu.timeline, &point, 1, now() + 5000000000ULL, 0,
				     NULL),
	      "wait for point 2");
	printf("cpu    woke %.1f ms after the first submission\n", (now() - begin) / 1e6);

	pixels = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, buffer, 0);
	check(pixels == MAP_FAILED, "mapping of the buffer");
	for (int i = 0; i < SIZE; i++) {
		int expected = i < SIZE / 2 ? 0x11 : 0x22;

		if (pixels[i] != expected) {
			fprintf(stderr, "byte %d is %#x, not %#x: wrong order\n", i, pixels[i],
				expected);
			return 1;
		}
	}
	printf("each byte is what the two have written in this order\n");
	return 0;
}
