// SPDX-License-Identifier: GPL-2.0 OR MIT
/* For rust/compat/lib.rs: functions of the newest kernel's Rust helpers. */

/* <linux/interrupt_rc.h> came with these functions. */
#if !__has_include(<linux/interrupt_rc.h>)

#include <linux/irqflags.h>
#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/spinlock.h>

/*
 * How often interrupts were disabled on this CPU, and the state to restore.
 * Changed with interrupts disabled.
 */
static DEFINE_PER_CPU(unsigned int, interrupt_disable_count);
static DEFINE_PER_CPU(unsigned long, interrupt_disable_flags);

void rust_helper_local_interrupt_disable(void)
{
	unsigned long flags;

	local_irq_save(flags);
	if (__this_cpu_inc_return(interrupt_disable_count) == 1)
		__this_cpu_write(interrupt_disable_flags, flags);
}

void rust_helper_local_interrupt_enable(void)
{
	if (__this_cpu_dec_return(interrupt_disable_count) == 0)
		local_irq_restore(__this_cpu_read(interrupt_disable_flags));
}

void rust_helper_lockdep_assert_irqs_disabled(void)
{
	lockdep_assert_irqs_disabled();
}

/* On PREEMPT_RT, a spinlock sleeps, and its holder has interrupts enabled. */
void rust_helper_spin_lock_irq_disable(spinlock_t *lock)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		rust_helper_local_interrupt_disable();
	spin_lock(lock);
}

void rust_helper_spin_unlock_irq_enable(spinlock_t *lock)
{
	/* The task can be preempted only after interrupts are enabled. */
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_disable();
	spin_unlock(lock);
	if (!IS_ENABLED(CONFIG_PREEMPT_RT)) {
		rust_helper_local_interrupt_enable();
		preempt_enable();
	}
}

int rust_helper_spin_trylock_irq_disable(spinlock_t *lock)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		rust_helper_local_interrupt_disable();
	if (spin_trylock(lock))
		return 1;
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		rust_helper_local_interrupt_enable();
	return 0;
}

#endif /* <linux/interrupt_rc.h> */
