#include "cli/daemon.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/str.h"
#include "cli/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FILE_BYTES ((size_t)16384)
#define MOMENT	   5 /* ms between two looks */

/* ---- the file ---- */

static int open_file(const struct options *o, int flags, struct err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof path, "%s/" DAEMON_LOCK, o->runtime_dir);
	int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
	return fd < 0 ? err_errno(err, -errno, "%.300s", path) : fd;
}

static void take_line(struct daemon *d, const char *key, const char *value)
{
	if (strcmp(key, "pid") == 0)
		d->pid = (pid_t)strtol(value, NULL, 10);
	else if (strcmp(key, "start") == 0)
		d->start = strtoull(value, NULL, 10);
	else if (strcmp(key, "since") == 0)
		(void)snprintf(d->since, sizeof d->since, "%s", value);
	else if (strcmp(key, "version") == 0)
		(void)snprintf(d->version, sizeof d->version, "%s", value);
	else if (strcmp(key, "apps") == 0)
		(void)snprintf(d->apps_dir, sizeof d->apps_dir, "%s", value);
	else if (strcmp(key, "log") == 0)
		(void)snprintf(d->log, sizeof d->log, "%s", value);
}

static void read_file(int fd, struct daemon *d)
{
	_cleanup_free_ char *text = NULL;
	char *rest = NULL;
	size_t len;

	*d = (struct daemon){0};
	if (file_read_fd(fd, FILE_BYTES, &text, &len) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *space = strchr(line, ' ');

		if (space) {
			*space = '\0';
			take_line(d, line, space + 1);
		}
	}
}

/* The pid in the file is of now: not one that its last holder left there. */
static bool is_alive(const struct daemon *d)
{
	struct proc p;

	/* A dead one whose parent does not care may stand there for long. */
	return d->pid > 0 && proc_look(d->pid, &p) == 0 && p.start == d->start && p.state != 'Z';
}

/* Who only looks holds it for an instant, and who has it writes his name a moment later: what is
 * not clear at once is looked at again. */
static int lock_or_read(int fd, int how, struct daemon *d)
{
	for (int tries = 0;; tries++) {
		if (flock(fd, how | LOCK_NB) == 0)
			return 1;
		if (errno != EWOULDBLOCK)
			return -errno;
		read_file(fd, d);
		if (is_alive(d) || tries == 100)
			return 0;
		(void)poll(NULL, 0, MOMENT);
	}
}

int daemon_lock(const struct options *o, int *ret_lock, struct daemon *d, struct err *err)
{
	_cleanup_close_ int fd = open_file(o, O_RDWR | O_CREAT, err);

	if (fd < 0)
		return fd;
	int r = lock_or_read(fd, LOCK_EX, d);
	if (r < 0)
		return err_errno(err, r, "%.300s/" DAEMON_LOCK, o->runtime_dir);
	if (r > 0)
		*ret_lock = TAKE_FD(fd);
	return r;
}

int daemon_find(const struct options *o, struct daemon *d, struct err *err)
{
	_cleanup_close_ int fd = open_file(o, O_RDONLY, err);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	int r = lock_or_read(fd, LOCK_SH, d);
	return r < 0 ? err_errno(err, r, "%.300s/" DAEMON_LOCK, o->runtime_dir) : !r;
}

int daemon_sign(const struct options *o, int lock, struct err *err)
{
	struct strbuf HSUP_CLEANUP(strbuf_done) text = STRBUF(FILE_BYTES);
	char stamp[CLOCK_STAMP_LEN + 1];
	struct proc self;

	int r = proc_look(getpid(), &self);
	if (r < 0)
		return err_errno(err, r, "/proc/self/stat");
	clock_stamp(clock_wall(), stamp);
	(void)strbuf_printf(&text, "pid %d\nstart %llu\nsince %.19sZ\nversion " HSUP_VERSION "\n",
		(int)getpid(), (unsigned long long)self.start, stamp);
	(void)strbuf_printf(&text, "apps %s\n", o->apps_dir);
	if (o->log || o->log_file)
		(void)strbuf_printf(&text, "log %s\n", o->log_file ? o->log_file : o->log);
	r = text.error;
	/* Written over, then cut: never empty while somebody reads. */
	if (r == 0 && (pwrite(lock, text.data, text.len, 0) != (ssize_t)text.len ||
			      ftruncate(lock, (off_t)text.len) < 0))
		r = errno ? -errno : -EIO;
	return r < 0 ? err_errno(err, r, "%.300s/" DAEMON_LOCK, o->runtime_dir) : 0;
}

/* ---- is it well ---- */

static int connect_to(const struct options *o)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int dir = open(o->runtime_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* By way of a descriptor: a socket's address has room for 107 bytes only. */
	(void)snprintf(
		address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" DAEMON_SOCKET, dir);
	if (dir < 0 || fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static bool ask_once(const struct options *o, int timeout_ms, char *ret_text, size_t size)
{
	_cleanup_close_ int fd = connect_to(o);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fd < 0 || poll(&p, 1, timeout_ms) <= 0)
		return false;
	ssize_t n = read(fd, ret_text, size - 1);
	if (n <= 0)
		return false;
	ret_text[n] = '\0';
	ret_text[strcspn(ret_text, "\n")] = '\0';
	return true;
}

int daemon_ask(const struct options *o, const struct daemon *d, int timeout_ms, char *ret_text,
	size_t size)
{
	uint64_t end = clock_now() + (uint64_t)timeout_ms * NSEC_PER_MSEC;
	struct proc p = {0};

	/* It may be about to start, or its supervisor may. */
	for (uint64_t now; (now = clock_now()) < end; (void)poll(NULL, 0, MOMENT)) {
		if (!is_alive(d) || proc_look(d->pid, &p) < 0) {
			(void)snprintf(ret_text, size, "its launcher is dead");
			return -ETIMEDOUT;
		}
		if (p.state == 'T' || p.state == 't') {
			(void)snprintf(ret_text, size, "it is stopped");
			return -ETIMEDOUT;
		}
		if (ask_once(o, (int)((end - now) / NSEC_PER_MSEC), ret_text, size))
			return 0;
	}
	(void)snprintf(ret_text, size, "it has not answered for %d s", (timeout_ms + 999) / 1000);
	return -ETIMEDOUT;
}

/* ---- taking over ---- */

/* Kills all whose standard input is the file. How many there were. */
static unsigned kill_holders(const struct stat *file)
{
	DIR *all = opendir("/proc");
	unsigned n = 0, pid;

	if (!all)
		return 0;
	for (struct dirent *e; (e = readdir(all));) {
		char path[64];
		struct stat st;
		struct proc p;

		if (parse_uint(e->d_name, INT_MAX, &pid) < 0 || proc_look((pid_t)pid, &p) < 0)
			continue;
		_cleanup_close_ int held = proc_hold((pid_t)pid, p.start);
		(void)snprintf(path, sizeof path, "/proc/%u/fd/0", pid);
		/* Looked at after it was taken hold of. */
		if (held < 0 || stat(path, &st) < 0 || st.st_dev != file->st_dev ||
			st.st_ino != file->st_ino)
			continue;
		(void)proc_signal(held, SIGKILL);
		(void)proc_wait(held, 5000);
		n++;
	}
	(void)closedir(all);
	return n;
}

int daemon_take_over(const struct options *o, int *ret_lock, struct err *err)
{
	_cleanup_close_ int fd = open_file(o, O_RDWR | O_CREAT, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_errno(err, -errno, "%.300s/" DAEMON_LOCK, o->runtime_dir);
	/* A launcher killed after its supervisor may have started another meanwhile. */
	for (int rounds = 0; rounds < 10; rounds++) {
		unsigned killed = kill_holders(&st);

		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			*ret_lock = TAKE_FD(fd);
			return 1;
		}
		if (killed == 0)
			break;
	}
	return err_set(err, -EBUSY, "%.300s/" DAEMON_LOCK " is held by a process that is no daemon",
		o->runtime_dir);
}
