/* What an operator does: each wish becomes events for the engine. */
#include "supervisor/operate.h"

#include "base/parse.h"
#include "model/validate.h"
#include "supervisor/private.h"

#include <errno.h>
#include <stdio.h>

static const char *const done[] = {
	[OPERATE_START] = "started",
	[OPERATE_STOP] = "stopped",
	[OPERATE_RESTART] = "restarted",
	[OPERATE_SIGNAL] = "signalled",
	[OPERATE_ROLL] = "restarted one after the other",
};

int operate_may_change(const struct supervisor *s, struct err *err)
{
	if (s->stopping || s->leaving)
		return err_set(err, -ESHUTDOWN, "hsup is stopping");
	if (!s->caught_up)
		return err_set(err, -EAGAIN, "what runs is not known yet; try again");
	/* What was wished before waits for memory, and some of it would be changed under it. */
	if (s->n_queue)
		return err_set(err, -EAGAIN, "out of memory; try again");
	return 0;
}

void operate_note(
	struct supervisor *s, const char *name, const struct asker *asker, const char *what)
{
	router_note(s->router, strcmp(name, "*") != 0 && strchr(name, '.') ? name : NULL,
		"%s %s by %s", name, what, asker->who);
	record_text(s, RECORD_OPERATOR, name, 0, "%s by %s", what, asker->who);
}

int operate_no_such_name(struct supervisor *s, const char *pattern, struct err *err)
{
	const struct formation *f = engine_formation(s->engine);
	const char *names[LIMIT_TYPES];
	size_t n = f && f->n_types < LIMIT_TYPES ? f->n_types : 0;

	for (size_t i = 0; i < n; i++)
		names[i] = f->types[i].name;
	const char *nearest = n ? nearest_name(pattern, names, n) : NULL;
	return err_set(err, -ENOENT, "no dyno or type fits \"%.100s\"%s%s%s", pattern,
		nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

/* ---- dynos ---- */

static void order(struct supervisor *s, enum operation what, const struct dyno *d, int signo)
{
	static const enum engine_event_type events[] = {
		[OPERATE_START] = ENGINE_START_DYNO,
		[OPERATE_STOP] = ENGINE_STOP_DYNO,
		[OPERATE_RESTART] = ENGINE_RESTART_DYNO,
	};

	if (what == OPERATE_SIGNAL)
		(void)s->setup->driver->signal(s->driver_state, d->id, d->generation, signo);
	else
		feed(s, &(struct engine_event){.type = events[what], .id = d->id});
}

/* A stopped dyno has nothing to signal, and is not stopped again. */
static bool concerns(enum operation what, const struct dyno *d)
{
	if (d->desired == DESIRED_RETIRE)
		return false;
	switch (what) {
	case OPERATE_SIGNAL:
		return dyno_live(d);
	case OPERATE_STOP:
		return d->desired == DESIRED_RUN;
	case OPERATE_START:
		return d->desired != DESIRED_RUN || d->state == DYNO_BACKOFF;
	case OPERATE_RESTART:
	case OPERATE_ROLL:
		break;
	}
	return true;
}

/* Types that a pattern names as a whole. */
static bool names_type(const char *pattern, const char *type)
{
	size_t len = strlen(type);

	return strcmp(pattern, type) == 0 || strcmp(pattern, "*") == 0 ||
	       strcmp(pattern, "all") == 0 ||
	       (strncmp(pattern, type, len) == 0 && strcmp(pattern + len, ".*") == 0);
}

struct wish {
	enum operation what;
	char *const *patterns;
	size_t n;
	bool *found;				      /* for each pattern: it fits something */
	char types[LIMIT_TYPES][LIMIT_TYPE_NAME + 1]; /* each event may change the formation */
	size_t n_types;
};

static bool find_type(struct wish *w, const char *type)
{
	bool some = false;

	for (size_t i = 0; i < w->n; i++) {
		const char *pattern = w->patterns[i];
		bool all = strcmp(pattern, "*") == 0 || strcmp(pattern, "all") == 0;

		if (!names_type(pattern, type))
			continue;
		w->found[i] = true;
		/* Who starts all does not start what does not start by itself. */
		some = some || w->what == OPERATE_ROLL || (w->what == OPERATE_START && !all);
	}
	return some;
}

static void find_types(struct supervisor *s, struct wish *w)
{
	const struct formation *f = engine_formation(s->engine);

	for (unsigned i = 0; f && i < f->n_types && w->n_types < LIMIT_TYPES; i++) {
		const struct formation_type *t = &f->types[i];

		if (!t->phase && find_type(w, t->name))
			(void)snprintf(w->types[w->n_types++], sizeof w->types[0], "%s", t->name);
	}
}

static bool find_dyno(struct wish *w, const struct dyno *d)
{
	bool some = false;

	for (size_t i = 0; i < w->n; i++)
		if (operate_matches(w->patterns[i], d))
			w->found[i] = some = true;
	return some;
}

static void order_all(
	struct supervisor *s, const struct wish *w, const uint64_t *ids, size_t n, int signo)
{
	for (size_t i = 0; i < w->n_types; i++)
		feed(s, &(struct engine_event){.type = w->what == OPERATE_ROLL ? ENGINE_ROLL_TYPE
									       : ENGINE_START_TYPE,
				.text = w->types[i]});
	for (size_t i = 0; i < n; i++) {
		const struct dyno *d = engine_find(s->engine, ids[i]);

		if (d)
			order(s, w->what, d, signo);
	}
}

static bool is_of_type(const struct wish *w, const char *pattern)
{
	for (size_t i = 0; i < w->n_types; i++)
		if (names_type(pattern, w->types[i]))
			return true;
	return false;
}

static int check_found(struct supervisor *s, const struct wish *w, struct err *err)
{
	for (size_t i = 0; i < w->n; i++) {
		const char *pattern = w->patterns[i];

		if (!w->found[i])
			return operate_no_such_name(s, pattern, err);
		if (w->what == OPERATE_ROLL && !is_of_type(w, pattern))
			return err_set(err, -EINVAL,
				"\"%.100s\": a type is restarted one dyno after the other, not a "
				"dyno",
				pattern);
	}
	return 0;
}

int operate_do(struct supervisor *s, enum operation what, char *const *patterns, size_t n_patterns,
	int signo, const struct asker *asker, size_t *ret_n, struct err *err)
{
	struct wish w = {.what = what, .patterns = patterns, .n = n_patterns};
	size_t n = 0, found = 0;
	int r = operate_may_change(s, err);

	/* A second one of an app would find the control directory taken. */
	if (r == 0 && what == OPERATE_ROLL && s->options->mode == MODE_UP)
		r = err_set(err, -EINVAL,
			"an app is restarted as a whole; its types are, one dyno after the other, "
			"by its own socket");
	if (r < 0)
		return r;
	/* By id: each event may change the table. */
	size_t all = operate_dynos(s);
	_cleanup_free_ uint64_t *ids = calloc(all + 1, sizeof *ids);
	_cleanup_free_ bool *fits = calloc(n_patterns + 1, sizeof *fits);
	w.found = fits;
	if (!ids || !fits)
		return err_errno(err, -ENOMEM, "dynos");
	for (size_t i = 0; i < all; i++) {
		if (!find_dyno(&w, s->sorted[i]))
			continue;
		found++;
		if (what != OPERATE_ROLL && concerns(what, s->sorted[i]))
			ids[n++] = s->sorted[i]->id;
	}
	find_types(s, &w);
	r = check_found(s, &w, err);
	if (r < 0)
		return r;
	char text[60];
	(void)snprintf(text, sizeof text, what == OPERATE_SIGNAL ? "got SIG%s" : "%s",
		what == OPERATE_SIGNAL ? signal_name(signo) : done[what]);
	for (size_t i = 0; i < n_patterns; i++)
		operate_note(s, patterns[i], asker, text);
	order_all(s, &w, ids, n, signo);
	*ret_n = what == OPERATE_ROLL ? found : n;
	return 0;
}

void operate_shutdown(struct supervisor *s, unsigned urgency, const struct asker *asker)
{
	router_note(s->router, NULL, "told to stop by %s", asker->who);
	record_text(s, RECORD_OPERATOR, "", 0, "hsup told to stop by %s", asker->who);
	supervisor_shutdown(s, urgency);
}

void operate_reopen_logs(struct supervisor *s, const struct asker *asker)
{
	record_text(s, RECORD_OPERATOR, "", 0, "log files opened again by %s", asker->who);
	router_reopen(s->router);
}

int operate_stdin(
	struct supervisor *s, const char *name, const struct asker *asker, struct err *err)
{
	const struct driver *driver = s->setup->driver;
	const struct dyno *d = NULL;
	size_t n = operate_dynos(s);
	char own[LIMIT_NAME + 1];

	for (size_t i = 0; i < n; i++) {
		name_dyno(s->sorted[i], own);
		if (strcmp(own, name) == 0 && s->sorted[i]->desired != DESIRED_RETIRE)
			d = s->sorted[i];
	}
	if (!d)
		return operate_no_such_name(s, name, err);
	int r = driver->open_stdin ? driver->open_stdin(s->driver_state, d->id, d->generation)
				   : -ENXIO;
	if (r == -ENXIO)
		return err_set(
			err, r, "%s has no standard input: its type needs \"Stdin\": true", name);
	if (r < 0)
		return err_errno(err, r, "standard input of %s", name);
	record_text(s, RECORD_OPERATOR, name, 0, "written to by %s", asker->who);
	return r;
}
