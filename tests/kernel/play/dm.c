// SPDX-License-Identifier: GPL-2.0
/*
 * Device-mapper as control.h has it, for the kernel that is running; the steps themselves are in
 * dm_ioctl.c or dm_tool.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"

const struct dm_way *dm_way = &dm_by_ioctl;

/* A step, which may wait. */
#define STEP(call)              \
	({                      \
		int r_;         \
				\
		play_leave();   \
		r_ = call;      \
		play_enter();   \
		r_;             \
	})

/* ---- devices ---- */

int dmctl_create(const char *name)
{
	if (disk_bdev(name))
		return -EBUSY;
	return STEP(dm_way->create(name));
}

int dmctl_remove(const char *name)
{
	int r = STEP(dm_way->remove(name));

	if (!r)
		bdev_remove(name);
	return r;
}

int dmctl_clear(const char *name)
{
	return STEP(dm_way->clear(name));
}

int dmctl_resume(const char *name)
{
	return STEP(dm_way->resume(name));
}

int dmctl_suspend(const char *name, unsigned int flags)
{
	return STEP(dm_way->suspend(name, flags));
}

int dmctl_message_at(const char *name, sector_t sector, const char *message)
{
	return STEP(dm_way->message(name, sector, message));
}

bool dmctl_exists(const char *name)
{
	struct dm_state state;

	return !STEP(dm_way->state(name, &state));
}

bool dmctl_suspended(const char *name)
{
	struct dm_state state;

	return !STEP(dm_way->state(name, &state)) && state.suspended;
}

u64 dmctl_event_count(const char *name)
{
	struct dm_state state;

	return STEP(dm_way->state(name, &state)) ? 0 : state.event_nr;
}

/* ---- tables ---- */

int dmctl_load(const char *name, const char *table, const char **error)
{
	static __thread char reason[256];
	struct dm_state state;
	int log = log_open(), r = STEP(dm_way->load(name, table));

	if (STEP(dm_by_ioctl.state(name, &state)))
		state = (struct dm_state){ 0 };
	log_table_error(log, state.major, state.minor, reason, sizeof(reason));
	/* Since 6.5, Linux says ENOENT of a device that a table names and that does not exist. */
	if (r == -ENOENT && !strncmp(reason, "Cannot open", strlen("Cannot open")))
		r = -ENODEV;
	if (error)
		*error = r && *reason ? reason : NULL;
	/* It is a block device from its first table on. */
	if (!r && !disk_bdev(name) && !bdev_add(name, state.major, state.minor))
		sim_fail("%s: no node for it can be made", name);
	return r;
}

/* The lines without the blanks at their ends; 0 or -ENOSPC. */
static int copy_lines(const char *text, char *buf, size_t size)
{
	size_t used = 0;

	for (; *text; text++) {
		if (*text == ' ' && strspn(text, " ") == strcspn(text, "\n"))
			continue;
		if (used + 1 >= size)
			return -ENOSPC;
		buf[used++] = *text;
	}
	buf[used] = '\0';
	return 0;
}

int dmctl_status(const char *name, status_type_t type, char *buf, size_t size)
{
	char *text = NULL;
	int r = STEP(dm_way->status(name, type == STATUSTYPE_TABLE, &text));

	if (!r)
		r = copy_lines(text, buf, size);
	free(text);
	return r;
}

/* ---- held open ---- */

struct opened {
	char name[64];
	int fd;
	struct opened *next;
};

static struct opened *opened;

int dmctl_open(const char *name)
{
	struct opened *o = calloc(1, sizeof(*o));

	if (!o)
		abort();
	o->fd = disk_bdev(name) ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	if (o->fd < 0) {
		free(o);
		return -ENXIO;
	}
	snprintf(o->name, sizeof(o->name), "%s", name);
	o->next = opened;
	opened = o;
	return 0;
}

void dmctl_close(const char *name)
{
	struct opened **p = &opened, *o;

	while (*p && strcmp((*p)->name, name))
		p = &(*p)->next;
	o = *p;
	if (!o)
		sim_fail("dmctl_close(%s): it is not open", name);
	*p = o->next;
	close(o->fd);
	free(o);
}

void dm_close_all(void)
{
	while (opened)
		dmctl_close(opened->name);
}
