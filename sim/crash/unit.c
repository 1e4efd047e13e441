// SPDX-License-Identifier: GPL-2.0
/*
 * One workload: its script is played in one world and recorded, then its life is walked through in another, where each
 * state is loaded and judged.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strcasestr() */
#endif
#include <malloc.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"

static struct {
	struct crash crash;
	struct life life;
	u32 disks[CRASH_DISKS];	/* their numbers, for the logs */
	jmp_buf out;
	struct crash_unit *unit;
	bool limit;		/* what ends the world is not a finding */
} unit;

static void refuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(unit.unit->error, sizeof(unit.unit->error), fmt, ap);
	va_end(ap);
}

/* The simulated kernel, or the judge, has found something: on the main stack. */
static void violation(void *context, const char *what)
{
	if (unit.limit)
		refuse("%s", what);
	else if (!unit.crash.finding.found)
		walk_where(&unit.crash, what);
	longjmp(unit.out, 1);
}

static void limit_met(void *context, const char *text)
{
	unit.limit = true;
	sim_fail("%s", text);
}

static void no_log(void *context, int level, const char *line)
{
}

/* ---- the script's world ---- */

static void recorded_log(void *context, int level, const char *line)
{
	const struct crash_options *o = context;

	life_log(&unit.life, line);
	if (o->trace_log)
		fprintf(stderr, "[%12.6f] %s\n", sim_now_ns() / 1e9, line);
}

static void recorded_event(void *context, const struct disk_log_event *ev)
{
	const u32 *disk = context;

	life_disk_event(&unit.life, *disk, ev);
}

static struct disk *recorded_top(void *context, const char *name, struct disk *top)
{
	for (u32 d = 0; d < CRASH_DISKS; d++) {
		if (strcmp(name, unit.life.disk_name[d]))
			continue;
		unit.disks[d] = d;
		top = disk_log_create(top, recorded_event, &unit.disks[d]);
		return unit.unit->disk_top ? unit.unit->disk_top(context, name, top) : top;
	}
	return top;
}

static void note_disks(void)
{
	struct crash *c = &unit.crash;
	sector_t sectors[CRASH_DISKS];
	bool loaded = false;

	for (u32 i = 0; i < unit.life.nr_states; i++)
		loaded |= unit.life.states[i].loaded;
	if (!loaded) {
		refuse("its target is never loaded: %s", unit.life.table);
		return;
	}
	for (u32 d = 0; d < CRASH_DISKS; d++) {
		const struct world_disk *disk = world_disk_find(unit.life.disk_name[d]);

		if (!disk || disk->path) {
			refuse("%s is not a disk of this script%s", unit.life.disk_name[d],
			       disk ? "'s own: file= cannot be used here" : "");
			return;
		}
		sectors[d] = disk->sectors;
		c->block_size[d] = disk->block_size;
		snprintf(c->disk_name[d], sizeof(c->disk_name[d]), "%s", disk->name);
	}
	if (unit.life.problem[0])
		refuse("%s", unit.life.problem);
	else
		image_init(&c->im, sectors);
}

static void record(const struct crash_options *o, const struct script_command *script)
{
	struct script_options so = {
		.world = {
			.strategy = unit.unit->strategy,
			.seed = unit.unit->seed,
			.log = recorded_log,
			.log_context = (void *)o,
			.fail = violation,
			.disk_top = recorded_top,
		},
		.hooks = unit.unit->hooks ? unit.unit->hooks : &life_hooks,
		.hooks_context = &unit.life,
		.keep_going = unit.unit->keep_going,
	};
	const char *failed;

	world_start(&so.world);
	failed = script_play(&so, script, NULL);
	unit.life.off = true;
	if (failed)
		refuse("%s", failed);
	else
		note_disks();
	world_stop();
}

/* ---- the judge's world ---- */

static void judged_event(void *context, const struct disk_log_event *ev)
{
	const u32 *disk = context;

	if (unit.crash.recording)
		life_disk_event(unit.crash.recording, *disk, ev);
}

static u32 disk_number(const struct crash *c, const char *name)
{
	return strcmp(name, c->disk_name[CRASH_ORIGIN]) ? CRASH_STORE : CRASH_ORIGIN;
}

static struct disk *judged_base(void *context, const char *name, sector_t sectors)
{
	struct crash *c = context;

	return image_disk(&c->im, disk_number(c, name));
}

static struct disk *judged_top(void *context, const char *name, struct disk *top)
{
	u32 d = disk_number(context, name);

	unit.disks[d] = d;
	return disk_log_create(top, judged_event, &unit.disks[d]);
}

static void walk_thread(void *arg)
{
	struct crash *c = arg;
	struct image_mark mark;

	for (u32 d = 0; d < CRASH_DISKS; d++)
		world_disk_add(c->disk_name[d], c->im.disk[d].sectors, DISK_RAM, c->block_size[d], NULL);
	mark = image_mark(&c->im);
	walk_life(c, &unit.life);
	image_rollback(&c->im, mark);
	if (!c->options->nr_cuts)
		damage_life(c, &unit.life);
}

/*
 * The script's table, as long as the origin is, and without sync-snapshots, which would change at each recovery what is
 * there: "0 LEN multisnapshot ORIGIN STORE CHUNK #ARGS [ARG...] TYPE #ARGS [ARG...] [#IDS ID...]".
 */
static char *recovery_table(const struct crash *c, const char *table)
{
	char *copy = strdup(table), *rest = NULL, *text = NULL, *word;
	unsigned int n = 0, generic = 0, left = 0, sync = 0;
	FILE *out;
	size_t size;

	out = open_memstream(&text, &size);
	if (!copy || !out)
		abort();
	for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest), n++) {
		bool is_arg = n > 6 && n < 7 + generic;

		if (n == 6)
			generic = atoi(word);
		if (is_arg && !strcasecmp(word, "sync-snapshots"))
			sync = 1;
		else if (n == 8 + generic)
			left = n + atoi(word);
		if (sync && n > 8 + generic && n > left)
			break;
		if (n == 1)
			fprintf(out, "0 %llu", (unsigned long long)c->im.disk[CRASH_ORIGIN].sectors);
		else if (n == 6)
			fprintf(out, " %u", generic - !!strcasestr(table, " sync-snapshots "));
		else if (n > 1 && !(is_arg && !strcasecmp(word, "sync-snapshots")))
			fprintf(out, " %s", word);
	}
	fclose(out);
	free(copy);
	return text;
}

/* The first that the script's lines from first_line on have caused. */
static u32 first_event(void)
{
	u32 n = 1;

	while (n <= unit.life.nr && life_at(&unit.life, n)->line < unit.unit->first_line)
		n++;
	return unit.unit->first_line ? n : 0;
}

/* To the end of the origin's last chunk, and as far as the script's snapshots go. */
static sector_t snapshot_sectors(const struct crash *c)
{
	unsigned int chunk = 1;

	sscanf(c->table, "%*s %*s %*s %*s %*s %u", &chunk);
	return max_t(sector_t, roundup(c->im.disk[CRASH_ORIGIN].sectors, chunk), unit.life.snapshot_sectors);
}

/* Nothing was found in the states that were asked for: were they there? */
static void check_cuts(struct crash *c)
{
	const struct crash_cut *cut;

	if (c->cuts_tried == c->options->nr_cuts && !c->cut_error[0])
		return;
	cut = &c->options->cuts[c->cuts_tried];
	if (c->cut_error[0])
		refuse("--cut: %s", c->cut_error);
	else if (c->cuts_tried)
		refuse("--cut: event %u, phase %u is not in the recovery from %u/%u and the work after it", cut->event,
		       cut->phase, cut[-1].event, cut[-1].phase);
	else
		refuse("--cut: event %u, phase %u is not one of the %llu events of this life, from the first load on",
		       cut->event, cut->phase, (unsigned long long)c->counts.events);
}

static void judge(const struct crash_options *o, struct crash *c)
{
	const struct world_options wo = {
		.strategy = SIM_FIFO,
		.log_to_stderr = o->trace_log,
		.log = o->trace_log ? NULL : no_log,
		.fail = violation,
		.disk_base = judged_base,
		.disk_top = judged_top,
		.disk_context = c,
	};

	for (u32 n = 1; o->events && n <= unit.life.nr; n++) {
		char text[600];

		life_print(&unit.life, &c->im, n, text, sizeof(text));
		printf("%5u %s\n", n, text);
	}
	c->options = o;
	c->first = first_event();
	c->counts.workloads = !c->share;
	c->counts.events = c->share ? 0 : unit.life.nr;
	c->table = recovery_table(c, unit.life.table);
	c->snapshot_sectors = snapshot_sectors(c);
	snprintf(c->device, sizeof(c->device), "%s", unit.life.device);
	world_start(&wo);
	sim_thread_start("walk", walk_thread, c);
	sim_run();
	world_stop();
	check_cuts(c);
}

/* ---- all of it ---- */

static void run_script(const struct crash_options *o, const struct script_command *script)
{
	life_init(&unit.life);
	if (!life_find_target(&unit.life, script)) {
		refuse("%s", unit.life.problem[0] ? unit.life.problem :
						    "no table of a target multisnapshot");
		return;
	}
	/* What a world that does not come to its end leaves behind is lost: it was the script's last, or the judge's. */
	if (setjmp(unit.out) == 0) {
		unit.crash.doing = FOUND_IN_SCRIPT;
		record(o, script);
		unit.crash.doing = FOUND_BY_CUT;
		if (!unit.unit->error[0] &&
		    (!unit.unit->recorded || unit.unit->recorded(unit.unit, &unit.crash, &unit.life)))
			judge(o, &unit.crash);
	} else {
		world_abandon();
	}
}

/* A life that was recorded elsewhere. */
static void run_life(const struct crash_options *o)
{
	life_init(&unit.life);
	if (!unit.unit->record(unit.unit, &unit.crash, &unit.life))
		return;
	if (setjmp(unit.out) == 0)
		judge(o, &unit.crash);
	else
		world_abandon();
}

void crash_unit_run(const struct crash_options *options, struct crash_unit *u)
{
	char error[SCRIPT_ERROR_MAX];
	struct script_command *parsed = u->record || u->script ? NULL : script_parse(u->name, u->text, error);
	const struct script_command *script = u->script ? u->script : parsed;

	/* A world's memory comes and goes with each state: not to the kernel and back. */
	mallopt(M_MMAP_THRESHOLD, 256 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	memset(&unit.crash, 0, sizeof(unit.crash));
	unit.unit = u;
	unit.limit = false;
	sim_on_limit(limit_met, NULL);
	u->error[0] = '\0';
	if (!script && !u->record) {
		refuse("%s", error);
		return;
	}
	if (u->record)
		run_life(options);
	else
		run_script(options, script);
	u->counts = unit.crash.counts;
	u->finding = unit.crash.finding;
	image_exit(&unit.crash.im);
	free(unit.crash.table);
	free(unit.crash.points);
	hash_set_exit(&unit.crash.images);
	hash_set_exit(&unit.crash.outcomes);
	life_exit(&unit.life);
	content_release(0);
	script_free(parsed);
}

void crash_finding_free(struct crash_finding *finding)
{
	for (u32 i = 0; i < finding->nr_cuts; i++)
		free(finding->cuts[i].decisions);
	memset(finding, 0, sizeof(*finding));
}
