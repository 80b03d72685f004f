/* The command line: commands are records; help, usage errors and completion come from them.
 *
 * To add a command: one file with a `const struct command`, one line in commands.c. An option: one
 * line in commands.c, one case in options.c, and its id in the list of each command that takes it.
 */
#pragma once

#include "base/err.h"
#include "model/gc.h"
#include "model/options.h"
#include "model/stack.h"

#include <limits.h>

enum {
	EXIT_OK = 0,
	EXIT_REFUSED = 1, /* a release or request was refused, or something failed */
	EXIT_USAGE = 2,
	EXIT_NOT_RUNNING = 3, /* of ps, wait: some dynos that were named are not up */
	EXIT_UNREACHED = 4,   /* a name is unknown, or no hsup answers */
};

enum option_id {
	OPT_APP = 1,
	OPT_DRIVER,
	OPT_CONTROL_DIR,
	OPT_CONTROL_SOCKET,
	OPT_STATE_DIR,
	OPT_ONESHOT,
	OPT_EXIT_WHEN_DONE,
	OPT_START_NUMBER,
	OPT_WATCHDOG,
	OPT_WARM,
	OPT_NETWORK,
	OPT_DIE_WITH_LAUNCHER,
	OPT_USER,
	OPT_DYNO_USER,
	OPT_DYNO_IDS,
	OPT_ALLOW_ROOT_DYNOS,
	OPT_BIND,
	OPT_COLOR,
	OPT_VERBOSE,
	OPT_FOLLOW,
	OPT_LINES,
	OPT_DYNO,
	OPT_STREAM,
	OPT_SINCE,
	OPT_FORMAT,
	OPT_REOPEN,
	OPT_JSON,
	OPT_WATCH,
	OPT_FROM,
	OPT_SECRETS,
	OPT_ROLLING,
	OPT_NOW,
	OPT_NO_WAIT,
	OPT_AGAINST,
	OPT_DIR,
	OPT_CONFIG,
	OPT_RUNTIME_DIR,
	OPT_LOG,
	OPT_LOG_APP,
	OPT_LOG_FORMAT,
	OPT_LOG_MAX_BYTES,
	OPT_LOG_MAX_AGE,
	OPT_LOG_KEEP,
	OPT_LOG_COMPRESS,
	OPT_LOG_MODE,
	OPT_LOG_OWNER,
	OPT_FOREGROUND,
	OPT_FORCE,
	OPT_KILL,
	OPT_DRY_RUN,
	OPT_NO_START,
	OPT_TIMEOUT,
	OPT_USER_UNIT,
	OPT_ROOT,
	OPT_SET_VERSION,
	OPT_LISTEN,
	OPT_TOKEN_FILE,
	OPT_OPERATE_UID,
	OPT_OPERATE_GID,
	OPT_WATCH_UID,
	OPT_WATCH_GID,
	OPT_SOCKET_MODE,
	OPT_SOCKET_OWNER,
	OPT_HELP,
	OPT_VERSION,
	OPT_MAX,
};

/* What its operands name, of an hsup that runs: for completion. */
enum names {
	NAMES_NONE,
	NAMES_DYNOS,
	NAMES_TYPES,
	NAMES_APPS, /* of the daemon */
	NAMES_RELEASES,
	NAMES_SIGNAL, /* a signal, then dynos */
};

struct command {
	const char *name;
	const char *operands; /* "[--] COMMAND..." for the usage line; "" = none */
	const char *summary;  /* one line */
	const char *help;     /* lines that end in a newline, or NULL */
	const enum option_id
		*options;     /* 0-terminated: those it takes besides --help; NULL = none */
	bool stop_at_operand; /* options end at the first operand (run) */
	bool raw;	      /* every word behind its name is an operand */
	bool hidden;	      /* not in the help */
	bool launches;	      /* main.c hands it to the launcher: run, start, build */
	enum run_mode mode;   /* of a command that launches */
	enum names names;
	/* Checks operands and fills options in; for commands that do not launch: does the work.
	 * Returns an exit code; EXIT_OK for a command that launches means: go on. */
	int (*run)(struct options *o, int n_operands, char **operands);
};

/* Parses argv as Go hsup did: options before or after the command's name, global and own alike.
 * Fills *o in from nothing; argv stays as it is.
 *
 * Returns EXIT_OK and the command: it has already run, with its exit code in *ret_code, when it
 * does not launch; end *o with cli_options_done(). Else EXIT_USAGE (or EXIT_REFUSED: out of memory,
 * ...) after one line on standard error; then *o holds nothing. */
int cli_parse(int argc, char **argv, struct options *o, const struct command **ret_command,
	int *ret_code) HSUP_MUST_CHECK;
void cli_options_done(struct options *o);

/* Of `up`, before this process becomes the launcher: takes the lock, and goes to the background
 * unless it is to stay. True: go on, as the daemon. False: done, with the exit code. */
bool cli_up(const struct options *o, int *ret_code);

/* The words behind the program's name that run hsup with these options as a daemon (MODE_UP) or as
 * one app of it (MODE_START, the app not yet named). NULL-terminated; NULL = out of memory; ends
 * with cli_words_free(). */
char **cli_words(const struct options *o, enum run_mode mode, const char *program);
void cli_words_free(char **words);

/* Makes the runtime directory if it is not there; one that others may write to is refused. Nobody
 * else may list it, but whoever knows a socket's name in it may reach that: what he may do there is
 * said by the socket. 0 or negative errno. */
int cli_make_runtime_dir(const struct options *o, struct err *err) HSUP_MUST_CHECK;

/* Makes it and o->app_dir in it, which belongs to `owner`. */
int cli_make_app_dir(
	const struct options *o, uid_t owner, gid_t group, struct err *err) HSUP_MUST_CHECK;

enum box_place {
	BOX_PLACE_NATIVE, /* what dynos write */
	BOX_PLACE_STACKS,
	BOX_PLACE_LOCKS, /* one for all hsups of a machine, or of who is not root */
	BOX_PLACES,
};
extern const struct cli_box_place {
	const char *name, *variable;
} cli_box_places[BOX_PLACES];

/* Where a folder of native dynos is: by the environment, or the default; *ret_why: what says so,
 * static. It need not exist. 0, or negative errno and err. */
int cli_box_place(const struct options *o, enum box_place which, char ret_path[PATH_MAX],
	const char **ret_why, struct err *err) HSUP_MUST_CHECK;

/* What main.c tells the command line, so that it reaches into no other room. Not copied; the first
 * driver is the default. */
struct cli_driver_name {
	const char *name, *alias, *summary;			  /* alias may be NULL */
	int (*gc)(const struct gc_order *order, struct err *err); /* NULL = it leaves nothing */
};
void cli_set_drivers(const struct cli_driver_name *drivers, size_t n);
/* Fills in what gc needs of this installation: order->find, and what is not settled by the
 * environment. 0 or negative errno. */
void cli_set_gc(int (*prepare)(const struct options *o, struct gc_order *order, struct err *err));

/* Not copied. */
void cli_set_stack_helper(const struct stack_helper *helper);

/* This process was started by the launcher, to be the supervisor: it asks nobody. */
void cli_set_supervisor(void);
