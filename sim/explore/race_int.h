/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside of race.h: what its files share.
 *
 *   race.c          who has seen what; the state, its marks, its log
 *   race_shadow.c   who has touched what last; whether this access is a race
 *   race_calls.c    the compiler's calls, and functions of the C library that touch memory of the core
 *   race_report.c   findings in words
 *
 * Time is counted in *epochs*: an epoch is what a process does between two of its releases, numbered in the order in which
 * they begin, whoever's they are. Whoever acquires sees whole epochs, so "has this process seen that access?" is one bit. The
 * epochs below a floor have been seen by everyone.
 *
 * All of this is in memory of keep_alloc(), where things come into being and are never freed one by one: race_back() takes back
 * what was given since the mark, and puts back the contents of what is older from the log. So that a thing is logged once between
 * two marks, it has a stamp: the number of marks there were when it was logged, or made.
 */
#ifndef EXPLORE_RACE_INT_H
#define EXPLORE_RACE_INT_H

#include "control.h"
#include "race.h"

/* Epochs; bit n is that of epoch floor + n. Of another floor than the one that holds: empty. */
struct race_set {
	u32 stamp;
	u32 floor;
	u32 words, max_words;
	u64 *bits;
};

struct race_process {
	struct race_set seen;	/* its own past included */
	u32 epoch;		/* 0: the next access begins one */
};

/* ---- shadow memory ---- */

/* Kinds of access. */
#define RACE_WRITE 1
#define RACE_ATOMIC 2
#define RACE_FREED 4	/* with RACE_WRITE: nobody may touch it any more, ordered or not */

struct race_access {
	u32 epoch;
	u32 site;	/* low half of a return address; 0: not known */
	u8 mask;	/* the bytes of the word; never 0 */
	u8 kind;
};

#define RACE_INLINE 2

/* What is known about eight bytes: accesses of which none makes another one superfluous. */
struct race_cell {
	u32 stamp;
	u16 nr, max_more;
	struct race_access *more;	/* those beyond RACE_INLINE */
	struct race_access first[RACE_INLINE];
};

#define RACE_PAGE_SHIFT 12
#define RACE_PAGE_CELLS (1 << (RACE_PAGE_SHIFT - 3))

struct race_page {
	struct race_page *next_free;
	u32 born;	/* as a stamp */
	struct race_cell cells[RACE_PAGE_CELLS];
};

/* Open addressing by page number (0: free); a number that is there stays, also without a page. */
struct race_slot {
	uintptr_t number;
	struct race_page *page;
};
#define RACE_SLOT_BITS 16

/* ---- the state ---- */

struct race_object;
#define RACE_OBJECT_BITS 12

/* What a mark copies; the rest is logged, or only grows. */
struct race_now {
	u32 process;		/* whose step it is; 0: nobody's yet */
	u32 epoch;		/* of that process, what its own is set to when its step ends */
	u32 next_epoch;
	u32 floor;
	u32 chunk;		/* memory given out: all chunks before this one, ... */
	u32 chunk_used;		/* ... and so much of this one */
	size_t logged;
	struct race_page *free_pages;
};

#define RACE_CHUNK_SIZE (1 << 20)
#define RACE_CHUNKS_MAX 4096
#define RACE_PART 1024
#define RACE_PARTS_MAX 4096

struct race_state {
	bool watching;		/* started, and not paused */
	bool started, paused;
	struct race_now now;
	struct race_process *running;	/* that of now.process; NULL: nobody's yet */
	struct race_slot slots[1 << RACE_SLOT_BITS];
	u32 nr_slots;
	struct race_object *objects[1 << RACE_OBJECT_BITS];
	struct race_process **processes[RACE_PARTS_MAX];	/* by number, in parts */
	u32 *epoch_process;			/* by epoch */
	u32 max_epochs;
	struct race_now *marks;
	u32 nr_marks, max_marks;
	char *log;
	size_t max_log;
	char *chunks[RACE_CHUNKS_MAX];
	uintptr_t load_base;
};

/* NULL before the first race_start(), then always the same: the variable is rewound, what it points to is not. */
extern struct race_state *race;

static inline bool race_watching(void)
{
	return likely(race != NULL) && race->watching;
}

/* Not zeroed. */
void *race_alloc(size_t size);
/* Before a change of what may be older than the last mark. */
void race_save(void *p, size_t size);
/* Begins an epoch of the process whose step it is. */
u32 race_begin_epoch(void);

/* What was released into @object is lost: someone has stored a value that nobody computed from it. */
void race_overwrite(const void *object);

static inline bool race_set_has(const struct race_set *set, u32 epoch)
{
	u32 bit = epoch - race->now.floor;

	if (epoch < race->now.floor)
		return true;
	return set->floor == race->now.floor && bit / 64 < set->words &&
	       (set->bits[bit / 64] >> (bit % 64) & 1);
}

/* ---- race_shadow.c ---- */

void race_forget_cells(const void *start, size_t size);
void race_free_cells(const void *start, size_t size);
void race_touch_slow(uintptr_t address, u32 size, u8 kind, u32 site);
void race_touch_range(const void *start, size_t size, u8 kind, u32 site);

static inline struct race_slot *race_slot(uintptr_t number)
{
	u32 i = hash_64(number, RACE_SLOT_BITS);

	while (race->slots[i].number != number && race->slots[i].number)
		i = (i + 1) & ((1 << RACE_SLOT_BITS) - 1);
	return &race->slots[i];
}

/*
 * An access. Nearly all are of a word that this process has just touched in the same way: nothing new.
 */
static inline void race_touch(const volatile void *p, u32 size, u8 kind, u32 site)
{
	uintptr_t address = (uintptr_t)p;
	const struct race_access *last;
	const struct race_page *page;
	u32 mask;

	if (!race_watching())
		return;
	page = race_slot(address >> RACE_PAGE_SHIFT)->page;
	if (likely(page)) {
		last = &page->cells[address >> 3 & (RACE_PAGE_CELLS - 1)].first[0];
		/* Beyond the word: bits that no access has. */
		mask = ((1U << size) - 1) << (address & 7);
		if (last->epoch == race->now.epoch && !(mask & ~(u32)last->mask) &&
		    (last->kind == kind || last->kind == RACE_WRITE))
			return;
	}
	race_touch_slow(address, size, kind, site);
}

/* ---- race_report.c ---- */

struct race_request {
	uintptr_t address;
	u32 size;
	u8 kind;
	u32 site;
};

void race_found(const struct race_access *earlier, const struct race_request *now)
	__attribute__((noreturn, cold));

#endif /* EXPLORE_RACE_INT_H */
