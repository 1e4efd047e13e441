// SPDX-License-Identifier: GPL-2.0
/*
 * Lives of a script (script_life.h), and the verbs crash and reload.
 *
 * The file between two lives holds plain structures: it never leaves the machine. Contents are
 * kept as (sector, tag), with the 512 bytes behind where they are literal.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create() */
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "script.h"
#include "script_life.h"

struct saved_disk {
	char name[WORLD_NAME_MAX];
	char path[1024];	/* file=, or empty */
	sector_t sectors;
	enum disk_model model;
	unsigned int block_size;
	u64 nr_sectors;		/* records that follow */
};

struct saved_device {
	char name[WORLD_NAME_MAX];
	u64 table_length;	/* bytes that follow */
};

struct saved_sector {
	u64 sector;
	tag_t tag;
};

/* The exit code of a life that ended by `crash`; nobody else uses it. */
#define LIFE_CRASHED 64

static struct {
	FILE *in, *out;	/* from the life before, for the next one; NULL: there is none */
	struct {
		char *name, *table;
	} *devices;	/* that were loaded at the crash */
	u64 nr_devices;
} life;

static void put(const void *data, size_t size)
{
	if (fwrite(data, 1, size, life.out) != size)
		abort();
}

static void get(void *data, size_t size)
{
	if (fread(data, 1, size, life.in) != size)
		abort();
}

/* ---- saving ---- */

static u64 save_sectors(struct world_disk *d, bool write)
{
	u8 bytes[SECTOR_SIZE];
	u64 n = 0;

	for (sector_t s = disk_next_data(d->base, 0); s < disk_sectors(d->base);
	     s = disk_next_data(d->base, s + 1)) {
		struct saved_sector saved = { .sector = s };

		disk_peek(d->base, s, 1, &saved.tag);
		if (saved.tag == TAG_ZERO)
			continue;
		n++;
		if (!write)
			continue;
		put(&saved, sizeof(saved));
		if (saved.tag & TAG_LITERAL) {
			disk_peek_bytes(d->base, s, 1, bytes);
			put(bytes, sizeof(bytes));
		}
	}
	return n;
}

static void save_disks(void)
{
	u64 n = 0;

	for (struct world_disk *d = world_disks(); d; d = d->next)
		n++;
	put(&n, sizeof(n));
	for (struct world_disk *d = world_disks(); d; d = d->next) {
		struct saved_disk saved = {
			.sectors = disk_sectors(d->base),
			.model = d->model,
			.block_size = d->block_size,
		};

		snprintf(saved.name, sizeof(saved.name), "%s", d->name);
		snprintf(saved.path, sizeof(saved.path), "%s", d->path ? d->path : "");
		if (!d->path)
			saved.nr_sectors = save_sectors(d, false);
		put(&saved, sizeof(saved));
		if (!d->path)
			save_sectors(d, true);
	}
}

static void save_devices(void)
{
	struct saved_device saved;
	const char *name, *table;
	u64 n = 0;

	while (world_device_name(n, NULL))
		n++;
	put(&n, sizeof(n));
	for (unsigned int i = 0; (name = world_device_name(i, &table)); i++) {
		memset(&saved, 0, sizeof(saved));
		snprintf(saved.name, sizeof(saved.name), "%s", name);
		saved.table_length = table ? strlen(table) : 0;
		put(&saved, sizeof(saved));
		put(table, saved.table_length);
	}
}

void script_crash(struct script_thread *t, const struct script_command *c)
{
	u64 next_line = c->next ? c->next->line : 0;

	sim_power_off();
	put(&next_line, sizeof(next_line));
	save_disks();
	save_devices();
	fflush(NULL);
	_exit(LIFE_CRASHED);
}

/* ---- and the next life ---- */

static int load_disk(void)
{
	struct saved_disk saved;
	struct world_disk *d;
	u8 bytes[SECTOR_SIZE];

	get(&saved, sizeof(saved));
	d = world_disk_add(saved.name, saved.sectors, saved.model, saved.block_size,
			   saved.path[0] ? saved.path : NULL);
	if (!d)
		return -1;
	for (u64 i = 0; i < saved.nr_sectors; i++) {
		struct saved_sector sector;

		get(&sector, sizeof(sector));
		if (sector.tag & TAG_LITERAL) {
			get(bytes, sizeof(bytes));
			disk_poke_bytes(d->base, sector.sector, 1, bytes);
		} else {
			disk_poke(d->base, sector.sector, 1, &sector.tag);
		}
	}
	return 0;
}

int script_life_resume(void)
{
	u64 n;

	if (!life.in)
		return 0;
	get(&n, sizeof(n));
	while (n--)
		if (load_disk())
			return -1;
	get(&life.nr_devices, sizeof(life.nr_devices));
	life.devices = calloc(life.nr_devices + 1, sizeof(*life.devices));
	for (u64 i = 0; i < life.nr_devices; i++) {
		struct saved_device saved;

		get(&saved, sizeof(saved));
		life.devices[i].name = strdup(saved.name);
		life.devices[i].table = calloc(1, saved.table_length + 1);
		get(life.devices[i].table, saved.table_length);
	}
	return 0;
}

/*
 * The devices that were loaded when the power went, again, in the order of their creation. One that is
 * refused does not stop the others; the first error is the result.
 */
void script_reload(struct script_thread *t, const struct script_command *c)
{
	char detail[256] = "";
	int first = 0;

	for (u64 i = 0; i < life.nr_devices; i++) {
		const char *name = life.devices[i].name, *table = life.devices[i].table;
		const char *error = NULL;
		int r;

		if (!table[0] || world_device_exists(name))
			continue;
		r = world_device_create(name, table, &error);
		if (!r || first)
			continue;
		first = r;
		snprintf(detail, sizeof(detail), "(%s%s%s)", name, error ? ": " : "",
			 error ? error : "");
	}
	script_result(t, c, first, first ? detail : NULL);
}

static bool has_crash(const struct script_command *c)
{
	for (; c; c = c->next)
		if (c->verb->run == script_crash)
			return true;
	return false;
}

static FILE *state_file(void)
{
	int fd = memfd_create("multisnap-life", MFD_CLOEXEC);
	FILE *f = fd >= 0 ? fdopen(fd, "r+") : NULL;

	if (!f)
		abort();
	return f;
}

/* The command at which the life that reads life.in begins; NULL: the script is over. */
static const struct script_command *next_command(const struct script_command *script)
{
	u64 line;

	get(&line, sizeof(line));
	while (script && script->line != line)
		script = script->next;
	return script;
}

static int run_lives(const struct script_options *options, const struct script_command *script)
{
	const struct script_command *next = script;
	int status;
	pid_t pid;

	while (next) {
		life.out = state_file();
		fflush(NULL);
		pid = fork();
		if (pid < 0)
			abort();
		if (!pid) {
			status = script_run_life(options, next);
			fflush(NULL);
			_exit(status);
		}
		if (waitpid(pid, &status, 0) != pid)
			abort();
		if (!WIFEXITED(status))
			return SIM_EXIT_FOUND;
		if (WEXITSTATUS(status) != LIFE_CRASHED)
			return WEXITSTATUS(status);
		if (life.in)
			fclose(life.in);
		life.in = life.out;
		rewind(life.in);
		next = next_command(script);
	}
	return SIM_EXIT_OK;
}

int script_run(const struct script_options *options, const struct script_command *script)
{
	if (has_crash(script))
		return run_lives(options, script);
	return script_run_life(options, script);
}
