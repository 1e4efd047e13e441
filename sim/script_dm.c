// SPDX-License-Identifier: GPL-2.0
/*
 * The verb dmsetup: what the tool of that name does with the kernel, and what it prints.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

/* Thousands of snapids fit. */
#define STATUS_SIZE (1 << 20)

static void print_status(struct script_thread *t, const struct script_command *c,
			 status_type_t type)
{
	char *raw = malloc(STATUS_SIZE), *named = malloc(2 * STATUS_SIZE);
	int r;

	if (!raw || !named)
		abort();
	r = dmctl_status(c->args.name, type, raw, STATUS_SIZE);
	if (!r) {
		size_t n = strlen(raw);

		while (n && raw[n - 1] == '\n')
			raw[--n] = '\0';
		world_names(raw, named, 2 * STATUS_SIZE);
		if (*named)
			script_print(t, "%s", named);
	}
	free(named);
	free(raw);
	script_result(t, c, r, NULL);
}

/* The three lines of `dmsetup info` that say something about the device itself. */
static void print_info(struct script_thread *t, const struct script_command *c)
{
	if (!dmctl_exists(c->args.name)) {
		script_result(t, c, -ENXIO, NULL);
		return;
	}
	script_print(t, "Name:              %s", c->args.name);
	script_print(t, "State:             %s",
		     dmctl_suspended(c->args.name) ? "SUSPENDED" : "ACTIVE");
	script_print(t, "Event number:      %llu",
		     (unsigned long long)dmctl_event_count(c->args.name));
	script_result(t, c, 0, NULL);
}

/* One that changes something. */
static int do_step(const struct script_command *c, const char **error)
{
	const char *name = c->args.name, *sub = c->args.sub;

	*error = NULL;
	if (!strcmp(sub, "create"))
		return c->args.text ? world_device_create(name, c->args.text, error) :
				      world_device_create_empty(name);
	if (!strcmp(sub, "clear"))
		return dmctl_clear(name);
	if (!strcmp(sub, "suspend"))
		return dmctl_suspend(name, c->args.flags & (DMCTL_NOFLUSH | DMCTL_NOLOCKFS));
	if (!strcmp(sub, "resume"))
		return dmctl_resume(name);
	if (!strcmp(sub, "remove"))
		return world_device_remove(name);
	if (!strcmp(sub, "message"))
		return dmctl_message_at(name, c->args.sector, c->args.text);
	return world_device_load(name, c->args.text, error);
}

void script_dmsetup(struct script_thread *t, const struct script_command *c)
{
	const char *sub = c->args.sub, *error = NULL;
	char detail[256];
	u64 begun;
	int r;

	if (!strcmp(sub, "status")) {
		print_status(t, c, STATUSTYPE_INFO);
		script_status(c);
		return;
	}
	if (!strcmp(sub, "table")) {
		print_status(t, c, STATUSTYPE_TABLE);
		return;
	}
	if (!strcmp(sub, "info")) {
		print_info(t, c);
		return;
	}
	do {
		begun = script_ctl_begin(c);
		r = do_step(c, &error);
		script_ctl_end(begun, r);
	} while (script_again(c, r, error));
	snprintf(detail, sizeof(detail), "(%s)", error ? error : "");
	script_result(t, c, r, error ? detail : NULL);
}
