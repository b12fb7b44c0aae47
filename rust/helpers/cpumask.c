// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/cpumask.h>

unsigned int rust_helper_num_online_cpus(void)
{
	return num_online_cpus();
}
