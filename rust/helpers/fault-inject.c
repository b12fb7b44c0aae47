// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/fault-inject.h>

#ifdef CONFIG_FAULT_INJECTION
void rust_helper_fault_attr_init(struct fault_attr *attr)
{
	*attr = (struct fault_attr)FAULT_ATTR_INITIALIZER;
	/* FAULT_ATTR_INITIALIZER has no lockdep class for a lock that is not static. */
	raw_spin_lock_init(&attr->ratelimit_state.lock);
}

bool rust_helper_should_fail(struct fault_attr *attr, ssize_t size)
{
	return should_fail(attr, size);
}

/* Inline without CONFIG_FAULT_INJECTION_DEBUG_FS. */
struct dentry *rust_helper_fault_create_debugfs_attr(const char *name, struct dentry *parent,
						     struct fault_attr *attr)
{
	return fault_create_debugfs_attr(name, parent, attr);
}
#endif
