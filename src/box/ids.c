/* A uid for each box, and user namespaces that say who is who. */
#include "base/fd.h"
#include "base/parse.h"
#include "box/box.h"
#include "box/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* For a uid of a box that is just ending. */
#define TRIES  40
#define NAP_NS 5000000

/* Nobody but root could have made it something else; it is looked at all the same. */
static int open_locks(const char *run)
{
	/* The last of others may have taken all away. */
	if (mkdir(run, 0755) < 0 && errno != EEXIST)
		return -errno;
	_cleanup_close_ int dir = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (dir < 0)
		return -errno;
	_cleanup_close_ int fd = openat(dir, BOX_UIDS,
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return -EPERM;
	return TAKE_FD(fd);
}

/* Which place of the range to try first: behind the one that was taken last, so that uids, and the
 * names and addresses that follow from them, come again as late as can be. Only a hint: whatever
 * else the file says means the first. */
static uint32_t first_place(int fd, uint32_t min, uint32_t n)
{
	char text[16] = "";
	unsigned last;
	ssize_t got = pread(fd, text, sizeof text - 1, 0);
	char *end = got > 0 ? memchr(text, '\n', (size_t)got) : NULL;

	if (!end)
		return 0;
	*end = '\0';
	if (parse_uint(text, UINT32_MAX, &last) < 0 || last < min || last - min >= n)
		return 0;
	return (last - min + 1) % n;
}

static void remember(int fd, uint32_t uid)
{
	char text[16];
	int len = snprintf(text, sizeof text, "%u\n", uid);

	/* Not being remembered harms nothing. */
	(void)!pwrite(fd, text, (size_t)len, 0);
}

static int set_lock(int fd, uint32_t uid, short type)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)uid, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* The place that is now ours; -EAGAIN: all are taken, or linked to `machine` (-1: none is). */
static int64_t lock_one(int fd, int machine, uint32_t min, uint32_t n)
{
	uint32_t first = first_place(fd, min, n);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t place = (first + i) % n;
		int r = set_lock(fd, min + place, F_WRLCK);

		if (r < 0 && r != -EAGAIN && r != -EACCES)
			return r;
		if (r < 0)
			continue;
		if (machine < 0 || !link_stands(machine, min + place))
			return place;
		(void)set_lock(fd, min + place, F_UNLCK);
	}
	return -EAGAIN;
}

/* Which place is ours, or negative errno. The file is kept while it is there: whoever comes when it
 * was removed makes another. */
static int64_t take_place(const struct box_settings *s, int machine, uint32_t n, int *fd)
{
	struct stat st;

	for (;;) {
		if (*fd < 0)
			*fd = open_locks(s->run[0] ? s->run : "/run/hsup");
		if (*fd < 0)
			return *fd;
		int64_t place = lock_one(*fd, machine, s->uids.min, n);
		if (fstat(*fd, &st) < 0)
			return -errno;
		if (st.st_nlink > 0)
			return place;
		*fd = fd_close(*fd);
	}
}

int ids_take(struct box *b)
{
	static const struct timespec nap = {.tv_nsec = NAP_NS};
	const struct box_settings *s = b->settings;
	uint32_t n = box_uids(s);
	bool linked = b->root && b->spec->box.network == SPEC_BOX_NET_OWN;
	_cleanup_close_ int fd = -1, machine = linked ? link_open() : -1;

	if (n == 0)
		return -EAGAIN;
	int64_t place = take_place(s, machine, n, &fd);
	/* Who had it may be about to go: a dyno that is restarted, and has a range of one. */
	for (int i = 1; place == -EAGAIN && i <= TRIES; i++) {
		(void)nanosleep(&nap, NULL);
		place = take_place(s, i < TRIES ? machine : -1, n, &fd);
	}
	if (place < 0)
		return (int)place;
	b->uid = s->uids.min + (uint32_t)place;
	b->gid = b->uid;
	remember(fd, b->uid);
	if (!box_addresses(s, b->uid, &b->machine_address, &b->dyno_address))
		return -EAGAIN;
	b->uid_lock = TAKE_FD(fd);
	return 0;
}

static int write_file(int dir, const char *path, const char *text, int len)
{
	_cleanup_close_ int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd_write_all(fd, text, (size_t)len);
}

static int write_map(int proc, pid_t pid, const char *file, const char *text, int len)
{
	char path[64];

	(void)snprintf(path, sizeof path, "%d/%s", (int)pid, file);
	return write_file(proc, path, text, len);
}

/* Where who is no root must not leave a group, a map of groups is allowed. */
int ids_map_own(const struct box *b)
{
	static const char deny[] = "deny";
	char text[32];
	int len = snprintf(text, sizeof text, "%u %u 1\n", b->uid, b->uid);
	int r = write_file(AT_FDCWD, "/proc/self/uid_map", text, len);

	if (r == 0)
		r = write_file(AT_FDCWD, "/proc/self/setgroups", deny, sizeof deny - 1);
	if (r < 0)
		return r;
	len = snprintf(text, sizeof text, "%u %u 1\n", b->gid, b->gid);
	return write_file(AT_FDCWD, "/proc/self/gid_map", text, len);
}

/* One id is itself, every other of a stack's one that nobody has. */
static int map_all_but(int proc, pid_t pid, const char *file, uint32_t id)
{
	char text[128];
	int len;

	if (id >= BOX_IDS)
		len = snprintf(
			text, sizeof text, "0 %u %u\n%u %u 1\n", BOX_ROOT_ID, BOX_IDS, id, id);
	else if (id == BOX_IDS - 1)
		len = snprintf(text, sizeof text, "0 %u %u\n%u %u 1\n", BOX_ROOT_ID, id, id, id);
	else
		len = snprintf(text, sizeof text, "0 %u %u\n%u %u 1\n%u %u %u\n", BOX_ROOT_ID, id,
			id, id, id + 1, BOX_ROOT_ID + id + 1, BOX_IDS - id - 1);
	return write_map(proc, pid, file, text, len);
}

int ids_map_dyno(const struct box *b, int proc, pid_t pid)
{
	int r = map_all_but(proc, pid, "uid_map", b->uid);

	return r < 0 ? r : map_all_but(proc, pid, "gid_map", b->gid);
}

/* It is there for its user namespace only, and shares our memory: it must not even return. */
HSUP_NORETURN static int wait_for_the_end(void *unused)
{
	(void)unused;
	for (;;)
		(void)syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

static int map_owner(int proc, pid_t pid, const struct box *b, uid_t owner, gid_t group)
{
	char text[64], path[32];
	int len = snprintf(text, sizeof text, "%u %u 1\n", owner, b->uid);
	int r = write_map(proc, pid, "uid_map", text, len);

	if (r < 0)
		return r;
	len = snprintf(text, sizeof text, "%u %u 1\n", group, b->gid);
	r = write_map(proc, pid, "gid_map", text, len);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof path, "%d/ns/user", (int)pid);
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int ids_owner_map(const struct box *b, int proc, uid_t owner, gid_t group)
{
	_Alignas(16) char stack[1024];

	/* No signal at its end: init takes one of those for the dyno's. */
	pid_t pid = clone(wait_for_the_end, stack + sizeof stack,
		CLONE_NEWUSER | CLONE_VM | CLONE_FILES, NULL);
	if (pid < 0)
		return -errno;
	int fd = map_owner(proc, pid, b, owner, group);
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return fd;
}
