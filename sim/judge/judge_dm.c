// SPDX-License-Identifier: GPL-2.0
/* Steps of dmsetup: which device is what, and what each step begins and ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "judge_int.h"

/* ---- tables ---- */

/*
 * "0 LEN multisnapshot ORIGIN STORE CHUNK #ARGS [ARG...] TYPE #ARGS [ARG...] [#IDS ID...]", taken apart; *plain is the
 * same without sync-snapshots, to load it once more: the caller's to free().
 */
struct origin_table {
	char origin[WORLD_NAME_MAX], store[WORLD_NAME_MAX], type[32];
	unsigned long long sectors;
	unsigned int chunk;
	bool sync, preserve;
	char *plain;
};

static void add_word(char *text, size_t size, const char *word)
{
	size_t n = strlen(text);

	snprintf(text + n, size - n, "%s%s", n ? " " : "", word);
}

/* The words behind the chunk size. */
static bool parse_arguments(struct origin_table *o, char *rest, size_t size)
{
	char *word = strtok_r(NULL, " ", &rest), head[256], count[24], args[128] = "";
	int left = word ? atoi(word) : -1, kept = 0;

	for (; left > 0 && (word = strtok_r(NULL, " ", &rest)); left--) {
		if (!strcasecmp(word, "sync-snapshots")) {
			o->sync = true;
			continue;
		}
		o->preserve |= !strcasecmp(word, "preserve-on-error");
		add_word(args, sizeof(args), word);
		kept++;
	}
	word = strtok_r(NULL, " ", &rest);
	if (left || !word)
		return false;
	snprintf(o->type, sizeof(o->type), "%s", word);
	snprintf(head, sizeof(head), "0 %llu multisnapshot %s %s %u %d", o->sectors, o->origin,
		 o->store, o->chunk, kept);
	snprintf(o->plain, size, "%s", head);
	if (kept)
		add_word(o->plain, size, args);
	add_word(o->plain, size, o->type);
	word = strtok_r(NULL, " ", &rest);
	snprintf(count, sizeof(count), "%s", word ? word : "0");
	add_word(o->plain, size, count);
	for (left = atoi(count); left > 0 && (word = strtok_r(NULL, " ", &rest)); left--)
		add_word(o->plain, size, word);
	return !left;
}

static bool parse_origin(const char *text, struct origin_table *o)
{
	size_t size = strlen(text) + 64;
	char *copy, *rest = NULL;
	bool ok;

	memset(o, 0, sizeof(*o));
	if (sscanf(text, "%*s %llu multisnapshot %63s %63s %u", &o->sectors, o->origin, o->store,
		   &o->chunk) != 4)
		return false;
	copy = strdup(text);
	o->plain = judge_alloc(size);
	strtok_r(copy, " ", &rest);
	for (unsigned int i = 1; i < 6; i++)
		strtok_r(NULL, " ", &rest);
	ok = parse_arguments(o, rest, size);
	free(copy);
	if (!ok)
		free(o->plain);
	return ok;
}

/* What the disk has, as far as these are tags of their own place. */
static void take_contents(struct judge_target *t)
{
	struct disk *disk = world_disk_find(t->origin)->base;
	sector_t sectors = disk_sectors(disk);

	t->oracle = oracle_create(sectors);
	oracle_set_print(t->oracle, snapid_print);
	for (sector_t s = disk_next_data(disk, 0); s < sectors; s = disk_next_data(disk, s + 1)) {
		tag_t tag;

		disk_peek(disk, s, 1, &tag);
		if (tag == TAG_ZERO)
			continue;
		if ((tag & TAG_LITERAL) || tag_sector(tag) != s || tag_write_no(tag) >= TAG_WRITE_MAX)
			t->unknown = true;
		else
			oracle_preset(t->oracle, s, 1, tag_write_no(tag));
	}
}

static struct judge_target *get_target(const struct origin_table *o)
{
	struct judge_target *t = judge_target_of_disk(o->origin), **end = &judge.targets;

	if (t || !world_disk_find(o->origin) || !world_disk_find(o->store))
		return t;
	t = judge_alloc(sizeof(*t));
	strcpy(t->origin, o->origin);
	strcpy(t->store, o->store);
	t->believe = true;
	take_contents(t);
	while (*end)
		end = &(*end)->next;
	*end = t;
	return t;
}

/* Its constructor has taken it. */
static void table_loaded(struct judge_device *d, const char *text, struct judge_table *table)
{
	char origin[WORLD_NAME_MAX], id_text[64];
	struct origin_table o;
	unsigned long long sectors = 0;
	snapid_t id;

	memset(table, 0, sizeof(*table));
	table->kind = JUDGE_OTHER;
	if (parse_origin(text, &o)) {
		table->target = get_target(&o);
		if (table->target) {
			struct judge_target *t = table->target;

			table->kind = JUDGE_ORIGIN;
			table->sync = o.sync;
			if (strcmp(t->store, o.store)) /* another store: nothing is known of it */
				t->believe = true;
			strcpy(t->store, o.store);
			strcpy(t->type, o.type);
			strcpy(t->device, d->name);
			t->chunk = o.chunk;
			t->preserve = o.preserve;
			t->sectors = o.sectors;
			free(t->table);
			t->table = strdup(o.plain);
		}
		free(o.plain);
		table->sectors = o.sectors;
	} else if (sscanf(text, "%*s %llu multisnap-snap %63s %63s", &sectors, origin, id_text) == 3 &&
		   judge_target_of_disk(origin) && snapid_parse(id_text, &id)) {
		table->kind = JUDGE_SNAPSHOT;
		table->target = judge_target_of_disk(origin);
		table->sectors = sectors;
		table->life = table->target->life;
		table->snapshot = judge_snapshot_find(table->target, id);
		/* Of one that nobody has seen yet: it is this one. */
		if (table->snapshot && table->snapshot->id == SNAPID_ORIGIN)
			judge_snapshot_name(table->snapshot, id);
	}
}

/* ---- the life of an origin target ---- */

static void life_begins(const struct judge_table *table)
{
	struct judge_target *t = table->target;
	struct judge_snapshot *s;

	if (judge_resized(t) || disk_sectors(world_disk_find(t->origin)->top) != oracle_sectors(t->oracle))
		t->unknown = true;
	t->loaded = true;
	t->life++;
	t->error_before = t->error ? t->error : t->error_before;
	t->error = 0;
	t->faults_at_load = table->faults;
	t->sync = table->sync;
	t->believe |= table->sync;
	/* What was only prepared is forgotten. */
	for (s = t->snapshots; s; s = s->next)
		if (s->state == JUDGE_ASKED)
			judge_snapshot_kill(s);
}

static void life_ends(struct judge_target *t)
{
	t->loaded = false;
	for (struct judge_snapshot *s = t->snapshots; s; s = s->next) {
		if (s->state == JUDGE_GONE)
			continue;
		if (strcmp(t->type, "mikulas")) /* keeps nothing */
			judge_snapshot_kill(s);
		else if (s->state == JUDGE_ASKED && s->windowed)
			s->state = JUDGE_DOUBTFUL;
		if (s->state == JUDGE_DOUBTFUL && s->forking)
			judge_window_close(s);
	}
}

/* ---- devices ---- */

static struct judge_device *get_device(const char *name)
{
	struct judge_device *d = judge_device(name), **end = &judge.devices;

	if (d)
		return d;
	d = judge_alloc(sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", name);
	while (*end)
		end = &(*end)->next;
	*end = d;
	return d;
}

/* The inactive table is the active one now. */
static void swap_tables(struct judge_device *d)
{
	judge_touch(&d->touched, 0, SIM_WRITE);
	if (d->active.kind == JUDGE_ORIGIN)
		life_ends(d->active.target);
	d->active = d->pending;
	memset(&d->pending, 0, sizeof(d->pending));
	if (d->active.kind == JUDGE_ORIGIN)
		life_begins(&d->active);
}

static void device_removed(struct judge_device *d)
{
	struct judge_device **p = &judge.devices;

	judge_touch(&d->touched, 0, SIM_WRITE);
	for (struct judge_command *cmd = judge.commands; cmd; cmd = cmd->next)
		if (cmd->device == d)
			cmd->device = NULL;
	while (*p != d)
		p = &(*p)->next;
	*p = d->next;
	free(d);
}

/* ---- the beginning of a step ---- */

static void message_begins(struct judge_command *cmd, const char *text)
{
	char word[32] = "", id_text[64] = "", more[2];
	int words = sscanf(text, "%31s %63s %1s", word, id_text, more);
	snapid_t id = SNAPID_ORIGIN;
	bool has_id = words == 2 && snapid_parse(id_text, &id);

	cmd->kind = JUDGE_NONSENSE;
	if (!strcasecmp(word, "create") && words == 1) {
		cmd->kind = JUDGE_CREATE;
		judge_create_begins(cmd, SNAPID_ORIGIN);
	} else if (!strcasecmp(word, "create_subsnap") && has_id) {
		cmd->kind = JUDGE_CREATE;
		judge_create_begins(cmd, id);
	} else if (!strcasecmp(word, "delete") && has_id) {
		cmd->kind = JUDGE_DELETE;
		judge_delete_begins(cmd, id);
	} else if (!strcasecmp(word, "settle") && words == 1) {
		cmd->kind = JUDGE_SETTLE;
	}
}

static void removal_begins(struct judge_command *cmd)
{
	struct judge_target *t = cmd->target;
	struct target_status st;

	/* Nobody can ask afterwards. */
	if (!judge.blocks)
		judge_ask(t, &st);
	judge_event_begins(&t->removal);
	t->removals++;
	judge_excuse(t, NULL);
	judge_suspend_begins(cmd);
}

/* "0 LEN multisnap-snap ORIGIN ID": false: another one. */
static bool names_snapshot(const struct script_command *c, char origin[WORLD_NAME_MAX], char id_text[64])
{
	return c->args.text && sscanf(c->args.text, "%*s %*s multisnap-snap %63s %63s", origin, id_text) == 2;
}

/* Of a snapshot that is there for certain the table of @c can be loaded. */
static bool no_such_snapshot(const struct script_command *c)
{
	char origin[WORLD_NAME_MAX], id_text[64];
	const struct judge_snapshot *s;
	struct judge_target *t;
	snapid_t id;

	if (!names_snapshot(c, origin, id_text))
		return false;
	t = judge_target_of_disk(origin);
	if (!t || !t->loaded || t->removals || !snapid_parse(id_text, &id))
		return true;
	s = judge_snapshot_find(t, id);
	return !s || s->state != JUDGE_LIVE || s->doomed;
}

static void step_begins(struct judge_command *cmd)
{
	const struct script_command *c = cmd->command;
	const char *sub = c->args.sub;

	cmd->kind = JUDGE_STEP;
	if (!strcmp(sub, "message") && cmd->target) {
		message_begins(cmd, c->args.text);
	} else if (!strcmp(sub, "suspend") && cmd->target) {
		cmd->kind = JUDGE_SUSPEND;
		judge_suspend_begins(cmd);
	} else if (!strcmp(sub, "remove") && cmd->target) {
		cmd->kind = JUDGE_REMOVE;
		removal_begins(cmd);
	} else if (!strcmp(sub, "create") || !strcmp(sub, "load") || !strcmp(sub, "reload")) {
		cmd->kind = JUDGE_LOAD;
		cmd->no_such = no_such_snapshot(c);
	} else if (!strcmp(sub, "resume") && cmd->device && cmd->device->pending.kind) {
		cmd->kind = JUDGE_LOAD;
		if (cmd->target) /* one target in the place of another: it is removed */
			removal_begins(cmd);
	}
}

u64 judge_ctl_begin(void *context, const struct script_command *c)
{
	struct judge_command *cmd, *other;

	if (!judge.on)
		return 0;
	if (strcmp(c->verb->name, "dmsetup"))
		return 0;
	judge_step("command");
	judge_touch(&judge.touched, 0, SIM_BEGIN);
	cmd = judge_alloc(sizeof(*cmd));
	cmd->command = c;
	cmd->faults = judge_faults();
	cmd->device = judge_device(c->args.name);
	if (cmd->device && cmd->device->active.kind == JUDGE_ORIGIN)
		cmd->target = cmd->device->active.target;
	for (other = judge.commands; other; other = other->next) {
		other->crowded = true;
		cmd->crowded = true;
	}
	step_begins(cmd);
	cmd->next = judge.commands;
	judge.commands = cmd;
	judge.changes++;
	judge.counts.commands++;
	return (uintptr_t)cmd;
}

/* ---- its end ---- */

static void removal_ends(struct judge_command *cmd, int error)
{
	struct judge_target *t = cmd->target;

	judge_event_ends(&t->removal);
	t->removals--;
	judge_suspend_ends(cmd, error);
}

static void load_ends(struct judge_command *cmd, int error)
{
	const struct script_command *c = cmd->command;
	const char *sub = c->args.sub;
	struct judge_device *d = cmd->device;

	if (cmd->target)
		removal_ends(cmd, error);
	if (error) {
		if (d && !strcmp(sub, "resume"))
			memset(&d->pending, 0, sizeof(d->pending));
		return;
	}
	d = get_device(c->args.name);
	if (c->args.text) {
		table_loaded(d, c->args.text, &d->pending);
		d->pending.faults = cmd->faults;
	}
	if (c->args.text ? !strcmp(sub, "create") : !strcmp(sub, "resume"))
		swap_tables(d);
	if (d->active.kind == JUDGE_ORIGIN)
		cmd->target = d->active.target;
}

static void step_ends(struct judge_command *cmd, int error)
{
	const char *sub = cmd->command->args.sub;

	switch (cmd->kind) {
	case JUDGE_LOAD:
		load_ends(cmd, error);
		break;
	case JUDGE_SUSPEND:
		judge_suspend_ends(cmd, error);
		break;
	case JUDGE_REMOVE:
		removal_ends(cmd, error);
		if (error)
			break;
		cmd->target->ended_badly |= judge_faults() != (judge.blocks ? cmd->target->faults_at_load : cmd->faults);
		life_ends(cmd->target);
		break;
	case JUDGE_CREATE:
		judge_create_ends(cmd, error);
		break;
	case JUDGE_DELETE:
		judge_delete_ends(cmd, error);
		break;
	case JUDGE_SETTLE:
		break;
	case JUDGE_NONSENSE:
		if (!error)
			judge_found(cmd->command, "a message of nonsense was taken");
		break;
	case JUDGE_STEP:
		break;
	}
	if (!error && cmd->device && !strcmp(sub, "remove"))
		device_removed(cmd->device);
	else if (!error && cmd->device && !strcmp(sub, "clear"))
		memset(&cmd->device->pending, 0, sizeof(cmd->device->pending));
}

/* The target of the snapshot that is to be loaded; NULL: it is something else. */
static struct judge_target *target_meant(const struct script_command *c)
{
	char origin[WORLD_NAME_MAX], id_text[64];

	return names_snapshot(c, origin, id_text) ? judge_target_of_disk(origin) : NULL;
}

/* It loads a store that has recorded an error, and is not to do so. */
static bool is_wary(const struct script_command *c)
{
	const struct judge_target *t;
	struct origin_table o;

	if (!c->args.text || !parse_origin(c->args.text, &o))
		return false;
	free(o.plain);
	t = judge_target_of_disk(o.origin);
	return o.preserve && t && (t->error || t->error_before || t->ended_badly);
}

static bool has_no_table(const struct judge_device *d)
{
	return !d || (!d->active.kind && !d->pending.kind);
}

/* An error that what was asked for deserves, or what else was going on. */
static bool deserved(const struct judge_command *cmd, int error)
{
	const struct judge_target *t = cmd->target;
	const struct judge_snapshot *master = cmd->snapshot ? cmd->snapshot->master : NULL;
	bool raced = cmd->crowded && (error == -EBUSY || error == -EINVAL || error == -ENXIO);

	if (-error == cmd->command->expect_error || judge_faults() != cmd->faults)
		return true;
	if (t && (t->anything || judge_resized(t)))
		return true;
	/* An earlier failure has left out what the script builds upon. */
	if (judge_faults() && (has_no_table(cmd->device) || cmd->command->expect_error) &&
	    (error == -ENXIO || error == -EINVAL))
		return true;
	switch (cmd->kind) {
	case JUDGE_NONSENSE:
		return true;
	case JUDGE_CREATE:
		return error == -EINVAL &&
		       (cmd->no_such || (master && (master->master || master->doomed ||
						    master->state != JUDGE_LIVE)));
	case JUDGE_DELETE:
		return (error == -EINVAL || error == -EBUSY) && cmd->no_such;
	case JUDGE_SETTLE:
		return false;
	case JUDGE_LOAD:
		return raced || (cmd->device && error == -EBUSY) || is_wary(cmd->command) ||
		       ((cmd->no_such || no_such_snapshot(cmd->command)) &&
			(error == -ENOENT || error == -ENXIO || error == -EINVAL));
	default:
		return raced;
	}
}

void judge_ctl_end(void *context, u64 begun, int error)
{
	struct judge_command *cmd = (struct judge_command *)(uintptr_t)begun, **p = &judge.commands;
	struct target_status st;

	if (!judge.on || !cmd)
		return;
	judge_touch(&judge.touched, 0, SIM_END);
	while (*p != cmd)
		p = &(*p)->next;
	*p = cmd->next;
	judge.changes++;
	step_ends(cmd, error);
	if (error)
		judge.counts.errors++;
	if (error && !deserved(cmd, error)) {
		struct judge_target *t = cmd->target ? cmd->target : target_meant(cmd->command);

		if (t)
			judge_put_off(t, cmd->command, false, "%s: %s without a reason", cmd->command->text,
				      errno_name(error));
		else
			judge_found(cmd->command, "%s: %s without a reason", cmd->command->text,
				    errno_name(error));
	} else if (cmd->target && !judge.blocks) {
		judge_ask(cmd->target, &st);
	}
	free(cmd);
}
