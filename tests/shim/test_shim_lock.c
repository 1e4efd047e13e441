// SPDX-License-Identifier: GPL-2.0
/* Mutexes and spinlocks: each misuse is a finding, and the right use is none. */
#include "finding.h"

static struct mutex a, b, c;
static spinlock_t s, t;
static unsigned long flags;

static void init_all(void)
{
	mutex_init(&a);
	mutex_init(&b);
	mutex_init(&c);
	spin_lock_init(&s);
	spin_lock_init(&t);
}

static void recursion(void *arg)
{
	init_all();
	mutex_lock(&a);
	mutex_lock(&a);
}

static void spin_recursion(void *arg)
{
	init_all();
	spin_lock(&s);
	spin_lock(&s);
}

static void unlock_unlocked(void *arg)
{
	init_all();
	mutex_unlock(&a);
}

static void unlock_a(void *arg)
{
	mutex_unlock(&a);
}

static void unlock_by_other(void *arg)
{
	init_all();
	mutex_lock(&a);
	sim_thread_join(sim_thread_start("other", unlock_a, NULL));
}

static void inversion(void *arg)
{
	init_all();
	mutex_lock(&a);
	mutex_lock(&b);
	mutex_unlock(&b);
	mutex_unlock(&a);
	mutex_lock(&b);
	mutex_lock(&a);
}

static void inversion_of_three(void *arg)
{
	init_all();
	mutex_lock(&a);
	mutex_lock(&b);
	mutex_unlock(&a);
	mutex_lock(&c);
	mutex_unlock(&b);
	mutex_lock(&a);
}

static void inversion_with_spinlock(void *arg)
{
	init_all();
	spin_lock(&s);
	spin_lock(&t);
	spin_unlock(&t);
	spin_unlock(&s);
	spin_lock(&t);
	spin_lock(&s);
}

static void same_class(void *arg)
{
	struct mutex m[2];

	for (int i = 0; i < 2; i++)
		mutex_init(&m[i]);
	mutex_lock(&m[0]);
	mutex_lock(&m[1]);
}

static void trylock_has_no_order(void *arg)
{
	init_all();
	mutex_lock(&a);
	mutex_lock(&b);
	mutex_unlock(&b);
	mutex_unlock(&a);
	mutex_lock(&b);
	assert_true(mutex_trylock(&a));
	mutex_unlock(&a);
	mutex_unlock(&b);
}

static void sleep_in_spinlock(void *arg)
{
	init_all();
	spin_lock(&s);
	mutex_lock(&a);
}

static void sleep_with_irqs_off(void *arg)
{
	init_all();
	spin_lock_irq(&s);
	might_sleep();
}

static void allocation_in_spinlock(void *arg)
{
	init_all();
	spin_lock(&s);
	kfree(kmalloc(8, GFP_NOIO));
}

static void atomic_allocation_in_spinlock(void *arg)
{
	init_all();
	spin_lock(&s);
	kfree(kmalloc(8, GFP_NOWAIT));
	spin_unlock(&s);
}

static void held_at_end(void *arg)
{
	init_all();
	mutex_lock(&a);
}

static void irqs_off_at_end(void *arg)
{
	init_all();
	spin_lock_irqsave(&s, flags);
	spin_lock_irqsave(&t, flags);
	spin_unlock_irqrestore(&t, flags);
	spin_unlock_irqrestore(&s, flags);
}

static void take_in_irq(void *arg)
{
	spin_lock_irqsave(&s, flags);
	spin_unlock_irqrestore(&s, flags);
}

static void irq_unsafe(void *arg)
{
	init_all();
	spin_lock(&s);
	spin_unlock(&s);
	sim_call_at(5, take_in_irq, NULL);
	sim_sleep_ns(10);
}

static void irq_safe(void *arg)
{
	init_all();
	spin_lock_irq(&s);
	spin_unlock_irq(&s);
	sim_call_at(5, take_in_irq, NULL);
	sim_sleep_ns(10);
	spin_lock_irqsave(&s, flags);
	spin_unlock_irqrestore(&s, flags);
}

/* t, which is taken with interrupts on, inside s, which an interrupt takes. */
static void irq_unsafe_inside(void *arg)
{
	irq_safe(NULL);
	spin_lock(&t);
	spin_unlock(&t);
	spin_lock_irq(&s);
	spin_lock(&t);
}

static void irq_on_again(void *arg)
{
	init_all();
	spin_lock_irq(&s);
	spin_lock_irq(&t);
}

static void mutex_in_irq_call(void *arg)
{
	mutex_lock(&a);
}

static void mutex_in_irq(void *arg)
{
	init_all();
	sim_call_at(1, mutex_in_irq_call, NULL);
	sim_sleep_ns(2);
}

static void hold_in_irq_call(void *arg)
{
	spin_lock_irqsave(&s, flags);
}

static void held_after_irq(void *arg)
{
	init_all();
	sim_call_at(1, hold_in_irq_call, NULL);
	sim_sleep_ns(2);
}

static void never_initialised(void *arg)
{
	struct mutex *m = kzalloc(sizeof(*m), GFP_KERNEL);

	mutex_lock(m);
}

static void never_initialised_garbage(void *arg)
{
	struct mutex *m = kmalloc(sizeof(*m), GFP_KERNEL);

	mutex_lock(m);
}

static void destroyed_while_held(void *arg)
{
	init_all();
	mutex_lock(&a);
	mutex_destroy(&a);
}

static void used_after_destroy(void *arg)
{
	init_all();
	mutex_destroy(&a);
	mutex_lock(&a);
}

static void freed_while_held(void *arg)
{
	struct mutex *m = kmalloc(sizeof(*m), GFP_KERNEL);

	mutex_init(m);
	mutex_lock(m);
	kfree(m);
}

static void assertion_held(void *arg)
{
	init_all();
	lockdep_assert_held(&a);
}

static void assertion_not_held(void *arg)
{
	init_all();
	spin_lock(&s);
	lockdep_assert_not_held(&s);
}

static void take_b_then_a(void *arg)
{
	mutex_lock(&b);
	sim_sleep_ns(5);
	mutex_lock(&c);
}

/* A real deadlock, through a wait that has no order: named with holder and place. */
static void deadlock(void *arg)
{
	init_all();
	mutex_lock(&a);
	sim_thread_start("second", take_b_then_a, NULL);
	mutex_lock(&c);
	sim_sleep_ns(10);
	DECLARE_COMPLETION_ONSTACK(never);
	wait_for_completion(&never);
}

static void test_findings(void **state)
{
	expect_finding(recursion, "which holds it already");
	expect_finding(spin_recursion, "which holds it already");
	expect_finding(unlock_unlocked, "but not locked");
	expect_finding(unlock_by_other, "unlocked at test_shim_lock.c");
	expect_finding(unlock_by_other, "but held by test");
	expect_finding(same_class, "same class");
	expect_finding(sleep_in_spinlock, "while atomic, holds '&s'");
	expect_finding(sleep_with_irqs_off, "might_sleep()");
	expect_finding(allocation_in_spinlock, "while atomic");
	expect_finding(held_at_end, "holds mutex '&a'");
	expect_finding(irqs_off_at_end, "ends with interrupts off");
	expect_finding(irq_on_again, "with interrupts off");
	expect_finding(mutex_in_irq, "in an interrupt");
	expect_finding(held_after_irq, "at the end of an interrupt");
	expect_finding(never_initialised, "never initialised");
	expect_finding(never_initialised_garbage, "never initialised");
	expect_finding(destroyed_while_held, "destroyed");
	expect_finding(used_after_destroy, "never initialised");
	expect_finding(freed_while_held, "which 'test' holds");
	expect_finding(assertion_held, "is not held by 'test'");
	expect_finding(assertion_not_held, "is held by 'test'");
}

static void test_order(void **state)
{
	expect_finding(inversion, "lock order");
	expect_finding(inversion, "takes '&a'");
	expect_finding(inversion_of_three, "leads back");
	expect_finding(inversion_with_spinlock, "lock order");
	expect_finding(irq_unsafe, "elsewhere with interrupts on");
	expect_finding(irq_unsafe_inside, "has '&t' inside");
	expect_clean(SIM_FIFO, 1, trylock_has_no_order, NULL);
	expect_clean(SIM_FIFO, 1, irq_safe, NULL);
	expect_clean(SIM_FIFO, 1, atomic_allocation_in_spinlock, NULL);
	/* The order is of one world. */
	expect_finding(inversion, "lock order");
}

static void test_deadlock_report(void **state)
{
	expect_finding(deadlock, "deadlock; 'test' waits in wait_for_completion never");
	expect_finding(deadlock, "'second' waits in mutex_lock &c (test_shim_lock.c:");
	expect_finding(deadlock, "held by 'test' since test_shim_lock.c:");
}

/* ---- exclusion, fairness, statics ---- */

static DEFINE_MUTEX(static_mutex);
static DEFINE_SPINLOCK(static_spinlock);
static int inside, spinning, rounds;

static void exclusive(void *arg)
{
	for (int i = 0; i < 50; i++) {
		mutex_lock(&static_mutex);
		assert_int_equal(inside++, 0);
		if (i % 3 == 0)
			sim_yield();
		lockdep_assert_held(&static_mutex);
		inside--;
		rounds++;
		mutex_unlock(&static_mutex);
		spin_lock(&static_spinlock);
		assert_int_equal(spinning++, 0);
		spinning--;
		spin_unlock(&static_spinlock);
	}
}

static void exclusive_many(void *arg)
{
	inside = 0;
	spinning = 0;
	rounds = 0;
	for (int i = 0; i < 5; i++)
		sim_thread_start("x", exclusive, NULL);
	exclusive(NULL);
}

static void test_exclusion(void **state)
{
	for (u64 seed = 0; seed < 50; seed++) {
		expect_clean(seed ? SIM_RANDOM : SIM_FIFO, seed, exclusive_many, NULL);
		assert_int_equal(rounds, 300);
	}
}

/*
 * One that takes the mutex again at once does not starve the one that waits (a waiter that lost is
 * handed it).
 */
static bool starved_got_it;

static void wants_it(void *arg)
{
	mutex_lock(&static_mutex);
	starved_got_it = true;
	mutex_unlock(&static_mutex);
}

static void no_starvation(void *arg)
{
	starved_got_it = false;
	mutex_lock(&static_mutex);
	sim_thread_start("waits", wants_it, NULL);
	for (int i = 0; i < 4; i++) {
		sim_yield();
		mutex_unlock(&static_mutex);
		mutex_lock(&static_mutex);
	}
	mutex_unlock(&static_mutex);
	assert_true(starved_got_it);
}

static void test_fairness(void **state)
{
	expect_clean(SIM_FIFO, 0, no_starvation, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_findings),	cmocka_unit_test(test_order),
		cmocka_unit_test(test_deadlock_report), cmocka_unit_test(test_exclusion),
		cmocka_unit_test(test_fairness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
