/* What a run of the program was told to do: plain data, made by the command line, used by the
 * supervisor. The command line owns all of it (cli_options_done()); strings that are not said to be
 * owned point into argv, the environment or static text. */
#pragma once

#include "model/formation.h"

#define OPTIONS_START_NUMBER_MAX 1000000

enum run_mode {
	MODE_START, /* keep the formation running */
	MODE_RUN,   /* one command with the app's environment */
	MODE_BUILD, /* only make the release ready */
};

enum color_mode {
	COLOR_AUTO, /* on a terminal, unless NO_COLOR is set or TERM=dumb */
	COLOR_ALWAYS,
	COLOR_NEVER,
};

struct options {
	enum run_mode mode;
	const char *driver;	    /* its name, never an alias; default "simple" */
	const char *app;	    /* -a; the release's Name beats it; may be NULL */
	char *control_dir;	    /* -C or HSUP_CONTROL_DIR; absolute, owned; NULL = none: for
				     * commands that do not launch only */
	char *state_dir;	    /* absolute, owned; NULL as above */
	const char *control_socket; /* -s; NULL = none */
	const char *against;	    /* of `check`; NULL = none */
	bool oneshot;
	unsigned start_number; /* from 1 */
	unsigned watchdog; /* seconds that the launcher bears a silent supervisor; 0 = for ever */
	enum color_mode color;
	bool verbose;
	struct bind_mount *binds; /* --bind host:container, any number; owned */
	size_t n_binds;
	struct quantity_override *overrides; /* `start web=2 worker`; owned */
	size_t n_overrides;
	char **command; /* of `run`: NULL-terminated; n_command words */
	size_t n_command;
	char **words; /* argv as it was parsed, owned; command points into it */
};
