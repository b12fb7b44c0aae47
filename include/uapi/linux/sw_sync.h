/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The interface of /dev/sw_sync: that of the kernel's sw_sync, which is not in a header of its own but in
 * drivers/dma-buf/sw_sync.c. A program that was written for <debugfs>/sync/sw_sync works with either node.
 *
 * The node is there when the module vfence was loaded with sw_sync=1. Each open file of it is a timeline: a
 * counter of 32 bits that begins at 0. A fence of the timeline stands for a value of the counter and signals when the counter
 * reaches it. "Later" is meant modulo 2^32: value b is later than value a if (__s32)(b - a) > 0.
 *
 * The driver's name of a fence is "sw_sync", the timeline's is the name of the task that opened the file.
 *
 * Closing the last descriptor of the file completes the fences that are pending with -ENOENT. A fence that
 * is pending for longer than the module's parameter sw_sync_watchdog_ms says completes with -ETIMEDOUT, and with it those
 * of earlier values; the counter stays as it is. A new fence of a value up to the latest that was so given up has
 * signalled from the beginning, with -ETIMEDOUT, until the counter has reached the fence's value.
 *
 * Unknown ioctls fail with ENOTTY. All can fail with EFAULT, when the argument is not accessible.
 */
#ifndef _LINUX_SW_SYNC_H
#define _LINUX_SW_SYNC_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct sw_sync_create_fence_data - argument of SW_SYNC_IOC_CREATE_FENCE
 * @value: in: value of the counter at which the fence signals
 * @name: in: not used
 * @fence: out: file descriptor of a sync_file with the fence, O_CLOEXEC
 */
struct sw_sync_create_fence_data {
	__u32 value;
	char name[32];
	__s32 fence;
};

/**
 * struct sw_sync_get_deadline - argument of SW_SYNC_GET_DEADLINE
 * @deadline_ns: in: must be 0; out: the earliest deadline of the fence, in ns on CLOCK_MONOTONIC. Deadlines are
 * compared as signed numbers
 * @pad: in: must be 0
 * @fence_fd: in: file descriptor of a sync_file with a fence of this node, of whichever timeline, pending or not. What
 * was merged of several such fences is none
 */
struct sw_sync_get_deadline {
	__u64 deadline_ns;
	__u32 pad;
	__s32 fence_fd;
};

#define SW_SYNC_IOC_MAGIC 'W'

/**
 * SW_SYNC_IOC_CREATE_FENCE - make a fence
 *
 * If @value is not later than the counter the fence has signalled from the beginning. While a fence of the same value is
 * pending and somebody has it, the new descriptor is of that one.
 *
 * Fails with EMFILE or ENOMEM, and with ENOSPC if the module's parameter max_jobs does not allow so many pending fences. @fence
 * is written only when it succeeds.
 */
#define SW_SYNC_IOC_CREATE_FENCE _IOWR(SW_SYNC_IOC_MAGIC, 0, struct sw_sync_create_fence_data)

/**
 * SW_SYNC_IOC_INC - add to the counter
 *
 * Signals the fences whose values the counter has reached, in the order of these values. What is added may be up to
 * 2^32 - 1; more than INT_MAX is added in steps of INT_MAX.
 */
#define SW_SYNC_IOC_INC _IOW(SW_SYNC_IOC_MAGIC, 1, __u32)

/**
 * SW_SYNC_GET_DEADLINE - read the deadline of a fence
 *
 * Deadlines are set by SYNC_IOC_SET_DEADLINE of <linux/sync_file.h>, or by drivers, while the fence is pending.
 *
 * Fails with ENOENT if it has none. Fails with EINVAL if @deadline_ns or @pad is not 0, or @fence_fd is not what it must be.
 */
#define SW_SYNC_GET_DEADLINE _IOWR(SW_SYNC_IOC_MAGIC, 2, struct sw_sync_get_deadline)

#endif
