/* A container of `run` and its caller, with the engine's end of the stream in the test's hands. */
#include "drivers/docker/attach.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the engine ---- */

struct web_pipe {
	const struct web_pipe_events *events;
	void *userdata;
	char path[300];
	char sent[200000];
	size_t n_sent;
	size_t room; /* that it takes at once */
	bool shut, resumed, closed;
	ssize_t error; /* of a send */
};

static struct web_pipe wire;
static char asked[200];
static unsigned n_asked;
static engine_answer_fn *answer;
static void *answer_userdata;

int engine_pipe(struct engine *e, const char *path, const struct web_pipe_events *events,
	void *userdata, struct web_pipe **ret_pipe, struct err *err)
{
	(void)e;
	(void)err;
	wire = (struct web_pipe){.events = events, .userdata = userdata, .room = SIZE_MAX};
	(void)snprintf(wire.path, sizeof wire.path, "%s", path);
	*ret_pipe = &wire;
	return 0;
}

ssize_t web_pipe_send(struct web_pipe *p, const char *data, size_t len)
{
	if (p->error < 0)
		return p->error;
	size_t n = len < p->room ? len : p->room;
	assert_true(p->n_sent + n <= sizeof p->sent);
	memcpy(p->sent + p->n_sent, data, n);
	p->n_sent += n;
	p->room -= n;
	return (ssize_t)n;
}

int web_pipe_shut(struct web_pipe *p)
{
	assert_false(p->shut);
	p->shut = true;
	return 0;
}

void web_pipe_resume(struct web_pipe *p)
{
	p->resumed = true;
}

struct web_pipe *web_pipe_close(struct web_pipe *p)
{
	if (p)
		p->closed = true;
	return NULL;
}

int engine_ask(struct engine *e, const struct engine_request *request, engine_answer_fn *fn,
	void *userdata, struct engine_call **ret_call, struct err *err)
{
	(void)e;
	(void)err;
	(void)snprintf(asked, sizeof asked, "%s %s", request->method, request->path);
	n_asked++;
	answer = fn;
	answer_userdata = userdata;
	*ret_call = (struct engine_call *)&n_asked;
	return 0;
}

void engine_cancel(struct engine_call *c)
{
	if (c)
		answer = NULL;
}

/* ---- the caller ---- */

struct world {
	sd_event *loop;
	struct attach *attach;
	int stdio[3];		/* as the attach has them */
	int in, out, err;	/* their other ends; -1 = closed */
	int opened, over, deaf; /* results; 1 = not told */
	struct err why;
};

static void on_opened(void *userdata, int r, const struct err *err)
{
	struct world *w = userdata;

	w->opened = r;
	if (err)
		w->why = *err;
}

static void on_deaf(void *userdata, int signo)
{
	((struct world *)userdata)->deaf = signo;
}

static void on_over(void *userdata, int r, const struct err *err)
{
	struct world *w = userdata;

	assert_int_equal(w->over, 1);
	w->over = r;
	w->why = *err;
}

static void turn(struct world *w)
{
	while (sd_event_run(w->loop, 0) > 0)
		continue;
}

static void make_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	*ret_read = fds[0];
	*ret_write = fds[1];
}

static void begin(struct world *w)
{
	*w = (struct world){.opened = 1, .over = 1, .deaf = 1, .in = -1, .out = -1, .err = -1};
	n_asked = 0;
	answer = NULL;
	assert_true(sd_event_new(&w->loop) >= 0);
}

static void attach_to(struct world *w, const char *first)
{
	struct err err;
	const struct attach_setup setup = {
		.loop = w->loop,
		.stdio = w->stdio,
		.container = "c1",
		.first = first,
		.first_len = first ? strlen(first) : 0,
		.opened = on_opened,
		.deaf = on_deaf,
		.over = on_over,
		.userdata = w,
	};

	assert_int_equal(attach_new(&setup, &w->attach, &err), 0);
	assert_int_equal(w->opened, 1);
	wire.events->opened(wire.userdata);
	assert_int_equal(w->opened, 0);
	assert_int_equal(wire.n_sent, 0);
}

static void begin_pipes(struct world *w, const char *first)
{
	begin(w);
	make_pipe(&w->stdio[0], &w->in);
	make_pipe(&w->out, &w->stdio[1]);
	make_pipe(&w->err, &w->stdio[2]);
	attach_to(w, first);
	attach_started(w->attach);
}

static void end(struct world *w)
{
	attach_free(w->attach);
	for (int i = 0; i < 3; i++)
		(void)fd_close(w->stdio[i]);
	(void)fd_close(w->in);
	(void)fd_close(w->out);
	(void)fd_close(w->err);
	sd_event_unref(w->loop);
}

/* As the engine sends it: a frame of one stream. */
static int say(unsigned stream, const char *text, size_t len)
{
	static char frame[300000];

	memcpy(frame,
		(char[8]){(char)stream, 0, 0, 0, (char)(len >> 24), (char)(len >> 16),
			(char)(len >> 8), (char)len},
		8);
	memcpy(frame + 8, text, len);
	return wire.events->data(wire.userdata, frame, 8 + len);
}

static void hang_up(int error)
{
	wire.events->closed(
		wire.userdata, &(struct web_result){.error = error, .status = 101, .text = ""});
}

static void assert_reads(int fd, const char *text)
{
	char got[100];
	ssize_t n = read(fd, got, sizeof got);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void assert_sent(const char *text)
{
	assert_int_equal(wire.n_sent, strlen(text));
	assert_memory_equal(wire.sent, text, strlen(text));
}

/* ---- pipes ---- */

static void both_outputs_apart_then_the_end(void **state)
{
	struct world w;

	(void)state;
	begin_pipes(&w, NULL);
	assert_string_equal(wire.path, "/containers/c1/attach?stream=1&stdin=1&stdout=1&stderr=1");
	assert_int_equal(say(1, "out\n", 4), 0);
	assert_int_equal(say(2, "err\n", 4), 0);
	assert_reads(w.out, "out\n");
	assert_reads(w.err, "err\n");
	hang_up(0);
	assert_int_equal(w.over, 0);
	end(&w);
}

static void a_frame_in_pieces(void **state)
{
	static const char bytes[] = "\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\1!";
	struct world w;

	(void)state;
	begin_pipes(&w, NULL);
	for (size_t i = 0; i < sizeof bytes - 1; i++)
		assert_int_equal(wire.events->data(wire.userdata, bytes + i, 1), 0);
	assert_reads(w.out, "hello");
	assert_reads(w.err, "!");
	end(&w);
}

static void what_is_no_stream_breaks_it_off(void **state)
{
	struct world w;

	(void)state;
	begin_pipes(&w, NULL);
	assert_int_equal(wire.events->data(wire.userdata, "{\"message\":\"?\"}", 15), -EBADMSG);
	hang_up(-ECANCELED);
	assert_int_equal(w.over, -EBADMSG);
	assert_non_null(strstr(w.why.text, "no stream"));
	end(&w);
}

/* A full pipe holds the engine up, and nothing is lost, also when the stream has ended meanwhile.
 */
static void a_slow_reader(void **state)
{
	static char much[200000], got[sizeof much];
	struct world w;

	(void)state;
	for (size_t i = 0; i < sizeof much; i++)
		much[i] = (char)('a' + i % 23);
	begin_pipes(&w, NULL);
	assert_int_equal(say(1, much, sizeof much), 0);
	assert_int_equal(say(1, "x", 1), -EAGAIN);
	attach_finish(w.attach);
	hang_up(0);
	turn(&w);
	assert_int_equal(w.over, 1);
	for (size_t n = 0; n < sizeof much; turn(&w)) {
		ssize_t here = read(w.out, got + n, sizeof got - n);

		assert_true(here > 0);
		n += (size_t)here;
	}
	assert_memory_equal(got, much, sizeof much);
	turn(&w);
	assert_int_equal(w.over, 0);
	end(&w);
}

static void the_engine_goes_on_when_the_reader_has_read(void **state)
{
	static char much[100000], got[sizeof much];
	struct world w;

	(void)state;
	begin_pipes(&w, NULL);
	assert_int_equal(say(1, much, sizeof much), 0);
	turn(&w);
	assert_false(wire.resumed);
	for (size_t n = 0; n < sizeof much; turn(&w))
		n += (size_t)read(w.out, got, sizeof got);
	assert_true(wire.resumed);
	assert_int_equal(say(2, "x", 1), 0);
	assert_reads(w.err, "x");
	end(&w);
}

static void a_reader_that_is_gone_is_told_as_to_a_writer(void **state)
{
	struct world w;

	(void)state;
	begin_pipes(&w, NULL);
	w.out = fd_close(w.out);
	assert_int_equal(w.deaf, 1);
	assert_int_equal(say(1, "x", 1), 0);
	assert_int_equal(w.deaf, SIGPIPE);
	assert_int_equal(say(1, "y", 1), 0);
	assert_int_equal(say(2, "z", 1), 0);
	assert_reads(w.err, "z");
	hang_up(0);
	assert_int_equal(w.over, 0);
	end(&w);
}

static void a_full_disk_is_an_error(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	make_pipe(&w.stdio[0], &w.in);
	make_pipe(&w.err, &w.stdio[2]);
	w.stdio[1] = open("/dev/full", O_WRONLY | O_CLOEXEC);
	attach_to(&w, NULL);
	attach_started(w.attach);
	assert_int_equal(say(1, "x", 1), 0);
	assert_int_equal(w.deaf, SIGTERM);
	hang_up(0);
	assert_int_equal(w.over, -ENOSPC);
	assert_string_equal(w.why.text, "standard output: No space left on device");
	end(&w);
}

static void input_and_its_end(void **state)
{
	struct world w;

	(void)state;
	begin_pipes(&w, "first\n");
	turn(&w);
	assert_sent("first\n");
	assert_int_equal(write(w.in, "then", 4), 4);
	turn(&w);
	assert_sent("first\nthen");
	assert_false(wire.shut);
	w.in = fd_close(w.in);
	turn(&w);
	assert_true(wire.shut);
	assert_int_equal(say(1, "x", 1), 0);
	assert_reads(w.out, "x");
	end(&w);
}

/* What the engine does not take is not read either, and the end waits for it. */
static void a_container_that_reads_slowly(void **state)
{
	struct world w;
	char one;

	(void)state;
	begin_pipes(&w, NULL);
	wire.room = 3;
	assert_int_equal(write(w.in, "abcde", 5), 5);
	turn(&w);
	assert_sent("abc");
	assert_int_equal(write(w.in, "f", 1), 1);
	w.in = fd_close(w.in);
	turn(&w);
	assert_sent("abc");
	wire.room = SIZE_MAX;
	wire.events->writable(wire.userdata);
	turn(&w);
	assert_sent("abcdef");
	assert_true(wire.shut);
	assert_int_equal(read(w.stdio[0], &one, 1), 0);
	end(&w);
}

static void a_file_is_input(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	FILE *file = tmpfile();
	assert_non_null(file);
	assert_int_equal(fwrite("from a file", 1, 11, file), 11);
	rewind(file);
	w.stdio[0] = fcntl(fileno(file), F_DUPFD_CLOEXEC, 3);
	(void)fclose(file);
	make_pipe(&w.out, &w.stdio[1]);
	make_pipe(&w.err, &w.stdio[2]);
	attach_to(&w, NULL);
	attach_started(w.attach);
	turn(&w);
	assert_sent("from a file");
	assert_true(wire.shut);
	end(&w);
}

static void a_socket_is_input_and_output(void **state)
{
	struct world w;
	int pair[2];

	(void)state;
	begin(&w);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w.stdio[0] = pair[0];
	w.stdio[1] = fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
	w.in = pair[1];
	make_pipe(&w.err, &w.stdio[2]);
	attach_to(&w, NULL);
	attach_started(w.attach);
	assert_int_equal(write(w.in, "hello", 5), 5);
	turn(&w);
	assert_sent("hello");
	assert_int_equal(say(1, "answer", 6), 0);
	assert_reads(w.in, "answer");
	assert_int_equal(shutdown(w.in, SHUT_WR), 0);
	turn(&w);
	assert_true(wire.shut);
	end(&w);
}

static void nobody_reads_the_input(void **state)
{
	struct world w;

	(void)state;
	begin_pipes(&w, NULL);
	wire.error = -EPIPE;
	assert_int_equal(write(w.in, "x", 1), 1);
	turn(&w);
	assert_int_equal(write(w.in, "y", 1), 1);
	turn(&w);
	assert_false(wire.shut);
	hang_up(0);
	assert_int_equal(w.over, 0);
	end(&w);
}

/* ---- ends ---- */

static void refused_before_it_was_open(void **state)
{
	struct world w;
	struct err err;

	(void)state;
	begin(&w);
	make_pipe(&w.stdio[0], &w.in);
	make_pipe(&w.out, &w.stdio[1]);
	make_pipe(&w.err, &w.stdio[2]);
	const struct attach_setup setup = {.loop = w.loop,
		.stdio = w.stdio,
		.container = "c1",
		.opened = on_opened,
		.over = on_over,
		.userdata = &w};
	assert_int_equal(attach_new(&setup, &w.attach, &err), 0);
	wire.events->closed(wire.userdata,
		&(struct web_result){.status = 404, .text = "No such container: c1"});
	assert_int_equal(w.opened, -EPROTO);
	assert_non_null(strstr(w.why.text, "No such container: c1"));
	assert_int_equal(w.over, 1);
	end(&w);
}

/* It may come before the order to start is answered: then nobody listens yet. */
static void broken_off_before_the_start_is_answered(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	make_pipe(&w.stdio[0], &w.in);
	make_pipe(&w.out, &w.stdio[1]);
	make_pipe(&w.err, &w.stdio[2]);
	attach_to(&w, NULL);
	assert_int_equal(say(1, "x", 1), 0);
	hang_up(-ECONNRESET);
	turn(&w);
	assert_int_equal(w.over, 1);
	attach_started(w.attach);
	assert_int_equal(w.over, 1);
	turn(&w);
	assert_int_equal(w.over, -ECONNRESET);
	assert_reads(w.out, "x");
	end(&w);
}

static void given_up_with_output_that_waits(void **state)
{
	static char much[100000];
	struct world w;

	(void)state;
	begin_pipes(&w, NULL);
	assert_int_equal(say(1, much, sizeof much), 0);
	attach_finish(w.attach);
	hang_up(0);
	turn(&w);
	assert_int_equal(w.over, 1);
	end(&w);
}

/* ---- a terminal ---- */

static void begin_terminal(struct world *w)
{
	const struct winsize size = {.ws_row = 44, .ws_col = 132};

	begin(w);
	assert_int_equal(openpty(&w->in, &w->stdio[0], NULL, NULL, &size), 0);
	for (int i = 1; i < 3; i++)
		w->stdio[i] = fcntl(w->stdio[0], F_DUPFD_CLOEXEC, 3);
	attach_to(w, NULL);
}

static tcflag_t local_flags(const struct world *w)
{
	struct termios t;

	assert_int_equal(tcgetattr(w->stdio[0], &t), 0);
	return t.c_lflag & (ICANON | ECHO | ISIG);
}

static void raw_while_it_runs(void **state)
{
	struct world w;

	(void)state;
	begin_terminal(&w);
	assert_non_null(strstr(wire.path, "&detachKeys=%FE"));
	assert_int_equal(local_flags(&w), ICANON | ECHO | ISIG);
	attach_started(w.attach);
	assert_int_equal(local_flags(&w), 0);
	assert_string_equal(asked, "POST /containers/c1/resize?h=44&w=132");
	assert_int_equal(write(w.in, "\003", 1), 1);
	/* The kernel brings it over when it comes to it. */
	assert_int_equal(poll(&(struct pollfd){.fd = w.stdio[0], .events = POLLIN}, 1, 10000), 1);
	turn(&w);
	assert_sent("\003");
	/* No frames. */
	assert_int_equal(wire.events->data(wire.userdata, "\033[2Jx\n", 6), 0);
	assert_reads(w.in, "\033[2Jx\n");
	attach_finish(w.attach);
	assert_int_equal(local_flags(&w), 0);
	hang_up(0);
	assert_int_equal(w.over, 0);
	assert_int_equal(local_flags(&w), ICANON | ECHO | ISIG);
	end(&w);
}

static void a_terminal_given_up_is_as_it_was(void **state)
{
	struct world w;

	(void)state;
	begin_terminal(&w);
	attach_started(w.attach);
	w.attach = attach_free(w.attach);
	assert_int_equal(local_flags(&w), ICANON | ECHO | ISIG);
	end(&w);
}

/* One resize at a time, and the last size is what it comes to. */
static void the_size_follows(void **state)
{
	struct world w;

	(void)state;
	begin_terminal(&w);
	attach_started(w.attach);
	assert_int_equal(n_asked, 1);
	assert_int_equal(
		ioctl(w.stdio[0], TIOCSWINSZ, &(struct winsize){.ws_row = 10, .ws_col = 20}), 0);
	assert_int_equal(raise(SIGWINCH), 0);
	turn(&w);
	assert_int_equal(n_asked, 1);
	answer(answer_userdata, 0, 200, NULL, NULL);
	assert_int_equal(n_asked, 2);
	assert_string_equal(asked, "POST /containers/c1/resize?h=10&w=20");
	answer(answer_userdata, 0, 200, NULL, NULL);
	turn(&w);
	assert_int_equal(n_asked, 2);
	end(&w);
}

static void a_terminal_that_is_gone(void **state)
{
	struct world w;

	(void)state;
	begin_terminal(&w);
	attach_started(w.attach);
	w.in = fd_close(w.in);
	turn(&w);
	assert_false(wire.shut);
	assert_int_equal(wire.events->data(wire.userdata, "x", 1), 0);
	assert_int_equal(w.deaf, SIGHUP);
	hang_up(0);
	assert_int_equal(w.over, 0);
	end(&w);
}

/* ---- what the container is created with ---- */

static void created_for_pipes_and_for_a_terminal(void **state)
{
	struct world w;
	json_t *body = json_pack("{s:[s], s:{s:b}}", "Env", "A=1", "HostConfig", "Init", 1);

	(void)state;
	begin_terminal(&w);
	assert_int_equal(setenv("TERM", "vt220", 1), 0);
	assert_int_equal(attach_compose(body, w.stdio), 0);
	json_t *wanted = json_pack("{s:[s,s], s:{s:b,s:{s:s}}, s:b,s:b,s:b,s:b,s:b,s:b}", "Env",
		"A=1", "TERM=vt220", "HostConfig", "Init", 1, "LogConfig", "Type", "none", "Tty", 1,
		"OpenStdin", 1, "StdinOnce", 1, "AttachStdin", 1, "AttachStdout", 1, "AttachStderr",
		1);
	assert_true(json_equal(body, wanted));
	/* The release's own stands. */
	assert_int_equal(json_object_set_new(body, "Env", json_pack("[s]", "TERM=dumb")), 0);
	assert_int_equal(attach_compose(body, w.stdio), 0);
	assert_int_equal(json_array_size(json_object_get(body, "Env")), 1);
	json_decref(body);
	json_decref(wanted);
	end(&w);

	begin_pipes(&w, NULL);
	body = json_object();
	assert_int_equal(attach_compose(body, w.stdio), 0);
	assert_true(json_is_false(json_object_get(body, "Tty")));
	assert_null(json_object_get(body, "Env"));
	json_decref(body);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_outputs_apart_then_the_end),
		cmocka_unit_test(a_frame_in_pieces),
		cmocka_unit_test(what_is_no_stream_breaks_it_off),
		cmocka_unit_test(a_slow_reader),
		cmocka_unit_test(the_engine_goes_on_when_the_reader_has_read),
		cmocka_unit_test(a_reader_that_is_gone_is_told_as_to_a_writer),
		cmocka_unit_test(a_full_disk_is_an_error),
		cmocka_unit_test(input_and_its_end),
		cmocka_unit_test(a_container_that_reads_slowly),
		cmocka_unit_test(a_file_is_input),
		cmocka_unit_test(a_socket_is_input_and_output),
		cmocka_unit_test(nobody_reads_the_input),
		cmocka_unit_test(refused_before_it_was_open),
		cmocka_unit_test(broken_off_before_the_start_is_answered),
		cmocka_unit_test(given_up_with_output_that_waits),
		cmocka_unit_test(raw_while_it_runs),
		cmocka_unit_test(a_terminal_given_up_is_as_it_was),
		cmocka_unit_test(the_size_follows),
		cmocka_unit_test(a_terminal_that_is_gone),
		cmocka_unit_test(created_for_pipes_and_for_a_terminal),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
