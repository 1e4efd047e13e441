// SPDX-License-Identifier: GPL-2.0
/*
 * Tree nodes, map blocks and superblocks with right checksums that say what cannot be (H25): whoever needs them, at load, in
 * a look-up, an allocation or a merge, ends in an error that names what is wrong, and no answer is given from them.
 */
#include "hostile_store.h"

/* When it is found, at the latest. */
enum when {
	AT_LOAD,
	AT_FIND, /* chunk 0 is looked up */
	AT_ADD, /* a chunk is allocated */
	AT_MERGE, /* a checkpoint is made of changes to the first three leaves */
};

/* ---- nodes, taken apart and put together ---- */

struct unpacked {
	u64 location;
	struct node_disk *node;
	struct entry entries[NODE_ENTRIES_MAX];
	unsigned int count;
	u64 seq;
};

static struct unpacked root, leaf; /* @leaf: the one that the test wants */

static void unpack(struct hostile *h, struct unpacked *u, u64 location)
{
	struct node_layout layout;

	u->location = location;
	u->node = hostile_block(h, location);
	u->seq = le64_to_cpu(u->node->seq);
	node_open(&layout, u->node);
	u->count = layout.count;
	for (unsigned int i = 0; i < layout.count; i++)
		node_entry(&layout, u->node, i, &u->entries[i]);
}

/* What is wrong may take more room: entries in the middle make way. */
static void pack(struct unpacked *u)
{
	while (!node_build(u->node, u->entries, u->count, u->node->level, u->seq)) {
		unsigned int middle = u->count / 2;

		CHECK(u->count > 8);
		u->count--;
		memmove(&u->entries[middle], &u->entries[middle + 1],
			(u->count - middle) * sizeof(u->entries[0]));
	}
	block_seal(u->node, u->location);
}

static void unpack_leaf(struct hostile *h, unsigned int i)
{
	unpack(h, &leaf, root.entries[i].a);
}

static struct entry *last_child(void)
{
	return &root.entries[root.count - 1];
}

/* ---- what is wrong in the tree ---- */

static void child_before_area(struct hostile *h)
{
	last_child()->a = h->super.meta_start - 1;
	pack(&root);
}

static void child_behind_area(struct hostile *h)
{
	last_child()->a = h->super.meta_start + h->super.meta_blocks;
	pack(&root);
}

static void child_of_the_future(struct hostile *h)
{
	unpack_leaf(h, root.count - 1);
	leaf.seq = last_child()->b = h->super.ckpt + 1;
	pack(&leaf);
	pack(&root);
}

static void sequence_of_eight_bytes(struct hostile *h)
{
	root.entries[0].b = 1ULL << 60;
	pack(&root);
}

static void child_of_other_level(struct hostile *h)
{
	root.entries[0] = (struct entry){ .a = root.location, .b = root.seq };
	pack(&root);
}

static void child_is_a_map(struct hostile *h)
{
	struct map_disk *map;

	unpack_leaf(h, root.count - 1);
	map = (void *)leaf.node;
	memset(map, 0, MBLOCK_BYTES);
	map->magic = cpu_to_le32(MAP_MAGIC);
	map->seq = cpu_to_le64(leaf.seq);
	block_seal(map, leaf.location);
}

static void other_first_key(struct hostile *h)
{
	last_child()->chunk--;
	pack(&root);
}

static void last_key_too_large(struct hostile *h)
{
	unpack_leaf(h, 0);
	leaf.entries[leaf.count - 1].chunk = root.entries[1].chunk;
	leaf.entries[leaf.count - 1].from = root.entries[1].from;
	pack(&leaf);
}

static void entry_before_data(struct hostile *h)
{
	unpack_leaf(h, 0);
	leaf.entries[0].b = h->super.data_start - 1;
	pack(&leaf);
}

static void entry_behind_data(struct hostile *h)
{
	unpack_leaf(h, 0);
	leaf.entries[0].b = h->super.data_start + h->super.data_chunks;
	pack(&leaf);
}

static void entry_of_the_origin(struct hostile *h)
{
	unpack_leaf(h, 0);
	leaf.entries[1].from = SNAPID_ORIGIN;
	pack(&leaf);
}

static void entry_up_to_the_origin(struct hostile *h)
{
	unpack_leaf(h, 0);
	leaf.entries[1].a = SNAPID_ORIGIN;
	pack(&leaf);
}

static void no_entries(struct hostile *h)
{
	unpack_leaf(h, 0);
	leaf.node->count = 0;
	block_seal(leaf.node, leaf.location);
}

/* ---- snapshots, which stand at the end of the last leaf: 0, 1.0, 1, 2 ---- */

static struct entry *snapshot_entry(struct hostile *h, unsigned int i)
{
	unpack_leaf(h, root.count - 1);
	CHECK(leaf.count >= 4 && leaf.entries[leaf.count - 4].from == FIRST_LEVEL(0), "%u",
	      leaf.count);
	return &leaf.entries[leaf.count - 4 + i];
}

static void snapshots_as_a_range(struct hostile *h)
{
	snapshot_entry(h, 0)->a = FIRST_LEVEL(1);
	pack(&leaf);
}

static void counter_too_large(struct hostile *h)
{
	snapshot_entry(h, 0)->b = 1ULL << 32;
	pack(&leaf);
}

static void counter_of_a_sub(struct hostile *h)
{
	snapshot_entry(h, 1)->b = 1;
	pack(&leaf);
}

static void sub_beyond_the_counter(struct hostile *h)
{
	snapshot_entry(h, 2)->b = 0;
	pack(&leaf);
}

static void snapshot_beyond_the_counter(struct hostile *h)
{
	hostile_super(h)->next_first = cpu_to_le64(2);
	hostile_seal_super(h);
}

static void more_snapshots_than_entries(struct hostile *h)
{
	hostile_super(h)->nr_snapshots = cpu_to_le64(5);
	hostile_seal_super(h);
}

/* ---- maps ---- */

/* The block of this map, level and index that counts. */
static struct map_disk *map_block(struct hostile *h, u8 id, unsigned int level, u64 *location)
{
	struct map_disk *best = NULL;

	for (u64 l = h->super.map_start; l < h->super.meta_start; l++) {
		struct map_disk *map = hostile_block(h, l);

		if (le32_to_cpu(map->magic) != MAP_MAGIC || map->map != id || map->level != level ||
		    le64_to_cpu(map->index))
			continue;
		if (best && le64_to_cpu(best->seq) > le64_to_cpu(map->seq))
			continue;
		best = map;
		*location = l;
	}
	CHECK(best);
	return best;
}

static struct map_disk *data_map(struct hostile *h, unsigned int level, u64 *location)
{
	return map_block(h, 0, level, location);
}

static void map_is_a_node(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	memcpy(map, root.node, MBLOCK_BYTES);
	block_seal(map, location);
}

static void map_of_other_level(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	map->level = 2;
	block_seal(map, location);
}

static void map_of_metadata(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	map->map = 1;
	block_seal(map, location);
}

static void map_of_other_place(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	map->index = cpu_to_le64(1);
	block_seal(map, location);
}

static void map_of_other_time(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	map->seq = cpu_to_le64(le64_to_cpu(map->seq) + 1);
	block_seal(map, location);
}

static void map_entry_behind_the_end(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	map->u.entries[MAP_FAN - 1].used = cpu_to_le64(1);
	block_seal(map, location);
}

static void map_block_behind_the_end(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	map->u.entries[MAP_FAN - 1].seq_slot = cpu_to_le64(2);
	block_seal(map, location);
}

static void map_entry_of_the_future(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	map->u.entries[0].seq_slot = cpu_to_le64((le64_to_cpu(map->seq) + 1) << 1);
	block_seal(map, location);
}

static void map_entry_of_nothing(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	map->u.entries[0].seq_slot = cpu_to_le64(1);
	block_seal(map, location);
}

static void map_entry_never_written(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	map->u.entries[1].used = cpu_to_le64(1);
	CHECK(!map->u.entries[1].seq_slot);
	block_seal(map, location);
}

static void map_entry_over_full(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	map->u.entries[0].used = cpu_to_le64(MAP_BITS + 1);
	block_seal(map, location);
}

static void map_sum_wrong(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 1, &location);

	map->u.entries[0].used = cpu_to_le64(le64_to_cpu(map->u.entries[0].used) + 1);
	block_seal(map, location);
}

static void map_count_wrong(struct hostile *h)
{
	u64 location;
	struct map_disk *map = data_map(h, 0, &location);

	map->u.bits[MAP_ROOM - 1] |= 1;
	block_seal(map, location);
}

/* ---- what only a merge sees ---- */

static void all_metadata_in_use(struct hostile *h)
{
	u64 location;
	struct map_disk *map = map_block(h, 1, 0, &location);

	CHECK(h->super.meta_blocks <= MAP_BITS);
	for (unsigned int i = 0; i < h->super.meta_blocks; i++)
		map->u.bits[i / 8] |= 1 << i % 8;
	block_seal(map, location);
	hostile_super(h)->tree_blocks = hostile_super(h)->meta_map.used =
		cpu_to_le64(h->super.meta_blocks);
	hostile_seal_super(h);
}

/* ---- superblocks ---- */

static void no_data_area(struct hostile *h)
{
	hostile_super(h)->data_chunks = 0;
	hostile_seal_super(h);
}

static void data_area_too_far(struct hostile *h)
{
	hostile_super(h)->data_chunks = cpu_to_le64(CHUNKS_MAX);
	hostile_seal_super(h);
}

static void no_metadata_area(struct hostile *h)
{
	hostile_super(h)->meta_blocks = 0;
	hostile_seal_super(h);
}

static void log_between_blocks(struct hostile *h)
{
	hostile_super(h)->block_sectors = cpu_to_le32(2);
	hostile_super(h)->log_next = cpu_to_le64(mblock_to_sector(h->super.log_start) + 1);
	hostile_seal_super(h);
}

static void marked_with_eagain(struct hostile *h)
{
	hostile_super(h)->error = cpu_to_le32(EAGAIN);
	hostile_seal_super(h);
}

/* The next one would have no number. */
static void last_checkpoint(struct hostile *h)
{
	hostile_super(h)->ckpt = cpu_to_le64(U64_MAX);
	hostile_seal_super(h);
}

static void last_record(struct hostile *h)
{
	hostile_super(h)->log_seq = cpu_to_le64(U64_MAX);
	hostile_seal_super(h);
}

static void child_to_be_read_ahead(struct hostile *h)
{
	root.entries[1].a = h->super.meta_start - 1;
	pack(&root);
}

static void key_before_a_child(struct hostile *h)
{
	root.entries[1].chunk--;
	pack(&root);
}

static const struct {
	enum when when;
	const char *said;
	void (*make)(struct hostile *h);
} crafts[] = {
	{ AT_LOAD, "node outside of the metadata area", child_before_area },
	{ AT_LOAD, "node outside of the metadata area", child_behind_area },
	{ AT_LOAD, "not the node that its parent names", child_of_the_future },
	{ AT_LOAD, "not the node that its parent names", child_is_a_map },
	{ AT_FIND, "not the node that its parent names", sequence_of_eight_bytes },
	{ AT_FIND, "not the node that its parent names", child_of_other_level },
	{ AT_LOAD, "first key of a node", other_first_key },
	{ AT_FIND, "last key of a node", last_key_too_large },
	{ AT_FIND, "chunk outside of the data area", entry_before_data },
	{ AT_FIND, "chunk outside of the data area", entry_behind_data },
	{ AT_FIND, "reserved snapshot number", entry_of_the_origin },
	{ AT_FIND, "range", entry_up_to_the_origin },
	{ AT_FIND, "count of entries", no_entries },
	{ AT_LOAD, "snapshot entry", snapshots_as_a_range },
	{ AT_LOAD, "snapshot entry", counter_too_large },
	{ AT_LOAD, "counter of a sub-snapshot", counter_of_a_sub },
	{ AT_LOAD, "sub-snapshot that was never given", sub_beyond_the_counter },
	{ AT_LOAD, "snapshot that was never given", snapshot_beyond_the_counter },
	{ AT_LOAD, "number of snapshots", more_snapshots_than_entries },
	{ AT_ADD, "not the map block that its parent names", map_is_a_node },
	{ AT_ADD, "not the map block that its parent names", map_of_other_level },
	{ AT_ADD, "not the map block that its parent names", map_of_metadata },
	{ AT_ADD, "not the map block that its parent names", map_of_other_place },
	{ AT_ADD, "not the map block that its parent names", map_of_other_time },
	{ AT_ADD, "map beyond its end", map_entry_behind_the_end },
	{ AT_ADD, "map beyond its end", map_block_behind_the_end },
	{ AT_ADD, "entry of a map block", map_entry_of_the_future },
	{ AT_ADD, "entry of a map block", map_entry_of_nothing },
	{ AT_ADD, "entry of a map block", map_entry_never_written },
	{ AT_ADD, "count in a map block", map_entry_over_full },
	{ AT_ADD, "sum of counts of a map block", map_sum_wrong },
	{ AT_ADD, "count of a map block", map_count_wrong },
	{ AT_MERGE, "chunk outside of the data area, of chunk 0:", entry_before_data },
	{ AT_MERGE, "chunk outside of the data area, of chunk 0:", entry_behind_data },
	{ AT_MERGE, "node outside of the metadata area", child_to_be_read_ahead },
	{ AT_MERGE, "first key of a node", key_before_a_child },
	{ AT_MERGE, "metadata area exhausted", all_metadata_in_use },
	{ AT_LOAD, "superblock: data area", no_data_area },
	{ AT_LOAD, "superblock: data area", data_area_too_far },
	{ AT_LOAD, "superblock: metadata area", no_metadata_area },
	{ AT_LOAD, "superblock: log position", log_between_blocks },
	{ AT_LOAD, "superblock: error", marked_with_eagain },
	{ AT_LOAD, "superblock: counters", last_checkpoint },
	{ AT_LOAD, "superblock: counters", last_record },
};

static int find_chunk_0(struct dm_multisnap *s)
{
	block_t block;
	int r;

	while ((r = s->ops->find_snapshot_chunk(s->store, FIRST_LEVEL(0), 0, false, &block)) ==
	       -EAGAIN)
		double_again(s);
	return r;
}

static int add_chunk(struct dm_multisnap *s, chunk_t chunk)
{
	struct chunk_remap remap;
	int r;

	do {
		s->ops->reset_query(s->store);
		r = s->ops->query_next_remap(s->store, chunk);
		if (r == 1)
			r = s->ops->add_next_remap(s->store, &remap);
		if (r == -EAGAIN && !s->error)
			double_again(s);
	} while (r == -EAGAIN && !s->error);
	return s->error ? s->error : r;
}

/*
 * Changes to the first three leaves go to the log of a good store; then something else is changed behind them, so that the
 * merge meets it first.
 */
static void merge_with(struct hostile *h, void (*make)(struct hostile *h))
{
	struct dm_multisnap *s = &h->s;

	CHECK(double_load(s, &h->disk, "") == 0, "%s", hostile_text);
	for (unsigned int i = 0; i < 3; i++)
		CHECK(add_chunk(s, root.entries[i].chunk + 1) == 0);
	double_commit_all(s);
	double_unload(s);
	make(h);
	CHECK(double_load(s, &h->disk, "") == 0, "%s", hostile_text);
	checkpoint_poll(s->store, true);
	while (!s->error && double_event(s))
		;
}

static void craft(struct hostile *h, unsigned int i)
{
	struct dm_multisnap *s = &h->s;
	int r;

	hostile_restore(h);
	unpack(h, &root, h->super.root);
	if (crafts[i].when == AT_MERGE) {
		merge_with(h, crafts[i].make);
	} else {
		crafts[i].make(h);
		r = double_load(s, &h->disk, "");
		CHECK(r == (crafts[i].when == AT_LOAD ? -EPERM : 0), "%u: %d", i, r);
	}
	if (crafts[i].when == AT_FIND)
		CHECK(find_chunk_0(s) == -EPERM, "%u", i);
	if (crafts[i].when == AT_ADD)
		CHECK(add_chunk(s, 3 * HOSTILE_CHUNKS) == -EPERM, "%u", i);
	CHECK(hostile_said(crafts[i].said), "%u: not '%s' but: %s", i, crafts[i].said,
	      hostile_text);
	if (crafts[i].when == AT_LOAD)
		CHECK(!strcmp(s->refused, strncmp(crafts[i].said, "superblock:", 11) ?
						  "Damaged metadata of the store" :
						  "Damaged superblock of the store"),
		      "%u: %s", i, s->refused);
	if (crafts[i].when == AT_LOAD)
		return;
	CHECK(s->error == -EPERM, "%u", i);
	/* Nothing more reaches the device: no checkpoint was made of it. */
	r = h->disk.writes;
	checkpoint_poll(s->store, true);
	while (double_event(s))
		;
	CHECK(h->disk.writes == r && s->store->super.ckpt == h->super.ckpt, "%u", i);
	double_unload(s);
}

static void all_crafts(void *arg)
{
	struct hostile h;

	hostile_make(&h, HOSTILE_CHUNKS);
	for (unsigned int i = 0; i < ARRAY_SIZE(crafts); i++)
		craft(&h, i);
	hostile_restore(&h);
	CHECK(double_load(&h.s, &h.disk, "") == 0);
	CHECK(find_chunk_0(&h.s) == CHUNK_SHARED);
	CHECK(add_chunk(&h.s, 3 * HOSTILE_CHUNKS) == 0);
	CHECK(!*hostile_text, "nothing is wrong, and it says: %s", hostile_text);
	double_unload(&h.s);
	hostile_free(&h);
}

static void h25_what_cannot_be_is_an_error_that_names_it(void **state)
{
	hostile_run(all_crafts, NULL);
}

/* The end of the metadata area is in use: new nodes are put in front of it. */
static void round_the_area(void *arg)
{
	u64 location, n, before;
	struct map_disk *map;
	struct hostile h;

	hostile_make(&h, HOSTILE_CHUNKS);
	hostile_restore(&h);
	n = h.super.meta_blocks;
	map = map_block(&h, 1, 0, &location);
	for (u64 i = n - 8; i < n; i++)
		map->u.bits[i / 8] |= 1 << i % 8;
	block_seal(map, location);
	hostile_super(&h)->tree_blocks = hostile_super(&h)->meta_map.used =
		cpu_to_le64(h.super.tree_blocks + 8);
	hostile_seal_super(&h);
	CHECK(double_load(&h.s, &h.disk, "") == 0, "%s", hostile_text);
	before = h.s.store->super.root;
	h.s.store->ckpt.merge.meta_next = n - 4;
	CHECK(add_chunk(&h.s, 1) == 0);
	hostile_checkpoint(&h.s);
	CHECK(h.s.store->super.root != before);
	CHECK(h.s.store->super.root - h.super.meta_start < n - 8);
	CHECK(h.s.store->ckpt.merge.meta_next < n - 8);
	CHECK(find_chunk_0(&h.s) == CHUNK_SHARED);
	double_unload(&h.s);
	hostile_free(&h);
}

static void new_nodes_go_round_the_metadata_area(void **state)
{
	hostile_run(round_the_area, NULL);
}

/* One block is free. Once it is taken, the search goes on to the end of the area and round, and must not come to it again. */
static void one_is_left(void *arg)
{
	struct map_disk *map;
	struct hostile h;
	u64 location, n;

	hostile_make(&h, HOSTILE_CHUNKS);
	hostile_restore(&h);
	n = h.super.meta_blocks;
	all_metadata_in_use(&h);
	map = map_block(&h, 1, 0, &location);
	map->u.bits[(n - 6) / 8] &= ~(1 << (n - 6) % 8);
	block_seal(map, location);
	hostile_super(&h)->tree_blocks = hostile_super(&h)->meta_map.used = cpu_to_le64(n - 1);
	hostile_seal_super(&h);
	CHECK(double_load(&h.s, &h.disk, "") == 0, "%s", hostile_text);
	h.s.store->ckpt.merge.meta_next = n - 8;
	CHECK(add_chunk(&h.s, 1) == 0);
	double_commit_all(&h.s);
	checkpoint_poll(h.s.store, true);
	while (!h.s.error && double_event(&h.s))
		;
	CHECK(h.s.error == -EPERM && hostile_said("metadata area exhausted"), "%s", hostile_text);
	CHECK(h.s.store->ckpt.merge.meta_next == n - 5);
	double_unload(&h.s);
	hostile_free(&h);
}

static void a_search_all_round_ends_where_it_began(void **state)
{
	hostile_run(one_is_left, NULL);
}

/* Behind the mark a superblock may say anything, and nothing of that gets into the status. */
static void marked(void *arg)
{
	u64 total, allocated, metadata;
	struct hostile h;

	hostile_make(&h, HOSTILE_CHUNKS);
	hostile_restore(&h);
	hostile_super(&h)->error = cpu_to_le32(ENOSPC);
	hostile_super(&h)->tree_blocks = cpu_to_le64(U64_MAX - 1000);
	hostile_seal_super(&h);
	CHECK(double_load(&h.s, &h.disk, "") == 0);
	CHECK(h.s.error == -ENOSPC);
	h.s.ops->get_space(h.s.store, &total, &allocated, &metadata);
	CHECK(metadata <= allocated && allocated <= total, "%llu %llu %llu", metadata, allocated, total);
	double_unload(&h.s);
	hostile_free(&h);
}

static void the_sizes_of_a_store_that_is_marked_invalid_are_sane(void **state)
{
	hostile_run(marked, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h25_what_cannot_be_is_an_error_that_names_it),
		cmocka_unit_test(new_nodes_go_round_the_metadata_area),
		cmocka_unit_test(a_search_all_round_ends_where_it_began),
		cmocka_unit_test(the_sizes_of_a_store_that_is_marked_invalid_are_sane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
