#include "core/engine_private.h"

#include <errno.h>

static enum dyno_event process_event(enum engine_event_type type)
{
	switch ((int)type) {
	case ENGINE_STARTED:
		return DYNO_EV_STARTED;
	case ENGINE_READY:
		return DYNO_EV_READY;
	case ENGINE_LEFT:
		return DYNO_EV_LEFT;
	case ENGINE_EXITED:
		return DYNO_EV_EXITED;
	default:
		return DYNO_EV_FAILED;
	}
}

void handle_process(struct engine *e, const struct engine_event *event, uint64_t now)
{
	struct slot *s = table_find(e, event->id);

	if (!s || s->dyno.generation != event->generation || !dyno_live(&s->dyno)) {
		e->stale++;
		return;
	}
	if (event->type == ENGINE_EXITED || event->type == ENGINE_FAILED)
		s->dyno.last_exit = event->exit;
	slot_apply(e, s, process_event(event->type), now);
}

static void wish(struct engine *e, struct slot *s, enum engine_event_type type, uint64_t now)
{
	struct dyno *d = &s->dyno;

	if (type == ENGINE_STOP_DYNO) {
		d->desired = DESIRED_REST;
		d->gave_up = false;
		d->asked = true;
		slot_apply(e, s, DYNO_EV_UNWANTED, now);
		return;
	}
	d->desired = DESIRED_RUN;
	d->gave_up = false;
	d->failures = d->bad_starts = 0;
	if (type == ENGINE_RESTART_DYNO && dyno_live(d)) {
		d->asked = true;
		slot_apply(e, s, DYNO_EV_UNWANTED, now);
	} else {
		slot_apply(e, s, DYNO_EV_WANTED, now);
	}
}

/* One that goes anyway, or would be of a release no longer wanted, is not started again. */
void handle_operator(struct engine *e, const struct engine_event *event, uint64_t now)
{
	struct slot *s = table_find(e, event->id);

	if (!s || s->dyno.desired == DESIRED_RETIRE || e->stopping ||
		(!s->current && event->type != ENGINE_STOP_DYNO)) {
		e->stale++;
		return;
	}
	wish(e, s, event->type, now);
}

int handle_adopted(struct engine *e, const struct engine_adopted *a, uint64_t now)
{
	struct group *g = group_find(e, a->type);
	struct slot *s;
	int r;

	if (!a->id || table_find(e, a->id)) {
		e->stale++;
		return 0;
	}
	r = g ? 0 : group_add(e, a->type, &g);
	if (r < 0)
		return r;
	r = table_add(e, g, a->id, a->instance, &s);
	if (r < 0)
		return r;

	s->current = g->wanted && g->wanted->fingerprint == a->fingerprint;
	const struct formation_type *before =
		e->settled ? formation_find(e->settled->formation, a->type) : NULL;
	bool known = s->current;
	if (!s->current && before && before->fingerprint == a->fingerprint) {
		slot_bind(s, e->settled, before);
		known = true;
	} else {
		/* Made of a release this engine has not seen: the policy of its type today is the
		 * best guess. */
		slot_bind(s, g->wanted ? e->wanted : NULL, g->wanted);
	}
	s->born = e->rollout;
	s->dyno.generation = a->generation;
	s->dyno.fingerprint = a->fingerprint;
	s->dyno.restarts = a->restarts;
	s->dyno.failures = a->failures;
	if (a->id >= e->next_id)
		e->next_id = a->id + 1;
	e->holding = e->holding || !e->caught_up;

	/* By that policy a good one might not be up yet, and then it would be the first to go. */
	dyno_adopt(&s->dyno, s->type, known ? a->started : 0, now);
	heap_sync(&e->heap, s);
	g->busy = true;
	g->ceiling = g->tally.held + 1 > g->ceiling ? g->tally.held + 1 : g->ceiling;
	slot_count(e, s, now);
	if (a->left)
		slot_apply(e, s, DYNO_EV_LEFT, now);
	if (e->stopping)
		slot_retire(e, s, DYNO_EV_UNWANTED, now);
	return 0;
}

int handle_shutdown(struct engine *e, int urgency, uint64_t now)
{
	int r = actions_reserve(e, (e->n + 1) * ACTIONS_PER_STEP);

	if (r < 0)
		return r;
	e->stopping = true;
	releases_drop(e);

	/* Backwards: who started last stops first, and a forgotten dyno moves none that is to come.
	 */
	for (size_t i = e->n_groups; i-- > 0;) {
		struct group *g = e->groups[i];

		for (size_t k = g->n; k-- > 0;)
			slot_retire(e, g->slots[k],
				urgency > 1 ? DYNO_EV_KILL_NOW : DYNO_EV_UNWANTED, now);
	}
	return 0;
}
