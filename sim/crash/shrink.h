/* SPDX-License-Identifier: GPL-2.0 */
/* Inside the shrinking of a finding: shrink.c leaves lines out, shrink_line.c makes lines simpler. */
#ifndef SIM_CRASH_SHRINK_H
#define SIM_CRASH_SHRINK_H

#include "crash.h"

struct shrink {
	struct crash_options *options;
	struct crash_unit *unit;	/* the smallest so far */
	char **line;			/* of its script, without comments */
	u32 nr;
	u32 attempts;
	u64 states;			/* judged by all of them */
};

/* The lines as they are, to be changed: a line that is replaced stays with the shrink; NULL: left out. */
char **shrink_copy(const struct shrink *s);
/* Is something found with these lines? Then they are the script's. Takes @line, and those in it that are new. */
bool shrink_to(struct shrink *s, char **line);

/* shrink_line.c */
void shrink_simplify(struct shrink *s);

#endif /* SIM_CRASH_SHRINK_H */
