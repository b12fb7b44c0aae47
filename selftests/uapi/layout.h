/* SPDX-License-Identifier: GPL-2.0 */
/* Build-time assertions for the layouts and numbers of a UAPI header. */
#ifndef LAYOUT_H
#define LAYOUT_H

#include <assert.h>
#include <stddef.h>

#define SIZE(type, size) \
	static_assert(sizeof(struct type) == (size), #type)
#define FIELD(type, field, offset, size) \
	static_assert(offsetof(struct type, field) == (offset) && \
		      sizeof(((struct type *)0)->field) == (size), #type "." #field)
#define NUMBER(name, number) \
	static_assert((name) == (number), #name)

#endif /* LAYOUT_H */
