// SPDX-License-Identifier: GPL-2.0
/*
 * Lexer of the script language: text into lines of words.
 *
 * As in a shell, but smaller: blanks separate words, "..." and '...' quote (in "..." a backslash
 * escapes ", \ and, as \n, a new line), # begins a comment where a word could begin, a backslash
 * at the end of a line continues it. There are no variables and no expansions.
 */
#include <stdlib.h>
#include <string.h>

#include "script.h"

struct lexer {
	const char *file;
	const char *at;
	unsigned int line;
	char *error;
	size_t error_size;
	char *word; /* as far as it has been read; kept from word to word */
	size_t length, room;
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static bool lex_error(struct lexer *lx, const char *why)
{
	snprintf(lx->error, lx->error_size, "%s:%u: %s", lx->file, lx->line, why);
	return false;
}

static bool continued(const struct lexer *lx)
{
	return lx->at[0] == '\\' && lx->at[1] == '\n';
}

static void skip_blanks(struct lexer *lx)
{
	for (;;) {
		if (*lx->at == ' ' || *lx->at == '\t' || *lx->at == '\r') {
			lx->at++;
		} else if (continued(lx)) {
			lx->at += 2;
			lx->line++;
		} else {
			return;
		}
	}
}

static void put(struct lexer *lx, char ch)
{
	if (lx->length == lx->room) {
		lx->room = 2 * lx->room + 64;
		lx->word = must(realloc(lx->word, lx->room));
	}
	lx->word[lx->length++] = ch;
}

/* One quoted part, the opening quote still ahead; appends to the word. */
static bool lex_quoted(struct lexer *lx)
{
	unsigned int begun = lx->line;
	char quote = *lx->at++;

	for (; *lx->at != quote; lx->at++) {
		char ch = *lx->at;

		if (!ch) {
			lx->line = begun;
			return lex_error(lx, "a quote is not closed");
		}
		if (ch == '\n')
			lx->line++;
		if (ch == '\\' && quote == '"') {
			ch = *++lx->at;
			if (ch == 'n')
				ch = '\n';
			else if (ch != '"' && ch != '\\')
				return lex_error(lx, "in quotes a backslash escapes \" \\ and n only");
		}
		put(lx, ch);
	}
	lx->at++;
	return true;
}

static bool lex_word(struct lexer *lx, char **word)
{
	lx->length = 0;
	while (*lx->at && !strchr(" \t\r\n", *lx->at) && !continued(lx)) {
		if (*lx->at != '"' && *lx->at != '\'')
			put(lx, *lx->at++);
		else if (!lex_quoted(lx))
			return false;
	}
	*word = must(strndup(lx->length ? lx->word : "", lx->length));
	return true;
}

static bool lex_line(struct lexer *lx, struct script_line *line)
{
	const char *first, *end;

	skip_blanks(lx);
	line->number = lx->line;
	first = end = lx->at;
	while (*lx->at && *lx->at != '\n' && *lx->at != '#') {
		char *word;

		if (!lex_word(lx, &word))
			return false;
		line->words = must(realloc(line->words, (line->nr_words + 1) * sizeof(char *)));
		line->words[line->nr_words++] = word;
		end = lx->at;
		skip_blanks(lx);
	}
	/* Written down once more, as it is, it would be joined with the next one. Nobody wants that character, either. */
	if (end > first && end[-1] == '\\')
		return lex_error(lx, "a backslash ends the line without continuing it: only a new line may follow");
	line->text = must(strndup(first, end - first));
	if (*lx->at == '#')
		lx->at += strcspn(lx->at, "\n");
	if (*lx->at == '\n') {
		lx->at++;
		lx->line++;
	}
	return true;
}

void script_lines_free(struct script_line *lines)
{
	while (lines) {
		struct script_line *line = lines;

		lines = line->next;
		for (int i = 0; i < line->nr_words; i++)
			free(line->words[i]);
		free(line->words);
		free(line->text);
		free(line);
	}
}

struct script_line *script_lex(const char *file, const char *text, char *error, size_t size)
{
	struct lexer lx = {
		.file = file, .at = text, .line = 1, .error = error, .error_size = size
	};
	struct script_line *first = NULL, **end = &first;

	do {
		struct script_line *line = must(calloc(1, sizeof(*line)));

		*end = line;
		end = &line->next;
		if (!lex_line(&lx, line)) {
			script_lines_free(first);
			first = NULL;
			break;
		}
	} while (*lx.at);
	free(lx.word);
	return first;
}
