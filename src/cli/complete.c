/* What a shell may offer for the last of WORDS: lines of "word<TAB>help". Nothing is printed where
 * file names belong. */
#include "cli/private.h"

#include "base/parse.h"

#include <stdio.h>

void offer(const char *prefix, const char *word, const char *help)
{
	if (strncmp(word, prefix, strlen(prefix)) == 0)
		(void)printf("%s\t%s\n", word, help);
}

static void offer_commands(const char *prefix)
{
	const struct command *c;

	for (size_t i = 0; (c = command_at(i)); i++)
		if (!c->hidden)
			offer(prefix, c->name, c->summary);
}

static void offer_options(const struct command *c, const char *prefix)
{
	const struct option_record *rec;
	char word[40];

	for (size_t i = 0; (rec = option_at(i)); i++) {
		if (c && !command_takes(c, rec->id))
			continue;
		(void)snprintf(word, sizeof word, "--%s", rec->name);
		offer(prefix, word, rec->help);
	}
}

static void offer_list(const char *const *names, const char *prefix, const char *help)
{
	for (size_t i = 0; names[i]; i++)
		offer(prefix, names[i], help);
}

struct place {				   /* where in a command line the last word stands */
	struct options *options;	   /* what the words in front say */
	const struct command *command;	   /* NULL: in front of it */
	const struct option_record *value; /* whose value it is */
	int operands;			   /* in front of it */
	const char *first;		   /* of those; NULL = there is none */
	bool file;			   /* only the shell can know */
};

static void offer_values(const struct place *at, const char *prefix)
{
	const struct option_record *rec = at->value;
	const struct cli_driver_name *d;

	switch (rec->complete) {
	case COMPLETE_DRIVER:
		for (size_t i = 0; (d = driver_name_at(i)); i++)
			offer(prefix, d->name, d->summary);
		break;
	case COMPLETE_COLOR:
		offer_list(color_names, prefix, "when to write in colours");
		break;
	case COMPLETE_STREAM:
		offer_list(stream_names, prefix, "which lines");
		break;
	case COMPLETE_FORMAT:
		offer_list(format_names, prefix, "how they look");
		break;
	case COMPLETE_NETWORK:
		offer_list(network_names, prefix, "what native dynos see of the network");
		break;
	case COMPLETE_DYNO:
		if (at->command)
			offer_live(at->options, at->command, NAMES_DYNOS, prefix);
		break;
	case COMPLETE_NONE:
		break;
	}
}

/* The option that takes the word behind this one as its value. */
static const struct option_record *wants_value(const char *word)
{
	const struct option_record *rec;

	if (word[0] != '-')
		return NULL;
	for (size_t i = 0; (rec = option_at(i)); i++) {
		if (!rec->value)
			continue;
		if (word[1] == '-' ? strcmp(word + 2, rec->name) == 0
				   : word[1] && word[1] == rec->letter && !word[2])
			return rec;
	}
	return NULL;
}

/* Which hsup to ask is said by options, too. */
static void note_value(struct place *at, const char *word)
{
	struct err err;

	if (options_apply(at->options, at->value->id, at->value->name, word, &err) < 0)
		return; /* then there is nobody to ask: it shows when the line is run */
}

static void step(struct place *at, const char *word)
{
	if (at->value) {
		/* bash takes "--color=never" apart into three words. */
		if (strcmp(word, "=") == 0)
			return;
		note_value(at, word);
		at->value = NULL;
		return;
	}
	at->value = wants_value(word);
	if (at->command && at->command->stop_at_operand)
		at->file = at->file || word[0] != '-';
	if (strcmp(word, "--") == 0)
		at->file = true;
	if (at->command && word[0] != '-' && at->operands++ == 0)
		at->first = word;
	if (!at->command && word[0] != '-') {
		at->command = command_find(word);
		at->file = !at->command;
	}
}

static void offer_operand(const struct place *at, const char *prefix)
{
	enum names names = at->command ? at->command->names : NAMES_NONE;
	char word[16];

	if (!at->command || at->command == &command_help) {
		offer_commands(prefix);
	} else if (at->command == &command_stack) {
		offer_stacks(at->options, at->first, at->operands, prefix);
	} else if (names == NAMES_SIGNAL && at->operands == 0) {
		for (int signo = 1; signo < 32; signo++) {
			(void)snprintf(word, sizeof word, "%s", signal_name(signo));
			if (word[0] != '?')
				offer(prefix, word, "a signal");
		}
	} else if (names != NAMES_NONE) {
		offer_live(at->options, at->command, names == NAMES_SIGNAL ? NAMES_DYNOS : names,
			prefix);
	}
}

static int run(struct options *o, int n, char **words)
{
	struct place at = {.options = o};

	if (n == 0)
		return EXIT_OK;
	for (int i = 0; i < n - 1 && !at.file; i++)
		step(&at, words[i]);

	const char *last = words[n - 1];
	if (at.file)
		return EXIT_OK;
	if (at.value)
		offer_values(&at, strcmp(last, "=") == 0 ? "" : last);
	else if (last[0] == '-')
		offer_options(at.command, last);
	else
		offer_operand(&at, last);
	return EXIT_OK;
}

const struct command command_complete = {
	.name = "__complete",
	.operands = "WORD...",
	.summary = "offer words to complete a command line with",
	.raw = true,
	.hidden = true,
	.run = run,
};
