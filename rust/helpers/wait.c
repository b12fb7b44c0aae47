// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/sched.h>
#include <linux/wait.h>

bool rust_helper_wq_has_sleeper(struct wait_queue_head *head)
{
	return wq_has_sleeper(head);
}

void rust_helper_set_current_state(unsigned int state)
{
	set_current_state(state);
}
