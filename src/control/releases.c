/* /v1/releases, /v1/rollback, /v1/config: what is to run, and what ran before. */
#include "control/private.h"

#include "base/parse.h"

#include <errno.h>

void get_releases(struct control *c, const struct request *r, struct answer *a)
{
	_cleanup_free_ struct release_view *list = calloc(LIMIT_HISTORY + 1, sizeof *list);
	struct strbuf *b = answer_body(a, 200, ANSWER_JSON);

	(void)r;
	if (!list) {
		answer_error(a, 500, "%s", err_name(ENOMEM));
		return;
	}
	if (!b)
		return;
	size_t n = operate_releases(c->s, list);
	view_raw(b, "[");
	for (size_t i = 0; i < n; i++) {
		view_raw(b, "{");
		view_member(b, "version");
		view_i64(b, list[i].version);
		view_raw(b, ",");
		view_member_stamp(b, "created_at", list[i].wall_ns);
		view_member_bool(b, "in_force", list[i].in_force);
		view_member_bool(b, "settled", list[i].settled);
		view_member_text(b, "slug", *list[i].slug ? list[i].slug : NULL);
		view_member_text(b, "note", *list[i].note ? list[i].note : NULL);
		view_end(b, '}');
	}
	view_end(b, ']');
	view_finish(b);
}

void get_release(struct control *c, const struct request *r, struct answer *a)
{
	const char *given = r->segments[2];
	_cleanup_free_ char *text = NULL;
	struct err err = {0};
	uint64_t version;
	char shown[40];
	size_t len;

	if (parse_u64(*given == 'v' ? given + 1 : given, INT64_MAX, &version) < 0 || !version) {
		answer_error(a, 404, "no release \"%s\": a version is a number",
			str_printable(given, strlen(given), shown, sizeof shown));
		return;
	}
	int k = operate_release_text(c->s, (int64_t)version, &text, &len, &err);
	if (k < 0) {
		answer_failed(a, k, &err);
		return;
	}
	struct strbuf *b = answer_body(a, 200, ANSWER_JSON);
	if (b)
		(void)strbuf_add(b, text, len);
}

static void answer_version(struct answer *a, int64_t version, uint64_t event)
{
	struct strbuf *b = answer_body(a, 202, ANSWER_JSON);

	if (!b)
		return;
	view_raw(b, "{");
	view_member_known(b, "version", (uint64_t)version, 0);
	view_member_u64(b, "event", event);
	view_end(b, '}');
	view_finish(b);
}

static void answer_invalid(struct answer *a, const struct release_errors *errors)
{
	struct strbuf *b = answer_body(a, 422, ANSWER_JSON);

	if (!b)
		return;
	view_raw(b, "{");
	view_member_text(b, "id", answer_id(422));
	view_member_text(b, "message", "the release is not valid");
	view_member(b, "errors");
	view_raw(b, "[");
	for (size_t i = 0; i < errors->n; i++) {
		const struct release_error *e = &errors->list[i];

		view_raw(b, "{");
		view_member_text(b, "path", e->path);
		view_member_known(b, "line", e->line, 0);
		view_member_known(b, "column", e->column, 0);
		view_member_text(b, "message", e->text);
		view_end(b, '}');
	}
	view_end(b, ']');
	view_member_bool(b, "more", errors->more);
	view_end(b, '}');
	view_finish(b);
}

void post_release(struct control *c, const struct request *r, struct answer *a)
{
	HSUP_CLEANUP(release_errors_done) struct release_errors errors = {0};
	uint64_t event = recorder_next(operate_recorder(c->s));
	struct err err = {0};
	int64_t version = 0;

	int k = operate_submit(
		c->s, r->body ? r->body : "", r->body_len, &r->asker, &version, &errors, &err);
	if (k == -EINVAL && errors.n)
		answer_invalid(a, &errors);
	else if (k < 0)
		answer_failed(a, k, &err);
	else
		answer_version(a, version, event);
}

void post_rollback(struct control *c, const struct request *r, struct answer *a)
{
	int64_t version = 0, made = 0;
	const struct view_field fields[] = {{"version", VIEW_INT, &version}};
	uint64_t event = recorder_next(operate_recorder(c->s));
	struct err err = {0};

	if (view_read(r->body, r->body_len, fields, ARRAY_SIZE(fields), &err) < 0) {
		answer_error(a, 400, "%s", err.text);
		return;
	}
	if (version < 0) {
		answer_error(a, 422, "\"version\" must be 1 or more");
		return;
	}
	int k = operate_rollback(c->s, version, &r->asker, &made, &err);
	if (k < 0)
		answer_failed(a, k, &err);
	else
		answer_version(a, made, event);
}

/* ---- the environment ---- */

static void view_env(struct strbuf *b, const struct env *env, const struct env *over, bool secrets)
{
	for (size_t i = 0; i < env->n; i++) {
		if (over && env_get(over, env->vars[i].name))
			continue;
		view_text(b, env->vars[i].name);
		view_raw(b, ":");
		view_text(b, secrets ? env->vars[i].value : "********");
		view_raw(b, ",");
	}
}

void get_config(struct control *c, const struct request *r, struct answer *a)
{
	const char *type = request_param(r, "type"), *asked = request_param(r, "secrets");
	const struct release *release = operate_release(c->s);
	bool secrets = asked && strcmp(asked, "1") == 0;
	char shown[80];

	if (asked && !secrets && strcmp(asked, "0") != 0) {
		answer_error(a, 400, "secrets must be 0 or 1");
		return;
	}
	if (secrets && r->role < ROLE_OPERATE) {
		answer_error(
			a, 403, "%s may not see secrets: it takes the role operate", r->asker.who);
		return;
	}
	const struct process *p = release && type ? release_process(release, type) : NULL;
	if (type && !p) {
		answer_error(a, 404, "no process type \"%s\"",
			str_printable(type, strlen(type), shown, sizeof shown));
		return;
	}
	struct strbuf *b = answer_body(a, 200, ANSWER_JSON);
	if (!b)
		return;
	view_raw(b, "{");
	view_member(b, "env");
	view_raw(b, "{");
	if (release)
		view_env(b, &release->env, p ? &p->env : NULL, secrets);
	if (p)
		view_env(b, &p->env, NULL, secrets);
	view_end(b, '}');
	view_end(b, '}');
	view_finish(b);
}
