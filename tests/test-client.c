#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd.h"
#include "launch/client.h"
#include "launch/queue.h"
#include "wire/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The test is the launcher: `other` is its end of the wire. */
struct fixture {
	sd_event *loop;
	struct launch *launch;
	int other;
	char log[1000]; /* what the callbacks heard */
	bool close_in_callback;
	int last_out;
};

static void note(struct fixture *f, const char *fmt, ...) HSUP_PRINTF(2, 3);

static void note(struct fixture *f, const char *fmt, ...)
{
	size_t at = strlen(f->log);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->log + at, sizeof f->log - at, fmt, ap);
	va_end(ap);
}

static const char *ends(int out, int err)
{
	return out >= 0 && err >= 0 ? "pipes" : out >= 0 ? "merged" : "given";
}

static void on_spawned(void *u, struct launch_child c, int pid, int out, int err)
{
	struct fixture *f = u;

	note(f, "spawned %u.%u %d %s;", (unsigned)c.id, c.generation, pid, ends(out, err));
	f->last_out = out;
	(void)fd_close(err);
	if (f->close_in_callback)
		f->launch = launch_close(f->launch);
}

static void on_failed(void *u, struct launch_child c, unsigned stage, int error)
{
	note(u, "failed %u %u %d;", (unsigned)c.id, stage, error);
}

static void on_left(void *u, struct launch_child c)
{
	note(u, "left %u;", (unsigned)c.id);
}

static void on_exited(void *u, const struct wire_exited *x)
{
	note(u, "exited %u %d;", (unsigned)x->child.id, x->status);
}

static void on_entry(void *u, struct launch_entry *e)
{
	note(u, "entry %u %u %d %.*s %.*s %s;", (unsigned)e->child.id, e->state, e->pid,
		(int)e->name_len, e->name, (int)e->tag_len, (const char *)e->tag,
		ends(e->out, e->err));
	(void)fd_close(e->out);
	(void)fd_close(e->err);
}

static void on_list_end(void *u)
{
	note(u, "end;");
}

static void on_shutdown(void *u, unsigned urgency, int signo)
{
	note(u, "shutdown %u %d;", urgency, signo);
}

static void on_restart(void *u)
{
	note(u, "restart;");
}

static void on_lost(void *u, int r)
{
	note(u, "lost %d;", r);
}

static const struct launch_child_events child_events = {
	.spawned = on_spawned,
	.failed = on_failed,
	.left = on_left,
	.exited = on_exited,
	.entry = on_entry,
	.list_end = on_list_end,
};

static const struct launch_events events = {
	.restart = on_restart,
	.shutdown = on_shutdown,
	.lost = on_lost,
};

static void answer(struct fixture *f, unsigned type, const void *body, size_t size,
	const void *tail, size_t tail_len, const int *fds, unsigned n_fds)
{
	const struct packet_part parts[] = {{body, size}, {tail, tail_len}};

	assert_int_equal(packet_send(f->other, type, 1, parts, 2, fds, n_fds), 0);
}

static void run(struct fixture *f)
{
	while (sd_event_run(f->loop, 0) > 0)
		;
}

/* The next request that the client has sent. */
static const struct wire_request *request(struct fixture *f, struct packet *p)
{
	static struct wire_request r;

	assert_int_equal(packet_receive(f->other, p), 1);
	assert_int_equal(wire_check_request(p, &r), 0);
	return &r;
}

static int setup(void **state)
{
	static struct fixture f;
	struct wire_hello hello = {.wire_version = WIRE_VERSION,
		.pid = 1,
		.can = WIRE_CAN_STDIO | WIRE_CAN_KEEP | WIRE_CAN_BOX | WIRE_CAN_WARM};
	struct packet p = {.n_fds = 0};
	struct err err;
	int fds[2];

	f = (struct fixture){.last_out = -1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	f.other = fds[1];
	assert_true(sd_event_new(&f.loop) >= 0);
	answer(&f, WIRE_HELLO, &hello, sizeof hello, NULL, 0, NULL, 0);
	assert_int_equal(launch_open(f.loop, fds[0], &events, &f, &f.launch, &err), 0);
	assert_int_equal(request(&f, &p)->type, WIRE_HELLO);
	launch_listen(f.launch, &child_events, &f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	f->launch = launch_close(f->launch);
	f->other = fd_close(f->other);
	f->last_out = fd_close(f->last_out);
	sd_event_unref(f->loop);
	return 0;
}

static const struct launch_child one = {.id = 1, .generation = 3};

static void test_requests(void **state)
{
	struct fixture *f = *state;
	const struct wire_request *r;
	struct packet p;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(launch_spawn(f->launch, one, "web.1", "tag", 3, null, NULL), 0);
	r = request(f, &p);
	assert_int_equal(r->type, WIRE_SPAWN);
	assert_int_equal(r->spawn->output, WIRE_OUTPUT_PIPES);
	assert_memory_equal(r->name, "web.1", 5);
	assert_memory_equal(r->tag, "tag", 3);
	assert_int_equal(r->child->generation, 3);
	packet_done(&p);
	assert_int_equal(launch_spawn(f->launch, one, "run.1", NULL, 0, null,
				 &(struct launch_stdio){.given = (int[]){null, null, null}}),
		0);
	r = request(f, &p);
	assert_int_equal(r->spawn->output, WIRE_OUTPUT_GIVEN);
	assert_int_equal(p.n_fds, 4);
	packet_done(&p);
	for (int in = -1; in < 1; in++) {
		struct launch_stdio stdio = {.in = in < 0 ? -1 : null, .merged = true};

		assert_int_equal(launch_spawn(f->launch, one, "web.1", "", 0, null, &stdio), 0);
		r = request(f, &p);
		assert_int_equal(r->spawn->output, WIRE_OUTPUT_MERGED);
		assert_int_equal(p.n_fds, in < 0 ? 1 : 2);
		packet_done(&p);
	}
	assert_int_equal(launch_spawn_box(f->launch, one, "web.1", "tag", 3, null,
				 &(struct launch_stdio){.in = null, .merged = true}),
		0);
	r = request(f, &p);
	assert_int_equal(r->type, WIRE_SPAWN_BOX);
	assert_int_equal(r->spawn->output, WIRE_OUTPUT_MERGED);
	assert_memory_equal(r->tag, "tag", 3);
	assert_int_equal(p.n_fds, 2);
	packet_done(&p);
	assert_int_equal(launch_park(f->launch, one, "~warm.1", "tag", 3, null,
				 &(struct launch_stdio){.given = (int[]){null, null, null}}),
		0);
	r = request(f, &p);
	assert_int_equal(r->type, WIRE_PARK);
	assert_int_equal(p.n_fds, 4);
	packet_done(&p);
	assert_int_equal(launch_spawn_warm(f->launch, one, (struct launch_child){2, 5}, "web.1",
				 "tag", 3, null, &(struct launch_stdio){.in = null}),
		0);
	r = request(f, &p);
	assert_int_equal(r->type, WIRE_SPAWN_WARM);
	assert_int_equal(r->child->id, 2);
	assert_int_equal(r->child->generation, 5);
	assert_int_equal(r->warm->parked.id, one.id);
	assert_int_equal(r->warm->parked.generation, one.generation);
	assert_memory_equal(r->name, "web.1", 5);
	assert_memory_equal(r->tag, "tag", 3);
	assert_int_equal(p.n_fds, 2);
	packet_done(&p);
	assert_int_equal(launch_can(f->launch),
		WIRE_CAN_STDIO | WIRE_CAN_KEEP | WIRE_CAN_BOX | WIRE_CAN_WARM);
	assert_int_equal(launch_tag(f->launch, one, "other", 5), 0);
	r = request(f, &p);
	assert_int_equal(r->type, WIRE_TAG);
	assert_int_equal(r->child->id, 1);
	assert_int_equal(r->retag->tag_length, 5);
	assert_memory_equal(r->tag, "other", 5);
	assert_int_equal(launch_tag(f->launch, one, "", LIMIT_TAG + 1), -EINVAL);
	assert_int_equal(launch_list(f->launch), 0);
	assert_int_equal(request(f, &p)->type, WIRE_LIST);
	assert_int_equal(launch_leave(f->launch, 130), 0);
	assert_int_equal(request(f, &p)->leave->code, 130);
	assert_int_equal(launch_spawn(f->launch, one, "", NULL, 0, null, NULL), -EINVAL);
	assert_string_equal(f->log, "");
	(void)fd_close(null);
}

static void test_keep(void **state)
{
	struct fixture *f = *state;
	const struct wire_request *r;
	char name[LIMIT_NAME + 2];
	struct packet p;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	for (int err = -1; err < 1; err++) {
		assert_int_equal(launch_keep(f->launch, one, "web.1", "tag", 3, fds[0],
					 err < 0 ? -1 : fds[1]),
			0);
		r = request(f, &p);
		assert_int_equal(r->type, WIRE_KEEP);
		assert_int_equal(
			r->spawn->output, err < 0 ? WIRE_OUTPUT_MERGED : WIRE_OUTPUT_PIPES);
		assert_int_equal(p.n_fds, err < 0 ? 1 : 2);
		assert_memory_equal(r->name, "web.1", 5);
		assert_memory_equal(r->tag, "tag", 3);
		assert_int_equal(r->child->id, 1);
		assert_int_equal(r->child->generation, 3);
		packet_done(&p);
	}
	/* They stay the caller's. */
	assert_int_equal(write(fds[1], "x", 1), 1);
	memset(name, 'x', sizeof name);
	name[LIMIT_NAME + 1] = '\0';
	assert_int_equal(launch_keep(f->launch, one, name, "", 0, fds[0], -1), -EINVAL);
	assert_int_equal(launch_keep(f->launch, one, "", "", 0, fds[0], -1), -EINVAL);
	assert_int_equal(
		launch_keep(f->launch, one, "web.1", "", LIMIT_TAG + 1, fds[0], -1), -EINVAL);
	assert_int_equal(launch_keep(f->launch, one, "web.1", "", 0, -1, -1), -EBADF);
	assert_int_equal(packet_receive(f->other, &p), -EAGAIN);
	(void)fd_close(fds[0]);
	(void)fd_close(fds[1]);
}

/* It would take it for broken, and close the connection. */
static void test_an_older_launcher_is_not_asked_for_what_it_cannot(void **state)
{
	struct fixture *f = *state;
	struct wire_hello hello = {.wire_version = WIRE_VERSION, .pid = 1, .can = WIRE_CAN_NPROC};
	struct launch *launch = NULL;
	struct packet p;
	struct err err;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(packet_send(fds[1], WIRE_HELLO, 1,
				 &(struct packet_part){&hello, sizeof hello}, 1, NULL, 0),
		0);
	assert_int_equal(launch_open(f->loop, fds[0], &events, f, &launch, &err), 0);
	assert_int_equal(packet_receive(fds[1], &p), 1);
	assert_int_equal(launch_keep(launch, one, "web.1", "", 0, fds[1], -1), -EOPNOTSUPP);
	assert_int_equal(launch_spawn_box(launch, one, "web.1", "", 0, fds[1], NULL), -EOPNOTSUPP);
	assert_int_equal(launch_park(launch, one, "web.1", "", 0, fds[1], NULL), -EOPNOTSUPP);
	assert_int_equal(
		launch_spawn_warm(launch, one, one, "web.1", "", 0, fds[1], NULL), -EOPNOTSUPP);
	assert_int_equal(packet_receive(fds[1], &p), -EAGAIN);
	assert_null(launch_close(launch));
	(void)fd_close(fds[1]);
}

static void test_kept_entries(void **state)
{
	struct fixture *f = *state;
	struct wire_entry entry = {.child = {.id = 1, .generation = 3},
		.state = WIRE_ENTRY_KEPT,
		.output = WIRE_OUTPUT_PIPES,
		.name_length = 5,
		.tag_length = 3};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	answer(f, WIRE_ENTRY, &entry, sizeof entry, "web.1tag", 8, (int[]){null, null}, 2);
	entry.output = WIRE_OUTPUT_MERGED;
	answer(f, WIRE_ENTRY, &entry, sizeof entry, "web.1tag", 8, (int[]){null, null}, 2);
	run(f);
	assert_string_equal(f->log, "entry 1 4 0 web.1 tag pipes;entry 1 4 0 web.1 tag merged;");
	entry.state = WIRE_ENTRY_KEPT + 1;
	answer(f, WIRE_ENTRY, &entry, sizeof entry, "web.1tag", 8, NULL, 0);
	run(f);
	assert_non_null(strstr(f->log, "lost -74;"));
	(void)fd_close(null);
}

static void test_records_go_together(void **state)
{
	struct fixture *f = *state;
	const struct wire_request *r;
	struct packet p;

	for (unsigned i = 1; i <= WIRE_RECORDS + 1; i++)
		assert_int_equal(
			launch_signal(f->launch, (struct launch_child){.id = i, .generation = 1},
				i % 2 ? 15 : 9),
			0);
	/* A full packet at once, the rest before the loop sleeps. */
	r = request(f, &p);
	assert_int_equal(r->type, WIRE_SIGNAL);
	assert_int_equal(r->n, WIRE_RECORDS);
	for (unsigned i = 1; i <= WIRE_RECORDS; i++) {
		assert_int_equal(r->signal[i - 1].child.id, i);
		assert_int_equal(r->signal[i - 1].signo, i % 2 ? 15 : 9);
	}
	assert_int_equal(packet_receive(f->other, &p), -EAGAIN);
	run(f);
	r = request(f, &p);
	assert_int_equal(r->n, 1);
	assert_int_equal(r->signal->child.id, WIRE_RECORDS + 1);

	/* What is said between stays between. */
	assert_int_equal(launch_ack(f->launch, one), 0);
	assert_int_equal(launch_ack(f->launch, one), 0);
	assert_int_equal(launch_signal(f->launch, one, 15), 0);
	assert_int_equal(launch_list(f->launch), 0);
	assert_int_equal(launch_ack(f->launch, one), 0);
	r = request(f, &p);
	assert_true(r->type == WIRE_ACK && r->n == 2);
	r = request(f, &p);
	assert_true(r->type == WIRE_SIGNAL && r->n == 1);
	assert_int_equal(request(f, &p)->type, WIRE_LIST);
	assert_int_equal(packet_receive(f->other, &p), -EAGAIN);
	assert_int_equal(launch_leave(f->launch, 0), 0);
	assert_int_equal(request(f, &p)->type, WIRE_ACK);
	assert_int_equal(request(f, &p)->type, WIRE_LEAVE);
	run(f);
	assert_int_equal(packet_receive(f->other, &p), -EAGAIN);
}

static void test_records_are_not_lost_by_closing(void **state)
{
	struct fixture *f = *state;
	struct packet p;

	assert_int_equal(launch_signal(f->launch, one, 15), 0);
	f->launch = launch_close(f->launch);
	assert_int_equal(request(f, &p)->type, WIRE_SIGNAL);
	assert_int_equal(packet_receive(f->other, &p), 0);
}

static void test_answers(void **state)
{
	struct fixture *f = *state;
	const struct wire_child child = {.id = 1, .generation = 3};
	struct wire_spawned spawned = {.child = child, .pid = 77};
	struct wire_failed failed = {.child = child, .stage = WIRE_STAGE_EXEC, .error = ENOENT};
	struct wire_exited exited[] = {
		{.child = child, .status = 9}, {.child = {.id = 2, .generation = 1}}};
	struct wire_shutdown shutdown = {.urgency = 2, .signo = 15};
	struct wire_entry entry = {
		.child = child, .state = WIRE_ENTRY_LEFT, .name_length = 5, .tag_length = 3};
	struct packet p;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	answer(f, WIRE_SPAWNED, &spawned, sizeof spawned, NULL, 0, (int[]){null, null}, 2);
	answer(f, WIRE_SPAWNED, &spawned, sizeof spawned, NULL, 0, NULL, 0);
	spawned.output = WIRE_OUTPUT_MERGED;
	answer(f, WIRE_SPAWNED, &spawned, sizeof spawned, NULL, 0, (int[]){null, null}, 2);
	answer(f, WIRE_FAILED, &failed, sizeof failed, NULL, 0, NULL, 0);
	answer(f, WIRE_LEFT, &child, sizeof child, NULL, 0, NULL, 0);
	answer(f, WIRE_EXITED, exited, sizeof exited, NULL, 0, NULL, 0);
	answer(f, WIRE_ENTRY, &entry, sizeof entry, "web.1tag", 8, NULL, 0);
	answer(f, WIRE_LIST_END, NULL, 0, NULL, 0, NULL, 0);
	answer(f, WIRE_SHUTDOWN, &shutdown, sizeof shutdown, NULL, 0, NULL, 0);
	answer(f, WIRE_RESTART, NULL, 0, NULL, 0, NULL, 0);
	answer(f, WIRE_PING, NULL, 0, NULL, 0, NULL, 0);
	assert_string_equal(f->log, ""); /* only from the loop */
	run(f);
	assert_string_equal(f->log,
		"spawned 1.3 77 pipes;spawned 1.3 77 given;spawned 1.3 77 "
		"merged;failed 1 12 2;left 1;exited 1 9;"
		"exited 2 0;entry 1 2 0 web.1 tag given;end;shutdown 2 15;restart;");
	assert_int_equal(request(f, &p)->type, WIRE_PONG);
	(void)fd_close(null);
}

static void test_a_full_socket_queues_in_order(void **state)
{
	struct fixture *f = *state;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct packet p;
	unsigned n = 0;

	for (unsigned i = 1; i <= 1000; i++) {
		struct launch_child c = {.id = i, .generation = 1};

		assert_int_equal(launch_spawn(f->launch, c, "web.1", "tag", 3, null, NULL), 0);
		assert_int_equal(launch_signal(f->launch, c, 9), 0);
	}
	/* Closed here, still good there. */
	(void)fd_close(null);
	while (n < 2000) {
		const struct wire_request *r = request(f, &p);

		assert_int_equal(r->child->id, n / 2 + 1);
		assert_int_equal(r->type, n % 2 ? WIRE_SIGNAL : WIRE_SPAWN);
		packet_done(&p);
		n++;
		run(f);
	}
	assert_int_equal(packet_receive(f->other, &p), -EAGAIN);
	/* Nothing waits any more: the loop sleeps. */
	assert_int_equal(sd_event_run(f->loop, 0), 0);
}

static void test_the_queue_is_bounded(void **state)
{
	struct queue q = {0};
	char body[10] = "";
	const struct packet_part part = {body, sizeof body};

	(void)state;
	for (unsigned i = 0; i < QUEUE_MAX_SPAWNS; i++)
		assert_int_equal(
			queue_append(&q, i % 2 ? WIRE_SPAWN : WIRE_KEEP, &part, 1, NULL, 0), 0);
	assert_int_equal(queue_append(&q, WIRE_SPAWN, &part, 1, NULL, 0), -ENOBUFS);
	assert_int_equal(queue_append(&q, WIRE_KEEP, &part, 1, NULL, 0), -ENOBUFS);
	queue_drop_first(&q);
	assert_int_equal(queue_append(&q, WIRE_SPAWN, &part, 1, NULL, 0), 0);
	for (unsigned i = QUEUE_MAX_SPAWNS; i < QUEUE_MAX; i++)
		assert_int_equal(queue_append(&q, WIRE_ACK, &part, 1, NULL, 0), 0);
	assert_int_equal(queue_append(&q, WIRE_ACK, &part, 1, NULL, 0), -ENOBUFS);
	/* A descriptor that cannot be duplicated leaves nothing behind. */
	queue_drop_first(&q);
	assert_int_equal(queue_append(&q, WIRE_ACK, &part, 1, (int[]){-1}, 1), -EBADF);
	assert_int_equal(q.n, QUEUE_MAX - 1);
	queue_done(&q);
	assert_null(queue_first(&q));
	assert_int_equal(q.n, 0);
}

static void test_the_end_comes_once_after_all_that_was_said(void **state)
{
	struct fixture *f = *state;
	const struct wire_child child = {.id = 1, .generation = 1};

	answer(f, WIRE_LEFT, &child, sizeof child, NULL, 0, NULL, 0);
	f->other = fd_close(f->other);
	assert_int_equal(launch_list(f->launch), -EPIPE);
	assert_int_equal(launch_signal(f->launch, one, 15), 0); /* nobody is there to get it */
	run(f);
	run(f);
	assert_string_equal(f->log, "left 1;lost 0;");
}

static void test_a_broken_wire(void **state)
{
	struct fixture *f = *state;
	char zeros[32] = "";

	answer(f, WIRE_SPAWN, zeros, sizeof zeros, NULL, 0, NULL, 0); /* a request, no answer */
	run(f);
	answer(f, WIRE_LIST_END, NULL, 0, NULL, 0, NULL, 0);
	run(f);
	assert_string_equal(f->log, "lost -74;");
}

static void test_closed_from_a_callback(void **state)
{
	struct fixture *f = *state;
	struct wire_spawned spawned = {.child = {.id = 1, .generation = 1}, .pid = 7};

	f->close_in_callback = true;
	answer(f, WIRE_SPAWNED, &spawned, sizeof spawned, NULL, 0, NULL, 0);
	answer(f, WIRE_SPAWNED, &spawned, sizeof spawned, NULL, 0, NULL, 0);
	run(f);
	assert_string_equal(f->log, "spawned 1.1 7 given;");
	assert_null(f->launch);
}

static void test_handshakes_that_fail(void **state)
{
	struct fixture *f = *state;
	struct wire_hello old = {.wire_version = WIRE_VERSION + 1};
	struct launch *launch = NULL;
	struct err err;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(packet_send(fds[1], WIRE_HELLO, 1, &(struct packet_part){&old, sizeof old},
				 1, NULL, 0),
		0);
	assert_int_equal(launch_open(f->loop, fds[0], &events, f, &launch, &err), -EPROTO);
	(void)fd_close(fds[1]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(packet_send(fds[1], WIRE_LIST_END, 1, NULL, 0, NULL, 0), 0);
	assert_int_equal(launch_open(f->loop, fds[0], &events, f, &launch, &err), -EPROTO);
	(void)fd_close(fds[1]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
	assert_int_equal(launch_open(f->loop, fds[0], &events, f, &launch, &err), -ECONNRESET);
	(void)fd_close(fds[1]);
	assert_null(launch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keep, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_an_older_launcher_is_not_asked_for_what_it_cannot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records_go_together, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_records_are_not_lost_by_closing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_full_socket_queues_in_order, setup, teardown),
		cmocka_unit_test(test_the_queue_is_bounded),
		cmocka_unit_test_setup_teardown(
			test_the_end_comes_once_after_all_that_was_said, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_broken_wire, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_from_a_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_handshakes_that_fail, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
