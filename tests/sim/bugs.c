/* Mutants of the engine's functions, put before them by the linker (--wrap). */
#include "core/engine_private.h"
#include "world.h"

#include <limits.h>

enum bug world_bug;

#define WRAP(type, name, ...)                                                                      \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

WRAP(bool, order_open, const struct engine *e, const struct group *g)
{
	return world_bug == BUG_NO_TURN || __real_order_open(e, g);
}

WRAP(bool, order_run, struct engine *e, uint64_t now)
{
	return world_bug != BUG_NO_LET_IN && __real_order_run(e, now);
}

WRAP(bool, alone_clear, struct engine *e, uint64_t now)
{
	return world_bug != BUG_NOT_ALONE && __real_alone_clear(e, now);
}

WRAP(int, handle_shutdown, struct engine *e, int urgency, uint64_t now)
{
	if (world_bug == BUG_STOP_AT_ONCE) {
		int r = actions_reserve(e, (e->n + 1) * ACTIONS_PER_STEP);

		if (r < 0)
			return r;
		e->stopping = true;
		e->stop_step = INT_MIN;
	}
	return __real_handle_shutdown(e, urgency, now);
}

WRAP(void, stops_run, struct engine *e, uint64_t now)
{
	if (world_bug != BUG_ONE_STEP)
		__real_stops_run(e, now);
}

WRAP(uint64_t, settle_proof, const struct engine *e, struct slot *s, uint64_t now)
{
	return world_bug == BUG_NO_SETTLE ? 0 : __real_settle_proof(e, s, now);
}

WRAP(void, essential_watch, struct engine *e, const struct slot *s)
{
	if (world_bug != BUG_NO_ESSENTIAL)
		__real_essential_watch(e, s);
}

WRAP(const struct formation_type *, phase_type, const struct formation *f)
{
	return world_bug == BUG_NO_PHASE ? NULL : __real_phase_type(f);
}

WRAP(void, phase_over, struct engine *e, uint64_t now)
{
	if (world_bug != BUG_PHASE_STAYS)
		__real_phase_over(e, now);
}

WRAP(void, overrides_settle, struct engine *e)
{
	if (world_bug != BUG_SCALED_STAYS)
		__real_overrides_settle(e);
}

WRAP(bool, rest_has, const struct engine *e, const char *type, unsigned instance)
{
	return world_bug != BUG_NO_REST && __real_rest_has(e, type, instance);
}

WRAP(void, handle_abort, struct engine *e, uint64_t now)
{
	if (world_bug != BUG_NO_ABORT)
		__real_handle_abort(e, now);
}
