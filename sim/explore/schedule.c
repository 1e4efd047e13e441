// SPDX-License-Identifier: GPL-2.0
/* Schedules in files (schedule.h). */
#include <errno.h>
#include <stdio.h>

#include "grow.h"
#include "schedule.h"

bool schedule_write(const char *path, const u32 *schedule, u32 nr)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return false;
	for (u32 i = 0; i < nr; i++)
		fprintf(f, "%u%c", schedule[i], i % 20 == 19 || i == nr - 1 ? '\n' : ' ');
	return !fclose(f);
}

u32 *schedule_read(const char *path, u32 *nr)
{
	GROWING(u32) schedule = { 0 };
	FILE *f = fopen(path, "r");
	unsigned int value;
	bool ok;

	if (!f)
		return NULL;
	grow(&schedule, 1);
	while (fscanf(f, "%u", &value) == 1)
		*push(&schedule) = value;
	ok = feof(f) && !ferror(f);
	fclose(f);
	errno = 0;
	*nr = schedule.nr;
	return ok ? schedule.at : NULL;
}
