/* drivers/docker/place: slots that outlive their supervisor, and what a kill leaves in them. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/fd.h"
#include "base/limits.h"
#include "drivers/docker/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[40];

static int enter(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/test-place-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int leave(void **state)
{
	char path[60];

	(void)state;
	places_remove(dir);
	(void)snprintf(path, sizeof path, "%s/places", dir);
	(void)rmdir(path);
	return rmdir(dir);
}

static struct places *opened(const char *where)
{
	struct places *p = NULL;
	struct err err = {0};

	assert_int_equal(places_open(where, &p, &err), 0);
	return p;
}

/* ---- one life ---- */

static void what_was_on_its_way(void **state)
{
	/* held, about to write, found in the pipe, came */
	static const size_t cases[][4] = {
		{0, 100, 0, 0},
		{0, 100, 40, 40},
		{0, 100, 100, 100},
		{500, 100, 500, 0},
		{500, 100, 501, 1},
		{500, 100, 600, 100},
		{500, 100, 200, 0},
		{500, 100, 9999, 100},
		{PLACE_HELD_MAX, PLACE_WRITE_MAX, PLACE_HELD_MAX + PLACE_WRITE_MAX,
			PLACE_WRITE_MAX},
	};
	const uint64_t before[] = {0, 7, PLACE_WRITE_MAX, 1U << 20, (UINT64_C(1) << 40) + 5};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t k = 0; k < ARRAY_SIZE(before); k++) {
			struct place_stream s = {.written = before[k]};

			place_about(&s, cases[i][0], cases[i][1]);
			place_recover(&s, cases[i][2]);
			assert_int_equal(s.written, before[k] + cases[i][3]);
			/* Another kill, now that more is in the pipe. */
			place_recover(&s, cases[i][2] + 1);
			assert_int_equal(s.written, before[k] + cases[i][3]);
		}
}

/* It was said how much was written: what the pipe holds is not counted again. */
static void said_is_not_recovered(void **state)
{
	const size_t n[] = {1, 60, 100};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(n); i++) {
		struct place_stream s = {.written = PLACE_WRITE_MAX};

		place_about(&s, 10, 100);
		place_wrote(&s, n[i]);
		place_recover(&s, 10 + n[i]);
		assert_int_equal(s.written, PLACE_WRITE_MAX + n[i]);
	}
}

static void nothing_is_on_its_way(void **state)
{
	struct place_stream s = {.written = 5};

	(void)state;
	place_recover(&s, 1000);
	assert_int_equal(s.written, 5);
	place_about(&s, 10, 100);
	place_about(&s, 0, 0);
	place_recover(&s, 1000);
	assert_int_equal(s.written, 5);
}

/* Killed while the younger mark is being written: it is any, and the older one counts. */
static void half_a_mark(void **state)
{
	struct place_stream s = {0};

	(void)state;
	for (uint64_t i = 1; i < 6; i++) {
		place_set_mark(&s, (struct place_mark){.since = i * 100, .at = i});
		s.marks[!s.young] = (struct place_mark){.since = 99999, .at = 99999};
		assert_int_equal(place_mark(&s).since, i * 100);
		assert_int_equal(place_mark(&s).at, i);
	}
	s.young = 77; /* a damaged file */
	assert_int_equal(place_mark(&s).since, s.marks[1].since);
}

/* ---- all of them ---- */

static void found_again(void **state)
{
	struct places *p = opened(dir);
	struct place *a, *b;

	(void)state;
	assert_null(places_find(p, 1, 1));
	a = places_take(p, 1, 1);
	b = places_take(p, 1, 2);
	assert_true(a && b && a != b);
	assert_ptr_equal(places_take(p, 1, 1), a);
	assert_null(places_take(p, 0, 1));
	a->streams[0].written = 12345;
	b->streams[1].written = 777;
	(void)places_close(p);
	p = opened(dir);
	assert_int_equal(places_find(p, 1, 1)->streams[0].written, 12345);
	assert_int_equal(places_take(p, 1, 2)->streams[1].written, 777);
	places_drop(p, 1, 1);
	places_drop(p, 5, 5);
	assert_null(places_find(p, 1, 1));
	assert_int_equal(places_take(p, 9, 9)->streams[0].written, 0);
	(void)places_close(p);
	p = opened(dir);
	assert_null(places_find(p, 1, 1));
	assert_non_null(places_find(p, 9, 9));
	(void)places_close(p);
}

static void no_room(const char *where)
{
	struct places *p = opened(where);
	struct place *first = places_take(p, 1, 1);

	first->streams[0].written = 4;
	for (uint64_t i = 2; i <= LIMIT_DYNOS; i++)
		assert_non_null(places_take(p, i, 1));
	assert_null(places_take(p, LIMIT_DYNOS + 1, 1));
	places_drop(p, 17, 1);
	assert_non_null(places_take(p, LIMIT_DYNOS + 1, 1));
	assert_null(places_take(p, LIMIT_DYNOS + 2, 1));
	assert_ptr_equal(places_find(p, 1, 1), first);
	assert_int_equal(first->streams[0].written, 4);
	(void)places_close(p);
}

static void as_many_as_dynos(void **state)
{
	(void)state;
	no_room(dir);
	no_room(NULL);
}

static void put_file(const void *data, size_t len)
{
	char path[60];

	(void)snprintf(path, sizeof path, "%s/places", dir);
	(void)unlink(path);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, len), 0);
}

static void another_layout(void **state)
{
	static char junk[5000];
	struct places *p;

	(void)state;
	memset(junk, 0x5a, sizeof junk);
	for (size_t len = 0; len < sizeof junk; len += 1 + len) {
		put_file(junk, len);
		p = opened(dir);
		assert_null(places_find(p, UINT64_C(0x5a5a5a5a5a5a5a5a), 0x5a5a5a5a));
		places_take(p, 3, 3)->streams[0].written = 8;
		(void)places_close(p);
		p = opened(dir);
		assert_int_equal(places_find(p, 3, 3)->streams[0].written, 8);
		(void)places_close(p);
	}
}

/* Cut behind any byte: what is whole is there, and none is touched behind the end of the file. */
static void cut_off(void **state)
{
	static char data[4000];
	char path[60];

	(void)state;
	struct places *p = opened(dir);
	for (uint64_t i = 1; i <= 10; i++)
		places_take(p, i, 1)->streams[0].written = i;
	(void)places_close(p);
	(void)snprintf(path, sizeof path, "%s/places", dir);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd_read_full(fd, data, sizeof data);
	assert_true(n > 0);
	for (ssize_t len = n - 1; len >= 0; len -= 13) {
		put_file(data, (size_t)len);
		p = opened(dir);
		for (uint64_t i = 1; i <= 10; i++) {
			struct place *slot = places_find(p, i, 1);

			assert_true(!slot || slot->streams[0].written == i);
		}
		assert_non_null(places_take(p, 50, 1));
		(void)places_close(p);
	}
}

static void where_none_can_be(void **state)
{
	struct places *p = NULL;
	struct err err = {0};
	char path[60];

	(void)state;
	assert_int_equal(places_open("/nonexistent/folder", &p, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/folder/places"));
	(void)snprintf(path, sizeof path, "%s/places", dir);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(places_open(dir, &p, &err), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(places_open(dir, &p, &err) < 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(places_open(dir, &p, &err), -EEXIST);
	assert_null(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_on_its_way),
		cmocka_unit_test(said_is_not_recovered),
		cmocka_unit_test(nothing_is_on_its_way),
		cmocka_unit_test(half_a_mark),
		cmocka_unit_test_setup_teardown(found_again, enter, leave),
		cmocka_unit_test_setup_teardown(as_many_as_dynos, enter, leave),
		cmocka_unit_test_setup_teardown(another_layout, enter, leave),
		cmocka_unit_test_setup_teardown(cut_off, enter, leave),
		cmocka_unit_test_setup_teardown(where_none_can_be, enter, leave),
	};

	return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
