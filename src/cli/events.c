/* `hsup events`: what happens, as it happens. */
#include "cli/reach.h"
#include "cli/sse.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* What is kept comes at once; then it is silent. */
#define SILENCE (250 * NSEC_PER_MSEC)

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_FOLLOW,
	OPT_FROM, OPT_JSON, OPT_RUNTIME_DIR, OPT_STATE_DIR, OPT_DIR, 0};

struct listener {
	struct app *app;
	struct http_call call;
	struct sse sse;
	char *path;
	const struct options *options;
	uint64_t *heard; /* when something came last, from any */
};

static void print_text(const struct app *app, const char *kind, const json_t *e)
{
	const char *at = member_text(e, "at"), *name = member_text(e, "name"),
		   *from = member_text(e, "from"), *to = member_text(e, "to"),
		   *text = member_text(e, "text");
	char shown[1000];

	(void)printf("%s %s", *at ? at : "-", kind);
	if (*name || app->name)
		(void)printf(" %s", app_label(app, name));
	if (member_int(e, "release") > 0)
		(void)printf(" v%lld", (long long)member_int(e, "release"));
	if (*to)
		(void)printf(" %s%s%s", from, *from ? " -> " : "", to);
	if (*text)
		(void)printf(": %s", str_printable(text, strlen(text), shown, sizeof shown));
	(void)putchar('\n');
}

static int on_event(void *userdata, const char *kind, const char *id, const char *data)
{
	struct listener *l = userdata;
	_cleanup_json_ json_t *e = json_loads(data, 0, NULL);

	(void)id;
	*l->heard = clock_now();
	if (!json_is_object(e))
		return 0;
	/* Who has not said from where has missed nothing. */
	if (strcmp(kind, "gap") == 0 && !l->options->ask.from)
		return 0;
	if (strcmp(kind, "gap") == 0 && !l->options->ask.json) {
		(void)printf("- events %lld to %lld are no longer kept\n",
			(long long)member_int(e, "from"), (long long)member_int(e, "to"));
	} else if (l->options->ask.json) {
		if (l->app->name)
			(void)json_object_set_new(e, "app", json_string(l->app->name));
		if (!*member_text(e, "kind"))
			(void)json_object_set_new(e, "kind", json_string(kind));
		(void)json_dumpf(e, stdout, JSON_COMPACT);
		(void)putchar('\n');
	} else {
		print_text(l->app, kind, e);
	}
	return fflush(stdout) == 0 ? 0 : -EIO;
}

static int on_bytes(void *userdata, const char *data, size_t len)
{
	struct listener *l = userdata;

	return sse_feed(&l->sse, data, len);
}

static int begin(struct reach *r, struct listener *l, struct app *app, const struct options *o,
	uint64_t *heard)
{
	char from[40] = "";
	struct err err;

	/* All that is kept, unless it is to go on from now. */
	if (o->ask.from || !o->ask.follow)
		(void)snprintf(from, sizeof from, "from=%" PRIu64, o->ask.from ? o->ask.from : 1);
	*l = (struct listener){
		.app = app,
		.options = o,
		.heard = heard,
		.path = app_query(app, "/v1/events", from),
		.sse = {.event = on_event, .userdata = l},
	};
	l->call = (struct http_call){
		.socket = app->socket,
		.method = "GET",
		.path = l->path,
		.data = on_bytes,
		.userdata = l,
		.endless = true,
	};
	if (!l->path)
		return ask_error(r, EXIT_REFUSED, "too many names, or too long ones");
	return http_begin(r->http, &l->call, &err) < 0 ? ask_error(r, EXIT_REFUSED, "%s", err.text)
						       : EXIT_OK;
}

/* The end of one: only a follower's is a fault. */
static int ended(struct reach *r, struct listener *l)
{
	struct app *app = l->app;

	app->failed = http_result(&l->call, &app->err);
	if (app->failed == 0)
		app->failed = err_set(&app->err, -EPIPE,
			"the stream has ended: hsup has ended, or "
			"its supervisor was replaced");
	if (app->failed == -ECANCELED)
		app->failed = 0;
	l->app = NULL;
	return app->failed == -ESRCH && app->wild ? EXIT_OK : app_failure(r, app);
}

static int go_on(struct reach *r, struct listener *list, size_t n, bool follow, uint64_t *heard)
{
	size_t left = n;
	int code = EXIT_OK;

	while (left > 0) {
		bool waits = false;

		(void)http_step(r->http, -1, follow ? 1000 : 50);
		left = 0;
		for (struct listener *l = list; l < list + n; l++) {
			if (!l->app)
				continue;
			waits = waits || !l->call.begun;
			if (!l->call.done) {
				left++;
				continue;
			}
			int one = ended(r, l);
			code = one > code ? one : code;
		}
		if (waits)
			*heard = clock_now();
		if (!follow && clock_now() > *heard + SILENCE)
			break;
	}
	return code;
}

static int listen_to(struct reach *r, const struct options *o)
{
	struct listener *list = calloc(r->n_apps + 1, sizeof *list);
	uint64_t heard = clock_now();
	size_t n = 0;
	int code = EXIT_OK;

	if (!list)
		return ask_error(r, EXIT_REFUSED, "out of memory");
	for_each_app(r, app)
	{
		int one = EXIT_OK;

		if (app->socket)
			one = begin(r, &list[n++], app, o, &heard);
		else if (!app->wild)
			one = ask_error(r, EXIT_UNREACHED, "%s: it does not run", app->name);
		code = one > code ? one : code;
	}
	int went = code == EXIT_REFUSED ? code : go_on(r, list, n, o->ask.follow, &heard);
	for (struct listener *l = list; l < list + n; l++) {
		http_end(r->http, &l->call);
		sse_done(&l->sse);
		free(l->path);
	}
	free(list);
	return went > code ? went : code;
}

static int run(struct options *o, int n, char **operands)
{
	struct reach r = {0};
	int code = reach_open(&r, &command_events, o);

	if (code == EXIT_OK)
		code = reach_choose(&r, operands, (size_t)n);
	if (code == EXIT_OK)
		code = listen_to(&r, o);
	reach_done(&r);
	return code;
}

const struct command command_events = {
	.name = "events",
	.operands = "[NAME]...",
	.summary = "show every change of state, with its cause",
	.help = "The events that are kept, or with -f those that come from now on; --from N begins "
		"at\n"
		"event N (its id is in --json), so that nobody misses any. --json: one object a "
		"line.\n"
		"\n"
		"Examples:\n"
		"  hsup events -C /srv/shop\n"
		"  hsup events -a shop -f --json 'web.*'\n",
	.options = takes,
	.names = NAMES_DYNOS,
	.run = run,
};
