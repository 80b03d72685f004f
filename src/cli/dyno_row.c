#include "cli/dyno_row.h"

#include "base/clock.h"
#include "cli/stamp.h"

#include <stdio.h>

const struct table dyno_columns = {
	.columns = 9,
	.titles = {"DYNO", "STATE", "FOR", "RELEASE", "RESTARTS", "PID", "PORT", "MEMORY", "NOTE"},
	.right = {[4] = true, [5] = true, [6] = true, [7] = true},
};

const char *dyno_state(const json_t *dyno)
{
	return member_true(dyno, "gave_up") ? "failed" : member_text(dyno, "state");
}

bool dyno_is_up(const json_t *dyno)
{
	return strcmp(dyno_state(dyno), "up") == 0 &&
	       strcmp(member_text(dyno, "health"), "failing") != 0;
}

static enum tone tone_of(const json_t *dyno)
{
	const char *state = dyno_state(dyno);

	if (strcmp(state, "up") == 0)
		return dyno_is_up(dyno) ? TONE_GOOD : TONE_BUSY;
	if (strcmp(state, "backoff") == 0 || strcmp(state, "failed") == 0)
		return TONE_BAD;
	return strcmp(state, "stopped") == 0 ? TONE_QUIET : TONE_BUSY;
}

static void add_part(struct strbuf *b, const char *text)
{
	if (*text)
		(void)strbuf_printf(b, "%s%s", b->len ? "; " : "", text);
}

void dyno_note(const json_t *dyno, struct strbuf *ret)
{
	const char *why = member_text(dyno, "why"), *state = dyno_state(dyno);
	const json_t *last = json_object_get(dyno, "last_exit");
	double retry = member_number(dyno, "retry_in", -1);
	char text[64], span[24];

	strbuf_reset(ret);
	add_part(ret, why);
	if (member_true(dyno, "stopped_by_operator") && !strstr(why, "operator"))
		add_part(ret, "stopped by the operator");
	if (!*why && strcmp(state, "up") != 0 && strcmp(state, "stopping") != 0)
		add_part(ret, member_text(last, "text"));
	if (strcmp(member_text(dyno, "health"), "failing") == 0)
		add_part(ret, "health check fails");
	if (strcmp(state, "backoff") == 0 && retry >= 0 && !strstr(why, "again")) {
		(void)snprintf(text, sizeof text, "next try in %s", show_duration(retry, span));
		add_part(ret, text);
	}
}

static void add_number(struct table *t, const json_t *dyno, const char *name)
{
	json_int_t value = member_int(dyno, name);

	if (value > 0)
		table_cellf(t, TONE_NONE, "%lld", (long long)value);
	else
		table_cell(t, TONE_NONE, "-");
}

/* How long it is what it is, -1 = not known. */
static double state_age(const json_t *dyno)
{
	uint64_t since;

	if (stamp_parse(member_text(dyno, "since"), &since) < 0)
		return member_number(dyno, "uptime", -1);
	uint64_t now = clock_wall();
	return now > since ? (double)(now - since) / (double)NSEC_PER_SEC : 0;
}

void dyno_row(struct table *t, const struct app *app, const json_t *dyno)
{
	_cleanup_strbuf_ struct strbuf note = STRBUF(2000);
	double memory = member_number(dyno, "memory", -1), age = state_age(dyno);
	json_int_t version = member_int(dyno, "version");
	char text[24];

	table_cell(t, TONE_NONE, app_label(app, member_text(dyno, "name")));
	table_cell(t, tone_of(dyno), dyno_state(dyno));
	table_cell(t, TONE_NONE, age >= 0 ? show_duration(age, text) : "-");
	if (version > 0)
		table_cellf(t, TONE_NONE, "v%lld", (long long)version);
	else
		table_cell(t, TONE_NONE, "-");
	table_cellf(t, TONE_NONE, "%lld", (long long)member_int(dyno, "restarts"));
	add_number(t, dyno, "pid");
	/* What others reach is worth more than what is the same for all. */
	add_number(t, dyno, member_int(dyno, "published") > 0 ? "published" : "port");
	table_cell(t, TONE_NONE, memory >= 0 ? show_size(memory, text) : "-");
	dyno_note(dyno, &note);
	table_cell(t, TONE_NONE, note.data ? note.data : "");
}

void dyno_row_of_app(struct table *t, const struct app *app)
{
	table_cellf(t, TONE_NONE, "%s", app_label(app, ""));
	table_cell(t, app->socket ? TONE_BUSY : TONE_QUIET,
		app->socket  ? "unknown"
		: app->state ? app->state
			     : "stopped");
	for (size_t i = 2; i + 1 < dyno_columns.columns; i++)
		table_cell(t, TONE_NONE, "-");
	table_cell(t, TONE_NONE,
		app->failed && app->socket ? app->err.text
		: app->socket		   ? "it has no dynos"
					   : "");
}

char *dyno_signature(const json_t *dyno)
{
	char *text = NULL, why[200];
	size_t n = 0;

	/* "again in 3 s" is nothing new a second later. */
	for (const char *at = member_text(dyno, "why"); *at && n + 1 < sizeof why; at++)
		if (!strchr("0123456789.", *at))
			why[n++] = *at;
	why[n] = '\0';
	if (asprintf(&text, "%s %lld %lld %lld %lld %d %s %s", dyno_state(dyno),
		    (long long)member_int(dyno, "pid"), (long long)member_int(dyno, "restarts"),
		    (long long)member_int(dyno, "version"), (long long)member_int(dyno, "failures"),
		    dyno_is_up(dyno), why, member_text(dyno, "health")) < 0)
		return NULL;
	return text;
}
