/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the subcommands of multisnap share: their entry points, exit codes, numbers with units in
 * options, messages, and progress.
 *
 * A subcommand is `int cmd_x(int argc, char **argv)` in sim/cmd_x.c; argv[0] is "multisnap x", so
 * that argp prints the whole command in --help and in its messages. It returns an exit code below.
 * Results go to stdout, messages to stderr; nothing that changes from run to run goes to stdout.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "control.h"

/* Exit codes of the program. */
enum {
	SIM_EXIT_OK = 0,
	SIM_EXIT_FOUND = 1, /* something is wrong with what was looked at */
	SIM_EXIT_USAGE = 2, /* the question was wrong: options, syntax, files that cannot be opened */
};

int cmd_run(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_torture(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_crash(int argc, char **argv);
int cmd_explore(int argc, char **argv);

/* ---- numbers in options and scripts: unsigned decimal, the whole word, no wrap-around ---- */

/* Of a text that may go on: *end is what follows. */
bool parse_digits(const char *text, u64 *value, const char **end);
bool parse_u64(const char *text, u64 *value);
bool parse_uint(const char *text, unsigned int *value);
/* "4096", "4K", "64M", "2G", "16T" (binary units) and "100s" (sectors of 512 bytes), in bytes. */
bool parse_size_bytes(const char *text, u64 *bytes);
/* The same, which must be whole sectors. */
bool parse_size_sectors(const char *text, sector_t *sectors);
/* "10s", "250ms", "3us", "7ns", "5m", "1h", "1d", in nanoseconds. */
bool parse_duration_ns(const char *text, u64 *ns);
/* "7" or "1..200". */
bool parse_range(const char *text, u64 *first, u64 *last);
bool parse_strategy(const char *text, enum sim_strategy *strategy);

/* "EIO" for EIO or -EIO; "errno 999" where there is no name. Static or thread-local storage. */
const char *errno_name(int error);
/* The positive errno, 0 when there is no such name. */
int errno_number(const char *name);

/* A word as a shell takes it: in quotes, where it needs them. */
void print_shell_word(FILE *out, const char *word);

/* A whole text file, "-": stdin; to be freed. NULL and errno; EINVAL: it holds a byte of zero. */
char *sim_read_text(const char *path);

/* ---- messages and progress, on stderr ---- */

/* "multisnap: ..." and a newline. */
void sim_message(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * The program has met a limit of its own, and cannot judge. sim_on_limit() says who is told, and does not return; at first
 * that is sim_limit_ends() without a name: a message that begins with @name, and the process ends with SIM_EXIT_USAGE.
 */
void sim_limit(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void sim_on_limit(void (*told)(void *context, const char *text), void *context);
void sim_limit_ends(void *name, const char *text);

/*
 * One line that overwrites itself, on a terminal only. progress_due() is cheap and limits the
 * rate by the wall clock, which decides nothing else.
 */
bool progress_due(void);
void progress_show(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void progress_clear(void);

#endif /* SIM_SIM_H */
