/* The least that a start of containers takes: asks an engine over its Unix socket to create and to
 * start them, with connections that are kept, and does nothing else.
 *
 *     engine SOCKET VERSION BODY NAME COUNT PARALLEL
 *
 * VERSION: of the API, as "v1.41". BODY: a file, the JSON of POST /containers/create. The
 * containers are called NAME-1 to NAME-COUNT; PARALLEL of them are under way at once. Prints for
 * each "ID CREATE CREATED START STARTED": when its two requests were sent and answered
 * (CLOCK_REALTIME, ns). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 64
#define ID	    64
#define SECONDS	    120 /* an answer may take */

enum step { CREATE, CREATED, START, STARTED, STEPS };

struct connection {
	int fd;
	enum step step;
	uint64_t at[STEPS];
	char id[ID + 1];
	char in[16384];
	size_t got;
};

static struct connection connections[CONNECTIONS];
static const char *version, *name;
static char body[65536];
static size_t body_len;
static unsigned next = 1, count, ended;

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	(void)fprintf(stderr, "engine: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void ask(
	struct connection *c, enum step step, const char *path, const char *json, size_t len)
{
	char request[sizeof body + 1024];
	int n = snprintf(request, sizeof request,
		"POST /%s%s HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n%.*s",
		version, path, len, (int)len, json);

	c->step = step;
	c->got = 0;
	c->at[step] = now_ns();
	if (n < 0 || (size_t)n >= sizeof request ||
		send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		die("send");
}

static void begin(struct connection *c)
{
	char path[256];

	if (next > count)
		return;
	(void)snprintf(path, sizeof path, "/containers/create?name=%s-%u", name, next++);
	ask(c, CREATE, path, body, body_len);
}

/* The answer's body once all of it is there; NULL = not yet. */
static const char *whole(const struct connection *c)
{
	const char *end = strstr(c->in, "\r\n\r\n"), *length;

	if (!end)
		return NULL;
	end += 4;
	if (strncmp(c->in, "HTTP/1.1 204 ", 13) == 0)
		return end;
	length = strcasestr(c->in, "\r\nContent-Length: ");
	if (length && length < end)
		return strlen(end) >= strtoul(length + 18, NULL, 10) ? end : NULL;
	return strstr(end, "\r\n0\r\n\r\n") ? end : NULL;
}

static void check(const struct connection *c, const char *status, const char *answer)
{
	if (strncmp(c->in + 9, status, 3) == 0)
		return;
	(void)fprintf(stderr, "engine: %.12s: %.300s\n", c->in, answer);
	exit(1);
}

static void created(struct connection *c, const char *answer)
{
	const char *id = strstr(answer, "\"Id\":\"");
	char path[ID + 32];

	check(c, "201", answer);
	if (!id || strlen(id) < 6 + ID) {
		(void)fprintf(stderr, "engine: no Id in %.300s\n", answer);
		exit(1);
	}
	memcpy(c->id, id + 6, ID);
	(void)snprintf(path, sizeof path, "/containers/%s/start", c->id);
	ask(c, START, path, "", 0);
}

static void started(struct connection *c, const char *answer)
{
	check(c, "204", answer);
	(void)printf("%s", c->id);
	for (unsigned i = 0; i < STEPS; i++)
		(void)printf(" %llu", (unsigned long long)c->at[i]);
	(void)printf("\n");
	ended++;
	begin(c);
}

static void take(struct connection *c)
{
	ssize_t n = recv(c->fd, c->in + c->got, sizeof c->in - 1 - c->got, 0);
	const char *answer;

	if (n <= 0)
		die("recv");
	c->got += (size_t)n;
	c->in[c->got] = '\0';
	answer = whole(c);
	if (!answer)
		return;
	c->at[c->step + 1] = now_ns();
	if (c->step == CREATE)
		created(c, answer);
	else
		started(c, answer);
}

static void read_body(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, body, sizeof body);

	if (n < 0 || n == sizeof body)
		die(path);
	body_len = (size_t)n;
	(void)close(fd);
}

static int connected(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		die(path);
	return fd;
}

int main(int argc, char **argv)
{
	struct pollfd polls[CONNECTIONS];

	if (argc != 7) {
		(void)fprintf(stderr, "engine SOCKET VERSION BODY NAME COUNT PARALLEL\n");
		return 2;
	}
	version = argv[2];
	name = argv[4];
	count = (unsigned)strtoul(argv[5], NULL, 10);
	unsigned n = (unsigned)strtoul(argv[6], NULL, 10);
	if (n == 0 || n > CONNECTIONS)
		return 2;
	read_body(argv[3]);
	for (unsigned i = 0; i < n; i++) {
		connections[i].fd = connected(argv[1]);
		polls[i] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
	}
	for (unsigned i = 0; i < n; i++)
		begin(&connections[i]);
	while (ended < count) {
		if (poll(polls, n, SECONDS * 1000) <= 0)
			die("no answer");
		for (unsigned i = 0; i < n; i++)
			if (polls[i].revents)
				take(&connections[i]);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
