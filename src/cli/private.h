/* What the files of the command line share. */
#pragma once

#include "cli/cli.h"

#include <stdint.h>
#include <sys/types.h>

enum complete_kind {
	COMPLETE_NONE, /* the shell's own: file names */
	COMPLETE_DRIVER,
	COMPLETE_COLOR,
	COMPLETE_STREAM,
	COMPLETE_FORMAT,
	COMPLETE_NETWORK,
	COMPLETE_DYNO,
};

/* A bit for each option. */
__extension__ typedef unsigned __int128 option_set;
#define OPTION_BIT(id) ((option_set)1 << (id))
_Static_assert(OPT_MAX <= 128, "a bit for every option");

struct option_record {
	enum option_id id;
	char letter;	   /* 0 = none */
	const char *name;  /* "control-dir" */
	const char *value; /* "PATH"; NULL = takes none */
	const char *help;  /* one line */
	enum complete_kind complete;
};

/* ---- commands.c ---- */
extern const struct command command_start, command_run, command_build, command_check, command_up,
	command_down, command_deploy, command_upgrade, command_gc, command_stack, command_ps,
	command_logs, command_stop, command_restart, command_scale, command_signal,
	command_releases, command_rollback, command_events, command_config, command_wait,
	command_attach, command_diag, command_shutdown, command_shell, command_paths, command_boot,
	command_version, command_help, command_complete;

const struct command *command_at(size_t index); /* NULL behind the last; hidden ones too */
const struct command *command_find(const char *name);
bool command_takes(const struct command *c, enum option_id id);

/* Fills names with those of all commands that are not hidden; returns how many. */
#define COMMAND_MAX 32
size_t command_names(const char *ret_names[COMMAND_MAX]);

const struct option_record *option_at(size_t index); /* NULL behind the last */
const struct option_record *option_by_id(enum option_id id);

const struct cli_driver_name *driver_name_at(size_t index);

/* ---- paths.c: where everything is ---- */
enum path_kind {
	PATH_STATE,   /* unpacked slugs; the others may lie below it */
	PATH_RUNTIME, /* locks and sockets of this boot */
	PATH_APPS,    /* the daemon's control directories */
	PATH_LOG,     /* of the daemon in the background */
	PATH_CONFIG,  /* hsup.json */
	PATH_KINDS,
};
extern const char *const path_names[PATH_KINDS];

/* An absolute form of path (it need not exist); the caller frees it. 0, or negative errno. */
int path_absolute(const char *path, char **ret_path) HSUP_MUST_CHECK;

/* Where it is when nobody says: of root, else of the user; *ret_why: what says so, static.
 * state_dir: what was chosen for that. 0, -ENOENT when the environment does not say where the
 * user's home is, or -ENOMEM. */
int path_default(enum path_kind kind, bool root, const char *state_dir, char **ret_path,
	const char **ret_why) HSUP_MUST_CHECK;

/* Makes a folder and those above it; one that is there is fine. */
int path_make(const char *path, mode_t mode, struct err *err) HSUP_MUST_CHECK;

/* ---- options.c ---- */
/* Checks the value (NULL: it takes none) of an option and notes it. `shown` is the option as it was
 * written. -EINVAL and err (a usage error), or -ENOMEM and err. */
int options_apply(struct options *o, enum option_id id, const char *shown, const char *value,
	struct err *err) HSUP_MUST_CHECK;

extern const char *const color_names[]; /* in the order of enum color_mode, NULL-terminated */
/* NULL-terminated */
extern const char *const stream_names[], *const format_names[], *const network_names[];

/* ---- options_logs.c ---- */
bool options_log_is_daemon(const char *value); /* "syslog", "journal:SOCKET" */
/* One more place that the log goes to. */
int options_log(
	struct options *o, const char *option, const char *value, struct err *err) HSUP_MUST_CHECK;

/* As options_apply(), for what log files are like. */
int options_apply_log(struct options *o, enum option_id id, const char *option, const char *value,
	struct err *err) HSUP_MUST_CHECK;

/* ---- options_paths.c ---- */
/* Puts the absolute form of value in the place of *path. */
int options_path(char **path, const char *value, struct err *err) HSUP_MUST_CHECK;

/* Sets o->app_dir; `of` as options_path_of() has it, NULL = none. */
int options_app_dir(struct options *o, const char *of, struct err *err) HSUP_MUST_CHECK;

/* Those of the control API. */
int options_apply_control(struct options *o, enum option_id id, const char *option,
	const char *value, struct err *err) HSUP_MUST_CHECK;

/* What was not given, from the environment and the defaults: for a command that launches an app. */
int options_complete(struct options *o, struct err *err) HSUP_MUST_CHECK;
/* How many boxes are kept parked: by the option, HSUP_WARM, or none. */
int options_warm(struct options *o, struct err *err) HSUP_MUST_CHECK;

/* The same for the daemon and its clients: every path. ret_why: NULL, or room for what says so. */
int options_complete_paths(
	struct options *o, const char *ret_why[PATH_KINDS], struct err *err) HSUP_MUST_CHECK;

/* ---- parse.c ---- */
/* Takes the options of argv (argv[0] is skipped): those in front of the command's name when c is
 * NULL, else those of c. Notes them in *o and a bit for each in *given; *ret_at is the first
 * operand. EXIT_OK, or another exit code after a line on standard error. */
int parse_options(struct options *o, const struct command *c, int argc, char **argv,
	option_set *given, int *ret_at) HSUP_MUST_CHECK;

/* ---- load.c ---- */
/* The bytes of a file, "-" = standard input; the caller's. Negative errno after a line on standard
 * error. */
int load_text(const struct command *c, const char *file, char **ret_text,
	size_t *ret_len) HSUP_MUST_CHECK;
/* NULL after its errors on standard output, one a line: "FILE:LINE:COLUMN: path: text". */
struct release *parse_release(
	const struct command *c, const char *file, const char *text, size_t len);
struct release *load_release(const struct command *c, const char *file); /* both */

/* ---- cli.c ---- */
/* One line on standard error: "hsup start: text; see 'hsup help start'". c NULL: no command yet.
 * Returns EXIT_USAGE. */
int usage_error(const struct command *c, const char *fmt, ...) HSUP_PRINTF(2, 3);

/* A failure that is not the user's spelling: "hsup check: text". Returns EXIT_REFUSED. */
int command_error(const struct command *c, const char *fmt, ...) HSUP_PRINTF(2, 3);

/* The usage error for a command that does not exist, with the nearest that does. */
int unknown_command(const struct command *c, const char *name);

/* One of the two for what options_apply() or options_complete() returned. */
int options_error(const struct command *c, int r, const struct err *err);

/* For commands that work on a control directory: EXIT_OK, or the usage error that names it. */
int need_control_dir(const struct command *c, const struct options *o);

/* ---- start.c ---- */
/* Whether `start NAME...` is for an hsup that runs already, and not to start one. */
bool start_asks(struct options *o, int n_operands);
int start_ask(struct options *o, int n_operands, char **operands);

/* ---- complete_live.c ---- */
/* Words that an hsup that runs can tell: nothing when none answers at once. */
void offer_live(struct options *o, const struct command *c, enum names names, const char *prefix);
void offer(const char *prefix, const char *word, const char *help);

/* ---- stack.c ---- */
/* What may stand behind `stack`: first = the word behind it, NULL = none yet. */
void offer_stacks(struct options *o, const char *first, int operands, const char *prefix);

/* ---- help.c ---- */
void help_overview(void);
void help_command(const struct command *c);
