/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Torture: random operations of every kind, with faults, from several threads, judged by the
 * oracle.
 *
 * Objective: whatever an administrator, applications and failing disks do at the same time, I1,
 * I2 and I5 to I8 of the design hold. Method: one world per seed. All that is random comes from
 * the seed: first the configuration (sizes, store, policy, faults, ...), then each operation.
 * Threads issue batches of bios; thread 0 also manages: it creates, deletes, suspends, removes,
 * reloads, breaks and repairs. Each bio is told to the oracle when it is issued and when it
 * ends.
 *
 *   torture.c        configuration, world, threads, the end of a run
 *   torture_io.c     batches of bios, and what their results may be
 *   torture_admin.c  status, messages, suspend, snapshot devices
 *   torture_load.c   load, remove, reload, repair of the origin target
 *   torture_status.c the status line, read back; snapids
 *   torture_check.c  the offline check
 *   cmd_torture.c    options, many seeds, processes
 */
#ifndef SIM_TORTURE_H
#define SIM_TORTURE_H

#include "oracle.h"
#include "sim.h"
#include "status.h"
#include "world.h"

#define TORTURE_SLOTS 8		/* snapshot devices at once */
#define TORTURE_BATCH 24	/* bios of one thread at once, at most */
#define TORTURE_IDS 64		/* snapshots at once, at most */
#define TORTURE_THREADS 8

/* What was done, for the summary. */
enum torture_count {
	TC_READ,
	TC_WRITE,
	TC_CHUNK_WRITE,	/* of them, those of whole chunks */
	TC_FUA,
	TC_DISCARD,
	TC_ZERO,
	TC_FLUSH,
	TC_SNAP_READ,
	TC_SNAP_WRITE,
	TC_EIO,		/* I/O that ended with an error, as it may */
	TC_CREATE,
	TC_SUBSNAP,
	TC_DELETE,
	TC_SETTLE,
	TC_SUSPEND,
	TC_DEVICE,	/* snapshot devices made */
	TC_RELOAD,
	TC_SYNC,	/* of them, with sync-snapshots */
	TC_REPAIR,	/* reloads after an error */
	TC_REFUSED,	/* admin operations that must be refused, and were */
	TC_VERIFY,	/* whole devices read back */
	TC_CHECK,	/* offline checks of the store */
	TC_FAULT,	/* faults armed */
	TC_DELAY,	/* times that requests were held up */
	TC_ENOSPC,	/* stores that filled */
	TC_GIVEN_UP,	/* snapshots given up */
	TC_NR,
};
extern const char *const torture_count_names[TC_NR];

struct torture_options {
	u64 seed;
	u64 ops;
	const char *store;
	enum sim_strategy strategy;
	bool any_strategy;	/* drawn from the seed */
	bool no_faults;
	bool trace_log;
	unsigned int verbose;	/* 1: what the manager does, 2: each bio; on stderr */
	/*
	 * Instead of the seed: all that is drawn comes from these bytes. When there are no more, there are no more
	 * operations either. Sizes are small.
	 */
	const u8 *draws;
	size_t nr_draws;
	void (*found)(const char *what); /* instead of the message and the exit; does not return */
};

/* Drawn from the seed. */
struct torture_config {
	unsigned int chunk_sectors;
	sector_t origin_sectors, store_sectors;
	unsigned int origin_block, store_block;	/* bytes */
	enum disk_model origin_model, store_model;
	enum sim_strategy strategy;
	unsigned int threads;
	unsigned int pending_limit;		/* 0: the default */
	u64 cache_threshold, cache_limit;	/* sectors; 0: not in the table */
	bool small_store, small_cache;
	bool disk_faults, alloc_faults, delays;
};

/* A multisnap-snap device. */
struct torture_slot {
	char name[16];
	bool exists;
	bool closing;		/* takes no new I/O */
	bool doomed;		/* its I/O may fail: a delete or a removal of the origin is under way */
	bool dead;		/* its I/O must fail */
	unsigned int users;
	snapid_t id;
	sector_t sectors;
	struct oracle_device *device;	/* NULL: nothing to be compared with */
};

struct torture {
	const struct torture_options *options;
	struct torture_config config;
	u64 rng;
	size_t drawn;			/* of options->draws */
	u64 ops_done;
	u64 last_op_ns;
	struct oracle *oracle;
	struct world_disk *origin, *store;
	unsigned int align;		/* sectors */
	wait_queue_head_t wait;		/* users of devices leave */

	/* The origin target. */
	bool loaded, preserve;
	u64 loads;			/* lives of it so far */
	bool origin_closing;		/* takes no new I/O */
	bool removing;			/* dmctl_remove() is under way */
	unsigned int origin_users;
	sector_t origin_len;		/* of the table */
	int known_error;		/* last seen in a status since the load */
	bool faults_armed;
	bool ending;
	bool struck;			/* an error may have come while it was removed */
	snapid_t prepared, prepared_master;
	struct oracle_device *undecided; /* created by a removal, or not: the next load shows */
	snapid_t doubtful[8];		/* deletions that failed, and may be durable all the same (I4) */
	unsigned int nr_doubtful;
	u64 first_given;		/* first-level numbers below this were given */
	bool mark_refused;		/* the log said so */
	u64 least_cache;		/* and this: sectors */

	struct torture_slot slots[TORTURE_SLOTS];
	u64 digest;
	u64 counts[TC_NR];
};

/* torture.c */
int torture_run(const struct torture_options *options, char *summary, size_t size);
u64 torture_random(struct torture *t, u64 n);		/* below n */
bool torture_chance(struct torture *t, unsigned int percent);
void torture_mix(struct torture *t, u64 value);		/* into the digest */
void torture_say(struct torture *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The command that does it again. */
void torture_reproducer(const struct torture_options *o, char *buf, size_t size);
/* Prints the finding and the line that reproduces it; exits. */
void torture_found(struct torture *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));
/* Injected errors of both disks, so far. */
u64 torture_errors(struct torture *t);
bool torture_persistent(const struct torture *t); /* the store outlives its load */
/* Memory that cannot be had without waiting costs this store the snapshots: mikulas waits. */
bool torture_memory_may_fail(const struct torture *t);

/* torture_io.c */
void torture_io_batch(struct torture *t);
void torture_verify_device(struct torture *t, struct torture_slot *slot); /* NULL: the origin */

/* torture_admin.c */
/* False: the origin target is not there. Judges the format, and remembers the error shown. */
bool torture_get_status(struct torture *t, struct target_status *st);
/* May an operation have failed? An injected error struck since, or the machinery is in error. */
bool torture_excused(struct torture *t, u64 errors_before);
void torture_admin(struct torture *t);
void torture_slot_create(struct torture *t);
void torture_slot_remove(struct torture *t, struct torture_slot *slot);
int torture_remove_device(struct torture *t, const char *name); /* 0 or -errno */
void torture_delete_all(struct torture *t);
void torture_suspend_resume(struct torture *t);
void torture_settle(struct torture *t);
/* The snapshot is gone: the oracle forgets it, and its devices must fail. */
void torture_forget(struct torture *t, snapid_t id);
void torture_disarm(struct torture *t);

/* torture_check.c: I5, as the offline check of mikulas sees it */
/*
 * The store as it would be found if the power went now: clean. @st: of a settled store at rest, whose
 * numbers must agree; or NULL.
 */
void torture_check(struct torture *t, const char *when, const struct target_status *st);

/* torture_status.c */
bool torture_has_id(const struct target_status *st, snapid_t id);
/* The snapshots of the status are those of the oracle, else it is a finding; @when for the message. */
void torture_compare_ids(struct torture *t, const struct target_status *st, const char *when);

/* torture_load.c */
void torture_load(struct torture *t);
void torture_reload(struct torture *t);
void torture_remove_origin(struct torture *t);
void torture_refused_load(struct torture *t);
/* Asks the store how small its cache may be, and takes that. */
void torture_smallest_cache(struct torture *t);
/* The fork of what is prepared, around a postsuspend. */
struct oracle_device *torture_fork_begin(struct torture *t);
void torture_fork_end(struct torture *t, struct oracle_device *device, bool created);

#endif /* SIM_TORTURE_H */
