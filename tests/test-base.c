#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/quota.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>
#include <sys/mman.h>

static void numbers_are_whole_or_refused(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_int_equal(parse_u64("0", 10, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(parse_u64("18446744073709551615", UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	v = 7;
	static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x10", "1e3", "a"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_u64(bad[i], UINT64_MAX, &v), -EINVAL);
	assert_int_equal(parse_u64(NULL, 1, &v), -EINVAL);
	assert_int_equal(parse_u64("18446744073709551616", UINT64_MAX, &v), -ERANGE);
	assert_int_equal(parse_u64("11", 10, &v), -ERANGE);
	assert_int_equal(v, 7);
}

static void signals_by_name_and_number(void **state)
{
	(void)state;
	assert_int_equal(parse_signal("TERM"), SIGTERM);
	assert_int_equal(parse_signal("SIGint"), SIGINT);
	assert_int_equal(parse_signal("9"), SIGKILL);
	assert_int_equal(parse_signal("0"), -EINVAL);
	assert_int_equal(parse_signal("65"), -EINVAL);
	assert_int_equal(parse_signal("NOPE"), -EINVAL);
	assert_int_equal(parse_signal(""), -EINVAL);
	assert_string_equal(signal_name(SIGUSR2), "USR2");
	assert_string_equal(signal_name(-3), "?");
}

static void stamps_are_heroku_s(void **state)
{
	char stamp[CLOCK_STAMP_LEN + 1];

	(void)state;
	clock_stamp(UINT64_C(1795248000) * NSEC_PER_SEC + 123456789, stamp);
	assert_string_equal(stamp, "2026-11-21T08:00:00.123456+00:00");
	clock_stamp(UINT64_C(1795248001) * NSEC_PER_SEC, stamp);
	assert_string_equal(stamp, "2026-11-21T08:00:01.000000+00:00");
	clock_stamp(0, stamp);
	assert_string_equal(stamp, "1970-01-01T00:00:00.000000+00:00");
}

static void errors_read_from_intent_to_cause(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(err_errno(&e, -ENOSPC, "write"), -ENOSPC);
	assert_int_equal(err_wrap(&e, "loaded"), -ENOSPC);
	assert_string_equal(e.text, "loaded: write: No space left on device");
	assert_int_equal(err_set(NULL, -EIO, "nobody listens"), -EIO);
	char long_text[1000];
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	assert_int_equal(err_set(&e, -EIO, "%s", long_text), -EIO);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static void text_for_a_terminal_is_harmless(void **state)
{
	char out[32];

	(void)state;
	assert_string_equal(str_printable("a\033[31m\n", 7, out, sizeof out), "a\\x1b[31m\\x0a");
	assert_string_equal(
		str_printable("\xc3\xa9t\xc3\xa9", 5, out, sizeof out), "\xc3\xa9t\xc3\xa9");
	assert_string_equal(str_printable("\xff\x7f", 2, out, sizeof out), "\\xff\\x7f");
	/* C1 controls are control characters in UTF-8 clothes. */
	assert_string_equal(str_printable("\xc2\x9b", 2, out, sizeof out), "\\xc2\\x9b");
	assert_string_equal(str_printable("0123456789abcdef", 16, out, 12), "01234567...");
}

static void cuts_never_split_a_character(void **state)
{
	(void)state;
	assert_int_equal(utf8_cut("abc", 3), 3);
	assert_int_equal(utf8_cut("ab\xc3\xa9", 3), 2);
	assert_int_equal(utf8_cut("ab\xc3\xa9", 4), 4);
	assert_int_equal(utf8_cut("\xf0\x9f\x98\x80", 3), 0);
	assert_int_equal(utf8_cut("\xf0\x9f\x98\x80", 4), 4);
	assert_int_equal(utf8_cut("\x80\x80\x80\x80", 4), 4);
	assert_int_equal(utf8_valid_prefix("ok\xc3\xa9", 4), 4);
	assert_int_equal(utf8_valid_prefix("ok\xff", 3), 2);
	assert_int_equal(utf8_valid_prefix("\xc0\xaf", 2), 0);	   /* overlong */
	assert_int_equal(utf8_valid_prefix("\xed\xa0\x80", 3), 0); /* a surrogate */
	assert_int_equal(utf8_valid_prefix("\xf4\x90\x80\x80", 4), 0);
	assert_int_equal(utf8_valid_prefix("\xe2\x82", 2), 0); /* cut off */
}

static void distance_counts_edits(void **state)
{
	(void)state;
	assert_int_equal(str_distance("Quantity", "Quantity"), 0);
	assert_int_equal(str_distance("Quantiy", "Quantity"), 1);
	assert_int_equal(str_distance("kitten", "sitting"), 3);
	assert_int_equal(str_distance("", "abc"), 3);
	char text[80];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_true(str_distance(text, "x") == SIZE_MAX);
}

static void buffers_remember_their_first_error(void **state)
{
	struct strbuf b = STRBUF(8);

	(void)state;
	assert_int_equal(strbuf_puts(&b, "1234"), 0);
	assert_int_equal(strbuf_printf(&b, "%d", 56789), -E2BIG);
	assert_int_equal(strbuf_puts(&b, "5"), -E2BIG);
	assert_string_equal(b.data, "1234");
	strbuf_reset(&b);
	assert_int_equal(strbuf_puts(&b, "12345678"), 0);
	assert_int_equal(b.len, 8);
	strbuf_done(&b);
	assert_null(b.data);
}

static void arrays_grow_to_their_limit(void **state)
{
	int *list = NULL;
	size_t cap = 0;

	(void)state;
	assert_int_equal(mem_grow(&list, &cap, 3, 20, sizeof *list), 0);
	assert_true(cap >= 3);
	for (size_t i = 0; i < cap; i++)
		assert_int_equal(list[i], 0);
	list[2] = 42;
	assert_int_equal(mem_grow(&list, &cap, 20, 20, sizeof *list), 0);
	assert_int_equal(cap, 20);
	assert_int_equal(list[2], 42);
	assert_int_equal(mem_grow(&list, &cap, 21, 20, sizeof *list), -E2BIG);
	free(list);
}

static void hashes_tell_texts_apart(void **state)
{
	(void)state;
	uint64_t a = hash_str(hash_str(HASH_INIT, "ab"), "c");
	uint64_t b = hash_str(hash_str(HASH_INIT, "a"), "bc");
	assert_true(a != b);
	assert_true(hash_str(HASH_INIT, NULL) != hash_str(HASH_INIT, ""));
}

/* ---- files, in a directory of this test's own ---- */

static int make_folder(void **state)
{
	static char path[] = "/tmp/test-base-XXXXXX";

	memcpy(path + sizeof path - 7, "XXXXXX", 6);
	if (!mkdtemp(path))
		return -1;
	*state = path;
	return 0;
}

static int remove_folder(void **state)
{
	return file_remove_tree(AT_FDCWD, *state);
}

static void files_are_replaced_whole(void **state)
{
	_cleanup_close_ int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *text;
	size_t len;
	struct stat st;

	assert_int_equal(file_replace(dir, "f", "one", 3, 0600), 0);
	assert_int_equal(file_replace(dir, "f", "second", 6, 0640), 0);
	assert_int_equal(file_read(dir, "f", 6, &text, &len), 0);
	assert_string_equal(text, "second");
	free(text);
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(faccessat(dir, "f.tmp", F_OK, 0), -1);
	assert_int_equal(file_read(dir, "f", 5, &text, &len), -EFBIG);
	assert_int_equal(file_read(dir, "absent", 5, &text, &len), -ENOENT);
}

static void only_regular_files_are_read(void **state)
{
	_cleanup_close_ int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *text;
	size_t len;

	assert_int_equal(mkfifoat(dir, "pipe", 0600), 0);
	assert_int_equal(file_read(dir, "pipe", 10, &text, &len), -EINVAL);
	assert_int_equal(file_read(dir, ".", 10, &text, &len), -EISDIR);
}

static void trees_go_without_following_links(void **state)
{
	_cleanup_close_ int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(mkdirat(dir, "outside", 0700), 0);
	assert_int_equal(file_replace(dir, "outside/kept", "x", 1, 0600), 0);
	assert_int_equal(mkdirat(dir, "tree", 0700), 0);
	assert_int_equal(mkdirat(dir, "tree/locked", 0700), 0);
	assert_int_equal(file_replace(dir, "tree/locked/f", "x", 1, 0400), 0);
	assert_int_equal(symlinkat("../outside", dir, "tree/link"), 0);
	assert_int_equal(fchmodat(dir, "tree/locked", 0500, 0), 0);
	assert_int_equal(file_remove_tree(dir, "tree"), 0);
	assert_int_equal(faccessat(dir, "tree", F_OK, 0), -1);
	assert_int_equal(faccessat(dir, "outside/kept", F_OK, 0), 0);
	assert_int_equal(file_remove_tree(dir, "tree"), 0);
}

static void descriptors_are_owned_once(void **state)
{
	int fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	int other = TAKE_FD(fd);
	assert_int_equal(fd, -1);
	errno = EBUSY;
	assert_int_equal(fd_close(other), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(fd_close(-1), -1);
	assert_int_equal(fcntl(other, F_GETFD), -1);
}

static void a_rename_may_replace_nothing(void **state)
{
	_cleanup_close_ int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	assert_int_equal(mkdirat(dir, "from", 0755), 0);
	assert_int_equal(mkdirat(dir, "taken", 0755), 0);
	/* An empty folder is what rename(2) would replace. */
	assert_int_equal(fd_rename_new(dir, "from", dir, "taken"), -EEXIST);
	assert_int_equal(fd_rename_new(dir, "from", dir, "to"), 0);
	assert_int_equal(fd_rename_new(dir, "from", dir, "to"), -ENOENT);
	assert_int_equal(fstatat(dir, "to", &st, 0), 0);
	assert_int_equal(fstatat(dir, "taken", &st, 0), 0);
}

static char last_line[64];

static void remember(enum log_level level, const char *line, void *userdata)
{
	(void)level;
	(void)userdata;
	(void)snprintf(last_line, sizeof last_line, "%s", line);
}

static void logs_go_where_they_are_told(void **state)
{
	(void)state;
	log_open("test", LOG_LEVEL_INFO);
	log_set_sink(remember, NULL);
	log_info("one %d", 1);
	assert_string_equal(last_line, "one 1");
	log_debug("too quiet");
	assert_string_equal(last_line, "one 1");
	log_set_sink(NULL, NULL);
}

static void what_has_no_quotas_is_not_held_to_them(void **state)
{
	(void)state;
	_cleanup_close_ int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(quota_enforced(fd), 0);
	assert_int_equal(quota_begin(fd, 1 << 20), -EOPNOTSUPP);
	assert_int_equal(quota_of(fd), 0);
	assert_int_equal(quota_enforced(-1), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_whole_or_refused),
		cmocka_unit_test(signals_by_name_and_number),
		cmocka_unit_test(stamps_are_heroku_s),
		cmocka_unit_test(errors_read_from_intent_to_cause),
		cmocka_unit_test(text_for_a_terminal_is_harmless),
		cmocka_unit_test(cuts_never_split_a_character),
		cmocka_unit_test(distance_counts_edits),
		cmocka_unit_test(buffers_remember_their_first_error),
		cmocka_unit_test(arrays_grow_to_their_limit),
		cmocka_unit_test(hashes_tell_texts_apart),
		cmocka_unit_test_setup_teardown(
			files_are_replaced_whole, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			only_regular_files_are_read, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			trees_go_without_following_links, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			descriptors_are_owned_once, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			a_rename_may_replace_nothing, make_folder, remove_folder),
		cmocka_unit_test(logs_go_where_they_are_told),
		cmocka_unit_test(what_has_no_quotas_is_not_held_to_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
