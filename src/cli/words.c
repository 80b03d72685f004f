/* Options back into words: for the daemon, which starts itself again, and for its apps. */
#include "cli/private.h"

#include <stdio.h>

struct words {
	char **list;
	size_t n, cap;
	bool failed;
};

void cli_words_free(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

static void add_taken(struct words *w, char *word)
{
	if (!word || mem_grow(&w->list, &w->cap, w->n + 2, 1024, sizeof *w->list) < 0) {
		w->failed = true;
		free(word);
		return;
	}
	w->list[w->n++] = word;
}

static void add(struct words *w, const char *word)
{
	add_taken(w, strdup(word));
}

static void add_option(struct words *w, enum option_id id, const char *value)
{
	char *word = NULL;

	if (!value)
		return;
	if (asprintf(&word, "--%s=%s", option_by_id(id)->name, value) < 0)
		word = NULL;
	add_taken(w, word);
}

static void add_flag(struct words *w, enum option_id id, bool on)
{
	char name[40];

	(void)snprintf(name, sizeof name, "--%s", option_by_id(id)->name);
	if (on)
		add(w, name);
}

/* Who may ask the daemon may ask each app of it. */
static void add_control(struct words *w, const struct options *o)
{
	static const enum option_id ids[2][2] = {
		{OPT_WATCH_UID, OPT_WATCH_GID}, {OPT_OPERATE_UID, OPT_OPERATE_GID}};
	char text[16];

	for (unsigned i = 0; i < o->n_control_grants; i++) {
		const struct control_grant *g = &o->control_grants[i];

		(void)snprintf(text, sizeof text, "%u", g->id);
		add_option(w, ids[g->operate][g->group], text);
	}
	(void)snprintf(text, sizeof text, "%04o", (unsigned)o->socket_mode);
	add_option(w, OPT_SOCKET_MODE, o->socket_mode >= 0 ? text : NULL);
	add_option(w, OPT_SOCKET_OWNER, o->socket_owner);
}

static void add_socket(struct words *w, const char *socket)
{
	_cleanup_free_ char *path = NULL;

	if (!socket)
		return;
	if (strcmp(socket, "none") != 0 && path_absolute(socket, &path) < 0)
		w->failed = true;
	else
		add_option(w, OPT_CONTROL_SOCKET, path ? path : socket);
}

static void add_up(struct words *w, const struct options *o)
{
	static const char *const when[] = {"auto", "always", "never"};

	add_flag(w, OPT_FOREGROUND, true);
	add_option(w, OPT_DIR, o->apps_dir);
	add_option(w, OPT_CONFIG, o->config);
	add_option(w, OPT_LOG, o->log);
	add_socket(w, o->control_socket);
	add_option(w, OPT_LISTEN, o->listen);
	add_option(w, OPT_TOKEN_FILE, o->token_file);
	add_option(w, OPT_COLOR, when[o->color]);
}

char **cli_words(const struct options *o, enum run_mode mode, const char *program)
{
	struct words w = {0};
	char number[16];

	(void)snprintf(number, sizeof number, "%u", o->watchdog);
	add(&w, program);
	add(&w, mode == MODE_UP ? "up" : "start");
	add_option(&w, OPT_DRIVER, o->driver);
	add_option(&w, OPT_STATE_DIR, o->state_dir);
	add_option(&w, OPT_RUNTIME_DIR, o->runtime_dir);
	add_option(&w, OPT_WATCHDOG, number);
	(void)snprintf(number, sizeof number, "%u", o->warm);
	/* Programs that are older do not know it: 0 is said only against what they would not know.
	 */
	add_option(&w, OPT_WARM,
		o->warm != OPTIONS_NO_WARM && (o->warm > 0 || getenv("HSUP_WARM")) ? number : NULL);
	add_option(&w, OPT_NETWORK, o->network);
	add_flag(&w, OPT_VERBOSE, o->verbose);
	/* The apps of the daemon are to outlive it; their dynos, as it was wished. */
	add_flag(&w, OPT_DIE_WITH_LAUNCHER, mode == MODE_START && o->die_with_launcher);
	add_option(&w, OPT_USER, o->supervisor_user);
	add_option(&w, OPT_DYNO_USER, o->dyno_user);
	add_flag(&w, OPT_ALLOW_ROOT_DYNOS, o->dyno_ids.root);
	for (size_t i = 0; i < o->dyno_ids.n; i++) {
		char range[40];

		(void)snprintf(range, sizeof range, "%u-%u", o->dyno_ids.ranges[i].min,
			o->dyno_ids.ranges[i].max);
		add_option(&w, OPT_DYNO_IDS, range);
	}
	for (size_t i = 0; i < o->n_binds; i++) {
		char *bind = NULL;

		if (asprintf(&bind, "--bind=%s:%s%s", o->binds[i].host, o->binds[i].container,
			    o->binds[i].read_only ? ":ro" : "") < 0)
			bind = NULL;
		add_taken(&w, bind);
	}
	add_control(&w, o);
	if (mode == MODE_UP)
		add_up(&w, o);
	else
		add_option(&w, OPT_COLOR, "never"); /* its output is a pipe of the daemon's */
	if (w.failed) {
		cli_words_free(w.list);
		return NULL;
	}
	return w.list;
}
