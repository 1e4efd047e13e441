// SPDX-License-Identifier: GPL-2.0
/*
 * What a bio carries: sectors as tags, as bytes, or as literals that were kept (disk.h).
 */
#include <stdlib.h>
#include <string.h>

#include "fake/sched.h"

tag_t sector_data_tag(const struct sector_data *data, u32 i)
{
	const u8 *bytes;
	tag_t tag;

	if (data->tags)
		return data->tags[i];
	bytes = data->bytes + (size_t)i * SECTOR_SIZE;
	return tag_recognise(bytes, &tag) ? tag : tag_of_literal(bytes);
}

void sector_data_bytes(const struct sector_data *data, u32 i, u8 bytes[SECTOR_SIZE])
{
	if (!data->tags) {
		memcpy(bytes, data->bytes + (size_t)i * SECTOR_SIZE, SECTOR_SIZE);
	} else if (!(data->tags[i] & TAG_LITERAL)) {
		tag_expand(data->tags[i], bytes);
	} else if (data->literals) {
		memcpy(bytes, data->literals[i], SECTOR_SIZE);
	} else {
		sim_fail("disk: the bytes of a literal sector were not kept");
	}
}

/* ---- literals: in a list, for what is in flight when a world is cut off ---- */

struct literals {
	struct list_head list;
	u8 bytes[][SECTOR_SIZE];
};

static LIST_HEAD(all_literals);

void sector_data_need_literals(struct sector_data *data)
{
	struct literals *l;

	if (data->literals)
		return;
	l = malloc(sizeof(*l) + (size_t)data->sectors * SECTOR_SIZE);
	if (!l)
		abort();
	list_add(&l->list, &all_literals);
	data->literals = l->bytes;
}

void sector_data_drop_literals(struct sector_data *data)
{
	struct literals *l;

	if (!data->literals)
		return;
	sched_enter();
	l = container_of(data->literals, struct literals, bytes[0]);
	list_del(&l->list);
	data->literals = NULL;
	sched_exit();
	free(l);
}

static void literals_discard(void)
{
	struct literals *l, *next;

	list_for_each_entry_safe(l, next, &all_literals, list)
		free(l);
	INIT_LIST_HEAD(&all_literals);
}

static struct world_part literals_part = {
	.name = "literals",
	.discard = literals_discard,
};

static void __attribute__((constructor)) literals_init(void)
{
	world_part_register(&literals_part);
}
