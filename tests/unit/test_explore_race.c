// SPDX-License-Identifier: GPL-2.0
/* Data races, in steps made by hand. The calls are those that the compiler makes. */
#include "../shim/finding.h"

#include "race.h"
#include "race_tsan.h"

/* ---- by hand: in a thread of a world without an explorer ---- */

static void by_hand(void *fn)
{
	race_start();
	((void (*)(void))(uintptr_t)fn)();
	race_stop();
}

static const char *hand_finding(void (*fn)(void))
{
	const char *text = finding_of(SIM_FIFO, 1, by_hand, (void *)(uintptr_t)fn);

	race_stop();
	return text;
}

#define expect_quiet(fn)                                                                        \
	do {                                                                                    \
		const char *text_ = hand_finding(fn);                                           \
		if (text_)                                                                      \
			fail_msg("%s", text_);                                                  \
	} while (0)

#define expect_race(fn, part)                                                                   \
	do {                                                                                    \
		const char *text_ = hand_finding(fn);                                           \
		if (!text_ || !strstr(text_, part))                                             \
			fail_msg("%s", text_ ? text_ : "no finding");                           \
	} while (0)

static u64 word, other;
static u32 object;

static void write_read(void)
{
	race_step(1);
	__tsan_write4(&word);
	race_step(2);
	__tsan_read4(&word);
}

static void read_write(void)
{
	race_step(1);
	__tsan_read4(&word);
	race_step(2);
	__tsan_write4(&word);
}

static void second_reader(void)
{
	race_step(1);
	__tsan_read8(&word);
	race_step(2);
	__tsan_read8(&word);
	race_release(&object);
	race_step(3);
	race_acquire(&object);
	__tsan_write1((char *)&word + 3);
}

static void reads_only(void)
{
	for (u32 i = 1; i < 40; i++) {
		race_step(i);
		__tsan_read8(&word);
		__tsan_read2(&word);
	}
}

static void neighbours(void)
{
	race_step(1);
	__tsan_write1((char *)&word + 3);
	__tsan_write4((char *)&word + 4);
	race_step(2);
	__tsan_write2(&word);
	__tsan_write1((char *)&word + 2);
}

static void across_words(void)
{
	race_step(1);
	__tsan_unaligned_write8((char *)&word + 4);
	race_step(2);
	__tsan_read1((char *)&word + 11);
}

static void released(void)
{
	race_step(1);
	__tsan_write4(&word);
	race_release(&object);
	race_step(2);
	race_acquire(&object);
	__tsan_write4(&word);
	race_release(&object);
	race_step(3);
	race_acquire(&object);
	__tsan_read4(&word);
}

static void after_release(void)
{
	race_step(1);
	race_release(&object);
	__tsan_write4(&word);
	race_step(2);
	race_acquire(&object);
	__tsan_read4(&word);
}

static void enabled(void)
{
	race_step(1);
	__tsan_write4(&word);
	race_enables(2);
	race_step(2);
	__tsan_write4(&word);
}

static void after_enabling(void)
{
	race_step(1);
	race_enables(2);
	__tsan_write4(&word);
	race_step(2);
	__tsan_write4(&word);
}

static void idle(void)
{
	race_step(1);
	__tsan_write4(&word);
	race_idle();
	race_step(2);
	__tsan_write4(&word);
}

static void after_idle(void)
{
	race_step(1);
	__tsan_write4(&word);
	race_idle();
	__tsan_write4(&word);
	race_step(2);
	__tsan_write4(&word);
}

static void ordered_by_someone_else(void)
{
	race_step(1);
	__tsan_write4(&word);
	race_enables(2);
	race_step(2);
	race_release(&object);
	race_step(3);
	race_acquire(&object);
	__tsan_read4(&word);
}

static void steps_by_hand(void **state)
{
	expect_race(write_read, "(2) reads 4 bytes");
	expect_race(read_write, "(2) writes 4 bytes");
	expect_race(second_reader, "(1) read");
	expect_quiet(reads_only);
	expect_quiet(neighbours);
	expect_race(across_words, "reads 1 byte");
	expect_quiet(released);
	expect_race(after_release, "data race");
	expect_quiet(enabled);
	expect_race(after_enabling, "data race");
	expect_quiet(idle);
	expect_race(after_idle, "data race");
	expect_quiet(ordered_by_someone_else);
}

/* ---- atomic ones ---- */

static void two_atomics(void)
{
	race_step(1);
	__tsan_atomic32_store((u32 *)&word, 1, __ATOMIC_RELAXED);
	race_step(2);
	__tsan_atomic32_fetch_add((u32 *)&word, 1, __ATOMIC_RELAXED);
	assert_int_equal(__tsan_atomic32_load((u32 *)&word, __ATOMIC_RELAXED), 2);
	__tsan_volatile_write4(&word);
}

static void plain_read_of_atomic(void)
{
	race_step(1);
	__tsan_atomic32_store((u32 *)&word, 1, __ATOMIC_RELAXED);
	race_step(2);
	__tsan_read4(&word);
}

static void plain_write_under_atomics(void)
{
	race_step(1);
	__tsan_write4(&word);
	race_enables(2);
	race_step(2);
	/* The atomic write after it must not hide the plain one from 3. */
	__tsan_atomic32_store((u32 *)&word, 1, __ATOMIC_RELAXED);
	race_step(3);
	__tsan_atomic32_load((u32 *)&word, __ATOMIC_RELAXED);
}

static void store_release(void)
{
	race_step(1);
	__tsan_write8(&other);
	__tsan_atomic32_store(&object, 1, __ATOMIC_RELEASE);
	race_step(2);
	assert_int_equal(__tsan_atomic32_load(&object, __ATOMIC_ACQUIRE), 1);
	__tsan_read8(&other);
}

static void store_relaxed(void)
{
	race_step(1);
	__tsan_write8(&other);
	__tsan_atomic32_store(&object, 1, __ATOMIC_RELAXED);
	race_step(2);
	__tsan_atomic32_load(&object, __ATOMIC_ACQUIRE);
	__tsan_read8(&other);
}

static void load_relaxed(void)
{
	race_step(1);
	__tsan_write8(&other);
	__tsan_atomic32_store(&object, 1, __ATOMIC_RELEASE);
	race_step(2);
	__tsan_atomic32_load(&object, __ATOMIC_RELAXED);
	__tsan_read8(&other);
}

static void release_sequence(void)
{
	race_step(1);
	__tsan_write8(&other);
	__tsan_atomic32_store(&object, 1, __ATOMIC_RELEASE);
	race_step(2);
	__tsan_atomic32_fetch_add(&object, 1, __ATOMIC_RELAXED);
	race_step(3);
	__tsan_atomic32_load(&object, __ATOMIC_ACQUIRE);
	__tsan_read8(&other);
}

static void release_overwritten(void)
{
	race_step(1);
	__tsan_write8(&other);
	__tsan_atomic32_store(&object, 1, __ATOMIC_RELEASE);
	race_step(2);
	__tsan_atomic32_store(&object, 2, __ATOMIC_RELAXED);
	race_step(3);
	__tsan_atomic32_load(&object, __ATOMIC_ACQUIRE);
	__tsan_read8(&other);
}

static void exchanges(void)
{
	u32 old = 1;

	object = 0;
	race_step(1);
	__tsan_write8(&other);
	/* Fails: is no write, releases nothing. */
	assert_int_equal(__tsan_atomic32_compare_exchange_strong(&object, &old, 5, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST), 0);
	assert_int_equal(old, 0);
	race_step(2);
	__tsan_read4(&object);
	race_step(1);
	assert_int_equal(__tsan_atomic32_compare_exchange_val(&object, 0, 5, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST), 0);
	assert_int_equal(__tsan_atomic32_exchange(&object, 6, __ATOMIC_SEQ_CST), 5);
	race_step(3);
	assert_int_equal(__tsan_atomic32_load(&object, __ATOMIC_ACQUIRE), 6);
	__tsan_read8(&other);
	race_step(2);
	__tsan_read8(&other);
}

static void atomic_accesses(void **state)
{
	expect_quiet(two_atomics);
	expect_race(plain_read_of_atomic, "atomically wrote");
	expect_race(plain_write_under_atomics, "(1) wrote");
	expect_quiet(store_release);
	expect_race(store_relaxed, "data race");
	expect_race(load_relaxed, "data race");
	expect_quiet(release_sequence);
	expect_race(release_overwritten, "data race");
	expect_race(exchanges, "(2) read");
}

/* ---- memory that changes hands ---- */

static u64 memory[4 * 4096 / 8];

static void allocated_again(void)
{
	race_step(1);
	__tsan_write_range(memory, sizeof(memory));
	race_release(&memory[7]);
	race_allocated(memory, sizeof(memory));
	race_step(2);
	race_acquire(&memory[7]);
	__tsan_write_range(memory, sizeof(memory));
}

static void allocated_in_part(void)
{
	race_step(1);
	__tsan_write_range(memory, 64);
	race_allocated(memory + 1, 36);
	race_step(2);
	__tsan_write_range(memory + 1, 36);
	__tsan_read1((char *)memory + 44);
}

static void freed_too_early(void)
{
	race_step(1);
	__tsan_read4(&memory[3]);
	race_step(2);
	race_freed(memory, 64);
}

static void read_after_free(void)
{
	race_step(1);
	race_freed(memory, 64);
	race_enables(2);
	race_step(2);
	__tsan_read4(&memory[3]);
}

static void freed_in_order(void)
{
	race_step(1);
	__tsan_read4(&memory[3]);
	race_enables(2);
	race_step(2);
	race_freed(memory, 64);
	race_allocated(memory, 48);
	race_step(3);
	__tsan_write4(&memory[3]);
}

static void released_there_before(void)
{
	race_step(1);
	__tsan_write4(&word);
	race_release(&memory[3]);
	race_freed(memory, 64);
	race_allocated(memory, 64);
	race_step(2);
	race_acquire(&memory[3]);
	__tsan_read4(&word);
}

static void copied(void)
{
	race_step(1);
	shim_watched_memcpy(memory, memory + 64, 100);
	race_step(2);
	shim_watched_memcmp(memory + 64, memory + 128, 100);
	shim_watched_memset((char *)memory + 99, 0, 1);
}

static void memory_that_changes_hands(void **state)
{
	expect_quiet(allocated_again);
	expect_race(allocated_in_part, "reads 1 byte");
	expect_race(freed_too_early, "(2) frees");
	expect_race(read_after_free, "use after free");
	expect_quiet(freed_in_order);
	expect_race(released_there_before, "data race");
	expect_race(copied, "writes 1 byte");
}

/* ---- marks ---- */

static void back(void)
{
	u32 first, second;

	race_step(1);
	__tsan_write4(&word);
	first = race_mark();
	race_release(&object);
	race_step(2);
	race_acquire(&object);
	__tsan_write4(&word);
	second = race_mark();
	race_allocated(&word, 8);
	for (u32 i = 10; i < 30; i++) {
		race_step(i);
		__tsan_read4(&word);
		__tsan_write_range(memory, sizeof(memory));
		race_allocated(memory, sizeof(memory));
	}
	race_idle();
	race_back(second);
	/* Still 2's step. */
	__tsan_write4(&word);
	race_back(second);
	__tsan_write4(&word);
	race_back(first);
	__tsan_write4(&word);
	race_step(2);
	race_acquire(&object);
	__tsan_write4(&word);
}

static void paused(void)
{
	race_step(1);
	__tsan_write4(&word);
	race_pause(true);
	race_step(2);
	__tsan_write4(&word);
	race_pause(false);
	__tsan_write4(&word);
}

static void marks(void **state)
{
	expect_race(back, "(2) writes 4 bytes");
	expect_quiet(paused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_by_hand),
		cmocka_unit_test(atomic_accesses),
		cmocka_unit_test(memory_that_changes_hands),
		cmocka_unit_test(marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
