/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Control of the simulated kernel: what the harness does to it, never what core/ or stores/ see.
 *
 * One world at a time: sim_start(), then threads, devices, I/O, sim_run(), sim_stop(). Everything that the run
 * does is a function of the options (and of what the threads do); two equal worlds in one process
 * or in two give the same bytes and the same transcript.
 */
#ifndef SHIM_CONTROL_H
#define SHIM_CONTROL_H

#include "disk.h"
#include "shim.h"

/* ---- the world ---- */

enum sim_strategy {
	SIM_FIFO,	/* first come, first served: fast, for replay and scripts */
	SIM_RANDOM,	/* every choice from the seed */
	SIM_RECORDED,	/* choices given; after their end, 0 (fifo) */
};

struct sim_options {
	enum sim_strategy strategy;
	u64 seed;
	const u32 *recorded;	/* SIM_RECORDED */
	size_t nr_recorded;
	/*
	 * Called once on the first violation: assertion, deadlock, lock order, sleeping while atomic, use
	 * after free, ... @what is one line. Must not return (exit, longjmp out, or throw away the
	 * process). NULL: print "what" and @reproducer to stderr, abort().
	 */
	void (*fail)(void *context, const char *what);
	void *fail_context;
	const char *reproducer;
	/* Called for each line of the kernel log, without the newline. NULL: stderr. */
	void (*log)(void *context, int level, const char *line);
	void *log_context;
};

void sim_start(const struct sim_options *options);

/* Ends the world: unloads modules, destroys threads, checks leaks (a leak is a sim_fail()). */
void sim_stop(void);

/*
 * In a thread: the power goes. No other thread does anything from now on, and the disks keep what
 * they have, which can still be looked at (disk_peek()). The process must end after it.
 */
void sim_power_off(void);

/* The violation above, for harness code. */
void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/*
 * One choice of @n > 0 alternatives; 0 is what fifo takes. @what names the kind of choice ("run",
 * "complete", "fault", ...) for recorded runs and reports. Explorers replace it.
 */
u32 sim_choose(u32 n, const char *what);
typedef u32 (*sim_chooser_fn)(void *context, u32 n, const char *what);
void sim_set_chooser(sim_chooser_fn fn, void *context);
/* The choices made since sim_start() where n > 1; to record and to replay. */
const u32 *sim_choices(size_t *count);

/*
 * So many WARNs to come are no findings: a test breaks something and looks at what is done about
 * it. Too few of them until sim_stop() is a finding.
 */
void sim_expect_warnings(unsigned int count);

/* ---- threads and time ---- */

typedef struct sim_thread sim_thread_t;

/* May be called outside of threads (before sim_run()) and in them. */
sim_thread_t *sim_thread_start(const char *name, void (*fn)(void *arg), void *arg);
void sim_thread_join(sim_thread_t *thread);	/* in a thread */
/* Run until all threads started by the harness have ended; a deadlock is a sim_fail() naming who waits for what. */
void sim_run(void);
void sim_yield(void);			/* in a thread */
void sim_sleep_ns(u64 ns);		/* in a thread; simulated */
u64 sim_now_ns(void);
/* In a thread: wait until nothing but the caller can run and no event is pending, held I/O excepted. */
void sim_settle(void);
/* In a thread: wait until nothing can go on, settlers neither: the caller may help, else it is reported as a deadlock. */
void sim_wait_stuck(void);
/* Timed callback in "interrupt" context. */
void sim_call_at(u64 when_ns, void (*fn)(void *arg), void *arg);

/* ---- faults in allocations ---- */

/* Allocations by core/ and stores/, numbered from 0 since sim_start(). Fail those in [first, first + count). */
void sim_fail_alloc(u64 first, u64 count);
/* Fail each allocation that may fail without waiting (GFP_NOWAIT, GFP_ATOMIC) with this probability. */
void sim_fail_alloc_random(unsigned int per_million);
u64 sim_alloc_count(void);
u64 sim_alloc_failures(void); /* that were made to fail, by whatever means */
/*
 * Asked before each allocation: true makes it fail. @what and @site name it: "mempool_create()", "core/pending.c:31".
 * Until the end of the world, or NULL.
 */
void sim_alloc_hook(bool (*fn)(void *context, const char *what, const char *site), void *context);
/* Bytes held now, and at most, by core/ and stores/ (not by the shim, disks or the harness). */
u64 sim_memory_bytes(void);
u64 sim_memory_peak_bytes(void);
void sim_memory_peak_reset(void);

/* ---- modules ---- */

int sim_module_load(const char *name);		/* "dm-multisnapshot", "dm-store-mikulas" */
int sim_module_unload(const char *name);	/* -EBUSY while in use */
int sim_module_param_set(const char *module, const char *param, u64 value); /* before or after load */
bool sim_module_autoload(bool on);		/* does request_module() find anything? (default: yes) */

/* ---- device-mapper, as dmsetup sees it. In a thread. 0 or -errno. ---- */

#define DMCTL_NOFLUSH 1
#define DMCTL_NOLOCKFS 2

int dmctl_create(const char *name);				/* no table yet */
/* "0 131072 multisnapshot origin store 16 0 mikulas 0"; *error (if not NULL): ti->error of a failed constructor */
int dmctl_load(const char *name, const char *table, const char **error);
int dmctl_clear(const char *name);				/* drop the inactive table */
int dmctl_resume(const char *name);
int dmctl_suspend(const char *name, unsigned int flags);
int dmctl_remove(const char *name);				/* -EBUSY while opened */
/* Words, blank separated, to the target at @sector; -EINVAL: the table has none there. */
int dmctl_message_at(const char *name, sector_t sector, const char *message);
static inline int dmctl_message(const char *name, const char *message)
{
	return dmctl_message_at(name, 0, message);
}
/*
 * What dmsetup status and table print: "start length type text", a line for each target (no newline at the end), of the
 * active table; nothing where there is none. -ENOSPC: the buffer is too small.
 */
int dmctl_status(const char *name, status_type_t type, char *buf, size_t size);
/*
 * The text of the first target alone, of an inactive table where there is no active one: its status method with exactly
 * @size bytes, for H16 and H38.
 */
int dmctl_status_raw(const char *name, status_type_t type, char *buf, size_t size);
bool dmctl_exists(const char *name);
bool dmctl_suspended(const char *name);
u64 dmctl_event_count(const char *name);			/* dm_table_event() */
/* Open count, as a mounted file system holds it. */
int dmctl_open(const char *name);
void dmctl_close(const char *name);

/* ---- I/O ---- */

/*
 * A harness bio: bio_alloc() with a payload of tags. @tags (one per sector) stays the caller's; reads fill
 * it at completion, TAG_LITERAL|hash for literal sectors. NULL for flush, discard, write-zeroes. The
 * caller sets bi_end_io/bi_private and submit_bio()s it, from a thread or from an event; bi_end_io runs in interrupt
 * context and ends with bio_put().
 */
struct bio *sim_bio_alloc(struct block_device *bdev, blk_opf_t opf, sector_t sector, u32 sectors,
			  tag_t *tags);
/* The same with real bytes. */
struct bio *sim_bio_alloc_bytes(struct block_device *bdev, blk_opf_t opf, sector_t sector,
				u32 sectors, void *bytes);
/* Submit and wait (in a thread); frees the bio; 0 or -errno. */
int sim_bio_wait(struct bio *bio);

/*
 * Reserves that submitters sleep on (H34): jobs of a kcopyd client, requests of a dm-io client. For clients created after
 * the call, in this world; 0: the default, 1024 under fifo, else the kernel's 8 and 16.
 */
void sim_set_job_pools(unsigned int kcopyd_jobs, unsigned int io_jobs);

/* ---- counts ---- */

struct sim_counts {
	u64 context_switches, wakeups, events;
	u64 bios, bio_splits;
	u64 copies, copy_sectors, copy_destinations;	/* kcopyd; sectors of the source */
	u64 zeroes, zero_sectors;
};
const struct sim_counts *sim_counts(void);

#endif /* SHIM_CONTROL_H */
