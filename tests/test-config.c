#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "model/config.h"

#include <errno.h>

static void refused(const char *text, const char *first)
{
	struct release_errors HSUP_CLEANUP(release_errors_done) errors = {0};
	struct config c = {.n_autolaunch = 7};
	char line[700];

	assert_int_equal(config_parse(text, strlen(text), &c, &errors), -EINVAL);
	assert_int_equal(c.n_autolaunch, 7);
	assert_string_equal(release_error_format(&errors.list[0], line, sizeof line), first);
}

static struct config taken(const char *text)
{
	struct release_errors HSUP_CLEANUP(release_errors_done) errors = {0};
	struct config c = {0};

	assert_int_equal(config_parse(text, strlen(text), &c, &errors), 0);
	assert_int_equal(errors.n, 0);
	return c;
}

static void which_apps_start(void **state)
{
	(void)state;
	struct config HSUP_CLEANUP(config_done)
		all = taken("{}"),
		none = taken("{\"Autolaunch\": []}"),
		two = taken("{\"Autolaunch\": [\"shop\", \"blog_2\"]}");

	assert_true(config_launches(&all, "shop"));
	assert_false(config_launches(&none, "shop"));
	assert_true(config_launches(&two, "shop"));
	assert_true(config_launches(&two, "blog_2"));
	assert_false(config_launches(&two, "blog"));
}

static void what_is_wrong_is_said(void **state)
{
	(void)state;
	refused("", "line 1, column 1: the document is empty");
	refused("[]", "line 1, column 1: must be an object, not a list");
	refused("{\n \"Autolunch\": []}", "Autolunch: line 2, column 2: unknown key \"Autolunch\"; "
					  "did you mean \"Autolaunch\"?");
	refused("{\"Name\": 1}",
		"Name: line 1, column 2: unknown key \"Name\"; known here: Autolaunch");
	refused("{\"Autolaunch\": \"shop\"}",
		"Autolaunch: line 1, column 16: must be a list, not a string");
	refused("{\"Autolaunch\": [\"shop\", \"a.b\"]}",
		"Autolaunch[1]: line 1, column 25: must be 1 to 63 letters, digits, \"-\" or "
		"\"_\", not \"a.b\"");
	refused("{\"Autolaunch\": [\"a\", \"b\", \"a\"]}",
		"Autolaunch[2]: line 1, column 27: is the same as Autolaunch[0]");
	refused("{\"Autolaunch\": [], \"Autolaunch\": [\"a\"]}",
		"Autolaunch: line 1, column 20: is given twice in the same object");
}

static void there_is_a_limit(void **state)
{
	struct strbuf HSUP_CLEANUP(strbuf_done) text = STRBUF(0);

	(void)state;
	(void)strbuf_puts(&text, "{\"Autolaunch\": [\"a0\"");
	for (int i = 1; i < LIMIT_APPS; i++)
		(void)strbuf_printf(&text, ",\n\"a%d\"", i);
	(void)strbuf_puts(&text, "]}");
	struct config HSUP_CLEANUP(config_done) c = taken(text.data);
	assert_int_equal(c.n_autolaunch, LIMIT_APPS);

	text.len -= 2;
	(void)strbuf_puts(&text, ",\n\"one\"]}");
	refused(text.data, "Autolaunch: line 1001, column 1: has more than 1000 apps");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_apps_start),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(there_is_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
