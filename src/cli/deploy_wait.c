#include "cli/deploy_wait.h"

#include "cli/dyno_row.h"
#include "cli/operate.h"
#include "cli/stamp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct roll_wait {
	struct reach reach;
	const char *name; /* of the app */
	uint64_t begin;
	json_int_t version; /* 0 = not in force yet */
	bool first;	    /* there is none to go back to */
	bool progress;
};

/* One that has nothing to go back to is tried for ever: that it does not come up must be said. */
static int look_for_the_sick(struct roll_wait *w, struct app *app)
{
	json_t *dyno;
	size_t i;

	if (app_ask(&w->reach, app, "GET", "/v1/dynos", false) < 0)
		return AWAIT_GO_ON;
	json_array_foreach(app->answer, i, dyno)
	{
		_cleanup_strbuf_ struct strbuf note = STRBUF(2000);
		const char *state = dyno_state(dyno);

		if (strcmp(state, "failed") != 0 &&
			(strcmp(state, "backoff") != 0 || member_int(dyno, "failures") < 3))
			continue;
		dyno_note(dyno, &note);
		progress_clear(&w->progress);
		return ask_error(&w->reach, EXIT_REFUSED, "%s: %s does not come up: %s", w->name,
			member_text(dyno, "name"), note.len ? note.data : state);
	}
	return AWAIT_GO_ON;
}

static int changed(void *userdata)
{
	struct roll_wait *w = userdata;
	struct app *app = &w->reach.apps[0];

	if (app_ask(&w->reach, app, "GET", "/v1/app", false) < 0)
		return AWAIT_GO_ON;
	w->first = member_int(app->answer, "previous") == 0;
	progress_show(&w->progress, "hsup deploy: %s: %s, %lld of %lld dynos are ready ...",
		w->name, member_text(app->answer, "status"),
		(long long)member_int(app->answer, "ready"),
		(long long)member_int(app->answer, "dynos"));
	return w->first ? look_for_the_sick(w, app) : AWAIT_GO_ON;
}

static int on_event(void *userdata, struct app *app, const char *kind, const json_t *data)
{
	struct roll_wait *w = userdata;
	json_int_t version = member_int(data, "release");
	const char *text = member_text(data, "text");
	uint64_t at;

	(void)app;
	if (strncmp(kind, "release.", 8) != 0 || stamp_parse(member_text(data, "at"), &at) < 0 ||
		at < w->begin)
		return AWAIT_GO_ON;
	if (strcmp(kind, "release.committed") == 0 && w->version == 0)
		w->version = version;
	if (w->version == 0 || version < w->version)
		return AWAIT_GO_ON;
	progress_clear(&w->progress);
	if (version > w->version)
		return ask_error(&w->reach, EXIT_REFUSED, "%s: v%lld came after v%lld", w->name,
			(long long)version, (long long)w->version);
	if (strcmp(kind, "release.settled") == 0) {
		(void)printf("%s: v%lld runs\n", w->name, (long long)version);
		return EXIT_OK;
	}
	if (strcmp(kind, "release.rolled-back") == 0)
		return ask_error(&w->reach, EXIT_REFUSED, "%s: v%lld was rolled back: %s", w->name,
			(long long)version, text);
	return AWAIT_GO_ON;
}

int deploy_wait(struct options *o, const char *control_dir, const char *app, uint64_t begin,
	unsigned seconds)
{
	struct roll_wait w = {.name = app, .begin = begin};
	uint64_t from[1] = {1};
	struct await a = {
		.reach = &w.reach,
		.from = from,
		.timeout = seconds,
		.changed = changed,
		.event = on_event,
		.userdata = &w,
	};

	(void)fflush(stdout);
	int code = reach_open_dir(&w.reach, &command_deploy, o, control_dir);
	if (code == EXIT_OK) {
		/* It may have been told to listen elsewhere, or nowhere. */
		int r = app_ask(&w.reach, &w.reach.apps[0], "GET", "/v1/app", false);

		code = r == -ENOENT || r == -ECONNREFUSED ? EXIT_OK
		       : r < 0				  ? app_failure(&w.reach, &w.reach.apps[0])
							  : await(&a);
	}
	progress_clear(&w.progress);
	if (code == AWAIT_LATE)
		code = ask_error(&w.reach, EXIT_REFUSED,
			"%s: it is loaded, and not up after %u s; it goes on ('hsup ps' shows it)",
			app, seconds);
	reach_done(&w.reach);
	return code;
}
