// SPDX-License-Identifier: GPL-2.0
/*
 * multisnap COMMAND ...: the program.
 *
 * Only the choice of the subcommand is here. A subcommand parses its own options (argp) and sees
 * "multisnap COMMAND" as its name. Exit: 0 fine, 1 something was found, 2 usage.
 */
#include <argp.h>
#include <string.h>

#include "sim.h"

#ifndef MULTISNAP_VERSION
#define MULTISNAP_VERSION "0.1.0"
#endif

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "run", cmd_run, "run a script of administrator's commands and I/O; print its transcript" },
	{ "replay", cmd_replay, "replay block traces with rolling snapshots, every read verified" },
	{ "torture", cmd_torture, "random operations and faults from several threads, all verified" },
	{ "crash", cmd_crash, "cut the power at every moment of a workload; judge every state that it can leave" },
	{ "explore", cmd_explore, "run parallel blocks of scripts under every schedule; judge each" },
	{ "check", cmd_check, "check a store image offline" },
	{ "bench", cmd_bench, "count what the core and the store cost" },
	{ "trace", cmd_trace, "show what a block trace contains" },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
	fputs("Usage: multisnap COMMAND [OPTION...] [ARGUMENT...]\n\n"
	      "The dm-multisnapshot target in a simulated kernel.\n\n",
	      out);
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\nmultisnap COMMAND --help says more.\n"
	      "Exit status: 0 fine, 1 something was found, 2 usage.\n",
	      out);
}

static int run_command(const struct command *command, int argc, char **argv)
{
	char name[64];

	snprintf(name, sizeof(name), "multisnap %s", command->name);
	argv[0] = name;
	return command->main(argc, argv);
}

int main(int argc, char **argv)
{
	argp_err_exit_status = SIM_EXIT_USAGE;
	if (argc < 2) {
		print_help(stderr);
		return SIM_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?") || !strcmp(argv[1], "help")) {
		print_help(stdout);
		return SIM_EXIT_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("multisnap " MULTISNAP_VERSION);
		return SIM_EXIT_OK;
	}
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		if (!strcmp(commands[i].name, argv[1]))
			return run_command(&commands[i], argc - 1, argv + 1);
	}
	sim_message("%s: no such command; multisnap --help lists them", argv[1]);
	return SIM_EXIT_USAGE;
}
