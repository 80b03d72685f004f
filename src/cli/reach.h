/* Whom a command of the operator's is for: one app, or the daemon and the apps that it looks after.
 *
 *   -s SOCKET      whoever listens there
 *   -C DIR         the app of this control directory; HSUP_CONTROL_DIR when nothing is given
 *   -a APP         an app of the daemon
 *   none of them   the daemon: then names are APP/NAME, and APP alone is all of that app
 *
 * Errors are said here, one line each on standard error; functions return exit codes. */
#pragma once

#include "cli/http.h"
#include "cli/member.h"
#include "cli/private.h"

struct app {
	char *name;   /* NULL: the only one; its names stand alone */
	char *socket; /* NULL: it does not run */
	char *state;  /* as the daemon has it, may be NULL */
	char **names; /* patterns of dynos, as hsup takes them; none = all */
	size_t n_names;
	bool chosen;
	bool wild; /* chosen by a pattern: that it has no such dyno is no error */

	/* Of reach_ask(). */
	struct http_call call;
	char *path, *body;
	json_t *answer; /* NULL = there was none */
	int failed;	/* negative errno */
	struct err err;
};

struct reach {
	const struct command *command;
	struct http *http;
	bool daemon;
	bool quiet;	     /* nothing is said: for completion */
	unsigned timeout_ms; /* of every call, 0 = the usual */
	char *socket;	     /* of the daemon or the app */
	char *place;	     /* for a message: how it is started; may be NULL */
	struct app *apps;
	size_t n_apps;
};

/* Finds them, and asks the daemon for its apps. Before: zeroed but for quiet and timeout_ms. */
int reach_open(struct reach *r, const struct command *c, struct options *o);
/* The app of a control directory, chosen; the paths of o are complete. */
int reach_open_dir(
	struct reach *r, const struct command *c, const struct options *o, const char *dir);
void reach_done(struct reach *r);

/* Chooses the apps, with the patterns of their dynos, that the names mean; without names: all. */
int reach_choose(struct reach *r, char *const *names, size_t n);

/* The only one that was chosen: for what can be done with one app only. */
int reach_one(struct reach *r, struct app **ret_app);

/* Asks each app that was chosen and runs, at the same time: method and path, with ?name=... of its
 * patterns when `named`, else with a body when it has one (app->body). Then app->answer, or
 * app->failed and app->err. */
int reach_ask(struct reach *r, const char *method, const char *path, bool named);

/* The same for one. */
int app_ask(struct reach *r, struct app *app, const char *method, const char *path, bool named);

/* Says what has failed of the last reach_ask(): the exit code. */
int reach_failures(struct reach *r);
int app_failure(struct reach *r, struct app *app);

/* "?name=web.1&name=..." of its patterns, "" for all; `more` stands in front of them. */
char *app_query(const struct app *app, const char *path, const char *more);

/* "shop/web.1", or "web.1". Valid until the next call. */
const char *app_label(const struct app *app, const char *name);

int ask_error(struct reach *r, int code, const char *fmt, ...) HSUP_PRINTF(3, 4);

#define for_each_app(r, app)                                                                       \
	for (struct app *app = (r)->apps; app < (r)->apps + (r)->n_apps; app++)                    \
		if (app->chosen)
