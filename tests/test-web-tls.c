/* io/web and the engine's client over TLS. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "drivers/docker/engine.h"
#include "fake/http.h"
#include "fake/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static sd_event *loop;
static struct fake_http fake;
static struct fake_tls tls;
static struct web *web;
static char dir[] = "/tmp/test-tls-XXXXXX", path[64], base[64];

static struct web_call *call;
static unsigned n_done, n_opened, n_closed, n_changed;
static struct web_result result;
static struct strbuf got;
static char text[300];

static int on_data(void *userdata, const char *data, size_t len)
{
	(void)userdata;
	return strbuf_add(&got, data, len);
}

static void on_done(void *userdata, const struct web_result *r)
{
	(void)userdata;
	n_done++;
	result = *r;
	(void)snprintf(text, sizeof text, "%s", r->text);
}

static const struct web_events events = {.data = on_data, .done = on_done};

static const struct fake_route routes[] = {
	{.path = "/_ping",
		.answer = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n",
		.then = FAKE_CLOSE},
	{.path = "/ok",
		.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		.then = FAKE_CLOSE},
	{.path = "/cut",
		.answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
		.then = FAKE_CLOSE},
	{.path = "/echo", .answer = "HTTP/1.1 101 UPGRADED\r\n\r\n", .then = FAKE_ECHO},
	{0},
};

/* names of folders of certificates; NULL = none */
static void open_web(const char *ca_of, const char *cert_of, bool unverified)
{
	char ca[100], cert[100], key[100];
	struct web_setup setup = {.base = base, .unverified = unverified};
	struct err err;

	web = web_close(web);
	(void)snprintf(ca, sizeof ca, "%s/%s/ca.pem", dir, ca_of);
	(void)snprintf(cert, sizeof cert, "%s/%s/cert.pem", dir, cert_of ? cert_of : "");
	(void)snprintf(key, sizeof key, "%s/%s/key.pem", dir, cert_of ? cert_of : "");
	setup.ca = ca;
	setup.cert = cert_of ? cert : NULL;
	setup.key = cert_of ? key : NULL;
	assert_int_equal(web_open(loop, &setup, &web, &err), 0);
}

static int fetch(const char *of)
{
	struct web_order o = {
		.method = "GET", .path = of, .events = &events, .timeout = 5 * NSEC_PER_SEC};
	unsigned before = n_done;
	struct err err;

	strbuf_reset(&got);
	assert_int_equal(web_send(web, &o, &call, &err), 0);
	assert_true(fake_until(loop, &n_done, before + 1));
	return result.error;
}

static void calls(void **state)
{
	(void)state;
	open_web("good", "good", false);
	assert_int_equal(fetch("/ok"), 0);
	assert_string_equal(got.data, "ok");
	assert_int_equal(fetch("/cut"), -ECONNRESET);
	open_web("other", "good", false);
	assert_int_equal(fetch("/ok"), -EKEYREJECTED);
	assert_non_null(strstr(text, "certificate"));
	open_web("other", "good", true);
	assert_int_equal(fetch("/ok"), 0);
	open_web("good", NULL, false);
	assert_int_equal(fetch("/ok"), -EKEYREJECTED);
	assert_non_null(strstr(text, "certificate required"));
	open_web("good", "other", false);
	assert_int_equal(fetch("/ok"), -EKEYREJECTED);
	open_web("good", "none", false);
	assert_int_equal(fetch("/ok"), -EKEYREJECTED);
}

static void on_opened(void *userdata)
{
	(void)userdata;
	n_opened++;
}

static void on_closed(void *userdata, const struct web_result *r)
{
	n_closed++;
	on_done(userdata, r);
}

static const struct web_pipe_events pipe_events = {
	.opened = on_opened, .data = on_data, .closed = on_closed};

static void pipes(void **state)
{
	struct web_pipe *p;
	struct err err;
	static char block[16384] = {'x'};

	(void)state;
	open_web("good", "good", false);
	strbuf_reset(&got);
	assert_int_equal(web_pipe_open(web, "POST", "/echo", 0, &pipe_events, NULL, &p, &err), 0);
	assert_true(fake_until(loop, &n_opened, 1));
	/* Several pieces of TLS at once: what is decrypted already no poll tells of. */
	assert_int_equal(web_pipe_send(p, block, sizeof block), sizeof block);
	while (got.len < sizeof block)
		(void)sd_event_run(loop, 100000);
	assert_int_equal(web_pipe_send(p, "last", 4), 4);
	assert_int_equal(web_pipe_shut(p), 0);
	assert_true(fake_until(loop, &n_closed, 1));
	assert_true(fake.eof);
	assert_int_equal(got.len, sizeof block + 4);
	assert_int_equal(result.error, 0);
	open_web("good", NULL, false);
	assert_int_equal(web_pipe_open(web, "POST", "/echo", 0, &pipe_events, NULL, &p, &err), 0);
	assert_true(fake_until(loop, &n_closed, 2));
	assert_int_equal(result.error, -EKEYREJECTED);
	assert_int_equal(n_opened, 1);
}

static bool is_up;
static struct err why;

static void on_changed(void *userdata, bool up, const struct err *reason)
{
	(void)userdata;
	n_changed++;
	is_up = up;
	why = *reason;
}

static void engines(void **state)
{
	static const struct {
		const char *certs, *host;
		bool verify, up;
	} cases[] = {
		{"good", "tcp", true, true},
		{"good", "https", true, true},
		{"good", "tcp", false, true},
		{"other", "tcp", true, false},
		{NULL, "https", true, false},
	};

	(void)state;
	web = web_close(web);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char certs[100], host[64];
		struct engine_setup setup = {.loop = loop,
			.host = host,
			.cert_path = cases[i].certs ? certs : NULL,
			.tls_verify = cases[i].verify,
			.changed = on_changed};
		struct engine *e;
		struct err err;

		(void)snprintf(certs, sizeof certs, "%s/%s", dir, cases[i].certs);
		(void)snprintf(host, sizeof host, "%s://127.0.0.1:%u", cases[i].host, tls.port);
		n_changed = 0;
		assert_int_equal(engine_open(&setup, &e, &err), 0);
		assert_false(engine_is_local(e));
		assert_true(fake_until(loop, &n_changed, 1));
		assert_int_equal(is_up, cases[i].up);
		if (!is_up)
			assert_int_equal(why.code, -EKEYREJECTED);
		e = engine_close(e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls),
		cmocka_unit_test(pipes),
		cmocka_unit_test(engines),
	};
	char command[100];

	if (sd_event_new(&loop) < 0 || !mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof path, "%s/http", dir);
	fake_tls_certificates(dir);
	fake_http_start(&fake, loop, path, routes);
	fake_tls_start(&tls, dir, path);
	(void)snprintf(base, sizeof base, "https://127.0.0.1:%u", tls.port);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	web = web_close(web);
	fake_tls_stop(&tls);
	fake_http_stop(&fake);
	strbuf_done(&got);
	sd_event_unref(loop);
	(void)snprintf(command, sizeof command, "rm -r '%s'", dir);
	return system(command) == 0 ? r : 1;
}
