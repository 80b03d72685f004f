/* The launcher's command line. hsup composes it (src/main.c): names are resolved there. */
#pragma once

#include "base/ids.h"
#include "spawn/confine.h"
#include "wire/box_settings.h"

struct options {
	char **argv;	/* all of it, for an upgrade */
	char **command; /* of the supervisor; NULL-terminated */
	bool verbose;
	unsigned watchdog;    /* seconds, 0 = none */
	const char *table;    /* NULL: in memory only */
	const char *versions; /* folder of versions, or NULL */
	bool die_with_launcher;
	bool hup_stops;
	struct confinement confinement; /* of the supervisor */
	struct id_grant grant;		/* to dynos */
	bool terminal;			/* dynos may have one */
	bool lends_terminal;		/* and the supervisor may change its settings */
	/* What an earlier launcher hands over when it becomes this one; -1 = there was none. */
	int resume_fd;
	unsigned resume_count; /* upgrades so far */
	bool check;	       /* only whether it could be taken over */
	const char *box;       /* hsup-box; NULL = there are no boxes */
	char *box_options[BOX_SETTINGS];
	unsigned n_box_options;
};

/* -1 to go on with *ret, or the exit code of a call that ends here. */
int options_parse(int argc, char **argv, struct options *ret);
