// SPDX-License-Identifier: GPL-2.0
/*
 * The offline check: the order of things, and the bookkeeping of findings.
 *
 * Method: superblock and geometry first, since all else is found through them; where the areas are
 * not known, nothing else is looked at. Then each part for itself, so that one damage does not
 * hide another: the tree, the maps, the log. What compares two parts (maps against the tree, the
 * log's operations against the checkpoint) is left out when one of them is damaged, because all it
 * could say would be consequences; report->reason says so.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* vasprintf() */
#endif
#include <stdarg.h>

#include "check_int.h"

/* ---- findings ---- */

static char *place_text(const struct check_place *place)
{
	char text[160];
	size_t n = 0;

	text[0] = 0;
	if (place->in_block)
		n += snprintf(text + n, sizeof(text) - n, "block %llu (sector %llu)",
			      place->sector / CHECK_BLOCK_SECTORS, place->sector);
	else if (place->sector != CHECK_NOWHERE)
		n += snprintf(text + n, sizeof(text) - n, "sector %llu", place->sector);
	if (place->record)
		n += snprintf(text + n, sizeof(text) - n, "%srecord %llu", n ? ", " : "",
			      place->record);
	if (place->part)
		snprintf(text + n, sizeof(text) - n, "%s%s %llu", n ? ", " : "", place->part,
			 place->index);
	return strdup(text);
}

static void keep_finding(struct check *c, const struct check_place *place, const char *field,
			 const char *advice, const char *fmt, va_list args)
{
	struct check_report *report = c->report;
	struct check_finding *f;
	size_t max = report->max_findings ? report->max_findings : CHECK_MAX_FINDINGS;

	report->nr_errors++;
	if (report->nr_findings >= max)
		return;
	f = reallocarray(report->findings, report->nr_findings + 1, sizeof(*f));
	if (!f) {
		c->out_of_memory = true;
		return;
	}
	report->findings = f;
	f += report->nr_findings;
	*f = (struct check_finding){
		.area = place->area,
		.sector = place->sector,
		.place = place_text(place),
		.field = field,
		.advice = advice,
	};
	if (vasprintf(&f->what, fmt, args) < 0)
		f->what = NULL;
	if (!f->what || !f->place) {
		c->out_of_memory = true;
		free(f->what);
		free(f->place);
		return;
	}
	report->nr_findings++;
}

void check_found(struct check *c, const struct check_place *place, const char *field,
		 const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	keep_finding(c, place, field, NULL, fmt, args);
	va_end(args);
}

void check_advise(struct check *c, const struct check_place *place, const char *field,
		  const char *advice, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	keep_finding(c, place, field, advice, fmt, args);
	va_end(args);
}

/* ---- helpers ---- */

u32 check_crc(const u8 *bytes, size_t size, size_t crc_offset)
{
	static const u8 zeroes[4];
	u32 crc;

	crc = crc32c(0xffffffffu, bytes, crc_offset);
	crc = crc32c(crc, zeroes, sizeof(zeroes));
	crc = crc32c(crc, bytes + crc_offset + 4, size - crc_offset - 4);
	return ~crc;
}

bool check_all_zero(const u8 *bytes, size_t size)
{
	return !size || (!bytes[0] && !memcmp(bytes, bytes + 1, size - 1));
}

int check_compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

void check_sort_u64(u64 *values, size_t n)
{
	if (n)
		qsort(values, n, sizeof(*values), check_compare_u64);
}

bool check_grow(struct check *c, void **array, size_t *max, size_t used, size_t size)
{
	size_t want = *max ? *max + *max / 2 : 64;
	void *bigger;

	if (used < *max)
		return true;
	bigger = reallocarray(*array, want, size);
	if (!bigger) {
		c->out_of_memory = true;
		return false;
	}
	*array = bigger;
	*max = want;
	return true;
}

bool check_read_block(struct check *c, const struct check_place *place, u64 block, u8 *bytes)
{
	u64 sectors = c->source->sectors;
	int r;

	if (block >= sectors / CHECK_BLOCK_SECTORS) {
		check_advise(c, place, "place",
			     "the image is cut short: bring it back to its full size",
			     "is beyond the end of the device, which has %llu sectors", sectors);
		return false;
	}
	r = c->source->read(c->source->context, block * CHECK_BLOCK_SECTORS, CHECK_BLOCK_SECTORS,
			    bytes);
	if (r) {
		check_found(c, place, "read", "cannot be read: %s", strerror(-r));
		return false;
	}
	return true;
}

/* ---- the check ---- */

static void fill_summary(struct check *c)
{
	const struct check_super *sb = &c->sb;
	struct check_summary *s = &c->report->summary;

	s->formatted = true;
	s->mount = sb->mount;
	s->chunk_sectors = 1ULL << sb->chunk_shift;
	s->block_sectors = sb->block_sectors;
	s->origin_sectors = sb->origin_sectors;
	s->device_sectors = sb->device_sectors;
	s->log_blocks = sb->log_blocks;
	s->meta_blocks = sb->meta_blocks;
	s->data_chunks = sb->data_chunks;
	s->max_entries = sb->max_entries;
	s->ckpt = sb->ckpt;
	s->ckpt_seq = sb->log_seq;
	s->ckpt_exceptions = sb->nr_exceptions;
	s->ckpt_snapshots = sb->nr_snapshots;
	s->depth = sb->depth;
	s->tree_blocks = sb->tree_blocks;
}

static void not_compared(struct check *c, const char *what)
{
	char *reason = c->report->reason;
	size_t used = strlen(reason);

	snprintf(reason + used, sizeof(c->report->reason) - used, "%s%s", used ? "; " : "", what);
}

static void check_parts(struct check *c)
{
	struct check_report *report = c->report;
	u64 before = report->nr_errors;
	bool tree_clean;

	check_tree(c);
	tree_clean = report->nr_errors == before;
	if (!c->tree_whole)
		not_compared(c, "the maps were not compared with the tree, which is damaged");
	if (!c->out_of_memory)
		check_maps(c);
	if (!tree_clean)
		not_compared(c, "the log was not replayed onto the damaged tree");
	if (!c->out_of_memory)
		check_log(c, tree_clean);
}

int check_store(const struct check_source *source, struct check_report *report)
{
	size_t max_findings = report->max_findings;
	struct check *c = calloc(1, sizeof(*c));

	*report = (struct check_report){ .max_findings = max_findings };
	if (!c) {
		report->result = CHECK_IMPOSSIBLE;
		snprintf(report->reason, sizeof(report->reason), "out of memory");
		return report->result;
	}
	c->source = source;
	c->report = report;
	if (check_super(c)) {
		fill_summary(c);
		check_parts(c);
	}
	if (c->out_of_memory) {
		report->result = CHECK_IMPOSSIBLE;
		snprintf(report->reason, sizeof(report->reason), "out of memory");
	} else if (report->result == CHECK_CLEAN && (report->nr_errors || report->summary.error)) {
		report->result = CHECK_DAMAGED;
	}
	free(c->nodes);
	free(c->exceptions);
	free(c->snapshots);
	free(c->chunks);
	free(c);
	return report->result;
}

void check_report_free(struct check_report *report)
{
	for (size_t i = 0; i < report->nr_findings; i++) {
		free(report->findings[i].place);
		free(report->findings[i].what);
	}
	free(report->findings);
	report->findings = NULL;
	report->nr_findings = 0;
}
