// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/mutex.h>

#ifdef CONFIG_DEBUG_LOCK_ALLOC
/* A macro with lockdep, and a function without. */
int rust_helper_mutex_lock_killable(struct mutex *lock)
{
	return mutex_lock_killable(lock);
}
#endif
