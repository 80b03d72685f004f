/* Formations that are not for one machine at the same time (formation.alone): the dynos of all
 * others go first, at once, whatever is said of the rollout, and only when no process of them is
 * left anything of the wanted one is made. The way back is the same. */
#include "core/engine_private.h"

/* What it is made of is known only of one that lives by the policy it was made with. */
static uint64_t slot_alone(const struct slot *s)
{
	if (!s->era || s->type->fingerprint != s->dyno.fingerprint)
		return 0;
	return s->era->formation->alone;
}

static bool in_the_way(const struct slot *s, const struct formation *f)
{
	return f->alone && slot_alone(s) != f->alone;
}

bool alone_barred(const struct engine *e, const struct formation *f)
{
	for (size_t i = 0; i < e->n; i++) {
		const struct dyno *d = &e->slots[i]->dyno;

		/* One that waits in back-off would come back meanwhile. */
		if ((dyno_live(d) || d->desired == DESIRED_RUN) && in_the_way(e->slots[i], f))
			return true;
	}
	return false;
}

bool alone_clear(struct engine *e, uint64_t now)
{
	if (!e->clearing)
		return false;
	/* Backwards: one that has no process is gone at once, and the last takes its place. */
	for (size_t i = e->n; i-- > 0;) {
		struct slot *s = e->slots[i];

		if (s->dyno.desired == DESIRED_RETIRE || !in_the_way(s, e->wanted->formation))
			continue;
		/* That of a release phase is told when its release is given up. */
		if (s->dyno.phase)
			continue;
		if (actions_reserve(e, ACTIONS_PER_STEP) < 0) {
			plan_later(e, now);
			return true;
		}
		slot_retire(e, s, DYNO_EV_UNWANTED, now);
	}
	e->clearing = alone_barred(e, e->wanted->formation);
	for (size_t i = 0; i < e->n_groups && !e->clearing; i++)
		e->groups[i]->dirty = e->groups[i]->dirty || e->groups[i]->busy;
	return e->clearing;
}
