/* What the apps of the driver suite need and a shell cannot: put into their slug, linked statically
 * so that it runs in any root. */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static size_t read_file(const char *path, char *ret, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(ret, 1, size - 1, f) : 0;

	if (f)
		fclose(f);
	ret[n] = '\0';
	return n;
}

/* serve FILE: a web server on PORT whose whole answer is in the file; "close" and "slow" are none.
 */
static int serve(const char *path)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
	int s = socket(AF_INET, SOCK_STREAM, 0), on = 1, held = -1;
	char answer[4096], request[4096];

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(s, (struct sockaddr *)&a, sizeof a) < 0 || listen(s, 64) < 0) {
		perror("serve");
		return 1;
	}
	printf("serves on %s\n", getenv("PORT"));
	for (;;) {
		int c = accept(s, NULL, NULL);
		size_t n = read_file(path, answer, sizeof answer);

		if (strcmp(answer, "slow") == 0) {
			close(held);
			held = c;
			continue;
		}
		if (strcmp(answer, "close") != 0 && read(c, request, sizeof request) > 0)
			(void)!write(c, answer, n);
		close(c);
	}
}

/* notify FILE: says what is in the file to NOTIFY_SOCKET, whenever it changes. */
static int notify(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);
	char now[4096], said[4096] = "";

	snprintf(a.sun_path, sizeof a.sun_path, "%s", getenv("NOTIFY_SOCKET"));
	for (;; usleep(10000)) {
		size_t n = read_file(path, now, sizeof now);

		if (n == 0 || strcmp(now, said) == 0)
			continue;
		if (sendto(s, now, n, 0, (struct sockaddr *)&a, sizeof a) < 0)
			perror("notify");
		strcpy(said, now);
	}
}

/* hold MEGABYTES: really. */
static int hold(const char *megabytes)
{
	size_t size = strtoul(megabytes, NULL, 10) << 20;
	volatile char *p = malloc(size);

	for (size_t i = 0; p && i < size; i += 4096)
		p[i] = 1;
	printf("holds %s\n", megabytes);
	for (;;)
		pause();
}

/* count FILE LAST USEC: numbered lines, every third on standard error; how far is in FILE. */
static int count(const char *path, const char *last, const char *usec)
{
	char beside[4096];

	for (unsigned long n = 1; n <= strtoul(last, NULL, 10); n++) {
		fprintf(n % 3 ? stdout : stderr, "number-%lu\n", n);
		if (n % 50 == 0) {
			snprintf(beside, sizeof beside, "%s.%d", path, getpid());
			FILE *f = fopen(beside, "w");
			if (f) {
				fprintf(f, "%lu", n);
				fclose(f);
				rename(beside, path);
			}
		}
		usleep((useconds_t)strtoul(usec, NULL, 10));
	}
	printf("counted\n");
	for (;;)
		pause();
}

/* forks N: as many as it may, up to N. */
static int forks(const char *n)
{
	long done = 0, wanted = strtol(n, NULL, 10);

	for (; done < wanted; done++) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (pid == 0)
			for (;;)
				pause();
	}
	printf("forked %ld\n", done);
	for (;;)
		pause();
}

static void *rest(void *unused)
{
	(void)unused;
	for (;;)
		pause();
}

/* threads N: as many as it may, up to N. */
static int threads(const char *n)
{
	long done = 0, wanted = strtol(n, NULL, 10);
	pthread_t thread;

	while (done < wanted && pthread_create(&thread, NULL, rest, NULL) == 0)
		done++;
	printf("threads %ld\n", done);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	setlinebuf(stdout);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 3 && strcmp(argv[1], "notify") == 0)
		return notify(argv[2]);
	if (argc == 3 && strcmp(argv[1], "hold") == 0)
		return hold(argv[2]);
	if (argc == 3 && strcmp(argv[1], "forks") == 0)
		return forks(argv[2]);
	if (argc == 3 && strcmp(argv[1], "threads") == 0)
		return threads(argv[2]);
	if (argc == 5 && strcmp(argv[1], "count") == 0)
		return count(argv[2], argv[3], argv[4]);
	return 2;
}
