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
	const u8 *draws; /* come first */
	size_t nr_draws;
	u32 fill, label;
	u32 sectors, chunk, largest;	/* chunks of a request */
	u32 unit;	/* sectors of a block of the store: requests are of whole ones */
	bool preserve, fails;
	u32 given_up;	/* operations since a fault, after which the snapshots may be lost; 0: none */
	u32 past;		/* sectors of snapshots past the end of the origin */
	char store[40];
	snapid_t id[SNAPSHOTS_MAX];
	u32 nr, next;
	u32 next_sub[64];
};

/* Of the bytes: one, or two where that may not do. */
static u32 next_draw(struct random_work *w, u32 n)
{
	u32 value = *w->draws++;

	w->nr_draws--;
	if (n > 256 && w->nr_draws) {
		value = value << 8 | *w->draws++;
		w->nr_draws--;
	}
	return value % n;
}

static u32 draw(struct random_work *w, u32 n)
{
	if (w->nr_draws)
		return next_draw(w, n);
	w->state = crash_mix(w->state, 0x5EED);
	return w->state % n;
}

/* Most have room; some are full soon, some use each chunk that is freed at once. */
static void draw_store(struct random_work *w, char *buf, size_t size)
{
	u32 least = roundup(544, w->chunk); /* sectors, of which none is for data */

	switch (draw(w, 8)) {
	case 0:
	case 1:
		snprintf(buf, size, "%us", least + w->chunk * (1 + draw(w, 3)));
		break;
	case 2:
		snprintf(buf, size, "%uK", 400 + draw(w, 64));
		break;
	case 3: /* long records: the log begins anew soon */
		w->unit = 2 << draw(w, 2);
		w->sectors -= w->sectors % w->unit;
		w->past -= w->past % w->unit;
		snprintf(buf, size, "1M block=%u", w->unit * SECTOR_SIZE);
		break;
	default:
		snprintf(buf, size, "1M");
	}
}

static void draw_config(struct random_work *w)
{
	static const u32 chunks[] = { 8, 8, 8, 16, 32 };
	static const char *const stores[] = { "mikulas 0", "mikulas 2 cache-threshold 0",
					      "mikulas 2 cache-threshold 1", "mikulas 2 cache-threshold 64" };
	u32 nr = 2 + draw(w, 5), threshold = draw(w, 4);

	w->largest = 3;
	w->unit = 1;
	w->chunk = chunks[draw(w, 5)];
	if (!draw(w, 12)) { /* so many that a record is long */
		nr = 64;
		w->largest = 64;
		w->chunk = 8;
	}
	w->preserve = !draw(w, 4);
	w->fails = !draw(w, 3);
	w->sectors = nr * w->chunk - (draw(w, 2) ? draw(w, w->chunk) : 0);
	w->past = draw(w, 3) ? 0 : draw(w, 2 * w->chunk);
	snprintf(w->store, sizeof(w->store), "%s", stores[threshold]);
}

/* With @sync: with sync-snapshots, what follows is their list. */
static void put_table(struct random_work *w, bool sync)
{
	fprintf(w->out, "0 %u multisnapshot origin store %u %d %s%s%s", w->sectors, w->chunk, sync + w->preserve,
		sync ? "sync-snapshots " : "", w->preserve ? "preserve-on-error " : "", w->store);
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
	sectors = 1 + draw(w, draw(w, 3) ? w->chunk : w->largest * w->chunk);
	if (sectors > limit)
		sectors = limit;
	sector = draw(w, limit - sectors + 1);
	if (draw(w, 3) == 0) { /* a whole chunk */
		sector -= sector % w->chunk;
		sectors = w->chunk < limit - sector ? w->chunk : limit - sector;
	}
	sector -= sector % w->unit;
	sectors = roundup(sectors, w->unit);
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

static snapid_t take_out(struct random_work *w)
{
	u32 i = draw(w, w->nr);
	snapid_t id = w->id[i];

	w->id[i] = w->id[--w->nr];
	return id;
}

/* Something in the background, under the label @name and the number; what is deleted is put to @deleted. */
static void put_start(struct random_work *w, char name, u32 label, snapid_t *deleted)
{
	char text[32];

	fprintf(w->out, "start %c%u ", name, label);
	if (w->nr && *deleted == SNAPID_ORIGIN && !draw(w, 6)) {
		*deleted = take_out(w);
		snapid_print(text, sizeof(text), *deleted);
		fprintf(w->out, "dmsetup message ms 0 delete %s\n", text);
		return;
	}
	if (!draw(w, 8))
		fprintf(w->out, "dmsetup message ms 0 settle\n");
	else
		put_request(w);
}

/* Requests of a disk wait while others go on: some, or all of one area; then those of the next one. */
static void put_held(struct random_work *w)
{
	static const char *const what[] = {
		"origin op=read", "origin op=write", "store op=write,discard", "store op=write,discard", "store op=write range=0+8",
		"store op=write range=8+256", "store op=write range=8+256", "store op=write range=264+280",
	};
	u32 label = w->label++, kind = draw(w, 8), n = 2 + draw(w, 2), next = draw(w, 3);
	snapid_t deleted = SNAPID_ORIGIN;
	char name[40];

	if (draw(w, 2))
		fprintf(w->out, "settle\n");
	fprintf(w->out, "hold h%u %s", label, what[kind]);
	fprintf(w->out, kind < 4 || draw(w, 2) ? " count=%u\n" : "\n", 1 + draw(w, 2));
	for (u32 i = 0; i < n; i++) {
		put_start(w, 'a' + i, label, &deleted);
		if (draw(w, 3))
			fprintf(w->out, "settle\n");
		if (i || next)
			continue;
		fprintf(w->out, "hold i%u %s\nrelease h%u\nsettle\n", label, what[draw(w, 8)], label);
	}
	fprintf(w->out, "settle\nrelease %c%u\n", next ? 'h' : 'i', label);
	for (u32 i = 0; i < n; i++)
		fprintf(w->out, "wait %c%u\n", 'a' + i, label);
	if (deleted != SNAPID_ORIGIN)
		fprintf(w->out, "dmsetup remove %s\n", device_of(deleted, name));
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

	if (!w->nr)
		return;
	id = take_out(w);
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

static void put_device(struct random_work *w, snapid_t id)
{
	char name[40], text[32];

	snapid_print(text, sizeof(text), id);
	fprintf(w->out, "dmsetup create %s --table \"0 %u multisnap-snap origin %s\"\n", device_of(id, name),
		w->sectors + w->past, text);
}

static void put_load(struct random_work *w)
{
	fprintf(w->out, "dmsetup create ms --table \"");
	put_table(w, false);
	fprintf(w->out, "\"\n");
}

/* By the table: those that there are, and one more. */
static void put_load_sync(struct random_work *w)
{
	char text[32];

	w->id[w->nr++] = (u64)w->next++ << 32 | 0xffffffff;
	fprintf(w->out, "dmsetup create ms --table \"");
	put_table(w, true);
	fprintf(w->out, " %u", w->nr);
	for (u32 i = 0; i < w->nr; i++) {
		snapid_print(text, sizeof(text), w->id[i]);
		fprintf(w->out, " %s", text);
	}
	fprintf(w->out, "\"\n");
}

static void put_unload(struct random_work *w)
{
	char name[40];

	for (u32 i = 0; i < w->nr; i++)
		fprintf(w->out, "dmsetup remove %s\n", device_of(w->id[i], name));
	fprintf(w->out, "dmsetup remove ms\n");
}

static void put_reload(struct random_work *w)
{
	put_unload(w);
	if (!draw(w, 4) && w->nr < SNAPSHOTS_MAX && w->next < 64)
		put_load_sync(w);
	else
		put_load(w);
	for (u32 i = 0; i < w->nr; i++)
		put_device(w, w->id[i]);
}

/* All snapshots are given away. */
static void put_format(struct random_work *w)
{
	put_unload(w);
	fprintf(w->out, "zero store 0 %u\nflush store\n", w->unit);
	put_load(w);
	w->nr = w->next = w->given_up = 0;
	memset(w->next_sub, 0, sizeof(w->next_sub));
	put_create(w);
}

/*
 * Something fails, once. A record that fails, under preserve-on-error, is tried by scripts: what may be on the disk of it
 * is another matter after a load (docs/crash.md).
 */
static void put_fault(struct random_work *w)
{
	static const char *const what[] = { "origin op=read", "store op=read", "store op=write", "store op=write range=8+256" };

	fprintf(w->out, "fault %s count=1\n", what[draw(w, w->preserve ? 2 : 4)]);
	put_request(w);
	fprintf(w->out, "fault origin clear\nfault store clear\n");
	if (!w->given_up)
		w->given_up = 1;
}

static void put_op(struct random_work *w)
{
	u32 kind = draw(w, 100);

	if (w->given_up && w->given_up++ == 4) {
		put_format(w);
		return;
	}
	if (kind < 44)
		put_request(w);
	else if (kind < 58)
		put_at_once(w);
	else if (kind < 70)
		put_held(w);
	else if (kind < 81)
		put_create(w);
	else if (kind < 89)
		put_delete(w);
	else if (kind < 94)
		fprintf(w->out, "dmsetup message ms 0 settle\n");
	else if (kind < 97)
		put_reload(w);
	else if (kind < 98)
		put_format(w);
	else if (w->fails)
		put_fault(w);
}

static FILE *begin(struct random_work *w, char **text, size_t *size)
{
	char store[40];

	draw_config(w);
	draw_store(w, store, sizeof(store));
	w->out = open_memstream(text, size);
	if (!w->out)
		abort();
	fprintf(w->out, "disk origin %us\ndisk store %s\n", w->sectors, store);
	put_load(w);
	fprintf(w->out, "write ms 0 %u fill=%u\n", w->sectors, w->fill++);
	return w->out;
}

char *random_script(u64 seed, u32 ops)
{
	struct random_work w = { .state = crash_mix(seed, 0xACE), .fill = 1 };
	char *text = NULL;
	size_t size;
	FILE *out = begin(&w, &text, &size);

	while (ops--)
		put_op(&w);
	fclose(out);
	return text;
}

char *drawn_script(const u8 *draws, size_t nr, u32 ops)
{
	struct random_work w = { .draws = draws, .nr_draws = nr, .fill = 1 };
	char *text = NULL;
	size_t size;
	FILE *out = begin(&w, &text, &size);

	while (ops-- && w.nr_draws)
		put_op(&w);
	fclose(out);
	return text;
}
