/* io/web: calls, with a server that does what a real one should not. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "fake/http.h"
#include "io/web.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OK(length) "HTTP/1.1 200 OK\r\nContent-Length: " #length "\r\n\r\n"

enum deed { NOTHING, CANCEL, CLOSE, REFUSE, SEND };

static sd_event *loop;
static struct fake_http fake;
static struct web *web;
static char dir[] = "/tmp/test-web-XXXXXX", path[64];

/* Of the last call. */
static struct web_call *call;
static struct strbuf got;
static unsigned n_done, n_data, n_heads, n_bodies;
static struct web_result result;
static char text[300], header[100];
static size_t take; /* bytes after which data() takes no more; 0 = all */
static enum deed in_head, in_data, in_body, in_done;
static size_t body_left, body_stop; /* the body pauses when so much is left */

static int send_order(struct web_order *o);

static int do_deed(enum deed deed)
{
	struct web_order another = {.path = "/ok"};

	switch (deed) {
	case CANCEL:
		web_cancel(call);
		break;
	case CLOSE:
		web = web_close(web);
		break;
	case REFUSE:
		return -ENOSPC;
	case SEND:
		in_done = NOTHING;
		assert_int_equal(send_order(&another), 0);
		break;
	case NOTHING:
		break;
	}
	return 0;
}

static void on_head(void *userdata, unsigned status)
{
	(void)userdata;
	(void)status;
	n_heads++;
	(void)snprintf(header, sizeof header, "%s", web_header(call, "api-VERSION"));
	(void)do_deed(in_head);
}

static int on_data(void *userdata, const char *data, size_t len)
{
	(void)userdata;
	n_data++;
	if (take && got.len + len > take)
		return -EAGAIN;
	(void)strbuf_add(&got, data, len);
	return do_deed(in_data);
}

static ssize_t on_body(void *userdata, char *data, size_t size)
{
	(void)userdata;
	n_bodies++;
	int r = do_deed(in_body);
	if (r < 0)
		return r;
	if (in_body == NOTHING && body_left == body_stop && body_left)
		return -EAGAIN;
	size_t n = body_left - body_stop < size ? body_left - body_stop : size;
	memset(data, 'b', n);
	body_left -= n;
	return (ssize_t)n;
}

static void on_done(void *userdata, const struct web_result *r)
{
	(void)userdata;
	n_done++;
	result = *r;
	(void)snprintf(text, sizeof text, "%s", r->text);
	(void)do_deed(in_done);
}

static const struct web_events events = {.head = on_head, .data = on_data, .done = on_done};
static const struct web_events with_body = {
	.head = on_head, .data = on_data, .body = on_body, .done = on_done};

static int send_order(struct web_order *o)
{
	struct err err;

	if (!o->method)
		o->method = "GET";
	if (!o->events)
		o->events = &events;
	return web_send(web, o, &call, &err);
}

/* Sends it and waits for its end. */
static int fetch(struct web_order o)
{
	unsigned before = n_done;

	strbuf_reset(&got);
	n_heads = n_data = n_bodies = 0;
	assert_int_equal(send_order(&o), 0);
	assert_int_equal(n_done, before);
	assert_true(fake_until(loop, &n_done, before + 1));
	assert_int_equal(n_done, before + 1);
	return result.error;
}

static int fetch_path(const char *of)
{
	return fetch((struct web_order){.path = of});
}

static void open_web(const char *socket)
{
	struct web_setup setup = {.base = "http://localhost", .socket = socket};
	struct err err;

	assert_int_equal(web_open(loop, &setup, &web, &err), 0);
}

static const struct fake_route routes[] = {
	{.path = "/ok",
		.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nApi-Version: 1.41\r\n\r\nok"},
	{.path = "/empty", .answer = "HTTP/1.1 204 No Content\r\n\r\n"},
	{.path = "/not-modified", .answer = "HTTP/1.1 304 Not Modified\r\n\r\n"},
	{.path = "/refused", .answer = "HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno"},
	{.path = "/broken", .answer = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"},
	{.path = "/interim",
		.answer = "HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\n"
			  "Content-Length: 1\r\n\r\n1"},
	{.path = "/chunked",
		.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			  "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"},
	{.path = "/bad-chunk",
		.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			  "3\r\nabc\r\nzzz\r\n",
		.then = FAKE_HOLD},
	{.path = "/hangs", .answer = "", .then = FAKE_HOLD},
	{.path = "/half", .answer = OK(10) "half", .then = FAKE_HOLD},
	{.path = "/stream",
		.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		.then = FAKE_HOLD},
	{.path = "/cut", .answer = OK(10) "half", .then = FAKE_CLOSE},
	{.path = "/reset", .answer = OK(10) "half", .then = FAKE_RESET},
	{.path = "/no-answer", .answer = "", .then = FAKE_CLOSE},
	{.path = "/garbage",
		.answer = "SSH-2.0-OpenSSH_9.2\r\nwhat is it\r\n\r\n",
		.then = FAKE_CLOSE},
	{.path = "/early",
		.answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
		.early = true},
	{0},
};

static void answers(void **state)
{
	(void)state;
	assert_int_equal(fetch_path("/ok"), 0);
	assert_int_equal(result.status, 200);
	assert_string_equal(got.data, "ok");
	assert_string_equal(header, "1.41");
	assert_string_equal(text, "");
	assert_int_equal(n_heads, 1);
	assert_int_equal(fetch_path("/chunked"), 0);
	assert_string_equal(got.data, "abcd");
	assert_string_equal(header, "");
	assert_int_equal(fetch_path("/interim"), 0);
	assert_int_equal(n_heads, 1);
	assert_int_equal(result.status, 200);
	assert_int_equal(fetch_path("/empty"), 0);
	assert_int_equal(result.status, 204);
	assert_int_equal(fetch_path("/not-modified"), 0);
	assert_int_equal(result.status, 304);
	assert_int_equal(fetch_path("/refused"), 0);
	assert_int_equal(result.status, 409);
	assert_string_equal(got.data, "no");
	assert_int_equal(fetch_path("/broken"), 0);
	assert_int_equal(result.status, 500);
	/* All by one connection. */
	assert_int_equal(fake.n_accepted, 1);
}

static void what_is_sent(void **state)
{
	static const char *const headers[] = {"X-One: 1", "Content-Type: application/json", NULL};

	(void)state;
	(void)setenv("http_proxy", "http://127.0.0.1:1", 1);
	assert_int_equal(fetch((struct web_order){.path = "/ok?a=b",
				 .method = "POST",
				 .headers = headers,
				 .body = "{}x",
				 .body_len = 2}),
		0);
	assert_non_null(strstr(fake.heads.data, "POST /ok?a=b HTTP/1.1\r\nHost: localhost\r\n"));
	assert_non_null(strstr(fake.heads.data, "\r\nX-One: 1\r\n"));
	assert_non_null(strstr(fake.heads.data, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(fake.heads.data, "\r\nContent-Length: 2\r\n"));
	assert_null(strstr(fake.heads.data, "Expect"));
	assert_string_equal(fake.bodies.data, "{}");
	strbuf_reset(&fake.heads);
	assert_int_equal(fetch((struct web_order){.path = "/ok", .method = "POST"}), 0);
	assert_non_null(strstr(fake.heads.data, "\r\nContent-Length: 0\r\n"));
	assert_null(strstr(fake.heads.data, "Content-Type"));
	assert_int_equal(fetch((struct web_order){.path = "/ok", .method = "HEAD"}), 0);
	assert_int_equal(fetch((struct web_order){.path = "/ok", .method = "DELETE"}), 0);
	assert_non_null(strstr(fake.heads.data, "DELETE /ok HTTP/1.1\r\n"));
	(void)unsetenv("http_proxy");
}

static void breaks(void **state)
{
	(void)state;
	assert_int_equal(fetch_path("/cut"), -ECONNRESET);
	assert_int_equal(result.status, 200);
	assert_string_equal(got.data, "half");
	assert_true(text[0]);
	assert_int_equal(fetch_path("/reset"), -ECONNRESET);
	assert_int_equal(fetch_path("/no-answer"), -ECONNRESET);
	assert_int_equal(result.status, 0);
	assert_int_equal(fetch_path("/garbage"), -EPROTO);
	assert_int_equal(fetch_path("/bad-chunk"), -EPROTO);
	assert_int_equal(fetch_path("/ok"), 0);
}

static void huge_head(void **state)
{
	struct strbuf b = {0};

	(void)state;
	(void)strbuf_puts(&b, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 20000; i++)
		(void)strbuf_printf(&b, "X-%d: 0123456789012345678901234567890123456789\r\n", i);
	(void)strbuf_puts(&b, "\r\n");
	const struct fake_route huge[] = {{.path = "/", .answer = b.data}, {0}};
	fake.routes = huge;
	assert_int_equal(fetch_path("/"), -EPROTO);
	assert_string_equal(text, "the head of the answer is too long");
	assert_int_equal(n_heads, 0);
	strbuf_done(&b);
}

static void time_outs(void **state)
{
	uint64_t begin = clock_now(), ms = NSEC_PER_MSEC;

	(void)state;
	assert_int_equal(
		fetch((struct web_order){.path = "/hangs", .timeout = 20 * ms}), -ETIMEDOUT);
	assert_int_equal(result.status, 0);
	assert_int_equal(
		fetch((struct web_order){.path = "/half", .timeout = 20 * ms}), -ETIMEDOUT);
	assert_int_equal(
		fetch((struct web_order){.path = "/hangs", .silence = 20 * ms}), -ETIMEDOUT);
	assert_int_equal(
		fetch((struct web_order){.path = "/half", .silence = 20 * ms}), -ETIMEDOUT);
	assert_string_equal(got.data, "half");
	assert_string_equal(text, "nothing came for 0.0 s");
	assert_true(clock_now() - begin >= 80 * ms);
	assert_true(clock_now() - begin < 5000 * ms);
}

/* Who takes nothing is not told that nothing came. */
static void pause_is_no_silence(void **state)
{
	static const char big[] = "7\r\n0123456\r\n", last[] = "0\r\n\r\n";
	struct web_order o = {.path = "/stream", .silence = 20 * NSEC_PER_MSEC};
	unsigned before = n_done;

	(void)state;
	take = 1;
	assert_int_equal(send_order(&o), 0);
	assert_true(fake_until(loop, &n_heads, 1));
	fake_http_send(&fake, big, sizeof big - 1);
	assert_true(fake_until(loop, &n_data, 1));
	for (uint64_t end = clock_now() + 60 * NSEC_PER_MSEC; clock_now() < end;)
		(void)sd_event_run(loop, 10000);
	assert_int_equal(n_done, before);
	assert_int_equal(n_data, 1);
	take = 0;
	unsigned offered = n_data;
	web_resume(call);
	assert_int_equal(n_data, offered);
	assert_true(fake_until(loop, &n_data, offered + 1));
	fake_http_send(&fake, last, sizeof last - 1);
	assert_true(fake_until(loop, &n_done, before + 1));
	assert_int_equal(result.error, 0);
	assert_string_equal(got.data, "0123456");
}

/* A stream that is much longer than what may be held, paused all the time: every byte, in order. */
static void pauses(void **state)
{
	const size_t size = (size_t)4 << 20;
	struct strbuf b = {0};
	unsigned before = n_done;
	struct web_order o = {.path = "/"};

	(void)state;
	(void)strbuf_printf(&b, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
	size_t head = b.len;
	for (size_t i = 0; i < size / 8; i++)
		(void)strbuf_printf(&b, "%08zx", i);
	const struct fake_route big[] = {{.path = "/", .answer = b.data}, {0}};
	fake.routes = big;
	take = 1;
	assert_int_equal(send_order(&o), 0);
	while (n_done == before) {
		unsigned offered = n_data;
		assert_true(fake_until(loop, &n_data, offered + 1));
		fake_settle(loop);
		take = got.len + 300000 < size ? got.len + 300000 : 0;
		web_resume(call);
		if (!take)
			assert_true(fake_until(loop, &n_done, before + 1));
	}
	assert_int_equal(got.len, size);
	assert_memory_equal(got.data, b.data + head, size);
	strbuf_done(&b);
}

static void uploads(void **state)
{
	const size_t size = 300000;
	unsigned before = n_done;
	struct web_order o = {.path = "/ok", .method = "PUT", .events = &with_body};

	(void)state;
	body_left = size;
	body_stop = size / 2;
	assert_int_equal(send_order(&o), 0);
	while (body_left > body_stop)
		(void)sd_event_run(loop, 10000);
	unsigned asked = n_bodies;
	assert_true(fake_until(loop, &n_bodies, asked + 1));
	fake_settle(loop);
	asked = n_bodies;
	fake_settle(loop);
	assert_int_equal(n_bodies, asked); /* it is not asked again and again */
	body_stop = 0;
	web_resume(call);
	assert_true(fake_until(loop, &n_done, before + 1));
	assert_int_equal(result.error, 0);
	assert_non_null(strstr(fake.heads.data, "PUT /ok HTTP/1.1\r\n"));
	assert_non_null(strstr(fake.heads.data, "Transfer-Encoding: chunked\r\n"));
	size_t bytes = 0;
	for (size_t i = 0; i < fake.bodies.len; i++)
		bytes += fake.bodies.data[i] == 'b';
	assert_true(bytes >= size && bytes < size + 200); /* hexadecimal lengths have some, too */
}

/* Answered while the user has nothing to send: nobody waits for him. */
static void refused_upload(void **state)
{
	(void)state;
	body_left = body_stop = 1000;
	assert_int_equal(fetch((struct web_order){.path = "/early",
				 .method = "PUT",
				 .events = &with_body,
				 .timeout = 5 * NSEC_PER_SEC}),
		0);
	assert_int_equal(result.status, 404);
	assert_string_equal(got.data, "no");
}

static void expect_silence(void)
{
	unsigned before = n_done;

	fake_settle(loop);
	assert_int_equal(n_done, before);
}

static void deeds_in_callbacks(void **state)
{
	struct web_order o = {.path = "/ok"},
			 put = {.path = "/ok", .method = "PUT", .events = &with_body};
	enum deed *places[] = {&in_head, &in_data, &in_body};
	const enum deed deeds[] = {CANCEL, CLOSE};

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		enum deed *place = places[i % 3];
		unsigned *n[] = {&n_heads, &n_data, &n_bodies};

		n_heads = n_data = n_bodies = 0;
		body_left = 10;
		*place = deeds[i / 3];
		assert_int_equal(send_order(place == &in_body ? &put : &o), 0);
		assert_true(fake_until(loop, n[i % 3], 1));
		expect_silence();
		assert_int_equal(*n[i % 3], 1);
		*place = NOTHING;
		if (!web)
			open_web(path);
	}
}

static void deeds_at_the_end(void **state)
{
	struct web_order o = {.path = "/ok"};
	unsigned before;

	(void)state;
	in_done = CANCEL; /* of what is gone: nothing */
	assert_int_equal(fetch_path("/ok"), 0);
	in_done = SEND;
	before = n_done;
	assert_int_equal(send_order(&o), 0);
	assert_true(fake_until(loop, &n_done, before + 2));
	in_done = CLOSE;
	/* Of three, the one that ends first ends the others. */
	before = n_done;
	assert_int_equal(send_order(&o), 0);
	assert_int_equal(send_order(&o), 0);
	assert_int_equal(send_order(&o), 0);
	assert_true(fake_until(loop, &n_done, before + 1));
	expect_silence();
	assert_int_equal(n_done, before + 1);
}

static void refused_by_the_user(void **state)
{
	(void)state;
	in_data = REFUSE;
	assert_int_equal(fetch_path("/ok"), -ECANCELED);
	in_data = NOTHING;
	in_body = REFUSE;
	assert_int_equal(
		fetch((struct web_order){.path = "/ok", .method = "PUT", .events = &with_body}),
		-ECANCELED);
	in_body = NOTHING;
	/* At once when it is offered again, too. */
	take = 1;
	struct web_order o = {.path = "/ok"};
	unsigned before = n_done;
	n_data = 0;
	assert_int_equal(send_order(&o), 0);
	assert_true(fake_until(loop, &n_data, 1));
	take = 0;
	in_data = REFUSE;
	web_resume(call);
	assert_true(fake_until(loop, &n_done, before + 1));
	assert_int_equal(result.error, -ECANCELED);
	/* Or the call, or all, are given up then. */
	for (int i = 0; i < 2; i++) {
		take = 1;
		in_data = NOTHING;
		n_data = 0;
		assert_int_equal(send_order(&o), 0);
		assert_true(fake_until(loop, &n_data, 1));
		take = 0;
		in_data = i ? CLOSE : CANCEL;
		web_resume(call);
		assert_true(fake_until(loop, &n_data, 2));
		expect_silence();
	}
	assert_null(web);
}

static void close_with_calls(void **state)
{
	struct web_order o = {.path = "/hangs", .silence = NSEC_PER_SEC};

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(send_order(&o), 0);
	assert_true(fake_until(loop, &fake.n_requests, 5));
	web_cancel(call);
	web_cancel(NULL);
	web = web_close(web);
	expect_silence();
	assert_int_equal(fake.n_open, 0);
}

/* With many streams open a connection is still kept for calls. */
static void connection_is_kept(void **state)
{
	struct web_order o = {.path = "/stream"};

	(void)state;
	for (int i = 0; i < 30; i++)
		assert_int_equal(send_order(&o), 0);
	assert_true(fake_until(loop, &n_heads, 30));
	assert_int_equal(fetch_path("/ok"), 0);
	unsigned before = fake.n_accepted;
	for (int i = 0; i < 5; i++)
		assert_int_equal(fetch_path("/ok"), 0);
	assert_int_equal(fake.n_accepted, before);
}

static void no_server(void **state)
{
	char other[80];

	(void)state;
	web = web_close(web);
	(void)snprintf(other, sizeof other, "%s/none", dir);
	open_web(other);
	assert_int_equal(fetch_path("/ok"), -ENOENT);
	assert_int_equal(result.status, 0);
	web = web_close(web);

	fake_http_stop(&fake); /* its socket stays */
	open_web(path);
	assert_int_equal(fetch_path("/ok"), -ECONNREFUSED);
	assert_int_equal(unlink(path), 0);
	fake_http_start(&fake, loop, path, routes);
	assert_int_equal(fetch_path("/ok"), 0);
}

static void no_rights(void **state)
{
	(void)state;
	if (geteuid() != 0 || seteuid(65534) < 0)
		return; /* the socket would be ours */
	int r = fetch_path("/ok");
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(r, -EACCES);
	assert_string_equal(text, "no right to open the socket");
}

static void by_tcp(void **state)
{
	struct fake_http tcp;
	char base[64];
	struct web_setup setup = {.base = base};
	struct err err;

	(void)state;
	web = web_close(web);
	fake_http_start(&tcp, loop, NULL, routes);
	(void)snprintf(base, sizeof base, "http://127.0.0.1:%u", tcp.port);
	assert_int_equal(web_open(loop, &setup, &web, &err), 0);
	assert_int_equal(fetch_path("/ok"), 0);
	assert_int_equal(fetch_path("/reset"), -ECONNRESET);
	fake_http_stop(&tcp);
	assert_int_equal(fetch_path("/ok"), -ECONNREFUSED);
	/* A server that speaks no TLS. */
	fake_http_start(&tcp, loop, NULL, routes);
	(void)snprintf(base, sizeof base, "https://127.0.0.1:%u", tcp.port);
	web = web_close(web);
	assert_int_equal(web_open(loop, &setup, &web, &err), 0);
	assert_true(send_order(&(struct web_order){.path = "/ok"}) == 0);
	assert_true(fake_until(loop, &tcp.n_accepted, 1));
	fake_settle(loop);
	fake_http_send(&tcp, "HTTP/1.0 400 Bad Request\r\n\r\n", 28);
	unsigned before = n_done;
	assert_true(fake_until(loop, &n_done, before + 1));
	assert_int_equal(result.error, -EKEYREJECTED);
	fake_http_stop(&tcp);
}

/* libcurl's, which asks in a thread of its own: a name server that does not answer. */
static int asked[2], silence[2];

int getaddrinfo(
	const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	char byte = 0;

	(void)node;
	(void)service;
	(void)hints;
	(void)ret;
	(void)!write(asked[1], &byte, 1);
	(void)!read(silence[0], &byte, 1);
	return EAI_AGAIN;
}

static void name_server_is_silent(void **state)
{
	struct web_setup setup = {.base = "http://silent.example"};
	struct web_order order = {.path = "/ok"};
	struct err err;
	char byte;

	(void)state;
	assert_int_equal(pipe(asked), 0);
	assert_int_equal(pipe(silence), 0);
	assert_int_equal(fcntl(asked[0], F_SETFL, O_NONBLOCK), 0);
	web = web_close(web);
	assert_int_equal(web_open(loop, &setup, &web, &err), 0);
	assert_int_equal(send_order(&order), 0);
	for (int i = 0; i < 1000 && read(asked[0], &byte, 1) < 0; i++)
		(void)sd_event_run(loop, 10000);
	/* The loop must not wait for the thread. */
	(void)alarm(10);
	web_cancel(call);
	web = web_close(web);
	(void)alarm(0);
	/* The pipes stay: the thread has them. */
	assert_int_equal(write(silence[1], "", 1), 1);
	assert_int_equal(n_done, 0);
}

static int set_up(void **state)
{
	(void)state;
	n_done = n_heads = n_data = n_bodies = 0;
	take = body_left = body_stop = 0;
	in_head = in_data = in_body = in_done = NOTHING;
	fake_http_start(&fake, loop, path, routes);
	assert_int_equal(chmod(path, 0600), 0);
	open_web(path);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	web = web_close(web);
	fake_http_stop(&fake);
	(void)unlink(path);
	strbuf_done(&got);
	return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(answers),
		TEST(what_is_sent),
		TEST(breaks),
		TEST(huge_head),
		TEST(time_outs),
		TEST(pause_is_no_silence),
		TEST(pauses),
		TEST(uploads),
		TEST(refused_upload),
		TEST(deeds_in_callbacks),
		TEST(deeds_at_the_end),
		TEST(refused_by_the_user),
		TEST(close_with_calls),
		TEST(connection_is_kept),
		TEST(no_server),
		TEST(no_rights),
		TEST(by_tcp),
		TEST(name_server_is_silent),
	};

	if (sd_event_new(&loop) < 0 || !mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof path, "%s/http", dir);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	sd_event_unref(loop);
	(void)rmdir(dir);
	return r;
}
