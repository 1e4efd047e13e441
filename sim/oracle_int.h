/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside the oracle: devices, their lineage and the requests in flight. oracle.c has lineage, oracle_io.c
 * requests, oracle_check.c what a sector may be, oracle_unsure.c sectors with several values.
 */
#ifndef SIM_ORACLE_INT_H
#define SIM_ORACLE_INT_H

#include "oracle.h"
#include "oracle_pages.h"

/* A value that a sector may have, and the serial number of the end of its write. */
struct candidate {
	u32 value;
	u64 ended;
};

/* A sector with more than one possible value. */
struct unsure {
	sector_t sector;
	struct unsure *next;
	u32 nr, max;
	struct candidate *candidates;
};

struct unsure_map {
	struct unsure **buckets;
	u32 nr, mask;
};

/* A value that a read in flight may have seen. */
struct oracle_alternative {
	sector_t sector;
	u32 value;
};

struct oracle_device {
	struct oracle *o;
	snapid_t id;
	u32 slot;			/* among all devices; high bits of in-flight keys */
	u32 serial;			/* of the fork */
	u32 in_flight;
	bool deleted, detached, forking;
	struct page_map own;		/* written on this device */
	struct unsure_map unsure;
	u32 versions;			/* that this one owns: saved from the master */
	struct oracle_device *master;
	struct oracle_device *newest_child;
	struct oracle_device *older, *younger;	/* children of the same master */
	struct oracle_device *live_older, *live_younger; /* all live snapshots, by age */
};

/* Requests in flight, of one kind: arrays side by side for a quick scan. */
struct in_flight {
	u64 *start, *end; /* slot << 37 | sector */
	struct oracle_io **io;
	u32 nr, max;
};

struct oracle {
	sector_t sectors;
	struct oracle_device origin;
	struct oracle_device **by_id;	/* live snapshots, sorted by id */
	u32 nr_live, max_live;
	struct oracle_device *live_newest;
	struct in_flight reads, writes;
	struct page_pool pool;
	u64 clock;			/* serial number of the last begin or end */
	u64 changes;			/* any change of contents or lineage: cursors start anew */
	u32 last_serial;
	u32 last_write_no;
	u32 last_slot, *free_slots, nr_free_slots, max_free_slots;
	u32 nr_forking;
	enum oracle_state state;
	int (*print)(char *buf, size_t size, snapid_t id);
	u32 *regions;			/* groups touched on any device, sorted */
	u64 nr_regions, regions_made;	/* valid while regions_made == pool.nr_groups_made */
};

#define IN_FLIGHT_SECTOR_BITS 37
static inline u64 in_flight_key(const struct oracle_device *device, u64 sector)
{
	return (u64)device->slot << IN_FLIGHT_SECTOR_BITS | sector;
}

static inline u32 sector_group(sector_t sector)
{
	return (u32)(sector >> GROUP_SHIFT);
}

static inline unsigned int sector_page(sector_t sector)
{
	return (unsigned int)(sector >> PAGE_SECTORS_SHIFT) & (GROUP_PAGES - 1);
}

static inline bool value_reads_as(u32 value, sector_t sector, tag_t tag)
{
	u32 no = value & VALUE_WRITE_MASK;

	if (tag == TAG_ZERO)
		return no == 0 || (value & VALUE_MAYBE_ZERO);
	return no && tag == tag_make(no, sector);
}

static inline tag_t value_tag(u32 value, sector_t sector)
{
	u32 no = value & VALUE_WRITE_MASK;

	return no ? tag_make(no, sector) : TAG_ZERO;
}

/* oracle.c */
void *oracle_alloc(void *p, size_t size); /* realloc() that does not fail */

/* oracle_unsure.c */
struct unsure *unsure_find(const struct unsure_map *map, sector_t sector);
struct unsure *unsure_get(struct unsure_map *map, sector_t sector); /* made, empty, where there is none */
void unsure_remove(struct unsure_map *map, sector_t sector);
void unsure_remove_range(struct unsure_map *map, sector_t sector, u64 sectors);
void unsure_add(struct unsure *u, u32 value, u64 ended);
void unsure_copy(struct unsure_map *to, const struct unsure_map *from);
void unsure_exit(struct unsure_map *map);

/* oracle_check.c */
/*
 * The page on that device, nothing absent: its value, or VALUE_MIXED and the eight @values. @hint (or NULL): the version
 * to begin with, and after the call to go on with for an older snapshot of the same master; 0 at first.
 */
u32 oracle_resolve(struct oracle *o, struct oracle_device *device, u64 page, u32 values[PAGE_SECTORS],
		   u32 *hint);
u32 oracle_resolve_sector(struct oracle *o, struct oracle_device *device, sector_t sector);
/* All values a settled sector may have, added to @u. */
void oracle_settled(struct oracle *o, struct oracle_device *device, sector_t sector, struct unsure *u);

/* The judgement of a read that ended: 0, or 1 and *@m. */
int oracle_judge(struct oracle *o, const struct oracle_io *io, const tag_t *tags,
		 struct oracle_mismatch *m);

/* oracle.c */
/* A deleted device goes when nothing needs it any longer. */
void oracle_release(struct oracle *o, struct oracle_device *device);

/* oracle_io.c */
/* The next write in flight, from @i on, that overlaps; nr: none. */
u32 oracle_next_overlap(const struct in_flight *f, u32 i, u64 start, u64 end);
/* A write to the master in flight while a fork is made: the snapshot may have missed it or not. */
void oracle_fork_alternative(struct oracle *o, struct oracle_device *snapshot, const struct oracle_io *io);
/* Set the contents of a range of the device, keeping what snapshots of it still need. */
void oracle_apply(struct oracle *o, struct oracle_device *device, enum oracle_op op, sector_t sector,
		  u64 sectors, u32 value);

#endif /* SIM_ORACLE_INT_H */
