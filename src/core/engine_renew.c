/* A type is renewed because the operator wants it, without a release; what is given up. */
#include "core/engine_private.h"

void handle_roll_type(struct engine *e, const char *type, uint64_t now)
{
	struct group *g = type ? group_find(e, type) : NULL;

	if (!g || !g->wanted || !g->quantity || e->stopping || e->holding) {
		e->stale++;
		return;
	}
	/* A rollout of its own: what was there before is not what it waits for. */
	if (e->wanted == e->settled && !e->renewing) {
		e->settled_rollout = e->rollout++;
		e->rolling = e->renewing = true;
	}
	for (size_t i = 0; i < g->n; i++) {
		struct slot *s = g->slots[i];

		if (!s->current || s->dyno.desired == DESIRED_RETIRE)
			continue;
		s->dyno.outdated = true;
		s->current = false;
		slot_count(e, s, now);
	}
	g->best = 0;
	g->progress = now;
	group_want(g, g->quantity);
}

/* The operator's renewal is given up: those that are left of the old ones are good again. */
static void renew_no_more(struct engine *e, uint64_t now)
{
	for (size_t i = 0; i < e->n; i++) {
		struct slot *s = e->slots[i];

		if (!s->dyno.outdated || s->dyno.desired == DESIRED_RETIRE)
			continue;
		s->dyno.outdated = false;
		s->current = slot_is_wanted(s);
		if (s->current && s->dyno.desired == DESIRED_RUN)
			rest_remove(e, s->dyno.type, s->dyno.instance);
		slot_count(e, s, now);
		group_want(s->group, s->group->quantity);
	}
}

bool engine_abortable(const struct engine *e)
{
	return !e->stopping && !e->holding && (rollout_protected(e) || e->phasing || e->renewing);
}

void handle_abort(struct engine *e, uint64_t now)
{
	static const char why[] = "given up by the operator";

	if (!engine_abortable(e))
		e->stale++;
	else if (rollout_protected(e))
		memcpy(e->trouble, why, sizeof why);
	else if (e->phasing)
		phase_refuse(e, why, now);
	else
		renew_no_more(e, now);
}
