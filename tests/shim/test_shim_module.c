// SPDX-License-Identifier: GPL-2.0
/* Modules: loading on request, references, parameters, unloading with work under way (H46). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KBUILD_MODNAME "dm-store-testing"
#include "finding.h"

static struct workqueue_struct *wq;
static struct work_struct work;
static bool forget_work, refuse;
static int inits, exits;

static bool flag = true;
module_param(flag, bool, 0444);
static unsigned int number = 17;
module_param(number, uint, 0444);
static int signed_number;
module_param(signed_number, int, 0644);
static unsigned long long large;
module_param(large, ullong, 0644);

static void does_nothing(struct work_struct *w)
{
	sim_sleep_ns(10);
}

static int __init testing_init(void)
{
	if (refuse)
		return -ENODEV;
	inits++;
	INIT_WORK(&work, does_nothing);
	return 0;
}

static void __exit testing_exit(void)
{
	exits++;
	if (!forget_work)
		flush_work(&work);
}

module_init(testing_init);
module_exit(testing_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("for a test");

static void setup(bool forget)
{
	forget_work = forget;
	refuse = false;
	inits = 0;
	exits = 0;
}

static void load_and_unload(void *arg)
{
	setup(false);
	assert_false(try_module_get(THIS_MODULE));
	assert_int_equal(sim_module_unload("dm-store-testing"), -ENOENT);
	assert_int_equal(sim_module_load("dm-store-missing"), -ENOENT);
	assert_int_equal(sim_module_load("dm-store-testing"), 0);
	assert_int_equal(sim_module_load("dm_store_testing"), -EEXIST);
	assert_true(try_module_get(THIS_MODULE));
	assert_int_equal(sim_module_unload("dm-store-testing"), -EBUSY);
	module_put(THIS_MODULE);
	assert_int_equal(sim_module_unload("dm-store-testing"), 0);
	assert_int_equal(inits, 1);
	assert_int_equal(exits, 1);
	refuse = true;
	assert_int_equal(sim_module_load("dm-store-testing"), -ENODEV);
	assert_false(try_module_get(THIS_MODULE));
	assert_true(try_module_get(NULL));
	module_put(NULL);
}

static void on_request(void *arg)
{
	setup(false);
	assert_int_equal(request_module("dm-store-%s", "missing"), -ENOENT);
	assert_true(sim_module_autoload(false));
	assert_int_equal(request_module("dm-store-%s", "testing"), -ENOENT);
	assert_int_equal(inits, 0);
	sim_module_autoload(true);
	assert_int_equal(request_module("dm-store-%s", "testing"), 0);
	assert_int_equal(request_module("dm-store-%s", "testing"), 0);
	assert_int_equal(inits, 1);
}

static void parameters(void *arg)
{
	assert_true(flag);
	assert_int_equal(number, 17);
	assert_int_equal(sim_module_param_set("dm-store-testing", "flag", 0), 0);
	assert_int_equal(sim_module_param_set("dm-store-testing", "number", 0xffffffff), 0);
	assert_int_equal(sim_module_param_set("dm-store-testing", "number", 1ULL << 32), -ERANGE);
	assert_int_equal(sim_module_param_set("dm-store-testing", "signed_number", 1U << 31),
			 -ERANGE);
	assert_int_equal(sim_module_param_set("dm-store-testing", "large", U64_MAX), 0);
	assert_int_equal(sim_module_param_set("dm-store-testing", "other", 1), -ENOENT);
	assert_int_equal(sim_module_param_set("dm-other", "flag", 1), -ENOENT);
	assert_false(flag);
	assert_int_equal(number, 0xffffffff);
	assert_int_equal(signed_number, 0);
	assert_true(large == U64_MAX);
}

static void test_modules(void **state)
{
	expect_clean(SIM_FIFO, 0, load_and_unload, NULL);
	expect_clean(SIM_FIFO, 0, on_request, NULL);
	/* Unloaded at the end of the world. */
	assert_int_equal(exits, 1);
	expect_clean(SIM_FIFO, 0, parameters, NULL);
	/* As they were, in every world. */
	expect_clean(SIM_FIFO, 0, parameters, NULL);
}

static void reference_left(void *arg)
{
	setup(false);
	sim_module_load("dm-store-testing");
	assert_true(try_module_get(THIS_MODULE));
}

static void put_without_get(void *arg)
{
	setup(false);
	sim_module_load("dm-store-testing");
	module_put(THIS_MODULE);
}

static void unload_with_work(void *arg)
{
	setup(true);
	sim_module_load("dm-store-testing");
	wq = alloc_workqueue("test", 0, 1);
	queue_work(wq, &work);
	if (arg)
		sim_sleep_ns(5);
	sim_module_unload("dm-store-testing");
}

static void test_findings(void **state)
{
	expect_finding(reference_left, "module 'dm-store-testing' has 1 references at the end");
	expect_finding(put_without_get, "without a reference");
}

static void unload_with_running_work(void *arg)
{
	unload_with_work("running");
}

static void unload_after_flush(void *arg)
{
	unload_with_work(NULL);
}

static void waits_for_its_work(void *arg)
{
	setup(false);
	sim_module_load("dm-store-testing");
	wq = alloc_workqueue("test", 0, 1);
	queue_work(wq, &work);
	assert_int_equal(sim_module_unload("dm-store-testing"), 0);
	destroy_workqueue(wq);
}

static void test_H46_unload_with_work(void **state)
{
	expect_finding(unload_after_flush, "while its work 'does_nothing' is pending");
	expect_finding(unload_with_running_work, "while its work runs");
	expect_clean(SIM_FIFO, 0, waits_for_its_work, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_findings),
		cmocka_unit_test(test_H46_unload_with_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
