// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest store that a replay gets by with: by trying. What a store has allocated at most is less than that, for it
 * keeps a reserve, and what it sets aside depends on its size. Runs for this are not verified: only whether the
 * store was full counts.
 */
#include "replay.h"

#define FIT_STEP 2048ull	/* 1 MiB: sizes tried are multiples of it */
#define FIT_SHARE 200		/* as exact as the 200th part */

static bool fits(struct replay_source *source, const struct replay_extent *extent,
		 struct replay_options *o, struct replay_result *result, sector_t size)
{
	o->store_sectors = size;
	return !replay_run(source, extent, o, result) && !result->error;
}

sector_t replay_fit(struct replay_source *source, const struct replay_extent *extent,
		    const struct replay_options *options, const struct replay_result *known)
{
	static struct replay_result result;
	struct replay_options o = *options;
	sector_t low, high = known->store_sectors;

	o.verify = false;
	o.races = false;
	o.quiet = true;
	o.save_store = NULL;
	o.save_origin = NULL;
	/* Never below what was in use, and often not much above. */
	low = known->allocated_peak / FIT_STEP * FIT_STEP;
	for (sector_t more = low / 64 + 4 * FIT_STEP; low + more < high; more *= 2) {
		sector_t size = (low + more + FIT_STEP - 1) / FIT_STEP * FIT_STEP;

		if (size < high && fits(source, extent, &o, &result, size)) {
			high = size;
			break;
		}
		if (size < high)
			low = size;
	}
	while (high - low > FIT_STEP && high - low > high / FIT_SHARE) {
		sector_t middle = (low + (high - low) / 2) / FIT_STEP * FIT_STEP;

		if (middle <= low)
			middle = low + FIT_STEP;
		if (o.progress && progress_due())
			progress_show("trying a store of %llu MiB", middle / FIT_STEP);
		if (fits(source, extent, &o, &result, middle))
			high = middle;
		else
			low = middle;
	}
	progress_clear();
	return high;
}
