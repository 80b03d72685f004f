#include "privileges.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/way.h"
#include "drivers/account.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DYNO_ACCOUNT "hsup-dyno"

/* ---- ids ---- */

static int find(const char *option, const char *name, struct account *ret, struct err *err)
{
	int r = account_find(ret, name, err);

	return r < 0 ? err_wrap(err, "option '%s'", option) : 0;
}

/* "NAME" or "NAME:GROUP": one that is not its own, as that of an engine's socket. */
static int find_supervisor(const char *text, struct account *ret, struct err *err)
{
	const char *colon = strchr(text, ':');
	char name[LIMIT_NAME + 1];
	unsigned gid;

	if (!colon)
		return find("--user", text, ret, err);
	(void)snprintf(name, sizeof name, "%.*s", (int)(colon - text), text);
	int r = find("--user", name, ret, err);
	if (r < 0)
		return r;
	const struct group *group = getgrnam(colon + 1);
	if (!group && parse_uint(colon + 1, UINT32_MAX - 1, &gid) < 0)
		return err_set(err, -ENOENT, "option '--user': there is no group %.60s", colon + 1);
	ret->gid = group ? group->gr_gid : gid;
	return 0;
}

static int grant_id(struct id_grant *g, const char *name, uint32_t id, struct err *err)
{
	if (id == 0 && !g->root)
		return err_set(err, -EPERM,
			"option '--dyno-user': %s is root or of group root; that needs "
			"'--allow-root-dynos'",
			name);
	/* No range means every id: one more would make it that id alone. */
	if (id == 0 || g->n == 0)
		return 0;
	for (unsigned i = 0; i < g->n; i++)
		if (g->ranges[i].min == id && g->ranges[i].max == id)
			return 0;
	if (id_grant_add(g, (struct id_range){id, id}) < 0)
		return err_set(err, -E2BIG,
			"option '--dyno-user': with the groups of %s there are more than %d "
			"ranges of ids",
			name, IDS_RANGES);
	return 0;
}

/* The dyno user's ids, whatever the ranges are: who names an account means it. */
static int grant_dyno_user(struct options *o, struct err *err)
{
	struct account HSUP_CLEANUP(account_done) a = {0};
	struct id_grant *g = &o->dyno_ids;
	struct id_range all;

	if (g->n == 0 && o->supervisor_user) {
		int r = id_range_parse(IDS_DEFAULT, &all);
		if (r < 0 || id_grant_add(g, all) < 0)
			return err_set(err, -EINVAL, "ids of dynos");
	}
	if (!o->dyno_user)
		return 0;
	int r = find("--dyno-user", o->dyno_user, &a, err);
	if (r == 0)
		r = grant_id(g, o->dyno_user, a.uid, err);
	if (r == 0)
		r = grant_id(g, o->dyno_user, a.gid, err);
	for (unsigned i = 0; r == 0 && i < a.n_groups; i++)
		r = grant_id(g, o->dyno_user, a.groups[i], err);
	return r;
}

/* Dynos of the supervisor's own user could end it: better one that does nothing else. */
static const char *choose_dyno_user(const struct options *o)
{
	struct account HSUP_CLEANUP(account_done) a = {0};
	struct err err;

	if (account_find(&a, DYNO_ACCOUNT, &err) == 0 && a.uid != 0)
		return DYNO_ACCOUNT;
	log_warning(
		"dynos whose process type has no User run as %s, the supervisor's own user, and "
		"could end it; give them another with --dyno-user, or make the account %s",
		o->supervisor_user, DYNO_ACCOUNT);
	return o->supervisor_user;
}

/* ---- directories ---- */

/* A child becomes the account and looks. Returns its errno, 0 = it can. */
static int try_access(const struct account *a, const char *path, const char *name, int mode)
{
	int status;

	pid_t pid = fork();
	if (pid == 0) {
		struct stat st;

		if (setgroups(0, NULL) < 0 || setresgid(a->gid, a->gid, a->gid) < 0 ||
			setresuid(a->uid, a->uid, a->uid) < 0)
			_exit(errno);
		int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			_exit(errno);
		if (name[0] != '.' && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			_exit(errno == ENOENT ? 0 : errno);
		_exit(faccessat(dir, name, mode, 0) < 0 && errno != ENOENT ? errno : 0);
	}
	if (pid < 0)
		return errno;
	if (waitpid(pid, &status, 0) < 0)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static int check_directory(const char *what, const char *path, const struct account *a,
	const char *const *names, struct err *err)
{
	for (size_t i = 0; names[i]; i++) {
		bool file = strcmp(names[i], "loaded") == 0;
		int e = try_access(a, path, names[i], file ? R_OK : R_OK | W_OK | X_OK);

		if (e != 0)
			return err_set(err, -e,
				"%s %.150s: user %.40s cannot %s %s: %s; to mend it: chown -R "
				"%u:%u %.150s",
				what, path, a->name, file ? "read" : "write to",
				strcmp(names[i], ".") == 0 ? "it" : names[i], err_name(e), a->uid,
				a->gid, path);
	}
	return 0;
}

static int give(const struct way *way, const char *path, const struct account *a, struct err *err)
{
	int r = way_give(way, a->uid, a->gid);

	if (r == -EPERM)
		return err_set(err, r,
			"%.200s is not what hsup has made there for user %.40s; if it is right: "
			"chown %u:%u %.150s",
			path, a->name, a->uid, a->gid, path);
	return r < 0 ? err_errno(err, r, "%.300s", path) : 0;
}

/* What is missing of the way to it is made: the last part the account's, the others root's. What is
 * there already is only looked at, as the account. */
static int make_directory(const char *path, const struct account *a, struct err *err)
{
	struct way HSUP_CLEANUP(way_done) way = {.fd = -1};
	struct stat st;

	if (stat(path, &st) == 0)
		return 0;
	int r = way_open(&way, path, true, err);
	if (r == 0 && way.made)
		r = give(&way, path, a, err);
	return r;
}

static int prepare_directories(const struct options *o, const struct account *a, struct err *err)
{
	static const char *const control[] = {".", ".hsup", "releases", "loaded", NULL},
				 *const state[] = {".", NULL}, *const apps[] = {"apps", NULL};
	struct stat st;
	char path[PATH_MAX];

	int r = check_directory("control directory", o->control_dir, a, control, err);
	if (r < 0)
		return r;
	r = make_directory(o->state_dir, a, err);
	if (r < 0)
		return err_wrap(err, "state directory");
	/* Of a daemon it is root's, who has its log there, and only what is in it is the user's. */
	(void)snprintf(path, sizeof path, "%s/apps", o->state_dir);
	return check_directory(
		"state directory", o->state_dir, a, stat(path, &st) == 0 ? apps : state, err);
}

/* Made a moment ago by `up`, or by one that ran without --user: from now on the account's. */
static int give_away(const char *path, const struct account *a, struct err *err)
{
	struct way HSUP_CLEANUP(way_done) way;
	struct stat st;

	int r = way_open(&way, path, false, err);
	if (r < 0)
		return r;
	if (fstat(way.fd, &st) < 0)
		return err_errno(err, -errno, "%.300s", path);
	return st.st_uid == 0 ? give(&way, path, a, err) : 0;
}

static int prepare_daemon(const struct options *o, const struct account *a, struct err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof path, "%s/apps", o->state_dir);
	int r = make_directory(path, a, err);
	if (r == 0)
		r = give_away(path, a, err);
	if (r < 0)
		return r;
	r = give_away(o->apps_dir, a, err);
	return r < 0 ? err_wrap(err, "folder of the apps") : 0;
}

/* ---- for the launcher ---- */

HSUP_PRINTF(2, 3) static void add_arg(struct privileges *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(p->args[p->n_args++], sizeof p->args[0], fmt, ap);
	va_end(ap);
}

int privileges_prepare(struct options *o, struct privileges *ret, struct err *err)
{
	struct account HSUP_CLEANUP(account_done) a = {0};

	*ret = (struct privileges){.uid = geteuid(), .gid = getegid()};
	if ((o->supervisor_user || o->dyno_user) && geteuid() != 0)
		return err_set(err, -EPERM, "option '%s' is for root: others run all as themselves",
			o->supervisor_user ? "--user" : "--dyno-user");
	if (o->supervisor_user) {
		int r = find_supervisor(o->supervisor_user, &a, err);
		if (r < 0)
			return r;
		if (a.uid == 0 || a.gid == 0)
			return err_set(err, -EINVAL,
				"option '--user': %s is root or of group root, which is what it "
				"is to prevent",
				o->supervisor_user);
		r = o->mode == MODE_UP ? prepare_daemon(o, &a, err)
				       : prepare_directories(o, &a, err);
		if (r < 0)
			return r;
		/* Of the daemon these are its apps' affairs: each has a launcher, which is root. */
		if (o->mode == MODE_UP)
			return grant_dyno_user(o, err);
		ret->uid = a.uid;
		ret->gid = a.gid;
		if (!o->dyno_user)
			o->dyno_user = ret->dyno_user = choose_dyno_user(o);
		if (strchr(o->dyno_user, ':'))
			return err_set(err, -EINVAL,
				"option '--user': with a group that is not its own, dynos need "
				"another user: make the account " DYNO_ACCOUNT
				", or give '--dyno-user'");
		add_arg(ret, "--user=%u:%u", a.uid, a.gid);
	}
	if (o->mode == MODE_RUN)
		add_arg(ret, "--terminal");
	int r = grant_dyno_user(o, err);
	for (unsigned i = 0; r == 0 && i < o->dyno_ids.n; i++)
		add_arg(ret, "--dyno-ids=%u-%u", o->dyno_ids.ranges[i].min,
			o->dyno_ids.ranges[i].max);
	if (o->dyno_ids.root)
		add_arg(ret, "--allow-root-dynos");
	return r;
}

int privileges_enter(struct options *o, struct err *err)
{
	if (o->mode == MODE_UP)
		return 0;
	if (o->supervisor_user) {
		/* Else a dyno of the same user could trace us and use our end of the wire. */
		if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
			return err_errno(err, -errno, "cannot close my memory");
		o->dyno_ids.own_uid = geteuid();
		o->dyno_ids.own_gid = getegid();
	} else {
		o->dyno_ids.own_uid = o->dyno_ids.own_gid = ID_NONE;
	}
	return grant_dyno_user(o, err);
}
