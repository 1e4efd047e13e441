// SPDX-License-Identifier: GPL-2.0
/*
 * The order of locks, as lockdep judges it: one run that takes A then B, and at any other time B
 * then A, is a finding, whether or not the two ever meet.
 *
 * A class is a place that initialises locks, or a work function (flush_work() waits for it, so it
 * is ordered like a lock that the running work holds). lockdep_after[] of a class has a bit for
 * each class that was taken while it was held; an edge that closes a circle is reported with the
 * places of both orders. Spinlocks that are taken in interrupts must never be taken elsewhere with
 * interrupts on, nor have such a lock taken inside them.
 *
 * The graph is of one world: what an earlier world did must not decide about this one.
 */
#include <stdio.h>
#include <string.h>

#include "lockdep.h"
#include "world.h"

/* An explorer copies them all the time; few worlds have a hundred. */
#ifdef SHIM_WATCHED
#define EDGES_MAX 256
#else
#define EDGES_MAX 2048
#endif

struct lock_class {
	const char *name;
	const char *irq_site; /* taken in an interrupt, or NULL */
	const char *irqs_on_site; /* taken with interrupts on, or NULL */
};

/* For reports only: where the edge was made. */
struct lock_edge {
	u32 first, second;
	const char *first_site, *second_site;
	char thread[32];
};

static struct {
	struct lock_class classes[LOCKDEP_CLASSES_MAX];
	struct lock_edge edges[EDGES_MAX];
	u32 nr_classes, nr_edges;
} dep;

u64 lockdep_after[LOCKDEP_CLASSES_MAX][LOCKDEP_WORDS];
u8 lockdep_use[LOCKDEP_CLASSES_MAX];

u32 lockdep_class_new(struct lock_class_key *key, const char *name)
{
	if (dep.nr_classes == LOCKDEP_CLASSES_MAX)
		sim_fail("more than %u classes of locks", LOCKDEP_CLASSES_MAX);
	key->world = world.number;
	key->class = dep.nr_classes++;
	dep.classes[key->class] = (struct lock_class){ .name = name };
	memset(lockdep_after[key->class], 0, sizeof(lockdep_after[0]));
	lockdep_use[key->class] = 0;
	return key->class;
}

/* A path from @from to @to; *next is its first step. */
static bool find_path(u32 from, u32 to, u64 *seen, u32 *next)
{
	u32 i, unused;

	seen[from / 64] |= 1ULL << (from % 64);
	for (i = 0; i < dep.nr_classes; i++) {
		if (!lockdep_has_edge(from, i))
			continue;
		*next = i;
		if (i == to || (!(seen[i / 64] >> (i % 64) & 1) && find_path(i, to, seen, &unused)))
			return true;
	}
	return false;
}

static const char *held_site(const struct sched_held *held)
{
	return held->lock ? site_name(held->lock->site) : "its begin";
}

static const struct lock_edge *find_edge(u32 first, u32 second)
{
	u32 i;

	for (i = 0; i < dep.nr_edges; i++)
		if (dep.edges[i].first == first && dep.edges[i].second == second)
			return &dep.edges[i];
	return NULL;
}

static void __attribute__((noreturn))
report_inversion(const struct sched_held *held, u32 class, const char *site, u32 next)
{
	const struct lock_edge *edge = find_edge(class, next);

	sim_fail(
		"lock order: '%s' takes '%s' at %s while it holds '%s' (%s), but '%s' took '%s' at %s while it held '%s' (%s)%s",
		sched_current->name, dep.classes[class].name, site_name(site),
		dep.classes[held->class].name, held_site(held), edge ? edge->thread : "?",
		dep.classes[next].name, site_name(edge ? edge->second_site : NULL),
		dep.classes[class].name, site_name(edge ? edge->first_site : NULL),
		next == held->class ? "" : ", which leads back to the first");
}

/* @first is taken in interrupts, @second with interrupts on, @second inside @first. */
static void check_irq_edge(u32 first, u32 second)
{
	const struct lock_class *a = &dep.classes[first], *b = &dep.classes[second];

	if (a->irq_site && b->irqs_on_site)
		sim_fail(
			"lock order with interrupts: '%s' (taken in an interrupt at %s) has '%s' inside, which is taken with interrupts on at %s",
			a->name, site_name(a->irq_site), b->name, site_name(b->irqs_on_site));
}

static void add_edge(const struct sched_held *held, u32 class, const char *site)
{
	u64 seen[LOCKDEP_WORDS] = { 0 };
	struct lock_edge *edge;
	u32 next = 0;

	if (find_path(class, held->class, seen, &next))
		report_inversion(held, class, site, next);
	lockdep_after[held->class][class / 64] |= 1ULL << (class % 64);
	if (dep.nr_edges < EDGES_MAX) {
		edge = &dep.edges[dep.nr_edges++];
		edge->first = held->class;
		edge->second = class;
		edge->first_site = held->lock ? held->lock->site : "its begin";
		edge->second_site = site;
		snprintf(edge->thread, sizeof(edge->thread), "%s", sched_current->name);
	}
	check_irq_edge(held->class, class);
}

void lockdep_order_slow(u32 class, const char *site)
{
	const struct sim_thread *self = sched_current;
	u32 i;

	for (i = 0; i < self->nr_held; i++) {
		const struct sched_held *held = &self->held[i];

		if (unlikely(held->class == class))
			sim_fail(
				"lock order: '%s' takes '%s' at %s while it holds one of the same class (%s)",
				self->name, dep.classes[class].name, site_name(site),
				held_site(held));
		if (unlikely(!lockdep_has_edge(held->class, class)))
			add_edge(held, class, site);
	}
}

void lockdep_irq_use_slow(u32 class, const char *site)
{
	struct lock_class *c = &dep.classes[class];
	const struct sim_thread *self = sched_current;
	u32 i;

	lockdep_use[class] |= self->is_irq ? LOCKDEP_IN_IRQ : LOCKDEP_IRQS_ON;
	if (self->is_irq)
		c->irq_site = site;
	else
		c->irqs_on_site = site;
	if (c->irq_site && c->irqs_on_site)
		sim_fail(
			"spinlock '%s' is taken in an interrupt (%s), and elsewhere with interrupts on (%s)",
			c->name, site_name(c->irq_site), site_name(c->irqs_on_site));
	for (i = 0; i < dep.nr_classes; i++) {
		if (lockdep_has_edge(class, i))
			check_irq_edge(class, i);
		if (lockdep_has_edge(i, class))
			check_irq_edge(i, class);
	}
}

void lockdep_too_many(void)
{
	sim_fail("thread '%s' holds more than %u locks", sched_current->name, SCHED_HELD_MAX);
}

void lockdep_release_slow(const struct shim_lock *lock, u32 class)
{
	struct sim_thread *self = sched_current;
	u32 i = self->nr_held;

	while (i--) {
		if (self->held[i].lock != lock || self->held[i].class != class)
			continue;
		self->nr_held--;
		for (; i < self->nr_held; i++)
			self->held[i] = self->held[i + 1];
		return;
	}
	sim_fail("thread '%s' releases what it does not hold", self->name);
}

void lockdep_discard(void)
{
	dep.nr_classes = 0;
	dep.nr_edges = 0;
}
