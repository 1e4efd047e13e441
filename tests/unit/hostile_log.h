/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Log records made by hand, whole, in their place and with right checksums, behind what a good store has.
 */
#ifndef TESTS_HOSTILE_LOG_H
#define TESTS_HOSTILE_LOG_H

#include "hostile_store.h"

/* Chunks of the origin that no snapshot has anything of. */
#define NEW 1000000

struct crafted {
	struct record record;
	struct log_header_disk header;
	struct group_state state; /* for record_add(): its allocation position */
};

static inline void add(struct crafted *c, u64 chunk, snapid_t from, snapid_t to, u64 block)
{
	struct entry entry = { .chunk = chunk, .from = from, .a = to, .b = block };

	record_add(&c->record, &c->state, &entry);
	c->state.alloc_pos = block;
}

typedef void craft_fn(struct hostile *h, struct crafted *c);

/* The record becomes the @n-th behind the checkpoint, the ones before it having a sector each; returns its checksum. */
static inline u32 craft_nth(struct hostile *h, craft_fn *make, u64 n, u32 mount, u32 prev_crc)
{
	u8 *data = calloc(RECORD_SECTORS_MAX, SECTOR_SIZE);
	sector_t place = h->super.log_next + n - 1;
	struct crafted c = {
		.record.data = data,
		.header.stamp.mount = cpu_to_le32(mount),
		.header.stamp.seq = cpu_to_le64(h->super.log_seq + n),
		.header.prev_crc = cpu_to_le32(prev_crc),
		.header.location = cpu_to_le64(place),
		.state.alloc_pos = h->super.alloc_pos,
	};
	struct log_header_disk *first = (void *)data;
	unsigned int sectors;
	u32 crc;

	make(h, &c);
	if (!c.header.sectors)
		c.header.sectors =
			cpu_to_le32(record_sectors_for(c.record.bytes, h->super.block_sectors));
	sectors = le32_to_cpu(c.header.sectors);
	crc = record_seal(&c.record, &c.header);
	if (c.header.bytes) {
		first->bytes = c.header.bytes;
		first->crc = 0;
		crc = ~crc32c(~0U, data, sectors * SECTOR_SIZE);
		first->crc = cpu_to_le32(crc);
	}
	memcpy(h->disk.durable + place * SECTOR_SIZE, data, sectors * SECTOR_SIZE);
	free(data);
	return crc;
}

static inline void craft(struct hostile *h, craft_fn *make)
{
	craft_nth(h, make, 1, h->super.mount, h->super.log_crc);
}

#endif /* TESTS_HOSTILE_LOG_H */
