/* The end: told to stop, or nothing left to do. */
#include "supervisor/private.h"

#include "base/clock.h"
#include "supervisor/notify.h"

#define PROGRESS_FIRST (NSEC_PER_SEC)
#define PROGRESS_EVERY (5 * NSEC_PER_SEC)
#define DRAIN_AT_END   (2 * NSEC_PER_SEC)
#define LINGER	       (3 * NSEC_PER_SEC)
#define LINGER_ENGINE  (15 * NSEC_PER_SEC) /* an engine reads a large log for long */
#define LIST_AT_END    (5 * NSEC_PER_SEC)  /* for an engine that is gone to come back */
#define KILL_AT_END    (10 * NSEC_PER_SEC) /* likewise */

void supervisor_exit(struct supervisor *s, int exit_code)
{
	if (exit_code == SUPERVISOR_EXIT_RESTART && run_mode_lasts(s->options->mode))
		notify_reloading();
	s->exit_code = exit_code;
	(void)sd_event_exit(s->loop, 0);
}

static void leave_now(struct supervisor *s)
{
	const struct driver *driver = s->setup->driver;

	/* Once: flushing may end the last life, which asks again. */
	s->leaving = false;
	router_flush(s->router, DRAIN_AT_END);
	if (driver->finish && !s->finished) {
		if (!s->finishing) {
			s->finishing = true;
			lives_let_go(s);
			driver->finish(s->driver_state);
		}
		return;
	}
	int r = launch_leave(s->launch, s->leave_code);
	if (r < 0)
		router_note(s->router, NULL, "the launcher could not be told the exit code %d: %s",
			s->leave_code, err_name(r));
	supervisor_exit(s, SUPERVISOR_EXIT_DONE);
}

void supervisor_finished(struct supervisor *s)
{
	if (!s->finishing || s->finished)
		return;
	s->finished = true;
	leave_now(s);
}

void supervisor_maybe_leave(struct supervisor *s)
{
	/* What ended last may still have output on its way to a slow reader. */
	if (s->leaving && (s->n_lives == 0 || s->stopping > 1))
		leave_now(s);
}

static int on_linger(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct supervisor *s = userdata;

	(void)source;
	(void)usec;
	if (s->leaving) {
		router_note(s->router, NULL, "output of %zu dynos is not being read: abandoned",
			s->n_lives);
		leave_now(s);
	}
	return 0;
}

/* Everything has ended, and waits for its output to be read: not for ever. */
static void linger(struct supervisor *s)
{
	uint64_t most = s->setup->driver->caps & DRIVER_ENGINE ? LINGER_ENGINE : LINGER;

	if (s->leaving && !s->linger)
		(void)sd_event_add_time_relative(s->loop, &s->linger, CLOCK_MONOTONIC,
			most / NSEC_PER_USEC, 1000, on_linger, s);
}

void supervisor_leave(struct supervisor *s, int code)
{
	s->leaving = true;
	s->leave_code = code > s->run_code ? code : s->run_code;
	supervisor_maybe_leave(s);
	linger(s);
}

/* Told to stop what nobody can be asked for: it runs on, and the next supervisor finds it. */
static void leave_unlisted(struct supervisor *s)
{
	if (s->listed || s->finishing || !(s->setup->driver->caps & DRIVER_ENGINE))
		return;
	router_note(s->router, NULL,
		"what runs could not be listed, and was not stopped: the next start finds it");
	s->leave_code = 1;
	leave_now(s);
}

/* An engine that is gone, or cannot do it, is not waited for without end. */
static void leave_unkilled(struct supervisor *s)
{
	uint64_t since = lives_killed_at(s);

	if (s->finishing || !since || clock_now() < since + KILL_AT_END ||
		!(s->setup->driver->caps & DRIVER_ENGINE))
		return;
	router_note(s->router, NULL,
		"%zu dynos could not be killed: what still runs is found by the next start",
		s->n_lives);
	s->leave_code = 1;
	leave_now(s);
}

static int on_progress(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct supervisor *s = userdata;
	char names[400];

	(void)usec;
	if (clock_now() >= s->stop_begun + LIST_AT_END)
		leave_unlisted(s);
	leave_unkilled(s);
	lives_names(s, names, sizeof names);
	if (names[0])
		router_note(s->router, NULL, "waiting for %s to end (%.0f s)", names,
			(double)(clock_now() - s->stop_begun) / 1e9);
	(void)sd_event_source_set_time_relative(source, PROGRESS_EVERY / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

static void stop_early(struct supervisor *s)
{
	for (struct known_release *k = s->releases; k; k = k->next)
		release_fetch_stop(k);
	if (!run_mode_lasts(s->options->mode)) {
		/* A `run` or `build` that did not come to its work has not done it. */
		s->leave_code = 1;
		leave_now(s);
	} else if (s->listed) {
		supervisor_stop_found(s);
	} else if (s->stopping > 1) {
		leave_unlisted(s);
	}
	/* Else what runs is being told to us, and is stopped when it is. */
}

void supervisor_shutdown(struct supervisor *s, unsigned urgency)
{
	if (urgency <= s->stopping)
		return;
	bool first = s->stopping == 0;
	s->stopping = urgency;
	if (s->leaving) {
		supervisor_maybe_leave(s);
		return;
	}
	if (s->options->mode != MODE_RUN || s->options->verbose)
		router_note(s->router, NULL,
			urgency > 1 ? "killing all dynos" : "stopping; once more kills at once");
	if (first) {
		if (run_mode_lasts(s->options->mode))
			notify_stopping();
		if (s->source_state)
			s->setup->source->quiet(s->source_state);
		s->stop_begun = clock_now();
		(void)sd_event_add_time(s->loop, &s->progress, CLOCK_MONOTONIC,
			(s->stop_begun + PROGRESS_FIRST) / NSEC_PER_USEC, 1000, on_progress, s);
	}
	if (!s->caught_up) {
		stop_early(s);
		return;
	}
	feed(s, &(struct engine_event){.type = ENGINE_SHUTDOWN, .urgency = (int)urgency});
}
