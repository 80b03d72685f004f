/* A life that was let go: its container goes, then its place, its port and the launcher's entry. In
 * this order: whatever is killed in between, a later supervisor finds the rest by what is left. */
#include "drivers/docker/private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

#define TRIES	       8
#define REMOVE_TIMEOUT (60 * NSEC_PER_SEC)
#define FINISH_SECONDS 10

static void forget(struct container *c)
{
	struct docker *d = c->owner;

	places_drop(d->places, c->id, c->generation);
	port_life_remove(&d->lives, c->id, c->generation);
	if (c->kept) {
		/* If this fails, what stays is an entry that the next supervisor acknowledges. */
		int r = launch_ack(d->context->launch, (struct launch_child){c->id, c->generation});
		(void)r;
	}
	container_free(c);
	docker_work(d);
}

static void on_removed(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct container *c = userdata;
	struct docker *d = c->owner;

	(void)status;
	(void)answer;
	c->call = NULL;
	d->removing--;
	if (r == 0 || r == -ENOENT) {
		forget(c);
		return;
	}
	/* Else it is asked for again when the engine is back. */
	if (!engine_is_up(d->engine))
		return;
	/* 409: it is being removed already. */
	if (r != -EEXIST && ++c->tries >= TRIES) {
		container_note(
			c, "its container %.60s could not be removed: %s", c->called, err->text);
		forget(c);
		return;
	}
	c->waits = true;
	docker_later(d);
}

static void remove_it(struct container *c)
{
	struct docker *d = c->owner;
	char path[512];
	struct err err;

	container_path(c, "?force=1&v=1", path);
	const struct engine_request request = {
		.method = "DELETE", .path = path, .timeout = REMOVE_TIMEOUT};
	if (engine_ask(d->engine, &request, on_removed, c, &c->call, &err) < 0) {
		c->waits = true;
		docker_later(d);
		return;
	}
	d->removing++;
}

static void tell_finished(struct docker *d)
{
	d->finishing = FINISH_TOLD;
	if (d->n == 0 && d->context->lasts && d->context->app_dir)
		places_remove(d->context->app_dir);
	d->context->events->finished(d->context->userdata);
}

void removals_begin(struct docker *d)
{
	for (struct container *c = d->first, *next; c; c = next) {
		next = c->next;
		if (!c->releasing || c->call || c->waits)
			continue;
		if (!c->made)
			forget(c);
		else if (engine_is_up(d->engine) && d->removing < d->settings.parallel)
			remove_it(c);
	}
	if (d->finishing != FINISH_WAITING)
		return;
	if (engine_is_up(d->engine) && images_busy(d->images))
		docker_later(d);
	/* What was not listed is left for the next supervisor. */
	else if (d->n == 0 || d->adopting != ADOPT_DONE)
		tell_finished(d);
}

void container_discard(struct container *c)
{
	if (c->releasing)
		return;
	c->phase = PHASE_ENDED;
	c->told = true;
	c->releasing = true;
	docker_work(c->owner);
}

int docker_release(void *state, uint64_t id, uint32_t generation)
{
	struct container *c = container_find(state, id, generation);

	if (c)
		container_discard(c);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct docker *d = userdata;

	(void)source;
	(void)usec;
	if (d->finishing == FINISH_WAITING)
		tell_finished(d);
	return 0;
}

void docker_finish(void *state)
{
	struct docker *d = state;

	d->finishing = FINISH_WAITING;
	for (struct container *c = d->first; c; c = c->next)
		if (d->adopting == ADOPT_DONE)
			container_discard(c);
	images_leave(d->images);
	(void)sd_event_add_time_relative(d->context->loop, &d->deadline, CLOCK_MONOTONIC,
		FINISH_SECONDS * NSEC_PER_SEC / NSEC_PER_USEC, 10000, on_deadline, d);
	docker_work(d);
}
