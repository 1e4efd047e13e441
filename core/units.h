/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Units: which integer counts what, and the only places where one becomes another.
 *
 * sector_t counts 512-byte sectors. chunk_t numbers chunks of the origin, block_t chunks of the
 * store device; both are chunks of the same, power-of-two size. A chunk_t never indexes the store
 * and a block_t never indexes the origin.
 */
#ifndef MULTISNAP_UNITS_H
#define MULTISNAP_UNITS_H

#include "shim.h"

/* A chunk of the origin device: sectors [chunk << shift, (chunk + 1) << shift). */
typedef u64 chunk_t;

/* A chunk of the store device. */
typedef u64 block_t;

/* A snapshot. All ones is the origin and is never a snapshot. */
typedef u64 snapid_t;

#define SNAPID_ORIGIN ((snapid_t)U64_MAX)

/* The chunk size: 1 << shift sectors. Kept as a shift so that nothing divides 64-bit numbers. */
struct chunk_geometry {
	unsigned int shift;
};

static inline sector_t chunk_sectors(struct chunk_geometry g)
{
	return (sector_t)1 << g.shift;
}

static inline chunk_t sector_to_chunk(struct chunk_geometry g, sector_t sector)
{
	return sector >> g.shift;
}

static inline sector_t chunk_to_sector(struct chunk_geometry g, chunk_t chunk)
{
	return (sector_t)chunk << g.shift;
}

/* Offset of @sector inside its chunk. */
static inline sector_t chunk_offset(struct chunk_geometry g, sector_t sector)
{
	return sector & (chunk_sectors(g) - 1);
}

static inline sector_t block_to_sector(struct chunk_geometry g, block_t block)
{
	return (sector_t)block << g.shift;
}

static inline u64 sectors_to_bytes(sector_t sectors)
{
	return (u64)sectors << SECTOR_SHIFT;
}

static inline sector_t bytes_to_sectors(u64 bytes)
{
	return bytes >> SECTOR_SHIFT;
}

#endif /* MULTISNAP_UNITS_H */
