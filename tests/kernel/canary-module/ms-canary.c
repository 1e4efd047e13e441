// SPDX-License-Identifier: GPL-2.0
/*
 * ms-canary: makes the mistakes that the kernel of ci/kernel-test is there to find, when it is loaded.
 *
 * For tests/kernel/canary.sh, which expects every one of them in the log: a checker that sleeps, or a log that nobody
 * reads, would pass everything. Nothing here is written where it is not ours: what is read or written out of bounds is
 * the padding of an allocation.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spin);

/* KASAN: one byte behind 13, within the 16 of the slab. */
static void out_of_bounds(void)
{
	volatile char *p = kmalloc(13, GFP_KERNEL);

	if (p)
		p[13] = 1;
	kfree((void *)p);
}

/* kmemleak: nobody holds it. */
static void leak(void)
{
	void *volatile p = kmalloc(77, GFP_KERNEL);

	p = NULL;
	(void)p;
}

/* lockdep: two locks in two orders. */
static void two_orders(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void sleep_in_atomic(void)
{
	spin_lock(&spin);
	msleep(1);
	spin_unlock(&spin);
}

/* UBSan: a shift by more than the type has. */
static void shift(void)
{
	volatile int by = 40;
	volatile int x = 1;

	x <<= by;
}

static int __init canary_init(void)
{
	/* First: KASAN switches the lock checker off. */
	two_orders();
	leak();
	out_of_bounds();
	sleep_in_atomic();
	shift();
	WARN(1, "ms-canary: a warning\n");
	return 0;
}

static void __exit canary_exit(void)
{
}

module_init(canary_init);
module_exit(canary_exit);
MODULE_DESCRIPTION("Mistakes for the test of the tests");
MODULE_LICENSE("GPL");
