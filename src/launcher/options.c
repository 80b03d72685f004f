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
	"  --hup-stops           HUP stops all; else it restarts the supervisor\n";

enum { OPT_TABLE = 1000, OPT_VERSIONS, OPT_DIE, OPT_HUP, OPT_RESUME, OPT_CHECK };

static const struct option known[] = {
	{"verbose", no_argument, NULL, 'v'},
	{"watchdog", required_argument, NULL, 'w'},
	{"help", no_argument, NULL, 'h'},
	{"table", required_argument, NULL, OPT_TABLE},
	{"versions", required_argument, NULL, OPT_VERSIONS},
	{"die-with-launcher", no_argument, NULL, OPT_DIE},
	{"hup-stops", no_argument, NULL, OPT_HUP},
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
	if (!o.command[0])
		return fputs(usage, stderr), 2;
	*ret = o;
	return -1;
}
