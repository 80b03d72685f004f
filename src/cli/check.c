/* What a release would do, or all that is wrong with it. Touches nothing. */
#include "cli/check_show.h"
#include "cli/private.h"

#include "model/diff.h"

#include <stdio.h>

static const enum option_id takes[] = {OPT_AGAINST, 0};

static int type_width(const struct formation *a, const struct formation *b)
{
	int width = 0;

	for (int k = 0; k < 2; k++) {
		const struct formation *f = k ? b : a;

		for (unsigned i = 0; f && i < f->n_types; i++) {
			int len = (int)strlen(f->types[i].name);
			width = len > width ? len : width;
		}
	}
	return width;
}

static int print_types(const struct release *r)
{
	_cleanup_free_ struct formation *f = formation_new(r);
	char text[CHECK_SHOWN];

	if (!f)
		return command_error(&command_check, "out of memory");
	int width = type_width(f, NULL);
	for (size_t i = 0; i < r->n_processes; i++) {
		const struct process *p = &r->processes[i];

		(void)printf("%-*s %4u  %s%s\n", width, p->type, p->quantity,
			check_command(p->args, p->n_args, text),
			p->autostart ? "" : "  (started only when asked for)");
		check_show(width + 7, p);
	}
	return EXIT_OK;
}

/* "web  replace  2 -> 3  Args, Env; Log": for what stands behind the semicolon nobody is replaced.
 */
static void print_diff(int width, const struct type_diff *d, const struct release *before,
	const struct release *now)
{
	const char *names[DIFF_NAMES];
	size_t replacing, n = process_diff(before, now, d->type, names, &replacing);
	bool only_options = d->change == CHANGE_SAME && n > 0;

	(void)printf("%-*s  %-7s  ", width, d->type,
		only_options ? "options" : type_change_text(d->change));
	if (d->old_quantity == d->new_quantity)
		(void)printf("%u", d->new_quantity);
	else
		(void)printf("%u -> %u", d->old_quantity, d->new_quantity);
	for (size_t i = 0; i < n; i++)
		(void)printf("%s%s",
			i == 0			      ? "  "
			: i == replacing && replacing ? "; "
						      : ", ",
			names[i]);
	(void)printf("\n");
}

static int print_diffs(const struct release *before, const struct release *now)
{
	_cleanup_free_ struct formation *old = formation_new(before), *new = formation_new(now);
	_cleanup_free_ struct type_diff *list = NULL;

	if (old && new)
		list = calloc(old->n_types + new->n_types + 1, sizeof *list);
	if (!list)
		return command_error(&command_check, "out of memory");
	size_t n = formation_diff(old, new, list);
	for (size_t i = 0; i < n; i++)
		print_diff(type_width(old, new), &list[i], before, now);
	return EXIT_OK;
}

static int check_one(const char *file, const struct release *old)
{
	struct release *r = load_release(&command_check, file);

	if (!r)
		return EXIT_REFUSED;
	int code = old ? print_diffs(old, r) : print_types(r);
	(void)release_unref(r);
	return code;
}

static int run(struct options *o, int n_operands, char **operands)
{
	struct release HSUP_CLEANUP(release_unrefp) *old = NULL;
	int code = EXIT_OK;

	if (n_operands == 0)
		return usage_error(&command_check, "no FILE given");
	if (o->against && n_operands > 1)
		return usage_error(&command_check, "one FILE only with --against");
	if (o->against && !(old = load_release(&command_check, o->against)))
		code = EXIT_REFUSED;
	for (int i = 0; i < n_operands; i++) {
		if (n_operands > 1)
			(void)printf("%s%s:\n", i ? "\n" : "", operands[i]);
		if (check_one(operands[i], old) != EXIT_OK)
			code = EXIT_REFUSED;
	}
	return code;
}

const struct command command_check = {
	.name = "check",
	.operands = "FILE...",
	.summary = "check releases, and show what they would run",
	.help = "Prints the process types of each FILE with their quantity and command, or all\n"
		"errors of it as FILE:LINE:COLUMN: path: text, and then exits with 1. Names that\n"
		"only exist at run time (slug, env files, users) are not looked for.\n"
		"\n"
		"With --against, what changes: the keys for which the dynos of a type are\n"
		"replaced, and behind a semicolon those that hold at once for the dynos that run.\n"
		"\n"
		"Examples:\n"
		"  hsup check release.json\n"
		"  hsup check --against /srv/shop/loaded release.json\n",
	.options = takes,
	.run = run,
};
