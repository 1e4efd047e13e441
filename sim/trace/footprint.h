/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How many distinct bytes a trace touches, counted in whole pages of 4 KiB per device.
 */
#ifndef SIM_TRACE_FOOTPRINT_H
#define SIM_TRACE_FOOTPRINT_H

#include <stdbool.h>
#include <stdint.h>

#define FOOTPRINT_PAGE_SHIFT 12

struct footprint;

struct footprint *footprint_new(void);
void footprint_free(struct footprint *set);
/* False when out of memory. @offset + @length does not wrap (as trace_next() gives them). */
bool footprint_add(struct footprint *set, uint64_t device, uint64_t offset, uint64_t length);
uint64_t footprint_bytes(struct footprint *set);

#endif /* SIM_TRACE_FOOTPRINT_H */
