// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/fault-inject-usercopy.h>
#include <linux/uaccess.h>

/*
 * copy_from_user() is made for more than a few words: where it is a string
 * instruction, that takes as long to begin.
 */
bool rust_helper_copy_words_from_user(u64 *to, const u64 __user *from, size_t count)
{
	might_fault();
	if (should_fail_usercopy() || !user_read_access_begin(from, count * sizeof(*from)))
		return false;
	for (; count >= 4; count -= 4, to += 4, from += 4) {
		unsafe_get_user(to[0], from, fault);
		unsafe_get_user(to[1], from + 1, fault);
		unsafe_get_user(to[2], from + 2, fault);
		unsafe_get_user(to[3], from + 3, fault);
	}
	for (; count; count--)
		unsafe_get_user(*to++, from++, fault);
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}
