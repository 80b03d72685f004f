/* The one /app of a root, with a folder in the place of /; a hsup of it is a process, and killed
 * before and behind each call by which anything changes. */
#include "base/fd.h"
#include "drivers/abspath_root.h"
#include "drivers/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

/* ---- the calls ---- */

static unsigned steps, die_at; /* 0 = live on */

static void step(void)
{
	if (++steps == die_at)
		(void)raise(SIGKILL);
}

#define WRAP(type, name, params, ...)                                                              \
	type __real_##name params;                                                                 \
	type __wrap_##name params                                                                  \
	{                                                                                          \
		step();                                                                            \
		type r = __real_##name(__VA_ARGS__);                                               \
		step();                                                                            \
		return r;                                                                          \
	}

WRAP(int, symlinkat, (const char *to, int dir, const char *name), to, dir, name)
WRAP(int, renameat, (int from, const char *old, int to, const char *new), from, old, to, new)
WRAP(int, renameat2, (int from, const char *old, int to, const char *new, unsigned flags), from,
	old, to, new, flags)
WRAP(int, unlinkat, (int dir, const char *name, int flags), dir, name, flags)
WRAP(int, mkdirat, (int dir, const char *name, mode_t mode), dir, name, mode)
WRAP(int, fchownat, (int dir, const char *name, uid_t u, gid_t g, int flags), dir, name, u, g,
	flags)
WRAP(int, fchmodat, (int dir, const char *name, mode_t mode, int flags), dir, name, mode, flags)
WRAP(int, mkdir, (const char *path, mode_t mode), path, mode)
static unsigned syncs;

int __real_fsync(int fd);
int __wrap_fsync(int fd)
{
	syncs++;
	return __real_fsync(fd);
}

WRAP(int, abspath_lock, (int fd, short type), fd, type)

/* ---- a place ---- */

static char base[200], top[256], state[256], control[256];
static struct err err;

static const char *in_top(const char *name)
{
	static char path[400];

	(void)snprintf(path, sizeof path, "%s/%s", top, name);
	return path;
}

static int make_place(void **unused)
{
	(void)unused;
	(void)snprintf(base, sizeof base, "/tmp/test-abspath-XXXXXX");
	assert_non_null(mkdtemp(base));
	(void)snprintf(top, sizeof top, "%s/top", base);
	(void)snprintf(state, sizeof state, "%s/state", base);
	(void)snprintf(control, sizeof control, "%s/control", base);
	assert_return_code(__real_mkdir(top, 0755), errno);
	assert_return_code(__real_mkdir(state, 0755), errno);
	assert_return_code(__real_mkdir(control, 0755), errno);
	steps = die_at = 0;
	return 0;
}

static int remove_place(void **unused)
{
	char command[300];

	(void)unused;
	(void)snprintf(command, sizeof command, "rm -r %s", base);
	return system(command);
}

/* What stands at /app: "", "folder 0751", or where the link leads in the end. */
static const char *app(void)
{
	static char text[PATH_MAX];
	char link[PATH_MAX];
	struct stat st;

	if (lstat(in_top("app"), &st) < 0)
		return "";
	if (S_ISDIR(st.st_mode)) {
		(void)snprintf(text, sizeof text, "folder %04o", st.st_mode & 07777U);
		return text;
	}
	ssize_t n = readlink(in_top("app"), link, sizeof link - 1);
	if (n < 0)
		return "a file";
	link[n] = '\0';
	n = readlink(link, text, sizeof text - 1);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void open_root(struct abspath_root *r, const char *of, bool lasts)
{
	assert_return_code(abspath_root_open(r, top, state, of, lasts, &err), 0);
}

#define shows(r, slug, lives) assert_return_code(abspath_root_show(r, slug, lives, &err), 0)
#define refuses(call, code, says)                                                                  \
	do {                                                                                       \
		assert_int_equal(call, code);                                                      \
		assert_non_null(strstr(err.text, says));                                           \
	} while (0)

/* ---- one hsup ---- */

static void an_absent_one_is_absent_again(void **unused)
{
	struct abspath_root r;

	(void)unused;
	open_root(&r, control, true);
	assert_return_code(abspath_root_check(&r, "/one", &err), 0);
	assert_string_equal(app(), "");
	shows(&r, "/one", false);
	assert_string_equal(app(), "/one");
	shows(&r, "/one", true);
	shows(&r, "/two", false);
	assert_string_equal(app(), "/two");
	shows(&r, NULL, false);
	assert_string_equal(app(), "empty");
	abspath_root_close(&r, false, &err);
	assert_string_equal(app(), "");
}

static void an_empty_one_comes_back_as_it_was(void **unused)
{
	struct abspath_root r;

	(void)unused;
	assert_return_code(__real_mkdir(in_top("app"), 0700), errno);
	assert_return_code(chmod(in_top("app"), 01751), errno);
	open_root(&r, control, true);
	shows(&r, NULL, false); /* as it is */
	assert_string_equal(app(), "folder 1751");
	shows(&r, "/one", false);
	assert_string_equal(app(), "/one");
	abspath_root_close(&r, false, &err);
	assert_string_equal(app(), "folder 1751");
}

static void while_dynos_run_it_shows_what_it_shows(void **unused)
{
	struct abspath_root r;

	(void)unused;
	open_root(&r, control, true);
	shows(&r, "/one", false);
	refuses(abspath_root_show(&r, "/two", true, &err), -EBUSY, "of which dynos run");
	refuses(abspath_root_show(&r, NULL, true, &err), -EBUSY, "of which dynos run");
	abspath_root_close(&r, true, &err);
	assert_string_equal(app(), "/one");
	open_root(&r, control, true); /* its successor */
	shows(&r, "/one", true);
	abspath_root_close(&r, false, &err);
	assert_string_equal(app(), "");
}

static void a_root_s_own_is_left_alone(void **unused)
{
	struct abspath_root r;

	(void)unused;
	assert_return_code(__real_mkdir(in_top("app"), 0755), errno);
	assert_return_code(__real_mkdir(in_top("app/bin"), 0755), errno);
	open_root(&r, control, true);
	refuses(abspath_root_check(&r, "/one", &err), -EEXIST, "is this root's own");
	refuses(abspath_root_show(&r, "/one", false, &err), -EEXIST, "is this root's own");
	assert_return_code(abspath_root_check(&r, NULL, &err), 0);
	shows(&r, NULL, false);
	abspath_root_close(&r, false, &err);
	assert_return_code(access(in_top("app/bin"), F_OK), errno);
	/* A link that is not ours, and a file. */
	assert_return_code(rmdir(in_top("app/bin")), errno);
	assert_return_code(rmdir(in_top("app")), errno);
	assert_return_code(symlink("/srv/app", in_top("app")), errno);
	open_root(&r, control, true);
	refuses(abspath_root_show(&r, "/one", false, &err), -EEXIST, "is this root's own");
	(void)unlink(in_top("app"));
	assert_return_code(close(open(in_top("app"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), errno);
	refuses(abspath_root_show(&r, "/one", false, &err), -EEXIST, "is this root's own");
	abspath_root_close(&r, false, &err);
	assert_return_code(access(in_top("app"), F_OK), errno);
}

static void what_somebody_puts_there_stands(void **unused)
{
	struct abspath_root r;

	(void)unused;
	open_root(&r, control, true);
	shows(&r, "/one", false);
	assert_return_code(unlink(in_top("app")), errno);
	assert_return_code(symlink("/elsewhere", in_top("app")), errno);
	refuses(abspath_root_show(&r, "/one", true, &err), -EEXIST, "is this root's own");
	abspath_root_close(&r, false, &err);
	char link[20] = "";
	assert_int_equal(readlink(in_top("app"), link, sizeof link - 1), 10);
	assert_string_equal(link, "/elsewhere");
}

static void a_link_that_was_made_ready_stays(void **unused)
{
	struct abspath_root r;

	(void)unused;
	open_root(&r, control, true);
	assert_return_code(symlink(r.target, in_top("app")), errno);
	abspath_root_close(&r, false, &err);
	open_root(&r, control, true);
	shows(&r, "/one", false);
	assert_string_equal(app(), "/one");
	abspath_root_close(&r, false, &err);
	assert_return_code(readlink(in_top("app"), (char[PATH_MAX]){0}, PATH_MAX), errno);
	assert_string_equal(app(), "");
}

/* For a supervisor of another user, who could neither make nor remove it. */
static void what_is_made_ready_for_another_user_stays(void **unused)
{
	struct abspath_root r;
	uid_t user = geteuid() ? geteuid() : 1000;
	gid_t group = geteuid() ? getegid() : 1000;
	struct stat st;

	(void)unused;
	assert_return_code(abspath_root_ready(top, state, control, user, group, &err), 0);
	open_root(&r, control, true);
	assert_return_code(fstat(r.dir, &st), errno);
	assert_int_equal(st.st_uid, user);
	assert_int_equal(st.st_gid, group);
	shows(&r, "/one", false);
	assert_string_equal(app(), "/one");
	abspath_root_close(&r, false, &err);
	assert_return_code(readlink(in_top("app"), (char[PATH_MAX]){0}, PATH_MAX), errno);
	/* A root's own is not. */
	assert_return_code(unlink(in_top("app")), errno);
	assert_return_code(close(open(in_top("app"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), errno);
	assert_return_code(abspath_root_ready(top, state, control, geteuid(), getegid(), &err), 0);
	assert_string_equal(app(), "a file");
}

/* Of one that ran as root before: what nobody could have put there. */
static void a_place_of_root_s_is_given_away(void **unused)
{
	struct abspath_root r;
	struct stat st;

	(void)unused;
	if (geteuid() != 0)
		return;
	open_root(&r, control, true);
	shows(&r, "/one", false);
	assert_return_code(fstat(r.dir, &st), errno);
	assert_int_equal(st.st_uid, 0);
	assert_return_code(abspath_root_ready(top, state, control, 1000, 1000, &err), 0);
	assert_return_code(fstat(r.dir, &st), errno);
	assert_int_equal(st.st_uid, 1000);
	assert_return_code(fstat(r.lock, &st), errno);
	assert_int_equal(st.st_uid, 1000);
	/* But not a second time, to another. */
	refuses(abspath_root_ready(top, state, control, 1001, 1001, &err), -EPERM,
		"does not belong to user 1001");
	assert_return_code(fstat(r.lock, &st), errno);
	assert_int_equal(st.st_uid, 1000);
	abspath_root_close(&r, false, &err);
}

/* Who owns a directory can put there what he likes: root takes what is his or root's, and no link.
 */
static void root_goes_no_way_that_others_have_made(void **unused)
{
	char places[300];

	(void)unused;
	if (geteuid() != 0)
		return;
	(void)snprintf(places, sizeof places, "%s/abspath", state);
	assert_return_code(__real_mkdir(places, 0755), errno);
	assert_return_code(chown(state, 1000, 1000), errno);
	assert_return_code(chown(places, 1001, 1001), errno);
	refuses(abspath_root_ready(top, state, control, 1000, 1000, &err), -EPERM,
		"its part abspath is of a user to whom nothing before it belongs");
	assert_return_code(rmdir(places), errno);
	assert_return_code(symlink(top, places), errno);
	refuses(abspath_root_ready(top, state, control, 1000, 1000, &err), -EPERM,
		"its part abspath is a link");
	assert_string_equal(app(), "");
	assert_return_code(rmdir(top), errno); /* there is nothing in it */
	assert_return_code(__real_mkdir(top, 0755), errno);
	/* What hsup made when it was root's before. */
	assert_return_code(unlink(places), errno);
	assert_return_code(__real_mkdir(places, 0755), errno);
	assert_return_code(abspath_root_ready(top, state, control, 1000, 1000, &err), 0);
	assert_string_equal(app(), "");
	assert_return_code(readlink(in_top("app"), (char[PATH_MAX]){0}, PATH_MAX), errno);
}

/* What is said to be done then is the operator's, and stays. */
static void a_link_made_by_hand_after_a_refusal_stays(void **unused)
{
	struct abspath_root r;

	(void)unused;
	open_root(&r, control, true);
	/* Nothing can be made there. */
	r.top = fd_close(r.top);
	r.top = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(abspath_root_show(&r, "/one", false, &err) < 0);
	assert_non_null(strstr(err.text, "as root: ln -s"));
	r.top = fd_close(r.top);
	r.top = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(symlink(r.target, in_top("app")), errno);
	shows(&r, "/one", false);
	abspath_root_close(&r, false, &err);
	assert_return_code(readlink(in_top("app"), (char[PATH_MAX]){0}, PATH_MAX), errno);
}

/* ---- several ---- */

static char other_control[300];

static void make_other(void)
{
	(void)snprintf(other_control, sizeof other_control, "%s/other", base);
	assert_return_code(__real_mkdir(other_control, 0755), errno);
}

static void a_second_app_is_refused_until_the_first_ends(void **unused)
{
	struct abspath_root first, second;

	(void)unused;
	make_other();
	open_root(&first, control, true);
	open_root(&second, other_control, true);
	shows(&first, "/one", false);
	refuses(abspath_root_check(&second, "/two", &err), -EBUSY, "another hsup");
	refuses(abspath_root_show(&second, "/two", false, &err), -EBUSY, "another hsup");
	assert_string_equal(app(), "/one");
	abspath_root_close(&first, false, &err);
	shows(&second, "/two", false);
	assert_string_equal(app(), "/two");
	abspath_root_close(&second, false, &err);
	assert_string_equal(app(), "");
}

/* In a child, which is killed: its launcher, this process, would be said to live, so its is a
 * grandchild of one that is gone. */
static void leave_behind(const char *of, const char *slug)
{
	int pid = fork();

	if (pid == 0) {
		int inner = fork();

		if (inner == 0) {
			struct abspath_root r;

			if (abspath_root_open(&r, top, state, of, true, &err) < 0 ||
				abspath_root_show(&r, slug, false, &err) < 0)
				_exit(1);
			_exit(0);
		}
		int status = 1;
		(void)waitpid(inner, &status, 0);
		_exit(status ? 1 : 0);
	}
	int status = 1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void what_a_dead_one_of_another_app_left_is_taken_over(void **unused)
{
	struct abspath_root r;

	(void)unused;
	make_other();
	assert_return_code(__real_mkdir(in_top("app"), 0750), errno);
	leave_behind(other_control, "/dead");
	assert_string_equal(app(), "/dead");
	open_root(&r, control, true);
	assert_return_code(abspath_root_check(&r, "/one", &err), 0);
	shows(&r, "/one", false);
	assert_string_equal(app(), "/one");
	abspath_root_close(&r, false, &err);
	assert_string_equal(app(), "folder 0750");
}

/* Its supervisor is between two lives, its launcher is there: this process. */
static void between_two_supervisors_it_is_not_free(void **unused)
{
	struct abspath_root r;
	int status = 1;

	(void)unused;
	make_other();
	int pid = fork();
	if (pid == 0) {
		bool well = abspath_root_open(&r, top, state, other_control, true, &err) == 0 &&
			    abspath_root_show(&r, "/theirs", false, &err) == 0;
		_exit(!well);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Whose launcher is another than this process's own parent. */
	open_root(&r, control, true);
	refuses(abspath_root_check(&r, "/one", &err), -EBUSY, "another hsup");
	refuses(abspath_root_show(&r, "/one", false, &err), -EBUSY, "another hsup");
	abspath_root_close(&r, false, &err);
	assert_string_equal(app(), "/theirs");
	/* Nor for a `run` of its own app, with another slug. */
	open_root(&r, other_control, false);
	refuses(abspath_root_show(&r, "/one", false, &err), -EBUSY, "start or run");
	shows(&r, "/theirs", false);
	abspath_root_close(&r, false, &err);
	assert_string_equal(app(), "/theirs");
}

static void one_that_runs_beside_keeps_it(void **unused)
{
	struct abspath_root start, run;

	(void)unused;
	open_root(&start, control, true);
	shows(&start, "/one", false);
	open_root(&run, control, false);
	shows(&run, "/one", false);
	refuses(abspath_root_show(&run, "/two", false, &err), -EBUSY, "start or run");
	refuses(abspath_root_check(&start, "/two", &err), -EBUSY, "start or run");
	refuses(abspath_root_show(&start, "/two", false, &err), -EBUSY, "start or run");
	assert_return_code(abspath_root_check(&start, "/one", &err), 0);
	abspath_root_close(&start, false, &err);
	assert_string_equal(app(), "/one");
	abspath_root_close(&run, false, &err);
	assert_string_equal(app(), "");
}

static void where_nothing_can_be_made_it_is_said_what_to_do(void **unused)
{
	struct abspath_root r;
	int status = 1;

	(void)unused;
	/* Root may write anywhere: another has to try. */
	assert_return_code(chmod(base, 0755), errno);
	assert_return_code(chmod(state, 0777), errno);
	int pid = fork();
	if (pid == 0) {
		char want[400];
		bool well = geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0);

		if (geteuid() != 65534)
			(void)chmod(top, 0555);
		well = well && abspath_root_open(&r, top, state, control, true, &err) == 0;
		(void)snprintf(want, sizeof want, "as root: ln -s %.300s /app", r.target);
		well = well && abspath_root_check(&r, "/one", &err) == -EACCES &&
		       strstr(err.text, want);
		well = well && abspath_root_show(&r, "/one", false, &err) == -EACCES &&
		       strstr(err.text, want);
		_exit(!well);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_return_code(chmod(top, 0755), errno);
	assert_int_equal(status, 0);
	assert_string_equal(app(), "");
}

/* On a busy machine the one whose turn it is may be long in it; but it waits for no disk. */
static void another_s_turn_is_waited_for(void **unused)
{
	struct abspath_root r;
	int told[2], status = 1;
	char c;

	(void)unused;
	assert_return_code(pipe2(told, O_CLOEXEC), errno);
	int pid = fork();
	if (pid == 0) {
		const struct timespec long_time = {.tv_nsec = 400000000};
		int fd = open(in_top(".app-hsup-turn"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		bool well = fd >= 0 && flock(fd, LOCK_EX) == 0 && write(told[1], "x", 1) == 1 &&
			    nanosleep(&long_time, NULL) == 0;
		_exit(!well);
	}
	assert_int_equal(read(told[0], &c, 1), 1);
	open_root(&r, control, true);
	syncs = 0;
	shows(&r, "/one", false);
	assert_string_equal(app(), "/one");
	assert_return_code(abspath_root_close(&r, false, &err), 0);
	assert_string_equal(app(), "");
	assert_int_equal(syncs, 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(told[0]);
	(void)close(told[1]);
}

/* ---- killed ---- */

/* A whole life; where it was killed, or how many steps there were (as the exit code). */
static int live(const char *of, unsigned at)
{
	int pid = fork(), status = 0;

	if (pid == 0) {
		/* With a launcher that ends with it. */
		int inner = fork();

		if (inner == 0) {
			struct abspath_root r;

			steps = 0;
			die_at = at;
			if (abspath_root_open(&r, top, state, of, true, &err) < 0 ||
				abspath_root_show(&r, "/one", false, &err) < 0 ||
				abspath_root_show(&r, "/two", false, &err) < 0 ||
				abspath_root_show(&r, NULL, false, &err) < 0)
				_exit(255);
			abspath_root_close(&r, false, &err);
			_exit((int)steps);
		}
		(void)waitpid(inner, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static const char *clean(const char *was)
{
	(void)rmdir(in_top("app"));
	assert_int_not_equal(access(in_top("app"), F_OK), 0);
	if (was[0])
		assert_return_code(__real_mkdir(in_top("app"), 0751), errno);
	return was;
}

/* Whoever comes next, this app or another, goes on, and leaves what stood there first. */
static void killed_anywhere(const char *was)
{
	make_other();
	(void)clean(was);
	/* The first makes the place, once for all. */
	assert_in_range(live(control, 0), 40, 200);
	int n = live(control, 0);
	assert_in_range(n, 40, 200);
	assert_string_equal(app(), was);
	for (int at = 1; at <= n; at++) {
		for (int k = 0; k < 2; k++) {
			assert_int_equal(live(control, (unsigned)at), 0);
			const char *now = app();
			bool whole = strcmp(now, "/one") == 0 || strcmp(now, "/two") == 0 ||
				     strcmp(now, "empty") == 0 || strcmp(now, was) == 0 ||
				     strcmp(now, "folder 0700") == 0 || now[0] == '\0';
			assert_true(whole);
			assert_int_not_equal(live(k ? control : other_control, 0), 255);
			assert_string_equal(app(), was);
		}
		assert_return_code(access(in_top(".app-hsup"), F_OK) < 0 ? 0 : -1, 0);
		assert_return_code(access(in_top(".app-hsup-turn"), F_OK) < 0 ? 0 : -1, 0);
	}
}

static void killed_where_there_was_nothing(void **unused)
{
	(void)unused;
	killed_anywhere("");
}

static void killed_where_there_was_a_folder(void **unused)
{
	(void)unused;
	killed_anywhere("folder 0751");
}

/* What one of two came to. */
struct outcome {
	int code;
	char app[100];
};

static void try_it(
	const char *of, const char *slug, const int go[2], const int tell[2], const int end[2])
{
	struct outcome o = {0};
	struct abspath_root r;
	char c;

	(void)close(go[1]);
	(void)close(end[1]);
	if (read(go[0], &c, 1) < 0)
		_exit(1);
	o.code = abspath_root_open(&r, top, state, of, true, &err);
	if (o.code == 0)
		o.code = abspath_root_show(&r, slug, false, &err);
	(void)snprintf(o.app, sizeof o.app, "%.99s", app());
	(void)!write(tell[1], &o, sizeof o);
	(void)!read(end[0], &c, 1);
	_exit(0);
}

/* Two that start at the same time: one has it, and the other is told. */
static void of_two_at_once_one_has_it(void **unused)
{
	(void)unused;
	make_other();
	for (int round = 0; round < 50; round++) {
		int pids[2], go[2], tell[2], end[2], won = 0;

		assert_return_code(pipe2(go, O_CLOEXEC), errno);
		assert_return_code(pipe2(tell, O_CLOEXEC), errno);
		assert_return_code(pipe2(end, O_CLOEXEC), errno);
		for (int i = 0; i < 2; i++) {
			pids[i] = fork();
			if (pids[i] == 0)
				try_it(i ? control : other_control, i ? "/1" : "/0", go, tell, end);
		}
		(void)close(go[0]);
		(void)close(go[1]);
		for (int i = 0; i < 2; i++) {
			struct outcome o;

			assert_int_equal(read(tell[0], &o, sizeof o), sizeof o);
			assert_true(o.code == 0 || o.code == -EBUSY);
			won += o.code == 0;
			if (o.code == 0)
				assert_true(strcmp(o.app, "/0") == 0 || strcmp(o.app, "/1") == 0);
		}
		assert_int_equal(won, 1);
		(void)close(end[0]);
		(void)close(end[1]);
		(void)close(tell[0]);
		(void)close(tell[1]);
		for (int i = 0; i < 2; i++)
			assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
		/* They have died without an end: the next of each gives back what was its. */
		for (int i = 0; i < 2; i++) {
			struct abspath_root r;

			open_root(&r, i ? control : other_control, true);
			abspath_root_close(&r, false, &err);
		}
		assert_string_equal(app(), "");
	}
}

static void the_driver_says_what_it_is(void **unused)
{
	(void)unused;
	assert_ptr_equal(driver_find("abspath"), &driver_abspath);
	assert_true(driver_abspath.caps & DRIVER_ONE_SLUG);
	assert_false(driver_simple.caps & DRIVER_ONE_SLUG);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_absent_one_is_absent_again),
		TEST(an_empty_one_comes_back_as_it_was),
		TEST(while_dynos_run_it_shows_what_it_shows),
		TEST(a_root_s_own_is_left_alone),
		TEST(what_somebody_puts_there_stands),
		TEST(a_link_that_was_made_ready_stays),
		TEST(what_is_made_ready_for_another_user_stays),
		TEST(a_place_of_root_s_is_given_away),
		TEST(root_goes_no_way_that_others_have_made),
		TEST(a_link_made_by_hand_after_a_refusal_stays),
		TEST(a_second_app_is_refused_until_the_first_ends),
		TEST(what_a_dead_one_of_another_app_left_is_taken_over),
		TEST(between_two_supervisors_it_is_not_free),
		TEST(one_that_runs_beside_keeps_it),
		TEST(where_nothing_can_be_made_it_is_said_what_to_do),
		TEST(another_s_turn_is_waited_for),
		TEST(killed_where_there_was_nothing),
		TEST(killed_where_there_was_a_folder),
		TEST(of_two_at_once_one_has_it),
		TEST(the_driver_says_what_it_is),
	};

	return cmocka_run_group_tests_name("abspath", tests, NULL, NULL);
}
