/* The settings as they are in a build that nobody tests: without those that take something away
 * from what confines a dyno. Compiled with the code itself, not with the library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/box_settings.h"

#include <errno.h>
#include <string.h>

static void test_what_is_for_tests_is_refused(void **state)
{
	static const char *const names[] = {"HSUP_BOX_DIE_AFTER=7", "HSUP_BOX_SKIP=seccomp"};
	struct box_settings s;
	struct err err;

	(void)state;
	box_settings_init(&s);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(box_settings_set(&s, names[i], &err), -EINVAL);
		assert_non_null(strstr(err.text, ": only in developers' builds"));
		assert_int_equal(strncmp(err.text, names[i], strcspn(names[i], "=")), 0);
	}
	assert_int_equal(s.die_after, 0);
	assert_string_equal(s.skip, "");
	assert_int_equal(box_settings_set(&s, "HSUP_BOX_STATE=/state", &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_for_tests_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
