#include "cli/log_lines.h"

#include "cli/log_merge.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

#define PART ((size_t)1 << 20) /* of a line that has no end yet */

struct logs;

struct source {
	struct logs *logs;
	struct app *app;
	struct http_call call;
	char *path;
	struct strbuf part;
};

struct logs {
	struct reach *reach;
	struct source *sources;
	size_t n;
	struct log_merge merge;
};

static int take_lines(struct source *s, const char *data, size_t len)
{
	while (len > 0) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;
		int r = strbuf_add(&s->part, data, n);

		if (r < 0)
			return r;
		if (!end)
			return 0;
		r = log_merge_add(
			&s->logs->merge, s->app, s->part.data ? s->part.data : "", s->part.len);
		if (r < 0)
			return r;
		strbuf_reset(&s->part);
		data += n + 1;
		len -= n + 1;
	}
	return 0;
}

static int on_bytes(void *userdata, const char *data, size_t len)
{
	struct source *s = userdata;

	if (s->app->name)
		return take_lines(s, data, len);
	return fwrite(data, 1, len, stdout) == len && fflush(stdout) == 0 ? 0 : -EIO;
}

static int keep(void *userdata, const char *data, size_t len)
{
	bool *any = userdata;

	(void)data;
	*any = *any || len > 0;
	return 0;
}

/* A name that fits no dyno may still have lines: of one that was scaled away, of hsup itself. */
static bool has_lines(struct reach *r, struct app *app)
{
	_cleanup_free_ char *path = app_query(app, "/v1/logs", "last=1");
	bool any = false;
	struct http_call call = {
		.socket = app->socket,
		.method = "GET",
		.path = path,
		.data = keep,
		.userdata = &any,
	};
	struct err err;

	if (path && http_do(r->http, &call, &err) == 0) {
		http_end(r->http, &call);
		return any;
	}
	if (path)
		http_end(r->http, &call);
	return false;
}

static int check_names(struct reach *r, struct app *app)
{
	if (app->n_names == 0 || app->wild || app_ask(r, app, "GET", "/v1/dynos", true) != -ESRCH ||
		has_lines(r, app))
		return EXIT_OK;
	return app_failure(r, app);
}

static int begin(struct logs *l, struct app *app, const char *query, bool follow)
{
	struct source *s = &l->sources[l->n];
	struct err err;

	*s = (struct source){
		.logs = l,
		.app = app,
		.path = app_query(app, "/v1/logs", query),
		.part = STRBUF(PART),
	};
	s->call = (struct http_call){
		.socket = app->socket,
		.method = "GET",
		.path = s->path,
		.data = on_bytes,
		.userdata = s,
		.endless = follow,
	};
	if (!s->path)
		return ask_error(l->reach, EXIT_REFUSED, "too many names, or too long ones");
	int code = check_names(l->reach, app);
	if (code != EXIT_OK) {
		free(TAKE_PTR(s->path));
		return code;
	}
	if (http_begin(l->reach->http, &s->call, &err) < 0)
		return ask_error(l->reach, EXIT_REFUSED, "%s", err.text);
	l->n++;
	return EXIT_OK;
}

/* What a source that has ended says: a follower's end is never a good one. */
static int source_code(struct logs *l, struct source *s, bool follow)
{
	struct app *app = s->app;

	app->failed = http_result(&s->call, &app->err);
	if (follow && app->failed == 0)
		app->failed = err_set(&app->err, -EPIPE,
			"the stream has ended: hsup has ended, or "
			"its supervisor was replaced");
	if (app->failed == -ECANCELED)
		app->failed = 0; /* our own output is gone, and that is said */
	return app->failed == -ESRCH && app->wild ? EXIT_OK : app_failure(l->reach, app);
}

static int go_on(struct logs *l, bool follow)
{
	size_t left = l->n;
	int code = EXIT_OK;

	while (left > 0) {
		(void)http_step(l->reach->http, -1, l->merge.n ? 20 : 1000);
		left = 0;
		for (size_t i = 0; i < l->n; i++) {
			struct source *s = &l->sources[i];

			if (!s->app)
				continue;
			if (!s->call.done) {
				left++;
				continue;
			}
			int one = source_code(l, s, follow);
			code = one > code ? one : code;
			s->app = NULL;
		}
		if (follow && log_merge_due(&l->merge)) {
			log_merge_print(&l->merge);
			if (fflush(stdout) != 0)
				break;
		}
	}
	log_merge_print(&l->merge);
	return code;
}

int log_lines(struct reach *r, const struct options *o, const char *query)
{
	struct logs l = {.reach = r, .sources = calloc(r->n_apps + 1, sizeof *l.sources)};
	int code = EXIT_OK;

	l.merge.raw = o->ask.format && strcmp(o->ask.format, "raw") == 0;
	if (!l.sources)
		return ask_error(r, EXIT_REFUSED, "out of memory");
	for_each_app(r, app)
	{
		if (!app->socket && app->wild)
			continue;
		int one = EXIT_OK;
		if (!app->socket)
			one = ask_error(r, EXIT_UNREACHED, "%s: it does not run", app->name);
		else
			one = begin(&l, app, query, o->ask.follow);
		code = one > code ? one : code;
	}
	int went = go_on(&l, o->ask.follow);
	for (size_t i = 0; i < l.n; i++) {
		http_end(r->http, &l.sources[i].call);
		strbuf_done(&l.sources[i].part);
		free(l.sources[i].path);
	}
	log_merge_done(&l.merge);
	free(l.sources);
	return went > code ? went : code;
}
