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
	case ENGINE_UNHEALTHY:
		return DYNO_EV_UNHEALTHY;
	case ENGINE_OOM:
		return DYNO_EV_OOM;
	default:
		return DYNO_EV_FAILED;
	}
}

static uint64_t ended_at(uint64_t at, uint64_t now)
{
	return at && at < now ? at : now;
}

static void note_exit(struct dyno *d, const struct dyno_exit *exit)
{
	d->last_exit = *exit;
	/* Without StartSeconds it was taken for up at once, but never became the program. */
	if (exit->kind == EXIT_STAGE)
		d->was_up = false;
}

void handle_process(struct engine *e, const struct engine_event *event, uint64_t now)
{
	struct slot *s = table_find(e, event->id);

	if (!s || s->dyno.generation != event->generation || !dyno_live(&s->dyno)) {
		e->stale++;
		return;
	}
	if (event->type != ENGINE_EXITED && event->type != ENGINE_FAILED) {
		if (event->type == ENGINE_UNHEALTHY && s->dyno.state == DYNO_UP)
			slot_unhealthy(e, s, event->text);
		slot_apply(e, s, process_event(event->type), now);
		return;
	}
	note_exit(&s->dyno, &event->exit);
	slot_end(e, s, process_event(event->type), ended_at(event->at, now), now);
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
	struct dyno_kept before = dyno_kept(&s->dyno);
	wish(e, s, event->type, now);
	slot_retag(e, s, &before);
}

/* The policy that a dyno of an earlier engine lives by. False: a guess. */
static bool bind_adopted(struct engine *e, struct slot *s, uint64_t fingerprint)
{
	const struct group *g = s->group;
	const struct formation_type *before =
		e->settled ? formation_find(e->settled->formation, g->name) : NULL;

	s->current = g->wanted && g->wanted->fingerprint == fingerprint;
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
	if (a->ended)
		note_exit(d, &a->exit);
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

	if (a->id >= e->next_id)
		e->next_id = a->id + 1;
	e->holding = e->holding || !e->caught_up;
	restore_dyno(&s->dyno, a);
	bool known = bind_adopted(e, s, a->fingerprint);
	rollout_adopt(e, s);

	/* By a guessed policy a good one might not be up yet, and then it would be the first to go.
	 */
	dyno_adopt(&s->dyno, s->type, known || a->ended ? a->started : 0,
		a->ended ? ended_at(a->at, now) : now);
	heap_sync(&e->heap, s);
	g->busy = true;
	g->ceiling = g->tally.held + 1 > g->ceiling ? g->tally.held + 1 : g->ceiling;
	slot_count(e, s, now);
	take_up(e, s, a, now);
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
