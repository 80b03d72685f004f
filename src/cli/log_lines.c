#include "cli/log_lines.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

/* Lines of several apps are held back so long, so that they can be put into the order of time. */
#define HOLD	 (100 * NSEC_PER_MSEC)
#define PART	 ((size_t)1 << 20) /* of a line that has no end yet */
#define HELD_MAX ((size_t)1 << 20)

struct held {
	char *text; /* with its newline */
	size_t key, key_len;
};

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
	bool merge; /* more than one */
	struct held *held;
	size_t n_held, cap;
	uint64_t oldest; /* when the first of them came */
};

/* The place of the time in a line: the beginning, or the value of a JSON member. */
static void find_key(struct held *h)
{
	const char *time = h->text[0] == '{' ? strstr(h->text, "\"time\":") : NULL;

	if (h->text[0] == '{' && !time)
		time = strstr(h->text, "\"at\":");
	if (time) {
		time = strchr(time, ':') + 1;
		time += strspn(time, " \"");
	} else {
		time = h->text;
	}
	h->key = (size_t)(time - h->text);
	h->key_len = strcspn(time, " \",");
}

static int compare(const void *a, const void *b)
{
	const struct held *x = a, *y = b;
	size_t n = x->key_len < y->key_len ? x->key_len : y->key_len;
	int order = strncmp(x->text + x->key, y->text + y->key, n);

	return order ? order : x < y ? -1 : 1;
}

/* "... app[web.1]: " becomes "... app[shop/web.1]: ", unless it says so already. */
static char *with_app(const struct app *app, const char *line, size_t len)
{
	const char *open = memchr(line, '[', len), *brace = len && *line == '{' ? line : NULL;
	size_t name = strlen(app->name);
	char *text = NULL;
	int n;

	if (brace)
		n = asprintf(&text, "{\"app\":\"%s\",%.*s\n", app->name, (int)len - 1, line + 1);
	else if (open && !(strncmp(open + 1, app->name, name) == 0 &&
				 (open[1 + name] == '/' || open[1 + name] == ']')))
		n = asprintf(&text, "%.*s%s/%.*s\n", (int)(open + 1 - line), line, app->name,
			(int)(line + len - open - 1), open + 1);
	else
		n = asprintf(&text, "%.*s\n", (int)len, line);
	return n < 0 ? NULL : text;
}

static void release(struct logs *l)
{
	if (l->n_held > 1)
		qsort(l->held, l->n_held, sizeof *l->held, compare);
	for (size_t i = 0; i < l->n_held; i++) {
		(void)fputs(l->held[i].text, stdout);
		free(l->held[i].text);
	}
	l->n_held = 0;
}

static int hold(struct source *s, const char *line, size_t len)
{
	struct logs *l = s->logs;

	if (mem_grow(&l->held, &l->cap, l->n_held + 1, HELD_MAX, sizeof *l->held) < 0)
		release(l);
	if (!l->held)
		return -ENOMEM;
	struct held h = {.text = with_app(s->app, line, len)};
	if (!h.text)
		return -ENOMEM;
	find_key(&h);
	if (l->n_held == 0)
		l->oldest = clock_now();
	l->held[l->n_held++] = h;
	return 0;
}

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
		r = hold(s, s->part.data, s->part.len);
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
		(void)http_step(l->reach->http, -1, l->n_held ? 20 : 1000);
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
		if (follow && l->n_held > 0 && clock_now() > l->oldest + HOLD) {
			release(l);
			if (fflush(stdout) != 0)
				break;
		}
	}
	release(l);
	return code;
}

int log_lines(struct reach *r, const struct options *o, const char *query)
{
	struct logs l = {.reach = r, .sources = calloc(r->n_apps + 1, sizeof *l.sources)};
	int code = EXIT_OK;

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
	free(l.held);
	free(l.sources);
	return went > code ? went : code;
}
