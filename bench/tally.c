/* Counts what flood.c wrote and somebody logged: tally FILE... (in their order; a line may begin in
 * one and end in the next). Prints "LINES MISSING WRONG": of each writer the numbers must go up by
 * one; what stands before the text is the logger's, other lines are not counted. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT	99 /* bytes of a line without its end */
#define DIGITS	20
#define WRITERS 64
#define HELD	((size_t)1 << 20)

static struct {
	char name[32];
	uint64_t next;
} writers[WRITERS];
static uint64_t lines, missing, wrong;

static void count(const char *text)
{
	uint64_t number = 0;
	char name[32] = "";
	unsigned at = 0;

	for (unsigned i = 0; i < DIGITS; i++) {
		if (text[i] < '0' || text[i] > '9')
			return;
		number = number * 10 + (uint64_t)(text[i] - '0');
	}
	for (unsigned i = 0; i + 1 < sizeof name && text[DIGITS + 1 + i] != ' '; i++)
		name[i] = text[DIGITS + 1 + i];
	while (at < WRITERS && writers[at].name[0] && strcmp(writers[at].name, name) != 0)
		at++;
	if (at == WRITERS)
		exit(3);
	memcpy(writers[at].name, name, sizeof name);
	lines++;
	if (number > writers[at].next)
		missing += number - writers[at].next;
	else if (number < writers[at].next)
		wrong++;
	writers[at].next = number + 1;
}

int main(int argc, char **argv)
{
	static char data[2 * HELD];
	size_t held = 0;

	for (int i = 1; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		ssize_t n;

		if (fd < 0)
			return 1;
		while ((n = read(fd, data + held, HELD)) > 0) {
			char *from = data, *end = data + held + n, *newline;

			while ((newline = memchr(from, '\n', (size_t)(end - from)))) {
				if (newline - from >= TEXT)
					count(newline - TEXT);
				from = newline + 1;
			}
			held = (size_t)(end - from);
			if (held > HELD)
				return 2;
			memmove(data, from, held);
		}
		(void)close(fd);
	}
	return printf("%llu %llu %llu\n", (unsigned long long)lines, (unsigned long long)missing,
		       (unsigned long long)wrong) < 0;
}
