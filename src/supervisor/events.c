/* What the driver says of the dynos. */
#include "supervisor/private.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "wire/spec.h"

#include <signal.h>
#include <stdio.h>

#define ACKNOWLEDGE_DELAY (10 * NSEC_PER_MSEC)

_Static_assert((int)EXIT_STAGE_EXEC == (int)WIRE_STAGE_EXEC, "the model may not see the wire");

static int on_acknowledge(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct supervisor *s = userdata;

	(void)source;
	(void)usec;
	/* At the end of all there is nobody to whom what the launcher keeps could be of use. */
	bool all = !s->stopping || (s->setup->driver->caps & DRIVER_LEAVES);
	for (size_t i = 0; i < s->n_over && all; i++) {
		const struct launch_child *c = &s->over[i];
		int r = s->setup->driver->release(s->driver_state, c->id, c->generation);

		if (r < 0)
			router_note(s->router, NULL, "an end could not be acknowledged: %s",
				err_name(r));
	}
	s->n_over = 0;
	return 0;
}

/* All it wrote has gone to the sink, and nobody will ask how it ended: the launcher may close its
 * pipes. It is told a moment later: replacements come first. */
void life_release(struct supervisor *s, struct life *l)
{
	if (s->setup->driver->release) {
		if (s->n_over == OVER_MAX)
			(void)on_acknowledge(NULL, 0, s);
		if (s->n_over == 0) {
			(void)sd_event_source_set_time_relative(
				s->acknowledge, ACKNOWLEDGE_DELAY / NSEC_PER_USEC);
			(void)sd_event_source_set_enabled(s->acknowledge, SD_EVENT_ONESHOT);
		}
		s->over[s->n_over++] = (struct launch_child){l->id, l->generation};
	}
	life_drop(s, l);
}

void lives_let_go(struct supervisor *s)
{
	for (size_t i = 0; i < LIFE_BUCKETS; i++)
		for (struct life *l = s->lives[i], *next; l; l = next) {
			next = l->next;
			if (!l->ended || l->superseded)
				continue;
			l->superseded = true;
			if (l->drained)
				life_release(s, l);
		}
	(void)on_acknowledge(NULL, 0, s);
}

static void drained(struct supervisor *s, struct life *l)
{
	l->drained = true;
	s->n_lives--;
	if (l->superseded)
		life_release(s, l);
	supervisor_maybe_leave(s);
}

int events_begin(struct supervisor *s)
{
	int r = sd_event_add_time_relative(
		s->loop, &s->acknowledge, CLOCK_MONOTONIC, 0, 1000, on_acknowledge, s);

	return r < 0 ? r : sd_event_source_set_enabled(s->acknowledge, SD_EVENT_OFF);
}

static void tap_done(void *userdata)
{
	struct life *l = userdata;

	if (--l->draining == 0)
		drained(l->owner, l);
}

static void drain_output(struct supervisor *s, struct life *l)
{
	struct tap *out = TAKE_PTR(l->out), *err = TAKE_PTR(l->err);

	/* One more than the taps, so that the last of them cannot free the life under us. */
	l->draining = 1 + (out != NULL) + (err != NULL);
	if (out)
		router_finish(s->router, out, tap_done, l);
	if (err)
		router_finish(s->router, err, tap_done, l);
	tap_done(l);
}

/* It is known to have ended; its output may still be on its way to its pipes. */
static void let_out(struct supervisor *s, struct life *l)
{
	l->told_over = true;
	if (!l->output_follows)
		drain_output(s, l);
}

static void say_end(struct supervisor *s, const struct life *l, const char *when)
{
	char text[200];

	record_exit(s, l);
	if (s->options->mode == MODE_RUN)
		s->run_code = dyno_exit_code(&l->exit);
	if (s->options->mode != MODE_RUN || l->exit.kind == EXIT_STAGE)
		router_note(s->router, l->name, "process %s%s",
			dyno_exit_text(&l->exit, wire_stage_text, text, sizeof text), when);
}

/* An earlier supervisor may have said it, or died before it could. */
void life_found_over(struct supervisor *s, struct life *l)
{
	uint64_t now = clock_now();
	char when[60] = ", before now";

	if (l->ended_at && l->ended_at < now)
		(void)snprintf(when, sizeof when, ", %.1f s ago",
			(double)(now - l->ended_at) / (double)NSEC_PER_SEC);
	if (!l->superseded || s->options->mode == MODE_RUN)
		say_end(s, l, when);
	let_out(s, l);
}

void life_over(struct supervisor *s, struct life *l)
{
	bool failed = l->exit.kind == EXIT_STAGE;

	say_end(s, l, "");
	feed(s, &(struct engine_event){
			.type = failed ? ENGINE_FAILED : ENGINE_EXITED,
			.id = l->id,
			.generation = l->generation,
			.exit = l->exit,
			.at = l->ended_at,
		});
	let_out(s, l);
}

static void follow(struct supervisor *s, struct life *l, int out, int err)
{
	int r = 0;

	if (out >= 0)
		r = router_tap(s->router, l->name, l->color, STREAM_OUT, out, &l->out);
	if (err >= 0) {
		int r2 = router_tap(s->router, l->name, l->color, STREAM_ERR, err, &l->err);

		r = r < 0 ? r : r2;
	}
	if (r < 0)
		router_note(s->router, l->name, "its output cannot be followed: %s", err_name(r));
}

static void on_prepared(void *userdata, uint64_t release, int r, const struct err *err)
{
	release_driver_prepared(userdata, release, r, err);
}

static void on_started(void *userdata, uint64_t id, uint32_t generation, int pid, int out, int err)
{
	struct supervisor *s = userdata;
	struct life *l = life_find(s, id, generation);

	if (!l) {
		(void)fd_close(out);
		(void)fd_close(err);
		return;
	}
	l->pid = pid;
	l->started_at = clock_now();
	if (!l->started)
		s->n_starting--;
	l->started = true;
	follow(s, l, out, err);
	logs_route(s, l);
	lives_supersede(s, id, generation);
	feed(s, &(struct engine_event){.type = ENGINE_STARTED, .id = id, .generation = generation});
	checks_begin(l);
}

static void on_known(void *userdata, uint64_t id, uint32_t generation, int pid)
{
	struct life *l = life_find(userdata, id, generation);

	if (!l || l->ended)
		return;
	l->pid = pid;
	checks_known(l);
}

static void on_left(void *userdata, uint64_t id, uint32_t generation)
{
	struct supervisor *s = userdata;
	struct life *l = life_find(s, id, generation);

	if (l)
		l->left = true;
	if (s->caught_up)
		feed(s, &(struct engine_event){
				.type = ENGINE_LEFT, .id = id, .generation = generation});
}

static void on_exited(
	void *userdata, uint64_t id, uint32_t generation, const struct driver_exit *exit)
{
	struct supervisor *s = userdata;
	struct life *l = life_find(s, id, generation);

	if (!l)
		return;
	l->output_follows = exit->output_follows;
	l->exit = exit->exit;
	/* A process of it that was killed, maybe long ago, is no reason of an end that is none, or
	 * that was asked for. */
	if (exit->out_of_memory || l->over_memory)
		l->exit.oom = (l->exit.kind == EXIT_SIGNAL && l->exit.value == SIGKILL) ||
			      (l->exit.kind == EXIT_CODE && l->exit.value != 0 &&
				      l->exit.value != 128 + SIGTERM);
	l->ended_at = exit->at;
	l->ended = true;
	checks_end(l);
	if (exit->out_of_memory) {
		router_note(s->router, l->name, "Error R15 (Memory quota vastly exceeded)");
		record_text(s, RECORD_ERROR, l->name, 0, "out of memory");
		s->counts.oom++;
	}
	/* Refused before there was a process: of that nothing is kept, and a later supervisor goes
	 * by the life before it. */
	if (!l->started)
		l->superseded = true;
	/* Before that the engine does not know the dyno: it hears of it when it does. */
	if (s->caught_up || l->superseded)
		life_over(s, l);
}

static void on_output_over(void *userdata, uint64_t id, uint32_t generation)
{
	struct supervisor *s = userdata;
	struct life *l = life_find(s, id, generation);

	if (!l || !l->output_follows)
		return;
	l->output_follows = false;
	/* Else what is told of it later lets it out. */
	if (l->told_over)
		drain_output(s, l);
}

static void on_adopted(void *userdata, struct driver_entry *entry)
{
	struct supervisor *s = userdata;
	struct engine_adopted found = {
		.id = entry->id,
		.generation = entry->generation,
		.started = entry->started,
		.left = entry->left,
	};
	char name[LIMIT_NAME + 1];

	int r = tag_read(entry->tag, entry->tag_len, &found);
	if (r == 0)
		r = mem_grow(&s->adopted, &s->cap_adopted, s->n_adopted + 1, LIMIT_DYNOS,
			sizeof *s->adopted);
	(void)snprintf(
		name, sizeof name, "%.60s.%u", r == 0 ? found.type : "unknown", found.instance);
	struct life *l = life_new(s, name, 0, entry->id, entry->generation);
	if (!l) {
		(void)fd_close(entry->out);
		(void)fd_close(entry->err);
		return;
	}
	l->pid = entry->pid;
	l->started_at = entry->started;
	l->started = true;
	s->n_starting--;
	follow(s, l, entry->out, entry->err);
	if (r < 0) {
		l->superseded = true;
		router_note(s->router, l->name,
			"process %d was started by another version of hsup: it is stopped",
			entry->pid);
		(void)s->setup->driver->signal(s->driver_state, l->id, l->generation, SIGTERM);
		return;
	}
	s->n_found_running += !entry->ended;
	s->adopted[s->n_adopted++] = found;
}

static void on_shutdown(void *userdata, unsigned urgency, int signo)
{
	record_text(userdata, RECORD_LAUNCHER, NULL, 0, "says stop, urgency %u, after SIG%s",
		urgency, signo ? signal_name(signo) : "none");
	supervisor_shutdown(userdata, urgency);
}

/* Nothing is lost by leaving at once: what was not written yet is still in the pipes, what was not
 * acknowledged is still in the launcher. */
static void on_restart(void *userdata)
{
	struct supervisor *s = userdata;

	router_note(s->router, NULL, "giving way to another supervisor; dynos run on");
	record_text(s, RECORD_SUPERVISOR, NULL, 0, "gives way to another");
	supervisor_exit(s, SUPERVISOR_EXIT_RESTART);
}

static void on_lost(void *userdata, int r)
{
	struct supervisor *s = userdata;

	record_text(s, RECORD_LAUNCHER, NULL, 0, "it is gone");
	router_note(s->router, NULL, "the launcher is gone%s%s; dynos run on", r < 0 ? ": " : "",
		r < 0 ? err_name(r) : "");
	supervisor_exit(s, SUPERVISOR_EXIT_FATAL);
}

static void on_adopt_done(void *userdata, int r)
{
	supervisor_adopted(userdata, r);
}

static void on_progress(void *userdata, uint64_t release, const char *text)
{
	struct supervisor *s = userdata;
	const struct known_release *k = release_known(s, release);

	if (k && (s->options->mode != MODE_RUN || s->options->verbose))
		router_note(s->router, NULL, "%s", text);
}

static void on_note(void *userdata, const char *name, const char *text)
{
	struct supervisor *s = userdata;

	router_note(s->router, name, "%s", text);
}

static void on_finished(void *userdata)
{
	supervisor_finished(userdata);
}

static void on_exec_done(void *userdata, uint64_t id, const struct dyno_exit *exit)
{
	checks_command_done(userdata, id, exit);
}

const struct driver_events supervisor_driver_events = {
	.prepared = on_prepared,
	.started = on_started,
	.left = on_left,
	.exited = on_exited,
	.adopted = on_adopted,
	.adopt_done = on_adopt_done,
	.exec_done = on_exec_done,
	.progress = on_progress,
	.known = on_known,
	.output_over = on_output_over,
	.used = usage_told,
	.finished = on_finished,
	.note = on_note,
};

const struct launch_events supervisor_launch_events = {
	.shutdown = on_shutdown,
	.restart = on_restart,
	.lost = on_lost,
};
