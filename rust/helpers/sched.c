// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/sched.h>

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
