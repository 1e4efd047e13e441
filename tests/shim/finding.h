/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Worlds for tests of the shim: expect_finding() runs a body in a thread of a fresh world and gives
 * the finding that ends it, expect_clean() one that must not have any.
 */
#ifndef TESTS_SHIM_FINDING_H
#define TESTS_SHIM_FINDING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control.h"

struct finding {
	jmp_buf out;
	char text[1024];
};

static struct finding finding __attribute__((unused));

static inline void finding_caught(void *context, const char *what)
{
	snprintf(finding.text, sizeof(finding.text), "%s", what);
	longjmp(finding.out, 1);
}

static inline struct sim_options finding_options(enum sim_strategy strategy, u64 seed)
{
	return (struct sim_options){
		.strategy = strategy,
		.seed = seed,
		.fail = finding_caught,
	};
}

/* The finding, or NULL. @fn runs in a thread; NULL: nothing. */
static inline const char *finding_of(enum sim_strategy strategy, u64 seed, void (*fn)(void *arg),
				     void *arg)
{
	struct sim_options options = finding_options(strategy, seed);
	const char *volatile text = NULL;

	if (setjmp(finding.out)) {
		text = finding.text;
	} else {
		sim_start(&options);
		if (fn)
			sim_thread_start("test", fn, arg);
		sim_run();
	}
	if (!text && setjmp(finding.out))
		text = finding.text;
	else
		sim_stop();
	if (text)
		sim_stop();
	return text;
}

static inline void expect_finding_(void (*fn)(void *arg), const char *part, const char *file,
				   int line)
{
	const char *text = finding_of(SIM_FIFO, 1, fn, NULL);

	if (!text)
		print_error("no finding\n");
	else if (!strstr(text, part))
		print_error("finding: %s\n", text);
	if (!text || !strstr(text, part))
		_fail(file, line);
}

static inline void expect_clean_(enum sim_strategy strategy, u64 seed, void (*fn)(void *arg),
				 void *arg, const char *file, int line)
{
	const char *text = finding_of(strategy, seed, fn, arg);

	if (text) {
		print_error("seed %llu: %s\n", seed, text);
		_fail(file, line);
	}
}

#define expect_finding(fn, part) expect_finding_(fn, part, __FILE__, __LINE__)
#define expect_clean(strategy, seed, fn, arg)                                                   \
	expect_clean_(strategy, seed, fn, arg, __FILE__, __LINE__)

#endif /* TESTS_SHIM_FINDING_H */
