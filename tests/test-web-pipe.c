/* io/web: connections that become pipes. */
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
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define UPGRADED "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

enum deed { NOTHING, CANCEL, CLOSE, REFUSE };

static sd_event *loop;
static struct fake_http fake;
static struct web *web;
static char dir[] = "/tmp/test-pipe-XXXXXX", path[64];

static struct web_pipe *pipe_;
static struct strbuf got;
static unsigned n_opened, n_data, n_writable, n_closed;
static struct web_result result;
static char text[1100];
static bool takes;
static unsigned later; /* so often it is not taken, and asked for again at once */
static enum deed in_opened, in_data, in_closed;
static size_t to_send; /* by `writable` */

static int do_deed(enum deed deed)
{
	if (deed == CANCEL)
		pipe_ = web_pipe_close(pipe_);
	if (deed == CLOSE)
		web = web_close(web);
	return deed == REFUSE ? -ENOSPC : 0;
}

static void on_opened(void *userdata)
{
	(void)userdata;
	n_opened++;
	(void)do_deed(in_opened);
}

static int on_data(void *userdata, const char *data, size_t len)
{
	(void)userdata;
	n_data++;
	if (later > 0) {
		later--;
		web_pipe_resume(pipe_);
		return -EAGAIN;
	}
	if (!takes)
		return -EAGAIN;
	(void)strbuf_add(&got, data, len);
	return do_deed(in_data);
}

static void on_writable(void *userdata)
{
	static const char block[50000] = {'x'};

	(void)userdata;
	n_writable++;
	ssize_t n = web_pipe_send(pipe_, block, to_send < sizeof block ? to_send : sizeof block);
	assert_true(n >= 0);
	to_send -= (size_t)n;
}

static void on_closed(void *userdata, const struct web_result *r)
{
	(void)userdata;
	n_closed++;
	result = *r;
	(void)snprintf(text, sizeof text, "%s", r->text);
	(void)do_deed(in_closed);
}

static const struct web_pipe_events events = {
	.opened = on_opened,
	.data = on_data,
	.writable = on_writable,
	.closed = on_closed,
};

static void open_pipe(const char *of)
{
	struct err err;

	n_opened = n_data = n_writable = n_closed = 0;
	strbuf_reset(&got);
	assert_int_equal(
		web_pipe_open(web, "POST", of, NSEC_PER_SEC / 5, &events, NULL, &pipe_, &err), 0);
	assert_int_equal(n_closed, 0);
}

static void expect_open(const char *of)
{
	open_pipe(of);
	assert_true(fake_until(loop, &n_opened, 1));
	assert_int_equal(n_opened, 1);
}

static void expect_closed(int error, unsigned status)
{
	assert_true(fake_until(loop, &n_closed, 1));
	fake_settle(loop);
	assert_int_equal(n_closed, 1);
	assert_int_equal(result.error, error);
	assert_int_equal(result.status, status);
}

static void wait_for(size_t bytes)
{
	for (int i = 0; i < 10000 && got.len < bytes; i++)
		(void)sd_event_run(loop, 100000);
	assert_int_equal(got.len, bytes);
}

static const struct fake_route routes[] = {
	{.path = "/echo", .answer = UPGRADED, .then = FAKE_ECHO},
	{.path = "/old",
		.answer = "HTTP/1.1 200 OK\r\nContent-Type: x\r\n\r\nhello",
		.then = FAKE_ECHO},
	{.path = "/same", .answer = UPGRADED "first words", .then = FAKE_CLOSE},
	{.path = "/conflict",
		.answer = "HTTP/1.1 409 Conflict\r\nContent-Length: 15\r\n\r\n"
			  "{\"message\":\"x\"}and more",
		.then = FAKE_HOLD},
	{.path = "/chunked",
		.answer = "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n"
			  "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		.then = FAKE_HOLD},
	{.path = "/empty",
		.answer = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
		.then = FAKE_HOLD},
	{.path = "/until-end", .answer = "HTTP/1.0 503 No\r\n\r\nnot now", .then = FAKE_CLOSE},
	{.path = "/no-end", .answer = "HTTP/1.1 503 No\r\n\r\nnot now", .then = FAKE_HOLD},
	{.path = "/interim", .answer = "HTTP/1.1 100 Continue\r\n\r\n" UPGRADED, .then = FAKE_ECHO},
	{.path = "/mute", .answer = "", .then = FAKE_HOLD},
	{.path = "/cut", .answer = "HTTP/1.1 101 UPGR", .then = FAKE_CLOSE},
	{.path = "/garbage", .answer = "SSH-2.0-OpenSSH_9.2\r\n", .then = FAKE_HOLD},
	{.path = "/status", .answer = "HTTP/1.1 1x1 what\r\n\r\n", .then = FAKE_HOLD},
	{.path = "/hold", .answer = UPGRADED, .then = FAKE_HOLD},
	{0},
};

static void opens(void **state)
{
	(void)state;
	const char *const paths[] = {"/echo?stdin=1", "/old", "/interim"};

	for (int i = 0; i < 3; i++) {
		expect_open(paths[i]);
		if (i == 1) {
			wait_for(5);
			strbuf_reset(&got);
		}
		assert_int_equal(web_pipe_send(pipe_, "ping", 4), 4);
		wait_for(4);
		assert_memory_equal(got.data, "ping", 4);
		assert_null(web_pipe_close(pipe_));
		fake_settle(loop);
		assert_int_equal(fake.n_open, 0);
		assert_int_equal(n_closed, 0);
	}
	assert_non_null(strstr(fake.heads.data,
		"POST /echo?stdin=1 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
		"Upgrade: tcp\r\nContent-Length: 0\r\n\r\n"));
}

static void data_with_the_head(void **state)
{
	(void)state;
	open_pipe("/same");
	expect_closed(0, 101);
	assert_int_equal(n_opened, 1);
	assert_string_equal(got.data, "first words");
	assert_string_equal(text, "");
	/* Not taken at first, and then the end is not told before it. */
	takes = false;
	expect_open("/same");
	fake_settle(loop);
	assert_int_equal(n_data, 1);
	assert_int_equal(n_closed, 0);
	takes = true;
	web_pipe_resume(pipe_);
	assert_int_equal(n_data, 1);
	expect_closed(0, 101);
	assert_string_equal(got.data, "first words");
}

/* The head byte by byte. */
static void head_in_pieces(void **state)
{
	static const char answer[] = UPGRADED "x";

	(void)state;
	open_pipe("/mute");
	assert_true(fake_until(loop, &fake.n_requests, 1));
	for (size_t i = 0; i < sizeof answer - 1; i++) {
		assert_int_equal(n_opened, 0);
		fake_http_send(&fake, answer + i, 1);
		(void)sd_event_run(loop, 10000);
		(void)sd_event_run(loop, 0);
		if (i + 3 == sizeof answer)
			break;
	}
	fake_http_send(&fake, "x", 1);
	assert_true(fake_until(loop, &n_opened, 1));
	wait_for(1);
	fake_http_close(&fake);
	expect_closed(0, 101);
}

static void refused(void **state)
{
	(void)state;
	open_pipe("/conflict");
	expect_closed(0, 409);
	assert_memory_equal(text, "{\"message\":\"x\"}", 15);
	open_pipe("/chunked");
	expect_closed(0, 404);
	assert_string_equal(text, "abcde");
	open_pipe("/empty");
	expect_closed(0, 500);
	assert_string_equal(text, "");
	open_pipe("/until-end");
	expect_closed(0, 503);
	assert_string_equal(text, "not now");
	open_pipe("/no-end"); /* as much as came in time */
	expect_closed(0, 503);
	assert_string_equal(text, "not now");
	assert_int_equal(n_opened, 0);
}

static void broken(void **state)
{
	struct strbuf b = {0};

	(void)state;
	open_pipe("/mute");
	expect_closed(-ETIMEDOUT, 0);
	open_pipe("/cut");
	expect_closed(-ECONNRESET, 0);
	open_pipe("/garbage");
	expect_closed(-EPROTO, 0);
	open_pipe("/status");
	expect_closed(-EPROTO, 0);
	(void)strbuf_puts(&b, "HTTP/1.1 101 UPGRADED\r\n");
	while (b.len < 100000)
		(void)strbuf_printf(&b, "X-%zu: 01234567890123456789\r\n", b.len);
	(void)strbuf_puts(&b, "\r\n");
	const struct fake_route huge[] = {{.path = "/", .answer = b.data}, {0}};
	fake.routes = huge;
	open_pipe("/");
	expect_closed(-EPROTO, 0);
	assert_int_equal(n_opened, 0);
	strbuf_done(&b);
	fake_http_stop(&fake);
	open_pipe("/echo");
	expect_closed(-ECONNREFUSED, 0);
	assert_int_equal(unlink(path), 0);
	open_pipe("/echo");
	expect_closed(-ENOENT, 0);
}

/* More than sockets hold, and back; then the end of our direction, and of theirs. */
static void a_lot_and_an_end(void **state)
{
	const size_t size = (size_t)2 << 20;

	(void)state;
	open_pipe("/echo");
	assert_int_equal(web_pipe_send(pipe_, "early", 5), 0); /* not open yet */
	to_send = size;
	while (to_send)
		(void)sd_event_run(loop, 100000);
	assert_int_equal(web_pipe_shut(pipe_), 0);
	assert_int_equal(web_pipe_send(pipe_, "late", 4), -EPIPE);
	expect_closed(0, 101);
	assert_int_equal(got.len, size);
	assert_true(fake.eof);
	assert_true(n_writable > 10);
}

static void half_close(void **state)
{
	(void)state;
	expect_open("/hold");
	assert_int_equal(web_pipe_send(pipe_, "in", 2), 2);
	assert_int_equal(web_pipe_shut(pipe_), 0);
	while (!fake.eof)
		(void)sd_event_run(loop, 100000);
	assert_string_equal(fake.bodies.data, "in");
	fake_settle(loop);
	assert_int_equal(n_closed, 0);
	fake_http_send(&fake, "out", 3);
	wait_for(3);
	fake_http_close(&fake);
	expect_closed(0, 101);
}

static void pauses(void **state)
{
	const size_t size = (size_t)1 << 20;
	char *big = calloc(1, size);

	(void)state;
	for (size_t i = 0; i < size; i++)
		big[i] = (char)('a' + i % 23);
	takes = false;
	expect_open("/hold");
	fake_http_send(&fake, big, size);
	assert_true(fake_until(loop, &n_data, 1));
	fake_settle(loop);
	assert_int_equal(n_data, 1);
	web_pipe_resume(pipe_); /* refused once more */
	assert_true(fake_until(loop, &n_data, 2));
	fake_settle(loop);
	assert_int_equal(n_data, 2);
	/* What goes the other way goes on, and a hang-up does not spin. */
	assert_int_equal(web_pipe_send(pipe_, "in", 2), 2);
	while (fake.bodies.len < 2)
		(void)sd_event_run(loop, 100000);
	takes = true;
	web_pipe_resume(pipe_);
	wait_for(size);
	assert_memory_equal(got.data, big, size);
	free(big);
	takes = false;
	fake_http_send(&fake, "y", 1);
	unsigned before = n_data;
	assert_true(fake_until(loop, &n_data, before + 1));
	fake_http_close(&fake);
	fake_settle(loop); /* would not return */
	assert_int_equal(n_closed, 0);
	takes = true;
	web_pipe_resume(pipe_);
	expect_closed(0, 101);
}

static void resumed_before_it_is_refused(void **state)
{
	(void)state;
	later = 3;
	expect_open("/same");
	assert_true(fake_until(loop, &n_data, 4));
	assert_string_equal(got.data, "first words");
	expect_closed(0, 101);
}

static void deeds(void **state)
{
	const enum deed all[] = {CANCEL, CLOSE};
	struct web_setup setup = {.base = "http://localhost", .socket = path};
	struct err err;

	(void)state;
	in_data = REFUSE;
	open_pipe("/same");
	expect_closed(-ECANCELED, 101);
	in_data = NOTHING;
	for (int i = 0; i < 6; i++) {
		enum deed *places[] = {&in_opened, &in_data, &in_closed};

		*places[i % 3] = all[i / 3];
		open_pipe("/same");
		assert_true(fake_until(loop,
			i % 3 == 0   ? &n_opened
			: i % 3 == 1 ? &n_data
				     : &n_closed,
			1));
		fake_settle(loop);
		assert_int_equal(n_data, i % 3 > 0);
		assert_int_equal(n_closed, i % 3 > 1);
		*places[i % 3] = NOTHING;
		if (!web)
			assert_int_equal(web_open(loop, &setup, &web, &err), 0);
	}
	/* Before it is connected, and with one open. */
	open_pipe("/echo");
	assert_null(web_pipe_close(pipe_));
	fake_settle(loop);
	expect_open("/echo");
	web = web_close(web);
	fake_settle(loop);
	assert_int_equal(n_closed, 0);
	assert_int_equal(fake.n_open, 0);
}

static int set_up(void **state)
{
	struct web_setup setup = {.base = "http://localhost", .socket = path};
	struct err err;

	(void)state;
	takes = true;
	later = 0;
	to_send = 0;
	fake_http_start(&fake, loop, path, routes);
	return web_open(loop, &setup, &web, &err);
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
		TEST(opens),
		TEST(data_with_the_head),
		TEST(head_in_pieces),
		TEST(refused),
		TEST(broken),
		TEST(a_lot_and_an_end),
		TEST(half_close),
		TEST(pauses),
		TEST(resumed_before_it_is_refused),
		TEST(deeds),
	};

	if (sd_event_new(&loop) < 0 || !mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof path, "%s/http", dir);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	sd_event_unref(loop);
	(void)rmdir(dir);
	return r;
}
