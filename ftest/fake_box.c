/* In place of hsup-box: tells on standard output what it was executed with, then does what the
 * spec's program says:
 *
 *   end STATUS      that is how the dyno has ended; exits with 0
 *   fail STAGE N    it could not be made
 *   exit CODE       without a word
 *   wait            tells of every signal, until it is killed, or TERM: then it ends with 3
 *   hidden          as wait, but may not be looked into, and a child holds its output
 *   over STATUS     as wait, but at USR2 it says on 5 that it has ended, and lives on
 *   babble N        as wait, but at USR2 it says N bytes of nonsense there
 *
 * The arguments behind them are the spec's. As a reserve, if it has a setting RESERVE=1, it tells what
 * it was ordered with, too; else it is none. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct failure {
	uint32_t stage;
	int32_t error;
};

static struct failure *slot;

static void tell(uint32_t stage, int error)
{
	slot->error = error;
	slot->stage = stage;
}

/* Whoever has it inherited from this very process is told, too. */
static void tell_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");

	printf("fds");
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(dir))
			printf(" %s", e->d_name);
	printf("\n");
	if (dir)
		closedir(dir);
}

static void tell_file(const char *path, const char *field)
{
	char line[512];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, field, strlen(field)) == 0)
			printf("%s", line);
	if (f)
		fclose(f);
}

static void tell_all(int argc, char **argv, char **env)
{
	printf("pid %d\nppid %d\nsession %d\n", (int)getpid(), (int)getppid(), (int)getsid(0));
	for (int i = 0; i < argc; i++)
		printf("arg %s\n", argv[i]);
	for (; *env; env++)
		printf("env %s\n", *env);
	tell_descriptors();
	tell_file("/proc/self/status", "SigBlk:");
	tell_file("/proc/self/status", "CapEff:");
	printf("seals %d\nflags %d\n", fcntl(3, F_GET_SEALS), fcntl(4, F_GETFL) & O_ACCMODE);
	printf("ready\n");
	fflush(stdout);
}

/* The strings of type 2 (arguments) of the spec. */
static unsigned read_words(char **words, unsigned max)
{
	struct stat st;
	unsigned n = 0;

	if (fstat(3, &st) < 0)
		exit(90);
	char *text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, 3, 0);
	for (size_t at = 16; text != MAP_FAILED && at + 8 <= (size_t)st.st_size;) {
		uint16_t type;
		uint32_t length;

		memcpy(&type, text + at, sizeof type);
		memcpy(&length, text + at + 4, sizeof length);
		if (type == 2 && n < max)
			words[n++] = text + at + 8;
		at += 8 + ((length + 7) & ~(size_t)7);
	}
	return n;
}

struct end {
	int32_t status;
	uint32_t zero;
	uint64_t user_usec, system_usec, max_rss_kb;
};

static void say_end(char **words)
{
	struct end end = {strtol(words[1], NULL, 0), 0, 1, 2, 3};
	char nonsense[512];

	memset(nonsense, 0xff, sizeof nonsense);
	if (words[0][0] == 'o')
		(void)!write(5, &end, sizeof end);
	else
		(void)!write(5, nonsense, (size_t)atoi(words[1]));
}

static int wait_for_signals(char **words)
{
	siginfo_t si;
	sigset_t all;

	sigfillset(&all);
	for (int s; (s = sigwaitinfo(&all, &si)) > 0 || errno == EINTR;) {
		printf("signal %d code %d value %d\n", s, si.si_code, si.si_value.sival_int);
		fflush(stdout);
		if (s == SIGUSR2 && words[1])
			say_end(words);
		if (s == SIGTERM) {
			tell(0x656e64, 3 << 8);
			return 0;
		}
	}
	return 91;
}

/* Another process of the dyno: in a session of its own, with the mark, as the dyno has it. */
static void have_child(void)
{
	if (fork() == 0) {
		setsid();
		for (;;)
			pause();
	}
	prctl(PR_SET_DUMPABLE, 0);
}

struct order {
	char header[16], mark[80];
	uint32_t owns_output, slot;
};

/* Its slot. */
static unsigned wait_in_reserve(char *room)
{
	struct order order;
	char rights[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = {&order, sizeof order};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = rights, .msg_controllen = sizeof rights};
	int fds[4];
	ssize_t n = write(3, "r", 1);

	/* The launcher closes its end without having read that: an error, before what it has sent. */
	while ((n = recvmsg(3, &m, 0)) < 0 && errno == ECONNRESET)
		;
	if (n != sizeof order)
		exit(0);
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fds);
	dup2(fds[0], 3);
	for (int i = 0; i < 3; i++)
		dup2(fds[1 + i], i);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	strcpy(room, order.mark);
	printf("mark %s\nslot %u\n", order.mark, order.slot);
	printf("owns %u\n", order.owns_output);
	return order.slot;
}

int main(int argc, char **argv, char **env)
{
	char *words[8] = {0};
	unsigned number = 0;
	bool reserve = false, serves = false;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--slot=", 7) == 0)
			number = (unsigned)atoi(argv[i] + 7);
		reserve = reserve || strcmp(argv[i], "--reserve") == 0;
		serves = serves || strcmp(argv[i], "RESERVE=1") == 0;
	}
	if (reserve && !serves)
		return 64;
	if (reserve)
		number = wait_in_reserve(env[0]);
	unsigned n = read_words(words, 8);
	struct failure *all =
		mmap(NULL, (number + 1) * sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED, 4, 0);
	if (all == MAP_FAILED || n == 0)
		return 92;
	slot = &all[number];
	if (strcmp(words[0], "hidden") == 0)
		have_child();
	tell_all(argc, argv, env);
	if (strcmp(words[0], "end") == 0)
		tell(0x656e64, (int)strtol(words[1], NULL, 0));
	else if (strcmp(words[0], "fail") == 0)
		tell((uint32_t)atoi(words[1]), atoi(words[2]));
	else if (strcmp(words[0], "exit") == 0)
		return atoi(words[1]);
	return strchr("whob", words[0][0]) ? wait_for_signals(words) : 0;
}
