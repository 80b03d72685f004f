/* `hsup logs`: what dynos wrote, from the rings of hsup, merged in the order of time. */
#include "cli/log_lines.h"
#include "cli/reach.h"
#include "cli/stamp.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define LAST 100 /* lines, unless told otherwise */

static const enum option_id takes[] = {OPT_CONTROL_DIR, OPT_APP, OPT_CONTROL_SOCKET, OPT_FOLLOW,
	OPT_LINES, OPT_DYNO, OPT_STREAM, OPT_SINCE, OPT_FORMAT, OPT_REOPEN, OPT_RUNTIME_DIR,
	OPT_STATE_DIR, OPT_DIR, 0};

/* The query without names. */
static int make_query(const struct options *o, char ret_query[300])
{
	const struct ask *ask = &o->ask;
	bool told = ask->lines != OPTIONS_NO_LINES;
	char since[100] = "";
	uint64_t from = clock_wall();

	if (ask->since && stamp_parse_since(ask->since, from, &from) < 0)
		return usage_error(&command_logs,
			"option '--since' must be a time like 2026-11-21T08:00:00Z, or how long "
			"ago, like 90s, 10m, 2h or 3d");
	if (ask->since || (told && ask->lines == 0 && !ask->follow)) {
		char stamp[CLOCK_STAMP_LEN + 1];

		clock_stamp(from, stamp);
		(void)snprintf(since, sizeof since, "&since=%.26sZ", stamp);
	}
	int at = snprintf(ret_query, 300, "format=%s%s%s%s%s", ask->format ? ask->format : "heroku",
		ask->stream ? "&stream=" : "", ask->stream ? ask->stream : "", since,
		ask->follow ? "&follow=1" : "");
	unsigned lines = told ? ask->lines : LAST;
	/* last=0 is only what comes, and nothing of it all there is. */
	if (lines > 0 ? told || !ask->since : ask->follow)
		(void)snprintf(ret_query + at, 300 - (size_t)at, "&last=%u", lines);
	return EXIT_OK;
}

static int reopen(struct reach *r)
{
	for_each_app(r, app)
	{
		free(app->body);
		app->body = strdup("{}");
	}
	return reach_ask(r, "POST", "/v1/logs/reopen", false);
}

static int choose(struct reach *r, const struct options *o, int n_operands, char **operands)
{
	const struct ask *ask = &o->ask;
	size_t n = (size_t)n_operands + ask->n_dynos;
	char **names = calloc(n + 1, sizeof *names);

	if (!names)
		return ask_error(r, EXIT_REFUSED, "out of memory");
	for (size_t i = 0; i < ask->n_dynos; i++)
		names[i] = ask->dynos[i];
	for (int i = 0; i < n_operands; i++)
		names[ask->n_dynos + (size_t)i] = operands[i];
	int code = reach_choose(r, names, n);
	free(names);
	return code;
}

static int run(struct options *o, int n_operands, char **operands)
{
	struct reach r = {0};
	char query[300];

	if (o->ask.reopen && (n_operands > 0 || o->ask.n_dynos > 0))
		return usage_error(&command_logs, "'--reopen' is for all log files: no names");
	int code = make_query(o, query);
	if (code == EXIT_OK)
		code = reach_open(&r, &command_logs, o);
	if (code == EXIT_OK)
		code = choose(&r, o, n_operands, operands);
	if (code == EXIT_OK)
		code = o->ask.reopen ? reopen(&r) : log_lines(&r, o, query);
	reach_done(&r);
	return code;
}

const struct command command_logs = {
	.name = "logs",
	.operands = "[NAME]...",
	.summary = "show what the dynos wrote lately",
	.help = "The last lines (100, or -n) of all dynos and of hsup itself, or of those that "
		"are\n"
		"named here or with -p, in the order of time. -f goes on with what comes. Of the\n"
		"daemon: APP, APP/NAME or 'APP/*'; several apps are merged. --reopen has hsup "
		"open\n"
		"its log files again, as after somebody has moved them away.\n"
		"\n"
		"Examples:\n"
		"  hsup logs -C /srv/shop -f -p web.1\n"
		"  hsup logs -a shop -n 1000 --stream err 'web.*'\n"
		"  hsup logs --since 10m 'shop/*' billing\n",
	.options = takes,
	.names = NAMES_DYNOS,
	.run = run,
};
