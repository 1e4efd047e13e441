// SPDX-License-Identifier: GPL-2.0
/*
 * One torture run: configuration, world, threads, and the end, where everything is compared.
 *
 * The order of draws from the one random stream follows from the order in which the threads run,
 * which the scheduler draws from the same seed: a run is a function of its options.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "splitmix.h"
#include "torture.h"

const char *const torture_count_names[TC_NR] = {
	[TC_READ] = "read",
	[TC_WRITE] = "write",
	[TC_CHUNK_WRITE] = "chunk-write",
	[TC_FUA] = "fua",
	[TC_DISCARD] = "discard",
	[TC_ZERO] = "zero",
	[TC_FLUSH] = "flush",
	[TC_SNAP_READ] = "snap-read",
	[TC_SNAP_WRITE] = "snap-write",
	[TC_EIO] = "eio",
	[TC_CREATE] = "create",
	[TC_SUBSNAP] = "subsnap",
	[TC_DELETE] = "delete",
	[TC_SETTLE] = "settle",
	[TC_SUSPEND] = "suspend",
	[TC_DEVICE] = "device",
	[TC_RELOAD] = "reload",
	[TC_SYNC] = "sync",
	[TC_REPAIR] = "repair",
	[TC_REFUSED] = "refused",
	[TC_VERIFY] = "verify",
	[TC_CHECK] = "check",
	[TC_FAULT] = "fault",
	[TC_DELAY] = "delay",
	[TC_ENOSPC] = "enospc",
	[TC_GIVEN_UP] = "given-up",
};

/* One byte, or two where that may not do, or eight. */
static u64 next_draw(struct torture *t, u64 n)
{
	u64 bytes = n <= 256 ? 1 : n <= 65536 ? 2 : 8, value = 0;

	while (bytes-- && t->drawn < t->options->nr_draws)
		value = value << 8 | t->options->draws[t->drawn++];
	return value % n;
}

u64 torture_random(struct torture *t, u64 n)
{
	u64 drawn = splitmix_next(&t->rng);

	if (t->drawn < t->options->nr_draws)
		return next_draw(t, n);
	return drawn % n;
}

bool torture_chance(struct torture *t, unsigned int percent)
{
	return torture_random(t, 100) < percent;
}

void torture_mix(struct torture *t, u64 value)
{
	t->digest = (t->digest ^ value) * 0x100000001B3ULL;
	t->digest ^= t->digest >> 29;
}

void torture_say(struct torture *t, const char *fmt, ...)
{
	va_list ap;

	if (!t->options->verbose)
		return;
	fprintf(stderr, "[%12.6f] ", sim_now_ns() / 1e9);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

u64 torture_errors(struct torture *t)
{
	return disk_counts(t->origin->error)->errors + disk_counts(t->store->error)->errors;
}

/* ---- findings ---- */

static struct torture *current; /* for what the simulated kernel finds */

void torture_reproducer(const struct torture_options *o, char *buf, size_t size)
{
	snprintf(buf, size, "multisnap torture --seed %llu --ops %llu --store %s%s%s",
		 (unsigned long long)o->seed, (unsigned long long)o->ops, o->store,
		 o->any_strategy	  ? "" :
		 o->strategy == SIM_FIFO ? " --strategy fifo" :
					   " --strategy random",
		 o->no_faults ? " --no-faults" : "");
}

static void report_and_exit(struct torture *t, const char *what)
{
	char line[256];

	if (t->options->found)
		t->options->found(what);
	torture_reproducer(t->options, line, sizeof(line));
	progress_clear();
	printf("seed %llu: after %llu operations: %s\n  reproduce: %s\n",
	       (unsigned long long)t->options->seed, (unsigned long long)t->ops_done, what, line);
	fflush(stdout);
	_exit(SIM_EXIT_FOUND);
}

void torture_found(struct torture *t, const char *fmt, ...)
{
	char what[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	report_and_exit(t, what);
	abort(); /* not reached */
}

static void violation(void *context, const char *what)
{
	report_and_exit(current, what);
}

/*
 * Two lines of the log mean something here: the store device did not take the mark (section 6), and how
 * small a cache may be.
 */
static void log_line(void *context, int level, const char *line)
{
	struct torture *t = context;

	status_least_cache(line, &t->least_cache);
	if (strstr(line, "refused the invalid mark"))
		t->mark_refused = true;
	if (t->options->trace_log)
		fprintf(stderr, "[%12.6f] %s\n", sim_now_ns() / 1e9, line);
}

/* ---- configuration ---- */

#define PICK(t, ...)                                                             \
	({                                                                       \
		static const unsigned int choice[] = { __VA_ARGS__ };            \
		choice[torture_random(t, sizeof(choice) / sizeof(choice[0]))]; \
	})

static void draw_sizes(struct torture *t)
{
	struct torture_config *c = &t->config;
	bool mikulas = !strcmp(t->options->store, "mikulas");
	u64 chunks, copies;

	c->origin_block = PICK(t, 512, 512, 512, 4096);
	c->store_block = PICK(t, 512, 512, 512, 4096);
	t->align = (c->origin_block > c->store_block ? c->origin_block : c->store_block) / 512;
	c->chunk_sectors = mikulas ? PICK(t, 8, 8, 16, 16, 32, 128) :
				     PICK(t, 1, 2, 4, 8, 8, 16, 16, 32, 128);
	if (c->chunk_sectors < t->align)
		c->chunk_sectors = t->align;
	chunks = t->options->draws ? 2 + torture_random(t, 8) :
				     8 + torture_random(t, torture_chance(t, 30) ? 400 : 60);
	c->origin_sectors = chunks * c->chunk_sectors;
	/* An odd size: the last chunk is cut. */
	if (torture_chance(t, 60) && c->chunk_sectors > t->align)
		c->origin_sectors -= t->align * (1 + torture_random(t, c->chunk_sectors / t->align - 1));
	c->small_store = torture_chance(t, 25);
	copies = c->small_store ? chunks / 2 + torture_random(t, 2 * chunks) : chunks * 40 + 1000;
	c->store_sectors = copies * c->chunk_sectors;
	if (mikulas)
		c->store_sectors += t->options->draws ? 640 : 40000 + 64 * c->chunk_sectors;
	c->store_sectors -= c->store_sectors % t->align;
}

static void draw_config(struct torture *t)
{
	const struct torture_options *o = t->options;
	struct torture_config *c = &t->config;

	draw_sizes(t);
	c->strategy = o->any_strategy ? (torture_chance(t, 80) ? SIM_RANDOM : SIM_FIFO) : o->strategy;
	c->threads = 1 + torture_random(t, TORTURE_THREADS);
	c->pending_limit = PICK(t, 0, 0, 0, 1, 2, 5, 16);
	c->origin_model = PICK(t, DISK_RAM, DISK_RAM, DISK_SSD, DISK_HDD);
	c->store_model = PICK(t, DISK_RAM, DISK_RAM, DISK_SSD, DISK_HDD);
	if (!strcmp(o->store, "mikulas")) {
		c->small_cache = torture_chance(t, 30);
		if (torture_chance(t, 40))
			c->cache_threshold = PICK(t, 1, 8, 64, 512);
	}
	c->disk_faults = !o->no_faults && torture_chance(t, 35);
	c->alloc_faults = !o->no_faults && torture_chance(t, 20);
	c->delays = torture_chance(t, 60);
	t->preserve = torture_chance(t, 50);
	torture_say(t,
		    "chunk %u origin %llu (%u) store %llu (%u) threads %u pending %u preserve %d small %d "
		    "faults %d alloc %d strategy %d models %d %d threshold %llu",
		    c->chunk_sectors, (unsigned long long)c->origin_sectors, c->origin_block,
		    (unsigned long long)c->store_sectors, c->store_block, c->threads,
		    c->pending_limit, t->preserve, c->small_store, c->disk_faults, c->alloc_faults,
		    c->strategy, c->origin_model, c->store_model,
		    (unsigned long long)c->cache_threshold);
}

/* ---- threads ---- */

static bool more(const struct torture *t)
{
	return t->ops_done < t->options->ops && (!t->options->draws || t->drawn < t->options->nr_draws);
}

static void worker(void *arg)
{
	struct torture *t = arg;

	while (more(t)) {
		t->ops_done++;
		torture_io_batch(t);
	}
}

/*
 * Requests that take long, each disk's in its own way: only so can one overtake another that was
 * issued long before it (H01, H02, H28, H29, H49).
 */
static void delayer(void *arg)
{
	struct torture *t = arg;

	while (!t->ending) {
		struct world_disk *disk = torture_chance(t, 50) ? t->origin : t->store;
		unsigned int ops = PICK(t, DISK_OP_READ, DISK_OP_READ, DISK_OP_WRITE, DISK_OP_FLUSH,
					DISK_OP_ALL);
		int handle;

		sim_sleep_ns(1ULL << torture_random(t, 18));
		handle = disk_delay_hold_next(disk->delay, ops, 0, 0, 1 + torture_random(t, 3));
		sim_sleep_ns(1ULL << (8 + torture_random(t, 16)));
		disk_delay_release(disk->delay, handle);
		t->counts[TC_DELAY]++;
	}
}

/* Every device of every snapshot, and the origin, read back. */
static void verify_all(struct torture *t)
{
	struct oracle_device *d;

	torture_verify_device(t, NULL);
	for (d = oracle_newest(t->oracle); d; d = oracle_older(d)) {
		struct torture_slot slot = { .name = "last", .id = oracle_device_id(d), .device = d };
		char id[32], table[128];
		int r;

		slot.sectors = t->config.origin_sectors + 3 * t->config.chunk_sectors;
		snapid_print(id, sizeof(id), slot.id);
		snprintf(table, sizeof(table), "0 %llu multisnap-snap origin %s",
			 (unsigned long long)slot.sectors, id);
		r = world_device_create(slot.name, table, NULL);
		if (r)
			torture_found(t, "at the end: snapshot %s: no device: %s", id, errno_name(r));
		torture_verify_device(t, &slot);
		r = torture_remove_device(t, slot.name);
		if (r)
			torture_found(t, "at the end: snapshot %s: remove: %s", id, errno_name(r));
	}
}

static void hash_disk(struct torture *t, struct world_disk *d)
{
	for (sector_t s = disk_next_data(d->base, 0); s < disk_sectors(d->base);
	     s = disk_next_data(d->base, s + 1)) {
		tag_t tag;

		disk_peek(d->base, s, 1, &tag);
		torture_mix(t, s);
		torture_mix(t, tag);
	}
}

/* I8: the rule of section 8, with a constant for what the core has at most. */
static void judge_memory(struct torture *t)
{
	u64 cache = t->config.cache_limit ? t->config.cache_limit * SECTOR_SIZE : 64 << 20;
	u64 bound = cache + 64 * TORTURE_IDS + (8 << 20);

	if (sim_memory_peak_bytes() > bound)
		torture_found(t, "%llu bytes of memory were used, %llu are allowed",
			      (unsigned long long)sim_memory_peak_bytes(),
			      (unsigned long long)bound);
}

/* I1, I2: all contents. I5: what nobody needs any more is free again. */
static void final_checks(struct torture *t)
{
	struct target_status st;

	torture_disarm(t);
	for (unsigned int i = 0; i < TORTURE_SLOTS; i++)
		if (t->slots[i].exists)
			torture_slot_remove(t, &t->slots[i]);
	torture_get_status(t, &st);
	if (t->known_error)
		torture_reload(t);
	torture_settle(t);
	torture_suspend_resume(t);
	torture_settle(t);
	torture_get_status(t, &st);
	torture_check(t, "settled", &st);
	verify_all(t);
	torture_delete_all(t);
	torture_settle(t);
	torture_get_status(t, &st);
	if (st.nr)
		torture_found(t, "at the end: snapshots are left after all were deleted");
	if (!st.error && st.allocated != st.metadata)
		torture_found(t, "at the end: %llu sectors allocated, %llu metadata, and no snapshot",
			      (unsigned long long)st.allocated, (unsigned long long)st.metadata);
	judge_memory(t);
	torture_remove_origin(t);
	torture_check(t, "at the end", NULL);
	hash_disk(t, t->origin);
	hash_disk(t, t->store);
}

static void manager(void *arg)
{
	sim_thread_t *threads[TORTURE_THREADS], *delays = NULL;
	struct torture *t = arg;
	char name[16];

	if (t->config.small_cache)
		torture_smallest_cache(t);
	torture_load(t);
	for (unsigned int i = 1; i < t->config.threads; i++) {
		snprintf(name, sizeof(name), "io-%u", i);
		threads[i] = sim_thread_start(name, worker, t);
	}
	if (t->config.delays)
		delays = sim_thread_start("delays", delayer, t);
	while (more(t)) {
		t->ops_done++;
		if (torture_chance(t, 50))
			torture_admin(t);
		else
			torture_io_batch(t);
		if (progress_due())
			progress_show("seed %llu: %llu of %llu operations",
				      (unsigned long long)t->options->seed,
				      (unsigned long long)t->ops_done,
				      (unsigned long long)t->options->ops);
	}
	for (unsigned int i = 1; i < t->config.threads; i++)
		sim_thread_join(threads[i]);
	t->ending = true;
	if (delays)
		sim_thread_join(delays);
	final_checks(t);
}

/* ---- a run ---- */

static void start_world(struct torture *t)
{
	const struct torture_config *c = &t->config;
	struct world_options wo = {
		.strategy = c->strategy,
		.seed = t->options->seed,
		.fail = violation,
		.log = log_line,
		.log_context = t,
	};

	world_start(&wo);
	if (c->pending_limit &&
	    sim_module_param_set("dm-multisnapshot", "pending_limit", c->pending_limit))
		torture_found(t, "the parameter pending_limit is refused");
	t->origin = world_disk_add("origin", c->origin_sectors, c->origin_model, c->origin_block, NULL);
	t->store = world_disk_add("store", c->store_sectors, c->store_model, c->store_block, NULL);
	init_waitqueue_head(&t->wait);
}

static void summarize(struct torture *t, char *summary, size_t size)
{
	size_t n;

	n = snprintf(summary, size, "seed %llu %s: %llu operations, no finding, digest %016llx:",
		     (unsigned long long)t->options->seed, t->options->store,
		     (unsigned long long)t->ops_done, (unsigned long long)t->digest);
	for (unsigned int i = 0; i < TC_NR && n < size; i++)
		if (t->counts[i])
			n += snprintf(summary + n, size - n, " %s %llu", torture_count_names[i],
				      (unsigned long long)t->counts[i]);
}

int torture_run(const struct torture_options *options, char *summary, size_t size)
{
	struct torture *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	current = t;
	t->options = options;
	t->rng = options->seed * 0xD1342543DE82EF95ULL + 1;
	t->prepared = SNAPID_ORIGIN;
	draw_config(t);
	t->oracle = oracle_create(t->config.origin_sectors);
	oracle_set_print(t->oracle, snapid_print);
	start_world(t);
	sim_thread_start("manager", manager, t);
	sim_run();
	torture_mix(t, sim_now_ns());
	world_stop();
	oracle_destroy(t->oracle);
	summarize(t, summary, size);
	free(t);
	return SIM_EXIT_OK;
}
