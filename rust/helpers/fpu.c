// SPDX-License-Identifier: GPL-2.0 OR MIT

#ifdef CONFIG_X86_64
#include <asm/fpu/api.h>

bool rust_helper_irq_fpu_usable(void)
{
	return irq_fpu_usable();
}

void rust_helper_kernel_fpu_begin(void)
{
	kernel_fpu_begin();
}
#endif
