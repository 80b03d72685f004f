/* The calls of Go hsup, in its shapes. */
#include "control/private.h"

void get_health(struct control *c, const struct request *r, struct answer *a)
{
	struct strbuf *b = answer_body(a, 200, ANSWER_TEXT);

	(void)c;
	(void)r;
	if (b)
		view_raw(b, "OK");
}

/* Stopped, Started, Retiring or Retired. */
static const char *classic_status(const struct dyno *d)
{
	if (d->desired == DESIRED_RETIRE)
		return dyno_live(d) ? "Retiring" : "Retired";
	return d->desired == DESIRED_RUN || dyno_live(d) ? "Started" : "Stopped";
}

/* By type, as there: of several dynos one that is started, the first. */
static void view_classic_type(struct control *c, struct strbuf *b, const char *type)
{
	size_t n = operate_dynos(c->s);
	struct dyno_view v, best = {0};
	bool found = false, started = false;

	for (size_t i = 0; i < n && !started; i++) {
		operate_dyno(c->s, i, &v);
		if (strcmp(v.dyno->type, type) != 0)
			continue;
		started = strcmp(classic_status(v.dyno), "Started") == 0;
		if (!found || started)
			best = v;
		found = true;
	}
	view_text(b, type);
	view_raw(b, ":{");
	view_member_text(b, "Status", found ? classic_status(best.dyno) : "Stopped");
	view_member_text(b, "IPAddress", found ? best.host : "");
	view_member_u64(b, "Port", found ? best.port : 0);
	view_end(b, '}');
}

void get_status(struct control *c, const struct request *r, struct answer *a)
{
	struct strbuf *b = answer_body(a, 200, ANSWER_JSON);
	size_t n = operate_types(c->s);

	(void)r;
	if (!b)
		return;
	view_raw(b, "{\"Processes\":{");
	for (size_t i = 0; i < n; i++) {
		struct type_view t;

		operate_type(c->s, i, &t);
		view_classic_type(c, b, t.name);
	}
	view_end(b, '}');
	view_end(b, '}');
	view_finish(b);
}

static void answer_text(struct answer *a, unsigned status, const char *text)
{
	struct strbuf *b = answer_body(a, status, ANSWER_TEXT);

	if (b) {
		view_raw(b, text);
		view_raw(b, "\n");
	}
}

/* One entry for each dyno of it. */
static void view_stopped(struct control *c, struct strbuf *b, const char *type)
{
	size_t n = operate_dynos(c->s);

	for (size_t i = 0; i < n; i++) {
		struct dyno_view v;

		operate_dyno(c->s, i, &v);
		if (strcmp(v.dyno->type, type) != 0)
			continue;
		view_text(b, type);
		view_raw(b, ",");
	}
}

static bool has_type(struct control *c, const char *type)
{
	size_t n = operate_types(c->s);

	for (size_t i = 0; i < n; i++) {
		struct type_view t;

		operate_type(c->s, i, &t);
		if (strcmp(t.name, type) == 0)
			return true;
	}
	return false;
}

/* Stops the types that it names; those that there are none of are passed over, as there. */
void post_control_stop(struct control *c, const struct request *r, struct answer *a)
{
	HSUP_CLEANUP(view_list_done) struct view_list types = {0};
	const struct view_field fields[] = {{"Processes", VIEW_TEXTS, &types}};
	struct err err = {0};
	size_t ignored;

	if (view_read(r->body, r->body_len, fields, ARRAY_SIZE(fields), &err) < 0) {
		answer_text(a, 500, err.text);
		return;
	}
	for (size_t i = 0; i < types.n; i++) {
		int k = has_type(c, types.list[i]) ? operate_do(c->s, OPERATE_STOP, &types.list[i],
							     1, 0, &r->asker, &ignored, &err)
						   : 0;
		if (k < 0) {
			answer_failed(a, k, &err);
			return;
		}
	}
	struct strbuf *b = answer_body(a, 200, ANSWER_JSON);
	if (!b)
		return;
	view_raw(b, "{");
	view_member(b, "StoppedProcesses");
	view_raw(b, "[");
	for (size_t i = 0; i < types.n; i++)
		view_stopped(c, b, types.list[i]);
	view_end(b, ']');
	view_end(b, '}');
	view_finish(b);
}
