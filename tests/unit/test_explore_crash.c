// SPDX-License-Identifier: GPL-2.0
/*
 * Power cuts under every schedule: counts are there and the same each time, a script that loses its snapshot in a few schedules only
 * is found, and its schedule leads there again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "control.h"
#include "fake/disk_layer.h"
#include "power.h"
#include "rewind.h"
#include "scenario.h"
#include "search.h"

static const struct search_options all = {
	.seed = 1,
	.max_runs = NO_LIMIT,
	.preemptions = NO_LIMIT,
	.max_steps = 5000,
	.no_races = true,
};

/* Parsed before anything is searched: what is allocated later is put back. */
static struct scenario shared_chunk, deaf;

static struct script_command *parse(const char *text)
{
	char error[SCRIPT_ERROR_MAX];
	struct script_command *script = script_parse("script", text, error);

	assert_non_null(script);
	return script;
}

/* ---- nothing is found ---- */

static void counts_are_the_same_each_time(void **state)
{
	struct power_counts first;
	struct search_counts traces;
	const struct search_result *r;

	power_forget();
	r = search(&all, power_run, &shared_chunk);
	assert_true(r->complete && !r->found);
	traces = r->counts;
	first = *power_counts();
	assert_int_equal(first.runs, traces.traces);
	assert_true(first.judged.workloads > 1 && first.judged.workloads < first.runs);
	assert_true(first.judged.points > first.judged.workloads && first.judged.states > first.judged.workloads);
	assert_int_equal(first.judged.sampled, 0);

	power_forget();
	r = search(&all, power_run, &shared_chunk);
	assert_memory_equal(&r->counts, &traces, sizeof(traces));
	assert_memory_equal(power_counts(), &first, sizeof(first));
}

/* What is known to be good is not judged again. */
static void lives_are_judged_once(void **state)
{
	u64 lives;

	power_forget();
	search(&all, power_run, &shared_chunk);
	lives = power_counts()->judged.workloads;
	search(&all, power_run, &shared_chunk);
	assert_int_equal(power_counts()->judged.workloads, lives);
}

/* ---- a store device that sometimes forgets what FUA means ---- */

/*
 * Of writes while one of the origin is in flight, which waits for the record of its own chunk: so only the record of another chunk that
 * comes later than that is met.
 */
static u32 in_flight;		/* on the origin; rewound */
static bool always rewind_kept;

struct deaf_disk {
	struct disk disk;
	bool origin;
};

static void deaf_submit(struct disk *disk, struct bio *bio)
{
	struct deaf_disk *d = (struct deaf_disk *)disk;

	if (d->origin && bio_op(bio) == REQ_OP_WRITE)
		in_flight++;
	if (!d->origin && bio_op(bio) == REQ_OP_WRITE) {
		sim_touch(&in_flight, 0, SIM_READ);
		if (in_flight || always)
			bio->bi_opf &= ~REQ_FUA;
	}
	if (d->origin)
		sim_touch(&in_flight, 0, SIM_WRITE);
	disk_pass(disk, bio);
}

static void deaf_ended(struct disk *disk, struct bio *bio, int error)
{
	struct deaf_disk *d = (struct deaf_disk *)disk;

	if (!d->origin || bio_op(bio) != REQ_OP_WRITE)
		return;
	sim_touch(&in_flight, 0, SIM_WRITE);
	in_flight--;
}

static void deaf_destroy(struct disk *disk)
{
	free(disk);
}

static const struct disk_ops deaf_ops = {
	.kind = "deaf",
	.submit = deaf_submit,
	.ended = deaf_ended,
	.destroy = deaf_destroy,
};

static struct disk *deaf_top(void *context, const char *name, struct disk *top)
{
	struct deaf_disk *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->origin = !strcmp(name, "origin");
	disk_init(&d->disk, &deaf_ops, top, 0);
	return &d->disk;
}

static const char deaf_script[] =
	"disk origin 16s\n"
	"disk store 560s\n"
	"dmsetup create ms --table \"0 16 multisnapshot origin store 8 0 mikulas 0\"\n"
	"write ms 0 16 fill=1 bs=0\n"
	"dmsetup message ms 0 create\n"
	"dmsetup suspend ms\n"
	"dmsetup resume ms\n"
	"parallel {\n"
	"	write ms 0 4 fill=2\n"
	"	write ms 8 4 fill=3\n"
	"}\n";

static const struct search_result *cut_deaf(const struct search_options *o)
{
	const struct search_result *r;

	power_forget();
	power_disk_top = deaf_top;
	r = search(o, power_run, &deaf);
	power_disk_top = NULL;
	return r;
}

static void what_few_schedules_lose_is_found(void **state)
{
	struct search_options o = all;
	const struct search_result *r;
	u32 *schedule;
	char what[1024];

	/* The schedule that anybody would look at shows nothing, ... */
	o.strategy = SEARCH_FIXED;
	r = cut_deaf(&o);
	assert_true(r->began && !r->found);
	assert_int_equal(power_counts()->judged.workloads, 1);

	/* ... the oracle, who sees no power cut, neither; here is what does. */
	r = cut_deaf(&all);
	assert_true(r->found);
	assert_non_null(strstr(r->what, "the power is cut after event "));
	assert_non_null(strstr(r->what, "of snapshot 0 reads"));
	assert_true(r->counts.traces > 0);

	/* And again. */
	snprintf(what, sizeof(what), "%s", r->what);
	schedule = keep_alloc((r->nr_schedule + 1) * sizeof(*schedule));
	memcpy(schedule, r->schedule, r->nr_schedule * sizeof(*schedule));
	o.schedule = schedule;
	o.nr_schedule = r->nr_schedule;
	r = cut_deaf(&o);
	assert_true(r->found);
	assert_string_equal(r->what, what);
	keep_free(schedule);
}

/* What every schedule loses is found in the first, and a search that has found can be followed by another one. */
static void what_all_schedules_lose_is_found_at_once(void **state)
{
	const struct search_result *r;

	always = true;
	r = cut_deaf(&all);
	always = false;
	assert_true(r->found);
	assert_int_equal(r->counts.traces, 0);
	r = search(&all, power_run, &shared_chunk);
	assert_true(r->complete && !r->found);
}

static int setup(void **state)
{
	char *text = sim_read_text(TEST_SOURCE_DIR "/explore/crash-snapshot-against-snapshot.msnap");

	assert_non_null(text);
	shared_chunk = (struct scenario){ "script", parse(text) };
	deaf = (struct scenario){ "script", parse(deaf_script) };
	free(text);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_the_same_each_time),
		cmocka_unit_test(lives_are_judged_once),
		cmocka_unit_test(what_few_schedules_lose_is_found),
		cmocka_unit_test(what_all_schedules_lose_is_found_at_once),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
