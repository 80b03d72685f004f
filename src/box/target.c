#include "box/target.h"

#include "base/cgroup.h"
#include "base/fd.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MARK	   "HSUP_CHILD="
#define PROGRAM	   "hsup-box"
#define TRIES	   100
#define TRIES_EXEC 10
#define NAP_NS	   10000000
#define OWN_MODE   (S_IWGRP | S_IWOTH)

/* A whole small file of /proc. */
static int read_text(int dir, const char *name, char *text, size_t size)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t n = fd_read_full(fd, text, size - 1);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	return (int)n;
}

/* What its launcher has begun it with; up to the first dot it is the launcher's own key. */
static bool same_launcher(int process)
{
	char text[512];
	const char *own = getenv("HSUP_CHILD");
	size_t key = own ? strcspn(own, ".") : 0;
	int n = read_text(process, "environ", text, sizeof text);

	if (n <= 0 || key == 0)
		return false;
	for (const char *at = text; at < text + n; at += strlen(at) + 1) {
		const char *value = at + strlen(MARK);

		if (strncmp(at, MARK, strlen(MARK)) == 0 && strncmp(value, own, key) == 0 &&
			value[key] == '.')
			return true;
	}
	return false;
}

/* Of the same file as we; or, when it is older than the last upgrade, of one of that name which
 * only root can have written. */
static bool same_program(int process)
{
	char path[256];
	struct stat own, other;

	if (stat("/proc/self/exe", &own) < 0 || fstatat(process, "exe", &other, 0) < 0)
		return false;
	if (own.st_dev == other.st_dev && own.st_ino == other.st_ino)
		return true;
	ssize_t n = readlinkat(process, "exe", path, sizeof path - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t len = strlen(PROGRAM);

	return other.st_uid == own.st_uid && !(other.st_mode & OWN_MODE) &&
	       strncmp(name, PROGRAM, len) == 0 && (name[len] == '\0' || name[len] == ' ');
}

/* Whoever has made a mount namespace without privileges has first made a user namespace, which is
 * not ours. */
static bool same_users(int process)
{
	struct stat own, other;
	_cleanup_close_ int mounts = openat(process, "ns/mnt", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int users = mounts < 0 ? -1 : ioctl(mounts, NS_GET_USERNS);

	return users >= 0 && fstat(users, &other) == 0 && stat("/proc/self/ns/user", &own) == 0 &&
	       own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

/* The first number of a line. */
static bool find_id(const char *text, const char *name, uint32_t *ret)
{
	char number[16];
	unsigned id;
	const char *line = strstr(text, name);

	if (!line)
		return false;
	line += strlen(name);
	size_t len = strcspn(line, "\t\n");
	if (len >= sizeof number)
		return false;
	memcpy(number, line, len);
	number[len] = '\0';
	if (parse_uint(number, UINT32_MAX, &id) < 0)
		return false;
	*ret = id;
	return true;
}

/* The last number behind "NSpid:" is what it is in its own namespace. */
static bool is_first(const char *status)
{
	const char *line = strstr(status, "\nNSpid:");

	if (!line)
		return false;
	line++;
	size_t len = strcspn(line, "\n");
	return len > 2 && line[len - 1] == '1' && line[len - 2] == '\t' &&
	       memchr(line + strlen("NSpid:\t"), '\t', len - strlen("NSpid:\t")) != NULL;
}

/* While it may still do what its dyno may not, it is not yet born: of root, while it is root; of
 * who is not, while it has capabilities that count. */
static bool is_born(const struct box *b, const char *status, uint32_t uid)
{
	return b->root ? uid != 0 : strstr(status, "\nCapEff:\t0000000000000000\n") != NULL;
}

static int read_ids(struct box *b, int process)
{
	const struct id_range *range = &b->settings->uids;
	char status[4096];
	uint32_t uid, gid;
	int r = read_text(process, "status", status, sizeof status);

	if (r < 0)
		return r;
	if (!is_first(status) || !find_id(status, "\nUid:\t", &uid) ||
		!find_id(status, "\nGid:\t", &gid))
		return -EPERM;
	if (!is_born(b, status, uid))
		return -EAGAIN;
	bool granted =
		b->root ? uid >= range->min && uid <= range->max && gid == uid : uid == getuid();

	b->uid = uid;
	b->gid = gid;
	return granted ? 0 : -EPERM;
}

int target_check(struct box *b, pid_t pid)
{
	static const struct timespec nap = {.tv_nsec = NAP_NS};
	char path[32];
	int r = -EPERM;

	(void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
	_cleanup_close_ int process = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (process < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	/* Its launcher has told of it before it was anything else but a copy of the launcher. */
	for (int i = 0; i < TRIES && (r == -EAGAIN || i < TRIES_EXEC); i++) {
		(void)(i > 0 && nanosleep(&nap, NULL));
		bool box = same_program(process) && same_launcher(process) &&
			   (!b->root || same_users(process));
		r = box ? read_ids(b, process) : -EPERM;
		if (r == 0)
			return target_check_name(process, b->spec->box_name);
	}
	return r;
}

int target_network(pid_t pid)
{
	struct stat own, other;
	char path[40];

	(void)snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
	if (stat("/proc/self/ns/net", &own) < 0 || stat(path, &other) < 0)
		return -errno;
	return own.st_dev == other.st_dev && own.st_ino == other.st_ino ? 0 : CLONE_NEWNET;
}

/* Each hierarchy once: several controllers may be on one. */
static int add_hierarchy(struct target_cgroups *c, const char *folder)
{
	char path[CGROUP_PATH + sizeof CGROUP_PARENT + 1];
	struct stat st, other;

	if (!folder[0])
		return 0;
	(void)snprintf(path, sizeof path, "%s/" CGROUP_PARENT, folder);
	_cleanup_close_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	for (unsigned i = 0; i < c->n; i++)
		if (fstat(c->hierarchies[i], &other) == 0 && st.st_dev == other.st_dev &&
			st.st_ino == other.st_ino)
			return 0;
	c->hierarchies[c->n++] = TAKE_FD(fd);
	return 0;
}

int target_open_cgroups(const struct box *b, struct target_cgroups *ret)
{
	struct cgroup_layout l;
	int r = cgroup_layout_load(&l);

	ret->n = 0;
	if (r == 0 && !b->root)
		cgroup_layout_delegated(&l);
	if (r == 0)
		r = add_hierarchy(ret, l.unified);
	for (unsigned i = 0; r == 0 && i < CGROUP_CONTROLLERS; i++)
		r = add_hierarchy(ret, l.v1[i]);
	return r;
}

/* Its cgroup has the same name in all of them. What they say is what the kernel says, seen from the
 * machine's cgroup namespace, in which we still are. */
void target_find_cgroups(struct target_cgroups *c)
{
	static const char parent[] = "/" CGROUP_PARENT "/";
	char text[4096], path[SPEC_BOX_NAME_MAX + 16];

	if (read_text(AT_FDCWD, "/proc/2/cgroup", text, sizeof text) < 0)
		text[0] = '\0';
	const char *name = strstr(text, parent);
	size_t len = name ? strcspn(name += strlen(parent), "\n/") : 0;
	for (unsigned i = 0; i < c->n; i++) {
		(void)snprintf(path, sizeof path, "%.*s/cgroup.procs",
			len <= SPEC_BOX_NAME_MAX ? (int)len : 0, name ? name : "");
		c->procs[i] = len > 0 ? openat(c->hierarchies[i], path, O_WRONLY | O_CLOEXEC) : -1;
	}
}

int target_join_cgroups(const struct target_cgroups *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->procs[i] >= 0 && write(c->procs[i], "0", 1) < 0)
			return -errno;
	return 0;
}
