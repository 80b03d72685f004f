/* logs: from pipes to a sink that may stall, losing nothing; and the terminal's format. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/str.h"
#include "logs/router.h"
#include "logs/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* ---- a sink that remembers ---- */

struct fake {
	struct sink sink;
	struct strbuf *out; /* "procid:text\n", or "whole:text\n", of what was flushed; outlives the
			       router */
	struct strbuf held;
	size_t room; /* lines it takes before it is full */
	size_t n_held;
	bool stalls;
	unsigned asked; /* when_writable */
	unsigned flushes;
	void (*writable)(void *userdata);
	void *userdata;
};

static struct fake *fake_of(struct sink *s)
{
	return (struct fake *)s;
}

static int fake_line(struct sink *s, const struct log_line *line)
{
	struct fake *f = fake_of(s);

	if (f->n_held == f->room)
		return -EAGAIN;
	f->n_held++;
	assert_true(line->wall_ns > 0);
	assert_string_equal(line->source, line->stream == STREAM_SYSTEM ? "hsup" : "app");
	(void)strbuf_printf(&f->held, "%s:", line->whole ? "whole" : line->procid);
	(void)strbuf_add(&f->held, line->text, line->len);
	return strbuf_puts(&f->held, "\n");
}

static int fake_flush(struct sink *s)
{
	struct fake *f = fake_of(s);

	f->flushes++;
	if (f->stalls && f->n_held > 0)
		return -EAGAIN;
	if (f->held.len)
		(void)strbuf_add(f->out, f->held.data, f->held.len);
	strbuf_reset(&f->held);
	f->n_held = 0;
	return 0;
}

static int fake_when_writable(
	struct sink *s, sd_event *loop, void (*writable)(void *userdata), void *userdata)
{
	struct fake *f = fake_of(s);

	(void)loop;
	f->asked++;
	f->writable = writable;
	f->userdata = userdata;
	return 0;
}

static int fake_wait(struct sink *s, uint64_t ns)
{
	(void)s;
	(void)ns;
	return -ETIMEDOUT;
}

static void fake_free(struct sink *s)
{
	strbuf_done(&fake_of(s)->held);
	free(s);
}

static const struct sink_ops fake_ops = {
	.line = fake_line,
	.flush = fake_flush,
	.when_writable = fake_when_writable,
	.wait = fake_wait,
	.free = fake_free,
};

struct world {
	sd_event *loop;
	struct router *router;
	struct fake *fake;
	struct strbuf out;
	unsigned done;
};

static struct router *make_router(struct world *w)
{
	struct err err = {0};

	w->fake = calloc(1, sizeof *w->fake);
	w->fake->sink.ops = &fake_ops;
	w->fake->out = &w->out;
	w->fake->room = 1000;
	w->router = router_new(w->loop, &w->fake->sink, &err);
	assert_non_null(w->router);
	return w->router;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	assert_int_equal(sd_event_new(&w->loop), 0);
	make_router(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	router_free(w->router);
	sd_event_unref(w->loop);
	strbuf_done(&w->out);
	free(w);
	return 0;
}

/* Runs what is pending; the number of rounds shows whether somebody spins. */
static unsigned settle(struct world *w)
{
	unsigned rounds = 0;

	/* What is hot is looked at every millisecond until it is found empty. */
	while (rounds < 1000 && sd_event_run(w->loop, 3 * NSEC_PER_MSEC / NSEC_PER_USEC) > 0)
		rounds++;
	assert_true(rounds < 1000);
	return rounds;
}

static void resume(struct world *w)
{
	w->fake->stalls = false;
	w->fake->writable(w->fake->userdata);
	(void)settle(w);
}

static void make_pipe(int p[2])
{
	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
}

static struct tap *follow(struct world *w, const char *name, int fd)
{
	struct tap *t = NULL;

	assert_int_equal(router_tap(w->router, name, 0, STREAM_OUT, fd, &t), 0);
	return t;
}

static void say(int fd, const char *text)
{
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static int held(int fd)
{
	int n = -1;

	assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
	return n;
}

static void expect_out(struct world *w, const char *text)
{
	assert_string_equal(w->out.data ? w->out.data : "", text);
}

static void count_done(void *userdata)
{
	((struct world *)userdata)->done++;
}

/* ---- tests ---- */

static void lines_pass_and_a_rest_stays(void **state)
{
	struct world *w = *state;
	int p[2];

	make_pipe(p);
	follow(w, "web.1", p[0]);
	say(p[1], "one\ntwo\nthr");
	(void)settle(w);
	expect_out(w, "web.1:one\nweb.1:two\n");
	assert_int_equal(held(p[1]), 3);
	/* But for a look now and then at whether it grew, which a slow machine may fall into. */
	assert_true(settle(w) <= 1);

	/* An unfinished line wakes us when it grows, not more often. */
	say(p[1], "e");
	assert_true(settle(w) <= 4);
	assert_int_equal(held(p[1]), 4);
	say(p[1], "e\nfour\n");
	(void)settle(w);
	expect_out(w, "web.1:one\nweb.1:two\nweb.1:three\nweb.1:four\n");
	close(p[1]);
}

static void hang_up_is_not_the_end(void **state)
{
	struct world *w = *state;
	char path[] = "/tmp/test-router-XXXXXX", fifo[64];

	assert_non_null(mkdtemp(path));
	(void)snprintf(fifo, sizeof fifo, "%s/out", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	struct tap *t = follow(w, "web.1", open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	(void)settle(w);
	for (int i = 0; i < 2; i++) {
		int out = open(fifo, O_RDWR | O_CLOEXEC);

		say(out, "hello\n");
		(void)settle(w);
		close(out);
		(void)settle(w);
	}
	expect_out(w, "web.1:hello\nweb.1:hello\n");
	router_finish(w->router, t, count_done, w);
	(void)settle(w);
	assert_int_equal(w->done, 1);
	unlink(fifo);
	rmdir(path);
}

static void nothing_is_taken_before_it_is_out(void **state)
{
	struct world *w = *state;
	int p[2];

	make_pipe(p);
	follow(w, "web.1", p[0]);
	w->fake->stalls = true;
	say(p[1], "one\ntwo\n");
	(void)settle(w);
	assert_int_equal(w->fake->n_held, 2);
	assert_int_equal(held(p[1]), 8);
	say(p[1], "three\n");
	(void)settle(w);
	assert_int_equal(w->fake->asked, 1);
	expect_out(w, "");
	resume(w);
	expect_out(w, "web.1:one\nweb.1:two\nweb.1:three\n");
	assert_int_equal(held(p[1]), 0);
	close(p[1]);
}

/* A sink with room for 7 lines, that stalls at each third flush: all bytes, in order. */
static void a_stuttering_sink_loses_nothing(void **state)
{
	struct world *w = *state;
	struct strbuf want = {0};
	unsigned next = 0;
	int p[2];

	make_pipe(p);
	follow(w, "web.1", p[0]);
	w->fake->room = 7;
	for (int round = 0; round < 400; round++) {
		for (int i = 0; i < 29; i++) {
			char text[64];
			int n = snprintf(text, sizeof text, "line %u %.*s\n", next,
				(int)(next % 40), "0123456789012345678901234567890123456789");

			if (write(p[1], text, (size_t)n) != n)
				break;
			(void)strbuf_printf(&want, "web.1:%s", text);
			next++;
		}
		w->fake->stalls = round % 3 == 0;
		(void)settle(w);
		if (round % 3 == 2 && w->fake->writable)
			resume(w);
	}
	if (w->fake->writable)
		resume(w);
	(void)settle(w);
	assert_true(next > 5000);
	expect_out(w, want.data);
	assert_int_equal(held(p[1]), 0);
	strbuf_done(&want);
	close(p[1]);
}

/* kill -9: what was not let go comes again from the pipe, what was does not. */
static void a_second_router_goes_on(void **state)
{
	struct world *w = *state;
	int p[2];

	make_pipe(p);
	follow(w, "web.1", fcntl(p[0], F_DUPFD_CLOEXEC, 3));
	say(p[1], "one\nhal");
	(void)settle(w);
	w->fake->stalls = true;
	say(p[1], "f\nthree\nfo");
	(void)settle(w);
	expect_out(w, "web.1:one\n");
	router_free(w->router);
	assert_int_equal(held(p[0]), 13);

	make_router(w);
	follow(w, "web.1", p[0]);
	(void)settle(w);
	say(p[1], "ur\n");
	(void)settle(w);
	expect_out(w, "web.1:one\nweb.1:half\nweb.1:three\nweb.1:four\n");
	close(p[1]);
}

static void the_last_words(void **state)
{
	struct world *w = *state;
	int p[2], q[2];

	make_pipe(p);
	make_pipe(q);
	struct tap *a = follow(w, "web.1", p[0]), *b = follow(w, "web.2", q[0]);
	say(p[1], "one\nunfinished");
	/* The writer's end is still open: a child that stays must not hold up the end. */
	router_finish(w->router, a, count_done, w);
	assert_int_equal(w->done, 1);
	expect_out(w, "web.1:one\nweb.1:unfinished\n");
	assert_int_equal(fd_write_all(p[1], "x", 1), -EPIPE);

	/* Stalled: done comes when all is out. */
	w->fake->stalls = true;
	say(q[1], "un\nfinished");
	router_finish(w->router, b, count_done, w);
	(void)settle(w);
	assert_int_equal(w->done, 1);
	resume(w);
	assert_int_equal(w->done, 2);
	expect_out(w, "web.1:one\nweb.1:unfinished\nweb.2:un\nweb.2:finished\n");
	close(p[1]);
	close(q[1]);
}

static void a_full_pipe_at_the_end(void **state)
{
	struct world *w = *state;
	struct strbuf want = {0};
	int p[2];

	make_pipe(p);
	struct tap *t = follow(w, "web.1", p[0]);
	for (unsigned i = 0;; i++) {
		char text[32];
		int n = snprintf(text, sizeof text, "line number %u\n", i);

		if (write(p[1], text, (size_t)n) != n)
			break;
		(void)strbuf_printf(&want, "web.1:%s", text);
	}
	w->fake->room = 50;
	router_finish(w->router, t, count_done, w);
	(void)settle(w);
	assert_int_equal(w->done, 1);
	expect_out(w, want.data);
	strbuf_done(&want);
	close(p[1]);
}

static void long_lines_come_in_pieces(void **state)
{
	struct world *w = *state;
	char text[LIMIT_LINE + 20];
	int p[2];

	make_pipe(p);
	follow(w, "a", p[0]);
	memset(text, 'x', sizeof text);
	memcpy(text + LIMIT_LINE - 1, "\xe2\x82\xac", 3);
	text[sizeof text - 1] = '\n';
	assert_int_equal(fd_write_all(p[1], text, sizeof text), 0);
	(void)settle(w);
	assert_int_equal(w->out.len, 2 + LIMIT_LINE - 1 + 1 + 2 + 20 + 1);
	assert_memory_equal(w->out.data + 2 + LIMIT_LINE - 1, "\na:\xe2\x82\xac", 6);
	assert_int_equal(held(p[1]), 0);
	close(p[1]);
}

/* A pipe whose slots are all taken by single bytes never gets the rest of the line: cut there. */
static void a_pipe_full_of_little_does_not_stall(void **state)
{
	struct world *w = *state;
	int p[2], one[2];

	make_pipe(p);
	make_pipe(one);
	follow(w, "a", p[0]);
	for (unsigned i = 0;; i++) {
		assert_int_equal(write(one[1], "x", 1), 1);
		if (splice(one[0], NULL, p[1], NULL, 1, SPLICE_F_NONBLOCK) != 1)
			break;
		assert_true(i < 100);
	}
	assert_int_equal(held(p[1]), 16);
	(void)settle(w);
	expect_out(w, "a:xxxxxxxxxxxxxxxx\n");
	close(p[1]);
	close(one[0]);
	close(one[1]);
}

static void a_small_pipe_does_not_stall(void **state)
{
	struct world *w = *state;
	char text[4096];
	int p[2];

	make_pipe(p);
	follow(w, "a", p[0]);
	/* As given to a user who has too many: smaller than a line may be. */
	assert_int_equal(fcntl(p[1], F_SETPIPE_SZ, 4096), 4096);
	memset(text, 'x', sizeof text);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(write(p[1], text, sizeof text), (int)sizeof text);
		(void)settle(w);
	}
	/* Each time the pipe was full it was made free. */
	assert_int_equal(held(p[1]), 0);
	assert_int_equal(w->out.len, 5 * (2 + 4096 + 1));
	close(p[1]);
}

/* A writer may fill the pipe right behind a look that saw the beginning of a line. */
static void what_came_after_the_look_does_not_cut_a_line(void **state)
{
	struct world *w = *state;
	char text[4096];
	int p[2];

	make_pipe(p);
	struct tap *t = follow(w, "a", p[0]);
	say(p[1], "begun, ");
	(void)settle(w);
	memset(text, 'x', sizeof text);
	while (write(p[1], text, sizeof text) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	assert_false(tap_may_be_full(t, strlen("begun, ")));
	assert_true(tap_may_be_full(t, (size_t)held(p[0])));
	close(p[1]);
}

static pid_t write_at_once(int fd, const struct strbuf *text)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(fd_write_all(fd, text->data, text->len) == 0 ? 0 : 1);
	}
	return pid;
}

/* One write() of more than the pipe holds, behind the beginning of a line that was looked at
 * before: while it sleeps for room the kernel tells epoll nothing, as the pipe was never empty. */
static void one_write_of_more_than_a_pipe_does_not_stall(void **state)
{
	struct world *w = *state;
	struct strbuf _cleanup_strbuf_ text = STRBUF(0), _cleanup_strbuf_ want = STRBUF(0);
	uint64_t deadline = clock_now() + 60 * NSEC_PER_SEC;
	int p[2], status = -1;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(fd_nonblock(p[0], true), 0);
	follow(w, "a", p[0]);
	say(p[1], "begun, ");
	(void)strbuf_puts(&want, "a:begun, ");
	(void)settle(w);
	for (unsigned i = 0; text.len < 5000000; i++) {
		(void)strbuf_printf(&text, "number %u\n", i);
		(void)strbuf_printf(&want, i ? "a:number %u\n" : "number %u\n", i);
	}
	pid_t pid = write_at_once(p[1], &text);
	while (w->out.len == 0 && clock_now() < deadline)
		(void)sd_event_run(w->loop, 100000);
	bool seen = w->out.len > 0;
	while (held(p[0]) < 60000 && clock_now() < deadline)
		(void)usleep(1000);
	/* Stopped, which ends that write: the next one finds the room we made. */
	(void)kill(pid, SIGSTOP);
	(void)waitpid(pid, &status, WUNTRACED);
	while (held(p[0]) > 1000 && clock_now() < deadline)
		(void)sd_event_run(w->loop, 100000);
	(void)settle(w);
	(void)kill(pid, SIGCONT);
	while (w->out.len < want.len && clock_now() < deadline)
		(void)sd_event_run(w->loop, 100000);
	if (w->out.len < want.len)
		(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(seen);
	/* Not by cmocka, which would print all of it. */
	assert_int_equal(w->out.len, want.len);
	assert_int_equal(strcmp(w->out.data, want.data), 0);
	close(p[1]);
}

/* Written to without a pause it is looked at by the clock; then a lone line is told of again. */
static void a_busy_pipe_and_then_a_lone_line(void **state)
{
	struct world *w = *state;
	struct strbuf _cleanup_strbuf_ want = STRBUF(0);
	int p[2];

	make_pipe(p);
	follow(w, "a", p[0]);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 2000; i++) {
			char text[32];

			(void)snprintf(text, sizeof text, "line %u\n", i);
			say(p[1], text);
			(void)strbuf_printf(&want, "a:%s", text);
			(void)sd_event_run(w->loop, 0);
			w->fake->room = 100000;
		}
		(void)settle(w);
		say(p[1], "alone\n");
		(void)strbuf_puts(&want, "a:alone\n");
		assert_true(sd_event_run(w->loop, 60 * NSEC_PER_SEC / NSEC_PER_USEC) > 0);
		assert_int_equal(w->out.len, want.len);
		assert_int_equal(strcmp(w->out.data, want.data), 0);
	}
	assert_int_equal(held(p[0]), 0);
	close(p[1]);
}

static void further_sinks_and_counts(void **state)
{
	struct world *w = *state;
	struct strbuf _cleanup_strbuf_ other = STRBUF(0);
	struct fake *f = calloc(1, sizeof *f);
	struct router_counts counts;
	int p[2];

	make_pipe(p);
	f->sink.ops = &fake_ops;
	f->out = &other;
	f->room = 2;
	f->stalls = true;
	assert_int_equal(router_add_sink(w->router, &f->sink), 0);
	follow(w, "a", p[0]);
	say(p[1], "1\n2\n3\n4\n");
	(void)settle(w);
	/* The other has room for two and stalls: nobody waits for it. */
	expect_out(w, "a:1\na:2\na:3\na:4\n");
	router_counts(w->router, &counts);
	assert_int_equal(counts.lines, 4);
	assert_int_equal(counts.bytes, 8);
	assert_int_equal(counts.dropped, 2);
	f->stalls = false;
	f->writable(f->userdata);
	assert_non_null(strstr(other.data, "a:1\na:2\nlogs:Error L10 (output buffer overflow): 2 "
					   "messages dropped since 2"));
	say(p[1], "5\n");
	(void)settle(w);
	assert_non_null(strstr(other.data, "\na:5\n"));
	assert_null(strstr(other.data, "a:3"));
	close(p[1]);
}

static void two_taps_are_fair(void **state)
{
	struct world *w = *state;
	char line[100];
	int p[2], q[2];

	make_pipe(p);
	make_pipe(q);
	follow(w, "loud", p[0]);
	follow(w, "soft", q[0]);
	memset(line, 'x', sizeof line);
	line[sizeof line - 1] = '\n';
	assert_true(fcntl(p[1], F_SETPIPE_SZ, 1 << 20) > 0);
	while (write(p[1], line, sizeof line) == (int)sizeof line)
		;
	say(q[1], "here\n");
	assert_true(sd_event_run(w->loop, 0) > 0);
	const char *soft = strstr(w->out.data, "soft:here\n");
	assert_non_null(soft);
	/* After at most two bounded looks at the loud one, which had 1 MiB waiting. */
	assert_true(soft - w->out.data < 2 * 65536 * 107 / 100 + 200);
	(void)settle(w);
	close(p[1]);
	close(q[1]);
}

static void notes_wait_and_are_counted(void **state)
{
	struct world *w = *state;
	char text[1001];
	unsigned lines = 0, told = 0;

	router_note(w->router, "web.1", "state %s\033[31m", "up");
	router_note(w->router, NULL, "hello");
	(void)settle(w);
	expect_out(w, "web.1:state up\\x1b[31m\nsupervisor:hello\n");

	strbuf_reset(&w->out);
	w->fake->stalls = true;
	w->fake->room = 3;
	memset(text, 'n', 1000);
	text[1000] = '\0';
	for (unsigned i = 0; i < 400; i++)
		router_note(w->router, "web.1", "%03u %s", i, text);
	(void)settle(w);
	assert_true(router_dropped(w->router) > 100);
	resume(w);
	for (const char *at = w->out.data; (at = strstr(at, "web.1:")); at++) {
		char want[16];

		(void)snprintf(want, sizeof want, "web.1:%03u ", lines++);
		assert_true(strncmp(at, want, strlen(want)) == 0);
	}
	assert_int_equal(lines + router_dropped(w->router), 400);
	const char *count = strstr(w->out.data, "supervisor:");
	assert_non_null(count);
	assert_int_equal(sscanf(count, "supervisor:%u lines", &told), 1);
	assert_int_equal(told, router_dropped(w->router));
	router_note(w->router, NULL, "later");
	(void)settle(w);
	assert_non_null(strstr(count, "supervisor:later\n"));
}

static void stop_from_inside(void *userdata)
{
	struct world *w = userdata;

	w->done++;
	router_note(w->router, "web.1", "gone");
	router_flush(w->router, 0);
}

static void done_may_come_back_in(void **state)
{
	struct world *w = *state;
	int p[2], q[2];

	make_pipe(p);
	make_pipe(q);
	struct tap *t = follow(w, "web.1", p[0]);
	follow(w, "web.2", q[0]);
	w->fake->stalls = true;
	say(p[1], "last");
	say(q[1], "more\n");
	router_finish(w->router, t, stop_from_inside, w);
	(void)settle(w);
	resume(w);
	assert_int_equal(w->done, 1);
	assert_non_null(strstr(w->out.data, "web.1:last\n"));
	assert_non_null(strstr(w->out.data, "web.1:gone\n"));
	assert_non_null(strstr(w->out.data, "web.2:more\n"));
	close(p[1]);
	close(q[1]);
}

/* ---- the terminal sink ---- */

#define STAMP "2026-11-21T08:00:00.123456+00:00 "

static void whole_lines_pass_as_they_are(void **state)
{
	struct world *w = *state;
	struct strbuf HSUP_CLEANUP(strbuf_done) longest = STRBUF(0);
	int p[2];

	make_pipe(p);
	follow(w, "shop.1", p[0]);
	say(p[1], STAMP "app[a/web.1]: before anybody said so\n");
	(void)settle(w);
	expect_out(w, "shop.1:" STAMP "app[a/web.1]: before anybody said so\n");

	strbuf_reset(&w->out);
	router_pass_whole(w->router);
	say(p[1], STAMP "app[a/web.1]: hi\n" STAMP "hsup[a/web.1]: \n");
	say(p[1], "hsup-launcher: a word\n" STAMP "other[a]: hi\n\n");
	say(p[1], "2026-11-21 08:00:00.123456+00:00 app[a/web.1]: hi\n" STAMP "app[\n");
	(void)settle(w);
	expect_out(w, "whole:" STAMP "app[a/web.1]: hi\n"
		      "whole:" STAMP "hsup[a/web.1]: \n"
		      "shop.1:hsup-launcher: a word\n"
		      "shop.1:" STAMP "other[a]: hi\n"
		      "shop.1:\n"
		      "shop.1:2026-11-21 08:00:00.123456+00:00 app[a/web.1]: hi\n"
		      "shop.1:" STAMP "app[\n");

	/* The longest that another hsup writes is not cut once more. */
	strbuf_reset(&w->out);
	(void)strbuf_puts(&longest, STAMP "app[a/web.1]: ");
	for (int i = 0; i < LIMIT_LINE; i++)
		(void)strbuf_puts(&longest, "x");
	(void)strbuf_puts(&longest, "\n");
	say(p[1], longest.data);
	(void)settle(w);
	assert_int_equal(w->out.len, strlen("whole:") + longest.len);
	close(p[1]);
}

static struct log_line sample(const char *text)
{
	return (struct log_line){
		.wall_ns = UINT64_C(1795248000123456000),
		.source = "app",
		.procid = "web.1",
		.color = 7,
		.stream = STREAM_OUT,
		.text = text,
		.len = strlen(text),
	};
}

static void the_format(void **state)
{
	int p[2];
	char got[200] = {0};

	(void)state;
	make_pipe(p);
	for (int color = 0; color < 2; color++) {
		struct sink *s = sink_terminal_new(p[1], color, NULL, NULL);
		struct log_line line = sample("hi \033[1mthere");

		assert_int_equal(s->ops->line(s, &line), 0);
		assert_int_equal(read(p[0], got, sizeof got), -1);
		assert_int_equal(s->ops->flush(s), 0);
		ssize_t n = read(p[0], got, sizeof got - 1);
		assert_true(n > 0);
		got[n] = '\0';
		assert_string_equal(got,
			color ? "\033[33m2026-11-21T08:00:00.123456+00:00 app[web.1]:\033[0m hi "
				"\033[1mthere\n"
			      : "2026-11-21T08:00:00.123456+00:00 app[web.1]: hi \033[1mthere\n");
		s->ops->free(s);
	}
	close(p[0]);
	close(p[1]);
}

static void note_writable(void *userdata)
{
	++*(unsigned *)userdata;
}

static void the_format_with_an_app(void **state)
{
	struct log_line line = sample("hi"),
			whole = sample("hsup[blog/web.1]: own stamp, own name");
	int p[2];
	char got[200] = {0};

	(void)state;
	make_pipe(p);
	struct sink *s = sink_terminal_new(p[1], false, "shop", NULL);
	whole.whole = true;
	assert_int_equal(s->ops->line(s, &line), 0);
	assert_int_equal(s->ops->line(s, &whole), 0);
	assert_int_equal(s->ops->flush(s), 0);
	assert_true(read(p[0], got, sizeof got - 1) > 0);
	assert_string_equal(got, "2026-11-21T08:00:00.123456+00:00 app[shop/web.1]: hi\n"
				 "hsup[blog/web.1]: own stamp, own name\n");
	s->ops->free(s);
	close(p[0]);
	close(p[1]);
}

static void expect_message(int log, const char *expected)
{
	char got[300] = {0}, whole[300];
	ssize_t n = recv(log, got, sizeof got - 1, MSG_DONTWAIT);

	(void)snprintf(whole, sizeof whole, "<30>hsup[%d]: %s", (int)getpid(), expected);
	assert_true(n > 0);
	assert_string_equal(got, whole);
}

static int listen_at(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)address, sizeof *address), 0);
	return fd;
}

static int send_line(struct sink *s, const char *text, bool whole)
{
	struct log_line line = sample(text);

	line.whole = whole;
	assert_int_equal(s->ops->line(s, &line), 0);
	return s->ops->flush(s);
}

static void the_system_s_log(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)state;
	(void)snprintf(
		address.sun_path, sizeof address.sun_path, "/tmp/hsup-test-%d.sock", (int)getpid());
	struct sink *s = sink_syslog_new(address.sun_path);

	/* Nobody listens: nobody waits. */
	assert_int_equal(send_line(s, "one", false), 0);
	assert_int_equal(send_line(s, "two", false), 0);
	int log = listen_at(&address);
	assert_int_equal(send_line(s, "three", false), 0);
	expect_message(log, "2 lines were lost while the system's log could not be reached");
	expect_message(log, "app[web.1]: three");
	(void)send_line(s, "2026-11-21T08:00:00.123456+00:00 app[shop/web.1]: four", true);
	expect_message(log, "app[shop/web.1]: four");

	/* It was started again: another socket of the same name. */
	close(log);
	(void)unlink(address.sun_path);
	log = listen_at(&address);
	assert_int_equal(send_line(s, "five", false), 0);
	expect_message(log, "app[web.1]: five");

	/* It does not read: then it is told when it does. */
	unsigned sent = 0, called = 0;
	sd_event *loop = NULL;
	while (send_line(s, "six", false) == 0)
		assert_true(++sent < 100000);
	struct log_line line = sample("seven");
	assert_int_equal(s->ops->line(s, &line), -EAGAIN);
	assert_int_equal(s->ops->wait(s, NSEC_PER_MSEC), -ETIMEDOUT);
	assert_int_equal(sd_event_new(&loop), 0);
	assert_int_equal(s->ops->when_writable(s, loop, note_writable, &called), 0);
	assert_int_equal(sd_event_run(loop, 0), 0);
	for (unsigned i = 0; i < sent; i++)
		expect_message(log, "app[web.1]: six");
	assert_true(sd_event_run(loop, NSEC_PER_SEC / 1000) > 0);
	assert_int_equal(called, 1);
	assert_int_equal(s->ops->flush(s), 0);
	expect_message(log, "app[web.1]: six");
	s->ops->free(s);
	sd_event_unref(loop);
	close(log);
	(void)unlink(address.sun_path);
}

/* A blocking descriptor shared with others: never waited on, never changed; nothing lost. */
static void check_stall(int out, int in)
{
	struct sink *s = sink_terminal_new(out, false, NULL, NULL);
	struct log_line line = sample("0123456789012345678901234567890123456789");
	size_t sent = 0, got = 0;
	unsigned called = 0;
	sd_event *loop = NULL;
	char buffer[4096];
	int flags = fcntl(out, F_GETFL);

	assert_false(flags & O_NONBLOCK);
	for (unsigned tries = 0, full = 0; !full; tries++) {
		while (s->ops->line(s, &line) == 0)
			sent += 32 + 13 + 40 + 1;
		int r = s->ops->flush(s);
		assert_true(r == 0 || r == -EAGAIN);
		/* A terminal makes room by itself until its reader's side is full too. */
		full = r == -EAGAIN && s->ops->wait(s, 20 * NSEC_PER_MSEC) == -ETIMEDOUT;
		assert_true(tries < 1000);
	}
	assert_int_equal(sd_event_new(&loop), 0);
	assert_int_equal(s->ops->when_writable(s, loop, note_writable, &called), 0);
	assert_int_equal(sd_event_run(loop, 0), 0);

	assert_int_equal(fd_nonblock(in, true), 0);
	for (int r = -EAGAIN; r == -EAGAIN;) {
		for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;)
			got += (size_t)n;
		r = s->ops->flush(s);
	}
	for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;)
		got += (size_t)n;
	assert_int_equal(got, sent);
	assert_true(sd_event_run(loop, 0) > 0);
	assert_int_equal(called, 1);
	assert_int_equal(sd_event_run(loop, 0), 0);
	assert_int_equal(fcntl(out, F_GETFL), flags);
	s->ops->free(s);
	sd_event_unref(loop);
}

static void a_full_pipe_does_not_block(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	check_stall(p[1], p[0]);
	close(p[0]);
	close(p[1]);
}

static void a_full_socket_does_not_block(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
	check_stall(p[1], p[0]);
	close(p[0]);
	close(p[1]);
}

static void a_stopped_terminal_does_not_block(void **state)
{
	struct termios raw = {0};
	int main_end, user_end;

	(void)state;
	cfmakeraw(&raw);
	assert_int_equal(openpty(&main_end, &user_end, NULL, &raw, NULL), 0);
	check_stall(user_end, main_end);
	close(main_end);
	close(user_end);
}

/* Whoever is killed between two writes to a pipe leaves whole lines there: what the next one writes
 * starts a line of its own. */
static void a_pipe_gets_whole_lines(void **state)
{
	char text[700] = "", got[2 * PIPE_BUF];
	struct log_line line = sample(text);
	unsigned stops = 0;
	int p[2];

	(void)state;
	make_pipe(p);
	assert_true(fcntl(p[1], F_SETPIPE_SZ, sizeof got) > 0);
	struct sink *s = sink_terminal_new(p[1], false, NULL, NULL);
	memset(text, 'x', sizeof text);
	do {
		line.len = (line.len + 37) % sizeof text;
	} while (s->ops->line(s, &line) == 0);
	for (int r = -EAGAIN; r == -EAGAIN; stops++) {
		r = s->ops->flush(s);
		assert_true(r == 0 || r == -EAGAIN);
		ssize_t n = read(p[0], got, sizeof got);
		assert_true(n > 0);
		assert_int_equal(got[n - 1], '\n');
	}
	assert_true(stops > 7);

	/* One that no write of a pipe can hold whole is not held back. */
	static char huge[3 * PIPE_BUF];
	memset(huge, 'x', sizeof huge);
	line.text = huge;
	line.len = sizeof huge;
	assert_int_equal(s->ops->line(s, &line), 0);
	for (int r = -EAGAIN; r == -EAGAIN;) {
		r = s->ops->flush(s);
		assert_true(r == 0 || r == -EAGAIN);
		assert_true(read(p[0], got, sizeof got) > 0);
	}
	s->ops->free(s);
	close(p[0]);
	close(p[1]);
}

static void a_file_is_always_writable(void **state)
{
	FILE *f = tmpfile();
	struct sink *s = sink_terminal_new(fileno(f), false, NULL, NULL);
	struct log_line line = sample("x");
	sd_event *loop = NULL;
	unsigned called = 0;

	(void)state;
	assert_int_equal(s->ops->line(s, &line), 0);
	assert_int_equal(s->ops->flush(s), 0);
	/* The position is shared with whoever else writes to the same open file. */
	assert_int_equal(lseek(fileno(f), 0, SEEK_CUR), 33 + 12 + 1 + 1);
	assert_int_equal(sd_event_new(&loop), 0);
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_equal(s->ops->when_writable(s, loop, note_writable, &called), 0);
		assert_true(sd_event_run(loop, 0) > 0);
		assert_int_equal(sd_event_run(loop, 0), 0);
		assert_int_equal(called, i);
	}
	s->ops->free(s);
	sd_event_unref(loop);
	fclose(f);
}

static void a_reader_that_is_gone_stalls_nobody(void **state)
{
	struct log_line line = sample("x");
	int p[2];

	(void)state;
	make_pipe(p);
	struct sink *s = sink_terminal_new(p[1], false, NULL, NULL);
	close(p[0]);
	assert_int_equal(s->ops->line(s, &line), 0);
	assert_int_equal(s->ops->flush(s), -EPIPE);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(s->ops->line(s, &line), 0);
	assert_int_equal(s->ops->flush(s), 0);
	s->ops->free(s);
	close(p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROUTER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		ROUTER(lines_pass_and_a_rest_stays),
		ROUTER(hang_up_is_not_the_end),
		ROUTER(nothing_is_taken_before_it_is_out),
		ROUTER(a_stuttering_sink_loses_nothing),
		ROUTER(a_second_router_goes_on),
		ROUTER(the_last_words),
		ROUTER(a_full_pipe_at_the_end),
		ROUTER(long_lines_come_in_pieces),
		ROUTER(a_pipe_full_of_little_does_not_stall),
		ROUTER(a_small_pipe_does_not_stall),
		ROUTER(what_came_after_the_look_does_not_cut_a_line),
		ROUTER(one_write_of_more_than_a_pipe_does_not_stall),
		ROUTER(a_busy_pipe_and_then_a_lone_line),
		ROUTER(further_sinks_and_counts),
		ROUTER(two_taps_are_fair),
		ROUTER(notes_wait_and_are_counted),
		ROUTER(done_may_come_back_in),
		ROUTER(whole_lines_pass_as_they_are),
		cmocka_unit_test(the_format),
		cmocka_unit_test(the_format_with_an_app),
		cmocka_unit_test(the_system_s_log),
		cmocka_unit_test(a_full_pipe_does_not_block),
		cmocka_unit_test(a_full_socket_does_not_block),
		cmocka_unit_test(a_stopped_terminal_does_not_block),
		cmocka_unit_test(a_pipe_gets_whole_lines),
		cmocka_unit_test(a_file_is_always_writable),
		cmocka_unit_test(a_reader_that_is_gone_stalls_nobody),
	};

	/* As the supervisor does. */
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
