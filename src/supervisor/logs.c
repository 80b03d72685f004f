/* Where lines go: the log of all, what a type says of its own, and what is kept for `hsup logs`. */
#include "supervisor/private.h"

#include "base/log.h"
#include "logs/carry.h"
#include "logs/ring.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static void log_to_router(enum log_level level, const char *line, void *userdata)
{
	struct supervisor *s = userdata;

	router_note(s->router, NULL, "%s%s",
		level == LOG_LEVEL_ERROR     ? "error: "
		: level == LOG_LEVEL_WARNING ? "warning: "
					     : "",
		line);
}

static bool use_color(const struct options *o, int fd)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	if (o->color != COLOR_AUTO)
		return o->color == COLOR_ALWAYS;
	return isatty(fd) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static bool is_datagrams(const char *where)
{
	return strncmp(where, "syslog", 6) == 0 || strncmp(where, "journal", 7) == 0;
}

static struct sink *open_datagrams(const struct options *o, const char *where)
{
	const char *colon = strchr(where, ':');

	if (*where == 'j')
		return sink_journal_new(
			colon ? colon + 1 : "/run/systemd/journal/socket", o->log_app);
	return sink_syslog_new(colon ? colon + 1 : "/dev/log");
}

/* The first place of all: the one that dynos wait for. */
static struct sink *open_main(struct supervisor *s, const char *where, struct carry *carry)
{
	const struct options *o = s->options;
	/* The output of `run` is the command's own: what hsup says goes to standard error. */
	int fd = run_mode_lasts(o->mode) ? STDOUT_FILENO : STDERR_FILENO;

	if (!where || strcmp(where, "stdout") == 0) {
		struct sink *sink = sink_terminal_new(fd, use_color(o, fd), o->log_app, carry);

		if (sink)
			sink_terminal_format(sink, o->log_options.format);
		return sink;
	}
	if (!is_datagrams(where))
		return sink_none_new(carry);
	carry_free(carry);
	return open_datagrams(o, where);
}

static int add_place(struct supervisor *s, const char *where, struct err *err)
{
	const struct options *o = s->options;
	struct sink *sink = NULL;

	if (*where == '/')
		return router_add_file(s->router, where, &o->log_options, err);
	if (strcmp(where, "none") == 0)
		return 0;
	if (strcmp(where, "stdout") == 0) {
		sink = sink_terminal_new(
			STDOUT_FILENO, use_color(o, STDOUT_FILENO), o->log_app, NULL);
		if (sink)
			sink_terminal_format(sink, o->log_options.format);
	} else {
		sink = open_datagrams(o, where);
	}
	int r = sink ? router_add_sink(s->router, sink) : -ENOMEM;
	return r < 0 ? err_errno(err, r, "log %s", where) : 0;
}

/* What is first is there already, but for a file. */
static int add_places(struct supervisor *s, struct err *err)
{
	const struct options *o = s->options;

	router_set_app(s->router, o->log_app);
	for (size_t i = 0; i < o->n_logs && o->mode == MODE_START; i++) {
		int r = i == 0 && o->logs[i][0] != '/' ? 0 : add_place(s, o->logs[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

int logs_open(struct supervisor *s, struct err *err)
{
	struct carry *carry = carry_inherit();

	if (!carry)
		return err_errno(err, -ENOMEM, "log");
	const char *refused = carry_refused(carry);
	const struct options *o = s->options;
	const char *where = o->mode == MODE_START && o->n_logs ? o->logs[0] : o->log;
	struct sink *sink = open_main(s, where, carry);
	if (!sink)
		return err_errno(err, -ENOMEM, "log");
	s->router = router_new(s->loop, sink, err);
	if (!s->router)
		return -ENOMEM;
	if (refused)
		router_note(s->router, NULL,
			"the log of an earlier supervisor cannot be continued: %s", refused);
	if (s->options->mode == MODE_UP)
		router_pass_whole(s->router);
	router_hold(s->router);
	log_set_sink(log_to_router, s);
	return add_places(s, err);
}

/* ---- of each type ---- */

static void route(struct supervisor *s, struct life *l, struct tap *t)
{
	char type[LIMIT_NAME + 1];
	struct err err = {0};

	if (!t || !l->release)
		return;
	(void)snprintf(type, sizeof type, "%.*s", (int)strcspn(l->name, "."), l->name);
	const struct process *p = release_process(l->release, type);
	if (p && router_route(s->router, t, &p->log, s->options->control_dir, &err) < 0)
		router_note(s->router, l->name, "error: %s", err.text);
}

void logs_route(struct supervisor *s, struct life *l)
{
	if (s->options->mode != MODE_START)
		return;
	route(s, l, l->out);
	route(s, l, l->err);
}

void logs_changed(struct supervisor *s, struct release *r)
{
	char type[LIMIT_NAME + 1];

	for (size_t i = 0; i < LIFE_BUCKETS; i++)
		for (struct life *l = s->lives[i]; l; l = l->next) {
			(void)snprintf(
				type, sizeof type, "%.*s", (int)strcspn(l->name, "."), l->name);
			if (l->ended || l->release == r || !release_process(r, type))
				continue;
			release_unref(l->release);
			l->release = release_ref(r);
			logs_route(s, l);
		}
}

/* What runs was started for the release in force, or the one before: nothing of its output is taken
 * before it is known where it goes. */
void logs_adopted(struct supervisor *s)
{
	const struct known_release *both[] = {
		release_known(s, s->restoring), release_known(s, s->fallback)};

	for (size_t i = 0; i < s->n_adopted; i++) {
		const struct engine_adopted *a = &s->adopted[i];
		struct life *l = life_find(s, a->id, a->generation);

		for (size_t k = 0; l && !l->release && k < ARRAY_SIZE(both); k++)
			if (both[k] && release_process(both[k]->release, a->type))
				l->release = release_ref(both[k]->release);
		if (l)
			logs_route(s, l);
	}
	router_adopted(s->router);
}

/* ---- for `hsup logs` ---- */

void logs_open_rings(struct supervisor *s)
{
	char path[PATH_MAX];
	struct err err = {0};

	if (!run_mode_lasts(s->options->mode) || !s->options->app_dir || !s->holds_source)
		return;
	if ((size_t)snprintf(path, sizeof path, "%s/log.rings", s->options->app_dir) >= sizeof path)
		return;
	if (rings_open(path, &s->rings, &err) < 0 && rings_open(NULL, &s->rings, &err) < 0) {
		router_note(
			s->router, NULL, "error: no lines are kept for `hsup logs`: %s", err.text);
		return;
	}
	if (rings_refused(s->rings))
		router_note(s->router, NULL, "what was kept for `hsup logs` cannot be read: %s",
			rings_refused(s->rings));
	router_set_rings(s->router, s->rings);
}

/* At the end of all nobody can ask for them any more. */
void logs_close_rings(struct supervisor *s)
{
	char path[PATH_MAX];

	if (!s->rings)
		return;
	s->rings = rings_free(s->rings);
	if (s->exit_code == SUPERVISOR_EXIT_DONE &&
		(size_t)snprintf(path, sizeof path, "%s/log.rings", s->options->app_dir) <
			sizeof path)
		(void)unlink(path);
}
