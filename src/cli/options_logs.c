/* Options of where the log goes, and of what its files are like. */
#include "cli/private.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/str.h"

#include <errno.h>

#define BYTES_MAX ((uint64_t)1 << 50)
#define AGE_MAX	  ((uint64_t)10 * 365 * 86400)
#define KEEP_MAX  10000

static int wrong(const char *option, const char *rule, const char *value, struct err *err)
{
	char shown[120];

	return err_set(err, -EINVAL, "option '%s' must be %s, not '%s'", option, rule,
		str_printable(value, strlen(value), shown, sizeof shown));
}

bool options_log_is_daemon(const char *value)
{
	static const char *const words[] = {"syslog", "journal"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t len = strlen(words[i]);

		if (strncmp(value, words[i], len) == 0 && (!value[len] || value[len] == ':'))
			return true;
	}
	return false;
}

static bool is_word(const char *value)
{
	return strcmp(value, "stdout") == 0 || strcmp(value, "none") == 0 ||
	       options_log_is_daemon(value);
}

int options_log(struct options *o, const char *option, const char *value, struct err *err)
{
	char *where = NULL;

	if (o->n_logs == LIMIT_LOGS)
		return err_set(
			err, -EINVAL, "option '%s': more than %d of them", option, LIMIT_LOGS);
	int r = is_word(value) ? 0 : options_path(&where, value, err);
	if (r < 0)
		return r;
	if (!where)
		where = strdup(value);
	if (!where)
		return err_errno(err, -ENOMEM, "option '%s'", option);
	for (size_t i = 0; i < o->n_logs; i++)
		if (strcmp(o->logs[i], where) == 0) {
			free(where);
			return err_set(err, -EINVAL, "option '%s': twice the same", option);
		}
	o->logs[o->n_logs++] = where;
	return 0;
}

/* "50M": 1024-based, as sizes of files are. */
static int apply_bytes(const char *option, const char *value, uint64_t *ret, struct err *err)
{
	static const char units[] = "KMGT";
	size_t len = strlen(value);
	const char *unit = len > 1 ? strchr(units, value[len - 1]) : NULL;
	unsigned shift = unit && *unit ? 10 * (unsigned)(unit - units + 1) : 0;
	_cleanup_free_ char *number = strndup(value, shift ? len - 1 : len);
	uint64_t bytes;

	if (!number)
		return err_errno(err, -ENOMEM, "option '%s'", option);
	if (parse_u64(number, BYTES_MAX >> shift, &bytes) < 0)
		return wrong(option, "a number of bytes, or one with K, M, G or T", value, err);
	*ret = bytes << shift;
	return 0;
}

static int apply_format(
	const char *option, const char *value, enum log_format *ret, struct err *err)
{
	static const char *const names[LOG_FORMAT_MAX] = {"heroku", "json", "raw"};

	for (unsigned i = 0; i < LOG_FORMAT_MAX; i++)
		if (strcmp(names[i], value) == 0) {
			*ret = (enum log_format)i;
			return 0;
		}
	return wrong(option, "heroku, json or raw", value, err);
}

static int apply_mode(const char *option, const char *value, int *ret, struct err *err)
{
	size_t len = strlen(value);

	if (len < 3 || len > 4 || strspn(value, "01234567") != len || (len == 4 && *value != '0'))
		return wrong(option, "a mode as 0640, in octal digits", value, err);
	*ret = (int)strtol(value, NULL, 8);
	return 0;
}

int options_apply_log(struct options *o, enum option_id id, const char *option, const char *value,
	struct err *err)
{
	struct log_options *l = &o->log_options;
	uint64_t seconds;

	switch ((unsigned)id) {
	case OPT_LOG_FORMAT:
		return apply_format(option, value, &l->format, err);
	case OPT_LOG_MAX_BYTES:
		return apply_bytes(option, value, &l->max_bytes, err);
	case OPT_LOG_MAX_AGE:
		if (parse_u64(value, AGE_MAX, &seconds) < 0)
			return wrong(option, "a whole number of seconds", value, err);
		l->max_age = seconds * NSEC_PER_SEC;
		return 0;
	case OPT_LOG_KEEP:
		return parse_uint(value, KEEP_MAX, &l->keep) < 0
			       ? wrong(option, "a whole number from 0 to 10000", value, err)
			       : 0;
	case OPT_LOG_COMPRESS:
		l->compress = true;
		return 0;
	case OPT_LOG_MODE:
		return apply_mode(option, value, &l->mode, err);
	case OPT_LOG_OWNER:
		free(l->owner);
		l->owner = strdup(value);
		return l->owner ? 0 : err_errno(err, -ENOMEM, "option '%s'", option);
	default:
		return 0;
	}
}
