/* source/control_dir, in real directories: what is claimed, refused, kept and come back to. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/fd.h"
#include "base/file.h"
#include "source/control_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NOBODY 65534

struct world {
	char path[128];
	int dir;
	void *source;
	sd_event *loop;
	struct submission *submission; /* the last one handed over */
	int64_t version;
	unsigned submitted;
	char notices[8000];
};

/* ---- helpers ---- */

static void on_submitted(void *userdata, struct submission *s, struct release *release)
{
	struct world *w = userdata;

	/* As the engine does: a newer one overtakes. */
	if (w->submission)
		control_dir_ops.drop(w->source, w->submission);
	w->submission = s;
	w->version = release->version;
	w->submitted++;
	(void)release_unref(release);
}

static void on_notice(void *userdata, enum notice_level level, const char *text)
{
	struct world *w = userdata;
	size_t at = strlen(w->notices);

	(void)snprintf(w->notices + at, sizeof w->notices - at, "%d %s\n", (int)level, text);
}

static const struct source_events events = {.submitted = on_submitted, .notice = on_notice};

static void enter(struct world *w)
{
	struct err err = {0};

	if (control_dir_open(w->path, CONTROL_DIR_HOLD | CONTROL_DIR_CREATE, &w->source, &err) < 0)
		fail_msg("%s", err.text);
	w->submission = NULL;
	w->submitted = 0;
}

/* The version restored, 0 = none. */
static int64_t restore_both(struct world *w, int64_t *ret_settled)
{
	struct release *r = NULL, *settled = NULL;
	struct err err = {0};
	int found = control_dir_ops.restore(w->source, &r, &settled, &err);
	int64_t version = found == 1 ? r->version : 0;

	assert_in_range(found, 0, 1);
	*ret_settled = settled ? settled->version : 0;
	(void)release_unref(settled);
	if (found)
		(void)release_unref(r);
	return version;
}

static int64_t restore(struct world *w)
{
	int64_t settled;

	return restore_both(w, &settled);
}

static void settle(struct world *w)
{
	for (unsigned rounds = 0; sd_event_run(w->loop, 0) > 0; rounds++)
		assert_true(rounds < 5000);
}

static void start(struct world *w)
{
	struct err err = {0};

	if (control_dir_ops.start(w->source, w->loop, &events, w, &err) < 0)
		fail_msg("%s", err.text);
	settle(w);
}

/* As after a crash: what is on disk stays. */
static void leave(struct world *w)
{
	control_dir_ops.close(w->source);
	w->source = NULL;
}

static void write_file(struct world *w, const char *name, const char *text)
{
	int fd = openat(w->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static char *document(int version, const char *value)
{
	static char text[300];

	(void)snprintf(text, sizeof text,
		"{\"Version\": %d, \"Env\": {\"A\": \"%s\"}, \"Processes\": [{\"Type\": \"web\", "
		"\"Args\": [\"true\"], \"Quantity\": 1}]}\n",
		version, value);
	return text;
}

static void submit(struct world *w, int version, const char *value)
{
	write_file(w, "tmp", document(version, value));
	assert_int_equal(renameat(w->dir, "tmp", w->dir, "new"), 0);
	settle(w);
}

static void commit(struct world *w)
{
	struct err err = {0};
	struct submission *s = w->submission;

	assert_non_null(s);
	w->submission = NULL;
	if (control_dir_ops.commit(w->source, s, &err) < 0)
		fail_msg("%s", err.text);
}

static bool there(struct world *w, const char *name)
{
	struct stat st;

	return fstatat(w->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static mode_t mode(struct world *w, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(w->dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

static void expect_file(struct world *w, const char *name, const char *text)
{
	_cleanup_free_ char *data = NULL;
	size_t len = 0;
	int r = file_read(w->dir, name, 100000, &data, &len);

	if (r < 0)
		fail_msg("%s: %s", name, err_name(r));
	assert_string_equal(data, text);
}

static void expect_in(const char *haystack, const char *needle)
{
	if (!strstr(haystack, needle))
		fail_msg("\"%s\" is not in \"%s\"", needle, haystack);
}

static void expect_error(struct world *w, const char *part)
{
	_cleanup_free_ char *data = NULL;
	size_t len = 0;

	assert_int_equal(file_read(w->dir, "last_error", 100000, &data, &len), 0);
	expect_in(data, part);
	assert_int_equal(data[len - 1], '\n');
}

static unsigned claims(struct world *w)
{
	char name[40];
	unsigned n = 0;

	for (int i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof name, ".hsup/claim-%d", i);
		n += there(w, name);
	}
	return n;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	(void)snprintf(w->path, sizeof w->path, "/tmp/test-control-dir-XXXXXX");
	assert_non_null(mkdtemp(w->path));
	w->dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(sd_event_new(&w->loop), 0);
	enter(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	control_dir_ops.close(w->source);
	sd_event_unref(w->loop);
	close(w->dir);
	(void)file_remove_tree(AT_FDCWD, w->path);
	free(w);
	return 0;
}

/* ---- the way of a good one ---- */

static void a_submission_is_committed(void **state)
{
	struct world *w = *state;

	assert_int_equal(restore(w), 0);
	start(w);
	submit(w, 3, "a");
	assert_int_equal(w->submitted, 1);
	assert_int_equal(w->version, 3);
	assert_false(there(w, "new"));
	assert_false(there(w, "loaded"));
	commit(w);
	expect_file(w, "loaded", document(3, "a"));
	expect_file(w, "releases/v3.json", document(3, "a"));
	assert_int_equal(mode(w, "loaded"), 0600);
	assert_int_equal(mode(w, "releases/v3.json"), 0600);
	assert_int_equal(mode(w, ".hsup"), 0700);
	assert_int_equal(mode(w, "releases"), 0700);
	assert_int_equal(claims(w), 0);

	/* Written in place, and as a second link. */
	write_file(w, "new", document(4, "b"));
	settle(w);
	assert_int_equal(w->version, 4);
	commit(w);
	write_file(w, "mine.json", document(5, "c"));
	assert_int_equal(linkat(w->dir, "mine.json", w->dir, "new", 0), 0);
	settle(w);
	assert_int_equal(w->version, 5);
	commit(w);
	assert_int_equal(mode(w, "mine.json"), 0644);
	assert_string_equal(w->notices, "");

	leave(w);
	enter(w);
	assert_int_equal(restore(w), 5);
	start(w);
	assert_int_equal(w->submitted, 0);
}

static void what_waits_is_delivered_at_the_start(void **state)
{
	struct world *w = *state;

	write_file(w, "new", document(1, "a"));
	assert_int_equal(restore(w), 0);
	start(w);
	assert_int_equal(w->version, 1);
}

static void one_without_number_gets_one(void **state)
{
	struct world *w = *state;
	static const char text[] = "{\"Processes\": [{\"Type\": \"web\", \"Args\": [\"x\"]}]}";

	/* A directory of an older hsup: no history. */
	write_file(w, "loaded", text);
	assert_int_equal(restore(w), 1);
	expect_file(w, "releases/v1.json", text);
	start(w);
	submit(w, 7, "a");
	commit(w);
	write_file(w, "new", text);
	settle(w);
	assert_int_equal(w->version, 8);
	/* Unique also while one is on its way. */
	struct submission *first = w->submission;
	w->submission = NULL;
	write_file(w, "new", text);
	settle(w);
	assert_int_equal(w->version, 9);
	commit(w);
	control_dir_ops.drop(w->source, first);
	leave(w);
	enter(w);
	assert_int_equal(restore(w), 9);
}

static void the_history_keeps_the_highest(void **state)
{
	struct world *w = *state;
	char name[40];

	start(w);
	for (int v = 1; v <= LIMIT_HISTORY + 5; v++) {
		submit(w, v * 10, "a");
		commit(w);
	}
	write_file(w, "releases/notes.txt", "kept");
	for (int v = 1; v <= LIMIT_HISTORY + 5; v++) {
		(void)snprintf(name, sizeof name, "releases/v%d0.json", v);
		assert_int_equal(there(w, name), v > 5);
	}
	/* The one in force stays, however low it is. */
	submit(w, 1, "a");
	commit(w);
	assert_true(there(w, "releases/v1.json"));
	assert_false(there(w, "releases/v60.json"));
	assert_true(there(w, "releases/notes.txt"));
}

/* ---- bad ones ---- */

static void a_bad_document_is_rejected(void **state)
{
	struct world *w = *state;
	static const char bad[] = "{\"Processes\": [{\"Type\": \"web\", \"Quantity\": -1, "
				  "\"Args\": 5}]}";

	start(w);
	submit(w, 1, "a");
	commit(w);
	write_file(w, "new", bad);
	settle(w);
	assert_int_equal(w->submitted, 1);
	expect_file(w, "rejected", bad);
	expect_error(w, "Processes[0].Quantity: line 1, column ");
	expect_error(w, "\nProcesses[0].Args");
	assert_int_equal(mode(w, "rejected"), 0600);
	assert_int_equal(mode(w, "last_error"), 0600);
	expect_in(w->notices, "3 release rejected with 2 errors");
	expect_in(w->notices, "last_error): Processes[0].Quantity");
	expect_file(w, "loaded", document(1, "a"));

	/* The next good one clears it away. */
	submit(w, 2, "b");
	assert_true(there(w, "rejected"));
	commit(w);
	assert_false(there(w, "rejected"));
	assert_false(there(w, "last_error"));
	assert_int_equal(claims(w), 0);
}

static void expect_refused(struct world *w, const char *why)
{
	unsigned before = w->submitted;

	w->notices[0] = '\0';
	settle(w);
	assert_int_equal(w->submitted, before);
	assert_false(there(w, "new"));
	assert_true(there(w, "rejected"));
	assert_int_equal(claims(w), 0);
	expect_error(w, why);
	expect_in(w->notices, why);
}

static void things_that_are_no_files(void **state)
{
	struct world *w = *state;
	char big[1 << 16];

	start(w);
	assert_int_equal(mkdirat(w->dir, "new", 0755), 0);
	write_file(w, "new/inside", "x");
	expect_refused(w, "a directory");
	assert_true(there(w, "rejected/inside"));
	assert_int_equal(mkfifoat(w->dir, "new", 0644), 0);
	expect_refused(w, "a FIFO");
	assert_int_equal(mkdirat(w->dir, "new", 0755), 0);
	expect_refused(w, "a directory");
	assert_int_equal(symlinkat("/etc/passwd", w->dir, "new"), 0);
	expect_refused(w, "a symbolic link");

	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	(void)snprintf(name.sun_path, sizeof name.sun_path, "%.90s/new", w->path);
	assert_int_equal(bind(s, (struct sockaddr *)&name, sizeof name), 0);
	close(s);
	expect_refused(w, "a socket");
	write_file(w, "new", "");
	expect_refused(w, "is empty");

	int fd = openat(w->dir, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	memset(big, ' ', sizeof big);
	for (size_t n = 0; n <= LIMIT_RELEASE_BYTES; n += sizeof big)
		assert_int_equal(fd_write_all(fd, big, sizeof big), 0);
	close(fd);
	expect_refused(w, "is larger than 4 MiB");

	submit(w, 2, "a");
	assert_int_equal(w->submitted, 1);
	commit(w);
	assert_false(there(w, "rejected"));
}

static void found_at_the_start(void **state)
{
	struct world *w = *state;

	assert_int_equal(mkfifoat(w->dir, "new", 0644), 0);
	start(w);
	expect_in(w->notices, "a FIFO");
	assert_true(there(w, "rejected"));
}

/* As the user of his own directory: nothing readable, a file that is not his (no lease on it). */
static void without_root(void **state)
{
	struct world *w = *state;

	if (geteuid() != 0)
		skip();
	leave(w);
	(void)file_remove_tree(w->dir, ".hsup");
	(void)file_remove_tree(w->dir, "releases");
	assert_int_equal(fchown(w->dir, NOBODY, (gid_t)-1), 0);
	assert_int_equal(seteuid(NOBODY), 0);
	enter(w);
	start(w);
	for (int i = 0; i < 2; i++) {
		write_file(w, "tmp", "secret");
		assert_int_equal(fchmodat(w->dir, "tmp", 0, 0), 0);
		assert_int_equal(renameat(w->dir, "tmp", w->dir, "new"), 0);
		expect_refused(w, "new: cannot be read: Permission denied");
	}
	assert_int_equal(seteuid(0), 0);
	write_file(w, "new", document(3, "of root"));
	assert_int_equal(seteuid(NOBODY), 0);
	settle(w);
	assert_int_equal(w->version, 3);
	commit(w);
	submit(w, 4, "own");
	commit(w);
	leave(w);
	assert_int_equal(seteuid(0), 0);
	enter(w);
}

/* ---- writers ---- */

static void a_writer_that_is_not_done(void **state)
{
	struct world *w = *state;
	const char *text = document(1, "whole");
	size_t half = strlen(text) / 2;
	int fd = openat(w->dir, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_int_equal(fd_write_all(fd, text, half), 0);
	start(w);
	assert_int_equal(w->submitted, 0);
	assert_true(there(w, "new"));

	/* Another one who opens and closes it meanwhile does not make it whole. */
	close(openat(w->dir, "new", O_WRONLY | O_CLOEXEC));
	settle(w);
	assert_int_equal(w->submitted, 0);
	assert_int_equal(fd_write_all(fd, text + half, strlen(text) - half), 0);
	settle(w);
	assert_int_equal(w->submitted, 0);
	close(fd);
	settle(w);
	assert_int_equal(w->submitted, 1);
	assert_string_equal(w->notices, "");
}

/* He opened `new` just before the rename: his file has the private name already. */
static void a_writer_who_came_with_the_claim(void **state)
{
	struct world *w = *state;
	const char *text = document(1, "slow");
	int fd = openat(w->dir, ".hsup/claim-7", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_int_equal(fd_write_all(fd, text, 10), 0);
	start(w);
	assert_int_equal(w->submitted, 0);
	assert_int_equal(claims(w), 1);
	assert_int_equal(fd_write_all(fd, text + 10, strlen(text) - 10), 0);
	close(fd);
	settle(w);
	assert_int_equal(w->submitted, 1);
	commit(w);
	expect_file(w, "loaded", document(1, "slow"));
}

static void a_newer_one_overtakes_a_waiting_one(void **state)
{
	struct world *w = *state;
	int fd = openat(w->dir, ".hsup/claim-7", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	start(w);
	submit(w, 2, "newer");
	assert_int_equal(w->version, 2);
	assert_int_equal(claims(w), 1);
	assert_false(there(w, ".hsup/claim-7"));
	close(fd);
	settle(w);
	assert_int_equal(w->submitted, 1);
	assert_string_equal(w->notices, "");
}

static void an_older_one_does_not_wait_for_a_newer_writer(void **state)
{
	struct world *w = *state;
	int fd = openat(w->dir, ".hsup/claim-7", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	write_file(w, ".hsup/claim-6", document(6, "older"));
	start(w);
	assert_int_equal(w->version, 6);
	assert_int_equal(claims(w), 2);
	assert_int_equal(fd_write_all(fd, document(7, "newer"), strlen(document(7, "newer"))), 0);
	close(fd);
	settle(w);
	assert_int_equal(w->version, 7);
	assert_int_equal(claims(w), 1);
}

/* He was inside open(2) when it was claimed: what he writes is a submission too. */
static void a_claim_that_is_written_to(void **state)
{
	struct world *w = *state;

	start(w);
	submit(w, 1, "a");
	write_file(w, ".hsup/claim-1", document(2, "b"));
	settle(w);
	assert_int_equal(w->submitted, 2);
	assert_int_equal(w->version, 2);

	/* The same while the first is being decided upon. */
	int fd = openat(w->dir, ".hsup/claim-2", O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	commit(w);
	expect_file(w, "loaded", document(2, "b"));
	assert_int_equal(fd_write_all(fd, document(3, "c"), strlen(document(3, "c"))), 0);
	close(fd);
	settle(w);
	assert_int_equal(w->version, 3);
	int again = openat(w->dir, ".hsup/claim-3", O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(again >= 0);
	control_dir_ops.reject(w->source, w->submission, "no");
	w->submission = NULL;
	expect_file(w, "rejected", document(3, "c"));
	assert_int_equal(fd_write_all(again, document(4, "d"), strlen(document(4, "d"))), 0);
	close(again);
	settle(w);
	assert_int_equal(w->version, 4);
}

/* ---- many ---- */

static void the_last_of_a_burst_wins(void **state)
{
	struct world *w = *state;
	char name[20];

	start(w);
	for (int i = 1; i <= 1000; i++) {
		(void)snprintf(name, sizeof name, "tmp-%d", i % 7);
		write_file(w, name, document(i, "burst"));
		assert_int_equal(renameat(w->dir, name, w->dir, "new"), 0);
		if (i % 13 == 0)
			(void)sd_event_run(w->loop, 0);
	}
	settle(w);
	assert_int_equal(w->version, 1000);
	commit(w);
	assert_int_equal(claims(w), 0);
	expect_file(w, "loaded", document(1000, "burst"));
	assert_string_equal(w->notices, "");
}

/* More events than the queue holds: the overflow makes us look. */
static void a_queue_that_overflows(void **state)
{
	struct world *w = *state;
	_cleanup_close_ int limit = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY);
	char text[32] = "";

	assert_true(read(limit, text, sizeof text - 1) > 0);
	if (atoi(text) > 100000)
		skip();
	start(w);
	/* Two names in turn, as equal events in a row are merged. */
	for (int i = 0; i < atoi(text); i += 2) {
		close(openat(w->dir, "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		close(openat(w->dir, "y", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
	submit(w, 5, "after");
	assert_int_equal(w->version, 5);
}

/* ---- crashes ---- */

static void leftovers_of_a_crash(void **state)
{
	struct world *w = *state;

	write_file(w, ".hsup/claim-8", document(1, "old"));
	write_file(w, ".hsup/claim-9", document(2, "good"));
	write_file(w, ".hsup/claim-10", "broken");
	write_file(w, ".hsup/history", "half");
	leave(w);
	enter(w);
	start(w);
	assert_int_equal(w->submitted, 1);
	assert_int_equal(w->version, 2);
	expect_file(w, "rejected", "broken");
	assert_int_equal(claims(w), 1);
	assert_false(there(w, ".hsup/history"));

	/* Killed while it was being prepared: it comes again; killed after the rename: it does not.
	 */
	leave(w);
	enter(w);
	assert_int_equal(restore(w), 0);
	start(w);
	assert_int_equal(w->version, 2);
	leave(w);
	write_file(w, "loaded", document(2, "good"));
	enter(w);
	assert_int_equal(restore(w), 2);
	start(w);
	assert_int_equal(w->submitted, 0);
	assert_int_equal(claims(w), 0);
	expect_file(w, "releases/v2.json", document(2, "good"));
}

static void new_is_newer_than_leftovers(void **state)
{
	struct world *w = *state;

	write_file(w, ".hsup/claim-8", document(1, "old"));
	write_file(w, "new", document(2, "new"));
	start(w);
	assert_int_equal(w->submitted, 1);
	assert_int_equal(w->version, 2);
	assert_int_equal(claims(w), 1);
}

static void more_leftovers_than_are_kept(void **state)
{
	struct world *w = *state;
	char name[40];

	for (int i = 1; i <= 40; i++) {
		(void)snprintf(name, sizeof name, ".hsup/claim-%d", i);
		write_file(w, name, document(i, "x"));
	}
	start(w);
	assert_int_equal(w->submitted, 1);
	assert_int_equal(w->version, 40);
	assert_int_equal(claims(w), 1);
}

static void a_corrupt_loaded(void **state)
{
	struct world *w = *state;

	write_file(w, "loaded", "{\"Processes\": [");
	write_file(w, "new", document(2, "good"));
	assert_int_equal(restore(w), 0);
	assert_false(there(w, "loaded"));
	expect_file(w, "loaded.bad", "{\"Processes\": [");
	start(w);
	expect_in(w->notices, "2 ");
	expect_in(w->notices, "/loaded is damaged (");
	assert_int_equal(w->version, 2);
	commit(w);
	expect_file(w, "loaded", document(2, "good"));

	leave(w);
	assert_int_equal(unlinkat(w->dir, "loaded", 0), 0);
	assert_int_equal(mkdirat(w->dir, "loaded", 0755), 0);
	enter(w);
	assert_int_equal(restore(w), 0);
	assert_true(there(w, "loaded.bad"));
	assert_false(there(w, "loaded"));
}

/* ---- after the commit ---- */

static void back_to_the_last_that_ran_well(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	start(w);
	submit(w, 1, "first");
	commit(w);
	assert_int_equal(control_dir_ops.roll_back(w->source, "bad", &err), -ENOENT);
	expect_file(w, "loaded", document(1, "first"));
	control_dir_ops.settled(w->source);

	/* Two that do not settle, one after the other: back to the one that did. */
	submit(w, 2, "second");
	commit(w);
	submit(w, 3, "third");
	commit(w);
	leave(w);
	enter(w);
	int64_t settled;
	assert_int_equal(restore_both(w, &settled), 3);
	assert_int_equal(settled, 1);
	start(w);
	assert_int_equal(control_dir_ops.roll_back(w->source, "web.1 did not come up", &err), 0);
	expect_file(w, "loaded", document(1, "first"));
	expect_file(w, "rejected", document(3, "third"));
	expect_file(w, "last_error", "web.1 did not come up\n");
	assert_int_equal(mode(w, "rejected"), 0600);
	assert_int_equal(mode(w, "loaded"), 0600);
	leave(w);
	enter(w);
	assert_int_equal(restore(w), 1);
	start(w);

	submit(w, 4, "fourth");
	commit(w);
	control_dir_ops.settled(w->source);
	submit(w, 5, "fifth");
	commit(w);
	assert_int_equal(control_dir_ops.roll_back(w->source, "no", &err), 0);
	expect_file(w, "loaded", document(4, "fourth"));
}

static void a_commit_that_fails_changes_nothing(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	start(w);
	assert_int_equal(mkdirat(w->dir, "loaded", 0755), 0);
	write_file(w, "loaded/inside", "x");
	submit(w, 2, "a");
	assert_int_equal(control_dir_ops.commit(w->source, w->submission, &err), -EISDIR);
	w->submission = NULL;
	expect_in(err.text, "loaded: cannot write: ");
	expect_file(w, "rejected", document(2, "a"));
	expect_error(w, "loaded: cannot write: ");
	assert_true(there(w, "loaded/inside"));
	assert_false(there(w, "loaded.tmp"));
	assert_false(there(w, "releases/v2.json"));
	assert_false(there(w, ".hsup/history"));
	assert_int_equal(claims(w), 0);
}

static void refused_later(void **state)
{
	struct world *w = *state;

	start(w);
	submit(w, 2, "a");
	control_dir_ops.reject(w->source, w->submission, "Slug: 404");
	w->submission = NULL;
	expect_file(w, "rejected", document(2, "a"));
	expect_file(w, "last_error", "Slug: 404\n");
	submit(w, 3, "b");
	control_dir_ops.drop(w->source, w->submission);
	w->submission = NULL;
	assert_int_equal(claims(w), 0);
	expect_file(w, "rejected", document(2, "a"));
	assert_false(there(w, "loaded"));
}

/* ---- the directory itself ---- */

static void it_is_held(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	struct release *r = NULL, *settled = NULL;
	void *other = NULL;
	char want[100];

	write_file(w, "loaded", document(4, "a"));
	write_file(w, "new", document(5, "b"));
	(void)snprintf(want, sizeof want, "is held by hsup with pid %d", (int)getpid());
	assert_int_equal(control_dir_open(w->path, CONTROL_DIR_HOLD, &other, &err), -EBUSY);
	expect_in(err.text, want);
	assert_null(other);

	assert_int_equal(control_dir_open(w->path, CONTROL_DIR_TRY, &other, &err), 0);
	assert_false(control_dir_held_by_us(other));
	assert_true(control_dir_held_by_us(w->source));
	assert_string_equal(control_dir_path(other), w->path);
	assert_int_equal(control_dir_ops.restore(other, &r, &settled, &err), 1);
	assert_int_equal(r->version, 4);
	(void)release_unref(r);
	assert_int_equal(control_dir_ops.start(other, w->loop, &events, w, &err), -EBUSY);
	assert_true(there(w, "new"));
	assert_false(there(w, "releases/v4.json"));
	write_file(w, "loaded", "damaged");
	assert_int_equal(control_dir_ops.restore(other, &r, &settled, &err), -EBADMSG);
	assert_true(there(w, "loaded"));
	control_dir_ops.close(other);

	leave(w);
	assert_int_equal(control_dir_open(w->path, CONTROL_DIR_TRY, &w->source, &err), 0);
	assert_true(control_dir_held_by_us(w->source));
}

static void one_that_does_not_exist(void **state)
{
	struct err err = {0};
	void *other = NULL;

	(void)state;
	assert_int_equal(
		control_dir_open("/tmp/test-control-dir-no-such", CONTROL_DIR_HOLD, &other, &err),
		-ENOENT);
	expect_in(err.text, "/tmp/test-control-dir-no-such");
}

static void make_again(struct world *w)
{
	assert_int_equal(mkdir(w->path, 0700), 0);
	close(w->dir);
	w->dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void removed_and_made_again(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	void *other;

	start(w);
	submit(w, 1, "a");
	commit(w);
	control_dir_ops.settled(w->source);
	submit(w, 2, "b");
	struct submission *pending = w->submission;
	w->submission = NULL;
	assert_int_equal(file_remove_tree(AT_FDCWD, w->path), 0);
	settle(w);
	expect_in(w->notices, "was removed");
	assert_int_equal(access(w->path, F_OK), -1);
	/* Nowhere to put it, and no harm done. */
	assert_int_equal(control_dir_ops.commit(w->source, pending, &err), -ENOENT);

	make_again(w);
	write_file(w, "new", document(3, "c"));
	settle(w);
	expect_in(w->notices, "is there again");
	assert_int_equal(w->version, 3);
	expect_file(w, "loaded", document(1, "a"));
	assert_int_equal(control_dir_open(w->path, CONTROL_DIR_HOLD, &other, &err), -EBUSY);
	commit(w);
	expect_file(w, "loaded", document(3, "c"));
	assert_int_equal(control_dir_ops.roll_back(w->source, "no", &err), 0);
	expect_file(w, "loaded", document(1, "a"));

	/* Once more, without a turn of the loop in between. */
	assert_int_equal(file_remove_tree(AT_FDCWD, w->path), 0);
	make_again(w);
	settle(w);
	submit(w, 4, "d");
	assert_int_equal(w->version, 4);
	commit(w);
}

static void moved_away_and_back(void **state)
{
	struct world *w = *state;
	char away[150];

	(void)snprintf(away, sizeof away, "%s-away", w->path);
	start(w);
	submit(w, 1, "a");
	assert_int_equal(rename(w->path, away), 0);
	settle(w);
	expect_in(w->notices, "was removed");
	assert_int_equal(rename(away, w->path), 0);
	settle(w);
	expect_in(w->notices, "is there again");
	assert_int_equal(w->submitted, 1);
	commit(w);
	expect_file(w, "loaded", document(1, "a"));
	assert_int_equal(claims(w), 0);
}

static void the_parents_go_too(void **state)
{
	struct world *w = *state;
	char top[100], sub[120];

	leave(w);
	(void)snprintf(top, sizeof top, "%.90s", w->path);
	(void)snprintf(sub, sizeof sub, "%s/sub", top);
	assert_int_equal(mkdir(sub, 0700), 0);
	(void)snprintf(w->path, sizeof w->path, "%s/sub/app", top);
	enter(w);
	start(w);
	assert_int_equal(file_remove_tree(AT_FDCWD, sub), 0);
	settle(w);
	assert_int_equal(mkdir(sub, 0700), 0);
	settle(w);
	make_again(w);
	settle(w);
	submit(w, 4, "d");
	assert_int_equal(w->version, 4);
	commit(w);
	(void)snprintf(w->path, sizeof w->path, "%s", top);
}

static void only_the_scratch_is_removed(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	start(w);
	submit(w, 1, "a");
	commit(w);
	control_dir_ops.settled(w->source);
	assert_int_equal(file_remove_tree(w->dir, ".hsup"), 0);
	settle(w);
	assert_false(there(w, ".hsup"));
	submit(w, 2, "b");
	assert_int_equal(w->version, 2);

	assert_int_equal(file_remove_tree(w->dir, ".hsup"), 0);
	settle(w);
	commit(w);
	expect_file(w, "loaded", document(2, "b"));
	submit(w, 3, "c");
	commit(w);
	/* What it knew about the last settled one was written again. */
	assert_int_equal(control_dir_ops.roll_back(w->source, "no", &err), 0);
	expect_file(w, "loaded", document(1, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_DIR(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		IN_DIR(a_submission_is_committed),
		IN_DIR(what_waits_is_delivered_at_the_start),
		IN_DIR(one_without_number_gets_one),
		IN_DIR(the_history_keeps_the_highest),
		IN_DIR(a_bad_document_is_rejected),
		IN_DIR(things_that_are_no_files),
		IN_DIR(found_at_the_start),
		IN_DIR(without_root),
		IN_DIR(a_writer_that_is_not_done),
		IN_DIR(a_writer_who_came_with_the_claim),
		IN_DIR(a_newer_one_overtakes_a_waiting_one),
		IN_DIR(an_older_one_does_not_wait_for_a_newer_writer),
		IN_DIR(a_claim_that_is_written_to),
		IN_DIR(the_last_of_a_burst_wins),
		IN_DIR(a_queue_that_overflows),
		IN_DIR(leftovers_of_a_crash),
		IN_DIR(new_is_newer_than_leftovers),
		IN_DIR(more_leftovers_than_are_kept),
		IN_DIR(a_corrupt_loaded),
		IN_DIR(back_to_the_last_that_ran_well),
		IN_DIR(a_commit_that_fails_changes_nothing),
		IN_DIR(refused_later),
		IN_DIR(it_is_held),
		IN_DIR(one_that_does_not_exist),
		IN_DIR(removed_and_made_again),
		IN_DIR(moved_away_and_back),
		IN_DIR(the_parents_go_too),
		IN_DIR(only_the_scratch_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
