#include "base/clock.h"
#include "base/fd.h"
#include "cli/http.h"
#include "cli/private.h"
#include "cli/split.h"
#include "cli/sse.h"
#include "cli/stamp.h"
#include "cli/table.h"
#include "io/curl.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_words(const char *text, const char *joined)
{
	char line[200], found[300] = "", *words[8];
	size_t n, len = 0;

	(void)snprintf(line, sizeof line, "%s", text);
	assert_int_equal(split_words(line, words, ARRAY_SIZE(words), &n), 0);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(found + len, sizeof found - len, "%s|", words[i]);
	assert_string_equal(found, joined);
}

static void words_of_a_line(void **state)
{
	(void)state;
	char line[] = "stop 'web", many[] = "1 2 3 4 5 6 7 8 9", *words[8];
	size_t n = 77;

	expect_words("", "");
	expect_words("  \t ", "");
	expect_words("ps web.1  worker", "ps|web.1|worker|");
	expect_words("logs -p 'web.*' \"a b\"c", "logs|-p|web.*|a bc|");
	expect_words("a\\ b '\\' \"\\\"\"", "a b|\\|\"|");
	expect_words("ps '' # what '", "ps||");
	expect_words("ps a#b", "ps|a#b|");
	assert_int_equal(split_words(line, words, ARRAY_SIZE(words), &n), -EINVAL);
	assert_int_equal(split_words(many, words, ARRAY_SIZE(words), &n), -E2BIG);
	assert_int_equal(n, 77);
}

struct told {
	char text[400];
	int stop_at, n;
};

static int on_event(void *userdata, const char *kind, const char *id, const char *data)
{
	struct told *t = userdata;
	size_t at = strlen(t->text);

	(void)snprintf(t->text + at, sizeof t->text - at, "%s/%s/%.100s;", kind, id, data);
	return ++t->n == t->stop_at ? -ECANCELED : 0;
}

/* However it is cut in pieces. */
static void events_of_a_stream(void **state)
{
	(void)state;
	static const char stream[] = ": hello\n\nid: 7\nevent: dyno.state\ndata: {\"a\":1}\n\n"
				     "data:one\r\ndata: two\r\n\r\nevent: nothing\n\n"
				     "unknown: x\nid: 9\ndata: z\n\n";
	static const char expected[] = "dyno.state/7/{\"a\":1};message/7/one\ntwo;message/9/z;";

	for (size_t piece = 1; piece < sizeof stream; piece++) {
		struct told t = {0};
		struct sse s = {.event = on_event, .userdata = &t};

		for (size_t at = 0; at < sizeof stream - 1; at += piece) {
			size_t n = sizeof stream - 1 - at;

			assert_int_equal(sse_feed(&s, stream + at, n < piece ? n : piece), 0);
		}
		assert_string_equal(t.text, expected);
		sse_done(&s);
	}
	struct told t = {.stop_at = 1};
	struct sse s = {.event = on_event, .userdata = &t};
	assert_int_equal(sse_feed(&s, stream, sizeof stream - 1), -ECANCELED);
	sse_done(&s);
}

static void an_event_that_is_too_long_is_passed_over(void **state)
{
	(void)state;
	static const char end[] = "\n\ndata: after\n\n";
	struct told t = {0};
	struct sse s = {.event = on_event, .userdata = &t};
	char piece[1000];

	memset(piece, 'x', sizeof piece);
	assert_int_equal(sse_feed(&s, "data: ", 6), 0);
	for (size_t i = 0; i <= SSE_BYTES / sizeof piece; i++)
		assert_int_equal(sse_feed(&s, piece, sizeof piece), 0);
	assert_int_equal(sse_feed(&s, end, sizeof end - 1), 0);
	assert_string_equal(t.text, "message//after;");
	sse_done(&s);
}

static void points_in_time(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "yesterday", "2026-11-21", "2026-11-21T08:00",
		"2026-11-21T08:00:00", "2026-11-21T08:00:00+1", "2026-11-21T08:00:00Zx",
		"1960-01-01T00:00:00Z"};
	uint64_t ns, now = UINT64_C(1795248000) * NSEC_PER_SEC; /* 2026-11-21T08:00:00Z */

	assert_int_equal(stamp_parse("2026-11-21T08:00:00.123456+00:00", &ns), 0);
	assert_int_equal(ns, now + 123456 * NSEC_PER_USEC);
	assert_int_equal(stamp_parse("2026-11-21T10:30:00+02:30", &ns), 0);
	assert_int_equal(ns, now);
	assert_int_equal(stamp_parse("2026-11-21 08:00:00Z", &ns), 0);
	assert_int_equal(ns, now);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ns = 5;
		assert_int_equal(stamp_parse(bad[i], &ns), -EINVAL);
		assert_int_equal(ns, 5);
	}
	assert_int_equal(stamp_parse_since("10m", now, &ns), 0);
	assert_int_equal(ns, now - 600 * NSEC_PER_SEC);
	assert_int_equal(stamp_parse_since("2", now, &ns), 0);
	assert_int_equal(ns, now - 2 * NSEC_PER_SEC);
	assert_int_equal(stamp_parse_since("999999d", now, &ns), 0);
	assert_int_equal(ns, 0);
	assert_int_equal(stamp_parse_since("2026-11-21T08:00:00Z", now, &ns), 0);
	assert_int_equal(ns, now);
	assert_int_equal(stamp_parse_since("5w", now, &ns), -EINVAL);
	assert_int_equal(stamp_parse_since("-5s", now, &ns), -EINVAL);
	assert_int_equal(stamp_parse_since("5mm", now, &ns), -EINVAL);
}

static char *printed(const struct table *t, bool color)
{
	char *text = NULL;
	size_t len;
	FILE *memory = open_memstream(&text, &len);

	assert_int_equal(table_print(t, memory, color), 0);
	(void)fclose(memory);
	return text;
}

static void tables(void **state)
{
	(void)state;
	struct table t = {.columns = 3, .titles = {"NAME", "N", "NOTE"}, .right = {[1] = true}};

	_cleanup_free_ char *none = printed(&t, true);
	assert_string_equal(none, "");
	table_cell(&t, TONE_NONE,
		"w\xc3\xa4"
		"b");
	table_cellf(&t, TONE_BAD, "%d", 12);
	table_cell(&t, TONE_NONE, "");
	table_cell(&t, TONE_NONE, "worker");
	table_cell(&t, TONE_NONE, "3");
	table_cell(&t, TONE_NONE, "a\033[2Jb");
	_cleanup_free_ char *plain = printed(&t, false), *color = printed(&t, true);
	assert_string_equal(plain, "NAME     N  NOTE\n"
				   "w\xc3\xa4"
				   "b     12\n"
				   "worker   3  a\\x1b[2Jb\n");
	assert_non_null(strstr(color, "\033[31m12\033[0m\n"));
	table_done(&t);
}

static void how_long_and_how_much(void **state)
{
	(void)state;
	char text[24];

	assert_string_equal(show_duration(-1, text), "0s");
	assert_string_equal(show_duration(59.9, text), "59s");
	assert_string_equal(show_duration(182, text), "3m 2s");
	assert_string_equal(show_duration(3600 * 25 + 1, text), "1d 1h");
	assert_string_equal(show_size(0, text), "0B");
	assert_string_equal(show_size(1536, text), "1.5K");
	assert_string_equal(show_size(12.5 * 1024 * 1024, text), "12.5M");
	assert_string_equal(show_size(200.0 * 1024 * 1024 * 1024, text), "200G");
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static int on_piece(void *userdata, const char *data, size_t len)
{
	(void)data;
	*(size_t *)userdata += len;
	return 0;
}

static CURLMcode (*real_perform)(CURLM *multi, int *running);
static int peer = -1;
static const char *answer; /* as soon as it is asked */

/* One whose request is answered before it has ended, as of an hsup that is quick. */
static CURLMcode perform_slowly(CURLM *multi, int *running)
{
	char request[500];
	CURLMcode r = real_perform(multi, running);

	if (peer >= 0 && answer && read(peer, request, sizeof request) > 0) {
		assert_int_equal(write(peer, answer, strlen(answer)), (int)strlen(answer));
		answer = NULL;
		r = real_perform(multi, running);
	}
	return r;
}

/* A step that hears the head of an answer while it asks does not wait for what may never come: its
 * caller may now want to wait for more. */
static void what_is_heard_at_once_is_told_at_once(void **state)
{
	(void)state;
	char folder[] = "/tmp/test-ask-XXXXXX", path[60];
	size_t heard = 0;
	struct http *h;
	struct err err;

	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/socket", folder);
	int listening = listen_at(path);
	assert_int_equal(http_open(&h, &err), 0);
	real_perform = curl->perform;
	struct curl_api *api;
	memcpy(&api, &curl, sizeof api); /* const for the house only */
	api->perform = perform_slowly;
	struct http_call first = {.socket = path, .method = "GET", .path = "/"}, second = first;
	assert_int_equal(http_begin(h, &first, &err), 0);
	(void)http_step(h, -1, 0);
	peer = accept(listening, NULL, NULL);
	assert_true(fd_nonblock(peer, true) >= 0);
	answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	while (!first.done)
		(void)http_step(h, -1, 1000);

	/* On the same connection. */
	second.data = on_piece;
	second.userdata = &heard;
	second.endless = true;
	answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	assert_int_equal(http_begin(h, &second, &err), 0);
	uint64_t before = clock_now();
	while (heard < 3)
		(void)http_step(h, -1, 20000);
	assert_true(second.begun);
	assert_true(clock_now() - before < 10 * NSEC_PER_SEC);

	api->perform = real_perform;
	http_end(h, &second);
	http_end(h, &first);
	http_free(h);
	close(peer);
	close(listening);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_of_a_line),
		cmocka_unit_test(events_of_a_stream),
		cmocka_unit_test(an_event_that_is_too_long_is_passed_over),
		cmocka_unit_test(points_in_time),
		cmocka_unit_test(tables),
		cmocka_unit_test(how_long_and_how_much),
		cmocka_unit_test(what_is_heard_at_once_is_told_at_once),
	};

	return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
