/* logs: lines to the system's journal, as it reads them. */
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
#include "logs/sink.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define STAMP "2026-11-21T08:00:00.123456+00:00 "

struct world {
	char dir[32];
	struct sockaddr_un address;
	int fd; /* the journal's */
	struct strbuf got;
};

static void listen_again(struct world *w)
{
	w->fd = fd_close(w->fd);
	(void)unlink(w->address.sun_path);
	w->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(w->fd, (const struct sockaddr *)&w->address, sizeof w->address), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	(void)snprintf(w->dir, sizeof w->dir, "/tmp/test-journal-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->address.sun_family = AF_UNIX;
	(void)snprintf(w->address.sun_path, sizeof w->address.sun_path, "%s/socket", w->dir);
	w->fd = -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	fd_close(w->fd);
	(void)unlink(w->address.sun_path);
	assert_int_equal(rmdir(w->dir), 0);
	strbuf_done(&w->got);
	free(w);
	return 0;
}

/* One message; the file in its place when there is one. */
static void expect(struct world *w, const char *want)
{
	static char data[LIMIT_LINE + 4096];
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec io = {data, sizeof data};
	struct msghdr message = {.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof control.space};
	ssize_t n = recvmsg(w->fd, &message, MSG_CMSG_CLOEXEC);

	assert_true(n >= 0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	if (c) {
		int file = -1;

		assert_int_equal(n, 0);
		memcpy(&file, CMSG_DATA(c), sizeof file);
		/* The journal takes no other. */
		assert_int_equal(fcntl(file, F_GET_SEALS),
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
		n = pread(file, data, sizeof data, 0);
		assert_true(n > 0);
		close(file);
	}
	strbuf_reset(&w->got);
	assert_int_equal(strbuf_add(&w->got, data, (size_t)n), 0);
	assert_string_equal(w->got.data, want);
}

static struct log_line line_of(const char *procid, enum log_stream stream, const char *text)
{
	return (struct log_line){
		.wall_ns = 1,
		.source = stream == STREAM_SYSTEM ? "hsup" : "app",
		.procid = procid,
		.stream = stream,
		.text = text,
		.len = strlen(text),
	};
}

static int send_line(struct sink *s, const struct log_line *line)
{
	assert_int_equal(s->ops->line(s, line), 0);
	return s->ops->flush(s);
}

static int say(struct sink *s, const char *text)
{
	struct log_line line = line_of("web.1", STREAM_OUT, text);

	return send_line(s, &line);
}

static void the_fields(void **state)
{
	struct world *w = *state;

	listen_again(w);
	struct sink *s = sink_journal_new(w->address.sun_path, NULL);
	struct log_line line = line_of("web.1", STREAM_OUT, "one = 1");
	assert_int_equal(send_line(s, &line), 0);
	expect(w, "PRIORITY=6\nHSUP_STREAM=out\nHSUP_DYNO=web.1\nSYSLOG_IDENTIFIER=web.1\n"
		  "MESSAGE=one = 1\n");
	line = line_of("web.1", STREAM_ERR, "");
	line.partial = true;
	assert_int_equal(send_line(s, &line), 0);
	expect(w, "PRIORITY=4\nHSUP_STREAM=err\nHSUP_DYNO=web.1\nSYSLOG_IDENTIFIER=web.1\n"
		  "HSUP_PARTIAL=1\nMESSAGE=\n");
	s->ops->free(s);

	s = sink_journal_new(w->address.sun_path, "shop");
	line = line_of("web.1", STREAM_SYSTEM, "Starting");
	assert_int_equal(send_line(s, &line), 0);
	expect(w, "PRIORITY=5\nHSUP_STREAM=system\nHSUP_APP=shop\nHSUP_DYNO=web.1\n"
		  "SYSLOG_IDENTIFIER=hsup\nMESSAGE=Starting\n");
	line = line_of("supervisor", STREAM_SYSTEM, "ready");
	assert_int_equal(send_line(s, &line), 0);
	expect(w, "PRIORITY=5\nHSUP_STREAM=system\nHSUP_APP=shop\nSYSLOG_IDENTIFIER=hsup\n"
		  "MESSAGE=ready\n");
	line = line_of("web.1", STREAM_OUT, "x");
	assert_int_equal(send_line(s, &line), 0);
	expect(w, "PRIORITY=6\nHSUP_STREAM=out\nHSUP_APP=shop\nHSUP_DYNO=web.1\n"
		  "SYSLOG_IDENTIFIER=shop/web.1\nMESSAGE=x\n");
	s->ops->free(s);
}

/* Of another hsup: taken apart; what claims to be one and has names without end does no harm. */
static void whole_lines(void **state)
{
	struct world *w = *state;
	static char text[LIMIT_LINE + 256];
	struct strbuf want = {0};

	listen_again(w);
	struct sink *s = sink_journal_new(w->address.sun_path, "other");
	struct log_line line = line_of("shop", STREAM_OUT, STAMP "app[shop/web.1]: four");
	line.whole = true;
	assert_int_equal(send_line(s, &line), 0);
	expect(w, "PRIORITY=6\nHSUP_STREAM=out\nHSUP_APP=shop\nHSUP_DYNO=web.1\n"
		  "SYSLOG_IDENTIFIER=shop/web.1\nMESSAGE=four\n");
	line = line_of("shop", STREAM_OUT, STAMP "hsup[supervisor]: five");
	line.whole = true;
	assert_int_equal(send_line(s, &line), 0);
	expect(w, "PRIORITY=5\nHSUP_STREAM=system\nSYSLOG_IDENTIFIER=hsup\nMESSAGE=five\n");

	memset(text, 'n', sizeof text - 1);
	memcpy(text, STAMP "app[", sizeof STAMP + 3);
	text[5000] = '/';
	memcpy(text + sizeof text - 4, "]: ", 3);
	line = line_of("shop", STREAM_OUT, text);
	line.whole = true;
	assert_int_equal(send_line(s, &line), 0);
	char name[201];
	memset(name, 'n', 200);
	name[200] = '\0';
	(void)strbuf_printf(&want,
		"PRIORITY=6\nHSUP_STREAM=out\nHSUP_APP=%s\nHSUP_DYNO=%s\nSYSLOG_IDENTIFIER=%s/%s\n"
		"MESSAGE=\n",
		name, name, name, name);
	expect(w, want.data);
	strbuf_done(&want);
	s->ops->free(s);
}

static void a_journal_that_is_away(void **state)
{
	struct world *w = *state;
	struct sink *s = sink_journal_new(w->address.sun_path, NULL);
	static const char one[] = "PRIORITY=6\nHSUP_STREAM=out\nHSUP_DYNO=web.1\n"
				  "SYSLOG_IDENTIFIER=web.1\nMESSAGE=";
	char want[300];

	assert_int_equal(say(s, "a"), 0);
	assert_int_equal(say(s, "b"), 0);
	listen_again(w);
	assert_int_equal(say(s, "c"), 0);
	expect(w, "PRIORITY=4\nSYSLOG_IDENTIFIER=hsup\nHSUP_STREAM=system\n"
		  "MESSAGE=2 lines were lost while the journal could not be reached\n");
	(void)snprintf(want, sizeof want, "%sc\n", one);
	expect(w, want);
	listen_again(w);
	assert_int_equal(say(s, "d"), 0);
	(void)snprintf(want, sizeof want, "%sd\n", one);
	expect(w, want);

	/* It does not read: nothing is lost, nobody waits. */
	unsigned sent = 0;
	(void)snprintf(want, sizeof want, "%se\n", one);
	while (say(s, "e") == 0)
		assert_true(++sent < 100000);
	for (unsigned i = 0; i < sent; i++)
		expect(w, want);
	assert_int_equal(s->ops->wait(s, 1000000000), 0);
	assert_int_equal(s->ops->flush(s), 0);
	expect(w, want);
	s->ops->free(s);
}

/* The sink's socket: the last one that is connected. */
static int find_socket(const struct world *w)
{
	for (int fd = 1023; fd > 2; fd--) {
		struct sockaddr_un peer;
		socklen_t size = sizeof peer;

		if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
			strcmp(peer.sun_path, w->address.sun_path) == 0)
			return fd;
	}
	return -1;
}

static void a_line_too_large_for_a_message(void **state)
{
	struct world *w = *state;
	struct sink *s = sink_journal_new(w->address.sun_path, NULL);
	static char text[LIMIT_LINE + 1], want[LIMIT_LINE + 200];
	int little = 2304;

	listen_again(w);
	memset(text, 't', LIMIT_LINE);
	(void)snprintf(want, sizeof want,
		"PRIORITY=6\nHSUP_STREAM=out\nHSUP_DYNO=web.1\nSYSLOG_IDENTIFIER=web.1\n"
		"MESSAGE=%s\n",
		text);
	assert_int_equal(say(s, text), 0);
	expect(w, want);
	/* As a system may be set: net.core.wmem_default. */
	int fd = find_socket(w);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little), 0);
	assert_int_equal(send(fd, want, strlen(want), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(say(s, text), 0);
	expect(w, want);
	s->ops->free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define JOURNAL(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		JOURNAL(the_fields),
		JOURNAL(whole_lines),
		JOURNAL(a_journal_that_is_away),
		JOURNAL(a_line_too_large_for_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
