// SPDX-License-Identifier: GPL-2.0
/*
 * multisnap check IMAGE...: is a mikulas store as its format says?
 *
 * It only reads. One line for each finding, then one for the image. Exit: 0 all clean, 1 something
 * was found in one, 2 one could not be checked: not a store, of an unknown version, not readable.
 */
#include <argp.h>
#include <errno.h>
#include <string.h>

#include "check.h"
#include "sim.h"

struct check_command {
	bool json, quiet, verbose;
	int nr_images;
	char **images;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct check_command *command = state->input;

	switch (key) {
	case 'j':
		command->json = true;
		break;
	case 'q':
		command->quiet = true;
		break;
	case 'v':
		command->verbose = true;
		break;
	case ARGP_KEY_ARGS:
		command->images = state->argv + state->next;
		command->nr_images = state->argc - state->next;
		break;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no image given");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_option argp_options[] = {
	{ "json", 'j', NULL, 0, "Print JSON: result, findings, summary", 0 },
	{ "quiet", 'q', NULL, 0, "Print nothing: the exit status says it", 0 },
	{ "verbose", 'v', NULL, 0,
	  "Print all findings, not just 1000, and what the store holds", 0 },
	{ 0 },
};

static const struct argp check_argp = {
	.options = argp_options,
	.parser = parse_option,
	.args_doc = "IMAGE...",
	.doc = "Check a mikulas store, in a file or on a block device that nobody uses: every structure that "
	       "stores/mikulas/FORMAT.md describes. Nothing is written.\v"
	       "Exit status: 0 clean, 1 something was found, 2 not a store, or not readable.",
};

static int check_image(const struct check_command *command, const char *path)
{
	struct check_report report = { .max_findings = command->verbose ? SIZE_MAX : 0 };
	struct check_source source;
	int r = check_source_open(&source, path);

	if (r) {
		sim_message("%s: %s", path, r == -EINVAL ? "not a file or block device" : strerror(-r));
		return CHECK_IMPOSSIBLE;
	}
	r = check_store(&source, &report);
	if (command->json) {
		if (check_print_json(&report, path, stdout))
			sim_message("%s: cannot write", path);
	} else if (!command->quiet) {
		if (command->verbose)
			check_print_summary(&report, stdout);
		check_print(&report, path, stdout);
	}
	check_report_free(&report);
	check_source_close(&source);
	return r;
}

int cmd_check(int argc, char **argv)
{
	struct check_command command = { 0 };
	int worst = CHECK_CLEAN;

	if (argp_parse(&check_argp, argc, argv, 0, NULL, &command))
		return SIM_EXIT_USAGE;
	for (int i = 0; i < command.nr_images; i++) {
		int r = check_image(&command, command.images[i]);

		worst = r > worst ? r : worst;
	}
	return worst;
}
