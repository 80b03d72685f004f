/* `hsup scale`: how many of each type. */
#include "cli/scale.h"
#include "cli/dyno_row.h"
#include "cli/operate.h"

#include <stdio.h>

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_COLOR,
	OPT_NO_WAIT, OPT_TIMEOUT, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};

struct wish {
	struct reach *reach;
	const struct options *options;
	json_t *wanted; /* of each app, by its index: the "types" of its answer */
	bool progress;
};

/* Whether a type is as wanted; *ret_bad: the dyno of it that does not come up. */
static bool type_settled(const struct app *app, const json_t *type, const json_t **ret_bad)
{
	const char *name = member_text(type, "type");
	json_int_t wanted = member_int(type, "quantity"), n = 0;
	json_t *dyno;
	size_t i;
	bool all = true;

	json_array_foreach(app->answer, i, dyno)
	{
		const char *state = dyno_state(dyno);

		if (strcmp(member_text(dyno, "type"), name) != 0)
			continue;
		if (strcmp(member_text(dyno, "desired"), "retire") == 0) {
			all = all && strcmp(state, "stopped") == 0;
			continue;
		}
		n++;
		if (strcmp(state, "backoff") == 0 || strcmp(state, "failed") == 0)
			*ret_bad = dyno;
		all = all && (strcmp(state, "up") == 0 || strcmp(state, "stopped") == 0);
	}
	return all && n == wanted;
}

static int changed(void *userdata)
{
	struct wish *w = userdata;
	size_t settled = 0, n = 0, i;
	json_t *type;

	w->reach->quiet = true;
	for_each_app(w->reach, app)(void) app_ask(w->reach, app, "GET", "/v1/dynos", false);
	w->reach->quiet = false;
	for_each_app(w->reach, app)
	{
		json_array_foreach(
			json_array_get(w->wanted, (size_t)(app - w->reach->apps)), i, type)
		{
			const json_t *sick = NULL;

			n++;
			if (app->failed == 0 && type_settled(app, type, &sick)) {
				settled++;
			} else if (app->failed == 0 && sick) {
				_cleanup_strbuf_ struct strbuf note = STRBUF(2000);

				dyno_note(sick, &note);
				progress_clear(&w->progress);
				return ask_error(w->reach, EXIT_REFUSED, "%s does not come up: %s",
					app_label(app, member_text(sick, "name")),
					note.len ? note.data : dyno_state(sick));
			}
		}
	}
	if (settled == n)
		return EXIT_OK;
	progress_show(&w->progress, "hsup scale: %zu of %zu types ...", settled, n);
	return AWAIT_GO_ON;
}

static int wait_all(struct wish *w, struct operation *op)
{
	struct await a = {
		.reach = w->reach,
		.from = op->events,
		.timeout = patience_of(w->options),
		.changed = changed,
		.userdata = w,
	};
	int code = await(&a);

	progress_clear(&w->progress);
	if (code != AWAIT_LATE)
		return code;
	return ask_error(w->reach, EXIT_REFUSED,
		"not all dynos are as wanted after %u s; it goes on ('hsup ps' shows them)",
		a.timeout);
}

static void say_types(const struct app *app, const json_t *types)
{
	json_t *type;
	size_t i;

	json_array_foreach(types, i, type)
	{
		(void)printf("%s=%lld\n", app_label(app, member_text(type, "type")),
			(long long)member_int(type, "quantity"));
	}
	(void)fflush(stdout);
}

/* The answer is about all types. */
static json_t *types_asked(const struct app *app)
{
	_cleanup_json_ json_t *asked = json_loads(app->body, 0, NULL);
	json_t *list = json_array(), *type;
	size_t i;

	json_array_foreach(json_object_get(app->answer, "types"), i, type)
	{
		if (json_object_get(asked, member_text(type, "type")))
			(void)json_array_append(list, type);
	}
	return list;
}

static int change(struct reach *r, const struct options *o)
{
	struct operation op = {.reach = r, .options = o};
	struct wish w = {.reach = r, .options = o, .wanted = json_array()};
	int code = operation_send(&op, "/v1/scale");

	for (size_t i = 0; i < r->n_apps && code == EXIT_OK; i++) {
		struct app *app = &r->apps[i];
		json_t *types = app->chosen && app->failed == 0 ? types_asked(app) : json_array();

		say_types(app, types);
		(void)json_array_append_new(w.wanted, types);
	}
	if (code == EXIT_OK)
		code = o->ask.no_wait ? op.code : wait_all(&w, &op);
	if (code == EXIT_OK)
		code = op.code;
	json_decref(w.wanted);
	operation_done(&op);
	return code;
}

/* Without operands: what is wanted now. */
static int show(struct reach *r, const struct options *o)
{
	struct table t = {.columns = 4, .titles = {"TYPE", "DYNOS", "RELEASE", "COMMAND"}};
	json_t *type;
	size_t i;
	int code = reach_choose(r, NULL, 0);

	t.right[1] = t.right[2] = true;
	if (code == EXIT_OK)
		code = reach_ask(r, "GET", "/v1/app", false);
	for_each_app(r, app)
	{
		json_array_foreach(json_object_get(app->answer, "types"), i, type)
		{
			table_cell(&t, TONE_NONE, app_label(app, member_text(type, "type")));
			table_cellf(&t, member_true(type, "scaled") ? TONE_BUSY : TONE_NONE, "%lld",
				(long long)member_int(type, "quantity"));
			table_cellf(&t, TONE_NONE, "%lld",
				(long long)member_int(type, "release_quantity"));
			table_cell(&t, TONE_NONE, member_text(type, "command"));
		}
	}
	if (table_print(&t, stdout, color_wanted((int)o->color, 1)) < 0)
		code = ask_error(r, EXIT_REFUSED, "out of memory");
	table_done(&t);
	return code;
}

static int run(struct options *o, int n, char **operands)
{
	struct reach r = {0};
	int code = reach_open(&r, &command_scale, o);

	for (int i = 0; i < n && code == EXIT_OK; i++)
		code = scale_operand(&r, operands[i]);
	if (code == EXIT_OK)
		code = n > 0 ? change(&r, o) : show(&r, o);
	reach_done(&r);
	return code;
}

const struct command command_scale = {
	.name = "scale",
	.operands = "[TYPE=N | TYPE+N | TYPE-N]...",
	.summary = "change how many dynos of a type run",
	.help = "All or nothing: when one operand cannot be meant so, none is done. It holds "
		"until\n"
		"a release gives the type another quantity. Waits until all are there (5 minutes,\n"
		"or --timeout), unless --no-wait is given. Without operands it shows what is "
		"wanted\n"
		"now, and what the release says.\n"
		"\n"
		"Examples:\n"
		"  hsup scale -C /srv/shop web=3 worker+1 db-1\n"
		"  hsup scale shop/web=3\n",
	.options = takes,
	.names = NAMES_TYPES,
	.run = run,
};
