// SPDX-License-Identifier: GPL-2.0
/*
 * Under MemorySanitizer and valgrind only: they know that nobody has written to fresh memory of the simulated kernel, and
 * report who decides by it. Else their silence on all other tests would say nothing.
 */
#include <unistd.h>
#include <sys/wait.h>

#include "finding.h"

static void decides_by(const char *p)
{
	if (*p)
		close(STDOUT_FILENO);
}

/* In a process of its own, which the tool ends with an exit status of its own. */
static bool is_reported(gfp_t flags)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		struct sim_options options = finding_options(SIM_FIFO, 1);

		close(STDERR_FILENO);
		sim_start(&options);
		decides_by((const char *)kmalloc(100, flags) + 50);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static void fresh_memory_is_reported(void **state)
{
	assert_true(is_reported(GFP_KERNEL));
}

static void zeroed_memory_is_not(void **state)
{
	assert_false(is_reported(GFP_KERNEL | __GFP_ZERO));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fresh_memory_is_reported),
		cmocka_unit_test(zeroed_memory_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
