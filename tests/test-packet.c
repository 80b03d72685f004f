#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd.h"
#include "wire/check.h"
#include "wire/job.h"
#include "wire/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
	int a, b;
};

static int setup(void **state)
{
	static struct pair pair;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	pair = (struct pair){fds[0], fds[1]};
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *pair = *state;

	pair->a = fd_close(pair->a);
	pair->b = fd_close(pair->b);
	return 0;
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_round_trip_with_descriptors(void **state)
{
	struct pair *pair = *state;
	struct packet p;
	/* (What is no such file is closed by another process, some time later.) */
	int zero = memfd_create("zero", MFD_CLOEXEC), before = open_descriptors();
	const struct packet_part parts[] = {{"abc", 3}, {NULL, 0}, {"de", 2}};
	char byte = 'x';

	assert_int_equal(ftruncate(zero, 1), 0);
	assert_int_equal(packet_send(pair->a, WIRE_LIST, 7, parts, 3, (int[]){zero, zero}, 2), 0);
	assert_int_equal(packet_receive(pair->b, &p), 1);
	assert_int_equal(packet_header(&p)->type, WIRE_LIST);
	assert_int_equal(packet_header(&p)->sequence, 7);
	assert_int_equal(p.len, sizeof(struct wire_header) + 5);
	assert_memory_equal(p.data + sizeof(struct wire_header), "abcde", 5);
	assert_int_equal(p.n_fds, 2);
	assert_true(fcntl(p.fds[1], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(read(p.fds[1], &byte, 1), 1);
	assert_int_equal(byte, 0);
	packet_done(&p);
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(packet_receive(pair->b, &p), -EAGAIN);
	(void)fd_close(zero);
}

static void test_end_of_file(void **state)
{
	struct pair *pair = *state;
	struct packet p;

	pair->a = fd_close(pair->a);
	assert_int_equal(packet_receive(pair->b, &p), 0);
	assert_int_equal(packet_send(pair->b, WIRE_LIST, 1, NULL, 0, NULL, 0), -EPIPE);
}

/* A peer that dies with unread packets in its queue: what it said before must still be heard. */
static void test_last_words_of_a_dead_peer(void **state)
{
	struct pair *pair = *state;
	struct packet p;

	assert_int_equal(packet_send(pair->b, WIRE_PING, 1, NULL, 0, NULL, 0), 0);
	assert_int_equal(packet_send(pair->a, WIRE_LIST, 1, NULL, 0, NULL, 0), 0);
	pair->a = fd_close(pair->a);
	assert_int_equal(packet_receive(pair->b, &p), 1);
	assert_int_equal(packet_header(&p)->type, WIRE_LIST);
	assert_int_equal(packet_receive(pair->b, &p), 0);
}

static void test_full_socket_sends_nothing(void **state)
{
	struct pair *pair = *state;
	static struct packet p;
	static char big[4000];
	unsigned sent = 0, received = 0;
	int r;

	while ((r = packet_send(pair->a, WIRE_LIST, sent + 1,
			&(struct packet_part){big, sizeof big}, 1, NULL, 0)) == 0)
		sent++;
	assert_int_equal(r, -EAGAIN);
	assert_true(sent > 1);
	while (packet_receive(pair->b, &p) == 1)
		assert_int_equal(packet_header(&p)->sequence, ++received);
	assert_int_equal(received, sent);
}

static void send_raw(int fd, const void *data, size_t len, unsigned n_fds)
{
	char control[CMSG_SPACE(sizeof(int) * 16)] = {0};
	struct iovec iov = {.iov_len = len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(&iov.iov_base, &data, sizeof data);
	if (n_fds) {
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		for (unsigned i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof fd);
	}
	assert_int_equal(sendmsg(fd, &m, 0), len);
}

static void test_too_many_descriptors(void **state)
{
	struct pair *pair = *state;
	struct wire_header h = {WIRE_MAGIC, WIRE_VERSION, WIRE_LIST, 1, sizeof h};
	struct packet p;
	int before = open_descriptors();

	for (unsigned n = LIMIT_PACKET_FDS + 1; n <= 16; n++) {
		send_raw(pair->a, &h, sizeof h, n);
		assert_int_equal(packet_receive(pair->b, &p), -EBADMSG);
		assert_int_equal(open_descriptors(), before);
	}
	assert_int_equal(packet_send(pair->a, WIRE_LIST, 1, NULL, 0, (int[5]){0}, 5), -EMSGSIZE);
}

static void test_wrong_headers(void **state)
{
	struct pair *pair = *state;
	const struct wire_header good = {WIRE_MAGIC, WIRE_VERSION, WIRE_LIST, 1, sizeof good};
	struct wire_header wrong[] = {good, good, good, good, good, good, good};
	struct packet p;
	int before = open_descriptors();

	wrong[0].magic++;
	wrong[1].version++;
	wrong[2].type = 0;
	wrong[3].type = WIRE_TYPE_MAX;
	wrong[4].type = JOB_TYPE_MAX;
	wrong[5].length--;
	wrong[6].length++;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		send_raw(pair->a, &wrong[i], sizeof wrong[i], 1);
		assert_int_equal(packet_receive(pair->b, &p), -EBADMSG);
	}
	send_raw(pair->a, &good, sizeof good - 1, 0);
	assert_int_equal(packet_receive(pair->b, &p), -EBADMSG);
	static char huge[LIMIT_PACKET + 1];
	memcpy(huge, &good, sizeof good);
	send_raw(pair->a, huge, sizeof huge, 1);
	assert_int_equal(packet_receive(pair->b, &p), -EBADMSG);
	assert_int_equal(open_descriptors(), before);
	send_raw(pair->a, &good, sizeof good, 0);
	assert_int_equal(packet_receive(pair->b, &p), 1);
}

/* ---- requests ---- */

static struct packet made;

static const struct packet *request(
	enum wire_type type, const void *body, size_t size, const char *tail, unsigned n_fds)
{
	struct wire_header h = {WIRE_MAGIC, WIRE_VERSION, (uint16_t)type, 1, 0};
	size_t tail_len = strlen(tail);

	made.len = sizeof h + size + tail_len;
	made.n_fds = n_fds;
	h.length = (uint32_t)made.len;
	memcpy(made.data, &h, sizeof h);
	memcpy(made.data + sizeof h, body, size);
	memcpy(made.data + sizeof h + size, tail, tail_len);
	assert_int_equal(packet_check(&made), 0);
	return &made;
}

static void test_spawn_requests(void **state)
{
	const struct wire_spawn good = {
		.child = {.id = 1, .generation = 2}, .name_length = 5, .tag_length = 3};
	struct wire_spawn s = good;
	struct wire_request r = {0};

	(void)state;
	assert_int_equal(
		wire_check_request(request(WIRE_SPAWN, &s, sizeof s, "web.1tag", 1), &r), 0);
	assert_memory_equal(r.name, "web.1", 5);
	assert_memory_equal(r.tag, "tag", 3);
	assert_int_equal(r.child->id, 1);

#define REFUSED(change, text, fds)                                                                 \
	do {                                                                                       \
		s = good;                                                                          \
		change;                                                                            \
		assert_int_equal(                                                                  \
			wire_check_request(request(WIRE_SPAWN, &s, sizeof s, text, fds), &r),      \
			-EBADMSG);                                                                 \
	} while (0)
	REFUSED((void)0, "web.1tag", 0);
	REFUSED((void)0, "web.1tag", 3);
	REFUSED((void)0, "web.1tag", 4);
	for (unsigned n = 0; n < 4; n++)
		REFUSED(s.output = WIRE_OUTPUT_GIVEN, "web.1tag", n);
	REFUSED(s.output = WIRE_OUTPUT_MERGED, "web.1tag", 0);
	REFUSED(s.output = WIRE_OUTPUT_MERGED, "web.1tag", 3);
	REFUSED(s.output = WIRE_OUTPUT_MERGED, "web.1tag", 4);
	REFUSED(s.output = WIRE_OUTPUT_MAX, "web.1tag", 1);
	REFUSED(s.output = UINT16_MAX, "web.1tag", 4);
	REFUSED((void)0, "web.1tags", 1);
	REFUSED((void)0, "web.1ta", 1);
	REFUSED((void)0, "", 1);
	REFUSED((void)0, "web/1tag", 1);
	REFUSED((void)0, "web\n1tag", 1);
	REFUSED((void)0,
		"web\x7f"
		"1tag",
		1);
	REFUSED(s.child.id = 0, "web.1tag", 1);
	REFUSED(s.child.generation = 0, "web.1tag", 1);
	REFUSED(s.child.reserved = 1, "web.1tag", 1);
	REFUSED((s.name_length = 0, s.tag_length = 8), "web.1tag", 1);
	REFUSED(s.tag_length = UINT32_MAX - 4, "web.1tag", 1);
#undef REFUSED
	s.output = WIRE_OUTPUT_GIVEN;
	s.child = good.child;
	s.name_length = 5;
	s.tag_length = 3;
	assert_int_equal(
		wire_check_request(request(WIRE_SPAWN, &s, sizeof s, "web.1tag", 4), &r), 0);
	/* With pipes a standard input may come along. */
	for (unsigned n = 1; n <= 2; n++) {
		s.output = WIRE_OUTPUT_PIPES;
		assert_int_equal(
			wire_check_request(request(WIRE_SPAWN, &s, sizeof s, "web.1tag", n), &r),
			0);
		s.output = WIRE_OUTPUT_MERGED;
		assert_int_equal(
			wire_check_request(request(WIRE_SPAWN, &s, sizeof s, "web.1tag", n), &r),
			0);
	}
}

static void test_parked_requests(void **state)
{
	struct wire_spawn_warm s = {
		.spawn = {.child = {.id = 1, .generation = 2}, .name_length = 5, .tag_length = 3},
		.parked = {.id = 7, .generation = 1},
	};
	struct wire_request r = {0};

	(void)state;
	/* One that is parked has no output yet. */
	for (unsigned output = 0; output <= WIRE_OUTPUT_MAX; output++)
		for (unsigned n = 0; n <= LIMIT_PACKET_FDS; n++) {
			bool given = output == WIRE_OUTPUT_GIVEN && n == 4,
			     piped = (output == WIRE_OUTPUT_PIPES ||
					     output == WIRE_OUTPUT_MERGED) &&
				     n >= 1 && n <= 2;

			s.spawn.output = (uint16_t)output;
			assert_int_equal(
				wire_check_request(
					request(WIRE_PARK, &s, sizeof s.spawn, "web.1tag", n), &r),
				given ? 0 : -EBADMSG);
			assert_int_equal(
				wire_check_request(
					request(WIRE_SPAWN_WARM, &s, sizeof s, "web.1tag", n), &r),
				given || piped ? 0 : -EBADMSG);
		}
	assert_int_equal(r.type, WIRE_SPAWN_WARM);
	assert_int_equal(r.child->id, 1);
	assert_int_equal(r.warm->parked.id, 7);
	assert_memory_equal(r.name, "web.1", 5);
	assert_memory_equal(r.tag, "tag", 3);
	s.spawn.output = WIRE_OUTPUT_PIPES;
	for (size_t size = 0; size < sizeof s; size++)
		assert_int_equal(wire_check_request(request(WIRE_SPAWN_WARM, &s, size, "", 1), &r),
			-EBADMSG);
	static const char *const texts[] = {"", "web.1ta", "web.1tags", "web/1tag"};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(
			wire_check_request(request(WIRE_SPAWN_WARM, &s, sizeof s, texts[i], 1), &r),
			-EBADMSG);
	static const struct wire_child bad[] = {{0, 1, 0}, {7, 0, 0}, {7, 1, 1}};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		s.parked = bad[i];
		assert_int_equal(wire_check_request(
					 request(WIRE_SPAWN_WARM, &s, sizeof s, "web.1tag", 1), &r),
			-EBADMSG);
	}
}

static void test_keep_requests(void **state)
{
	struct wire_spawn s = {
		.child = {.id = 1, .generation = 2}, .name_length = 5, .tag_length = 3};
	struct wire_request r = {0};

	(void)state;
	for (unsigned output = 0; output <= WIRE_OUTPUT_MAX; output++)
		for (unsigned n = 0; n <= LIMIT_PACKET_FDS; n++) {
			bool sound = (output == WIRE_OUTPUT_PIPES && n == 2) ||
				     (output == WIRE_OUTPUT_MERGED && n == 1);

			s.output = (uint16_t)output;
			assert_int_equal(
				wire_check_request(
					request(WIRE_KEEP, &s, sizeof s, "web.1tag", n), &r),
				sound ? 0 : -EBADMSG);
		}
	assert_int_equal(r.type, WIRE_KEEP);
	assert_memory_equal(r.name, "web.1", 5);
	assert_memory_equal(r.tag, "tag", 3);
	assert_int_equal(r.child->id, 1);
	s.output = WIRE_OUTPUT_PIPES;
	static const char *const texts[] = {"", "web.1ta", "web.1tags", "web/1tag", "web\n1tag"};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(
			wire_check_request(request(WIRE_KEEP, &s, sizeof s, texts[i], 2), &r),
			-EBADMSG);
	for (size_t size = 0; size < sizeof s; size++)
		assert_int_equal(
			wire_check_request(request(WIRE_KEEP, &s, size, "", 2), &r), -EBADMSG);
	s.child.id = 0;
	assert_int_equal(
		wire_check_request(request(WIRE_KEEP, &s, sizeof s, "web.1tag", 2), &r), -EBADMSG);
	s.child = (struct wire_child){.id = 1, .generation = 0};
	assert_int_equal(
		wire_check_request(request(WIRE_KEEP, &s, sizeof s, "web.1tag", 2), &r), -EBADMSG);
	s.child = (struct wire_child){.id = 1, .generation = 1, .reserved = 1};
	assert_int_equal(
		wire_check_request(request(WIRE_KEEP, &s, sizeof s, "web.1tag", 2), &r), -EBADMSG);
}

static void test_name_and_tag_limits(void **state)
{
	struct wire_spawn s = {.child = {.id = 1, .generation = 1}};
	struct wire_request r;
	char text[LIMIT_NAME + LIMIT_TAG + 3];

	(void)state;
	memset(text, 'x', sizeof text);
	text[LIMIT_NAME + LIMIT_TAG] = '\0';
	s.name_length = LIMIT_NAME;
	s.tag_length = LIMIT_TAG;
	assert_int_equal(wire_check_request(request(WIRE_SPAWN, &s, sizeof s, text, 1), &r), 0);
	s.name_length++;
	s.tag_length--;
	assert_int_equal(
		wire_check_request(request(WIRE_SPAWN, &s, sizeof s, text, 1), &r), -EBADMSG);
	s.name_length -= 2;
	s.tag_length += 2;
	assert_int_equal(
		wire_check_request(request(WIRE_SPAWN, &s, sizeof s, text, 1), &r), -EBADMSG);
}

static void test_fixed_requests(void **state)
{
	const struct wire_child child = {.id = 1, .generation = 1};
	struct wire_signal s = {.child = child, .signo = 64};
	struct wire_leave leave = {.code = 255};
	struct wire_request r;

	(void)state;
	assert_int_equal(wire_check_request(request(WIRE_SIGNAL, &s, sizeof s, "", 0), &r), 0);
	assert_int_equal(
		wire_check_request(request(WIRE_SIGNAL, &s, sizeof s, "", 1), &r), -EBADMSG);
	assert_int_equal(
		wire_check_request(request(WIRE_SIGNAL, &s, sizeof s, "x", 0), &r), -EBADMSG);
	assert_int_equal(
		wire_check_request(request(WIRE_SIGNAL, &s, sizeof s - 1, "", 0), &r), -EBADMSG);
	for (int signo = -1; signo <= 65; signo += 66) {
		s.signo = signo;
		assert_int_equal(wire_check_request(request(WIRE_SIGNAL, &s, sizeof s, "", 0), &r),
			-EBADMSG);
	}
	s.signo = 0;
	assert_int_equal(
		wire_check_request(request(WIRE_SIGNAL, &s, sizeof s, "", 0), &r), -EBADMSG);
	assert_int_equal(wire_check_request(request(WIRE_ACK, &child, sizeof child, "", 0), &r), 0);
	assert_int_equal(
		wire_check_request(request(WIRE_LEAVE, &leave, sizeof leave, "", 0), &r), 0);
	leave.code = 256;
	assert_int_equal(
		wire_check_request(request(WIRE_LEAVE, &leave, sizeof leave, "", 0), &r), -EBADMSG);
	assert_int_equal(wire_check_request(request(WIRE_LIST, "", 0, "", 0), &r), 0);
	assert_int_equal(wire_check_request(request(WIRE_LIST, "", 0, "x", 0), &r), -EBADMSG);
}

/* One unsound record makes the packet unsound, wherever it stands. */
static void test_records(void **state)
{
	struct wire_signal signals[WIRE_RECORDS + 1];
	struct wire_child children[WIRE_RECORDS + 1];
	struct wire_request r;

	(void)state;
	for (unsigned i = 0; i <= WIRE_RECORDS; i++) {
		children[i] = (struct wire_child){.id = i + 1, .generation = 1};
		signals[i] = (struct wire_signal){.child = children[i], .signo = 15};
	}
	for (unsigned n = 0; n <= WIRE_RECORDS + 1; n++) {
		int expected = n >= 1 && n <= WIRE_RECORDS ? 0 : -EBADMSG;

		assert_int_equal(
			wire_check_request(
				request(WIRE_SIGNAL, signals, n * sizeof *signals, "", 0), &r),
			expected);
		if (expected == 0)
			assert_int_equal(r.n, n);
		assert_int_equal(
			wire_check_request(
				request(WIRE_ACK, children, n * sizeof *children, "", 0), &r),
			expected);
	}
	for (unsigned i = 0; i < WIRE_RECORDS; i++) {
		signals[i].signo = 65;
		children[i].generation = 0;
		assert_int_equal(wire_check_request(request(WIRE_SIGNAL, signals,
							    WIRE_RECORDS * sizeof *signals, "", 0),
					 &r),
			-EBADMSG);
		assert_int_equal(wire_check_request(request(WIRE_ACK, children,
							    WIRE_RECORDS * sizeof *children, "", 0),
					 &r),
			-EBADMSG);
		signals[i].signo = 15;
		children[i].generation = 1;
	}
}

/* What only the launcher says, and what only a slug worker hears, is no request. */
static void test_answers_are_no_requests(void **state)
{
	static const unsigned types[] = {WIRE_SPAWNED, WIRE_FAILED, WIRE_LEFT, WIRE_EXITED,
		WIRE_ENTRY, WIRE_LIST_END, WIRE_PING, WIRE_SHUTDOWN, JOB_SLUG, JOB_DONE};
	static const char zeros[100];
	struct wire_request r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		for (size_t size = 0; size <= sizeof zeros; size += 4)
			assert_int_equal(
				wire_check_request(
					request((enum wire_type)types[i], zeros, size, "", 0), &r),
				-EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip_with_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_words_of_a_dead_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_socket_sends_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_headers, setup, teardown),
		cmocka_unit_test(test_spawn_requests),
		cmocka_unit_test(test_keep_requests),
		cmocka_unit_test(test_parked_requests),
		cmocka_unit_test(test_name_and_tag_limits),
		cmocka_unit_test(test_fixed_requests),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_answers_are_no_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
