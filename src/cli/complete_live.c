/* Names of dynos, types, apps and releases, from the hsup that the words in front name. */
#include "cli/reach.h"

#include <stdio.h>

#define PATIENCE_MS 500 /* whoever has pressed TAB waits for it */

static void offer_dynos(const struct app *app, const json_t *dyno, const char *prefix)
{
	char word[256];

	offer(prefix, app_label(app, member_text(dyno, "name")), member_text(dyno, "state"));
	(void)snprintf(word, sizeof word, "%s", app_label(app, member_text(dyno, "type")));
	/* Said once: the first of its type. */
	if (member_int(dyno, "instance") <= 1)
		offer(prefix, word, "all of this type");
}

static void offer_type(
	const struct app *app, const json_t *type, const struct command *c, const char *prefix)
{
	char word[256];

	(void)snprintf(word, sizeof word, "%s%s", app_label(app, member_text(type, "type")),
		c == &command_scale ? "=" : "");
	offer(prefix, word, member_text(type, "command"));
}

static void offer_release(const json_t *release, const char *prefix)
{
	char word[32];

	(void)snprintf(word, sizeof word, "v%lld", (long long)member_int(release, "version"));
	offer(prefix, word, member_text(release, "created_at"));
}

static void offer_apps(const struct reach *r, const char *prefix)
{
	for (size_t i = 0; r->daemon && i < r->n_apps; i++)
		offer(prefix, r->apps[i].name, r->apps[i].state ? r->apps[i].state : "an app");
}

static void offer_all(
	struct reach *r, const struct command *c, enum names names, const char *prefix)
{
	static const char *const paths[] = {
		[NAMES_DYNOS] = "/v1/dynos",
		[NAMES_TYPES] = "/v1/app",
		[NAMES_RELEASES] = "/v1/releases",
	};
	json_t *one;
	size_t i;

	(void)reach_ask(r, "GET", paths[names], false);
	for_each_app(r, app)
	{
		if (names == NAMES_DYNOS) {
			json_array_foreach(app->answer, i, one)
			{
				offer_dynos(app, one, prefix);
			}
		} else if (names == NAMES_TYPES) {
			json_array_foreach(json_object_get(app->answer, "types"), i, one)
			{
				offer_type(app, one, c, prefix);
			}
		} else {
			json_array_foreach(app->answer, i, one)
			{
				offer_release(one, prefix);
			}
		}
	}
}

void offer_live(struct options *o, const struct command *c, enum names names, const char *prefix)
{
	struct reach r = {.quiet = true, .timeout_ms = PATIENCE_MS};

	if (reach_open(&r, c, o) == EXIT_OK && reach_choose(&r, NULL, 0) == EXIT_OK) {
		offer_apps(&r, prefix);
		if (names != NAMES_APPS && !(names == NAMES_RELEASES && r.daemon))
			offer_all(&r, c, names, prefix);
	}
	reach_done(&r);
}
