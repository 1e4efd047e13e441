// SPDX-License-Identifier: GPL-2.0
/*
 * Changes inputs of mikulas_image and mikulas_image_ops (image_edit.h): edits come, go and change, with numbers that mean
 * something in a store. What is behind the edits, and now and then all of it, is changed as bytes.
 */
#include <string.h>

#include "fuzz.h"
#include "image_edit.h"
#include "splitmix.h"

static uint64_t state;

static uint64_t below(uint64_t n)
{
	return splitmix_next(&state) % n;
}

/* Counts, places, ids, limits of fields; and what is next to them. */
static uint64_t number(void)
{
	switch (below(8)) {
	case 0:
		return below(4);
	case 1:
		return below(160); /* blocks of a small store */
	case 2:
		return below(1200); /* sectors of it */
	case 3: /* snapids */
		return (below(16) << 32) | (below(2) ? 0xffffffff : below(4));
	case 4:
		return (1ULL << below(64)) - below(2);
	case 5:
		return UINT64_MAX - below(4);
	case 6:
		return (1ULL << 52) - 1 + below(3);
	default:
		return below(UINT64_MAX);
	}
}

static void new_value(struct image_edit *e)
{
	e->mode = below(EDIT_MODES);
	e->value = number();
	if (e->mode == EDIT_ADD)
		e->value = below(2) ? 1 + below(16) : -(1 + below(16));
	else if (e->mode == EDIT_XOR)
		e->value = 1ULL << below(64);
	if (below(16) == 0)
		e->mode |= EDIT_RAW;
}

static void new_op(struct image_edit *e)
{
	struct image_op op = { 0 };

	e->field = 1 + below(6);
	e->where = below(2);
	op.flags = (below(4) ? 1 : 0) | (below(4) ? 0 : 0x10);
	op.from = 8 * below(16) + (below(2) ? 0 : below(4));
	op.to = below(2) ? op.from : 8 * below(16) + (below(2) ? 0 : below(4));
	op.new_from = below(2) ? op.from : 8 * below(16);
	op.new_to = below(2) ? op.to : 8 * below(16);
	op.chunk = below(20);
	if (below(16) == 0)
		op.wide = 1 << below(16);
	op.block = op.flags & 1 ? below(4) : below(64);
	memcpy(&e->index, &op, sizeof(op));
}

static void new_edit(struct image_edit *e)
{
	static const uint8_t kinds[] = {
		EDIT_SUPER, EDIT_SUPER, EDIT_SUPER, EDIT_NODE, EDIT_ENTRY, EDIT_ENTRY, EDIT_ENTRY, EDIT_INSERT, EDIT_REMOVE,
		EDIT_MAP, EDIT_BIT, EDIT_BIT, EDIT_RECORD, EDIT_RECORD, EDIT_PAYLOAD, EDIT_OP, EDIT_OP, EDIT_OP, EDIT_OP,
		EDIT_COPY, EDIT_BYTES, EDIT_ZERO, EDIT_UNREADABLE,
	};

	memset(e, 0, sizeof(*e));
	e->kind = kinds[below(sizeof(kinds))];
	e->where = below(12);
	e->field = below(64);
	e->index = below(4) ? below(100) : below(1 << 20);
	new_value(e);
	if (e->kind == EDIT_OP)
		new_op(e);
}

static void change_edit(struct image_edit *e)
{
	switch (below(6)) {
	case 0:
		e->where = below(12);
		break;
	case 1:
		e->field = below(64);
		break;
	case 2:
		e->index = below(2) ? e->index + 1 : below(100);
		break;
	case 3:
		new_edit(e);
		break;
	default:
		if (e->kind % EDIT_KINDS == EDIT_OP)
			new_op(e);
		else
			new_value(e);
		break;
	}
}

static void change_head(struct image_head *head)
{
	switch (below(3)) {
	case 0:
		head->base = below(16);
		break;
	case 1:
		head->flags ^= 1 << below(5);
		break;
	default:
		head->seed = below(3) ? 0 : below(256);
		break;
	}
}

/* Of @n edits; one more or one less, or one is another. */
static size_t change_edits(struct image_edit *edits, size_t n, size_t max)
{
	struct image_edit *e;
	size_t at;

	if (!n || (n < max && below(4) == 0)) {
		if (!max)
			return n;
		at = below(n + 1);
		memmove(&edits[at + 1], &edits[at], (n - at) * sizeof(*edits));
		if (n && below(3) == 0)
			change_edit(&edits[at]); /* much like the next one */
		else
			new_edit(&edits[at]);
		return n + 1;
	}
	e = &edits[below(n)];
	if (below(5) == 0) {
		memmove(e, e + 1, (n - 1 - (e - edits)) * sizeof(*edits));
		return n - 1;
	}
	change_edit(e);
	return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct image_edit edits[IMAGE_EDITS_MAX + 1];
	size_t n, rest, room, head_size = sizeof(struct image_head);
	struct image_head head = { 0 };

	state = seed;
	if (max_size < head_size)
		return LLVMFuzzerMutate(data, size, max_size);
	if (size < head_size) {
		memset(data + size, 0, head_size - size);
		size = head_size;
	}
	if (below(24) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	memcpy(&head, data, head_size);
	n = head.edits % (IMAGE_EDITS_MAX + 1);
	if (n > (size - head_size) / sizeof(*edits))
		n = (size - head_size) / sizeof(*edits);
	rest = size - head_size - n * sizeof(*edits);
	memcpy(edits, data + head_size, n * sizeof(*edits));
	if (rest && below(2)) {
		room = max_size - head_size - n * sizeof(*edits);
		return size - rest + LLVMFuzzerMutate(data + size - rest, rest, room);
	}
	room = (max_size - head_size - rest) / sizeof(*edits);
	if (room > IMAGE_EDITS_MAX)
		room = IMAGE_EDITS_MAX;
	if (below(8) == 0) {
		change_head(&head);
		memcpy(data, &head, head_size);
		return size;
	}
	head.edits = change_edits(edits, n, room);
	memmove(data + head_size + head.edits * sizeof(*edits), data + head_size + n * sizeof(*edits), rest);
	memcpy(data, &head, head_size);
	memcpy(data + head_size, edits, head.edits * sizeof(*edits));
	return head_size + head.edits * sizeof(*edits) + rest;
}
