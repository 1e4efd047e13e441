// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest store that a replay gets by with: by trying. What a store has allocated at most tells little: the store keeps
 * a reserve, and the metadata that it sets aside grows with its size. Runs for this are not verified: only whether the store
 * was full counts.
 */
#include "replay.h"

#define FIT_STEP 2048ull	/* 1 MiB: sizes tried are multiples of it */
#define FIT_SHARE 200		/* as exact as the 200th part */

struct fit {
	struct replay_source *source;
	const struct replay_extent *extent;
	struct replay_options options;
	sector_t low, high;		/* the one does not suffice, the other does */
};

static void try(struct fit *f, sector_t size)
{
	static struct replay_result result;

	size -= size % FIT_STEP;
	if (size <= f->low)
		size = f->low + FIT_STEP;
	if (size >= f->high)
		return;
	if (f->options.progress && progress_due())
		progress_show("trying a store of %llu MiB", size / FIT_STEP);
	f->options.store_sectors = size;
	if (!replay_run(f->source, f->extent, &f->options, &result) && !result.error)
		f->high = size;
	else
		f->low = size;
}

sector_t replay_fit(struct replay_source *source, const struct replay_extent *extent,
		    const struct replay_options *options, const struct replay_result *known)
{
	struct fit f = { .source = source, .extent = extent, .options = *options, .high = known->store_sectors };
	/* It is near what the data took: steps away from there, each twice as large, until it lies between two. */
	sector_t near = known->allocated_peak - min(known->metadata_peak, known->allocated_peak);
	sector_t step = near / 64 + FIT_STEP;

	f.options.verify = false;
	f.options.races = false;
	f.options.quiet = true;
	f.options.save_store = NULL;
	f.options.save_origin = NULL;
	try(&f, near);
	for (; f.low + step < f.high && f.high == known->store_sectors; step *= 2)
		try(&f, f.low + step);
	for (; !f.low && f.high > FIT_STEP; step *= 2)
		try(&f, f.high - min(step, f.high));
	while (f.high - f.low > FIT_STEP && f.high - f.low > f.high / FIT_SHARE)
		try(&f, f.low + (f.high - f.low) / 2);
	progress_clear();
	return f.high;
}
