// SPDX-License-Identifier: GPL-2.0
/*
 * Data races: findings in words.
 *
 * In the program that is rewound nobody may start another one, so that places in the code are offsets there
 * ("multisnap-explore+0x1234") until the driver has them resolved (addr2line of binutils) for the reader.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explore.h"
#include "race_int.h"

static const char *does(u8 kind)
{
	if (kind & RACE_FREED)
		return "frees";
	if (kind & RACE_ATOMIC)
		return kind & RACE_WRITE ? "atomically writes" : "atomically reads";
	return kind & RACE_WRITE ? "writes" : "reads";
}

static const char *has_done(u8 kind)
{
	if (kind & RACE_FREED)
		return "freed";
	if (kind & RACE_ATOMIC)
		return kind & RACE_WRITE ? "atomically wrote" : "atomically read";
	return kind & RACE_WRITE ? "wrote" : "read";
}

const char *race_place(u32 site, char *buf, size_t size)
{
	/* The call is before its return address. */
	if (site && race)
		snprintf(buf, size, " at %s+0x%x", program_invocation_short_name,
			 site - (u32)race->load_base - 1);
	else
		buf[0] = '\0';
	return buf;
}

void race_found(const struct race_access *earlier, const struct race_request *now)
{
	const char *process = sim_process_name(race->now.process);
	const char *other = sim_process_name(race->epoch_process[earlier->epoch]);
	bool freed = earlier->kind & RACE_FREED;
	char where[200], here[80], there[80];

	sim_describe_memory((const void *)now->address, where, sizeof(where));
	race_place(now->site, here, sizeof(here));
	race_place(earlier->site, there, sizeof(there));
	sim_fail("%s: '%s' (%u) %s %u byte%s%s, which '%s' (%u) %s%s%s; %s",
		 freed ? "use after free" : "data race", process, race->now.process, does(now->kind), now->size,
		 now->size == 1 ? "" : "s", here,
		 other, race->epoch_process[earlier->epoch], has_done(earlier->kind), there,
		 freed ? "" : ", in no order", where);
}

/* "/some/where/sim/explore/race_report.c" tells where the sources are. */
static const char *in_tree(const char *path)
{
	static const char here[] = __FILE__;
	size_t top = strlen(here) - strlen("sim/explore/race_report.c");

	return strncmp(path, here, top) ? path : path + top;
}

/* Of several, each inlined into the next: the first one outside of the shim, whose headers are everywhere. */
static bool choose_line(FILE *lines, char *out, size_t size)
{
	char line[1024];
	bool got = false;

	while (fgets(line, sizeof(line), lines)) {
		const char *name = in_tree(line);

		/* Without "(discriminator 2)" behind it. */
		line[strcspn(line, " \n")] = '\0';
		if (name[0] == '?' || (got && !strncmp(name, "shim/", 5)))
			continue;
		snprintf(out, size, "%s", name);
		got = true;
		if (strncmp(name, "shim/", 5))
			break;
	}
	return got;
}

static bool address_to_line(unsigned long offset, char *out, size_t size)
{
	char program[1024], command[1200];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	FILE *pipe;
	bool got;

	if (length <= 0 || memchr(program, '\'', (size_t)length))
		return false;
	program[length] = '\0';
	snprintf(command, sizeof(command), "addr2line -i -e '%s' 0x%lx 2>/dev/null", program, offset);
	pipe = popen(command, "r");
	if (!pipe)
		return false;
	got = choose_line(pipe, out, size);
	pclose(pipe);
	return got;
}

void race_resolve(char *line, size_t size)
{
	char token[80], source[1024], rest[1024];
	size_t length;
	char *at = line, *end;
	unsigned long offset;

	length = (size_t)snprintf(token, sizeof(token), "%s+0x", program_invocation_short_name);
	while ((at = strstr(at, token))) {
		offset = strtoul(at + length, &end, 16);
		if (address_to_line(offset, source, sizeof(source))) {
			snprintf(rest, sizeof(rest), "%s", end);
			snprintf(at, size - (size_t)(at - line), "%s%s", source, rest);
			at += strlen(at) - strlen(rest);
		} else {
			at = end;
		}
	}
}
