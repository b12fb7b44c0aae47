// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/sched.h>
#include <linux/sched/signal.h>

void rust_helper_get_current_comm(char *buf)
{
	char comm[TASK_COMM_LEN];

	get_task_comm(comm, current);
	memcpy(buf, comm, sizeof(comm));
}

void rust_helper_cond_resched(void)
{
	cond_resched();
}

/* set_notify_signal(), for a task that is in the kernel. wake_up_state() is not exported. */
void rust_helper_set_notify_signal(struct task_struct *task)
{
	if (!test_and_set_tsk_thread_flag(task, TIF_NOTIFY_SIGNAL))
		wake_up_process(task);
}
