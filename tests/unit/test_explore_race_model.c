// SPDX-License-Identifier: GPL-2.0
/*
 * Data races as race.c finds them and as a list of all accesses does, with a vector clock for each process: in steps at random, with
 * marks, the two must say the same of every access.
 */
#include "../shim/finding.h"

#include "race.h"
#include "race_tsan.h"

#define PROCESSES 5
#define OBJECTS 3
#define BYTES 40
#define HISTORY 4000
#define MARKS 8

enum { KIND_READ, KIND_WRITE, KIND_ATOMIC_READ, KIND_ATOMIC_WRITE };

struct access {
	u8 process, byte, kind;
	u32 clock;
};

struct clocks {
	u32 of[PROCESSES];
};

static struct model {
	struct clocks process[PROCESSES], object[OBJECTS];
	bool freed[BYTES];
	u32 nr;
	struct access history[HISTORY];
	u32 running;
} model, saved[MARKS];

/* The bytes are at the border of two pages, which are also given out as a whole. */
static char pages[2 * 4096] __aligned(4096);
static char *const memory = pages + 4096 - 24;
static u32 objects[OBJECTS];
static u64 state;

static u32 draw(u32 n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(state >> 33) % n;
}

/* ---- the model ---- */

static void join(struct clocks *to, const struct clocks *from)
{
	for (u32 i = 0; i < PROCESSES; i++)
		to->of[i] = max(to->of[i], from->of[i]);
}

static void tick(u32 process)
{
	model.process[process].of[process]++;
}

static bool any_freed(u32 first, u32 bytes)
{
	for (u32 i = first; i < first + bytes; i++)
		if (model.freed[i])
			return true;
	return false;
}

static bool races(u32 first, u32 bytes, u8 kind, bool frees)
{
	for (u32 i = 0; i < model.nr; i++) {
		const struct access *a = &model.history[i];
		bool write = kind == KIND_WRITE || kind == KIND_ATOMIC_WRITE || a->kind == KIND_WRITE || a->kind == KIND_ATOMIC_WRITE;
		bool atomic = kind >= KIND_ATOMIC_READ && a->kind >= KIND_ATOMIC_READ;

		if (a->byte - first < bytes && (frees || (write && !atomic)) &&
		    a->clock > model.process[model.running].of[a->process])
			return true;
	}
	return any_freed(first, bytes);
}

static void note(u32 first, u32 bytes, u8 kind)
{
	for (u32 i = first; i < first + bytes && model.nr < HISTORY; i++)
		model.history[model.nr++] =
			(struct access){ (u8)model.running, (u8)i, kind, model.process[model.running].of[model.running] };
}

static void forget(u32 first, u32 bytes, bool freed)
{
	u32 to = 0;

	for (u32 i = 0; i < model.nr; i++)
		if (model.history[i].byte - first >= bytes)
			model.history[to++] = model.history[i];
	model.nr = to;
	for (u32 i = first; i < first + bytes; i++)
		model.freed[i] = freed;
}

static void idle(void)
{
	struct clocks all = { { 0 } };

	for (u32 i = 0; i < PROCESSES; i++)
		join(&all, &model.process[i]);
	for (u32 i = 0; i < PROCESSES; i++) {
		model.process[i] = all;
		tick(i);
	}
}

static bool predicted; /* the list has the access that is made as a race */
static bool missed;

/* ---- both ---- */

static void access_both(u32 first, u32 bytes, u8 kind)
{
	char *p = memory + first;

	if (kind == KIND_ATOMIC_READ)
		__tsan_atomic32_load((u32 *)p, __ATOMIC_RELAXED);
	else if (kind == KIND_ATOMIC_WRITE)
		__tsan_atomic32_store((u32 *)p, 0, __ATOMIC_RELAXED);
	else if (bytes == 4 && kind == KIND_READ)
		__tsan_read4(p);
	else if (bytes == 1 && kind == KIND_WRITE)
		__tsan_write1(p);
	else if (kind == KIND_READ)
		__tsan_read_range(p, bytes);
	else
		__tsan_write_range(p, bytes);
	note(first, bytes, kind);
}

static void free_both(u32 first, u32 bytes)
{
	race_freed(memory + first, bytes);
	forget(first, bytes, true);
}

/* True: a finding must have ended it. */
static bool touch(void)
{
	static const u8 sizes[] = { 1, 2, 4, 8, 13 };
	u8 kind = (u8)draw(4);
	u32 bytes = kind >= KIND_ATOMIC_READ ? 4 : sizes[draw(5)];
	u32 first = draw(BYTES - bytes + 1) & ~(kind >= KIND_ATOMIC_READ ? 3u : 0);
	bool frees = !draw(12);
	bool race = races(first, bytes, kind, frees);

	/* What is freed twice is the allocator's business. */
	if ((race && draw(40)) || (frees && any_freed(first, bytes)))
		return false;
	predicted = race;
	if (frees)
		free_both(first, bytes);
	else
		access_both(first, bytes, kind);
	return race;
}

static void release(u32 n)
{
	race_release(&objects[n]);
	join(&model.object[n], &model.process[model.running]);
	tick(model.running);
}

static void acquire(u32 n)
{
	race_acquire(&objects[n]);
	join(&model.process[model.running], &model.object[n]);
}

static void enable(u32 process)
{
	race_enables(process + 1);
	if (process == model.running)
		return;
	join(&model.process[process], &model.process[model.running]);
	tick(model.running);
}

static void step(u32 process)
{
	race_step(process + 1);
	model.running = process;
}

static u32 nr_steps;

static void one_run(void *arg)
{
	u32 marks[MARKS], nr_marks = 0, n, bytes;

	memset(&model, 0, sizeof(model));
	for (u32 i = 0; i < PROCESSES; i++)
		tick(i);
	race_start();
	step(0);
	for (nr_steps = 0; nr_steps < 600 && !missed; nr_steps++) {
		switch (draw(16)) {
		case 0:
			step(draw(PROCESSES));
			break;
		case 1:
			release(draw(OBJECTS));
			break;
		case 2:
		case 3:
			acquire(draw(OBJECTS));
			break;
		case 4:
			enable(draw(PROCESSES));
			break;
		case 5:
			if (draw(20))
				break;
			race_idle();
			idle();
			break;
		case 6:
			if (!draw(4)) {
				race_allocated(pages, sizeof(pages));
				forget(0, BYTES, false);
				break;
			}
			n = draw(BYTES);
			bytes = 1 + draw(BYTES - n);
			race_allocated(memory + n, bytes);
			forget(n, bytes, false);
			break;
		case 7:
			if (nr_marks == MARKS || draw(4))
				break;
			marks[nr_marks] = race_mark();
			saved[nr_marks++] = model;
			break;
		case 8:
			if (!nr_marks || draw(6))
				break;
			nr_marks = 1 + draw(nr_marks);
			race_back(marks[nr_marks - 1]);
			model = saved[nr_marks - 1];
			break;
		default:
			if (touch())
				missed = true;
			predicted = false;
		}
	}
	race_stop();
}

static void random_steps_as_a_list_of_all_accesses(void **unused)
{
	u32 found = 0;

	for (u64 seed = 1; seed <= 1500; seed++) {
		const char *text;

		state = seed;
		predicted = missed = false;
		text = finding_of(SIM_FIFO, 1, one_run, NULL);
		race_stop();
		if (missed)
			fail_msg("seed %llu: a race was not found", seed);
		if (!text)
			continue;
		found++;
		/* Found by race.c: also by the list, of the same access? */
		if (!predicted)
			fail_msg("seed %llu, step %u: %s", seed, nr_steps, text);
	}
	assert_in_range(found, 500, 1499);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_steps_as_a_list_of_all_accesses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
