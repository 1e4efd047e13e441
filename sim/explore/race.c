// SPDX-License-Identifier: GPL-2.0
/*
 * Data races: who has seen what (race_int.h).
 *
 * A process has seen a set of epochs. What it releases into an object is that set, its own epoch included, which ends with it; who
 * acquires from the object adds the object's set to its own. A step adds nothing by itself: two processes that run one after the
 * other have seen nothing of each other.
 */
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "race_int.h"
#include "rewind.h"

struct race_object {
	struct race_object *next;	/* of the same page, and of pages of the same hash */
	const void *address;		/* NULL: nobody's, may be used again */
	struct race_set set;		/* what was released into it */
};

struct race_state *race;

/* ---- memory and the log ---- */

static void give_up(const char *what)
{
	fprintf(stderr, "looking for data races: too many %s\n", what);
	abort();
}

/* Room for @wanted elements; what is new is zero. */
static void *grow(void *array, u32 *max, u32 wanted, size_t size)
{
	u32 old = *max;

	if (wanted <= old)
		return array;
	*max = wanted < 2 * old ? 2 * old : wanted < 256 ? 256 : wanted;
	array = keep_realloc(array, *max * size);
	memset((char *)array + old * size, 0, (*max - old) * size);
	return array;
}

void *race_alloc(size_t size)
{
	struct race_now *now = &race->now;
	char *p;

	size = round_up(size, 8ul);
	if (size > RACE_CHUNK_SIZE)
		give_up("epochs");
	if (now->chunk_used + size > RACE_CHUNK_SIZE) {
		now->chunk++;
		now->chunk_used = 0;
	}
	if (now->chunk == RACE_CHUNKS_MAX)
		give_up("places");
	if (!race->chunks[now->chunk])
		race->chunks[now->chunk] = keep_alloc(RACE_CHUNK_SIZE);
	p = race->chunks[now->chunk] + now->chunk_used;
	now->chunk_used += (u32)size;
	return p;
}

/* Behind the bytes that were saved. */
struct log_entry {
	void *p;
	size_t size;
};

void race_save(void *p, size_t size)
{
	size_t at = race->now.logged, rounded = round_up(size, 8ul);
	struct log_entry *entry;

	if (!race->nr_marks)
		return;
	if (at + rounded + sizeof(*entry) > race->max_log) {
		race->max_log = 2 * race->max_log + rounded + 65536;
		race->log = keep_realloc(race->log, race->max_log);
	}
	memcpy(race->log + at, p, size);
	entry = (struct log_entry *)(race->log + at + rounded);
	*entry = (struct log_entry){ p, size };
	race->now.logged = at + rounded + sizeof(*entry);
}

static void put_back(size_t down_to)
{
	size_t at = race->now.logged;

	while (at > down_to) {
		const struct log_entry *entry =
			(const struct log_entry *)(race->log + at - sizeof(*entry));

		at -= sizeof(*entry) + round_up(entry->size, 8ul);
		memcpy(entry->p, race->log + at, entry->size);
	}
}

/* ---- sets ---- */

/* Before a change: of a size of @words, from now on of the floor that holds. */
static void set_prepare(struct race_set *set, u32 words)
{
	u64 *bits;

	if (set->stamp != race->nr_marks) {
		race_save(set->bits, set->words * sizeof(*bits));
		race_save(set, sizeof(*set));
		set->stamp = race->nr_marks;
	}
	if (set->floor != race->now.floor) {
		set->floor = race->now.floor;
		set->words = 0;
	}
	if (words <= set->words)
		return;
	if (words > set->max_words) {
		set->max_words = words < 2 ? 2 : 1U << fls64(words - 1);
		bits = race_alloc(set->max_words * sizeof(*bits));
		if (set->words)
			memcpy(bits, set->bits, set->words * sizeof(*bits));
		set->bits = bits;
	}
	memset(set->bits + set->words, 0, (words - set->words) * sizeof(*bits));
	set->words = words;
}

static void set_init(struct race_set *set)
{
	*set = (struct race_set){ .stamp = race->nr_marks, .floor = race->now.floor };
}

static bool set_within(const struct race_set *set, const struct race_set *of)
{
	u32 i;

	if (of->floor != race->now.floor || of->words < set->words)
		return false;
	for (i = 0; i < set->words; i++)
		if (set->bits[i] & ~of->bits[i])
			return false;
	return true;
}

static void set_add(struct race_set *to, const struct race_set *set)
{
	u32 i;

	if (set->floor != race->now.floor || !set->words || set_within(set, to))
		return;
	set_prepare(to, set->words);
	for (i = 0; i < set->words; i++)
		to->bits[i] |= set->bits[i];
}

static void set_clear(struct race_set *set)
{
	if (set->floor == race->now.floor && set->words) {
		set_prepare(set, 0);
		set->words = 0;
	}
}

/* ---- processes ---- */

/* The log has the address of the pointer, which must not move. */
static struct race_process *process_of(u32 number)
{
	struct race_process ***part = &race->processes[number / RACE_PART], **process;

	if (number / RACE_PART >= RACE_PARTS_MAX)
		give_up("processes");
	if (unlikely(!*part))
		*part = keep_alloc(RACE_PART * sizeof(**part));
	process = &(*part)[number % RACE_PART];
	if (unlikely(!*process)) {
		race_save(process, sizeof(*process));
		*process = race_alloc(sizeof(**process));
		set_init(&(*process)->seen);
		(*process)->epoch = 0;
	}
	return *process;
}

static void set_epoch(struct race_process *process, u32 epoch)
{
	if (process->epoch == epoch)
		return;
	race_save(&process->epoch, sizeof(process->epoch));
	process->epoch = epoch;
}

static void set_running(void)
{
	race->running = race->now.process ? process_of(race->now.process) : NULL;
	race->watching = race->started && !race->paused && race->running;
}

void race_step(u32 number)
{
	struct race_process *process;

	if (!race || !race->started || race->paused)
		return;
	process = process_of(number);
	if (process == race->running)
		return;
	if (race->running)
		set_epoch(race->running, race->now.epoch);
	race->now.process = number;
	race->now.epoch = process->epoch >= race->now.floor ? process->epoch : 0;
	set_running();
}

u32 race_begin_epoch(void)
{
	struct race_now *now = &race->now;
	u32 epoch = now->next_epoch++, bit = epoch - now->floor;
	struct race_set *seen = &race->running->seen;

	if (!now->next_epoch)
		give_up("epochs");
	race->epoch_process = grow(race->epoch_process, &race->max_epochs, epoch + 1,
				   sizeof(*race->epoch_process));
	race->epoch_process[epoch] = now->process;
	set_prepare(seen, bit / 64 + 1);
	seen->bits[bit / 64] |= 1ULL << (bit % 64);
	now->epoch = epoch;
	return epoch;
}

void race_enables(u32 number)
{
	struct race_process *process;

	if (!race_watching() || number == race->now.process)
		return;
	process = process_of(number);
	set_add(&process->seen, &race->running->seen);
	race->now.epoch = 0;
}

void race_idle(void)
{
	if (!race_watching())
		return;
	race->now.floor = race->now.next_epoch;
	race->now.epoch = 0;
}

/* ---- objects ---- */

static u32 object_hash(const void *address)
{
	return hash_64((uintptr_t)address >> RACE_PAGE_SHIFT, RACE_OBJECT_BITS);
}

static struct race_object *object_find(const void *address)
{
	struct race_object *object = race->objects[object_hash(address)];

	while (object && object->address != address)
		object = object->next;
	return object;
}

static struct race_object *object_make(const void *address)
{
	struct race_object **first = &race->objects[object_hash(address)], *object = *first;

	while (object && object->address)
		object = object->next;
	if (object) {
		race_save(&object->address, sizeof(object->address));
		object->address = address;
		return object;
	}
	object = race_alloc(sizeof(*object));
	object->next = *first;
	object->address = address;
	set_init(&object->set);
	race_save(first, sizeof(*first));
	*first = object;
	return object;
}

void race_acquire(const void *address)
{
	const struct race_object *object;

	if (!race_watching())
		return;
	object = object_find(address);
	if (object)
		set_add(&race->running->seen, &object->set);
}

void race_release(const void *address)
{
	struct race_object *object;

	if (!race_watching())
		return;
	object = object_find(address);
	if (!object)
		object = object_make(address);
	set_add(&object->set, &race->running->seen);
	race->now.epoch = 0;
}

void race_overwrite(const void *address)
{
	struct race_object *object;

	if (!race_watching())
		return;
	object = object_find(address);
	if (object)
		set_clear(&object->set);
}

static void forget_objects(const void *start, size_t size)
{
	uintptr_t begin = (uintptr_t)start, end = begin + size, at;
	struct race_object *object;

	for (at = begin; at < end; at = round_down(at, 1UL << RACE_PAGE_SHIFT) + (1UL << RACE_PAGE_SHIFT)) {
		object = race->objects[object_hash((const void *)at)];
		for (; object; object = object->next) {
			if ((uintptr_t)object->address - begin >= size)
				continue;
			set_clear(&object->set);
			race_save(&object->address, sizeof(object->address));
			object->address = NULL;
		}
	}
}

/* ---- memory that is given out, and back ---- */

void race_allocated(const void *start, size_t size)
{
	if (!race_watching() || !size)
		return;
	race_forget_cells(start, size);
	forget_objects(start, size);
}

void race_freed(const void *start, size_t size)
{
	if (!race_watching() || !size)
		return;
	race_free_cells(start, size);
	forget_objects(start, size);
}

/* ---- marks ---- */

u32 race_mark(void)
{
	if (!race || !race->started)
		return 0;
	race->marks = grow(race->marks, &race->max_marks, race->nr_marks + 1, sizeof(*race->marks));
	race->marks[race->nr_marks] = race->now;
	return race->nr_marks++;
}

void race_back(u32 mark)
{
	if (!race || !race->started)
		return;
	put_back(race->marks[mark].logged);
	race->now = race->marks[mark];
	race->nr_marks = mark + 1;
	set_running();
}

/* ---- beginning and end ---- */

static int find_load_base(struct dl_phdr_info *info, size_t size, void *base)
{
	*(uintptr_t *)base = info->dlpi_addr;
	return 1; /* the first one is the program */
}

void race_start(void)
{
	u32 i;

	if (!race) {
		race = keep_alloc(sizeof(*race));
		dl_iterate_phdr(find_load_base, &race->load_base);
	}
	race->nr_marks = 0;
	race->now = (struct race_now){ .next_epoch = 1, .floor = 1 };
	memset(race->slots, 0, sizeof(race->slots));
	race->nr_slots = 0;
	memset(race->objects, 0, sizeof(race->objects));
	for (i = 0; i < RACE_PARTS_MAX; i++)
		if (race->processes[i])
				memset(race->processes[i], 0, RACE_PART * sizeof(*race->processes[i]));
	race->started = true;
	race->paused = false;
	set_running();
}

void race_stop(void)
{
	if (!race)
		return;
	race->started = false;
	set_running();
}

void race_pause(bool pause)
{
	if (!race)
		return;
	race->paused = pause;
	set_running();
}
