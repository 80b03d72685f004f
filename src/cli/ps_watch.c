/* `hsup ps --watch`: on a terminal a table that is drawn anew, else a line for each change. */
#include "cli/await.h"
#include "cli/dyno_row.h"
#include "cli/ps.h"

#include "base/clock.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_MS 100

struct seen {
	char *label, *signature;
	json_int_t pid; /* the last that it had */
	bool here;
};

struct watcher {
	struct reach *reach;
	bool terminal, color, begun;
	json_t *missing; /* on a terminal, once it is known */
	struct seen *seen;
	size_t n, cap;
};

/* As many lines as fit: what is drawn is never scrolled away from under the next drawing. */
static void print_screen(const char *text)
{
	struct winsize size = {0};
	unsigned rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2
				? (unsigned)size.ws_row - 1
				: 1000;

	(void)fputs("\033[H", stdout);
	for (unsigned i = 0; i < rows && *text; i++) {
		size_t len = strcspn(text, "\n");

		(void)printf("%.*s\033[K\n", (int)len, text);
		text += len + (text[len] == '\n');
	}
	(void)fputs("\033[J", stdout);
}

static int draw(struct watcher *w)
{
	struct table t;
	char *text = NULL, stamp[CLOCK_STAMP_LEN + 1];
	size_t len;
	FILE *memory = open_memstream(&text, &len);

	if (!memory)
		return -ENOMEM;
	clock_stamp(clock_wall(), stamp);
	(void)fprintf(memory, "%.19sZ   Ctrl-C leaves\n\n", stamp);
	int r = ps_table(w->reach, &t);
	if (r == 0)
		r = table_print(&t, memory, w->color);
	if (!w->missing)
		w->missing = ps_missing(w->reach);
	ps_print_missing(w->missing, memory);
	for_each_app(w->reach, app) if (app->failed && !app->name)(void)
		fprintf(memory, "%s; trying again\n", app->err.text);
	table_done(&t);
	if (fclose(memory) != 0)
		r = -ENOMEM;
	if (r == 0)
		print_screen(text);
	free(text);
	return r;
}

static struct seen *find(struct watcher *w, const char *label)
{
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->seen[i].label, label) == 0)
			return &w->seen[i];
	return NULL;
}

/* True when it is new, or another than before. */
static bool note(struct watcher *w, const struct app *app, json_t *dyno)
{
	char label[300];

	/* During a rollout there are two of a name. */
	(void)snprintf(label, sizeof label, "%s#%lld", app_label(app, member_text(dyno, "name")),
		(long long)member_int(dyno, "id"));
	struct seen *s = find(w, label);
	char *signature = dyno_signature(dyno);
	if (!s && mem_grow(&w->seen, &w->cap, w->n + 1, 1 << 20, sizeof *w->seen) == 0) {
		s = &w->seen[w->n];
		s->label = strdup(label);
		if (!s->label)
			s = NULL;
		else
			w->n++;
	}
	if (!s || !signature) {
		free(signature);
		return true;
	}
	bool same = s->signature && strcmp(s->signature, signature) == 0;
	free(s->signature);
	s->signature = signature;
	s->here = true;
	if (member_int(dyno, "pid") > 0)
		s->pid = member_int(dyno, "pid");
	return !same;
}

static void say_gone(struct watcher *w, const char *stamp)
{
	for (size_t i = 0; i < w->n; i++) {
		struct seen *s = &w->seen[i];

		if (!s->here) {
			(void)printf(
				"%s  %.*s  gone", stamp, (int)strcspn(s->label, "#"), s->label);
			if (s->pid)
				(void)printf("  pid %lld", (long long)s->pid);
			(void)putchar('\n');
			free(s->label);
			free(s->signature);
			*s = w->seen[--w->n];
			w->seen[w->n] = (struct seen){0};
			i--;
		}
	}
}

static int tell_changes(struct watcher *w)
{
	char stamp[CLOCK_STAMP_LEN + 1];
	_cleanup_strbuf_ struct strbuf text = STRBUF(2000);
	bool answered = true;
	json_t *dyno;
	size_t i;

	clock_stamp(clock_wall(), stamp);
	for (i = 0; i < w->n; i++)
		w->seen[i].here = false;
	for_each_app(w->reach, app)
	{
		answered = answered && app->failed == 0;
		json_array_foreach(app->answer, i, dyno)
		{
			if (!note(w, app, dyno))
				continue;
			dyno_note(dyno, &text);
			(void)printf("%s  %s  %s", stamp, app_label(app, member_text(dyno, "name")),
				dyno_state(dyno));
			if (member_int(dyno, "pid") > 0)
				(void)printf("  pid %lld", (long long)member_int(dyno, "pid"));
			if (member_int(dyno, "version") > 0)
				(void)printf("  v%lld", (long long)member_int(dyno, "version"));
			(void)printf("%s%s\n", text.len ? "  " : "", text.len ? text.data : "");
		}
	}
	/* Of an app that does not answer nothing is known: its dynos may run on. */
	if (answered)
		say_gone(w, stamp);
	return 0;
}

static int changed(void *userdata)
{
	struct watcher *w = userdata;

	w->reach->quiet = true;
	int failed = reach_ask(w->reach, "GET", "/v1/dynos", true);
	w->reach->quiet = false;
	/* At first, and for good: a name that is unknown, no right, nobody there. */
	if (failed != EXIT_OK && !w->begun)
		return reach_failures(w->reach);
	w->begun = true;
	if ((w->terminal ? draw(w) : tell_changes(w)) < 0)
		return ask_error(w->reach, EXIT_REFUSED, "out of memory");
	if (fflush(stdout) != 0)
		return EXIT_OK; /* what is said of that is said at the end */
	return AWAIT_GO_ON;
}

int ps_watch(struct reach *r, const struct options *o)
{
	struct watcher w = {
		.reach = r,
		.terminal = isatty(STDOUT_FILENO),
		.color = color_wanted((int)o->color, STDOUT_FILENO),
	};
	struct await a = {
		.reach = r,
		.gap_ms = w.terminal ? REDRAW_MS : 0,
		.changed = changed,
		.userdata = &w,
	};

	if (w.terminal)
		(void)fputs("\033[2J", stdout);
	int code = await(&a);
	for (size_t i = 0; i < w.n; i++) {
		free(w.seen[i].label);
		free(w.seen[i].signature);
	}
	free(w.seen);
	json_decref(w.missing);
	return code;
}
