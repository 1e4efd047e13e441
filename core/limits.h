/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Constants of the core, each with its reason.
 */
#ifndef MULTISNAP_LIMITS_H
#define MULTISNAP_LIMITS_H

#include "shim.h"

/* The largest chunk, in bytes: what fits the kernel's int-sized I/O lengths. */
#define MULTISNAP_MAX_CHUNK_BYTES INT_MAX

/*
 * Pending exceptions at once, for one origin: bounds memory and kcopyd jobs however many writes are
 * in flight (module parameter pending_limit). Enough to keep an SSD's queues full.
 */
#define MULTISNAP_PENDING_DEFAULT 1024
#define MULTISNAP_PENDING_MAX 65536

/* Pending exceptions that are there even when memory is short: progress without any allocation. */
#define MULTISNAP_PENDING_RESERVE 16

/*
 * Hash of pending exceptions and of tracked reads, by chunk: a few entries a bucket at the limit.
 */
#define MULTISNAP_HASH_BITS 9

/*
 * Regions of 64 chunks that are remembered as fully copied, chunk by chunk (a power of two): 128
 * KiB of memory, for all chunks of an origin of 2 GiB with chunks of 4 KiB, of 32 GiB with 64 KiB.
 */
#define MULTISNAP_COPIED_REGIONS 8192

/* Copied chunks that one bio may cover: looked up one by one with interrupts off. */
#define MULTISNAP_PASS_MAX 256

/* Bios handled in one pass of the worker: long enough to form groups, short enough for messages. */
#define MULTISNAP_BATCH 256

/*
 * Discards and write-zeroes of a chunk each that are queued at once. One request may be of the
 * whole device, and nobody above us counts its parts; enough for all pending exceptions.
 */
#define MULTISNAP_BULK_MAX 1024

/*
 * Bios that may wait for metadata at once; behind them the queue waits. Keeps the working set of
 * the store's cache small enough that the smallest cache does not thrash.
 */
#define MULTISNAP_AGAIN_MAX 16

#endif /* MULTISNAP_LIMITS_H */
