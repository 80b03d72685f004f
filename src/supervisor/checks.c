/* Ready and Healthy of each life: what the checkers (src/checks) need, and what they find. */
#include "supervisor/private.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "checks/checks.h"
#include "wire/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Before its StartTimeout, so that it is not killed at that moment. */
#define ASSUME_MARGIN (50 * NSEC_PER_MSEC)
#define ASSUME_AFTER  (60 * NSEC_PER_SEC) /* without a StartTimeout */

/* What looks after one life. */
struct guard {
	struct supervisor *owner;
	struct life *life;
	struct release *release;   /* a reference */
	struct driver_start order; /* as it was for this life; its strings are the others' */
	struct checker *checker;
	uint64_t command; /* that runs, 0 = none */
};

static const char *const health_names[HEALTH_MAX] = {
	[HEALTH_NONE] = "none",
	[HEALTH_WAITING] = "waiting",
	[HEALTH_OK] = "ok",
	[HEALTH_FAILING] = "failing",
};

static enum health health_of(enum checker_state state)
{
	switch (state) {
	case CHECKER_WAITING:
		return HEALTH_WAITING;
	case CHECKER_OK:
		return HEALTH_OK;
	case CHECKER_FAILING:
		return HEALTH_FAILING;
	case CHECKER_NONE:
		break;
	}
	return HEALTH_NONE;
}

bool supervisor_checks_state(struct supervisor *s, uint64_t id, uint32_t generation,
	enum health *ret_health, const char **ret_text)
{
	const struct life *l = life_find(s, id, generation);

	*ret_health = HEALTH_NONE;
	*ret_text = "";
	if (!l || !l->guard)
		return false;
	*ret_health = health_of(checker_state(l->guard->checker, ret_text));
	return true;
}

/* ---- what a checker tells ---- */

static void record_health(const struct guard *g, enum health from, enum health to, const char *text)
{
	struct record record = {
		.kind = RECORD_HEALTH,
		.from = (unsigned char)from,
		.to = (unsigned char)to,
		.generation = g->life->generation,
		.release = g->release->version,
	};

	(void)snprintf(record.name, sizeof record.name, "%s", g->life->name);
	(void)snprintf(record.text, sizeof record.text, "%.126s", text);
	recorder_add(g->owner->recorder, &record);
}

static void on_changed(void *userdata, enum checker_state before)
{
	struct guard *g = userdata;
	const char *text;
	enum health from = health_of(before), to = health_of(checker_state(g->checker, &text));

	record_health(g, from, to, text);
	router_note(g->owner->router, g->life->name, "health changed from %s to %s%s%s",
		health_names[from], health_names[to], *text ? ": " : "", text);
}

static void tell(const struct guard *g, enum engine_event_type type, const char *text)
{
	feed(g->owner, &(struct engine_event){
			       .type = type,
			       .id = g->life->id,
			       .generation = g->life->generation,
			       .text = text,
		       });
}

static void on_ready(void *userdata)
{
	tell(userdata, ENGINE_READY, NULL);
}

static void on_unhealthy(void *userdata, const char *why)
{
	struct guard *g = userdata;

	record_health(g, g->order.process->healthy.threshold > 1 ? HEALTH_FAILING : HEALTH_OK,
		HEALTH_FAILING, why);
	tell(g, ENGINE_UNHEALTHY, why);
}

static void on_note(void *userdata, const char *text)
{
	const struct guard *g = userdata;

	router_note(g->owner->router, g->life->name, "%s", text);
}

/* ---- commands ---- */

static int on_run(void *userdata, const struct check *check, struct err *err)
{
	struct guard *g = userdata;
	struct supervisor *s = g->owner;
	const struct driver *driver = s->setup->driver;

	if (!driver->exec)
		return err_set(err, -EOPNOTSUPP, "driver %s cannot run a command beside a dyno",
			driver->name);
	int r = mem_grow(&s->commands, &s->cap_commands, s->n_commands + 1, LIMIT_DYNOS,
		sizeof *s->commands);
	if (r < 0)
		return err_errno(err, r, "command");
	struct driver_exec exec = {
		.id = ++s->last_command,
		.beside = &g->order,
		.args = check->args,
		.n_args = check->n_args,
	};
	r = driver->exec(s->driver_state, &exec, err);
	if (r < 0)
		return r;
	g->command = exec.id;
	s->commands[s->n_commands++] = (struct check_command){
		.command = exec.id, .id = g->life->id, .generation = g->life->generation};
	return 0;
}

static void on_kill(void *userdata)
{
	struct guard *g = userdata;
	struct supervisor *s = g->owner;

	/* At our own end the driver goes first; the next supervisor has it killed. */
	if (g->command && s->driver_state &&
		s->setup->driver->exec_kill(s->driver_state, g->command) < 0)
		router_note(
			s->router, g->life->name, "the command of its check could not be killed");
}

void checks_command_done(struct supervisor *s, uint64_t command, const struct dyno_exit *exit)
{
	char how[120], text[CHECKER_TEXT];
	size_t i = 0;

	while (i < s->n_commands && s->commands[i].command != command)
		i++;
	if (i == s->n_commands)
		return;
	const struct life *l = life_find(s, s->commands[i].id, s->commands[i].generation);
	s->commands[i] = s->commands[--s->n_commands];
	if (!l || !l->guard || l->guard->command != command)
		return;
	l->guard->command = 0;
	(void)snprintf(text, sizeof text, "the command %s",
		dyno_exit_text(exit, wire_stage_text, how, sizeof how));
	checker_command_done(l->guard->checker, exit->kind == EXIT_CODE && exit->value == 0, text);
}

/* ---- a life ---- */

static const struct checker_events checker_events = {
	.ready = on_ready,
	.changed = on_changed,
	.unhealthy = on_unhealthy,
	.run = on_run,
	.kill = on_kill,
	.note = on_note,
};

static int guard_new(struct supervisor *s, struct life *l, const struct driver_start *order,
	const struct check *ready, const struct check *healthy, struct err *err)
{
	struct guard *g = calloc(1, sizeof *g);
	struct checker_setup setup = {
		.ready = ready,
		.healthy = healthy,
		.seed = l->id + l->generation,
		.events = &checker_events,
		.userdata = g,
	};

	if (!g)
		return err_errno(err, -ENOMEM, "checks");
	if (!s->checks)
		s->checks = checks_new(s->loop);
	int r = s->checks ? checker_new(s->checks, &setup, &g->checker, err)
			  : err_errno(err, -ENOMEM, "checks");
	if (r < 0) {
		free(g);
		return r;
	}
	struct release *release;
	memcpy(&release, &order->release, sizeof release); /* shared, but for its count */
	g->owner = s;
	g->life = l;
	g->release = release_ref(release);
	g->order = *order;
	g->order.name = l->name;
	g->order.tag = NULL;
	g->order.tag_len = 0;
	g->order.stdio = NULL;
	g->order.notify_socket = NULL;
	l->guard = g;
	return 0;
}

/* Whether the dyno was given a socket when it was started: its name is there, or was a moment ago.
 */
static bool can_notify(struct supervisor *s, struct life *l)
{
	struct err err;

	return l->notifies ||
	       (checks_notify_path(s, l, &err) == 0 &&
		       faccessat(s->notify_dir, strrchr(s->notify_path, '/') + 1, F_OK, 0) == 0);
}

/* What is to be looked at of this life, from now on. `order` is as it was, or as it is to be. */
static int guard(
	struct supervisor *s, struct life *l, const struct driver_start *order, struct err *err)
{
	static const struct check nothing = {.kind = CHECK_NONE};
	const struct process *p = order->process;
	const struct check *ready = &p->ready, *healthy = &p->healthy;
	bool notify = ready->kind == CHECK_NOTIFY || healthy->kind == CHECK_NOTIFY;

	if (notify && !can_notify(s, l)) {
		router_note(s->router, l->name,
			"was started without a notify socket: what it says is heard from its next "
			"start on");
		ready = ready->kind == CHECK_NOTIFY ? &nothing : ready;
		healthy = healthy->kind == CHECK_NOTIFY ? &nothing : healthy;
		notify = false;
	}
	if (ready->kind == CHECK_NONE && healthy->kind == CHECK_NONE)
		return 0;
	int r = guard_new(s, l, order, ready, healthy, err);
	if (r < 0 || !notify)
		return r;
	l->notifies = true;
	r = checks_notify_path(s, l, err);
	if (r == 0)
		r = checker_open_notify(
			l->guard->checker, s->notify_dir, strrchr(s->notify_path, '/') + 1, err);
	return r;
}

int checks_prepare(
	struct supervisor *s, struct life *l, struct driver_start *order, struct err *err)
{
	const struct process *p = order->process;

	if (p->ready.kind == CHECK_NOTIFY || p->healthy.kind == CHECK_NOTIFY) {
		int r = checks_notify_path(s, l, err);
		if (r < 0)
			return r;
		l->notifies = true;
		order->notify_socket = s->notify_path;
	}
	if (p->healthy.kind == CHECK_NOTIFY)
		order->watchdog_usec = p->healthy.interval / NSEC_PER_USEC;
	return guard(s, l, order, err);
}

/* Where it listens: what the driver gave it, or what the operator said. */
static unsigned port_of(const struct guard *g)
{
	const struct supervisor *s = g->owner;
	const struct driver *driver = s->setup->driver;
	const char *text = env_get(&g->order.process->env, "PORT");
	unsigned port =
		driver->port ? driver->port(s->driver_state, g->life->id, g->life->generation) : 0;

	if (port)
		return port;
	if (!text)
		text = env_get(&g->release->env, "PORT");
	return text && parse_uint(text, UINT16_MAX, &port) == 0 ? port : 0;
}

void checks_begin(struct life *l)
{
	struct guard *g = l->guard;

	if (!g)
		return;
	/* A dry run shows what would be done, not what would become of it. */
	if (g->owner->setup->driver->caps & DRIVER_DRY) {
		if (g->order.process->ready.kind != CHECK_NONE)
			on_ready(g);
		return;
	}
	checker_set_port(g->checker, port_of(g));
	checker_begin(g->checker, l->pid);
}

void checks_changed(struct supervisor *s, const struct engine_action *a)
{
	const struct life *l = life_find(s, a->id, a->generation);

	if (!l || !l->guard)
		return;
	if (s->setup->driver->caps & DRIVER_DRY)
		return;
	if (a->to == DYNO_UP)
		checker_up(l->guard->checker, clock_now());
	else if (a->to != DYNO_STARTING)
		checker_rest(l->guard->checker);
}

void checks_end(struct life *l)
{
	struct guard *g = TAKE_PTR(l->guard);

	if (l->ended && l->notifies && !g)
		checks_forget_notify(l->owner, l);
	if (!g)
		return;
	/* The name stays when the dyno runs on, with nobody who listens. */
	checker_free(g->checker, l->started && !l->ended);
	release_unref(g->release);
	free(g);
}

const char *checks_start_reason(struct supervisor *s, uint64_t id, uint32_t generation)
{
	const struct life *l = life_find(s, id, generation);

	return l && l->guard ? checker_reason(l->guard->checker) : "";
}

/* ---- found running ---- */

/* Of which release it was made; when that is not known, what its type is today is the best guess.
 */
static const struct known_release *release_of(struct supervisor *s, const struct dyno *d)
{
	const struct known_release *k = release_known(s, engine_dyno_release(s->engine, d));

	return k ? k : release_known(s, s->in_force);
}

/* READY=1 may have been said while nobody listened. */
static void assume_ready(struct guard *g, uint64_t started)
{
	const struct process *p = g->order.process;
	uint64_t now = clock_now(), when = now + ASSUME_AFTER;

	if (p->ready.kind != CHECK_NOTIFY)
		return;
	if (p->start_timeout)
		when = started + p->start_timeout -
		       (p->start_timeout > 2 * ASSUME_MARGIN ? ASSUME_MARGIN
							     : p->start_timeout / 2);
	if (when > now) {
		checker_assume_ready(g->checker, when);
		return;
	}
	/* The timer of the engine would be first. */
	on_note(g, "it may have said READY=1 when no supervisor listened: taken as ready");
	on_ready(g);
}

/* A dyno that runs is looked at in the way of the release that it is of by now. */
static bool look_at(struct supervisor *s, struct life *l, const struct dyno *d)
{
	const struct known_release *k = release_of(s, d);
	const struct process *p = k ? release_process(k->release, d->type) : NULL;
	struct err err = {0};

	if (!p || l->ended || (d->state != DYNO_STARTING && d->state != DYNO_UP))
		return false;
	const struct formation_type *t =
		k->formation ? formation_find(k->formation, d->type) : NULL;
	struct driver_start order = {
		.id = d->id,
		.generation = d->generation,
		.name = l->name,
		.instance = d->instance,
		.type_index = (unsigned)(p - k->release->processes),
		.only_one = t && t->quantity == 1,
		.process = p,
		.release = k->release,
		.app = supervisor_app(s, k->release),
	};
	usage_limit(s, l, p->memory);
	if (guard(s, l, &order, &err) < 0) {
		router_note(s->router, l->name, "it cannot be looked at: %s", err.text);
		checks_end(l);
	}
	if (!l->guard)
		return false;
	checks_begin(l);
	if (d->state == DYNO_UP)
		checker_up(l->guard->checker, d->since);
	return true;
}

void checks_adopt(struct supervisor *s, struct life *l, const struct engine_adopted *a)
{
	const struct dyno *d = engine_find(s->engine, a->id);

	if (d && look_at(s, l, d) && d->state == DYNO_STARTING)
		assume_ready(l->guard, a->started);
}

/* ---- another release, with the same dynos ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_check(const struct check *a, const struct check *b)
{
	if (a->kind != b->kind || a->port != b->port || !same_text(a->path, b->path) ||
		a->n_args != b->n_args || a->interval != b->interval || a->timeout != b->timeout ||
		a->threshold != b->threshold || a->cooldown != b->cooldown)
		return false;
	for (size_t i = 0; i < a->n_args; i++)
		if (strcmp(a->args[i], b->args[i]) != 0)
			return false;
	return true;
}

/* What is looked at now, is that what its release wants? */
static bool is_current(struct supervisor *s, const struct life *l, const struct dyno *d)
{
	const struct known_release *k = release_of(s, d);
	const struct process *p = k ? release_process(k->release, d->type) : NULL;
	const struct process *now = l->guard ? l->guard->order.process : NULL;

	if (!p)
		return true;
	if (!now)
		return p->ready.kind == CHECK_NONE && p->healthy.kind == CHECK_NONE;
	return same_check(&p->ready, &now->ready) && same_check(&p->healthy, &now->healthy);
}

void checks_redefine(struct supervisor *s)
{
	for (size_t i = 0; i < engine_dynos(s->engine); i++) {
		const struct dyno *d = engine_dyno(s->engine, i);
		struct life *l = dyno_live(d) ? life_find(s, d->id, d->generation) : NULL;

		if (!l || !l->started || is_current(s, l, d))
			continue;
		checks_end(l);
		(void)look_at(s, l, d);
	}
}
