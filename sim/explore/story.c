// SPDX-License-Identifier: GPL-2.0
/* Schedules as pictures (story.h). Lines are kept as they come, and laid out when all columns are known. */
#include <stdarg.h>
#include <string.h>

#include "grow.h"
#include "race.h"
#include "story.h"

#define COLUMN_WIDTH 34

struct line {
	u32 column;
	bool note;
	char text[160];
};

struct interrupt {
	u32 process, column;
};

struct column {
	char name[32];
};

static struct story {
	bool tell;
	GROWING(struct column) columns;
	GROWING(struct line) lines;
	GROWING(struct interrupt) interrupts;
} *story;

void story_start(bool tell)
{
	if (!story)
		story = keep_alloc(sizeof(*story));
	story->tell = tell;
	story->columns.nr = 0;
	story->lines.nr = 0;
	story->interrupts.nr = 0;
}

bool story_is_told(void)
{
	return story && story->tell;
}

static u32 column_of(const char *name)
{
	struct column *column;

	for (u32 i = 0; i < story->columns.nr; i++)
		if (!strcmp(story->columns.at[i].name, name))
			return i;
	column = push(&story->columns);
	snprintf(column->name, sizeof(column->name), "%s", name);
	return story->columns.nr - 1;
}

/* An interrupt that goes on stays in the column in which it began. */
static const char *last_disk(u32 process)
{
	for (u32 i = story->interrupts.nr; i--;)
		if (story->interrupts.at[i].process == process)
			return story->columns.at[story->interrupts.at[i].column].name;
	return "interrupts";
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void story_step(const struct sim_step *step)
{
	const char *disk;
	struct line *line;
	char text[80];
	u32 column;
	size_t n;

	if (!story || !story->tell)
		return;
	disk = sim_describe_interrupt(step, text, sizeof(text));
	column = column_of(disk ? disk : step->interrupt ? last_disk(step->process) : step->thread);
	if (disk)
		*push(&story->interrupts) = (struct interrupt){ step->process, column };
	line = push(&story->lines);
	line->column = column;
	line->note = false;
	if (disk) {
		snprintf(line->text, sizeof(line->text), "%s", text);
		return;
	}
	n = (size_t)scnprintf(line->text, sizeof(line->text), "%s", step->what ? step->what : "goes on");
	if (step->name)
		n += (size_t)scnprintf(line->text + n, sizeof(line->text) - n, " %s", step->name);
	if (step->site)
		scnprintf(line->text + n, sizeof(line->text) - n, " %s", base_name(step->site));
	else
		race_place(step->caller, line->text + n, sizeof(line->text) - n);
}

void story_note(const char *fmt, ...)
{
	struct line *line;
	va_list args;

	if (!story || !story->tell || !story->lines.nr)
		return;
	line = push(&story->lines);
	line->column = story->lines.at[story->lines.nr - 2].column;
	line->note = true;
	va_start(args, fmt);
	vsnprintf(line->text, sizeof(line->text), fmt, args);
	va_end(args);
}

static bool begins(const char *text, const char *word)
{
	return !strncmp(text, word, strlen(word));
}

/* Steps that nobody would miss, unless there is a note to them. */
static bool is_boring(u32 i)
{
	const struct line *line = &story->lines.at[i];

	if (line->note || (i + 1 < story->lines.nr && story->lines.at[i + 1].note))
		return false;
	return begins(line->text, "goes on") || begins(line->text, "atomic read") || begins(line->text, "next work") ||
	       begins(line->text, "sim_thread_join");
}

void story_print(FILE *out)
{
	u32 step = 0;

	if (!story)
		return;
	fprintf(out, "%5s", "");
	for (u32 i = 0; i < story->columns.nr; i++)
		fprintf(out, " | %-*s", i + 1 == story->columns.nr ? 0 : COLUMN_WIDTH, story->columns.at[i].name);
	fputc('\n', out);
	for (u32 i = 0; i < story->lines.nr; i++) {
		struct line *line = &story->lines.at[i];

		step += !line->note;
		if (is_boring(i))
			continue;
		race_resolve(line->text, sizeof(line->text));
		if (line->note)
			fprintf(out, "%5s", "");
		else
			fprintf(out, "%5u", step);
		for (u32 c = 0; c < line->column; c++)
			fprintf(out, " | %*s", COLUMN_WIDTH, "");
		fprintf(out, " | %s%s\n", line->note ? "  * " : "", line->text);
	}
}
