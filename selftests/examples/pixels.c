// SPDX-License-Identifier: GPL-2.0
/*
 * A camera, a DMA engine, a GPU and a display, as four queues that work on real pixels.
 *
 * camera ──▶ source ──▶ DMA engine ──▶ source ──▶ GPU ──▶ frame ──▶ display
 *
 * The camera writes the top of a source buffer, and one row too many. The DMA engine fills the
 * rest. The GPU copies the source to a frame buffer and draws on it. The display reads the frame
 * buffer, checksums it, and shows it for 1/60 s. There are two buffers of each kind, used in turn:
 * each stage waits for the stage before it and, before it overwrites a buffer, for the reader of
 * the frame before the last. All stages but the display are fast, so the buffers hold them back.
 * The display begins once the others are blocked.
 *
 * pixels explicit         jobs take the fences of other stages as in-fences pixels implicit
 * jobs wait for the fences in the reservation objects pixels vgem         implicit, with the camera
 * and the frame buffers of vgem
 *
 * With a second argument, camera, dma, gpu or display, that stage does not wait, and the checksums
 * are wrong. With tearing, the GPU waits for what it reads, but not for the display. The result
 * does not depend on chance: the stage that does not wait runs as far as it can before the stage
 * for which it should wait begins.
 *
 * The exit status is 0 if every frame was right, 1 if one was wrong, and 2 after an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <drm/drm.h>
#include <drm/vgem_drm.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/vfence.h>

#define WIDTH 256
#define HEIGHT 128
#define ROW (WIDTH * 4)
#define SIZE (HEIGHT * ROW)
/* The rows that the camera writes last. The GPU draws on the last quarter. */
#define CAMERA_ROWS 16
#define GPU_ROWS (HEIGHT / 4)
#define BUFFERS 2
#define FRAMES 15
#define REFRESH_NS (1000000000 / 60)
#define EXPOSURE_NS 1000000

enum stage { CAMERA, DMA, GPU, DISPLAY, STAGES };

static const char *const names[STAGES] = { "camera", "dma", "gpu", "display" };

static int device, card = -1;
static __u32 queues[STAGES];
static int sources[BUFFERS], frames[BUFFERS];
/* vgem's handles of the source buffers, and their mappings. */
static __u32 handles[BUFFERS];
static __u32 *mapped[BUFFERS];
/* The out-fences of all jobs, for explicit synchronisation. */
static int fences[STAGES][FRAMES];
static bool explicit;
/*
 * The camera and the display wait for these before they begin: the first jobs of two manual queues.
 */
static struct gate {
	__u32 queue;
	int fence;
	bool open;
} start, curtain;
/* The stage that does not wait, or STAGES. */
static enum stage unsynced = STAGES;
/* True if the GPU does not wait for the display. */
static bool tearing;

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

/* The colour that a stage writes in a frame. */
static __u32 colour(enum stage stage, int frame)
{
	return 0xff000000 | (stage + 1) << 16 | (frame * 0x0505 + 1);
}

/* The CRC-32C of a frame that the display reads correctly. */
static __u32 expected(int frame)
{
	__u32 crc = ~0U;

	for (int row = 0; row < HEIGHT; row++) {
		enum stage last = row < CAMERA_ROWS ? CAMERA : row < HEIGHT - GPU_ROWS ? DMA : GPU;

		for (int bit = 0; bit < ROW * 8; bit++) {
			crc ^= colour(last, frame) >> bit % 32 & 1;
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
		}
	}
	return ~crc;
}

/* Returns a buffer of the system heap, or of the device where there is no such heap. */
static int buffer(void)
{
	struct dma_heap_allocation_data from_heap = { .len = SIZE, .fd_flags = O_RDWR | O_CLOEXEC };
	struct vfence_buffer_create create = { .size = SIZE };
	int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);

	if (heap >= 0) {
		if (ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &from_heap))
			fail("system heap");
		close(heap);
		return from_heap.fd;
	}
	if (ioctl(device, VFENCE_IOCTL_BUFFER_CREATE, &create))
		fail("buffer");
	return create.fd;
}

/* Submits a job of a stage, with its operations and buffers. */
static void submit(enum stage stage, int frame, struct vfence_use *uses, int use_count,
		   const struct vfence_operation *operations, int operation_count)
{
	__s32 in_fences[3];
	struct vfence_submit job = {
		.queue = queues[stage],
		.flags = (explicit ? VFENCE_SUBMIT_OUT_FENCE : 0) |
			 (stage == DISPLAY ? VFENCE_SUBMIT_EVENT : 0),
		/* The camera exposes, the display shows. */
		.duration_ns = stage == CAMERA ? EXPOSURE_NS : stage == DISPLAY ? REFRESH_NS : 0,
		.in_fences = (uintptr_t)in_fences,
		.uses = (uintptr_t)uses,
		.use_count = use_count,
		.use_size = sizeof(*uses),
		.operations = (uintptr_t)operations,
		.operation_count = operation_count,
		.operation_size = sizeof(*operations),
	};

	for (int i = 0; i < use_count; i++) {
		bool tears = tearing && stage == GPU && uses[i].flags & VFENCE_USE_WRITE;

		if (explicit)
			uses[i].flags |= VFENCE_USE_NO_WAIT | VFENCE_USE_NO_ADD;
		else if (stage == unsynced || tears)
			uses[i].flags |= VFENCE_USE_NO_WAIT;
	}
	if (frame == 0 && stage != unsynced) {
		if (stage == CAMERA)
			in_fences[job.in_fence_count++] = start.fence;
		if (stage == DISPLAY)
			in_fences[job.in_fence_count++] = curtain.fence;
	}
	if (explicit && stage != unsynced) {
		if (stage > CAMERA)
			in_fences[job.in_fence_count++] = fences[stage - 1][frame];
		/*
		 * The readers of what the job overwrites: the GPU for the source, the display for
		 * the frame.
		 */
		if (stage < DISPLAY && frame >= BUFFERS && !(tearing && stage == GPU))
			in_fences[job.in_fence_count++] =
				fences[stage == GPU ? DISPLAY : GPU][frame - BUFFERS];
	}
	if (ioctl(device, VFENCE_IOCTL_SUBMIT, &job))
		fail(names[stage]);
	fences[stage][frame] = job.out_fence;
}

static struct vfence_operation fill(enum stage stage, int frame, int row, int rows)
{
	return (struct vfence_operation){
		.kind = VFENCE_OPERATION_FILL,
		.target_offset = row * ROW,
		.length = rows * ROW,
		.pattern = colour(stage, frame),
		.pattern_size = 4,
	};
}

static void submit_camera(int frame)
{
	struct vfence_use uses[] = { { sources[frame % BUFFERS], VFENCE_USE_WRITE } };
	struct vfence_operation operations[] = { fill(CAMERA, frame, 0, CAMERA_ROWS + 1) };

	submit(CAMERA, frame, uses, 1, operations, 1);
}

static void submit_dma(int frame)
{
	struct vfence_use uses[] = { { sources[frame % BUFFERS], VFENCE_USE_WRITE } };
	struct vfence_operation operations[] = {
		fill(DMA, frame, CAMERA_ROWS, HEIGHT - CAMERA_ROWS),
	};

	submit(DMA, frame, uses, 1, operations, 1);
}

static void submit_gpu(int frame)
{
	struct vfence_use uses[] = {
		{ frames[frame % BUFFERS], VFENCE_USE_WRITE },
		{ sources[frame % BUFFERS], 0 },
	};
	struct vfence_operation operations[] = {
		{ .kind = VFENCE_OPERATION_COPY, .target = 0, .source = 1, .length = SIZE },
		fill(GPU, frame, HEIGHT - GPU_ROWS, GPU_ROWS),
	};

	submit(GPU, frame, uses, 2, operations, 2);
}

static void submit_display(int frame)
{
	struct vfence_use uses[] = { { frames[frame % BUFFERS], 0 } };
	struct vfence_operation operations[] = {
		{ .kind = VFENCE_OPERATION_CRC32C, .source = 0, .length = SIZE },
	};

	submit(DISPLAY, frame, uses, 1, operations, 1);
}

/* Opens the card of vgem, imports the source buffers, and replaces the frame buffers by vgem's. */
static void open_vgem(void)
{
	for (int minor = 0; minor < 16 && card < 0; minor++) {
		char path[32], name[8] = "";
		struct drm_version version = { .name = name, .name_len = sizeof(name) };

		snprintf(path, sizeof(path), "/dev/dri/card%d", minor);
		card = open(path, O_RDWR | O_CLOEXEC);
		if (card >= 0 && (ioctl(card, DRM_IOCTL_VERSION, &version) ||
				  strncmp(name, "vgem", sizeof(name)))) {
			close(card);
			card = -1;
		}
	}
	if (card < 0) {
		fprintf(stderr, "no card of vgem in /dev/dri: modprobe vgem\n");
		exit(2);
	}
	for (int i = 0; i < BUFFERS; i++) {
		struct drm_prime_handle imported = { .fd = sources[i] };
		struct drm_mode_create_dumb create = {
			.width = WIDTH, .height = HEIGHT, .bpp = 32,
		};
		struct drm_prime_handle exported = { .flags = DRM_CLOEXEC | DRM_RDWR };

		if (ioctl(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &imported) ||
		    ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &create))
			fail("vgem");
		handles[i] = imported.handle;
		exported.handle = create.handle;
		if (ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &exported))
			fail("vgem");
		close(frames[i]);
		frames[i] = exported.fd;
		mapped[i] = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, sources[i], 0);
		if (mapped[i] == MAP_FAILED)
			fail("mmap");
	}
}

/* Waits until a stage has completed a frame. */
static void wait_for(enum stage stage, int frame)
{
	struct vfence_point point = { .queue = queues[stage], .seqno = frame + 1 };
	struct vfence_wait wait = {
		.points = (uintptr_t)&point,
		.count = 1,
		.timeout_ns = ~0ULL,
	};

	if (ioctl(device, VFENCE_IOCTL_WAIT, &wait))
		fail("wait");
}

/* Draws like a client of vgem: the other stages wait for its fence in the buffer. */
static void draw_with_vgem(int frame)
{
	bool waits = unsynced != CAMERA;
	int source = sources[frame % BUFFERS];
	struct pollfd idle = { .fd = source, .events = POLLOUT };
	struct dma_buf_sync access = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE };
	struct drm_vgem_fence_attach attach = {
		.handle = handles[frame % BUFFERS],
		.flags = VGEM_FENCE_WRITE,
	};
	struct drm_vgem_fence_signal done;

	if (waits && (poll(&idle, 1, -1) < 0 || ioctl(source, DMA_BUF_IOCTL_SYNC, &access) ||
		      ioctl(card, DRM_IOCTL_VGEM_FENCE_ATTACH, &attach)))
		fail("vgem");
	submit_dma(frame);
	submit_gpu(frame);
	submit_display(frame);
	/* Draw only after the stage that does not wait has read the buffer. */
	if (unsynced != CAMERA && unsynced != STAGES)
		wait_for(unsynced, frame);
	for (int pixel = 0; pixel < (CAMERA_ROWS + 1) * WIDTH; pixel++)
		mapped[frame % BUFFERS][pixel] = colour(CAMERA, frame);
	access.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE;
	done = (struct drm_vgem_fence_signal){ .fence = attach.out_fence };
	if (waits && (ioctl(source, DMA_BUF_IOCTL_SYNC, &access) ||
		      ioctl(card, DRM_IOCTL_VGEM_FENCE_SIGNAL, &done)))
		fail("vgem");
}

static __u32 create_queue(__u32 kind, const char *name)
{
	struct vfence_queue_create create = { .kind = kind };

	strcpy((char *)create.name, name);
	if (ioctl(device, VFENCE_IOCTL_QUEUE_CREATE, &create))
		fail("queue");
	return create.queue;
}

static struct gate close_gate(const char *name)
{
	struct vfence_submit job = {
		.queue = create_queue(VFENCE_QUEUE_MANUAL, name),
		.flags = VFENCE_SUBMIT_OUT_FENCE,
	};

	if (ioctl(device, VFENCE_IOCTL_SUBMIT, &job))
		fail(name);
	return (struct gate){ .queue = job.queue, .fence = job.out_fence };
}

static void open_gate(struct gate *gate)
{
	struct vfence_signal signal = { .queue = gate->queue, .seqno = 1 };

	if (!gate->open && ioctl(device, VFENCE_IOCTL_SIGNAL, &signal))
		fail("gate");
	gate->open = true;
}

/* Lets the display begin once the other stages are blocked on it. */
static void open_curtain(void)
{
	if (unsynced == CAMERA && card < 0)
		wait_for(CAMERA, FRAMES - 1);
	wait_for(GPU, tearing ? FRAMES - 1 : BUFFERS - 1);
	open_gate(&curtain);
}

/* Submits frame by frame: the camera is a client of vgem, and draws each frame itself. */
static void run_with_vgem(void)
{
	for (int frame = 0; frame < FRAMES; frame++) {
		/* The pipeline is blocked, unless the camera or the GPU does not wait. */
		if (frame == 2 * BUFFERS && unsynced != CAMERA && !tearing)
			open_curtain();
		draw_with_vgem(frame);
	}
	open_curtain();
}

/* Submits all jobs before the first one begins. */
static void run(void)
{
	for (int frame = 0; frame < FRAMES; frame++) {
		submit_camera(frame);
		submit_dma(frame);
		submit_gpu(frame);
		submit_display(frame);
	}
	/* Let the stage that does not wait run ahead of the stages before it. */
	if (unsynced == DMA || unsynced == GPU)
		wait_for(unsynced, FRAMES - 1);
	if (unsynced == DISPLAY)
		wait_for(DISPLAY, 0);
	open_gate(&start);
	open_curtain();
}

/* When the GPU completed a frame. */
static __u64 ready_at(int frame)
{
	struct vfence_job_info info = { .queue = queues[GPU], .seqno = frame + 1 };

	if (ioctl(device, VFENCE_IOCTL_JOB_INFO, &info))
		fail("gpu");
	return info.end_ns;
}

/* Prints what the display read, and when. Returns the number of correct frames. */
static int show(void)
{
	__s64 first = 0;
	int right = 0;

	for (int frame = 0; frame < FRAMES; frame++) {
		struct vfence_event event;
		bool good;

		if (read(device, &event, sizeof(event)) != sizeof(event))
			fail("event");
		if (event.error) {
			errno = -event.error;
			fail("job");
		}
		good = event.result == expected(frame);
		right += good;
		if (!frame)
			first = event.start_ns;
		printf("frame %2d, ready at %10.6f ms, shown from %10.6f to %10.6f ms: "
		       "CRC-32C %08llx %s\n", frame, ((__s64)ready_at(frame) - first) / 1e6,
		       ((__s64)event.start_ns - first) / 1e6, ((__s64)event.end_ns - first) / 1e6,
		       event.result, good ? "right" : "wrong");
	}
	printf("%d of %d frames were right\n", right, FRAMES);
	return right;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "explicit";
	bool vgem = !strcmp(mode, "vgem");

	explicit = !strcmp(mode, "explicit");
	for (int stage = CAMERA; argc > 2 && stage < STAGES; stage++)
		if (!strcmp(argv[2], names[stage]))
			unsynced = stage;
	tearing = argc > 2 && !strcmp(argv[2], "tearing");
	if (argc > 3 || (argc > 2 && unsynced == STAGES && !tearing) ||
	    (!explicit && !vgem && strcmp(mode, "implicit"))) {
		fprintf(stderr, "usage: %s [explicit | implicit | vgem "
			"[camera | dma | gpu | display | tearing]]\n", *argv);
		return 2;
	}
	device = open("/dev/vfence", O_RDWR | O_CLOEXEC);
	if (device < 0)
		fail("/dev/vfence");
	for (int stage = 0; stage < STAGES; stage++)
		queues[stage] = create_queue(VFENCE_QUEUE_WORKER, names[stage]);
	for (int i = 0; i < BUFFERS; i++) {
		sources[i] = buffer();
		frames[i] = buffer();
	}
	if (vgem)
		open_vgem();
	start = close_gate("start");
	curtain = close_gate("curtain");
	if (vgem)
		run_with_vgem();
	else
		run();
	return show() == FRAMES ? 0 : 1;
}
