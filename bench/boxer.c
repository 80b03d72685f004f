/* The supervisor of a launcher, for the bench of native dynos: boxer STACK, told by lines on
 * standard input what to do, answers each by a line on standard output:
 *
 *   one		one box of /bin/true: "NS NS" from the order until its exit was told, and
 *   		until its init could be reaped
 *   many N	N of them at once: "NS" until the last exit was told
 *   hold N	N boxes that live: "NS" until each has written a byte
 *   pids	of those that live
 *   stop	KILL to all that live: "NS" until the last exit was told
 *   began	one box: "NS" from the order until its program ran; then it is killed
 *   park	one box is parked, and has had the time to be ready: "NS"
 *   warm	as began, in the box that is parked
 *
 * What ended is swept before the next line is read, outside of what is timed. */
#include "base/clock.h"
#include "base/fd.h"
#include "record.h"
#include "wire/packet.h"
#include "wire/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST	  2000
#define SWEEP_MAX 64 /* names of one order */

static struct box {
	uint64_t id;
	int pid, pidfd, out, err;
	bool alive, spoke;
} boxes[MOST];
static unsigned n_boxes, living;
static uint64_t last_id;
static uint32_t sequence;
static int wire, null;
static const char *stack;

__attribute__((noreturn)) static void die(const char *what)
{
	(void)fprintf(stderr, "boxer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void send_packet(
	unsigned type, const struct packet_part *parts, unsigned n, const int *fds, unsigned n_fds)
{
	struct pollfd p = {.fd = wire, .events = POLLOUT};
	int r;

	while ((r = packet_send(wire, type, ++sequence, parts, n, fds, n_fds)) == -EAGAIN)
		(void)poll(&p, 1, -1);
	if (r < 0)
		die("sending");
}

static void send_body(unsigned type, const void *body, size_t len)
{
	send_packet(type, &(struct packet_part){body, len}, len > 0, NULL, 0);
}

static uint64_t parked; /* 0 = none */

static void order(unsigned type, uint64_t id, struct spec_builder *b)
{
	struct wire_spawn_warm spawn = {
		.spawn = {.child = {id, 1, 0}, .name_length = 4},
		.parked = {parked, 1, 0},
	};
	bool warm = type == WIRE_SPAWN_WARM, park = type == WIRE_PARK;
	int fds[4] = {spec_seal(b), null, null, null};

	if (fds[0] < 0)
		die("spec");
	if (park)
		spawn.spawn.output = WIRE_OUTPUT_GIVEN;
	send_packet(type,
		(struct packet_part[]){
			{&spawn, warm ? sizeof spawn : sizeof spawn.spawn}, {"bench", 4}},
		2, fds, park ? 4 : 1);
	(void)close(fds[0]);
}

static void name_of(uint64_t id, char ret_name[32])
{
	(void)snprintf(ret_name, 32, "bench.%d.%llu", (int)getpid(), (unsigned long long)id);
}

static struct box *order_box(unsigned type, const char *const *args)
{
	static struct spec_builder b;
	struct spec_box box = {.mode = type == WIRE_PARK ? SPEC_BOX_PARK : SPEC_BOX_RUN,
		.memory = 512u << 20,
		.cpu_percent = 100,
		.processes = 256};
	struct box *new = &boxes[n_boxes++];
	char name[32];

	*new = (struct box){.id = ++last_id, .pidfd = -1, .out = -1, .err = -1, .alive = true};
	living++;
	name_of(new->id, name);
	spec_begin(&b);
	(void)spec_program(&b, args[0]);
	for (; *args; args++)
		(void)spec_arg(&b, *args);
	(void)spec_env(&b, "PATH", "/bin:/usr/bin");
	(void)spec_directory(&b, "/");
	(void)spec_box(&b, &box);
	(void)spec_box_name(&b, name);
	(void)spec_box_stack(&b, stack);
	order(type, new->id, &b);
	return new;
}

static struct box *find(uint64_t id)
{
	for (unsigned i = 0; i < n_boxes; i++)
		if (boxes[i].id == id)
			return &boxes[i];
	return NULL;
}

static void ended(const struct wire_child *child, int status)
{
	struct box *b = find(child->id);

	send_body(WIRE_ACK, child, sizeof *child);
	if (b && b->alive) {
		b->alive = false;
		living--;
		if (status != 0 && status != 9)
			(void)fprintf(stderr, "boxer: status %d\n", status);
	} else if (!b) {
		living--; /* a sweep */
	}
}

static void take(struct packet *p)
{
	const struct wire_exited *x;
	const struct wire_failed *f;
	const struct wire_spawned *s;
	struct box *b;
	unsigned n;

	switch (packet_header(p)->type) {
	case WIRE_SPAWNED:
		s = packet_body(p, sizeof *s, false);
		b = find(s->child.id);
		if (b) {
			b->pid = s->pid;
			b->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
			b->out = TAKE_FD(p->fds[0]);
			b->err = p->n_fds > 1 ? TAKE_FD(p->fds[1]) : -1;
		}
		break;
	case WIRE_EXITED:
		x = packet_records(p, sizeof *x, &n);
		for (unsigned i = 0; i < n; i++)
			ended(&x[i].child, x[i].status);
		break;
	case WIRE_FAILED:
		f = packet_body(p, sizeof *f, false);
		(void)fprintf(
			stderr, "boxer: %s: %s\n", wire_stage_text(f->stage), strerror(f->error));
		ended(&f->child, 0);
		break;
	case WIRE_PING:
		send_body(WIRE_PONG, NULL, 0);
		break;
	case WIRE_SHUTDOWN:
		exit(0);
	default:
		break;
	}
	packet_done(p);
}

static void receive(void)
{
	static struct packet p;
	struct pollfd watch = {.fd = wire, .events = POLLIN};
	int r;

	(void)poll(&watch, 1, -1);
	while ((r = packet_receive(wire, &p)) > 0)
		take(&p);
	if (r != -EAGAIN)
		exit(0);
}

/* What all of them left, and the room in the table. */
static void sweep(void)
{
	static struct spec_builder b;
	const struct spec_box box = {.mode = SPEC_BOX_SWEEP};

	for (unsigned i = 0; i < n_boxes; i += SWEEP_MAX) {
		spec_begin(&b);
		(void)spec_program(&b, "sweep");
		(void)spec_arg(&b, "sweep");
		for (unsigned k = i; k < n_boxes && k < i + SWEEP_MAX; k++) {
			char name[32];

			name_of(boxes[k].id, name);
			(void)spec_arg(&b, name);
			(void)fd_close(boxes[k].pidfd);
			(void)fd_close(boxes[k].out);
			(void)fd_close(boxes[k].err);
		}
		(void)spec_box(&b, &box);
		order(WIRE_SPAWN, ++last_id, &b);
		living++;
	}
	n_boxes = 0;
	while (living > 0)
		receive();
}

static void hold(unsigned n)
{
	static const char *const args[] = {"/bin/sh", "-c", "echo x; exec sleep 100000", NULL};
	unsigned spoke = 0;

	for (unsigned i = 0; i < n; i++)
		(void)order_box(WIRE_SPAWN_BOX, args);
	while (spoke < n) {
		struct pollfd watch[MOST + 1] = {{.fd = wire, .events = POLLIN}};

		/* Not those that have spoken: what they wrote is not read. */
		for (unsigned i = 0; i < n_boxes; i++)
			watch[i + 1] = (struct pollfd){
				.fd = boxes[i].spoke ? -1 : boxes[i].out,
				.events = POLLIN,
			};
		(void)poll(watch, n_boxes + 1, -1);
		if (watch[0].revents)
			receive();
		spoke = 0;
		for (unsigned i = 0; i < n_boxes; i++) {
			boxes[i].spoke |= !boxes[i].alive || watch[i + 1].revents & POLLIN;
			spoke += boxes[i].spoke;
		}
	}
}

static void stop(void)
{
	for (unsigned i = 0; i < n_boxes; i++) {
		struct wire_signal s = {.child = {boxes[i].id, 1, 0}, .signo = 9};

		send_body(WIRE_SIGNAL, &s, sizeof s);
	}
	while (living > 0)
		receive();
}

/* The first's. One that is nowhere to be found is: it was there when it was ordered. */
static void wait_for_the_reap(void)
{
	struct pollfd watch = {.fd = boxes[0].pidfd, .events = POLLIN};

	if (watch.fd >= 0)
		(void)poll(&watch, 1, -1);
}

/* All it needs after it was spawned, the joining of cgroups included, takes 3 to 30 ms on an idle
 * machine. */
static void park(void)
{
	static const char *const args[] = {"park", NULL};
	const struct timespec ready = {.tv_nsec = 150000000};
	struct box *b = order_box(WIRE_PARK, args);

	while (b->pid == 0)
		receive();
	parked = b->id;
	(void)nanosleep(&ready, NULL);
}

/* When its program began to run. */
static uint64_t begin(unsigned type)
{
	static const char *const args[] = {"/bin/first", NULL};
	struct record record;
	const struct box *b = order_box(type, args);

	if (type == WIRE_SPAWN_WARM)
		living--; /* the one that was parked is this one */
	parked = 0;
	while (b->out < 0 && b->alive)
		receive();
	struct pollfd said = {.fd = b->out, .events = POLLIN};
	if (poll(&said, 1, 5000) != 1 || read(b->out, &record, sizeof record) != sizeof record)
		die("no box has said when it began");
	return record.ns;
}

static void obey(const char *line)
{
	static const char *const args[] = {"/bin/true", NULL};
	unsigned n = strchr(line, ' ') ? (unsigned)atoi(strchr(line, ' ')) : 1;
	uint64_t begun = clock_now();

	if (strncmp(line, "pids", 4) == 0) {
		for (unsigned i = 0; i < n_boxes; i++)
			(void)printf("%d ", boxes[i].pid);
		(void)puts("");
		return;
	}
	uint64_t now = 0;
	if (strncmp(line, "hold", 4) == 0 && n <= MOST)
		hold(n);
	else if (strncmp(line, "park", 4) == 0)
		park();
	else if (strncmp(line, "began", 5) == 0)
		now = begin(WIRE_SPAWN_BOX);
	else if (strncmp(line, "warm", 4) == 0)
		now = begin(WIRE_SPAWN_WARM);
	else if (strncmp(line, "stop", 4) == 0)
		stop();
	else {
		for (unsigned i = 0; i < n && i < MOST; i++)
			(void)order_box(WIRE_SPAWN_BOX, args);
		while (living > 0)
			receive();
	}
	(void)printf("%llu", (unsigned long long)((now ? now : clock_now()) - begun));
	if (strncmp(line, "one", 3) == 0) {
		wait_for_the_reap();
		(void)printf(" %llu", (unsigned long long)(clock_now() - begun));
	}
	(void)puts("");
	(void)fflush(stdout);
	if (now)
		stop();
	if (living == 0)
		sweep();
}

int main(int argc, char **argv)
{
	const char *fd = getenv(WIRE_FD_ENV);
	struct wire_hello hello = {.wire_version = WIRE_VERSION, .pid = (uint32_t)getpid()};
	char line[64];

	if (argc != 2 || !fd)
		return 2;
	stack = argv[1];
	wire = atoi(fd);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	send_body(WIRE_HELLO, &hello, sizeof hello);
	receive();
	while (fgets(line, sizeof line, stdin)) {
		obey(line);
		(void)fflush(stdout);
	}
	return 0;
}
