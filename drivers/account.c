#include "drivers/account.h"

#include "base/parse.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>

void account_done(struct account *a)
{
	free(a->asked);
	free(a->name);
	free(a->home);
	*a = (struct account){0};
}

/* A number needs no entry in the user database: it then has no other groups, and "/" as home. */
static int fill(struct account *a, const char *user, const struct passwd *entry, unsigned uid)
{
	*a = (struct account){
		.asked = strdup(user),
		.name = strdup(entry ? entry->pw_name : user),
		.home = strdup(entry ? entry->pw_dir : "/"),
		.uid = entry ? entry->pw_uid : uid,
		.gid = entry ? entry->pw_gid : uid,
	};
	if (!a->asked || !a->name || !a->home)
		return -ENOMEM;
	if (!entry)
		return 0;

	int n = LIMIT_GROUPS;
	if (getgrouplist(entry->pw_name, entry->pw_gid, a->groups, &n) < 0)
		return -E2BIG;
	a->n_groups = (unsigned)n;
	return 0;
}

int account_find(struct account *a, const char *user, struct err *err)
{
	unsigned uid = 0;

	if (a->asked && strcmp(a->asked, user) == 0)
		return 0;
	account_done(a);

	bool number = parse_uint(user, UINT32_MAX - 1, &uid) == 0;
	errno = 0;
	const struct passwd *entry = number ? getpwuid(uid) : getpwnam(user);
	if (!entry && !number)
		return err_set(err, -ENOENT, "User: there is no user \"%s\" on this machine", user);

	int r = fill(a, user, entry, uid);
	if (r < 0) {
		account_done(a);
		return err_errno(err, r, "User: %s", user);
	}
	return 0;
}
