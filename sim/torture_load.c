// SPDX-License-Identifier: GPL-2.0
/*
 * Loading, removing and reloading the origin target, with the snapshots of mikulas found again
 * and those of the model store lost; sync-snapshots; repair after errors.
 *
 * Repair follows the specification's section 6. Preserved: the error clears at the load, and
 * every snapshot is there. Given up: the store is marked (unless the log said that the device
 * refused the mark): it loads, shows the error, passes through, and is refused with preserve-on-
 * error; then the administrator zeroes the first sector of the store device and begins anew.
 */
#include <errno.h>
#include <string.h>

#include "torture.h"

bool torture_persistent(const struct torture *t)
{
	return strcmp(t->options->store, "model");
}

bool torture_memory_may_fail(const struct torture *t)
{
	return t->config.alloc_faults && !torture_persistent(t);
}

/* ---- forks ---- */

struct oracle_device *torture_fork_begin(struct torture *t)
{
	struct oracle_device *master;

	if (t->prepared == SNAPID_ORIGIN)
		return NULL;
	master = oracle_device(t->oracle, t->prepared_master);
	return master ? oracle_fork_begin(t->oracle, t->prepared, master) : NULL;
}

void torture_fork_end(struct torture *t, struct oracle_device *device, bool created)
{
	snapid_t id;

	if (!device)
		return;
	if (!created) {
		oracle_fork_cancel(t->oracle, device);
		return;
	}
	id = oracle_device_id(device);
	oracle_fork_end(t->oracle, device);
	if (snapid_master(id) == SNAPID_ORIGIN) {
		t->counts[TC_CREATE]++;
		t->first_given = (id >> 32) + 1;
	} else {
		t->counts[TC_SUBSNAP]++;
	}
}

/* ---- the table ---- */

struct sync_list {
	bool wanted;
	unsigned int nr;
	snapid_t ids[TORTURE_IDS + 4];
	unsigned int nr_new;
	struct oracle_device *forks[4];
};

static void make_table(struct torture *t, const struct sync_list *sync, char *table, size_t size)
{
	size_t n;

	t->origin_len = t->config.origin_sectors;
	if (torture_chance(t, 10)) /* a table may be shorter than the device */
		t->origin_len = t->align * (1 + torture_random(t, t->origin_len / t->align));
	n = snprintf(table, size, "0 %llu multisnapshot origin store %u %d%s%s %s",
		     (unsigned long long)t->origin_len, t->config.chunk_sectors,
		     t->preserve + sync->wanted, sync->wanted ? " sync-snapshots" : "",
		     t->preserve ? " preserve-on-error" : "", t->options->store);
	n += snprintf(table + n, size - n, " %d",
		      2 * (!!t->config.cache_threshold + !!t->config.cache_limit));
	if (t->config.cache_threshold)
		n += snprintf(table + n, size - n, " cache-threshold %llu",
			      (unsigned long long)t->config.cache_threshold);
	if (t->config.cache_limit)
		n += snprintf(table + n, size - n, " cache-limit %llu",
			      (unsigned long long)t->config.cache_limit);
	if (sync->wanted)
		n += snprintf(table + n, size - n, " %u", sync->nr);
	for (unsigned int i = 0; sync->wanted && i < sync->nr; i++) {
		char id[32];

		snapid_print(id, sizeof(id), sync->ids[i]);
		n += snprintf(table + n, size - n, " %s", id);
	}
}

/* Some of the snapshots that are there, in any order, and perhaps new ones. */
static void draw_sync(struct torture *t, struct sync_list *sync)
{
	snapid_t id;

	sync->wanted = true;
	sync->nr_new = torture_random(t, 3);
	for (id = torture_persistent(t) ? oracle_next_id(t->oracle, 0) : SNAPID_ORIGIN;
	     id != SNAPID_ORIGIN;
	     id = oracle_next_id(t->oracle, id + 1))
		if (torture_chance(t, 70))
			sync->ids[sync->nr++] = id;
	for (unsigned int i = 0; i < sync->nr_new && sync->nr < TORTURE_IDS; i++)
		sync->ids[sync->nr++] = (t->first_given + i + torture_random(t, 2) * 5) << 32 |
					0xffffffffULL;
	for (unsigned int i = 0; i + 1 < sync->nr_new; i++) /* a duplicate after all */
		if (sync->ids[sync->nr - 1] == sync->ids[sync->nr - 2])
			sync->nr--, sync->nr_new--;
	for (unsigned int i = sync->nr; i > 1; i--) {
		unsigned int j = torture_random(t, i);

		id = sync->ids[i - 1];
		sync->ids[i - 1] = sync->ids[j];
		sync->ids[j] = id;
	}
}

static void sync_begin(struct torture *t, struct sync_list *sync)
{
	struct oracle_device *origin = oracle_device(t->oracle, SNAPID_ORIGIN);
	unsigned int n = 0;

	for (unsigned int i = 0; i < sync->nr; i++)
		if (!oracle_device(t->oracle, sync->ids[i]))
			sync->forks[n++] = oracle_fork_begin(t->oracle, sync->ids[i], origin);
	sync->nr_new = n;
}

static void sync_end(struct torture *t, struct sync_list *sync, bool done)
{
	snapid_t id;

	for (unsigned int i = 0; i < sync->nr_new; i++) {
		u64 given = t->first_given;

		torture_fork_end(t, sync->forks[i], done);
		if (given > t->first_given)
			t->first_given = given;
	}
	if (!done)
		return;
	t->counts[TC_SYNC]++;
	for (id = oracle_next_id(t->oracle, 0); id != SNAPID_ORIGIN;
	     id = oracle_next_id(t->oracle, id + 1)) {
		bool listed = false;

		for (unsigned int i = 0; i < sync->nr; i++)
			listed |= sync->ids[i] == id;
		if (!listed)
			torture_forget(t, id);
	}
}

/* ---- load ---- */

/* One attempt. Returns 0 or -errno; what comes after is in t. */
static int load_once(struct torture *t, struct sync_list *sync)
{
	u64 errors = torture_errors(t);
	const char *error = NULL;
	struct target_status st;
	char table[4096];
	int r;

	make_table(t, sync, table, sizeof(table));
	if (sync->wanted)
		sync_begin(t, sync);
	r = world_device_create("ms", table, &error);
	torture_say(t, "load %s: %d %s", table, r, error ? error : "");
	torture_mix(t, -r);
	if (r) {
		sync_end(t, sync, false);
		if (!t->faults_armed && torture_errors(t) == errors && !t->config.alloc_faults)
			torture_found(t, "load \"%s\": %s (%s)", table, errno_name(r),
				      error ? error : "no reason given");
		return r;
	}
	t->loaded = true;
	t->loads++;
	t->known_error = 0;
	torture_get_status(t, &st);
	if (t->undecided)
		torture_fork_end(t, t->undecided,
				 !st.error && torture_has_id(&st, oracle_device_id(t->undecided)));
	t->undecided = NULL;
	for (unsigned int i = 0; !st.error && i < t->nr_doubtful; i++)
		if (oracle_device(t->oracle, t->doubtful[i]) && !torture_has_id(&st, t->doubtful[i]))
			torture_forget(t, t->doubtful[i]);
	t->nr_doubtful = 0;
	if (sync->wanted)
		sync_end(t, sync, !st.error);
	if (!st.error)
		torture_compare_ids(t, &st, sync->wanted ? "loaded with sync-snapshots" : "loaded");
	return 0;
}

void torture_load(struct torture *t)
{
	struct sync_list none = { .wanted = false };

	if (!load_once(t, &none))
		return;
	torture_disarm(t);
	if (load_once(t, &none))
		torture_found(t, "the origin could not be loaded again, without faults");
}

/* ---- remove ---- */

static void doom_slots(struct torture *t, bool dead)
{
	for (unsigned int i = 0; i < TORTURE_SLOTS; i++) {
		if (!t->slots[i].exists)
			continue;
		t->slots[i].doomed = true;
		if (dead) {
			t->slots[i].dead = true;
			t->slots[i].device = NULL;
		}
	}
}

void torture_remove_origin(struct torture *t)
{
	u64 errors = torture_errors(t);
	struct oracle_device *fork;
	struct target_status st = { .error = 0 };
	int r;

	t->origin_closing = true;
	wait_event(t->wait, !t->origin_users);
	torture_get_status(t, &st);
	doom_slots(t, false);
	t->removing = true;
	fork = torture_fork_begin(t);
	r = torture_remove_device(t, "ms");
	if (r)
		torture_found(t, "remove: %s", errno_name(r));
	doom_slots(t, true);
	/* Removal creates what is prepared. Where something may have struck, the next load shows whether. */
	t->struck = torture_excused(t, errors);
	if (!fork || st.error)
		torture_fork_end(t, fork, false);
	else if (t->struck)
		t->undecided = fork;
	else
		torture_fork_end(t, fork, true);
	t->prepared = SNAPID_ORIGIN;
	t->loaded = false;
	t->removing = false;
	t->origin_closing = false;
}

static void forget_all(struct torture *t)
{
	snapid_t id;

	torture_fork_end(t, t->undecided, false);
	t->undecided = NULL;
	t->nr_doubtful = 0;
	while ((id = oracle_next_id(t->oracle, 0)) != SNAPID_ORIGIN)
		torture_forget(t, id);
	t->first_given = 0;
}

/* The administrator gives up the store: only its first sector is zeroed. */
static void reformat(struct torture *t)
{
	static const tag_t zero[8];

	disk_poke(t->store->base, 0, t->config.store_block / 512, zero);
	forget_all(t);
	t->mark_refused = false;
}

/* The snapshots were given up and the store is marked: section 6. */
static void judge_marked(struct torture *t, int error)
{
	struct sync_list none = { .wanted = false };
	char table[4096];
	int r;

	t->preserve = true;
	make_table(t, &none, table, sizeof(table));
	r = world_device_create("ms", table, NULL);
	if (!r)
		torture_found(t, "a store that is marked invalid was loaded with preserve-on-error");
	t->preserve = false;
	t->known_error = 0;
	if (load_once(t, &none))
		torture_found(t, "a store that is marked invalid could not be loaded");
	if (t->known_error != error)
		torture_found(t, "the snapshots were given up with error %d, the store shows %d",
			      error, t->known_error);
	torture_verify_device(t, NULL);
	torture_remove_origin(t);
}

void torture_reload(struct torture *t)
{
	struct sync_list sync = { .wanted = false };
	int error;

	t->counts[TC_RELOAD]++;
	if (t->known_error)
		torture_disarm(t);
	torture_remove_origin(t);
	torture_check(t, "removed", NULL);
	error = t->known_error;
	if (!torture_persistent(t)) {
		forget_all(t);
	} else if (error && !t->preserve) {
		torture_disarm(t);
		if (!t->mark_refused)
			judge_marked(t, error);
		reformat(t);
	}
	/* Given up while it was removed, and so marked: then it would be refused. */
	if ((t->preserve || !t->struck) && torture_chance(t, 30))
		t->preserve = !t->preserve;
	if (torture_chance(t, 40) && !t->faults_armed && !t->undecided &&
	    !t->nr_doubtful) {
		draw_sync(t, &sync);
		if (load_once(t, &sync))
			torture_load(t);
	} else {
		torture_load(t);
	}
}

void torture_smallest_cache(struct torture *t)
{
	struct sync_list none = { .wanted = false };
	char table[4096];
	int r;

	t->config.cache_limit = 1;
	make_table(t, &none, table, sizeof(table));
	r = world_device_create("ms", table, NULL);
	if (r != -EINVAL || !t->least_cache)
		torture_found(t, "a cache of one sector: %s", r ? errno_name(r) : "loaded");
	t->config.cache_limit = t->least_cache;
}

/* Loading what is in use: refused, and nothing changes. */
void torture_refused_load(struct torture *t)
{
	struct sync_list none = { .wanted = false };
	sector_t len = t->origin_len;
	struct target_status st;
	char table[4096];
	int r;

	t->counts[TC_REFUSED]++;
	make_table(t, &none, table, sizeof(table));
	t->origin_len = len;
	r = world_device_create("second", table, NULL);
	if (!r || (r != -EBUSY && !t->config.alloc_faults && !t->faults_armed))
		torture_found(t, "a second origin target on devices in use: %s",
			      r ? errno_name(r) : "loaded");
	if (torture_get_status(t, &st) && !st.error)
		torture_compare_ids(t, &st, "a second origin target was refused");
}
