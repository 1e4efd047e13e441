// SPDX-License-Identifier: GPL-2.0
/*
 * Data races: who has touched what last (race_int.h).
 *
 * A cell keeps of the accesses to its eight bytes only those which an access to come may race with while it races with none that
 * came later. So a plain write leaves nothing of what is before it; a plain read, nothing of the reads before it; several
 * remain only where nothing orders them. Nothing is ever dropped for want of room: what is a race is found, in every run alike.
 */
#include <string.h>

#include "race_int.h"

/* Nothing orders the two, and both are of the same bytes. */
static inline bool conflict(u8 a, u8 b)
{
	return ((a | b) & RACE_WRITE) && !(a & b & RACE_ATOMIC);
}

/* Whatever is in conflict with @old is in conflict with @new. */
static inline bool covers(u8 new, u8 old)
{
	if ((old & RACE_WRITE) && !(new & RACE_WRITE))
		return false;
	return (old & RACE_ATOMIC) || !(new & RACE_ATOMIC);
}

static inline struct race_access *access_at(struct race_cell *cell, u32 i)
{
	return i < RACE_INLINE ? &cell->first[i] : &cell->more[i - RACE_INLINE];
}

/* Before a change. */
static inline void cell_prepare(struct race_cell *cell)
{
	if (cell->stamp == race->nr_marks)
		return;
	if (cell->nr > RACE_INLINE)
		race_save(cell->more, (cell->nr - RACE_INLINE) * sizeof(*cell->more));
	race_save(cell, sizeof(*cell));
	cell->stamp = race->nr_marks;
}

/* The fast path looks at it whether it is one or not. */
static inline void cell_clear(struct race_cell *cell)
{
	cell->nr = 0;
	cell->first[0].mask = 0;
}

static void cell_make_room(struct race_cell *cell)
{
	struct race_access *more;
	u16 max = cell->max_more ? 2 * cell->max_more : 4;

	more = race_alloc(max * sizeof(*more));
	if (cell->max_more)
		memcpy(more, cell->more, cell->max_more * sizeof(*more));
	cell->more = more;
	cell->max_more = max;
}

static void cell_add(struct race_cell *cell, const struct race_access *new)
{
	struct race_access *a;
	u32 i, to = 0;

	cell_prepare(cell);
	for (i = 0; i < cell->nr; i++) {
		a = access_at(cell, i);
		if ((a->mask & new->mask) && covers(new->kind, a->kind) &&
		    race_set_has(&race->running->seen, a->epoch)) {
			a->mask &= (u8)~new->mask;
			if (!a->mask)
				continue;
		}
		if (to != i)
			*access_at(cell, to) = *a;
		to++;
	}
	if (to >= RACE_INLINE + cell->max_more)
		cell_make_room(cell);
	/* First comes what was last: the fast path looks at no other. */
	cell->nr = (u16)(to + 1);
	*access_at(cell, to) = cell->first[0];
	cell->first[0] = *new;
}

/* One word. Accesses of one process in one epoch to different bytes are entries of their own, for the sake of reports. */
static void touch_cell(struct race_cell *cell, u8 mask, const struct race_request *request)
{
	u32 epoch = race->now.epoch ? race->now.epoch : race_begin_epoch();
	const struct race_access new = { epoch, request->site, mask, request->kind };
	const struct race_access *a;
	u32 i;

	for (i = 0; i < cell->nr; i++) {
		a = access_at(cell, i);
		if (!(a->mask & mask))
			continue;
		if (unlikely(a->kind & RACE_FREED))
			race_found(a, request);
		if (a->epoch == epoch) {
			if (!(mask & ~a->mask) && covers(a->kind, request->kind))
				return;
		} else if (conflict(a->kind, request->kind) &&
			   !race_set_has(&race->running->seen, a->epoch)) {
			race_found(a, request);
		}
	}
	cell_add(cell, &new);
}

/* ---- pages ---- */

static struct race_page *page_make(struct race_slot *slot, uintptr_t number)
{
	struct race_page *page = race->now.free_pages;

	if (page) {
		race_save(page, offsetof(struct race_page, cells));
		race->now.free_pages = page->next_free;
	} else {
		page = race_alloc(sizeof(*page));
	}
	memset(page, 0, sizeof(*page));
	page->born = race->nr_marks;
	if (!slot->number) {
		/* The number stays when we go back, which is without effect. */
		if (++race->nr_slots > 3u << (RACE_SLOT_BITS - 2))
			sim_fail("more memory is touched than data races are looked for in");
		slot->number = number;
	}
	race_save(&slot->page, sizeof(slot->page));
	slot->page = page;
	return page;
}

static void page_drop(struct race_slot *slot)
{
	struct race_page *page = slot->page;

	race_save(&slot->page, sizeof(slot->page));
	slot->page = NULL;
	/* Else a mark needs its contents. */
	if (page->born == race->nr_marks) {
		page->next_free = race->now.free_pages;
		race->now.free_pages = page;
	}
}

static struct race_cell *cell_of(uintptr_t address)
{
	struct race_slot *slot = race_slot(address >> RACE_PAGE_SHIFT);
	struct race_page *page = slot->page;

	if (unlikely(!page))
		page = page_make(slot, address >> RACE_PAGE_SHIFT);
	return &page->cells[address >> 3 & (RACE_PAGE_CELLS - 1)];
}

/* The bytes of the word at @word that are in [address, end). */
static u8 mask_of(uintptr_t word, uintptr_t address, uintptr_t end)
{
	u32 mask = 0xff;

	if (word < address)
		mask &= 0xffu << (address - word);
	if (word + 8 > end)
		mask &= 0xffu >> (word + 8 - end);
	return (u8)mask;
}

/* ---- accesses ---- */

void race_touch_slow(uintptr_t address, u32 size, u8 kind, u32 site)
{
	const struct race_request request = { address, size, kind, site };
	uintptr_t end = address + size, word;

	for (word = address & ~(uintptr_t)7; word < end; word += 8)
		touch_cell(cell_of(word), mask_of(word, address, end), &request);
}

void race_touch_range(const void *start, size_t size, u8 kind, u32 site)
{
	if (size && race_watching())
		race_touch_slow((uintptr_t)start, (u32)size, kind, site);
}

/* ---- ranges that are given out, and back ---- */

/*
 * Calls @fn for every word of the range of which something is known. Where a page is of the range as a whole and @drop,
 * it is dropped after that.
 */
static void each_cell(uintptr_t address, uintptr_t end, bool drop,
		      void (*fn)(struct race_cell *cell, uintptr_t word, u8 mask, struct race_request *request),
		      struct race_request *request)
{
	const uintptr_t page_size = 1UL << RACE_PAGE_SHIFT;
	uintptr_t word = address & ~(uintptr_t)7, next;
	struct race_slot *slot;
	struct race_cell *cell;

	for (; word < end; word = next) {
		uintptr_t first = word;

		next = (word & ~(page_size - 1)) + page_size;
		slot = race_slot(word >> RACE_PAGE_SHIFT);
		if (!slot->page)
			continue;
		if (fn)
			for (; word < next && word < end; word += 8) {
				cell = &slot->page->cells[word >> 3 & (RACE_PAGE_CELLS - 1)];
				fn(cell, word, mask_of(word, address, end), request);
			}
		if (drop && !(first & (page_size - 1)) && next <= end)
			page_drop(slot);
	}
}

static void forget_cell(struct race_cell *cell, uintptr_t word, u8 mask, struct race_request *request)
{
	struct race_access *a;
	u32 i, to = 0;

	if (!cell->nr)
		return;
	cell_prepare(cell);
	for (i = 0; i < cell->nr; i++) {
		a = access_at(cell, i);
		a->mask &= (u8)~mask;
		if (a->mask)
			*access_at(cell, to++) = *a;
	}
	if (to)
		cell->nr = (u16)to;
	else
		cell_clear(cell);
}

static void check_cell(struct race_cell *cell, uintptr_t word, u8 mask, struct race_request *request)
{
	const struct race_access *a;
	u32 i;

	for (i = 0; i < cell->nr; i++) {
		a = access_at(cell, i);
		if ((a->mask & mask) && !race_set_has(&race->running->seen, a->epoch)) {
			request->address = word;
			race_found(a, request);
		}
	}
}

void race_forget_cells(const void *start, size_t size)
{
	const uintptr_t page_size = 1UL << RACE_PAGE_SHIFT;
	uintptr_t address = (uintptr_t)start, end = address + size;
	uintptr_t whole = round_up(address, page_size), whole_end = end & ~(page_size - 1);

	if (whole >= whole_end) {
		each_cell(address, end, false, forget_cell, NULL);
		return;
	}
	each_cell(address, whole, false, forget_cell, NULL);
	each_cell(whole, whole_end, true, NULL, NULL);
	each_cell(whole_end, end, false, forget_cell, NULL);
}

/* Large memory goes back to where it is not known who gets it. */
#define FREED_KEPT_MAX 4096

void race_free_cells(const void *start, size_t size)
{
	struct race_request request = { (uintptr_t)start, (u32)size, RACE_WRITE | RACE_FREED, 0 };
	uintptr_t address = (uintptr_t)start, end = address + size;

	each_cell(address, end, false, check_cell, &request);
	race_forget_cells(start, size);
	if (size <= FREED_KEPT_MAX)
		race_touch_slow(address, (u32)size, request.kind, 0);
}
