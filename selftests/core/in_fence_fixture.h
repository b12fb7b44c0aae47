// SPDX-License-Identifier: GPL-2.0
/* The fixture of the suites about in-fences: a timer queue, and jobs that hold its jobs back. */
#ifndef CORE_IN_FENCE_FIXTURE_H
#define CORE_IN_FENCE_FIXTURE_H

#include "lib/test.h"

FIXTURE(in_fence)
{
	int device;
	__u32 queue;
	/* Two queues with one pending job each; @fences are the out-fences. */
	__u32 gates[2];
	int fences[2];
};

FIXTURE_VARIANTS_OF_NODES(in_fence);

FIXTURE_SETUP(in_fence)
{
	self->device = variant->node->open();
	ASSERT_LE(0, self->device);
	self->queue = timer_queue(self->device);
	ASSERT_NE(0, self->queue);
	for (int i = 0; i < 2; i++) {
		self->gates[i] = manual_queue(self->device);
		self->fences[i] = submit(self->device, self->gates[i], 0);
		ASSERT_LE(0, self->fences[i]);
	}
}

FIXTURE_TEARDOWN(in_fence)
{
	close(self->device);
}

/* Completes the job of one gate. */
#define OPEN_GATE(gate, error) \
	ASSERT_EQ(1, signal_seqno(self->device, self->gates[gate], 1, error))

#endif
