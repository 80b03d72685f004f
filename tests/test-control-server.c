/* The server of the control API on a loop of its own, with a real socket and the real library. */
#include "control/control.h"
#include "fake/operate.h"

#include "base/fd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct supervisor supervisor;
static struct options options;
static char folder[] = "/tmp/hsup-control-XXXXXX", path[100];
static sd_event *loop;
static void *state_of_it;

static int set_up(void **state)
{
	struct err err = {0};

	(void)state;
	memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/sock", folder);
	options = (struct options){
		.mode = MODE_START, .control_socket = path, .socket_mode = -1, .app_dir = folder};
	fake_supervisor_open(&supervisor);
	assert_int_equal(rings_open(NULL, &supervisor.rings, &err), 0);
	assert_true(sd_event_new(&loop) >= 0);
	assert_int_equal(control_api.open(&supervisor, loop, &options, &state_of_it, &err), 0);
	assert_non_null(state_of_it);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	control_api.close(state_of_it);
	state_of_it = NULL;
	loop = sd_event_unref(loop);
	supervisor.rings = rings_free(supervisor.rings);
	fake_supervisor_close(&supervisor);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

static int plug(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void send_all(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Turns the loop until what came holds the text; false: the other side has closed before. */
static bool expect(int fd, const char *text)
{
	static char got[1 << 16];
	size_t len = 0;

	for (int turns = 0; turns < 10000; turns++) {
		assert_true(sd_event_run(loop, 1000) >= 0);
		ssize_t n = recv(fd, got + len, sizeof got - 1 - len, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		len += n > 0 ? (size_t)n : 0;
		got[len] = '\0';
		if (strstr(got, text))
			return true;
	}
	fail_msg("in vain: %s; there is: %.*s", text, (int)len, got);
	return false;
}

static void log_a_line(const char *text)
{
	const struct log_line line = {.wall_ns = 1,
		.source = "app",
		.procid = "web.1",
		.stream = STREAM_OUT,
		.text = text,
		.len = strlen(text)};

	rings_add(supervisor.rings, &line, 65536);
}

static void test_many_requests_of_one_client(void **state)
{
	static const char *const targets[] = {
		"/v1/dynos", "/v1/app", "/metrics", "/nothing", "/v1/logs", "/v1/dynos?name=web"};
	int fd = plug();
	char request[200];

	(void)state;
	log_a_line("a line");
	for (size_t i = 0; i < 600; i++) {
		(void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
			targets[i % ARRAY_SIZE(targets)]);
		send_all(fd, request);
		assert_true(expect(fd, i % ARRAY_SIZE(targets) == 3 ? " 404 " : " 200 "));
		/* The end of what comes bit by bit. */
		if (i % ARRAY_SIZE(targets) == 4)
			(void)sd_event_run(loop, 0);
	}
	(void)fd_close(fd);
}

static void test_clients_that_come_and_go(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		int fd = plug();

		send_all(fd, i % 3 == 0	  ? "POST /v1/scale HTTP/1.1\r\nHost: x\r\nContent-Length: "
					    "9\r\n\r\nhalf"
			     : i % 3 == 1 ? "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n"
					  : "GET /v1/logs?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
		if (i % 3)
			assert_true(expect(fd, " 200 "));
		else
			(void)sd_event_run(loop, 1000);
		(void)fd_close(fd);
		recorder_add(supervisor.recorder, &(struct record){.kind = RECORD_STATE});
		log_a_line("another");
	}
	int fd = plug();
	send_all(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(fd, "OK"));
	(void)fd_close(fd);
}

static void test_it_ends_while_somebody_follows(void **state)
{
	int events = plug(), logs = plug(), idle = plug(), half = plug();

	(void)state;
	send_all(events, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(events, ": hsup"));
	send_all(logs, "GET /v1/logs?follow=1&format=raw HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(logs, " 200 "));
	send_all(half, "POST /v1/scale HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n{");
	recorder_add(supervisor.recorder, &(struct record){.kind = RECORD_STATE, .name = "web.1"});
	assert_true(expect(events, "web.1"));
	log_a_line("the last line");
	/* Nobody has turned the loop since: it comes all the same. */
	control_api.close(state_of_it);
	state_of_it = NULL;
	char got[2000];
	ssize_t n = recv(logs, got, sizeof got - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	got[n] = '\0';
	assert_non_null(strstr(got, "the last line"));
	(void)fd_close(events);
	(void)fd_close(logs);
	(void)fd_close(idle);
	(void)fd_close(half);
}

static void test_a_wish_is_taken_and_told(void **state)
{
	int events = plug(), fd = plug();

	(void)state;
	send_all(events, "GET /v1/events?kind=operator HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(expect(events, ": hsup"));
	send_all(fd, "POST /v1/dynos/stop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		     "5\r\n{\"nam\r\ne\r\nes\":[\"web.1\"]}\r\n0\r\n\r\n");
	assert_true(expect(fd, "\"dynos\":[\"web.1\"]"));
	assert_true(expect(events, "event: operator"));
	assert_int_equal(supervisor.wishes, 1);
	char who[80];
	(void)snprintf(who, sizeof who, "1 web.1 0 by uid %u (pid %d)", getuid(), getpid());
	assert_string_equal(supervisor.last, who);
	(void)fd_close(events);
	(void)fd_close(fd);
}

static void test_a_second_server_leaves_it_alone(void **state)
{
	struct err err = {0};
	struct stat before, after;
	void *other = NULL;

	(void)state;
	assert_int_equal(lstat(path, &before), 0);
	assert_int_equal(before.st_mode & 07777, 0600);
	assert_int_equal(control_api.open(&supervisor, loop, &options, &other, &err), -EADDRINUSE);
	assert_null(other);
	assert_int_equal(lstat(path, &after), 0);
	assert_true(before.st_ino == after.st_ino);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_many_requests_of_one_client, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_clients_that_come_and_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_it_ends_while_somebody_follows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_wish_is_taken_and_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_second_server_leaves_it_alone, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
