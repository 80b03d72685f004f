#include "cli/proc.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define DEPTH_MAX    32
#define CHILDREN_MAX 8192

/* A file of /proc; the caller frees it. */
static char *read_proc(pid_t pid, const char *name, size_t *ret_len)
{
	char path[64], *data = NULL;
	size_t len = 0, cap = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	for (;;) {
		if (fd < 0 || mem_grow(&data, &cap, len + 4096, (size_t)8 << 20, 1) < 0)
			break;
		ssize_t n = read(fd, data + len, cap - len - 1);
		if (n == 0) {
			data[len] = '\0';
			*ret_len = len;
			return data;
		}
		if (n < 0)
			break;
		len += (size_t)n;
	}
	free(data);
	return NULL;
}

int proc_look(pid_t pid, struct proc *ret)
{
	size_t len;
	_cleanup_free_ char *text = read_proc(pid, "stat", &len);
	/* The program's name, in front, may hold anything. */
	char *at = text ? strrchr(text, ')') : NULL;
	struct proc p = {0};
	int parent;

	if (!at || sscanf(at, ") %c %d", &p.state, &parent) != 2)
		return -ESRCH;
	/* Field 22; at stands before the third. */
	for (int field = 2; field < 22 && at; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return -ESRCH;
	p.parent = parent;
	p.start = strtoull(at, NULL, 10);
	*ret = p;
	return 0;
}

bool proc_is_program(pid_t pid, const char *name)
{
	static const char deleted[] = " (deleted)";
	char path[64], exe[PATH_MAX];

	(void)snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(path, exe, sizeof exe - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	size_t len = (size_t)n, tail = sizeof deleted - 1;
	if (len > tail && strcmp(exe + len - tail, deleted) == 0)
		exe[len - tail] = '\0';
	const char *slash = strrchr(exe, '/');
	return strcmp(slash ? slash + 1 : exe, name) == 0;
}

int proc_hold(pid_t pid, uint64_t start)
{
	struct proc p;
	_cleanup_close_ int fd = pidfd_open(pid, 0);

	if (fd < 0)
		return -errno;
	/* Looked at after it was taken hold of: what it is now it stays. */
	if (proc_look(pid, &p) < 0 || p.start != start || p.state == 'Z')
		return -ESRCH;
	return TAKE_FD(fd);
}

int proc_signal(int pidfd, int signo)
{
	return pidfd_send_signal(pidfd, signo, NULL, 0) < 0 && errno != ESRCH ? -errno : 0;
}

bool proc_wait(int pidfd, int timeout_ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) > 0;
}

size_t proc_children(pid_t pid, pid_t *ret_pids, size_t max)
{
	char name[48], *rest = NULL;
	size_t len, n = 0;

	(void)snprintf(name, sizeof name, "task/%d/children", (int)pid);
	_cleanup_free_ char *text = read_proc(pid, name, &len);
	if (!text)
		return 0;
	for (char *word = strtok_r(text, " ", &rest); word && n < max;
		word = strtok_r(NULL, " ", &rest)) {
		unsigned child;

		if (parse_uint(word, INT_MAX, &child) == 0)
			ret_pids[n++] = (pid_t)child;
	}
	return n;
}

char *proc_option(pid_t pid, const char *name)
{
	size_t len, length = strlen(name);
	_cleanup_free_ char *text = read_proc(pid, "cmdline", &len);

	for (char *word = text; word && word < text + len; word += strlen(word) + 1) {
		if (strncmp(word, "--", 2) != 0 || strncmp(word + 2, name, length) != 0)
			continue;
		if (word[2 + length] == '=')
			return strdup(word + 3 + length);
		char *next = word + strlen(word) + 1;
		if (!word[2 + length] && next < text + len)
			return strdup(next);
	}
	return NULL;
}

void proc_kill_tree(pid_t pid, unsigned depth)
{
	struct proc p;
	_cleanup_free_ pid_t *children = calloc(CHILDREN_MAX, sizeof *children);

	if (depth > DEPTH_MAX || !children || proc_look(pid, &p) < 0)
		return;
	_cleanup_close_ int fd = proc_hold(pid, p.start);
	if (fd < 0)
		return;
	/* Stopped first: a list of children that changes while it is read is worth nothing. */
	(void)proc_signal(fd, SIGSTOP);
	size_t n = proc_children(pid, children, CHILDREN_MAX);
	(void)proc_signal(fd, SIGKILL);
	for (size_t i = 0; i < n; i++)
		proc_kill_tree(children[i], depth + 1);
}
