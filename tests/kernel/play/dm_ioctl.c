// SPDX-License-Identifier: GPL-2.0
/*
 * Device-mapper by its ioctls: each step with the kernel's own error, and safe to use from several threads,
 * which libdevmapper is not made for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "dm.h"

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

/* 0 or -errno. */
static int ask(struct request *rq, unsigned long cmd)
{
	if (control < 0)
		control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -errno;
	return ioctl(control, cmd, rq->dmi) ? -errno : 0;
}

/* The simplest form: a name and flags. */
static int command(const char *name, unsigned long cmd, u32 flags)
{
	struct request rq = request(name, 4096);
	int r;

	rq.dmi->flags = flags;
	r = ask(&rq, cmd);
	free(rq.dmi);
	return r;
}

static int create(const char *name)
{
	return command(name, DM_DEV_CREATE, 0);
}

static int remove_device(const char *name)
{
	return command(name, DM_DEV_REMOVE, 0);
}

static int clear(const char *name)
{
	return command(name, DM_TABLE_CLEAR, 0);
}

static int resume(const char *name)
{
	return command(name, DM_DEV_SUSPEND, 0);
}

static int suspend(const char *name, unsigned int flags)
{
	return command(name, DM_DEV_SUSPEND,
		       DM_SUSPEND_FLAG | (flags & DMCTL_NOFLUSH ? DM_NOFLUSH_FLAG : 0) |
		       (flags & DMCTL_NOLOCKFS ? DM_SKIP_LOCKFS_FLAG : 0));
}

static int get_state(const char *name, struct dm_state *state)
{
	struct request rq = request(name, 4096);
	int r = ask(&rq, DM_DEV_STATUS);

	*state = (struct dm_state){
		.major = major(rq.dmi->dev),
		.minor = minor(rq.dmi->dev),
		.suspended = rq.dmi->flags & DM_SUSPEND_FLAG,
		.event_nr = rq.dmi->event_nr,
	};
	free(rq.dmi);
	return r;
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

static int load(const char *name, const char *table)
{
	struct request rq = request(name, 65536 + 2 * strlen(table));
	int r = add_table(&rq, table);

	if (!r)
		r = ask(&rq, DM_TABLE_LOAD);
	free(rq.dmi);
	return r;
}

static int message(const char *name, sector_t sector, const char *text)
{
	struct request rq = request(name, 4096 + strlen(text));
	struct dm_target_msg *msg = payload(&rq);
	int r;

	msg->sector = sector;
	strcpy(msg->message, text);
	r = ask(&rq, DM_TARGET_MSG);
	free(rq.dmi);
	return r;
}

static char *print_targets(const struct request *rq)
{
	const struct dm_target_spec *spec = payload(rq);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	for (u32 i = 0; i < rq->dmi->target_count; i++) {
		fprintf(out, "%s%llu %llu %s %s", i ? "\n" : "",
			(unsigned long long)spec->sector_start, (unsigned long long)spec->length,
			spec->target_type, (const char *)(spec + 1));
		/* From the first one on, as the kernel has it for this ioctl. */
		spec = (const void *)((const char *)payload(rq) + spec->next);
	}
	fclose(out);
	return text;
}

static int status(const char *name, bool table, char **text)
{
	size_t room = 16384;

	for (;;) {
		struct request rq = request(name, room);
		bool full;
		int r;

		rq.dmi->flags = table ? DM_STATUS_TABLE_FLAG : 0;
		r = ask(&rq, DM_TABLE_STATUS);
		full = rq.dmi->flags & DM_BUFFER_FULL_FLAG;
		if (!r && !full)
			*text = print_targets(&rq);
		free(rq.dmi);
		if (r || !full)
			return r;
		room *= 2;
	}
}

const struct dm_way dm_by_ioctl = {
	.create = create,
	.remove = remove_device,
	.clear = clear,
	.resume = resume,
	.suspend = suspend,
	.load = load,
	.message = message,
	.status = status,
	.state = get_state,
};

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

	dm_close_all();
	for (int i = 0; i < 100; i++) {
		if (remove_each())
			return true;
		nanosleep(&pause, NULL);
	}
	fprintf(stderr, "devices that cannot be removed are left\n");
	return false;
}
