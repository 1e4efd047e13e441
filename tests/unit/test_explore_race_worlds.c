// SPDX-License-Identifier: GPL-2.0
/*
 * Data races in small worlds: what the simulated kernel orders (locks, wake-ups, work, completions, frees), and what it does not,
 * under an explorer that picks the first, the last, or any. The accesses are calls, as the compiler makes them.
 */
#include "../shim/finding.h"

#include "disk.h"
#include "explore.h"
#include "race.h"
#include "race_tsan.h"

static u64 word, other;

/* ---- an explorer ---- */

static u64 draws;

static u32 pick(const struct sim_step *ready, u32 n)
{
	u32 i = 0;

	if (draws == 1)
		i = n - 1;
	else if (draws)
		i = (u32)((draws = draws * 6364136223846793005ULL + 1442695040888963407ULL) >> 33) % n;
	race_step(ready[i].process);
	return i;
}

static u32 choose(u32 n, const char *what)
{
	return 0;
}

static void touched(const void *touched_object, u32 part, enum sim_access kind)
{
}

static const struct sim_explorer explorer = {
	.pick = pick,
	.choose = choose,
	.access = touched,
	.enables = race_enables,
	.idle = race_idle,
	.acquire = race_acquire,
	.release = race_release,
	.allocated = race_allocated,
	.freed = race_freed,
};

static void explored(void *fn)
{
	sim_reserve_stacks(16);
	sim_settle();
	race_start();
	sim_explore(&explorer);
	((void (*)(void *))(uintptr_t)fn)(NULL);
	sim_settle();
	sim_explore(NULL);
	race_stop();
}

static const char *world_finding(u64 draw, void (*fn)(void *arg))
{
	const char *text;

	draws = draw;
	text = finding_of(SIM_FIFO, 1, explored, (void *)(uintptr_t)fn);
	sim_explore(NULL);
	race_stop();
	return text;
}

#define LAST_FIRST 1
#define SCHEDULES 40

#define expect_always_quiet(fn)                                                                 \
	do {                                                                                    \
		for (u64 draw_ = 0; draw_ < SCHEDULES; draw_++) {                               \
			const char *text_ = world_finding(draw_, fn);                           \
			if (text_)                                                              \
				fail_msg("schedule %llu: %s", draw_, text_);                    \
		}                                                                               \
	} while (0)

#define expect_always_race(fn, part)                                                            \
	do {                                                                                    \
		for (u64 draw_ = 0; draw_ < SCHEDULES; draw_++) {                               \
			const char *text_ = world_finding(draw_, fn);                           \
			if (!text_ || !strstr(text_, part))                                     \
				fail_msg("schedule %llu: %s", draw_, text_ ? text_ : "no finding"); \
		}                                                                               \
	} while (0)

static DEFINE_MUTEX(lock);

static void locked_thread(void *arg)
{
	mutex_lock(&lock);
	__tsan_read8(&word);
	__tsan_write8(&word);
	mutex_unlock(&lock);
}

static void unlocked_thread(void *arg)
{
	__tsan_write8(&word);
}

static void two_threads(void (*a)(void *arg), void (*b)(void *arg))
{
	sim_thread_t *first = sim_thread_start("first", a, NULL);
	sim_thread_t *second = sim_thread_start("second", b, NULL);

	sim_thread_join(first);
	sim_thread_join(second);
}

static void both_locked(void *arg)
{
	two_threads(locked_thread, locked_thread);
	__tsan_read8(&word);
}

static void one_unlocked(void *arg)
{
	two_threads(locked_thread, unlocked_thread);
}

static void locks_order(void **state)
{
	expect_always_quiet(both_locked);
	expect_always_race(one_unlocked, "data race");
}

/* What commutes for the search must order nothing: who comes first at a reserve that is large enough is one trace. */
static struct dm_io_client *client;

static void read_then_write(void *sector)
{
	static u8 bytes[2][SECTOR_SIZE];
	struct dm_io_region where = { disk_bdev("d"), (uintptr_t)sector, 1 };
	struct dm_io_request request = { .bi_opf = REQ_OP_READ,
					 .mem.type = DM_IO_KMEM,
					 .mem.ptr.addr = bytes[where.sector],
					 .client = client };

	/* After it for the one, before it for the other. */
	if (!sector)
		__tsan_write8(&word);
	assert_int_equal(dm_io(&request, 1, &where, NULL, 0), 0);
	if (sector)
		__tsan_write8(&word);
}

static void one_reserve(void *arg)
{
	struct disk *disk = disk_ram_create("d", 8);
	sim_thread_t *first, *second;

	/* A world that ended in a finding has left its disk behind. */
	if (disk_bdev("d")) {
		struct disk *left = disk_bdev("d")->bd_simdisk;

		disk_unregister("d");
		disk_destroy(left);
	}
	assert_non_null(disk_register("d", disk, SECTOR_SIZE));
	client = dm_io_client_create();
	first = sim_thread_start("first", read_then_write, NULL);
	second = sim_thread_start("second", read_then_write, (void *)1);
	sim_thread_join(first);
	sim_thread_join(second);
	dm_io_client_destroy(client);
	disk_unregister("d");
	disk_destroy(disk);
}

static void reserves_order_nothing(void **state)
{
	expect_always_race(one_reserve, "data race");
}

/* Errors of copies: counted down by two, the last one looks (H04). */
static struct copies {
	u32 count;
	s32 error;
	struct completion done;
} copies;

static int count_order;
static bool count_first;

static void copy_ended(void *arg)
{
	u32 left;

	if (!count_first && arg)
		__tsan_write4(&copies.error);
	left = __tsan_atomic32_fetch_sub(&copies.count, 1, count_order) - 1;
	if (count_first && arg)
		__tsan_write4(&copies.error);
	if (!left) {
		__tsan_read4(&copies.error);
		complete(&copies.done);
	}
}

static void two_copies(void *arg)
{
	copies.count = 2;
	init_completion(&copies.done);
	sim_call_at(0, copy_ended, &copies);
	sim_call_at(0, copy_ended, NULL);
	wait_for_completion(&copies.done);
	__tsan_read4(&copies.error);
}

static void h04_errors_are_published_before_the_count(void **state)
{
	count_first = false;
	count_order = __ATOMIC_SEQ_CST;
	expect_always_quiet(two_copies);
	/* What is read first, and by whom, is a matter of the schedule; not whether it is found. */
	count_order = __ATOMIC_RELAXED;
	for (u64 i = 0, found = 0; i < SCHEDULES || !found; i++) {
		found += world_finding(i, two_copies) != NULL;
		assert_true(i < 2 * SCHEDULES);
	}
	count_order = __ATOMIC_SEQ_CST;
	count_first = true;
	for (u64 i = 0, found = 0; i < SCHEDULES || !found; i++) {
		found += world_finding(i, two_copies) != NULL;
		assert_true(i < 2 * SCHEDULES);
	}
}

/* ---- work ---- */

static struct work_struct work;
static struct workqueue_struct *wq;

static void work_reads(struct work_struct *w)
{
	__tsan_read8(&word);
	__tsan_read8(&other);
}

static void queue_first(void *arg)
{
	__tsan_write8(&word);
	queue_work(wq, &work);
}

static void queue_second(void *arg)
{
	__tsan_write8(&other);
	queue_work(wq, &work);
}

static void with_queue(void (*fn)(void))
{
	wq = alloc_workqueue("test", WQ_MEM_RECLAIM, 1);
	INIT_WORK(&work, work_reads);
	fn();
	flush_workqueue(wq);
	destroy_workqueue(wq);
	__tsan_write8(&word);
}

static void queue_alone(void)
{
	queue_first(NULL);
}

static void queue_and_write(void)
{
	queue_work(wq, &work);
	__tsan_write8(&word);
}

static void queue_two(void)
{
	two_threads(queue_first, queue_second);
}

static void one_queues(void *arg)
{
	with_queue(queue_alone);
}

static void one_writes_too_late(void *arg)
{
	with_queue(queue_and_write);
}

static void two_queue(void *arg)
{
	with_queue(queue_two);
}

static void queued_work_sees_what_was_before(void **state)
{
	const char *text;

	expect_always_quiet(one_queues);
	expect_always_race(one_writes_too_late, "data race");
	/* The worker is the oldest, runs when both have queued: the second when it was pending already. */
	text = world_finding(LAST_FIRST, two_queue);
	if (text)
		fail_msg("%s", text);
}

/* ---- sleeping and waking ---- */

static wait_queue_head_t queue;
static u32 flag;

static void waker(void *arg)
{
	__tsan_write8(&word);
	__tsan_atomic32_store(&flag, 1, arg ? __ATOMIC_RELAXED : __ATOMIC_RELEASE);
	wake_up(&queue);
}

static void sleeper(int order, void *relaxed)
{
	sim_thread_t *thread;

	init_waitqueue_head(&queue);
	flag = 0;
	thread = sim_thread_start("waker", waker, relaxed);
	wait_event(queue, __tsan_atomic32_load(&flag, order));
	__tsan_read8(&word);
	sim_thread_join(thread);
}

static void sleeper_ordered(void *arg)
{
	sleeper(__ATOMIC_ACQUIRE, NULL);
}

static void sleeper_relaxed(void *arg)
{
	sleeper(__ATOMIC_RELAXED, (void *)1);
}

static void wake_ups_order(void **state)
{
	bool found = false;

	expect_always_quiet(sleeper_ordered);
	/* The one that sleeps sees what was before the wake-up; who finds the flag set does not. */
	if (world_finding(0, sleeper_relaxed))
		fail_msg("%s", finding.text);
	for (u64 i = 1; i < SCHEDULES; i++)
		found |= world_finding(i, sleeper_relaxed) != NULL;
	assert_true(found);
}

/* A completion on the stack of who waits, whose place is used again at once. */
struct on_stack {
	struct completion done;
	u64 result;
};

static void answer(void *arg)
{
	struct on_stack *question = arg;

	__tsan_write8(&question->result);
	complete(&question->done);
}

static void noinline ask(void)
{
	struct on_stack question;

	init_completion(&question.done);
	__tsan_write8(&question.result);
	sim_thread_start("answer", answer, &question);
	wait_for_completion(&question.done);
	__tsan_read8(&question.result);
	__tsan_write_range(&question, sizeof(question));
}

static void ask_twice(void *arg)
{
	ask();
	ask();
}

/* Interrupts, one after the other, use a stack. */
static void stack_user(void *arg)
{
	u64 local = 0;

	__tsan_write8(&local);
	if (arg)
		sim_call_at(0, stack_user, (char *)arg - 1);
}

static void stacks_again(void *arg)
{
	sim_call_at(0, stack_user, (void *)20);
	sim_settle();
}

static void stacks(void **state)
{
	expect_always_quiet(ask_twice);
	expect_always_quiet(stacks_again);
}

/* ---- freeing ---- */

static u64 *shared;

static void reader(void *arg)
{
	__tsan_read8(&shared[2]);
}

static void free_too_early(void *arg)
{
	sim_thread_t *thread;

	shared = kzalloc(64, GFP_KERNEL);
	thread = sim_thread_start("reader", reader, NULL);
	sim_yield();
	kfree(shared);
	sim_thread_join(thread);
}

static void free_in_time(void *arg)
{
	shared = kzalloc(64, GFP_KERNEL);
	sim_thread_join(sim_thread_start("reader", reader, NULL));
	kfree(shared);
}

static void freeing(void **state)
{
	expect_always_race(free_too_early, "at offset 16 of 64 bytes allocated at test_explore_race_worlds.c:");
	expect_always_quiet(free_in_time);
}

/* ---- reports ---- */

static void places_are_resolved(void **state)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s", world_finding(0, one_unlocked));
	assert_non_null(strstr(line, "test_explore_race_worlds+0x"));
	race_resolve(line, sizeof(line));
	if (!system("command -v addr2line >/dev/null"))
		assert_non_null(strstr(line, "at tests/unit/test_explore_race_worlds.c:"));
	assert_non_null(strstr(line, "'second'"));
	assert_non_null(strstr(line, "'first'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locks_order),
		cmocka_unit_test(reserves_order_nothing),
		cmocka_unit_test(h04_errors_are_published_before_the_count),
		cmocka_unit_test(queued_work_sees_what_was_before),
		cmocka_unit_test(wake_ups_order),
		cmocka_unit_test(stacks),
		cmocka_unit_test(freeing),
		cmocka_unit_test(places_are_resolved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
