/* logs: the last lines of each dyno, kept in a file that outlives us and may have been damaged. */
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
#include "base/str.h"
#include "logs/ring_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES	((size_t)64 << 10)
#define ENTRIES 8
#define CHUNKS	64

struct world {
	char dir[32], path[64];
	struct rings *rings;
	struct strbuf out;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	(void)snprintf(w->dir, sizeof w->dir, "/tmp/test-ring-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->path, sizeof w->path, "%s/log.rings", w->dir);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	rings_free(w->rings);
	strbuf_done(&w->out);
	(void)unlink(w->path);
	assert_int_equal(rmdir(w->dir), 0);
	free(w);
	return 0;
}

static void open_small(struct world *w)
{
	struct err err = {0};

	w->rings = rings_free(w->rings);
	if (rings_open_shape(w->path, ENTRIES, CHUNKS, &w->rings, &err) < 0)
		fail_msg("%s", err.text);
}

static void open_well(struct world *w)
{
	open_small(w);
	assert_null(rings_refused(w->rings));
}

static void say_to(
	struct rings *r, uint64_t at, const char *procid, enum log_stream stream, const char *text)
{
	const struct log_line line = {
		.wall_ns = at,
		.source = stream == STREAM_SYSTEM ? "hsup" : "app",
		.procid = procid,
		.color = 3,
		.stream = stream,
		.text = text,
		.len = strlen(text),
	};

	rings_add(r, &line, BYTES);
}

static void say(struct world *w, uint64_t at, const char *procid, const char *text)
{
	say_to(w->rings, at, procid, STREAM_OUT, text);
}

static int collect(void *userdata, const struct log_line *line)
{
	struct world *w = userdata;

	(void)strbuf_printf(&w->out, "%llu %s%s%s%s:", (unsigned long long)line->wall_ns,
		line->procid, line->stream == STREAM_ERR ? "!" : "", line->whole ? "=" : "",
		line->partial ? "+" : "");
	(void)strbuf_add(&w->out, line->text, line->len);
	(void)strbuf_puts(&w->out, "\n");
	assert_string_equal(line->source, line->stream == STREAM_SYSTEM ? "hsup" : "app");
	return 0;
}

static void expect_of(struct world *w, const struct ring_query *q, const char *want)
{
	strbuf_reset(&w->out);
	assert_int_equal(rings_read(w->rings, q, collect, w), 0);
	assert_string_equal(w->out.data && w->out.len ? w->out.data : "", want);
}

static void expect(struct world *w, const char *want)
{
	expect_of(w, &(struct ring_query){0}, want);
}

/* ---- lines in, lines out ---- */

static void merged_in_the_order_of_time(void **state)
{
	struct world *w = *state;

	open_well(w);
	expect(w, "");
	say(w, 1, "web.1", "one");
	say(w, 4, "web.1", "four");
	say_to(w->rings, 2, "web.1", STREAM_ERR, "two");
	say(w, 3, "web.2", "");
	say_to(w->rings, 5, "web.2", STREAM_SYSTEM, "five");
	say(w, 6, "web.2", "six\033[0m");
	expect(w, "1 web.1:one\n2 web.1!:two\n3 web.2:\n4 web.1:four\n5 web.2:five\n"
		  "6 web.2:six\033[0m\n");
}

static void queries(void **state)
{
	struct world *w = *state;
	const char *web[] = {"web"}, *one[] = {"*.1", "supervisor"}, *none[] = {"we"},
		   *exact[] = {"web.2"};

	open_well(w);
	for (unsigned i = 1; i <= 9; i++)
		say(w, 10 * i, i % 3 == 0 ? "job.1" : i % 3 == 1 ? "web.1" : "web.2", "x");
	say_to(w->rings, 41, "supervisor", STREAM_SYSTEM, "y");
	say_to(w->rings, 42, "web.2", STREAM_SYSTEM, "z");
	expect_of(w, &(struct ring_query){.last = 3}, "70 web.1:x\n80 web.2:x\n90 job.1:x\n");
	expect_of(w, &(struct ring_query){.last = 3, .since = 85}, "90 job.1:x\n");
	expect_of(w, &(struct ring_query){.since = 80}, "80 web.2:x\n90 job.1:x\n");
	expect_of(w, &(struct ring_query){.since = 91}, "");
	expect_of(w, &(struct ring_query){.names = web, .n_names = 1, .last = 4},
		"42 web.2:z\n50 web.2:x\n70 web.1:x\n80 web.2:x\n");
	expect_of(w, &(struct ring_query){.names = exact, .n_names = 1, .last = 2},
		"50 web.2:x\n80 web.2:x\n");
	expect_of(w, &(struct ring_query){.names = one, .n_names = 2, .since = 40},
		"40 web.1:x\n41 supervisor:y\n60 job.1:x\n70 web.1:x\n90 job.1:x\n");
	expect_of(w, &(struct ring_query){.names = none, .n_names = 1}, "");
	expect_of(w, &(struct ring_query){.streams = 1 << STREAM_SYSTEM},
		"41 supervisor:y\n42 web.2:z\n");
	expect_of(w, &(struct ring_query){.streams = 1 << STREAM_ERR}, "");
}

static int stop_at_two(void *userdata, const struct log_line *line)
{
	(void)line;
	return ++*(int *)userdata == 2 ? 77 : 0;
}

static void a_reader_may_stop(void **state)
{
	struct world *w = *state;
	int n = 0;

	open_well(w);
	for (unsigned i = 1; i <= 9; i++)
		say(w, i, "web.1", "x");
	assert_int_equal(rings_read(w->rings, &(struct ring_query){0}, stop_at_two, &n), 77);
	assert_int_equal(n, 2);
}

/* Lines of all lengths, over the borders of chunks, till the ring has gone round often: the last
 * ones are there, whole and in order. */
static void a_ring_goes_round(void **state)
{
	struct world *w = *state;
	static char text[LIMIT_LINE + 1];
	static size_t lens[3000];
	struct log_line line;
	size_t kept = 0;

	open_well(w);
	struct ring *ring = rings_ring(w->rings, "web.1", STREAM_OUT, 0, BYTES);
	for (unsigned i = 0; i < 3000; i++) {
		lens[i] = i % 50 == 7 ? LIMIT_LINE : i * 37 % 300;
		memset(text, 'a' + (int)(i % 26), lens[i]);
		ring_add(ring, i + 1, text, lens[i], 0);
	}
	assert_true(ring->n == BYTES / RING_CHUNK);
	struct ring_reader *reader = ring_reader_new(w->rings, &(struct ring_query){0});
	unsigned next = 0;
	while (ring_reader_next(reader, &line)) {
		unsigned i = (unsigned)line.wall_ns - 1;

		assert_true(next == 0 || next == i);
		next = i + 1;
		kept += line.len;
		assert_int_equal(line.len, lens[i]);
		for (size_t k = 0; k < line.len; k++)
			assert_int_equal(line.text[k], 'a' + (int)(i % 26));
		assert_false(line.partial);
	}
	assert_int_equal(next, 3000);
	assert_true(kept > BYTES - 2 * RING_CHUNK - LIMIT_LINE && kept < BYTES);
	ring_reader_free(reader);

	/* From the end: the same ones. */
	for (size_t last = 1; last < 100; last += 7) {
		reader = ring_reader_new(w->rings, &(struct ring_query){.last = last});
		for (size_t i = 3000 - last; i < 3000; i++) {
			assert_true(ring_reader_next(reader, &line));
			assert_int_equal(line.wall_ns, i + 1);
			assert_int_equal(line.len, lens[i]);
		}
		assert_false(ring_reader_next(reader, &line));
		ring_reader_free(reader);
	}
	ring_unref(ring);
}

static void flags_and_sizes(void **state)
{
	struct world *w = *state;

	open_well(w);
	struct ring *ring = rings_ring(w->rings, "web.1", STREAM_ERR, 5, BYTES);
	ring_add(ring, 1, "a", 1, RING_PARTIAL);
	ring_add(ring, 2, "b", 1, RING_WHOLE);
	expect(w, "1 web.1!+:a\n2 web.1!=:b\n");
	ring_unref(ring);

	/* Nothing is kept; then less than before. */
	ring = rings_ring(w->rings, "quiet.1", STREAM_OUT, 0, 0);
	ring_add(ring, 3, "c", 1, 0);
	ring_unref(ring);
	ring = rings_ring(w->rings, "web.1", STREAM_ERR, 5, 1);
	assert_int_equal(ring->max, 4);
	for (int i = 0; i < 100; i++)
		ring_add(ring, 4, "0123456789", 10, 0);
	assert_int_equal(ring->n, 1);
	ring_unref(ring);

	/* No names that could do harm. */
	assert_null(rings_ring(w->rings, "", STREAM_OUT, 0, BYTES));
	assert_null(rings_ring(w->rings, "a\033b", STREAM_OUT, 0, BYTES));
	assert_null(rings_ring(w->rings, "web.1", STREAM_SYSTEM, 0, BYTES));
	char name[LIMIT_NAME + 2];
	memset(name, 'x', sizeof name - 1);
	name[LIMIT_NAME + 1] = '\0';
	assert_null(rings_ring(w->rings, name, STREAM_OUT, 0, BYTES));
	ring_add(NULL, 1, "x", 1, 0);
	assert_null(ring_unref(NULL));
	rings_add(NULL, &(struct log_line){0}, BYTES);
}

static void a_slow_reader_misses_what_was_overwritten(void **state)
{
	struct world *w = *state;
	struct log_line line;
	uint64_t at = 1, before = 0;

	open_well(w);
	for (; at <= 2000; at++)
		say(w, at, "web.1", "0123456789012345678901234567890123456789");
	struct ring_reader *reader = ring_reader_new(w->rings, &(struct ring_query){0});
	while (ring_reader_next(reader, &line)) {
		assert_true(line.wall_ns > before && line.wall_ns <= 2000);
		assert_memory_equal(line.text, "0123456789", 10);
		before = line.wall_ns;
		for (int i = 0; i < 5; i++, at++)
			say(w, at, "web.1", "0123456789abcdefghijklmnopqrstuvwxyz");
	}
	ring_reader_free(reader);
}

/* ---- what there is is shared ---- */

static void who_is_silent_for_longest_gives_way(void **state)
{
	struct world *w = *state;
	char text[1001];

	open_well(w);
	memset(text, 'x', 1000);
	text[1000] = '\0';
	say(w, 1, "old.1", "first");
	say(w, 2, "old.2", "second");
	/* Four rings of 16 chunks, and one each of the others. */
	for (unsigned k = 1; k <= 3; k++)
		for (unsigned i = 0; i < 200; i++) {
			char name[8];

			(void)snprintf(name, sizeof name, "web.%u", k);
			say(w, 10 + k, name, text);
		}
	say(w, 3, "old.1", "again");
	const char *old[] = {"old.*"};
	const struct ring_query q = {.names = old, .n_names = 1};
	expect_of(w, &q, "1 old.1:first\n2 old.2:second\n3 old.1:again\n");
	for (unsigned i = 0; i < 200; i++)
		say(w, 14, "web.4", text);
	/* 64 chunks: old.2 was the first to go. */
	expect_of(w, &q, "1 old.1:first\n3 old.1:again\n");
	assert_int_equal(w->rings->file.header->used_chunks, CHUNKS);
	assert_null(rings_trouble(w->rings));
}

static void names_are_shared_too(void **state)
{
	struct world *w = *state;
	struct ring *held = NULL;

	open_well(w);
	held = rings_ring(w->rings, "held.1", STREAM_OUT, 0, BYTES);
	ring_add(held, 1, "x", 1, 0);
	for (unsigned i = 0; i < 20; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "run.%u", i);
		say(w, 10 + i, name, "y");
	}
	expect(w, "1 held.1:x\n23 run.13:y\n24 run.14:y\n25 run.15:y\n26 run.16:y\n27 run.17:y\n"
		  "28 run.18:y\n29 run.19:y\n");
	ring_add(held, 30, "z", 1, 0);
	ring_unref(held);

	/* All are held: one more finds no room, and does no harm. */
	struct ring *all[ENTRIES];
	for (unsigned i = 0; i < ENTRIES; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "all.%u", i);
		all[i] = rings_ring(w->rings, name, STREAM_OUT, 0, BYTES);
		assert_non_null(all[i]);
	}
	assert_null(rings_ring(w->rings, "more.1", STREAM_OUT, 0, BYTES));
	say(w, 99, "more.1", "x");
	say_to(w->rings, 99, "more.1", STREAM_SYSTEM, "x");
	expect(w, "");
	for (unsigned i = 0; i < ENTRIES; i++)
		ring_unref(all[i]);
}

/* ---- the next life ---- */

static void the_next_life_goes_on(void **state)
{
	struct world *w = *state;
	char long_text[9001];

	memset(long_text, 'l', 9000);
	long_text[9000] = '\0';
	open_well(w);
	say(w, 1, "web.1", "one");
	say_to(w->rings, 2, "web.1", STREAM_SYSTEM, "two");
	say(w, 3, "web.2", long_text);
	open_well(w);
	say(w, 4, "web.1", "four");
	say(w, 5, "web.3", "five");
	say_to(w->rings, 6, "web.3", STREAM_SYSTEM, "six");
	open_well(w);
	struct strbuf want = {0};
	(void)strbuf_printf(&want,
		"1 web.1:one\n2 web.1:two\n3 web.2:%s\n4 web.1:four\n5 web.3:five\n6 web.3:six\n",
		long_text);
	expect(w, want.data);
	strbuf_done(&want);
	struct stat st;
	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* A writer is killed at any instant: what is there is a run of whole lines, the first bytes of one
 * that was just added at most. */
static void a_kill_leaves_what_can_be_read(void **state)
{
	struct world *w = *state;

	for (unsigned round = 0; round < 40; round++) {
		int started[2];
		char byte;

		assert_int_equal(pipe2(started, O_CLOEXEC), 0);
		pid_t pid = fork();
		if (pid == 0) {
			static char text[LIMIT_LINE];

			open_small(w);
			struct ring *ring = rings_ring(w->rings, "web.1", STREAM_OUT, 0, BYTES);
			memset(text, 'x', sizeof text);
			(void)!write(started[1], "", 1);
			for (uint64_t i = 1;; i++)
				ring_add(ring, i, text, i % 10 == 3 ? 9000 : i % 200, 0);
		}
		assert_int_equal(read(started[0], &byte, 1), 1);
		usleep(round * 100);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		close(started[0]);
		close(started[1]);

		open_well(w);
		struct ring_reader *reader = ring_reader_new(w->rings, &(struct ring_query){0});
		struct log_line line = {0};
		uint64_t before = 0;
		bool partial = false;
		while (ring_reader_next(reader, &line)) {
			assert_false(partial);
			assert_true(before == 0 || line.wall_ns == before + 1);
			before = line.wall_ns;
			partial = line.partial;
			if (!partial)
				assert_int_equal(line.len, before % 10 == 3 ? 9000 : before % 200);
		}
		ring_reader_free(reader);
		w->rings = rings_free(w->rings);
		(void)unlink(w->path);
	}
}

static void patch(struct world *w, off_t at, const void *data, size_t len)
{
	_cleanup_close_ int fd = open(w->path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, at), (int)len);
}

static void begun_anew(struct world *w, const char *why)
{
	open_small(w);
	assert_non_null(rings_refused(w->rings));
	assert_non_null(strstr(rings_refused(w->rings), w->path));
	if (!strstr(rings_refused(w->rings), why))
		fail_msg("%s", rings_refused(w->rings));
	expect(w, "");
	say(w, 1, "web.1", "one");
	open_well(w);
	expect(w, "1 web.1:one\n");
	w->rings = rings_free(w->rings);
}

static void what_cannot_be_used_is_begun_anew(void **state)
{
	struct world *w = *state;
	uint32_t many = ENTRIES + 1, layout = RING_LAYOUT + 1;

	open_well(w);
	w->rings = rings_free(w->rings);
	patch(w, 0, "nonsense", 8);
	begun_anew(w, "damaged");
	patch(w, offsetof(struct ring_header, layout), &layout, sizeof layout);
	begun_anew(w, "another version");
	patch(w, offsetof(struct ring_header, max_entries), &many, sizeof many);
	begun_anew(w, "another version");
	patch(w, offsetof(struct ring_header, used_entries), &many, sizeof many);
	begun_anew(w, "damaged");
	many = UINT32_MAX;
	patch(w, offsetof(struct ring_header, used_chunks), &many, sizeof many);
	begun_anew(w, "damaged");
	assert_int_equal(truncate(w->path, 5000), 0);
	begun_anew(w, "damaged");
	assert_int_equal(truncate(w->path, 3), 0);
	begun_anew(w, "damaged");
	(void)unlink(w->path);
	assert_int_equal(mkfifo(w->path, 0600), 0);
	begun_anew(w, "regular file");
	(void)unlink(w->path);
	assert_int_equal(symlink("/etc/passwd", w->path), 0);
	begun_anew(w, "symbolic links");

	/* Empty: as if there were none. */
	assert_int_equal(truncate(w->path, 0), 0);
	open_well(w);
}

static void where_none_can_be_made(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	assert_int_equal(rings_open("/proc/no/such", &w->rings, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/proc/no/such"));
	assert_null(w->rings);
	assert_int_equal(mkdir(w->path, 0700), 0);
	assert_int_equal(rings_open(w->path, &w->rings, &err), -EISDIR);
	assert_null(w->rings);
	assert_int_equal(rmdir(w->path), 0);
}

/* One that is damaged within loses what was damaged. */
static void damage_within(void **state)
{
	struct world *w = *state;
	uint32_t nobody = 4000000;
	uint16_t len = 60000;

	open_well(w);
	say(w, 1, "web.1", "one");
	say(w, 2, "web.2", "two");
	say(w, 3, "web.3", "three");
	say(w, 4, "web.3", "four");
	off_t entry = (char *)&w->rings->file.entries[0] - w->rings->file.map,
	      owner = (char *)&w->rings->file.table[1] - w->rings->file.map,
	      record = ring_file_chunk(&w->rings->file, 2) - w->rings->file.map;
	w->rings = rings_free(w->rings);
	patch(w, entry + (off_t)offsetof(struct ring_entry, name), "\033[2J", 4);
	patch(w, owner, &nobody, sizeof nobody);
	patch(w, record + (off_t)offsetof(struct ring_record, len), &len, sizeof len);
	open_well(w);
	expect(w, "");
	expect_of(w, &(struct ring_query){.last = 1}, "4 web.3:four\n");
	say(w, 5, "web.3", "five");
	say(w, 6, "web.1", "six");
	expect(w, "5 web.3:five\n6 web.1:six\n");
	expect_of(w, &(struct ring_query){.last = 2}, "5 web.3:five\n6 web.1:six\n");
}

/* ---- followers ---- */

static void remember(void *userdata, const struct log_line *line)
{
	(void)collect(userdata, line);
}

static void followers(void **state)
{
	struct world *w = *state;
	const char *one[] = {"web.1"};
	const struct ring_query all = {0}, only = {.names = one, .n_names = 1};
	struct world other = {0};

	open_well(w);
	say(w, 1, "web.1", "before");
	struct ring_follower *f = rings_follow(w->rings, &all, remember, w),
			     *g = rings_follow(w->rings, &only, remember, &other);
	struct ring *quiet = rings_ring(w->rings, "quiet.1", STREAM_OUT, 0, 0);
	say(w, 2, "web.1", "two");
	say(w, 3, "web.2", "three");
	say_to(w->rings, 4, "web.1", STREAM_SYSTEM, "four");
	ring_add(quiet, 5, "five", 4, RING_PARTIAL);
	rings_unfollow(g);
	say(w, 6, "web.1", "six");
	rings_unfollow(f);
	rings_unfollow(NULL);
	say(w, 7, "web.1", "seven");
	assert_string_equal(w->out.data,
		"2 web.1:two\n3 web.2:three\n4 web.1:four\n5 quiet.1+:five\n6 web.1:six\n");
	assert_string_equal(other.out.data, "2 web.1:two\n4 web.1:four\n");
	strbuf_done(&other.out);
	ring_unref(quiet);

	for (unsigned i = 0; i < LIMIT_FOLLOWERS; i++)
		assert_non_null(rings_follow(w->rings, &all, remember, w));
	assert_null(rings_follow(w->rings, &all, remember, w));
}

static struct ring_follower *pair[2];

static void leave_both(void *userdata, const struct log_line *line)
{
	(void)line;
	++*(int *)userdata;
	rings_unfollow(pair[0]);
	rings_unfollow(pair[1]);
	pair[0] = pair[1] = NULL;
}

static void a_follower_may_leave(void **state)
{
	struct world *w = *state;
	const struct ring_query all = {0};
	int n = 0;

	open_well(w);
	pair[0] = rings_follow(w->rings, &all, leave_both, &n);
	pair[1] = rings_follow(w->rings, &all, leave_both, &n);
	say(w, 1, "web.1", "x");
	say(w, 2, "web.1", "x");
	assert_int_equal(n, 1);
}

/* ---- memory ---- */

/* In a child, on a file system with room for little: its exit code. */
static int on_a_small_disk(struct world *w)
{
	char text[1001];

	memset(text, 'x', 1000);
	text[1000] = '\0';
	if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("hsup", w->dir, "tmpfs", 0, "size=40k,mode=0777") < 0)
		return 2;
	open_well(w);
	for (unsigned i = 0; i < 100; i++)
		say(w, 10 + i, i % 2 ? "web.1" : "web.2", text);
	const char *why = rings_trouble(w->rings);
	if (!why || !strstr(why, "No space left") || rings_trouble(w->rings))
		return 3;
	/* The chunks there are go to who writes. */
	for (unsigned i = 0; i < 10; i++)
		say(w, 200 + i, "web.3", "y");
	if (rings_trouble(w->rings))
		return 4;
	strbuf_reset(&w->out);
	(void)rings_read(w->rings, &(struct ring_query){.last = 2}, collect, w);
	if (strcmp(w->out.data, "208 web.3:y\n209 web.3:y\n") != 0)
		return 5;
	/* The next life: memory is asked for again. */
	open_well(w);
	strbuf_reset(&w->out);
	(void)rings_read(w->rings, &(struct ring_query){.last = 1}, collect, w);
	if (strcmp(w->out.data, "209 web.3:y\n") != 0)
		return 6;
	/* No room for even one. */
	w->rings = rings_free(w->rings);
	(void)unlink(w->path);
	int fd = open(w->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, text, sizeof text) > 0)
		;
	struct err err = {0};
	struct rings *none = NULL;
	(void)snprintf(w->path, sizeof w->path, "%s/other", w->dir);
	if (rings_open_shape(w->path, ENTRIES, CHUNKS, &none, &err) != -ENOSPC || none)
		return 7;
	return access(w->path, F_OK) == 0 ? 8 : 0;
}

/* Said once, and nobody dies of SIGBUS. */
static void a_full_file_system(void **state)
{
	struct world *w = *state;
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(on_a_small_disk(w));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Thousands of dynos that say nothing cost their names only. */
static void the_silent_cost_nothing(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	struct stat before, after;

	assert_int_equal(rings_open(w->path, &w->rings, &err), 0);
	assert_int_equal(stat(w->path, &before), 0);
	for (unsigned i = 0; i < 6000; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "web.%u", i);
		assert_non_null(rings_ring(w->rings, name, STREAM_OUT, 0, BYTES));
		assert_non_null(rings_ring(w->rings, name, STREAM_ERR, 0, BYTES));
		say_to(w->rings, i, name, STREAM_SYSTEM, "State changed from starting to up");
	}
	assert_int_equal(stat(w->path, &after), 0);
	assert_true((after.st_blocks - before.st_blocks) * 512 < 6000 * 500);
	struct ring_reader *reader = ring_reader_new(w->rings, &(struct ring_query){.last = 1});
	struct log_line line;
	assert_true(ring_reader_next(reader, &line));
	assert_string_equal(line.procid, "web.5999");
	ring_reader_free(reader);
}

static void without_a_file(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	assert_int_equal(rings_open(NULL, &w->rings, &err), 0);
	say(w, 1, "web.1", "one");
	expect(w, "1 web.1:one\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define RING(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		RING(merged_in_the_order_of_time),
		RING(queries),
		RING(a_reader_may_stop),
		RING(a_ring_goes_round),
		RING(flags_and_sizes),
		RING(a_slow_reader_misses_what_was_overwritten),
		RING(who_is_silent_for_longest_gives_way),
		RING(names_are_shared_too),
		RING(the_next_life_goes_on),
		RING(a_kill_leaves_what_can_be_read),
		RING(what_cannot_be_used_is_begun_anew),
		RING(where_none_can_be_made),
		RING(damage_within),
		RING(followers),
		RING(a_follower_may_leave),
		RING(a_full_file_system),
		RING(the_silent_cost_nothing),
		RING(without_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
