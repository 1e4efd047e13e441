// SPDX-License-Identifier: GPL-2.0
/*
 * What the devices on a hostile store must read as: what they read as when it was loaded, and what was written since.
 *
 * One operation after the other, so everything is known exactly. Of the origin it is judged always: nothing that a store
 * device holds may change it. Of snapshots it is judged where the offline check had called the store clean; of a damaged
 * store a snapshot may read as anything but metadata, and what was just written.
 */
#include <errno.h>
#include <string.h>

#include "image.h"

static const char *name_of(struct truth *t, unsigned int snapshot, char *text, size_t size)
{
	if (snapshot == TRUTH_ORIGIN)
		return "origin";
	snapid_print(text, size, t->snapshots[snapshot].id);
	return text;
}

static tag_t *contents(struct truth *t, unsigned int snapshot)
{
	return snapshot == TRUTH_ORIGIN ? t->origin : t->snapshots[snapshot].tags;
}

/* Snapshots exist only by the name of a device, for the time of one request. */
static int with_device(struct truth *t, unsigned int snapshot, blk_opf_t opf, sector_t sector, u32 sectors,
		       tag_t *tags)
{
	char id[32], table[96];
	int r;

	if (snapshot == TRUTH_ORIGIN)
		return image_io("ms", opf, sector, sectors, tags);
	snapid_print(id, sizeof(id), t->snapshots[snapshot].id);
	snprintf(table, sizeof(table), "0 %llu multisnap-snap origin %s", (unsigned long long)t->sectors, id);
	r = world_device_create("snap", table, NULL);
	/* It may have been deleted by what failed. */
	if (r && !t->run->error)
		sim_fail("snapshot %s: no device: %s", id, errno_name(r));
	if (r)
		return -EIO;
	r = image_io("snap", opf, sector, sectors, tags);
	for (unsigned int i = 0; world_device_remove("snap"); i++) {
		if (i == 1000)
			sim_fail("snapshot %s: its device cannot be removed", id);
		sim_sleep_ns(1000);
	}
	return r;
}

/* May it have failed? */
static void judge_error(struct truth *t, unsigned int snapshot, bool write, int r)
{
	struct image_run *run = t->run;
	struct target_status st;
	char id[32];

	if (!r)
		return;
	image_status(run, &st);
	if (run->faults)
		return;
	if (snapshot == TRUTH_ORIGIN && (!write || !(run->head->flags & IMAGE_PRESERVE)))
		sim_fail("the origin fails a %s", write ? "write" : "read");
	if (!st.error)
		sim_fail("%s: a request fails, and the status shows no error", name_of(t, snapshot, id, sizeof(id)));
}

/* Metadata is no answer: data chunks hold data only, as long as they are where they were. */
static void judge_tags(struct truth *t, unsigned int snapshot, sector_t sector, u32 sectors, const tag_t *tags)
{
	char id[32];

	if (!t->run->same_areas)
		return;
	for (u32 i = 0; i < sectors; i++)
		if (tags[i] & TAG_LITERAL)
			sim_fail("snapshot %s reads metadata at sector %llu", name_of(t, snapshot, id, sizeof(id)),
				 (unsigned long long)(sector + i));
}

void truth_read(struct truth *t, unsigned int snapshot, sector_t sector, u32 sectors)
{
	tag_t tags[TRUTH_SECTORS_MAX], *expected = contents(t, snapshot);
	bool known = snapshot == TRUTH_ORIGIN || (t->run->clean && t->snapshots[snapshot].known);
	char id[32];
	int r = with_device(t, snapshot, REQ_OP_READ, sector, sectors, tags);

	judge_error(t, snapshot, false, r);
	if (r)
		return;
	if (snapshot != TRUTH_ORIGIN)
		judge_tags(t, snapshot, sector, sectors, tags);
	for (u32 i = 0; known && i < sectors; i++)
		if (tags[i] != expected[sector + i])
			sim_fail("%s: sector %llu reads %llx, not %llx", name_of(t, snapshot, id, sizeof(id)),
				 (unsigned long long)(sector + i), (unsigned long long)tags[i],
				 (unsigned long long)expected[sector + i]);
}

void truth_verify(struct truth *t)
{
	truth_read(t, TRUTH_ORIGIN, 0, t->sectors);
	for (unsigned int i = 0; i < t->nr; i++)
		truth_read(t, i, 0, t->sectors);
}

/* What a request that failed, or a discard, has left: each sector is old or new. */
static void settle_for_old_or_new(struct truth *t, unsigned int snapshot, sector_t sector, u32 sectors,
				  const tag_t *new)
{
	tag_t tags[TRUTH_SECTORS_MAX], *expected = contents(t, snapshot);

	if (snapshot != TRUTH_ORIGIN) {
		t->snapshots[snapshot].known = false;
		return;
	}
	disk_error_clear(t->run->origin->error);
	if (image_io("ms", REQ_OP_READ, sector, sectors, tags))
		sim_fail("the origin fails a read");
	for (u32 i = 0; i < sectors; i++) {
		if (tags[i] != expected[sector + i] && tags[i] != new[i])
			sim_fail("origin: sector %llu reads %llx, neither old nor new",
				 (unsigned long long)(sector + i), (unsigned long long)tags[i]);
		expected[sector + i] = tags[i];
	}
}

void truth_write(struct truth *t, unsigned int snapshot, blk_opf_t opf, sector_t sector, u32 sectors)
{
	tag_t tags[TRUTH_SECTORS_MAX] = { 0 };
	bool data = (opf & REQ_OP_MASK) == REQ_OP_WRITE;
	char id[32];
	int r;

	t->write_no++;
	for (u32 i = 0; data && i < sectors; i++)
		tags[i] = tag_make(t->write_no, sector + i);
	r = with_device(t, snapshot, opf, sector, sectors, data && sectors ? tags : NULL);
	image_say("%s: op %u %llu+%u: %d", name_of(t, snapshot, id, sizeof(id)), (unsigned int)(opf & REQ_OP_MASK),
		  (unsigned long long)sector, sectors, r);
	judge_error(t, snapshot, true, r);
	if (!sectors)
		return;
	if (r || (opf & REQ_OP_MASK) == REQ_OP_DISCARD) {
		settle_for_old_or_new(t, snapshot, sector, sectors, tags);
		return;
	}
	memcpy(&contents(t, snapshot)[sector], tags, sectors * sizeof(tag_t));
	/* Of a damaged store, too, this must be there; unless it went to two chunks, which may be one in the store. */
	if (!t->run->clean && sector / t->run->chunk != (sector + sectors - 1) / t->run->chunk)
		return;
	if (snapshot != TRUTH_ORIGIN && !with_device(t, snapshot, REQ_OP_READ, sector, sectors, tags) &&
	    memcmp(&contents(t, snapshot)[sector], tags, sectors * sizeof(tag_t)))
		sim_fail("snapshot %s does not read what was just written to it at sector %llu",
			 name_of(t, snapshot, id, sizeof(id)), (unsigned long long)sector);
}

/* ---- snapshots ---- */

static unsigned int find(const struct truth *t, snapid_t id)
{
	for (unsigned int i = 0; i < t->nr; i++)
		if (t->snapshots[i].id == id)
			return i;
	return TRUTH_ORIGIN;
}

static void forget(struct truth *t, unsigned int snapshot)
{
	memmove(&t->snapshots[snapshot], &t->snapshots[snapshot + 1],
		(--t->nr - snapshot) * sizeof(t->snapshots[0]));
}

static void look_at(struct truth *t, snapid_t id)
{
	struct truth_snapshot *s = &t->snapshots[t->nr];

	if (t->nr == TRUTH_SNAPSHOTS_MAX) {
		t->more = true;
		return;
	}
	s->id = id;
	s->known = false;
	t->nr++;
	s->known = !with_device(t, t->nr - 1, REQ_OP_READ, 0, t->sectors, s->tags);
	if (s->known)
		judge_tags(t, t->nr - 1, 0, t->sectors, s->tags);
	else
		judge_error(t, t->nr - 1, false, -EIO);
}

/* The snapshots of the status are those known, where that can be said. */
static void compare_ids(struct truth *t, const struct target_status *st, const char *when)
{
	char id[32];

	if (st->error || t->more)
		return;
	if (st->nr != t->nr)
		sim_fail("%s: there are %u snapshots, %u are known", when, st->nr, t->nr);
	for (unsigned int i = 0; i < st->nr; i++)
		if (find(t, st->ids[i]) == TRUTH_ORIGIN) {
			snapid_print(id, sizeof(id), st->ids[i]);
			sim_fail("%s: snapshot %s should not exist", when, id);
		}
}

void truth_begin(struct truth *t, struct image_run *run)
{
	struct image *im = run->im;
	struct target_status st;

	memset(t, 0, offsetof(struct truth, snapshots));
	t->run = run;
	t->write_no = 0x10000;
	t->sectors = run->origin_sectors;
	memcpy(t->origin, im->origin, min(t->sectors, im->origin_sectors) * sizeof(tag_t));
	image_status(run, &st);
	if (run->clean && !run->unformatted && !run->summary.error && st.nr != run->summary.snapshots && !st.error)
		sim_fail("there are %u snapshots, and the offline check has found %llu", st.nr,
			 (unsigned long long)run->summary.snapshots);
	for (unsigned int i = 0; i < st.nr && !st.error; i++)
		look_at(t, st.ids[i]);
	truth_read(t, TRUTH_ORIGIN, 0, t->sectors);
}

void truth_create(struct truth *t, unsigned int master, unsigned int suspend_flags)
{
	char text[64] = "create", id[32];
	struct target_status st;
	tag_t *from = contents(t, master);
	/* An edit may have given a chunk to a master alone, which no store does: the sub-snapshot has the origin's. */
	bool known = master == TRUTH_ORIGIN || (t->snapshots[master].known && !t->run->head->edits);
	int r;

	if (t->nr == TRUTH_SNAPSHOTS_MAX)
		return;
	if (master != TRUTH_ORIGIN)
		snprintf(text, sizeof(text), "create_subsnap %s", name_of(t, master, id, sizeof(id)));
	r = dmctl_message("ms", text);
	image_say("%s: %d", text, r);
	image_status(t->run, &st);
	if (r && st.prepared != SNAPID_ORIGIN)
		sim_fail("%s failed, and the status shows an id", text);
	if (!r && find(t, st.prepared) != TRUTH_ORIGIN)
		sim_fail("%s prepares an id that exists", text);
	if (dmctl_suspend("ms", suspend_flags) || dmctl_resume("ms"))
		sim_fail("suspend and resume fail");
	if (!r) {
		struct truth_snapshot *s = &t->snapshots[t->nr];

		s->id = st.prepared;
		image_status(t->run, &st);
		for (unsigned int i = 0; i < st.nr && !st.error; i++)
			if (st.ids[i] == s->id) {
				if (known) {
					memcpy(s->tags, from, t->sectors * sizeof(tag_t));
					s->known = true;
					t->nr++;
				} else {
					look_at(t, s->id);
				}
				break;
			}
	}
	image_status(t->run, &st);
	compare_ids(t, &st, text);
}

void truth_delete(struct truth *t, unsigned int snapshot)
{
	char text[64], id[32];
	struct target_status st;
	int r;

	snprintf(text, sizeof(text), "delete %s", name_of(t, snapshot, id, sizeof(id)));
	r = dmctl_message("ms", text);
	image_say("%s: %d", text, r);
	image_status(t->run, &st);
	if (r && !st.error)
		sim_fail("%s: %s", text, errno_name(r));
	forget(t, snapshot);
	compare_ids(t, &st, text);
}

void truth_settle(struct truth *t)
{
	struct target_status st;
	int r = dmctl_message("ms", "settle");

	image_status(t->run, &st);
	image_say("settle: %d", r);
	if (r && !st.error)
		sim_fail("settle: %s", errno_name(r));
	if (!r && t->run->clean && !st.error && !st.nr && st.allocated != st.metadata)
		sim_fail("settled, and %llu sectors are allocated for no snapshot",
			 (unsigned long long)(st.allocated - st.metadata));
}

/* After an error: whether what failed has happened shows now. */
static void list_again(struct truth *t, const struct target_status *st)
{
	for (unsigned int i = t->nr; i-- > 0;) {
		unsigned int k = 0;

		while (k < st->nr && st->ids[k] != t->snapshots[i].id)
			k++;
		if (k == st->nr)
			forget(t, i);
	}
	for (unsigned int k = 0; k < st->nr; k++)
		if (find(t, st->ids[k]) == TRUTH_ORIGIN)
			look_at(t, st->ids[k]);
}

bool truth_reload(struct truth *t)
{
	struct target_status before, after;

	image_status(t->run, &before);
	image_unload(t->run);
	image_check(t->run, "removed");
	if (before.error)
		t->run->clean = false;
	if (!image_load(t->run)) {
		if (t->run->clean)
			sim_fail("the store cannot be loaded again");
		return false;
	}
	image_status(t->run, &after);
	if (before.error && !after.error)
		list_again(t, &after);
	compare_ids(t, &after, "loaded again");
	return true;
}
