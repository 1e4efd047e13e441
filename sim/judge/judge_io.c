// SPDX-License-Identifier: GPL-2.0
/*
 * Requests of the script: to the origin and to snapshots, and to the disks below them.
 *
 * The oracle is told what the script writes with the numbers of its fill=, whose tags they are; fill=0 are zeroes. So
 * two writes of one number to one sector are the same to it: right, and blind to which of the two a reader sees.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "judge_int.h"

/* Where a request goes. */
struct place {
	struct judge_target *target;
	struct judge_snapshot *snapshot;
	sector_t limit;
	bool below;		/* to the origin disk itself */
	bool dead;		/* a snapshot that is gone, or of another life */
	bool nobody;		/* a snapshot of which nothing is known */
};

static struct judge_target *target_of_store(const char *name)
{
	struct judge_target *t = judge.targets;

	while (t && strcmp(t->store, name))
		t = t->next;
	return t;
}

static bool find_below(const char *name, struct place *p)
{
	const struct world_disk *disk = world_disk_find(name);

	p->target = judge_target_of_disk(name);
	if (!p->target || !disk)
		return false;
	p->below = true;
	p->limit = disk_sectors(disk->top);
	return true;
}

static bool find_place(const char *name, struct place *p)
{
	struct judge_device *d = judge_device(name);

	memset(p, 0, sizeof(*p));
	if (!d)
		return find_below(name, p);
	judge_touch(&d->touched, 0, SIM_READ);
	p->target = d->active.target;
	p->limit = d->active.sectors;
	if (d->active.kind == JUDGE_ORIGIN)
		return true;
	if (d->active.kind != JUDGE_SNAPSHOT)
		return false;
	p->snapshot = d->active.snapshot;
	p->nobody = !p->snapshot;
	p->dead = !p->target->loaded || d->active.life != p->target->life ||
		  (p->snapshot && p->snapshot->state == JUDGE_GONE);
	return true;
}

/* ---- what is written below ---- */

static void below_store(struct judge_target *t)
{
	struct judge_snapshot *s;

	t->believe = true;
	t->good = false;
	if (t->loaded)
		t->anything = true;
	for (s = t->snapshots; s; s = s->next) {
		if (s->state == JUDGE_GONE)
			continue;
		judge_snapshot_forget(s);
		if (!t->loaded)
			s->state = JUDGE_DOUBTFUL;
	}
}

static void below_origin(struct judge_target *t)
{
	for (struct judge_snapshot *s = t->snapshots; s; s = s->next)
		if (s->state != JUDGE_GONE)
			judge_snapshot_forget(s);
}

/* ---- the beginning ---- */

static enum oracle_op op_of(const struct script_command *c)
{
	switch (c->args.opf & REQ_OP_MASK) {
	case REQ_OP_READ:
		return ORACLE_READ;
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
		return ORACLE_DISCARD;
	case REQ_OP_WRITE_ZEROES:
		return ORACLE_ZERO;
	default:
		return c->args.fill ? ORACLE_WRITE : ORACLE_ZERO;
	}
}

static unsigned int block_sectors(const char *disk)
{
	const struct world_disk *d = world_disk_find(disk);

	return d ? d->block_size / SECTOR_SIZE : 1;
}

static bool is_refused(const struct judge_request *r, const struct place *p)
{
	unsigned int block = max(block_sectors(r->target->origin), block_sectors(r->target->store));

	return r->sector + r->sectors > p->limit || r->sector % block || r->sectors % block;
}

/* Of its snapshot, or of the origin. */
static struct oracle_device *contents_of(const struct judge_target *t, const struct judge_snapshot *s)
{
	if (t->unknown)
		return NULL;
	return s ? s->device : oracle_device(t->oracle, SNAPID_ORIGIN);
}

static void touch_blocks(const struct judge_request *r, bool begins)
{
	struct judge_contents *c = r->snapshot ? &r->snapshot->contents : &r->target->contents;
	bool write = r->op != ORACLE_READ;

	if (!judge.blocks || !r->sectors)
		return;
	for (u32 block = r->sector >> 3; block <= (r->sector + r->sectors - 1) >> 3; block++) {
		if (begins || write)
			judge_touch(&c->after_writes, block, begins ? SIM_BEGIN : SIM_END);
		if (begins == write)
			judge_touch(&c->after_reads, block, begins ? SIM_BEGIN : SIM_END);
	}
}

/* The events that it may meet. A read that settles what a sector holds settles it for a fork, too. */
static void touch_events(const struct judge_request *r, bool begins)
{
	struct judge_moments *forks = r->snapshot ? &r->snapshot->forks : &r->target->forks;

	if (!judge.blocks)
		return;
	judge_touch(begins ? &forks->ends : &forks->begins, 0, SIM_ADD);
	if (!r->snapshot)
		return;
	judge_touch(begins ? &r->target->removal.ends : &r->target->removal.begins, 0, SIM_ADD);
	judge_touch(begins ? &r->snapshot->deletes.ends : &r->snapshot->deletes.begins, 0, SIM_ADD);
}

static void set_expectations(struct judge_request *r, const struct place *p)
{
	struct judge_target *t = r->target;
	bool changes = r->op != ORACLE_READ && !r->flush;

	if (p->below)
		return;
	if (p->snapshot || p->nobody) {
		r->must_fail = p->dead || t->error;
		r->excused = t->removals || (p->snapshot && p->snapshot->doomed) ||
			     (p->snapshot && p->snapshot->state != JUDGE_LIVE);
	} else {
		r->must_fail = t->preserve && t->error && changes;
	}
}

static void tell(struct judge_request *r, const struct place *p)
{
	struct oracle_device *device = contents_of(r->target, r->snapshot);
	u64 fill = r->command->args.fill;

	/* What must fail changes nothing. */
	if (!device || r->flush || r->refused || r->must_fail || fill >= TAG_WRITE_MAX)
		return;
	oracle_begin(r->target->oracle, &r->io, device, r->op, r->sector, r->sectors, fill);
	r->told = true;
}

u64 judge_io_begin(void *context, const struct script_command *c, sector_t sector, u32 sectors,
		   const tag_t *tags)
{
	struct judge_request *r;
	struct place p;

	if (!judge.on)
		return 0;
	judge_step("request");
	if (!find_place(c->args.name, &p)) {
		struct judge_target *t = target_of_store(c->args.name);

		if (t && sectors && op_of(c) != ORACLE_READ)
			below_store(t);
		judge.counts.unknown++;
		return 0;
	}
	if (p.nobody && !p.dead && !p.target->error) {
		judge.counts.unknown++;
		return 0;
	}
	r = judge_alloc(sizeof(*r));
	r->command = c;
	r->target = p.target;
	r->snapshot = p.snapshot;
	r->of_snapshot = p.snapshot || p.nobody;
	r->below = p.below;
	r->op = op_of(c);
	r->flush = !sectors;
	r->sector = sector;
	r->sectors = sectors;
	r->tags = tags;
	r->faults = judge_faults();
	r->origin_faults = judge_disk_faults(p.target->origin);
	r->refused = is_refused(r, &p);
	set_expectations(r, &p);
	if (p.below && r->op != ORACLE_READ && !r->flush)
		below_origin(p.target);
	touch_blocks(r, true);
	touch_events(r, true);
	tell(r, &p);
	r->next = judge.requests;
	judge.requests = r;
	judge.counts.requests++;
	return (uintptr_t)r;
}

/* ---- the end ---- */

void judge_excuse(struct judge_target *t, struct judge_snapshot *s)
{
	for (struct judge_request *r = judge.requests; r; r = r->next)
		if (r->target == t && r->snapshot && (!s || r->snapshot == s))
			r->excused = true;
}

void judge_blind(struct judge_snapshot *s)
{
	for (struct judge_request *r = judge.requests; r; r = r->next)
		if (r->snapshot == s)
			r->blind = true;
}

static const char *name_of(const struct judge_request *r)
{
	return r->flush ? "flush" : r->command->verb->name;
}

static void judge_success(const struct judge_request *r)
{
	bool compared = r->told && !r->blind;

	if (r->must_fail && !r->target->anything)
		judge_found(r->command, "%s of %s at %llu succeeded, EIO was due", name_of(r),
			    r->command->args.name, (unsigned long long)r->sector);
	if (r->op == ORACLE_READ && compared)
		judge.counts.reads++;
}

/*
 * What it needs has failed while it was under way. What goes to the origin alone is not in need of the machinery, nor is a write of
 * a target that gives up its snapshots.
 */
static bool is_struck(const struct judge_request *r)
{
	const struct judge_target *t = r->target;

	if (!r->of_snapshot && (r->op == ORACLE_READ || r->flush || r->below || !t->preserve))
		return judge_disk_faults(t->origin) != r->origin_faults;
	return judge_faults() != r->faults;
}

static void judge_error(const struct judge_request *r, int error)
{
	unsigned int op = r->command->args.opf & REQ_OP_MASK;
	struct judge_target *t = r->target;
	const char *name = r->command->args.name;

	judge.counts.errors++;
	if (is_struck(r) || t->anything || r->refused || judge_resized(t))
		return;
	/* Devices of snapshots have neither. */
	if (error == -EOPNOTSUPP && r->of_snapshot && (op == REQ_OP_DISCARD || op == REQ_OP_WRITE_ZEROES))
		return;
	if (error != -EIO)
		judge_found(r->command, "%s of %s at %llu failed with %s, not EIO", name_of(r), name,
			    (unsigned long long)r->sector, errno_name(error));
	if (r->must_fail || r->excused)
		return;
	if (!r->of_snapshot && (r->op == ORACLE_READ || r->flush || r->below))
		judge_found(r->command, "%s of %s at %llu failed", name_of(r), name,
			    (unsigned long long)r->sector);
	judge_put_off(t, r->command, !r->of_snapshot, "%s of %u sectors of %s at %llu failed without a reason",
		      name_of(r), r->sectors, name, (unsigned long long)r->sector);
}

void judge_io_end(void *context, u64 begun, int error)
{
	struct judge_request *r = (struct judge_request *)(uintptr_t)begun, **p = &judge.requests;
	struct oracle_mismatch m;
	char text[512];
	int differs = 0;

	if (!judge.on || !r)
		return;
	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	touch_blocks(r, false);
	touch_events(r, false);
	if (r->told)
		differs = oracle_end(r->target->oracle, &r->io, error, r->blind ? NULL : r->tags, &m);
	if (differs) {
		oracle_format(r->target->oracle, &m, text, sizeof(text));
		judge_found(r->command, "%s", text);
	}
	if (error)
		judge_error(r, error);
	else
		judge_success(r);
	free(r);
}
