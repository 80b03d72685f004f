#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/diff.h"
#include "model/exit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

static struct release *release_of(const char *text)
{
	struct release *r = NULL;
	struct release_errors errors = {0};
	char line[600];

	if (release_parse(text, strlen(text), &r, &errors) < 0)
		fail_msg("%s", release_error_format(&errors.list[0], line, sizeof line));
	release_errors_done(&errors);
	return r;
}

static struct formation *formation_of(const char *text)
{
	struct release *r = release_of(text);
	struct formation *f = formation_new(r);

	assert_non_null(f);
	release_unref(r);
	return f;
}

/* The fingerprint of a release with these top-level members and these of its process. */
static uint64_t fingerprint(const char *top, const char *process)
{
	char text[1000];

	(void)snprintf(text, sizeof text,
		"{%s \"Processes\": [{\"Type\": \"web\", \"Args\": [\"ab\", \"c\"] %s}]}", top,
		process);
	struct formation *f = formation_of(text);
	uint64_t h = f->types[0].fingerprint;
	free(f);
	return h;
}

static void same_fingerprint(void **state)
{
	(void)state;
	const uint64_t plain = fingerprint("", "");

	assert_int_equal(plain, fingerprint("\"Version\": 9,", ""));
	assert_int_equal(plain, fingerprint("\"Name\": \"x\",", ""));
	assert_int_equal(plain, fingerprint("\"LogplexURL\": \"http://x\",", ""));
	assert_int_equal(plain, fingerprint("\"Rollout\": {\"Surge\": 9},", ""));
	assert_int_equal(plain, fingerprint("", ", \"Quantity\": 7"));
	assert_int_equal(plain, fingerprint("", ", \"Priority\": 7"));
	assert_int_equal(plain, fingerprint("", ", \"AutoStart\": false"));
	assert_int_equal(plain, fingerprint("", ", \"StopTimeout\": 30, \"ExitCodes\": [0]"));
	assert_int_equal(plain, fingerprint("\"Rollout\": {\"SettleSeconds\": 9},", ""));
	assert_int_equal(plain, fingerprint("", ", \"Ready\": {\"Notify\": true}"));
	assert_int_equal(plain, fingerprint("", ", \"Healthy\": {\"Listen\": 80}"));
	assert_int_equal(plain, fingerprint("", ", \"Log\": {\"File\": \"x\", \"Ring\": 0}"));
	assert_int_equal(plain, fingerprint("", ", \"Essential\": true, \"After\": []"));
	assert_int_equal(plain, fingerprint("", ", \"RedirectStderr\": false, \"Stdin\": false"));

	/* Where and in which order a variable is given makes no difference to the dyno. */
	const uint64_t env =
		fingerprint("\"Env\": {\"A\": \"1\", \"B\": \"2\", \"C\": \"3\"},", "");
	assert_int_equal(
		env, fingerprint("\"Env\": {\"C\": \"3\", \"A\": \"1\", \"B\": \"2\"},", ""));
	assert_int_equal(
		env, fingerprint("", ", \"Env\": {\"C\": \"3\", \"B\": \"2\", \"A\": \"1\"}"));
	assert_int_equal(env, fingerprint("\"Env\": {\"B\": \"0\", \"A\": \"1\"},",
				      ", \"Env\": {\"C\": \"3\", \"B\": \"2\"}"));
}

/* What an hsup without the newer keys gave: one that takes over from it replaces nobody. */
static void the_fingerprint_of_old(void **state)
{
	(void)state;
	assert_true(fingerprint("", "") == UINT64_C(0xd97afa8554c25a7c));
	struct formation *f = formation_of(
		"{\"Env\": {\"A\": \"1\"}, \"Slug\": \"/x.tgz\", \"Stack\": \"s\", \"Binds\": "
		"[\"/a:/b\"], \"Processes\": [{\"Type\": \"web\", \"Args\": [\"ab\"], \"Env\": "
		"{\"B\": \"2\"}, \"Directory\": \"d\", \"User\": \"u\", \"Restart\": \"never\", "
		"\"StartSeconds\": 2, \"StartTimeout\": 9, \"StartRetries\": 3, \"ExitCodes\": [0, "
		"7], \"StopSignal\": \"INT\", \"StopTimeout\": 4, \"Limits\": {\"OpenFiles\": "
		"64}}]}");
	assert_true(f->types[0].fingerprint == UINT64_C(0x439894bf19543f58));
	free(f);
}

static void other_fingerprint(void **state)
{
	(void)state;
	static const char *const tops[] = {
		"\"Env\": {\"A\": \"1\"},",
		"\"Env\": {\"A\": \"2\"},",
		"\"Env\": {\"A1\": \"\"},",
		"\"Slug\": \"x\",",
		"\"Slug\": \"y\",",
		"\"Stack\": \"x\",",
		"\"Binds\": [\"/a:/b\"],",
	};
	static const char *const processes[] = {
		"",
		", \"Directory\": \"x\"",
		", \"User\": \"x\"",
		", \"Restart\": \"never\"",
		", \"StartSeconds\": 2",
		", \"StartTimeout\": 2",
		", \"StartRetries\": 2",
		", \"ExitCodes\": []",
		", \"ExitCodes\": [1]",
		", \"StopSignal\": \"INT\"",
		", \"StopTimeout\": 2",
		", \"Limits\": {\"OpenFiles\": 2}",
		", \"Limits\": {\"Disk\": \"1M\"}",
		", \"Limits\": {\"Memory\": \"1M\"}",
		", \"Limits\": {\"CPU\": 2}",
		", \"Limits\": {\"CPU\": 2.001}",
		", \"Limits\": {\"Processes\": 2}",
		", \"Umask\": \"0\"",
		", \"Umask\": \"022\"",
		", \"RedirectStderr\": true",
		", \"Stdin\": true",
		", \"Stdin\": true, \"RedirectStderr\": true",
	};
	uint64_t seen[ARRAY_SIZE(tops) + ARRAY_SIZE(processes)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tops); i++)
		seen[n++] = fingerprint(tops[i], "");
	for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
		seen[n++] = fingerprint("", processes[i]);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < i; k++) {
			if (seen[i] == seen[k])
				fail_msg("%zu and %zu are alike", k, i);
		}
	}
}

static void fingerprint_of_args(void **state)
{
	(void)state;
	struct formation *f = formation_of("{\"Processes\": ["
					   "{\"Type\": \"a\", \"Args\": [\"ab\", \"c\"]},"
					   "{\"Type\": \"b\", \"Args\": [\"a\", \"bc\"]},"
					   "{\"Type\": \"c\", \"Args\": [\"ab\", \"c\", \"\"]},"
					   "{\"Type\": \"d\", \"Args\": [\"ab\", \"c\"]}]}");

	assert_int_not_equal(f->types[0].fingerprint, f->types[1].fingerprint);
	assert_int_not_equal(f->types[0].fingerprint, f->types[2].fingerprint);
	assert_int_equal(f->types[0].fingerprint, f->types[3].fingerprint);
	free(f);
}

/* A slug is what it holds: the same bytes from another place replace nothing. */
static void fingerprint_of_a_slug_is_its_digest(void **state)
{
	(void)state;
	struct release *a = release_of(
		"{\"Slug\": \"/a\", \"Processes\": [{\"Type\": \"web\", \"Args\": [\"x\"]}]}");
	struct release *b = release_of(
		"{\"Slug\": \"/b\", \"Processes\": [{\"Type\": \"web\", \"Args\": [\"x\"]}]}");

	a->slug_digest = strdup("00ff");
	b->slug_digest = strdup("00ff");
	struct formation *x = formation_new(a), *y = formation_new(b);
	assert_int_equal(x->types[0].fingerprint, y->types[0].fingerprint);
	b->slug_digest[0] = '1';
	free(y);
	y = formation_new(b);
	assert_int_not_equal(x->types[0].fingerprint, y->types[0].fingerprint);
	free(x);
	free(y);
	release_unref(a);
	release_unref(b);
}

static const char three[] =
	"{\"Version\": 3, \"Rollout\": {\"Batch\": 5}, \"Processes\": ["
	"{\"Type\": \"web\", \"Args\": [\"x\"], \"Quantity\": 2, \"Priority\": 1, \"ExitCodes\": "
	"[3, 4]},"
	"{\"Type\": \"worker\", \"Args\": [\"x\"], \"AutoStart\": false, \"Restart\": \"never\","
	" \"StartSeconds\": 1.5, \"StartTimeout\": 2, \"StopTimeout\": 3, \"StartRetries\": 4,"
	" \"StopSignal\": \"INT\"},"
	"{\"Type\": \"clock\", \"Args\": [\"x\"], \"Quantity\": 0}]}";

static void values_arrive(void **state)
{
	(void)state;
	struct formation *f = formation_of(three);
	struct formation *copy = formation_copy(f);
	const struct formation_type *t = formation_find(copy, "worker");

	free(f);
	assert_int_equal(copy->version, 3);
	assert_int_equal(copy->n_types, 3);
	assert_ptr_equal(t, &copy->types[1]);
	assert_int_equal(t->quantity, 1);
	assert_false(t->autostart);
	assert_int_equal(t->restart, RESTART_NEVER);
	assert_int_equal(t->start_time, 1500000000);
	assert_int_equal(t->start_timeout, 2000000000);
	assert_int_equal(t->stop_timeout, 3000000000);
	assert_int_equal(t->start_retries, 4);
	assert_int_equal(t->stop_signal, SIGINT);
	assert_int_equal(t->rollout.batch, 5);
	assert_int_equal(copy->types[0].priority, 1);
	assert_true(formation_exit_expected(&copy->types[0], 4));
	assert_false(formation_exit_expected(&copy->types[0], 0));
	assert_true(formation_exit_expected(t, 0));
	assert_null(formation_find(copy, "wor"));
	free(copy);
}

static void overrides(void **state)
{
	(void)state;
	struct formation *f = formation_of(three);
	struct quantity_override list[2] = {{"clock", 3}, {"web", 7}};
	struct quantity_override wrong[2] = {{"web", 1}, {"wroker", 1}};
	struct quantity_override many[2] = {{"web", LIMIT_QUANTITY}, {"clock", 1}};
	struct err err = {0};

	assert_int_equal(formation_override(f, wrong, 2, &err), -ENOENT);
	assert_string_equal(
		err.text, "the release has no process type \"wroker\"; did you mean \"worker\"?");
	assert_int_equal(f->types[1].quantity, 1);
	assert_int_equal(formation_override(f, many, 2, &err), -EINVAL);
	assert_string_equal(err.text, "4097 dynos are more than 4096");
	assert_int_equal(f->types[0].quantity, 2);
	assert_int_equal(formation_override(f, list, 2, &err), 0);
	assert_int_equal(f->types[0].quantity, 7);
	assert_int_equal(f->types[1].quantity, 0);
	assert_int_equal(f->types[2].quantity, 3);
	(void)snprintf(wrong[1].type, sizeof wrong[1].type, "zebra");
	assert_int_equal(formation_override(f, wrong, 2, &err), -ENOENT);
	assert_string_equal(err.text, "the release has no process type \"zebra\"");
	free(f);
}

static void quantities_of_the_command_line(void **state)
{
	(void)state;
	struct quantity_override o = {"untouched", 5};
	struct err err = {0};

	static const char *const bad[] = {
		"web=", "web=-1", "web=x", "web=4097", "web=1 ", "web=1=2"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char want[100];
		(void)snprintf(want, sizeof want,
			"\"%s\": the quantity must be a whole number from 0 to 4096", bad[i]);
		assert_int_equal(quantity_parse(bad[i], &o, &err), -EINVAL);
		assert_string_equal(err.text, want);
	}
	assert_int_equal(quantity_parse("=2", &o, &err), -EINVAL);
	assert_string_equal(err.text,
		"\"=2\": the process type must be 1 to 63 letters, digits, \"-\" or \"_\"");
	assert_int_equal(quantity_parse("", &o, &err), -EINVAL);
	assert_int_equal(quantity_parse("we b=1", &o, &err), -EINVAL);
	assert_string_equal(o.type, "untouched");
	assert_int_equal(o.quantity, 5);

	assert_int_equal(quantity_parse("web=2", &o, &err), 0);
	assert_string_equal(o.type, "web");
	assert_int_equal(o.quantity, 2);
	assert_int_equal(quantity_parse("worker", &o, &err), 0);
	assert_string_equal(o.type, "worker");
	assert_int_equal(o.quantity, 1);
	assert_int_equal(quantity_parse("w=0", &o, &err), 0);
	assert_int_equal(o.quantity, 0);
}

static void diff_of_two(void **state)
{
	(void)state;
	struct formation *before = formation_of(three);
	struct formation *now = formation_of(
		"{\"Processes\": ["
		"{\"Type\": \"new\", \"Args\": [\"x\"], \"Quantity\": 4},"
		"{\"Type\": \"worker\", \"Args\": [\"y\"], \"Quantity\": 6},"
		"{\"Type\": \"clock\", \"Args\": [\"x\"], \"Quantity\": 0, \"Priority\": 5},"
		"{\"Type\": \"web\", \"Args\": [\"x\"], \"Quantity\": 3, \"ExitCodes\": [3, 4]}]}");
	struct type_diff d[7];

	assert_int_equal(formation_diff(before, now, d), 4);
	assert_string_equal(d[0].type, "new");
	assert_int_equal(d[0].change, CHANGE_ADD);
	assert_int_equal(d[0].old_quantity, 0);
	assert_int_equal(d[0].new_quantity, 4);
	assert_int_equal(d[1].change, CHANGE_REPLACE);
	assert_int_equal(d[1].old_quantity, 1);
	assert_int_equal(d[1].new_quantity, 6);
	assert_int_equal(d[2].change, CHANGE_SAME);
	assert_string_equal(d[3].type, "web");
	assert_int_equal(d[3].change, CHANGE_SCALE);
	assert_int_equal(d[3].new_quantity, 3);

	assert_int_equal(formation_diff(now, before, d), 4);
	assert_string_equal(d[3].type, "new");
	assert_int_equal(d[3].change, CHANGE_REMOVE);
	assert_int_equal(d[3].old_quantity, 4);
	assert_int_equal(d[3].new_quantity, 0);

	assert_int_equal(formation_diff(NULL, before, d), 3);
	assert_int_equal(d[2].change, CHANGE_ADD);
	assert_string_equal(type_change_text(CHANGE_REPLACE), "replace");
	assert_string_equal(type_change_text(CHANGE_REMOVE), "remove");
	free(before);
	free(now);
}

static const char *stage_name(unsigned stage)
{
	return stage == EXIT_STAGE_EXEC ? "executing the program" : NULL;
}

static void differs(const char *before, const char *now, const char *want)
{
	char a[600], b[600], got[300] = "";
	const char *names[DIFF_NAMES];
	size_t replacing, n, at = 0;

	(void)snprintf(a, sizeof a, "{%s}", before);
	(void)snprintf(b, sizeof b, "{%s}", now);
	struct release *r = release_of(a), *s = release_of(b);
	n = process_diff(r, s, "web", names, &replacing);
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(
			got + at, sizeof got - at, "%s%s", names[i], i < replacing ? "! " : " ");
	assert_string_equal(got, want);
	/* Nobody is replaced for nothing, and who is, is for something. */
	struct formation *f = formation_new(r), *g = formation_new(s);
	assert_true(!f->n_types || !g->n_types ||
		    (replacing > 0) == (f->types[0].fingerprint != g->types[0].fingerprint));
	free(f);
	free(g);
	release_unref(r);
	release_unref(s);
}

#define WEB(more) "\"Processes\": [{\"Type\": \"web\", \"Args\": [\"x\"]" more "}]"

static void diff_of_a_process(void **state)
{
	(void)state;
	differs(WEB(""), WEB(""), "");
	differs(WEB(""), WEB(", \"Quantity\": 3"), "");
	differs(WEB(""), "\"Processes\": []", "");
	differs(WEB(""), "\"Processes\": [{\"Type\": \"web\", \"Args\": [\"x\", \"y\"]}]",
		"Args! ");
	differs(WEB(""), "\"Slug\": \"a\", \"Stack\": \"b\", \"Binds\": [\"/a:/b\"]," WEB(""),
		"Slug! Stack! Binds! ");
	/* Where a variable is said makes no difference. */
	differs("\"Env\": {\"A\": \"1\", \"B\": \"2\"}," WEB(""),
		"\"Env\": {\"A\": \"0\", \"B\": \"2\"}," WEB(", \"Env\": {\"A\": \"1\"}"), "");
	differs("\"Env\": {\"A\": \"1\"}," WEB(""), "\"Env\": {\"A\": \"2\"}," WEB(""), "Env! ");
	differs(WEB(", \"Env\": {\"A\": \"1\"}"), WEB(""), "Env! ");
	differs(WEB(""),
		WEB(", \"Directory\": \"d\", \"User\": \"u\", \"Restart\": \"never\", "
		    "\"ExitCodes\": "
		    "[1]"),
		"Directory! User! Restart! ExitCodes! ");
	differs(WEB(""),
		WEB(", \"StartSeconds\": 2, \"StartTimeout\": 3, \"StartRetries\": 4, "
		    "\"StopSignal\": 2, \"StopTimeout\": 5"),
		"StartSeconds! StartTimeout! StartRetries! StopSignal! StopTimeout! ");
	differs(WEB(", \"Limits\": {\"CPU\": 1}"), WEB(", \"Limits\": {\"CPU\": 2}"), "Limits! ");
	differs(WEB(""), WEB(", \"Umask\": \"0\", \"Stdin\": true, \"RedirectStderr\": true"),
		"Umask! RedirectStderr! Stdin! ");
	differs(WEB(", \"Priority\": 1, \"AutoStart\": false"), WEB(", \"Essential\": true"),
		"AutoStart Priority Essential ");
	differs(WEB(", \"Ready\": {\"Listen\": 80}"), WEB(", \"Ready\": {\"Listen\": 81}"),
		"Ready ");
	differs(WEB(", \"Healthy\": {\"HTTP\": \"/a\"}"), WEB(", \"Healthy\": {\"HTTP\": \"/b\"}"),
		"Healthy ");
	differs(WEB(", \"Healthy\": {\"Command\": [\"a\"]}"),
		WEB(", \"Healthy\": {\"Command\": [\"a\"], \"Threshold\": 9}"), "Healthy ");
	differs(WEB(""), WEB(", \"Log\": {\"File\": \"f\"}"), "Log ");
	differs(WEB(""), "\"Rollout\": {\"SettleSeconds\": 1}," WEB(", \"Umask\": \"7\""),
		"Umask! Rollout ");
}

static void diff_of_after(void **state)
{
#define TWO(after)                                                                                 \
	"\"Processes\": [{\"Type\": \"web\", \"Args\": [\"x\"]" after                              \
	"}, {\"Type\": \"db\", \"Args\": [\"x\"]}]"
	(void)state;
	differs(TWO(""), TWO(", \"After\": \"db\""), "After ");
	differs(TWO(", \"After\": [\"db\"]"), TWO(", \"After\": \"db\""), "");
	differs(TWO(", \"After\": [{\"Type\": \"db\", \"Condition\": \"started\"}]"),
		TWO(", \"After\": \"db\""), "After ");
}

static void exit_is(struct dyno_exit e, int code, const char *text)
{
	char got[200];

	assert_string_equal(dyno_exit_text(&e, stage_name, got, sizeof got), text);
	assert_int_equal(dyno_exit_code(&e), code);
}

static void exits(void **state)
{
	(void)state;
	struct dyno_exit failed = {EXIT_STAGE, EXIT_STAGE_EXEC, ENOENT};
	char got[200];

	exit_is((struct dyno_exit){0}, 0, "has not ended");
	exit_is((struct dyno_exit){EXIT_CODE, 3, 0}, 3, "exited with status 3");
	exit_is((struct dyno_exit){EXIT_SIGNAL, SIGSEGV, 0}, 139, "was killed by SIGSEGV");
	exit_is((struct dyno_exit){EXIT_SIGNAL, 40, 0}, 168, "was killed by signal 40");
	exit_is((struct dyno_exit){.kind = EXIT_SIGNAL, .value = SIGKILL, .oom = true}, 137,
		"was killed by SIGKILL: R15, memory quota vastly exceeded");
	exit_is((struct dyno_exit){.kind = EXIT_CODE, .value = 1, .oom = true}, 1,
		"exited with status 1: R15, memory quota vastly exceeded");
	exit_is((struct dyno_exit){EXIT_UNKNOWN, 0, 0}, 255, "ended, nobody knows how");
	exit_is(failed, 127, "could not start: executing the program: No such file or directory");
	exit_is((struct dyno_exit){EXIT_STAGE, EXIT_STAGE_EXEC, EACCES}, 126,
		"could not start: executing the program: Permission denied");
	exit_is((struct dyno_exit){EXIT_STAGE, 11, ENOENT}, 126,
		"could not start: stage 11: No such file or directory");
	assert_string_equal(dyno_exit_text(&failed, NULL, got, sizeof got),
		"could not start: stage 12: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_fingerprint),
		cmocka_unit_test(the_fingerprint_of_old),
		cmocka_unit_test(other_fingerprint),
		cmocka_unit_test(diff_of_a_process),
		cmocka_unit_test(diff_of_after),
		cmocka_unit_test(fingerprint_of_args),
		cmocka_unit_test(fingerprint_of_a_slug_is_its_digest),
		cmocka_unit_test(values_arrive),
		cmocka_unit_test(overrides),
		cmocka_unit_test(quantities_of_the_command_line),
		cmocka_unit_test(diff_of_two),
		cmocka_unit_test(exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
