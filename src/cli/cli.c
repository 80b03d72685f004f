#include "cli/private.h"

#include "base/str.h"
#include "model/validate.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

struct call {
	struct options *o;
	const struct command *command;
	option_set given;
};

HSUP_PRINTF(2, 0)
static void say(const struct command *c, const char *fmt, va_list ap, bool see_help)
{
	char text[700];

	(void)vsnprintf(text, sizeof text, fmt, ap);
	(void)fprintf(stderr, "hsup%s%s: %s", c ? " " : "", c ? c->name : "", text);
	if (see_help)
		(void)fprintf(stderr, "; see 'hsup help%s%s'", c ? " " : "", c ? c->name : "");
	(void)fputc('\n', stderr);
}

int usage_error(const struct command *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, fmt, ap, true);
	va_end(ap);
	return EXIT_USAGE;
}

int command_error(const struct command *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, fmt, ap, false);
	va_end(ap);
	return EXIT_REFUSED;
}

int unknown_command(const struct command *c, const char *name)
{
	const char *names[COMMAND_MAX];
	const char *near = nearest_name(name, names, command_names(names));
	char shown[80];

	str_printable(name, strlen(name), shown, sizeof shown);
	if (near)
		return usage_error(c, "unknown command '%s' (did you mean '%s'?)", shown, near);
	return usage_error(c, "unknown command '%s'", shown);
}

int options_error(const struct command *c, int r, const struct err *err)
{
	return r == -EINVAL ? usage_error(c, "%s", err->text) : command_error(c, "%s", err->text);
}

int need_control_dir(const struct command *c, const struct options *o)
{
	if (o->control_dir)
		return EXIT_OK;
	return usage_error(
		c, "no control directory: give the app's with -C PATH or in HSUP_CONTROL_DIR");
}

static bool given(const struct call *c, enum option_id id)
{
	return c->given & OPTION_BIT(id);
}

static int find_command(struct call *c, const char *name)
{
	const struct option_record *rec;

	c->command = command_find(name);
	if (!c->command)
		return unknown_command(NULL, name);
	for (size_t i = 0; (rec = option_at(i)); i++)
		if (given(c, rec->id) && !command_takes(c->command, rec->id))
			return usage_error(
				c->command, "'--%s' is not an option of this command", rec->name);
	c->o->mode = c->command->mode;
	return EXIT_OK;
}

/* A disk that is full must not look like success. */
static int flush_output(const struct command *c)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_OK;
	return command_error(
		c, "standard output: %s", errno ? err_name(errno) : "cannot be written");
}

static int do_it(struct call *c, int n_operands, char **operands, int *ret_code)
{
	if (c->command == &command_start && start_asks(c->o, n_operands)) {
		(void)signal(SIGPIPE, SIG_DFL);
		*ret_code = start_ask(c->o, n_operands, operands);
		int said = flush_output(c->command);
		*ret_code = *ret_code != EXIT_OK ? *ret_code : said;
		c->command = &command_help; /* what has run: nothing is to be launched */
		return EXIT_OK;
	}
	if (c->command->launches) {
		struct err err;

		int r = c->o->mode == MODE_UP ? options_complete_paths(c->o, NULL, &err)
					      : options_complete(c->o, &err);
		if (r == 0)
			r = options_warm(c->o, &err);
		if (r < 0)
			return options_error(c->command, r, &err);
		return c->command->run(c->o, n_operands, operands);
	}
	(void)signal(SIGPIPE, SIG_DFL);
	int code = c->command->run(c->o, n_operands, operands);
	int flushed = flush_output(c->command);
	*ret_code = code != EXIT_OK ? code : flushed;
	return EXIT_OK;
}

static int show_instead(struct call *c, int *ret_code)
{
	if (given(c, OPT_VERSION)) {
		c->command = &command_version;
		return do_it(c, 0, NULL, ret_code);
	}
	if (c->command)
		help_command(c->command);
	else
		help_overview();
	c->command = &command_help; /* what has run: nothing is to be launched */
	*ret_code = flush_output(c->command);
	return EXIT_OK;
}

static int parse(struct call *c, int argc, char **argv, int *ret_code)
{
	int at, operands = 0;

	int r = parse_options(c->o, NULL, argc, argv, &c->given, &at);
	if (r != EXIT_OK)
		return r;
	if (given(c, OPT_VERSION) || (given(c, OPT_HELP) && at >= argc))
		return show_instead(c, ret_code);
	if (at >= argc)
		return usage_error(NULL, "no command given");
	r = find_command(c, argv[at]);
	if (r != EXIT_OK)
		return r;
	if (c->command->raw)
		return do_it(c, argc - at - 1, argv + at + 1, ret_code);
	r = parse_options(c->o, c->command, argc - at, argv + at, &c->given, &operands);
	if (r != EXIT_OK)
		return r;
	if (given(c, OPT_HELP))
		return show_instead(c, ret_code);
	return do_it(c, argc - at - operands, argv + at + operands, ret_code);
}

int cli_parse(
	int argc, char **argv, struct options *o, const struct command **ret_command, int *ret_code)
{
	const struct cli_driver_name *driver = driver_name_at(0);
	struct call c = {.o = o};
	int code = EXIT_OK;

	*o = (struct options){
		.driver = driver ? driver->name : NULL,
		.start_number = 1,
		.ask = {.lines = OPTIONS_NO_LINES},
		.watchdog = LIMIT_SILENCE,
		.warm = OPTIONS_NO_WARM,
		.timeout = OPTIONS_NO_TIMEOUT,
		.socket_mode = -1,
		.log_options = {.max_bytes = (uint64_t)50 << 20, .keep = 10},
		.words = calloc((size_t)argc + 1, sizeof *o->words),
	};
	if (!o->words)
		return command_error(NULL, "out of memory");
	/* A copy: getopt moves words about, and main.c passes argv on. */
	if (argc > 0)
		memcpy(o->words, argv, (size_t)argc * sizeof *o->words);
	int r = parse(&c, argc, o->words, &code);
	if (r != EXIT_OK) {
		cli_options_done(o);
		return r;
	}
	*ret_command = c.command;
	*ret_code = code;
	return EXIT_OK;
}
