// SPDX-License-Identifier: GPL-2.0
/*
 * Versions of sectors (cells.h): a list for each sector that was written since its last durable content.
 *
 * Invariant: a version that is superseded by a durable one is not in its list; a list of one durable version is
 * the base instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cells.h"
#include "sim.h"

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

void cells_init(struct cells *cells, sector_t sectors)
{
	memset(cells, 0, sizeof(*cells));
	cells->sectors = sectors;
	cells->cell = must(calloc(sectors, sizeof(*cells->cell)));
}

void cells_exit(struct cells *cells)
{
	for (u32 i = 0; i < cells->nr_dirty; i++)
		free(cells->cell[cells->dirty[i]].version);
	free(cells->cell);
	free(cells->dirty);
	free(cells->settled);
}

static void push(sector_t **list, u32 *nr, u32 *max, sector_t sector)
{
	*list = crash_grow(*list, (u64)*nr + 1, max, sizeof(**list));
	(*list)[(*nr)++] = sector;
}

static void add_version(struct cells *cells, sector_t sector, const struct cell_version *version)
{
	struct cell *cell = &cells->cell[sector];

	if (cell->nr == cell->max) {
		cell->max = cell->max ? 2 * cell->max : 4;
		cell->version = must(realloc(cell->version, cell->max * sizeof(*cell->version)));
	}
	cell->version[cell->nr++] = *version;
	if (cell->dirty)
		return;
	cell->dirty = true;
	push(&cells->dirty, &cells->nr_dirty, &cells->max_dirty, sector);
}

void cells_set_base(struct cells *cells, sector_t sector, const content_t *options, u32 nr)
{
	cells->cell[sector].base = options[0];
	/* Durable at the same moment: none supersedes another, all supersede the base. */
	for (u32 i = 0; nr > 1 && i < nr; i++)
		add_version(cells, sector,
			    &(struct cell_version){ .content = options[i], .durable = true });
}

/*
 * A version is superseded if it ended before the last of those that supersede was issued. None of them: -1, and the
 * base is possible too.
 */
static s64 last_durable(const struct cell *cell, u32 flushed)
{
	s64 last = -1;

	for (u32 i = 0; i < cell->nr; i++) {
		const struct cell_version *v = &cell->version[i];

		if ((v->durable || (!v->failed && v->ended < flushed)) && v->issued > last)
			last = v->issued;
	}
	return last;
}

static s64 last_ended(const struct cell *cell, u32 before)
{
	s64 last = -1;

	for (u32 i = 0; i < cell->nr; i++) {
		const struct cell_version *v = &cell->version[i];

		if (!v->failed && v->ended < before && v->issued > last)
			last = v->issued;
	}
	return last;
}

/* Forgets what is superseded, after a version became durable. */
static void prune(struct cells *cells, sector_t sector)
{
	struct cell *cell = &cells->cell[sector];
	s64 last = last_durable(cell, 0);
	u32 kept = 0;

	for (u32 i = 0; i < cell->nr; i++)
		if (cell->version[i].ended >= last)
			cell->version[kept++] = cell->version[i];
	cell->nr = kept;
	if (kept == 1 && cell->version[0].durable) {
		cell->base = cell->version[0].content;
		cell->nr = 0;
		push(&cells->settled, &cells->nr_settled, &cells->max_settled, sector);
	}
}

void cells_issue(struct cells *cells, u32 now, sector_t sector, content_t content)
{
	add_version(cells, sector, &(struct cell_version){
		.content = content,
		.issued = now,
		.ended = CELLS_PENDING,
	});
}

void cells_end(struct cells *cells, u32 now, u32 issued, sector_t sector, u32 sectors, bool fua,
	       bool failed)
{
	for (sector_t s = sector; s < sector + sectors; s++) {
		struct cell *cell = &cells->cell[s];

		for (u32 i = 0; i < cell->nr; i++) {
			struct cell_version *v = &cell->version[i];

			if (v->issued != issued)
				continue;
			v->ended = now;
			v->failed = failed;
			v->durable = fua && !failed;
		}
		if (fua && !failed)
			prune(cells, s);
	}
}

void cells_flushed(struct cells *cells, u32 issued)
{
	u32 kept = 0;

	for (u32 i = 0; i < cells->nr_dirty; i++) {
		sector_t sector = cells->dirty[i];
		struct cell *cell = &cells->cell[sector];

		for (u32 j = 0; j < cell->nr; j++) {
			struct cell_version *v = &cell->version[j];

			v->durable |= !v->failed && v->ended < issued;
		}
		prune(cells, sector);
		if (cell->nr) {
			cells->dirty[kept++] = sector;
			continue;
		}
		cell->dirty = false;
		free(cell->version);
		cell->version = NULL;
		cell->max = 0;
	}
	cells->nr_dirty = kept;
}

static bool is_absent(const struct cells_suppose *suppose, u32 issued)
{
	for (u32 i = 0; i < suppose->nr_absent; i++)
		if (suppose->absent[i] == issued)
			return true;
	return false;
}

static u32 add_option(content_t options[CELLS_MAX], u32 issued[CELLS_MAX], u32 nr, content_t content,
		      u32 when)
{
	for (u32 i = 0; i < nr; i++)
		if (options[i] == content)
			return nr;
	if (nr == CELLS_MAX)
		sim_limit("more than %d versions of a sector without a flush: too many to be judged", CELLS_MAX);
	options[nr] = content;
	if (issued)
		issued[nr] = when;
	return nr + 1;
}

u32 cells_options(const struct cells *cells, sector_t sector, const struct cells_suppose *suppose,
		  content_t options[CELLS_MAX], u32 issued[CELLS_MAX])
{
	const struct cell *cell = &cells->cell[sector];
	s64 last;
	u32 nr = 0;

	if (!cell->nr)
		return add_option(options, issued, 0, cell->base, 0);
	if (suppose->power_on)
		last = last_ended(cell, suppose->before ? suppose->before : CELLS_PENDING);
	else
		last = last_durable(cell, suppose->flushed);
	if (last < 0)
		nr = add_option(options, issued, nr, cell->base, 0);
	for (u32 i = 0; i < cell->nr; i++) {
		const struct cell_version *v = &cell->version[i];

		if (v->ended >= last && !is_absent(suppose, v->issued))
			nr = add_option(options, issued, nr, v->content, v->issued);
	}
	return nr;
}
