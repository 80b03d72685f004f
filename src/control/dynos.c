/* /v1/dynos: what runs and why not. */
#include "control/private.h"

#include "model/validate.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>

/* Ages and use of memory may be so old; what is wrong sooner is known by the recorder's next id. */
#define DYNOS_AGE (50 * NSEC_PER_MSEC)

const char *health_text(enum health h)
{
	static const char *const texts[HEALTH_MAX] = {
		[HEALTH_NONE] = "none",
		[HEALTH_WAITING] = "waiting",
		[HEALTH_OK] = "ok",
		[HEALTH_FAILING] = "failing",
	};

	return h < HEALTH_MAX ? texts[h] : "none";
}

static void view_life(struct strbuf *b, const struct dyno_view *v, uint64_t now)
{
	view_member_known(b, "pid", (uint64_t)v->pid, 0);
	view_member_text(b, "address", v->host[0] ? v->host : NULL);
	view_member_known(b, "port", v->port, 0);
	view_member_known(b, "published", v->published, 0);
	view_member_known(b, "version", (uint64_t)v->version, 0);
	if (v->started)
		view_member_seconds(b, "uptime", now > v->started ? now - v->started : 0);
	else
		view_member_text(b, "uptime", NULL);
}

static void view_usage(struct strbuf *b, const struct dyno_usage *u)
{
	view_member_known(b, "memory", u->memory, USAGE_UNKNOWN);
	if (u->cpu != USAGE_UNKNOWN)
		view_member_seconds(b, "cpu", u->cpu);
	else
		view_member_text(b, "cpu", NULL);
	view_member_known(b, "processes", u->processes, USAGE_UNKNOWN);
	view_member_percent(b, "memory_pressure", u->memory_pressure);
	view_member_percent(b, "cpu_pressure", u->cpu_pressure);
}

void view_dyno(struct control *c, struct strbuf *b, const struct dyno_view *v, uint64_t now)
{
	static const char *const desired[] = {
		[DESIRED_RUN] = "run",
		[DESIRED_REST] = "rest",
		[DESIRED_RETIRE] = "retire",
	};
	const struct dyno *d = v->dyno;

	view_raw(b, "{");
	view_member_text(b, "name", v->name);
	view_member_text(b, "type", d->type);
	view_member_u64(b, "instance", d->instance);
	view_member_u64(b, "id", d->id);
	view_member_u64(b, "generation", d->generation);
	view_member_text(b, "state", dyno_state_text(d->state));
	view_member_text(b, "desired", desired[d->desired]);
	view_member_text(b, "why", v->why);
	view_life(b, v, now);
	view_member_stamp(b, "since", control_wall(c, v->since));
	view_member_u64(b, "restarts", d->restarts);
	view_member_u64(b, "failures", d->failures);
	if (v->retry_at)
		view_member_seconds(b, "retry_in", v->retry_at > now ? v->retry_at - now : 0);
	else
		view_member_text(b, "retry_in", NULL);
	view_member_bool(b, "stopped_by_operator", v->stopped_by_operator);
	view_member_bool(b, "gave_up", d->gave_up);
	view_member_text(b, "health", health_text(v->health));
	view_member_exit(b, "last_exit", &d->last_exit, control_wall(c, v->ended_at));
	view_usage(b, &v->used);
	view_end(b, '}');
}

/* Whether a pattern means anything at all: a type may have no dyno now. */
static bool fits_any(struct control *c, const char *pattern, size_t n_dynos)
{
	for (size_t i = 0; i < n_dynos; i++)
		if (operate_matches(pattern, operate_dyno_at(c->s, i)))
			return true;
	size_t n = operate_types(c->s);
	if (strcmp(pattern, "*") == 0 || strcmp(pattern, "all") == 0)
		return true;
	for (size_t i = 0; i < n; i++) {
		struct type_view t;
		char name[LIMIT_TYPE_NAME + 3];

		operate_type(c->s, i, &t);
		(void)snprintf(name, sizeof name, "%.*s.1", LIMIT_TYPE_NAME, t.name);
		if (strcmp(pattern, t.name) == 0 || fnmatch(pattern, t.name, 0) == 0 ||
			(strchr("*?]", pattern[strlen(pattern) - 1]) &&
				fnmatch(pattern, name, 0) == 0))
			return true;
	}
	return false;
}

static void unknown_name(struct control *c, const char *pattern, struct answer *a)
{
	const char *names[LIMIT_TYPES];
	size_t n = operate_types(c->s), type = strcspn(pattern, ".");
	char shown[100], word[LIMIT_TYPE_NAME + 1];
	struct app_view app;

	/* Dynos of an earlier supervisor are not there before their release is. */
	operate_app(c->s, &app);
	if (!app.caught_up) {
		answer_not_known_yet(a);
		return;
	}
	n = n < ARRAY_SIZE(names) ? n : ARRAY_SIZE(names);
	for (size_t i = 0; i < n; i++) {
		struct type_view t;

		operate_type(c->s, i, &t);
		names[i] = t.name;
	}
	(void)snprintf(word, sizeof word, "%.*s", (int)(type < sizeof word ? type : 0), pattern);
	const char *near = nearest_name(word, names, n);
	str_printable(pattern, strlen(pattern), shown, sizeof shown);
	if (near && strcmp(near, word) != 0)
		answer_error(
			a, 404, "no dyno or type fits \"%s\"; did you mean \"%s\"?", shown, near);
	else
		answer_error(a, 404, "no dyno or type fits \"%s\"", shown);
}

bool check_names(struct control *c, char *const *names, size_t n, struct answer *a)
{
	size_t n_dynos = operate_dynos(c->s);

	for (size_t i = 0; i < n; i++)
		if (!*names[i] || !fits_any(c, names[i], n_dynos)) {
			unknown_name(c, names[i], a);
			return false;
		}
	return true;
}

bool fits_one_of(const struct dyno *d, char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (operate_matches(names[i], d))
			return true;
	return n == 0;
}

static void write_dynos(struct control *c, struct strbuf *b, char *const *names, size_t n_names)
{
	size_t n = operate_dynos(c->s);
	uint64_t now = clock_now();

	view_raw(b, "[");
	for (size_t i = 0; i < n; i++) {
		struct dyno_view v;

		if (!fits_one_of(operate_dyno_at(c->s, i), names, n_names))
			continue;
		operate_dyno(c->s, i, &v);
		view_dyno(c, b, &v, now);
	}
	view_end(b, ']');
	view_finish(b);
}

/* The whole list is asked for again and again: made once for all that ask until something happens,
 * and for a twentieth of a second at most. */
static void get_all(struct control *c, struct answer *a)
{
	uint64_t id = recorder_next(operate_recorder(c->s)), now = clock_now();

	if (!c->dynos || c->dynos_id != id || now >= c->dynos_until) {
		c->dynos = page_unref(c->dynos);
		struct strbuf *b = answer_body(a, 200, ANSWER_JSON);
		if (!b)
			return;
		write_dynos(c, b, NULL, 0);
		c->dynos = page_ref(a->page);
		c->dynos_id = id;
		c->dynos_until = now + DYNOS_AGE;
		return;
	}
	a->status = 200;
	a->type = ANSWER_JSON;
	a->page = page_ref(c->dynos);
}

size_t request_names(const struct request *r, char *ret_names[LIMIT_CONTROL_PARAMS])
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_params; i++)
		if (strcmp(r->params[i].name, "name") == 0)
			memcpy(&ret_names[n++], &r->params[i].value, sizeof *ret_names);
	return n;
}

void get_dynos(struct control *c, const struct request *r, struct answer *a)
{
	char *names[LIMIT_CONTROL_PARAMS];
	size_t n = request_names(r, names);
	struct app_view app;

	/* They run: an empty list, of all or of a pattern that fits anything, would deny it. */
	operate_app(c->s, &app);
	if (app.hides) {
		answer_not_known_yet(a);
		return;
	}
	if (n == 0) {
		get_all(c, a);
		return;
	}
	if (!check_names(c, names, n, a))
		return;
	struct strbuf *b = answer_body(a, 200, ANSWER_JSON);
	if (b)
		write_dynos(c, b, names, n);
}
