/* The loop, with a look at the clock: how long one turn keeps everybody else waiting. */
#include "base/clock.h"
#include "supervisor/private.h"

static void count(struct operate_counts *c, uint64_t took)
{
	c->loop_turns++;
	c->loop_latency_sum += took;
	if (took > c->loop_latency_max)
		c->loop_latency_max = took;
}

int loop_run(struct supervisor *s)
{
	while (sd_event_get_state(s->loop) != SD_EVENT_FINISHED) {
		int r = sd_event_prepare(s->loop);

		if (r == 0)
			r = sd_event_wait(s->loop, UINT64_MAX);
		if (r < 0)
			return r;
		uint64_t begun = clock_now();
		r = r > 0 ? sd_event_dispatch(s->loop) : 0;
		if (r < 0)
			return r;
		count(&s->counts, clock_now() - begun);
	}
	return 0;
}
