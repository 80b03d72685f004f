/* The value of each option. */
#include "cli/private.h"

#include "base/parse.h"
#include "base/str.h"
#include "model/validate.h"

#include <errno.h>
#include <stdio.h>

const char *const color_names[] = {"auto", "always", "never", NULL};
const char *const stream_names[] = {"out", "err", "system", NULL};
const char *const format_names[] = {"heroku", "json", "raw", NULL};
const char *const network_names[] = {"own", "host", "none", NULL};

#define SHOWN 120

static const char *show(const char *value, char ret_text[SHOWN])
{
	return str_printable(value, strlen(value), ret_text, SHOWN);
}

static int apply_driver(struct options *o, const char *value, struct err *err)
{
	struct strbuf HSUP_CLEANUP(strbuf_done) known = STRBUF(1024);
	const struct cli_driver_name *d;
	char shown[SHOWN];

	for (size_t i = 0; (d = driver_name_at(i)); i++) {
		if (strcmp(d->name, value) == 0 || (d->alias && strcmp(d->alias, value) == 0)) {
			o->driver = d->name;
			return 0;
		}
		(void)strbuf_printf(&known, "%s%s", i ? ", " : "", d->name);
	}
	return err_set(err, -EINVAL, "unknown driver '%s'; this build has: %s", show(value, shown),
		known.data ? known.data : "none");
}

static int apply_number(const char *option, const char *value, unsigned min, unsigned max,
	unsigned *ret, struct err *err)
{
	unsigned number;
	char shown[SHOWN];

	if (parse_uint(value, max, &number) < 0 || number < min)
		return err_set(err, -EINVAL,
			"option '%s' must be a whole number from %u to %u, not '%s'", option, min,
			max, show(value, shown));
	*ret = number;
	return 0;
}

static int apply_bind(struct options *o, const char *option, const char *value, struct err *err)
{
	const char *wrong = rule_bind(value);
	char shown[SHOWN];

	if (wrong)
		return err_set(err, -EINVAL, "option '%s' %s, not '%s'", option, wrong,
			show(value, shown));
	if (o->n_binds == LIMIT_BINDS)
		return err_set(
			err, -EINVAL, "option '%s': more than %d of them", option, LIMIT_BINDS);

	struct bind_mount bind = {0};
	size_t host_len, container_len;
	bind_split(value, &host_len, &container_len, &bind.read_only);
	_cleanup_free_ char *host = strndup(value, host_len);
	_cleanup_free_ char *container = strndup(value + host_len + 1, container_len);
	struct bind_mount *grown = reallocarray(o->binds, o->n_binds + 1, sizeof *grown);
	if (grown)
		o->binds = grown;
	if (!grown || !host || !container)
		return err_errno(err, -ENOMEM, "option '%s'", option);
	for (size_t i = 0; i < o->n_binds; i++)
		if (strcmp(o->binds[i].container, container) == 0)
			return err_set(err, -EINVAL, "option '%s': two binds to '%s'", option,
				show(container, shown));
	bind.host = TAKE_PTR(host);
	bind.container = TAKE_PTR(container);
	grown[o->n_binds++] = bind;
	return 0;
}

static int apply_ids(struct options *o, const char *option, const char *value, struct err *err)
{
	struct id_range range;
	char shown[SHOWN];

	if (id_range_parse(value, &range) < 0)
		return err_set(err, -EINVAL,
			"option '%s' must be two numbers from 0 to %u, as in 1000-1999, not '%s'",
			option, ID_NONE - 1, show(value, shown));
	/* Room for the ids of --dyno-user. */
	if (o->dyno_ids.n >= IDS_RANGES / 2 || id_grant_add(&o->dyno_ids, range) < 0)
		return err_set(
			err, -EINVAL, "option '%s': more than %d of them", option, IDS_RANGES / 2);
	return 0;
}

static int apply_color(struct options *o, const char *option, const char *value, struct err *err)
{
	char shown[SHOWN];

	for (int i = 0; color_names[i]; i++)
		if (strcmp(color_names[i], value) == 0) {
			o->color = (enum color_mode)i;
			return 0;
		}
	return err_set(err, -EINVAL, "option '%s' must be auto, always or never, not '%s'", option,
		show(value, shown));
}

static int apply_app(struct options *o, const char *option, const char *value, struct err *err)
{
	const char *wrong = rule_app_name(value);
	char shown[SHOWN];

	if (wrong)
		return err_set(err, -EINVAL, "option '%s' %s, not '%s'", option, wrong,
			show(value, shown));
	o->app = value;
	return 0;
}

/* A log file's path, or the system's log or journal, whose socket's address has little room. */
static int apply_log(struct options *o, const char *option, const char *value, struct err *err)
{
	char shown[SHOWN];

	if (!options_log_is_daemon(value)) {
		int r = options_log(o, option, value, err);
		return r < 0 ? r : options_path(&o->log_file, value, err);
	}
	const char *colon = strchr(value, ':');
	if (colon && (colon[1] != '/' || strlen(colon + 1) >= 108))
		return err_set(err, -EINVAL,
			"option '%s' must be a file, syslog, syslog:/path/of/socket, journal or "
			"journal:/path/of/socket, not '%s'",
			option, show(value, shown));
	o->log = value;
	return options_log(o, option, value, err);
}

static int apply_log_app(struct options *o, const char *option, const char *value, struct err *err)
{
	const char *wrong = rule_type(value);
	char shown[SHOWN];

	if (wrong)
		return err_set(err, -EINVAL, "option '%s' %s, not '%s'", option, wrong,
			show(value, shown));
	o->log_app = value;
	return 0;
}

static int apply_one_of(const char *const *names, const char *option, const char *value,
	const char **ret, struct err *err)
{
	char shown[SHOWN];

	for (size_t i = 0; names[i]; i++)
		if (strcmp(names[i], value) == 0) {
			*ret = names[i];
			return 0;
		}
	return err_set(err, -EINVAL, "option '%s' must be %s, %s or %s, not '%s'", option, names[0],
		names[1], names[2], show(value, shown));
}

static int apply_dyno(struct options *o, const char *value, struct err *err)
{
	struct ask *ask = &o->ask;
	char **grown = reallocarray(ask->dynos, ask->n_dynos + 1, sizeof *grown);

	if (!grown)
		return err_errno(err, -ENOMEM, "option '--dyno'");
	ask->dynos = grown;
	memcpy(&grown[ask->n_dynos++], &value, sizeof value);
	return 0;
}

static int apply_from(struct options *o, const char *option, const char *value, struct err *err)
{
	char shown[SHOWN];

	if (parse_u64(value, INT64_MAX, &o->ask.from) < 0 || o->ask.from == 0)
		return err_set(err, -EINVAL, "option '%s' must be the id of an event, not '%s'",
			option, show(value, shown));
	return 0;
}

int options_warm(struct options *o, struct err *err)
{
	const char *value = getenv("HSUP_WARM");

	if (o->warm != OPTIONS_NO_WARM)
		return 0;
	o->warm = 0;
	return value && *value ? apply_number("HSUP_WARM", value, 0, LIMIT_WARM, &o->warm, err) : 0;
}

static int apply_flag(struct options *o, enum option_id id)
{
	bool *const flags[OPT_MAX] = {
		[OPT_ONESHOT] = &o->oneshot,
		[OPT_EXIT_WHEN_DONE] = &o->exit_when_done,
		[OPT_VERBOSE] = &o->verbose,
		[OPT_DIE_WITH_LAUNCHER] = &o->die_with_launcher,
		[OPT_FOREGROUND] = &o->foreground,
		[OPT_FORCE] = &o->force,
		[OPT_KILL] = &o->kill,
		[OPT_DRY_RUN] = &o->dry_run,
		[OPT_NO_START] = &o->no_start,
		[OPT_USER_UNIT] = &o->user,
		[OPT_FOLLOW] = &o->ask.follow,
		[OPT_REOPEN] = &o->ask.reopen,
		[OPT_JSON] = &o->ask.json,
		[OPT_WATCH] = &o->ask.watch,
		[OPT_SECRETS] = &o->ask.secrets,
		[OPT_ROLLING] = &o->ask.rolling,
		[OPT_NOW] = &o->ask.now,
		[OPT_NO_WAIT] = &o->ask.no_wait,
	};

	if (flags[id])
		*flags[id] = true;
	return 0;
}

int options_apply(struct options *o, enum option_id id, const char *option, const char *given,
	struct err *err)
{
	const char *value = given ? given : "";

	if (given && !*given)
		return err_set(err, -EINVAL, "option '%s' needs a value that is not empty", option);
	switch (id) {
	case OPT_APP:
		return apply_app(o, option, value, err);
	case OPT_DRIVER:
		return apply_driver(o, value, err);
	case OPT_CONTROL_DIR:
		return options_path(&o->control_dir, value, err);
	case OPT_CONTROL_SOCKET:
		o->control_socket = value;
		return 0;
	case OPT_STATE_DIR:
		return options_path(&o->state_dir, value, err);
	case OPT_DIR:
		return options_path(&o->apps_dir, value, err);
	case OPT_CONFIG:
		return options_path(&o->config, value, err);
	case OPT_RUNTIME_DIR:
		return options_path(&o->runtime_dir, value, err);
	case OPT_LOG:
		return apply_log(o, option, value, err);
	case OPT_LOG_APP:
		return apply_log_app(o, option, value, err);
	case OPT_TIMEOUT:
		return apply_number(option, value, 0, OPTIONS_TIMEOUT_MAX, &o->timeout, err);
	case OPT_ROOT:
		o->root = value;
		return 0;
	case OPT_SET_VERSION:
		o->set_version = value;
		return 0;
	case OPT_START_NUMBER:
		return apply_number(
			option, value, 1, OPTIONS_START_NUMBER_MAX, &o->start_number, err);
	case OPT_WATCHDOG:
		return apply_number(option, value, 0, LIMIT_SILENCE_MAX, &o->watchdog, err);
	case OPT_WARM:
		return apply_number(option, value, 0, LIMIT_WARM, &o->warm, err);
	case OPT_NETWORK:
		return apply_one_of(network_names, option, value, &o->network, err);
	case OPT_USER:
		o->supervisor_user = value;
		return 0;
	case OPT_DYNO_USER:
		o->dyno_user = value;
		return 0;
	case OPT_DYNO_IDS:
		return apply_ids(o, option, value, err);
	case OPT_ALLOW_ROOT_DYNOS:
		o->dyno_ids.root = true;
		return 0;
	case OPT_BIND:
		return apply_bind(o, option, value, err);
	case OPT_COLOR:
		return apply_color(o, option, value, err);
	case OPT_AGAINST:
		o->against = value;
		return 0;
	case OPT_LINES:
		return apply_number(option, value, 0, OPTIONS_LINES_MAX, &o->ask.lines, err);
	case OPT_DYNO:
		return apply_dyno(o, value, err);
	case OPT_STREAM:
		return apply_one_of(stream_names, option, value, &o->ask.stream, err);
	case OPT_FORMAT:
		return apply_one_of(format_names, option, value, &o->ask.format, err);
	case OPT_SINCE:
		o->ask.since = value;
		return 0;
	case OPT_FROM:
		return apply_from(o, option, value, err);
	case OPT_ONESHOT:
	case OPT_EXIT_WHEN_DONE:
	case OPT_VERBOSE:
	case OPT_DIE_WITH_LAUNCHER:
	case OPT_FOREGROUND:
	case OPT_FORCE:
	case OPT_KILL:
	case OPT_DRY_RUN:
	case OPT_NO_START:
	case OPT_USER_UNIT:
	case OPT_FOLLOW:
	case OPT_REOPEN:
	case OPT_JSON:
	case OPT_WATCH:
	case OPT_SECRETS:
	case OPT_ROLLING:
	case OPT_NOW:
	case OPT_NO_WAIT:
		return apply_flag(o, id);
	case OPT_LOG_FORMAT:
	case OPT_LOG_MAX_BYTES:
	case OPT_LOG_MAX_AGE:
	case OPT_LOG_KEEP:
	case OPT_LOG_COMPRESS:
	case OPT_LOG_MODE:
	case OPT_LOG_OWNER:
		return options_apply_log(o, id, option, value, err);
	case OPT_LISTEN:
	case OPT_TOKEN_FILE:
	case OPT_OPERATE_UID:
	case OPT_OPERATE_GID:
	case OPT_WATCH_UID:
	case OPT_WATCH_GID:
	case OPT_SOCKET_MODE:
	case OPT_SOCKET_OWNER:
		return options_apply_control(o, id, option, value, err);
	case OPT_HELP:
	case OPT_VERSION:
	case OPT_MAX:
		return 0;
	}
	return 0;
}

void cli_options_done(struct options *o)
{
	for (size_t i = 0; i < o->n_binds; i++) {
		free(o->binds[i].host);
		free(o->binds[i].container);
	}
	free(o->binds);
	free(o->overrides);
	free(o->ask.dynos);
	free(o->control_dir);
	free(o->state_dir);
	free(o->runtime_dir);
	free(o->app_dir);
	free(o->apps_dir);
	free(o->token_file);
	free(o->log_file);
	free(o->log_options.owner);
	for (size_t i = 0; i < o->n_logs; i++)
		free(o->logs[i]);
	free(o->config);
	free(o->words);
	*o = (struct options){0};
}
