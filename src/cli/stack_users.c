/* Who has a stack as his root. A box holds a shared lock (flock) of the stack as long as it lives,
 * which the kernel ends with it; what is mounted plainly, or by a loop device, is seen without.
 *
 * Boxes of a version before this lock hold one on the stack's folder, as anybody can. */
#include "cli/stack.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PROC_MAX ((size_t)16 << 20)

struct search {
	const char *path; /* of the stack */
	struct strbuf *users;
};

/* All of a file of /proc; NULL: it is gone, or not ours to see. */
static char *read_proc(const char *path)
{
	struct strbuf text = STRBUF(PROC_MAX);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[8192];
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0) {
		n = read(fd, chunk, sizeof chunk);
		/* Variables end with NUL: lines will do. */
		for (ssize_t i = 0; i < n; i++)
			if (chunk[i] == '\0')
				chunk[i] = '\n';
		if (n > 0 && strbuf_add(&text, chunk, (size_t)n) < 0)
			n = -1;
	}
	if (n < 0) {
		strbuf_done(&text);
		return NULL;
	}
	return text.data;
}

static bool same_link(const char *a, const char *b)
{
	char x[100], y[100];
	ssize_t n = readlink(a, x, sizeof x), m = readlink(b, y, sizeof y);

	return n > 0 && n == m && memcmp(x, y, (size_t)n) == 0;
}

/* DYNO of its environment; of an init of a box: of any process that shares its mounts. */
static bool name_of(unsigned pid, char ret_name[100])
{
	char path[60];

	(void)snprintf(path, sizeof path, "/proc/%u/environ", pid);
	_cleanup_free_ char *text = read_proc(path);
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, "DYNO=", 5) == 0) {
			(void)str_printable(line + 5, strcspn(line + 5, "\n"), ret_name, 100);
			return true;
		}
	}
	return false;
}

static void add_user(struct search *s, unsigned pid)
{
	char name[100] = "", self[60], other[60], known[40];
	DIR *d = opendir("/proc");
	unsigned number;

	(void)snprintf(known, sizeof known, "pid %u", pid);
	(void)snprintf(self, sizeof self, "/proc/%u/ns/mnt", pid);
	bool found = name_of(pid, name) || same_link(self, "/proc/self/ns/mnt");
	for (struct dirent *e; !found && d && (e = readdir(d));) {
		if (parse_uint(e->d_name, INT_MAX, &number) < 0)
			continue;
		(void)snprintf(other, sizeof other, "/proc/%u/ns/mnt", number);
		found = same_link(self, other) && name_of(number, name);
	}
	if (d)
		(void)closedir(d);
	(void)strbuf_printf(s->users, "%s%s%s%s", s->users->len ? ", " : "", name,
		*name ? " with " : "", known);
}

/* Ours: of our user; or a box, which is in another pid namespace, and in our user namespace
 * (root's: who is not root cannot have one without the other). */
static bool is_ours(unsigned pid)
{
	char user[60], pids[60], path[60];
	unsigned uid;

	(void)snprintf(path, sizeof path, "/proc/%u/status", pid);
	(void)snprintf(user, sizeof user, "/proc/%u/ns/user", pid);
	(void)snprintf(pids, sizeof pids, "/proc/%u/ns/pid", pid);
	_cleanup_free_ char *status = read_proc(path);
	const char *line = status ? strstr(status, "\nUid:\t") : NULL;
	if (line && sscanf(line, " Uid: %u", &uid) == 1 && uid == geteuid())
		return true;
	return same_link(user, "/proc/self/ns/user") && !same_link(pids, "/proc/self/ns/pid");
}

/* Of the file `fd`. "1: FLOCK  ADVISORY  READ 1234 fe:01:5678 0 EOF" */
static int find_lockers(struct search *s, int fd, bool (*counts)(unsigned pid))
{
	_cleanup_free_ char *text = read_proc("/proc/locks");
	char *save = NULL, wanted[60]; /* as /proc/locks has it */
	struct stat st;
	unsigned pid;

	if (!text || fstat(fd, &st) < 0)
		return text ? -errno : -EACCES;
	(void)snprintf(wanted, sizeof wanted, "%02x:%02x:%llu", major(st.st_dev), minor(st.st_dev),
		(unsigned long long)st.st_ino);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char number[20] = "", inode[60] = "";

		if (sscanf(line, "%*s FLOCK %*s %*s %19s %59s", number, inode) == 2 &&
			strcmp(inode, wanted) == 0 && parse_uint(number, INT_MAX, &pid) == 0 &&
			(!counts || counts(pid)))
			add_user(s, pid);
	}
	return 0;
}

/* As a mount's root, or in the options of an overlay; a path ends there with a space, a comma, a
 * colon, a quote or a slash. */
static bool mentions(const char *text, const char *path)
{
	size_t len = strlen(path);

	for (const char *at = text; (at = strstr(at, path)); at++)
		if (strchr(" ,:\"/\n", at[len]))
			return true;
	return false;
}

/* One mount namespace is looked at once for each process in it: that is cheap enough. */
static int find_mounts(struct search *s)
{
	DIR *d = opendir("/proc");
	_cleanup_free_ char *own = read_proc("/proc/self/mountinfo");
	char path[60];
	unsigned pid;

	if (!d)
		return -errno;
	/* Plainly mounted here, or lies on a mount of its own: said once. */
	if (own && mentions(own, s->path))
		(void)strbuf_printf(
			s->users, "%sa mount of this machine", s->users->len ? ", " : "");
	for (struct dirent *e; (e = readdir(d));) {
		if (parse_uint(e->d_name, INT_MAX, &pid) < 0)
			continue;
		(void)snprintf(path, sizeof path, "/proc/%u/ns/mnt", pid);
		if (same_link(path, "/proc/self/ns/mnt"))
			continue;
		(void)snprintf(path, sizeof path, "/proc/%u/mountinfo", pid);
		_cleanup_free_ char *text = read_proc(path);
		if (text && mentions(text, s->path))
			add_user(s, pid);
	}
	(void)closedir(d);
	return 0;
}

static void find_loops(struct search *s)
{
	DIR *d = opendir("/sys/block");
	char path[300];

	for (struct dirent *e; d && (e = readdir(d));) {
		(void)snprintf(path, sizeof path, "/sys/block/%.200s/loop/backing_file", e->d_name);
		_cleanup_free_ char *text =
			strncmp(e->d_name, "loop", 4) == 0 ? read_proc(path) : NULL;
		if (text && mentions(text, s->path))
			(void)strbuf_printf(
				s->users, "%s%.20s", s->users->len ? ", " : "", e->d_name);
	}
	if (d)
		(void)closedir(d);
}

static int find_holders(struct search *s, const struct stacks *stacks, const char *folder,
	struct stack_hold *ret_hold)
{
	int r = stacks->locks < 0 ? 0 : stack_lock_take(stacks, folder, &ret_hold->lock);

	if (r == -EBUSY) {
		r = find_lockers(s, ret_hold->lock, NULL);
		if (r == 0 && s->users->len == 0)
			(void)strbuf_puts(s->users, "a process that cannot be seen from here");
	}
	if (r == 0 && flock(ret_hold->folder, LOCK_EX | LOCK_NB) < 0)
		r = errno == EWOULDBLOCK ? find_lockers(s, ret_hold->folder, is_ours) : -errno;
	return r;
}

int stack_users(const struct stacks *stacks, const char *folder, struct strbuf *ret_users,
	struct stack_hold *ret_hold)
{
	char path[PATH_MAX + STACK_FOLDER];
	struct search s = {.path = path, .users = ret_users};

	*ret_hold = (struct stack_hold){.lock = -1, .folder = stacks_enter(stacks, folder)};
	if (ret_hold->folder < 0)
		return ret_hold->folder;
	(void)snprintf(path, sizeof path, "%s/%s", stacks->path, folder);
	int r = find_holders(&s, stacks, folder, ret_hold);
	if (r == 0)
		r = find_mounts(&s);
	if (r == 0)
		find_loops(&s);
	return r;
}

void stack_hold_done(struct stack_hold *h)
{
	h->lock = fd_close(h->lock);
	h->folder = fd_close(h->folder);
}
