// SPDX-License-Identifier: GPL-2.0
/*
 * Orders of events that the core must get right, made certain by holding requests at the disks.
 */
#include "core_fixture.h"

#include "multisnap.h"

static struct disk *delay_of(const char *name)
{
	return world_disk_find(name)->top;
}

/*
 * Snapshots 0 and 1 share a store chunk; 1 is written, so its copy is taken from that chunk; meanwhile 0,
 * to which alone the chunk is about to belong, is written too. That write must wait.
 */
static void write_in_place_under_copy(void *arg)
{
	struct async_io w1, w0;
	int held;

	make_ms();
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 1), 0);
	make_snapshot();
	make_snapshot();
	CHECK_EQUAL(write_tags("ms", 0, CHUNK, 2), 0); /* 0 and 1 share the chunk with write 1 */
	make_snap_device("s0", "0");
	make_snap_device("s1", "1");

	held = disk_delay_hold(delay_of("store"), DISK_OP_READ, 0, 0);
	async_start(&w1, "s1", REQ_OP_WRITE, 0, 1, 3);
	sim_settle();
	CHECK(disk_delay_held(delay_of("store")) > 0);
	async_start(&w0, "s0", REQ_OP_WRITE, 4, 1, 4);
	sim_settle();
	CHECK(!w0.ended && !w1.ended);
	disk_delay_release(delay_of("store"), held);
	sim_settle();
	CHECK(w0.ended && w1.ended);
	CHECK_EQUAL(w0.error, 0);
	CHECK_EQUAL(w1.error, 0);
	CHECK(holds_write("s1", 0, 1, 3));
	CHECK(holds_write("s1", 1, CHUNK - 1, 1));
	CHECK(holds_write("s0", 4, 1, 4));
	CHECK(holds_write("s0", 0, 4, 1));
}

static void a_write_in_place_waits_for_the_copy_from_its_chunk(void **state)
{
	in_world(write_in_place_under_copy, NULL);
}

/* Hundreds of times more writes than pending exceptions: all complete, memory stays bounded. */
static void more_writes_than_pending(void *arg)
{
	static struct async_io io[ORIGIN_SECTORS / CHUNK];
	u64 before;

	CHECK_EQUAL(sim_module_param_set("dm-multisnapshot", "pending_limit", (u64)(uintptr_t)arg),
		    0);
	make_ms();
	make_snapshot();
	before = sim_memory_bytes();
	sim_memory_peak_reset();
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++)
		async_start(&io[i], "ms", REQ_OP_WRITE, (sector_t)i * CHUNK, CHUNK, i + 1);
	/* All wait for the first copies: nothing has been allocated for each of them. */
	CHECK(sim_memory_peak_bytes() - before < 16384);
	sim_settle();
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++) {
		CHECK(io[i].ended);
		CHECK_EQUAL(io[i].error, 0);
		CHECK(holds_write("ms", (sector_t)i * CHUNK, CHUNK, i + 1));
	}
	make_snap_device("s0", "0");
	CHECK(holds_write("s0", 0, 1024, 0));
	CHECK_EQUAL(world_device_remove("s0"), 0);
	CHECK_EQUAL(world_device_remove("ms"), 0);
	CHECK_EQUAL(sim_module_param_set("dm-multisnapshot", "pending_limit", 1024), 0);
}

static void h07_more_writes_than_pending_exceptions(void **state)
{
	in_world(more_writes_than_pending, (void *)1);
	in_world(more_writes_than_pending, (void *)2);
	in_world(more_writes_than_pending, (void *)5);
}

/* The same when no memory can be had without waiting. */
static void no_memory(void *arg)
{
	static struct async_io io[64];

	make_ms();
	make_snapshot();
	sim_fail_alloc_random(1000000);
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++)
		async_start(&io[i], "ms", REQ_OP_WRITE, (sector_t)i * CHUNK, CHUNK, i + 1);
	sim_settle();
	sim_fail_alloc_random(0);
	/* The model store allocates its records: it fails, the snapshots are given up, the origin goes on. */
	for (unsigned int i = 0; i < ARRAY_SIZE(io); i++) {
		CHECK(io[i].ended);
		CHECK_EQUAL(io[i].error, 0);
	}
	CHECK(holds_write("ms", 0, CHUNK, 1));
}

static void without_memory_the_policy_holds(void **state)
{
	in_world(no_memory, NULL);
}

/* A tracked read is on its way; the write of its chunk waits, writes of others do not (H01). */
static void tracked_read(void *arg)
{
	struct async_io read, write, other;

	make_ms();
	CHECK_EQUAL(write_tags("ms", 0, 2 * CHUNK, 1), 0);
	make_snapshot();
	make_snap_device("s0", "0");
	/* The copy reads the same sector later: only the next read is held. */
	disk_delay_hold_next(delay_of("origin"), DISK_OP_READ, 1, 1, 1);
	async_start(&read, "s0", REQ_OP_READ, 1, 1, 0);
	sim_settle();
	CHECK_EQUAL(disk_delay_held(delay_of("origin")), 1);
	async_start(&write, "ms", REQ_OP_WRITE, 0, CHUNK, 2);
	async_start(&other, "ms", REQ_OP_WRITE, CHUNK, CHUNK, 2);
	sim_settle();
	CHECK(other.ended && !write.ended && !read.ended);
	disk_delay_release(delay_of("origin"), -1);
	sim_settle();
	CHECK(write.ended && read.ended);
	CHECK_EQUAL(read.error, 0);
	CHECK(read.tags[0] == tag_make(1, 1));
	CHECK(holds_write("ms", 0, CHUNK, 2));
	CHECK(holds_write("s0", 0, 2 * CHUNK, 1));
}

static void h01_a_write_waits_for_tracked_reads_of_its_chunk(void **state)
{
	in_world(tracked_read, NULL);
}

/* The copy's data is held on the store: neither the write nor a group before it is stopped by later ones. */
static void groups(void *arg)
{
	struct async_io first, second;
	int held;

	make_ms();
	make_snapshot();
	held = disk_delay_hold(delay_of("store"), DISK_OP_WRITE, CHUNK,
			       CHUNK); /* the second copy */
	async_start(&first, "ms", REQ_OP_WRITE, 0, CHUNK, 1);
	sim_settle();
	async_start(&second, "ms", REQ_OP_WRITE, CHUNK, CHUNK, 2);
	sim_settle();
	CHECK(first.ended && !second.ended);
	disk_delay_release(delay_of("store"), held);
	sim_settle();
	CHECK(second.ended);
}

static void h06_a_commit_does_not_wait_for_later_copies(void **state)
{
	in_world(groups, NULL);
}

static struct {
	bool removed;
	unsigned int devices;
	sim_thread_t *thread;
} iteration;

static void remove_ms(void *arg)
{
	CHECK_EQUAL(world_device_remove("ms"), 0);
	iteration.removed = true;
}

/* A callback of dm may do I/O, to a device below that takes its time. */
static int slow_callback(struct dm_target *ti, struct dm_dev *dev, sector_t start, sector_t len,
			 void *data)
{
	struct multisnap_snap *snap = ti->private;

	CHECK(!mutex_is_locked(&snap->s->lock) && !mutex_is_locked(&multisnap_mutex));
	if (!iteration.devices++)
		iteration.thread = sim_thread_start("remove", remove_ms, NULL);
	sim_settle();
	CHECK(!iteration.removed);
	CHECK_EQUAL(bdev_nr_sectors(dev->bdev), iteration.devices == 1 ? ORIGIN_SECTORS :
									 STORE_SECTORS);
	return 0;
}

static void iterate(void *arg)
{
	struct multisnap_snap *snap;
	struct dm_multisnap *s;
	struct dm_target ti = { .len = ORIGIN_SECTORS };

	make_ms();
	make_snapshot();
	make_snap_device("s0", "0");
	s = multisnap_find(disk_bdev("origin")->bd_dev);
	CHECK(s);
	multisnap_put(s);
	snap = list_first_entry(&s->snaps, struct multisnap_snap, list);
	ti.private = snap;
	memset(&iteration, 0, sizeof(iteration));
	CHECK_EQUAL(multisnap_snap_target.iterate_devices(&ti, slow_callback, NULL), 0);
	CHECK_EQUAL(iteration.devices, 2);
	sim_thread_join(iteration.thread);
	/* Nothing is below any more. */
	CHECK_EQUAL(multisnap_snap_target.iterate_devices(&ti, slow_callback, NULL), 0);
	CHECK_EQUAL(iteration.devices, 2);
}

static void h41_a_slow_callback_holds_no_lock_but_the_devices(void **state)
{
	in_world(iterate, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_in_place_waits_for_the_copy_from_its_chunk),
		cmocka_unit_test(h07_more_writes_than_pending_exceptions),
		cmocka_unit_test(without_memory_the_policy_holds),
		cmocka_unit_test(h01_a_write_waits_for_tracked_reads_of_its_chunk),
		cmocka_unit_test(h41_a_slow_callback_holds_no_lock_but_the_devices),
		cmocka_unit_test(h06_a_commit_does_not_wait_for_later_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
