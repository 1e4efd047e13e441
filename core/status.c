// SPDX-License-Identifier: GPL-2.0
/*
 * Status and table of the origin target.
 *
 * Under the status lock only, which is never held over I/O: they can be read while the device is
 * suspended and while the store is busy or dead. DMEMIT never writes past the buffer; a result that
 * fills it is reported as too small by dm (H16).
 */
#include "multisnap.h"

int multisnap_print_snapid(struct dm_multisnap *s, char *buf, size_t size, snapid_t id)
{
	if (s->ops->print_snapid)
		return s->ops->print_snapid(s->store, buf, size, id);
	return scnprintf(buf, size, "%llu", (unsigned long long)id);
}

struct emit {
	char *result;
	unsigned int maxlen;
	unsigned int sz;
};

static void emit_snapid(struct dm_multisnap *s, struct emit *e, snapid_t id)
{
	unsigned int maxlen = e->maxlen, sz = e->sz;
	char *result = e->result;
	char text[48];

	multisnap_print_snapid(s, text, sizeof(text), id);
	DMEMIT(" %s", text);
	e->sz = sz;
}

static u64 count_snapids(struct dm_multisnap *s)
{
	u64 n = 0;

	for (snapid_t id = s->ops->get_next_snapid(s->store, 0); id != SNAPID_ORIGIN;
	     id = s->ops->get_next_snapid(s->store, id + 1))
		n++;
	return n;
}

/* " <#snapids> <snapid>*" */
static void emit_snapids(struct dm_multisnap *s, struct emit *e)
{
	unsigned int maxlen = e->maxlen, sz = e->sz;
	char *result = e->result;

	DMEMIT(" %llu", (unsigned long long)count_snapids(s));
	e->sz = sz;
	/*
	 * What no longer fits is not looked up: a short buffer costs little, however many there
	 * are.
	 */
	for (snapid_t id = s->ops->get_next_snapid(s->store, 0);
	     id != SNAPID_ORIGIN && e->sz + 1 < e->maxlen;
	     id = s->ops->get_next_snapid(s->store, id + 1))
		emit_snapid(s, e, id);
}

static void emit_info(struct dm_multisnap *s, struct emit *e)
{
	u64 total = 0, allocated = 0, metadata = 0;
	unsigned int maxlen = e->maxlen, sz = e->sz;
	char *result = e->result;

	DMEMIT("5 %d", dm_multisnap_has_error(s));
	e->sz = sz;
	if (s->prepared != SNAPID_ORIGIN) {
		emit_snapid(s, e, s->prepared);
		sz = e->sz;
	} else {
		DMEMIT(" -");
	}
	if (s->ops->get_space)
		s->ops->get_space(s->store, &total, &allocated, &metadata);
	DMEMIT(" %llu %llu %llu", (unsigned long long)block_to_sector(s->geometry, total),
	       (unsigned long long)block_to_sector(s->geometry, allocated),
	       (unsigned long long)block_to_sector(s->geometry, metadata));
	e->sz = sz;
	emit_snapids(s, e);
}

/* The arguments as in the grammar: after a removal this line loads the same device again. */
static void emit_table(struct dm_multisnap *s, struct emit *e)
{
	unsigned int maxlen = e->maxlen, sz = e->sz;
	char *result = e->result;
	char store_args[128] = "0";

	DMEMIT("%s %u:%u %llu %u", s->name, MAJOR(s->store_dev->bdev->bd_dev),
	       MINOR(s->store_dev->bdev->bd_dev), (unsigned long long)chunk_sectors(s->geometry),
	       s->args.sync_snapshots + s->args.preserve_on_error);
	if (s->args.sync_snapshots)
		DMEMIT(" sync-snapshots");
	if (s->args.preserve_on_error)
		DMEMIT(" preserve-on-error");
	if (s->ops->status_table)
		s->ops->status_table(s->store, store_args, sizeof(store_args));
	DMEMIT(" %s %s", s->ops->name, store_args);
	e->sz = sz;
	if (s->args.sync_snapshots)
		emit_snapids(s, e);
}

static void emit_ima(struct dm_target *ti, struct emit *e)
{
	struct dm_multisnap *s = ti->private;
	unsigned int maxlen = e->maxlen, sz = e->sz;
	char *result = e->result;

	DMEMIT_TARGET_NAME_VERSION(ti->type);
	DMEMIT(",origin=%s,store=%u:%u,chunk_sectors=%llu", s->name,
	       MAJOR(s->store_dev->bdev->bd_dev), MINOR(s->store_dev->bdev->bd_dev),
	       (unsigned long long)chunk_sectors(s->geometry));
	DMEMIT(",sync_snapshots=%c,preserve_on_error=%c,store_type=%s;",
	       s->args.sync_snapshots ? 'y' : 'n', s->args.preserve_on_error ? 'y' : 'n',
	       s->ops->name);
	e->sz = sz;
}

void multisnap_status(struct dm_target *ti, status_type_t type, unsigned int flags, char *result,
		      unsigned int maxlen)
{
	struct dm_multisnap *s = ti->private;
	struct emit e = { .result = result, .maxlen = maxlen };

	if (!maxlen)
		return;
	*result = '\0'; /* terminated whatever follows (H38) */

	dm_multisnap_status_lock(s);
	switch (type) {
	case STATUSTYPE_INFO:
		emit_info(s, &e);
		break;
	case STATUSTYPE_TABLE:
		emit_table(s, &e);
		break;
	case STATUSTYPE_IMA:
		emit_ima(ti, &e);
		break;
	}
	dm_multisnap_status_unlock(s);
}
