/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The core's own structures. Stores see only store.h.
 *
 * One worker per origin decides everything: it takes bios, ended store I/O and ended copies, asks
 * the store with the master lock held, and puts what is to be done on lists (struct actions). After
 * it has dropped the lock it submits those. Completion callbacks only record and queue.
 *
 * Locks, in this order:
 *   multisnap_mutex  the list of all multisnapshots (registry.c). Never held while waiting for I/O.
 *   s->lock          "the master lock": the store, groups, pending exceptions, actions. Mutex.
 *   s->status_lock   what the status prints: store counters, snapids, the prepared id. Mutex.
 *   s->io_lock       queues and counters shared with completions. Spinlock, interrupts off.
 *
 * Life: the origin target and each snapshot device hold a reference to struct dm_multisnap. The
 * origin's destructor detaches the snapshot devices, waits for their I/O and takes the machinery
 * down; the bare structure stays for the snapshot devices, which give EIO.
 */
#ifndef MULTISNAP_H
#define MULTISNAP_H

#include "limits.h"
#include "shim.h"
#include "store.h"
#include "units.h"

#define DM_MSG_PREFIX "multisnapshot"

/* Giving up the snapshots (policy without preserve-on-error), one way. */
enum giveup {
	GIVEUP_NO,
	GIVEUP_MARKING, /* the store writes its invalid mark */
	GIVEUP_DRAINING, /* marked; tracked reads are still on their way */
	GIVEUP_DONE, /* the origin passes through */
};

/* Exceptions that are committed together. */
struct group {
	u64 seq; /* groups commit in this order */
	bool dirty; /* something to commit that somebody may wait for */
	bool background_dirty; /* something to commit that nobody waits for */
	unsigned int copies; /* pending exceptions whose copies have not ended */
	unsigned int in_flight; /* the same, before the worker has seen the end; io_lock */
	struct list_head pending; /* struct pending_exception.group_list */
};

/* A copy in flight, or one that waits for its group's commit, and the bios that wait for it. */
struct pending_exception {
	struct hlist_node hash; /* by chunk; master lock */
	struct list_head group_list;
	struct list_head act_list; /* to be started; failed_zeroes; in the end done_copies */
	struct dm_multisnap *s;
	struct group *group;
	chunk_t chunk;
	struct bio_list bios;

	bool from_store; /* the source: a store chunk, else the origin */
	block_t source;
	struct chunk_remap dests[DM_KCOPYD_MAX_REGIONS];
	unsigned int nr_dests;

	struct bio *full_bio; /* covers dests[0] in place of a copy, or NULL */
	unsigned int epoch_slot;
	bool ended; /* all parts; master lock */
	bool all_sets; /* with it nothing shares the chunk with the origin any more */

	/* io_lock: */
	unsigned int parts; /* copy, zeroing, full write: not ended yet */
	int error; /* the first; published with parts */
};

/* What the worker does after it has dropped the master lock. */
struct actions {
	struct list_head ios; /* struct dm_multisnap_io */
	struct list_head copies; /* struct pending_exception.act_list */
	struct list_head zeroes; /* the same, whose zeroing has failed */
	struct bio_list submit; /* remapped; may have to be zeroed first */
	struct bio_list end; /* with bi_status set */
	bool table_event; /* to be announced by dm_table_event(), which has a lock of its own */
};

/* Chunks of the origin that are remembered as fully copied (copied.c). */
struct copied_region {
	u64 tag; /* which 64 chunks */
	u64 chunks;
};

struct multisnap_args {
	unsigned int chunk_sectors;
	bool sync_snapshots;
	bool preserve_on_error;
};

struct dm_multisnap {
	struct kref ref;
	struct list_head list; /* registry; multisnap_mutex */
	bool ready; /* constructed: snapshots may attach; multisnap_mutex */

	/* Constant after the constructor. */
	struct dm_target *ti;
	struct dm_dev *origin;
	struct dm_dev *store_dev;
	char name[24]; /* origin, major:minor */
	struct chunk_geometry geometry;
	sector_t origin_sectors; /* at load */
	sector_t store_sectors;
	struct multisnap_args args;
	snapid_t *sync_ids; /* sorted numerically */
	unsigned int nr_sync_ids;
	const struct multisnap_store_ops *ops;
	struct dm_exception_store *store;
	struct dm_kcopyd_client *kcopyd;
	struct dm_io_client *io_client;
	mempool_t *pending_pool;
	unsigned int pending_limit;
	struct workqueue_struct *wq;
	struct work_struct work;
	wait_queue_head_t wait; /* for all conditions below; woken with wake_up_all() */

	atomic_t error; /* 0 or the first negative errno */
	bool halted; /* one way; an error after which nothing may be committed */

	/* The master lock: all from here to status_lock. */
	struct mutex lock;
	bool dead; /* the origin target is gone or going */
	bool stopping; /* no commit for the sake of background work any more */
	bool loaded; /* constructed: the worker may act on errors */
	bool error_seen; /* the worker has acted on the error */
	enum giveup giveup;
	struct hlist_head pending[1 << MULTISNAP_HASH_BITS];
	unsigned int nr_pending;
	struct group groups[2];
	struct group *collecting;
	struct group *closed; /* NULL: none */
	bool committing; /* commit() of the closed group is under way */
	bool hold_groups; /* sync-snapshots: all in one commit */
	u64 durable_seq; /* read without the lock */
	u64 event_seq; /* read without the lock */
	unsigned int pass_seq; /* passes of the worker; read without the lock */
	struct bio_list again; /* wait for an event */
	unsigned int nr_again;
	bool want_memory; /* the store's fetch_memory() is to be called */
	struct bio_list tracked_wait; /* writes that wait for tracked reads */
	struct bio_list giveup_wait; /* origin writes that wait for GIVEUP_DONE */
	struct actions actions;
	struct list_head background; /* struct dm_multisnap_background_work */
	unsigned int nr_store_ios; /* submitted by the store, not ended */
	u64 epoch;
	u64 epoch_wanted;
	struct list_head deleting; /* struct deletion, on the stacks of messages */
	unsigned int device_holders; /* of snapshots: origin and store_dev stay; read without it */

	/* What the status prints; with the store's counters and snapids. */
	struct mutex status_lock;
	snapid_t prepared; /* to be created in postsuspend, or SNAPID_ORIGIN */
	snapid_t prepared_master; /* SNAPID_ORIGIN: a snapshot of the origin */

	/* What map and completions share with the worker: all from here on. */
	spinlock_t io_lock;
	bool started; /* resumed once; snapshot I/O is held before */
	bool passthrough; /* GIVEUP_DONE */
	bool unshared; /* no snapshot exists */
	struct list_head snaps; /* struct multisnap_snap; changed under the master lock too */
	snapid_t held_id; /* new I/O of its devices is held (a sub-snapshot is being created) */
	struct bio_list held;
	struct bio_list queue;
	struct list_head done_ios;
	struct list_head done_copies;
	struct list_head failed_zeroes; /* struct pending_exception.act_list */
	struct hlist_head tracked[1 << MULTISNAP_HASH_BITS];
	unsigned int nr_tracked; /* of the origin */
	unsigned int nr_copying; /* == nr_pending, for map */
	unsigned int nr_bulk; /* at most MULTISNAP_BULK_MAX; read without the lock */
	bool tracked_waiters;
	bool tracked_event;
	unsigned int in_epoch[2]; /* I/O to store chunks and copies, by the epoch of their start */
	struct copied_region *copied; /* direct mapped */
};

/* A multisnap-snap device. */
struct multisnap_snap {
	struct dm_multisnap *s; /* with a reference */
	snapid_t id;
	char *id_text; /* as given */
	char origin_name[24];
	struct list_head list; /* s->snaps */
	bool detached; /* io_lock; one way */
	unsigned int in_flight; /* io_lock; held bios do not count */
};

/* In place of a store chunk: the origin. */
#define BLOCK_ORIGIN ((block_t)U64_MAX)

/* Per-bio data of both targets. */
struct bio_track {
	struct multisnap_snap *snap; /* NULL: the origin */
	chunk_t chunk;
	struct hlist_node tracked; /* a read of a snapshot, from a place it does not own */
	block_t place; /* of a tracked read: a shared store chunk, or BLOCK_ORIGIN */
	struct pending_exception *full; /* this bio is its full_bio, and not yet written */
	sector_t zero_after; /* read past the origin's end: sectors to keep after zeroing all */
	bool zero;
	bool bulk; /* counted in nr_bulk, until the worker lets it go */
	bool in_epoch;
	unsigned int epoch_slot;
};

static inline struct bio_track *bio_track(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct bio_track));
}

/* An id whose deletion is under way. */
struct deletion {
	struct list_head list;
	snapid_t id;
};

/* registry.c */
extern struct mutex multisnap_mutex;
int multisnap_register(struct dm_multisnap *s); /* -EBUSY: a device is in use */
void multisnap_set_ready(struct dm_multisnap *s, bool ready);
void multisnap_unregister(struct dm_multisnap *s);
struct dm_multisnap *multisnap_find(dev_t origin); /* with a reference, or NULL */
void multisnap_put(struct dm_multisnap *s);
const struct multisnap_store_ops *multisnap_get_store(const char *name);
void multisnap_put_store(const struct multisnap_store_ops *ops);

/* args.c */
int multisnap_parse_generic(struct multisnap_args *args, struct dm_arg_set *as, char **error);
int multisnap_parse_chunk_size(struct multisnap_args *args, struct dm_arg_set *as, char **error);
int multisnap_compare_snapids(const void *a, const void *b); /* snapid_t each, by number */
int multisnap_read_snapid(struct dm_multisnap *s, const char *text, snapid_t *id);

/* construct.c */
int multisnap_ctr(struct dm_target *ti, unsigned int argc, char **argv);
void multisnap_release(struct dm_multisnap *s); /* no I/O is under way */

/* target.c */
void multisnap_lock(struct dm_multisnap *s) __acquires(&s->lock);
void multisnap_unlock(struct dm_multisnap *s) __releases(&s->lock);

/* worker.c */
void multisnap_kick(struct dm_multisnap *s); /* any context */
void multisnap_init_actions(struct actions *actions);
void multisnap_work(struct work_struct *work);
void multisnap_queue_bio(struct dm_multisnap *s, struct bio *bio) __must_hold(&s->io_lock);
void multisnap_requeue(struct dm_multisnap *s, struct bio_list *bios); /* to the front */
void multisnap_fail_bio(struct dm_multisnap *s, struct bio *bio) __must_hold(&s->lock);
void multisnap_submit_bio(struct dm_multisnap *s, struct bio *bio, struct dm_dev *dev,
			  sector_t sector) __must_hold(&s->lock);
bool multisnap_stopped(struct dm_multisnap *s) __must_hold(&s->lock);
u64 multisnap_event_seq(struct dm_multisnap *s) __must_hold(&s->lock);
void multisnap_wait_event(struct dm_multisnap *s, u64 seq); /* until another event, or an error */

/* map.c: what the worker does with one bio */
enum bio_fate {
	BIO_TAKEN, /* on its way, waiting for a pending exception, or ended */
	BIO_AGAIN, /* wait for an event */
	BIO_NO_PENDING, /* no pending exception to be had: stop, and try again later */
};

enum bio_fate multisnap_do_origin_bio(struct dm_multisnap *s, struct bio *bio)
	__must_hold(&s->lock);
enum bio_fate multisnap_do_snapshot_bio(struct dm_multisnap *s, struct bio *bio)
	__must_hold(&s->lock);

/* pending.c */
struct pending_exception *multisnap_alloc_pending(struct dm_multisnap *s, chunk_t chunk)
	__must_hold(&s->lock);
/* Not yet added. */
void multisnap_free_pending(struct pending_exception *pe) __must_hold(&pe->s->lock);
/* Starts its copies. */
void multisnap_add_pending(struct pending_exception *pe) __must_hold(&pe->s->lock);
struct hlist_head *multisnap_pending_bucket(struct dm_multisnap *s, chunk_t chunk);
struct pending_exception *multisnap_find_pending(struct dm_multisnap *s, chunk_t chunk)
	__must_hold(&s->lock);
struct pending_exception *multisnap_find_conflict(struct dm_multisnap *s, chunk_t chunk,
						  snapid_t id) __must_hold(&s->lock);
/* Durable, or given up. */
void multisnap_release_pending(struct pending_exception *pe) __must_hold(&pe->s->lock);
int multisnap_pending_init(void);
void multisnap_pending_exit(void);
mempool_t *multisnap_pending_pool(unsigned int reserve);

/* copy.c */
void multisnap_start_copies(struct pending_exception *pe); /* no lock */
void multisnap_zero_again(struct pending_exception *pe); /* no lock */
void multisnap_copies_ended(struct dm_multisnap *s, struct list_head *done) __must_hold(&s->lock);
void multisnap_part_ended(struct pending_exception *pe, int error); /* any context */
unsigned int multisnap_copy_parts(struct pending_exception *pe);

/* commit.c */
void multisnap_init_groups(struct dm_multisnap *s);
void multisnap_mark_dirty(struct dm_multisnap *s) __must_hold(&s->lock);
void multisnap_advance_groups(struct dm_multisnap *s) __must_hold(&s->lock);
void multisnap_abandon_groups(struct dm_multisnap *s) __must_hold(&s->lock);
bool multisnap_groups_idle(struct dm_multisnap *s) __must_hold(&s->lock);
u64 multisnap_changes_seq(struct dm_multisnap *s) __must_hold(&s->lock);
int multisnap_wait_durable(struct dm_multisnap *s, u64 seq); /* no lock */

/* error.c */
void multisnap_halt(struct dm_multisnap *s);
bool multisnap_halted(struct dm_multisnap *s);
void multisnap_handle_error(struct dm_multisnap *s) __must_hold(&s->lock); /* worker */
void multisnap_pass_through(struct dm_multisnap *s) __must_hold(&s->lock);

/* epoch.c */
unsigned int multisnap_epoch_enter(struct dm_multisnap *s) __must_hold(&s->lock);
void multisnap_epoch_leave(struct dm_multisnap *s, unsigned int slot);
void __multisnap_epoch_leave(struct dm_multisnap *s, unsigned int slot) __must_hold(&s->io_lock);
bool multisnap_try_epoch(struct dm_multisnap *s) __must_hold(&s->lock);

/* tracked.c */
void multisnap_track_read(struct dm_multisnap *s, struct bio *bio, block_t place)
	__must_hold(&s->lock);
void __multisnap_untrack_read(struct dm_multisnap *s, struct bio_track *bt)
	__must_hold(&s->io_lock);
bool multisnap_is_tracked(struct dm_multisnap *s, chunk_t chunk, block_t place)
	__must_hold(&s->lock);
bool __multisnap_is_tracked(struct dm_multisnap *s, chunk_t chunk, block_t place)
	__must_hold(&s->io_lock);

/* copied.c */
void multisnap_remember_copied(struct dm_multisnap *s, chunk_t chunk) __must_hold(&s->lock);
void multisnap_forget_copied(struct dm_multisnap *s, chunk_t chunk);
void multisnap_forget_all_copied(struct dm_multisnap *s);
bool __multisnap_is_writable(struct dm_multisnap *s, chunk_t chunk) __must_hold(&s->io_lock);

/* store_io.c */
void multisnap_issue_io(struct dm_multisnap_io *io); /* no lock */
bool multisnap_run_background(struct dm_multisnap *s) __must_hold(&s->lock);

/* create.c */
int multisnap_prepare_create(struct dm_multisnap *s, snapid_t master);
void multisnap_drop_prepared(struct dm_multisnap *s);
int multisnap_create_prepared(struct dm_multisnap *s);
int multisnap_commit_all(struct dm_multisnap *s);
void multisnap_refresh_unshared(struct dm_multisnap *s) __must_hold(&s->lock);
int multisnap_sync_snapshots(struct dm_multisnap *s);

/* message.c */
int multisnap_message(struct dm_target *ti, unsigned int argc, char **argv, char *result,
		      unsigned int maxlen);
bool multisnap_being_deleted(struct dm_multisnap *s, snapid_t id) __must_hold(&s->lock);

/* snapshot.c */
extern struct target_type multisnap_snap_target;
/* SNAPID_ORIGIN: all. */
void multisnap_detach(struct dm_multisnap *s, snapid_t id) __must_hold(&s->lock);
void multisnap_drain(struct dm_multisnap *s, snapid_t id); /* the same; no lock */
void multisnap_hold(struct dm_multisnap *s, snapid_t id);
void multisnap_release_held(struct dm_multisnap *s);
void multisnap_start(struct dm_multisnap *s) __must_hold(&s->lock);

/* status.c */
void multisnap_status(struct dm_target *ti, status_type_t type, unsigned int flags, char *result,
		      unsigned int maxlen);
int multisnap_print_snapid(struct dm_multisnap *s, char *buf, size_t size, snapid_t id);

#endif /* MULTISNAP_H */
