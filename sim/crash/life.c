// SPDX-License-Identifier: GPL-2.0
/* Recording a life (life.h). */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "life.h"

void life_init(struct life *life)
{
	memset(life, 0, sizeof(*life));
}

void life_exit(struct life *life)
{
	free(life->event);
	free(life->contents);
	free(life->states);
	free(life->ids);
	free(life->table);
	free(life->devices);
	for (u32 d = 0; d < CRASH_DISKS; d++)
		free(life->flights[d]);
}

static void problem(struct life *life, const char *fmt, ...)
{
	va_list ap;

	if (life->problem[0])
		return;
	va_start(ap, fmt);
	vsnprintf(life->problem, sizeof(life->problem), fmt, ap);
	va_end(ap);
}

struct life_event *life_add_event(struct life *life, enum life_kind kind)
{
	struct life_event *e;

	life->event = crash_grow(life->event, (u64)life->nr + 1, &life->max, sizeof(*life->event));
	e = &life->event[life->nr++];
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	return e;
}

content_t *life_add_contents(struct life *life, u32 nr, u32 *first)
{
	*first = life->nr_contents;
	life->contents = crash_grow(life->contents, (u64)life->nr_contents + nr,
				    &life->max_contents, sizeof(*life->contents));
	life->nr_contents += nr;
	return life->contents + *first;
}

static void tell(struct life *life)
{
	if (life->told)
		life->told(life, life->nr);
}

/* What an opf means for durability; writes of zeroes are writes. */
static void set_op(struct life_event *e, blk_opf_t opf)
{
	unsigned int op = opf & REQ_OP_MASK;

	if (op == REQ_OP_DISCARD || op == REQ_OP_SECURE_ERASE)
		e->op = LIFE_DISCARD;
	else
		e->op = e->sectors ? LIFE_WRITE : LIFE_FLUSH;
	e->flags = (opf & REQ_FUA ? LIFE_FUA : 0) | (opf & REQ_PREFLUSH ? LIFE_PREFLUSH : 0) |
		   (opf & REQ_META ? LIFE_META : 0);
}

/* ---- disks ---- */

static void disk_issue(struct life *life, u32 disk, const struct disk_log_event *ev)
{
	struct life_event *e = life_add_event(life, LIFE_DISK_ISSUE);
	struct life_flight *flight;
	content_t *contents;

	e->disk = disk;
	e->sector = ev->sector;
	e->sectors = ev->sectors;
	set_op(e, ev->opf);
	if (e->op == LIFE_WRITE) {
		contents = life_add_contents(life, e->sectors, &e->contents);
		for (u32 i = 0; i < e->sectors; i++)
			contents[i] = ev->data ? content_of_data(ev->data, i) : CONTENT_ZERO;
	}
	life->flights[disk] = crash_grow(life->flights[disk], (u64)life->nr_flights[disk] + 1,
					 &life->max_flights[disk], sizeof(*life->flights[disk]));
	flight = &life->flights[disk][life->nr_flights[disk]++];
	flight->id = ev->id;
	flight->event = life->nr;
	tell(life);
}

static void disk_end(struct life *life, u32 disk, const struct disk_log_event *ev)
{
	struct life_flight *flight = life->flights[disk];
	u32 last = life->nr_flights[disk], i;
	struct life_event *e;

	for (i = 0; i < last && flight[i].id != ev->id; i++)
		;
	if (i == last)
		return; /* issued while nothing was recorded */
	e = life_add_event(life, LIFE_DISK_END);
	e->disk = disk;
	e->issue = flight[i].event;
	e->error = ev->error;
	flight[i] = flight[last - 1];
	life->nr_flights[disk]--;
	tell(life);
}

void life_disk_event(struct life *life, u32 disk, const struct disk_log_event *ev)
{
	if (life->off)
		return;
	if (ev->completed)
		disk_end(life, disk, ev);
	else
		disk_issue(life, disk, ev);
}

/* ---- the target's state ---- */

bool life_status(const char *device, struct target_status *st)
{
	return device[0] && target_status_ask(device, st);
}

static bool same_state(const struct life *life, const struct life_state *old, bool loaded,
		       const struct target_status *st)
{
	if (old->loaded != loaded)
		return false;
	return !loaded || (old->error == st->error &&
			   old->prepared == st->prepared && old->nr_ids == st->nr &&
			   (!st->nr || !memcmp(life->ids + old->ids, st->ids, st->nr * sizeof(snapid_t))));
}

u32 life_add_state(struct life *life, const struct target_status *st)
{
	struct life_state *s;

	life->states = crash_grow(life->states, (u64)life->nr_states + 1, &life->max_states,
				  sizeof(*life->states));
	s = &life->states[life->nr_states];
	memset(s, 0, sizeof(*s));
	if (st) {
		s->loaded = true;
		s->error = st->error;
		s->prepared = st->prepared;
		s->nr_ids = st->nr;
		s->ids = life->nr_ids;
		life->ids = crash_grow(life->ids, (u64)life->nr_ids + st->nr, &life->max_ids,
				       sizeof(*life->ids));
		if (st->nr)
			memcpy(life->ids + s->ids, st->ids, st->nr * sizeof(snapid_t));
		life->nr_ids += st->nr;
	}
	return life->nr_states++;
}

/* The state of the target now: the last one, if it is the same. */
static u32 state_now(struct life *life)
{
	struct target_status st;
	bool loaded;
	u64 asked;

	if (life->blind)
		return LIFE_NOT_ASKED;
	/* Others may ask while the answer is on its way: states must come in the order of their events. */
	do {
		asked = life->answers;
		loaded = life_status(life->device, &st);
	} while (life->answers != asked);
	life->answers++;
	if (life->nr_states && same_state(life, &life->states[life->nr_states - 1], loaded, &st))
		return life->nr_states - 1;
	return life_add_state(life, loaded ? &st : NULL);
}

void life_log(struct life *life, const char *line)
{
	if (!life->unmarked && strstr(line, "refused the invalid mark"))
		life->unmarked = life->nr;
}

/* ---- users ---- */

u32 life_io_issue(struct life *life, snapid_t id, blk_opf_t opf, sector_t sector, u32 sectors,
		  const tag_t *tags, u32 line)
{
	struct life_event *e;
	content_t *contents;

	if (life->off)
		return 0;
	e = life_add_event(life, LIFE_IO_ISSUE);
	e->id = id;
	e->sector = sector;
	e->sectors = sectors;
	e->line = line;
	set_op(e, opf);
	if (e->op == LIFE_WRITE) {
		contents = life_add_contents(life, sectors, &e->contents);
		for (u32 i = 0; i < sectors; i++)
			contents[i] = tags ? content_of_tag(tags[i]) : CONTENT_ZERO;
	}
	tell(life);
	return life->nr;
}

/* Of a request or a command that began with that event. */
static void add_end(struct life *life, enum life_kind kind, u32 issue, int error)
{
	struct life_event *e;
	u32 state;

	if (life->off || !issue)
		return;
	state = state_now(life);
	e = life_add_event(life, kind);
	e->issue = issue;
	e->error = error;
	e->state = state;
	tell(life);
}

void life_io_end(struct life *life, u32 issue, int error)
{
	add_end(life, LIFE_IO_END, issue, error);
}

static u32 ctl_begin(struct life *life, u32 line, u8 flags)
{
	u32 state;
	struct life_event *e;

	if (life->off)
		return 0;
	state = state_now(life);
	e = life_add_event(life, LIFE_CTL_BEGIN);
	e->line = line;
	e->flags = flags;
	e->state = state;
	tell(life);
	return life->nr;
}

u32 life_ctl_begin(struct life *life, u32 line)
{
	return ctl_begin(life, line, LIFE_CREATES | LIFE_DELETES);
}

void life_ctl_end(struct life *life, u32 begin, int error)
{
	add_end(life, LIFE_CTL_END, begin, error);
}

void life_look(struct life *life)
{
	u32 state;

	if (life->off)
		return;
	state = state_now(life);
	life_add_event(life, LIFE_LOOK)->state = state;
	tell(life);
}

/* ---- as hooks of a script's executor ---- */

/* "0 LEN multisnapshot ORIGIN STORE ...": what a recovery has to load. */
static void origin_table(struct life *life, const char *name, const char *table)
{
	char origin[WORLD_NAME_MAX], store[WORLD_NAME_MAX];

	if (sscanf(table, "%*s %*s %*s %63s %63s", origin, store) != 2)
		return;
	if (life->table) {
		if (strcmp(life->disk_name[CRASH_ORIGIN], origin) ||
		    strcmp(life->disk_name[CRASH_STORE], store) || strcmp(life->device, name))
			problem(life, "more than one target multisnapshot: %s and %s", life->device,
				name);
		return;
	}
	if (!strstr(table, " mikulas "))
		problem(life, "the store keeps nothing from one life to the next: only mikulas does");
	life->table = strdup(table);
	snprintf(life->device, sizeof(life->device), "%s", name);
	strcpy(life->disk_name[CRASH_ORIGIN], origin);
	strcpy(life->disk_name[CRASH_STORE], store);
}

static bool is_table(const struct script_command *c, const char *target)
{
	return !strcmp(c->verb->name, "dmsetup") && c->args.text && strcmp(c->args.sub, "message") &&
	       strstr(c->args.text, target);
}

bool life_find_target(struct life *life, const struct script_command *script)
{
	for (const struct script_command *c = script; c; c = c->next) {
		if (c->block)
			life_find_target(life, c->block);
		if (is_table(c, " multisnapshot ") && !c->expect_error)
			origin_table(life, c->args.name, c->args.text);
	}
	return life->table && !life->problem[0];
}

static void snapshot_table(struct life *life, const char *name, const char *table)
{
	unsigned long long sectors;
	struct life_device *d;
	char text[64];
	snapid_t id;
	u32 i = 0;

	if (sscanf(table, "%*s %llu %*s %*s %63s", &sectors, text) != 2 || !snapid_parse(text, &id))
		return;
	life->snapshot_sectors = max_t(sector_t, life->snapshot_sectors, sectors);
	while (i < life->nr_devices && strcmp(life->devices[i].name, name))
		i++;
	if (i == life->nr_devices) {
		life->devices = realloc(life->devices, (life->nr_devices + 1) * sizeof(*d));
		if (!life->devices)
			abort();
		d = &life->devices[life->nr_devices++];
		snprintf(d->name, sizeof(d->name), "%s", name);
	}
	life->devices[i].id = id;
}

static const struct life_device *find_device(const struct life *life, const char *name)
{
	for (u32 i = 0; i < life->nr_devices; i++)
		if (!strcmp(life->devices[i].name, name))
			return &life->devices[i];
	return NULL;
}

static u64 hook_io_begin(void *context, const struct script_command *c, sector_t sector, u32 sectors,
			 const tag_t *tags)
{
	struct life *life = context;
	const struct life_device *d = find_device(life, c->args.name);

	if ((c->args.opf & REQ_OP_MASK) == REQ_OP_READ)
		return 0;
	if (c->args.fill >= CRASH_WRITE_MAX && (c->args.opf & REQ_OP_MASK) == REQ_OP_WRITE && tags)
		problem(life, "line %u: fill= must be less than %u here", c->line, CRASH_WRITE_MAX);
	if (d)
		return life_io_issue(life, d->id, c->args.opf, sector, sectors, tags, c->line);
	if (!strcmp(life->device, c->args.name))
		return life_io_issue(life, SNAPID_ORIGIN, c->args.opf, sector, sectors, tags, c->line);
	/* Before anything is loaded a script may fill the origin from below. */
	if (!strcmp(life->disk_name[CRASH_ORIGIN], c->args.name) && !dmctl_exists(life->device))
		return life_io_issue(life, SNAPID_ORIGIN, c->args.opf, sector, sectors, tags, c->line);
	if (!strcmp(life->disk_name[CRASH_STORE], c->args.name) && !dmctl_exists(life->device)) {
		if (!life->off && sectors)
			life_add_event(life, LIFE_WIPE)->line = c->line;
		return 0;
	}
	problem(life, "line %u: I/O to %s, which is neither the origin target nor a snapshot", c->line,
		c->args.name);
	return 0;
}

static void hook_io_end(void *context, u64 begun, int error)
{
	life_io_end(context, begun, error);
}

/*
 * A prepared snapshot is created by a suspend, which is also the beginning of every change of tables. Messages are "delete" and others.
 */
static u8 may_do(struct life *life, const struct script_command *c)
{
	const char *sub = c->args.sub;
	u8 flags = is_table(c, " sync-snapshots ") ? LIFE_SYNC : 0;

	life->reloads |= !strcmp(sub, "load") || !strcmp(sub, "reload");
	if (!strcmp(sub, "message"))
		return flags | (strncmp(c->args.text, "delete", strlen("delete")) ? 0 : LIFE_DELETES);
	if (!strcmp(sub, "suspend"))
		return flags | LIFE_CREATES;
	if (!strcmp(sub, "resume") && !life->reloads)
		return flags;
	return flags | LIFE_CREATES | LIFE_DELETES;
}

static u64 hook_ctl_begin(void *context, const struct script_command *c)
{
	struct life *life = context;

	if (is_table(c, " multisnap-snap "))
		snapshot_table(life, c->args.name, c->args.text);
	if (strcmp(life->device, c->args.name))
		return 0;
	return ctl_begin(life, c->line, may_do(life, c));
}

static void hook_ctl_end(void *context, u64 begun, int error)
{
	life_ctl_end(context, begun, error);
}

/* What the script has begun comes to its end, unseen. */
static void hook_crashed(void *context)
{
	struct life *life = context;

	life->off = true;
}

const struct script_hooks life_hooks = {
	.io_begin = hook_io_begin,
	.io_end = hook_io_end,
	.ctl_begin = hook_ctl_begin,
	.ctl_end = hook_ctl_end,
	.crashed = hook_crashed,
};
