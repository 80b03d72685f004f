/* slug/entry_name: which names of an archive are taken, and in what form. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "slug/entry_name.h"

#include <string.h>

static void takes(const char *raw, const char *path, unsigned depth)
{
	struct entry_name name;

	assert_null(entry_name_parse(raw, &name));
	assert_string_equal(name.path, path);
	assert_int_equal(name.len, strlen(path));
	assert_int_equal(name.depth, depth);
}

static void refuses(const char *raw, const char *why)
{
	struct entry_name name;
	const char *said = entry_name_parse(raw, &name);

	assert_non_null(said);
	assert_non_null(strstr(said, why));
}

static void one_form(void **state)
{
	(void)state;
	takes("app", "app", 1);
	takes("app/", "app", 1);
	takes("./app/bin", "app/bin", 2);
	takes("././/app//./bin/.", "app/bin", 2);
	takes(".", "", 0);
	takes("./", "", 0);
	takes("...", "...", 1);
	takes("..a/b..", "..a/b..", 2);
	takes(".profile.d", ".profile.d", 1);
	takes("a\nb\x1b/\xff", "a\nb\x1b/\xff", 2);
	takes("a\\..\\b", "a\\..\\b", 1);
}

static void outside(void **state)
{
	(void)state;
	refuses(NULL, "empty");
	refuses("", "empty");
	refuses("/", "absolute");
	refuses("/app", "absolute");
	refuses("//app", "absolute");
	refuses("..", "..");
	refuses("../app", "..");
	refuses("./..", "..");
	refuses("app/..", "..");
	refuses("app/../b", "..");
	refuses("app//../b", "..");
	refuses("app/../", "..");
}

static void part_length(void **state)
{
	char raw[300];

	(void)state;
	memset(raw, 'n', sizeof raw);
	raw[255] = '\0';
	takes(raw, raw, 1);
	raw[255] = 'n';
	raw[256] = '\0';
	refuses(raw, "255 bytes");
	raw[256] = '/';
	raw[257] = '\0';
	refuses(raw, "255 bytes");
}

static void whole_length(void **state)
{
	char raw[LIMIT_SLUG_PATH + 100];

	(void)state;
	/* Parts of 200 bytes with the '/'. */
	memset(raw, 'n', sizeof raw);
	for (size_t i = 199; i < LIMIT_SLUG_PATH; i += 200)
		raw[i] = '/';
	raw[LIMIT_SLUG_PATH - 1] = 'n';
	raw[LIMIT_SLUG_PATH] = '\0';
	takes(raw, raw, LIMIT_SLUG_PATH / 200);
	raw[LIMIT_SLUG_PATH] = 'n';
	raw[LIMIT_SLUG_PATH + 1] = '\0';
	refuses(raw, "too long");
	/* What is dropped does not count. */
	raw[LIMIT_SLUG_PATH] = '/';
	raw[LIMIT_SLUG_PATH + 1] = '.';
	raw[LIMIT_SLUG_PATH + 2] = '\0';
	raw[LIMIT_SLUG_PATH - 1] = 'n';
	struct entry_name name;
	assert_null(entry_name_parse(raw, &name));
	assert_int_equal(name.len, LIMIT_SLUG_PATH);
}

static void nesting(void **state)
{
	char raw[2 * LIMIT_SLUG_DEPTH + 4];
	struct entry_name name;
	size_t at = 0;

	(void)state;
	for (int i = 0; i < LIMIT_SLUG_DEPTH; i++) {
		raw[at++] = 'd';
		raw[at++] = '/';
	}
	raw[at] = '\0';
	assert_null(entry_name_parse(raw, &name));
	assert_int_equal(name.depth, LIMIT_SLUG_DEPTH);
	raw[at++] = 'd';
	raw[at] = '\0';
	refuses(raw, "nested too deeply");
}

static void parent_and_last(void **state)
{
	struct entry_name name;

	(void)state;
	assert_null(entry_name_parse("./a/bb/ccc", &name));
	assert_int_equal(entry_name_parent(&name), 4);
	assert_string_equal(entry_name_last(&name), "ccc");
	assert_null(entry_name_parse("a", &name));
	assert_int_equal(entry_name_parent(&name), 0);
	assert_string_equal(entry_name_last(&name), "a");
	assert_null(entry_name_parse(".", &name));
	assert_int_equal(entry_name_parent(&name), 0);
	assert_string_equal(entry_name_last(&name), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_form),
		cmocka_unit_test(outside),
		cmocka_unit_test(part_length),
		cmocka_unit_test(whole_length),
		cmocka_unit_test(nesting),
		cmocka_unit_test(parent_and_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
