/* Options by getopt_long, from the records; and what is said when they are wrong. */
#include "cli/private.h"

#include "base/str.h"
#include "model/validate.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#define LONG_BASE 256 /* what getopt returns for a long option: LONG_BASE + its id */
#define SHOWN	  80

struct parser {
	const struct command *command; /* NULL: options in front of the command's name */
	struct option longs[OPT_MAX + 1];
	char letters[2 * OPT_MAX + 3];
};

/* The options that count here, for getopt: all in front of the command, behind it its own. */
static void make_tables(struct parser *p)
{
	const struct option_record *rec;
	size_t n = 0, at = 0;

	if (!p->command || p->command->stop_at_operand)
		p->letters[at++] = '+';
	p->letters[at++] = ':';
	for (size_t i = 0; (rec = option_at(i)); i++) {
		if (p->command && !command_takes(p->command, rec->id))
			continue;
		p->longs[n++] =
			(struct option){rec->name, rec->value ? required_argument : no_argument,
				NULL, LONG_BASE + (int)rec->id};
		if (!rec->letter)
			continue;
		p->letters[at++] = rec->letter;
		if (rec->value)
			p->letters[at++] = ':';
	}
	p->longs[n] = (struct option){0};
	p->letters[at] = '\0';
}

static const struct option_record *record_of(int got)
{
	const struct option_record *rec;

	if (got >= LONG_BASE)
		return option_by_id((enum option_id)(got - LONG_BASE));
	for (size_t i = 0; (rec = option_at(i)); i++)
		if (rec->letter && rec->letter == got)
			return rec;
	return NULL;
}

/* The option as the user wrote it, without a value. */
static const char *written(int got, const char *word, char ret_text[SHOWN])
{
	char letter = (char)got;

	if (got > 0 && got < LONG_BASE) {
		ret_text[0] = '-';
		str_printable(&letter, 1, ret_text + 1, SHOWN - 1);
	} else {
		str_printable(word, strcspn(word, "="), ret_text, SHOWN);
	}
	return ret_text;
}

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int ambiguous(const struct parser *p, const char *shown)
{
	char list[300] = "";
	size_t at = 0;

	for (const struct option *l = p->longs; l->name; l++)
		if (begins(l->name, shown + 2)) {
			int n = snprintf(
				list + at, sizeof list - at, "%s'--%s'", at ? ", " : "", l->name);
			at += (size_t)n < sizeof list - at ? (size_t)n : 0;
		}
	return usage_error(p->command, "option '%s' is not clear: %s?", shown, list);
}

static int unknown_long(const struct parser *p, const char *shown)
{
	const char *names[OPT_MAX];
	const struct option_record *rec;
	size_t n = 0, begin = 0;

	for (size_t i = 0; p->command && (rec = option_at(i)); i++)
		if (strcmp(rec->name, shown + 2) == 0)
			return usage_error(
				p->command, "'%s' is not an option of this command", shown);
	for (const struct option *l = p->longs; l->name; l++) {
		begin += begins(l->name, shown + 2);
		names[n++] = l->name;
	}
	if (begin > 1)
		return ambiguous(p, shown);
	const char *near = nearest_name(shown + 2, names, n);
	if (near)
		return usage_error(
			p->command, "unknown option '%s' (did you mean '--%s'?)", shown, near);
	return usage_error(p->command, "unknown option '%s'", shown);
}

/* getopt said '?' (unknown, or a value where none belongs) or ':' (a value is missing). */
static int bad_option(const struct parser *p, int said, const char *word)
{
	char shown[SHOWN];

	written(optopt, word, shown);
	const struct option_record *rec = optopt ? record_of(optopt & 0xffff) : NULL;
	if (said == ':' && rec)
		return usage_error(p->command, "option '%s' needs a value: %s", shown, rec->value);
	if (optopt >= LONG_BASE)
		return usage_error(p->command, "option '%s' takes no value", shown);
	if (optopt == 0)
		return unknown_long(p, shown);
	if (p->command && rec)
		return usage_error(p->command, "'%s' is not an option of this command", shown);
	return usage_error(p->command, "unknown option '%s'", shown);
}

static int apply(const struct parser *p, struct options *o, int got, option_set *given)
{
	const struct option_record *rec = record_of(got);
	char shown[SHOWN];
	struct err err;

	if (!rec)
		return usage_error(p->command, "unknown option '%s'", written(got, "", shown));
	if (got >= LONG_BASE)
		(void)snprintf(shown, sizeof shown, "--%s", rec->name);
	else
		(void)snprintf(shown, sizeof shown, "-%c", rec->letter);
	*given |= OPTION_BIT(rec->id);
	int r = options_apply(o, rec->id, shown, optarg, &err);
	return r < 0 ? options_error(p->command, r, &err) : EXIT_OK;
}

int parse_options(struct options *o, const struct command *c, int argc, char **argv,
	option_set *given, int *ret_at)
{
	struct parser p = {.command = c};
	int got, r = EXIT_OK;

	make_tables(&p);
	opterr = 0;
	optind = 0; /* glibc: begin anew */
	while (r == EXIT_OK && (got = getopt_long(argc, argv, p.letters, p.longs, NULL)) != -1)
		r = got == '?' || got == ':' ? bad_option(&p, got, argv[optind - 1])
					     : apply(&p, o, got, given);
	if (r == EXIT_OK)
		*ret_at = optind;
	return r;
}
