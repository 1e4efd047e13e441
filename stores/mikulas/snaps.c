// SPDX-License-Identifier: GPL-2.0
/*
 * Snapids and the live snapshots, all of them in a red-black tree: 64 bytes of memory each.
 *
 * A snapid is 32.32: the high half counts snapshots of the origin; the low half is all ones for
 * such a snapshot, and 0, 1, 2, ... for snapshots of it, which so sort just before their master. A
 * snapshot that is being deleted stays in the tree until its deletion is durable.
 */
#include "mikulas.h"

/* One for all stores of the module. */
static struct kmem_cache *snapshot_cache;

int __init snapshots_module_init(void)
{
	snapshot_cache = kmem_cache_create("mikulas_snapshot", sizeof(struct live_snapshot),
					   __alignof__(struct live_snapshot), 0, NULL);
	return snapshot_cache ? 0 : -ENOMEM;
}

void snapshots_module_exit(void)
{
	kmem_cache_destroy(snapshot_cache);
}

void snapshots_init(struct dm_exception_store *store)
{
	store->spare_snapshots.cache = snapshot_cache;
}

static struct live_snapshot *to_snapshot(struct rb_node *node)
{
	return rb_entry(node, struct live_snapshot, node);
}

/*
 * The ends of the tree are known: most origin writes ask for all snapshots, and then their number
 * does not matter.
 */
snapid_t snapshot_next(struct dm_exception_store *store, snapid_t from)
{
	struct rb_node *node = store->snapshots.rb_node;
	snapid_t best = SNAPID_ORIGIN;

	if (!node || from > store->last_snapshot->id)
		return SNAPID_ORIGIN;
	if (from <= store->first_snapshot->id)
		return store->first_snapshot->id;
	while (node) {
		snapid_t id = to_snapshot(node)->id;

		if (id >= from) {
			best = id;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return best;
}

snapid_t snapshot_last(struct dm_exception_store *store, snapid_t to)
{
	struct rb_node *node = store->snapshots.rb_node;
	snapid_t best = SNAPID_ORIGIN;

	if (!node || to < store->first_snapshot->id)
		return SNAPID_ORIGIN;
	if (to >= store->last_snapshot->id)
		return store->last_snapshot->id;
	while (node) {
		snapid_t id = to_snapshot(node)->id;

		if (id <= to) {
			best = id;
			node = node->rb_right;
		} else {
			node = node->rb_left;
		}
	}
	return best;
}

struct live_snapshot *snapshot_find(struct dm_exception_store *store, snapid_t id)
{
	struct rb_node *node = store->snapshots.rb_node;

	if (!node || id > store->last_snapshot->id)
		return NULL;
	if (id == store->first_snapshot->id)
		return store->first_snapshot;
	while (node) {
		struct live_snapshot *snapshot = to_snapshot(node);

		if (snapshot->id == id)
			return snapshot;
		node = snapshot->id > id ? node->rb_left : node->rb_right;
	}
	return NULL;
}

snapid_t snapshot_low(struct dm_exception_store *store, snapid_t id)
{
	struct live_snapshot *snapshot;

	if (!snapid_is_first_level(id))
		return id;
	snapshot = snapshot_find(store, id);
	/* Nothing can be recorded with this id: the store is dead. */
	if (store_broken(store, !snapshot))
		return id;
	/* All sub-snapshots given are below, those to come are not. */
	return (id & ~(u64)U32_MAX) | snapshot->next_sub;
}

int snapshot_insert(struct dm_exception_store *store, snapid_t id, u32 next_sub)
{
	struct rb_node **link = &store->snapshots.rb_node, *parent = NULL;
	struct live_snapshot *snapshot = spares_take(&store->spare_snapshots);

	if (store_broken(store, !snapshot))
		return -EPERM;
	snapshot->id = id;
	snapshot->next_sub = next_sub;
	snapshot->deleting = false;
	INIT_LIST_HEAD(&snapshot->deleted);
	dm_multisnap_status_lock(store->dm);
	if (*link && id > store->last_snapshot->id) {
		parent = &store->last_snapshot->node;
		link = &parent->rb_right;
	}
	while (*link) {
		parent = *link;
		link = id < to_snapshot(parent)->id ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&snapshot->node, parent, link);
	rb_insert_color(&snapshot->node, &store->snapshots);
	if (!store->first_snapshot || id < store->first_snapshot->id)
		store->first_snapshot = snapshot;
	if (!store->last_snapshot || id > store->last_snapshot->id)
		store->last_snapshot = snapshot;
	dm_multisnap_status_unlock(store->dm);
	return 0;
}

void snapshots_closed_durable(struct dm_exception_store *store)
{
	struct live_snapshot *snapshot, *next;

	list_for_each_entry_safe(snapshot, next, &store->deleted_closed, deleted) {
		list_del(&snapshot->deleted);
		dm_multisnap_status_lock(store->dm);
		rb_erase(&snapshot->node, &store->snapshots);
		store->first_snapshot =
			rb_entry_safe(rb_first(&store->snapshots), struct live_snapshot, node);
		store->last_snapshot =
			rb_entry_safe(rb_last(&store->snapshots), struct live_snapshot, node);
		dm_multisnap_status_unlock(store->dm);
		kmem_cache_free(snapshot_cache, snapshot);
	}
}

void snapshots_exit(struct dm_exception_store *store)
{
	struct rb_node *node;

	while ((node = rb_first(&store->snapshots))) {
		rb_erase(node, &store->snapshots);
		kmem_cache_free(snapshot_cache, to_snapshot(node));
	}
	spares_exit(&store->spare_snapshots);
}

/* Is this entry of the tree possible? Sub-snapshots come before their master. */
static const char *check_loaded(struct dm_exception_store *store, const struct entry *entry)
{
	snapid_t last;

	if (snapid_high(entry->from) >= store->super.next_first)
		return "snapshot that was never given";
	if (!snapid_is_first_level(entry->from))
		return entry->b ? "counter of a sub-snapshot" : NULL;
	last = snapshot_last(store, entry->from);
	if (last != SNAPID_ORIGIN && snapid_high(last) == snapid_high(entry->from) &&
	    (u32)last >= entry->b)
		return "sub-snapshot that was never given";
	return NULL;
}

/* The snapshots of the checkpoint. Before the replay; no lock, may sleep. */
int snapshots_load(struct dm_exception_store *store)
{
	u64 chunk = SNAPSHOT_KEY_CHUNK - 1, from = U64_MAX, count = 0;

	for (;;) {
		struct tree_place place;
		const char *wrong;
		int r;

		r = tree_find(store, chunk, from, &place);
		if (r)
			return r;
		if (chunk == SNAPSHOT_KEY_CHUNK) {
			if (!place.have_le || place.le.chunk != chunk || place.le.from != from)
				return -EPERM;
			wrong = check_loaded(store, &place.le);
			if (wrong)
				return store_fail(store, -EPERM, wrong, store->super.root);
			r = spares_reserve(store, &store->spare_snapshots, 1);
			if (r)
				return r;
			r = snapshot_insert(store, from, place.le.b);
			if (r)
				return r;
			count++;
		}
		if (!place.have_gt)
			break;
		chunk = place.gt_chunk;
		from = place.gt_from;
	}
	if (count != store->super.nr_snapshots)
		return store_fail(store, -EPERM, "number of snapshots", store->super.root);
	return 0;
}

int snapshot_create_check(struct dm_exception_store *store, const struct group_state *state,
			  snapid_t id)
{
	struct live_snapshot *master;

	if (snapid_high(id) == U32_MAX)
		return -EINVAL;
	if (snapid_is_first_level(id))
		return snapid_high(id) >= state->next_first ? 0 : -EINVAL;
	master = snapshot_find(store, id | U32_MAX);
	if (!master || master->deleting || (u32)id < master->next_sub)
		return -EINVAL;
	return 0;
}

/* Does, or did, the snapshot exist? (Of sub-snapshots of a deleted master it is not known.) */
bool snapshot_was_given(struct dm_exception_store *store, const struct group_state *state,
			snapid_t id)
{
	struct live_snapshot *master;

	if (snapid_high(id) >= state->next_first)
		return false;
	if (snapid_is_first_level(id))
		return true;
	master = snapshot_find(store, id | U32_MAX);
	return !master || (u32)id < master->next_sub;
}

int mikulas_allocate_snapid(struct dm_exception_store *store, snapid_t master, snapid_t *id)
{
	struct live_snapshot *snapshot;

	if (store->dead)
		return store->dead;
	if (master == SNAPID_ORIGIN) {
		if (store->open.next_first >= U32_MAX)
			return -ENOSPC;
		*id = store->open.next_first << 32 | U32_MAX;
		return 0;
	}
	snapshot = snapshot_find(store, master);
	if (!snapshot || snapshot->deleting || !snapid_is_first_level(master))
		return -EINVAL;
	if (snapshot->next_sub == U32_MAX)
		return -ENOSPC;
	*id = (master & ~(u64)U32_MAX) | snapshot->next_sub;
	return 0;
}

int mikulas_create_snapshot(struct dm_exception_store *store, snapid_t id)
{
	const struct group_state *state = &store->open;
	int r;

	r = snapshot_create_check(store, state, id);
	if (r)
		return r;
	if (state->nr_exceptions + state->nr_snapshots >= store->super.max_entries)
		/* Reclaim needs its deletions durable, which a group that is kept open is not. */
		return state->reclaim && !dm_multisnap_groups_held(store->dm) ? -EAGAIN : -ENOSPC;
	r = group_begin(store, 1, 2);
	if (!r)
		r = spares_reserve(store, &store->spare_snapshots, 1);
	return r ? r : group_create(store, id);
}

int mikulas_delete_snapshot(struct dm_exception_store *store, snapid_t id)
{
	struct live_snapshot *snapshot = snapshot_find(store, id);
	int r;

	if (!snapshot || snapshot->deleting)
		return -EINVAL;
	r = group_begin(store, 1, 1);
	return r ? r : group_delete(store, id);
}

snapid_t mikulas_get_next_snapid(struct dm_exception_store *store, snapid_t from)
{
	return snapshot_next(store, from);
}

/* Masters before their sub-snapshots. */
int mikulas_compare_snapids(const void *a, const void *b)
{
	snapid_t x = *(const snapid_t *)a, y = *(const snapid_t *)b;

	return key_cmp(snapid_high(x), snapid_sub(x), snapid_high(y), snapid_sub(y));
}

int mikulas_print_snapid(struct dm_exception_store *store, char *buf, size_t size, snapid_t id)
{
	if (snapid_is_first_level(id))
		return snprintf(buf, size, "%u", snapid_high(id));
	return snprintf(buf, size, "%u.%u", snapid_high(id), (u32)id);
}

/*
 * One half: plain decimal without superfluous zeroes, at most 2^32 - 2. 2^32 - 1 fits but is never
 * a name: as the low half it would be an alias of the master, as the high half the reserved id.
 */
static int read_half(const char **text, u32 *half)
{
	const char *p = *text;
	u64 v = 0;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (v <= U32_MAX)
			v = v * 10 + (*p - '0');
	}
	*text = p;
	*half = v;
	if (v == U32_MAX)
		return -EINVAL;
	return v < U32_MAX ? 0 : -ERANGE;
}

int mikulas_read_snapid(struct dm_exception_store *store, const char *text, snapid_t *id)
{
	u32 high, low = U32_MAX;
	int r, range;

	range = read_half(&text, &high);
	if (range == -EINVAL)
		return range;
	if (*text == '.') {
		text++;
		r = read_half(&text, &low);
		if (r == -EINVAL)
			return r;
		range = range ? range : r;
	}
	if (*text)
		return -EINVAL;
	if (!range)
		*id = (u64)high << 32 | low;
	return range;
}
