/* Names as the operator writes them: "web.1", or of the daemon "shop/web.1", "shop". */
#include "cli/reach.h"

#include "base/str.h"
#include "model/validate.h"

#include <fnmatch.h>
#include <stdio.h>

static bool has_wildcard(const char *text)
{
	return strpbrk(text, "*?[") != NULL;
}

static int add_name(struct reach *r, struct app *app, const char *pattern)
{
	char **grown = reallocarray(app->names, app->n_names + 1, sizeof *grown);

	if (grown)
		app->names = grown;
	char *copy = grown ? strdup(pattern) : NULL;
	if (!copy)
		return ask_error(r, EXIT_REFUSED, "out of memory");
	grown[app->n_names++] = copy;
	app->chosen = true;
	return EXIT_OK;
}

static int unknown_app(struct reach *r, const char *name)
{
	_cleanup_free_ const char **names = calloc(r->n_apps + 1, sizeof *names);
	char shown[80];

	for (size_t i = 0; names && i < r->n_apps; i++)
		names[i] = r->apps[i].name;
	const char *near = names ? nearest_name(name, names, r->n_apps) : NULL;
	str_printable(name, strlen(name), shown, sizeof shown);
	if (near)
		return ask_error(
			r, EXIT_UNREACHED, "no app fits \"%s\"; did you mean \"%s\"?", shown, near);
	return ask_error(r, EXIT_UNREACHED,
		"no app fits \"%s\" (a dyno of an app is APP/DYNO, as in shop/web.1)", shown);
}

static int choose_of_daemon(struct reach *r, const char *name)
{
	const char *slash = strchr(name, '/');
	_cleanup_free_ char *part = slash ? strndup(name, (size_t)(slash - name)) : strdup(name);
	const char *pattern = slash && slash[1] ? slash + 1 : "*";
	bool all = part && strcmp(part, "all") == 0, any = false;

	if (!part)
		return ask_error(r, EXIT_REFUSED, "out of memory");
	for (size_t i = 0; i < r->n_apps; i++) {
		struct app *app = &r->apps[i];

		if (!all && fnmatch(part, app->name, 0) != 0)
			continue;
		app->wild = app->wild || all || has_wildcard(part);
		int code = add_name(r, app, pattern);
		if (code != EXIT_OK)
			return code;
		any = true;
	}
	/* A folder that is empty has nothing to say, and nothing is wrong. */
	return any || ((all || strcmp(part, "*") == 0) && r->n_apps == 0) ? EXIT_OK
									  : unknown_app(r, part);
}

int reach_choose(struct reach *r, char *const *names, size_t n)
{
	int code = EXIT_OK;

	for (size_t i = 0; i < r->n_apps; i++) {
		r->apps[i].chosen = n == 0;
		r->apps[i].wild = n == 0;
	}
	for (size_t i = 0; i < n && code == EXIT_OK; i++) {
		char shown[80];

		if (r->daemon)
			code = choose_of_daemon(r, names[i]);
		else if (strchr(names[i], '/'))
			code = usage_error(r->command,
				"'%s' names an app, but there is one only here: give the name "
				"behind the '/'",
				str_printable(names[i], strlen(names[i]), shown, sizeof shown));
		else
			code = add_name(r, &r->apps[0], names[i]);
	}
	return code;
}

int reach_one(struct reach *r, struct app **ret_app)
{
	struct app *one = NULL;
	size_t n = 0;

	for_each_app(r, app)
	{
		one = app;
		n++;
	}
	if (n != 1)
		return usage_error(r->command, "one app only: name it with -a APP, -C or -s");
	*ret_app = one;
	return EXIT_OK;
}

const char *app_label(const struct app *app, const char *name)
{
	static char label[256];

	(void)snprintf(label, sizeof label, "%s%s%s", app->name ? app->name : "",
		app->name && *name ? "/" : "", name);
	return label;
}
