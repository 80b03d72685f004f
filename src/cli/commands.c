/* The tables: every command, every option. */
#include "cli/private.h"

static const struct command *const commands[] = {
	&command_start,
	&command_run,
	&command_build,
	&command_check,
	&command_up,
	&command_down,
	&command_deploy,
	&command_upgrade,
	&command_gc,
	&command_stack,
	&command_ps,
	&command_logs,
	&command_stop,
	&command_restart,
	&command_scale,
	&command_signal,
	&command_releases,
	&command_rollback,
	&command_events,
	&command_config,
	&command_wait,
	&command_attach,
	&command_diag,
	&command_shutdown,
	&command_shell,
	&command_paths,
	&command_boot,
	&command_version,
	&command_help,
	&command_complete,
};

_Static_assert(ARRAY_SIZE(commands) <= COMMAND_MAX, "command_names() has room for all");

static const struct option_record options[] = {
	{OPT_APP, 'a', "app", "NAME", "name of the app, when the release has none"},
	{OPT_DRIVER, 'd', "dynodriver", "NAME", "the way dynos run (default: simple)",
		COMPLETE_DRIVER},
	{OPT_CONTROL_DIR, 'C', "control-dir", "PATH",
		"the app's control directory (HSUP_CONTROL_DIR)"},
	{OPT_CONTROL_SOCKET, 's', "control-socket", "PATH",
		"the control socket; none: there is to be none"},
	{OPT_STATE_DIR, 0, "state-dir", "PATH", "where unpacked slugs are kept (HSUP_STATE_DIR)"},
	{OPT_ONESHOT, 0, "oneshot", NULL, "restart nothing; exit when all dynos have ended"},
	{OPT_EXIT_WHEN_DONE, 0, "exit-when-done", NULL,
		"exit when nothing runs and nothing will be started again"},
	{OPT_START_NUMBER, 0, "start-number", "N",
		"number of the first dyno of a type (default: 1)"},
	{OPT_WATCHDOG, 0, "watchdog", "SECONDS",
		"replace a supervisor that hangs for so long; 0: never (default: 30)"},
	{OPT_WARM, 0, "warm", "N",
		"native: parked boxes for each kind of dyno (HSUP_WARM; default: 0)"},
	{OPT_NETWORK, 0, "network", "NAME", "native: own, host or none (LIBCONTAINER_DYNO_NETWORK)",
		COMPLETE_NETWORK},
	{OPT_DIE_WITH_LAUNCHER, 0, "die-with-launcher", NULL,
		"kill the dynos when the launcher is killed; else the next start finds them"},
	{OPT_USER, 0, "user", "NAME[:GROUP]",
		"as root: the supervisor runs as this user, confined"},
	{OPT_DYNO_USER, 0, "dyno-user", "NAME",
		"as root: the user of process types that have none (hsup-dyno)"},
	{OPT_DYNO_IDS, 0, "dyno-ids", "MIN-MAX",
		"users and groups that dynos may have; may be repeated"},
	{OPT_ALLOW_ROOT_DYNOS, 0, "allow-root-dynos", NULL, "dynos may run as root"},
	{OPT_BIND, 0, "bind", "HOST:CONTAINER[:ro]",
		"a path of the host for dynos with files of their own (not simple or abspath)"},
	{OPT_COLOR, 0, "color", "WHEN", "auto, always or never (default: auto)", COMPLETE_COLOR},
	{OPT_VERBOSE, 'v', "verbose", NULL, "say more of what is done"},
	{OPT_FOLLOW, 'f', "follow", NULL, "go on with what comes"},
	{OPT_LINES, 'n', "lines", "N", "the last N lines; 0: only what comes (default: 100)"},
	{OPT_DYNO, 'p', "dyno", "NAME", "of this dyno, type or pattern; may be repeated",
		COMPLETE_DYNO},
	{OPT_STREAM, 0, "stream", "NAME", "only out, err, or system (hsup's own lines)",
		COMPLETE_STREAM},
	{OPT_SINCE, 0, "since", "WHEN", "from a time on, or so long ago: 90s, 10m, 2h, 3d"},
	{OPT_FORMAT, 0, "format", "NAME", "heroku, json or raw (default: heroku)", COMPLETE_FORMAT},
	{OPT_REOPEN, 0, "reopen", NULL, "have hsup open its log files again"},
	{OPT_JSON, 0, "json", NULL, "print JSON"},
	{OPT_WATCH, 'w', "watch", NULL, "go on, and show every change"},
	{OPT_FROM, 0, "from", "ID", "from this event on"},
	{OPT_SECRETS, 0, "secrets", NULL, "show the values, too"},
	{OPT_ROLLING, 0, "rolling", NULL, "as a release is rolled out: none without a successor"},
	{OPT_NOW, 0, "now", NULL, "kill the dynos, without their time to stop"},
	{OPT_NO_WAIT, 0, "no-wait", NULL, "do not wait until it is done"},
	{OPT_AGAINST, 0, "against", "OLD", "say what would change from the release in OLD"},
	{OPT_DIR, 0, "dir", "FOLDER",
		"the folder of the apps' control directories (HSUP_APPS_DIR)"},
	{OPT_CONFIG, 0, "config", "FILE", "the daemon's settings (HSUP_CONFIG)"},
	{OPT_RUNTIME_DIR, 0, "runtime-dir", "PATH",
		"where locks and sockets are (HSUP_RUNTIME_DIR)"},
	{OPT_LOG, 0, "log", "WHERE",
		"a file, syslog[:SOCKET] or journal[:SOCKET]; of start also stdout or none"},
	{OPT_LOG_APP, 0, "log-app", "NAME", "name this app in every line of the log"},
	{OPT_LOG_FORMAT, 0, "log-format", "FORMAT", "heroku, json or raw (default: heroku)"},
	{OPT_LOG_MAX_BYTES, 0, "log-max-bytes", "BYTES",
		"rotate a log file before it grows larger; 0: never (default: 50M)"},
	{OPT_LOG_MAX_AGE, 0, "log-max-age", "SECONDS", "rotate a log file that is so old"},
	{OPT_LOG_KEEP, 0, "log-keep", "N", "rotated log files that are kept (default: 10)"},
	{OPT_LOG_COMPRESS, 0, "log-compress", NULL, "pack rotated log files with zstd"},
	{OPT_LOG_MODE, 0, "log-mode", "MODE", "of log files (default: 0640)"},
	{OPT_LOG_OWNER, 0, "log-owner", "USER[:GROUP]", "of log files"},
	{OPT_FOREGROUND, 0, "foreground", NULL,
		"stay in the foreground, for systemd and containers"},
	{OPT_FORCE, 0, "force", NULL,
		"up: take over from a daemon that is hung; stack remove: though it is in use"},
	{OPT_KILL, 0, "kill", NULL, "kill what still runs"},
	{OPT_DRY_RUN, 0, "dry-run", NULL, "change nothing, only say what would be done"},
	{OPT_NO_START, 0, "no-start", NULL, "do not start the daemon when none runs"},
	{OPT_TIMEOUT, 0, "timeout", "SECONDS", "wait so long; 0: for ever"},
	{OPT_USER_UNIT, 0, "user", NULL, "for this user's own systemd, not the machine's"},
	{OPT_ROOT, 0, "root", "PATH", "install below this folder instead of /"},
	{OPT_SET_VERSION, 0, "set-version", "VERSION",
		"of the stack that is added (default: date and time)"},
	{OPT_LISTEN, 0, "listen", "ADDRESS",
		"serve the control API there too: 127.0.0.1:PORT, for who has a token"},
	{OPT_TOKEN_FILE, 0, "token-file", "FILE",
		"tokens for --listen: operate:TOKEN, watch:TOKEN"},
	{OPT_OPERATE_UID, 0, "operate-uid", "USER", "may do all, by the control socket"},
	{OPT_OPERATE_GID, 0, "operate-gid", "GROUP", "its members may"},
	{OPT_WATCH_UID, 0, "watch-uid", "USER", "may see, and change nothing"},
	{OPT_WATCH_GID, 0, "watch-gid", "GROUP", "its members may"},
	{OPT_SOCKET_MODE, 0, "socket-mode", "MODE",
		"of the control socket (0600; 0666 when others may ask)"},
	{OPT_SOCKET_OWNER, 0, "socket-owner", "USER[:GROUP]", "of the control socket"},
	{OPT_HELP, 'h', "help", NULL, "show this help"},
	{OPT_VERSION, 0, "version", NULL, "show the version"},
};

_Static_assert(ARRAY_SIZE(options) == OPT_MAX - 1, "every option has its record");

static const struct cli_driver_name *drivers;
static size_t n_drivers;

void cli_set_drivers(const struct cli_driver_name *names, size_t n)
{
	drivers = names;
	n_drivers = n;
}

const struct cli_driver_name *driver_name_at(size_t index)
{
	return index < n_drivers ? &drivers[index] : NULL;
}

const struct command *command_at(size_t index)
{
	return index < ARRAY_SIZE(commands) ? commands[index] : NULL;
}

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

bool command_takes(const struct command *c, enum option_id id)
{
	if (id == OPT_HELP)
		return !c->raw;
	for (size_t i = 0; c->options && c->options[i]; i++)
		if (c->options[i] == id)
			return true;
	return false;
}

size_t command_names(const char *ret_names[COMMAND_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!commands[i]->hidden)
			ret_names[n++] = commands[i]->name;
	return n;
}

const struct option_record *option_at(size_t index)
{
	return index < ARRAY_SIZE(options) ? &options[index] : NULL;
}

const struct option_record *option_by_id(enum option_id id)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].id == id)
			return &options[i];
	return NULL;
}
