// SPDX-License-Identifier: GPL-2.0
/*
 * A state that a cut of the power leaves, as text: EVENT[/PHASE][:DISK:SECTOR=K[,DISK:SECTOR=K...]].
 */
#include <stdlib.h>
#include <string.h>

#include "crash.h"

const char *const crash_disk_names[CRASH_DISKS] = { "origin", "store" };

static bool parse_u32_digits(const char **text, u32 *value)
{
	const char *end;
	u64 v;

	if (!parse_digits(*text, &v, &end) || v > U32_MAX)
		return false;
	*value = v;
	*text = end;
	return true;
}

static bool parse_decision(const char **text, struct crash_decision *d)
{
	size_t length;

	for (d->disk = 0; d->disk < CRASH_DISKS; d->disk++) {
		length = strlen(crash_disk_names[d->disk]);
		if (!strncmp(*text, crash_disk_names[d->disk], length) && (*text)[length] == ':')
			break;
	}
	if (d->disk == CRASH_DISKS)
		return false;
	*text += length + 1;
	if (!parse_digits(*text, &d->sector, text) || **text != '=')
		return false;
	(*text)++;
	return parse_u32_digits(text, &d->option);
}

const char *crash_cut_parse(struct crash_cut *cut, const char *text)
{
	struct crash_decision d = { 0 };
	const char *event = text;

	*cut = (struct crash_cut){ 0 };
	if (!parse_u32_digits(&text, &cut->event) || !cut->event)
		return event;
	if (*text == '/') {
		text++;
		if (!parse_u32_digits(&text, &cut->phase))
			return text;
	}
	for (char before = ':'; *text; before = ',') {
		if (*text != before)
			return text;
		text++;
		if (!parse_decision(&text, &d))
			return text;
		cut->decisions = realloc(cut->decisions, (cut->nr_decisions + 1) * sizeof(d));
		if (!cut->decisions)
			abort();
		cut->decisions[cut->nr_decisions++] = d;
	}
	return NULL;
}

void crash_cut_print(const struct crash_cut *cut, FILE *out)
{
	fprintf(out, "%u/%u", cut->event, cut->phase);
	for (u32 i = 0; i < cut->nr_decisions; i++) {
		const struct crash_decision *d = &cut->decisions[i];

		fprintf(out, "%c%s:%llu=%u", i ? ',' : ':', crash_disk_names[d->disk], (unsigned long long)d->sector,
			d->option);
	}
}
