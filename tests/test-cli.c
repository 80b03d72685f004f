#include "base/file.h"
#include "cli/private.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct cli_driver_name drivers[] = {
	{"simple", NULL, "plain processes"},
	{"null", "dry", "runs nothing"},
};

/* What one call said and did. */
struct outcome {
	struct options o;
	const struct command *command;
	int r, code;
	char *out, *err;
};

static struct outcome call_argv(int argc, char **argv)
{
	struct outcome c = {.code = -1};
	size_t out_len, err_len;
	FILE *real_out = stdout, *real_err = stderr;

	stdout = open_memstream(&c.out, &out_len);
	stderr = open_memstream(&c.err, &err_len);
	c.r = cli_parse(argc, argv, &c.o, &c.command, &c.code);
	(void)fclose(stdout);
	(void)fclose(stderr);
	stdout = real_out;
	stderr = real_err;
	return c;
}

static struct outcome call_words(const char *first, ...)
{
	const char *argv[40] = {"hsup"};
	int argc = 1;
	va_list ap;

	va_start(ap, first);
	for (const char *word = first; word; word = va_arg(ap, const char *))
		argv[argc++] = word;
	va_end(ap);

	char *before[40], *words[40];
	memcpy(before, argv, sizeof before);
	memcpy(words, argv, sizeof words);
	struct outcome c = call_argv(argc, words);
	assert_memory_equal(before, words, sizeof before); /* main.c passes them on */
	return c;
}

#define call(...) call_words(__VA_ARGS__, NULL)

static void done(struct outcome *c)
{
	if (c->r == EXIT_OK)
		cli_options_done(&c->o);
	free(c->out);
	free(c->err);
}

#define _done_ HSUP_CLEANUP(done)

/* A usage error: this line, and nothing else. */
static void expect_usage(struct outcome c, const char *line)
{
	assert_string_equal(c.err, line);
	assert_string_equal(c.out, "");
	assert_int_equal(c.r == EXIT_OK ? c.code : c.r, EXIT_USAGE);
	done(&c);
}

/* ---- gc ---- */

static enum gc_owner owner_found;
static const char *owner_asked;

static int ask_owner(const struct gc_order *order, struct err *err)
{
	(void)err;
	owner_found = order->owner(owner_asked);
	return 0;
}

static enum gc_owner owner_of(const char *control_dir)
{
	static const struct cli_driver_name one = {"kept", NULL, "elsewhere", ask_owner};
	struct options o = {.driver = "kept"};

	cli_set_drivers(&one, 1);
	owner_asked = control_dir;
	assert_int_equal(command_gc.run(&o, 0, NULL), EXIT_OK);
	cli_options_done(&o);
	return owner_found;
}

/* What gc takes for nobody's is removed: only what is surely not there may be. */
static void gc_asks_who_holds_a_directory(void **state)
{
	char dir[] = "/tmp/test-cli-XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(owner_of(dir), GC_FREE);
	(void)snprintf(path, sizeof path, "%s/none/there", dir);
	assert_int_equal(owner_of(path), GC_GONE);
	(void)snprintf(path, sizeof path, "%s/round", dir);
	assert_int_equal(symlink("round", path), 0);
	assert_int_equal(owner_of(path), GC_HIDDEN);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static int set_up(void **state)
{
	(void)state;
	cli_set_drivers(drivers, ARRAY_SIZE(drivers));
	(void)setenv("HSUP_CONTROL_DIR", "/srv/from-env", 1);
	(void)setenv("HSUP_STATE_DIR", "/srv/state", 1);
	(void)setenv("HSUP_RUNTIME_DIR", "/srv/run", 1);
	(void)setenv("HOME", "/home/u", 1);
	return 0;
}

static void go_form_options_first(void **state)
{
	(void)state;
	struct outcome _done_ c = call("-d", "simple", "-s", "/path", "run", "printenv");

	assert_int_equal(c.r, EXIT_OK);
	assert_ptr_equal(c.command, &command_run);
	assert_int_equal(c.o.mode, MODE_RUN);
	assert_string_equal(c.o.driver, "simple");
	assert_string_equal(c.o.control_socket, "/path");
	assert_int_equal(c.o.n_command, 1);
	assert_string_equal(c.o.command[0], "printenv");
	assert_null(c.o.command[1]);
	assert_string_equal(c.err, "");
}

static void go_form_options_behind(void **state)
{
	(void)state;
	struct outcome _done_ c = call("run", "-d", "simple", "-a", "x", "--", "echo", "hello");

	assert_int_equal(c.r, EXIT_OK);
	assert_string_equal(c.o.app, "x");
	assert_int_equal(c.o.n_command, 2);
	assert_string_equal(c.o.command[0], "echo");
	assert_string_equal(c.o.command[1], "hello");
	assert_null(c.o.command[2]);
}

static void run_stops_at_its_first_operand(void **state)
{
	(void)state;
	struct outcome _done_ c = call("run", "-v", "ls", "-l", "--bind", "--", "-v");

	assert_int_equal(c.r, EXIT_OK);
	assert_true(c.o.verbose);
	assert_int_equal(c.o.n_command, 5);
	assert_string_equal(c.o.command[1], "-l");
	assert_string_equal(c.o.command[2], "--bind");
	assert_string_equal(c.o.command[3], "--");
	assert_string_equal(c.o.command[4], "-v");
	assert_int_equal(c.o.n_binds, 0);
}

static void start_permutes(void **state)
{
	(void)state;
	struct outcome _done_ c = call("start", "web=2", "-d", "dry", "worker", "--oneshot",
		"--start-number=7", "--watchdog", "0", "--warm=64", "--network=none");

	assert_int_equal(c.r, EXIT_OK);
	assert_int_equal(c.o.mode, MODE_START);
	assert_string_equal(c.o.driver, "null"); /* the alias's own name */
	assert_true(c.o.oneshot);
	assert_int_equal(c.o.start_number, 7);
	assert_int_equal(c.o.watchdog, 0);
	assert_int_equal(c.o.warm, 64);
	assert_string_equal(c.o.network, "none");
	assert_int_equal(c.o.n_overrides, 2);
	assert_string_equal(c.o.overrides[0].type, "web");
	assert_int_equal(c.o.overrides[0].quantity, 2);
	assert_string_equal(c.o.overrides[1].type, "worker");
	assert_int_equal(c.o.overrides[1].quantity, 1);
}

static void who_runs_as_whom(void **state)
{
	(void)state;
	struct outcome _done_ c = call("run", "--user", "hsup", "--dyno-user=shop", "--dyno-ids",
		"2000-2999", "--dyno-ids=7", "--allow-root-dynos", "ls");
	const struct id_grant *g = &c.o.dyno_ids;

	assert_int_equal(c.r, EXIT_OK);
	assert_string_equal(c.o.supervisor_user, "hsup");
	assert_string_equal(c.o.dyno_user, "shop");
	assert_int_equal(g->n, 2);
	assert_true(g->ranges[0].min == 2000 && g->ranges[0].max == 2999);
	assert_true(g->ranges[1].min == 7 && g->ranges[1].max == 7);
	assert_true(g->root);

	struct outcome _done_ none = call("build");
	assert_null(none.o.supervisor_user);
	assert_int_equal(none.o.dyno_ids.n, 0);
	assert_false(none.o.dyno_ids.root);
}

static void options_of_both_sides_meet(void **state)
{
	(void)state;
	struct outcome _done_ c =
		call("-C", "/srv/first", "-v", "start", "-C", "/srv/second", "web=0");

	assert_int_equal(c.r, EXIT_OK);
	assert_string_equal(c.o.control_dir, "/srv/second");
	assert_true(c.o.verbose);
	assert_int_equal(c.o.overrides[0].quantity, 0);
}

static void defaults_come_from_the_environment(void **state)
{
	(void)state;
	struct outcome _done_ c = call("build");

	assert_int_equal(c.r, EXIT_OK);
	assert_int_equal(c.o.mode, MODE_BUILD);
	assert_string_equal(c.o.driver, "simple");
	assert_string_equal(c.o.control_dir, "/srv/from-env");
	assert_string_equal(c.o.state_dir, "/srv/state");
	assert_int_equal(c.o.start_number, 1);
	assert_int_equal(c.o.watchdog, 30);
	assert_int_equal(c.o.warm, 0);
	assert_null(c.o.network);
	assert_int_equal(c.o.color, COLOR_AUTO);
	assert_null(c.o.app);

	struct outcome _done_ own = call("build", "-C/srv/own", "--state-dir=/srv/s");
	assert_string_equal(own.o.control_dir, "/srv/own");
	assert_string_equal(own.o.state_dir, "/srv/s");
}

static void paths_become_absolute(void **state)
{
	(void)state;
	_cleanup_free_ char *here = getcwd(NULL, 0);
	char expected[4200];

	struct outcome _done_ dot = call("start", "-C", ".");
	assert_string_equal(dot.o.control_dir, here);
	struct outcome _done_ none = call("start", "-C", "no/such/folder");
	(void)snprintf(expected, sizeof expected, "%s/no/such/folder", here);
	assert_string_equal(none.o.control_dir, expected);
}

static void expect_default(
	enum path_kind kind, bool root, const char *expected, const char *expected_why)
{
	_cleanup_free_ char *path = NULL;
	const char *why = NULL;

	assert_int_equal(path_default(kind, root, "/srv/state", &path, &why), 0);
	assert_string_equal(path, expected);
	assert_string_equal(why, expected_why);
}

static void default_paths(void **state)
{
	(void)state;
	char *path = NULL;
	const char *why;

	(void)setenv("XDG_STATE_HOME", "/home/u/state", 1);
	(void)setenv("XDG_CONFIG_HOME", "/home/u/config", 1);
	(void)setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	(void)setenv("HOME", "/home/u", 1);
	expect_default(PATH_STATE, true, "/var/lib/hsup", "of root");
	expect_default(PATH_CONFIG, true, "/etc/hsup/hsup.json", "of root");
	expect_default(PATH_RUNTIME, true, "/run/hsup", "of root");
	expect_default(PATH_APPS, true, "/srv/state/control", "in the state directory");
	expect_default(PATH_STATE, false, "/home/u/state/hsup", "XDG_STATE_HOME");
	expect_default(PATH_CONFIG, false, "/home/u/config/hsup/hsup.json", "XDG_CONFIG_HOME");
	expect_default(PATH_RUNTIME, false, "/run/user/7/hsup", "XDG_RUNTIME_DIR");
	expect_default(PATH_LOG, false, "/srv/state/hsup.log", "in the state directory");

	/* Relative ones do not count. */
	(void)setenv("XDG_STATE_HOME", "relative", 1);
	(void)unsetenv("XDG_CONFIG_HOME");
	(void)unsetenv("XDG_RUNTIME_DIR");
	expect_default(PATH_STATE, false, "/home/u/.local/state/hsup", "HOME");
	expect_default(PATH_CONFIG, false, "/home/u/.config/hsup/hsup.json", "HOME");
	expect_default(PATH_RUNTIME, false, "/srv/state/run", "in the state directory");
	(void)unsetenv("HOME");
	assert_int_equal(path_default(PATH_STATE, false, NULL, &path, &why), -ENOENT);
	assert_int_equal(path_default(PATH_CONFIG, false, NULL, &path, &why), -ENOENT);
	assert_null(path);
}

/* What a daemon and its apps are told comes out of the parser as it went in. */
static void words_and_back(void **state)
{
	(void)state;
	struct outcome _done_ c = call("up", "--dir", "/srv/a b", "--config=/c.json", "-d", "dry",
		"--bind", "/a:/b:ro", "--watchdog", "7", "--log", "syslog:/dev/x", "-v",
		"--runtime-dir", "/run/x", "--warm", "3", "--network", "host");
	assert_int_equal(c.r, EXIT_OK);
	assert_int_equal(c.o.mode, MODE_UP);
	char **words = cli_words(&c.o, MODE_UP, "hsup"), **start;
	int n = 0;
	while (words[n])
		n++;
	struct outcome _done_ up = call_argv(n, words);
	assert_int_equal(up.r, EXIT_OK);
	assert_true(up.o.foreground);
	assert_string_equal(up.o.apps_dir, "/srv/a b");
	assert_string_equal(up.o.config, "/c.json");
	assert_string_equal(up.o.driver, "null");
	assert_string_equal(up.o.binds[0].container, "/b");
	assert_true(up.o.binds[0].read_only);
	assert_int_equal(up.o.watchdog, 7);
	assert_int_equal(up.o.warm, 3);
	assert_string_equal(up.o.network, "host");
	assert_string_equal(up.o.log, "syslog:/dev/x");
	assert_string_equal(up.o.state_dir, c.o.state_dir);
	assert_string_equal(up.o.runtime_dir, "/run/x");
	assert_true(up.o.verbose);

	/* Of an app: that is named behind. */
	start = cli_words(&c.o, MODE_START, "/bin/hsup");
	assert_string_equal(start[0], "/bin/hsup");
	n = 0;
	while (start[n])
		n++;
	struct outcome _done_ app = call_argv(n, start);
	assert_int_equal(app.r, EXIT_OK);
	assert_int_equal(app.o.mode, MODE_START);
	assert_int_equal(app.o.color, COLOR_NEVER);
	assert_string_equal(app.o.network, "host");
	assert_string_equal(app.o.runtime_dir, "/run/x");
	assert_int_equal(app.o.n_binds, 1);
	assert_true(app.o.binds[0].read_only);
	assert_null(app.o.log);
	cli_words_free(words);
	cli_words_free(start);
}

/* Programs that are older do not know it. */
static void words_without_a_network(void **state)
{
	(void)state;
	struct outcome _done_ c = call("up", "--dir", "/srv/a");
	char **words = cli_words(&c.o, MODE_UP, "hsup");

	for (int i = 0; words[i]; i++)
		assert_null(strstr(words[i], "--network"));
	cli_words_free(words);
}

static void the_daemon_s_options(void **state)
{
	(void)state;
	expect_usage(call("up", "now"), "hsup up: takes no operands; see 'hsup help up'\n");
	expect_usage(call("up", "--log", "syslog:dev/log"),
		"hsup up: option '--log' must be a file, syslog, syslog:/path/of/socket, journal "
		"or "
		"journal:/path/of/socket, not 'syslog:dev/log'; see 'hsup help up'\n");
	expect_usage(call("start", "--log", "journal:socket"),
		"hsup start: option '--log' must be a file, syslog, syslog:/path/of/socket, "
		"journal or "
		"journal:/path/of/socket, not 'journal:socket'; see 'hsup help start'\n");
	expect_usage(call("start", "--log-app", "a.b"),
		"hsup start: option '--log-app' must be 1 to 63 letters, digits, \"-\" or \"_\", "
		"not 'a.b'; see 'hsup help start'\n");
	expect_usage(call("down", "--timeout", "x"), "hsup down: option '--timeout' must be a "
						     "whole number from 0 to 86400, not 'x'; see "
						     "'hsup help down'\n");
	expect_usage(call("start", "--force"), "hsup start: '--force' is not an option of this "
					       "command; see 'hsup help start'\n");
	expect_usage(call("boot"),
		"hsup boot: takes one of install, remove, show; see 'hsup help boot'\n");
	expect_usage(call("boot", "insert"),
		"hsup boot: takes install, remove or show, not 'insert'; see 'hsup help boot'\n");

	/* In the foreground the log is standard output, unless told otherwise. */
	struct outcome _done_ back = call("up"), front = call("up", "--foreground"),
			      file = call("up", "--foreground", "--log", "/x.log");
	assert_string_equal(back.o.log_file, "/srv/state/hsup.log");
	assert_null(front.o.log_file);
	assert_string_equal(file.o.log_file, "/x.log");
	assert_int_equal(back.o.timeout, OPTIONS_NO_TIMEOUT);
}

static void binds(void **state)
{
	(void)state;
	struct outcome _done_ c = call(
		"start", "--bind", "/a:/b", "--bind=/c d:/e", "--bind=/a:/r:ro", "--bind=/a:/w:rw");

	assert_int_equal(c.r, EXIT_OK);
	assert_int_equal(c.o.n_binds, 4);
	assert_false(c.o.binds[0].read_only);
	assert_true(c.o.binds[2].read_only);
	assert_string_equal(c.o.binds[2].container, "/r");
	assert_false(c.o.binds[3].read_only);
	assert_string_equal(c.o.binds[3].container, "/w");
	assert_string_equal(c.o.binds[0].host, "/a");
	assert_string_equal(c.o.binds[0].container, "/b");
	assert_string_equal(c.o.binds[1].host, "/c d");
	assert_string_equal(c.o.binds[1].container, "/e");

	expect_usage(call("start", "--bind", "a:/b"),
		"hsup start: option '--bind' must be \"/host/path:/container/path\", both "
		"absolute, or that and \":ro\", not 'a:/b'; see 'hsup help start'\n");
	expect_usage(call("start", "--bind", "/a"),
		"hsup start: option '--bind' must be \"/host/path:/container/path\", both "
		"absolute, or that and \":ro\", not '/a'; see 'hsup help start'\n");
	expect_usage(call("start", "--bind", "/a:/b:no"),
		"hsup start: option '--bind' must be \"/host/path:/container/path\", both "
		"absolute, or that and \":ro\", not '/a:/b:no'; see 'hsup help start'\n");
	expect_usage(call("start", "--bind", "/a:/x", "--bind", "/b:/x:ro"),
		"hsup start: option '--bind': two binds to '/x'; see 'hsup help start'\n");
}

static void quantities(void **state)
{
	(void)state;
	expect_usage(call("start", "web=x"),
		"hsup start: \"web=x\": the quantity must be a whole number from 0 to 4096; "
		"see 'hsup help start'\n");
	expect_usage(call("start", "web=-1"),
		"hsup start: \"web=-1\": the quantity must be a whole number from 0 to 4096; "
		"see 'hsup help start'\n");
	expect_usage(call("start", "web=4097"),
		"hsup start: \"web=4097\": the quantity must be a whole number from 0 to 4096; "
		"see 'hsup help start'\n");
	expect_usage(call("start", "web=1", "web"),
		"hsup start: process type \"web\" is given twice; see 'hsup help start'\n");
	struct outcome _done_ c = call("start", "=2");
	assert_int_equal(c.r, EXIT_USAGE);
	assert_non_null(strstr(c.err, "the process type must be"));
}

static void unknown_options(void **state)
{
	(void)state;
	expect_usage(call("start", "--onshot"),
		"hsup start: unknown option '--onshot' (did you mean '--oneshot'?); "
		"see 'hsup help start'\n");
	expect_usage(call("--dynadriver=x", "start"),
		"hsup: unknown option '--dynadriver' (did you "
		"mean '--dynodriver'?); see 'hsup help'\n");
	expect_usage(call("start", "--quite-another"),
		"hsup start: unknown option '--quite-another'; see 'hsup help start'\n");
	expect_usage(
		call("start", "-x"), "hsup start: unknown option '-x'; see 'hsup help start'\n");
	expect_usage(call("start", "-v\x1b"),
		"hsup start: unknown option '-\\x1b'; see 'hsup help start'\n");
	expect_usage(call("start", "--control", "x"),
		"hsup start: option '--control' is not clear: '--control-dir', "
		"'--control-socket'?; "
		"see 'hsup help start'\n");
	expect_usage(call("start", "--oneshot=yes"),
		"hsup start: option '--oneshot' takes no value; see 'hsup help start'\n");
}

static void options_of_other_commands(void **state)
{
	(void)state;
	expect_usage(call("check", "--oneshot", "f"), "hsup check: '--oneshot' is not an option of "
						      "this command; see 'hsup help check'\n");
	expect_usage(call("--oneshot", "check", "f"), "hsup check: '--oneshot' is not an option of "
						      "this command; see 'hsup help check'\n");
	expect_usage(call("check", "-v", "f"),
		"hsup check: '-v' is not an option of this command; see 'hsup help check'\n");
}

static void missing_values(void **state)
{
	(void)state;
	expect_usage(call("start", "-C"),
		"hsup start: option '-C' needs a value: PATH; see 'hsup help start'\n");
	expect_usage(call("start", "--start-number"),
		"hsup start: option '--start-number' needs a value: N; see 'hsup help start'\n");
	expect_usage(call("-a"), "hsup: option '-a' needs a value: NAME; see 'hsup help'\n");
	expect_usage(call("start", "-C", ""),
		"hsup start: option '-C' needs a value that is not empty; see 'hsup help start'\n");
}

static void bad_values(void **state)
{
	(void)state;
	expect_usage(call("start", "-d", "docker"),
		"hsup start: unknown driver 'docker'; this build has: simple, null; "
		"see 'hsup help start'\n");
	expect_usage(call("start", "--color", "blue"),
		"hsup start: option '--color' must be auto, always or never, not 'blue'; "
		"see 'hsup help start'\n");
	expect_usage(call("start", "--start-number", "0"),
		"hsup start: option '--start-number' must be a whole number from 1 to 1000000, "
		"not '0'; see 'hsup help start'\n");
	expect_usage(call("start", "--warm=65"),
		"hsup start: option '--warm' must be a whole number from 0 to 64, not '65'; see "
		"'hsup help start'\n");
	expect_usage(call("run", "--network", "bridge", "ls"),
		"hsup run: option '--network' must be own, host or none, not 'bridge'; see 'hsup "
		"help run'\n");
	expect_usage(call("gc", "--network=none"), "hsup gc: '--network' is not an option of this "
						   "command; see 'hsup help gc'\n");
	expect_usage(call("start", "--watchdog=86401"),
		"hsup start: option '--watchdog' must be a whole number from 0 to 86400, not "
		"'86401'; see 'hsup help start'\n");
	expect_usage(call("start", "--dyno-ids", "5-1"),
		"hsup start: option '--dyno-ids' must be two numbers from 0 to 4294967294, as in "
		"1000-1999, not '5-1'; see 'hsup help start'\n");
	expect_usage(call("start", "--dyno-ids=1", "--dyno-ids=2", "--dyno-ids=3", "--dyno-ids=4",
			     "--dyno-ids=5", "--dyno-ids=6", "--dyno-ids=7", "--dyno-ids=8",
			     "--dyno-ids=9"),
		"hsup start: option '--dyno-ids': more than 8 of them; see 'hsup help start'\n");
	expect_usage(call("check", "--user=hsup", "f"),
		"hsup check: '--user' is not an option of this command; see 'hsup help check'\n");
	expect_usage(call("run", "--start-number=-1", "ls"),
		"hsup run: option '--start-number' must be a whole number from 1 to 1000000, "
		"not '-1'; see 'hsup help run'\n");
}

static void colours(void **state)
{
	(void)state;
	struct outcome _done_ always = call("start", "--color=always"),
			      never = call("start", "--color", "never");

	assert_int_equal(always.o.color, COLOR_ALWAYS);
	assert_int_equal(never.o.color, COLOR_NEVER);
}

static void commands(void **state)
{
	(void)state;
	struct outcome none = call_words(NULL);

	expect_usage(none, "hsup: no command given; see 'hsup help'\n");
	expect_usage(call("statr"),
		"hsup: unknown command 'statr' (did you mean 'start'?); see 'hsup help'\n");
	expect_usage(call("xyzzy"), "hsup: unknown command 'xyzzy'; see 'hsup help'\n");
	expect_usage(call("run"), "hsup run: no COMMAND given; see 'hsup help run'\n");
	expect_usage(call("run", "--"), "hsup run: no COMMAND given; see 'hsup help run'\n");
	expect_usage(call("build", "x"), "hsup build: takes no operands; see 'hsup help build'\n");
	expect_usage(call("check"), "hsup check: no FILE given; see 'hsup help check'\n");

	struct outcome empty = call_argv(0, (char *[]){NULL});
	expect_usage(empty, "hsup: no command given; see 'hsup help'\n");
}

static void no_control_directory(void **state)
{
	(void)state;
	(void)unsetenv("HSUP_CONTROL_DIR");
	expect_usage(call("start"),
		"hsup start: no control directory: give the app's with -C PATH or in "
		"HSUP_CONTROL_DIR; see 'hsup help start'\n");
	(void)setenv("HSUP_CONTROL_DIR", "", 1);
	expect_usage(call("run", "ls"),
		"hsup run: no control directory: give the app's with -C PATH or in "
		"HSUP_CONTROL_DIR; see 'hsup help run'\n");
}

static void expect_output(struct outcome c, const char *part)
{
	assert_int_equal(c.r, EXIT_OK);
	assert_int_equal(c.code, EXIT_OK);
	assert_false(c.command->launches);
	assert_non_null(strstr(c.out, part));
	assert_string_equal(c.err, "");
	done(&c);
}

static void help_and_version(void **state)
{
	(void)state;
	expect_output(call("help"), "\n  start      keep the processes");
	expect_output(call("--help"), "\nDrivers (-d):\n  simple     plain processes\n");
	expect_output(call("help", "run"), "usage: hsup run [OPTION]... [--] COMMAND...\n");
	expect_output(call("run", "-h"), "usage: hsup run [OPTION]... [--] COMMAND...\n");
	expect_output(call("-h", "run", "ls"), "usage: hsup run [OPTION]... [--] COMMAND...\n");
	expect_output(
		call("start", "web=x", "--help"), "usage: hsup start [OPTION]... [TYPE[=N]]...\n");
	expect_output(call("version"), "hsup "
				       "0.1.0\n");
	expect_output(call("--version"), "hsup "
					 "0.1.0\n");
	expect_usage(call("help", "strat"), "hsup help: unknown command 'strat' (did you mean "
					    "'start'?); see 'hsup help help'\n");
	expect_usage(call("help", "__complete"),
		"hsup help: unknown command '__complete'; see 'hsup help help'\n");
}

static void every_command_has_its_help(void **state)
{
	(void)state;
	const struct command *c;

	for (size_t i = 0; (c = command_at(i)); i++) {
		char usage[200];

		if (c->hidden)
			continue;
		(void)snprintf(usage, sizeof usage, "usage: hsup %s", c->name);
		expect_output(call("help", c->name), usage);
		for (size_t k = 0; c->options && c->options[k]; k++) {
			(void)snprintf(
				usage, sizeof usage, " --%s", option_by_id(c->options[k])->name);
			expect_output(call("help", c->name), usage);
		}
	}
}

static void completion(void **state)
{
	(void)state;
	expect_output(call("__complete", "ver"), "version\tshow the version\n");
	expect_output(call("__complete", "start", "--ones"), "--oneshot\trestart nothing");
	expect_output(call("__complete", "-d", ""), "null\truns nothing\n");
	expect_output(call("__complete", "start", "--color", "=", "nev"), "never\t");
	expect_output(call("__complete", "start", "--color", "="), "always\t");
	expect_output(call("__complete", "up", "--network", "ho"), "host\t");
	expect_output(call("__complete", "help", "ru"), "run\trun one command");

	expect_output(call("__complete", "stack", "ver"), "verify\tsee whether");
	expect_output(call("__complete", "stack", "--state-dir", "/nonexistent", "re"), "remove\t");

	struct outcome _done_ files = call("__complete", "start", "-C", "/s"),
			      words = call("__complete", "run", "ls", "--"),
			      other = call("__complete", "check", "--one");
	assert_string_equal(files.out, "");
	assert_string_equal(words.out, "");
	assert_string_equal(other.out, "");
}

static void write_file(const char *path, const char *text)
{
	assert_int_equal(file_replace(AT_FDCWD, path, text, strlen(text), 0600), 0);
}

#define MORE                                                                                       \
	"{\"Processes\": [{\"Type\": \"web\", \"Args\": [\"./web\"], \"After\": [{\"Type\": "      \
	"\"db\", "                                                                                 \
	"\"Condition\": \"started\"}, {\"Type\": \"job\", \"Condition\": \"succeeded\"}], "        \
	"\"Ready\": {\"HTTP\": \"/up\", \"Port\": 80}, \"Healthy\": {\"Listen\": true}, "          \
	"\"Limits\": {\"Memory\": \"1536K\", \"Disk\": \"3M\", \"CPU\": 0.5, \"Processes\": 7, "   \
	"\"OpenFiles\": 64}, "                                                                     \
	"\"Log\": {\"File\": \"x.log\", \"MaxAge\": 60}, \"Essential\": true}, "                   \
	"{\"Type\": \"db\", \"Args\": [\"db\"], \"Ready\": {\"Notify\": true}, "                   \
	"\"Healthy\": {\"Command\": [\"db-ping\", \"a b\"]}}, "                                    \
	"{\"Type\": \"job\", \"Args\": [\"job\"], \"Restart\": \"never\"}, "                       \
	"{\"Type\": \"release\", \"Args\": [\"migrate\"]}]}"
#define LESS                                                                                       \
	"{\"Processes\": [{\"Type\": \"web\", \"Args\": [\"./web\"], "                             \
	"\"Ready\": {\"HTTP\": \"/up\", \"Port\": 80}, \"Healthy\": {\"Listen\": true}}, "         \
	"{\"Type\": \"db\", \"Args\": [\"db\"], "                                                  \
	"\"Healthy\": {\"Command\": [\"db-ping\", \"a b\"]}}, "                                    \
	"{\"Type\": \"job\", \"Args\": [\"job\"], \"Restart\": \"never\"}, "                       \
	"{\"Type\": \"release\", \"Args\": [\"migrate\", \"all\"]}]}"
#define GOOD                                                                                       \
	"{\"Processes\": [{\"Type\": \"web\", \"Args\": [\"./web\", \"it's\"], \"Quantity\": "     \
	"2},\n"                                                                                    \
	" {\"Type\": \"worker\", \"Args\": [\"./work | sort\"], \"AutoStart\": false}]}\n"
#define OLD                                                                                        \
	"{\"Processes\": [{\"Type\": \"web\", \"Args\": [\"./web\", \"it's\"], \"Quantity\": "     \
	"1},\n"                                                                                    \
	" {\"Type\": \"clock\", \"Args\": [\"./tick\"]}]}\n"
#define BAD                                                                                        \
	"{\"Processes\": [{\"Type\": \"web\", \"Args\": [\"./web\"], \"Quantity\": -1},\n"         \
	" {\"Type\": \"worker\", \"Args\": 7}]}\n"

static void checks(void **state)
{
	(void)state;
	const char *tmp = getenv("TMPDIR");
	char folder[4096];

	(void)snprintf(folder, sizeof folder, "%s/hsup-test-cli-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	write_file("good.json", GOOD);
	write_file("old.json", OLD);
	write_file("bad.json", BAD);

	struct outcome _done_ good = call("check", "good.json");
	assert_string_equal(good.out,
		"web       2  ./web 'it'\\''s'\n"
		"worker    1  ./work | sort  (started only when asked for)\n");
	assert_int_equal(good.code, EXIT_OK);

	struct outcome _done_ diff = call("check", "--against", "old.json", "good.json");
	assert_string_equal(diff.out, "web     scale    1 -> 2\n"
				      "worker  add      0 -> 1\n"
				      "clock   remove   1 -> 0\n");
	assert_int_equal(diff.code, EXIT_OK);

	write_file("more.json", MORE);
	struct outcome _done_ more = call("check", "more.json");
	assert_string_equal(more.out,
		"web        1  ./web\n"
		"              after: db (started), job (succeeded)\n"
		"              ready: GET /up at port 80, within 60 s\n"
		"              healthy: listens at its PORT, every 10 s; restarted after 3 "
		"failures\n"
		"              limits: memory 1536K, disk 3M, 0.5 cores, 7 processes, 64 open "
		"files\n"
		"              log: x.log, rotated at 50M and every 60 s, 10 kept\n"
		"              essential: hsup ends when one of it has ended for good\n"
		"db         1  db\n"
		"              ready: it says so (NOTIFY_SOCKET), within 60 s\n"
		"              healthy: db-ping 'a b', every 10 s; restarted after 3 failures\n"
		"job        1  job\n"
		"release    1  migrate\n"
		"              the release phase: runs once before the release is in force\n");
	write_file("less.json", LESS);
	struct outcome _done_ changes = call("check", "--against", "more.json", "less.json");
	assert_string_equal(changes.out, "web      replace  1  Limits; Essential, After, Log\n"
					 "db       options  1  Ready\n"
					 "job      same     1\n"
					 "release  replace  1  Args\n");

	struct outcome _done_ bad = call("check", "bad.json");
	assert_int_equal(bad.r, EXIT_OK);
	assert_int_equal(bad.code, EXIT_REFUSED);
	assert_non_null(strstr(bad.out, "bad.json:1:63: Processes[0].Quantity: must be"));
	assert_non_null(strstr(bad.out, "bad.json:2:29: Processes[1].Args: must be"));

	struct outcome _done_ both = call("check", "bad.json", "good.json");
	assert_int_equal(both.code, EXIT_REFUSED);
	assert_non_null(strstr(both.out, "\ngood.json:\nweb       2  "));

	struct outcome _done_ none = call("check", "none.json");
	assert_int_equal(none.code, EXIT_REFUSED);
	assert_string_equal(none.err, "hsup check: none.json: No such file or directory\n");
	expect_usage(call("check", "--against", "old.json", "a", "b"),
		"hsup check: one FILE only with --against; see 'hsup help check'\n");

	assert_int_equal(chdir("/"), 0);
	assert_int_equal(file_remove_tree(AT_FDCWD, folder), 0);
}

static void lost_output_is_noticed(void **state)
{
	(void)state;
	FILE *real = stdout, *full = fopen("/dev/full", "w");
	char program[] = "hsup", version[] = "version", *argv[] = {program, version, NULL};
	const struct command *command;
	struct options o;
	FILE *real_err = stderr;
	char *text = NULL;
	size_t len;
	int code = -1;

	assert_non_null(full);
	stdout = full;
	stderr = open_memstream(&text, &len);
	int r = cli_parse(2, argv, &o, &command, &code);
	(void)fclose(stderr);
	(void)fclose(full);
	stdout = real;
	stderr = real_err;
	assert_int_equal(r, EXIT_OK);
	assert_int_equal(code, EXIT_REFUSED);
	assert_string_equal(text, "hsup version: standard output: No space left on device\n");
	free(text);
	cli_options_done(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(go_form_options_first, set_up),
		cmocka_unit_test_setup(go_form_options_behind, set_up),
		cmocka_unit_test_setup(run_stops_at_its_first_operand, set_up),
		cmocka_unit_test_setup(start_permutes, set_up),
		cmocka_unit_test_setup(who_runs_as_whom, set_up),
		cmocka_unit_test_setup(options_of_both_sides_meet, set_up),
		cmocka_unit_test_setup(defaults_come_from_the_environment, set_up),
		cmocka_unit_test_setup(paths_become_absolute, set_up),
		cmocka_unit_test_setup(default_paths, set_up),
		cmocka_unit_test_setup(words_and_back, set_up),
		cmocka_unit_test_setup(words_without_a_network, set_up),
		cmocka_unit_test_setup(the_daemon_s_options, set_up),
		cmocka_unit_test_setup(binds, set_up),
		cmocka_unit_test_setup(quantities, set_up),
		cmocka_unit_test_setup(unknown_options, set_up),
		cmocka_unit_test_setup(options_of_other_commands, set_up),
		cmocka_unit_test_setup(missing_values, set_up),
		cmocka_unit_test_setup(bad_values, set_up),
		cmocka_unit_test_setup(colours, set_up),
		cmocka_unit_test_setup(commands, set_up),
		cmocka_unit_test_setup(no_control_directory, set_up),
		cmocka_unit_test_setup(help_and_version, set_up),
		cmocka_unit_test_setup(every_command_has_its_help, set_up),
		cmocka_unit_test_setup(completion, set_up),
		cmocka_unit_test_setup(checks, set_up),
		cmocka_unit_test_setup(gc_asks_who_holds_a_directory, set_up),
		cmocka_unit_test_setup(lost_output_is_noticed, set_up),
	};

	return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
