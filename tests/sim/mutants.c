#include "mutants.h"

#include "base/mem.h"

static const struct mutant mutants[] = {
	{"no-kill", DYNO_STOPPING, DYNO_EV_GRACE_OVER, {DYNO_KILLING, FX_REPORT_R12},
		"the grace is over and nobody kills"},
	{"keep-timer", DYNO_STARTING, DYNO_EV_STARTED, {DYNO_STARTING, 0},
		"StartTimeout is not disarmed when the process has started"},
	{"keep-state", DYNO_STOPPING, DYNO_EV_EXITED, {DYNO_STOPPING, FX_DECIDE},
		"the end of a stop is not seen, and its grace runs on"},
	{"no-signal", DYNO_UP, DYNO_EV_UNWANTED, {DYNO_STOPPING, 0}, "StopSignal is not sent"},
	{"double-start", DYNO_STOPPING, DYNO_EV_WANTED, {DYNO_STARTING, FX_START},
		"started again before it has ended"},
	{"lost-exit", DYNO_UP, DYNO_EV_EXITED, {DYNO_UP, FX_IGNORE}, "a crash is not seen"},
	{"no-retry", DYNO_STOPPED, DYNO_EV_CRASHED, {DYNO_STOPPED, 0},
		"a crashed dyno is never started again"},
	{"no-grace", DYNO_UP, DYNO_EV_UNWANTED, {DYNO_KILLING, FX_KILL}, "killed without grace"},
	{"no-ready", DYNO_STARTING, DYNO_EV_READY, {DYNO_STARTING, 0}, "nothing ever comes up"},
	{"lost-backoff", .lost = LOST_BACKOFF, .what = "who waits is forgotten by a restart"},
	{"lost-rest", .lost = LOST_REST, .what = "who is at rest is forgotten by a restart"},
	{"lost-time", .lost = LOST_TIME, .what = "after a restart the wait begins anew"},
	{"lost-counts", .lost = LOST_COUNTS, .what = "a restart forgives what has failed"},
	{"lost-wish", .lost = LOST_WISH, .what = "a restart ends the operator's stop"},
	{"no-condemn", DYNO_UP, DYNO_EV_UNHEALTHY, {DYNO_STOPPING, FX_SIGNAL},
		"an unhealthy one that ends with 0 has done its job"},
	{"deaf", DYNO_UP, DYNO_EV_UNHEALTHY, {DYNO_UP, FX_IGNORE}, "an unhealthy one goes on"},
	{"no-oom-kill", DYNO_UP, DYNO_EV_OOM, {DYNO_KILLING, FX_CONDEMN}, "R15 kills nobody"},
	{"lost-scaled", .lost = LOST_SCALED, .what = "a restart ends the operator's scale"},
	{"lost-rests", .lost = LOST_RESTS,
		.what = "a restart starts a successor of who was stopped"},
	{"lost-phase", .lost = LOST_PHASE, .what = "a restart runs a release phase again"},
	{"no-turn", .bug = BUG_NO_TURN, .what = "nobody waits for another"},
	{"no-let-in", .bug = BUG_NO_LET_IN, .what = "who waits, waits for ever"},
	{"stop-at-once", .bug = BUG_STOP_AT_ONCE, .what = "all stop at the same time"},
	{"one-step", .bug = BUG_ONE_STEP, .what = "only the first step of a stop is taken"},
	{"no-settle", .bug = BUG_NO_SETTLE, .what = "SettleSeconds are not waited for"},
	{"no-essential", .bug = BUG_NO_ESSENTIAL, .what = "an essential one is not missed"},
	{"no-phase", .bug = BUG_NO_PHASE, .what = "no release phase is run"},
	{"phase-stays", .bug = BUG_PHASE_STAYS, .what = "that of an overtaken release runs on"},
	{"scaled-stays", .bug = BUG_SCALED_STAYS,
		.what = "a scale outlives the release it was for"},
	{"no-rest", .bug = BUG_NO_REST, .what = "a release starts who was stopped"},
	{"no-abort", .bug = BUG_NO_ABORT, .what = "a rollout given up goes on"},
	{"not-alone", .bug = BUG_NOT_ALONE, .what = "some start beside those that they may not"},
};

const struct mutant *mutant_at(size_t index)
{
	return index < ARRAY_SIZE(mutants) ? &mutants[index] : NULL;
}

const struct mutant *mutant_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(mutants); i++)
		if (strcmp(mutants[i].name, name) == 0)
			return &mutants[i];
	return NULL;
}

void mutant_grid(const struct mutant *m, dyno_grid *ret_grid)
{
	memcpy(ret_grid, &dyno_table, sizeof dyno_table);
	if (!m->lost && !m->bug)
		(*ret_grid)[m->state][m->event] = m->cell;
}
