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

uint64_t ended_at(uint64_t at, uint64_t now)
{
	return at && at < now ? at : now;
}

void note_exit(struct dyno *d, const struct dyno_exit *exit)
{
	d->last_exit = *exit;
	/* Without StartSeconds it was taken for up at once, but never became the program. */
	if (exit->kind == EXIT_STAGE)
		d->was_up = false;
}

void handle_process(struct engine *e, const struct engine_event *event, uint64_t now)
{
	struct slot *s = table_find(e, event->id);

	if (!s || s->dyno.generation != event->generation || !dyno_live(&s->dyno) ||
		(s->dyno.phase && event->type == ENGINE_UNHEALTHY)) {
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

	s->waiting = false;
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
	} else if (d->state == DYNO_STOPPED && !order_open(e, s->group)) {
		s->waiting = true;
		d->asked = true; /* else a supervisor to come would take its job for done */
		slot_count(e, s, now);
	} else {
		slot_apply(e, s, DYNO_EV_WANTED, now);
	}
}

bool slot_has_twin(const struct slot *s)
{
	const struct group *g = s->group;

	for (size_t i = 0; i < g->n; i++) {
		const struct slot *other = g->slots[i];

		if (other != s && other->current && other->dyno.instance == s->dyno.instance &&
			other->dyno.desired != DESIRED_RETIRE &&
			!dyno_stopped_by_operator(&other->dyno))
			return true;
	}
	return false;
}

/* One that goes anyway, or would be of a release no longer wanted, is not started again. */
int handle_operator(struct engine *e, const struct engine_event *event, uint64_t now)
{
	struct slot *s = table_find(e, event->id);

	if (!s || s->dyno.desired == DESIRED_RETIRE || e->stopping ||
		((!s->current || (s->group->last && !dyno_live(&s->dyno))) &&
			event->type != ENGINE_STOP_DYNO) ||
		(s->dyno.phase && (event->type != ENGINE_STOP_DYNO || !dyno_live(&s->dyno)))) {
		e->stale++;
		return 0;
	}
	if (s->dyno.phase) {
		if (e->phasing && s->era == e->phasing)
			phase_refuse(e, "stopped by the operator", now);
		else /* found, and of a release that has not turned up */
			slot_retire(e, s, DYNO_EV_UNWANTED, now);
		return 0;
	}
	bool spare = event->type == ENGINE_STOP_DYNO && slot_has_twin(s);
	if (event->type != ENGINE_STOP_DYNO) {
		rest_remove(e, s->dyno.type, s->dyno.instance);
	} else if (!spare) {
		int r = rest_add(e, s->dyno.type, s->dyno.instance);

		if (r < 0)
			return r;
	}
	s->dyno.outdated |= spare;
	s->current = s->current && !spare;
	struct dyno_kept before = dyno_kept(&s->dyno);
	wish(e, s, event->type, now);
	slot_retag(e, s, &before);
	return 0;
}
