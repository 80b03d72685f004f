#include "base/cgroup.h"
#include "base/fd.h"
#include "box/list.h"
#include "box/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The killed need a moment to be gone. */
#define RETRY_MS 2000
#define STEP_MS	 2

/* Younger ones that we know nothing of may be about to be used. */
#define NEW_SECONDS 10

#define HIERARCHIES (CGROUP_CONTROLLERS + 1)

static int load(struct cgroup_layout *l)
{
	int r = cgroup_layout_load(l);

	if (r == 0 && geteuid() != 0)
		cgroup_layout_delegated(l);
	return r;
}

/* Our folder of the n-th hierarchy; -ENOENT: there is none, or not of the box's. */
static int open_parent(const struct cgroup_layout *l, unsigned n)
{
	const char *top = n == 0 ? l->unified : l->v1[n - 1];
	char path[CGROUP_PATH + sizeof CGROUP_PARENT + 1];

	if (!top[0])
		return -ENOENT;
	(void)snprintf(path, sizeof path, "%s/" CGROUP_PARENT, top);
	int fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* All that are in it: at once where the kernel does that (5.14), else one by one. */
static void kill_members(int dir)
{
	_cleanup_close_ int fd = openat(dir, "cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)write(fd, "1", 1);
		return;
	}
	_cleanup_close_ int procs = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	struct list l;

	list_begin(&l, procs);
	for (pid_t pid; procs >= 0 && (pid = list_next_pid(&l)) > 0;)
		if (pid != getpid())
			(void)kill(pid, SIGKILL);
}

static int remove_cgroup(int parent, const char *name)
{
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000};

	for (int waited = 0; unlinkat(parent, name, AT_REMOVEDIR) < 0; waited += STEP_MS) {
		if (errno == ENOENT)
			return 0;
		if (errno != EBUSY || waited >= RETRY_MS)
			return -errno;
		_cleanup_close_ int dir =
			openat(parent, name, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (dir >= 0)
			kill_members(dir);
		(void)nanosleep(&step, NULL);
	}
	return 0;
}

int sweep_cgroups(const char *name)
{
	struct cgroup_layout l;
	int first = load(&l);

	for (unsigned n = 0; first == 0 && n < HIERARCHIES; n++) {
		_cleanup_close_ int parent = open_parent(&l, n);
		int r = parent < 0 ? parent : remove_cgroup(parent, name);

		if (r < 0 && r != -ENOENT)
			first = r;
	}
	return first;
}

bool sweep_cgroups_used(const char *name)
{
	char path[NAME_MAX + sizeof "/cgroup.procs"], byte;
	struct cgroup_layout l;
	bool used = false;

	(void)snprintf(path, sizeof path, "%.*s/cgroup.procs", NAME_MAX, name);
	if (load(&l) < 0)
		return false;
	for (unsigned n = 0; n < HIERARCHIES && !used; n++) {
		_cleanup_close_ int parent = open_parent(&l, n);
		_cleanup_close_ int procs =
			parent < 0 ? -1 : openat(parent, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		used = procs >= 0 && read(procs, &byte, 1) == 1;
	}
	return used;
}

static bool is_old(int parent, const char *name)
{
	struct stat st;

	return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_mtime + NEW_SECONDS < time(NULL);
}

void sweep_cgroups_unknown(int claims)
{
	struct cgroup_layout layout;

	if (load(&layout) < 0)
		return;
	for (unsigned n = 0; n < HIERARCHIES; n++) {
		_cleanup_close_ int parent = open_parent(&layout, n);
		const char *name;
		struct list l;
		bool folder;

		list_begin(&l, parent);
		while (parent >= 0 && (name = list_next(&l, &folder)))
			if (folder && faccessat(claims, name, F_OK, 0) < 0 && is_old(parent, name))
				/* Refused as long as somebody is in it. */
				(void)unlinkat(parent, name, AT_REMOVEDIR);
	}
}

int sweep_cgroup_parents(void)
{
	struct cgroup_layout l;
	int first = load(&l);

	for (unsigned n = 0; first == 0 && n < HIERARCHIES; n++) {
		char path[CGROUP_PATH + sizeof CGROUP_PARENT + 1];
		const char *top = n == 0 ? l.unified : l.v1[n - 1];

		(void)snprintf(path, sizeof path, "%s/" CGROUP_PARENT, top);
		if (top[0] && rmdir(path) < 0 && errno != ENOENT)
			first = -errno;
	}
	return first;
}
