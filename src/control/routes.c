/* The table of the API: docs/openapi.json is compared with it by a test. */
#include "control/private.h"

#include "model/validate.h"

#include <stdio.h>

static const struct route routes[] = {
	{"*", "/health", ROLE_WATCH, "", BODY_NONE, get_health},
	{"GET", "/status", ROLE_WATCH, "", BODY_NONE, get_status},
	{"POST", "/control/stop", ROLE_OPERATE, "", BODY_WORDS, post_control_stop},
	{"GET", "/v1/app", ROLE_WATCH, "", BODY_NONE, get_app},
	{"GET", "/v1/apps", ROLE_WATCH, "", BODY_NONE, get_apps},
	{"GET", "/v1/dynos", ROLE_WATCH, "name", BODY_NONE, get_dynos},
	{"POST", "/v1/dynos/start", ROLE_OPERATE, "", BODY_WORDS, post_start},
	{"POST", "/v1/dynos/stop", ROLE_OPERATE, "", BODY_WORDS, post_stop},
	{"POST", "/v1/dynos/restart", ROLE_OPERATE, "", BODY_WORDS, post_restart},
	{"POST", "/v1/dynos/roll", ROLE_OPERATE, "", BODY_WORDS, post_roll},
	{"POST", "/v1/dynos/signal", ROLE_OPERATE, "", BODY_WORDS, post_signal},
	{"POST", "/v1/dynos/{name}/stdin", ROLE_OPERATE, "", BODY_WHOLE, post_stdin},
	{"POST", "/v1/scale", ROLE_OPERATE, "", BODY_WORDS, post_scale},
	{"GET", "/v1/releases", ROLE_WATCH, "", BODY_NONE, get_releases},
	/* It has the values of Env. */
	{"GET", "/v1/releases/{version}", ROLE_OPERATE, "", BODY_NONE, get_release},
	{"POST", "/v1/releases", ROLE_OPERATE, "", BODY_WHOLE, post_release},
	{"POST", "/v1/rollback", ROLE_OPERATE, "", BODY_WORDS, post_rollback},
	{"POST", "/v1/abort", ROLE_OPERATE, "", BODY_WORDS, post_abort},
	{"GET", "/v1/config", ROLE_WATCH, "type secrets", BODY_NONE, get_config},
	{"GET", "/v1/logs", ROLE_WATCH, "name stream last since follow format", BODY_NONE,
		get_logs},
	{"POST", "/v1/logs/reopen", ROLE_OPERATE, "", BODY_WORDS, post_reopen},
	{"GET", "/v1/events", ROLE_WATCH, "from name kind", BODY_NONE, get_events},
	{"POST", "/v1/stop", ROLE_OPERATE, "", BODY_WORDS, post_shutdown},
	{"GET", "/v1/diag", ROLE_WATCH, "", BODY_NONE, get_diag},
	{"GET", "/metrics", ROLE_WATCH, "", BODY_NONE, get_metrics},
};

const struct route *route_at(size_t index)
{
	return index < ARRAY_SIZE(routes) ? &routes[index] : NULL;
}

size_t route_body_limit(const struct route *route)
{
	switch (route->body) {
	case BODY_NONE:
		return 0;
	case BODY_WORDS:
		return LIMIT_CONTROL_WORDS;
	case BODY_WHOLE:
		return LIMIT_CONTROL_BODY;
	}
	return 0;
}

static bool path_fits(const char *path, const struct request *r)
{
	size_t i = 0;

	while (*path == '/') {
		size_t len = strcspn(++path, "/");

		if (i == r->n_segments)
			return false;
		const char *segment = r->segments[i++];
		if (*path == '{' ? !*segment
				 : strncmp(segment, path, len) != 0 || segment[len] != '\0')
			return false;
		path += len;
	}
	return i == r->n_segments;
}

static bool method_fits(const char *method, const char *asked)
{
	/* The library sends no body then. */
	return *method == '*' || strcmp(method, asked) == 0 ||
	       (strcmp(asked, "HEAD") == 0 && strcmp(method, "GET") == 0);
}

/* A path may have more than one method; no more than these two ever. */
static const char *allowed(bool get, bool post)
{
	return get && post ? "GET, HEAD, POST" : get ? "GET, HEAD" : "POST";
}

const struct route *route_find(const struct request *r, struct answer *a)
{
	bool get = false, post = false;

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!path_fits(routes[i].path, r))
			continue;
		if (method_fits(routes[i].method, r->method))
			return &routes[i];
		get |= routes[i].method[0] == 'G';
		post |= routes[i].method[0] == 'P';
	}
	if (!get && !post) {
		answer_error(a, 404, "no such path; docs/api.md has all there are");
		return NULL;
	}
	char shown[40];
	answer_error(a, 405, "%s is not possible here, only %s",
		str_printable(r->method, strlen(r->method), shown, sizeof shown),
		allowed(get, post));
	a->allow = allowed(get, post);
	return NULL;
}

/* Whether a word is one of a list by blanks; else the nearest, which may be NULL. */
static bool has_param(const char *list, const char *name, const char **ret_near)
{
	static char text[100]; /* what *ret_near points into */
	const char *words[16];
	size_t n = 0;

	(void)snprintf(text, sizeof text, "%s", list);
	for (char *at = text, *word; n < ARRAY_SIZE(words) && (word = strtok_r(at, " ", &at));) {
		if (strcmp(word, name) == 0)
			return true;
		words[n++] = word;
	}
	*ret_near = nearest_name(name, words, n);
	return false;
}

static bool check_params(const struct route *route, const struct request *r, struct answer *a)
{
	for (size_t i = 0; i < r->n_params; i++) {
		const char *name = r->params[i].name, *near = NULL;
		char shown[80];

		if (has_param(route->params, name, &near))
			continue;
		str_printable(name, strlen(name), shown, sizeof shown);
		if (near)
			answer_error(
				a, 400, "no such parameter: %s; did you mean %s?", shown, near);
		else
			answer_error(a, 400, "no such parameter: %s", shown);
		return false;
	}
	return true;
}

void route_answer(struct control *c, const struct request *r, struct answer *a)
{
	const struct route *route = route_find(r, a);

	if (!route)
		return;
	if (r->role < route->role)
		answer_error(a, 403, "%s may not do this: it takes the role %s", r->asker.who,
			route->role == ROLE_OPERATE ? "operate" : "watch");
	else if (check_params(route, r, a))
		route->answer(c, r, a);
}
