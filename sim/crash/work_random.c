// SPDX-License-Identifier: GPL-2.0
/*
 * Random workloads (work.h): a device of a few chunks, snapshots and sub-snapshots that come and go, requests one by one
 * and several at once, and now and then one that waits at its disk while others pass it. An operation may fail (a store that is full):
 * then those after it find less than they expect.
 */
#include <stdlib.h>
#include <string.h>

#include "content.h"
#include "sim.h"
#include "status.h"
#include "work.h"

#define SNAPSHOTS_MAX 6

struct random_work {
	FILE *out;
	u64 state;
	u32 fill, label;
	u32 sectors, chunk, store_kib;
	u32 past;		/* sectors of snapshots past the end of the origin */
	char table[160];
	snapid_t id[SNAPSHOTS_MAX];
	u32 nr, next;
	u32 next_sub[64];
};

static u32 draw(struct random_work *w, u32 n)
{
	w->state = crash_mix(w->state, 0x5EED);
	return w->state % n;
}

static void draw_config(struct random_work *w)
{
	static const u32 chunks[] = { 8, 8, 8, 16, 32 };
	static const char *const stores[] = { "mikulas 0", "mikulas 2 cache-threshold 0",
					      "mikulas 2 cache-threshold 1", "mikulas 2 cache-threshold 64" };
	u32 nr = 2 + draw(w, 5), threshold = draw(w, 4);
	bool preserve = !draw(w, 4);

	w->chunk = chunks[draw(w, 5)];
	w->sectors = nr * w->chunk - (draw(w, 2) ? draw(w, w->chunk) : 0);
	w->past = draw(w, 3) ? 0 : draw(w, 2 * w->chunk);
	w->store_kib = draw(w, 3) ? 1024 : 400 + draw(w, 64); /* one that fills, sometimes */
	snprintf(w->table, sizeof(w->table), "0 %u multisnapshot origin store %u %s%s", w->sectors,
		 w->chunk, preserve ? "1 preserve-on-error " : "0 ", stores[threshold]);
}

/* A device name for a snapshot, for the time that it exists. */
static const char *device_of(snapid_t id, char name[40])
{
	char text[32];

	snapid_print(text, sizeof(text), id);
	snprintf(name, 40, "s%s", text);
	return name;
}

/* The origin, or a snapshot. */
static const char *draw_device(struct random_work *w, char name[40])
{
	if (!w->nr || draw(w, 5) < 3)
		return "ms";
	return device_of(w->id[draw(w, w->nr)], name);
}

static void put_request(struct random_work *w)
{
	u32 kind = draw(w, 12), limit = w->sectors, sector, sectors;
	char name[40];
	const char *device = draw_device(w, name);

	if (strcmp(device, "ms"))
		limit += w->past;
	sectors = 1 + draw(w, draw(w, 3) ? w->chunk : 3 * w->chunk);
	if (sectors > limit)
		sectors = limit;
	sector = draw(w, limit - sectors + 1);
	if (draw(w, 3) == 0) { /* a whole chunk */
		sector -= sector % w->chunk;
		sectors = w->chunk < limit - sector ? w->chunk : limit - sector;
	}
	if (kind == 0)
		fprintf(w->out, "flush %s\n", device);
	else if (kind == 1 && !strcmp(device, "ms"))
		fprintf(w->out, "discard ms %u %u\n", sector, sectors);
	else if (kind == 2 && !strcmp(device, "ms"))
		fprintf(w->out, "zero ms %u %u\n", sector, sectors);
	else
		fprintf(w->out, "write %s %u %u bs=0 fill=%u%s%s\n", device, sector, sectors, w->fill++,
			draw(w, 6) ? "" : " fua", draw(w, 12) ? "" : " preflush");
}

static void put_at_once(struct random_work *w)
{
	u32 n = 2 + draw(w, 4);

	fprintf(w->out, "parallel {\n");
	while (n--)
		put_request(w);
	fprintf(w->out, "}\n");
}

/* A request of a disk waits while others go on. */
static void put_held(struct random_work *w)
{
	static const char *const ops[] = { "read", "write", "write", "flush" };
	u32 label = w->label++;

	fprintf(w->out, "hold h%u %s op=%s count=%u\n", label, draw(w, 2) ? "origin" : "store",
		ops[draw(w, 4)], 1 + draw(w, 2));
	fprintf(w->out, "start a%u ", label);
	put_request(w);
	fprintf(w->out, "start b%u ", label);
	put_request(w);
	fprintf(w->out, "settle\nrelease h%u\nwait a%u\nwait b%u\n", label, label, label);
}

static void put_created(struct random_work *w, snapid_t id)
{
	char name[40], text[32];

	w->id[w->nr++] = id;
	snapid_print(text, sizeof(text), id);
	fprintf(w->out, "dmsetup suspend ms\ndmsetup resume ms\n"
		"dmsetup create %s --table \"0 %u multisnap-snap origin %s\"\n",
		device_of(id, name), w->sectors + w->past, text);
}

static void put_create(struct random_work *w)
{
	snapid_t master;

	if (w->nr == SNAPSHOTS_MAX || w->next == 64)
		return;
	if (w->nr && !draw(w, 3)) {
		master = w->id[draw(w, w->nr)];
		if (snapid_master(master) == SNAPID_ORIGIN) {
			fprintf(w->out, "dmsetup message ms 0 create_subsnap %u\n", (u32)(master >> 32));
			put_created(w, (master >> 32) << 32 | w->next_sub[master >> 32]++);
			return;
		}
	}
	fprintf(w->out, "dmsetup message ms 0 create\n");
	put_created(w, (u64)w->next++ << 32 | 0xffffffff);
}

static void put_delete(struct random_work *w)
{
	char name[40], text[32];
	snapid_t id;
	u32 i;

	if (!w->nr)
		return;
	i = draw(w, w->nr);
	id = w->id[i];
	w->id[i] = w->id[--w->nr];
	snapid_print(text, sizeof(text), id);
	if (draw(w, 3)) {
		fprintf(w->out, "dmsetup message ms 0 delete %s\n", text);
	} else {
		fprintf(w->out, "parallel {\ndmsetup message ms 0 delete %s\n", text);
		put_request(w);
		fprintf(w->out, "write %s 0 %u bs=0 fill=%u\n}\n", device_of(id, name), w->chunk, w->fill++);
	}
	fprintf(w->out, "dmsetup remove %s\n", device_of(id, name));
}

static void put_reload(struct random_work *w)
{
	char name[40], text[32];

	for (u32 i = 0; i < w->nr; i++)
		fprintf(w->out, "dmsetup remove %s\n", device_of(w->id[i], name));
	fprintf(w->out, "dmsetup remove ms\ndmsetup create ms --table \"%s\"\n", w->table);
	for (u32 i = 0; i < w->nr; i++) {
		snapid_print(text, sizeof(text), w->id[i]);
		fprintf(w->out, "dmsetup create %s --table \"0 %u multisnap-snap origin %s\"\n",
			device_of(w->id[i], name), w->sectors + w->past, text);
	}
}

static void put_op(struct random_work *w)
{
	u32 kind = draw(w, 100);

	if (kind < 50)
		put_request(w);
	else if (kind < 68)
		put_at_once(w);
	else if (kind < 74)
		put_held(w);
	else if (kind < 84)
		put_create(w);
	else if (kind < 92)
		put_delete(w);
	else if (kind < 97)
		fprintf(w->out, "dmsetup message ms 0 settle\n");
	else
		put_reload(w);
}

char *random_script(u64 seed, u32 ops)
{
	struct random_work w = { .state = crash_mix(seed, 0xACE), .fill = 1 };
	char *text = NULL;
	size_t size;

	draw_config(&w);
	w.out = open_memstream(&text, &size);
	if (!w.out)
		abort();
	fprintf(w.out, "disk origin %us\ndisk store %uK\ndmsetup create ms --table \"%s\"\n", w.sectors,
		w.store_kib, w.table);
	fprintf(w.out, "write ms 0 %u fill=%u\n", w.sectors, w.fill++);
	while (ops--)
		put_op(&w);
	fclose(w.out);
	return text;
}
