// SPDX-License-Identifier: GPL-2.0
/*
 * What the manager of the torture does to a loaded origin: messages, suspends, snapshot devices,
 * faults.
 *
 * The manager is one thread: snapshots come and go by its doing only, so that it can compare the
 * list after each step. The other threads' I/O goes on all the time.
 */
#include <errno.h>
#include <string.h>

#include "torture.h"

bool torture_excused(struct torture *t, u64 errors_before)
{
	struct target_status st;

	if (torture_errors(t) != errors_before || t->known_error ||
	    (torture_memory_may_fail(t) && t->faults_armed))
		return true;
	return torture_get_status(t, &st) && st.error;
}

static int message(struct torture *t, const char *text)
{
	int r = dmctl_message("ms", text);

	torture_say(t, "message %s: %d", text, r);
	torture_mix(t, -r);
	return r;
}

/* ---- create, suspend, resume ---- */

static u64 count_ids(struct torture *t)
{
	return oracle_nr_snapshots(t->oracle);
}

static snapid_t random_id(struct torture *t)
{
	u64 n = torture_random(t, count_ids(t));
	snapid_t id = oracle_next_id(t->oracle, 0);

	while (n--)
		id = oracle_next_id(t->oracle, id + 1);
	return id;
}

static void judge_prepared(struct torture *t, const struct target_status *st, snapid_t master)
{
	char text[32];

	snapid_print(text, sizeof(text), st->prepared);
	if (st->prepared == SNAPID_ORIGIN)
		torture_found(t, "create succeeded, and the status shows no id");
	if (snapid_master(st->prepared) != master)
		torture_found(t, "create: %s is not a snapshot of what was asked for", text);
	if (master == SNAPID_ORIGIN && st->prepared >> 32 != t->first_given)
		torture_found(t, "create: %s, and %llu is the next number", text,
			      (unsigned long long)t->first_given);
	if (oracle_device(t->oracle, st->prepared))
		torture_found(t, "create: %s exists already", text);
}

static void create(struct torture *t)
{
	u64 errors = torture_errors(t);
	snapid_t master = SNAPID_ORIGIN;
	char text[64] = "create", id[32];
	struct target_status st;
	int r;

	if (count_ids(t) >= TORTURE_IDS - 4)
		return;
	if (count_ids(t) && torture_chance(t, 35)) {
		master = random_id(t);
		if (snapid_master(master) != SNAPID_ORIGIN)
			master = snapid_master(master);
		snapid_print(id, sizeof(id), master);
		snprintf(text, sizeof(text), "create_subsnap %s", id);
	}
	r = message(t, text);
	t->prepared = SNAPID_ORIGIN;
	torture_get_status(t, &st);
	if (!r) {
		if (master != SNAPID_ORIGIN && !oracle_device(t->oracle, master))
			torture_found(t, "%s succeeded, and there is no such snapshot", text);
		judge_prepared(t, &st, master);
		t->prepared = st.prepared;
		t->prepared_master = master;
		return;
	}
	if (st.prepared != SNAPID_ORIGIN)
		torture_found(t, "%s failed, and the status shows an id", text);
	if (r == -EINVAL && master != SNAPID_ORIGIN && !oracle_device(t->oracle, master)) {
		t->counts[TC_REFUSED]++;
		return;
	}
	if (!torture_excused(t, errors))
		torture_found(t, "%s: %s", text, errno_name(r));
}

/* While the origin is suspended. */
static void meanwhile(struct torture *t)
{
	struct target_status st;

	switch (torture_random(t, 6)) {
	case 0:
		for (u64 n = torture_random(t, 50); n; n--)
			sim_yield();
		break;
	case 1:
		sim_sleep_ns(torture_random(t, 100000000));
		break;
	case 2:
		torture_get_status(t, &st);
		break;
	case 3:
		torture_settle(t);
		break;
	case 4:
		create(t);
		break;
	}
}

void torture_suspend_resume(struct torture *t)
{
	static const unsigned int flags[] = { 0, 0, DMCTL_NOFLUSH, DMCTL_NOLOCKFS };
	u64 errors = torture_errors(t);
	struct oracle_device *fork = torture_fork_begin(t);
	snapid_t id = t->prepared;
	struct target_status st;
	int r;

	t->counts[TC_SUSPEND]++;
	r = dmctl_suspend("ms", flags[torture_random(t, 4)]);
	if (r)
		torture_found(t, "suspend: %s", errno_name(r));
	torture_get_status(t, &st);
	torture_say(t, "suspended");
	if (st.prepared != SNAPID_ORIGIN)
		torture_found(t, "suspended, and the prepared id is still there");
	t->prepared = SNAPID_ORIGIN;
	if (id != SNAPID_ORIGIN && !fork && torture_has_id(&st, id))
		torture_found(t, "a snapshot was created of one that does not exist");
	if (fork && !torture_has_id(&st, id) && !torture_excused(t, errors))
		torture_found(t, "suspended, and the prepared snapshot was not created");
	if (fork && st.error && !t->undecided)
		t->undecided = fork; /* it may have become durable */
	else
		torture_fork_end(t, fork, torture_has_id(&st, id));
	if (!st.error)
		torture_compare_ids(t, &st, "suspended");
	meanwhile(t);
	r = dmctl_resume("ms");
	if (r)
		torture_found(t, "resume: %s", errno_name(r));
}

/* ---- delete, settle ---- */

static void mark_slots(struct torture *t, snapid_t id, bool dead)
{
	for (unsigned int i = 0; i < TORTURE_SLOTS; i++) {
		struct torture_slot *slot = &t->slots[i];

		if (!slot->exists || slot->id != id)
			continue;
		slot->doomed = true;
		if (dead) {
			slot->dead = true;
			slot->device = NULL;
		}
	}
}

void torture_forget(struct torture *t, snapid_t id)
{
	mark_slots(t, id, true);
	oracle_delete(t->oracle, oracle_device(t->oracle, id));
}

static void delete_id(struct torture *t, snapid_t id)
{
	u64 errors = torture_errors(t);
	bool before = t->known_error;
	char text[64], id_text[32];
	struct target_status st;
	int r;

	snapid_print(id_text, sizeof(id_text), id);
	snprintf(text, sizeof(text), "delete %s", id_text);
	t->counts[TC_DELETE]++;
	mark_slots(t, id, false);
	r = message(t, text);
	if (!r) {
		torture_forget(t, id);
	} else if (!torture_excused(t, errors)) {
		torture_found(t, "%s: %s", text, errno_name(r));
	} else if (!before && t->nr_doubtful < ARRAY_SIZE(t->doubtful)) {
		t->doubtful[t->nr_doubtful++] = id;
	}
	if (torture_get_status(t, &st) && !st.error)
		torture_compare_ids(t, &st, text);
}

void torture_delete_all(struct torture *t)
{
	snapid_t id;

	while ((id = oracle_next_id(t->oracle, 0)) != SNAPID_ORIGIN) {
		delete_id(t, id);
		if (oracle_device(t->oracle, id))
			return;
	}
}

void torture_settle(struct torture *t)
{
	u64 errors = torture_errors(t);
	int r;

	t->counts[TC_SETTLE]++;
	r = message(t, "settle");
	if (r && !torture_excused(t, errors))
		torture_found(t, "settle: %s", errno_name(r));
}

/* ---- what must be refused, and change nothing ---- */

static void refused_message(struct torture *t)
{
	static const struct {
		const char *text;
		int error;
	} messages[] = {
		{ "delete", EINVAL },
		{ "delete x", EINVAL },
		{ "delete -1", EINVAL },
		{ "delete 0 0", EINVAL },
		{ "delete 4294967294", EINVAL },
		{ "delete 4294967295", EINVAL },
		{ "delete 0.4294967295", EINVAL },
		{ "delete 18446744073709551615", 0 },
		{ "delete 18446744073709551616", ERANGE },
		{ "delete 0.", EINVAL },
		{ "delete 0.0.0", EINVAL },
		{ "settle 1", EINVAL },
		{ "created", EINVAL },
	};
	unsigned int i = torture_random(t, sizeof(messages) / sizeof(messages[0]));
	struct target_status st;
	int r;

	t->counts[TC_REFUSED]++;
	r = message(t, messages[i].text);
	/* Zero above: refused, by whichever check comes first. */
	torture_get_status(t, &st);
	if (!r || (!t->known_error && messages[i].error && r != -messages[i].error))
		torture_found(t, "message %s: %s", messages[i].text, r ? errno_name(r) : "done");
	if (!st.error) {
		torture_compare_ids(t, &st, messages[i].text);
		if (st.prepared != t->prepared)
			torture_found(t, "message %s changed the prepared id", messages[i].text);
	}
}

static void refused_table(struct torture *t)
{
	static const char *const words[] = { "18446744073709551615", "18446744073709551616", "x",
					     "4294967295", "0.4294967295", "-1", "4294967294" };
	const char *error = NULL;
	char table[128];
	int r;

	t->counts[TC_REFUSED]++;
	snprintf(table, sizeof(table), "0 %llu multisnap-snap origin %s",
		 (unsigned long long)t->config.origin_sectors,
		 words[torture_random(t, sizeof(words) / sizeof(words[0]))]);
	r = world_device_create("bad", table, &error);
	/* With the snapshots given up any id may be created. */
	if (!r && t->known_error && !t->preserve) {
		r = torture_remove_device(t, "bad");
		if (r)
			torture_found(t, "remove: %s", errno_name(r));
		return;
	}
	if (!r)
		torture_found(t, "a device was created by \"%s\"", table);
	if (!error || !*error)
		torture_found(t, "no reason was given for refusing \"%s\"", table);
}

/* ---- snapshot devices ---- */

/*
 * The last bio has ended, and still dm may be about to take note of it: that is EBUSY, as for a
 * process that has not exited yet.
 */
int torture_remove_device(struct torture *t, const char *name)
{
	int r = world_device_remove(name);

	for (unsigned int i = 0; r == -EBUSY && i < 1000; i++) {
		sim_sleep_ns(1000);
		r = world_device_remove(name);
	}
	torture_say(t, "remove %s: %d", name, r);
	return r;
}

void torture_slot_remove(struct torture *t, struct torture_slot *slot)
{
	int r;

	slot->closing = true;
	wait_event(t->wait, !slot->users);
	r = torture_remove_device(t, slot->name);
	if (r)
		torture_found(t, "%s: remove: %s", slot->name, errno_name(r));
	memset(slot, 0, sizeof(*slot));
}

/* Of any size: smaller and larger than the origin. */
static sector_t draw_device_size(struct torture *t)
{
	sector_t size = t->config.origin_sectors;

	if (torture_chance(t, 25))
		size += t->align * torture_random(t, 5 * t->config.chunk_sectors / t->align);
	else if (torture_chance(t, 10))
		size = t->align * (1 + torture_random(t, size / t->align));
	return size;
}

void torture_slot_create(struct torture *t)
{
	u64 errors = torture_errors(t);
	struct torture_slot *slot = NULL;
	char table[128], id[32];
	int r;

	for (unsigned int i = 0; i < TORTURE_SLOTS && !slot; i++)
		if (!t->slots[i].exists)
			slot = &t->slots[i];
	if (!slot || !t->loaded || !count_ids(t))
		return;
	memset(slot, 0, sizeof(*slot));
	snprintf(slot->name, sizeof(slot->name), "snap%u", (unsigned int)(slot - t->slots));
	slot->id = random_id(t);
	slot->sectors = draw_device_size(t);
	snapid_print(id, sizeof(id), slot->id);
	snprintf(table, sizeof(table), "0 %llu multisnap-snap origin %s",
		 (unsigned long long)slot->sectors, id);
	r = world_device_create(slot->name, table, NULL);
	torture_say(t, "create %s: %s: %d", slot->name, table, r);
	if (r) {
		if (!torture_excused(t, errors))
			torture_found(t, "device of snapshot %s: %s", id, errno_name(r));
		return;
	}
	t->counts[TC_DEVICE]++;
	slot->device = oracle_device(t->oracle, slot->id);
	slot->exists = true;
}

static struct torture_slot *random_slot(struct torture *t)
{
	unsigned int first = torture_random(t, TORTURE_SLOTS);

	for (unsigned int i = 0; i < TORTURE_SLOTS; i++) {
		struct torture_slot *slot = &t->slots[(first + i) % TORTURE_SLOTS];

		if (slot->exists)
			return slot;
	}
	return NULL;
}

static struct torture_slot *dead_slot(struct torture *t)
{
	for (unsigned int i = 0; i < TORTURE_SLOTS; i++)
		if (t->slots[i].exists && t->slots[i].dead)
			return &t->slots[i];
	return NULL;
}

static void slot_suspend(struct torture *t, struct torture_slot *slot)
{
	int r = dmctl_suspend(slot->name, torture_chance(t, 30) ? DMCTL_NOFLUSH : 0);

	if (!r && torture_chance(t, 50))
		sim_sleep_ns(torture_random(t, 1000000));
	if (!r)
		r = dmctl_resume(slot->name);
	if (r)
		torture_found(t, "%s: suspend and resume: %s", slot->name, errno_name(r));
}

/* ---- faults ---- */

void torture_disarm(struct torture *t)
{
	disk_error_clear(t->origin->error);
	disk_error_clear(t->store->error);
	sim_fail_alloc(0, 0);
	sim_fail_alloc_random(0);
	t->faults_armed = false;
}

static void arm(struct torture *t)
{
	struct disk_fault fault = { .error = -EIO };
	struct world_disk *disk = torture_chance(t, 65) ? t->store : t->origin;

	t->faults_armed = true;
	t->counts[TC_FAULT]++;
	if (t->config.alloc_faults && (!t->config.disk_faults || torture_chance(t, 50))) {
		sim_fail_alloc_random(torture_chance(t, 30) ? 1000000 :
							      1000 * (1 + torture_random(t, 100)));
		return;
	}
	fault.ops = 1 + torture_random(t, DISK_OP_ALL);
	if (torture_chance(t, 50)) {
		fault.skip = torture_random(t, 30);
		fault.count = 1 + torture_random(t, 3);
	} else {
		fault.per_million = 1000 * (1 + torture_random(t, 30));
		fault.count = U64_MAX;
	}
	if (torture_chance(t, 20)) {
		fault.start = torture_random(t, disk->sectors);
		fault.len = 1 + torture_random(t, disk->sectors - fault.start);
	}
	disk_error_add(disk->error, &fault);
	torture_say(t, "fault on %s: ops %u skip %llu count %llu chance %u", disk->name, fault.ops,
		    (unsigned long long)fault.skip, (unsigned long long)fault.count,
		    fault.per_million);
}

static void toggle_faults(struct torture *t)
{
	if (!t->config.disk_faults && !t->config.alloc_faults)
		return;
	if (t->faults_armed)
		torture_disarm(t);
	else if (torture_chance(t, 25))
		arm(t);
}

/* ---- one operation ---- */

static void with_slot(struct torture *t, void (*what)(struct torture *t, struct torture_slot *slot))
{
	struct torture_slot *slot = random_slot(t);

	if (slot)
		what(t, slot);
	else
		torture_slot_create(t);
}

void torture_admin(struct torture *t)
{
	struct target_status st;
	unsigned int p = torture_random(t, 100);

	torture_get_status(t, &st);
	if (dead_slot(t) && torture_chance(t, 30)) {
		torture_slot_remove(t, dead_slot(t));
	} else if (t->known_error && torture_chance(t, 40)) {
		t->counts[TC_REPAIR]++;
		torture_reload(t);
	} else if (p < 18) {
		create(t);
		if (torture_chance(t, 75))
			torture_suspend_resume(t);
	} else if (p < 24) {
		torture_suspend_resume(t);
	} else if (p < 34) {
		if (count_ids(t) && torture_chance(t, 20 + 6 * count_ids(t)))
			delete_id(t, random_id(t));
	} else if (p < 38) {
		torture_settle(t);
	} else if (p < 54) {
		torture_slot_create(t);
	} else if (p < 64) {
		with_slot(t, torture_slot_remove);
	} else if (p < 68) {
		with_slot(t, slot_suspend);
	} else if (p < 72) {
		with_slot(t, torture_verify_device);
	} else if (p < 74) {
		torture_verify_device(t, NULL);
	} else if (p < 80) {
		refused_message(t);
	} else if (p < 84) {
		refused_table(t);
	} else if (p < 86) {
		torture_refused_load(t);
	} else if (p < 92) {
		toggle_faults(t);
	} else if (p < 94) {
		torture_reload(t);
	} else if (p < 98) {
		torture_check(t, "while in use", NULL);
	}
}
