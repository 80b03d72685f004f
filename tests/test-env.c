#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "model/release.h"

#include <errno.h>
#include <stdio.h>

static void set_replaces(void **state)
{
	(void)state;
	struct env e = {0};

	assert_int_equal(env_set(&e, "A", "1"), 0);
	assert_int_equal(env_set(&e, "B", "22"), 0);
	assert_int_equal(env_set(&e, "A", "3"), 0);
	assert_int_equal(e.n, 2);
	assert_string_equal(e.vars[0].name, "A");
	assert_string_equal(env_get(&e, "A"), "3");
	assert_string_equal(env_get(&e, "B"), "22");
	assert_null(env_get(&e, "C"));
	assert_int_equal(env_bytes(&e), 4 + 5);
	env_done(&e);
	assert_int_equal(e.n, 0);
}

static void set_stops_at_the_limit(void **state)
{
	(void)state;
	struct env e = {0};
	char name[16];

	for (int i = 0; i < LIMIT_ENV; i++) {
		(void)snprintf(name, sizeof name, "V%d", i);
		assert_int_equal(env_append(&e, name, ""), 0);
	}
	assert_int_equal(env_set(&e, "one-more", ""), -E2BIG);
	assert_int_equal(env_set(&e, "V0", "new"), 0);
	assert_int_equal(e.n, LIMIT_ENV);
	assert_string_equal(env_get(&e, "V0"), "new");
	env_done(&e);
}

static void file_is_read(void **state)
{
	(void)state;
	static const char text[] = "# a comment\n"
				   "\n"
				   "  PLAIN=a b#c=d  \n"
				   "export EXPORTED=1\r\n"
				   "export=x\n"
				   "EMPTY=\n"
				   "RAW='a\\n\"b # c'  # comment\n"
				   "QUOTED=\"a\\n\\t\\\"\\\\'b\"\n"
				   "BLANKS= x\n"
				   "UNDER='a'\n"
				   "UNDER=b\n"
				   "LAST=caf\xc3\xa9";
	struct env e = {0};
	struct err err = {0};
	unsigned line = 0;

	assert_int_equal(env_set(&e, "PLAIN", "old"), 0);
	assert_int_equal(env_parse_file(&e, text, sizeof text - 1, &line, &err), 0);
	assert_string_equal(env_get(&e, "PLAIN"), "a b#c=d");
	assert_string_equal(env_get(&e, "EXPORTED"), "1");
	assert_string_equal(env_get(&e, "export"), "x");
	assert_string_equal(env_get(&e, "EMPTY"), "");
	assert_string_equal(env_get(&e, "RAW"), "a\\n\"b # c");
	assert_string_equal(env_get(&e, "QUOTED"), "a\n\t\"\\'b");
	assert_string_equal(env_get(&e, "BLANKS"), "x");
	assert_string_equal(env_get(&e, "UNDER"), "b");
	assert_string_equal(env_get(&e, "LAST"), "caf\xc3\xa9");
	assert_int_equal(e.n, 9);
	env_done(&e);
}

static void refused(const char *text, size_t len, unsigned at, const char *why)
{
	struct env e = {0};
	struct err err = {0};
	unsigned line = 0;

	assert_int_equal(env_parse_file(&e, text, len, &line, &err), -EINVAL);
	assert_string_equal(err.text, why);
	assert_int_equal(err.code, -EINVAL);
	assert_int_equal(line, at);
	env_done(&e);
}

#define REFUSED(text, line, why) refused(text, sizeof(text) - 1, line, why)

static void file_faults_are_named(void **state)
{
	(void)state;
	REFUSED("A=1\n\nB\n", 3, "there is no \"=\" behind \"B\"");
	REFUSED("A =1", 1, "\"A \": no blanks may stand before \"=\"");
	REFUSED("=1", 1,
		"\"\" must be a name of a variable: not empty, no \"=\", no control characters");
	REFUSED("A\x01=1", 1,
		"\"A\\x01\" must be a name of a variable: not empty, no \"=\", no control "
		"characters");
	REFUSED("A='x\nB=y'\n", 1,
		"the quote is not closed on its line (in double quotes write \\n)");
	REFUSED("\nA=\"x\\\"", 2,
		"the quote is not closed on its line (in double quotes write \\n)");
	REFUSED("A=\"x\\", 1, "the quote is not closed on its line (in double quotes write \\n)");
	REFUSED("A=\"\\$B\"", 1, "only \\n, \\t, \\\" and \\\\ may stand in double quotes");
	REFUSED("A='x'y", 1, "there is text behind the closing quote");
	REFUSED("A=x\0y", 1, "holds a NUL character");
	REFUSED("A=1\nB=\xff", 2, "is not UTF-8");
	REFUSED("\xef\xbb\xbf"
		"A=1",
		1, "begins with a byte order mark; save it as UTF-8 without one");
}

static void file_limits(void **state)
{
	(void)state;
	_cleanup_strbuf_ struct strbuf b = {0};
	struct env e = {0};
	struct err err = {0};
	unsigned line = 0;

	for (int i = 0; i <= LIMIT_ENV; i++)
		strbuf_printf(&b, "V%d=\n", i);
	assert_int_equal(env_parse_file(&e, b.data, b.len, &line, &err), -E2BIG);
	assert_int_equal(line, LIMIT_ENV + 1);
	assert_string_equal(err.text, "more than 4096 variables");
	env_done(&e);

	strbuf_reset(&b);
	for (int i = 0; i < 17; i++) {
		strbuf_printf(&b, "V%d=", i);
		for (int k = 0; k < 1024; k++)
			strbuf_puts(&b,
				"0123456789012345678901234567890123456789012345678901234567890123");
		strbuf_puts(&b, "\n");
	}
	assert_int_equal(env_parse_file(&e, b.data, b.len, &line, &err), -E2BIG);
	assert_string_equal(err.text, "more than 1048576 bytes of variables");
	env_done(&e);
}

static void empty_file(void **state)
{
	(void)state;
	struct env e = {0};
	unsigned line;

	assert_int_equal(env_parse_file(&e, "", 0, &line, NULL), 0);
	assert_int_equal(env_parse_file(&e, "B", 1, &line, NULL), -EINVAL);
	assert_int_equal(e.n, 0);
	env_done(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_replaces),
		cmocka_unit_test(set_stops_at_the_limit),
		cmocka_unit_test(file_is_read),
		cmocka_unit_test(file_faults_are_named),
		cmocka_unit_test(file_limits),
		cmocka_unit_test(empty_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
