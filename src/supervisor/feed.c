/* Events into the engine, actions out of it, to quiescence: what an action causes at once (a start
 * that cannot even be ordered) waits in a queue, so the engine is never re-entered. */
#include "supervisor/private.h"

#include "base/clock.h"
#include "wire/spec.h"

#include <errno.h>
#include <stdio.h>

#define QUEUE_MAX   (4 * LIMIT_DYNOS)
#define RETRY_DELAY (NSEC_PER_SEC / 10)

static void drain(struct supervisor *s);

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct supervisor *s = userdata;

	(void)source;
	(void)usec;
	feed(s, &(struct engine_event){.type = ENGINE_TIMER});
	return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	drain(userdata);
	return 0;
}

/* One timer for everything the engine waits for. Rounded up: a timer that fires a moment early
 * would find nothing due and fire again. */
static void arm(struct supervisor *s)
{
	uint64_t deadline = engine_deadline(s->engine);

	if (deadline == UINT64_MAX) {
		(void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
		return;
	}
	(void)sd_event_source_set_time(s->timer, deadline / NSEC_PER_USEC + 1);
	(void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

/* More dynos than there may be: of the release that is prepared, with the quantities of the command
 * line, or of what was found running. */
static void refuse(struct supervisor *s, const struct engine_event *event)
{
	struct known_release *k = release_known(s, event->release);
	uint64_t handle = event->release;
	char why[120];

	(void)snprintf(why, sizeof why, "more than %d dynos are wanted in all", LIMIT_QUANTITY);
	router_note(s->router, NULL, "error: %s", why);
	if (event->type != ENGINE_PREPARED || !k)
		return;
	release_end_submission(s, k, why);
	feed(s, &(struct engine_event){.type = ENGINE_PREPARE_FAILED, .release = handle});
	release_refused(s);
}

static void drain(struct supervisor *s)
{
	size_t done = 0;

	s->handling = true;
	while (done < s->n_queue) {
		const struct engine_action *actions;
		size_t n;
		struct engine_event event = s->queue[done].event;

		if (event.text)
			event.text = s->queue[done].text;
		int r = engine_handle(s->engine, &event, clock_now(), &actions, &n);

		if (r == -E2BIG) {
			done++;
			refuse(s, &event);
			continue;
		}
		if (r < 0) {
			/* The engine is as it was: nothing is lost but time. */
			router_note(
				s->router, NULL, "out of memory (%s); trying again", err_name(r));
			(void)sd_event_source_set_time_relative(
				s->retry, RETRY_DELAY / NSEC_PER_USEC);
			(void)sd_event_source_set_enabled(s->retry, SD_EVENT_ONESHOT);
			break;
		}
		done++;
		for (size_t i = 0; i < n; i++)
			act(s, &actions[i]);
	}
	s->n_queue -= done;
	if (s->n_queue)
		memmove(s->queue, s->queue + done, s->n_queue * sizeof *s->queue);
	s->handling = false;
	arm(s);
}

void feed(struct supervisor *s, const struct engine_event *event)
{
	if (!s->engine)
		return;
	if (mem_grow(&s->queue, &s->cap_queue, s->n_queue + 1, QUEUE_MAX, sizeof *s->queue) < 0) {
		/* A lost event would leave a dyno in a wrong state for good. A new supervisor
		 * learns the truth from the launcher. */
		router_note(s->router, NULL, "out of memory; starting again");
		supervisor_exit(s, SUPERVISOR_EXIT_RESTART);
		return;
	}
	struct queued *q = &s->queue[s->n_queue++];
	q->event = *event;
	if (event->text)
		(void)snprintf(q->text, sizeof q->text, "%s", event->text);
	if (!s->handling)
		drain(s);
}

int feed_start_engine(struct supervisor *s, struct err *err)
{
	const struct options *o = s->options;
	uint64_t now = clock_now();
	struct engine_options options = {
		/* Counts microseconds of this boot: above every id that an earlier supervisor gave,
		 * as none makes a dyno each microsecond. */
		.first_id = now / NSEC_PER_USEC,
		.stage_text = wire_stage_text,
		.oneshot = o->oneshot || o->mode == MODE_RUN,
		.exit_when_done = o->exit_when_done,
		.start_number = o->start_number,
	};
	struct quantity_override overrides[2 * LIMIT_TYPES];
	_cleanup_free_ struct engine_rest *rests = NULL;

	if (run_mode_lasts(o->mode)) {
		size_t n = wishes_recall_scaled(s, overrides);

		if (o->n_overrides)
			memcpy(overrides + n, o->overrides, o->n_overrides * sizeof *overrides);
		options.overrides = overrides;
		options.n_overrides = n + o->n_overrides;
		options.n_rests = wishes_recall_resting(s, &rests);
		options.rests = rests;
	}

	int r = sd_event_add_time(s->loop, &s->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time(s->loop, &s->retry, CLOCK_MONOTONIC, 0, 1000, on_retry, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->retry, SD_EVENT_OFF);
	if (r < 0)
		return err_errno(err, r, "event loop");
	s->engine = engine_new(&options);
	return s->engine ? 0 : err_errno(err, -ENOMEM, "engine");
}
