/* Stands between an engine and its clients, and writes down when each request came and when its
 * answer went out: what lies between an answer and the next request is the client's own time,
 * however long the engine takes.
 *
 *     relay LISTEN SOCKET
 *
 * Prints for each request "METHOD TARGET ASKED ANSWERED" (CLOCK_REALTIME, ns) once its answer
 * begins. A client sends no request before the last was answered; streams and hijacked connections
 * pass through. Runs until it is killed. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PAIRS 256

struct pair {
	int fds[2]; /* client, engine */
	uint64_t asked;
	char target[256]; /* "" = nothing to be answered */
};

static struct pair pairs[PAIRS];
static size_t n_pairs;

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	(void)fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	return address;
}

static int listens(const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 64) < 0)
		die(path);
	return fd;
}

static void welcome(int listener, const char *path)
{
	struct sockaddr_un address = address_of(path);
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int engine = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (client < 0 || connect(engine, (const struct sockaddr *)&address, sizeof address) < 0 ||
		n_pairs == PAIRS) {
		if (client >= 0)
			(void)close(client);
		(void)close(engine);
		return;
	}
	pairs[n_pairs++] = (struct pair){.fds = {client, engine}};
}

static void note_request(struct pair *p, const char *data, size_t n)
{
	size_t len = 0;

	if (p->target[0])
		return; /* more of the same */
	p->asked = now_ns();
	for (unsigned blanks = 0; len < n && len + 1 < sizeof p->target; len++)
		if (data[len] == ' ' && ++blanks == 2)
			break;
	memcpy(p->target, data, len);
	p->target[len] = '\0';
}

static void note_answer(struct pair *p)
{
	if (!p->target[0])
		return;
	(void)printf("%s %llu %llu\n", p->target, (unsigned long long)p->asked,
		(unsigned long long)now_ns());
	p->target[0] = '\0';
}

/* 0 = this direction is over. */
static int pass(struct pair *p, int from)
{
	static char data[1 << 18];
	ssize_t n = recv(p->fds[from], data, sizeof data, 0);

	if (n <= 0)
		return 0;
	if (from == 0)
		note_request(p, data, (size_t)n);
	else
		note_answer(p);
	for (ssize_t at = 0; at < n;) {
		ssize_t sent = send(p->fds[!from], data + at, (size_t)(n - at), MSG_NOSIGNAL);

		if (sent <= 0)
			return 0;
		at += sent;
	}
	return 1;
}

static void close_pair(struct pair *p)
{
	(void)close(p->fds[0]);
	(void)close(p->fds[1]);
	*p = pairs[--n_pairs];
}

int main(int argc, char **argv)
{
	static struct pollfd polls[1 + 2 * PAIRS];

	if (argc != 3) {
		(void)fprintf(stderr, "relay LISTEN SOCKET\n");
		return 2;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	int listener = listens(argv[1]);
	for (;;) {
		polls[0] = (struct pollfd){.fd = listener, .events = POLLIN};
		for (size_t i = 0; i < 2 * n_pairs; i++)
			polls[1 + i] =
				(struct pollfd){.fd = pairs[i / 2].fds[i % 2], .events = POLLIN};
		if (poll(polls, 1 + 2 * n_pairs, -1) < 0)
			die("poll");
		/* From the last on: closing one moves the last into its place. */
		for (size_t i = n_pairs; i-- > 0;)
			if ((polls[1 + 2 * i].revents && !pass(&pairs[i], 0)) ||
				(polls[2 + 2 * i].revents && !pass(&pairs[i], 1)))
				close_pair(&pairs[i]);
		if (polls[0].revents)
			welcome(listener, argv[2]);
	}
}
