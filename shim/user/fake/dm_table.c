// SPDX-License-Identifier: GPL-2.0
/*
 * Targets and tables of device-mapper: the registry of target types, constructing a table line by
 * line, the devices that a table holds open, limits. As drivers/md/dm-target.c and dm-table.c have
 * it in 6.1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm.h"

#define DM_MSG_PREFIX "table"

/* ---- target types ---- */

static LIST_HEAD(types);

static struct target_type *find_type(const char *name)
{
	struct target_type *type;

	sched_access(&types, SIM_READ);
	list_for_each_entry(type, &types, list)
		if (!strcmp(type->name, name))
			return type;
	return NULL;
}

int dm_register_target(struct target_type *t)
{
	might_sleep();
	if (!t->name || !t->ctr || !t->map)
		sim_fail("dm_register_target() of a target without name, ctr or map");
	sched_point("dm_register_target", t->name, NULL);
	if (find_type(t->name))
		return -EEXIST;
	sched_access(&types, SIM_WRITE);
	list_add(&t->list, &types);
	return 0;
}

void dm_unregister_target(struct target_type *t)
{
	might_sleep();
	sched_point("dm_unregister_target", t->name, NULL);
	if (find_type(t->name) != t)
		sim_fail("dm_unregister_target(): %s is not registered", t->name);
	sched_access(&types, SIM_WRITE);
	list_del(&t->list);
}

static struct target_type *get_type(const char *name)
{
	struct target_type *type = find_type(name);

	return type && try_module_get(type->module) ? type : NULL;
}

struct target_type *dm_get_target_type(const char *name)
{
	struct target_type *type;

	sched_point("dm_get_target_type", name, NULL);
	type = get_type(name);
	if (!type) {
		request_module("dm-%s", name);
		type = get_type(name);
	}
	return type;
}

void dm_put_target_type(struct target_type *type)
{
	module_put(type->module);
}

/* ---- devices ---- */

struct table_device {
	struct dm_dev dm_dev;
	struct list_head list;
	unsigned int count;
};

dev_t dm_get_dev_t(const char *path)
{
	unsigned int major, minor;
	struct block_device *bdev;
	char rest;

	if (!strncmp(path, "/dev/mapper/", 12))
		path += 12;
	else if (!strncmp(path, "/dev/", 5))
		path += 5;
	bdev = bdev_by_name(path);
	if (!bdev && sscanf(path, "%u:%u%c", &major, &minor, &rest) == 2)
		bdev = bdev_by_dev(MKDEV(major, minor));
	return bdev ? bdev->bd_dev : 0;
}

static int open_device(dev_t dev, struct block_device **result)
{
	struct block_device *bdev = bdev_by_dev(dev);

	if (!bdev || (bdev->bd_md && md_flag(bdev->bd_md, DMF_FREEING)))
		return -ENXIO;
	sched_enter();
	sched_access(&bdev->bd_openers, SIM_ADD);
	bdev->bd_openers++;
	sched_exit();
	*result = bdev;
	return 0;
}

static void close_device(struct table_device *td)
{
	sched_enter();
	sched_access(&td->dm_dev.bdev->bd_openers, SIM_ADD);
	td->dm_dev.bdev->bd_openers--;
	sched_exit();
	list_del(&td->list);
	free(td);
}

int dm_get_device(struct dm_target *ti, const char *path, fmode_t mode, struct dm_dev **result)
{
	struct dm_table *t = ti->table;
	struct block_device *bdev;
	struct table_device *td;
	unsigned int major, minor;
	char rest;
	dev_t dev;
	int r;

	might_sleep();
	if (sscanf(path, "%u:%u%c", &major, &minor, &rest) == 2) {
		dev = MKDEV(major, minor);
		if (MAJOR(dev) != major || MINOR(dev) != minor)
			return -EOVERFLOW;
	} else {
		dev = dm_get_dev_t(path);
		if (!dev)
			return -ENODEV;
	}
	list_for_each_entry(td, &t->devices, list) {
		if (td->dm_dev.bdev->bd_dev == dev) {
			td->dm_dev.mode |= mode;
			td->count++;
			*result = &td->dm_dev;
			return 0;
		}
	}
	if (mem_should_fail(GFP_KERNEL, "dm_get_device()", SHIM_SITE))
		return -ENOMEM;
	sched_point("dm_get_device", path, NULL);
	/* Newer kernels refuse it; in 6.1 such a device could never be removed. */
	if (dev == t->md->bdev.bd_dev)
		return -EINVAL;
	r = open_device(dev, &bdev);
	if (r)
		return r;
	td = calloc(1, sizeof(*td));
	if (!td)
		abort();
	td->dm_dev.bdev = bdev;
	td->dm_dev.mode = mode;
	snprintf(td->dm_dev.name, sizeof(td->dm_dev.name), "%u:%u", MAJOR(dev), MINOR(dev));
	td->count = 1;
	list_add(&td->list, &t->devices);
	*result = &td->dm_dev;
	return 0;
}

void dm_put_device(struct dm_target *ti, struct dm_dev *d)
{
	struct table_device *td;

	might_sleep();
	list_for_each_entry(td, &ti->table->devices, list) {
		if (&td->dm_dev != d)
			continue;
		if (!--td->count)
			close_device(td);
		return;
	}
	sim_fail("%s: dm_put_device() of a device that the table does not hold", ti->type->name);
}

/* ---- arguments ---- */

const char *dm_shift_arg(struct dm_arg_set *as)
{
	if (!as->argc)
		return NULL;
	as->argc--;
	return *as->argv++;
}

void dm_consume_args(struct dm_arg_set *as, unsigned int num_args)
{
	if (as->argc < num_args)
		sim_fail("dm_consume_args(%u) of %u", num_args, as->argc);
	as->argc -= num_args;
	as->argv += num_args;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || (unsigned char)c == 0xa0;
}

int dm_split_args(int *argc, char ***argvp, char *input)
{
	char **argv, *end = input, *out;
	unsigned int room = 8;

	*argc = 0;
	*argvp = NULL;
	if (!input)
		return 0;
	argv = kmalloc_array(room, sizeof(*argv), GFP_NOIO);
	if (!argv)
		return -ENOMEM;
	for (;;) {
		char *start;

		while (is_blank(*end))
			end++;
		if (!*end)
			break;
		start = out = end;
		while (*end) {
			if (*end == '\\' && end[1]) {
				*out++ = end[1];
				end += 2;
				continue;
			}
			if (is_blank(*end))
				break;
			*out++ = *end++;
		}
		if (*argc == room) {
			char **more = kmalloc_array(2 * room, sizeof(*argv), GFP_KERNEL);

			if (more)
				memcpy(more, argv, room * sizeof(*argv));
			kfree(argv);
			if (!more)
				return -ENOMEM;
			argv = more;
			room *= 2;
		}
		if (*end)
			end++;
		*out = '\0';
		argv[(*argc)++] = start;
	}
	*argvp = argv;
	return 0;
}

/* ---- tables ---- */

static LIST_HEAD(tables);

struct dm_table *dm_table_create(fmode_t mode, struct mapped_device *md, unsigned int max_targets)
{
	struct dm_table *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->targets = calloc(max_targets, sizeof(*t->targets));
	if (!t->targets)
		abort();
	t->max_targets = max_targets;
	t->md = md;
	t->mode = mode;
	INIT_LIST_HEAD(&t->devices);
	sched_enter();
	list_add(&t->list, &tables);
	sched_exit();
	return t;
}

static void free_table(struct dm_table *t, bool check)
{
	struct table_device *td, *next;

	list_for_each_entry_safe(td, next, &t->devices, list)
		free(td);
	sched_enter();
	list_del(&t->list);
	sched_exit();
	bio_pool_exit(&t->ios, check);
	free(t->targets);
	free(t);
}

void dm_table_destroy(struct dm_table *t)
{
	struct table_device *td;
	unsigned int i;

	if (!t)
		return;
	might_sleep();
	for (i = 0; i < t->num_targets; i++) {
		struct dm_target *ti = &t->targets[i];

		if (ti->type->dtr)
			ti->type->dtr(ti);
		dm_put_target_type(ti->type);
	}
	list_for_each_entry(td, &t->devices, list)
		sim_fail("%s: a table was destroyed without dm_put_device() of %s (%s)",
			 t->md->bdev.bd_name, td->dm_dev.bdev->bd_name, td->dm_dev.name);
	free_table(t, true);
}

void dm_table_presuspend_targets(struct dm_table *t)
{
	unsigned int i;

	for (i = 0; t && i < t->num_targets; i++)
		if (t->targets[i].type->presuspend)
			t->targets[i].type->presuspend(&t->targets[i]);
}

void dm_table_postsuspend_targets(struct dm_table *t)
{
	unsigned int i;

	for (i = 0; t && i < t->num_targets; i++)
		if (t->targets[i].type->postsuspend)
			t->targets[i].type->postsuspend(&t->targets[i]);
}

int dm_table_resume_targets(struct dm_table *t)
{
	unsigned int i;

	for (i = 0; i < t->num_targets; i++) {
		struct dm_target *ti = &t->targets[i];
		int r = ti->type->preresume ? ti->type->preresume(ti) : 0;

		if (r) {
			DMERR("%s: %s: preresume failed, error = %d", t->md->name, ti->type->name,
			      r);
			return r;
		}
	}
	for (i = 0; i < t->num_targets; i++)
		if (t->targets[i].type->resume)
			t->targets[i].type->resume(&t->targets[i]);
	return 0;
}

static int check_type(struct dm_table *t, struct dm_target *ti)
{
	const struct target_type *type = ti->type;

	if (type->features & DM_TARGET_SINGLETON) {
		if (t->num_targets) {
			ti->error = "singleton target type must appear alone in table";
			return -EINVAL;
		}
		t->singleton = true;
	}
	if (type->features & DM_TARGET_ALWAYS_WRITEABLE && !(t->mode & FMODE_WRITE)) {
		ti->error = "target type may not be included in a read-only table";
		return -EINVAL;
	}
	if (t->immutable ? t->immutable != type :
			   type->features & DM_TARGET_IMMUTABLE && t->num_targets) {
		ti->error = "immutable target type cannot be mixed with other target types";
		return -EINVAL;
	}
	if (type->features & DM_TARGET_IMMUTABLE)
		t->immutable = ti->type;
	return 0;
}

static int construct(struct dm_table *t, struct dm_target *ti, char *params)
{
	sector_t end = t->num_targets ? ti[-1].begin + ti[-1].len : 0;
	char **argv;
	int argc, r;

	r = check_type(t, ti);
	if (r)
		return r;
	ti->error = "Unknown error";
	if (ti->begin != end) {
		ti->error = "Gap in table";
		return -EINVAL;
	}
	r = dm_split_args(&argc, &argv, params);
	if (r) {
		ti->error = "couldn't split parameters";
		return r;
	}
	r = ti->type->ctr(ti, argc, argv);
	kfree(argv);
	if (r > 0)
		sim_fail("%s: the constructor returned %d", ti->type->name, r);
	return r;
}

static int add_target(struct dm_table *t, const char *type, sector_t start, sector_t len,
		      char *params, const char **error)
{
	const char *dev = t->md->name;
	struct dm_target *ti;
	int r;

	if (t->singleton) {
		DMERR("%s: target type %s must appear alone in table", dev,
		      t->targets->type->name);
		return -EINVAL;
	}
	if (!len) {
		DMERR("%s: zero-length target", dev);
		return -EINVAL;
	}
	if (start + len < start || start + len > LLONG_MAX >> SECTOR_SHIFT) {
		DMERR("%s: too large device", dev);
		return -EINVAL;
	}
	/* Targets are pointed to: the room is made in dm_table_create(). */
	if (t->num_targets == t->max_targets)
		sim_fail("%s: more than %u lines in a table", dev, t->max_targets);
	ti = &t->targets[t->num_targets];
	memset(ti, 0, sizeof(*ti));
	ti->type = dm_get_target_type(type);
	if (!ti->type) {
		DMERR("%s: %s: unknown target type", dev, type);
		return -EINVAL;
	}
	ti->table = t;
	ti->begin = start;
	ti->len = len;
	r = construct(t, ti, params);
	if (r) {
		if (error)
			*error = ti->error;
		DMERR("%s: %s: %s (%d)", dev, type, ti->error, r);
		dm_put_target_type(ti->type);
		return r;
	}
	t->num_targets++;
	if (!ti->num_discard_bios && ti->discards_supported)
		sim_fail("%s: discards_supported without num_discard_bios", type);
	return 0;
}

int dm_table_add_line(struct dm_table *t, char *line, const char **error)
{
	unsigned long long start, len;
	char type[64];
	int used = 0;

	if (sscanf(line, "%llu %llu %63s%n", &start, &len, type, &used) != 3) {
		DMERR("%s: not a table line: %s", t->md->name, line);
		return -EINVAL;
	}
	return add_target(t, type, start, len, line + used, error);
}

int dm_table_complete(struct dm_table *t)
{
	size_t pad = 0;
	unsigned int i;

	if (!t->num_targets)
		return -EINVAL;
	for (i = 0; i < t->num_targets; i++)
		pad = max_t(size_t, pad, t->targets[i].per_io_data_size);
	t->front_pad = round_up(pad, 16);
	bio_pool_init(&t->ios, "dm's bios", t->front_pad + dm_io_size());
	return 0;
}

sector_t dm_table_get_size(struct dm_table *t)
{
	const struct dm_target *last = &t->targets[t->num_targets - 1];

	return t->num_targets ? last->begin + last->len : 0;
}

fmode_t dm_table_get_mode(struct dm_table *t)
{
	return t->mode;
}

struct mapped_device *dm_table_get_md(struct dm_table *t)
{
	return t->md;
}

const char *dm_table_device_name(struct dm_table *t)
{
	return t->md->name;
}

int dm_set_target_max_io_len(struct dm_target *ti, sector_t len)
{
	if (len > UINT_MAX) {
		DMERR("Specified maximum size of target IO (%llu) exceeds limit (%u)", len,
		      UINT_MAX);
		ti->error = "Maximum size of target IO is too large";
		return -EINVAL;
	}
	ti->max_io_len = (uint32_t)len;
	return 0;
}

static void dm_table_discard(void)
{
	struct dm_table *t, *next;

	list_for_each_entry_safe(t, next, &tables, list)
		free_table(t, false);
	INIT_LIST_HEAD(&types);
}

static struct world_part dm_table_part = {
	.name = "dm tables",
	.discard = dm_table_discard,
};

static void __attribute__((constructor)) dm_table_init(void)
{
	world_part_register(&dm_table_part);
}
