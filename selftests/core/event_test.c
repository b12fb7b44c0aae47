// SPDX-License-Identifier: GPL-2.0
/* Completion events: read() and poll() on the device. */
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include "lib/page_fault.h"
#include "lib/test.h"

FIXTURE(event)
{
	int device;
	__u32 timer;
	__u32 manual;
	struct vfence_submit jobs[VFENCE_MAX_BATCH];
};

FIXTURE_VARIANTS_OF_NODES(event);

FIXTURE_SETUP(event)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->timer = timer_queue(self->device);
	self->manual = manual_queue(self->device);
	for (size_t i = 0; i < ARRAY_LEN(self->jobs); i++) {
		self->jobs[i].queue = self->manual;
		self->jobs[i].flags = VFENCE_SUBMIT_EVENT;
	}
}

FIXTURE_TEARDOWN(event)
{
	close(self->device);
}

static void set_nonblocking(int device, bool on)
{
	int flags = fcntl(device, F_GETFL);

	fcntl(device, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

TEST_F(event, event_agrees_with_job_info)
{
	struct vfence_event event;
	struct vfence_job_info job;

	self->jobs[0] = (struct vfence_submit) {
		.queue = self->timer,
		.flags = VFENCE_SUBMIT_EVENT | VFENCE_SUBMIT_OUT_FENCE,
		.duration_ns = 2 * MSEC,
		.error = -EPROTO,
	};
	ASSERT_EQ(0, submit_job(self->device, &self->jobs[0]));
	ASSERT_EQ(0, read_event(self->device, &event));
	/* The fence signals before the event is readable. */
	EXPECT_EQ(-EPROTO, fence_status(self->jobs[0].out_fence));
	ASSERT_EQ(0, job_info(self->device, self->timer, 1, &job));
	EXPECT_EQ(self->timer, event.queue);
	EXPECT_EQ(1, event.seqno);
	EXPECT_EQ(-EPROTO, event.error);
	EXPECT_EQ(job.submitted_ns, event.submitted_ns);
	EXPECT_EQ(job.start_ns, event.start_ns);
	EXPECT_EQ(job.end_ns, event.end_ns);
	EXPECT_EQ(event.start_ns + 2 * MSEC, event.end_ns);
	EXPECT_EQ(fence_timestamp(self->jobs[0].out_fence), event.end_ns);
	EXPECT_EQ(0, event.deadline_ns);
	EXPECT_EQ(0, event.faults);
	EXPECT_EQ(0, event.flags);
	EXPECT_EQ(0, event.result);
}

TEST_F(event, only_flagged_jobs_send_events)
{
	struct vfence_event events[3];

	self->jobs[1].flags = 0;
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 3, NULL));
	ASSERT_EQ(3, signal_seqno(self->device, self->manual, 3, 0));
	ASSERT_EQ(2 * sizeof(events[0]), read(self->device, events, sizeof(events)));
	EXPECT_EQ(1, events[0].seqno);
	EXPECT_EQ(3, events[1].seqno);
}

TEST_F(event, events_are_in_completion_order)
{
	__u32 other = manual_queue(self->device);
	struct vfence_event events[4];

	self->jobs[0].queue = self->jobs[1].queue = other;
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 4, NULL));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	ASSERT_EQ(2, signal_seqno(self->device, other, 2, -EIO));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 2, 0));
	ASSERT_EQ(sizeof(events), read(self->device, events, sizeof(events)));
	EXPECT_EQ(self->manual, events[0].queue);
	EXPECT_EQ(other, events[1].queue);
	EXPECT_EQ(other, events[2].queue);
	EXPECT_EQ(2, events[2].seqno);
	EXPECT_EQ(-EIO, events[2].error);
	EXPECT_EQ(self->manual, events[3].queue);
	EXPECT_LE(events[0].end_ns, events[1].end_ns);
	EXPECT_LE(events[2].end_ns, events[3].end_ns);
}

TEST_F(event, read_returns_as_many_events_as_fit)
{
	struct vfence_event events[200];

	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 200, NULL));
	ASSERT_EQ(200, signal_seqno(self->device, self->manual, 200, 0));
	ASSERT_EQ(64, read(self->device, events, 64));
	EXPECT_EQ(1, events[0].seqno);
	ASSERT_EQ(2 * 64, read(self->device, events, 3 * 64 - 1));
	EXPECT_EQ(3, events[1].seqno);
	ASSERT_EQ(197 * 64, read(self->device, events, sizeof(events)));
	for (int i = 0; i < 197; i++)
		ASSERT_EQ(i + 4, events[i].seqno);
}

TEST_F(event, read_into_a_small_buffer_is_refused)
{
	struct vfence_event event;

	EXPECT_REFUSED(EINVAL, read(self->device, &event, sizeof(event) - 1));
	EXPECT_REFUSED(EINVAL, read(self->device, &event, 1));
	ASSERT_EQ(0, submit_job(self->device, &self->jobs[0]));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	EXPECT_REFUSED(EINVAL, read(self->device, &event, sizeof(event) - 1));
	EXPECT_EQ(0, read_event(self->device, &event));
}

TEST_F(event, nonblocking_read_fails_without_events)
{
	struct vfence_event event;

	set_nonblocking(self->device, true);
	EXPECT_REFUSED(EAGAIN, read(self->device, &event, sizeof(event)));
	ASSERT_EQ(0, submit_job(self->device, &self->jobs[0]));
	EXPECT_REFUSED(EAGAIN, read(self->device, &event, sizeof(event)));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	EXPECT_EQ(0, read_event(self->device, &event));
	EXPECT_REFUSED(EAGAIN, read(self->device, &event, sizeof(event)));
}

TEST_F(event, read_into_inaccessible_memory_loses_no_event)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *start = unmapped(2);
	struct vfence_event event;

	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 100, NULL));
	ASSERT_EQ(100, signal_seqno(self->device, self->manual, 100, 0));
	EXPECT_REFUSED(EFAULT, read(self->device, start, 64));
	EXPECT_REFUSED(EFAULT, read(self->device, unmapped(2), 6400));
	/* The page has room for three events and half of a fourth. */
	ASSERT_EQ(0, mprotect(start, page, PROT_READ | PROT_WRITE));
	EXPECT_EQ(3 * 64, read(self->device, start + page - 3 * 64 - 32, 6400));
	for (int i = 4; i <= 100; i++) {
		ASSERT_EQ(0, read_event(self->device, &event));
		ASSERT_EQ(i, event.seqno);
	}
}

struct reader {
	pthread_t thread;
	int device;
	__u64 count;
	__u64 sum;
	int error;
};

/* Reads @count events, or until read() fails. */
static void *read_events(void *data)
{
	struct reader *reader = data;
	struct vfence_event event;

	while (reader->count) {
		if (read_event(reader->device, &event)) {
			reader->error = errno;
			break;
		}
		reader->sum += event.seqno;
		reader->count--;
	}
	return NULL;
}

static void reader_start(struct reader *reader, int device, __u64 count)
{
	*reader = (struct reader) { .device = device, .count = count };
	pthread_create(&reader->thread, NULL, read_events, reader);
}

TEST_F(event, event_wakes_a_reader)
{
	struct reader reader;

	for (int i = 0; i < 200; i++) {
		reader_start(&reader, self->device, 1);
		ASSERT_EQ(0, submit_job(self->device, &self->jobs[0]));
		if (i % 2)
			usleep(100);
		ASSERT_EQ(1, signal_seqno(self->device, self->manual, i + 1, 0));
		pthread_join(reader.thread, NULL);
		ASSERT_EQ(i + 1, reader.sum);
	}
}

TEST_F(event, each_event_goes_to_one_reader)
{
	struct reader readers[4];
	__u64 sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		reader_start(&readers[i], self->device, 250);
	for (int i = 0; i < 1000; i++) {
		self->jobs[i].queue = self->timer;
		self->jobs[i].duration_ns = 5000;
	}
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 1000, NULL));
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		EXPECT_EQ(0, readers[i].error);
		sum += readers[i].sum;
	}
	EXPECT_EQ(1000 * 1001 / 2, sum);
	EXPECT_EQ(0, polled(self->device, POLLIN));
}

static void on_signal(int number)
{
	(void)number;
}

/* Starts a reader and sends it signals until it ends. Returns the reader's errno, or -1. */
static int interrupt_a_reader(int device)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct reader reader;

	if (sigaction(SIGUSR1, &action, NULL))
		return -1;
	reader_start(&reader, device, 1);
	while (pthread_tryjoin_np(reader.thread, NULL)) {
		pthread_kill(reader.thread, SIGUSR1);
		usleep(1000);
	}
	return reader.error;
}

TEST_F(event, signal_interrupts_a_reader)
{
	EXPECT_EQ(EINTR, interrupt_a_reader(self->device));
}

/* A thread whose read() blocks in a page fault. */
struct stuck {
	pthread_t thread;
	int device;
	struct page_fault fault;
	ssize_t read;
};

static void *read_slowly(void *data)
{
	struct stuck *stuck = data;

	stuck->read = read(stuck->device, stuck->fault.memory, sizeof(struct vfence_event));
	return NULL;
}

/* Returns once the thread blocks; false if the kernel has no userfaultfd. */
static bool stuck_start(struct stuck *stuck, int device)
{
	stuck->device = device;
	if (!page_fault_prepare(&stuck->fault))
		return false;
	pthread_create(&stuck->thread, NULL, read_slowly, stuck);
	return page_fault_wait(&stuck->fault);
}

TEST_F(event, page_fault_of_a_reader_blocks_only_readers)
{
	struct vfence_event event;
	struct reader reader;
	struct stuck stuck;

	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 3, NULL));
	ASSERT_EQ(3, signal_seqno(self->device, self->manual, 3, 0));
	if (!stuck_start(&stuck, self->device))
		SKIP(return, "the kernel has no CONFIG_USERFAULTFD");
	/* Another reader gets EAGAIN, or waits interruptibly. */
	set_nonblocking(self->device, true);
	EXPECT_REFUSED(EAGAIN, read(self->device, &event, sizeof(event)));
	EXPECT_EQ(POLLIN, polled(self->device, POLLIN));
	set_nonblocking(self->device, false);
	EXPECT_EQ(EINTR, interrupt_a_reader(self->device));
	/* Jobs still complete and queue their events. */
	ASSERT_EQ(0, submit_job(self->device, &self->jobs[3]));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 4, 0));
	/* The next reader continues when the first is done. */
	reader_start(&reader, self->device, 3);
	page_fault_end(&stuck.fault);
	pthread_join(stuck.thread, NULL);
	EXPECT_EQ(sizeof(event), stuck.read);
	EXPECT_EQ(1, ((struct vfence_event *)stuck.fault.memory)->seqno);
	pthread_join(reader.thread, NULL);
	EXPECT_EQ(0, reader.error);
	EXPECT_EQ(2 + 3 + 4, reader.sum);
}

TEST_F(event, pollin_follows_the_events)
{
	struct vfence_event event;

	ASSERT_EQ(0, submit_job(self->device, &self->jobs[0]));
	EXPECT_EQ(0, polled(self->device, POLLIN));
	ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	EXPECT_EQ(POLLIN, polled(self->device, POLLIN));
	EXPECT_EQ(POLLIN | POLLRDNORM, polled(self->device, POLLIN | POLLRDNORM));
	ASSERT_EQ(0, read_event(self->device, &event));
	EXPECT_EQ(0, polled(self->device, POLLIN));
}

TEST_F(event, event_wakes_a_poller)
{
	struct pollfd pollfd = { .fd = self->device, .events = POLLIN };

	self->jobs[0].queue = self->timer;
	self->jobs[0].duration_ns = 10 * MSEC;
	ASSERT_EQ(0, submit_job(self->device, &self->jobs[0]));
	EXPECT_EQ(1, poll(&pollfd, 1, PATIENCE_MS));
	EXPECT_EQ(POLLIN, pollfd.revents);
}

TEST_F(event, pollout_follows_the_room_in_queues)
{
	int device = variant->node->open();
	struct vfence_query query = { 0 };
	__u32 queue;

	EXPECT_EQ(0, polled(device, POLLOUT));
	queue = manual_queue(device);
	EXPECT_EQ(POLLOUT, polled(device, POLLOUT));
	ASSERT_EQ(0, device_ioctl(device, VFENCE_IOCTL_QUERY, &query));
	for (__u32 i = 0; i < ARRAY_LEN(self->jobs); i++)
		self->jobs[i] = (struct vfence_submit) { .queue = queue };
	for (__u32 room = query.max_jobs; room; ) {
		__u32 count = room < VFENCE_MAX_BATCH ? room : VFENCE_MAX_BATCH;

		EXPECT_EQ(POLLOUT, polled(device, POLLOUT));
		ASSERT_EQ(0, submit_batch(device, self->jobs, count, NULL));
		room -= count;
	}
	EXPECT_EQ(0, polled(device, POLLOUT));
	EXPECT_EQ(1, signal_seqno(device, queue, 1, 0));
	EXPECT_EQ(POLLOUT, polled(device, POLLOUT));
	ASSERT_EQ(0, submit_job(device, &self->jobs[0]));
	EXPECT_EQ(0, polled(device, POLLOUT));
	/* The new queue has room. */
	EXPECT_NE(0, timer_queue(device));
	EXPECT_EQ(POLLOUT, polled(device, POLLOUT));
	close(device);
}

/* Expects POLLOUT to wake a poller when user space lets the head of a full queue complete. */
static void expect_poll_out(struct __test_metadata *_metadata, FIXTURE_DATA(event) *self,
			    __u32 kind)
{
	__s32 gate = submit(self->device, self->manual, 0);
	int device = node_of(self->device)->open();
	__u32 queue = queue_create(device, kind, "full");
	pthread_t thread;
	void *polled_thread;

	if (kind != VFENCE_QUEUE_MANUAL)
		ASSERT_LE(0, submit_after(device, queue, 0, gate));
	ASSERT_LT(0, fill_queue(device, (struct vfence_submit) { .queue = queue }));
	EXPECT_EQ(0, polled(device, POLLOUT));
	pthread_create(&thread, NULL, poll_for_room, &device);
	usleep(10000);
	if (kind == VFENCE_QUEUE_MANUAL) {
		ASSERT_EQ(1, signal_seqno(device, queue, 1, 0));
	} else {
		ASSERT_EQ(1, signal_seqno(self->device, self->manual, 1, 0));
	}
	pthread_join(thread, &polled_thread);
	EXPECT_EQ(1, (long)polled_thread);
	close(device);
}

TEST_F(event, signal_wakes_a_poller_for_room)
{
	expect_poll_out(_metadata, self, VFENCE_QUEUE_MANUAL);
}

TEST_F(event, timer_job_wakes_a_poller_for_room)
{
	expect_poll_out(_metadata, self, VFENCE_QUEUE_TIMER);
}

/* No in-fence holds the head back, so the timer alone makes room. */
TEST_F(event, timer_alone_wakes_a_poller_for_room)
{
	int device = variant->node->open();
	struct vfence_submit job = { .queue = timer_queue(device), .duration_ns = 500 * MSEC };

	ASSERT_LT(0, fill_queue(device, job));
	EXPECT_EQ(1, (long)poll_for_room(&device));
	close(device);
}

TEST_F(event, worker_job_wakes_a_poller_for_room)
{
	expect_poll_out(_metadata, self, VFENCE_QUEUE_WORKER);
}

TEST_F(event, edge_triggered_epoll_reports_each_event)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event wanted = { .events = EPOLLIN | EPOLLET, .data.u32 = 7 }, event;
	struct vfence_event read;

	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->device, &wanted));
	for (int i = 1; i <= 50; i++) {
		EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
		ASSERT_EQ(0, submit_job(self->device, &self->jobs[0]));
		ASSERT_EQ(1, signal_seqno(self->device, self->manual, i, 0));
		ASSERT_EQ(1, epoll_wait(epoll, &event, 1, PATIENCE_MS));
		EXPECT_EQ(7, event.data.u32);
		ASSERT_EQ(0, read_event(self->device, &read));
	}
	/* The device may be closed while an epoll instance watches it. */
	close(self->device);
	EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	close(epoll);
}

TEST_F(event, unread_events_are_limited)
{
	struct vfence_event *events = calloc(VFENCE_MAX_EVENTS, sizeof(*events));
	__u32 refused;

	/* Unread events take room, and so do the events of pending jobs. */
	for (int job = 0; job < VFENCE_MAX_BATCH; job++)
		self->jobs[job].queue = self->timer;
	for (int batch = 1; batch < VFENCE_MAX_EVENTS / VFENCE_MAX_BATCH; batch++) {
		ASSERT_EQ(0, submit_batch(self->device, self->jobs, VFENCE_MAX_BATCH, NULL));
		ASSERT_EQ(0, wait_idle(self->device, self->timer));
	}
	for (int job = 0; job < VFENCE_MAX_BATCH; job++)
		self->jobs[job].queue = self->manual;
	ASSERT_EQ(0, submit_batch(self->device, self->jobs, VFENCE_MAX_BATCH, NULL));
	/* POLLOUT reports room for jobs, not for events. */
	EXPECT_EQ(POLLIN | POLLOUT, polled(self->device, POLLIN | POLLOUT));
	/* Jobs without an event are accepted. */
	self->jobs[0].flags = 0;
	EXPECT_REFUSED(EAGAIN, submit_batch(self->device, self->jobs, 2, &refused));
	EXPECT_EQ(1, refused);
	EXPECT_EQ(0, submit_job(self->device, &self->jobs[0]));
	EXPECT_EQ(0, queue_destroy(self->device, self->manual));
	for (int job = 0; job < 2; job++)
		self->jobs[job].queue = self->timer;
	EXPECT_REFUSED(EAGAIN, submit_job(self->device, &self->jobs[1]));
	ASSERT_EQ(64, read(self->device, events, 64));
	EXPECT_EQ(0, submit_job(self->device, &self->jobs[1]));
	EXPECT_REFUSED(EAGAIN, submit_job(self->device, &self->jobs[1]));
	ASSERT_EQ(0, wait_idle(self->device, self->timer));
	/* No event was lost. */
	EXPECT_EQ(VFENCE_MAX_EVENTS * 64L,
		  read(self->device, events, VFENCE_MAX_EVENTS * sizeof(*events)));
	EXPECT_EQ(-ECANCELED, events[VFENCE_MAX_EVENTS - 2].error);
	EXPECT_EQ(0, events[VFENCE_MAX_EVENTS - 1].error);
	free(events);
}

TEST_F(event, destroyed_queue_sends_events_of_its_jobs)
{
	struct vfence_event event;

	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 2, NULL));
	ASSERT_EQ(0, queue_destroy(self->device, self->manual));
	for (int i = 1; i <= 2; i++) {
		ASSERT_EQ(0, read_event(self->device, &event));
		EXPECT_EQ(i, event.seqno);
		EXPECT_EQ(-ECANCELED, event.error);
		EXPECT_EQ(self->manual, event.queue);
	}
}

TEST_F(event, refused_batch_sends_no_event)
{
	self->jobs[9].pad = 1;
	EXPECT_REFUSED(EINVAL, submit_batch(self->device, self->jobs, 10, NULL));
	EXPECT_EQ(0, polled(self->device, POLLIN));
}

TEST_F(event, child_shares_the_events)
{
	struct vfence_event event;
	int status;
	pid_t child;

	ASSERT_EQ(0, submit_batch(self->device, self->jobs, 2, NULL));
	ASSERT_EQ(2, signal_seqno(self->device, self->manual, 2, 0));
	child = fork();
	if (!child)
		_exit(read_event(self->device, &event) ? 99 : event.seqno);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(1, WEXITSTATUS(status));
	ASSERT_EQ(0, read_event(self->device, &event));
	EXPECT_EQ(2, event.seqno);
}

TEST_HARNESS_MAIN
