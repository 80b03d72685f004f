#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "supervisor/private.h"

#include <errno.h>

static const struct dyno web = {.type = "web", .instance = 12, .fingerprint = 0xabcdef0123456789};

static void what_is_written_is_read(void **state)
{
	unsigned char tag[LIMIT_TAG];

	(void)state;
	for (unsigned bits = 0; bits < 64; bits++) {
		struct dyno_kept kept = {
			.restarts = 7,
			.failures = 5,
			.bad_starts = 3,
			.resting = bits & 1,
			.asked = bits & 2,
			.was_up = bits & 4,
			.bad = bits & 8,
			.condemned = bits & 16,
			.phase = bits & 32,
			.version = bits & 32 ? -7 : 0,
		};
		struct engine_adopted found = {.id = 9};
		size_t len = tag_write(&web, &kept, tag);

		assert_int_equal(tag_read(tag, len, &found), 0);
		assert_string_equal(found.type, "web");
		assert_int_equal(found.instance, 12);
		assert_int_equal(found.fingerprint, web.fingerprint);
		assert_int_equal(found.kept.restarts, 7);
		assert_int_equal(found.kept.failures, 5);
		assert_int_equal(found.kept.bad_starts, 3);
		assert_int_equal(found.kept.resting, kept.resting);
		assert_int_equal(found.kept.asked, kept.asked);
		assert_int_equal(found.kept.was_up, kept.was_up);
		assert_int_equal(found.kept.bad, kept.bad);
		assert_int_equal(found.kept.condemned, kept.condemned);
		assert_int_equal(found.kept.phase, kept.phase);
		assert_int_equal(found.kept.version, kept.version);
		assert_int_equal(found.id, 9);
	}
}

static void the_longest_type_fits(void **state)
{
	struct dyno d = web;
	struct engine_adopted found = {0};
	unsigned char tag[LIMIT_TAG];

	(void)state;
	memset(d.type, 'x', LIMIT_TYPE_NAME);
	size_t len = tag_write(&d, &(struct dyno_kept){0}, tag);
	assert_int_equal(tag_read(tag, len, &found), 0);
	assert_string_equal(found.type, d.type);
}

/* Byte for byte as the first version of hsup wrote it; a layout is never changed. */
static void layout_1_is_read(void **state)
{
	unsigned char tag[88] = {1, 0, 0, 0, 2, 0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 6, 0,
		0, 0, 4, 0, 0, 0, 'w', 'e', 'b'};
	struct engine_adopted found = {.kept = {.bad_starts = 99, .resting = true}};

	(void)state;
	assert_int_equal(tag_read(tag, sizeof tag, &found), 0);
	assert_string_equal(found.type, "web");
	assert_int_equal(found.instance, 2);
	assert_int_equal(found.fingerprint, 0x44332211);
	assert_int_equal(found.kept.restarts, 6);
	assert_int_equal(found.kept.failures, 4);
	assert_int_equal(found.kept.bad_starts, 0);
	assert_false(found.kept.resting);
	assert_int_equal(tag_read(tag, sizeof tag - 1, &found), -EBADMSG);
	memset(tag + 24, 'x', 64);
	assert_int_equal(tag_read(tag, sizeof tag, &found), -EBADMSG);
	tag[24] = '\0';
	assert_int_equal(tag_read(tag, sizeof tag, &found), -EBADMSG);
}

/* As hsup wrote it before there were release phases. */
static void layout_2_is_read(void **state)
{
	unsigned char tag[35] = {2, 0, 0, 0, 2, 0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 6, 0,
		0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 0x3f, 0, 0, 0, 'w', 'e', 'b'};
	struct engine_adopted found = {.kept = {.condemned = true, .version = 8}};

	(void)state;
	assert_int_equal(tag_read(tag, sizeof tag, &found), 0);
	assert_string_equal(found.type, "web");
	assert_int_equal(found.instance, 2);
	assert_int_equal(found.fingerprint, 0x44332211);
	assert_int_equal(found.kept.restarts, 6);
	assert_int_equal(found.kept.failures, 4);
	assert_int_equal(found.kept.bad_starts, 3);
	assert_true(found.kept.resting && found.kept.asked && found.kept.was_up && found.kept.bad);
	assert_false(found.kept.condemned || found.kept.phase);
	assert_int_equal(found.kept.version, 0);
	assert_int_equal(tag_read(tag, sizeof tag - 3, &found), -EBADMSG);
}

static void anything_else_is_refused(void **state)
{
	struct engine_adopted found = {0};
	unsigned char tag[LIMIT_TAG];
	size_t len = tag_write(&web, &(struct dyno_kept){0}, tag);

	(void)state;
	for (size_t n = 0; n <= 40; n++)
		assert_int_equal(tag_read(tag, n, &found), -EBADMSG);
	memset(tag + 40, 'x', sizeof tag - 40);
	assert_int_equal(tag_read(tag, 40 + LIMIT_TYPE_NAME, &found), 0);
	assert_int_equal(tag_read(tag, 40 + LIMIT_TYPE_NAME + 1, &found), -EBADMSG);
	tag[41] = '\0';
	assert_int_equal(tag_read(tag, len, &found), -EBADMSG);
	tag[41] = 'x';
	tag[0] = 4;
	assert_int_equal(tag_read(tag, len, &found), -EBADMSG);
	tag[0] = 0;
	assert_int_equal(tag_read(tag, len, &found), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_longest_type_fits),
		cmocka_unit_test(layout_1_is_read),
		cmocka_unit_test(layout_2_is_read),
		cmocka_unit_test(anything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
