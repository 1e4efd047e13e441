// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a fuzz target on files, without any fuzzer: for ctest, for findings, for compilers that have no fuzzer.
 *
 *   TARGET [--runs N] [--seed S] [--max BYTES] FILE|FOLDER...
 *
 * Each file once, in order of names; then, with --runs, N changed ones: by the target's own mutator if it has one,
 * else by mutate.c. Same arguments, same inputs. An input that ends the program is named in the last line: a file, or
 * crash-SEED-NUMBER, which is written to the current folder.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#pragma weak LLVMFuzzerInitialize
#pragma weak LLVMFuzzerCustomMutator
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static const char *program;

static struct input {
	uint8_t *data;
	size_t size;
} *inputs;
static size_t nr_inputs;

/* What runs, for last_words(). */
static struct {
	char name[4096];
	const uint8_t *data;	/* to be written to that file; NULL: it is one */
	size_t size;
} now;

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		_exit(2);
}

/* In a signal handler, or in a sanitizer that has had enough. */
static void last_words(void)
{
	static int said;

	if (said++)
		return;
	if (now.data) {
		int fd = open(now.name, O_WRONLY | O_CREAT | O_TRUNC, 0666);

		if (fd < 0 || write(fd, now.data, now.size) != (ssize_t)now.size)
			say("the input could not be written to the current folder: ");
	}
	say("reproduce: ");
	say(program);
	say(" ");
	say(now.name);
	say("\n");
}

static void handler(int number)
{
	last_words();
	signal(number, SIG_DFL);
	raise(number);
}

static void catch_signals(void)
{
	static const int numbers[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK | SA_NODEFER };
	static char stack[1 << 16];
	stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };

	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(last_words);
		return;
	}
	sigaltstack(&other, NULL);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "%s: cannot %s %s: %s\n", program, what, path, strerror(errno));
	exit(2);
}

static void run_one(const struct input *in)
{
	/* A block of just this size: whoever reads beyond it is seen. */
	uint8_t *copy = malloc(in->size ? in->size : 1);

	if (!copy)
		abort();
	memcpy(copy, in->data, in->size);
	LLVMFuzzerTestOneInput(copy, in->size);
	if (memcmp(copy, in->data, in->size)) {
		fprintf(stderr, "%s: the target has changed its input\n", program);
		abort();
	}
	free(copy);
}

static void run_file(const char *path, size_t size)
{
	struct input in = { .data = malloc(size + 1), .size = size };
	FILE *f = fopen(path, "rb");

	if (!f || !in.data)
		fail("open", path);
	if (fread(in.data, 1, size, f) != size)
		fail("read", path);
	fclose(f);
	snprintf(now.name, sizeof(now.name), "%s", path);
	run_one(&in);
	inputs = realloc(inputs, (nr_inputs + 1) * sizeof(*inputs));
	if (!inputs)
		abort();
	inputs[nr_inputs++] = in;
}

static int visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void run_path(const char *path)
{
	struct dirent **names;
	struct stat st;
	int n;

	if (stat(path, &st) < 0)
		fail("find", path);
	if (!S_ISDIR(st.st_mode)) {
		run_file(path, st.st_size);
		return;
	}
	n = scandir(path, &names, visible, alphasort);
	if (n < 0)
		fail("list", path);
	for (int i = 0; i < n; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, names[i]->d_name);
		run_path(name);
		free(names[i]);
	}
	free(names);
}

static void run_changed(uint64_t seed, uint64_t number, size_t max_size)
{
	struct input in = { .data = malloc(max_size) };
	const struct input *from;
	uint64_t changes;

	if (!in.data)
		abort();
	mutate_seed(seed * 0x9E3779B97F4A7C15ULL + number);
	from = &inputs[mutate_below(nr_inputs)];
	in.size = from->size < max_size ? from->size : max_size;
	memcpy(in.data, from->data, in.size);
	for (changes = 1 + mutate_below(8); changes; changes--) {
		if (LLVMFuzzerCustomMutator)
			in.size = LLVMFuzzerCustomMutator(in.data, in.size, max_size, mutate_below(1ULL << 32));
		else
			in.size = LLVMFuzzerMutate(in.data, in.size, max_size);
	}
	snprintf(now.name, sizeof(now.name), "crash-%llu-%llu", (unsigned long long)seed,
		 (unsigned long long)number);
	now.data = in.data;
	now.size = in.size;
	run_one(&in);
	now.data = NULL;
	free(in.data);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (!*text || *end) {
		fprintf(stderr, "%s: \"%s\" is not a number\n", program, text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "runs", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 's' },
		{ "max", required_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t runs = 0, seed = 1, max_size = 65536;
	int c;

	program = argv[0];
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?') {
			fprintf(stderr, "usage: %s [--runs N] [--seed S] [--max BYTES] FILE|FOLDER...\n", program);
			return 2;
		}
		*(c == 'r' ? &runs : c == 's' ? &seed : &max_size) = number(optarg);
	}
	catch_signals();
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	while (optind < argc)
		run_path(argv[optind++]);
	if (!nr_inputs) {
		fprintf(stderr, "%s: no inputs given\n", program);
		return 2;
	}
	for (uint64_t i = 1; i <= runs; i++)
		run_changed(seed, i, max_size);
	printf("%zu inputs, %llu changed ones\n", nr_inputs, (unsigned long long)runs);
	while (nr_inputs)
		free(inputs[--nr_inputs].data);
	free(inputs);
	return 0;
}
