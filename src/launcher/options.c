#include "launcher/options.h"

#include "base/limits.h"
#include "base/parse.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"Usage: hsup-launcher [OPTION]... [--] SUPERVISOR [ARG...]\n"
	"Starts SUPERVISOR, starts it again when it dies, and keeps the processes it ordered.\n"
	"\n"
	"  --verbose             say more\n"
	"  --watchdog SECONDS    replace a supervisor that is silent for so long (30; 0: never)\n"
	"  --table FILE          keep the list of processes where a later launcher finds it\n"
	"  --versions FOLDER     start FOLDER/<greatest version>/hsup in place of SUPERVISOR\n"
	"  --die-with-launcher   kill the processes when the launcher dies\n"
	"  --hup-stops           HUP stops all; else it restarts the supervisor\n"
	"  --user UID:GID        the supervisor runs with these ids, and confined\n"
	"  --dyno-ids MIN-MAX    users and groups that processes may have; may be repeated\n"
	"  --allow-root-dynos    and 0\n"
	"  --terminal            processes may have a terminal, also when the supervisor is "
	"confined;\n"
	"                        its settings are put back when the supervisor ends\n"
	"  --box PROGRAM         hsup-box: processes may have containers of their own, which it "
	"makes\n"
	"  --box-option NAME=VALUE  for it; may be repeated\n";

enum {
	OPT_TABLE = 1000,
	OPT_VERSIONS,
	OPT_DIE,
	OPT_HUP,
	OPT_USER,
	OPT_DYNO_IDS,
	OPT_ALLOW_ROOT,
	OPT_TERMINAL,
	OPT_BOX,
	OPT_BOX_OPTION,
	OPT_RESUME,
	OPT_CHECK,
};

static const struct option known[] = {
	{"verbose", no_argument, NULL, 'v'},
	{"watchdog", required_argument, NULL, 'w'},
	{"help", no_argument, NULL, 'h'},
	{"table", required_argument, NULL, OPT_TABLE},
	{"versions", required_argument, NULL, OPT_VERSIONS},
	{"die-with-launcher", no_argument, NULL, OPT_DIE},
	{"hup-stops", no_argument, NULL, OPT_HUP},
	{"user", required_argument, NULL, OPT_USER},
	{"dyno-ids", required_argument, NULL, OPT_DYNO_IDS},
	{"allow-root-dynos", no_argument, NULL, OPT_ALLOW_ROOT},
	{"terminal", no_argument, NULL, OPT_TERMINAL},
	{"box", required_argument, NULL, OPT_BOX},
	{"box-option", required_argument, NULL, OPT_BOX_OPTION},
	{"resume", required_argument, NULL, OPT_RESUME},
	{"check-resume", required_argument, NULL, OPT_CHECK},
	{0},
};

/* "FD:COUNT" */
static bool parse_resume(const char *text, struct options *o)
{
	unsigned fd, count;
	char number[16];
	const char *colon = strchr(text, ':');

	if (!colon || colon - text >= (long)sizeof number)
		return false;
	memcpy(number, text, (size_t)(colon - text));
	number[colon - text] = '\0';
	if (parse_uint(number, INT_MAX, &fd) < 0 || parse_uint(colon + 1, UINT_MAX, &count) < 0)
		return false;
	o->resume_fd = (int)fd;
	o->resume_count = count;
	return true;
}

static bool add_range(struct id_grant *g, const char *text)
{
	struct id_range range;

	return id_range_parse(text, &range) == 0 && id_grant_add(g, range) == 0;
}

/* What it means is between who gives it and hsup-box, which must not take it for an option. */
static bool add_box_option(struct options *o, char *text)
{
	if (o->n_box_options == BOX_SETTINGS || text[0] == '-' || !strchr(text, '='))
		return false;
	o->box_options[o->n_box_options++] = text;
	return true;
}

/* With a supervisor of its own user, what nobody has limited is limited all the same. */
static bool complete(struct options *o)
{
	bool on = o->confinement.on;

	o->grant.own_uid = on ? o->confinement.uid : ID_NONE;
	o->grant.own_gid = on ? o->confinement.gid : ID_NONE;
	o->terminal = o->terminal || !on;
	return !on || o->grant.n > 0 || add_range(&o->grant, IDS_DEFAULT);
}

static bool apply(int option, struct options *o)
{
	switch (option) {
	case 'v':
		o->verbose = true;
		return true;
	case 'w':
		return parse_uint(optarg, LIMIT_SILENCE_MAX, &o->watchdog) == 0;
	case OPT_TABLE:
		o->table = optarg;
		return true;
	case OPT_VERSIONS:
		o->versions = optarg;
		return true;
	case OPT_DIE:
		o->die_with_launcher = true;
		return true;
	case OPT_HUP:
		o->hup_stops = true;
		return true;
	case OPT_USER:
		return confine_parse(optarg, &o->confinement) == 0;
	case OPT_DYNO_IDS:
		return add_range(&o->grant, optarg);
	case OPT_ALLOW_ROOT:
		o->grant.root = true;
		return true;
	case OPT_TERMINAL:
		o->terminal = o->lends_terminal = true;
		return true;
	case OPT_BOX:
		o->box = optarg;
		return optarg[0] == '/';
	case OPT_BOX_OPTION:
		return add_box_option(o, optarg);
	case OPT_CHECK:
		o->check = true;
		return parse_resume(optarg, o);
	case OPT_RESUME:
		return parse_resume(optarg, o);
	default:
		return false;
	}
}

int options_parse(int argc, char **argv, struct options *ret)
{
	struct options o = {.argv = argv, .watchdog = LIMIT_SILENCE, .resume_fd = -1};

	for (int c; (c = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
		if (c == 'h')
			return fputs(usage, stdout), 0;
		if (!apply(c, &o))
			return fputs(usage, stderr), 2;
	}
	o.command = argv + optind;
	if (!o.command[0] || !complete(&o))
		return fputs(usage, stderr), 2;
	*ret = o;
	return -1;
}
