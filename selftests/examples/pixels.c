// SPDX-License-Identifier: GPL-2.0
/*
 * The pipeline of this field, on real pixels.
 *
 *	camera ──▶ source ──▶ DMA engine ──▶ source ──▶ GPU ──▶ frame ──▶ display
 *
 * A camera writes the top of a source buffer, and a row too many. A DMA engine fills the rest. A GPU copies all of it
 * to a frame buffer and draws on that. A display reads the frame buffer, sums it up, and shows it for a sixtieth of a
 * second. There are two buffers of each, in turn, so each stage has to wait for the one before, and, before it writes
 * to a buffer, for whoever still reads what was there two frames ago. All but the display are fast, so it is the
 * buffers that hold them back. The display begins when they can get no further.
 *
 *	pixels explicit		stages hand on the fences of their jobs, as sync_files
 *	pixels implicit		nobody hands on anything: the fences are in the buffers
 *	pixels vgem		implicit, but the camera and the frame buffers are another driver's: vgem's
 *
 * A second argument, camera, dma, gpu or display, has that stage not wait, to see what comes of it: wrong sums. With
 * tearing, the GPU waits for what it reads, but not for the display. Nothing of that depends on luck: what does not
 * wait has come as far as it can before what it should have waited for begins.
 *
 * Exits with 0 if every frame was right, 1 if one was wrong, 2 if there was an error.
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
/* The rows that are the camera's in the end. The GPU draws on the last quarter. */
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
/* Of vgem: what it calls the source buffers, and where they are mapped. */
static __u32 handles[BUFFERS];
static __u32 *mapped[BUFFERS];
/* The out-fences of all jobs, when they are handed on. */
static int fences[STAGES][FRAMES];
static bool explicit;
/* What the camera and the display wait for before they begin: the first jobs of two manual queues. */
static struct gate {
	__u32 queue;
	int fence;
	bool open;
} start, curtain;
/* The stage that does not wait, or none. */
static enum stage careless = STAGES;
/* Whether the GPU does not wait for the display. */
static bool tearing;

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

/* What stage @stage writes for frame @frame. */
static __u32 colour(enum stage stage, int frame)
{
	return 0xff000000 | (stage + 1) << 16 | (frame * 0x0505 + 1);
}

/* The CRC-32C of what the display has to see. */
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

/* A buffer of the system's heap; one of the device where there is no such heap. */
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

/* Submits a job of @stage, which has the operations and uses the buffers. */
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
		else if (stage == careless || tears)
			uses[i].flags |= VFENCE_USE_NO_WAIT;
	}
	if (frame == 0 && stage != careless) {
		if (stage == CAMERA)
			in_fences[job.in_fence_count++] = start.fence;
		if (stage == DISPLAY)
			in_fences[job.in_fence_count++] = curtain.fence;
	}
	if (explicit && stage != careless) {
		if (stage > CAMERA)
			in_fences[job.in_fence_count++] = fences[stage - 1][frame];
		/* Who reads what is to be overwritten: of the source the GPU, of the frame buffer the display. */
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

/* Opens the card of the driver vgem, gives it the source buffers, and has its own for the frames. */
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
		struct drm_mode_create_dumb create = { .width = WIDTH, .height = HEIGHT, .bpp = 32 };
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

/* Waits until a stage is done with a frame. */
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

/* Draws as a client of vgem does: the other stages wait for its fence, which is in the buffer. */
static void draw_with_vgem(int frame)
{
	bool waits = careless != CAMERA;
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
	/* Exposed until it is too late for who does not wait. */
	if (careless != CAMERA && careless != STAGES)
		wait_for(careless, frame);
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

/* Has the display begin, when the others can get no further without it. */
static void open_curtain(void)
{
	if (careless == CAMERA && card < 0)
		wait_for(CAMERA, FRAMES - 1);
	wait_for(GPU, tearing ? FRAMES - 1 : BUFFERS - 1);
	open_gate(&curtain);
}

/* The stages one after the other, frame by frame: the camera is a client of vgem, and has to be there for each. */
static void run_with_vgem(void)
{
	for (int frame = 0; frame < FRAMES; frame++) {
		/* It gets no further, unless it or the GPU does not care. */
		if (frame == 2 * BUFFERS && careless != CAMERA && !tearing)
			open_curtain();
		draw_with_vgem(frame);
	}
	open_curtain();
}

/* All of it is submitted before it begins. */
static void run(void)
{
	for (int frame = 0; frame < FRAMES; frame++) {
		submit_camera(frame);
		submit_dma(frame);
		submit_gpu(frame);
		submit_display(frame);
	}
	/* Whoever does not wait for what is before him in the pipeline is too early. */
	if (careless == DMA || careless == GPU)
		wait_for(careless, FRAMES - 1);
	if (careless == DISPLAY)
		wait_for(DISPLAY, 0);
	open_gate(&start);
	open_curtain();
}

/* When the GPU was done with a frame. */
static __u64 ready_at(int frame)
{
	struct vfence_job_info info = { .queue = queues[GPU], .seqno = frame + 1 };

	if (ioctl(device, VFENCE_IOCTL_JOB_INFO, &info))
		fail("gpu");
	return info.end_ns;
}

/* Shows what the display has seen, and when. Returns how many frames were right. */
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
		printf("frame %2d, ready at %10.6f ms, shown from %10.6f to %10.6f ms: CRC-32C %08llx %s\n",
		       frame, ((__s64)ready_at(frame) - first) / 1e6,
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
			careless = stage;
	tearing = argc > 2 && !strcmp(argv[2], "tearing");
	if (argc > 3 || (argc > 2 && careless == STAGES && !tearing) ||
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
