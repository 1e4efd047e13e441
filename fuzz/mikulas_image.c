// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz target: a hostile image of a mikulas store (image_edit.h), which is checked offline, loaded, read, written to,
 * emptied and loaded again. image_world.c and image_truth.c say what is judged.
 */
#include "fuzz.h"
#include "image.h"

static struct truth truth;

/* Each chunk loses what its snapshots shared with the origin; a snapshot gets chunks of its own. */
static void write_all(struct truth *t)
{
	unsigned int chunk = t->run->chunk, align = t->run->im->block / SECTOR_SIZE;
	sector_t sector;

	for (sector = 0; sector < t->sectors; sector += chunk)
		truth_write(t, TRUTH_ORIGIN, REQ_OP_WRITE, sector, align);
	for (unsigned int i = 0; i < t->nr && i < 2; i++)
		for (sector = 0; sector < t->sectors; sector += 3 * chunk)
			truth_write(t, i, REQ_OP_WRITE, sector, align);
}

static void body(void *arg)
{
	struct image_run *run = arg;
	struct truth *t = &truth;

	if (!image_load(run))
		return;
	truth_begin(t, run);
	write_all(t);
	truth_verify(t);
	truth_create(t, TRUTH_ORIGIN, 0);
	if (t->nr)
		truth_delete(t, t->nr / 2);
	image_check(run, "while in use");
	if (!truth_reload(t))
		return;
	truth_verify(t);
	while (t->nr)
		truth_delete(t, 0);
	truth_settle(t);
	truth_verify(t);
	image_unload(run);
	image_check(run, "at the end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_edit edits[IMAGE_EDITS_MAX];
	struct image_head head;
	const uint8_t *rest;
	size_t left;

	if (image_input(data, size, &head, edits, &rest, &left))
		image_world(&head, edits, body);
	return 0;
}
