#include "core/dyno.h"

#include "core/backoff.h"

/* The grid: for each state every event, C(EVENT, next state, effects). Events that the engine
 * filters out by (id, generation) before they come here are wrong in the states without process. */

#define CELLS_STOPPED(C)                                                                           \
	C(WANTED, STARTING, FX_START)                                                              \
	C(UNWANTED, STOPPED, FX_IGNORE)                                                            \
	C(KILL_NOW, STOPPED, FX_IGNORE)                                                            \
	C(STARTED, STOPPED, FX_WRONG)                                                              \
	C(READY, STOPPED, FX_WRONG)                                                                \
	C(LEFT, STOPPED, FX_WRONG)                                                                 \
	C(EXITED, STOPPED, FX_WRONG)                                                               \
	C(FAILED, STOPPED, FX_WRONG)                                                               \
	C(CRASHED, BACKOFF, 0)                                                                     \
	C(UNHEALTHY, STOPPED, FX_WRONG)                                                            \
	C(OOM, STOPPED, FX_WRONG)                                                                  \
	C(START_TIMEOUT, STOPPED, FX_WRONG)                                                        \
	C(GRACE_OVER, STOPPED, FX_WRONG)                                                           \
	C(RETRY, STOPPED, FX_WRONG)                                                                \
	C(STABLE, STOPPED, FX_WRONG)

#define CELLS_STARTING(C)                                                                          \
	C(WANTED, STARTING, FX_IGNORE)                                                             \
	C(UNWANTED, STOPPING, FX_SIGNAL)                                                           \
	C(KILL_NOW, KILLING, FX_KILL)                                                              \
	C(STARTED, STARTING, FX_ARM)                                                               \
	C(READY, UP, 0)                                                                            \
	C(LEFT, STOPPING, FX_SIGNAL)                                                               \
	C(EXITED, STOPPED, FX_DECIDE)                                                              \
	C(FAILED, STOPPED, FX_DECIDE)                                                              \
	C(CRASHED, STARTING, FX_WRONG)                                                             \
	C(UNHEALTHY, STARTING, FX_IGNORE)                                                          \
	C(OOM, KILLING, FX_KILL | FX_CONDEMN | FX_REPORT_R15)                                      \
	C(START_TIMEOUT, KILLING, FX_KILL | FX_REPORT_R10 | FX_BAD_START)                          \
	C(GRACE_OVER, STARTING, FX_WRONG)                                                          \
	C(RETRY, STARTING, FX_WRONG)                                                               \
	C(STABLE, STARTING, FX_WRONG)

/* READY may overtake STARTED: a readiness check looks at the dyno itself. */
#define CELLS_UP(C)                                                                                \
	C(WANTED, UP, FX_IGNORE)                                                                   \
	C(UNWANTED, STOPPING, FX_SIGNAL)                                                           \
	C(KILL_NOW, KILLING, FX_KILL)                                                              \
	C(STARTED, UP, FX_IGNORE)                                                                  \
	C(READY, UP, FX_IGNORE)                                                                    \
	C(LEFT, STOPPING, FX_SIGNAL)                                                               \
	C(EXITED, STOPPED, FX_DECIDE)                                                              \
	C(FAILED, STOPPED, FX_DECIDE)                                                              \
	C(CRASHED, UP, FX_WRONG)                                                                   \
	C(UNHEALTHY, STOPPING, FX_SIGNAL | FX_CONDEMN)                                             \
	C(OOM, KILLING, FX_KILL | FX_CONDEMN | FX_REPORT_R15)                                      \
	C(START_TIMEOUT, UP, FX_WRONG)                                                             \
	C(GRACE_OVER, UP, FX_WRONG)                                                                \
	C(RETRY, UP, FX_WRONG)                                                                     \
	C(STABLE, UP, FX_FORGIVE)

#define CELLS_STOPPING(C)                                                                          \
	C(WANTED, STOPPING, FX_IGNORE)                                                             \
	C(UNWANTED, STOPPING, FX_IGNORE)                                                           \
	C(KILL_NOW, KILLING, FX_KILL)                                                              \
	C(STARTED, STOPPING, FX_IGNORE)                                                            \
	C(READY, STOPPING, FX_IGNORE)                                                              \
	C(LEFT, STOPPING, FX_IGNORE)                                                               \
	C(EXITED, STOPPED, FX_DECIDE)                                                              \
	C(FAILED, STOPPED, FX_DECIDE)                                                              \
	C(CRASHED, STOPPING, FX_WRONG)                                                             \
	C(UNHEALTHY, STOPPING, FX_IGNORE)                                                          \
	C(OOM, KILLING, FX_KILL | FX_CONDEMN | FX_REPORT_R15)                                      \
	C(START_TIMEOUT, STOPPING, FX_WRONG)                                                       \
	C(GRACE_OVER, KILLING, FX_KILL | FX_REPORT_R12)                                            \
	C(RETRY, STOPPING, FX_WRONG)                                                               \
	C(STABLE, STOPPING, FX_WRONG)

/* The KILL of a start that was still on its way may have found nothing to kill: it is repeated when
 * the process turns up, and whenever the operator asks again. */
#define CELLS_KILLING(C)                                                                           \
	C(WANTED, KILLING, FX_IGNORE)                                                              \
	C(UNWANTED, KILLING, FX_IGNORE)                                                            \
	C(KILL_NOW, KILLING, FX_KILL)                                                              \
	C(STARTED, KILLING, FX_KILL)                                                               \
	C(READY, KILLING, FX_IGNORE)                                                               \
	C(LEFT, KILLING, FX_IGNORE)                                                                \
	C(EXITED, STOPPED, FX_DECIDE)                                                              \
	C(FAILED, STOPPED, FX_DECIDE)                                                              \
	C(CRASHED, KILLING, FX_WRONG)                                                              \
	C(UNHEALTHY, KILLING, FX_IGNORE)                                                           \
	C(OOM, KILLING, FX_IGNORE)                                                                 \
	C(START_TIMEOUT, KILLING, FX_WRONG)                                                        \
	C(GRACE_OVER, KILLING, FX_WRONG)                                                           \
	C(RETRY, KILLING, FX_WRONG)                                                                \
	C(STABLE, KILLING, FX_WRONG)

#define CELLS_BACKOFF(C)                                                                           \
	C(WANTED, STARTING, FX_START)                                                              \
	C(UNWANTED, STOPPED, 0)                                                                    \
	C(KILL_NOW, STOPPED, 0)                                                                    \
	C(STARTED, BACKOFF, FX_WRONG)                                                              \
	C(READY, BACKOFF, FX_WRONG)                                                                \
	C(LEFT, BACKOFF, FX_WRONG)                                                                 \
	C(EXITED, BACKOFF, FX_WRONG)                                                               \
	C(FAILED, BACKOFF, FX_WRONG)                                                               \
	C(CRASHED, BACKOFF, FX_WRONG)                                                              \
	C(UNHEALTHY, BACKOFF, FX_WRONG)                                                            \
	C(OOM, BACKOFF, FX_WRONG)                                                                  \
	C(START_TIMEOUT, BACKOFF, FX_WRONG)                                                        \
	C(GRACE_OVER, BACKOFF, FX_WRONG)                                                           \
	C(RETRY, STARTING, FX_START)                                                               \
	C(STABLE, BACKOFF, FX_WRONG)

/* A state without its cells does not compile, nor does a row in which an event is missing. (An
 * event named twice is an overridden initialiser, which is an error too.) */
#define EVENT_BIT(event, next, effects) | 1u << DYNO_EV_##event
#define CHECK_ROW(state, text)                                                                     \
	_Static_assert((0u CELLS_##state(EVENT_BIT)) == (1u << DYNO_EVENT_MAX) - 1,                \
		"an event has no cell in " #state);
DYNO_STATES(CHECK_ROW)

#define CELL(event, next, effects) [DYNO_EV_##event] = {DYNO_##next, effects},
#define ROW(state, text)	   [DYNO_##state] = {CELLS_##state(CELL)},
const dyno_grid dyno_table = {DYNO_STATES(ROW)};

struct dyno_timer dyno_state_timer(
	enum dyno_state state, const struct dyno *d, const struct formation_type *type)
{
	switch (state) {
	case DYNO_STARTING:
		if (d->started && !type->checked)
			return (struct dyno_timer){DYNO_EV_READY, type->start_time};
		if (!type->start_timeout)
			break;
		return (struct dyno_timer){DYNO_EV_START_TIMEOUT, type->start_timeout};
	case DYNO_UP:
		return (struct dyno_timer){DYNO_EV_STABLE, BACKOFF_RESET_NS};
	case DYNO_STOPPING:
		return (struct dyno_timer){DYNO_EV_GRACE_OVER, type->stop_timeout};
	case DYNO_BACKOFF:
		return (struct dyno_timer){DYNO_EV_RETRY, d->backoff_delay};
	case DYNO_STOPPED:
	case DYNO_KILLING:
	case DYNO_STATE_MAX:
		break;
	}
	return (struct dyno_timer){DYNO_EVENT_MAX, 0};
}

static void drop_timer(struct dyno *d)
{
	d->timer = DYNO_EVENT_MAX;
	d->deadline = 0;
}

/* The timer of the state d is in, counted from `from`. */
static void arm_timer(struct dyno *d, const struct formation_type *type, uint64_t from)
{
	struct dyno_timer t = dyno_state_timer(d->state, d, type);

	drop_timer(d);
	if (t.event == DYNO_EVENT_MAX)
		return;
	d->timer = t.event;
	d->deadline = t.delay < UINT64_MAX - from ? from + t.delay : UINT64_MAX;
	if (!d->deadline)
		d->deadline = 1; /* 0 means none */
}

/* The one writer of the state. */
static void enter(
	struct dyno *d, const struct formation_type *type, enum dyno_state state, uint64_t now)
{
	d->state = state;
	d->since = now;
	if (state == DYNO_UP)
		d->was_up = true;
	arm_timer(d, type, now);
}

static void begin_life(struct dyno *d)
{
	if (d->generation)
		d->restarts++;
	d->generation++;
	d->asked = d->started = d->was_up = d->bad = d->condemned = false;
}

unsigned dyno_step(const dyno_grid *grid, struct dyno *d, const struct formation_type *type,
	enum dyno_event event, uint64_t now)
{
	struct dyno_cell cell = (*grid)[d->state][event];

	if (event == d->timer)
		drop_timer(d);
	if (event == DYNO_EV_STARTED) {
		if (d->started) /* said twice: must not run the timer anew, nor kill again */
			return FX_IGNORE;
		d->started = true;
	}
	if (cell.effects & FX_START)
		begin_life(d);
	if (cell.effects & FX_CONDEMN)
		d->condemned = true;
	if (cell.next != d->state)
		enter(d, type, cell.next, now);
	else if (cell.effects & FX_ARM)
		arm_timer(d, type, now);
	return cell.effects;
}

void dyno_adopt(struct dyno *d, const struct formation_type *type, uint64_t started, uint64_t now)
{
	d->started = true;
	if (started > now)
		started = now;
	bool failed = d->last_exit.kind == EXIT_STAGE || d->bad || (d->condemned && !d->was_up);

	bool aged = now - started >= type->start_time && (!type->checked || !started);

	if (!failed && !d->asked && aged)
		enter(d, type, DYNO_UP, started + type->start_time);
	else if (!failed && d->was_up)
		enter(d, type, DYNO_UP, now);
	else
		enter(d, type, DYNO_STARTING, started);
}

struct dyno_kept dyno_kept(const struct dyno *d)
{
	return (struct dyno_kept){
		.restarts = d->restarts,
		.failures = d->failures,
		.bad_starts = d->bad_starts,
		.resting = d->desired == DESIRED_REST && !d->gave_up,
		.asked = d->asked,
		.was_up = d->was_up,
		.bad = d->bad,
		.condemned = d->condemned,
		.phase = d->phase,
		.version = d->version,
	};
}

const char *dyno_state_text(enum dyno_state s)
{
	static const char *const texts[] = {
#define X(name, text) [DYNO_##name] = text,
		DYNO_STATES(X)
#undef X
	};

	return (unsigned)s < DYNO_STATE_MAX ? texts[s] : "?";
}

const char *dyno_event_text(enum dyno_event e)
{
	static const char *const texts[] = {
#define X(name, text) [DYNO_EV_##name] = text,
		DYNO_EVENTS(X)
#undef X
	};

	return (unsigned)e < DYNO_EVENT_MAX ? texts[e] : "?";
}
