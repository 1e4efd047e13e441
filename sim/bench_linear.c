// SPDX-License-Identifier: GPL-2.0
/*
 * A linear target, to compare with: "0 <len> bench-linear <device>". As little as a target can do.
 */
#define KBUILD_MODNAME "multisnap-bench-linear"
#include "shim.h"

static int linear_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct dm_dev *dev;
	int r;

	if (argc != 1) {
		ti->error = "One argument: the device";
		return -EINVAL;
	}
	r = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table), &dev);
	if (r) {
		ti->error = "Device lookup failed";
		return r;
	}
	ti->private = dev;
	ti->num_flush_bios = 1;
	return 0;
}

static void linear_dtr(struct dm_target *ti)
{
	dm_put_device(ti, ti->private);
}

static int linear_map(struct dm_target *ti, struct bio *bio)
{
	struct dm_dev *dev = ti->private;

	bio_set_dev(bio, dev->bdev);
	bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	return DM_MAPIO_REMAPPED;
}

static int linear_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	return fn(ti, ti->private, 0, ti->len, data);
}

static struct target_type linear_target = {
	.name = "bench-linear",
	.version = { 1, 0, 0 },
	.module = THIS_MODULE,
	.ctr = linear_ctr,
	.dtr = linear_dtr,
	.map = linear_map,
	.iterate_devices = linear_iterate_devices,
};

static int linear_init(void)
{
	return dm_register_target(&linear_target);
}

static void linear_exit(void)
{
	dm_unregister_target(&linear_target);
}

module_init(linear_init);
module_exit(linear_exit);
