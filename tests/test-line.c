/* io/line: where output is cut. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "io/line.h"

#include <stdlib.h>
#include <string.h>

static void expect(const char *data, size_t limit, bool end, size_t uses, size_t text)
{
	size_t len = 999;

	assert_int_equal(line_next(data, strlen(data), limit, end, &len), uses);
	assert_int_equal(len, uses ? text : 999);
}

static void whole_lines(void **state)
{
	(void)state;
	expect("", 10, false, 0, 0);
	expect("", 10, true, 0, 0);
	expect("\n", 10, false, 1, 0);
	expect("one\ntwo\n", 10, false, 4, 3);
	expect("one\r\n", 10, false, 5, 3);
	expect("\r\n", 10, false, 2, 0);
	expect("a\rb\n", 10, false, 4, 3);
	expect("half", 10, false, 0, 0);
	expect("half", 10, true, 4, 4);
	expect("half\r", 10, true, 5, 5);
}

static void at_the_limit(void **state)
{
	(void)state;
	expect("0123456789", 10, false, 0, 0);
	expect("0123456789", 10, true, 10, 10);
	expect("0123456789\n", 10, false, 11, 10);
	expect("0123456789\r", 10, false, 0, 0);
	expect("0123456789\r", 10, true, 10, 10);
	expect("0123456789\r\n", 10, false, 12, 10);
	expect("0123456789a", 10, false, 10, 10);
	expect("0123456789a\n", 10, false, 10, 10);
	expect("0123456789a\r\n", 10, false, 10, 10);
	expect("0123456789\ra", 10, false, 10, 10);
}

static void utf8_is_not_cut(void **state)
{
	(void)state;
	expect("12345678\xe2\x82\xac!", 10, false, 8, 8);
	expect("123456789\xc3\xa9!", 10, false, 9, 9);
	expect("1234567\xe2\x82\xac!", 10, false, 10, 10);
	/* What is no UTF-8 is cut at the limit and goes on. */
	expect("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 10, false, 10, 10);
	expect("\xf0\x9f\x98\x80", 2, false, 2, 2);
}

/* However the data arrives, the pieces are the same and no byte is lost. */
static void arrival_does_not_matter(void **state)
{
	static const char text[] = "short\n\nexactly-10\r\nlonger than ten \xe2\x82\xac\xe2\x82\xac"
				   "\xe2\x82\xac and on\r\n\r\n0123456789\r\rlast";
	size_t len = sizeof text - 1, cuts[64] = {0}, n = 0;

	(void)state;
	for (size_t at = 0; at < len;) {
		size_t t, used = line_next(text + at, len - at, 10, true, &t);

		assert_true(used > 0 && t <= 10);
		at += used;
		cuts[n++] = at;
	}
	for (size_t step = 1; step < len; step++) {
		size_t at = 0, have = 0, i = 0;

		while (at < len) {
			size_t t, used = line_next(text + at, have - at, 10, have == len, &t);

			if (used == 0) {
				assert_true(have < len);
				have = have + step < len ? have + step : len;
				continue;
			}
			at += used;
			assert_int_equal(at, cuts[i++]);
		}
		assert_int_equal(i, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_lines),
		cmocka_unit_test(at_the_limit),
		cmocka_unit_test(utf8_is_not_cut),
		cmocka_unit_test(arrival_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
