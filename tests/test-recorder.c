/* What the recorder keeps, and for how long. */
#include "supervisor/recorder.h"

#include "base/fd.h"
#include "core/dyno.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void add(struct recorder *r, const char *name)
{
	struct record record = {.kind = RECORD_STATE, .generation = 1, .release = 7};

	record.from = DYNO_STARTING;
	record.to = DYNO_UP;
	record.cause = DYNO_EV_READY;
	(void)snprintf(record.name, sizeof record.name, "%s", name);
	(void)snprintf(record.text, sizeof record.text, "because");
	recorder_add(r, &record);
}

static void test_the_newest_are_kept(void **state)
{
	struct recorder *r = recorder_new(100);
	char name[20];

	(void)state;
	assert_non_null(r);
	assert_null(recorder_from(r, 0));
	assert_int_equal(recorder_first(r), 100);
	assert_int_equal(recorder_next(r), 100);
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof name, "web.%u", i);
		add(r, name);
	}
	assert_int_equal(recorder_next(r), 5100);
	uint64_t first = recorder_first(r);
	assert_true(first > 100 && first < 5100);
	/* What is asked for from before is answered with the oldest there is, and no other is
	 * missing behind it. */
	for (uint64_t id = first; id < 5100; id++) {
		const struct record *record = recorder_from(r, id == first ? 1 : id);

		(void)snprintf(name, sizeof name, "web.%u", (unsigned)(id - 100));
		assert_int_equal(record->id, id);
		assert_string_equal(record->name, name);
	}
	assert_null(recorder_from(r, 5100));
	recorder_free(r);
}

/* Whatever their lengths, wherever the room ends. */
static void test_records_of_all_lengths(void **state)
{
	struct recorder *r = recorder_new(1);
	char text[LIMIT_NAME + 127];

	(void)state;
	memset(text, 'x', sizeof text);
	for (uint64_t id = 1; id < 20000; id++) {
		struct record record = {.kind = RECORD_EXIT, .release = (int64_t)id};

		(void)snprintf(record.name, sizeof record.name, "%.*s", (int)(id * 7 % 90), text);
		(void)snprintf(record.text, sizeof record.text, "%.*s", (int)(id * 13 % 140), text);
		recorder_add(r, &record);
		for (unsigned back = 0; back < 200 && back < id; back += 50) {
			const struct record *found = recorder_from(r, id - back);
			uint64_t n = id - back;

			assert_int_equal(found->id, n);
			assert_int_equal(found->release, n);
			size_t name = n * 7 % 90, most = LIMIT_NAME, words = n * 13 % 140;
			assert_int_equal(strlen(found->name), name < most ? name : most);
			assert_int_equal(strlen(found->text), words < 126 ? words : 126);
		}
	}
	assert_true(recorder_next(r) - recorder_first(r) > 1000);
	recorder_free(r);
}

static unsigned told;

static void on_added(void *userdata)
{
	assert_non_null(recorder_from(userdata, recorder_next(userdata) - 1));
	told++;
}

static void test_a_listener_is_told_of_each(void **state)
{
	struct recorder *r = recorder_new(1);

	(void)state;
	recorder_listen(r, on_added, r);
	add(r, "web.1");
	add(r, "web.2");
	assert_int_equal(told, 2);
	recorder_listen(r, NULL, NULL);
	add(r, "web.3");
	assert_int_equal(told, 2);
	recorder_free(r);
}

static void test_the_dump_is_lines(void **state)
{
	static char text[4096];
	struct recorder *r = recorder_new(42);
	_cleanup_close_ int fd = memfd_create("dump", MFD_CLOEXEC);
	struct record exit = {.kind = RECORD_EXIT, .exit = {.kind = EXIT_SIGNAL, .value = 9}};

	(void)state;
	add(r, "web.1");
	recorder_add(r, &exit);
	recorder_dump(r, fd);
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	assert_true(n > 0);
	char *end = strchr(text, '\n');
	assert_non_null(end);
	*end = '\0';
	assert_non_null(strstr(text, "42 "));
	assert_non_null(strstr(text, " dyno.state web.1/1 v7 starting -> up (ready): because"));
	assert_non_null(strstr(end + 1, "43 "));
	assert_non_null(strstr(end + 1, " dyno.exit signal 9\n"));
	recorder_free(r);
}

static void test_every_kind_has_a_name(void **state)
{
	(void)state;
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++)
		for (int other = 0; other < kind; other++)
			assert_string_not_equal(record_kind_text((enum record_kind)kind),
				record_kind_text((enum record_kind)other));
	assert_true(record_public(&(struct record){.kind = RECORD_STATE}));
	assert_false(record_public(&(struct record){.kind = RECORD_SIGNALLED}));
	assert_false(record_public(&(struct record){.kind = RECORD_KIND_MAX}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_newest_are_kept),
		cmocka_unit_test(test_records_of_all_lengths),
		cmocka_unit_test(test_a_listener_is_told_of_each),
		cmocka_unit_test(test_the_dump_is_lines),
		cmocka_unit_test(test_every_kind_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
