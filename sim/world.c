// SPDX-License-Identifier: GPL-2.0
/*
 * The world of a command, as declared in world.h.
 *
 * Disks and devices are kept in lists in the order they were made, so that whatever walks them does
 * it in the same order in every run.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

struct world_device {
	char name[WORLD_NAME_MAX];
	char *table;
	struct world_device *next;
};

static struct {
	bool log_to_stderr;
	struct disk *(*disk_base)(void *context, const char *name, sector_t sectors);
	struct disk *(*disk_top)(void *context, const char *name, struct disk *top);
	void *disk_context;
	void (*disk_added)(struct world_disk *d);
	const char *save_dir;
	struct world_disk *disks, **disks_end;
	struct world_device *devices;
} world;

static void default_log(void *context, int level, const char *line)
{
	if (world.log_to_stderr)
		fprintf(stderr, "[%12.6f] %s\n", sim_now_ns() / 1e9, line);
}

void world_start(const struct world_options *o)
{
	struct sim_options so = {
		.strategy = o->strategy,
		.seed = o->seed,
		.recorded = o->recorded,
		.nr_recorded = o->nr_recorded,
		.fail = o->fail,
		.reproducer = o->reproducer,
		.fail_context = o->fail_context,
		.log = o->log ? o->log : default_log,
		.log_context = o->log_context,
	};

	world.log_to_stderr = o->log_to_stderr;
	world.disk_base = o->disk_base;
	world.disk_top = o->disk_top;
	world.disk_context = o->disk_context;
	world.disk_added = o->disk_added;
	world.save_dir = o->save_dir;
	world.disks = NULL;
	world.disks_end = &world.disks;
	world.devices = NULL;
	sim_start(&so);
	if (!o->no_modules && sim_module_load("dm-multisnapshot"))
		sim_fail("module dm-multisnapshot does not load");
}

struct world_disk *world_disk_add(const char *name, sector_t sectors, enum disk_model model,
				  unsigned int block_size, const char *path)
{
	struct world_disk *d;
	struct disk *base;

	if (world.disk_base)
		base = world.disk_base(world.disk_context, name, sectors);
	else
		base = path ? disk_file_create(name, path, sectors, true) :
			      disk_ram_create(name, sectors);
	if (!base)
		return NULL;
	d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->base = base;
	d->error = disk_error_create(base);
	d->delay = disk_delay_create(d->error, model);
	d->top = world.disk_top ? world.disk_top(world.disk_context, name, d->delay) : d->delay;
	d->block_size = block_size;
	d->sectors = sectors;
	d->model = model;
	d->path = path ? strdup(path) : NULL;
	disk_register(d->name, d->top, block_size);
	*world.disks_end = d;
	world.disks_end = &d->next;
	if (world.disk_added)
		world.disk_added(d);
	return d;
}

struct world_disk *world_disk_find(const char *name)
{
	for (struct world_disk *d = world.disks; d; d = d->next)
		if (!strcmp(d->name, name))
			return d;
	return NULL;
}

struct world_disk *world_disks(void)
{
	return world.disks;
}

/* ---- devices ---- */

static struct world_device **find_device(const char *name)
{
	struct world_device **p = &world.devices;

	while (*p && strcmp((*p)->name, name))
		p = &(*p)->next;
	return p;
}

bool world_device_exists(const char *name)
{
	return *find_device(name) != NULL;
}

const char *world_device_name(unsigned int i, const char **table)
{
	struct world_device *d = world.devices;

	while (d && i--)
		d = d->next;
	if (d && table)
		*table = d->table;
	return d ? d->name : NULL;
}

int world_device_create_empty(const char *name)
{
	struct world_device *d;
	int r = dmctl_create(name);

	if (r)
		return r;
	d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	snprintf(d->name, sizeof(d->name), "%s", name);
	*find_device(name) = d;
	return 0;
}

int world_device_load(const char *name, const char *table, const char **error)
{
	struct world_device *d = *find_device(name);
	int r = dmctl_load(name, table, error);

	if (!r && d) {
		free(d->table);
		d->table = strdup(table);
	}
	return r;
}

int world_device_remove(const char *name)
{
	struct world_device **p, *d;
	int r = dmctl_remove(name);

	p = find_device(name);
	d = *p;
	if (!r && d) {
		*p = d->next;
		free(d->table);
		free(d);
	}
	return r;
}

int world_device_create(const char *name, const char *table, const char **error)
{
	int r = world_device_create_empty(name);

	if (r)
		return r;
	r = world_device_load(name, table, error);
	if (!r)
		r = dmctl_resume(name);
	if (r)
		world_device_remove(name);
	return r;
}

/* ---- names ---- */

static const char *dev_name(unsigned int major, unsigned int minor)
{
	dev_t dev = MKDEV(major, minor);
	struct block_device *bdev;

	for (struct world_disk *d = world.disks; d; d = d->next) {
		bdev = disk_bdev(d->name);
		if (bdev && bdev->bd_dev == dev)
			return d->name;
	}
	for (struct world_device *d = world.devices; d; d = d->next) {
		bdev = disk_bdev(d->name);
		if (bdev && bdev->bd_dev == dev)
			return d->name;
	}
	return NULL;
}

void world_names(const char *text, char *out, size_t size)
{
	size_t used = 0;

	while (*text && used + 1 < size) {
		size_t word = strcspn(text, " \n");
		unsigned int major, minor;
		const char *name = NULL;
		int end = -1;

		if (sscanf(text, "%u:%u%n", &major, &minor, &end) == 2 && end == (int)word)
			name = dev_name(major, minor);
		if (name)
			used += snprintf(out + used, size - used, "%s", name);
		else
			used += snprintf(out + used, size - used, "%.*s", (int)word, text);
		text += word;
		if (*text && used + 1 < size)
			out[used++] = *text++;
	}
	out[used < size ? used : size - 1] = '\0';
}

/* ---- the end ---- */

static void remove_devices(void *arg)
{
	for (struct world_disk *d = world.disks; d; d = d->next) {
		disk_error_clear(d->error);
		disk_delay_release(d->delay, -1);
	}
	sim_fail_alloc(0, 0);
	sim_fail_alloc_random(0);
	while (world.devices) {
		struct world_device *next;
		bool removed = false;
		int r = 0;

		/* One that another is made of goes when that has gone. */
		for (struct world_device *d = world.devices; d; d = next) {
			next = d->next;
			if (dmctl_suspended(d->name))
				dmctl_resume(d->name);
			r = world_device_remove(d->name);
			removed |= !r;
		}
		if (!removed)
			sim_fail("device %s cannot be removed at the end: %s", world.devices->name,
				 errno_name(r));
	}
}

void world_disk_stat(const struct world_disk *d, char *text, size_t size)
{
	const struct disk_counts *n = disk_counts(d->top);

	snprintf(text, size,
		 "reads %llu sectors %llu\n"
		 "writes %llu sectors %llu fua %llu metadata %llu\n"
		 "flushes %llu discards %llu write-zeroes %llu errors %llu",
		 n->reads, n->sectors_read, n->writes, n->sectors_written, n->fua,
		 n->meta_sectors_written, n->flushes, n->discards, n->write_zeroes, n->errors);
}

static int save_stat(const struct world_disk *d, const char *path)
{
	FILE *f = fopen(path, "w");
	char text[512];

	if (!f)
		return -errno;
	world_disk_stat(d, text, sizeof(text));
	fprintf(f, "%s\n", text);
	return fclose(f) ? -errno : 0;
}

/* Its contents, and its counts. 0 or -errno, with a message. */
static int save_disk(const struct world_disk *d)
{
	char path[4096];
	int n = snprintf(path, sizeof(path) - sizeof(".stat"), "%s/%s", world.save_dir, d->name);
	int r = -ENAMETOOLONG;

	if (n < (int)(sizeof(path) - sizeof(".stat"))) {
		r = disk_save(d->base, path);
		strcpy(path + n, ".stat");
		if (!r)
			r = save_stat(d, path);
	}
	if (r)
		sim_message("cannot save disk %s in %s: %s", d->name, world.save_dir, strerror(-r));
	return r;
}

/* 0, or what save_disk() said of the first that could not be saved. */
static int destroy_disks(bool save)
{
	int r = 0;

	while (world.disks) {
		struct world_disk *d = world.disks;

		world.disks = d->next;
		if (save && !r)
			r = save_disk(d);
		disk_unregister(d->name);
		disk_destroy(d->top);
		free(d->path);
		free(d);
	}
	return r;
}

int world_stop(void)
{
	if (world.devices) {
		sim_thread_start("power-off", remove_devices, NULL);
		sim_run();
	}
	sim_stop();
	return destroy_disks(world.save_dir);
}

void world_abandon(void)
{
	sim_stop();
	while (world.devices) {
		struct world_device *d = world.devices;

		world.devices = d->next;
		free(d->table);
		free(d);
	}
	destroy_disks(false);
}
