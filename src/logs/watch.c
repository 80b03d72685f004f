/* Pipes that hold the beginning of a line, and nothing to tell when more comes.
 *
 * While the pipe is not empty, a write() of more than it has room for wakes epoll only when it is
 * done; until then it sleeps for room, which nobody makes who waits for epoll. So such a pipe is
 * looked at now and then: after a while, which doubles; and at once when its dyno was found in such
 * a write before. */
#include "base/clock.h"
#include "logs/router_private.h"

#include <time.h>

#define AT_ONCE (100 * NSEC_PER_USEC)
#define LATER	(20 * NSEC_PER_MSEC)
#define RARELY	(2 * NSEC_PER_SEC)

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	/* Those of which epoll does tell are not what is looked for. */
	(void)router_collect(userdata);
	router_watch_round(userdata);
	router_pump(userdata);
	return 0;
}

int router_watch_start(struct router *r)
{
	int e = sd_event_add_time(r->loop, &r->timer, CLOCK_MONOTONIC, 0, 1, on_timer, r);

	return e < 0 ? e : sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);
}

static void arm(struct router *r, uint64_t ns)
{
	r->watch_ns = ns;
	(void)sd_event_source_set_time_relative(r->timer, ns / NSEC_PER_USEC);
	(void)sd_event_source_set_time_accuracy(r->timer, ns / NSEC_PER_USEC / 4);
	(void)sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
}

void router_watch(struct router *r, struct tap *t)
{
	uint64_t ns = t->mute ? AT_ONCE : LATER;

	tap_move(t, &r->watched);
	if (r->watch_ns == 0 || ns < r->watch_ns)
		arm(r, ns);
}

void router_watch_round(struct router *r)
{
	uint64_t ns = 2 * r->watch_ns;

	r->watch_ns = 0;
	for (struct tap *t = TAILQ_FIRST(&r->watched), *next; t; t = next) {
		next = TAILQ_NEXT(t, link);
		if (tap_held(t) > t->rest) {
			t->mute = true;
			router_queue(r, t);
		} else if (ns > LATER) {
			t->mute = false;
		}
	}
	if (!TAILQ_EMPTY(&r->watched))
		arm(r, ns && ns < RARELY ? ns : RARELY);
}
