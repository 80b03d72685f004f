/* Pipes that are written to all the time.
 *
 * A reader that comes at every write() costs ten times the CPU of one that lets the pipe fill for a
 * while, the dyno's own included: each of its writes wakes somebody. So a pipe that was found with
 * something new a few times in quick succession is hot: epoll tells of it no more, it is looked at
 * every millisecond, and sooner when it fills so fast that it would be full by then. Once nothing
 * came for a few looks it is cold again, and a lone line is told of at once. */
#include "base/clock.h"
#include "logs/router_private.h"

#include <sys/epoll.h>

#define BEAT	   NSEC_PER_MSEC
#define BEAT_LEAST (50 * NSEC_PER_USEC)
#define QUICK	   2
#define IDLE	   3

void router_heat_all(struct router *r)
{
	for (struct tap *t; (t = TAILQ_FIRST(&r->hot));)
		router_queue(r, t);
}

static int on_beat(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct router *r = userdata;

	(void)source;
	(void)usec;
	r->beating = false;
	r->beat_ns = BEAT;
	router_heat_all(r);
	router_pump(r);
	return 0;
}

int router_heat_start(struct router *r)
{
	int e = sd_event_add_time(r->loop, &r->beat, CLOCK_MONOTONIC, 0, 1, on_beat, r);

	r->beat_ns = BEAT;
	return e < 0 ? e : sd_event_source_set_enabled(r->beat, SD_EVENT_OFF);
}

void router_beat(struct router *r)
{
	if (r->beating || TAILQ_EMPTY(&r->hot))
		return;
	r->beating = true;
	(void)sd_event_source_set_time_relative(r->beat, r->beat_ns / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(r->beat, SD_EVENT_ONESHOT);
}

static void become_hot(struct router *r, struct tap *t)
{
	if (epoll_ctl(r->epoll, EPOLL_CTL_DEL, t->fd, NULL) < 0)
		return;
	t->hot = true;
	t->idle = 0;
}

/* Edge-triggered, it tells of what came in the meantime. */
static void become_cold(struct router *r, struct tap *t)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = t};

	t->idle = 0;
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, t->fd, &event) < 0)
		return;
	t->hot = false;
	t->quick = 0;
	tap_shrink(t);
}

/* The next look comes before it is more than half full. */
static void set_pace(struct router *r, struct tap *t, size_t found, uint64_t since)
{
	size_t half = t->capacity / 2;

	if (found > half)
		tap_grow(t);
	if (found == 0 || half == 0)
		return;
	uint64_t ns = since * half / found;
	ns = ns < BEAT_LEAST ? BEAT_LEAST : ns;
	if (ns < r->beat_ns)
		r->beat_ns = ns;
}

void router_heat(struct router *r, struct tap *t, size_t found)
{
	uint64_t now = clock_now(), since = now - t->looked_at;

	t->looked_at = now;
	if (t->finishing)
		return;
	if (!t->hot) {
		t->quick = found && since < BEAT ? t->quick + 1 : 0;
		if (t->quick >= QUICK)
			become_hot(r, t);
		return;
	}
	t->idle = found ? 0 : t->idle + 1;
	if (t->idle >= IDLE)
		become_cold(r, t);
	else
		set_pace(r, t, found, since);
}
