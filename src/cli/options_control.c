/* Options of who may ask and tell by the control API. */
#include "cli/private.h"

#include "base/parse.h"
#include "base/str.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

static int find_id(const char *value, bool group, uint32_t *ret_id)
{
	unsigned number;

	if (parse_uint(value, ID_NONE - 1, &number) == 0) {
		*ret_id = number;
		return 0;
	}
	const struct group *g = group ? getgrnam(value) : NULL;
	const struct passwd *p = group ? NULL : getpwnam(value);
	if (!g && !p)
		return -ENOENT;
	*ret_id = g ? g->gr_gid : p->pw_uid;
	return 0;
}

static int apply_grant(struct options *o, const char *option, const char *value, bool group,
	bool operate, struct err *err)
{
	struct control_grant grant = {.group = group, .operate = operate};
	char shown[80];

	if (find_id(value, group, &grant.id) < 0)
		return err_set(err, -EINVAL, "option '%s': there is no %s '%s'", option,
			group ? "group" : "user",
			str_printable(value, strlen(value), shown, sizeof shown));
	if (o->n_control_grants == LIMIT_CONTROL_GRANTS)
		return err_set(err, -EINVAL, "option '%s': more than %d users and groups are named",
			option, LIMIT_CONTROL_GRANTS);
	o->control_grants[o->n_control_grants++] = grant;
	return 0;
}

static int apply_mode(struct options *o, const char *option, const char *value, struct err *err)
{
	size_t len = strlen(value);
	char shown[80];

	if (len < 3 || len > 4 || strspn(value, "01234567") != len || (len == 4 && *value != '0'))
		return err_set(err, -EINVAL,
			"option '%s' must be a mode as 0660, in octal digits, not '%s'", option,
			str_printable(value, len, shown, sizeof shown));
	o->socket_mode = (int)strtol(value, NULL, 8);
	return 0;
}

int options_apply_control(struct options *o, enum option_id id, const char *option,
	const char *value, struct err *err)
{
	switch ((unsigned)id) {
	case OPT_LISTEN:
		o->listen = value;
		return 0;
	case OPT_TOKEN_FILE:
		return options_path(&o->token_file, value, err);
	case OPT_OPERATE_UID:
	case OPT_OPERATE_GID:
		return apply_grant(o, option, value, id == OPT_OPERATE_GID, true, err);
	case OPT_WATCH_UID:
	case OPT_WATCH_GID:
		return apply_grant(o, option, value, id == OPT_WATCH_GID, false, err);
	case OPT_SOCKET_MODE:
		return apply_mode(o, option, value, err);
	case OPT_SOCKET_OWNER:
		o->socket_owner = value;
		return 0;
	default:
		return 0;
	}
}
