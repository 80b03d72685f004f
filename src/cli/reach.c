#include "cli/reach.h"

#include "base/fd.h"
#include "cli/daemon.h"
#include "cli/held.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

int ask_error(struct reach *r, int code, const char *fmt, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (!r->quiet)
		(void)command_error(r->command, "%s", text);
	return code;
}

static int no_memory(struct reach *r)
{
	return ask_error(r, EXIT_REFUSED, "out of memory");
}

static int add_app(struct reach *r, const char *name, const char *socket, const char *state)
{
	struct app *grown = reallocarray(r->apps, r->n_apps + 1, sizeof *grown);
	if (!grown)
		return no_memory(r);
	r->apps = grown;
	struct app *app = &grown[r->n_apps];
	*app = (struct app){
		.name = name ? strdup(name) : NULL,
		.socket = socket ? strdup(socket) : NULL,
		.state = state ? strdup(state) : NULL,
	};
	r->n_apps++;
	return (name && !app->name) || (socket && !app->socket) ? no_memory(r) : EXIT_OK;
}

static int socket_of(struct reach *r, const struct options *o, const char *of, char **ret_socket)
{
	_cleanup_free_ char *dir = NULL;

	if (options_path_of(o->runtime_dir, of, &dir) < 0 ||
		asprintf(ret_socket, "%s/" CONTROL_SOCKET, dir) < 0) {
		*ret_socket = NULL;
		return no_memory(r);
	}
	return EXIT_OK;
}

/* The folder of the apps: that of the daemon that runs, which may have been told another. */
static int apps_dir(struct reach *r, const struct options *o, char **ret_dir, bool *ret_runs)
{
	struct daemon d;
	struct err err;
	int n = daemon_find(o, &d, &err);

	if (n < 0)
		return ask_error(r, EXIT_UNREACHED, "%s", err.text);
	*ret_runs = n > 0;
	*ret_dir = strdup(n > 0 && d.apps_dir[0] ? d.apps_dir : o->apps_dir);
	return *ret_dir ? EXIT_OK : no_memory(r);
}

/* The app of a control directory. */
static int of_dir(struct reach *r, const struct options *o, const char *dir)
{
	int code = socket_of(r, o, dir, &r->socket);

	if (code == EXIT_OK && !(r->place = strdup(dir)))
		code = no_memory(r);
	return code == EXIT_OK ? add_app(r, NULL, r->socket, NULL) : code;
}

static int of_app(struct reach *r, const struct options *o, const char *dir)
{
	_cleanup_free_ char *path = NULL, *real = NULL;

	if (asprintf(&path, "%s/%s", dir, o->app) < 0 || path_absolute(path, &real) < 0)
		return no_memory(r);
	if (access(real, F_OK) < 0)
		return ask_error(r, EXIT_UNREACHED, "there is no app %s in %s: %s", o->app, dir,
			err_name(errno));
	return of_dir(r, o, real);
}

/* The apps that the daemon looks after, as it says. */
static int of_daemon(struct reach *r, const struct options *o)
{
	struct app daemon = {.socket = r->socket};
	json_t *app;
	size_t i;

	r->daemon = true;
	int n = app_ask(r, &daemon, "GET", "/v1/apps", false);
	_cleanup_free_ char *path = daemon.path;
	_cleanup_json_ json_t *list = daemon.answer;
	if (n < 0)
		return ask_error(r, n == -ETIMEDOUT || n == -EPERM ? EXIT_REFUSED : EXIT_UNREACHED,
			"the daemon: %s", daemon.err.text);
	int code = EXIT_OK;
	json_array_foreach(list, i, app)
	{
		_cleanup_free_ char *made = NULL, *real = NULL;
		const char *dir = member_text(app, "control_dir"),
			   *state = member_text(app, "state");
		bool runs = strcmp(state, "stopped") != 0 && strcmp(state, "backoff") != 0;

		/* The app knows its folder by the name that is no link. */
		if (code == EXIT_OK && path_absolute(dir, &real) < 0)
			code = no_memory(r);
		if (code == EXIT_OK)
			code = socket_of(r, o, real, &made);
		if (code == EXIT_OK)
			code = add_app(r, member_text(app, "name"), runs ? made : NULL, state);
	}
	return code;
}

/* Whether a daemon listens on the socket that was given. */
static int of_socket(struct reach *r, const struct options *o, const char *socket)
{
	struct http_call call = {
		.socket = socket, .method = "GET", .path = "/v1/app", .timeout_ms = r->timeout_ms};
	struct err err;

	if (!(r->socket = strdup(socket)))
		return no_memory(r);
	int n = http_do(r->http, &call, &err);
	_cleanup_json_ json_t *app = n == 0 ? json_loadb(call.answer.data ? call.answer.data : "",
						      call.answer.len, 0, NULL)
					    : NULL;
	http_end(r->http, &call);
	/* One that is not there says so when it is asked what matters: `wait` waits for it. */
	if (strcmp(member_text(app, "mode"), "up") == 0)
		return of_daemon(r, o);
	return add_app(r, NULL, socket, NULL);
}

static int find(struct reach *r, struct options *o)
{
	const char *socket = getenv("HSUP_CONTROL_SOCKET"),
		   *control_dir = getenv("HSUP_CONTROL_DIR");
	_cleanup_free_ char *dir = NULL;
	bool runs = false;
	struct err err;

	int n = options_complete_paths(o, NULL, &err);
	if (n < 0)
		return r->quiet ? EXIT_USAGE : options_error(r->command, n, &err);
	if (o->control_socket)
		return of_socket(r, o, o->control_socket);
	if (o->control_dir)
		return of_dir(r, o, o->control_dir);
	if (!o->app && socket && *socket)
		return of_socket(r, o, socket);
	if (!o->app && control_dir && *control_dir) {
		n = options_path(&o->control_dir, control_dir, &err);
		return n < 0 ? ask_error(r, EXIT_REFUSED, "%s", err.text)
			     : of_dir(r, o, o->control_dir);
	}
	int code = apps_dir(r, o, &dir, &runs);
	if (code != EXIT_OK)
		return code;
	if (o->app)
		return of_app(r, o, dir);
	if (!runs)
		return ask_error(r, EXIT_UNREACHED,
			"no daemon runs (%s); 'hsup up' starts it; for an app of its own give its "
			"control directory with -C or in HSUP_CONTROL_DIR",
			o->runtime_dir);
	code = socket_of(r, o, dir, &r->socket);
	return code == EXIT_OK ? of_daemon(r, o) : code;
}

int reach_open(struct reach *r, const struct command *c, struct options *o)
{
	struct err err;

	r->command = c;
	if (http_open(&r->http, &err) < 0)
		return ask_error(r, EXIT_REFUSED, "%s", err.text);
	return find(r, o);
}

int reach_open_dir(
	struct reach *r, const struct command *c, const struct options *o, const char *dir)
{
	_cleanup_free_ char *real = NULL;
	struct err err;

	r->command = c;
	if (http_open(&r->http, &err) < 0)
		return ask_error(r, EXIT_REFUSED, "%s", err.text);
	if (path_absolute(dir, &real) < 0)
		return no_memory(r);
	int code = of_dir(r, o, real);
	return code == EXIT_OK ? reach_choose(r, NULL, 0) : code;
}

void reach_done(struct reach *r)
{
	for (struct app *app = r->apps; app < r->apps + r->n_apps; app++) {
		free(app->name);
		free(app->socket);
		free(app->state);
		for (size_t i = 0; i < app->n_names; i++)
			free(app->names[i]);
		free(app->names);
		free(app->path);
		free(app->body);
		json_decref(app->answer);
	}
	free(r->apps);
	free(r->socket);
	free(r->place);
	(void)http_free(r->http);
	*r = (struct reach){0};
}
