// SPDX-License-Identifier: GPL-2.0
/*
 * The end of a script that is judged: all at rest, every device read back, the store checked offline.
 *
 * A target that the script has removed is loaded once more where its store keeps what it has (mikulas).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "judge_int.h"

#define PIECE 64		/* sectors read at a time */
#define WHOLE_SECTORS 16384	/* devices up to this size are read whole: nothing may be where nobody wrote */
#define DEVICE "judge"		/* of the judge's own */

/* ---- contents ---- */

static void compare_range(struct judge_target *t, struct oracle_device *device, const char *name,
			  sector_t from, sector_t to)
{
	struct block_device *bdev = disk_bdev(name);
	struct oracle_mismatch m;
	tag_t tags[PIECE];
	char text[512];
	int r;

	for (; from < to; from += PIECE) {
		u32 n = min_t(sector_t, PIECE, to - from);

		r = sim_bio_wait(sim_bio_alloc(bdev, REQ_OP_READ, from, n, tags));
		if (r)
			judge_found(NULL, "%s at %llu cannot be read: %s", name, (unsigned long long)from,
				    errno_name(r));
		if (!oracle_check(t->oracle, NULL, device, from, n, tags, &m))
			continue;
		oracle_format(t->oracle, &m, text, sizeof(text));
		judge_found(NULL, "%s", text);
	}
}

/* @device: of the oracle; read by the block device of that name. */
static void read_back(struct judge_target *t, struct oracle_device *device, const char *name, sector_t sectors)
{
	u64 n;

	judge.counts.read_back++;
	if (sectors <= WHOLE_SECTORS) {
		compare_range(t, device, name, 0, sectors);
		return;
	}
	for (sector_t s = oracle_next_region(t->oracle, 0, &n); s < sectors;
	     s = oracle_next_region(t->oracle, s + n, &n))
		compare_range(t, device, name, s, min_t(sector_t, s + n, sectors));
}

/* A device of the script by which the whole snapshot can be read; NULL: none. */
static const struct judge_device *device_of(const struct judge_snapshot *s, sector_t sectors)
{
	struct judge_device *d = judge.devices;

	while (d && !(d->active.kind == JUDGE_SNAPSHOT && d->active.snapshot == s &&
		      d->active.life == s->target->life && d->active.sectors >= sectors))
		d = d->next;
	return d;
}

static void read_snapshot(struct judge_snapshot *s)
{
	struct judge_target *t = s->target;
	sector_t sectors = roundup(oracle_sectors(t->oracle), t->chunk);
	const struct judge_device *d = device_of(s, sectors);
	char table[256], id[32];
	int r;

	if (d) {
		read_back(t, s->device, d->name, d->active.sectors);
		return;
	}
	snapid_print(id, sizeof(id), s->id);
	snprintf(table, sizeof(table), "0 %llu multisnap-snap %s %s", (unsigned long long)sectors, t->origin,
		 id);
	r = world_device_create(DEVICE, table, NULL);
	if (r)
		judge_found(NULL, "no device of snapshot %s can be made: %s", id, errno_name(r));
	read_back(t, s->device, DEVICE, sectors);
	r = world_device_remove(DEVICE);
	if (r)
		judge_found(NULL, "the device of snapshot %s cannot be removed: %s", id, errno_name(r));
}

/* ---- the store ---- */

static void compare_space(const struct judge_target *t, const struct check_summary *sum,
			  const struct target_status *st)
{
	u64 data = (sum->exceptions - sum->garbage) * t->chunk;

	if (sum->garbage)
		judge_found(NULL, "settled, and %llu records of deleted snapshots are left",
			    (unsigned long long)sum->garbage);
	if (data != st->allocated - st->metadata)
		judge_found(NULL, "settled: %llu sectors of data are allocated, %llu reachable",
			    (unsigned long long)(st->allocated - st->metadata), (unsigned long long)data);
	if (sum->snapshots != st->nr)
		judge_found(NULL, "settled: %u snapshots, the store has %llu", st->nr,
			    (unsigned long long)sum->snapshots);
}

/* @st: of a settled target without an error; or NULL. */
static void check(const struct judge_target *t, const struct target_status *st)
{
	const struct world_disk *disk = world_disk_find(t->store);
	bool given_up = t->error || t->error_before || t->ended_badly || judge_faults() != t->faults_at_load;
	struct check_source source;
	struct check_report report;

	if (strcmp(t->type, "mikulas") || !disk || t->anything || judge_resized(t))
		return;
	if (t->believe && !t->loaded) /* somebody has written to it, perhaps for another target to come */
		return;
	memset(&report, 0, sizeof(report));
	check_source_disk(&source, t->store, disk->base);
	check_store(&source, &report);
	judge.counts.checks++;
	/* What gave up before it was formatted has left nothing to be checked. */
	if (report.result == CHECK_IMPOSSIBLE && !(given_up && !t->good))
		judge_found(NULL, "%s cannot be checked: %s", t->store, report.reason);
	/* Marked invalid by itself: that is no damage, where the snapshots were given up. */
	if (report.result == CHECK_DAMAGED && !(report.summary.error && given_up)) {
		const struct check_finding *f = report.findings;

		judge_found(NULL, "%s is not clean: %s %s: %s %s", t->store, f ? f->area : "",
			    f ? f->place : "", f ? f->field : "", f ? f->what : "");
	}
	if (st && report.result == CHECK_CLEAN)
		compare_space(t, &report.summary, st);
	check_report_free(&report);
}

/* ---- all of a target ---- */

static void judge_loaded(struct judge_target *t, sector_t sectors)
{
	struct target_status st;
	int r;

	r = dmctl_message(t->device, "settle");
	if (!judge_ask(t, &st))
		judge_found(NULL, "%s has no status", t->device);
	if (r && !t->error && !t->anything)
		judge_found(NULL, "settle: %s", errno_name(r));
	check(t, t->error || t->anything ? NULL : &st);
	if (t->unknown || judge_resized(t))
		return;
	read_back(t, oracle_device(t->oracle, SNAPID_ORIGIN), t->device, sectors);
	for (struct judge_snapshot *s = t->snapshots; s && !t->error && !t->anything; s = s->next)
		if (s->state == JUDGE_LIVE && s->device && !s->doomed)
			read_snapshot(s);
}

static void load(struct judge_target *t)
{
	const char *reason = NULL;
	int r = world_device_create(DEVICE "-origin", t->table, &reason);

	if (r)
		judge_found(NULL, "the target does not load again: %s%s%s", errno_name(r), reason ? ": " : "",
			    reason ? reason : "");
	strcpy(t->device, DEVICE "-origin");
	t->loaded = true;
	t->life++;
}

static void unload(struct judge_target *t)
{
	int r = world_device_remove(t->device);

	if (r)
		judge_found(NULL, "the target cannot be removed: %s", errno_name(r));
	t->loaded = false;
}

/* It says nothing of what was, and nothing wrong is to be found in it. */
static bool is_lost(const struct judge_target *t)
{
	return strcmp(t->type, "mikulas") || t->anything || t->believe || t->unknown || judge_resized(t);
}

/* Not loaded: what the disks have, and what a load finds. */
static void judge_removed(struct judge_target *t)
{
	check(t, NULL);
	if (!t->unknown && !judge_resized(t))
		read_back(t, oracle_device(t->oracle, SNAPID_ORIGIN), t->origin, oracle_sectors(t->oracle));
	if (is_lost(t) || t->error || t->error_before)
		return;
	load(t);
	judge_loaded(t, t->sectors);
	unload(t);
}

/*
 * Loaded, and in error: what a restart finds. Snapshots that were given up are not taken for good (H20), where the disk has not refused
 * the mark as well; what was to be preserved is as it was when it was last durable.
 */
static void judge_errored(struct judge_target *t)
{
	/* Perhaps: where its only failure is not the error itself. */
	bool refused = judge_disk_faults(t->store) && (judge_faults() > 1 || t->error == -ENOSPC);
	struct target_status st;

	if (is_lost(t) || !t->good || t->error_before || (!t->preserve && refused))
		return;
	unload(t);
	load(t);
	if (t->preserve) {
		t->error_before = t->error;
		t->error = 0;
		judge_loaded(t, t->sectors);
		if (t->error)
			judge_found(NULL, "what was preserved is in error after the next load: %s", errno_name(t->error));
	} else if (!target_status_ask(t->device, &st) || !st.error) {
		judge_found(NULL, "snapshots that were given up are loaded as if they were good");
	}
	unload(t);
}

static void calm_down(void)
{
	const char *name;
	int r;

	for (struct world_disk *d = world_disks(); d; d = d->next) {
		disk_error_clear(d->error);
		disk_delay_release(d->delay, -1);
	}
	sim_fail_alloc(0, 0);
	sim_fail_alloc_random(0);
	sim_settle();
	for (unsigned int i = 0; (name = world_device_name(i, NULL)); i++) {
		r = dmctl_suspended(name) ? dmctl_resume(name) : 0;
		if (r && judge_device(name) && judge_device(name)->active.kind)
			judge_found(NULL, "%s cannot be resumed: %s", name, errno_name(r));
	}
	sim_settle();
}

void judge_end(void)
{
	struct judge_target *t;

	if (!judge.on)
		return;
	calm_down();
	if (judge.requests)
		judge_found(judge.requests->command, "did not end");
	if (judge.commands)
		judge_found(judge.commands->command, "did not end");
	for (t = judge.targets; t; t = t->next) {
		const struct judge_device *d = judge_device(t->device);

		if (!t->life)
			continue;
		if (!t->loaded) {
			judge_removed(t);
		} else {
			judge_loaded(t, d ? d->active.sectors : 0);
			if (t->error)
				judge_errored(t);
		}
		judge.counts.status_errors += t->error || t->error_before;
		judge.counts.unasked += t->ended_badly;
	}
	judge.on = false;
}
