// SPDX-License-Identifier: GPL-2.0
/*
 * Base images of hostile stores: the store itself makes them, in a world of its own, by a recipe; once per process.
 *
 * Each recipe leads to a state of its own: nothing there, an empty store, a tree and a log behind it, a pass of reclaim
 * under way, a full store, one that is marked invalid, large logical blocks, a log that begins anew, a map of two
 * levels. The tree of a small store is one leaf: image_base_split() packs it again into many.
 */
#include <stdlib.h>
#include <string.h>

#include "../stores/mikulas/mikulas.h"
#include "image.h"
#include "splitmix.h"

struct recipe {
	sector_t origin, store;		/* sectors */
	unsigned int chunk, block;	/* sectors, bytes */
	const char *generic;
	unsigned int steps, tail;	/* random operations with a checkpoint after each; and with none */
	unsigned int deletes;		/* in a hundred */
	bool split, loaded;
};

static const struct recipe recipes[IMAGE_BASES] = {
	{ 128, 1024, 8, 512, "0", .loaded = false },
	{ 128, 1024, 8, 512, "0", 0, 0, 0, .loaded = true },
	{ 128, 1024, 8, 512, "0", 60, 8, 3, .loaded = true },
	{ 128, 1024, 8, 512, "0", 60, 4, 3, .split = true, .loaded = true },
	{ 128, 1024, 8, 512, "0", 60, 10, 12, .loaded = true },
	{ 64, 600, 8, 512, "1 preserve-on-error", 60, 2, 10, .loaded = true },
	{ 120, 1200, 16, 4096, "0", 50, 6, 5, .loaded = true },
	{ 64, 560, 8, 512, "0", 60, 4, 0, .loaded = true },
	{ 128, 1400, 8, 512, "0", 330, 30, 20, .loaded = true },
	{ 128, 300000, 8, 512, "0", 30, 3, 3, .split = true, .loaded = true },
};

static struct image bases[IMAGE_BASES];

/* ---- making one ---- */

struct maker {
	const struct recipe *recipe;
	struct image *im;
	u64 random;
	u32 write_no;
};

static u32 draw(struct maker *m, u32 n)
{
	return splitmix_next(&m->random) % n;
}

static void write_chunk(struct maker *m, const char *device)
{
	const struct recipe *r = m->recipe;
	sector_t sector = (sector_t)draw(m, r->origin / r->chunk) * r->chunk;
	tag_t tags[64];

	m->write_no++;
	for (u32 i = 0; i < r->chunk; i++)
		tags[i] = tag_make(m->write_no, sector + i);
	sim_bio_wait(sim_bio_alloc(disk_bdev(device), REQ_OP_WRITE, sector, r->chunk, tags));
}

static snapid_t some_snapshot(struct maker *m)
{
	struct target_status st;

	if (!target_status_ask("ms", &st) || !st.nr)
		return SNAPID_ORIGIN;
	return st.ids[draw(m, st.nr)];
}

static void step(struct maker *m)
{
	u32 kind = draw(m, 100);
	char text[64], id[32], table[96];
	snapid_t snapshot = some_snapshot(m);

	snapid_print(id, sizeof(id), snapshot);
	if (kind < m->recipe->deletes && snapshot != SNAPID_ORIGIN) {
		snprintf(text, sizeof(text), "delete %s", id);
		dmctl_message("ms", text);
	} else if (kind < 60 || (kind < 88 && snapshot == SNAPID_ORIGIN)) {
		write_chunk(m, "ms");
	} else if (kind < 88) {
		snprintf(table, sizeof(table), "0 %llu multisnap-snap origin %s", m->recipe->origin, id);
		if (!world_device_create("s", table, NULL)) {
			write_chunk(m, "s");
			world_device_remove("s");
		}
	} else {
		snprintf(text, sizeof(text), "create");
		if (snapshot != SNAPID_ORIGIN && snapid_is_first_level(snapshot) && draw(m, 3) == 0)
			snprintf(text, sizeof(text), "create_subsnap %s", id);
		dmctl_message("ms", text);
		dmctl_suspend("ms", 0);
		dmctl_resume("ms");
	}
}

static void take(struct image *im, struct world_disk *store, struct world_disk *origin)
{
	struct super super;

	im->blocks = 1 + LOG_BLOCKS_MIN;
	disk_peek_bytes(store->base, 0, im->blocks * MBLOCK_SECTORS, im->bytes);
	if (!super_unpack(&super, (void *)im->bytes)) {
		im->blocks = super.meta_start + super.meta_blocks;
		disk_peek_bytes(store->base, 0, im->blocks * MBLOCK_SECTORS, im->bytes);
	}
	for (sector_t s = im->blocks * MBLOCK_SECTORS; s < im->sectors; s += 8)
		disk_peek(store->base, s, min_t(sector_t, 8, im->sectors - s),
			  &im->data[s - im->blocks * MBLOCK_SECTORS]);
	disk_peek(origin->base, 0, im->origin_sectors, im->origin);
}

static void steps(struct maker *m, const char *arguments, unsigned int n)
{
	const struct recipe *r = m->recipe;
	char table[128];

	snprintf(table, sizeof(table), "0 %llu multisnapshot origin store %u %s %s", r->origin, r->chunk, r->generic,
		 arguments);
	if (world_device_create("ms", table, NULL))
		return;
	while (n--)
		step(m);
}

static void make(void *arg)
{
	struct maker *m = arg;
	const struct recipe *r = m->recipe;

	for (u32 i = 0; i < r->origin / r->chunk; i++) {
		tag_t tags[64];

		for (u32 k = 0; k < r->chunk; k++)
			tags[k] = tag_make(0xFFFF, i * r->chunk + k);
		disk_poke(world_disk_find("origin")->base, i * r->chunk, r->chunk, tags);
	}
	if (r->loaded) {
		steps(m, "mikulas 2 cache-threshold 0", r->steps);
		dmctl_message("ms", "settle");
		world_device_remove("ms");
		steps(m, "mikulas 0", r->tail);
	}
	/* As if the power went now. */
	take(m->im, world_disk_find("store"), world_disk_find("origin"));
}

static void violation(void *context, const char *what)
{
	image_found("making a base image: %s", what);
}

static void no_log(void *context, int level, const char *line)
{
}

/* ---- where is what ---- */

void image_read_super(const struct image *im, struct super *super)
{
	super_unpack(super, (const struct super_disk *)im->bytes);
}

static void add_node(struct image *im, u64 block)
{
	if (block < im->blocks && im->nr_nodes < IMAGE_NODES_MAX)
		im->nodes[im->nr_nodes++] = block;
}

static void find_nodes(struct image *im, const struct super *super)
{
	struct node_layout layout;
	struct entry entry;

	im->nr_nodes = 0;
	if (super->root)
		add_node(im, super->root);
	for (unsigned int i = 0; i < im->nr_nodes; i++) {
		const struct node_disk *node = (void *)(im->bytes + im->nodes[i] * MBLOCK_BYTES);

		node_open(&layout, node);
		for (unsigned int k = 0; layout.level && k < layout.count; k++) {
			node_entry(&layout, node, k, &entry);
			add_node(im, entry.a);
		}
	}
}

static void find_map(struct image *im, const struct map_shape *shape, u64 start, u64 seq_slot, unsigned int level,
		     u64 index)
{
	u64 block = start + shape->place[level] + 2 * index + (seq_slot & 1);
	const struct map_disk *map = (void *)(im->bytes + block * MBLOCK_BYTES);

	if (!seq_slot || im->nr_maps == IMAGE_MAPS_MAX)
		return;
	im->maps[im->nr_maps++] = block;
	for (unsigned int i = 0; level && i < MAP_FAN; i++)
		find_map(im, shape, start, le64_to_cpu(map->u.entries[i].seq_slot), level - 1, i);
}

static void find_maps(struct image *im, const struct super *super)
{
	struct map_shape data, meta;

	im->nr_maps = 0;
	map_shape_init(&data, super->data_chunks);
	map_shape_init(&meta, super->meta_blocks);
	find_map(im, &data, super->map_start, super->data_map.seq_slot, data.levels - 1, 0);
	find_map(im, &meta, super->map_start + data.total, super->meta_map.seq_slot, meta.levels - 1, 0);
}

static void find_records(struct image *im, const struct super *super)
{
	u64 end = (super->log_start + super->log_blocks) * MBLOCK_SECTORS, at = super->log_next;
	u64 seq = super->log_seq;
	u32 crc = super->log_crc;

	im->nr_records = 0;
	while (im->nr_records < IMAGE_RECORDS_MAX) {
		const struct log_header_disk *header = (void *)(im->bytes + at * SECTOR_SIZE);

		if (le16_to_cpu(header->stamp.magic) != LOG_MAGIC || le64_to_cpu(header->stamp.seq) != ++seq ||
		    le32_to_cpu(header->prev_crc) != crc)
			return;
		im->records[im->nr_records++] = at;
		crc = le32_to_cpu(header->crc);
		at += le32_to_cpu(header->sectors);
		if (end - at < super->record_sectors)
			at = super->log_start * MBLOCK_SECTORS;
	}
}

void image_find_parts(struct image *im)
{
	struct super super;

	im->nr_nodes = im->nr_maps = im->nr_records = 0;
	if (super_unpack(&super, (void *)im->bytes) || super.error)
		return;
	find_nodes(im, &super);
	find_maps(im, &super);
	find_records(im, &super);
}

/* ---- a tree of many nodes ---- */

#define SPLIT_ENTRIES 1024

static struct entry entries[SPLIT_ENTRIES];

static unsigned int gather(const struct image *im)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < im->nr_nodes; i++) {
		const struct node_disk *node = (void *)(im->bytes + im->nodes[i] * MBLOCK_BYTES);
		struct node_layout layout;

		node_open(&layout, node);
		for (unsigned int k = 0; !layout.level && k < layout.count && n < SPLIT_ENTRIES; k++)
			node_entry(&layout, node, k, &entries[n++]);
	}
	return n;
}

/* One level: @n entries become nodes of about @most, and these the entries of the next. */
static unsigned int build_level(struct image *im, const struct super *super, unsigned int n, unsigned int level,
				unsigned int most, u64 *block)
{
	unsigned int nodes = DIV_ROUND_UP(n, most), done = 0;

	for (unsigned int i = 0; i < nodes; i++) {
		unsigned int count = (n - done) / (nodes - i);
		struct node_disk *node = (void *)(im->bytes + *block * MBLOCK_BYTES);
		struct entry parent = { entries[done].chunk, entries[done].from, *block, super->ckpt };

		if (!node_build(node, &entries[done], count, level, super->ckpt))
			image_found("making a base image: a node of %u entries", count);
		block_seal(node, *block);
		done += count;
		entries[i] = parent;
		(*block)++;
	}
	return nodes;
}

static void image_base_split(struct image *im)
{
	struct super super;
	unsigned int n = gather(im), most = DIV_ROUND_UP(n, 6);
	struct map_disk *map;
	u64 block;

	image_read_super(im, &super);
	map = (void *)(im->bytes + im->maps[im->nr_maps - 1] * MBLOCK_BYTES);
	memset(map->u.bits, 0, sizeof(map->u.bits));
	block = super.meta_start + 1;
	for (super.depth = 0; !super.depth || n > 1; super.depth++)
		n = build_level(im, &super, n, super.depth, super.depth ? 3 : most, &block);
	super.root = block - 1;
	super.root_seq = super.ckpt;
	super.tree_blocks = block - super.meta_start - 1;
	super.meta_map.used = super.tree_blocks;
	for (u64 bit = 1; bit <= super.tree_blocks; bit++)
		map->u.bits[bit / 8] |= 1 << bit % 8;
	block_seal(map, im->maps[im->nr_maps - 1]);
	super_pack((void *)im->bytes, &super);
	image_find_parts(im);
}

/* ---- all ---- */

static void must_be_clean(struct image *im, unsigned int index, struct disk *disk)
{
	struct check_report report = { 0 };
	struct check_source source;

	for (u64 b = 0; b < im->blocks; b++)
		disk_poke_bytes(disk, b * MBLOCK_SECTORS, MBLOCK_SECTORS, im->bytes + b * MBLOCK_BYTES);
	check_source_disk(&source, "base", disk);
	check_store(&source, &report);
	if (report.result == CHECK_DAMAGED && !report.summary.error) {
		check_print(&report, "base", stderr);
		image_found("base image %u is not clean", index);
	}
	check_report_free(&report);
}

static void *zeroes(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		abort();
	return p;
}

static void note_used(struct image *im)
{
	sector_t first = im->blocks * MBLOCK_SECTORS;

	im->used = zeroes(im->sectors / 8 + 1, 1);
	for (u64 b = 0; b < im->blocks; b++)
		im->used[b] = memchr_inv(im->bytes + b * MBLOCK_BYTES, 0, MBLOCK_BYTES) != NULL;
	for (sector_t s = first; s < im->sectors; s++)
		im->used[s / 8] |= im->data[s - first] != TAG_ZERO;
}

static void build(struct image *im, unsigned int index)
{
	const struct recipe *r = &recipes[index];
	struct world_options options = { .strategy = SIM_FIFO, .seed = 1, .fail = violation, .log = no_log };
	struct maker m = { .recipe = r, .im = im, .random = index };
	struct disk *disk;

	im->sectors = r->store;
	im->origin_sectors = r->origin;
	im->chunk = r->chunk;
	im->block = r->block;
	im->bytes = zeroes(im->sectors, SECTOR_SIZE);
	im->data = zeroes(im->sectors, sizeof(tag_t));
	im->origin = zeroes(im->origin_sectors, sizeof(tag_t));
	world_start(&options);
	world_disk_add("origin", r->origin, DISK_RAM, r->block, NULL);
	world_disk_add("store", r->store, DISK_RAM, r->block, NULL);
	sim_thread_start("maker", make, &m);
	sim_run();
	world_stop();
	image_find_parts(im);
	if (r->split)
		image_base_split(im);
	note_used(im);
	im->base_records = im->nr_records;
	im->changed = zeroes(im->blocks, 1);
	im->pristine = zeroes(im->blocks, MBLOCK_BYTES);
	memcpy(im->pristine, im->bytes, im->blocks * MBLOCK_BYTES);
	disk = disk_ram_create("base", im->sectors);
	must_be_clean(im, index, disk);
	disk_destroy(disk);
}

struct image *image_base(unsigned int index)
{
	struct image *im = &bases[index % IMAGE_BASES];

	if (!im->bytes)
		build(im, index % IMAGE_BASES);
	return im;
}
