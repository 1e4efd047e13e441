// SPDX-License-Identifier: GPL-2.0
/*
 * The alphabet of bounded workloads (work_ops.h): what users and administrators do, one thing at a time and several at
 * once; requests of a disk that are late, so that others pass them; requests that fail.
 */
#include "work_ops.h"

/* Where a store of these sizes has what: the superblock in its first block, then the log. */
#define SUPER "store op=write range=0+8"
#define LOG "store op=write range=8+256"

/* Those with few operations first; but the last one makes long scripts. */
#define FULL 1u		/* room for two chunks, and errors are reported rather than snapshots given up */
#define ONE_CHUNK 2u	/* room for one: what is freed is used next; and the origin ends in a chunk */
#define PLAIN 4u	/* the store as it is by default */
#define EAGER 8u	/* a checkpoint after each commit */
#define LOG_END 16u	/* the log's end is near and a checkpoint under way */
#define LARGE (PLAIN | EAGER)
#define SMALL (ONE_CHUNK | FULL)

const struct work_variant work_variants[] = {
	{ "two chunks, preserve-on-error", 24, "560s", { "1 preserve-on-error", "mikulas 0" }, 1, 3, NULL, NULL, 8, false },
	{ "one chunk", 20, "552s", { "0", "mikulas 2 cache-threshold 0" }, 0, 1, NULL, NULL, 8, false },
	{ "mikulas 0", 24, "512K", { "0", "mikulas 0" }, 0, 1, NULL, NULL, 8, false },
	{ "mikulas 2 cache-threshold 0", 24, "512K", { "0", "mikulas 2 cache-threshold 0" }, 0, 1, NULL, NULL, 8, false },
	{ "the log's end", 480, "1M block=2048", { "0", "mikulas 0" }, 0, 1,
	  "hold h0 " SUPER "\n"
	  "write ms 0 440 fill=$F\n",
	  "release h0\n"
	  "settle\n", 3, true },
};
const u32 nr_work_variants = sizeof(work_variants) / sizeof(work_variants[0]);

#define CREATE(what)			\
	"dmsetup message ms 0 " what "\n"	\
	"dmsetup suspend ms\n"		\
	"dmsetup resume ms\n"

/* The device of a snapshot, for the time of an operation. */
#define SNAPSHOT(name, id, what)	\
	"dmsetup create " name " --table \"0 24 multisnap-snap origin " id "\"\n"	\
	what				\
	"dmsetup remove " name "\n"

const struct work_op work_ops[] = {
	{ "write", LARGE | SMALL, 0, NO_EFFECT, "write ms 0 8 fill=$F\n" },
	{ "write-2", LARGE | FULL, 0, NO_EFFECT, "write ms 5 7 bs=7 fill=$F\n" },
	{ "write-fua", LARGE | SMALL, 0, NO_EFFECT, "write ms 16 3 fua fill=$F\n" },
	{ "discard", LARGE, 0, NO_EFFECT, "discard ms 0 16\n" },
	{ "zero", PLAIN, 0, NO_EFFECT, "zero ms 4 8\n" },
	{ "flush", LARGE, 0, NO_EFFECT, "flush ms\n" },
	{ "create", LARGE | SMALL, 0, CREATES, CREATE("create") },
	{ "create-sub", LARGE, 1, CREATES_SUB, CREATE("create_subsnap $M") },
	{ "delete-oldest", LARGE | SMALL, 1, DELETES_OLDEST, "dmsetup message ms 0 delete $O\n" },
	{ "delete-newest", LARGE, 2, DELETES_NEWEST, "dmsetup message ms 0 delete $N\n" },
	{ "snap-write", LARGE | SMALL, 1, NO_EFFECT, SNAPSHOT("s", "$O", "write s 0 8 fill=$F\n") },
	{ "snap-write-part", LARGE, 1, NO_EFFECT, SNAPSHOT("s", "$N", "write s 6 4 bs=4 fill=$F\n") },
	{ "snap-write-fua", LARGE, 1, NO_EFFECT, SNAPSHOT("s", "$N", "write s 8 8 fua fill=$F\n") },
	{ "snap-write-last", SMALL, 1, NO_EFFECT, SNAPSHOT("s", "$N", "write s 16 8 fill=$F\n") },
	{ "snap-write-middle", FULL, 3, NO_EFFECT, SNAPSHOT("s", "$P", "write s 0 8 fill=$F\n") },
	{ "snap-flush", LARGE, 1, NO_EFFECT, SNAPSHOT("s", "$N", "flush s\n") },
	{ "settle", LARGE | SMALL, 0, NO_EFFECT, "dmsetup message ms 0 settle\n" },
	{ "reload", LARGE | SMALL, 0, NO_EFFECT,
	  "dmsetup remove ms\n"
	  "dmsetup create ms --table \"$T\"\n" },
	{ "reload-sync", PLAIN, 0, CREATES,
	  "dmsetup remove ms\n"
	  "dmsetup create ms --table \"$Y\"\n" },
	{ "format", PLAIN, 0, FORMATS,
	  "dmsetup remove ms\n"
	  "zero store 0 1\n"
	  "flush store\n"
	  "dmsetup create ms --table \"$T\"\n"
	  CREATE("create") },
	{ "replace", SMALL, 1, REPLACES,
	  CREATE("create")
	  "dmsetup message ms 0 delete $O\n"
	  "dmsetup message ms 0 settle\n" },
	{ "writes-at-once", LARGE, 1, NO_EFFECT,
	  SNAPSHOT("s", "$O",
		   "parallel {\n"
		   "write ms 0 4 fill=$F\n"
		   "write s 2 4 fill=$F\n"
		   "write ms 8 12 fill=$F\n"
		   "}\n") },
	{ "delete-under-write", LARGE, 1, DELETES_OLDEST,
	  SNAPSHOT("s", "$O",
		   "parallel {\n"
		   "write ms 0 4 fill=$F\n"
		   "write s 2 4 fill=$F\n"
		   "write ms 8 12 fill=$F\n"
		   "dmsetup message ms 0 delete $O\n"
		   "}\n") },
	{ "late-record", LARGE, 0, NO_EFFECT,
	  "hold h$K " LOG "\n"
	  "start a$K write ms 0 4 fill=$F\n"
	  "settle\n"
	  "start b$K write ms 2 8 fill=$F\n"
	  "start c$K discard ms 0 8\n"
	  "start d$K write ms 4 1 fua fill=$F\n"
	  "settle\n"
	  "release h$K\n"
	  "wait a$K\n"
	  "wait b$K\n"
	  "wait c$K\n"
	  "wait d$K\n" },
	{ "late-record-snap", PLAIN, 2, NO_EFFECT,
	  SNAPSHOT("s", "$O",
		   SNAPSHOT("t", "$N",
			    "hold h$K " LOG "\n"
			    "start a$K write t 0 4 fill=$F\n"
			    "settle\n"
			    "start b$K write s 2 4 fill=$F\n"
			    "settle\n"
			    "release h$K\n"
			    "wait a$K\n"
			    "wait b$K\n")) },
	{ "late-copy", EAGER | SMALL, 0, NO_EFFECT,
	  "settle\n"
	  "hold h$K store op=write,discard count=1\n" /* "discard" is write zeroes, too */
	  "start a$K write ms 16 3 fill=$F\n"
	  "settle\n"
	  "start b$K write ms 0 8 fill=$F\n"
	  "settle\n"
	  "release h$K\n"
	  "wait a$K\n"
	  "wait b$K\n" },
	{ "late-snap-write", EAGER | ONE_CHUNK, 1, DELETES_OLDEST,
	  SNAPSHOT("s", "$O",
		   "settle\n"
		   "hold h$K store op=write count=1\n"
		   "start a$K write s 0 8 fill=$F\n"
		   "settle\n"
		   "parallel {\n"
		   "{\n"
		   "dmsetup message ms 0 delete $O\n"
		   "dmsetup message ms 0 settle\n"
		   "write ms 8 8 fill=$F\n"
		   "}\n"
		   "{\n"
		   "sleep 10s\n"
		   "release h$K\n"
		   "}\n"
		   "}\n"
		   "wait a$K\n") },
	{ "late-super", EAGER | ONE_CHUNK, 0, NO_EFFECT,
	  "hold h$K " SUPER "\n"
	  "start a$K write ms 0 8 fill=$F\n"
	  "settle\n"
	  "hold i$K " SUPER "\n"
	  "release h$K\n"
	  "settle\n"
	  "start b$K write ms 8 8 fill=$F\n"
	  "settle\n"
	  "release i$K\n"
	  "wait a$K\n"
	  "wait b$K\n" },
	{ "late-super-delete", EAGER | ONE_CHUNK, 1, DELETES_OLDEST,
	  "hold h$K " SUPER "\n"
	  "dmsetup message ms 0 delete $O\n"
	  "settle\n"
	  "hold i$K " SUPER "\n"
	  "release h$K\n"
	  "settle\n"
	  "start a$K write ms 8 8 fill=$F\n"
	  "settle\n"
	  "release i$K\n"
	  "wait a$K\n" },
	{ "copy-fails", PLAIN | FULL, 0, NO_EFFECT,
	  "fault origin op=read count=1\n"
	  "write ms 8 8 fill=$F\n"
	  "fault origin clear\n" },
	{ "record-fails", PLAIN, 0, NO_EFFECT,
	  "fault " LOG " count=1\n"
	  "write ms 0 4 fill=$F\n"
	  "fault store clear\n" },
	{ "write", LOG_END, 0, NO_EFFECT, "start a$K write ms 440 8 fill=$F\nsettle\n" },
	{ "write-next", LOG_END, 0, NO_EFFECT, "start a$K write ms 448 8 fill=$F\nsettle\n" },
	{ "write-2", LOG_END, 0, NO_EFFECT, "start a$K write ms 448 16 fill=$F\nsettle\n" },
	{ "delete", LOG_END, 1, DELETES_OLDEST, "start a$K dmsetup message ms 0 delete $O\nsettle\n" },
};
const u32 nr_work_ops = sizeof(work_ops) / sizeof(work_ops[0]);
