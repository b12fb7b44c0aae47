/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The interface of /dev/sw_sync, which is that of the kernel's sw_sync. The kernel defines it in
 * drivers/dma-buf/sw_sync.c and has no header for it. A program written for <debugfs>/sync/sw_sync
 * works with either node.
 *
 * The node exists when the module vfence was loaded with sw_sync=1. Each open file of it is a
 * timeline: a 32-bit counter that starts at 0. A fence of the timeline represents a value of the
 * counter and signals when the counter reaches it. Values are compared modulo 2^32: value b is
 * later than value a if (__s32)(b - a) > 0.
 *
 * The driver name of a fence is "sw_sync", and the timeline name is the name of the task that
 * opened the file.
 *
 * Closing the last descriptor of the file completes the pending fences with -ENOENT. A fence that
 * stays pending for longer than the module parameter sw_sync_watchdog_ms completes with -ETIMEDOUT,
 * together with those of earlier values; the counter does not change. A new fence whose value is
 * not later than the latest value that timed out is created signalled, with -ETIMEDOUT, until the
 * counter has reached the value.
 *
 * Unknown ioctls fail with ENOTTY. Every ioctl fails with EFAULT when its argument is not
 * accessible.
 */
#ifndef _LINUX_SW_SYNC_H
#define _LINUX_SW_SYNC_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct sw_sync_create_fence_data - argument of SW_SYNC_IOC_CREATE_FENCE
 * @value: in: value of the counter at which the fence signals
 * @name: in: not used
 * @fence: out: fd of a sync_file with the fence, with close-on-exec set
 */
struct sw_sync_create_fence_data {
	__u32 value;
	char name[32];
	__s32 fence;
};

/**
 * struct sw_sync_get_deadline - argument of SW_SYNC_GET_DEADLINE
 * @deadline_ns: in: must be 0; out: earliest deadline of the fence, in ns on CLOCK_MONOTONIC;
 *	deadlines are compared as signed numbers
 * @pad: in: must be 0
 * @fence_fd: in: fd of a sync_file with one fence of any timeline of this node, pending or
 *	signalled; not a sync_file merged from several fences
 */
struct sw_sync_get_deadline {
	__u64 deadline_ns;
	__u32 pad;
	__s32 fence_fd;
};

#define SW_SYNC_IOC_MAGIC 'W'

/**
 * SW_SYNC_IOC_CREATE_FENCE - create a fence
 *
 * If @value is not later than the counter, the fence is created signalled. If a fence of the same
 * value is pending and still referenced, the new sync_file refers to that fence.
 *
 * Fails with EMFILE or ENOMEM, and with ENOSPC when the timeline has as many pending fences as the
 * module parameter max_jobs allows. @fence is written only on success.
 */
#define SW_SYNC_IOC_CREATE_FENCE _IOWR(SW_SYNC_IOC_MAGIC, 0, struct sw_sync_create_fence_data)

/**
 * SW_SYNC_IOC_INC - add to the counter
 *
 * Signals the fences whose values the counter reaches, in the order of their values. The argument
 * may be any value up to 2^32 - 1; one above INT_MAX is added in steps of INT_MAX.
 */
#define SW_SYNC_IOC_INC _IOW(SW_SYNC_IOC_MAGIC, 1, __u32)

/**
 * SW_SYNC_GET_DEADLINE - read the deadline of a fence
 *
 * SYNC_IOC_SET_DEADLINE of <linux/sync_file.h>, or a driver, sets a deadline while the fence is
 * pending.
 *
 * Fails with ENOENT if the fence has no deadline, and with EINVAL if @deadline_ns or @pad is not 0
 * or @fence_fd is not such a sync_file.
 */
#define SW_SYNC_GET_DEADLINE _IOWR(SW_SYNC_IOC_MAGIC, 2, struct sw_sync_get_deadline)

#endif
