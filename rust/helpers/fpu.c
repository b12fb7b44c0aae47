// SPDX-License-Identifier: GPL-2.0 OR MIT

#ifdef CONFIG_X86_64
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xstate.h>

/* Whether the processor has the registers, and the kernel saves them. */
bool rust_helper_boot_cpu_has_avx(void)
{
	return boot_cpu_has(X86_FEATURE_AVX) &&
	       cpu_has_xfeatures(XFEATURE_MASK_SSE | XFEATURE_MASK_YMM, NULL);
}

bool rust_helper_irq_fpu_usable(void)
{
	return irq_fpu_usable();
}

void rust_helper_kernel_fpu_begin(void)
{
	kernel_fpu_begin();
}
#endif
