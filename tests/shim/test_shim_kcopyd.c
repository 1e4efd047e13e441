// SPDX-License-Identifier: GPL-2.0
/* dm-io and kcopyd: data, errors, contexts, and the reserves on which submitters sleep. */
#include <errno.h>

#include "finding.h"

static struct disk *error_layer[2], *delay_layer[2];
static struct block_device *bdev[2];

static void begin(sector_t sectors)
{
	static const char *const names[] = { "a", "b" };
	u32 i;

	for (i = 0; i < 2; i++) {
		if (disk_bdev(names[i])) {
			disk_unregister(names[i]);
			disk_destroy(delay_layer[i]);
		}
		error_layer[i] = disk_error_create(disk_ram_create(names[i], sectors));
		delay_layer[i] = disk_delay_create(error_layer[i], DISK_RAM);
		bdev[i] = disk_register(names[i], delay_layer[i], 512);
	}
}

static void end(void)
{
	disk_unregister("a");
	disk_unregister("b");
	disk_destroy(delay_layer[0]);
	disk_destroy(delay_layer[1]);
}

/* ---- dm-io ---- */

static u32 nr_done;
static unsigned long last_error;

static void io_notify(unsigned long error, void *context)
{
	nr_done++;
	last_error = error;
	if (context)
		complete(context);
}

static int do_io(struct dm_io_client *client, blk_opf_t opf, sector_t sector, sector_t count, void *bytes,
		 io_notify_fn fn, unsigned long *bits)
{
	struct dm_io_region where[2] = { { .bdev = bdev[0], .sector = sector, .count = count },
					 { .bdev = bdev[1], .sector = sector, .count = count } };
	struct dm_io_request req = {
		.bi_opf = opf,
		.mem.type = DM_IO_KMEM,
		.mem.ptr.addr = bytes,
		.notify.fn = fn,
		.client = client,
	};

	return dm_io(&req, op_is_write(opf) ? 2 : 1, where, bits, 0);
}

static void dm_io_works(void *arg)
{
	u8 *bytes = malloc(16 * SECTOR_SIZE), *got = malloc(16 * SECTOR_SIZE);
	struct dm_io_client *client;
	unsigned long bits = 77;
	const struct disk_counts *counts;
	u32 i;

	begin(10000);
	client = dm_io_client_create();
	for (i = 0; i < 16 * SECTOR_SIZE; i++)
		bytes[i] = (u8)(i * 7 + i / 512);
	/* Two regions, waiting. */
	assert_int_equal(do_io(client, REQ_OP_WRITE | REQ_META, 100, 16, bytes, NULL, &bits), 0);
	assert_int_equal(bits, 0);
	for (i = 0; i < 2; i++) {
		disk_peek_bytes(delay_layer[i], 100, 16, got);
		assert_memory_equal(got, bytes, 16 * SECTOR_SIZE);
	}
	memset(got, 0, 16 * SECTOR_SIZE);
	assert_int_equal(do_io(client, REQ_OP_READ, 100, 16, got, NULL, NULL), 0);
	assert_memory_equal(got, bytes, 16 * SECTOR_SIZE);

	/* Flags reach the disk; a count of 0 with PREFLUSH is a flush, without it is nothing. */
	counts = disk_counts(delay_layer[0]);
	assert_int_equal(do_io(client, REQ_OP_WRITE | REQ_PREFLUSH | REQ_FUA, 0, 1, bytes, NULL, NULL), 0);
	assert_int_equal(counts->fua, 1);
	assert_int_equal(counts->preflush, 1);
	assert_int_equal(counts->meta_writes, 1);
	assert_int_equal(do_io(client, REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, NULL, NULL, NULL), 0);
	assert_int_equal(counts->flushes, 2);
	assert_int_equal(counts->writes, 2);
	nr_done = 0;
	assert_int_equal(do_io(client, REQ_OP_WRITE, 0, 0, NULL, io_notify, NULL), 0);
	assert_int_equal(nr_done, 1);
	assert_int_equal(do_io(client, REQ_OP_DISCARD, 100, 8, NULL, NULL, NULL), 0);
	assert_int_equal(disk_next_data(delay_layer[0], 64), 104);

	/* Not waiting. */
	assert_int_equal(do_io(client, REQ_OP_WRITE, 200, 8, bytes, io_notify, NULL), 0);
	assert_int_equal(nr_done, 1);
	sim_settle();
	assert_int_equal(nr_done, 2);
	assert_int_equal(last_error, 0);

	/* One of two fails: its bit. A read that fails leaves nothing to rely on. */
	disk_error_add(error_layer[1], &(struct disk_fault){ .ops = DISK_OP_WRITE, .count = 2,
							     .error = -ENOSPC });
	assert_int_equal(do_io(client, REQ_OP_WRITE, 100, 16, bytes, NULL, &bits), -EIO);
	assert_int_equal(bits, 2);
	assert_int_equal(do_io(client, REQ_OP_WRITE, 100, 16, bytes, io_notify, NULL), 0);
	sim_settle();
	assert_int_equal(last_error, 2);
	disk_error_add(error_layer[0], &(struct disk_fault){ .ops = DISK_OP_READ, .count = 1,
							     .error = -EIO });
	memset(got, 0, 16 * SECTOR_SIZE);
	assert_int_equal(do_io(client, REQ_OP_READ, 100, 16, got, NULL, &bits), -EIO);
	assert_int_equal(bits, 1);
	assert_int_equal(got[5000], 0x6b);
	dm_io_client_destroy(client);
	free(bytes);
	free(got);
	end();
}

static void dm_io_reads_and_writes_bytes(void **unused)
{
	expect_clean(SIM_FIFO, 1, dm_io_works, NULL);
	expect_clean(SIM_RANDOM, 1, dm_io_works, NULL);
}

static void under_a_spinlock(void *arg)
{
	static DEFINE_SPINLOCK(lock);
	struct dm_io_client *client;
	u8 bytes[SECTOR_SIZE];

	begin(100);
	client = dm_io_client_create();
	spin_lock(&lock);
	do_io(client, REQ_OP_WRITE, 0, 1, bytes, io_notify, NULL);
}

static void destroyed_early(void *arg)
{
	static u8 bytes[SECTOR_SIZE];
	struct dm_io_client *client;

	begin(100);
	client = dm_io_client_create();
	do_io(client, REQ_OP_WRITE, 0, 1, bytes, io_notify, NULL);
	dm_io_client_destroy(client);
}

/* More requests than the reserve has, and none of them ends: the next submitter sleeps. */
static void reserve_of_ios(void *arg)
{
	static u8 bytes[SECTOR_SIZE];
	struct dm_io_client *client;
	u32 i;

	begin(100);
	sim_set_job_pools(0, 4);
	client = dm_io_client_create();
	disk_delay_hold(delay_layer[0], DISK_OP_ALL, 0, 0);
	nr_done = 0;
	for (i = 0; i < 4; i++)
		do_io(client, REQ_OP_WRITE, i, 1, bytes, io_notify, NULL);
	sim_settle();
	assert_int_equal(nr_done, 0);
	do_io(client, REQ_OP_WRITE, 9, 1, bytes, io_notify, NULL); /* nobody will ever end one */
}

static void misuse_of_dm_io(void **unused)
{
	expect_finding(under_a_spinlock, "might_sleep()");
	expect_finding(destroyed_early, "dm_io_client_destroy() with 1 requests in flight");
	expect_finding(reserve_of_ios, "job_pool_try");
}

/* ---- kcopyd ---- */

static int last_read_err;
static unsigned long last_write_err;

static void copied(int read_err, unsigned long write_err, void *context)
{
	/* Its own thread, where sleeping is allowed. */
	might_sleep();
	nr_done++;
	last_read_err = read_err;
	last_write_err = write_err;
	if (context)
		complete(context);
}

static void copy(struct dm_kcopyd_client *kc, sector_t from, u32 count, u32 num_dests, u32 flags)
{
	struct dm_io_region source = { .bdev = bdev[0], .sector = from, .count = count };
	struct dm_io_region dests[8];
	DECLARE_COMPLETION_ONSTACK(done);
	u32 i;

	for (i = 0; i < num_dests; i++)
		dests[i] = (struct dm_io_region){ .bdev = bdev[1], .sector = 10000 * i, .count = count };
	dm_kcopyd_copy(kc, &source, num_dests, dests, flags, copied, &done);
	wait_for_completion(&done);
}

static void fill(sector_t sector, u32 count)
{
	u8 literal[SECTOR_SIZE];
	u32 i;

	for (i = 0; i < count; i++) {
		tag_t tag = tag_make(3, sector + i);

		disk_poke(delay_layer[0], sector + i, 1, &tag);
		if (i % 5 == 2) {
			memset(literal, (int)i, sizeof(literal));
			literal[i % 512] ^= 0x55;
			disk_poke_bytes(delay_layer[0], sector + i, 1, literal);
		}
	}
}

static bool same(sector_t from, sector_t to, u32 count)
{
	u8 a[SECTOR_SIZE], b[SECTOR_SIZE];
	u32 i;

	for (i = 0; i < count; i++) {
		disk_peek_bytes(delay_layer[0], from + i, 1, a);
		disk_peek_bytes(delay_layer[1], to + i, 1, b);
		if (memcmp(a, b, SECTOR_SIZE))
			return false;
	}
	return true;
}

static void copies(void *arg)
{
	static const u32 lengths[] = { 1, 8, 16, 100, 1024, 1025, 9999 };
	struct dm_kcopyd_client *kc;
	u64 before;
	u32 i, j;

	begin(80000);
	kc = dm_kcopyd_client_create(NULL);
	fill(50000, 10000);
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		before = disk_counts(delay_layer[0])->sectors_read;
		copy(kc, 50000 + i, lengths[i], 8, 0);
		assert_int_equal(last_read_err, 0);
		assert_int_equal(last_write_err, 0);
		assert_int_equal(disk_counts(delay_layer[0])->sectors_read - before, lengths[i]);
		for (j = 0; j < 8; j++)
			assert_true(same(50000 + i, 10000 * j, lengths[i]));
	}
	assert_int_equal(sim_counts()->copies, ARRAY_SIZE(lengths));
	assert_int_equal(sim_counts()->copy_destinations, 8 * ARRAY_SIZE(lengths));
	dm_kcopyd_client_destroy(kc);
	end();
}

/* Writes to destinations 2 and 5 fail: their bits, and the others are complete. */
static void partial(void *arg)
{
	struct dm_kcopyd_client *kc;
	u32 j;

	begin(80000);
	kc = dm_kcopyd_client_create(NULL);
	fill(50000, 16);
	disk_error_add(error_layer[1], &(struct disk_fault){ .ops = DISK_OP_WRITE, .start = 20000,
							     .len = 100, .count = 1, .error = -EIO });
	disk_error_add(error_layer[1], &(struct disk_fault){ .ops = DISK_OP_WRITE, .start = 50000,
							     .len = 100, .count = 1, .error = -ENOSPC });
	copy(kc, 50000, 16, 8, 0);
	assert_int_equal(last_read_err, 0);
	assert_int_equal(last_write_err, 1 << 2 | 1 << 5);
	for (j = 0; j < 8; j++)
		assert_int_equal(same(50000, 10000 * j, 16), j != 2 && j != 5);

	/* A read that fails: nothing is written. */
	disk_error_add(error_layer[0], &(struct disk_fault){ .ops = DISK_OP_READ, .start = 51003,
							     .len = 1, .count = 1, .error = -EIO });
	disk_counts_reset(delay_layer[1]);
	copy(kc, 51000, 16, 8, 0);
	assert_int_equal(last_read_err, 1);
	assert_int_equal(last_write_err, 0);
	assert_int_equal(disk_counts(delay_layer[1])->writes, 0);

	/* In parts: after an error no further part begins. */
	disk_error_add(error_layer[0], &(struct disk_fault){ .ops = DISK_OP_READ, .start = 52000,
							     .len = 1, .count = 1, .error = -EIO });
	disk_counts_reset(delay_layer[0]);
	copy(kc, 51000, 20000, 1, 0);
	assert_int_equal(last_read_err, 1);
	assert_true(disk_counts(delay_layer[0])->reads < 20);
	dm_kcopyd_client_destroy(kc);
	end();
}

static void zeroes(void *arg)
{
	struct dm_io_region dests[2];
	struct dm_kcopyd_client *kc;
	DECLARE_COMPLETION_ONSTACK(done);
	tag_t tag;
	u32 i;

	begin(80000);
	kc = dm_kcopyd_client_create(NULL);
	fill(100, 8000);
	for (i = 0; i < 2; i++)
		dests[i] = (struct dm_io_region){ .bdev = bdev[i], .sector = 104, .count = 5000 };
	dm_kcopyd_zero(kc, 2, dests, 0, copied, &done);
	wait_for_completion(&done);
	assert_int_equal(disk_counts(delay_layer[0])->write_zeroes, 5);
	assert_int_equal(disk_counts(delay_layer[0])->writes, 0);
	assert_int_equal(disk_next_data(delay_layer[0], 104), 5104);
	/* Without write-zeroes zeroes are written. */
	bdev[0]->bd_max_write_zeroes_sectors = 0;
	dests[0].sector += 5000;
	dests[0].count = 500;
	reinit_completion(&done);
	dm_kcopyd_zero(kc, 1, dests, 0, copied, &done);
	wait_for_completion(&done);
	assert_int_equal(disk_counts(delay_layer[0])->writes, 1);
	for (i = 0; i < 500; i++) {
		disk_peek(delay_layer[0], 5104 + i, 1, &tag);
		assert_int_equal(tag, 0);
	}
	disk_peek(delay_layer[0], 5604, 1, &tag);
	assert_int_not_equal(tag, 0);
	/* Nothing to do is done, in the daemon's own time. */
	nr_done = 0;
	dests[0].count = 0;
	dm_kcopyd_zero(kc, 1, dests, 0, copied, NULL);
	assert_true(arg || nr_done == 0);
	/* The destructor waits for all jobs. */
	dm_kcopyd_client_destroy(kc);
	assert_int_equal(nr_done, 1);
	end();
}

static void kcopyd_copies(void **unused)
{
	u64 seed;

	expect_clean(SIM_FIFO, 1, copies, NULL);
	expect_clean(SIM_FIFO, 1, partial, NULL);
	expect_clean(SIM_FIFO, 1, zeroes, NULL);
	for (seed = 0; seed < 5; seed++) {
		expect_clean(SIM_RANDOM, seed, copies, NULL);
		expect_clean(SIM_RANDOM, seed, partial, NULL);
		expect_clean(SIM_RANDOM, seed, zeroes, "random");
	}
}

/* ---- H34 ---- */

static void start_copy(struct dm_kcopyd_client *kc, sector_t sector, dm_kcopyd_notify_fn fn)
{
	struct dm_io_region from = { .bdev = bdev[0], .sector = sector, .count = 8 };
	struct dm_io_region to = { .bdev = bdev[1], .sector = sector, .count = 8 };

	dm_kcopyd_copy(kc, &from, 1, &to, 0, fn, NULL);
}

/* Eight jobs: the ninth submitter sleeps until one has ended, in all strategies but fifo. */
static void reserve(void *arg)
{
	struct dm_kcopyd_client *kc;
	u32 i;

	begin(1000);
	kc = dm_kcopyd_client_create(NULL);
	nr_done = 0;
	for (i = 0; i < 20; i++)
		start_copy(kc, 8 * i, copied);
	/* Twelve jobs were given back, the callback of the last one may be still to come. */
	assert_true(arg ? nr_done >= 11 : nr_done == 0);
	dm_kcopyd_client_destroy(kc);
	assert_int_equal(nr_done, 20);
	end();
}

/* The submitter sleeps with a mutex that the callback of the others wants, too. */
static struct mutex master;

static void want_master(int read_err, unsigned long write_err, void *context)
{
	mutex_lock(&master);
	mutex_unlock(&master);
}

static void sleeping_with_the_lock(void *arg)
{
	struct dm_kcopyd_client *kc;
	u32 i;

	begin(1000);
	sim_set_job_pools(2, 0);
	mutex_init(&master);
	kc = dm_kcopyd_client_create(NULL);
	mutex_lock(&master);
	for (i = 0; i < 5; i++)
		start_copy(kc, 8 * i, want_master);
	mutex_unlock(&master);
	dm_kcopyd_client_destroy(kc);
}

static void copy_under_a_spinlock(void *arg)
{
	static DEFINE_SPINLOCK(lock);
	struct dm_kcopyd_client *kc;

	begin(1000);
	kc = dm_kcopyd_client_create(NULL);
	spin_lock(&lock);
	start_copy(kc, 0, copied);
}

static void nine_destinations(void *arg)
{
	struct dm_io_region where[9] = { { .count = 0 } };

	begin(1000);
	dm_kcopyd_copy(dm_kcopyd_client_create(NULL), where, 9, where, 0, copied, NULL);
}

static void no_memory(void *arg)
{
	u64 n;

	for (n = 0; n < 2; n++) {
		sim_fail_alloc(sim_alloc_count() + n, 1);
		assert_int_equal(PTR_ERR(dm_kcopyd_client_create(NULL)), -ENOMEM);
	}
	sim_fail_alloc(sim_alloc_count(), 1);
	assert_int_equal(PTR_ERR(dm_io_client_create()), -ENOMEM);
}

static void h34_submitters_sleep_on_small_reserves(void **unused)
{
	u64 seed;

	expect_clean(SIM_FIFO, 1, reserve, NULL);
	for (seed = 0; seed < 10; seed++)
		expect_clean(SIM_RANDOM, seed, reserve, "random");
	expect_finding(sleeping_with_the_lock, "held by 'test'");
	expect_finding(copy_under_a_spinlock, "might_sleep()");
	expect_finding(nine_destinations, "9 destinations");
	expect_clean(SIM_FIFO, 1, no_memory, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dm_io_reads_and_writes_bytes),
		cmocka_unit_test(misuse_of_dm_io),
		cmocka_unit_test(kcopyd_copies),
		cmocka_unit_test(h34_submitters_sleep_on_small_reserves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
