// SPDX-License-Identifier: GPL-2.0
/*
 * For `ci/mutants --check`: behind a line that has mutants, each of them as that line then reads, with @ between.
 * Lines without such a comment have none.
 */
typedef _Bool bool;
#define NULL ((void *)0)
#define EIO 5
#define FUA 8
#define FLUSH 16
#define check(condition) ((condition) ? report(#condition) : 0)
#define twice(x) ((x) + (x))
#define DMERR(text) message(text)

int report(const char *text);
void message(const char *text);
int submit(int flags);
void lock(int *l);

int operators(int a, unsigned int b)
{
	a = a + 3; /* -> { } @ a = a - 3; @ a = a + 0; @ a = a + 4; */
	a += twice(b); /* -> { } @ a -= twice(b); */
	b = b << 2 | 0x10u; /* -> { } @ b = 0x10u; @ b = b << 2; @ b = b >> 2 | 0x10u; @ b = b << 0 | 0x10u; @ b = b << 3 | 0x10u; @ b = b << 2 & 0x10u; @ b = b << 2 | 0u; @ b = b << 2 | 17u; */
	return check(a <= 4); /* -> return ((void)(check(a <= 4)), 0); @ return check(a < 4); @ return check(a > 4); @ return check(a <= 0); @ return check(a <= 5); */
}

bool branches(int *p, bool y)
{
	if (p && !y) /* -> if (!(p && !y)) @ if (!y) @ if (((p && !y) && 0)) @ if (((p && !y) || 1)) @ if (p) @ if (p || !y) @ if (p && y) */
		lock(p); /* -> { } */
	else
		DMERR("no pointer");
	if (*p > 7)
		DMERR("far away");
	while (*p) /* -> while (((*p) && 0)) */
		--*p; /* -> ++*p; @ { } */
	for (;;) {
		if (y) /* -> if (!(y)) @ if (((y) && 0)) @ if (((y) || 1)) */
			break; /* -> { } */
	}
	return y; /* -> return !(y); */
}

int errors(int *l)
{
	int r;

	r = submit(FLUSH | FUA); /* -> (void)submit(FLUSH | FUA); @ { } @ r = submit(FLUSH); @ r = submit(FUA); @ r = submit(FLUSH & FUA); */
	if (r) /* -> if (!(r)) @ if (((r) && 0)) @ if (((r) || 1)) */
		return -EIO; /* -> return 0; @ return EIO; */
	return submit(l ? 1 : r); /* -> return ((void)(submit(l ? 1 : r)), 0); @ return submit(((void)(l), 1)); @ return submit(((void)(l), r)); @ return submit(l ? 0 : r); @ return submit(l ? 2 : r); */
}

int *pointers(int *p)
{
	int table[4];

	switch (table[*p]) {
	case 1: /* -> case 0: @ case 2: */
		return p; /* -> return NULL; */
	}
	return NULL;
}
