// SPDX-License-Identifier: GPL-2.0
/*
 * A program put back to an earlier moment goes on as it did, or as it would have gone had it come there at once.
 *
 * What is rewound asserts nothing (cmocka is not rewound): it leaves with a number, which is looked at.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "explore.h"
#include "heap.h"
#include "rewind.h"
#include "script.h"

#define MARKS_MAX 1024

/* Of the driver: what programs are told, and what they leave behind. */
static struct {
	bool marking;
	struct checkpoint *marks[MARKS_MAX];
	u32 nr_marks;
	u32 way;	/* which way to go on */
} kept rewind_kept;

static void mark(void)
{
	struct checkpoint *checkpoint;

	if (!kept.marking || kept.nr_marks == MARKS_MAX)
		return;
	checkpoint = rewind_mark();
	/* Else it is another time that we have come here. */
	if (kept.marking)
		kept.marks[kept.nr_marks++] = checkpoint;
}

/* The way 0, with marks. */
static int run_marking(void (*program)(void *arg), void *arg)
{
	int r;

	kept.way = 0;
	kept.marking = true;
	r = rewind_run(program, arg);
	kept.marking = false;
	return r;
}

static int back(u32 i)
{
	return rewind_back(kept.marks[i]);
}

static void forget_marks(void)
{
	while (kept.nr_marks)
		rewind_drop(kept.marks[--kept.nr_marks]);
}

/* ---- variables ---- */

static int initialised = 42, zero;
static char large[100000];

static void variables(void *arg)
{
	mark();
	initialised += (int)kept.way;
	zero++;
	for (size_t i = 0; i < sizeof(large); i++)
		large[i]++;
	rewind_leave(initialised + zero + large[0] + large[sizeof(large) - 1]);
}

static void test_variables(void **state)
{
	assert_int_equal(run_marking(variables, NULL), 45);
	assert_int_equal(zero, 1);
	for (kept.way = 1; kept.way < 100; kept.way++)
		assert_int_equal(back(0), 45 + (int)kept.way);
	assert_int_equal(zero, 1);
	assert_int_equal(kept.nr_marks, 1);
	forget_marks();
}

/* ---- the heap ---- */

struct item {
	struct item *next;
	u32 size;
	u8 bytes[];
};

static struct item *items;
static u32 random_state;

static u32 next_random(u32 n)
{
	random_state = random_state * 1103515245 + 12345;
	return (random_state >> 16) % n;
}

static void add_item(void)
{
	u32 size = next_random(next_random(30) ? 500 : 100000);
	struct item *item = malloc(sizeof(*item) + size);

	item->size = size;
	memset(item->bytes, (int)size, size);
	item->next = items;
	items = item;
}

static void change_item(void)
{
	struct item **p = &items, *item;

	for (u32 skip = next_random(20); skip && *p && (*p)->next; skip--)
		p = &(*p)->next;
	item = *p;
	if (!item)
		return;
	if (next_random(3)) {
		*p = item->next;
		free(item);
		return;
	}
	item->size = next_random(1000);
	*p = item = realloc(item, sizeof(*item) + item->size);
	memset(item->bytes, (int)item->size, item->size);
}

static int sum_items(void)
{
	u32 sum = 0;

	for (const struct item *item = items; item; item = item->next) {
		/* Where it is counts, too. */
		sum = sum * 31 + item->size + (u32)((char *)item - rewound_heap.start);
		for (u32 i = 0; i < item->size; i++)
			if (item->bytes[i] != (u8)item->size)
				rewind_leave(-1);
	}
	return (int)(sum >> 1);
}

static void items_program(void *arg)
{
	random_state = 1;
	for (u32 i = 0; i < 400; i++) {
		if (i % 20 == 10)
			mark();
		if (i % 20 == 10 && kept.way)
			random_state = kept.way;
		/* It grows, then shrinks. */
		if (next_random(4) < (i < 200 ? 3 : 1))
			add_item();
		else
			change_item();
	}
	rewind_leave(sum_items());
}

static void test_heap(void **state)
{
	enum { WAYS = 8 };
	int first[MARKS_MAX][WAYS], as_marked;
	u32 random = 7;

	as_marked = run_marking(items_program, NULL);
	assert_int_equal(kept.nr_marks, 20);
	for (u32 i = 0; i < kept.nr_marks; i++) {
		for (kept.way = 1; kept.way < WAYS; kept.way++) {
			first[i][kept.way] = back(i);
			assert_true(first[i][kept.way] >= 0);
		}
		kept.way = 0;
		assert_int_equal(back(i), as_marked);
	}
	for (u32 n = 0; n < 2000; n++) {
		u32 i;

		random = random * 1103515245 + 12345;
		i = (random >> 16) % kept.nr_marks;
		kept.way = 1 + (random >> 8) % (WAYS - 1);
		assert_int_equal(back(i), first[i][kept.way]);
	}
	forget_marks();
}

/* ---- a deep stack ---- */

static noinline int deep(u32 depth)
{
	volatile u32 local[20];
	int below;

	for (u32 i = 0; i < 20; i++)
		local[i] = depth * i;
	if (depth % 500 == 0)
		mark();
	below = depth ? deep(depth - 1) : (int)kept.way;
	for (u32 i = 0; i < 20; i++)
		if (local[i] != depth * i)
			rewind_leave(-1);
	return below + (int)local[1];
}

static void deep_program(void *arg)
{
	rewind_leave(deep(3000));
}

static void test_deep_stack(void **state)
{
	assert_int_equal(run_marking(deep_program, NULL), 3000 * 3001 / 2);
	assert_int_equal(kept.nr_marks, 7);
	for (u32 round = 0; round < 50; round++) {
		kept.way = round;
		assert_int_equal(back(round * 3 % 7), 3000 * 3001 / 2 + (int)round);
	}
	assert_true(checkpoint_bytes(kept.marks[6]) - checkpoint_bytes(kept.marks[0]) > 3000 * sizeof(u32[20]));
	forget_marks();
}

static void returns(void *arg)
{
	zero = *(int *)arg;
}

static void test_runs(void **state)
{
	int arg = 3, first;

	assert_int_equal(rewind_run(returns, &arg), 0);
	assert_int_equal(zero, 3);
	/* The driver's own changes are put back like all else, but for what is kept. */
	first = run_marking(variables, NULL);
	zero = 1000;
	kept.way = 5;
	assert_int_equal(back(0), first + 5);
	assert_int_equal(zero, 4);
	forget_marks();
}

/* ---- nothing is left behind ---- */

static void many(void *arg)
{
	char *p;

	mark();
	p = malloc(1 + kept.way % 5000);
	memset(p, 1, 1 + kept.way % 5000);
	/* One that nobody comes back to. */
	if (kept.way % 16 == 15)
		rewind_drop(rewind_mark());
	rewind_leave((int)(kept.way + heap_used(&rewound_heap) / (1 << 30)));
}

static void test_no_leak(void **state)
{
	size_t kept_before = 0, heap_before;

	heap_before = heap_used(&rewound_heap);
	run_marking(many, NULL);
	for (kept.way = 0; kept.way < 100000; kept.way++) {
		if (back(0) != (int)kept.way)
			fail_msg("rewind %u", kept.way);
		if (kept.way == 5000)
			kept_before = heap_used(&kept_heap);
	}
	assert_int_equal(heap_used(&kept_heap), kept_before);
	assert_in_range(heap_used(&rewound_heap) - heap_before, 0, 6000);
	forget_marks();
	/* What was dropped is used again. */
	run_marking(many, NULL);
	assert_int_equal(heap_used(&kept_heap), kept_before);
	forget_marks();
}

/* ---- a world ---- */

/* The choices of a run: by the seed 0 up to one, by kept.way from there on. */
static struct {
	u32 turn;	/* the choice from which on kept.way says */
	u32 mark_at[MARKS_MAX];
} choices rewind_kept;
static u32 nr_choices;

static u32 choose(void *context, u32 n, const char *what)
{
	u32 at = nr_choices++, seed;

	if (at % 3 == 0) {
		mark();
		if (kept.marking)
			choices.mark_at[kept.nr_marks - 1] = at;
	}
	seed = at < choices.turn ? 0 : kept.way;
	return (((at + 1) * 2654435761u) ^ ((seed + 1) * 2246822519u)) * 3266489917u / 65536 % n;
}

static DEFINE_MUTEX(lock);
static u32 order;

static void counts(void *arg)
{
	for (u32 i = 0; i < 4; i++) {
		u8 local[300];
		u8 *shared = kmalloc(300, GFP_KERNEL);

		memset(local, (int)i, sizeof(local));
		memset(shared, (int)i, sizeof(local));
		mutex_lock(&lock);
		sim_sleep_ns(100);
		order = order * 31 + *(u32 *)arg + i;
		mutex_unlock(&lock);
		sim_yield();
		if (memcmp(local, shared, sizeof(local)))
			rewind_leave(-1);
		kfree(shared);
	}
}

static void threads_program(void *arg)
{
	static u32 names[3] = { 1, 2, 3 };

	order = 0;
	nr_choices = 0;
	sim_start(&(struct sim_options){ .strategy = SIM_FIFO });
	sim_reserve_stacks(8);
	sim_set_chooser(choose, NULL);
	for (u32 i = 0; i < 3; i++)
		sim_thread_start("counts", counts, &names[i]);
	sim_run();
	sim_stop();
	rewind_leave((int)((order ^ nr_choices << 20) >> 1));
}

/* Marks all over a run; then from any of them on in any way, and the same in a run of its own from the start. */
static void check_program(void (*program)(void *arg), void *arg, u32 marks_min, u32 ways, u32 rounds)
{
	int first, again, other = 0;
	u32 random = 3;

	choices.turn = UINT_MAX;
	first = run_marking(program, arg);
	assert_true(first >= 0);
	assert_true(kept.nr_marks >= marks_min);
	for (u32 i = 0; i < kept.nr_marks; i++)
		assert_int_equal(back(i), first);
	for (u32 n = 0; n < rounds; n++) {
		u32 i;

		random = random * 1103515245 + 12345;
		i = (random >> 16) % kept.nr_marks;
		kept.way = 1 + (random >> 8) % ways;
		choices.turn = choices.mark_at[i];
		again = back(i);
		other += again != first;
		if (again != back(i) || again != rewind_run(program, arg))
			fail_msg("mark %u of %u, way %u: another end", i, kept.nr_marks, kept.way);
	}
	/* There were different ways indeed. */
	assert_true(other > (int)rounds / 4);
	forget_marks();
}

static void test_threads(void **state)
{
	check_program(threads_program, NULL, 10, 50, 500);
}

/* ---- a world with a store ---- */

static const char script_text[] =
	"disk origin 24s\n"
	"disk store 2048s\n"
	"dmsetup create ms --table \"0 24 multisnapshot origin store 8 0 mikulas 2 cache-threshold 0\"\n"
	"write ms 0 24 fill=1\n"
	"dmsetup message ms 0 create\n"
	"parallel {\n"
	"	{\n"
	"		dmsetup suspend ms\n"
	"		dmsetup resume ms\n"
	"	}\n"
	"	write ms 0 8 fill=2\n"
	"	write ms 8 8 fill=3\n"
	"	read ms 0 24\n"
	"}\n"
	"parallel {\n"
	"	write ms 0 8 fill=4\n"
	"	write ms 0 16 fill=5\n"
	"	{\n"
	"		dmsetup message ms 0 create\n"
	"		dmsetup suspend ms\n"
	"		dmsetup resume ms\n"
	"	}\n"
	"}\n"
	"dmsetup message ms 0 settle\n";

static u32 sum_disks(void)
{
	u32 sum = (u32)sim_now_ns();

	for (struct world_disk *d = world_disks(); d; d = d->next) {
		for (sector_t s = 0; s < disk_sectors(d->base); s++) {
			tag_t tag;

			disk_peek(d->base, s, 1, &tag);
			sum = (sum * 31 + (u32)tag) * 31 + (u32)(tag >> 32);
		}
	}
	return sum;
}

static void script_program(void *arg)
{
	struct world_options world = { .strategy = SIM_FIFO, .seed = 1 };
	struct script_options options = { .world = world, .file = "script" };
	char error[SCRIPT_ERROR_MAX];
	struct script_command *script = script_parse(options.file, script_text, error);
	u32 sum;

	if (!script)
		rewind_leave(-2);
	nr_choices = 0;
	world_start(&world);
	sim_reserve_stacks(32);
	sim_set_chooser(choose, NULL);
	if (script_play(&options, script, NULL))
		rewind_leave(-3);
	sim_set_chooser(NULL, NULL);
	sum = sum_disks();
	if (world_stop())
		rewind_leave(-4);
	script_free(script);
	rewind_leave((int)(sum >> 1));
}

static void test_store(void **state)
{
	check_program(script_program, NULL, 50, 1000, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_heap),
		cmocka_unit_test(test_deep_stack),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_no_leak),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
