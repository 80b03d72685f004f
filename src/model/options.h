/* What a run of the program was told to do: plain data, made by the command line, used by the
 * supervisor. The command line owns all of it (cli_options_done()); strings that are not said to be
 * owned point into argv, the environment or static text. */
#pragma once

#include "base/ids.h"
#include "model/formation.h"

#include <limits.h>

#define OPTIONS_START_NUMBER_MAX 1000000
#define OPTIONS_NO_WARM		 UINT_MAX
#define OPTIONS_TIMEOUT_MAX	 86400
#define OPTIONS_NO_TIMEOUT	 UINT_MAX

enum run_mode {
	MODE_START, /* keep the formation running */
	MODE_RUN,   /* one command with the app's environment */
	MODE_BUILD, /* only make the release ready */
	MODE_UP,    /* the daemon: `hsup start` for each app of a folder */
};

/* Runs until it is told to stop, and survives its own death. */
static inline bool run_mode_lasts(enum run_mode mode)
{
	return mode == MODE_START || mode == MODE_UP;
}

#define OPTIONS_NO_LINES  UINT_MAX
#define OPTIONS_LINES_MAX 10000000

/* What a command of the operator's was told, which asks an hsup that runs. */
struct ask {
	bool follow, json, watch, no_wait, secrets, rolling, reopen, now;
	const char *stream, *since, *format; /* NULL = not given */
	unsigned lines;			     /* OPTIONS_NO_LINES = none given */
	uint64_t from;			     /* event id; 0 = none given */
	char **dynos;			     /* names; the list is owned, they are not */
	size_t n_dynos;
};

enum color_mode {
	COLOR_AUTO, /* on a terminal, unless NO_COLOR is set or TERM=dumb */
	COLOR_ALWAYS,
	COLOR_NEVER,
};

/* Who else than root and the supervisor's user may ask or tell by the control socket. */
struct control_grant {
	uint32_t id; /* of a user, or of a group */
	bool group, operate;
};

struct options {
	enum run_mode mode;
	const char *driver;	/* its name, never an alias; default "simple" */
	const char *app;	/* -a; the release's Name beats it; may be NULL */
	char *control_dir;	/* -C or HSUP_CONTROL_DIR; absolute, owned; NULL = none: for
				 * commands that do not launch only */
	char *state_dir;	/* absolute, owned; NULL as above */
	char *runtime_dir;	/* locks and sockets of this boot; absolute, owned */
	char *app_dir;		/* below it, of what this hsup runs; absolute, owned; NULL = it
				 * has none (run, build) */
	char *apps_dir;		/* of `up`: the control directories; absolute, owned */
	char *config;		/* of `up`: hsup.json, which need not exist; absolute, owned */
	char *log_file;		/* of `up`; absolute, owned */
	const char *log;	/* a daemon of the system's, as of logs; NULL = standard output */
	char *logs[LIMIT_LOGS]; /* of `start`: "stdout", "none", "journal", "syslog",
				 * both also with ":SOCKET", or an absolute path; the first is the
				 * one that dynos wait for; owned */
	size_t n_logs;		/* 0 = standard output */
	struct log_options log_options; /* of all those; owned */
	const char *log_app;		/* lines name this app too; NULL = no app */
	const char *control_socket;	/* -s; "none" = nothing is served; NULL = in app_dir */
	const char *listen;		/* "127.0.0.1:8080", "[::1]:0"; NULL = no TCP */
	char *token_file;		/* for TCP; absolute, owned; NULL = none */
	struct control_grant control_grants[LIMIT_CONTROL_GRANTS];
	unsigned n_control_grants;
	int socket_mode;	  /* of the control socket; -1 = 0600, or 0666 with grants */
	const char *socket_owner; /* "USER", "USER:GROUP", ":GROUP"; NULL = as it is made */
	const char *against;	  /* of `check`; NULL = none */
	bool oneshot;
	bool exit_when_done;   /* leave when nothing runs and nothing will */
	unsigned start_number; /* from 1 */
	unsigned watchdog;   /* seconds that the launcher bears a silent supervisor; 0 = for ever */
	unsigned warm;	     /* boxes kept parked; OPTIONS_NO_WARM = none given */
	const char *network; /* of native dynos: "own", "host", "none"; NULL = none given */
	bool die_with_launcher;	     /* dynos do */
	const char *supervisor_user; /* --user: name or number; NULL = who we are */
	const char *dyno_user;	     /* of process types without User; NULL = who the launcher is */
	struct id_grant dyno_ids;    /* with the ids of dyno_user, once privileges.c has seen it */
	enum color_mode color;
	bool verbose;
	bool foreground;	  /* of `up` */
	bool force;		  /* of `up` and `stack remove` */
	bool kill;		  /* of `down` and `gc` */
	bool dry_run;		  /* of `gc` */
	bool no_start;		  /* of `deploy` */
	bool user;		  /* of `boot` */
	const char *set_version;  /* of `stack add`; NULL = the time */
	const char *root;	  /* of `boot`: where / is; NULL = / */
	unsigned timeout;	  /* seconds; OPTIONS_NO_TIMEOUT = none given */
	struct bind_mount *binds; /* --bind host:container, any number; owned */
	size_t n_binds;
	struct quantity_override *overrides; /* `start web=2 worker`; owned */
	size_t n_overrides;
	char **command; /* of `run`: NULL-terminated; n_command words */
	size_t n_command;
	struct ask ask;
	char **words; /* argv as it was parsed, owned; command points into it */
};

/* Where the socket, rings and FIFOs of an app are: `of` is its control directory, or the daemon's
 * folder of them. The caller's; 0 or -ENOMEM. */
int options_path_of(const char *runtime_dir, const char *of, char **ret_path) HSUP_MUST_CHECK;
