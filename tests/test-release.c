#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "model/release.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

struct result {
	int r;
	struct release *release;
	struct release_errors errors;
};

static struct result parse_bytes(const char *text, size_t len)
{
	struct result got = {0};

	got.r = release_parse(text, len, &got.release, &got.errors);
	assert_true((got.r == 0) == (got.release != NULL));
	assert_true((got.r == -EINVAL) == (got.errors.n > 0));
	return got;
}

static void done(struct result *got)
{
	got->release = release_unref(got->release);
	release_errors_done(&got->errors);
}

/* Exactly these errors, each as release_error_format() shows it, up to NULL. */
static void refused(const char *text, ...)
{
	struct result got = parse_bytes(text, strlen(text));
	char line[600];
	va_list ap;
	size_t n = 0;

	assert_int_equal(got.r, -EINVAL);
	va_start(ap, text);
	for (const char *want; (want = va_arg(ap, const char *)); n++) {
		assert_true(n < got.errors.n);
		release_error_format(&got.errors.list[n], line, sizeof line);
		assert_string_equal(line, want);
	}
	va_end(ap);
	assert_int_equal(got.errors.n, n);
	done(&got);
}

static struct result taken(const char *text)
{
	struct result got = parse_bytes(text, strlen(text));
	char line[600] = "";

	if (got.errors.n)
		fail_msg("%s", release_error_format(&got.errors.list[0], line, sizeof line));
	return got;
}

static struct result example(const char *name)
{
	const char *source = getenv("HSUP_SOURCE_DIR");
	_cleanup_free_ char *text = NULL;
	char path[400];
	size_t len;

	(void)snprintf(path, sizeof path, "%s/control-examples/%s", source ? source : ".", name);
	assert_int_equal(file_read(AT_FDCWD, path, LIMIT_RELEASE_BYTES, &text, &len), 0);
	return taken(text);
}

static void full_example_is_read(void **state)
{
	(void)state;
	struct result got = example("full.json");
	const struct release *r = got.release;

	assert_int_equal(r->refs, 1);
	assert_int_equal(r->version, 42);
	assert_string_equal(r->name, "shop");
	assert_string_equal(r->slug, "https://slugs.example.com/shop/42.tgz");
	assert_string_equal(r->slug_checksum, "SHA256:9f86d081884c7d659a2feaa0c55ad015"
					      "a3bf4f1b2b0b822cd15d6c15b0f00a08");
	assert_string_equal(r->stack, "heroku-22");
	assert_string_equal(r->logplex_url, "https://token:secret@logplex.example.com/logs");
	assert_int_equal(r->env.n, 3);
	assert_string_equal(r->env.vars[1].name, "RACK_ENV");
	assert_string_equal(env_get(&r->env, "RACK_ENV"), "production");
	assert_int_equal(r->n_env_files, 2);
	assert_string_equal(r->env_files[1], "secrets.env");
	assert_null(r->env_files[2]);
	assert_int_equal(r->n_binds, 2);
	assert_string_equal(r->binds[0].host, "/var/lib/shop");
	assert_string_equal(r->binds[0].container, "/data");
	assert_false(r->binds[0].read_only);
	assert_string_equal(r->binds[1].container, "/etc/ssl/certs");
	assert_true(r->binds[1].read_only);
	assert_int_equal(r->n_processes, 7);
	assert_null(r->slug_digest);
	assert_null(r->slug_path);
	done(&got);
}

static void full_example_process(void **state)
{
	(void)state;
	struct result got = example("full.json");
	const struct process *p = release_process(got.release, "web");

	assert_non_null(p);
	assert_int_equal(p->n_args, 3);
	assert_string_equal(p->args[2], "8");
	assert_null(p->args[3]);
	assert_int_equal(p->quantity, 3);
	assert_string_equal(env_get(&p->env, "WEB_CONCURRENCY"), "4");
	assert_string_equal(p->directory, "public");
	assert_string_equal(p->user, "shop");
	assert_true(p->autostart);
	assert_int_equal(p->restart, RESTART_ALWAYS);
	assert_int_equal(p->start_time, 2500 * NSEC_PER_MSEC);
	assert_int_equal(p->start_timeout, 30 * NSEC_PER_SEC);
	assert_int_equal(p->start_retries, 10);
	assert_int_equal(p->n_exit_codes, 2);
	assert_int_equal(p->exit_codes[1], 143);
	assert_int_equal(p->stop_signal, SIGQUIT);
	assert_int_equal(p->stop_timeout, 45 * NSEC_PER_SEC);
	assert_int_equal(p->priority, 100);
	assert_int_equal(p->open_files, 8192);
	assert_int_equal(p->disk, UINT64_C(2) << 30);
	assert_int_equal(p->rollout.surge, 2);

	assert_int_equal(p->n_after, 2);
	assert_string_equal(p->after[0].type, "cache");
	assert_int_equal(p->after[0].condition, AFTER_READY);
	assert_string_equal(p->after[1].type, "migrate");
	assert_int_equal(p->after[1].condition, AFTER_SUCCEEDED);
	assert_int_equal(p->ready.kind, CHECK_HTTP);
	assert_string_equal(p->ready.path, "/up");
	assert_int_equal(p->ready.port, 0);
	assert_int_equal(p->ready.interval, NSEC_PER_SEC / 2);
	assert_int_equal(p->ready.timeout, 2 * NSEC_PER_SEC);
	assert_int_equal(p->healthy.port, 9090);
	assert_int_equal(p->healthy.interval, 15 * NSEC_PER_SEC);
	assert_int_equal(p->healthy.threshold, 3);
	assert_int_equal(p->healthy.cooldown, 60 * NSEC_PER_SEC);
	assert_int_equal(p->umask, 027);
	assert_true(p->redirect_stderr);
	assert_false(p->stdin_open || p->essential);
	assert_int_equal(p->memory, 512 << 20);
	assert_true(p->cpu > 1.49 && p->cpu < 1.51);
	assert_int_equal(p->processes, 200);
	assert_string_equal(p->log.file, "log/%d.log");
	assert_int_equal(p->log.format, LOG_FORMAT_JSON);
	assert_int_equal(p->log.max_bytes, 50 << 20);
	assert_int_equal(p->log.max_age, 86400 * NSEC_PER_SEC);
	assert_int_equal(p->log.keep, 14);
	assert_true(p->log.compress);
	assert_int_equal(p->log.mode, 0640);
	assert_string_equal(p->log.owner, "shop:adm");
	assert_int_equal(p->log.ring, 256 << 10);
	assert_true(p->log.drop);
	assert_int_equal(p->rollout.settle, 5 * NSEC_PER_SEC);

	p = release_process(got.release, "worker");
	assert_int_equal(p->n_after, 1);
	assert_string_equal(p->after[0].type, "web");
	assert_int_equal(p->ready.kind, CHECK_NOTIFY);
	assert_int_equal(p->healthy.kind, CHECK_COMMAND);
	assert_int_equal(p->healthy.n_args, 1);
	assert_string_equal(p->healthy.args[0], "bin/queue-moves");
	assert_null(p->healthy.args[1]);
	assert_int_equal(p->rollout.settle, 0);
	assert_int_equal(release_process(got.release, "cache")->ready.kind, CHECK_LISTEN);
	assert_int_equal(release_process(got.release, "cache")->ready.port, 11311);
	assert_true(process_is_phase(release_process(got.release, "release")));

	p = release_process(got.release, "console");
	assert_true(p->stdin_open);
	assert_false(p->autostart);
	assert_int_equal(p->restart, RESTART_NEVER);
	assert_int_equal(p->quantity, 0);
	assert_int_equal(release_process(got.release, "worker")->stop_signal, 15);
	assert_int_equal(release_process(got.release, "worker")->restart, RESTART_ON_FAILURE);
	assert_null(release_process(got.release, "Web"));
	done(&got);
}

static void defaults(void **state)
{
	(void)state;
	struct result got =
		taken("{\"Processes\":[{\"Type\":\"web\",\"Args\":[\"x\"]}],\"Slug\":\"\","
		      "\"Name\":\"\",\"SlugChecksum\":\"\",\"LogplexURL\":\"\",\"Stack\":\"\"}");
	const struct release *r = got.release;
	const struct process *p = &r->processes[0];

	assert_int_equal(r->version, 0);
	assert_null(r->name);
	assert_null(r->slug);
	assert_null(r->slug_checksum);
	assert_null(r->logplex_url);
	assert_null(r->stack);
	assert_null(r->env_files);
	assert_int_equal(p->quantity, 1);
	assert_null(p->directory);
	assert_null(p->user);
	assert_true(p->autostart);
	assert_int_equal(p->restart, RESTART_ALWAYS);
	assert_int_equal(p->start_time, NSEC_PER_SEC);
	assert_int_equal(p->start_timeout, 60 * NSEC_PER_SEC);
	assert_int_equal(p->start_retries, -1);
	assert_int_equal(p->n_exit_codes, 1);
	assert_int_equal(p->exit_codes[0], 0);
	assert_int_equal(p->stop_signal, SIGTERM);
	assert_int_equal(p->stop_timeout, 30 * NSEC_PER_SEC);
	assert_int_equal(p->priority, 999);
	assert_int_equal(p->open_files, 0);
	assert_true(p->memory == 0 && p->processes == 0 && p->cpu <= 0);
	assert_int_equal(p->umask, -1);
	assert_false(p->redirect_stderr || p->stdin_open || p->essential);
	assert_int_equal(p->n_after, 0);
	assert_int_equal(p->ready.kind, CHECK_NONE);
	assert_int_equal(p->healthy.kind, CHECK_NONE);
	assert_null(p->log.file);
	assert_int_equal(p->log.ring, 64 << 10);
	assert_false(p->log.drop);
	assert_false(process_is_phase(p));
	assert_int_equal(p->rollout.strategy, ROLLOUT_ROLLING);
	assert_int_equal(p->rollout.surge, 0);
	assert_int_equal(p->rollout.batch, 0);
	assert_int_equal(p->rollout.timeout, 120 * NSEC_PER_SEC);
	done(&got);
}

static void rollout_of_a_type_is_over_the_releases(void **state)
{
	(void)state;
	struct result got = taken(
		"{\"Rollout\":{\"Types\":{\"b\":{\"Strategy\":\"recreate\",\"Timeout\":0.25}},"
		"\"Surge\":7,\"Batch\":3,\"Timeout\":9},"
		"\"Processes\":[{\"Type\":\"a\",\"Args\":[\"x\"]},{\"Type\":\"b\",\"Args\":[\"x\"]}"
		"]}");
	const struct rollout *a = &got.release->processes[0].rollout;
	const struct rollout *b = &got.release->processes[1].rollout;

	assert_int_equal(a->strategy, ROLLOUT_ROLLING);
	assert_int_equal(a->surge, 7);
	assert_int_equal(a->batch, 3);
	assert_int_equal(a->timeout, 9 * NSEC_PER_SEC);
	assert_int_equal(b->strategy, ROLLOUT_RECREATE);
	assert_int_equal(b->surge, 7);
	assert_int_equal(b->batch, 3);
	assert_int_equal(b->timeout, 250 * NSEC_PER_MSEC);
	done(&got);
}

/* A walk over every way would not end with the sun: each type is entered once. */
static void waiting_for_many_is_looked_at_once(void **state)
{
	static char text[30000];
	size_t at = (size_t)snprintf(text, sizeof text, "{\"Processes\":[");

	(void)state;
	for (int i = 0; i < LIMIT_TYPES; i++) {
		at += (size_t)snprintf(text + at, sizeof text - at,
			"%s{\"Type\":\"t%d\",\"Args\":[\"x\"],\"After\":[", i ? "," : "", i);
		for (int k = i + 1; k < LIMIT_TYPES && k <= i + LIMIT_AFTER; k++)
			at += (size_t)snprintf(
				text + at, sizeof text - at, "%s\"t%d\"", k == i + 1 ? "" : ",", k);
		at += (size_t)snprintf(text + at, sizeof text - at, "]}");
	}
	(void)snprintf(text + at, sizeof text - at, "]}");
	struct result got = taken(text);
	assert_int_equal(got.release->processes[0].n_after, LIMIT_AFTER);
	done(&got);

	/* The last waits for the first: the longest cycle there is. Its names are cut. */
	char *last = strstr(text, "\"t63\",\"Args\":[\"x\"],\"After\":[");
	assert_non_null(last);
	(void)snprintf(strrchr(last, '['), 20, "[\"t0\"]}]}");
	got = parse_bytes(text, strlen(text));
	assert_int_equal(got.r, -EINVAL);
	assert_int_equal(got.errors.n, 1);
	assert_string_equal(got.errors.list[0].path, "Processes[0].After");
	assert_non_null(strstr(got.errors.list[0].text, "t0 waits for t1, t1 for t2, t2 for t3"));
	done(&got);
}

static void text_is_decoded(void **state)
{
	(void)state;
	struct result got = taken(
		"{\"\\u0045nv\":{\"caf\\u00e9\":\"\\ud83d\\ude00\",\"q\\\"\\\\\\/\":\"a\\tb\"},"
		"\"SlugChecksum\":\"sha256:ABCDEF0123456789ABCDEF0123456789"
		"ABCDEF0123456789ABCDEF0123456789\",\"Processes\":[]}");

	assert_string_equal(env_get(&got.release->env, "caf\xc3\xa9"), "\xf0\x9f\x98\x80");
	assert_string_equal(env_get(&got.release->env, "q\"\\/"), "a\tb");
	assert_string_equal(got.release->slug_checksum, "SHA256:abcdef0123456789abcdef0123456789"
							"abcdef0123456789abcdef0123456789");
	assert_int_equal(got.release->n_processes, 0);
	done(&got);
}

static void all_errors_in_document_order(void **state)
{
	(void)state;
	refused("{\n"
		"  \"Rollout\": {\"Types\": {\"wbe\": {\"Surge\": 0}}},\n"
		"  \"Processes\": [\n"
		"    {\"Type\": \"web\", \"Args\": [\"x\"], \"StartSeconds\": 61, \"Quantity\": "
		"-1},\n"
		"    {\"Type\": \"web\", \"Quantiy\": 1, \"Args\": [\"x\"]}\n"
		"  ],\n"
		"\t\"version\": 1\n"
		"}\n",
		"Rollout.Types.wbe: line 2, column 25: there is no such type in Processes",
		"Rollout.Types.wbe.Surge: line 2, column 42: must be a whole number from 1 to "
		"4096, not 0",
		"Processes[0].StartSeconds: line 4, column 52: no dyno would ever be up: "
		"StartSeconds is "
		"61 and StartTimeout only 60",
		"Processes[0].Quantity: line 4, column 68: must be a whole number from 0 to 4096, "
		"not -1",
		"Processes[1].Type: line 5, column 14: \"web\" is the type of Processes[0] already",
		"Processes[1].Quantiy: line 5, column 21: unknown key \"Quantiy\"; did you mean "
		"\"Quantity\"?",
		"version: line 7, column 2: unknown key \"version\"; did you mean \"Version\"?",
		NULL);
}

static void shown_values_are_cut_and_printable(void **state)
{
	(void)state;
	refused("{\"Name\": \"\xc3\xa9\xc2\x9b\x7f\", \"Processes\": []}",
		"Name: line 1, column 10: must be 1 to 128 letters, digits, \".\", \"-\" or \"_\", "
		"not "
		"\"\xc3\xa9\\xc2\\x9b\\x7f\"",
		NULL);
	refused("{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":"
		" 1,"
		"\"Processes\": []}",
		"[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\"]: line 1, "
		"column "
		"2: unknown "
		"key \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\"; known "
		"here: "
		"Version, Name, Env, EnvFiles, Slug, SlugChecksum, Stack, Processes, LogplexURL, "
		"Binds, "
		"Rollout",
		NULL);
}

static void no_processes_stops_nothing(void **state)
{
	(void)state;
	refused("{}",
		"Processes: line 1, column 1: is required: a release without processes would stop "
		"everything",
		NULL);
	refused("{\"Processes\": null}",
		"Processes: line 1, column 15: is required: a release without processes would stop "
		"everything",
		NULL);
	refused("", "line 1, column 1: the document is empty", NULL);
}

static void too_large(void **state)
{
	(void)state;
	size_t len = (size_t)5 << 20;
	_cleanup_free_ char *text = malloc(len);

	assert_non_null(text);
	memset(text, ' ', len);
	struct result got = parse_bytes(text, len);
	assert_string_equal(got.errors.list[0].text,
		"the document has 5242880 bytes; at most 4194304 are read");
	done(&got);
}

/* {"Env": {<n variables of 2 bytes in the document's order>}, <rest>} */
static struct result with_env(unsigned n, size_t value_len, const char *rest)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	_cleanup_free_ char *value = calloc(1, value_len + 1);

	assert_non_null(value);
	memset(value, 'v', value_len);
	strbuf_puts(&b, "{\"Env\": {");
	for (unsigned i = 0; i < n; i++)
		strbuf_printf(&b, "%s\"V%u\":\"%s\"", i ? "," : "", i, value);
	strbuf_printf(&b, "}, %s}", rest);
	assert_int_equal(b.error, 0);
	return parse_bytes(b.data, b.len);
}

static void env_limits(void **state)
{
	(void)state;
	static const char own[] =
		"\"Processes\":[{\"Type\":\"web\",\"Args\":[\"x\"],\"Env\":{\"A\":\"\"}}]";
	struct result got = with_env(LIMIT_ENV, 0, "\"Processes\": []");

	assert_int_equal(got.r, 0);
	assert_int_equal(got.release->env.n, LIMIT_ENV);
	done(&got);

	got = with_env(LIMIT_ENV + 1, 0, "\"Processes\": []");
	assert_int_equal(got.r, -EINVAL);
	assert_string_equal(got.errors.list[0].path, "Env");
	assert_string_equal(
		got.errors.list[0].text, "has more than 4096 variables or 1048576 bytes");
	done(&got);

	/* 1024 x ("V1000" + "=" + value + NUL) is just above 1 MiB. */
	got = with_env(1024, 1020, "\"Processes\": []");
	assert_int_equal(got.r, -EINVAL);
	assert_string_equal(
		got.errors.list[0].text, "has more than 4096 variables or 1048576 bytes");
	done(&got);

	got = with_env(LIMIT_ENV, 0, own);
	assert_int_equal(got.r, -EINVAL);
	assert_string_equal(got.errors.list[0].path, "Processes[0].Env");
	assert_string_equal(got.errors.list[0].text,
		"has more than 4096 variables or 1048576 bytes, "
		"together with those of the release");
	done(&got);

	got = with_env(LIMIT_ENV - 1, 0, own);
	assert_int_equal(got.r, 0);
	done(&got);
}

static void too_many_values(void **state)
{
	(void)state;
	size_t len = (size_t)1 << 20;
	_cleanup_free_ char *text = malloc(len);

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = i % 2 ? '1' : ',';
	memcpy(text, "[1", 2);
	text[len - 1] = ']';
	struct result got = parse_bytes(text, len);
	assert_string_equal(got.errors.list[0].text, "has more than 341120 values");
	done(&got);
}

static void errors_stop_at_the_limit(void **state)
{
	(void)state;
	_cleanup_strbuf_ struct strbuf b = {0};

	strbuf_puts(&b, "{\"Processes\": [], \"Env\": {\"V\":1");
	for (int i = 0; i < 150; i++)
		strbuf_printf(&b, ",\"V%d\":1", i);
	strbuf_puts(&b, "}}");
	struct result got = parse_bytes(b.data, b.len);
	assert_int_equal(got.errors.n, LIMIT_RELEASE_ERRORS);
	assert_true(got.errors.more);

	/* Nothing can be added: the next document is refused all the same. */
	assert_int_equal(release_parse("{}", 2, &got.release, &got.errors), -EINVAL);
	assert_null(got.release);
	assert_int_equal(release_parse("[", 1, &got.release, &got.errors), -EINVAL);
	assert_null(got.release);
	done(&got);
}

static void earlier_errors_stay_first(void **state)
{
	(void)state;
	struct release_error mine = {.path = "loaded", .text = "cannot be read"};
	struct release_errors errors = {0};
	struct release *r = NULL;
	char line[600];

	assert_int_equal(release_errors_add(&errors, &mine), 0);
	assert_int_equal(release_parse("{\"Processes\": []}", 17, &r, &errors), 0);
	r = release_unref(r);
	assert_int_equal(release_parse("{}", 2, &r, &errors), -EINVAL);
	assert_null(r);
	assert_int_equal(errors.n, 2);
	assert_string_equal(
		release_error_format(&errors.list[0], line, sizeof line), "loaded: cannot be read");
	release_errors_done(&errors);
	assert_null(errors.list);
}

static void the_last_of_two_keys_is_checked(void **state)
{
	(void)state;
	refused("{\"Name\": 5, \"Processes\": [], \"Name\": {\"x\": [1, {\"y\": 2}]}}",
		"Name: line 1, column 30: is given twice in the same object",
		"Name: line 1, column 38: must be a string, not an object", NULL);
	refused("{\"Name\": {\"x\": [1]}, \"Processes\": [], \"Name\": \"a\", \"x\": 1, \"x\": 2}",
		"Name: line 1, column 39: is given twice in the same object",
		"x: line 1, column 52: unknown key \"x\"; known here: Version, Name, Env, "
		"EnvFiles, Slug, "
		"SlugChecksum, Stack, Processes, LogplexURL, Binds, Rollout",
		"x: line 1, column 60: is given twice in the same object", NULL);
}

static void references(void **state)
{
	(void)state;
	struct result got = taken("{\"Processes\": []}");

	assert_ptr_equal(release_ref(got.release), got.release);
	assert_null(release_unref(got.release));
	assert_int_equal(got.release->refs, 1);
	assert_null(release_unref(NULL));
	done(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_example_is_read),
		cmocka_unit_test(full_example_process),
		cmocka_unit_test(defaults),
		cmocka_unit_test(rollout_of_a_type_is_over_the_releases),
		cmocka_unit_test(waiting_for_many_is_looked_at_once),
		cmocka_unit_test(text_is_decoded),
		cmocka_unit_test(all_errors_in_document_order),
		cmocka_unit_test(shown_values_are_cut_and_printable),
		cmocka_unit_test(no_processes_stops_nothing),
		cmocka_unit_test(too_large),
		cmocka_unit_test(env_limits),
		cmocka_unit_test(too_many_values),
		cmocka_unit_test(errors_stop_at_the_limit),
		cmocka_unit_test(earlier_errors_stay_first),
		cmocka_unit_test(the_last_of_two_keys_is_checked),
		cmocka_unit_test(references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
