// SPDX-License-Identifier: GPL-2.0
/*
 * The disks after a power cut (image.h): flat arrays of contents, a list of what was overwritten, and a
 * hash that is kept up to date with each change.
 */
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "image.h"

void image_init(struct image *im, const sector_t sectors[CRASH_DISKS])
{
	memset(im, 0, sizeof(*im));
	for (u32 d = 0; d < CRASH_DISKS; d++) {
		im->disk[d].sectors = sectors[d];
		im->disk[d].now = calloc(sectors[d], sizeof(content_t));
		im->disk[d].read = calloc(sectors[d] / 8 + 1, 1);
		if (!im->disk[d].now || !im->disk[d].read)
			abort();
	}
}

void image_exit(struct image *im)
{
	for (u32 d = 0; d < CRASH_DISKS; d++) {
		free(im->disk[d].now);
		free(im->disk[d].read);
	}
	free(im->undo);
	free(im->choices);
	free(im->pool);
}

static inline u64 place(u32 disk, sector_t sector)
{
	return (u64)disk << 48 | sector;
}

/* Of a choice: of all its alternatives, whether one was decided for or not. */
static u64 image_content_hash(const struct image *im, content_t c)
{
	return content_is_choice(c) ? image_choice(im, c)->hash : content_hash(c);
}

static inline u64 sector_hash(const struct image *im, u32 disk, sector_t sector, content_t c)
{
	/* Zeroes count for nothing: so the hash of an empty disk is 0. */
	return c ? crash_mix(place(disk, sector), image_content_hash(im, c)) : 0;
}

void image_set(struct image *im, u32 disk, sector_t sector, content_t c)
{
	content_t *at = &im->disk[disk].now[sector];

	if (*at == c)
		return;
	im->undo = crash_grow(im->undo, im->nr_undo + 1, &im->max_undo, sizeof(*im->undo));
	im->undo[im->nr_undo++] = (struct image_undo){ disk, *at, sector };
	im->hash ^= sector_hash(im, disk, sector, *at) ^ sector_hash(im, disk, sector, c);
	*at = c;
}

struct image_mark image_mark(const struct image *im)
{
	return (struct image_mark){ im->nr_undo, im->nr_choices, im->nr_pool };
}

void image_rollback_writes(struct image *im, struct image_mark mark)
{
	while (im->nr_undo > mark.undo) {
		const struct image_undo *u = &im->undo[--im->nr_undo];
		content_t *at = &im->disk[u->disk].now[u->sector];

		im->hash ^= sector_hash(im, u->disk, u->sector, *at) ^
			    sector_hash(im, u->disk, u->sector, u->old);
		*at = u->old;
	}
}

void image_rollback(struct image *im, struct image_mark mark)
{
	image_rollback_writes(im, mark);
	im->nr_choices = mark.choices;
	im->nr_pool = mark.pool;
}

/* ---- choices ---- */

void image_undecided(struct image *im, u32 disk, sector_t sector, const content_t *options,
		     const u32 *issued, u32 nr)
{
	struct choice *ch;

	im->choices = crash_grow(im->choices, (u64)im->nr_choices + 1, &im->max_choices,
				 sizeof(*im->choices));
	im->pool = crash_grow(im->pool, (u64)im->nr_pool + nr, &im->max_pool, sizeof(*im->pool));
	ch = &im->choices[im->nr_choices];
	*ch = (struct choice){ .disk = disk, .sector = sector, .nr = nr, .first = im->nr_pool,
			       .decided = UNDECIDED, .hash = place(disk, sector) };
	for (u32 i = 0; i < nr; i++) {
		im->pool[im->nr_pool++] = (struct choice_option){ options[i], issued[i] };
		ch->hash = crash_mix(ch->hash, image_content_hash(im, options[i]));
		ch->literal |= content_is_choice(options[i]) ?
				       image_choice(im, options[i])->literal :
				       content_literal(options[i]) != NULL;
	}
	image_set(im, disk, sector, CONTENT_CHOICE | im->nr_choices++);
}

content_t image_decided(const struct image *im, content_t c)
{
	while (content_is_choice(c)) {
		const struct choice *ch;

		if (c & CONTENT_PLACE) {
			c = image_get(im, c >> 29 & 1, c & (CONTENT_PLACE / 2 - 1));
			continue;
		}
		ch = image_choice(im, c);
		if (ch->decided == UNDECIDED)
			break;
		c = choice_option(im, ch, ch->decided);
	}
	return c;
}

u64 image_class(const struct image *im, u64 hash)
{
	for (u32 i = 0; i < im->nr_choices; i++) {
		const struct choice *ch = &im->choices[i];

		if (ch->decided != UNDECIDED)
			hash ^= sector_hash(im, ch->disk, ch->sector, CONTENT_CHOICE | i) ^
				sector_hash(im, ch->disk, ch->sector,
					    choice_option(im, ch, ch->decided));
	}
	return hash;
}

content_t image_look(struct image *im, content_t c)
{
	while (content_is_choice(c)) {
		struct choice *ch = image_choice(im, c);

		if (ch->decided == UNDECIDED)
			ch->decided = im->decide(im->decide_context, c & ~CONTENT_CHOICE);
		c = choice_option(im, ch, ch->decided);
	}
	return c;
}

void image_note_reads(struct image *im)
{
	im->note_reads = true;
	for (u32 d = 0; d < CRASH_DISKS; d++)
		memset(im->disk[d].read, 0, im->disk[d].sectors / 8 + 1);
}

/* ---- as a disk ---- */

struct image_disk_context {
	struct image *im;
	u32 disk;
};

static void backed_read(void *context, sector_t sector, u32 count, struct sector_data *data, u32 offset)
{
	struct image_disk_context *ctx = context;
	struct image *im = ctx->im;

	for (u32 i = 0; i < count; i++) {
		content_t c = image_decided(im, image_get(im, ctx->disk, sector + i));
		const u8 *literal;

		if (im->note_reads && !content_is_choice(c))
			im->disk[ctx->disk].read[(sector + i) / 8] |= 1 << (sector + i) % 8;
		if (!data->tags) {
			content_bytes(image_look(im, c),
				      data->bytes + (size_t)(offset + i) * SECTOR_SIZE);
			continue;
		}
		if (content_is_choice(c) && data->keep_literals && image_choice(im, c)->literal)
			c = image_look(im, c);
		data->tags[offset + i] = content_tag(c);
		literal = data->keep_literals ? content_literal(c) : NULL;
		if (literal) {
			sector_data_need_literals(data);
			memcpy(data->literals[offset + i], literal, SECTOR_SIZE);
		}
	}
}

static void backed_write(void *context, sector_t sector, u32 count, const struct sector_data *data,
			 u32 offset)
{
	struct image_disk_context *ctx = context;

	for (u32 i = 0; i < count; i++)
		image_set(ctx->im, ctx->disk, sector + i, content_of_data(data, offset + i));
}

static void backed_zero(void *context, sector_t sector, sector_t count)
{
	struct image_disk_context *ctx = context;

	for (sector_t i = 0; i < count; i++)
		image_set(ctx->im, ctx->disk, sector + i, CONTENT_ZERO);
}

struct disk *image_disk(struct image *im, u32 disk)
{
	static const struct disk_backing backing = {
		.read = backed_read,
		.write = backed_write,
		.zero = backed_zero,
	};
	static struct image_disk_context contexts[CRASH_DISKS];

	contexts[disk] = (struct image_disk_context){ im, disk };
	return disk_backed_create(im->disk[disk].sectors, &backing, &contexts[disk]);
}
