// SPDX-License-Identifier: GPL-2.0
/*
 * Log records that are whole, in their place and with right checksums, and that no store would have written (H25): each
 * is refused at load, and the store says which record, and what is wrong with it. The same records made right are replayed.
 */
#include "hostile_log.h"

static void narrow(struct crafted *c, u64 chunk, snapid_t from, snapid_t new_from, snapid_t new_to,
		   u64 block)
{
	struct entry old = { .chunk = chunk, .from = from, .b = block };

	record_narrow(&c->record, &old, new_from, new_to);
}

static void discard(struct crafted *c, u64 chunk, snapid_t from, u64 block)
{
	struct entry old = { .chunk = chunk, .from = from, .b = block };

	record_remove(&c->record, &old);
}

static void byte(struct crafted *c, u8 value)
{
	c->record.data[sizeof(struct log_header_disk) + c->record.bytes++] = value;
}

/* ---- what is right ---- */

static void right(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(1), h->free_chunk);
	add(c, NEW + 1, 1ULL << 32, 1ULL << 32, h->free_chunk + 1);
	narrow(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(0), FIRST_LEVEL(0), h->free_chunk);
	discard(c, NEW + 1, 1ULL << 32, h->free_chunk + 1);
	record_create(&c->record, FIRST_LEVEL(4));
	record_create(&c->record, 1ULL << 32 | 1);
	record_delete(&c->record, FIRST_LEVEL(0));
	record_cursor(&c->record, false, 0, 7);
	record_delete(&c->record, FIRST_LEVEL(2)); /* the pass must come round once more */
	record_cursor(&c->record, false, 5, 0);
	record_cursor(&c->record, false, 5, 0);
	record_cursor(&c->record, true, 0, 0);
	record_cursor(&c->record, false, EXCEPTION_CHUNK_END, 0);
}

/* ---- ADD ---- */

static void add_chunk_too_large(struct hostile *h, struct crafted *c)
{
	add(c, EXCEPTION_CHUNK_END, FIRST_LEVEL(0), FIRST_LEVEL(0), h->free_chunk);
}

static void add_range_turned(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(1), FIRST_LEVEL(0), h->free_chunk);
}

static void add_for_unknown(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(4), h->free_chunk);
}

static void add_for_unknown_sub(struct hostile *h, struct crafted *c)
{
	add(c, NEW, 1ULL << 32, 1ULL << 32 | 1, h->free_chunk);
}

static void add_before_data(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(0), h->super.data_start - 1);
}

static void add_behind_data(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(0), h->super.data_start + h->super.data_chunks);
}

static void add_used_chunk(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(0), h->used_chunk);
}

static void add_twice(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(0), h->free_chunk);
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(0), h->free_chunk + 1);
}

static void add_chunk_twice(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(0), h->free_chunk);
	add(c, NEW + 1, FIRST_LEVEL(0), FIRST_LEVEL(0), h->free_chunk);
}

/* The allocation position has gone round: it passes no place twice between checkpoints. */
static void add_swept_twice(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(0), h->free_chunk + 9);
	add(c, NEW + 1, FIRST_LEVEL(0), FIRST_LEVEL(0), h->free_chunk);
	add(c, NEW + 2, FIRST_LEVEL(0), FIRST_LEVEL(0), h->free_chunk + 1);
}

/* ---- NARROW ---- */

static void narrow_chunk_too_large(struct hostile *h, struct crafted *c)
{
	narrow(c, EXCEPTION_CHUNK_END, FIRST_LEVEL(0), FIRST_LEVEL(0), FIRST_LEVEL(0),
	       h->used_chunk);
}

static void narrow_downwards(struct hostile *h, struct crafted *c)
{
	narrow(c, 0, FIRST_LEVEL(1), FIRST_LEVEL(0), FIRST_LEVEL(1), h->used_chunk);
}

static void narrow_range_turned(struct hostile *h, struct crafted *c)
{
	narrow(c, 0, FIRST_LEVEL(0), FIRST_LEVEL(1), FIRST_LEVEL(0), h->used_chunk);
}

static void narrow_to_unknown(struct hostile *h, struct crafted *c)
{
	narrow(c, 0, FIRST_LEVEL(0), FIRST_LEVEL(0), FIRST_LEVEL(7), h->used_chunk);
}

static void narrow_before_data(struct hostile *h, struct crafted *c)
{
	narrow(c, 0, FIRST_LEVEL(0), FIRST_LEVEL(0), FIRST_LEVEL(0), h->super.data_start - 1);
}

static void narrow_other_chunk(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(1), h->free_chunk);
	narrow(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(0), FIRST_LEVEL(0), h->free_chunk + 1);
}

static void narrow_upwards_other_chunk(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(1), h->free_chunk);
	narrow(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(1), FIRST_LEVEL(1), h->free_chunk + 1);
}

/* ---- REMOVE ---- */

static void remove_chunk_too_large(struct hostile *h, struct crafted *c)
{
	discard(c, EXCEPTION_CHUNK_END, FIRST_LEVEL(0), h->used_chunk);
}

/* It cannot be, and a reclaim pass that starts over behind it would never get past it. */
static void remove_of_the_reserved_id(struct hostile *h, struct crafted *c)
{
	discard(c, NEW, SNAPID_ORIGIN, h->used_chunk);
}

static void remove_behind_data(struct hostile *h, struct crafted *c)
{
	discard(c, 0, FIRST_LEVEL(0), h->super.data_start + h->super.data_chunks);
}

static void remove_other_chunk(struct hostile *h, struct crafted *c)
{
	add(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(1), h->free_chunk);
	discard(c, NEW, FIRST_LEVEL(0), h->free_chunk + 1);
}

static void remove_of_nothing(struct hostile *h, struct crafted *c)
{
	discard(c, 0, FIRST_LEVEL(0), h->super.data_start);
}

/* ---- snapshots ---- */

static void create_again(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(3));
}

static void create_reserved(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(U32_MAX) - 1);
}

static void create_sub_of_unknown(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, HOSTILE_DELETED << 32);
}

static void create_sub_again(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, 1ULL << 32);
}

static void create_sub_of_deleted(struct hostile *h, struct crafted *c)
{
	record_delete(&c->record, FIRST_LEVEL(1));
	record_create(&c->record, 1ULL << 32 | 1);
}

static void delete_unknown(struct hostile *h, struct crafted *c)
{
	record_delete(&c->record, FIRST_LEVEL(3));
}

static void delete_twice(struct hostile *h, struct crafted *c)
{
	record_delete(&c->record, FIRST_LEVEL(0));
	record_delete(&c->record, FIRST_LEVEL(0));
}

/* ---- the cursor ---- */

static void cursor_without_pass(struct hostile *h, struct crafted *c)
{
	record_cursor(&c->record, false, 5, 0);
}

static void cursor_backwards(struct hostile *h, struct crafted *c)
{
	record_delete(&c->record, FIRST_LEVEL(0));
	record_cursor(&c->record, false, 5, 1);
	record_cursor(&c->record, false, 5, 0);
}

static void cursor_too_far(struct hostile *h, struct crafted *c)
{
	record_delete(&c->record, FIRST_LEVEL(0));
	record_cursor(&c->record, false, EXCEPTION_CHUNK_END + 1, 0);
}

/* ---- the record ---- */

static void unknown_operation(struct hostile *h, struct crafted *c)
{
	byte(c, 7);
	c->record.ops++;
}

static void unfinished_operation(struct hostile *h, struct crafted *c)
{
	byte(c, OP_REMOVE);
	byte(c, 5);
	c->record.ops++;
	c->record.changes++;
}

static void unknown_flag(struct hostile *h, struct crafted *c)
{
	byte(c, OP_DELETE | 0x10);
	byte(c, 0);
	byte(c, 0);
	c->record.ops++;
	c->record.changes++;
}

/* A number of ten bytes has one bit in the last; and none has an eleventh. */
static void number_too_large(struct hostile *h, struct crafted *c)
{
	byte(c, OP_REMOVE);
	for (unsigned int i = 0; i < 9; i++)
		byte(c, 0x80);
	byte(c, 2);
	c->record.ops++;
	c->record.changes++;
}

/* One of 64 bits is a number, but not of a chunk. */
static void number_of_64_bits(struct hostile *h, struct crafted *c)
{
	byte(c, OP_REMOVE);
	for (unsigned int i = 0; i < 9; i++)
		byte(c, 0x80);
	byte(c, 1);
	for (unsigned int i = 0; i < 3; i++)
		byte(c, 1);
	c->record.ops++;
	c->record.changes++;
}

static void number_too_long(struct hostile *h, struct crafted *c)
{
	byte(c, OP_REMOVE);
	for (unsigned int i = 0; i < 9; i++)
		byte(c, 0x80);
	byte(c, 0x81);
	byte(c, 1);
	c->record.ops++;
	c->record.changes++;
}

static void number_with_zeroes(struct hostile *h, struct crafted *c)
{
	byte(c, OP_REMOVE);
	byte(c, 0x85);
	byte(c, 0);
	c->record.ops++;
	c->record.changes++;
}

static void empty(struct hostile *h, struct crafted *c)
{
}

static void too_few_operations(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(4));
	c->record.ops++;
}

static void changes_not_made(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(4));
	c->record.changes++;
}

static void changes_not_counted(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(4));
	c->record.changes--;
}

static void too_many_changes(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(4));
	c->record.changes = h->super.max_changes + 1;
}

static void payload_too_long(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(4));
	c->header.bytes = cpu_to_le32(LOG_ROOM_FIRST + 1);
}

static void payload_too_short(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(4));
	c->header.sectors = cpu_to_le32(2);
}

static void mount_of_the_future(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(4));
	c->header.stamp.mount = cpu_to_le32(h->super.mount + 1);
}

static const struct craft {
	const char *said;
	craft_fn *make;
} crafts[] = {
	{ ": ADD\n", add_chunk_too_large },
	{ ": ADD\n", add_range_turned },
	{ ": ADD\n", add_for_unknown },
	{ ": ADD\n", add_for_unknown_sub },
	{ ": ADD\n", add_before_data },
	{ ": ADD\n", add_behind_data },
	{ ": ADD of a chunk in use\n", add_used_chunk },
	{ ": ADD contradicts what was before\n", add_twice },
	{ ": ADD contradicts what was before\n", add_chunk_twice },
	{ ": ADD contradicts what was before\n", add_swept_twice },
	{ ": NARROW\n", narrow_chunk_too_large },
	{ ": NARROW\n", narrow_downwards },
	{ ": NARROW\n", narrow_range_turned },
	{ ": NARROW\n", narrow_to_unknown },
	{ ": NARROW\n", narrow_before_data },
	{ ": NARROW contradicts what was before\n", narrow_other_chunk },
	{ ": NARROW contradicts what was before\n", narrow_upwards_other_chunk },
	{ ": REMOVE\n", remove_chunk_too_large },
	{ ": REMOVE\n", remove_behind_data },
	{ ": REMOVE\n", remove_of_the_reserved_id },
	{ ": REMOVE contradicts what was before\n", remove_other_chunk },
	{ ": CREATE\n", create_again },
	{ ": CREATE\n", create_reserved },
	{ ": CREATE\n", create_sub_of_unknown },
	{ ": CREATE\n", create_sub_again },
	{ ": CREATE\n", create_sub_of_deleted },
	{ ": DELETE\n", delete_unknown },
	{ ": DELETE\n", delete_twice },
	{ ": CURSOR\n", cursor_without_pass },
	{ ": CURSOR\n", cursor_backwards },
	{ ": CURSOR\n", cursor_too_far },
	{ ": encoding\n", unknown_operation },
	{ ": encoding\n", unfinished_operation },
	{ ": encoding\n", unknown_flag },
	{ ": encoding\n", number_too_large },
	{ ": REMOVE\n", number_of_64_bits },
	{ ": encoding\n", number_too_long },
	{ ": encoding\n", number_with_zeroes },
	{ ": count of operations\n", empty },
	{ ": count of operations\n", too_few_operations },
	{ ": count of operations\n", changes_not_made },
	{ ": count of changes\n", changes_not_counted },
	{ ": too many changes\n", too_many_changes },
	{ ": length of payload\n", payload_too_long },
	{ ": length of payload\n", payload_too_short },
	{ ": mount count\n", mount_of_the_future },
};

static void refused(struct hostile *h, const struct craft *one, unsigned int i)
{
	char said[64];

	craft(h, one->make);
	snprintf(said, sizeof(said), "log record %llu%s", (unsigned long long)h->super.log_seq + 1,
		 one->said);
	CHECK(double_load(&h->s, &h->disk, "") == -EPERM, "record %u is taken", i);
	CHECK(hostile_said(said), "record %u: not '%s' but: %s", i, said, hostile_text);
	CHECK(!strcmp(h->s.refused, "Damaged log of the store"), "record %u: %s", i, h->s.refused);
	CHECK(!h->disk.writes);
}

static void all_crafts(void *arg)
{
	struct hostile h;
	snapid_t id;

	hostile_make(&h, HOSTILE_CHUNKS);
	h.disk.writes = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(crafts); i++) {
		hostile_restore(&h);
		refused(&h, &crafts[i], i);
	}

	hostile_restore(&h);
	craft(&h, right);
	CHECK(double_load(&h.s, &h.disk, "") == 0, "%s", hostile_text);
	CHECK(h.s.store->log.seq == h.super.log_seq + 1);
	id = h.s.ops->get_next_snapid(h.s.store, 0);
	CHECK(id == 1ULL << 32, "%llx", id);
	CHECK(h.s.ops->get_next_snapid(h.s.store, id + 1) == (1ULL << 32 | 1));
	CHECK(h.s.ops->get_next_snapid(h.s.store, FIRST_LEVEL(1) + 1) == FIRST_LEVEL(4));
	CHECK(h.s.store->durable.reclaim == RECLAIM_RUNNING);
	CHECK(h.s.store->durable.cursor_chunk == EXCEPTION_CHUNK_END);
	hostile_checkpoint(&h.s);
	double_unload(&h.s);
	hostile_free(&h);
}

static void h25_a_record_that_no_store_wrote_is_refused_and_named(void **state)
{
	hostile_run(all_crafts, NULL);
}

/* ---- what is right, and seldom ---- */

static void short_record(struct hostile *h, struct crafted *c)
{
	record_create(&c->record, FIRST_LEVEL(4));
}

/* As long as a record can be: the last sector is not in what was read with the record before it. */
static void longest_record(struct hostile *h, struct crafted *c)
{
	u32 room = record_capacity(h->super.record_sectors);

	record_delete(&c->record, FIRST_LEVEL(0));
	for (u64 chunk = 1; c->record.bytes + OP_BYTES_MAX <= room; chunk++)
		record_cursor(&c->record, false, chunk, 0);
}

static void long_behind_short(void *arg)
{
	struct hostile h;
	u32 crc;

	hostile_make(&h, HOSTILE_CHUNKS);
	hostile_restore(&h);
	crc = craft_nth(&h, short_record, 1, h.super.mount, h.super.log_crc);
	craft_nth(&h, longest_record, 2, h.super.mount, crc);
	CHECK(double_load(&h.s, &h.disk, "") == 0, "%s", hostile_text);
	CHECK(h.s.store->log.seq == h.super.log_seq + 2);
	CHECK(h.s.store->log.next == h.super.log_next + 1 + h.super.record_sectors);
	double_unload(&h.s);
	hostile_free(&h);
}

static void the_longest_record_is_replayed_behind_a_short_one(void **state)
{
	hostile_run(long_behind_short, NULL);
}

/* ---- what an operation says of the tree, which the merge sees ---- */

static struct entry first; /* the exception of chunk 0, in the tree */

/* No store takes from a snapshot that is there what it reads. */
static void narrow_over_snapshot_0(struct hostile *h, struct crafted *c)
{
	narrow(c, 0, 0, 1ULL << 32, first.a, first.b);
}

static void read_first(struct hostile *h)
{
	int r;

	hostile_restore(h);
	CHECK(double_load(&h->s, &h->disk, "") == 0);
	while ((r = view_at(h->s.store, 0, 0, &first)) == -EAGAIN)
		double_again(&h->s);
	CHECK(r == 1 && first.a > FIRST_LEVEL(1));
	double_unload(&h->s);
}

static int find_for(struct dm_multisnap *s, snapid_t id, block_t *block)
{
	int r;

	while ((r = mikulas_find(s->store, id, 0, false, block)) == -EAGAIN)
		double_again(s);
	return r;
}

static void narrowed_from_the_start(void *arg)
{
	struct hostile h;
	block_t block;

	hostile_make(&h, HOSTILE_CHUNKS);
	read_first(&h);
	hostile_restore(&h);
	craft(&h, narrow_over_snapshot_0);
	CHECK(double_load(&h.s, &h.disk, "") == 0, "%s", hostile_text);
	CHECK(find_for(&h.s, FIRST_LEVEL(0), &block) == CHUNK_NOT_REMAPPED);
	CHECK(find_for(&h.s, FIRST_LEVEL(1), &block) == CHUNK_SHARED && block == first.b);
	double_unload(&h.s);
	hostile_free(&h);
}

static void what_an_exception_was_narrowed_by_is_not_found_in_it(void **state)
{
	hostile_run(narrowed_from_the_start, NULL);
}

static void overlapping(struct hostile *h, struct crafted *c)
{
	add(c, 0, FIRST_LEVEL(1), FIRST_LEVEL(1), h->free_chunk);
}

static void not_narrowed(struct hostile *h, struct crafted *c)
{
	narrow(c, 0, first.from, first.from, first.a, first.b);
}

static void narrow_of_other_chunk(struct hostile *h, struct crafted *c)
{
	narrow(c, 0, first.from, first.from, FIRST_LEVEL(1), first.b + 1);
}

static const struct craft merge_crafts[] = {
	{ "overlapping exceptions, chunk 0:", overlapping },
	{ "range not narrowed, chunk 0:", not_narrowed },
	{ "the log contradicts the tree, chunk 0:", narrow_of_other_chunk },
};

static void merged(void *arg)
{
	struct dm_multisnap *s;
	struct hostile h;

	hostile_make(&h, HOSTILE_CHUNKS);
	s = &h.s;
	read_first(&h);
	for (unsigned int i = 0; i < ARRAY_SIZE(merge_crafts); i++) {
		hostile_restore(&h);
		craft(&h, merge_crafts[i].make);
		CHECK(double_load(s, &h.disk, "") == 0, "%u: %s", i, hostile_text);
		checkpoint_poll(s->store, true);
		while (!s->error && double_event(s))
			;
		CHECK(s->error == -EPERM && hostile_said(merge_crafts[i].said), "%u: %s", i,
		      hostile_text);
		CHECK(s->store->super.ckpt == h.super.ckpt);
		double_unload(s);
	}
	hostile_free(&h);
}

static void h25_a_record_that_contradicts_the_tree_ends_the_merge(void **state)
{
	hostile_run(merged, NULL);
}

static void narrow_of_nothing(struct hostile *h, struct crafted *c)
{
	narrow(c, NEW, FIRST_LEVEL(0), FIRST_LEVEL(0), FIRST_LEVEL(0), h->super.data_start);
}

/* There is no tree yet. */
static void merged_into_nothing(void *arg)
{
	struct dm_multisnap *s;
	struct hostile h = { .s.geometry.shift = 3, .s.fifo = true, .s.origin_sectors = 1 << 20 };
	u32 crc;

	s = &h.s;
	disk_make_plain(&h.disk, HOSTILE_SECTORS, 40000);
	CHECK(double_load(s, &h.disk, "") == 0);
	hostile_create(s, SNAPID_ORIGIN);
	double_commit_all(s);
	CHECK(s->store->log.seq == 1 && !s->store->super.root);
	h.super = s->store->super;
	crc = s->store->log.crc;
	double_unload(s);
	craft_nth(&h, narrow_of_nothing, 2, h.super.mount, crc);
	CHECK(double_load(s, &h.disk, "") == 0, "%s", hostile_text);
	CHECK(s->store->log.seq == 2);
	checkpoint_poll(s->store, true);
	while (!s->error && double_event(s))
		;
	CHECK(s->error == -EPERM && hostile_said("the log contradicts the tree, chunk"), "%s",
	      hostile_text);
	CHECK(!s->store->super.ckpt);
	double_unload(s);
	disk_free(&h.disk);
}

static void h25_a_record_about_nothing_ends_the_first_merge(void **state)
{
	hostile_run(merged_into_nothing, NULL);
}

/* With no exception there is none to be removed. */
static void removal_from_nothing(void *arg)
{
	static const struct craft none = { ": REMOVE contradicts what was before\n",
					   remove_of_nothing };
	struct hostile h;

	hostile_make(&h, 0);
	h.disk.writes = 0;
	hostile_restore(&h);
	refused(&h, &none, 0);
	hostile_free(&h);
}

static void h25_nothing_is_removed_from_an_empty_store(void **state)
{
	hostile_run(removal_from_nothing, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h25_a_record_that_no_store_wrote_is_refused_and_named),
		cmocka_unit_test(the_longest_record_is_replayed_behind_a_short_one),
		cmocka_unit_test(what_an_exception_was_narrowed_by_is_not_found_in_it),
		cmocka_unit_test(h25_a_record_that_contradicts_the_tree_ends_the_merge),
		cmocka_unit_test(h25_a_record_about_nothing_ends_the_first_merge),
		cmocka_unit_test(h25_nothing_is_removed_from_an_empty_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
