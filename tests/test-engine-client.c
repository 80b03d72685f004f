/* drivers/docker/engine: with an engine that is whatever the test wants it to be. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "drivers/docker/engine_private.h"
#include "fake/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define JSON(status, length, text)                                                                 \
	"HTTP/1.1 " status "\r\nContent-Type: application/json\r\nContent-Length: " #length        \
	"\r\n\r\n" text
#define PING(api) "HTTP/1.1 200 OK\r\nApi-Version: " api "\r\nContent-Length: 2\r\n\r\nOK"

static sd_event *loop;
static struct fake_http fake;
static struct engine *engine;
static char dir[] = "/tmp/test-engine-XXXXXX", path[64], host[80];

static unsigned n_up, n_gone, n_answers, n_data;
static struct err why, last;
static int last_r;
static unsigned last_status;
static char *last_json;
static struct strbuf got;
static bool asks_in_changed, closes_in_changed, closes_in_answer;

static int ask(const char *method, const char *of, json_t *body);

static void on_changed(void *userdata, bool up, const struct err *reason)
{
	(void)userdata;
	*(up ? &n_up : &n_gone) += 1;
	why = *reason;
	assert_int_equal(up, engine_is_up(engine));
	if (asks_in_changed)
		assert_int_equal(ask("GET", "/ok", NULL), 0);
	if (closes_in_changed)
		engine = engine_close(engine);
}

static void on_answer(void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	(void)userdata;
	n_answers++;
	last_r = r;
	last_status = status;
	last = *err;
	free(last_json);
	last_json = answer ? json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	if (closes_in_answer)
		engine = engine_close(engine);
}

static struct engine_call *call;

static int ask(const char *method, const char *of, json_t *body)
{
	struct engine_request request = {
		.method = method, .path = of, .body = body, .timeout = NSEC_PER_SEC};
	struct err err;

	return engine_ask(engine, &request, on_answer, NULL, &call, &err);
}

static int answer_to(const char *method, const char *of)
{
	unsigned before = n_answers;

	assert_int_equal(ask(method, of, NULL), 0);
	assert_int_equal(n_answers, before);
	assert_true(fake_until(loop, &n_answers, before + 1));
	fake_settle(loop);
	assert_int_equal(n_answers, before + 1);
	return last_r;
}

static void open_engine(void)
{
	struct engine_setup setup = {.loop = loop, .host = host, .changed = on_changed};
	struct err err;

	assert_int_equal(engine_open(&setup, &engine, &err), 0);
}

static const struct fake_route routes[] = {
	{.path = "/_ping", .answer = PING("1.41")},
	{.path = "/v1.41/ok", .answer = JSON("200 OK", 12, "{\"Id\":\"abc\"}")},
	{.path = "/v1.41/list", .answer = JSON("200 OK", 6, "[1,2]\n")},
	{.path = "/v1.41/none", .answer = "HTTP/1.1 204 No Content\r\n\r\n"},
	{.path = "/v1.41/same", .answer = "HTTP/1.1 304 Not Modified\r\n\r\n"},
	{.path = "/v1.41/404",
		.answer = JSON("404 No", 31, "{\"message\":\"No such image: x\"}\n")},
	{.path = "/v1.41/409",
		.answer = JSON("409 No", 56,
			"{\"cause\":\"busy\",\"message\":\"it is busy\",\"response\":409}\n\n")},
	{.path = "/v1.41/400", .answer = JSON("400 No", 24, "{\"message\":\"bad \\u001b\"}")},
	{.path = "/v1.41/403", .answer = JSON("403 No", 12, "not for you\n")},
	{.path = "/v1.41/500", .answer = JSON("500 No", 0, "")},
	{.path = "/v1.41/mal", .answer = JSON("200 OK", 8, "{\"Id\": \"")},
	{.path = "/v1.41/cut", .answer = JSON("200 OK", 80, "{\"Id\""), .then = FAKE_CLOSE},
	{.path = "/v1.41/hangs", .answer = "", .then = FAKE_HOLD},
	{.path = "/v1.41/gone", .answer = "", .then = FAKE_CLOSE},
	{.path = "/v1.41/stream",
		.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			  "3\r\nabc\r\n",
		.then = FAKE_HOLD},
	{.path = "/v1.41/whole", .answer = JSON("200 OK", 3, "abc")},
	{.path = "/v1.41/pipe", .answer = "HTTP/1.1 101 UPGRADED\r\n\r\nhi", .then = FAKE_HOLD},
	{0},
};

static void hosts(void **state)
{
	static const struct {
		const char *host;
		bool tls;
		const char *base, *socket;
	} good[] = {
		{NULL, false, "http://docker", "/var/run/docker.sock"},
		{"", true, "http://docker", "/var/run/docker.sock"},
		{"unix:///a/b.sock", true, "http://docker", "/a/b.sock"},
		{"tcp://host", false, "http://host:2375", ""},
		{"tcp://host", true, "https://host:2376", ""},
		{"tcp://10.0.0.1:99/", true, "https://10.0.0.1:99", ""},
		{"http://a.b-c:1", true, "http://a.b-c:1", ""},
		{"https://[::1]:65535", false, "https://[::1]:65535", ""},
	};
	static const char *const bad[] = {"unix://", "unix://rel", "tcp://", "tcp://:2375",
		"tcp://h:", "tcp://h:0", "tcp://h:65536", "tcp://h:2x", "tcp://h:123456",
		"tcp://h:1/path", "tcp://u@h:1", "tcp://[::1", "tcp://[]", "tcp://h?x", "ssh://h",
		"npipe:////./x", "/a/b", "fd://", "host:2375", "tcp://h h"};
	struct engine_host h;
	struct err err;
	char text[300];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(engine_host_parse(good[i].host, good[i].tls, &h, &err), 0);
		assert_string_equal(h.base, good[i].base);
		assert_string_equal(h.socket, good[i].socket);
		assert_int_equal(h.tls, strncmp(good[i].base, "https", 5) == 0);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(engine_host_parse(bad[i], false, &h, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i]));
		assert_non_null(strstr(err.text, "tcp://host:port"));
	}
	(void)snprintf(text, sizeof text, "unix:///%0107d", 0);
	assert_int_equal(engine_host_parse(text, false, &h, &err), -EINVAL);
	(void)snprintf(text, sizeof text, "unix:///%0106d", 0);
	assert_int_equal(engine_host_parse(text, false, &h, &err), 0);
	(void)snprintf(text, sizeof text, "tcp://%0256d", 0);
	assert_int_equal(engine_host_parse(text, false, &h, &err), -EINVAL);
}

static void versions(void **state)
{
	(void)state;
	assert_int_equal(engine_api_parse("1.41"), 141);
	assert_int_equal(engine_api_parse("1.9"), 109);
	assert_int_equal(engine_api_parse(""), 0);
	assert_int_equal(engine_api_parse("1"), 0);
	assert_int_equal(engine_api_parse("1."), 0);
	assert_int_equal(engine_api_parse("1.41x"), 0);
	assert_int_equal(engine_api_parse("-1.41"), 0);
	assert_int_equal(engine_api_parse("1.-4"), 0);
	assert_int_equal(engine_api_parse("1.400"), 0);
}

static void escapes(void **state)
{
	struct strbuf b = {0};

	(void)state;
	strbuf_escape(&b, "a/b c%\xc3\xa9~");
	assert_string_equal(b.data, "a%2Fb%20c%25%C3%A9~");
	strbuf_done(&b);
	json_t *o = json_pack("{s:s,s:i,s:b,s:n}", "t", "x", "n", 7, "b", 1, "z");
	assert_string_equal(json_text_of(o, "t"), "x");
	assert_string_equal(json_text_of(o, "n"), "");
	assert_string_equal(json_text_of(NULL, "n"), "");
	assert_int_equal(json_number_of(o, "n", 1), 7);
	assert_int_equal(json_number_of(o, "t", 1), 1);
	assert_true(json_true_of(o, "b"));
	assert_false(json_true_of(o, "n"));
	json_decref(o);
}

static void answers(void **state)
{
	(void)state;
	/* Asked before the version is known. */
	assert_int_equal(engine_api(engine), 0);
	assert_int_equal(answer_to("GET", "/ok"), 0);
	assert_int_equal(n_up, 1);
	assert_int_equal(engine_api(engine), 141);
	assert_string_equal(last_json, "{\"Id\":\"abc\"}");
	assert_int_equal(last_status, 200);
	assert_int_equal(answer_to("GET", "/list"), 0);
	assert_string_equal(last_json, "[1,2]");
	assert_int_equal(answer_to("POST", "/none"), 0);
	assert_null(last_json);
	assert_int_equal(answer_to("POST", "/same"), 0);
	assert_int_equal(last_status, 304);
	unsigned before = n_answers;
	assert_int_equal(ask("POST", "/ok", json_pack("{s:s}", "Image", "x")), 0);
	assert_true(fake_until(loop, &n_answers, before + 1));
	assert_string_equal(fake.bodies.data, "{\"Image\":\"x\"}");
	assert_non_null(strstr(fake.heads.data, "Content-Type: application/json\r\n"));
	assert_false(engine_is_podman(engine));
	assert_true(engine_is_local(engine));
	assert_int_equal(n_gone, 0);
}

static void refusals(void **state)
{
	(void)state;
	assert_int_equal(answer_to("GET", "/404"), -ENOENT);
	assert_string_equal(last.text, "docker: No such image: x");
	assert_int_equal(last_status, 404);
	assert_int_equal(answer_to("GET", "/409"), -EEXIST);
	assert_string_equal(last.text, "docker: it is busy");
	assert_int_equal(answer_to("GET", "/400"), -EINVAL);
	assert_string_equal(last.text, "docker: bad \\x1b");
	assert_int_equal(answer_to("GET", "/403"), -EACCES);
	assert_string_equal(last.text, "docker: not for you");
	assert_int_equal(answer_to("GET", "/500"), -EIO);
	assert_string_equal(last.text, "docker: status 500, and not a word why");
	assert_int_equal(answer_to("GET", "/mal"), -EBADMSG);
	assert_non_null(strstr(last.text, "is no JSON"));
	assert_int_equal(answer_to("GET", "/hangs"), -ETIMEDOUT);
	assert_int_equal(n_gone, 0);
	assert_true(engine_is_up(engine));
}

static void breaks_and_comes_back(void **state)
{
	(void)state;
	assert_int_equal(answer_to("GET", "/ok"), 0);
	assert_int_equal(answer_to("GET", "/gone"), -ECONNRESET);
	assert_int_equal(n_gone, 1);
	assert_int_equal(why.code, -ECONNRESET);
	assert_false(engine_is_up(engine));
	assert_int_equal(answer_to("GET", "/ok"), -ECONNRESET); /* at once: it was not asked */
	assert_int_equal(n_up, 1);
	assert_true(fake_until(loop, &n_up, 2));
	assert_int_equal(answer_to("GET", "/ok"), 0);
	assert_int_equal(answer_to("GET", "/cut"), -ECONNRESET);
	assert_int_equal(n_gone, 2);
	assert_true(fake_until(loop, &n_up, 3));
}

/* It is stopped, stays away for a while, and is another one afterwards. */
static void restarts(void **state)
{
	static const struct fake_route podman[] = {
		{.path = "/_ping",
			.answer = "HTTP/1.1 200 OK\r\nApi-Version: 1.40\r\n"
				  "Libpod-Api-Version: 4.3.1\r\nContent-Length: 0\r\n\r\n"},
		{.path = "/v1.40/ok", .answer = JSON("200 OK", 2, "{}")},
		{.path = "/v1.40/404", .answer = JSON("404 No", 13, "{\"cause\":\"c\"}")},
		{0},
	};

	(void)state;
	assert_int_equal(answer_to("GET", "/ok"), 0);
	assert_int_equal(ask("POST", "/hangs", NULL), 0);
	unsigned asked = fake.n_requests;
	assert_true(fake_until(loop, &fake.n_requests, asked + 1));
	fake_http_stop(&fake);
	unsigned before = n_answers;
	assert_true(fake_until(loop, &n_answers, before + 1));
	/* (A kept connection that has died is made anew.) */
	assert_true(last_r == -ECONNRESET || last_r == -ECONNREFUSED);
	assert_true(fake_until(loop, &n_gone, 1));
	uint64_t begin = clock_now();
	while (clock_now() - begin < 250 * NSEC_PER_MSEC) /* at least one ping in vain */
		(void)sd_event_run(loop, 10000);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(answer_to("GET", "/ok"), -ECONNREFUSED);
	assert_int_equal(n_gone, 1);
	fake_http_start(&fake, loop, path, podman);
	assert_true(fake_until(loop, &n_up, 2));
	assert_true(engine_is_podman(engine));
	assert_int_equal(engine_api(engine), 140);
	assert_memory_equal(engine_name(engine), "podman at unix:///", 18);
	assert_int_equal(answer_to("GET", "/ok"), 0);
	assert_int_equal(answer_to("GET", "/404"), -ENOENT);
	assert_string_equal(last.text, "podman: c");
}

static void expect_gone(const struct fake_route *are, int code, const char *text)
{
	n_gone = 0;
	fake.routes = are;
	open_engine();
	assert_int_equal(answer_to("GET", "/ok"), code);
	assert_int_equal(n_gone, 1);
	assert_int_equal(why.code, code);
	if (!strstr(why.text, text) || !strstr(why.text, host))
		fail_msg("%s", why.text);
	assert_string_equal(why.text, last.text);
	engine = engine_close(engine);
}

static void no_engine(void **state)
{
#define ROUTE(text) (const struct fake_route[]){{.path = "/_ping", .answer = text}, {0}}
	(void)state;
	engine = engine_close(engine);
	n_up = 0;
	expect_gone(
		ROUTE(PING("1.12")), -EPROTONOSUPPORT, "speaks API 1.12; hsup needs 1.24 or later");
	expect_gone(ROUTE(JSON("200 OK", 2, "OK")), -EPROTO, "no container engine");
	expect_gone(ROUTE(PING("what")), -EPROTO, "no container engine");
	expect_gone(
		ROUTE(JSON("500 No", 21, "{\"message\":\"on fire\"}")), -EIO, "docker: on fire");
	expect_gone(ROUTE("SSH-2.0-OpenSSH\r\n\r\n"), -EPROTO, "docker at");
	expect_gone(
		(const struct fake_route[]){{.path = "/", .answer = "", .then = FAKE_CLOSE}, {0}},
		-ECONNRESET, "docker at");
	fake_http_stop(&fake);
	expect_gone(NULL, -ECONNREFUSED, "nobody listens on the socket");
	assert_int_equal(unlink(path), 0);
	expect_gone(NULL, -ECONNREFUSED, "there is no such socket");
	assert_int_equal(n_up, 0);
}

static void newer_engines(void **state)
{
	static const struct fake_route takes_ours[] = {
		{.path = "/_ping", .answer = PING("1.52")},
		{.path = "/version", .answer = JSON("200 OK", 24, "{\"MinAPIVersion\":\"1.24\"}")},
		{0},
	};
	static const struct fake_route wants_newer[] = {
		{.path = "/_ping", .answer = PING("1.52")},
		{.path = "/version", .answer = JSON("200 OK", 24, "{\"MinAPIVersion\":\"1.44\"}")},
		{0},
	};

	(void)state;
	engine = engine_close(engine);
	fake.routes = takes_ours;
	open_engine();
	assert_true(fake_until(loop, &n_up, 1));
	assert_int_equal(engine_api(engine), ENGINE_API_NEWEST);
	engine = engine_close(engine);
	fake.routes = wants_newer;
	open_engine();
	assert_true(fake_until(loop, &n_up, 2));
	assert_int_equal(engine_api(engine), 144);
}

static void cancels_and_closes(void **state)
{
	(void)state;
	assert_int_equal(ask("GET", "/ok", NULL), 0); /* waits */
	engine_cancel(call);
	engine_cancel(NULL);
	assert_true(fake_until(loop, &n_up, 1));
	assert_int_equal(ask("GET", "/ok", NULL), 0); /* sent */
	engine_cancel(call);
	fake_settle(loop);
	assert_int_equal(n_answers, 0);
	closes_in_answer = true;
	assert_int_equal(ask("GET", "/hangs", NULL), 0);
	assert_int_equal(ask("GET", "/ok", NULL), 0);
	assert_true(fake_until(loop, &n_answers, 1));
	fake_settle(loop);
	assert_int_equal(n_answers, 1);
	assert_int_equal(fake.n_open, 0);
	/* With calls that wait; and by an answer to one of those that wait for nothing. */
	for (int i = 0; i < 3; i++) {
		static const struct fake_route none[] = {{0}};

		closes_in_changed = i == 0;
		closes_in_answer = i == 1;
		n_answers = 0;
		fake.routes = i == 1 ? none : routes;
		open_engine();
		assert_int_equal(ask("GET", "/ok", NULL), 0);
		assert_int_equal(ask("GET", "/ok", NULL), 0);
		if (i == 2)
			engine = engine_close(engine);
		fake_settle(loop);
		assert_int_equal(n_answers, i == 1);
		assert_null(engine);
	}
}

static void asks_when_it_changes(void **state)
{
	(void)state;
	asks_in_changed = true;
	assert_true(fake_until(loop, &n_answers, 1));
	assert_int_equal(last_r, 0);
	assert_int_equal(ask("GET", "/gone", NULL), 0);
	assert_true(fake_until(loop, &n_gone, 1));
	assert_true(fake_until(loop, &n_answers, 3));
	assert_int_equal(last_r, -ECONNRESET);
	assert_true(fake_until(loop, &n_answers, 4));
	assert_int_equal(last_r, 0);
}

/* ---- streams ---- */

static bool refuses;

static int on_data(void *userdata, const char *data, size_t len)
{
	(void)userdata;
	n_data++;
	if (refuses)
		return -EAGAIN;
	(void)strbuf_add(&got, data, len);
	return 0;
}

static void on_done(void *userdata, int r, unsigned status, const struct err *err)
{
	on_answer(userdata, r, status, NULL, err);
}

static void begin_stream(const char *of, uint64_t silence)
{
	struct engine_stream stream = {
		.method = "GET", .path = of, .silence = silence, .data = on_data, .done = on_done};
	struct err err;

	strbuf_reset(&got);
	n_answers = n_data = 0;
	assert_int_equal(engine_stream(engine, &stream, NULL, &call, &err), 0);
	assert_int_equal(n_answers, 0);
}

static void streams(void **state)
{
	(void)state;
	begin_stream("/whole", 0);
	engine_resume(call); /* of one that was not sent yet: nothing */
	assert_true(fake_until(loop, &n_answers, 1));
	assert_int_equal(last_r, 0);
	assert_string_equal(got.data, "abc");
	begin_stream("/404", 0);
	assert_true(fake_until(loop, &n_answers, 1));
	assert_int_equal(last_r, -ENOENT);
	assert_string_equal(last.text, "docker: No such image: x");
	assert_int_equal(n_data, 0);
	begin_stream("/stream", 20 * NSEC_PER_MSEC);
	assert_true(fake_until(loop, &n_answers, 1));
	assert_int_equal(last_r, -ETIMEDOUT);
	assert_string_equal(got.data, "abc");
	assert_int_equal(n_gone, 0);
	refuses = true;
	begin_stream("/stream", 0);
	assert_true(fake_until(loop, &n_data, 1));
	refuses = false;
	engine_resume(call);
	assert_true(fake_until(loop, &n_data, 2));
	assert_string_equal(got.data, "abc");
	fake_http_close(&fake);
	assert_true(fake_until(loop, &n_answers, 1));
	assert_int_equal(last_r, -ECONNRESET);
	assert_true(fake_until(loop, &n_gone, 1));
}

/* ---- pipes ---- */

static unsigned n_closed;

static void on_opened(void *userdata)
{
	(void)userdata;
}

static void on_closed(void *userdata, const struct web_result *result)
{
	(void)userdata;
	n_closed++;
	last_r = engine_pipe_result(engine, result, &last);
}

static const struct web_pipe_events pipe_events = {
	.opened = on_opened, .data = on_data, .closed = on_closed};

static void pipes(void **state)
{
	struct web_pipe *p;
	struct err err;

	(void)state;
	strbuf_reset(&got);
	assert_int_equal(engine_pipe(engine, "/pipe", &pipe_events, NULL, &p, &err), -EAGAIN);
	assert_true(fake_until(loop, &n_up, 1));
	assert_int_equal(engine_pipe(engine, "/409", &pipe_events, NULL, &p, &err), 0);
	assert_true(fake_until(loop, &n_closed, 1));
	assert_int_equal(last_r, -EEXIST);
	assert_string_equal(last.text, "docker: it is busy");
	n_data = 0;
	assert_int_equal(engine_pipe(engine, "/pipe", &pipe_events, NULL, &p, &err), 0);
	assert_true(fake_until(loop, &n_data, 1));
	assert_string_equal(got.data, "hi");
	fake_http_close(&fake);
	assert_true(fake_until(loop, &n_closed, 2));
	assert_int_equal(last_r, 0);
	assert_int_equal(answer_to("GET", "/gone"), -ECONNRESET);
	assert_int_equal(engine_pipe(engine, "/pipe", &pipe_events, NULL, &p, &err), -ECONNRESET);
}

static void certificates(void **state)
{
	struct engine_setup setup = {
		.loop = loop, .host = "tcp://127.0.0.1:1", .cert_path = dir, .changed = on_changed};
	struct engine *e;
	struct err err;
	char file[80];

	(void)state;
	assert_int_equal(engine_open(&setup, &e, &err), -ENOENT);
	assert_non_null(strstr(err.text, "DOCKER_CERT_PATH: "));
	assert_non_null(strstr(err.text, "/ca.pem: No such file"));
	(void)snprintf(file, sizeof file, "%s/ca.pem", dir);
	assert_int_equal(mkdir(file, 0700), 0);
	assert_int_equal(engine_open(&setup, &e, &err), -EINVAL);
	assert_int_equal(rmdir(file), 0);
	setup.host = "ssh://x";
	assert_int_equal(engine_open(&setup, &e, &err), -EINVAL);
	setup.host = host; /* of a Unix socket: they are of no use */
	assert_int_equal(engine_open(&setup, &e, &err), 0);
	engine_close(e);
}

static int set_up(void **state)
{
	(void)state;
	n_up = n_gone = n_answers = n_data = n_closed = 0;
	asks_in_changed = closes_in_changed = closes_in_answer = refuses = false;
	fake_http_start(&fake, loop, path, routes);
	open_engine();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	engine = engine_close(engine);
	fake_http_stop(&fake);
	(void)unlink(path);
	strbuf_done(&got);
	free(last_json);
	last_json = NULL;
	return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts),
		cmocka_unit_test(versions),
		cmocka_unit_test(escapes),
		TEST(answers),
		TEST(refusals),
		TEST(breaks_and_comes_back),
		TEST(restarts),
		TEST(no_engine),
		TEST(newer_engines),
		TEST(cancels_and_closes),
		TEST(asks_when_it_changes),
		TEST(streams),
		TEST(pipes),
		TEST(certificates),
	};

	if (sd_event_new(&loop) < 0 || !mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof path, "%s/engine", dir);
	(void)snprintf(host, sizeof host, "unix://%s", path);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	sd_event_unref(loop);
	(void)rmdir(dir);
	return r;
}
