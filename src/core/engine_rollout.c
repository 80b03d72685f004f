#include "core/engine_private.h"

#include "base/clock.h"

#include <stdio.h>

/* By priority, then document order; those no longer wanted last. */
static int compare_groups(const void *left, const void *right)
{
	const struct group *a = *(struct group *const *)left, *b = *(struct group *const *)right;

	if (!a->wanted != !b->wanted)
		return a->wanted ? -1 : 1;
	if (a->wanted && a->wanted->priority != b->wanted->priority)
		return a->wanted->priority < b->wanted->priority ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

/* A dyno of the same fingerprint belongs to the new release as it is, any other lives on by the
 * policy it was started with. */
static void adopt_era(struct engine *e, struct group *g, struct era *era, uint64_t now)
{
	for (size_t i = 0; i < g->n; i++) {
		struct slot *s = g->slots[i];

		s->current = slot_is_wanted(s);
		if (s->current)
			slot_bind(s, era, g->wanted);
		/* Another of its number was stopped; this one is back in force, and runs. */
		if (s->current && s->dyno.desired == DESIRED_RUN)
			rest_remove(e, s->dyno.type, s->dyno.instance);
	}
	for (size_t i = 0; i < g->n; i++) {
		struct slot *s = g->slots[i];

		/* This one was stopped; another of its number was started since. */
		if (s->current && dyno_stopped_by_operator(&s->dyno) &&
			!rest_has(e, s->dyno.type, s->dyno.instance)) {
			s->dyno.outdated = true;
			s->current = false;
		}
		slot_count(e, s, now);
	}
}

int rollout_begin(struct engine *e, struct era *era, uint64_t now)
{
	const struct formation *f = era->formation;
	struct group *g;
	int r;

	for (unsigned i = 0; i < f->n_types; i++) {
		bool there = f->types[i].phase || group_find(e, f->types[i].name);

		r = there ? 0 : group_add(e, f->types[i].name, &g);
		if (r < 0)
			return r;
	}

	for (size_t i = 0; i < e->n_groups; i++)
		e->groups[i]->wanted = NULL;
	for (unsigned i = 0; i < f->n_types; i++) {
		g = f->types[i].phase ? NULL : group_find(e, f->types[i].name);
		if (!g)
			continue;
		g->wanted = &f->types[i];
		g->order = i;
	}
	if (e->n_groups)
		qsort(e->groups, e->n_groups, sizeof *e->groups, compare_groups);

	/* One that had settled before this engine came may still wait for some of its dynos, which
	 * are not the next one's to wait for. */
	if (e->wanted && e->wanted == e->settled && !e->renewing)
		e->settled_rollout = e->rollout;

	struct era *old = e->wanted;
	e->wanted = era_ref(era);
	era_unref(old);
	e->rolling = true;
	e->renewing = false;
	e->rollout++;
	e->clearing = !!era->formation->alone;
	e->trouble[0] = '\0';
	order_begin(e);
	for (size_t i = 0; i < e->n_groups; i++) {
		g = e->groups[i];
		unsigned quantity = g->wanted ? wanted_quantity(e, g->wanted) : 0;

		g->last = rollout_protected(e) && !quantity && g->n;
		g->best = 0;
		g->progress = now;
		g->proof = UINT64_MAX;
		adopt_era(e, g, era, now); /* first: what it holds is counted by the new era */
		group_want(g, quantity);
	}
	return 0;
}

/* Of a rollout that was under way what counts is in the dynos: who is up, who has failed how often.
 * Only its clock starts anew: for how long nothing came up is not known, and nothing can hang for
 * ever by it, as a start that does not come up is counted by its own time-out. */
void rollout_adopt(struct engine *e, struct slot *s)
{
	struct group *g = s->group;
	const struct formation_type *before =
		rollout_protected(e) ? formation_find(e->settled->formation, g->name) : NULL;

	s->born = e->rollout;
	/* Of a type that the release in force has taken over as it was. */
	if (before && before->fingerprint == s->dyno.fingerprint)
		s->born = e->settled_rollout;
	if (!e->caught_up)
		g->last = rollout_protected(e) && !g->quantity;
}

void rollout_watch(struct engine *e, const struct slot *s)
{
	const struct dyno *d = &s->dyno;
	char how[96];

	if (!e->rolling || !s->current || slot_kept(e, s) || e->trouble[0])
		return;
	dyno_exit_text(&d->last_exit, e->stage_text, how, sizeof how);
	unsigned starts = d->bad_starts;
	const char *what = "come up";

	if (!d->gave_up && settle_needed(e, s) && starts < d->failures) {
		starts = d->failures;
		what = "stay up";
	}
	(void)snprintf(e->trouble, sizeof e->trouble, "%s.%u did not %s in %u start%s: %s%s",
		d->type, d->instance, what, starts, starts == 1 ? "" : "s",
		d->condemned ? "unhealthy, and then it " : "", how);
}

/* When a type that the rollout waits for has made no progress for too long; UINT64_MAX = it does
 * not wait. */
static uint64_t stalled_at(const struct group *g)
{
	if (!g->tally.waited || !g->wanted || !g->wanted->rollout.timeout)
		return UINT64_MAX;
	return g->progress + g->wanted->rollout.timeout;
}

static void note_stall(struct engine *e, const struct group *g)
{
	char how[96];
	size_t i = 0;

	while (i + 1 < g->n && !g->slots[i]->counted.waited)
		i++;
	const struct slot *s = g->slots[i];
	dyno_exit_text(&s->dyno.last_exit, e->stage_text, how, sizeof how);
	(void)snprintf(e->trouble, sizeof e->trouble, "no progress for %.3g s: %s.%u is %s%s%s",
		(double)g->wanted->rollout.timeout / (double)NSEC_PER_SEC, g->name,
		s->dyno.instance, dyno_state_text(s->dyno.state),
		s->dyno.last_exit.kind == EXIT_NONE ? "" : "; before, it ",
		s->dyno.last_exit.kind == EXIT_NONE ? "" : how);
}

/* A commit on its way will replace the release in force anyway; going back under its feet would
 * leave the source with one release and the engine with another. */
static bool may_roll_back(const struct engine *e)
{
	return rollout_protected(e) && !e->committing && !e->holding && !e->stopping;
}

uint64_t rollout_deadline(const struct engine *e)
{
	uint64_t first = UINT64_MAX;

	if (!may_roll_back(e))
		return first;
	for (size_t i = 0; i < e->n_groups; i++) {
		uint64_t at = stalled_at(e->groups[i]);

		first = at < first ? at : first;
	}
	return first;
}

void rollout_check_failed(struct engine *e, uint64_t now)
{
	uint64_t failed;
	char why[sizeof e->trouble];

	if (!may_roll_back(e))
		return;
	for (size_t i = 0; i < e->n_groups && !e->trouble[0]; i++)
		if (stalled_at(e->groups[i]) <= now)
			note_stall(e, e->groups[i]);
	if (!e->trouble[0])
		return;

	failed = e->wanted->handle;
	memcpy(why, e->trouble, sizeof why);
	if (actions_reserve(e, 1) < 0 || rollout_begin(e, e->settled, now) < 0) {
		plan_later(e, now);
		return;
	}
	/* What gave up or did its job meanwhile, and is not replaced by this. */
	for (size_t i = 0; i < e->n; i++) {
		const struct dyno *d = &e->slots[i]->dyno;

		bool done = d->desired == DESIRED_REST && !d->asked && !dyno_live(d) &&
			    d->last_exit.kind != EXIT_NONE;

		if (d->gave_up || done)
			essential_watch(e, e->slots[i]);
	}
	e->counts.rollbacks++;
	struct engine_action *a = action_add(e, ACTION_ROLL_BACK);
	a->release = failed;
	a->previous = e->settled->handle;
	memcpy(a->text, why, sizeof why);
}

/* All of the type is as wanted, but what is kept for a roll back. */
static bool arrived(const struct group *g)
{
	const struct tally *t = &g->tally;

	return g->last ||
	       (!g->busy && !t->waited && !t->waiting && !t->proving && g->n == g->quantity);
}

bool rollout_check_done(struct engine *e, uint64_t now)
{
	bool kept = false;

	if (!e->rolling || e->holding || e->stopping)
		return false;
	for (size_t i = 0; i < e->n_groups; i++) {
		if (!arrived(e->groups[i]))
			return false;
		kept |= e->groups[i]->last;
	}

	for (size_t i = 0; i < e->n_groups && kept; i++) {
		e->groups[i]->dirty = e->groups[i]->last;
		e->groups[i]->last = false;
	}
	if (kept)
		return true;

	if (actions_reserve(e, 1) < 0) {
		plan_later(e, now);
		return false;
	}
	era_unref(e->settled);
	e->settled = era_ref(e->wanted);
	e->settled_rollout = e->rollout;
	e->rolling = e->renewing = false;
	overrides_settle(e);
	rests_settle(e);
	action_add(e, ACTION_SETTLED)->release = e->wanted->handle;
	return false;
}
