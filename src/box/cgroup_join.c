#include "base/fd.h"
#include "base/parse.h"
#include "box/box.h"
#include "box/list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define REMEMBERED  512 /* processes that a dyno has in its first moments */
#define PASSES	    32
#define FREEZE_MS   100
#define FREEZE_STEP 1
#define MOVED_BYTES (4 << 20)

struct moved {
	pid_t pids[REMEMBERED];
	unsigned n;
	bool all; /* remember nobody: there will be no other pass */
};

/* The latest are behind: that is where somebody not yet known would be missing. */
static bool is_moved(const struct moved *m, pid_t pid)
{
	for (unsigned i = m->n; i > 0; i--)
		if (m->pids[i - 1] == pid)
			return true;
	return false;
}

/* Its own memory, not what is of files. */
static bool is_large(pid_t pid)
{
	char path[32], text[128];
	unsigned long long resident, shared;

	(void)snprintf(path, sizeof path, "/proc/%d/statm", pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	text[n < 0 ? 0 : n] = '\0';
	return sscanf(text, "%*u %llu %llu", &resident, &shared) == 2 && resident > shared &&
	       (resident - shared) * (unsigned)getpagesize() >= MOVED_BYTES;
}

/* Whoever joins next brings what he has allocated (1: not what is of files), or leaves it with the
 * parent for ever. False: not of this kernel, 6.13 or later. */
static bool bring_memory(const struct box_cgroup *c, bool on)
{
	return write(c->moving, on ? "1" : "0", 1) == 1;
}

/* The kernel takes a while to move memory, and all who would make or join a cgroup wait for it: not
 * for the few pages that most have. */
static int write_pid(const struct box_cgroup *c, pid_t pid, const char *text, size_t len)
{
	bool brings = c->moving >= 0 && is_large(pid) && bring_memory(c, true);
	int r = 0;

	for (unsigned i = 0; r >= 0 && i < c->n_late; i++) {
		r = write(c->late[i], text, len) < 0 ? -errno : 0;
		/* More than its limit: that it is limited from now on is what is left. */
		if (r == -ENOMEM && brings && bring_memory(c, false))
			r = write(c->late[i], text, len) < 0 ? -errno : 0;
	}
	if (brings)
		(void)bring_memory(c, false);
	return r;
}

/* Into all hierarchies; 1: it was not there yet. Who ended meanwhile is no error. */
static int move(const struct box_cgroup *c, struct moved *m, pid_t pid)
{
	char text[16];
	int len = snprintf(text, sizeof text, "%d", pid);

	if (is_moved(m, pid))
		return 0;
	if (!m->all && m->n == REMEMBERED)
		return -EAGAIN;
	int r = write_pid(c, pid, text, (size_t)len);
	if (r < 0 && r != -ESRCH)
		return r;
	if (!m->all)
		m->pids[m->n++] = pid;
	return 1;
}

static int move_members(const struct box_cgroup *c, struct moved *m)
{
	_cleanup_close_ int fd = openat(c->into, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	struct list l;
	int found = 0, r = 0;

	if (fd < 0)
		return -errno;
	list_begin(&l, fd);
	for (pid_t pid; r >= 0 && (pid = list_next_pid(&l)) > 0; found += r > 0)
		r = move(c, m, pid);
	if (l.failed)
		return -errno;
	return r < 0 ? r : found;
}

/* No unified hierarchy: all that our pid namespace has, but ourselves. */
static int move_processes(const struct box_cgroup *c, struct moved *m)
{
	_cleanup_close_ int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct list l;
	const char *name;
	int found = 0, r = 0;
	bool folder;
	unsigned pid;

	if (fd < 0)
		return -errno;
	list_begin(&l, fd);
	while (r >= 0 && (name = list_next(&l, &folder))) {
		if (parse_uint(name, INT32_MAX, &pid) < 0 || (pid_t)pid == getpid())
			continue;
		r = move(c, m, (pid_t)pid);
		found += r > 0;
	}
	if (l.failed)
		return -errno;
	return r < 0 ? r : found;
}

static int pass(const struct box_cgroup *c, struct moved *m)
{
	return c->into >= 0 ? move_members(c, m) : move_processes(c, m);
}

static int freeze(const struct box_cgroup *c, bool on)
{
	_cleanup_close_ int fd = openat(c->into, "cgroup.freeze", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd_write_all(fd, on ? "1" : "0", 1);
}

static bool is_frozen(const struct box_cgroup *c)
{
	_cleanup_close_ int fd = openat(c->into, "cgroup.events", O_RDONLY | O_CLOEXEC);
	char text[128];
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, sizeof text - 1);

	text[n < 0 ? 0 : n] = '\0';
	return strstr(text, "frozen 1") != NULL;
}

/* It forks faster than we can count: it is held for the time that we need. */
static int join_frozen(const struct box_cgroup *c, struct moved *m)
{
	const struct timespec step = {.tv_nsec = FREEZE_STEP * 1000000};

	if (c->into < 0)
		return -EAGAIN;
	int r = freeze(c, true);
	if (r < 0)
		return r;
	for (int waited = 0; !is_frozen(c) && waited < FREEZE_MS; waited += FREEZE_STEP)
		(void)nanosleep(&step, NULL);
	m->n = 0;
	m->all = true;
	r = pass(c, m);
	int thawed = freeze(c, false);
	return r < 0 ? r : thawed;
}

int cgroup_join_late(struct box_cgroup *c)
{
	struct moved m;
	int r = 1;

	if (c->n_late == 0)
		return 0;
	m.n = 0;
	m.all = false;
	/* Children of who was moved are born inside. Those of who was not are seen in the pass
	 * behind it: when one has seen nobody new, all are inside. */
	for (int i = 0; r > 0 && i < PASSES; i++)
		r = pass(c, &m);
	return r > 0 || r == -EAGAIN ? join_frozen(c, &m) : r;
}
