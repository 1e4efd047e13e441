/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The store type "probe": the model store, with a test between the core and it. The test sees what
 * the core asks, may have an operation answered by an error or "ask again", and may keep a commit
 * or the invalid mark from ending for as long as it likes.
 */
#ifndef TESTS_PROBE_STORE_H
#define TESTS_PROBE_STORE_H

#include "core_fixture.h"

#include "multisnap.h"

#define PROBE_TABLE "0 2048 multisnapshot origin store 8 0 probe 0"
#define PROBE_PRESERVE_TABLE "0 2048 multisnapshot origin store 8 1 preserve-on-error probe 0"

/* Answers to come of one operation: @skip from the model, then @count times @answer. */
struct probe_answer {
	unsigned int skip, count;
	int answer;
};

static struct probe {
	struct multisnap_store_ops ops, model;
	struct dm_multisnap *s;
	struct dm_exception_store *store;

	struct probe_answer create, delete, find, query, add, unshare;
	struct probe_answer memory; /* add finds none and wants some; then fetch_memory()'s answer */
	unsigned int finds, queries, adds, commits, marks, fetches;
	bool hold_commits, hold_mark;
	int mark_result, commit_result;
	int marked_with;
	void (*on_commit)(void);
} probe;

static inline bool probe_answers(struct probe_answer *a)
{
	if (!a->count)
		return false;
	if (a->skip) {
		a->skip--;
		return false;
	}
	a->count--;
	return true;
}

static inline int probe_init(struct dm_multisnap *s, struct dm_exception_store **store,
			     struct dm_arg_set *as, char **error)
{
	int r = probe.model.init_exception_store(s, store, as, error);

	probe.s = s;
	probe.store = r ? NULL : *store;
	return r;
}

static inline int probe_create(struct dm_exception_store *store, snapid_t id)
{
	return probe_answers(&probe.create) ? probe.create.answer :
					      probe.model.create_snapshot(store, id);
}

static inline int probe_delete(struct dm_exception_store *store, snapid_t id)
{
	return probe_answers(&probe.delete) ? probe.delete.answer :
					      probe.model.delete_snapshot(store, id);
}

static inline int probe_find(struct dm_exception_store *store, snapid_t id, chunk_t chunk,
			     bool write, block_t *block)
{
	probe.finds++;
	return probe_answers(&probe.find) ?
		       probe.find.answer :
		       probe.model.find_snapshot_chunk(store, id, chunk, write, block);
}

static inline int probe_query(struct dm_exception_store *store, chunk_t chunk)
{
	probe.queries++;
	return probe_answers(&probe.query) ? probe.query.answer :
					     probe.model.query_next_remap(store, chunk);
}

static inline int probe_add(struct dm_exception_store *store, struct chunk_remap *remap)
{
	probe.adds++;
	if (probe_answers(&probe.memory)) {
		dm_multisnap_want_memory(probe.s);
		return -EAGAIN;
	}
	return probe_answers(&probe.add) ? probe.add.answer :
					   probe.model.add_next_remap(store, remap);
}

static inline int probe_unshare(struct dm_exception_store *store,
				struct chunk_remap remap[MAKE_WRITEABLE_MAX])
{
	return probe_answers(&probe.unshare) ? probe.unshare.answer :
					       probe.model.make_chunk_writeable(store, remap);
}

static inline int probe_fetch_memory(struct dm_exception_store *store)
{
	probe.fetches++;
	return probe.memory.answer;
}

static inline void probe_end_commit(struct dm_exception_store *store)
{
	if (probe.commit_result)
		dm_multisnap_commit_done(probe.s, probe.commit_result);
	else
		probe.model.commit(store);
}

static inline void probe_commit(struct dm_exception_store *store)
{
	probe.commits++;
	if (probe.on_commit)
		probe.on_commit();
	if (!probe.hold_commits)
		probe_end_commit(store);
}

static inline void probe_invalidate(struct dm_exception_store *store, int error)
{
	probe.marks++;
	probe.marked_with = error;
	if (!probe.hold_mark)
		dm_multisnap_invalidate_done(probe.s, probe.mark_result);
}

/* A commit that was held becomes durable now. The next one is held again. */
static inline void probe_release_commit(void)
{
	multisnap_lock(probe.s);
	probe_end_commit(probe.store);
	multisnap_unlock(probe.s);
	multisnap_kick(probe.s);
	sim_settle();
}

static inline void probe_release_mark(void)
{
	multisnap_lock(probe.s);
	dm_multisnap_invalidate_done(probe.s, probe.mark_result);
	multisnap_unlock(probe.s);
	sim_settle();
}

/* What "ask again" waited for has happened. */
static inline void probe_event(void)
{
	multisnap_lock(probe.s);
	dm_multisnap_event(probe.s);
	multisnap_unlock(probe.s);
	multisnap_kick(probe.s);
	sim_settle();
}

static inline void probe_register(void)
{
	const struct multisnap_store_ops *model;

	memset(&probe, 0, sizeof(probe));
	CHECK_EQUAL(sim_module_load("dm-store-model"), 0);
	model = multisnap_get_store("model");
	CHECK(model);
	probe.model = *model;
	probe.ops = *model;
	multisnap_put_store(model);
	probe.ops.name = "probe";
	probe.ops.init_exception_store = probe_init;
	probe.ops.create_snapshot = probe_create;
	probe.ops.delete_snapshot = probe_delete;
	probe.ops.find_snapshot_chunk = probe_find;
	probe.ops.query_next_remap = probe_query;
	probe.ops.add_next_remap = probe_add;
	probe.ops.make_chunk_writeable = probe_unshare;
	probe.ops.commit = probe_commit;
	probe.ops.invalidate = probe_invalidate;
	probe.ops.fetch_memory = probe_fetch_memory;
	CHECK_EQUAL(dm_multisnap_register_store(&probe.ops), 0);
}

struct probe_test {
	void (*fn)(void *arg);
	void *arg;
};

static inline void probe_thread(void *arg)
{
	struct probe_test *test = arg;
	static const char *const devices[] = { "s0", "s1", "s2", "s00", "ms" };

	probe_register();
	test->fn(test->arg);
	for (unsigned int i = 0; i < ARRAY_SIZE(devices); i++)
		if (world_device_exists(devices[i]))
			CHECK_EQUAL(world_device_remove(devices[i]), 0);
	dm_multisnap_unregister_store(&probe.ops);
}

/* As in_world(), with the probe; the devices left are removed in the end. */
static inline void in_probed_world(void (*fn)(void *arg), void *arg)
{
	struct probe_test test = { fn, arg };

	in_world(probe_thread, &test);
}

static inline void make_probed(const char *table)
{
	CHECK_EQUAL(world_device_create("ms", table, NULL), 0);
}

/* A command in a thread of its own, to see whether and how it ends. */
struct command {
	const char *device;
	const char *message; /* NULL: do() */
	int (*run)(const char *device);
	bool ended;
	int result;
	sim_thread_t *thread;
};

static inline void command_thread(void *arg)
{
	struct command *c = arg;

	c->result = c->message ? dmctl_message(c->device, c->message) : c->run(c->device);
	c->ended = true;
}

static inline void start_message(struct command *c, const char *device, const char *message)
{
	*c = (struct command){ .device = device, .message = message };
	c->thread = sim_thread_start(message, command_thread, c);
	sim_settle();
}

static inline void start_command(struct command *c, const char *device,
				 int (*run)(const char *device))
{
	*c = (struct command){ .device = device, .run = run };
	c->thread = sim_thread_start(device, command_thread, c);
	sim_settle();
}

/* It has ended, or ends without further ado. */
static inline int command_result(struct command *c)
{
	sim_settle();
	CHECK(c->ended);
	sim_thread_join(c->thread);
	return c->result;
}

static inline int run_suspend(const char *device)
{
	return dmctl_suspend(device, 0);
}

/* Field @n of the status of "ms" behind "5": error, prepared, total, allocated, metadata, number, ids. */
static inline const char *status_field(unsigned int n)
{
	static char buf[8192];
	char *word, *save = NULL;

	CHECK_EQUAL(dmctl_status_raw("ms", STATUSTYPE_INFO, buf, sizeof(buf)), 0);
	word = strtok_r(buf, " ", &save);
	while (n-- && word)
		word = strtok_r(NULL, " ", &save);
	return word ? word : "";
}

#define STATUS_ERROR 1
#define STATUS_PREPARED 2
#define STATUS_NUMBER 6

static inline struct disk *disk_top(const char *name)
{
	return world_disk_find(name)->top;
}

static inline void fail_disk(const char *name, unsigned int ops, u64 skip, u64 count, int error)
{
	struct disk_fault fault = { .ops = ops, .skip = skip, .count = count, .error = error };

	CHECK(disk_error_add(world_disk_find(name)->error, &fault) >= 0);
}

#endif /* TESTS_PROBE_STORE_H */
