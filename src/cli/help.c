/* The help, written out of the records. */
#include "cli/private.h"

#include <stdio.h>

static void print_option(const struct option_record *rec)
{
	char left[64];

	(void)snprintf(left, sizeof left, "%c%c%c --%s%s%s", rec->letter ? '-' : ' ',
		rec->letter ? rec->letter : ' ', rec->letter ? ',' : ' ', rec->name,
		rec->value ? " " : "", rec->value ? rec->value : "");
	(void)printf("  %-28s  %s\n", left, rec->help);
}

static void print_drivers(void)
{
	const struct cli_driver_name *d;

	if (!driver_name_at(0))
		return;
	(void)puts("\nDrivers (-d):");
	for (size_t i = 0; (d = driver_name_at(i)); i++)
		(void)printf("  %-10s %s\n", d->name, d->summary);
}

void help_overview(void)
{
	const struct command *c;

	(void)puts("usage: hsup COMMAND [OPTION]... [OPERAND]...\n\nCommands:");
	for (size_t i = 0; (c = command_at(i)); i++)
		if (!c->hidden)
			(void)printf("  %-10s %s\n", c->name, c->summary);
	print_drivers();
	(void)puts("\nOptions may stand before or after the command.\n"
		   "'hsup help COMMAND' shows those it takes. The manual: hsup(1).");
}

void help_command(const struct command *c)
{
	const struct option_record *rec;

	(void)printf("usage: hsup %s%s%s%s\n\n%c%s.\n", c->name, c->options ? " [OPTION]..." : "",
		c->operands[0] ? " " : "", c->operands, c->summary[0] - 'a' + 'A', c->summary + 1);
	if (c->help)
		(void)printf("\n%s", c->help);
	(void)puts("\nOptions:");
	for (size_t i = 0; c->options && c->options[i]; i++)
		print_option(option_by_id(c->options[i]));
	rec = option_by_id(OPT_HELP);
	print_option(rec);
	if (command_takes(c, OPT_DRIVER))
		print_drivers();
}

static int run(struct options *o, int n_operands, char **operands)
{
	(void)o;
	if (n_operands > 1)
		return usage_error(&command_help, "takes one COMMAND");
	if (n_operands == 0) {
		help_overview();
		return EXIT_OK;
	}
	const struct command *c = command_find(operands[0]);
	if (c && !c->hidden) {
		help_command(c);
		return EXIT_OK;
	}
	return unknown_command(&command_help, operands[0]);
}

const struct command command_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.summary = "show the commands, or one of them",
	.run = run,
};
