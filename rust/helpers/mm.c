// SPDX-License-Identifier: GPL-2.0 OR MIT

#include <linux/mm.h>

void rust_helper_get_page(struct page *page)
{
	get_page(page);
}

void rust_helper_put_page(struct page *page)
{
	put_page(page);
}

void *rust_helper_page_address(const struct page *page)
{
	return page_address(page);
}
