/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The contract between the core and an exception store.
 *
 * A store is an event-driven state machine. Everything in it runs with the master lock held, so
 * a store needs no lock of its own, except that what the three "status" operations read is
 * changed only under the status lock (which nests inside the master lock).
 *
 * A store never waits. It asks for I/O with dm_multisnap_submit_io(); the core's worker issues the
 * request after it has dropped the master lock, and calls io->done() with the lock held when the
 * request has ended. An operation that lacks something (a metadata block, room in the group, room
 * in the log, a free block that is still being freed) starts what is needed and returns -EAGAIN
 * *before it has changed anything*; the core repeats the whole sequence after the next event.
 * An event is: an io->done(), a commit that ended, an epoch that advanced, a slice of background
 * work, or dm_multisnap_event().
 *
 * Exceptions: only init_exception_store(), exit_exception_store() and format() run without the
 * master lock, in process context, alone; they may sleep and use dm_multisnap_sync_io().
 *
 * Groups. What add_next_remap(), make_chunk_writeable(), create_snapshot(), delete_snapshot() and
 * background work change goes to the collecting group. close_group() ends it: at most one group is
 * closed and not yet durable. commit() makes the closed group durable, in the background, and ends
 * with dm_multisnap_commit_done(). All copies of the group have finished when commit() is called,
 * none of the groups after it matter to it. Lookups see all changes, also those not yet durable:
 * the core makes bios wait for the pending exceptions.
 */
#ifndef MULTISNAP_STORE_H
#define MULTISNAP_STORE_H

#include "shim.h"
#include "units.h"

struct dm_multisnap; /* the core's, opaque to stores */
struct dm_exception_store; /* the store's, opaque to the core */

/* The set of snapshots that one exception serves, as the store recorded it. */
union chunk_descriptor {
	u64 bitmask; /* of snapshot slots, for stores that number them */
	struct {
		snapid_t from;
		snapid_t to;
	} range; /* inclusive */
};

/* One destination of a copy. */
struct chunk_remap {
	union chunk_descriptor cd;
	block_t block;
};

/*
 * make_chunk_writeable() gives the place of the snapshot itself first. Where the shared set falls
 * in two, a second place may be needed so that each store chunk keeps one owner.
 */
#define MAKE_WRITEABLE_MAX 2

/* find_snapshot_chunk() */
enum chunk_state {
	CHUNK_NOT_REMAPPED = 0, /* read the origin */
	CHUNK_SHARED = 1, /* read the store chunk; other snapshots read it too */
	CHUNK_PRIVATE = 2, /* read and write the store chunk */
};

struct multisnap_store_ops {
	const char *name; /* as in the table */
	struct module *module;
	struct list_head list; /* the registry's */

	/*
	 * Load, or prepare to format, the store of @s. Process context, no lock, may sleep, may
	 * read by dm_multisnap_sync_io(), writes nothing. Arguments are the table's store
	 * arguments; what is left over is an error. On failure: *error names the wrong argument (a
	 * static string), returns -errno, everything taken is released. A store marked invalid on
	 * disk is loaded: call dm_multisnap_set_error() with the recorded errno and return 0.
	 */
	int (*init_exception_store)(struct dm_multisnap *s, struct dm_exception_store **store,
				    struct dm_arg_set *as, char **error);

	/* Release. No lock; all I/O of the store has ended; writes nothing. */
	void (*exit_exception_store)(struct dm_exception_store *store);

	/*
	 * First preresume, once. Process context, no lock, may sleep. Writes the initial format if
	 * the device was empty at load, else does nothing (or what must precede the first change).
	 * Until it has returned 0 the core calls nothing else but the status operations.
	 */
	int (*format)(struct dm_exception_store *store);

	/* Optional: called each time the master lock was taken. */
	void (*store_lock_acquired)(struct dm_exception_store *store);

	/*
	 * Optional text form of snapids (default: unsigned decimal). print_snapid() writes like
	 * snprintf and returns the length without the final zero; read_snapid() returns 0, -EINVAL
	 * or -ERANGE and refuses aliases and SNAPID_ORIGIN. No lock.
	 */
	int (*print_snapid)(struct dm_exception_store *store, char *buf, size_t size, snapid_t id);
	int (*read_snapid)(struct dm_exception_store *store, const char *text, snapid_t *id);

	/*
	 * Status lock. status_table() optional (default "0"): "<#args> <args>" as in the table,
	 * written and returned like snprintf; get_space() optional (zeroes): in store chunks,
	 * metadata is part of allocated.
	 */
	int (*status_table)(struct dm_exception_store *store, char *buf, size_t size);
	void (*get_space)(struct dm_exception_store *store, u64 *total, u64 *allocated,
			  u64 *metadata);

	/*
	 * The next id for a snapshot of the origin (@master == SNAPID_ORIGIN) or of the snapshot
	 * @master. Takes nothing: the id is spent by create_snapshot(). -EINVAL: no such master, or
	 * too deep; -ENOSPC: the counter is exhausted.
	 */
	int (*allocate_snapid)(struct dm_exception_store *store, snapid_t master, snapid_t *id);

	/*
	 * create_snapshot(): @id must be greater than every id ever given at its level (-EINVAL).
	 * -EAGAIN as above. delete_snapshot() optional (the message gives -EOPNOTSUPP); the core
	 * has drained the snapshot's I/O; -EINVAL if it does not exist or is being deleted. Space
	 * comes back in the background.
	 *
	 * Until the group with the deletion is durable the snapshot stays alive in every respect:
	 * query_next_remap() asks for its copies, what it shares is CHUNK_SHARED, get_next_snapid()
	 * finds it. Else a power cut would bring it back without what was overwritten meanwhile.
	 */
	int (*create_snapshot)(struct dm_exception_store *store, snapid_t id);
	int (*delete_snapshot)(struct dm_exception_store *store, snapid_t id);

	/* The first existing id >= @from, else SNAPID_ORIGIN. Master lock or status lock. */
	snapid_t (*get_next_snapid)(struct dm_exception_store *store, snapid_t from);

	/*
	 * Optional: <0, 0, >0, the order in which sync-snapshots creates two ids (masters before
	 * their sub-snapshots). Default: numeric.
	 */
	int (*compare_snapids_for_create)(const void *a, const void *b); /* snapid_t each */

	/*
	 * Where does snapshot @id find origin chunk @chunk? Returns an enum chunk_state (then
	 * *block, but for CHUNK_NOT_REMAPPED), -EAGAIN or -errno. @write: the caller goes on,
	 * without anything in between, with add_next_remap() on CHUNK_NOT_REMAPPED,
	 * make_chunk_writeable() on CHUNK_SHARED.
	 */
	int (*find_snapshot_chunk)(struct dm_exception_store *store, snapid_t id, chunk_t chunk,
				   bool write, block_t *block);

	/*
	 * Iterate over the sets of snapshots that need a copy before origin chunk @chunk changes:
	 * reset_query(), then query_next_remap() and add_next_remap() in turn. query_next_remap()
	 * returns 1 when a set remains, 0 when none does, -EAGAIN, -errno. add_next_remap() records
	 * the new place of the set found (or of the snapshot that find_snapshot_chunk(write) found
	 * not remapped); 0, -EAGAIN, -ENOSPC, -errno. Sets already added stay when a later one
	 * fails.
	 */
	void (*reset_query)(struct dm_exception_store *store);
	int (*query_next_remap)(struct dm_exception_store *store, chunk_t chunk);
	int (*add_next_remap)(struct dm_exception_store *store, struct chunk_remap *remap);

	/*
	 * Optional (without it snapshot writes give EIO). After find_snapshot_chunk(write) ==
	 * CHUNK_SHARED: record a private place for that snapshot. Returns the number of @remap
	 * filled (>= 1), all to be copied from the shared chunk, the snapshot's own first; -EAGAIN,
	 * -ENOSPC, -errno.
	 */
	int (*make_chunk_writeable)(struct dm_exception_store *store,
				    struct chunk_remap remap[MAKE_WRITEABLE_MAX]);

	/* Does the set @cd, recorded by this store, include @id? */
	bool (*check_conflict)(struct dm_exception_store *store, const union chunk_descriptor *cd,
			       snapid_t id);

	/* End the collecting group; only called when no group is closed. */
	void (*close_group)(struct dm_exception_store *store);

	/*
	 * Make the closed group durable; ends, perhaps at once, in dm_multisnap_commit_done().
	 * After an error (dm_multisnap_has_error(), but for -ENOSPC without
	 * dm_multisnap_drop_on_error()) it need not end.
	 */
	void (*commit)(struct dm_exception_store *store);

	/*
	 * The snapshots are given up: mark the store invalid on disk with @error (-errno), durably.
	 * No commit follows; a commit() or an I/O of the store may still be under way. Background
	 * work is not run any more: this goes from done() to done(). Ends in
	 * dm_multisnap_invalidate_done(). Optional: without it nothing of the store outlives the
	 * machine.
	 */
	void (*invalidate)(struct dm_exception_store *store, int error);

	/*
	 * Optional: fetch the memory that was short when an operation answered -EAGAIN after
	 * dm_multisnap_want_memory(). From the worker, no lock, NOIO scope, may wait for memory. 0
	 * or -ENOMEM, which is an error of section 6.
	 */
	int (*fetch_memory)(struct dm_exception_store *store);

	/* Optional: has the store background work (reclaim, checkpoint) under way or wanted? */
	bool (*busy)(struct dm_exception_store *store);
};

/*
 * Registry. Any context that may sleep. -EEXIST: the name is taken. A store in use holds a
 * reference to its module, so that unregister happens only when nothing uses it.
 */
int dm_multisnap_register_store(struct multisnap_store_ops *ops);
void dm_multisnap_unregister_store(struct multisnap_store_ops *ops);

/* What the store works on. Constant during the life of @s; any context. */
struct block_device *dm_multisnap_store_bdev(struct dm_multisnap *s);
sector_t dm_multisnap_store_sectors(struct dm_multisnap *s); /* whole device */
unsigned int dm_multisnap_logical_block_sectors(struct dm_multisnap *s); /* of the store device */
sector_t dm_multisnap_origin_sectors(struct dm_multisnap *s);
struct chunk_geometry dm_multisnap_geometry(struct dm_multisnap *s);
const char *dm_multisnap_name(struct dm_multisnap *s); /* for messages: "major:minor" */

/*
 * Errors. The first one sticks; @error is negative. Any context, any lock. "Dropped": the policy is
 * to give up the snapshots on an error (no preserve-on-error).
 */
void dm_multisnap_set_error(struct dm_multisnap *s, int error);
int dm_multisnap_has_error(struct dm_multisnap *s); /* 0 or the negative errno */
bool dm_multisnap_drop_on_error(struct dm_multisnap *s);

/*
 * @cond, which never holds: a fault of this program. The kernel warns, and it is an error as one of
 * a device is, so that nothing more is committed. True: the caller goes no further. Any context,
 * any lock.
 */
static inline bool __dm_multisnap_broken(struct dm_multisnap *s, bool broken)
{
	if (unlikely(broken))
		dm_multisnap_set_error(s, -EPERM);
	return broken;
}

#define dm_multisnap_broken(s, cond) __dm_multisnap_broken(s, WARN_ON_ONCE(cond))

/* Is @id an existing snapshot? Master lock. */
bool dm_multisnap_snapshot_exists(struct dm_multisnap *s, snapid_t id);

/* The status lock; nests inside the master lock. No I/O and no sleeping allocation under it. */
void dm_multisnap_status_lock(struct dm_multisnap *s);
void dm_multisnap_status_unlock(struct dm_multisnap *s);
void dm_multisnap_status_assert_locked(struct dm_multisnap *s);
void dm_multisnap_assert_locked(struct dm_multisnap *s); /* the master lock */

/*
 * One request of a store. Embedded in the store's own object, which stays until done(). @data is
 * physically contiguous (kmalloc), aligned to the logical block size where it is larger than 512.
 * sectors == 0 with REQ_PREFLUSH is an empty flush.
 */
struct dm_multisnap_io {
	blk_opf_t opf; /* REQ_OP_READ, REQ_OP_WRITE, with REQ_PREFLUSH, REQ_FUA, ... */
	unsigned int sectors;
	sector_t sector;
	void *data;
	/* Master lock held, from the worker. @error: 0 or -errno. May submit @io again. */
	void (*done)(struct dm_multisnap_io *io, int error);

	/* the core's */
	struct list_head list;
	struct dm_multisnap *s;
	int error;
};

/* Master lock. Requests are issued in the order of submission, and end in any. */
void dm_multisnap_submit_io(struct dm_multisnap *s, struct dm_multisnap_io *io);

/* Only in init_exception_store() and format(). 0 or -errno. */
int dm_multisnap_sync_io(struct dm_multisnap *s, blk_opf_t opf, sector_t sector,
			 unsigned int sectors, void *data);

/* Master lock, perhaps from inside commit() or invalidate(). 0 or -errno. */
void dm_multisnap_commit_done(struct dm_multisnap *s, int error);
void dm_multisnap_invalidate_done(struct dm_multisnap *s, int error);

/* Master lock. The collecting group has changes that nobody waits for: commit it too. */
void dm_multisnap_request_commit(struct dm_multisnap *s);

/*
 * Master lock. Is the collecting group kept open (all of sync-snapshots is one commit)? Then a
 * record that is full will not be closed: the answer is -E2BIG, not -EAGAIN.
 */
bool dm_multisnap_groups_held(struct dm_multisnap *s);

/* Master lock, before -EAGAIN: fetch_memory() is called before the worker's next pass. */
void dm_multisnap_want_memory(struct dm_multisnap *s);

/* Master lock. Something that -EAGAIN may have waited for has happened. */
void dm_multisnap_event(struct dm_multisnap *s);

/*
 * Background work: the worker calls work() with the master lock held, one slice at a time, bios in
 * between. A slice that has more to do queues itself again; one that waits for I/O is queued again
 * by its done(). Queueing what is queued does nothing. Master lock.
 */
struct dm_multisnap_background_work {
	void (*work)(struct dm_exception_store *store, struct dm_multisnap_background_work *bw);
	struct list_head list;
	bool queued;
};

void dm_multisnap_queue_work(struct dm_multisnap *s, struct dm_multisnap_background_work *bw);
void dm_multisnap_cancel_work(struct dm_multisnap *s, struct dm_multisnap_background_work *bw);

/*
 * Epochs: when is a store chunk, unmapped by now, out of reach of I/O and copies begun before?
 * What is unmapped at epoch e (and durably so) may be reused once dm_multisnap_epoch() >= e + 2.
 * dm_multisnap_want_epoch() asks that epoch @e be reached as soon as I/O allows; reaching it is
 * an event. Master lock. (The two-slot scheme of SRCU.)
 */
u64 dm_multisnap_epoch(struct dm_multisnap *s);
void dm_multisnap_want_epoch(struct dm_multisnap *s, u64 e);

/*
 * Arguments of the table: unsigned decimal, no sign, no blank, nothing behind. -EINVAL when missing
 * or malformed, -ERANGE when too large; *error is set to @what.
 */
int dm_multisnap_get_string(struct dm_arg_set *as, const char **string, char *what, char **error);
int dm_multisnap_get_uint64(struct dm_arg_set *as, u64 *value, char *what, char **error);
int dm_multisnap_get_uint(struct dm_arg_set *as, unsigned int *value, char *what, char **error);
int dm_multisnap_get_argcount(struct dm_arg_set *as, unsigned int *count, char *what, char **error);

/* The same for one word. 0, -EINVAL, -ERANGE. */
int dm_multisnap_parse_uint64(const char *word, u64 *value);

#endif /* MULTISNAP_STORE_H */
