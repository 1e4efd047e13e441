// SPDX-License-Identifier: GPL-2.0
/*
 * SIGSEGV and its like become findings: an oops of the kernel under test, in a schedule that can be shown.
 *
 * The handler is left by sim_fail() and not by return; so the signal is not blocked in it. A second one, before the finding
 * has been told, is the search's own, and ends it. Addresses are told only near 0: others differ from run to run.
 */
#define _GNU_SOURCE
#include "fault.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "explore.h"
#include "race_int.h"

#define NEAR_NULL 4096

static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };

static void place(const ucontext_t *context, char *buf, size_t size)
{
	buf[0] = '\0';
#ifdef __x86_64__
	snprintf(buf, size, " at %s+0x%lx", program_invocation_short_name,
		 (unsigned long)context->uc_mcontext.gregs[REG_RIP] - race->load_base);
#endif
}

static void caught(int sig, siginfo_t *info, void *context)
{
	const struct sigaction as_ever = { .sa_handler = SIG_DFL };
	uintptr_t address = (uintptr_t)info->si_addr;
	char where[120];

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &as_ever, NULL);
	place(context, where, sizeof(where));
	if (sig == SIGSEGV && address < NEAR_NULL)
		sim_fail("'%s' follows a null pointer, to address %lu%s", sim_process_name(race->now.process),
			 (unsigned long)address, where);
	sim_fail("'%s': %s%s", sim_process_name(race->now.process), strsignal(sig), where);
}

void fault_catch(void)
{
	const struct sigaction action = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_NODEFER };

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &action, NULL);
}
