#include "cli/operate.h"

#include "cli/dyno_row.h"

#include <stdio.h>

#define TARGETS ((size_t)1 << 20)

static int no_memory(struct operation *op)
{
	return ask_error(op->reach, EXIT_REFUSED, "out of memory");
}

int operation_add(struct operation *op, struct app *app, const char *name)
{
	for (size_t i = 0; i < op->n; i++)
		if (op->targets[i].app == app && strcmp(op->targets[i].name, name) == 0)
			return EXIT_OK;
	char *copy = strdup(name);
	if (!copy ||
		mem_grow(&op->targets, &op->cap, op->n + 1, TARGETS, sizeof *op->targets) < 0) {
		free(copy);
		return no_memory(op);
	}
	op->targets[op->n++] = (struct target){.app = app, .name = copy};
	return EXIT_OK;
}

static bool alive(const json_t *dyno)
{
	return strcmp(member_text(dyno, "state"), "stopped") != 0;
}

int operation_before(struct operation *op)
{
	int failed = reach_ask(op->reach, "GET", "/v1/dynos", true);
	json_t *dyno;
	size_t i;

	if (failed != EXIT_OK)
		return failed;
	for_each_app(op->reach, app)
	{
		json_array_foreach(app->answer, i, dyno)
		{
			size_t before = op->n;

			if (operation_add(op, app, member_text(dyno, "name")) != EXIT_OK)
				return EXIT_REFUSED;
			if (op->n > before) {
				op->targets[before].id = member_int(dyno, "id");
				op->targets[before].generation = member_int(dyno, "generation");
			}
		}
	}
	return EXIT_OK;
}

int operation_send(struct operation *op, const char *path)
{
	struct reach *r = op->reach;
	json_t *name;
	size_t i;

	op->code = reach_ask(r, "POST", path, false);
	op->events = calloc(r->n_apps + 1, sizeof *op->events);
	if (!op->events)
		return no_memory(op);
	bool any = false;
	for_each_app(r, app)
	{
		if (app->failed)
			continue;
		any = true;
		op->events[app - r->apps] = (uint64_t)member_int(app->answer, "event");
		json_array_foreach(json_object_get(app->answer, "dynos"), i, name)
		{
			const char *text = json_string_value(name);

			if (text && operation_add(op, app, text) != EXIT_OK)
				return EXIT_REFUSED;
		}
	}
	return any ? EXIT_OK : op->code ? op->code : EXIT_REFUSED;
}

static bool is_same_life(const struct target *t, const json_t *dyno)
{
	return t->id == member_int(dyno, "id") && t->generation == member_int(dyno, "generation");
}

/* How it looks for one target; of two dynos with its name the one that is to stay counts. */
struct look {
	const json_t *dyno; /* NULL = it is no more */
	bool old_lives;	    /* the life of before has not ended yet */
	bool any_lives;
};

static struct look look_at(const struct target *t)
{
	struct look l = {0};
	json_t *dyno;
	size_t i;

	json_array_foreach(t->app->answer, i, dyno)
	{
		if (strcmp(member_text(dyno, "name"), t->name) != 0)
			continue;
		l.any_lives = l.any_lives || alive(dyno);
		l.old_lives = l.old_lives || (alive(dyno) && is_same_life(t, dyno));
		if (!l.dyno || strcmp(member_text(dyno, "desired"), "retire") != 0)
			l.dyno = dyno;
	}
	return l;
}

static void settle(struct operation *op, struct target *t, const char *text)
{
	progress_clear(&op->progress);
	t->settled = true;
	(void)printf("%s: %s\n", app_label(t->app, t->name), text);
}

static void fail(struct operation *op, struct target *t, const char *text)
{
	progress_clear(&op->progress);
	t->settled = t->failed = true;
	op->code = ask_error(op->reach, EXIT_REFUSED, "%s: %s", app_label(t->app, t->name), text);
}

static void look_up(struct operation *op, struct target *t, const struct look *l)
{
	_cleanup_strbuf_ struct strbuf note = STRBUF(2000);
	const char *state = l->dyno ? dyno_state(l->dyno) : "";
	bool new_life = l->dyno && !is_same_life(t, l->dyno);
	char text[64];

	if (!l->dyno) {
		fail(op, t, "it is no more: it was scaled away, or its release was replaced");
		return;
	}
	if (op->awaited == AWAITED_NEW && (l->old_lives || !new_life))
		return;
	dyno_note(l->dyno, &note);
	if (strcmp(state, "up") == 0) {
		(void)snprintf(
			text, sizeof text, "up (pid %lld)", (long long)member_int(l->dyno, "pid"));
		settle(op, t, text);
	} else if (strcmp(state, "backoff") == 0 || strcmp(state, "failed") == 0) {
		fail(op, t, note.len ? note.data : state);
	} else if (strcmp(state, "stopped") == 0 && member_true(l->dyno, "stopped_by_operator")) {
		fail(op, t, "somebody has stopped it meanwhile");
	} else if (strcmp(state, "stopped") == 0 && new_life) {
		settle(op, t, note.len ? note.data : "has ended");
	}
}

static int changed(void *userdata)
{
	struct operation *op = userdata;
	size_t settled = 0;

	op->reach->quiet = true;
	for_each_app(op->reach, app)(void) app_ask(op->reach, app, "GET", "/v1/dynos", false);
	op->reach->quiet = false;
	for (size_t i = 0; i < op->n; i++) {
		struct target *t = &op->targets[i];

		/* What does not answer for a moment: await() knows when it is for good. */
		if (!t->settled && t->app->failed == 0) {
			struct look l = look_at(t);

			if (op->awaited != AWAITED_STOPPED)
				look_up(op, t, &l);
			else if (!l.any_lives)
				settle(op, t, "stopped");
		}
		settled += t->settled;
	}
	(void)fflush(stdout);
	if (settled == op->n)
		return op->code;
	progress_show(&op->progress, "hsup %s: %zu of %zu dynos ...", op->reach->command->name,
		settled, op->n);
	return AWAIT_GO_ON;
}

int operation_wait(struct operation *op)
{
	struct await a = {
		.reach = op->reach,
		.from = op->events,
		.timeout = patience_of(op->options),
		.changed = changed,
		.userdata = op,
	};
	int code = await(&a);

	progress_clear(&op->progress);
	if (code != AWAIT_LATE)
		return code;
	size_t left = 0;
	const struct target *first = NULL;
	for (size_t i = 0; i < op->n; i++) {
		left += !op->targets[i].settled;
		if (!first && !op->targets[i].settled)
			first = &op->targets[i];
	}
	return ask_error(op->reach, EXIT_REFUSED,
		"%zu of %zu dynos are not there after %u s (%s is one); it goes on", left, op->n,
		a.timeout, first ? app_label(first->app, first->name) : "none");
}

void operation_done(struct operation *op)
{
	for (size_t i = 0; i < op->n; i++)
		free(op->targets[i].name);
	free(op->targets);
	free(op->events);
}
