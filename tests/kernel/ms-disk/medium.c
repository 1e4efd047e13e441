// SPDX-License-Identifier: GPL-2.0
/*
 * Contents of a disk: pages in an xarray, allocated when they are first written.
 *
 * The caller serialises (medium_lock).
 */
#include <linux/highmem.h>
#include <linux/mm.h>

#include "disk.h"

static pgoff_t sector_to_page(sector_t sector)
{
	return sector >> PAGE_SECTORS_SHIFT;
}

static size_t offset_in_its_page(sector_t sector)
{
	return (sector & (PAGE_SECTORS - 1)) << SECTOR_SHIFT;
}

void ms_medium_init(struct ms_medium *m, sector_t sectors)
{
	xa_init(&m->pages);
	m->sectors = sectors;
}

static void drop_pages(struct ms_medium *m, pgoff_t first, pgoff_t last)
{
	struct page *page;
	pgoff_t index;

	xa_for_each_range(&m->pages, index, page, first, last) {
		xa_erase(&m->pages, index);
		__free_page(page);
	}
}

void ms_medium_exit(struct ms_medium *m)
{
	drop_pages(m, 0, ULONG_MAX);
	xa_destroy(&m->pages);
}

/* What is cut off is gone: it reads as zeroes when the disk grows again. */
void ms_medium_resize(struct ms_medium *m, sector_t sectors)
{
	if (sectors < m->sectors)
		ms_medium_zero(m, sectors, m->sectors - sectors);
	m->sectors = sectors;
}

static struct page *get_page_for_write(struct ms_medium *m, sector_t sector)
{
	pgoff_t index = sector_to_page(sector);
	struct page *page = xa_load(&m->pages, index);
	int r;

	if (page)
		return page;
	page = alloc_page(GFP_NOIO | __GFP_ZERO | __GFP_HIGHMEM);
	if (!page)
		return NULL;
	r = xa_err(xa_store(&m->pages, index, page, GFP_NOIO));
	if (r) {
		__free_page(page);
		return NULL;
	}
	return page;
}

void ms_medium_read(struct ms_medium *m, sector_t sector, void *buffer, size_t bytes)
{
	while (bytes) {
		struct page *page = xa_load(&m->pages, sector_to_page(sector));
		size_t offset = offset_in_its_page(sector);
		size_t n = min_t(size_t, bytes, PAGE_SIZE - offset);

		if (page)
			memcpy_from_page(buffer, page, offset, n);
		else
			memset(buffer, 0, n);
		buffer += n;
		bytes -= n;
		sector += n >> SECTOR_SHIFT;
	}
}

int ms_medium_write(struct ms_medium *m, sector_t sector, const void *buffer, size_t bytes)
{
	while (bytes) {
		struct page *page = get_page_for_write(m, sector);
		size_t offset = offset_in_its_page(sector);
		size_t n = min_t(size_t, bytes, PAGE_SIZE - offset);

		if (!page)
			return -ENOMEM;
		memcpy_to_page(page, offset, buffer, n);
		buffer += n;
		bytes -= n;
		sector += n >> SECTOR_SHIFT;
	}
	return 0;
}

/* Part of one page. */
static void zero_within(struct ms_medium *m, sector_t sector, sector_t sectors)
{
	struct page *page = xa_load(&m->pages, sector_to_page(sector));

	if (page && sectors)
		memzero_page(page, offset_in_its_page(sector), sectors << SECTOR_SHIFT);
}

void ms_medium_zero(struct ms_medium *m, sector_t sector, sector_t sectors)
{
	sector_t end = sector + sectors;
	sector_t first = round_up(sector, PAGE_SECTORS), last = round_down(end, PAGE_SECTORS);

	if (first > last) {
		zero_within(m, sector, sectors);
		return;
	}
	zero_within(m, sector, first - sector);
	if (first < last)
		drop_pages(m, sector_to_page(first), sector_to_page(last) - 1);
	zero_within(m, last, end - last);
}

sector_t ms_medium_next_data(struct ms_medium *m, sector_t sector)
{
	unsigned long index = sector_to_page(sector);

	if (!xa_find(&m->pages, &index, ULONG_MAX, XA_PRESENT))
		return m->sectors;
	return min(max(sector, (sector_t)index << PAGE_SECTORS_SHIFT), m->sectors);
}
