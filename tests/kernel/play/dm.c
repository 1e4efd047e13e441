// SPDX-License-Identifier: GPL-2.0
/*
 * Device-mapper, one ioctl a step: what dmsetup does, with the kernel's own error of each step.
 *
 * Not by libdevmapper, which is not made for several threads, and not by running dmsetup, which
 * tells errors as text.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "play.h"

/* An ioctl with its payload behind. */
struct request {
	struct dm_ioctl *dmi;
	size_t used;	/* bytes of the payload */
};

static int control = -1;

static size_t payload_room(const struct request *rq)
{
	return rq->dmi->data_size - rq->dmi->data_start;
}

static void *payload(const struct request *rq)
{
	return (char *)rq->dmi + rq->dmi->data_start;
}

static struct request request(const char *name, size_t room)
{
	size_t start = (sizeof(struct dm_ioctl) + 7) & ~(size_t)7;
	struct request rq = { .dmi = calloc(1, start + room) };

	if (!rq.dmi)
		abort();
	rq.dmi->version[0] = DM_VERSION_MAJOR;
	rq.dmi->data_size = start + room;
	rq.dmi->data_start = start;
	snprintf(rq.dmi->name, sizeof(rq.dmi->name), "%s", name);
	return rq;
}

/* Without the lock. 0 or -errno. */
static int ask(struct request *rq, unsigned long cmd)
{
	if (control < 0)
		control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -errno;
	return ioctl(control, cmd, rq->dmi) ? -errno : 0;
}

static int ask_unlocked(struct request *rq, unsigned long cmd)
{
	int r;

	play_leave();
	r = ask(rq, cmd);
	play_enter();
	return r;
}

/* The simplest form: a name and flags. */
static int command(const char *name, unsigned long cmd, u32 flags)
{
	struct request rq = request(name, 4096);
	int r;

	rq.dmi->flags = flags;
	r = ask_unlocked(&rq, cmd);
	free(rq.dmi);
	return r;
}

/* ---- devices ---- */

int dmctl_create(const char *name)
{
	if (disk_bdev(name))
		return -EBUSY;
	return command(name, DM_DEV_CREATE, 0);
}

int dmctl_remove(const char *name)
{
	int r = command(name, DM_DEV_REMOVE, 0);

	if (!r)
		bdev_remove(name);
	return r;
}

int dmctl_clear(const char *name)
{
	return command(name, DM_TABLE_CLEAR, 0);
}

int dmctl_resume(const char *name)
{
	return command(name, DM_DEV_SUSPEND, 0);
}

int dmctl_suspend(const char *name, unsigned int flags)
{
	return command(name, DM_DEV_SUSPEND,
		       DM_SUSPEND_FLAG | (flags & DMCTL_NOFLUSH ? DM_NOFLUSH_FLAG : 0) |
		       (flags & DMCTL_NOLOCKFS ? DM_SKIP_LOCKFS_FLAG : 0));
}

static int device_status(const char *name, struct dm_ioctl *status)
{
	struct request rq = request(name, 4096);
	int r = ask_unlocked(&rq, DM_DEV_STATUS);

	*status = *rq.dmi;
	free(rq.dmi);
	return r;
}

bool dmctl_exists(const char *name)
{
	struct dm_ioctl status;

	return !device_status(name, &status);
}

bool dmctl_suspended(const char *name)
{
	struct dm_ioctl status;

	return !device_status(name, &status) && status.flags & DM_SUSPEND_FLAG;
}

u64 dmctl_event_count(const char *name)
{
	struct dm_ioctl status;

	return device_status(name, &status) ? 0 : status.event_nr;
}

/* ---- tables ---- */

/* One line of a table behind what is in the payload already. */
static int add_target(struct request *rq, const char *line)
{
	unsigned long long start, length;
	struct dm_target_spec *spec;
	char type[DM_MAX_TYPE_NAME];
	size_t size;
	int used = 0;

	if (sscanf(line, "%llu %llu %15s %n", &start, &length, type, &used) < 3 || !used)
		return -EINVAL;
	size = (sizeof(*spec) + strlen(line + used) + 1 + 7) & ~(size_t)7;
	if (rq->used + size > payload_room(rq))
		return -EINVAL;
	spec = (void *)((char *)payload(rq) + rq->used);
	spec->sector_start = start;
	spec->length = length;
	spec->next = size;
	strcpy(spec->target_type, type);
	strcpy((char *)(spec + 1), line + used);
	rq->used += size;
	rq->dmi->target_count++;
	return 0;
}

static int add_table(struct request *rq, const char *table)
{
	char *copy = strdup(table), *line, *rest;
	int r = 0;

	for (line = strtok_r(copy, "\n", &rest); line && !r; line = strtok_r(NULL, "\n", &rest))
		r = add_target(rq, line);
	free(copy);
	return r;
}

int dmctl_load(const char *name, const char *table, const char **error)
{
	static __thread char reason[256];
	struct request rq = request(name, 65536 + 2 * strlen(table));
	int log = log_open(), r = add_table(&rq, table);
	struct dm_ioctl device;

	if (!r)
		r = ask_unlocked(&rq, DM_TABLE_LOAD);
	free(rq.dmi);
	if (device_status(name, &device))
		device.dev = 0;
	log_table_error(log, major(device.dev), minor(device.dev), reason, sizeof(reason));
	if (error)
		*error = r && *reason ? reason : NULL;
	/* It is a block device from its first table on. */
	if (!r && !disk_bdev(name) && !bdev_add(name, major(device.dev), minor(device.dev)))
		sim_fail("%s: no node for it can be made", name);
	return r;
}

int dmctl_message(const char *name, const char *message)
{
	struct request rq = request(name, 4096 + strlen(message));
	struct dm_target_msg *msg = payload(&rq);
	int r;

	strcpy(msg->message, message);
	r = ask_unlocked(&rq, DM_TARGET_MSG);
	free(rq.dmi);
	return r;
}

/* Prints the targets of an answer; 0 or -ENOSPC. */
static int print_targets(const struct request *rq, char *buf, size_t size)
{
	const char *at = payload(rq);
	size_t used = 0;

	*buf = '\0';
	for (u32 i = 0; i < rq->dmi->target_count; i++) {
		const struct dm_target_spec *spec = (const void *)at;
		const char *text = (const char *)(spec + 1);
		int n = snprintf(buf + used, size - used, "%s%llu %llu %s%s%s", i ? "\n" : "",
				 (unsigned long long)spec->sector_start,
				 (unsigned long long)spec->length, spec->target_type,
				 *text ? " " : "", text);

		if (n < 0 || (size_t)n >= size - used)
			return -ENOSPC;
		used += n;
		at = (const char *)payload(rq) + spec->next; /* from the first one on */
	}
	return 0;
}

int dmctl_status(const char *name, status_type_t type, char *buf, size_t size)
{
	size_t room = 16384;

	for (;;) {
		struct request rq = request(name, room);
		bool full;
		int r;

		rq.dmi->flags = type == STATUSTYPE_TABLE ? DM_STATUS_TABLE_FLAG : 0;
		r = ask_unlocked(&rq, DM_TABLE_STATUS);
		full = rq.dmi->flags & DM_BUFFER_FULL_FLAG;
		if (!r && !full)
			r = print_targets(&rq, buf, size);
		free(rq.dmi);
		if (r || !full)
			return r;
		room *= 2;
	}
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

/* ---- the end of all devices ---- */

/* What it is mapped to gives errors from now on; I/O that waits for a resume ends so, too. */
static void make_error(const char *name)
{
	struct request load = request(name, 4096), resume = request(name, 4096);

	resume.dmi->flags = DM_NOFLUSH_FLAG | DM_SKIP_LOCKFS_FLAG;
	if (!add_target(&load, "0 1 error") && !ask(&load, DM_TABLE_LOAD))
		ask(&resume, DM_DEV_SUSPEND);
	free(load.dmi);
	free(resume.dmi);
}

static bool remove_each(void)
{
	struct request list = request("", 65536);
	const struct dm_name_list *n = payload(&list);
	bool all = true;

	if (ask(&list, DM_LIST_DEVICES) || !n->dev) {
		free(list.dmi);
		return true;
	}
	for (;; n = (const void *)((const char *)n + n->next)) {
		struct request rq = request(n->name, 4096);

		make_error(n->name);
		if (ask(&rq, DM_DEV_REMOVE))
			all = false;
		free(rq.dmi);
		if (!n->next)
			break;
	}
	free(list.dmi);
	return all;
}

/* One that is open stays until who had it has closed it. */
bool dm_remove_all(void)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	while (opened) {
		struct opened *o = opened;

		opened = o->next;
		close(o->fd);
		free(o);
	}
	for (int i = 0; i < 100; i++) {
		if (remove_each())
			return true;
		nanosleep(&pause, NULL);
	}
	fprintf(stderr, "devices that cannot be removed are left\n");
	return false;
}
