/* src/control without a socket: requests as data in, answers as data out. */
#include "control/access.h"
#include "control/listen.h"
#include "control/private.h"
#include "control/tail.h"
#include "fake/operate.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct supervisor supervisor;
static struct control control;

static int set_up(void **state)
{
	(void)state;
	fake_supervisor_open(&supervisor);
	control = (struct control){.s = &supervisor};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	control.dynos = page_unref(control.dynos);
	fake_supervisor_close(&supervisor);
	return 0;
}

/* The status; the body, when it is JSON, as *ret (NULL: not wanted). */
static unsigned ask(
	const char *method, const char *target, const char *body, enum role role, json_t **ret)
{
	struct request r = {.method = method, .role = role, .asker = {"a test"}};
	struct answer a = {0};
	struct err err = {0};

	assert_int_equal(request_parse(&r, target, &err), 0);
	r.body = body;
	r.body_len = body ? strlen(body) : 0;
	route_answer(&control, &r, &a);
	unsigned status = a.status;
	if (ret) {
		*ret = json_loadb(a.page->body.data, a.page->body.len, 0, NULL);
		assert_non_null(*ret);
	}
	answer_done(&a);
	request_done(&r);
	return status;
}

static unsigned post(const char *target, const char *body)
{
	return ask("POST", target, body, ROLE_OPERATE, NULL);
}

static void test_every_route_answers(void **state)
{
	const struct route *route;

	(void)state;
	for (size_t i = 0; (route = route_at(i)); i++) {
		char target[100];

		(void)snprintf(target, sizeof target, "%s", route->path);
		char *brace = strchr(target, '{');
		if (brace)
			memmove(brace, "7", 2);
		if (brace && route->path[4] == 'd')
			(void)snprintf(target, sizeof target, "/v1/dynos/web.1/stdin");
		const char *method = route->method[0] == '*' ? "GET" : route->method;
		assert_int_equal(ask(method, target, NULL, ROLE_NONE, NULL), 403);
		if (route->role == ROLE_OPERATE)
			assert_int_equal(ask(method, target, NULL, ROLE_WATCH, NULL), 403);
		assert_int_equal(supervisor.wishes, 0);
	}
	assert_int_equal(ask("GET", "/v1/releases/7", NULL, ROLE_OPERATE, NULL), 200);
	assert_int_equal(ask("GET", "/v1/logs", NULL, ROLE_WATCH, NULL), 409);
}

static void test_what_is_missing_is_told(void **state)
{
	json_t *app;

	(void)state;
	assert_int_equal(ask("GET", "/v1/app", NULL, ROLE_WATCH, &app), 200);
	const json_t *missing = json_object_get(app, "missing");
	assert_int_equal(json_array_size(missing), 2);
	assert_string_equal(json_string_value(json_array_get(missing, 1)), "no limits");
	json_decref(app);
}

static void test_dynos_are_valid_json(void **state)
{
	json_t *list;

	(void)state;
	assert_int_equal(ask("GET", "/v1/dynos", NULL, ROLE_WATCH, &list), 200);
	assert_int_equal(json_array_size(list), 3);
	json_t *web = json_array_get(list, 0), *two = json_array_get(list, 1);
	assert_string_equal(json_string_value(json_object_get(web, "name")), "web.1");
	assert_string_equal(
		json_string_value(json_object_get(web, "why")), "a \"reason\"\x1b\xef\xbf\xbd");
	assert_true(json_real_value(json_object_get(web, "cpu")) == 1.5);
	assert_int_equal(json_integer_value(json_object_get(web, "processes")), 3);
	assert_true(json_real_value(json_object_get(web, "memory_pressure")) == 0.05);
	assert_true(json_real_value(json_object_get(web, "cpu_pressure")) == 100);
	assert_true(json_is_null(json_object_get(web, "last_exit")));
	assert_true(json_is_null(json_object_get(web, "retry_in")));
	assert_true(json_is_real(json_object_get(two, "retry_in")));
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(two, "last_exit"), "error")),
		"ENOENT");
	json_decref(list);
}

static void test_the_list_is_made_anew_when_something_happened(void **state)
{
	(void)state;
	assert_int_equal(ask("GET", "/v1/dynos", NULL, ROLE_WATCH, NULL), 200);
	struct page *first = page_ref(control.dynos);
	assert_int_equal(ask("GET", "/v1/dynos", NULL, ROLE_WATCH, NULL), 200);
	assert_ptr_equal(control.dynos, first);
	recorder_add(supervisor.recorder, &(struct record){.kind = RECORD_LAUNCHER});
	assert_int_equal(ask("GET", "/v1/dynos", NULL, ROLE_WATCH, NULL), 200);
	assert_ptr_not_equal(control.dynos, first);
	control.dynos_until = 0;
	struct page *second = page_ref(control.dynos);
	assert_int_equal(ask("GET", "/v1/dynos", NULL, ROLE_WATCH, NULL), 200);
	assert_ptr_not_equal(control.dynos, second);
	(void)page_unref(first);
	(void)page_unref(second);
}

static void test_patterns_that_overlap_do_it_once(void **state)
{
	(void)state;
	assert_int_equal(post("/v1/dynos/stop", "{\"names\":[\"web\"]}"), 200);
	assert_int_equal(supervisor.wishes, 1);
	assert_string_equal(supervisor.last, "1 web 0 by a test");
	supervisor.wishes = 0;
	assert_int_equal(post("/v1/dynos/restart", "{\"names\":[\"web\",\"*.1\"]}"), 200);
	assert_int_equal(supervisor.wishes, 1);
	supervisor.wishes = 0;
	assert_int_equal(post("/v1/dynos/start", "{\"names\":[\"web\",\"nothing\"]}"), 404);
	assert_int_equal(supervisor.wishes, 0);
}

/* What an earlier supervisor started may still come: nothing is unknown before that. */
static void test_no_name_is_unknown_before_all_is_known(void **state)
{
	(void)state;
	assert_int_equal(ask("GET", "/v1/dynos?name=nothing", NULL, ROLE_WATCH, NULL), 404);
	supervisor.begins = true;
	assert_int_equal(ask("GET", "/v1/dynos?name=nothing", NULL, ROLE_WATCH, NULL), 409);
	assert_int_equal(ask("GET", "/v1/dynos?name=web.1", NULL, ROLE_WATCH, NULL), 200);
	assert_int_equal(post("/v1/dynos/stop", "{\"names\":[\"nothing\"]}"), 409);
}

static void test_no_list_without_those_that_are_still_to_be_adopted(void **state)
{
	static const char *const paths[] = {
		"/v1/dynos", "/v1/dynos?name=web.1", "/v1/dynos?name=all", "/v1/dynos?name=web"};

	(void)state;
	/* Nor the one that was made before. */
	assert_int_equal(ask("GET", "/v1/dynos", NULL, ROLE_WATCH, NULL), 200);
	supervisor.begins = supervisor.hides = true;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(ask("GET", paths[i], NULL, ROLE_WATCH, NULL), 409);
	/* Without any it is complete. */
	supervisor.hides = false;
	assert_int_equal(ask("GET", "/v1/dynos", NULL, ROLE_WATCH, NULL), 200);
}

/* A daemon that has none says so; one that has not found them yet does not. */
static void test_no_list_of_apps_before_they_are_known(void **state)
{
	(void)state;
	supervisor.hides = true;
	assert_int_equal(ask("GET", "/v1/apps", NULL, ROLE_WATCH, NULL), 200); /* itself */
	supervisor.daemon = true;
	assert_int_equal(ask("GET", "/v1/apps", NULL, ROLE_WATCH, NULL), 409);
	supervisor.hides = false;
	supervisor.n_dynos = 0;
	assert_int_equal(ask("GET", "/v1/apps", NULL, ROLE_WATCH, NULL), 200);
}

static void test_refusals_become_statuses(void **state)
{
	static const struct {
		int code;
		unsigned status;
	} known[] = {{-ENOENT, 404}, {-EINVAL, 422}, {-ESHUTDOWN, 409}, {-EAGAIN, 409},
		{-EBUSY, 409}, {-E2BIG, 422}, {-EIO, 500}, {-ENOMEM, 500}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		supervisor.refuse = known[i].code;
		assert_int_equal(post("/v1/scale", "{\"web\":1}"), known[i].status);
		assert_int_equal(post("/v1/rollback", NULL), known[i].status);
		assert_int_equal(post("/v1/dynos/stop", "{\"names\":[\"web\"]}"), known[i].status);
	}
}

static void test_scale(void **state)
{
	(void)state;
	assert_int_equal(post("/v1/scale", "{\"web\":\"+1\"}"), 200);
	assert_string_equal(supervisor.last, "1 web by 1");
	assert_int_equal(post("/v1/scale", "{\"web\":\"-2\"}"), 200);
	assert_string_equal(supervisor.last, "1 web by -2");
	assert_int_equal(post("/v1/scale", "{\"web\":\"3\"}"), 200);
	assert_string_equal(supervisor.last, "1 web 3");
	supervisor.wishes = 0;
	assert_int_equal(post("/v1/scale", "{\"web\":-1}"), 422);
	assert_int_equal(post("/v1/scale", "{\"web\":4097}"), 422);
	assert_int_equal(post("/v1/scale", "{\"web\":9223372036854775807}"), 422);
	assert_int_equal(post("/v1/scale", "{\"web\":\" 3\"}"), 400);
	assert_int_equal(post("/v1/scale", "{\"web\":\"3 \"}"), 400);
	assert_int_equal(post("/v1/scale", "{\"web\":\"\"}"), 400);
	assert_int_equal(supervisor.wishes, 0);
}

/* ---- requests ---- */

static void test_targets(void **state)
{
	struct request r = {0};
	struct err err;

	(void)state;
	assert_int_equal(request_parse(&r, "/v1/a%2Fb/?x=1+2&y&&x=%C3%A9", &err), 0);
	assert_int_equal(r.n_segments, 3);
	assert_string_equal(r.segments[1], "a/b");
	assert_string_equal(r.segments[2], "");
	assert_int_equal(r.n_params, 3);
	assert_string_equal(request_param(&r, "x"), "1 2");
	assert_string_equal(request_param(&r, "y"), "");
	assert_string_equal(r.params[2].value, "\xc3\xa9");
	struct request copy;
	assert_int_equal(request_copy(&r, &copy, &err), 0);
	request_done(&r);
	assert_string_equal(request_param(&copy, "x"), "1 2");
	assert_string_equal(request_param(&copy, "y"), "");
	request_done(&copy);

	static const char *const wrong[] = {"", "v1", "*", "http://x/v1", "/%", "/%4", "/%g0",
		"/%00", "/%0a", "/%7f", "/%ff", "/?a=%1", "/?%ff=1"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(request_parse(&r, wrong[i], &err), -EINVAL);
		request_done(&r);
	}
}

/* ---- who may ---- */

static void test_roles(void **state)
{
	const struct control_grant grants[] = {{1000, false, false}, {1000, false, true},
		{20, true, false}, {21, true, true}, {0, true, true}};
	const unsigned none[] = {5}, watch[] = {5, 20}, operate[] = {20, 21};

	(void)state;
	assert_int_equal(access_role(NULL, 0, 500, 0, none, 1), ROLE_OPERATE);
	assert_int_equal(access_role(NULL, 0, 500, 500, none, 1), ROLE_OPERATE);
	assert_int_equal(access_role(NULL, 0, 500, 501, none, 1), ROLE_NONE);
	assert_int_equal(access_role(grants, 1, 500, 1000, none, 1), ROLE_WATCH);
	assert_int_equal(access_role(grants, 5, 500, 1000, none, 1), ROLE_OPERATE);
	assert_int_equal(access_role(grants, 5, 500, 7, none, 1), ROLE_NONE);
	assert_int_equal(access_role(grants, 5, 500, 7, watch, 2), ROLE_WATCH);
	assert_int_equal(access_role(grants, 5, 500, 7, operate, 2), ROLE_OPERATE);
	/* The uid of a group's number is nobody. */
	assert_int_equal(access_role(grants, 5, 500, 21, none, 1), ROLE_NONE);
	assert_int_equal(access_role(grants, 5, ID_NONE, ID_NONE, operate, 2), ROLE_NONE);
}

static int tokens_of(struct tokens *t, const char *text)
{
	struct err err = {0};

	return tokens_parse(t, text, strlen(text), &err);
}

static void test_tokens(void **state)
{
	struct tokens *t = tokens_new("/nowhere/at/all");
	char name[TOKEN_NAME + 1];

	(void)state;
	assert_non_null(t);
	assert_int_equal(tokens_of(t, ""), 0);
	assert_int_equal(tokens_of(t, "# x\r\n\noperate:0123456789abcdef \n"), 0);
	assert_int_equal(tokens_of(t, "watch:ops:0123456789abcdef"), 0);
	static const char *const wrong[] = {"operate:", "operate:0123456789abcde",
		"operate::0123456789abcdef", "root:0123456789abcdef",
		"watch:a name that is far too long for it:0123456789abcdef",
		"watch:0123456789 abcdef", "watch:0123456789abcde\xff", "watch"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(tokens_of(t, wrong[i]), -EINVAL);
	/* The file is not there: none is good. */
	assert_int_equal(tokens_of(t, "watch:0123456789abcdef"), 0);
	assert_int_equal(tokens_role(t, "Bearer 0123456789abcdef", name), ROLE_NONE);
	(void)tokens_free(t);
}

static void test_only_loopback(void **state)
{
	static const char *const good[] = {"127.0.0.1:0", "127.1.2.3:80", "[::1]:65535"};
	static const char *const wrong[] = {"", ":", "80", "0.0.0.0:80", "128.0.0.1:80", "[::]:80",
		"[::ffff:127.0.0.1]:80", "localhost:80", "127.0.0.1:65536", "127.0.0.1:-1",
		"::1:80", "127.0.0.1:", "[127.0.0.1]:80"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(listen_tcp_check(good[i], &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(listen_tcp_check(wrong[i], &err), -EINVAL);
}

/* ---- a tail ---- */

static int gap(uint64_t lost, char *to, size_t size)
{
	return snprintf(to, size, "lost %llu\n", (unsigned long long)lost);
}

static void add(struct tail *t, const char *line)
{
	char *to = tail_room(t, strlen(line));

	assert_non_null(to);
	memcpy(to, line, strlen(line));
	tail_added(t, strlen(line));
}

static const char *take(struct tail *t, size_t max)
{
	static char text[5000];

	text[tail_read(t, text, max)] = '\0';
	return text;
}

static void test_a_tail_keeps_what_fits(void **state)
{
	struct tail t = {.limit = 20, .gap = gap};

	(void)state;
	add(&t, "one\n");
	add(&t, "two\n");
	assert_string_equal(take(&t, 4000), "one\ntwo\n");
	assert_true(tail_empty(&t));
	for (int i = 0; i < 10; i++) {
		char c = (char)('a' + i);
		add(&t, (char[]){c, c, c, '\n', '\0'});
	}
	/* Twenty bytes at most; each time the older half went. */
	assert_string_equal(take(&t, 4000), "lost 6\nggg\nhhh\niii\njjj\n");
	tail_done(&t);
}

static void test_a_line_that_was_begun_is_ended_first(void **state)
{
	struct tail t = {.limit = 20, .gap = gap};

	(void)state;
	add(&t, "0123456789abc\n");
	assert_int_equal(strlen(take(&t, 5)), 5);
	add(&t, "two\n");
	add(&t, "three\n");
	add(&t, "four\n");
	assert_string_equal(take(&t, 4000), "56789abc\nlost 2\nfour\n");
	assert_true(tail_empty(&t));
	tail_done(&t);
}

static void test_a_line_larger_than_the_limit_goes_through(void **state)
{
	struct tail t = {.limit = 4, .gap = gap};

	(void)state;
	add(&t, "a long line\n");
	assert_string_equal(take(&t, 4000), "a long line\n");
	add(&t, "a long line\n");
	add(&t, "another long line\n");
	assert_string_equal(take(&t, 4000), "lost 1\nanother long line\n");
	tail_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_route_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_missing_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dynos_are_valid_json, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_the_list_is_made_anew_when_something_happened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_patterns_that_overlap_do_it_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_no_name_is_unknown_before_all_is_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_no_list_without_those_that_are_still_to_be_adopted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_no_list_of_apps_before_they_are_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusals_become_statuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_scale, set_up, tear_down),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_only_loopback),
		cmocka_unit_test(test_a_tail_keeps_what_fits),
		cmocka_unit_test(test_a_line_that_was_begun_is_ended_first),
		cmocka_unit_test(test_a_line_larger_than_the_limit_goes_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
