// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz target script: the lexer and the parser of scripts, nothing is run (that is script_run).
 *
 * A text is refused with a message that says where, or becomes a tree of commands. Some trees, chosen by the bytes of the
 * input, are printed and parsed again: the same must come out.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "script.h"

#define FILE_NAME "fuzz.msnap"
/* Of so many inputs one is printed and parsed again. */
#define LOOK_CLOSER 8

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "script: %s\n", what);
	abort();
}

static void print(FILE *out, const struct script_command *c)
{
	for (; c; c = c->next) {
		fprintf(out, "%s\n", c->text);
		if (c->block && c->verb->run == script_parallel) {
			print(out, c->block);
			fprintf(out, "}\n");
		}
	}
}

static bool same_text(const char *a, const char *b)
{
	return !a == !b && (!a || !strcmp(a, b));
}

static void compare(const struct script_command *a, const struct script_command *b)
{
	for (; a && b; a = a->next, b = b->next) {
		struct script_args x = a->args, y = b->args;

		require(a->verb == b->verb && a->argc == b->argc, "other commands when parsed again");
		for (int i = 0; i < a->argc; i++)
			require(!strcmp(a->argv[i], b->argv[i]), "other words when parsed again");
		require(same_text(x.name, y.name) && same_text(x.text, y.text) && same_text(x.sub, y.sub),
			"other names when parsed again");
		require(x.flags == y.flags && x.sector == y.sector && x.sectors == y.sectors &&
				x.fill == y.fill && x.expect == y.expect && x.bs == y.bs && x.opf == y.opf &&
				x.value == y.value && x.count == y.count && x.skip == y.skip &&
				x.ops == y.ops && x.per_million == y.per_million && x.model == y.model &&
				x.block_size == y.block_size && x.error == y.error,
			"other arguments when parsed again");
		require(a->expect_error == b->expect_error && a->may_fail == b->may_fail,
			"other expectations when parsed again");
		compare(a->block, b->block);
	}
	require(!a && !b, "more or fewer commands when parsed again");
}

static void parse_again(const struct script_command *script)
{
	char error[SCRIPT_ERROR_MAX] = "", *text = NULL;
	struct script_command *again;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	print(out, script);
	fclose(out);
	again = script_parse(FILE_NAME, text, error);
	require(again, error);
	compare(script, again);
	script_free(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[SCRIPT_ERROR_MAX] = "", *text = malloc(size + 1);
	struct script_command *script;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	script = script_parse(FILE_NAME, text, error);
	if (!script)
		require(!strncmp(error, FILE_NAME ":", strlen(FILE_NAME ":")), "refused without saying where");
	else if (size % LOOK_CLOSER == 0)
		parse_again(script);
	script_free(script);
	free(text);
	return 0;
}
