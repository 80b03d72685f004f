/* Ready and Healthy of each life: what the checkers (src/checks) need, and what they find. */
#include "supervisor/guard.h"
#include "wire/spec.h"

#include <errno.h>
#include <stdio.h>

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

void guard_ready(struct guard *g)
{
	tell(g, ENGINE_READY, NULL);
}

static void on_ready(void *userdata)
{
	guard_ready(userdata);
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

const struct checker_events guard_events = {
	.ready = on_ready,
	.changed = on_changed,
	.unhealthy = on_unhealthy,
	.run = on_run,
	.kill = on_kill,
	.note = on_note,
};
