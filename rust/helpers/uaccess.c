// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/fault-inject-usercopy.h>
#include <linux/uaccess.h>
#include <linux/unroll.h>

/*
 * copy_from_user() and copy_to_user() are made for more than a few words: where
 * they are a string instruction, that takes as long to begin. For the most
 * frequent numbers of words there is no loop, and less of a check.
 */

#define get_word(n, to, from, label) unsafe_get_user((to)[n], (from) + (n), label);
#define put_word(n, to, from, label) unsafe_put_user((from)[n], (to) + (n), label);

bool rust_helper_copy_words_from_user(u64 *to, const u64 __user *from, size_t count)
{
	might_fault();
	if (should_fail_usercopy())
		return false;
	switch (count) {
	case 11:
		if (!user_read_access_begin(from, 11 * sizeof(*from)))
			return false;
		UNROLL(11, get_word, to, from, fault);
		break;
	case 3:
		if (!user_read_access_begin(from, 3 * sizeof(*from)))
			return false;
		UNROLL(3, get_word, to, from, fault);
		break;
	default:
		if (!user_read_access_begin(from, count * sizeof(*from)))
			return false;
		for (size_t i = 0; i < count; i++)
			unsafe_get_user(to[i], from + i, fault);
	}
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}

bool rust_helper_copy_words_to_user(u32 __user *to, const u32 *from, size_t count)
{
	might_fault();
	if (should_fail_usercopy())
		return false;
	switch (count) {
	case 3:
		if (!user_write_access_begin(to, 3 * sizeof(*to)))
			return false;
		UNROLL(3, put_word, to, from, fault);
		break;
	case 1:
		if (!user_write_access_begin(to, sizeof(*to)))
			return false;
		unsafe_put_user(*from, to, fault);
		break;
	default:
		if (!user_write_access_begin(to, count * sizeof(*to)))
			return false;
		for (size_t i = 0; i < count; i++)
			unsafe_put_user(from[i], to + i, fault);
	}
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
}
