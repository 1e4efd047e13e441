// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs read, write, discard, zero and flush.
 *
 * A range is issued in pieces of bs sectors, each awaited before the next, so that a single-
 * threaded script gives the same I/O here and, by pread() and pwrite() with O_DIRECT, in a real
 * kernel. The first piece that fails ends the command.
 *
 * A read prints what it found as runs: "SECTOR COUNT zero", "SECTOR COUNT fill=N" for what
 * `write ... fill=N` wrote there, "fill=N@SECTOR" for what was written at another place, "data"
 * for anything else (metadata).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

static tag_t fill_tag(u64 fill, sector_t sector)
{
	return fill ? tag_make(fill, sector) : TAG_ZERO;
}

/* Does the run that holds @a go on with @b? */
static bool same_run(tag_t a, tag_t b)
{
	if ((a | b) & TAG_LITERAL)
		return a & b & TAG_LITERAL;
	if (!a || !b)
		return a == b;
	return b == a + 1 && tag_write_no(a) == tag_write_no(b);
}

static void print_runs(struct script_thread *t, sector_t sector, u32 sectors, const tag_t *tags)
{
	u32 i, n;

	for (i = 0; i < sectors; i += n) {
		unsigned long long at = sector + i;

		for (n = 1; i + n < sectors && same_run(tags[i + n - 1], tags[i + n]); n++)
			;
		if (tags[i] & TAG_LITERAL)
			script_print(t, "%llu %u data", at, n);
		else if (!tags[i])
			script_print(t, "%llu %u zero", at, n);
		else if (tag_sector(tags[i]) == at)
			script_print(t, "%llu %u fill=%llu", at, n,
				     (unsigned long long)tag_write_no(tags[i]));
		else
			script_print(t, "%llu %u fill=%llu@%llu", at, n,
				     (unsigned long long)tag_write_no(tags[i]),
				     (unsigned long long)tag_sector(tags[i]));
	}
}

static void check_expect(struct script_thread *t, const struct script_command *c, const tag_t *tags)
{
	for (u32 i = 0; i < c->args.sectors; i++) {
		sector_t sector = c->args.sector + i;

		if (tags[i] != fill_tag(c->args.expect, sector)) {
			script_failed(t, c, "sector %llu is not as expected: %s",
				      (unsigned long long)sector, c->text);
			return;
		}
	}
}

/* Issues the pieces; *done sectors were served before the first error. */
static int issue(const struct script_command *c, struct block_device *bdev, tag_t *tags, u32 *done)
{
	u32 total = c->args.sectors, piece = c->args.bs ? c->args.bs : total, n;
	sector_t sector = c->args.sector;
	struct bio *bio;
	u64 begun;
	int r = 0;

	for (*done = 0; *done < total; *done += n) {
		n = piece < total - *done ? piece : total - *done;
		begun = script_io_begin(c, sector + *done, n, tags ? tags + *done : NULL);
		bio = sim_bio_alloc(bdev, c->args.opf, sector + *done, n, tags ? tags + *done : NULL);
		r = sim_bio_wait(bio);
		script_io_end(begun, r);
		if (r)
			break;
	}
	return r;
}

void script_io(struct script_thread *t, const struct script_command *c)
{
	struct block_device *bdev = disk_bdev(c->args.name);
	unsigned int op = c->args.opf & REQ_OP_MASK;
	tag_t *tags = NULL;
	char where[32];
	u32 done = 0;
	int r;

	if (!bdev) {
		script_result(t, c, -ENOENT, NULL);
		return;
	}
	if (!c->args.sectors) {
		u64 begun = script_io_begin(c, 0, 0, NULL);

		r = sim_bio_wait(sim_bio_alloc(bdev, c->args.opf, 0, 0, NULL));
		script_io_end(begun, r);
		script_result(t, c, r, NULL);
		return;
	}
	if (op == REQ_OP_READ || op == REQ_OP_WRITE) {
		tags = calloc(c->args.sectors, sizeof(*tags));
		if (!tags)
			abort();
	}
	for (u32 i = 0; op == REQ_OP_WRITE && i < c->args.sectors; i++)
		tags[i] = fill_tag(c->args.fill, c->args.sector + i);
	r = issue(c, bdev, tags, &done);
	if (op == REQ_OP_READ)
		print_runs(t, c->args.sector, done, tags);
	snprintf(where, sizeof(where), "at %llu", (unsigned long long)(c->args.sector + done));
	script_result(t, c, r, where);
	if (!r && (c->args.flags & SCRIPT_HAS_EXPECT))
		check_expect(t, c, tags);
	free(tags);
}
