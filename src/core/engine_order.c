/* Who starts after whom.
 *
 * Priority: a type's turn is when all types of a lower Priority are up, or at rest, or have tried:
 * one that cannot come up holds nobody up for ever. After: when the other type has come as far as
 * is said, however long that takes; one that waits so holds up nobody by its Priority, so that no
 * two can wait for each other.
 *
 * While it is not a type's turn, its new dynos are made but not started (slot.waiting), and in a
 * rollout its old ones are not replaced (group.held). Whoever has been started once is not asked
 * again: not after a crash, only after the operator has stopped it. */
#include "core/engine_private.h"

#include <limits.h>
#include <stdio.h>

static bool after_met(const struct group *other, enum after_condition condition)
{
	const struct tally *t = &other->tally;

	if (!other->wanted || !other->quantity)
		return true;
	if (other->busy) /* its old ones are not replaced yet, nor those above its quantity gone */
		return false;
	switch (condition) {
	case AFTER_STARTED:
		return t->begun >= other->quantity;
	case AFTER_SUCCEEDED:
		return t->succeeded >= other->quantity;
	case AFTER_READY:
	case AFTER_CONDITION_MAX:
		break;
	}
	return t->arrived >= other->quantity;
}

/* The first that it still waits for; -1 = none. */
static int after_unmet(const struct group *g)
{
	for (unsigned i = 0; g->wanted && i < g->wanted->n_after; i++)
		if (g->after[i] && !after_met(g->after[i], g->wanted->after[i].condition))
			return (int)i;
	return -1;
}

/* Those of a higher Priority wait for it. */
static bool blocks(const struct group *g)
{
	if (!g->quantity || after_unmet(g) >= 0)
		return false;
	return g->tally.coming || (g->busy && !g->tally.failing);
}

/* The first of a lower Priority that holds g up. */
static const struct group *blocker(const struct engine *e, const struct group *g)
{
	for (size_t i = 0; i < e->n_groups; i++) {
		const struct group *other = e->groups[i];

		if (!other->wanted || other->wanted->priority >= g->wanted->priority)
			break;
		if (blocks(other))
			return other;
	}
	return NULL;
}

bool order_open(const struct engine *e, const struct group *g)
{
	return !g->gated || (!g->held && after_unmet(g) < 0 && !blocker(e, g));
}

/* ---- a formation is to be rolled out ---- */

static void bind_after(struct engine *e, struct group *g)
{
	const struct formation *f = e->wanted->formation;
	const struct formation_type *t = g->wanted;

	for (unsigned i = 0; i < t->n_after; i++) {
		const struct formation_type *other =
			t->after[i].type < f->n_types ? &f->types[t->after[i].type] : t;
		bool waits = !other->phase && other != t;

		g->after[i] = waits ? group_find(e, other->name) : NULL;
	}
}

/* Is there one in its After that has not been reached yet? */
static bool has_unreached(const struct group *g, const bool *reached)
{
	for (unsigned i = 0; i < g->wanted->n_after; i++)
		if (g->after[i] && !reached[g->after[i]->order])
			return true;
	return false;
}

/* A circle was refused by the model. Should there be one all the same, nobody in it or behind it
 * waits. */
static void break_circles(struct engine *e, const struct formation *f)
{
	bool reached[LIMIT_TYPES] = {false};

	for (unsigned round = 0; round < f->n_types; round++)
		for (size_t i = 0; i < e->n_groups; i++) {
			const struct group *g = e->groups[i];

			if (g->wanted && !has_unreached(g, reached))
				reached[g->order] = true;
		}
	for (size_t i = 0; i < e->n_groups; i++) {
		struct group *g = e->groups[i];

		for (unsigned k = 0; g->wanted && !reached[g->order] && k < LIMIT_AFTER; k++)
			g->after[k] = NULL;
	}
}

void order_begin(struct engine *e)
{
	const struct formation *f = e->wanted->formation;
	bool circles = f->n_types <= LIMIT_TYPES;
	int lowest = INT_MAX;

	for (size_t i = 0; i < e->n_groups; i++) {
		struct group *g = e->groups[i];

		memset(g->after, 0, sizeof g->after);
		g->passed = g->gated = g->held = false;
		if (!g->wanted)
			continue;
		if (g->wanted->priority < lowest)
			lowest = g->wanted->priority;
		if (circles)
			bind_after(e, g);
	}
	if (circles)
		break_circles(e, f);

	e->ordered = false;
	for (size_t i = 0; i < e->n_groups; i++) {
		struct group *g = e->groups[i];

		if (!g->wanted)
			continue;
		g->gated = g->wanted->priority > lowest;
		for (unsigned k = 0; k < g->wanted->n_after; k++)
			g->gated |= !!g->after[k];
		g->held = g->gated;
		e->ordered |= g->gated || g->tally.waiting;
	}
}

/* ---- whose turn is it? ---- */

/* Those of a lower Priority that have not come up: g goes on without them. */
static void say_passed(struct engine *e, const struct group *g)
{
	for (size_t i = 0; i < e->n_groups; i++) {
		struct group *other = e->groups[i];
		size_t k = 0;

		if (!other->wanted || other->wanted->priority >= g->wanted->priority)
			return;
		if (other->passed || !other->quantity || !other->tally.failing ||
			actions_reserve(e, 1) < 0)
			continue;
		while (k + 1 < other->n && !other->slots[k]->counted.failing)
			k++;
		other->passed = true;
		(void)snprintf(action_dyno(e, ACTION_REPORT, other->slots[k])->text,
			sizeof e->actions->text,
			"did not come up: what has a higher Priority is started without it");
	}
}

/* False: nothing has changed. */
static bool let_in(struct engine *e, struct group *g, uint64_t now)
{
	bool some = g->held;

	say_passed(e, g);
	g->held = false;
	g->dirty = g->dirty || g->busy;
	g->progress = now;
	for (size_t i = 0; i < g->n; i++) {
		struct slot *s = g->slots[i];

		if (!s->waiting || !s->current)
			continue;
		if (actions_reserve(e, ACTIONS_PER_STEP) < 0) {
			plan_later(e, now);
			break;
		}
		s->waiting = false;
		slot_apply(e, s, DYNO_EV_WANTED, now);
		some = true;
	}
	return some;
}

bool order_run(struct engine *e, uint64_t now)
{
	bool some = false, below = false, beside = false;
	int priority = INT_MIN;

	if (!e->ordered || e->holding || e->stopping || e->clearing)
		return false;
	for (size_t i = 0; i < e->n_groups; i++) {
		struct group *g = e->groups[i];

		if (!g->wanted)
			break;
		if (g->wanted->priority != priority) {
			priority = g->wanted->priority;
			below |= beside;
			beside = false;
		}
		if ((g->held || g->tally.waiting) && !below && after_unmet(g) < 0)
			some |= let_in(e, g, now);
		beside |= blocks(g);
	}
	return some;
}

static const char *to_what(enum after_condition condition)
{
	if (condition == AFTER_SUCCEEDED)
		return "succeed";
	return condition == AFTER_STARTED ? "start" : "be ready";
}

const char *engine_waits_for(const struct engine *e, const struct dyno *d, char *buf, size_t size)
{
	const struct slot *s = table_find(e, d->id);
	int i = s && s->waiting ? after_unmet(s->group) : -1;

	if (!s || !s->waiting)
		return NULL;
	const struct group *other = s->group->wanted ? blocker(e, s->group) : NULL;
	if (i >= 0)
		(void)snprintf(buf, size, "%s to %s", s->group->after[i]->name,
			to_what(s->group->wanted->after[i].condition));
	else if (other)
		(void)snprintf(buf, size, "%s to be up (Priority %d)", other->name,
			other->wanted->priority);
	else
		(void)snprintf(buf, size, "its turn");
	return buf;
}
