/* SPDX-License-Identifier: GPL-2.0 */
/* Inside of the fake device-mapper: tables (dm_table.c), devices (dm_device.c), I/O (dm_map.c). */
#ifndef FAKE_DM_H
#define FAKE_DM_H

#include "bio.h"

struct dm_table {
	struct list_head list; /* all tables */
	struct mapped_device *md;
	fmode_t mode;
	unsigned int num_targets, max_targets;
	struct dm_target *targets;
	struct list_head devices; /* struct table_device */
	bool singleton;
	bool bound; /* live: its events reach the device */
	struct target_type *immutable;
	struct bio_pool ios; /* struct dm_io, with per-bio data in front */
	size_t front_pad;    /* of a piece: per-bio data */
};

/*
 * Sleepable RCU, as far as dm needs it: dm_srcu_wait() returns when all who were inside when it was
 * called are outside.
 */
struct dm_srcu {
	u32 index;
	u32 readers[2];
	wait_queue_head_t wait;
};

#define DMF_BLOCK_IO_FOR_SUSPEND 0
#define DMF_SUSPENDED 1
#define DMF_FREEING 3
#define DMF_NOFLUSH_SUSPENDING 5
#define DMF_POST_SUSPENDING 8

struct mapped_device {
	struct block_device bdev;
	char name[16]; /* "253:0" */
	struct list_head list; /* those that have a name */
	struct list_head all;
	unsigned long flags;
	u32 holders; /* dmctl_*() calls that are using it */
	wait_queue_head_t holders_wait;

	struct mutex suspend_lock; /* suspend, resume, swap: target methods are called with it */
	struct mutex type_lock;	   /* table load: constructors are called with it */
	bool set_up;		   /* a table was loaded once */

	struct dm_srcu io_barrier;
	struct dm_table *map;	  /* live */
	struct dm_table *new_map; /* inactive */
	struct queue_limits limits;

	u32 pending_io; /* struct dm_io in flight */
	wait_queue_head_t wait;

	struct bio_list deferred;
	struct dm_io *requeue_list;
	struct workqueue_struct *wq;
	struct work_struct work;	 /* deferred */
	struct work_struct requeue_work; /* requeue_list */

	u64 event_nr;
};

static inline bool md_flag(const struct mapped_device *md, int flag)
{
	sched_access_part(&md->flags, flag, SIM_READ);
	return READ_ONCE(md->flags) >> flag & 1;
}

/* A step of its own. */
void md_set_flag(struct mapped_device *md, int flag);
void md_clear_flag(struct mapped_device *md, int flag);

/* Sections in which the live table stays. They may sleep. */
static inline u32 dm_srcu_lock(struct dm_srcu *srcu)
{
	u32 index;

	sched_enter();
	sched_access(srcu, SIM_ADD);
	index = srcu->index;
	srcu->readers[index]++;
	sched_exit();
	return index;
}

static inline void dm_srcu_unlock(struct dm_srcu *srcu, u32 index)
{
	bool waited_for;

	sched_hb_release(srcu);
	sched_enter();
	waited_for = srcu->index != index;
	sched_access(srcu, waited_for ? SIM_WRITE : SIM_ADD);
	if (unlikely(!--srcu->readers[index] && waited_for))
		wait_wake(&srcu->wait);
	sched_exit();
}

void dm_srcu_wait(struct dm_srcu *srcu);

/* ---- tables ---- */

struct dm_table *dm_table_create(fmode_t mode, struct mapped_device *md, unsigned int max_targets);
/* One line: "start length type arguments", which is changed. 0 or -errno, then perhaps *error. */
int dm_table_add_line(struct dm_table *t, char *line, const char **error);
int dm_table_complete(struct dm_table *t);
void dm_table_destroy(struct dm_table *t);
/* A suspend or resume method of all targets; dm_table_resume_targets() also calls preresume. */
void dm_table_presuspend_targets(struct dm_table *t);
void dm_table_postsuspend_targets(struct dm_table *t);
int dm_table_resume_targets(struct dm_table *t);
int dm_calculate_queue_limits(struct dm_table *t, struct queue_limits *limits);
void dm_table_set_restrictions(struct dm_table *t, const struct queue_limits *limits);

static inline struct dm_target *dm_table_find_target(struct dm_table *t, sector_t sector)
{
	unsigned int i;

	for (i = 0; i < t->num_targets; i++)
		if (sector - t->targets[i].begin < t->targets[i].len)
			return &t->targets[i];
	return NULL;
}

/* With a reference to its module. */
struct target_type *dm_get_target_type(const char *name);
void dm_put_target_type(struct target_type *type);

/* ---- I/O ---- */

/* The size of what the pool of a table must hold, without the front pad. */
size_t dm_io_size(void);
void dm_deferred_work(struct work_struct *work);
void dm_requeue_work(struct work_struct *work);

#endif /* FAKE_DM_H */
