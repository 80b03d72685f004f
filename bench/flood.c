/* A dyno that writes numbered lines as fast as it can.
 *
 * flood REPORT GO BYTES BLOCK [PAUSE_MS]: appends a record to REPORT when it runs, waits until
 * somebody opens the FIFO GO to write, appends another, writes BYTES bytes of lines of LINE bytes,
 * BLOCK bytes with each write(2) (LINE: a line with each), appends a third, and waits to be ended.
 * With PAUSE_MS it rests so long behind each write.
 *
 * A line is "NNNNNNNNNNNNNNNNNNNN NAME xxx...": its number in this writer, or with PAUSE_MS the
 * time (CLOCK_REALTIME, ns) at which it is written; logs.py reads it. */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE   100
#define DIGITS 20
#define BLOCK  ((size_t)1 << 20)

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int report(const char *path)
{
	const struct record record = {clock_ns(CLOCK_MONOTONIC), (uint64_t)getpid()};
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 || write(fd, &record, sizeof record) != sizeof record)
		return -1;
	return close(fd);
}

static int put(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(1, data, len);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* In place: printf would cost more than the write. */
static void count_up(char *digits)
{
	int at = DIGITS - 1;

	while (digits[at] == '9')
		digits[at--] = '0';
	digits[at]++;
}

static void set(char *digits, uint64_t value)
{
	for (int at = DIGITS - 1; at >= 0; at--, value /= 10)
		digits[at] = (char)('0' + value % 10);
}

/* Blocks need not end where a line does: one buffer of whole lines, written on from where it was.
 */
static int flood(uint64_t bytes, size_t block)
{
	static char lines[2 * BLOCK], line[LINE];
	const char *name = getenv("DYNO");
	size_t held = 0;

	memset(line, 'x', sizeof line);
	set(line, 0);
	line[DIGITS] = ' ';
	(void)snprintf(line + DIGITS + 1, 30, "%s", name ? name : "-");
	*strchr(line, '\0') = ' ';
	line[LINE - 1] = '\n';
	while (bytes > 0) {
		size_t want = block < bytes ? block : (size_t)bytes;

		while (held < want) {
			memcpy(lines + held, line, LINE);
			held += LINE;
			count_up(line);
		}
		if (put(lines, want) < 0)
			return -1;
		held -= want;
		memmove(lines, lines + want, held);
		bytes -= want;
	}
	return 0;
}

static int trickle(uint64_t bytes, unsigned pause_ms)
{
	char line[LINE];

	memset(line, 'x', sizeof line);
	line[DIGITS] = ' ';
	line[LINE - 1] = '\n';
	for (; bytes >= LINE; bytes -= LINE) {
		set(line, clock_ns(CLOCK_REALTIME));
		if (put(line, LINE) < 0)
			return -1;
		(void)usleep(pause_ms * 1000);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;

	uint64_t bytes = strtoull(argv[3], NULL, 10);
	size_t block = (size_t)strtoull(argv[4], NULL, 10);
	if (block < LINE || block > BLOCK || bytes % LINE != 0 || report(argv[1]) < 0)
		return 3;
	int go = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (go < 0)
		return 4;
	(void)close(go);
	if (report(argv[1]) < 0)
		return 4;
	if ((argc > 5 ? trickle(bytes, (unsigned)atoi(argv[5])) : flood(bytes, block)) < 0 ||
		report(argv[1]) < 0)
		return 5;
	for (;;)
		(void)pause();
}
