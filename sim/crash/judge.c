// SPDX-License-Identifier: GPL-2.0
/*
 * One state of the disks: load the target as an administrator does, read all of it, check the store offline; then perhaps
 * go on working, and look again.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "crash.h"

#define SNAPSHOT_NAME "crash-snapshot"

static void read_device(const char *name, sector_t sectors, struct seen_device *d)
{
	tag_t *tags = malloc(sectors * sizeof(*tags));
	u32 piece;

	d->sectors = sectors;
	d->contents = malloc(sectors * sizeof(*d->contents));
	if (!tags || !d->contents)
		abort();
	for (sector_t s = 0; s < sectors && !d->error; s += piece) {
		piece = min_t(u64, sectors - s, 2048);
		d->error = sim_bio_wait(sim_bio_alloc(disk_bdev(name), REQ_OP_READ, s, piece, tags + s));
	}
	for (sector_t s = 0; s < sectors && !d->error; s++)
		d->contents[s] = content_of_tag(tags[s]);
	free(tags);
}

static void snapshot_name(snapid_t id, char name[WORLD_NAME_MAX])
{
	char text[32];

	snapid_print(text, sizeof(text), id);
	snprintf(name, WORLD_NAME_MAX, SNAPSHOT_NAME "-%s", text);
}

static int open_snapshot(struct crash *c, snapid_t id, char name[WORLD_NAME_MAX])
{
	char table[160], text[32];

	snapshot_name(id, name);
	snapid_print(text, sizeof(text), id);
	snprintf(table, sizeof(table), "0 %llu multisnap-snap %s %s",
		 (unsigned long long)c->snapshot_sectors, c->disk_name[CRASH_ORIGIN], text);
	return world_device_create(name, table, NULL);
}

static void read_snapshot(struct crash *c, snapid_t id, struct seen_device *d)
{
	char name[WORLD_NAME_MAX];

	d->id = id;
	d->error = open_snapshot(c, id, name);
	if (d->error)
		return;
	read_device(name, c->snapshot_sectors, d);
	world_device_remove(name);
}

void seen_free(struct seen *seen)
{
	free(seen->origin.contents);
	for (u32 i = 0; i < seen->status.nr; i++)
		free(seen->snapshots[i].contents);
}

int judge_load(struct crash *c, struct seen *seen)
{
	const char *reason = NULL;

	memset(seen, 0, offsetof(struct seen, snapshots));
	seen->load_error = world_device_create(c->device, c->table, &reason);
	snprintf(seen->reason, sizeof(seen->reason), "%s", reason ? reason : "");
	return seen->load_error;
}

void judge_look(struct crash *c, struct seen *seen)
{
	seen->origin.id = SNAPID_ORIGIN;
	if (!life_status(c->device, &seen->status)) {
		seen->load_error = -ENODEV;
		return;
	}
	memset(seen->snapshots, 0, seen->status.nr * sizeof(seen->snapshots[0]));
	read_device(c->device, c->im.disk[CRASH_ORIGIN].sectors, &seen->origin);
	for (u32 i = 0; i < seen->status.nr; i++)
		read_snapshot(c, seen->status.ids[i], &seen->snapshots[i]);
}

bool judge_clean(struct crash *c, char *what, size_t size)
{
	struct check_report report = { .max_findings = 1 };
	struct check_source source;
	bool clean;

	check_source_disk(&source, c->disk_name[CRASH_STORE],
			  world_disk_find(c->disk_name[CRASH_STORE])->base);
	clean = check_store(&source, &report) == CHECK_CLEAN;
	if (!clean && report.nr_findings)
		snprintf(what, size, "%s %s %s: %s", report.findings->area, report.findings->place,
			 report.findings->field, report.findings->what);
	else if (!clean)
		snprintf(what, size, "%s", report.reason);
	check_report_free(&report);
	return clean;
}

/* I5: the store is clean, as whoever looks at it from outside sees it. */
static void check(struct crash *c, const struct seen *seen, const char *when)
{
	char what[512];

	if (!seen->status.error && !judge_clean(c, what, sizeof(what)))
		walk_found(c, "%s: the offline check of the store: %s", when, what);
}

/* ---- work after a recovery ---- */

struct work {
	struct crash *c;
	struct life *life;
	u64 draw;		/* decides what is done */
	u32 write_no;
};

static u32 draw(struct work *w, u32 n)
{
	w->draw = crash_mix(w->draw, n);
	return w->draw % n;
}

static void work_write(struct work *w, const char *name, snapid_t id)
{
	sector_t sector, sectors = id == SNAPID_ORIGIN ? w->c->im.disk[CRASH_ORIGIN].sectors :
							 w->c->snapshot_sectors;
	blk_opf_t opf = REQ_OP_WRITE | (draw(w, 4) ? 0 : REQ_FUA);
	tag_t tags[16];
	u32 n, issue;

	n = min_t(u64, 1 + draw(w, 16), sectors);
	sector = draw(w, sectors - n + 1);
	for (u32 i = 0; i < n; i++)
		tags[i] = tag_make(w->write_no, sector + i);
	w->write_no++;
	issue = life_io_issue(w->life, id, opf, sector, n, tags, 0);
	life_io_end(w->life, issue,
		    sim_bio_wait(sim_bio_alloc(disk_bdev(name), opf, sector, n, tags)));
}

static void work_flush(struct work *w, const char *name, snapid_t id)
{
	blk_opf_t opf = REQ_OP_WRITE | REQ_PREFLUSH;
	u32 issue = life_io_issue(w->life, id, opf, 0, 0, NULL, 0);

	life_io_end(w->life, issue, sim_bio_wait(sim_bio_alloc(disk_bdev(name), opf, 0, 0, NULL)));
}

static int work_message(struct work *w, const char *fmt, const char *arg)
{
	u32 begin = life_ctl_begin(w->life, 0);
	char text[64];
	int r;

	snprintf(text, sizeof(text), fmt, arg);
	r = dmctl_message(w->c->device, text);
	life_ctl_end(w->life, begin, r);
	return r;
}

static void work_create(struct work *w)
{
	u32 begin;

	if (work_message(w, "create", NULL))
		return;
	begin = life_ctl_begin(w->life, 0);
	life_ctl_end(w->life, begin, dmctl_suspend(w->c->device, 0));
	begin = life_ctl_begin(w->life, 0);
	life_ctl_end(w->life, begin, dmctl_resume(w->c->device));
}

/* A snapshot that exists, by chance; its device is made and removed. */
static void work_in_snapshot(struct work *w)
{
	char name[WORLD_NAME_MAX];
	struct target_status st;
	snapid_t id;

	if (!life_status(w->c->device, &st) || !st.nr)
		return;
	id = st.ids[draw(w, st.nr)];
	if (open_snapshot(w->c, id, name))
		return;
	work_write(w, name, id);
	if (!draw(w, 3))
		work_flush(w, name, id);
	world_device_remove(name);
}

static void work_delete(struct work *w)
{
	struct target_status st;
	char text[32];

	if (!life_status(w->c->device, &st) || !st.nr)
		return;
	snapid_print(text, sizeof(text), st.ids[draw(w, st.nr)]);
	work_message(w, "delete %s", text);
}

static void go_on(struct crash *c, struct life *life)
{
	struct work w = {
		.c = c,
		.life = life,
		.draw = walk_class(c),
		.write_no = CRASH_WRITE_AFTER + 64 * c->counts.worked % (1 << 20),
	};

	work_write(&w, c->device, SNAPID_ORIGIN);
	work_in_snapshot(&w);
	work_create(&w);
	work_write(&w, c->device, SNAPID_ORIGIN);
	if (!draw(&w, 2))
		work_flush(&w, c->device, SNAPID_ORIGIN);
	work_in_snapshot(&w);
	work_delete(&w);
	work_write(&w, c->device, SNAPID_ORIGIN);
	if (!draw(&w, 2))
		work_message(&w, "settle", NULL);
}

/* With the power on all the time: what must be there is what was written. */
static void judge_work(struct crash *c, const struct life *life, const struct seen *before)
{
	struct seen after = { 0 };
	char what[800];
	struct truth t;
	bool good;

	truth_init_seen(&t, life, &c->im, c->snapshot_sectors, before);
	while (t.now < life->nr)
		truth_step(&t);
	judge_look(c, &after);
	good = truth_judge(&t, TRUTH_ON, &after, what, sizeof(what));
	truth_exit(&t);
	if (!good)
		walk_found(c, "after the recovery and some work, without another power cut: %s", what);
	check(c, &after, "after the recovery and some work");
	seen_free(&after);
}

void judge_state(struct crash *c, struct seen *seen, struct life *life)
{
	u32 begin;

	c->recording = life;
	snprintf(life->device, sizeof(life->device), "%s", c->device);
	begin = life_ctl_begin(life, 0);
	life_ctl_end(life, begin, judge_load(c, seen));
	if (seen->load_error) {
		walk_verdict(c, seen);
		c->recording = NULL;
		return;
	}
	judge_look(c, seen);
	check(c, seen, "after the recovery");
	if (walk_verdict(c, seen) && !seen->status.error) {
		c->counts.worked++;
		c->working = true;
		go_on(c, life);
		judge_work(c, life, seen);
		c->working = false;
	}
	c->recording = NULL;
	world_device_remove(c->device);
}
