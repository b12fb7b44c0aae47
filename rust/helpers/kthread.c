// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/kthread.h>

void rust_helper_kthread_init_work(struct kthread_work *work, kthread_work_func_t func)
{
	kthread_init_work(work, func);
}
