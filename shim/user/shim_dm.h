/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Device-mapper of the userspace shim: targets, tables, dm-io, kcopyd.
 *
 * Names, values and meaning are Linux 6.1's (linux/device-mapper.h, dm-io.h, dm-kcopyd.h); what no
 * target of this project needs is left out.
 */
#ifndef SHIM_DM_H
#define SHIM_DM_H

#include "shim_block.h"

struct dm_table;
struct dm_target;
struct mapped_device;
struct module;

typedef enum { STATUSTYPE_INFO, STATUSTYPE_TABLE, STATUSTYPE_IMA } status_type_t;

/* status_flags */
#define DM_STATUS_NOFLUSH_FLAG (1 << 0)

struct dm_dev {
	struct block_device *bdev;
	fmode_t mode;
	char name[16]; /* "major:minor" */
};

typedef int (*dm_ctr_fn)(struct dm_target *target, unsigned int argc, char **argv);
typedef void (*dm_dtr_fn)(struct dm_target *ti);
typedef int (*dm_map_fn)(struct dm_target *ti, struct bio *bio);
typedef int (*dm_endio_fn)(struct dm_target *ti, struct bio *bio, blk_status_t *error);
typedef void (*dm_presuspend_fn)(struct dm_target *ti);
typedef void (*dm_presuspend_undo_fn)(struct dm_target *ti);
typedef void (*dm_postsuspend_fn)(struct dm_target *ti);
typedef int (*dm_preresume_fn)(struct dm_target *ti);
typedef void (*dm_resume_fn)(struct dm_target *ti);
typedef void (*dm_status_fn)(struct dm_target *ti, status_type_t status_type,
			     unsigned int status_flags, char *result, unsigned int maxlen);
typedef int (*dm_message_fn)(struct dm_target *ti, unsigned int argc, char **argv, char *result,
			     unsigned int maxlen);
typedef int (*iterate_devices_callout_fn)(struct dm_target *ti, struct dm_dev *dev, sector_t start,
					  sector_t len, void *data);
typedef int (*dm_iterate_devices_fn)(struct dm_target *ti, iterate_devices_callout_fn fn,
				     void *data);
typedef void (*dm_io_hints_fn)(struct dm_target *ti, struct queue_limits *limits);

struct target_type {
	uint64_t features;
	const char *name;
	struct module *module;
	unsigned int version[3];
	dm_ctr_fn ctr;
	dm_dtr_fn dtr;
	dm_map_fn map;
	dm_endio_fn end_io;
	dm_presuspend_fn presuspend;
	dm_presuspend_undo_fn presuspend_undo;
	dm_postsuspend_fn postsuspend;
	dm_preresume_fn preresume;
	dm_resume_fn resume;
	dm_status_fn status;
	dm_message_fn message;
	dm_iterate_devices_fn iterate_devices;
	dm_io_hints_fn io_hints;

	/* For internal device-mapper use. */
	struct list_head list;
};

#define DM_TARGET_SINGLETON 0x00000001
#define DM_TARGET_ALWAYS_WRITEABLE 0x00000002
#define DM_TARGET_IMMUTABLE 0x00000004
#define DM_TARGET_NOWAIT 0x00000080

struct dm_target {
	struct dm_table *table;
	struct target_type *type;

	sector_t begin;
	sector_t len;

	uint32_t max_io_len; /* if not 0, the most that map() gets at once, aligned to it */

	unsigned int num_flush_bios;
	unsigned int num_discard_bios;
	unsigned int num_secure_erase_bios;
	unsigned int num_write_zeroes_bios;

	unsigned int per_io_data_size;
	void *private;
	char *error; /* set by a constructor that fails */

	bool flush_supported:1;
	bool discards_supported:1;
	bool needs_stable_writes:1;
	bool limit_swap_bios:1;
	bool emulate_zone_append:1;
	bool accounts_remapped_io:1;
	bool needs_bio_set_dev:1;
};

#define DM_ENDIO_DONE 0
#define DM_ENDIO_INCOMPLETE 1
#define DM_ENDIO_REQUEUE 2
#define DM_ENDIO_DELAY_REQUEUE 3

#define DM_MAPIO_SUBMITTED 0
#define DM_MAPIO_REMAPPED 1
#define DM_MAPIO_REQUEUE DM_ENDIO_REQUEUE
#define DM_MAPIO_DELAY_REQUEUE DM_ENDIO_DELAY_REQUEUE
#define DM_MAPIO_KILL 4

#define DM_NAME "device-mapper"

int shim_emit(char *result, size_t maxlen, size_t used, const char *fmt, ...) __printf(4, 5);
#define DMEMIT(x...) (sz += shim_emit(result, maxlen, sz, x))

#define DMEMIT_TARGET_NAME_VERSION(y)                                                              \
	DMEMIT("target_name=%s,target_version=%u.%u.%u", (y)->name, (y)->version[0],               \
	       (y)->version[1], (y)->version[2])

#define dm_target_offset(ti, sector) ((sector) - (ti)->begin)

static inline sector_t to_sector(unsigned long long n)
{
	return n >> SECTOR_SHIFT;
}

static inline unsigned long long to_bytes(sector_t n)
{
	return (unsigned long long)n << SECTOR_SHIFT;
}

int dm_register_target(struct target_type *t);
void dm_unregister_target(struct target_type *t);

/* Constructors and destructors only. @path: NAME, /dev/NAME, /dev/mapper/NAME or MAJOR:MINOR. */
int dm_get_device(struct dm_target *ti, const char *path, fmode_t mode, struct dm_dev **result);
void dm_put_device(struct dm_target *ti, struct dm_dev *d);
dev_t dm_get_dev_t(const char *path);

fmode_t dm_table_get_mode(struct dm_table *t);
struct mapped_device *dm_table_get_md(struct dm_table *t);
const char *dm_device_name(struct mapped_device *md);	 /* "major:minor" */
const char *dm_table_device_name(struct dm_table *t);
sector_t dm_table_get_size(struct dm_table *t);
void dm_table_event(struct dm_table *t);
int __must_check dm_set_target_max_io_len(struct dm_target *ti, sector_t len);

void dm_accept_partial_bio(struct bio *bio, unsigned int n_sectors);
void dm_submit_bio_remap(struct bio *clone, struct bio *tgt_clone);
void *dm_per_bio_data(struct bio *bio, size_t data_size);
struct bio *dm_bio_from_per_bio_data(void *data, size_t data_size);
unsigned int dm_bio_get_target_bio_nr(const struct bio *bio);

int dm_suspended(struct dm_target *ti);
int dm_post_suspending(struct dm_target *ti);
int dm_noflush_suspending(struct dm_target *ti);

/* ---- arguments ---- */

struct dm_arg_set {
	unsigned int argc;
	char **argv;
};

const char *dm_shift_arg(struct dm_arg_set *as);
void dm_consume_args(struct dm_arg_set *as, unsigned int num_args);
/* Splits @input in place at blanks; a backslash takes the next character as it is. -ENOMEM. */
int dm_split_args(int *argc, char ***argvp, char *input);

/* ---- dm-io ---- */

struct dm_io_region {
	struct block_device *bdev;
	sector_t sector;
	sector_t count; /* If this is zero the region is ignored (but for the flush it carries). */
};

enum dm_io_mem_type {
	DM_IO_PAGE_LIST,
	DM_IO_BIO,
	DM_IO_VMA,
	DM_IO_KMEM,
};

struct dm_io_memory {
	enum dm_io_mem_type type;
	unsigned int offset;
	union {
		void *vma;
		void *addr;
	} ptr;
};

typedef void (*io_notify_fn)(unsigned long error, void *context);

struct dm_io_notify {
	io_notify_fn fn; /* NULL: synchronous. Called in interrupt context. */
	void *context;
};

struct dm_io_client;
struct dm_io_request {
	blk_opf_t bi_opf;
	struct dm_io_memory mem;
	struct dm_io_notify notify;
	struct dm_io_client *client;
};

struct dm_io_client *dm_io_client_create(void);
void dm_io_client_destroy(struct dm_io_client *client);
/* Sleeps on a small mempool, also when asynchronous. */
#define IOPRIO_DEFAULT 0
int dm_io(struct dm_io_request *io_req, unsigned int num_regions, struct dm_io_region *region,
	  unsigned long *sync_error_bits, unsigned short ioprio);

/* ---- kcopyd ---- */

#define DM_KCOPYD_MAX_REGIONS 8
#define DM_KCOPYD_IGNORE_ERROR 1
#define DM_KCOPYD_WRITE_SEQ 2

struct dm_kcopyd_throttle;
struct dm_kcopyd_client;
typedef void (*dm_kcopyd_notify_fn)(int read_err, unsigned long write_err, void *context);

struct dm_kcopyd_client *dm_kcopyd_client_create(struct dm_kcopyd_throttle *throttle);
void dm_kcopyd_client_destroy(struct dm_kcopyd_client *kc);
/* Both sleep on a small mempool; the callback comes from kcopyd's own thread. */
void dm_kcopyd_copy(struct dm_kcopyd_client *kc, struct dm_io_region *from, unsigned int num_dests,
		    struct dm_io_region *dests, unsigned int flags, dm_kcopyd_notify_fn fn,
		    void *context);
void dm_kcopyd_zero(struct dm_kcopyd_client *kc, unsigned int num_dests,
		    struct dm_io_region *dests, unsigned int flags, dm_kcopyd_notify_fn fn,
		    void *context);

#endif /* SHIM_DM_H */
