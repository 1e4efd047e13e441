// SPDX-License-Identifier: GPL-2.0
/*
 * Parser of the script language: lines of words into a tree of commands.
 *
 *   script  := { line }
 *   line    := [ "expect-error" ERRNO | "may-fail" ] command
 *   command := VERB ARGUMENT... | "parallel" "{" | "{" | "start" LABEL command
 *
 * A block ends with a line "}". Each verb checks its own arguments (script_verbs.c); the first
 * error ends the parse, with file and line.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

/* Blocks in blocks, and start in start: more than anybody writes, less than the stack has room for. */
#define MAX_DEPTH 64

struct parser {
	const char *file;
	unsigned int depth;
	const struct script_line *line;
	char *error;
};

bool script_syntax(struct script_command *c, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(c->error, SCRIPT_ERROR_MAX, "%s:%u: ", c->file, c->line);
	if (n >= SCRIPT_ERROR_MAX)
		return false;
	va_start(ap, fmt);
	vsnprintf(c->error + n, SCRIPT_ERROR_MAX - n, fmt, ap);
	va_end(ap);
	return false;
}

bool script_more(const struct script_command *c)
{
	return c->next_arg < c->argc;
}

bool script_take(struct script_command *c, const char *what, const char **word)
{
	if (!script_more(c))
		return script_syntax(c, "%s is missing; usage: %s", what, c->verb->usage);
	*word = c->argv[c->next_arg++];
	return true;
}

bool script_take_name(struct script_command *c, const char *what, const char **word)
{
	if (!script_take(c, what, word))
		return false;
	if (!**word || strlen(*word) >= WORLD_NAME_MAX || strpbrk(*word, " \n/=:"))
		return script_syntax(c, "\"%s\" cannot be the name of a %s", *word, what);
	return true;
}

bool script_take_u64(struct script_command *c, const char *what, u64 *value)
{
	const char *word = NULL;

	if (!script_take(c, what, &word))
		return false;
	if (!parse_u64(word, value))
		return script_syntax(c, "%s: \"%s\" is not a number", what, word);
	return true;
}

bool script_option(struct script_command *c, const char *key, const char **value)
{
	size_t n = strlen(key);

	if (!script_more(c) || strncmp(c->argv[c->next_arg], key, n) ||
	    c->argv[c->next_arg][n] != '=')
		return false;
	*value = c->argv[c->next_arg++] + n + 1;
	return true;
}

bool script_flag(struct script_command *c, const char *word)
{
	if (!script_more(c) || strcmp(c->argv[c->next_arg], word))
		return false;
	c->next_arg++;
	return true;
}

static bool each_option_once(struct script_command *c)
{
	for (int i = 1; i < c->next_arg; i++) {
		size_t n = strcspn(c->argv[i], "=");

		for (int j = 0; c->argv[i][n] && j < i; j++)
			if (!strncmp(c->argv[i], c->argv[j], n + 1))
				return script_syntax(c, "\"%s\" after \"%s\": which is meant?",
						     c->argv[i], c->argv[j]);
	}
	return true;
}

bool script_end(struct script_command *c)
{
	if (!script_more(c))
		return each_option_once(c);
	return script_syntax(c, "\"%s\" is not understood here; usage: %s", c->argv[c->next_arg],
			     c->verb->usage);
}

static struct script_command *parse_lines(struct parser *p, const struct script_command *opener);
static struct script_command *parse_command(struct parser *p, const struct script_line *line,
					    int word, bool top);

static void free_commands(struct script_command *first)
{
	while (first) {
		struct script_command *c = first;

		first = c->next;
		free_commands(c->block);
		if (c->args.flags & SCRIPT_OWN_TEXT)
			free((char *)c->args.text);
		free(c);
	}
}

struct script_command *script_load(const char *path)
{
	struct script_command *script;
	char error[SCRIPT_ERROR_MAX];
	char *text = sim_read_text(path);

	if (!text) {
		sim_message("%s: %s", path, strerror(errno));
		return NULL;
	}
	script = script_parse(path, text, error);
	free(text);
	if (!script)
		sim_message("%s", error);
	return script;
}

void script_free(struct script_command *script)
{
	struct script_line *lines = script ? script->lines : NULL;

	free_commands(script);
	script_lines_free(lines);
}

bool script_repeatable(const struct script_command *script)
{
	for (const struct script_command *c = script; c; c = c->next) {
		if (c->verb->run == script_disk && c->args.text) {
			sim_message("%s:%u: file=%s cannot be used here: the script is run many times, and each run would find what another has written",
				    c->file, c->line, c->args.text);
			return false;
		}
		if (!script_repeatable(c->block))
			return false;
	}
	return true;
}

/* "expect-error ERRNO" or "may-fail" in front of a command. */
static bool take_expect_error(struct script_command *c, const struct script_line *line, int *word)
{
	if (!strcmp(line->words[*word], "may-fail")) {
		if (++*word >= line->nr_words)
			return script_syntax(c, "usage: may-fail COMMAND");
		c->may_fail = true;
		return true;
	}
	if (strcmp(line->words[*word], "expect-error"))
		return true;
	if (*word + 2 >= line->nr_words)
		return script_syntax(c, "usage: expect-error ERRNO COMMAND");
	c->expect_error = errno_number(line->words[*word + 1]);
	if (!c->expect_error)
		return script_syntax(c, "\"%s\" is not the name of an error",
				     line->words[*word + 1]);
	*word += 2;
	return true;
}

/* What follows the verb in @line: checked by the verb, and what belongs to it. */
static bool parse_rest(struct parser *p, struct script_command *c, const struct script_line *line,
		       bool top)
{
	if (c->verb->parse(c))
		return false;
	if (!top && (c->verb->run == script_crash || c->verb->run == script_reload))
		return script_syntax(c, "%s stands at the top level only", c->verb->name);
	if (c->verb->run != script_parallel && c->verb->run != script_start)
		return true;
	if (++p->depth > MAX_DEPTH)
		return script_syntax(c, "nested deeper than %d", MAX_DEPTH);
	if (c->verb->run == script_parallel)
		c->block = parse_lines(p, c);
	else
		c->block = parse_command(p, line, line->nr_words - c->argc + c->next_arg, false);
	p->depth--;
	return c->block != NULL;
}

/* The command in @line from word @word on. */
static struct script_command *parse_command(struct parser *p, const struct script_line *line,
					    int word, bool top)
{
	struct script_command *c = calloc(1, sizeof(*c));
	const char *verb;

	if (!c)
		abort();
	c->file = p->file;
	c->line = line->number;
	c->text = line->text;
	c->error = p->error;
	if (!take_expect_error(c, line, &word))
		goto bad;
	verb = line->words[word++];
	c->argc = line->nr_words - word;
	c->argv = line->words + word;
	c->verb = script_verb_find(verb);
	if (!c->verb)
		script_syntax(c, "%s: no such verb", verb);
	else if (parse_rest(p, c, line, top))
		return c;
bad:
	free_commands(c);
	return NULL;
}

/* Commands up to the end, or to the "}" of @opener; NULL on error. An empty block is an error. */
static struct script_command *parse_lines(struct parser *p, const struct script_command *opener)
{
	struct script_command *first = NULL, **end = &first, *c;

	while (p->line) {
		const struct script_line *line = p->line;

		p->line = line->next;
		if (!line->nr_words)
			continue;
		if (line->nr_words == 1 && !strcmp(line->words[0], "}")) {
			if (opener && first)
				return first;
			snprintf(p->error, SCRIPT_ERROR_MAX, "%s:%u: %s", p->file, line->number,
				 opener ? "an empty block" : "\"}\" without \"{\"");
			goto bad;
		}
		c = parse_command(p, line, 0, !opener);
		if (!c)
			goto bad;
		*end = c;
		end = &c->next;
	}
	if (opener) {
		snprintf(p->error, SCRIPT_ERROR_MAX, "%s:%u: the block is not closed", p->file,
			 opener->line);
		goto bad;
	}
	if (!first)
		snprintf(p->error, SCRIPT_ERROR_MAX, "%s: no commands", p->file);
	return first;
bad:
	free_commands(first);
	return NULL;
}

struct script_command *script_parse(const char *file, const char *text,
				    char error[SCRIPT_ERROR_MAX])
{
	struct script_line *lines = script_lex(file, text, error, SCRIPT_ERROR_MAX);
	struct parser p = { .file = file, .line = lines, .error = error };
	struct script_command *script;

	if (!lines)
		return NULL;
	script = parse_lines(&p, NULL);
	if (script)
		script->lines = lines;
	else
		script_lines_free(lines);
	return script;
}
