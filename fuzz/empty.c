// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz target that does nothing: what a driver costs, against which the rates of the others are measured.
 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return 0;
}
