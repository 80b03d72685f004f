/* Asks an HTTP server on a Unix socket the same again and again, over connections that are kept:
 *
 *     ask SOCKET TARGET CONNECTIONS SECONDS RATE
 *
 * RATE 0: each connection asks as soon as it was answered. Else so many a second in all; the time
 * of an answer counts from when its request was due, so that a server that stalls does not get away
 * with fewer requests. Prints "answers bytes seconds p50_ns p99_ns max_ns". */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 256
#define SAMPLES	    10000000
#define BUFFER	    (1 << 20)

struct connection {
	int fd;
	int busy;
	uint64_t due;
	size_t got, want; /* want 0 = the head is not there yet */
	char head[1024];
};

static struct connection connections[CONNECTIONS];
static uint32_t *samples; /* ns */
static size_t n_samples;
static uint64_t bytes;
static char request[1024];
static size_t request_len;
static char buffer[BUFFER];

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	(void)fprintf(stderr, "ask: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void ask(struct connection *c, uint64_t due)
{
	c->busy = 1;
	c->due = due;
	c->got = c->want = 0;
	if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
		die("send");
}

static void read_head(struct connection *c, const char *data, size_t n)
{
	size_t room = sizeof c->head - 1 - c->got;
	size_t part = n < room ? n : room;

	memcpy(c->head + c->got, data, part);
	c->head[c->got + part] = '\0';
	char *end = strstr(c->head, "\r\n\r\n"),
	     *length = strcasestr(c->head, "\r\nContent-Length: ");
	if (!end)
		return;
	if (strncmp(c->head, "HTTP/1.1 200 ", 13) != 0 || !length) {
		(void)fprintf(stderr, "ask: answered %.60s\n", c->head);
		exit(1);
	}
	c->want = (size_t)(end + 4 - c->head) + strtoul(length + 18, NULL, 10);
}

/* Whether it was answered. */
static int take(struct connection *c)
{
	ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		die("recv");
	if (!c->want)
		read_head(c, buffer, (size_t)n);
	c->got += (size_t)n;
	bytes += (uint64_t)n;
	if (!c->want || c->got < c->want)
		return 0;
	if (n_samples < SAMPLES) {
		uint64_t took = now_ns() - c->due;

		samples[n_samples++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
	}
	c->busy = 0;
	return 1;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int open_all(const char *path, size_t n)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	for (size_t i = 0; i < n; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

		connections[i].fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(connections[i].fd, (const struct sockaddr *)&address, sizeof address) <
				0 ||
			epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event) < 0)
			die(path);
	}
	return epoll;
}

/* As many as are due, as long as somebody is free; returns the ns until the next is. */
static uint64_t ask_due(size_t n, uint64_t begin, uint64_t rate, uint64_t *asked)
{
	uint64_t now = now_ns();

	for (size_t i = 0; i < n; i++) {
		uint64_t due = begin + *asked * 1000000000U / rate;

		if (due > now)
			return due - now;
		if (connections[i].busy)
			continue;
		ask(&connections[i], due);
		++*asked;
	}
	return 100000000;
}

static void run(int epoll, size_t n, uint64_t begin, uint64_t end, uint64_t rate)
{
	struct epoll_event events[CONNECTIONS];
	uint64_t asked = 0;

	for (size_t i = 0; rate == 0 && i < n; i++)
		ask(&connections[i], now_ns());
	while (now_ns() < end) {
		uint64_t ns = rate ? ask_due(n, begin, rate, &asked) : 100000000;
		const struct timespec wait = {.tv_nsec = (long)(ns < 100000000 ? ns : 100000000)};
		int got = epoll_pwait2(epoll, events, CONNECTIONS, &wait, NULL);

		for (int i = 0; i < got; i++) {
			struct connection *c = &connections[events[i].data.u32];

			if (take(c) && !rate)
				ask(c, now_ns());
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		(void)fprintf(stderr, "ask SOCKET TARGET CONNECTIONS SECONDS RATE\n");
		return 2;
	}
	size_t n = strtoul(argv[3], NULL, 10);
	uint64_t seconds = strtoul(argv[4], NULL, 10), rate = strtoul(argv[5], NULL, 10);
	samples = malloc(SAMPLES * sizeof *samples);
	if (!samples || n == 0 || n > CONNECTIONS)
		return 2;
	request_len = (size_t)snprintf(
		request, sizeof request, "GET %s HTTP/1.1\r\nHost: hsup\r\n\r\n", argv[2]);
	int epoll = open_all(argv[1], n);
	uint64_t begin = now_ns();
	run(epoll, n, begin, begin + seconds * 1000000000U, rate);
	double took = (double)(now_ns() - begin) / 1e9;
	if (n_samples == 0)
		return 1;
	qsort(samples, n_samples, sizeof *samples, compare);
	(void)printf("%zu %llu %.6f %u %u %u\n", n_samples, (unsigned long long)bytes, took,
		samples[n_samples / 2], samples[n_samples * 99 / 100], samples[n_samples - 1]);
	return 0;
}
