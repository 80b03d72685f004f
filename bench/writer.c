/* A dyno of the campaign (ftest) and of bench/keep.py: writes numbered lines, and tells in a file
 * of its own what it wrote.
 *
 *   writer FOLDER TICK_MS LINES BYTES FLAGS [LIFE_MS ENDS]
 *
 * Every TICK_MS it writes LINES lines with up to BYTES of padding. FLAGS: h = a line in two writes
 * with a pause between; e = every second line to standard error; p = on TERM some last words, then
 * exit 0; - = none. LIFE_MS: it ends by itself after about so long; ENDS: a list of exit codes and,
 * from 256 on, signals (256 + number), one of which is how.
 *
 * A line is "PID START GENERATION STREAM NUMBER PADDING;". The file is shared memory: what stands
 * there is the truth, whoever was killed when. ftest/campaign_lines.py reads the same layout. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LAST_WORDS 20
#define SLICE_MS   100

struct account {
	uint64_t pid, start, generation, bytes;
	uint64_t order;			 /* written by the test: end so; 0 = live on */
	uint64_t begun[2], done[2];	 /* lines of each stream: about to be written; written */
	uint64_t failed, error, shorter; /* writes that failed, the last errno, short ones */
	uint64_t longest_ns;		 /* that a write took */
	uint64_t own_end;		 /* it ends by itself now: ENDS, + 1 */
	char name[64];
};

static struct account *account;
static int halves;

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t start_time(void)
{
	char text[1024];
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);

	(void)close(fd);
	if (n <= 0)
		exit(90);
	text[n] = '\0';
	char *at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

static void open_account(const char *folder, uint64_t bytes)
{
	const char *name = getenv("DYNO"), *generation = getenv("GENERATION");
	char path[600], final[600];

	if (!name || !generation)
		exit(91);
	(void)snprintf(path, sizeof path, "%s/.%d", folder, (int)getpid());
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof *account) < 0)
		exit(92);
	account = mmap(NULL, sizeof *account, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (account == MAP_FAILED)
		exit(93);
	(void)close(fd);
	account->pid = (uint64_t)getpid();
	account->start = start_time();
	account->generation = strtoull(generation, NULL, 10);
	account->bytes = bytes;
	(void)snprintf(account->name, sizeof account->name, "%s", name);
	(void)snprintf(final, sizeof final, "%s/%s,%llu,%llu,%llu", folder, name,
		(unsigned long long)account->generation, (unsigned long long)account->pid,
		(unsigned long long)account->start);
	if (rename(path, final) < 0)
		exit(94);
}

static void end(uint64_t how)
{
	account->own_end = how + 1;
	if (how < 256)
		_exit((int)how);
	(void)signal((int)(how - 256), SIG_DFL);
	(void)raise((int)(how - 256));
	_exit(95);
}

static void put(int fd, const char *data, size_t len)
{
	while (len > 0) {
		uint64_t begin = now_ns();
		ssize_t n = write(fd, data, len);
		uint64_t took = now_ns() - begin;

		if (took > account->longest_ns)
			account->longest_ns = took;
		if (n < 0) {
			account->error = (uint64_t)errno;
			account->failed++;
			(void)usleep(10000);
			continue;
		}
		if ((size_t)n < len)
			account->shorter++;
		data += n;
		len -= (size_t)n;
	}
}

static void line(unsigned stream)
{
	static char text[16384];
	uint64_t number = account->begun[stream] + 1;
	size_t padding = account->bytes ? (size_t)(number * 37 % account->bytes) : 0;
	int head = snprintf(text, sizeof text, "%llu %llu %llu %c %llu ",
		(unsigned long long)account->pid, (unsigned long long)account->start,
		(unsigned long long)account->generation, "oe"[stream], (unsigned long long)number);
	size_t len = (size_t)head, half = len + padding / 2;

	memset(text + len, 'a' + (int)(number % 26), padding);
	len += padding;
	text[len++] = ';';
	text[len++] = '\n';
	account->begun[stream] = number;
	if (halves) {
		put(1 + (int)stream, text, half);
		(void)usleep(30000);
		put(1 + (int)stream, text + half, len - half);
	} else {
		put(1 + (int)stream, text, len);
	}
	account->done[stream] = number;
}

/* The next of ENDS: which one differs from life to life. */
static uint64_t next_end(const char *ends)
{
	uint64_t all[16] = {0}, n;
	char *at;

	for (n = 0; *ends && n < 16; ends = at + (*at == ','))
		all[n++] = strtoull(ends, &at, 10);
	return n ? all[account->pid % n] : 0;
}

static void rest(unsigned ms, int polite)
{
	uint64_t until = now_ns() + (uint64_t)ms * 1000000;
	sigset_t term;

	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	for (uint64_t now; (now = now_ns()) < until;) {
		uint64_t left = until - now, slice = (uint64_t)SLICE_MS * 1000000;
		struct timespec t = {.tv_nsec = (long)(left < slice ? left : slice)};

		if (account->order)
			end(account->order - 1);
		if (!polite)
			(void)nanosleep(&t, NULL);
		else if (sigtimedwait(&term, NULL, &t) == SIGTERM) {
			for (int i = 0; i < LAST_WORDS; i++)
				line(0);
			end(0);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	if (getenv("FAIL_AT_START"))
		return 1;

	unsigned tick = (unsigned)atoi(argv[2]), lines = (unsigned)atoi(argv[3]);
	int polite = strchr(argv[5], 'p') != NULL, both = strchr(argv[5], 'e') != NULL;
	uint64_t life = 0;

	halves = strchr(argv[5], 'h') != NULL;
	if (polite) {
		sigset_t term;

		(void)sigemptyset(&term);
		(void)sigaddset(&term, SIGTERM);
		(void)sigprocmask(SIG_BLOCK, &term, NULL);
	}
	(void)signal(SIGPIPE, SIG_IGN);
	open_account(argv[1], strtoull(argv[4], NULL, 10));
	srand((unsigned)(account->pid * 7919 + account->start));
	if (argc > 7)
		life = (200 + (uint64_t)rand() % (2 * strtoull(argv[6], NULL, 10))) * 1000000;

	for (uint64_t begin = now_ns(), turn = 0;; turn++) {
		for (unsigned i = 0; i < lines; i++)
			line(both && (turn + i) % 2);
		if (life && now_ns() - begin >= life)
			end(next_end(argv[7]));
		rest(tick, polite);
	}
}
