/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every fuzz target has, and what it may have: the interface of libFuzzer, which all drivers use (README.md).
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* One input. It must leave nothing behind: the next one runs in the same process. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Once, before the first input. May be missing. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Changes @data of @size bytes in place, a function of @seed; the new size, at most @max_size. May be missing. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/* For custom mutators: some change of bytes that knows nothing of their meaning. The driver's, else mutate.c. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* mutate.c: the seed of the next LLVMFuzzerMutate(). */
void mutate_seed(uint64_t seed);
/* mutate.c: one of @n numbers. */
uint64_t mutate_below(uint64_t n);

#endif /* FUZZ_FUZZ_H */
