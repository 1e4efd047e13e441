// SPDX-License-Identifier: GPL-2.0
/*
 * What the steps of the simulated kernel say that they touch
 * (docs/decisions/0018-steps-and-touches.md): two things are done by two threads, one after the
 * other, under an explorer that only takes notes; do they conflict?
 *
 * What a thread has brought about, interrupts for one, counts as its own.
 */
#include "dm_fixture.h"
#include "explore.h"

#define STACKS 64
#define MAX_TOUCHES 20000
#define MAX_PROCESSES 200

struct touch {
	u32 process;
	u32 part;
	const void *object;
	enum sim_access kind;
};

struct process {
	u32 number;
	u32 of; /* 1: the first thread and what it has brought about; 2: the second; 0: the test */
	bool interrupt;
};

static struct {
	struct touch touches[MAX_TOUCHES];
	struct process processes[MAX_PROCESSES];
	u32 nr_touches, nr_processes;
	u32 running;
	u32 starting; /* of: the thread that the test starts */
	u32 values; /* what choose() says */
	struct touch first, second; /* that are in conflict */
} notes;

static struct process *process_of(u32 number)
{
	struct process *p = notes.processes;

	while (p < notes.processes + notes.nr_processes && p->number != number)
		p++;
	if (p == notes.processes + notes.nr_processes) {
		assert_true(++notes.nr_processes < MAX_PROCESSES);
		*p = (struct process){ .number = number };
	}
	return p;
}

static u32 pick(const struct sim_step *ready, u32 n)
{
	notes.running = ready[0].process;
	process_of(notes.running)->interrupt |= ready[0].interrupt;
	return 0;
}

static u32 choose(u32 n, const char *what)
{
	return notes.values;
}

static void access(const void *object, u32 part, enum sim_access kind)
{
	assert_true(notes.nr_touches < MAX_TOUCHES);
	notes.touches[notes.nr_touches++] = (struct touch){ notes.running, part, object, kind };
}

static void enables(u32 process)
{
	u32 of = process_of(notes.running)->of;
	struct process *p = process_of(process);

	if (!p->of)
		p->of = of ? of : notes.starting;
}

static void idle(void)
{
}

static void order(const void *object)
{
}

static void memory(const void *start, size_t size)
{
}

static const struct sim_explorer explorer = {
	.pick = pick,
	.choose = choose,
	.access = access,
	.enables = enables,
	.idle = idle,
	.acquire = order,
	.release = order,
	.allocated = memory,
	.freed = memory,
};

static void take_notes(void (*a)(void *), void (*b)(void *))
{
	sim_settle();
	notes.nr_touches = notes.nr_processes = 0;
	notes.running = sim_process();
	sim_explore(&explorer);
	notes.starting = 1;
	sim_thread_start("a", a, NULL);
	notes.starting = 2;
	if (b)
		sim_thread_start("b", b, NULL);
	notes.starting = 0;
	sim_settle();
	sim_explore(NULL);
}

static bool touches_conflict(const struct touch *a, const struct touch *b)
{
	return a->object == b->object && a->part == b->part && sim_conflict(a->kind, b->kind);
}

static bool conflict(void (*a)(void *), void (*b)(void *))
{
	const struct touch *t = notes.touches;

	take_notes(a, b);
	for (u32 i = 0; i < notes.nr_touches; i++)
		for (u32 j = 0; j < notes.nr_touches; j++)
			if (process_of(t[i].process)->of == 1 &&
			    process_of(t[j].process)->of == 2 && touches_conflict(&t[i], &t[j])) {
				notes.first = t[i];
				notes.second = t[j];
				return true;
			}
	return false;
}

/* Do two interrupts of what the thread does conflict? */
static bool interrupts_conflict(void (*a)(void *))
{
	const struct touch *t = notes.touches;

	take_notes(a, NULL);
	for (u32 i = 0; i < notes.nr_touches; i++)
		for (u32 j = 0; j < i; j++)
			if (t[i].process != t[j].process && process_of(t[i].process)->interrupt &&
			    process_of(t[j].process)->interrupt && touches_conflict(&t[i], &t[j]))
				return true;
	return false;
}

/* ---- I/O for both threads ---- */

static tag_t tags[8][64]; /* each is of one function */

#define IO(name, device, opf, sector, sectors, room)                                              \
	static void name(void *arg)                                                               \
	{                                                                                         \
		sim_bio_wait(sim_bio_alloc(disk_bdev(device), opf, sector, sectors, tags[room])); \
	}

IO(read_0, "d", REQ_OP_READ, 0, 8, 0)
IO(read_0_too, "d", REQ_OP_READ, 4, 8, 1)
IO(read_16, "d", REQ_OP_READ, 16, 8, 2)
IO(write_0, "d", REQ_OP_WRITE, 0, 8, 3)
IO(write_8, "d", REQ_OP_WRITE, 8, 8, 4)
IO(discard_all, "d", REQ_OP_DISCARD, 0, 64, 5)
IO(map_read, "m", REQ_OP_READ, 0, 8, 0)
IO(map_read_too, "m", REQ_OP_READ, 8, 8, 1)
IO(map_long_read, "m", REQ_OP_READ, 0, 64, 2)
IO(other_map_read, "n", REQ_OP_READ, 8, 8, 3)

static struct disk *disk;

static void begin(void)
{
	sim_reserve_stacks(STACKS);
	disk = lin_begin(1000, 512);
	lin.per_bio = 16;
	notes.values = 0;
}

/* ---- disks ---- */

static void contents(void *arg)
{
	begin();
	assert_false(conflict(read_0, read_0_too));
	assert_false(conflict(read_0, write_8));
	assert_false(conflict(write_0, write_8));
	assert_true(conflict(read_0, write_0));
	assert_true(conflict(write_0, write_0));
	assert_true(conflict(read_0_too, write_8));
	assert_true(conflict(read_16, discard_all));
	lin_end(disk);
}

static void a_block_of_a_disk_is_read_or_written(void **unused)
{
	expect_clean(SIM_FIFO, 1, contents, NULL);
}

static void resize(void *arg)
{
	assert_int_equal(disk_resize("d", 900), 0);
}

static void resizes(void *arg)
{
	begin();
	assert_true(conflict(read_0, resize));
	lin_end(disk);
}

static void the_size_of_a_disk_is_read(void **unused)
{
	expect_clean(SIM_FIFO, 1, resizes, NULL);
}

static void add_fault(void *arg)
{
	disk_error_add(lin_errors,
		       &(struct disk_fault){
			       .ops = DISK_OP_READ, .len = 8, .count = U64_MAX, .error = -EIO });
}

static void faults(void *arg)
{
	begin();
	/* For ever, elsewhere. */
	disk_error_add(lin_errors, &(struct disk_fault){ .ops = DISK_OP_ALL,
							 .start = 500,
							 .len = 8,
							 .count = U64_MAX,
							 .error = -EIO });
	assert_false(conflict(read_0, read_16));
	assert_true(conflict(read_0, add_fault));
	disk_error_clear(lin_errors);
	/* Which of them is the hundredth? */
	disk_error_add(lin_errors,
		       &(struct disk_fault){
			       .ops = DISK_OP_READ, .skip = 100, .count = 1, .error = -EIO });
	assert_true(conflict(read_0, read_16));
	assert_false(conflict(read_0, write_8));
	lin_end(disk);
}

static void faults_that_count_have_an_order(void **unused)
{
	expect_clean(SIM_FIFO, 1, faults, NULL);
}

static int handle;

static void release(void *arg)
{
	disk_delay_release(disk, handle);
}

static void read_0_and_release(void *arg)
{
	struct bio *bio = sim_bio_alloc(disk_bdev("d"), REQ_OP_READ, 0, 8, tags[7]);

	bio->bi_end_io = bio_put;
	submit_bio_noacct(bio);
}

static void holds(void *arg)
{
	begin();
	handle = disk_delay_hold(disk, DISK_OP_READ, 0, 8);
	assert_false(conflict(read_16, write_8));
	assert_true(conflict(read_0_and_release, release));
	handle = disk_delay_hold(disk, DISK_OP_READ, 0, 8);
	assert_true(conflict(read_0_and_release, read_0_and_release));
	release(NULL);
	sim_settle();
	lin_end(disk);
}

static void what_is_held_has_an_order(void **unused)
{
	expect_clean(SIM_FIFO, 1, holds, NULL);
}

static bool ordered;

static void logged(void *context, const struct disk_log_event *ev)
{
	if (ordered)
		sim_touch(&ordered, 0, SIM_WRITE);
}

static void logs(void *arg)
{
	begin();
	disk_unregister("d");
	disk = disk_log_create(disk, logged, NULL);
	disk_register("d", disk, 512);
	assert_false(conflict(read_0, read_16));
	assert_false(conflict(read_16, write_8));
	assert_false(conflict(write_0, write_8));
	ordered = true;
	assert_true(conflict(write_0, write_8));
	ordered = false;
	lin_end(disk);
}

static void what_a_log_is_for_is_its_listeners_business(void **unused)
{
	expect_clean(SIM_FIFO, 1, logs, NULL);
}

/* ---- device-mapper ---- */

static void suspend_resume(void *arg)
{
	assert_int_equal(dmctl_suspend("m", 0), 0);
	assert_int_equal(dmctl_resume("m"), 0);
}

static void suspend_resume_other(void *arg)
{
	assert_int_equal(dmctl_suspend("n", 0), 0);
	assert_int_equal(dmctl_resume("n"), 0);
}

static void status(void *arg)
{
	char text[200];

	assert_int_equal(dmctl_status("m", STATUSTYPE_TABLE, text, sizeof(text)), 0);
}

static void load(void *arg)
{
	assert_int_equal(dmctl_load("m", "0 1000 lin d 0", NULL), 0);
}

static void open_close(void *arg)
{
	assert_int_equal(dmctl_open("m"), 0);
	dmctl_close("m");
}

static void try_remove(void *arg)
{
	dmctl_remove("m");
}

static void create(void *arg)
{
	assert_int_equal(dmctl_create("new"), 0);
	assert_int_equal(dmctl_remove("new"), 0);
}

static void create_too(void *arg)
{
	assert_int_equal(dmctl_create("newer"), 0);
	assert_int_equal(dmctl_remove("newer"), 0);
}

static void event(void *arg)
{
	assert_int_equal(dmctl_message("m", "event"), 0);
}

static void event_count(void *arg)
{
	dmctl_event_count("m");
}

static void devices(void *arg)
{
	begin();
	lin_up("m", 1000);
	lin_up("n", 1000);
	assert_false(conflict(map_read, map_read_too));
	assert_false(conflict(map_read, status));
	assert_false(conflict(map_read, other_map_read));
	assert_false(conflict(map_read, suspend_resume_other));
	assert_false(conflict(suspend_resume, suspend_resume_other));
	assert_false(conflict(status, status));
	assert_false(conflict(event, event));
	assert_false(conflict(open_close, map_read));
	assert_true(conflict(map_read, suspend_resume));
	assert_true(conflict(status, suspend_resume));
	assert_true(conflict(suspend_resume, suspend_resume));
	assert_true(conflict(load, load));
	assert_true(conflict(event, event_count));
	assert_false(conflict(map_read, create));
	assert_true(conflict(create, create_too));
	/* The device is removed by that, or later. */
	assert_int_equal(dmctl_open("m"), 0);
	assert_true(conflict(open_close, try_remove));
	assert_true(conflict(map_read, try_remove));
	dmctl_close("m");
	assert_int_equal(dmctl_remove("m"), 0);
	assert_int_equal(dmctl_remove("n"), 0);
	lin_end(disk);
}

static void io_and_administration_of_one_device_have_an_order(void **unused)
{
	expect_clean(SIM_FIFO, 1, devices, NULL);
}

static void parts(void *arg)
{
	begin();
	lin.max_io_len = 32;
	lin_up("m", 1000);
	assert_true(interrupts_conflict(map_long_read));
	assert_false(interrupts_conflict(map_read));
	assert_int_equal(dmctl_remove("m"), 0);
	lin_end(disk);
}

static void who_ends_the_last_part_goes_on(void **unused)
{
	expect_clean(SIM_FIFO, 1, parts, NULL);
}

/* A bio on its way holds its device, wherever it is. */
static void write_m(void *arg)
{
	sim_bio_wait(sim_bio_alloc(disk_bdev("m"), REQ_OP_WRITE, 0, 64, tags[6]));
}

static u32 at; /* the step before which the second thread comes */

static u32 pick_second_at(const struct sim_step *ready, u32 n)
{
	u32 i = at-- ? 0 : n - 1;

	return i;
}

static void remove_at_any_moment(void *arg)
{
	struct sim_explorer late = explorer;

	late.pick = pick_second_at;
	for (u32 step = 0; step < 30; step++) {
		begin();
		lin.max_io_len = 32;
		lin_up("m", 1000);
		sim_settle();
		notes.nr_touches = notes.nr_processes = 0;
		at = step;
		sim_explore(&late);
		sim_thread_start("a", write_m, NULL);
		sim_thread_start("b", try_remove, NULL);
		sim_settle();
		sim_explore(NULL);
		if (dmctl_exists("m"))
			assert_int_equal(dmctl_remove("m"), 0);
		lin_end(disk);
	}
}

static void a_bio_holds_its_device(void **unused)
{
	expect_clean(SIM_FIFO, 1, remove_at_any_moment, NULL);
}

/* ---- kcopyd, dm-io ---- */

static struct dm_kcopyd_client *copier[2];
static struct dm_io_client *client;

static void nothing(int read_err, unsigned long write_err, void *context)
{
}

static void copy(struct dm_kcopyd_client *kc, sector_t from, sector_t to)
{
	struct dm_io_region region[2] = { { disk_bdev("d"), from, 8 }, { disk_bdev("d"), to, 8 } };

	dm_kcopyd_copy(kc, &region[0], 1, &region[1], 0, nothing, NULL);
}

static void copy_first(void *arg)
{
	copy(copier[0], 0, 100 * 8);
}

static void copy_second(void *arg)
{
	copy(copier[0], 8, 101 * 8);
}

static void copy_other(void *arg)
{
	copy(copier[1], 8, 101 * 8);
}

static void copy_there(void *arg)
{
	copy(copier[1], 8, 100 * 8);
}

static void copy_to_both(void *arg)
{
	struct dm_io_region from = { disk_bdev("d"), 0, 8 };
	struct dm_io_region to[2] = { { disk_bdev("d"), 16, 8 }, { disk_bdev("d"), 32, 8 } };

	dm_kcopyd_copy(copier[0], &from, 2, to, 0, nothing, NULL);
}

static void copies(void *arg)
{
	begin();
	/* As large as under an explorer that was there from the start. */
	sim_set_job_pools(8, 16);
	for (u32 i = 0; i < 2; i++)
		copier[i] = dm_kcopyd_client_create(NULL);
	assert_true(conflict(copy_first, copy_second));
	assert_true(conflict(copy_first, copy_there));
	assert_false(conflict(copy_first, copy_other));
	assert_true(interrupts_conflict(copy_to_both));
	for (u32 i = 0; i < 2; i++)
		dm_kcopyd_client_destroy(copier[i]);
	lin_end(disk);
}

static void jobs_of_one_client_have_an_order(void **unused)
{
	expect_clean(SIM_FIFO, 1, copies, NULL);
}

static void read_bytes(sector_t sector, u8 *bytes)
{
	struct dm_io_region where = { disk_bdev("d"), sector, 8 };
	struct dm_io_request req = { .bi_opf = REQ_OP_READ,
				     .mem.type = DM_IO_KMEM,
				     .mem.ptr.addr = bytes,
				     .client = client };

	assert_int_equal(dm_io(&req, 1, &where, NULL, 0), 0);
}

static void read_bytes_0(void *arg)
{
	static u8 bytes[8 * SECTOR_SIZE];

	read_bytes(0, bytes);
}

static void read_bytes_16(void *arg)
{
	static u8 bytes[8 * SECTOR_SIZE];

	read_bytes(16, bytes);
}

static void requests(void *arg)
{
	begin();
	for (u32 jobs = 1; jobs <= 16; jobs += 15) {
		sim_set_job_pools(8, jobs);
		client = dm_io_client_create();
		/* One after the other only where there is but one struct io. */
		assert_int_equal(conflict(read_bytes_0, read_bytes_16), jobs == 1);
		dm_io_client_destroy(client);
	}
	lin_end(disk);
}

static void requests_have_an_order_where_a_reserve_is_used_up(void **unused)
{
	expect_clean(SIM_FIFO, 1, requests, NULL);
}

/* ---- memory ---- */

static void allocate(void *arg)
{
	kfree(kmalloc(100, GFP_KERNEL));
}

static mempool_t *pool;

static void allocate_element(void *arg)
{
	mempool_free(mempool_alloc(pool, GFP_NOWAIT), pool);
}

static struct kmem_cache *cache;

static void allocate_object(void *arg)
{
	kmem_cache_free(cache, kmem_cache_alloc(cache, GFP_KERNEL));
}

static void allocations(void *arg)
{
	begin();
	cache = kmem_cache_create("test", 100, 0, 0, NULL);
	assert_false(conflict(allocate_object, allocate_object));
	kmem_cache_destroy(cache);
	pool = mempool_create_kmalloc_pool(1, 100);
	assert_false(conflict(allocate, allocate));
	assert_false(conflict(allocate_element, allocate_element));
	/* None is to be had but the reserve. */
	sim_fail_alloc_random(1000000);
	notes.values = 1;
	assert_true(conflict(allocate_element, allocate_element));
	sim_fail_alloc_random(0);
	sim_fail_alloc(sim_alloc_count() + 1000, 1);
	assert_true(conflict(allocate, allocate));
	sim_fail_alloc(0, 0);
	mempool_destroy(pool);
	lin_end(disk);
}

static void allocations_have_an_order_where_one_fails(void **unused)
{
	expect_clean(SIM_FIFO, 1, allocations, NULL);
}

/* ---- modules ---- */

static void load_module(void *arg)
{
	sim_module_load("dm-multisnapshot");
}

static void use_module(void *arg)
{
	/* Refused, for want of arguments; but the module was asked for and held. */
	dmctl_load("m", "0 1000 multisnapshot", NULL);
}

static void use_module_too(void *arg)
{
	dmctl_load("n", "0 1000 multisnapshot", NULL);
}

static void unload_module(void *arg)
{
	sim_module_unload("dm-multisnapshot");
}

static void modules(void *arg)
{
	begin();
	lin_up("m", 1000);
	lin_up("n", 1000);
	assert_true(conflict(load_module, load_module));
	assert_false(conflict(use_module, use_module_too));
	assert_true(conflict(use_module, unload_module));
	assert_int_equal(dmctl_remove("m"), 0);
	assert_int_equal(dmctl_remove("n"), 0);
	lin_end(disk);
}

static void references_of_a_module_have_no_order(void **unused)
{
	expect_clean(SIM_FIFO, 1, modules, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_of_a_disk_is_read_or_written),
		cmocka_unit_test(the_size_of_a_disk_is_read),
		cmocka_unit_test(faults_that_count_have_an_order),
		cmocka_unit_test(what_is_held_has_an_order),
		cmocka_unit_test(what_a_log_is_for_is_its_listeners_business),
		cmocka_unit_test(io_and_administration_of_one_device_have_an_order),
		cmocka_unit_test(who_ends_the_last_part_goes_on),
		cmocka_unit_test(a_bio_holds_its_device),
		cmocka_unit_test(jobs_of_one_client_have_an_order),
		cmocka_unit_test(requests_have_an_order_where_a_reserve_is_used_up),
		cmocka_unit_test(allocations_have_an_order_where_one_fails),
		cmocka_unit_test(references_of_a_module_have_no_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
