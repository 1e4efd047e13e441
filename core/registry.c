// SPDX-License-Identifier: GPL-2.0
/*
 * Who is there: the registered store types and the loaded multisnapshots.
 *
 * Both lists have their own mutex, held for look-ups only: never over I/O, never over a
 * constructor, so that one device that hangs does not stop the others (H41).
 */
#include "multisnap.h"

/* The list of multisnapshots, and who may attach to them. */
DEFINE_MUTEX(multisnap_mutex);
static LIST_HEAD(all_multisnapshots);

/* The list of store types. */
static DEFINE_MUTEX(stores_mutex);
static LIST_HEAD(all_stores);

static struct multisnap_store_ops *find_store_locked(const char *name) __must_hold(&stores_mutex)
{
	struct multisnap_store_ops *ops;

	lockdep_assert_held(&stores_mutex);
	list_for_each_entry(ops, &all_stores, list)
		if (!strcmp(ops->name, name))
			return ops;
	return NULL;
}

int dm_multisnap_register_store(struct multisnap_store_ops *ops)
{
	int r = 0;

	mutex_lock(&stores_mutex);
	if (find_store_locked(ops->name))
		r = -EEXIST;
	else
		list_add_tail(&ops->list, &all_stores);
	mutex_unlock(&stores_mutex);
	return r;
}
EXPORT_SYMBOL_GPL(dm_multisnap_register_store);

void dm_multisnap_unregister_store(struct multisnap_store_ops *ops)
{
	mutex_lock(&stores_mutex);
	list_del(&ops->list);
	mutex_unlock(&stores_mutex);
}
EXPORT_SYMBOL_GPL(dm_multisnap_unregister_store);

static const struct multisnap_store_ops *try_get_store(const char *name)
{
	struct multisnap_store_ops *ops;

	mutex_lock(&stores_mutex);
	ops = find_store_locked(name);
	if (ops && !try_module_get(ops->module))
		ops = NULL;
	mutex_unlock(&stores_mutex);
	return ops;
}

/* The store type @name, with a reference to its module; NULL if it cannot be had. */
const struct multisnap_store_ops *multisnap_get_store(const char *name)
{
	const struct multisnap_store_ops *ops = try_get_store(name);

	if (!ops) {
		request_module("dm-store-%s", name);
		ops = try_get_store(name);
	}
	return ops;
}

void multisnap_put_store(const struct multisnap_store_ops *ops)
{
	module_put(ops->module);
}

static bool uses_device(struct dm_multisnap *s, dev_t dev)
{
	return s->origin->bdev->bd_dev == dev || s->store_dev->bdev->bd_dev == dev;
}

/* Claim both devices of @s. -EBUSY: another multisnapshot has one of them, in either role. */
int multisnap_register(struct dm_multisnap *s)
{
	struct dm_multisnap *other;
	int r = 0;

	mutex_lock(&multisnap_mutex);
	list_for_each_entry(other, &all_multisnapshots, list) {
		if (uses_device(other, s->origin->bdev->bd_dev) ||
		    uses_device(other, s->store_dev->bdev->bd_dev)) {
			r = -EBUSY;
			break;
		}
	}
	if (!r)
		list_add_tail(&s->list, &all_multisnapshots);
	mutex_unlock(&multisnap_mutex);
	return r;
}

void multisnap_set_ready(struct dm_multisnap *s, bool ready)
{
	mutex_lock(&multisnap_mutex);
	s->ready = ready;
	mutex_unlock(&multisnap_mutex);
}

/* No more snapshot device can attach; the devices may be claimed again. */
void multisnap_unregister(struct dm_multisnap *s)
{
	mutex_lock(&multisnap_mutex);
	list_del(&s->list);
	mutex_unlock(&multisnap_mutex);
}

struct dm_multisnap *multisnap_find(dev_t origin)
{
	struct dm_multisnap *s, *found = NULL;

	mutex_lock(&multisnap_mutex);
	list_for_each_entry(s, &all_multisnapshots, list) {
		if (s->ready && s->origin->bdev->bd_dev == origin) {
			kref_get(&s->ref);
			found = s;
			break;
		}
	}
	mutex_unlock(&multisnap_mutex);
	return found;
}

static void free_multisnap(struct kref *ref)
{
	struct dm_multisnap *s = container_of(ref, struct dm_multisnap, ref);

	mutex_destroy(&s->status_lock);
	mutex_destroy(&s->lock);
	kfree(s);
}

void multisnap_put(struct dm_multisnap *s)
{
	kref_put(&s->ref, free_multisnap);
}
