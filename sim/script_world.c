// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs about the world around the devices: disks, faults, held I/O, modules, time, counts.
 *
 * Most are the simulator's alone: docs/script.md marks them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "script.h"

/* A hold by its label, an opened device by its name. */
struct named {
	char name[WORLD_NAME_MAX];
	struct world_disk *disk;
	int handle;
	struct named *next;
};

static struct named *holds, *opened;

static struct named **named_find(struct named **list, const char *name)
{
	while (*list && strcmp((*list)->name, name))
		list = &(*list)->next;
	return list;
}

static struct named *named_add(struct named **list, const char *name)
{
	struct named *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	snprintf(n->name, sizeof(n->name), "%s", name);
	n->next = *list;
	*list = n;
	return n;
}

static void named_remove(struct named **at)
{
	struct named *n = *at;

	*at = n->next;
	free(n);
}

/* The disk that @c names; NULL after saying that there is none. */
static struct world_disk *the_disk(struct script_thread *t, const struct script_command *c)
{
	struct world_disk *d = world_disk_find(c->args.name);

	if (!d)
		script_failed(t, c, "there is no disk %s", c->args.name);
	return d;
}

void script_disk(struct script_thread *t, const struct script_command *c)
{
	if (disk_bdev(c->args.name) || dmctl_exists(c->args.name)) {
		script_failed(t, c, "%s exists already", c->args.name);
		return;
	}
	if (!world_disk_add(c->args.name, c->args.sectors, c->args.model, c->args.block_size,
			    c->args.text))
		script_failed(t, c, "%s cannot be made", c->args.name);
}

void script_resize(struct script_thread *t, const struct script_command *c)
{
	u64 begun;
	int r;

	if (!the_disk(t, c))
		return;
	begun = script_ctl_begin(c);
	r = disk_resize(c->args.name, c->args.sectors);
	script_ctl_end(begun, r);
	script_result(t, c, r, NULL);
}

void script_save(struct script_thread *t, const struct script_command *c)
{
	struct world_disk *d = the_disk(t, c);

	if (d)
		script_result(t, c, disk_save(d->base, c->args.text), NULL);
}

void script_stat(struct script_thread *t, const struct script_command *c)
{
	struct world_disk *d = the_disk(t, c);
	char text[512];

	if (!d)
		return;
	world_disk_stat(d, text, sizeof(text));
	script_print(t, "%s", text);
}

/* The offline check of a store, as it would find it if the power went now. */
void script_check(struct script_thread *t, const struct script_command *c)
{
	char *text = NULL, *line, *rest;
	enum check_result result;
	size_t size;
	FILE *out;

	if (!the_disk(t, c))
		return;
	out = open_memstream(&text, &size);
	if (!out)
		abort();
	result = check_disk(c->args.name, out);
	fclose(out);
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		script_print(t, "%s", line);
	free(text);
	if (result != (c->args.value ? CHECK_DAMAGED : CHECK_CLEAN))
		script_failed(t, c, "%s is not as expected: %s", c->args.name, c->text);
}

/* ---- faults ---- */

static void fault_alloc(const struct script_args *a)
{
	if (a->flags & SCRIPT_CLEAR) {
		sim_fail_alloc(0, 0);
		sim_fail_alloc_random(0);
	} else if (a->per_million) {
		sim_fail_alloc_random(a->per_million);
	} else {
		sim_fail_alloc(sim_alloc_count() + a->skip, a->count == U64_MAX ? 1 : a->count);
	}
}

void script_fault(struct script_thread *t, const struct script_command *c)
{
	const struct script_args *a = &c->args;
	struct disk_fault fault = {
		.ops = a->ops,
		.start = a->sector,
		.len = a->sectors,
		.skip = a->skip,
		.count = a->count,
		.per_million = a->per_million,
		.error = -a->error,
	};
	bool alloc = !strcmp(a->name, "alloc");
	struct world_disk *d = alloc ? NULL : the_disk(t, c);
	u64 begun;

	if (!alloc && !d)
		return;
	begun = script_ctl_begin(c);
	if (alloc)
		fault_alloc(a);
	else if (a->flags & SCRIPT_CLEAR)
		disk_error_clear(d->error);
	else
		disk_error_add(d->error, &fault);
	script_ctl_end(begun, 0);
}

/* ---- held I/O ---- */

void script_hold(struct script_thread *t, const struct script_command *c)
{
	struct world_disk *d = the_disk(t, c);
	struct named *h;

	if (!d)
		return;
	if (*named_find(&holds, c->args.sub)) {
		script_failed(t, c, "%s is in use", c->args.sub);
		return;
	}
	h = named_add(&holds, c->args.sub);
	h->disk = d;
	h->handle = disk_delay_hold_next(d->delay, c->args.ops, c->args.sector, c->args.sectors,
					 c->args.count);
}

void script_release(struct script_thread *t, const struct script_command *c)
{
	struct named **p = named_find(&holds, c->args.name);

	if (!*p) {
		script_failed(t, c, "nothing is held as %s", c->args.name);
		return;
	}
	disk_delay_release((*p)->disk->delay, (*p)->handle);
	named_remove(p);
}

/* ---- modules, open devices ---- */

void script_module(struct script_thread *t, const struct script_command *c)
{
	const struct script_args *a = &c->args;
	int r = 0;

	if (!strcmp(a->sub, "load"))
		do
			r = sim_module_load(a->name);
		while (script_again(c, r, NULL));
	else if (!strcmp(a->sub, "unload"))
		r = sim_module_unload(a->name);
	else if (!strcmp(a->sub, "param"))
		r = sim_module_param_set(a->name, a->text, a->value);
	else
		sim_module_autoload(a->value);
	script_result(t, c, r, NULL);
}

/* open and close: as by a mounted file system. */
void script_open(struct script_thread *t, const struct script_command *c)
{
	struct named **p = named_find(&opened, c->args.name);
	int r;

	if (c->args.value) {
		r = dmctl_open(c->args.name);
		if (!r)
			named_add(&opened, c->args.name);
		script_result(t, c, r, NULL);
	} else if (!*p) {
		script_failed(t, c, "%s is not open", c->args.name);
	} else {
		dmctl_close(c->args.name);
		named_remove(p);
	}
}

void script_close_all(void)
{
	while (opened) {
		dmctl_close(opened->name);
		named_remove(&opened);
	}
	while (holds) {
		disk_delay_release(holds->disk->delay, holds->handle);
		named_remove(&holds);
	}
}

/* ---- time and words ---- */

void script_sleep(struct script_thread *t, const struct script_command *c)
{
	sim_sleep_ns(c->args.value);
}

void script_settle(struct script_thread *t, const struct script_command *c)
{
	sim_settle();
}

/* The text is in the echo of the command already. */
void script_echo(struct script_thread *t, const struct script_command *c)
{
}
