// SPDX-License-Identifier: GPL-2.0
/*
 * AFL++'s interface of custom mutators, on top of a target's LLVMFuzzerCustomMutator(): compiled with the target's
 * MUTATOR files and mutate.c into NAME-mutator.so, which afl-fuzz loads.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

struct mutator {
	uint8_t *out;
	size_t size;
};

void *afl_custom_init(void *afl, unsigned int seed);
size_t afl_custom_fuzz(struct mutator *m, uint8_t *data, size_t size, uint8_t **out, uint8_t *add,
		       size_t add_size, size_t max_size);
void afl_custom_deinit(struct mutator *m);

void *afl_custom_init(void *afl, unsigned int seed)
{
	mutate_seed(seed);
	return calloc(1, sizeof(struct mutator));
}

size_t afl_custom_fuzz(struct mutator *m, uint8_t *data, size_t size, uint8_t **out, uint8_t *add,
		       size_t add_size, size_t max_size)
{
	uint64_t changes = 1 + mutate_below(8);

	if (m->size < max_size) {
		m->out = realloc(m->out, max_size);
		if (!m->out)
			abort();
		m->size = max_size;
	}
	if (size > max_size)
		size = max_size;
	memcpy(m->out, data, size);
	while (changes--)
		size = LLVMFuzzerCustomMutator(m->out, size, max_size, mutate_below(1ULL << 32));
	*out = m->out;
	return size;
}

void afl_custom_deinit(struct mutator *m)
{
	free(m->out);
	free(m);
}
