/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The script language (.msnap): the shared form of a script, and who makes and uses it.
 *
 *   script_lex.c    text -> lines of words
 *   script_parse.c  lines -> a tree of commands, checked as far as text can be
 *   script_verbs.c  the verbs: what arguments each takes
 *   script_run.c    runs the tree: threads, transcript, expectations, power cuts
 *   script_dm.c, script_io.c, script_world.c   what the verbs do
 *
 * docs/script.md describes the language. All errors found before the first command runs are syntax
 * errors (exit 2); a script whose expectations fail stops there (exit 1).
 */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include "sim.h"
#include "world.h"

/* ---- lexer ---- */

struct script_line {
	unsigned int number;	/* in the file, from 1; of its first line where it is continued */
	char *text;		/* as written, without comment and outer blanks */
	int nr_words;
	char **words;		/* quotes removed */
	struct script_line *next;
};

/* NULL and a message (file:line) in @error on failure. An empty file gives one line without words. */
struct script_line *script_lex(const char *file, const char *text, char *error, size_t size);
void script_lines_free(struct script_line *lines);


/* ---- commands ---- */

struct script_command;
struct script_thread;	/* the executor's: who runs a command, and where its output goes */

struct script_verb {
	const char *name;
	const char *usage;
	int (*parse)(struct script_command *c);		/* 0, or -1 after script_syntax() */
	void (*run)(struct script_thread *t, const struct script_command *c);
};

/* Arguments of all verbs; each uses some. */
struct script_args {
	const char *name;	/* device, disk, module, label */
	const char *text;	/* table, message, path, ... */
	const char *sub;	/* the dmsetup subcommand, or what to do */
	unsigned int flags;	/* DMCTL_*, SCRIPT_* */
	sector_t sector, sectors;
	u64 fill, expect;
	u32 bs;			/* sectors in a piece; 0: one piece */
	blk_opf_t opf;
	u64 value, count, skip;
	unsigned int ops;	/* DISK_OP_* */
	unsigned int per_million;
	enum disk_model model;
	unsigned int block_size;
	int error;		/* positive */
};

#define SCRIPT_HAS_EXPECT 0x100
#define SCRIPT_NO_TABLE 0x200
#define SCRIPT_CLEAR 0x400
#define SCRIPT_OWN_TEXT 0x800	/* text was allocated */

struct script_command {
	const char *file;
	unsigned int line;
	const char *text;	/* as echoed */
	const struct script_verb *verb;
	int argc, next_arg;	/* words after the verb, and the next one to be parsed */
	char **argv;
	int expect_error;	/* positive errno; 0: must succeed */
	bool may_fail;		/* with any error */
	struct script_args args;
	struct script_command *block;	/* parallel { }, { }, start LABEL command */
	struct script_command *next;
	struct script_line *lines;	/* of the first command: what all words point into */
	char *error;		/* the parser's message buffer, size SCRIPT_ERROR_MAX */
};

#define SCRIPT_ERROR_MAX 512

/* The whole script; @file must outlive it. NULL and a message in @error. */
struct script_command *script_parse(const char *file, const char *text,
				    char error[SCRIPT_ERROR_MAX]);
void script_free(struct script_command *script);
/* The whole script of a file ("-": stdin); @path must outlive it. NULL after a message. */
struct script_command *script_load(const char *path);

/* False, with a message: a disk is a file of the user's, which one run would leave changed for the next. */
bool script_repeatable(const struct script_command *script);

/* For the verbs' parse(): all return false after recording the message. */
bool script_syntax(struct script_command *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
bool script_take(struct script_command *c, const char *what, const char **word);
bool script_take_name(struct script_command *c, const char *what, const char **word);
bool script_take_u64(struct script_command *c, const char *what, u64 *value);
bool script_more(const struct script_command *c);
/* The next word is KEY=VALUE with this key: takes it, *value is its value. No message. */
bool script_option(struct script_command *c, const char *key, const char **value);
/* The next word is this one: takes it. No message. */
bool script_flag(struct script_command *c, const char *word);
/* Nothing may be left; else a message with the verb's usage. */
bool script_end(struct script_command *c);

const struct script_verb *script_verb_find(const char *name);
const struct script_verb *script_verb_at(unsigned int i); /* NULL at the end */

/* ---- execution ---- */

/*
 * Whoever wants to know what a script does, and when: each piece of I/O; each step of dmsetup, and the verbs fault and
 * resize. A begin returns what its end is given. In the thread that does it.
 */
struct script_hooks {
	u64 (*io_begin)(void *context, const struct script_command *c, sector_t sector, u32 sectors,
			const tag_t *tags);
	void (*io_end)(void *context, u64 begun, int error);
	u64 (*ctl_begin)(void *context, const struct script_command *c);
	void (*ctl_end)(void *context, u64 begun, int error);
	void (*crashed)(void *context); /* script_play() came to `crash` */
	/*
	 * Or NULL. Around a parallel block (not one inside of another), in the thread that waits for it: all has
	 * settled before it begins, and again after its threads have ended.
	 */
	void (*parallel)(void *context, bool begins);
	/* Or NULL. `dmsetup status` was answered, in its thread. */
	void (*status)(void *context, const struct script_command *c);
	/* Or NULL. What @c expects did not come true: true is that this is no reason to stop. */
	bool (*forgives)(void *context, const struct script_command *c);
	/*
	 * Or NULL. A step of dmsetup, a module's load has failed, for the @reason (or NULL) that the target gave; true is
	 * that it is to be done once more.
	 */
	bool (*again)(void *context, const struct script_command *c, int error, const char *reason);
};

struct script_options {
	struct world_options world;
	const char *file;
	const struct script_hooks *hooks; /* or NULL */
	void *hooks_context;
	bool keep_going;	/* a command that fails is no reason to stop */
};

/* Runs @script with its transcript on stdout. An exit code. */
int script_run(const struct script_options *options, const struct script_command *script);
/*
 * Plays it, up to a command `crash`, in a world that the caller has started; @out NULL: no transcript. NULL, or what
 * was not as it should be (of static storage). Devices are left as they are.
 */
const char *script_play(const struct script_options *options, const struct script_command *script,
			FILE *out);

/* The last command begun, for reports; NULL: none. */
const struct script_command *script_running(void);

/* For the verbs: the hooks, or nothing. */
u64 script_io_begin(const struct script_command *c, sector_t sector, u32 sectors, const tag_t *tags);
void script_io_end(u64 begun, int error);
u64 script_ctl_begin(const struct script_command *c);
void script_ctl_end(u64 begun, int error);
void script_status(const struct script_command *c);
bool script_again(const struct script_command *c, int error, const char *reason);

/* A line of the result of the command that runs, without newline. */
void script_print(struct script_thread *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* An expectation of @c did not come true: a message with file:line, and the script ends. */
void script_failed(struct script_thread *t, const struct script_command *c, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * The result of @c: 0 or -errno. Prints "error: NAME" with @detail (may be NULL) and compares
 * with the error expected.
 */
void script_result(struct script_thread *t, const struct script_command *c, int r,
		   const char *detail);

/* What the verbs do; named after them. */
void script_dmsetup(struct script_thread *t, const struct script_command *c);
void script_io(struct script_thread *t, const struct script_command *c);
void script_disk(struct script_thread *t, const struct script_command *c);
void script_fault(struct script_thread *t, const struct script_command *c);
void script_hold(struct script_thread *t, const struct script_command *c);
void script_release(struct script_thread *t, const struct script_command *c);
void script_stat(struct script_thread *t, const struct script_command *c);
void script_save(struct script_thread *t, const struct script_command *c);
void script_resize(struct script_thread *t, const struct script_command *c);
void script_module(struct script_thread *t, const struct script_command *c);
void script_open(struct script_thread *t, const struct script_command *c);
void script_sleep(struct script_thread *t, const struct script_command *c);
void script_settle(struct script_thread *t, const struct script_command *c);
void script_echo(struct script_thread *t, const struct script_command *c);
void script_parallel(struct script_thread *t, const struct script_command *c);
void script_start(struct script_thread *t, const struct script_command *c);
void script_wait(struct script_thread *t, const struct script_command *c);
void script_pending(struct script_thread *t, const struct script_command *c);
void script_crash(struct script_thread *t, const struct script_command *c);
void script_reload(struct script_thread *t, const struct script_command *c);
void script_check(struct script_thread *t, const struct script_command *c);

/* Closes what `open` left open, at the end. */
void script_close_all(void);

#endif /* SIM_SCRIPT_H */
