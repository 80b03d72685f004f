/* The end: of all, step by step, and who may ask for it. */
#include "core/engine_private.h"

#include <errno.h>
#include <limits.h>

/* The steps go by Priority; those that are not of the release in force go with the first. */
static int step_of(const struct group *g)
{
	return g->wanted ? g->wanted->priority : INT_MAX;
}

static int highest_priority(const struct engine *e)
{
	int highest = INT_MIN;

	for (size_t i = 0; i < e->n_groups; i++)
		if (e->groups[i]->wanted && e->groups[i]->wanted->priority > highest)
			highest = e->groups[i]->wanted->priority;
	return highest;
}

/* Backwards: who started last stops first, and a forgotten dyno moves none that is to come. */
static void retire_group(struct engine *e, struct group *g, bool all, bool now_all, uint64_t now)
{
	for (size_t k = g->n; k-- > 0;) {
		struct slot *s = g->slots[k];

		if (!now_all && s->dyno.desired == DESIRED_RETIRE)
			continue;
		if (all || !dyno_live(&s->dyno))
			slot_retire(e, s, now_all ? DYNO_EV_KILL_NOW : DYNO_EV_UNWANTED, now);
	}
}

int handle_shutdown(struct engine *e, int urgency, uint64_t now)
{
	int r = actions_reserve(e, (e->n + 1) * ACTIONS_PER_STEP);

	if (r < 0)
		return r;
	if (!e->stopping)
		e->stop_step = highest_priority(e);
	e->stopping = true;
	releases_drop(e, now);
	retire_group(e, &e->phase, true, urgency > 1, now);
	for (size_t i = e->n_groups; i-- > 0;) {
		struct group *g = e->groups[i];

		retire_group(e, g, urgency > 1 || step_of(g) >= e->stop_step, urgency > 1, now);
	}
	return 0;
}

void stops_run(struct engine *e, uint64_t now)
{
	int next = INT_MIN;

	if (!e->stopping || e->left)
		return;
	for (size_t i = 0; i < e->n_groups; i++) {
		const struct group *g = e->groups[i];

		if (g->n && step_of(g) >= e->stop_step)
			return;
		if (g->n && step_of(g) > next)
			next = step_of(g);
	}
	if (next == INT_MIN || e->phase.n)
		return;
	if (actions_reserve(e, (e->n + 1) * ACTIONS_PER_STEP) < 0) {
		plan_later(e, now);
		return;
	}
	e->stop_step = next;
	for (size_t i = e->n_groups; i-- > 0;)
		if (step_of(e->groups[i]) >= next)
			retire_group(e, e->groups[i], true, false, now);
}

/* One that a roll back will replace anyway is no reason to end. */
void essential_watch(struct engine *e, const struct slot *s)
{
	const struct dyno *d = &s->dyno;
	int code = dyno_exit_code(&d->last_exit);

	if (!s->type->essential || !s->current || e->essential_gone || e->stopping)
		return;
	if (d->gave_up && rollout_protected(e) && !slot_kept(e, s))
		return;
	e->essential_gone = true;
	e->code = d->gave_up && !code ? 1 : code;
}

void check_essential(struct engine *e, uint64_t now)
{
	if (!e->essential_gone || e->stopping || e->holding)
		return;
	if (handle_shutdown(e, 1, now) < 0)
		plan_later(e, now);
}

/* Nothing runs, and nothing will by itself: not even one that waits, as nothing changes. */
static bool idle(const struct engine *e)
{
	if (!e->wanted || e->preparing || e->phasing || e->committing || e->phase.tally.live ||
		engine_deadline(e) != UINT64_MAX)
		return false;
	for (size_t i = 0; i < e->n_groups; i++)
		if (e->groups[i]->tally.live)
			return false;
	return true;
}

/* What the operator has stopped is waited for: it can be started again. */
static bool resting(const struct engine *e)
{
	for (size_t i = 0; i < e->n; i++)
		if (dyno_stopped_by_operator(&e->slots[i]->dyno))
			return true;
	return false;
}

/* The largest of the last lives. */
static int last_code(const struct engine *e)
{
	int largest = 0;

	for (size_t i = 0; i < e->n; i++) {
		const struct dyno *d = &e->slots[i]->dyno;
		int code = dyno_exit_code(&d->last_exit);

		if (d->gave_up && !code)
			code = 1;
		largest = code > largest ? code : largest;
	}
	return largest;
}

void check_leave(struct engine *e, uint64_t now)
{
	bool done = e->stopping ? !e->n : (e->oneshot || e->exit_when_done) && idle(e);
	int code = e->oneshot || e->essential_gone ? e->code : 0;

	if (e->left || e->holding || !done)
		return;
	if (!e->oneshot && !e->stopping) {
		if (resting(e))
			return;
		code = last_code(e);
	}
	if (actions_reserve(e, 1) < 0) {
		plan_later(e, now);
		return;
	}
	action_add(e, ACTION_LEAVE)->code = code;
	e->left = e->stopping = true;
}
