/* --verbose: what is said and done, line by line. */
#include "world.h"

static const char *const event_texts[] = {
	[ENGINE_SUBMITTED] = "submitted",
	[ENGINE_PREPARED] = "prepared",
	[ENGINE_PREPARE_FAILED] = "prepare failed",
	[ENGINE_COMMITTED] = "committed",
	[ENGINE_COMMIT_FAILED] = "commit failed",
	[ENGINE_RESTORED] = "restored",
	[ENGINE_ADOPTED] = "adopted",
	[ENGINE_CAUGHT_UP] = "caught up",
	[ENGINE_STARTED] = "started",
	[ENGINE_READY] = "ready",
	[ENGINE_LEFT] = "left",
	[ENGINE_EXITED] = "exited",
	[ENGINE_FAILED] = "failed",
	[ENGINE_UNHEALTHY] = "unhealthy",
	[ENGINE_OOM] = "out of memory",
	[ENGINE_SCALE] = "scale",
	[ENGINE_START_TYPE] = "start type",
	[ENGINE_ROLL_TYPE] = "roll",
	[ENGINE_ABORT] = "abort",
	[ENGINE_STOP_DYNO] = "stop",
	[ENGINE_START_DYNO] = "start",
	[ENGINE_RESTART_DYNO] = "restart",
	[ENGINE_SHUTDOWN] = "shutdown",
	[ENGINE_TIMER] = "timer",
};
static const char *const action_texts[] = {
	[ACTION_PREPARE] = "prepare",
	[ACTION_DROP] = "drop",
	[ACTION_COMMIT] = "commit",
	[ACTION_START] = "start",
	[ACTION_RETAG] = "retag",
	[ACTION_SIGNAL] = "signal",
	[ACTION_KILL] = "kill",
	[ACTION_FORGET] = "forget",
	[ACTION_CHANGED] = "changed",
	[ACTION_REPORT] = "report",
	[ACTION_ROLLOUT_BEGUN] = "rollout",
	[ACTION_SETTLED] = "settled",
	[ACTION_ROLL_BACK] = "roll back",
	[ACTION_REFUSE] = "refuse",
	[ACTION_SCALED] = "scaled",
	[ACTION_RESTING] = "resting",
	[ACTION_LEAVE] = "leave",
};

void world_show_event(const struct world *w, const struct engine_event *event)
{
	(void)printf("%5u %12.6f  %s", w->steps, (double)w->now / (double)NSEC_PER_SEC,
		event_texts[event->type]);
	if (event->release)
		(void)printf(" v%" PRIu64, event->release);
	if (event->id)
		(void)printf(" #%" PRIu64 "/%u", event->id, event->generation);
	for (unsigned i = 0; event->formation && i < event->formation->n_types; i++) {
		const struct formation_type *t = &event->formation->types[i];

		(void)printf(" %s=%u(%" PRIu64 "%s%s prio %d", t->name, t->quantity, t->fingerprint,
			t->rollout.strategy == ROLLOUT_RECREATE ? " recreate" : "",
			t->checked ? " checked" : "", t->priority);
		for (unsigned k = 0; k < t->n_after; k++)
			(void)printf(" after %s/%d", event->formation->types[t->after[k].type].name,
				t->after[k].condition);
		if (t->rollout.settle)
			(void)printf(" settle %g", (double)t->rollout.settle / 1e9);
		(void)printf("%s)", t->essential ? " essential" : "");
	}
	for (size_t i = 0; i < event->n_overrides; i++)
		(void)printf(" %s=%u", event->overrides[i].type, event->overrides[i].quantity);
	if (event->adopted)
		(void)printf(" %s.%u #%" PRIu64 "%s", event->adopted->type,
			event->adopted->instance, event->adopted->id,
			event->adopted->ended ? " ended" : "");
	if (event->text)
		(void)printf(" %s", event->text);
	(void)printf("\n");
}

void world_show_action(const struct engine_action *a)
{
	(void)printf("%20s %s", "->", action_texts[a->type]);
	if (a->dyno)
		(void)printf(" %s.%u #%" PRIu64 "/%u", a->dyno->type, a->dyno->instance, a->id,
			a->generation);
	else if (a->release)
		(void)printf(" v%" PRIu64, a->release);
	if (a->type == ACTION_CHANGED)
		(void)printf(" %s -> %s (%s)", dyno_state_text(a->from), dyno_state_text(a->to),
			dyno_event_text(a->event));
	(void)printf(" %s\n", a->text);
}
