// SPDX-License-Identifier: GPL-2.0
/*
 * The records behind the checkpoint, applied to it: the rules of FORMAT.md section 3.3, and what
 * must hold afterwards.
 *
 * The first operation that breaks a rule ends the replay: what follows would be judged against a
 * state that never was.
 */
#include "check_int.h"

#define SECTOR0_ROOM 464u /* of a sector for the payload: behind stamp and head */
#define SECTOR_ROOM 496u /* behind the stamp */

struct replay {
	struct check *c;
	struct check_state *state;
	struct check_reclaim reclaim;
	u64 next_first;
	u64 position; /* of allocation */
	u64 steps; /* its steps since the checkpoint */
	struct check_place place;
};

#define WRONG(r, field, ...) (check_found((r)->c, &(r)->place, field, __VA_ARGS__), false)

/* ---- operations; false after a finding ---- */

/*
 * A range ends with an id that has been given. It may be dead: until a deletion is durable
 * everything goes on as if the snapshot lived.
 */
static bool was_given(const struct replay *r, u64 id)
{
	const struct check_snapshot *master = check_live_find(r->state, check_master(id));

	return check_high(id) < r->next_first &&
	       (check_is_first(id) || !master || check_low(id) < master->next_sub);
}

static bool apply_position(struct replay *r, struct check_op *op)
{
	const struct check_super *sb = &r->c->sb;
	u64 step;

	if (op->next_block)
		op->block = r->position + 1;
	if (op->block < sb->data_start || op->block - sb->data_start >= sb->data_chunks)
		return WRONG(r, "block",
			     "is chunk %llu, outside of the data area of %llu chunks from %llu",
			     op->block, sb->data_chunks, sb->data_start);
	step = op->block > r->position ? op->block - r->position :
					 sb->data_chunks - (r->position - op->block);
	if (step > sb->data_chunks - r->steps)
		return WRONG(
			r, "block",
			"is chunk %llu, %llu behind the one before: allocation goes around more than once since the checkpoint",
			op->block, step);
	if (bsearch(&op->block, r->c->chunks, r->c->nr_chunks, sizeof(u64), check_compare_u64))
		return WRONG(r, "block", "is chunk %llu, which is in use in the checkpoint",
			     op->block);
	r->steps += step;
	r->position = op->block;
	return true;
}

static bool apply_add(struct replay *r, struct check_op *op)
{
	const struct check_exception *other;
	struct check_exception ex;

	if (!apply_position(r, op))
		return false;
	if (op->chunk >= CHECK_CHUNKS_END)
		return WRONG(r, "chunk", "is %llu, expected less than 2^52", op->chunk);
	if (op->from > op->to)
		return WRONG(r, "from", "is %s, above to = %s", check_snapid(op->from),
			     check_snapid(op->to));
	if (!was_given(r, op->to))
		return WRONG(r, "to", "is %s, which was never given", check_snapid(op->to));
	ex = (struct check_exception){ op->chunk, op->from, op->to, op->block };
	other = check_exception_add(r->state, &ex);
	if (other)
		return WRONG(r, "from", "%s..%s of chunk %llu meets %s..%s, which exists",
			     check_snapid(op->from), check_snapid(op->to), op->chunk,
			     check_snapid(other->from), check_snapid(other->to));
	return true;
}

/* The exception that NARROW and REMOVE speak of, or NULL after a finding. */
static struct check_exception *find_exception(struct replay *r, const struct check_op *op)
{
	struct check_exception *ex = check_exception_find(r->state, op->chunk, op->from);

	if (!ex) {
		(void)WRONG(r, "from", "is (%llu, %s), where no exception starts", op->chunk,
			    check_snapid(op->from));
		return NULL;
	}
	if (ex->block != op->block) {
		(void)WRONG(r, "block", "is chunk %llu for (%llu, %s), which is at %llu", op->block,
			    op->chunk, check_snapid(op->from), ex->block);
		return NULL;
	}
	return ex;
}

static bool apply_narrow(struct replay *r, const struct check_op *op)
{
	struct check_exception *ex = find_exception(r, op);

	if (!ex)
		return false;
	if (op->new_from > op->new_to || op->new_from < ex->from || op->new_to > ex->to ||
	    (op->new_from == ex->from && op->new_to == ex->to))
		return WRONG(r, "new_from", "%s..%s is not a true part of %s..%s of chunk %llu",
			     check_snapid(op->new_from), check_snapid(op->new_to),
			     check_snapid(ex->from), check_snapid(ex->to), op->chunk);
	if (!was_given(r, op->new_to))
		return WRONG(r, "new_to", "is %s, which was never given", check_snapid(op->new_to));
	ex->from = op->new_from;
	ex->to = op->new_to;
	return true;
}

static bool apply_remove(struct replay *r, const struct check_op *op)
{
	struct check_exception *ex = find_exception(r, op);

	if (!ex)
		return false;
	if (check_live_in(r->state, ex->from, ex->to))
		return WRONG(r, "from",
			     "is (%llu, %s), an exception that live snapshots in %s..%s need",
			     op->chunk, check_snapid(op->from), check_snapid(ex->from),
			     check_snapid(ex->to));
	check_exception_remove(r->state, ex);
	return true;
}

static bool apply_create(struct replay *r, const struct check_op *op)
{
	struct check_snapshot *master;
	u64 id = op->from;

	if (check_is_first(id)) {
		if (check_high(id) < r->next_first || check_high(id) == 0xffffffffu)
			return WRONG(
				r, "id",
				"is %s, expected at least next_first = %llu and less than 2^32-1",
				check_snapid(id), r->next_first);
		r->next_first = check_high(id) + 1ULL;
		return check_live_add(r->state, id);
	}
	master = check_live_find(r->state, check_master(id));
	if (!master)
		return WRONG(r, "id", "is %s, but its master is no snapshot", check_snapid(id));
	if (check_low(id) < master->next_sub)
		return WRONG(r, "id", "is %s, expected at least next_sub = %llu of its master",
			     check_snapid(id), master->next_sub);
	master->next_sub = check_low(id) + 1ULL;
	return check_live_add(r->state, id);
}

static bool apply_delete(struct replay *r, const struct check_op *op)
{
	struct check_reclaim *reclaim = &r->reclaim;

	if (!check_live(r->state, op->from))
		return WRONG(r, "id", "is %s, which is no snapshot", check_snapid(op->from));
	check_live_remove(r->state, op->from);
	if (!(reclaim->bits & CHECK_RECLAIM_PASS))
		*reclaim = (struct check_reclaim){ .bits = CHECK_RECLAIM_PASS };
	else if (reclaim->chunk || reclaim->from)
		reclaim->bits |= CHECK_RECLAIM_AGAIN;
	return true;
}

static bool apply_cursor(struct replay *r, const struct check_op *op)
{
	struct check_reclaim *reclaim = &r->reclaim;

	if (!(reclaim->bits & CHECK_RECLAIM_PASS))
		return WRONG(r, "cursor", "moves, but no reclaim pass is under way");
	if (op->end) {
		*reclaim = (struct check_reclaim){
			.bits = reclaim->bits & CHECK_RECLAIM_AGAIN ? CHECK_RECLAIM_PASS : 0,
		};
		return true;
	}
	if (op->chunk > CHECK_CHUNKS_END)
		return WRONG(r, "chunk", "is %llu, expected at most 2^52", op->chunk);
	if (op->chunk != reclaim->chunk ? op->chunk < reclaim->chunk : op->from < reclaim->from)
		return WRONG(r, "cursor", "moves back from (%llu, %s) to (%llu, %s)",
			     reclaim->chunk, check_snapid(reclaim->from), op->chunk,
			     check_snapid(op->from));
	reclaim->chunk = op->chunk;
	reclaim->from = op->from;
	return true;
}

static bool apply(struct replay *r, struct check_op *op)
{
	switch (op->code) {
	case CHECK_ADD:
		return apply_add(r, op);
	case CHECK_NARROW:
		return apply_narrow(r, op);
	case CHECK_REMOVE:
		return apply_remove(r, op);
	case CHECK_CREATE:
		return apply_create(r, op);
	case CHECK_DELETE:
		return apply_delete(r, op);
	case CHECK_CURSOR:
		return apply_cursor(r, op);
	}
	return false;
}

/* ---- records ---- */

static u32 room(u32 sectors)
{
	return SECTOR0_ROOM + (sectors - 1) * SECTOR_ROOM;
}

/* Joins the sectors' payloads; false after a finding. @payload has room for the longest record. */
static bool join_payload(struct replay *r, const struct check_record *record, const u8 *bytes,
			 u8 *payload)
{
	u32 unit = r->c->sb.block_sectors, least = unit;
	u8 *to = payload;

	for (u32 i = 0, n; i < record->sectors; i++, to += n) {
		n = i ? SECTOR_ROOM : SECTOR0_ROOM;
		__asm__("" : "+r"(n)); /* not a constant: then it is a call, which is quicker */
		memcpy(to, bytes + (i + 1) * SECTOR_SIZE - n, n);
	}
	if (record->bytes > room(record->sectors))
		return WRONG(r, "bytes", "is %u, expected at most %u in %u sectors", record->bytes,
			     room(record->sectors), record->sectors);
	while (room(least) < record->bytes)
		least += unit;
	if (record->sectors != least)
		return WRONG(r, "sectors", "is %u, expected %u for %u bytes", record->sectors,
			     least, record->bytes);
	if (!check_all_zero(payload + record->bytes, room(record->sectors) - record->bytes))
		return WRONG(r, "payload",
			     "is followed by bytes that are not zero, from byte %u on",
			     record->bytes);
	return true;
}

static bool check_totals(struct replay *r, const struct check_record *record, u64 ops, u64 changes)
{
	struct check *c = r->c;
	u64 entries = check_exception_count(r->state) + check_live_count(r->state);

	r->place.part = NULL;
	if (!ops)
		return WRONG(r, "ops", "is 0, expected at least 1");
	if (ops != record->ops)
		return WRONG(r, "ops", "is %u, but the payload has %llu", record->ops, ops);
	if (changes != record->changes)
		return WRONG(r, "changes", "is %u, but the payload has %llu", record->changes,
			     changes);
	if (entries > c->sb.max_entries)
		return WRONG(
			r, "max_entries",
			"is %llu, but after this record there are %llu exceptions and snapshots",
			c->sb.max_entries, entries);
	return true;
}

static bool replay_record(struct replay *r, const struct check_record *record, const u8 *bytes,
			  u8 *buffer)
{
	struct check_payload payload = { .next = buffer, .end = buffer + record->bytes };
	u64 ops = 0, changes = 0;

	r->place = check_at_sector(CHECK_LOG, record->sector);
	r->place.record = record->seq;
	if (!join_payload(r, record, bytes, buffer))
		return false;
	while (payload.next < payload.end) {
		struct check_op op;
		const char *why;

		r->place = check_at_part(r->place, "op", ops);
		why = check_op_decode(&payload, &op);
		if (why)
			return WRONG(r, "payload", "%s", why);
		if (!apply(r, &op) || r->c->out_of_memory)
			return false;
		ops++;
		changes += check_op_changes(op.code);
	}
	return check_totals(r, record, ops, changes);
}

static void report_state(struct replay *r)
{
	struct check_summary *s = &r->c->report->summary;

	s->replayed = true;
	s->exceptions = check_exception_count(r->state);
	s->snapshots = check_live_count(r->state);
	s->reclaim = r->reclaim.bits;
	s->cursor_chunk = r->reclaim.chunk;
	s->cursor_from = r->reclaim.from;
	s->next_first = r->next_first;
}

void check_replay(struct check *c, const struct check_record *records, size_t nr, const u8 *log,
		  u64 log_first)
{
	const struct check_super *sb = &c->sb;
	struct replay r = {
		.c = c,
		.state = check_state_create(c),
		.reclaim = { sb->reclaim, sb->cursor_chunk, sb->cursor_from },
		.next_first = sb->next_first,
		.position = sb->alloc_pos,
	};
	u8 *buffer = malloc(room(sb->record_sectors));
	size_t i;

	if (sb->alloc_pos < sb->data_start || sb->alloc_pos - sb->data_start >= sb->data_chunks)
		goto out; /* found by check_super() */
	if (!r.state || !buffer) {
		c->out_of_memory = true;
		goto out;
	}
	if (nr)
		check_garbage(c, r.state, CHECK_TREE, &r.reclaim);
	for (i = 0; i < nr; i++)
		if (!replay_record(&r, &records[i],
				   log + (records[i].sector - log_first) * SECTOR_SIZE, buffer))
			break;
	if (i < nr) {
		snprintf(c->report->reason, sizeof(c->report->reason),
			 "the log was not replayed further than into record %llu", records[i].seq);
		goto out;
	}
	c->report->summary.garbage = check_garbage(c, r.state, CHECK_AFTER_LOG, &r.reclaim);
	report_state(&r);
out:
	check_state_free(r.state);
	free(buffer);
}
