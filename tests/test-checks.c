#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "checks/answer.h"
#include "checks/checks.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the status line ---- */

static int feed_in(const char *text, size_t piece)
{
	struct http_answer a = {0};
	size_t len = strlen(text);
	int r = 0;

	for (size_t at = 0; at < len && r == 0; at += piece)
		r = http_answer_feed(&a, text + at, len - at < piece ? len - at : piece);
	return r;
}

static void test_a_status_is_read_however_it_is_cut(void **state)
{
	static const struct {
		const char *text;
		int expected;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\n", 200},
		{"HTTP/1.0 404 Not Found\nX: y\n", 404},
		{"HTTP/1.1 204\r\n", 204},
		{"HTTP/1.1 302 \r\n", 302},
		{"HTTP/1.1 101 Switching\r\n", 101},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", 200},
		{"HTTP/1.1 103 Early\r\nLink: </a>; x\r\nA: b\r\n\r\nHTTP/1.1 503 No\r\n", 503},
		{"HTTP/1.1 200", 0},
		{"HTTP/1.1 099 low\r\n", -EBADMSG},
		{"HTTP/1.1 600 high\r\n", -EBADMSG},
		{"HTTP/1.1 2000 long\r\n", -EBADMSG},
		{"HTTP/1.1 20x\r\n", -EBADMSG},
		{"HTTP/2 200\r\n", -EBADMSG},
		{"HTTP/1.1\r\n", -EBADMSG},
		{"\r\n", -EBADMSG},
		{"SSH-2.0-OpenSSH", -EBADMSG},
		{"\x15\x03\x01", -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t piece = 1; piece < 40; piece++)
			assert_int_equal(feed_in(cases[i].text, piece), cases[i].expected);
}

static void test_an_answer_without_an_end_is_given_up(void **state)
{
	struct http_answer a = {0};
	char many[1024];
	int r = 0;

	(void)state;
	memset(many, 'x', sizeof many);
	assert_int_equal(http_answer_feed(&a, "HTTP/1.1 200 ", 13), 0);
	assert_int_equal(http_answer_feed(&a, many, sizeof many), -EBADMSG);

	a = (struct http_answer){0};
	assert_int_equal(http_answer_feed(&a, "HTTP/1.1 100 \r\n", 15), 0);
	for (int i = 0; i < 17 && r == 0; i++)
		r = http_answer_feed(&a, many, sizeof many);
	assert_int_equal(r, -E2BIG);
}

/* ---- what a dyno says ---- */

static void test_a_message_is_its_lines(void **state)
{
	static const char text[] = "STATUS=up \x1b[1m\nREADY=1\nX=READY=1\n\nWATCHDOG=1";
	struct notify_message m;

	(void)state;
	notify_parse(text, sizeof text - 1, &m);
	assert_true(m.ready && m.watchdog && m.has_status && !m.stopping && !m.trigger);
	assert_string_equal(m.status, "up \\x1b[1m");
	notify_parse("READY=11\nREADY=0\nSTOPPING=1", 27, &m);
	assert_true(!m.ready && m.stopping && !m.has_status);
	notify_parse("READY=1\0", 8, &m);
	assert_false(m.ready);
	notify_parse("", 0, &m);
	assert_false(m.ready);
}

/* ---- checkers, on a loop ---- */

static struct room {
	sd_event *loop;
	struct checks *all;
	struct checker *checker;
	unsigned ready, unhealthy, changes, runs, kills, notes;
	char why[CHECKER_TEXT], note[200];
	bool free_when_told;
	int refuse; /* negative errno of run() */
} room;

static void told(void)
{
	if (room.free_when_told)
		room.checker = checker_free(room.checker, false);
}

static void on_ready(void *userdata)
{
	(void)userdata;
	room.ready++;
	told();
}

static void on_changed(void *userdata, enum checker_state before)
{
	(void)userdata;
	(void)before;
	room.changes++;
	told();
}

static void on_unhealthy(void *userdata, const char *why)
{
	(void)userdata;
	room.unhealthy++;
	(void)snprintf(room.why, sizeof room.why, "%s", why);
	told();
}

static int on_run(void *userdata, const struct check *check, struct err *err)
{
	(void)userdata;
	(void)check;
	room.runs++;
	return room.refuse ? err_errno(err, room.refuse, "order") : 0;
}

static void on_kill(void *userdata)
{
	(void)userdata;
	room.kills++;
}

static void on_note(void *userdata, const char *text)
{
	(void)userdata;
	room.notes++;
	(void)snprintf(room.note, sizeof room.note, "%s", text);
}

static const struct checker_events events = {
	.ready = on_ready,
	.changed = on_changed,
	.unhealthy = on_unhealthy,
	.run = on_run,
	.kill = on_kill,
	.note = on_note,
};

static char path[] = "/up";
static const struct check no_check = {0};

static struct check check_of(enum check_kind kind, unsigned port)
{
	return (struct check){
		.kind = kind,
		.port = port,
		.path = path,
		.interval = 20 * NSEC_PER_MSEC,
		.timeout = 50 * NSEC_PER_MSEC,
		.threshold = 2,
	};
}

static int set_up(void **state)
{
	(void)state;
	room = (struct room){0};
	assert_true(sd_event_new(&room.loop) >= 0);
	room.all = checks_new(room.loop);
	assert_non_null(room.all);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	room.checker = checker_free(room.checker, false);
	room.all = checks_free(room.all);
	room.loop = sd_event_unref(room.loop);
	return 0;
}

static void make(const struct check *ready, const struct check *healthy)
{
	struct checker_setup setup = {
		.ready = ready, .healthy = healthy, .seed = 7, .events = &events};
	struct err err;

	assert_int_equal(checker_new(room.all, &setup, &room.checker, &err), 0);
}

/* Turns the loop until the condition holds. */
#define TURN_UNTIL(condition)                                                                      \
	do {                                                                                       \
		uint64_t turn_end = clock_now() + 20 * NSEC_PER_SEC;                               \
		while (!(condition)) {                                                             \
			assert_true(clock_now() < turn_end);                                       \
			assert_true(sd_event_run(room.loop, 10000) >= 0);                          \
		}                                                                                  \
	} while (0)

static int listen_at(unsigned *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static const char *text_of(enum checker_state expected)
{
	const char *text;

	assert_int_equal(checker_state(room.checker, &text), expected);
	return text;
}

static void test_listen_waits_for_a_listener(void **state)
{
	unsigned port;
	int fd = listen_at(&port);
	char expected[60];

	(void)state;
	(void)fd_close(fd);
	struct check ready = check_of(CHECK_LISTEN, 0);
	make(&ready, &no_check);
	checker_set_address(room.checker, &(struct check_address){.port = port});
	checker_begin(room.checker, 0);
	TURN_UNTIL(checker_reason(room.checker)[0]);
	(void)snprintf(expected, sizeof expected, "connection refused on port %u", port);
	assert_string_equal(text_of(CHECKER_WAITING), expected);
	assert_int_equal(room.ready, 0);

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 4), 0);
	TURN_UNTIL(room.ready == 1);
	checker_up(room.checker, clock_now());
	assert_string_equal(text_of(CHECKER_OK), "");
	assert_int_equal(room.changes, 1);
	(void)fd_close(fd);
}

/* As at the loopback of a network of its own: it is told where a listener was looked for. */
static void test_listen_at_another_address_is_told(void **state)
{
	char expected[60];
	unsigned port;
	int fd = listen_at(&port);

	(void)state;
	struct check ready = check_of(CHECK_LISTEN, 0);
	make(&ready, &no_check);
	checker_set_address(
		room.checker, &(struct check_address){.host = "127.0.0.2", .port = port});
	checker_begin(room.checker, 0);
	TURN_UNTIL(checker_reason(room.checker)[0]);
	(void)snprintf(
		expected, sizeof expected, "connection refused on port %u of 127.0.0.2", port);
	assert_string_equal(text_of(CHECKER_WAITING), expected);
	assert_int_equal(room.ready, 0);
	(void)fd_close(fd);
}

/* The test accepts as another would for a dyno: it is asked who listens in its network, not whether
 * somebody accepts. */
static void test_listen_is_seen_in_the_network_of_the_dyno(void **state)
{
	char expected[60];
	unsigned port;
	int fd = listen_at(&port);

	(void)state;
	pid_t dyno = fork();
	assert_true(dyno >= 0);
	if (dyno == 0) {
		for (;;)
			(void)pause();
	}
	struct check ready = check_of(CHECK_LISTEN, 0);
	make(&ready, &no_check);
	checker_set_address(room.checker,
		&(struct check_address){.port = port == 1 ? 2 : 1, .network_of = dyno});
	checker_begin(room.checker, 0);
	TURN_UNTIL(checker_reason(room.checker)[0]);
	(void)snprintf(
		expected, sizeof expected, "connection refused on port %u", port == 1 ? 2 : 1);
	assert_string_equal(text_of(CHECKER_WAITING), expected);
	assert_int_equal(room.ready, 0);
	checker_set_address(
		room.checker, &(struct check_address){.port = port, .network_of = dyno});
	TURN_UNTIL(room.ready == 1);
	/* It was not connected to. */
	assert_int_equal(accept(fd, NULL, NULL), -1);
	(void)fd_close(fd);
	assert_int_equal(kill(dyno, SIGKILL), 0);
	assert_int_equal(waitpid(dyno, NULL, 0), dyno);
}

static void test_no_port_is_said(void **state)
{
	struct check ready = check_of(CHECK_LISTEN, 0);

	(void)state;
	make(&ready, &no_check);
	checker_begin(room.checker, 0);
	TURN_UNTIL(checker_reason(room.checker)[0]);
	assert_string_equal(checker_reason(room.checker), "it has no port");
}

/* The test is the server: each connection gets this answer, as it is, and is closed. */
static void serve(int fd, const char *answer)
{
	char request[400];
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	if (peer < 0)
		return;
	if (answer) {
		ssize_t n;

		TURN_UNTIL((n = recv(peer, request, sizeof request - 1, MSG_DONTWAIT)) > 0);
		request[n] = '\0';
		assert_non_null(strstr(request, "GET /up HTTP/1.1\r\n"));
		assert_non_null(strstr(request, "\r\n\r\n"));
		assert_true(send(peer, answer, strlen(answer), MSG_NOSIGNAL) >= 0);
	}
	(void)fd_close(peer);
}

static void expect_of_http(const char *answer, bool good, const char *why)
{
	unsigned port;
	int fd = listen_at(&port);
	struct check healthy = check_of(CHECK_HTTP, port);

	healthy.timeout = 20 * NSEC_PER_SEC;
	room.unhealthy = 0;
	make(&no_check, &healthy);
	checker_begin(room.checker, 0);
	checker_up(room.checker, clock_now());
	(void)text_of(CHECKER_WAITING);
	if (good)
		TURN_UNTIL((serve(fd, answer), room.changes == 1));
	else
		TURN_UNTIL((serve(fd, answer), room.unhealthy == 1));
	(void)text_of(good ? CHECKER_OK : CHECKER_FAILING);
	if (!good)
		assert_string_equal(room.why, why);
	room.changes = 0;
	room.checker = checker_free(room.checker, false);
	(void)fd_close(fd);
}

static void test_http_answers(void **state)
{
	(void)state;
	expect_of_http("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, NULL);
	expect_of_http("HTTP/1.0 301 Moved\r\n\r\n", true, NULL);
	expect_of_http("HTTP/1.1 500 Oh\r\n\r\n", false, "GET /up: HTTP 500 (2 in a row)");
	expect_of_http("no \x01 web\r\n", false, "GET /up: is no HTTP answer: \"n\" (2 in a row)");
	expect_of_http("", false, "GET /up: connection closed before an answer (2 in a row)");
}

static void test_no_answer_within_the_time(void **state)
{
	unsigned port;
	int fd = listen_at(&port); /* its backlog takes the connection, nobody answers */
	struct check healthy = check_of(CHECK_HTTP, port);

	(void)state;
	make(&no_check, &healthy);
	checker_up(room.checker, clock_now());
	TURN_UNTIL(room.unhealthy == 1);
	assert_string_equal(room.why, "GET /up: no answer within 0.05 s (2 in a row)");
	(void)fd_close(fd);
}

static void test_a_checker_freed_by_what_it_tells(void **state)
{
	static const char *const answers[] = {"HTTP/1.1 200 OK\r\n\r\n", "nonsense", ""};
	unsigned port;
	int fd = listen_at(&port);
	struct check check = check_of(CHECK_HTTP, port);

	(void)state;
	check.threshold = 1;
	check.timeout = 20 * NSEC_PER_SEC;
	room.free_when_told = true;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		make(&no_check, &check);
		checker_up(room.checker, clock_now());
		TURN_UNTIL((serve(fd, answers[i]), room.checker == NULL));
	}
	make(&check, &no_check);
	checker_begin(room.checker, 0);
	TURN_UNTIL((serve(fd, answers[0]), room.checker == NULL));
	(void)fd_close(fd);
}

static void test_a_command_that_hangs_is_killed_and_waited_for(void **state)
{
	struct check healthy = check_of(CHECK_COMMAND, 0);

	(void)state;
	healthy.threshold = 1;
	make(&no_check, &healthy);
	checker_up(room.checker, clock_now());
	TURN_UNTIL(room.runs == 1);
	checker_command_done(room.checker, true, "");
	(void)text_of(CHECKER_OK);
	TURN_UNTIL(room.runs == 2);
	checker_command_done(room.checker, false, "the command exited with status 3");
	assert_string_equal(room.why, "the command exited with status 3 (1 in a row)");

	checker_up(room.checker, clock_now());
	TURN_UNTIL(room.kills == 1);
	assert_int_equal(room.unhealthy, 2);
	assert_string_equal(
		room.why, "the command has not ended within 0.05 s and was killed (1 in a row)");
	/* Its end tells nothing more. */
	checker_command_done(room.checker, true, "");
	assert_int_equal(room.unhealthy, 2);
}

static void test_our_own_want_is_no_fault_of_the_dyno(void **state)
{
	struct check healthy = check_of(CHECK_COMMAND, 0);

	(void)state;
	room.refuse = -ENOBUFS;
	make(&no_check, &healthy);
	checker_up(room.checker, clock_now());
	TURN_UNTIL(room.runs == 5);
	assert_string_equal(
		text_of(CHECKER_WAITING), "not looked at: order: No buffer space available");
	assert_int_equal(room.unhealthy, 0);

	room.refuse = -EOPNOTSUPP;
	TURN_UNTIL(room.unhealthy == 1);
}

static void test_who_rests_is_not_looked_at(void **state)
{
	struct check check = check_of(CHECK_COMMAND, 0);

	(void)state;
	make(&check, &check);
	checker_begin(room.checker, 0);
	checker_rest(room.checker);
	checker_up(room.checker, clock_now());
	checker_rest(room.checker);
	for (int i = 0; i < 5; i++)
		assert_true(sd_event_run(room.loop, 30000) >= 0);
	assert_int_equal(room.runs, 0);
}

static void test_so_many_at_once(void **state)
{
	struct check check = check_of(CHECK_COMMAND, 0);
	struct checker *many[3 * LIMIT_CHECKS_AT_ONCE];
	struct checker_setup setup = {.ready = &check, .healthy = &no_check, .events = &events};
	struct err err;

	(void)state;
	check.timeout = 60 * NSEC_PER_SEC;
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		assert_int_equal(checker_new(room.all, &setup, &many[i], &err), 0);
		checker_begin(many[i], 0);
	}
	for (int i = 0; i < 20; i++)
		assert_true(sd_event_run(room.loop, 0) >= 0);
	assert_int_equal(room.runs, LIMIT_CHECKS_AT_ONCE);
	/* One that waits and one that is at work go: the turn of the latter is another's. */
	many[2 * LIMIT_CHECKS_AT_ONCE] = checker_free(many[2 * LIMIT_CHECKS_AT_ONCE], false);
	many[0] = checker_free(many[0], false);
	TURN_UNTIL(room.runs == LIMIT_CHECKS_AT_ONCE + 1);
	for (size_t i = 1; i < LIMIT_CHECKS_AT_ONCE; i++)
		checker_command_done(many[i], true, "");
	TURN_UNTIL(room.runs == 2 * LIMIT_CHECKS_AT_ONCE);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		(void)checker_free(many[i], false);
}

/* ---- notify ---- */

struct mailbox {
	char folder[40];
	int dir;
};

static struct mailbox open_mailbox(void)
{
	struct mailbox m = {.folder = "/tmp/hsup-checks-XXXXXX"};
	struct err err;

	assert_non_null(mkdtemp(m.folder));
	m.dir = open(m.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(checker_open_notify(room.checker, m.dir, "a.1", &err), 0);
	return m;
}

static void close_mailbox(struct mailbox *m)
{
	room.checker = checker_free(room.checker, false);
	assert_int_equal(faccessat(m->dir, "a.1", F_OK, 0), -1);
	(void)fd_close(m->dir);
	assert_int_equal(rmdir(m->folder), 0);
}

/* False: there is no room. */
static bool post(const struct mailbox *m, const char *text, size_t len)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(to.sun_path, sizeof to.sun_path, "%s/a.1", m->folder);
	return sendto(fd, text, len, 0, (const struct sockaddr *)&to, sizeof to) == (ssize_t)len;
}

static void test_the_dyno_says_that_it_is_ready(void **state)
{
	struct check ready = check_of(CHECK_NOTIFY, 0);

	(void)state;
	make(&ready, &no_check);
	struct mailbox m = open_mailbox();
	/* Said before it is known who it is: it waits. */
	assert_true(post(&m, "STATUS=half way", 15));
	checker_begin(room.checker, getsid(0));
	assert_true(post(&m, "READY=1", 7));
	TURN_UNTIL(room.ready == 1);
	checker_up(room.checker, clock_now());
	assert_string_equal(text_of(CHECKER_OK), "half way");
	/* Said twice means nothing. */
	assert_true(post(&m, "READY=1", 7));
	for (int i = 0; i < 3; i++)
		assert_true(sd_event_run(room.loop, 10000) >= 0);
	assert_int_equal(room.ready, 1);
	close_mailbox(&m);
}

static void test_strangers_and_long_messages_are_thrown_away(void **state)
{
	struct check ready = check_of(CHECK_NOTIFY, 0);
	char many[NOTIFY_MESSAGE_MAX + 1] = "READY=1\n";

	(void)state;
	make(&ready, &no_check);
	struct mailbox m = open_mailbox();
	checker_begin(room.checker, 1); /* we are none of its session */
	assert_true(post(&m, "READY=1", 7) && post(&m, "READY=1", 7));
	TURN_UNTIL(room.notes == 1);
	assert_non_null(strstr(room.note, "is none of this dyno's"));
	close_mailbox(&m);

	make(&ready, &no_check);
	m = open_mailbox();
	checker_begin(room.checker, getsid(0));
	assert_true(post(&m, many, sizeof many));
	TURN_UNTIL(room.notes == 2);
	assert_non_null(strstr(room.note, "more than 4096 bytes"));
	assert_int_equal(room.ready, 0);
	assert_true(post(&m, many, sizeof many - 1));
	TURN_UNTIL(room.ready == 1);
	close_mailbox(&m);
}

static void test_a_flood_leaves_the_loop_its_turns(void **state)
{
	struct check ready = check_of(CHECK_NOTIFY, 0);
	unsigned posted = 0;

	(void)state;
	make(&ready, &no_check);
	struct mailbox m = open_mailbox();
	checker_begin(room.checker, getsid(0));
	uint64_t end = clock_now() + NSEC_PER_SEC / 4;
	while (clock_now() < end) {
		while (post(&m, "X=1", 3))
			posted++;
		(void)sd_event_run(room.loop, 0);
	}
	/* 50 turns of 8, and what the queue holds. */
	assert_true(posted > 0 && posted < 1500);
	TURN_UNTIL(post(&m, "READY=1", 7));
	TURN_UNTIL(room.ready == 1);
	close_mailbox(&m);
}

static void test_the_watchdog(void **state)
{
	struct check healthy = check_of(CHECK_NOTIFY, 0);

	(void)state;
	make(&no_check, &healthy);
	struct mailbox m = open_mailbox();
	checker_begin(room.checker, getsid(0));
	checker_up(room.checker, clock_now());
	assert_true(post(&m, "WATCHDOG=1", 10));
	TURN_UNTIL(room.changes == 1);
	(void)text_of(CHECKER_OK);
	TURN_UNTIL(room.unhealthy == 1);
	assert_string_equal(room.why, "no WATCHDOG=1 within 0.02 s (2 in a row)");
	(void)text_of(CHECKER_FAILING);

	checker_up(room.checker, clock_now());
	assert_true(post(&m, "WATCHDOG=trigger", 16));
	TURN_UNTIL(room.unhealthy == 2);
	close_mailbox(&m);
}

static void test_one_that_may_have_said_it_is_taken_as_ready(void **state)
{
	struct check ready = check_of(CHECK_NOTIFY, 0);

	(void)state;
	make(&ready, &no_check);
	struct mailbox m = open_mailbox();
	checker_begin(room.checker, getsid(0));
	checker_assume_ready(room.checker, clock_now() + 30 * NSEC_PER_MSEC);
	TURN_UNTIL(room.ready == 1);
	assert_int_equal(room.notes, 1);
	close_mailbox(&m);
}

#define ON_A_LOOP(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_status_is_read_however_it_is_cut),
		cmocka_unit_test(test_an_answer_without_an_end_is_given_up),
		cmocka_unit_test(test_a_message_is_its_lines),
		ON_A_LOOP(test_listen_waits_for_a_listener),
		ON_A_LOOP(test_listen_at_another_address_is_told),
		ON_A_LOOP(test_listen_is_seen_in_the_network_of_the_dyno),
		ON_A_LOOP(test_no_port_is_said),
		ON_A_LOOP(test_http_answers),
		ON_A_LOOP(test_no_answer_within_the_time),
		ON_A_LOOP(test_a_checker_freed_by_what_it_tells),
		ON_A_LOOP(test_a_command_that_hangs_is_killed_and_waited_for),
		ON_A_LOOP(test_our_own_want_is_no_fault_of_the_dyno),
		ON_A_LOOP(test_who_rests_is_not_looked_at),
		ON_A_LOOP(test_so_many_at_once),
		ON_A_LOOP(test_the_dyno_says_that_it_is_ready),
		ON_A_LOOP(test_strangers_and_long_messages_are_thrown_away),
		ON_A_LOOP(test_a_flood_leaves_the_loop_its_turns),
		ON_A_LOOP(test_the_watchdog),
		ON_A_LOOP(test_one_that_may_have_said_it_is_taken_as_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
