/* SPDX-License-Identifier: GPL-2.0 */
/* Arrays that grow, in memory that is not rewound. */
#ifndef EXPLORE_GROW_H
#define EXPLORE_GROW_H

#include "rewind.h"

#define GROWING(type)                                                                           \
	struct {                                                                                \
		type *at;                                                                       \
		u32 nr, max;                                                                    \
	}

static inline void *grow_to(void *at, u32 *max, u32 wanted, size_t size)
{
	while (*max < wanted)
		*max = *max ? 2 * *max : 64;
	return keep_realloc(at, *max * size);
}

/* Room for @wanted elements. What is new is not initialised. */
#define grow(array, wanted)                                                                     \
	do {                                                                                    \
		if (unlikely((array)->max < (wanted)))                                          \
			(array)->at = grow_to((array)->at, &(array)->max, wanted,               \
					      sizeof(*(array)->at));                            \
	} while (0)

/* One more at the end: its address. */
#define push(array)                                                                             \
	({                                                                                      \
		grow(array, (array)->nr + 1);                                                   \
		&(array)->at[(array)->nr++];                                                    \
	})

#endif /* EXPLORE_GROW_H */
