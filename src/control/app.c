/* /v1/app, /v1/apps, /v1/scale, /v1/stop and what else is about the app as a whole. */
#include "control/private.h"

#include "base/fd.h"
#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static void view_command(struct strbuf *b, const struct process *p)
{
	struct strbuf _cleanup_strbuf_ line = STRBUF((size_t)64 << 10);

	for (size_t i = 0; p && i < p->n_args; i++) {
		(void)strbuf_puts(&line, i ? " " : "");
		(void)strbuf_puts(&line, p->args[i]);
	}
	view_member_text(b, "command", p && line.data ? line.data : NULL);
}

static void view_types(struct control *c, struct strbuf *b, bool commands)
{
	size_t n = operate_types(c->s);

	view_member(b, "types");
	view_raw(b, "[");
	for (size_t i = 0; i < n; i++) {
		struct type_view t;

		operate_type(c->s, i, &t);
		view_raw(b, "{");
		view_member_text(b, "type", t.name);
		view_member_u64(b, "quantity", t.quantity);
		view_member_u64(b, "release_quantity", t.said);
		view_member_bool(b, "scaled", t.by_operator);
		if (commands)
			view_command(b, t.process);
		view_end(b, '}');
	}
	view_end(b, ']');
}

static void view_missing(struct control *c, struct strbuf *b)
{
	const char *text;

	view_member(b, "missing");
	view_raw(b, "[");
	for (size_t i = 0; (text = operate_missing(c->s, i)); i++) {
		view_text(b, text);
		view_raw(b, ",");
	}
	view_end(b, ']');
}

static void view_app(struct control *c, struct strbuf *b)
{
	struct app_view v;
	uint64_t now = clock_now();

	operate_app(c->s, &v);
	view_raw(b, "{");
	view_member_text(b, "name", v.name);
	view_member_text(b, "mode", v.mode == MODE_UP ? "up" : "start");
	view_member_known(b, "version", (uint64_t)v.version, 0);
	view_member_known(b, "previous", (uint64_t)v.previous, 0);
	view_member_text(b, "status", v.status);
	view_member_u64(b, "dynos", v.n_dynos);
	view_member_u64(b, "ready", v.n_ready);
	view_member_stamp(b, "started_at", control_wall(c, v.started));
	view_member_seconds(b, "uptime", now > v.started ? now - v.started : 0);
	view_member_text(b, "control_dir", v.control_dir);
	view_member_text(b, "driver", v.driver);
	view_missing(c, b);
	view_member_text(b, "software", v.software);
	view_member_u64(b, "pid", (uint64_t)getpid());
	view_types(c, b, true);
	view_end(b, '}');
}

void get_app(struct control *c, const struct request *r, struct answer *a)
{
	struct strbuf *b = answer_body(a, 200, ANSWER_JSON);

	(void)r;
	if (!b)
		return;
	view_app(c, b);
	view_finish(b);
}

/* Where an app of the daemon listens: as cli/paths.c makes it. */
static void view_app_of_daemon(struct control *c, struct strbuf *b, const struct dyno_view *v)
{
	char folder[4096], socket[4200];

	(void)snprintf(folder, sizeof folder, "%s/%s", c->options->apps_dir, v->dyno->type);
	(void)snprintf(socket, sizeof socket, "%s/%.40s-%016llx/control.sock",
		c->options->runtime_dir, v->dyno->type,
		(unsigned long long)hash_str(HASH_INIT, folder));
	view_raw(b, "{");
	view_member_text(b, "name", v->dyno->type);
	view_member_text(b, "state", dyno_state_text(v->dyno->state));
	view_member_text(b, "why", v->why);
	view_member_text(b, "socket", socket);
	view_member_text(b, "control_dir", folder);
	view_member_known(b, "pid", (uint64_t)v->pid, 0);
	view_member_stamp(b, "since", control_wall(c, v->since));
	view_member_u64(b, "restarts", v->dyno->restarts);
	view_end(b, '}');
}

void get_apps(struct control *c, const struct request *r, struct answer *a)
{
	struct app_view app;

	(void)r;
	operate_app(c->s, &app);
	/* An empty list would say that there are none. */
	if (app.mode == MODE_UP && app.hides) {
		answer_not_known_yet(a);
		return;
	}
	struct strbuf *b = answer_body(a, 200, ANSWER_JSON);
	if (!b)
		return;
	view_raw(b, "[");
	size_t n = app.mode == MODE_UP ? operate_dynos(c->s) : 0;
	for (size_t i = 0; i < n; i++) {
		struct dyno_view v;

		operate_dyno(c->s, i, &v);
		view_app_of_daemon(c, b, &v);
	}
	if (app.mode != MODE_UP) {
		view_raw(b, "{");
		view_member_text(b, "name", app.name);
		view_member_text(b, "state", app.status);
		view_member_text(b, "why", "");
		view_member_text(b, "socket", c->socket);
		view_member_text(b, "control_dir", app.control_dir);
		view_member_u64(b, "pid", (uint64_t)getpid());
		view_member_stamp(b, "since", control_wall(c, app.started));
		view_member_u64(b, "restarts", 0);
		view_end(b, '}');
	}
	view_end(b, ']');
	view_finish(b);
}

void post_scale(struct control *c, const struct request *r, struct answer *a)
{
	_cleanup_free_ struct scale *list = NULL;
	uint64_t event = recorder_next(operate_recorder(c->s));
	struct err err = {0};
	size_t n;

	int k = view_read_scale(r->body, r->body_len, &list, &n, &err);
	if (k == -EINVAL) {
		answer_error(a, 400, "%s", err.text);
		return;
	}
	if (k == 0)
		k = operate_scale(c->s, list, n, &r->asker, &err);
	if (k < 0) {
		answer_failed(a, k, &err);
		return;
	}
	struct strbuf *b = answer_body(a, 200, ANSWER_JSON);
	if (!b)
		return;
	view_raw(b, "{");
	view_types(c, b, false);
	view_member_u64(b, "event", event);
	view_end(b, '}');
	view_finish(b);
}

static void answer_event(struct answer *a, unsigned status, uint64_t event)
{
	struct strbuf *b = answer_body(a, status, ANSWER_JSON);

	if (!b)
		return;
	view_raw(b, "{");
	view_member_u64(b, "event", event);
	view_end(b, '}');
	view_finish(b);
}

/* A body that says nothing, or these members. */
static bool read_body(
	const struct request *r, const struct view_field *fields, size_t n, struct answer *a)
{
	struct err err = {0};

	if (view_read(r->body, r->body_len, fields, n, &err) == 0)
		return true;
	answer_error(a, 400, "%s", err.text);
	return false;
}

void post_shutdown(struct control *c, const struct request *r, struct answer *a)
{
	bool now = false;
	const struct view_field fields[] = {{"now", VIEW_BOOL, &now}};
	uint64_t event = recorder_next(operate_recorder(c->s));

	if (!read_body(r, fields, ARRAY_SIZE(fields), a))
		return;
	operate_shutdown(c->s, now ? 2 : 1, &r->asker);
	answer_event(a, 202, event);
}

void post_abort(struct control *c, const struct request *r, struct answer *a)
{
	uint64_t event = recorder_next(operate_recorder(c->s));
	struct err err = {0};

	if (!read_body(r, NULL, 0, a))
		return;
	int k = operate_abort(c->s, &r->asker, &err);
	if (k < 0)
		answer_failed(a, k, &err);
	else
		answer_event(a, 202, event);
}

void post_reopen(struct control *c, const struct request *r, struct answer *a)
{
	uint64_t event = recorder_next(operate_recorder(c->s));

	if (!read_body(r, NULL, 0, a))
		return;
	operate_reopen_logs(c->s, &r->asker);
	answer_event(a, 200, event);
}

void get_diag(struct control *c, const struct request *r, struct answer *a)
{
	_cleanup_free_ char *text = NULL;
	struct strbuf *b;
	size_t len;

	(void)r;
	int k = operate_diag(c->s, &text, &len);
	if (k < 0)
		answer_error(a, 500, "no memory for it: %s", err_name(k));
	else if ((b = answer_body(a, 200, ANSWER_TEXT)))
		(void)strbuf_add(b, text, len);
}
