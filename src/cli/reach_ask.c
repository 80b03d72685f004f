/* One question to every app that was chosen. */
#include "cli/held.h"
#include "cli/reach.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define QUERY_BYTES 7000

/* A supervisor that has just begun does not know yet what runs. */
#define KNOWN_WAIT     (10 * NSEC_PER_SEC)
#define KNOWN_AGAIN_MS 50

char *app_query(const struct app *app, const char *path, const char *more)
{
	struct strbuf b = STRBUF(QUERY_BYTES);
	char mark = '?';

	(void)strbuf_puts(&b, path);
	if (*more) {
		(void)strbuf_printf(&b, "?%s", more);
		mark = '&';
	}
	for (size_t i = 0; i < app->n_names; i++) {
		(void)strbuf_printf(&b, "%cname=", mark);
		strbuf_escape(&b, app->names[i]);
		mark = '&';
	}
	if (b.error) {
		strbuf_done(&b);
		return NULL;
	}
	return b.data;
}

static void forget(struct app *app)
{
	free(TAKE_PTR(app->path));
	json_decref(TAKE_PTR(app->answer));
	app->failed = 0;
}

static void begin(
	struct reach *r, struct app *app, const char *method, const char *path, bool named)
{
	forget(app);
	app->path = named ? app_query(app, path, "") : strdup(path);
	app->call = (struct http_call){
		.socket = app->socket,
		.method = method,
		.path = app->path,
		.body = app->body,
		.body_len = app->body ? strlen(app->body) : 0,
		.timeout_ms = r->timeout_ms,
		.done = true,
	};
	if (!app->path)
		app->failed = err_set(&app->err, -E2BIG, "too many names, or too long ones");
	else if (!app->socket)
		app->failed = err_set(&app->err, -ENOENT, "it does not run (%s)",
			app->state ? app->state : "stopped");
	else
		app->failed = http_begin(r->http, &app->call, &app->err);
}

/* Its answer, and whether it is to be asked once more: only what changes nothing is. */
static bool take_answer(struct reach *r, struct app *app, uint64_t until)
{
	while (!app->call.done)
		(void)http_step(r->http, -1, 1000);
	app->failed = http_result(&app->call, &app->err);
	return app->failed == -EAGAIN && strcmp(app->call.method, "GET") == 0 &&
	       clock_now() < until;
}

static void finish(struct reach *r, struct app *app)
{
	/* Who is quiet looks again by himself, or has no time. */
	uint64_t until = r->quiet ? 0 : clock_now() + KNOWN_WAIT;
	json_error_t error;

	if (app->failed < 0)
		return;
	while (take_answer(r, app, until)) {
		http_end(r->http, &app->call);
		(void)http_step(r->http, -1, KNOWN_AGAIN_MS);
		app->failed = http_begin(r->http, &app->call, &app->err);
		if (app->failed < 0)
			return;
	}
	if (app->failed == 0) {
		struct strbuf *text = &app->call.answer;

		app->answer = json_loadb(
			text->data ? text->data : "", text->len, JSON_DECODE_ANY, &error);
		if (!app->answer)
			app->failed = err_set(&app->err, -EPROTO,
				"the answer is no JSON: is that hsup of another version?");
	}
	http_end(r->http, &app->call);
}

int app_ask(struct reach *r, struct app *app, const char *method, const char *path, bool named)
{
	begin(r, app, method, path, named);
	finish(r, app);
	return app->failed;
}

int reach_ask(struct reach *r, const char *method, const char *path, bool named)
{
	for_each_app(r, app) begin(r, app, method, path, named);
	for_each_app(r, app) finish(r, app);
	return reach_failures(r);
}

/* A socket that is missing, in the words of who started nothing yet. */
static int not_running(struct reach *r, const struct app *app)
{
	pid_t pid = 0;

	if (!r->place)
		return ask_error(r, EXIT_UNREACHED, "%s%s%s", app->name ? app->name : "",
			app->name ? ": " : "", app->err.text);
	if (control_dir_holder(r->place, &pid))
		return ask_error(r, EXIT_UNREACHED,
			"hsup (pid %d) runs for %s, but %s: it is just starting, was told another "
			"socket (-s), or is of another version",
			(int)pid, r->place, app->err.text);
	return ask_error(r, EXIT_UNREACHED,
		"hsup does not run for %s; start it with 'hsup start -C %s'", r->place, r->place);
}

int app_failure(struct reach *r, struct app *app)
{
	switch (-app->failed) {
	case 0:
		return EXIT_OK;
	case ENOENT:
	case ECONNREFUSED:
		return not_running(r, app);
	case ESRCH:
		return ask_error(r, EXIT_UNREACHED, "%s%s%s", app->name ? app->name : "",
			app->name ? ": " : "", app->err.text);
	default:
		return ask_error(r, EXIT_REFUSED, "%s%s%s", app->name ? app->name : "",
			app->name ? ": " : "", app->err.text);
	}
}

int reach_failures(struct reach *r)
{
	struct app *missed = NULL;
	int worst = EXIT_OK;
	bool any = false;

	for_each_app(r, app)
	{
		any = any || app->failed == 0;
		/* "*" + "/web": an app without any web is no error, unless none has it. */
		if (app->failed == -ESRCH && app->wild) {
			missed = app;
			continue;
		}
		/* All apps were meant: those that do not run have nothing to say. */
		if (app->failed && !app->socket && app->wild)
			continue;
		int code = app_failure(r, app);
		worst = code > worst ? code : worst;
	}
	if (worst == EXIT_OK && missed && !any)
		worst = app_failure(r, missed);
	return worst;
}
