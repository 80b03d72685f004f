#include "core/engine_private.h"

#include <errno.h>

struct era *era_ref(struct era *era)
{
	era->refs++;
	return era;
}

struct era *era_unref(struct era *era)
{
	if (era && --era->refs == 0) {
		free(era->formation);
		free(era);
	}
	return NULL;
}

static void era_unrefp(struct era **era)
{
	era_unref(*era);
}

static int era_new(
	struct engine *e, uint64_t handle, const struct formation *of, struct era **ret_era)
{
	_cleanup_free_ struct formation *formation = NULL;
	struct era *era;

	if (!quantities_fit(e, of))
		return -E2BIG;
	formation = formation_copy(of);
	era = formation ? calloc(1, sizeof *era) : NULL;
	if (!era)
		return -ENOMEM;
	era->refs = 1;
	era->handle = handle;
	era->seq = ++e->seq;
	era->formation = TAKE_PTR(formation);
	*ret_era = era;
	return 0;
}

static void drop(struct engine *e, uint64_t *handle)
{
	if (*handle)
		action_add(e, ACTION_DROP)->release = *handle;
	*handle = 0;
}

void releases_drop(struct engine *e, uint64_t now)
{
	drop(e, &e->preparing);
	drop(e, &e->waiting);
	phase_drop(e, now);
}

static void submitted(struct engine *e, uint64_t handle, uint64_t now)
{
	if (e->stopping) {
		drop(e, &handle);
		return;
	}
	if (handle == e->preparing || handle == e->waiting ||
		(e->phasing && handle == e->phasing->handle))
		return;
	if (e->committing) {
		drop(e, &e->waiting);
		e->waiting = handle;
		return;
	}
	drop(e, &e->preparing);
	phase_drop(e, now);
	e->preparing = handle;
	action_add(e, ACTION_PREPARE)->release = handle;
}

static int prepared(struct engine *e, const struct engine_event *event)
{
	int r;

	if (!e->preparing || event->release != e->preparing) { /* of one dropped meanwhile */
		e->stale++;
		return 0;
	}
	bool phase = !event->skip_phase && phase_type(event->formation);
	r = era_new(e, event->release, event->formation, phase ? &e->phasing : &e->committing);
	if (r < 0)
		return r;
	e->preparing = 0;
	if (!phase)
		action_add(e, ACTION_COMMIT)->release = event->release;
	return 0;
}

/* The commit was answered: whoever came in the meantime is next. */
static void commit_over(struct engine *e, uint64_t now)
{
	e->committing = era_unref(e->committing);
	phase_over(e, now);
	if (!e->waiting)
		return;
	e->preparing = e->waiting;
	e->waiting = 0;
	action_add(e, ACTION_PREPARE)->release = e->preparing;
}

static int committed(struct engine *e, uint64_t now)
{
	if (!e->stopping) {
		int r = rollout_begin(e, e->committing, now);

		if (r < 0)
			return r;
		e->counts.rollouts++;
		action_add(e, ACTION_ROLLOUT_BEGUN)->release = e->committing->handle;
	}
	commit_over(e, now);
	return 0;
}

static int restored(struct engine *e, const struct engine_event *event, uint64_t now)
{
	HSUP_CLEANUP(era_unrefp) struct era *era = NULL, *settled = NULL;
	int r;

	if (e->stopping || e->wanted) {
		e->stale++;
		return 0;
	}
	overrides_fit(e, event->formation);
	overrides_fit(e, event->settled_formation);
	r = era_new(e, event->release, event->formation, &era);
	if (r == 0 && event->settled == event->release)
		settled = era_ref(era);
	else if (r == 0 && event->settled_formation)
		r = era_new(e, event->settled, event->settled_formation, &settled);
	if (r < 0)
		return r;
	era_unref(e->settled);
	e->settled = TAKE_PTR(settled);
	r = rollout_begin(e, era, now);
	if (r < 0) {
		e->settled = era_unref(e->settled);
		return r;
	}
	e->holding = !e->caught_up;
	return 0;
}

int handle_release(struct engine *e, const struct engine_event *event, uint64_t now)
{
	bool answers_commit =
		event->type == ENGINE_COMMITTED || event->type == ENGINE_COMMIT_FAILED;

	if (answers_commit && (!e->committing || e->committing->handle != event->release)) {
		e->stale++;
		return 0;
	}
	switch ((int)event->type) {
	case ENGINE_SUBMITTED:
		submitted(e, event->release, now);
		return 0;
	case ENGINE_PREPARED:
		return prepared(e, event);
	case ENGINE_PREPARE_FAILED:
		if (e->preparing && e->preparing == event->release)
			e->preparing = 0;
		else
			e->stale++;
		return 0;
	case ENGINE_COMMITTED:
		return committed(e, now);
	case ENGINE_COMMIT_FAILED:
		commit_over(e, now);
		return 0;
	default:
		return restored(e, event, now);
	}
}
