/* drivers/docker/stream: frames wherever the network cuts them, and stamps. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/str.h"
#include "drivers/docker/stream.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static const char frames[] = "\1\0\0\0\0\0\0\5hello"
			     "\2\0\0\0\0\0\0\0"
			     "\0\0\0\0\0\0\0\1i"
			     "\2\0\0\0\0\0\1\4"
			     "0123456789012345678901234567890123456789012345678901234567890123"
			     "0123456789012345678901234567890123456789012345678901234567890123"
			     "0123456789012345678901234567890123456789012345678901234567890123"
			     "012345678901234567890123456789012345678901234567890123456789012+++++"
			     "\3\0\0\0\0\0\0\3bad";

/* What came, as "1<hello>": pieces of a frame make one. */
static void feed(size_t cut, size_t second, struct strbuf *got)
{
	struct stream_parser p = {0};
	const size_t ends[] = {cut, second, sizeof frames - 1};
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		while (at < ends[i]) {
			struct stream_piece piece;
			/* In memory of exactly its size. */
			size_t len = ends[i] - at;
			char *copy = malloc(len);

			memcpy(copy, frames + at, len);
			ssize_t n = stream_next(&p, copy, len, &piece);
			assert_true(n > 0 && (size_t)n <= len);
			if (piece.data && piece.first)
				(void)strbuf_printf(got, "%d<", (int)piece.which);
			if (piece.data)
				(void)strbuf_add(got, piece.data, piece.len);
			if (piece.data && piece.last)
				(void)strbuf_puts(got, ">");
			free(copy);
			at += (size_t)n;
		}
	assert_false(p.begun);
}

static void frames_cut_anywhere(void **state)
{
	_cleanup_strbuf_ struct strbuf whole = {0};

	(void)state;
	feed(sizeof frames - 1, sizeof frames - 1, &whole);
	assert_memory_equal(whole.data, "1<hello>2<>0<i>2<0123", 21);
	assert_string_equal(whole.data + whole.len - 13, "2+++++>3<bad>");
	for (size_t a = 0; a < sizeof frames; a++)
		for (size_t b = a; b < sizeof frames; b += 1 + b % 7) {
			_cleanup_strbuf_ struct strbuf got = {0};

			feed(a, b, &got);
			assert_string_equal(got.data, whole.data);
		}
}

static void refuse(const char *head, bool refused)
{
	struct stream_parser p = {0};
	struct stream_piece piece;
	ssize_t n = stream_next(&p, head, 8, &piece);

	assert_int_equal(n, refused ? -EBADMSG : 8);
}

static void what_is_no_stream(void **state)
{
	(void)state;
	refuse("\4\0\0\0\0\0\0\1", true);
	refuse("\1\1\0\0\0\0\0\1", true);
	refuse("\1\0\1\0\0\0\0\1", true);
	refuse("\1\0\0\1\0\0\0\1", true);
	refuse("\1\0\0\0\1\0\0\1", true);
	refuse("\1\0\0\0\1\0\0\0", false);
	refuse("{\"messag", true);
}

static void stamp(const char *text, ssize_t len, uint64_t ns)
{
	uint64_t got = 1;
	size_t n = strlen(text);
	char *copy = malloc(n);

	memcpy(copy, text, n);
	assert_int_equal(stream_stamp(copy, n, &got), len);
	free(copy);
	assert_int_equal(got, len > 0 ? ns : 1);
	/* Every beginning of a stamp is too short to tell. */
	for (ssize_t i = 0; i < len; i++)
		assert_int_equal(stream_stamp(text, (size_t)i, &got), -EAGAIN);
}

static void stamps(void **state)
{
	const uint64_t s = UINT64_C(1795305811) * 1000000000;

	(void)state;
	stamp("2026-11-22T00:03:31.017633024Z x", 31, s + 17633024);
	stamp("2026-11-22T00:03:31.5Z x", 23, s + 500000000);
	stamp("2026-11-22T00:03:31Z ", 21, s);
	stamp("2026-11-22T01:33:31.000000001+01:30 ", 36, s + 1);
	stamp("2026-11-21T19:03:31-05:00 text", 26, s);
	stamp("1970-01-01T00:00:00Z x", 21, 0);
	stamp("2024-02-29T23:59:60Z x", 21, UINT64_C(1709251200) * 1000000000);
	static const char *const none[] = {
		"hello, this is no stamp at all here",
		"2026-13-22T00:03:31.017633024Z x",
		"2026-11-22 00:03:31.017633024Z x",
		"2026-11-22T24:03:31.017633024Z x",
		"2026-11-22T00:03:31.0176330245Z x",
		"2026-11-22T00:03:31.Z x                ",
		"2026-11-22T00:03:31.017633024Zx",
		"2026-11-22T00:03:31.017633024+0130 x",
		"2026-11-22T00:03:31.017633024+01:60 x",
		"1969-12-31T23:59:59Z x",
		"1970-01-01T00:00:00+01:00 x",
		"9999-12-31T23:59:59Z x",
	};
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		stamp(none[i], 0, 0);
}

/* Every day there is, against the C library's calendar. */
static void every_day(void **state)
{
	(void)state;
	for (int64_t day = 0; day < 195000; day++) {
		time_t t = day * 86400 + 3661;
		char text[64];
		uint64_t ns;
		struct tm tm;

		size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ ", gmtime_r(&t, &tm));
		assert_int_equal(stream_stamp(text, n, &ns), n);
		assert_int_equal(ns / 1000000000, t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_cut_anywhere),
		cmocka_unit_test(what_is_no_stream),
		cmocka_unit_test(stamps),
		cmocka_unit_test(every_day),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
