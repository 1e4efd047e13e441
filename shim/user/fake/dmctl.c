// SPDX-License-Identifier: GPL-2.0
/*
 * Device-mapper as dmsetup sees it: the ioctls of drivers/md/dm-ioctl.c, by name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_device.h"

#define DM_MSG_PREFIX "ioctl"

static struct mapped_device *find_md(const char *name)
{
	struct mapped_device *md;

	sched_access_part(&dm_devices, name_part(name), SIM_READ);
	list_for_each_entry(md, &dm_devices, list)
		if (!strcmp(md->bdev.bd_name, name))
			return md;
	return NULL;
}

/* With a reference that keeps the device. */
static struct mapped_device *get_md(const char *name)
{
	struct mapped_device *md;

	sched_point("ioctl", name, NULL);
	sched_enter();
	md = find_md(name);
	if (md) {
		sched_access(&md->holders, SIM_ADD);
		md->holders++;
	}
	sched_exit();
	return md;
}

static void put_md(struct mapped_device *md)
{
	bool waited_for;

	sched_hb_release(&md->holders);
	sched_enter();
	waited_for = md_flag(md, DMF_FREEING);
	sched_access(&md->holders, waited_for ? SIM_WRITE : SIM_ADD);
	if (!--md->holders && waited_for)
		wait_wake(&md->holders_wait);
	sched_exit();
}

/*
 * Its table, and what was done before that became active. Whoever gets the device sees no more than
 * this, nothing of those who have put it: for a search the two can be exchanged, so nothing may
 * seem to be in order for the one having come after the other.
 */
static void see_table(struct mapped_device *md)
{
	sched_access(&md->map, SIM_READ);
	if (md->map)
		sched_hb_acquire(md->map);
}

/*
 * Exchanges the inactive table and *t, of which each may be none. Returns false, with nothing exchanged, when the device
 * was removed meanwhile, and with @unless_there also when there is an inactive table.
 */
static bool exchange_inactive(struct mapped_device *md, struct dm_table **t, bool unless_there)
{
	struct dm_table *old;
	bool done;

	sched_point("inactive table", md->name, NULL);
	sched_enter();
	sched_access(&md->new_map, SIM_WRITE);
	old = md->new_map;
	done = !md_flag(md, DMF_FREEING) && !(unless_there && old);
	if (done) {
		md->new_map = *t;
		*t = old;
	}
	sched_hb_acquire(&md->new_map);
	sched_hb_release(&md->new_map);
	sched_exit();
	return done;
}

static void destroy_inactive(struct mapped_device *md, struct dm_table *t)
{
	if (t) {
		dm_srcu_wait(&md->io_barrier);
		dm_table_destroy(t);
	}
}

int dmctl_create(const char *name)
{
	struct mapped_device *md;

	might_sleep();
	if (!*name || strchr(name, '/'))
		return -EINVAL;
	sched_point("ioctl", name, NULL);
	if (bdev_by_name(name))
		return -EBUSY;
	md = md_alloc(name);
	if (!md)
		return -ENXIO;
	sched_enter();
	sched_access_part(&dm_devices, name_part(name), SIM_WRITE);
	list_add_tail(&md->list, &dm_devices);
	sched_exit();
	return 0;
}

static int populate(struct dm_table *t, char *table, const char **error)
{
	char *line, *next;
	int r;

	for (line = table; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!*line)
			continue;
		r = dm_table_add_line(t, line, error);
		if (r)
			return r;
	}
	return dm_table_complete(t);
}

int dmctl_load(const char *name, const char *table, const char **error)
{
	struct mapped_device *md = get_md(name);
	struct queue_limits limits;
	unsigned int lines = 1;
	struct dm_table *t;
	const char *p;
	char *copy;
	int r;

	might_sleep();
	if (error)
		*error = NULL;
	if (!md)
		return -ENXIO;
	for (p = table; (p = strchr(p, '\n')); p++)
		lines++;
	copy = strdup(table);
	t = dm_table_create(FMODE_READ | FMODE_WRITE, md, lines);
	mutex_lock(&md->type_lock);
	r = populate(t, copy, error);
	if (!r && !md->set_up) {
		r = dm_calculate_queue_limits(t, &limits);
		if (!r) {
			dm_table_set_restrictions(t, &limits);
			md->set_up = true;
		}
	}
	mutex_unlock(&md->type_lock);
	free(copy);
	if (!r && !exchange_inactive(md, &t, false))
		r = -ENXIO;
	if (r)
		dm_table_destroy(t);
	else
		destroy_inactive(md, t);
	put_md(md);
	return r;
}

int dmctl_clear(const char *name)
{
	struct mapped_device *md = get_md(name);
	struct dm_table *t = NULL;

	might_sleep();
	if (!md)
		return -ENXIO;
	if (exchange_inactive(md, &t, false))
		destroy_inactive(md, t);
	put_md(md);
	return 0;
}

int dmctl_suspend(const char *name, unsigned int flags)
{
	struct mapped_device *md = get_md(name);
	int r = 0;

	might_sleep();
	if (!md)
		return -ENXIO;
	if (!md_flag(md, DMF_SUSPENDED))
		r = md_suspend(md, flags);
	put_md(md);
	return r;
}

int dmctl_resume(const char *name)
{
	struct mapped_device *md = get_md(name);
	struct dm_table *new_map = NULL, *old_map = NULL;
	int r = 0;

	might_sleep();
	if (!md)
		return -ENXIO;
	exchange_inactive(md, &new_map, false);
	if (new_map) {
		if (!md_flag(md, DMF_SUSPENDED))
			r = md_suspend(md, 0);
		if (r) {
			/* Somebody else was faster: put it back. */
			if (!exchange_inactive(md, &new_map, true)) {
				r = -ENXIO;
				destroy_inactive(md, new_map);
			}
			goto out;
		}
		r = md_swap_table(md, new_map, &old_map);
		if (r) {
			destroy_inactive(md, new_map);
			goto out;
		}
	}
	if (md_flag(md, DMF_SUSPENDED))
		r = md_resume(md);
	if (old_map)
		dm_table_destroy(old_map);
out:
	put_md(md);
	return r;
}

int dmctl_remove(const char *name)
{
	struct mapped_device *md;
	struct dm_table *t = NULL;
	bool busy = false;

	might_sleep();
	sched_point("ioctl", name, NULL);
	sched_enter();
	md = find_md(name);
	if (md) {
		sched_access(&md->bdev.bd_openers, SIM_WRITE);
		sched_access(&md->bdev.bd_bios, SIM_WRITE);
		busy = md->bdev.bd_openers || md->bdev.bd_bios;
		if (!busy) {
			sched_access_part(&dm_devices, name_part(name), SIM_WRITE);
			sched_access_part(&md->flags, DMF_FREEING, SIM_WRITE);
			sched_access(&md->new_map, SIM_WRITE);
			list_del(&md->list);
			md->flags |= 1UL << DMF_FREEING;
			t = md->new_map;
			md->new_map = NULL;
		}
	}
	sched_exit();
	if (!md)
		return -ENXIO;
	if (busy)
		return -EBUSY;
	destroy_inactive(md, t);
	md_destroy(md);
	return 0;
}

/* ---- messages ---- */

static int deliver(struct dm_table *table, sector_t sector, unsigned int argc, char **argv)
{
	struct dm_target *ti = dm_table_find_target(table, sector);
	char result[1024] = "";

	if (!ti) {
		DMERR("Target message sector outside device.");
		return -EINVAL;
	}
	if (!ti->type->message) {
		DMERR("Target type does not support messages");
		return -EINVAL;
	}
	return ti->type->message(ti, argc, argv, result, sizeof(result));
}

int dmctl_message_at(const char *name, sector_t sector, const char *message)
{
	struct mapped_device *md = get_md(name);
	char **argv, *copy;
	u32 index;
	int argc, r;

	might_sleep();
	if (!md)
		return -ENXIO;
	copy = strdup(message);
	r = dm_split_args(&argc, &argv, copy);
	if (r)
		goto out;
	index = dm_srcu_lock(&md->io_barrier);
	see_table(md);
	if (!argc) {
		DMERR("Empty message received.");
		r = -EINVAL;
	} else if (argv[0][0] == '@') {
		DMERR("Unsupported message sent to DM core: %s", argv[0]);
		r = -EINVAL;
	} else if (!md->map) {
		DMERR("The device has no table.");
		r = -EINVAL;
	} else if (md_flag(md, DMF_FREEING)) {
		r = -ENXIO;
	} else {
		r = deliver(md->map, sector, argc, argv);
	}
	dm_srcu_unlock(&md->io_barrier, index);
	kfree(argv);
out:
	free(copy);
	put_md(md);
	return r;
}

/* ---- status ---- */

#define GUARD 32
#define GUARD_BYTE 0xA5

/*
 * The status method with exactly @size bytes, which must end up holding a string, and not a byte
 * beyond. The result is the caller's to free().
 */
static char *call_status(struct dm_target *ti, status_type_t type, size_t size)
{
	unsigned char *buf = malloc(size + GUARD);
	bool overrun = false, terminated;
	size_t i;

	if (!buf)
		abort();
	memset(buf, GUARD_BYTE, size + GUARD);
	if (ti->type->status)
		ti->type->status(ti, type, 0, (char *)buf, size);
	else if (size)
		buf[0] = '\0';
	for (i = 0; i < GUARD; i++)
		overrun |= buf[size + i] != GUARD_BYTE;
	terminated = !size || memchr(buf, 0, size);
	if (!overrun && terminated)
		return (char *)buf;
	free(buf);
	sim_fail("%s: status of type %u %s its buffer of %zu bytes", ti->type->name, type,
		 overrun ? "overran" : "left unterminated", size);
}

/* As dmsetup asks: with a larger buffer again while what came back fills it. */
static char *whole_status(struct dm_target *ti, status_type_t type)
{
	for (size_t size = 16384; size <= 1UL << 30; size *= 2) {
		char *text = call_status(ti, type, size);

		if (strlen(text) + 1 < size)
			return text;
		free(text);
	}
	sim_fail("%s: status of type %u fills a buffer of any size", ti->type->name, type);
}

int dmctl_status(const char *name, status_type_t type, char *buf, size_t size)
{
	struct mapped_device *md = get_md(name);
	struct dm_table *t;
	size_t used = 0;
	unsigned int i;
	int r = 0;
	u32 index;

	might_sleep();
	if (!md)
		return -ENXIO;
	if (size)
		*buf = '\0';
	index = dm_srcu_lock(&md->io_barrier);
	see_table(md);
	t = md->map;
	for (i = 0; t && i < t->num_targets; i++) {
		struct dm_target *ti = &t->targets[i];
		char *text = whole_status(ti, type);
		int n = snprintf(buf + used, size - used, "%s%llu %llu %s%s%s", i ? "\n" : "",
				 ti->begin, ti->len, ti->type->name, *text ? " " : "", text);

		free(text);
		if (n < 0 || n >= size - used) {
			r = -ENOSPC;
			break;
		}
		used += n;
	}
	dm_srcu_unlock(&md->io_barrier, index);
	put_md(md);
	return r;
}

int dmctl_status_raw(const char *name, status_type_t type, char *buf, size_t size)
{
	struct mapped_device *md = get_md(name);
	struct dm_table *t;
	char *text;
	u32 index;
	int r = 0;

	might_sleep();
	if (!md)
		return -ENXIO;
	index = dm_srcu_lock(&md->io_barrier);
	see_table(md);
	sched_access(&md->new_map, SIM_READ);
	sched_hb_acquire(&md->new_map);
	t = md->map ? md->map : md->new_map;
	if (t) {
		text = call_status(&t->targets[0], type, size);
		memcpy(buf, text, size);
		free(text);
	} else {
		r = -EINVAL;
	}
	dm_srcu_unlock(&md->io_barrier, index);
	put_md(md);
	return r;
}

/* ---- the rest ---- */

bool dmctl_exists(const char *name)
{
	return find_md(name);
}

bool dmctl_suspended(const char *name)
{
	struct mapped_device *md = find_md(name);

	return md && md_flag(md, DMF_SUSPENDED);
}

u64 dmctl_event_count(const char *name)
{
	struct mapped_device *md = find_md(name);

	if (!md)
		return 0;
	sched_access(&md->event_nr, SIM_READ);
	return md->event_nr;
}

int dmctl_open(const char *name)
{
	struct mapped_device *md;
	int r = -ENXIO;

	sched_point("open", name, NULL);
	sched_enter();
	md = find_md(name);
	if (md && md->set_up) {
		sched_access(&md->bdev.bd_openers, SIM_ADD);
		md->bdev.bd_openers++;
		r = 0;
	}
	sched_exit();
	return r;
}

void dmctl_close(const char *name)
{
	struct mapped_device *md = find_md(name);

	if (!md || !md->bdev.bd_openers)
		sim_fail("dmctl_close(%s): it is not open", name);
	sched_enter();
	sched_access(&md->bdev.bd_openers, SIM_ADD);
	md->bdev.bd_openers--;
	sched_exit();
}
