/* What was there before this engine: the last life of each dyno. */
#include "core/engine_private.h"

#include <errno.h>
#include <stdio.h>

/* The policy that a dyno of an earlier engine lives by. False: a guess. */
static bool bind_adopted(struct engine *e, struct slot *s, uint64_t fingerprint)
{
	const struct group *g = s->group;
	const struct formation_type *before =
		e->settled ? formation_find(e->settled->formation, g->name) : NULL;

	s->current = slot_is_wanted(s);
	if (!s->current && before && before->fingerprint == fingerprint) {
		slot_bind(s, e->settled, before);
		return true;
	}
	/* Made of a release this engine has not seen: the policy of its type today is the best
	 * guess. */
	slot_bind(s, g->wanted ? e->wanted : NULL, g->wanted);
	return s->current;
}

/* What it was about when its engine went. */
static void take_up(struct engine *e, struct slot *s, const struct engine_adopted *a, uint64_t now)
{
	struct dyno *d = &s->dyno;

	if (e->stopping) {
		d->desired = DESIRED_RETIRE;
		d->asked = d->asked || !a->ended;
	}
	if (a->ended)
		slot_end(e, s, a->exit.kind == EXIT_STAGE ? DYNO_EV_FAILED : DYNO_EV_EXITED,
			ended_at(a->at, now), now);
	else if (a->left)
		slot_apply(e, s, DYNO_EV_LEFT, now);
	else if (d->bad) /* the KILL may not have been sent any more, nor the signal */
		slot_apply(e, s, DYNO_EV_KILL_NOW, now);
	else if (d->asked)
		slot_apply(e, s, DYNO_EV_UNWANTED, now);
	else if (d->condemned)
		slot_apply(e, s, d->was_up ? DYNO_EV_UNHEALTHY : DYNO_EV_OOM, now);
}

static void restore_dyno(struct dyno *d, const struct engine_adopted *a)
{
	const struct dyno_kept *k = &a->kept;

	d->generation = a->generation;
	d->fingerprint = a->fingerprint;
	d->restarts = k->restarts;
	d->failures = k->failures;
	d->bad_starts = k->bad_starts;
	d->desired = k->resting ? DESIRED_REST : DESIRED_RUN;
	d->asked = k->asked;
	d->was_up = k->was_up;
	d->bad = k->bad;
	d->condemned = k->condemned;
	d->phase = k->phase;
	d->version = k->version;
	if (a->ended)
		note_exit(d, &a->exit);
}

static int find_group(struct engine *e, const struct engine_adopted *a, struct group **ret_group)
{
	if (a->kept.phase) {
		(void)snprintf(e->phase.name, sizeof e->phase.name, "%s", a->type);
		*ret_group = &e->phase;
		return 0;
	}
	*ret_group = group_find(e, a->type);
	return *ret_group ? 0 : group_add(e, a->type, ret_group);
}

int handle_adopted(struct engine *e, const struct engine_adopted *a, uint64_t now)
{
	struct group *g;
	struct slot *s;
	int r;

	if (!a->id || table_find(e, a->id)) {
		e->stale++;
		return 0;
	}
	r = find_group(e, a, &g);
	if (r < 0)
		return r;
	r = table_add(e, g, a->id, a->instance, &s);
	if (r < 0)
		return r;

	if (a->id >= e->next_id)
		e->next_id = a->id + 1;
	e->holding = e->holding || !e->caught_up;
	restore_dyno(&s->dyno, a);
	/* Its last start may have left nothing to write the operator's stop down with. */
	if (a->ended && !a->kept.phase && rest_has(e, a->type, a->instance)) {
		s->dyno.desired = DESIRED_REST;
		s->dyno.asked = true;
	}
	bool known = a->kept.phase || bind_adopted(e, s, a->fingerprint);
	if (a->kept.phase)
		s->current = true; /* for whom, phase_run() finds out */
	else
		rollout_adopt(e, s);

	/* By a guessed policy a good one might not be up yet, and then it would be the first to go.
	 */
	dyno_adopt(&s->dyno, s->type, known || a->ended ? a->started : 0,
		a->ended ? ended_at(a->at, now) : now);
	heap_sync(&e->heap, s);
	g->busy = !a->kept.phase;
	g->ceiling = g->tally.held + 1 > g->ceiling ? g->tally.held + 1 : g->ceiling;
	slot_count(e, s, now);
	take_up(e, s, a, now);
	return 0;
}
