#include "launcher/procs.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t clock_boot(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static ssize_t read_file(int32_t pid, const char *name, char *ret_text, size_t size)
{
	char path[48];

	(void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -1 : fd_read_full(fd, ret_text, size);
}

bool proc_read(int32_t pid, struct proc *ret_proc)
{
	char text[1024];
	struct proc p = {.pid = pid};
	unsigned long long ticks = 0;

	ssize_t n = read_file(pid, "stat", text, sizeof text - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	/* Behind the program's name, which may hold anything: state, parent, group, ..., and as
	 * field 22 the start. */
	const char *rest = strrchr(text, ')');
	if (!rest || sscanf(rest,
			     ") %c %*d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			     "%*d %*d %llu",
			     &p.state, &p.group, &ticks) != 3)
		return false;
	p.ticks = ticks;
	*ret_proc = p;
	return true;
}

bool proc_started(const struct proc *p, uint64_t begun, uint32_t took)
{
	uint64_t tick = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);

	return p->ticks >= begun / tick && p->ticks <= (begun + took) / tick;
}

bool proc_marked(int32_t pid, const char *mark)
{
	char path[48], text[8192];
	size_t len = strlen(mark) + 1, held = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || len > sizeof text / 2)
		return false;
	for (ssize_t n; (n = read(fd, text + held, sizeof text - held)) > 0;) {
		held += (size_t)n;
		if (memmem(text, held, mark, len))
			return true;
		/* It may begin at the end of this piece. */
		size_t keep = held < len ? held : len - 1;
		memmove(text, text + held - keep, keep);
		held = keep;
	}
	return false;
}

bool proc_is_init(int32_t pid)
{
	char text[4096];
	ssize_t n = read_file(pid, "status", text, sizeof text - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	/* Its number in each of the namespaces that it is in, from ours on: "NSpid:\t4711\t1". */
	char *line = strstr(text, "\nNSpid:");
	if (!line)
		return false;
	line[1 + strcspn(line + 1, "\n")] = '\0';
	const char *last = strrchr(line, '\t');
	return strcmp(last, "\t1") == 0 && strchr(line, '\t') != last;
}

void procs_each(bool (*each)(const struct proc *p, void *userdata), void *userdata)
{
	DIR *dir = opendir("/proc");

	if (!dir)
		return;
	for (const struct dirent *e; (e = readdir(dir));) {
		struct proc p;
		unsigned pid;

		if (parse_uint(e->d_name, INT32_MAX, &pid) == 0 && proc_read((int32_t)pid, &p) &&
			!each(&p, userdata))
			break;
	}
	(void)closedir(dir);
}

int proc_open(int32_t pid, uint64_t begun, uint32_t took)
{
	struct proc p;
	int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	/* Asked after it was opened: if this is the one now, the descriptor is its. */
	if (fd >= 0 && !(proc_read(pid, &p) && p.state != 'Z' && proc_started(&p, begun, took)))
		fd = fd_close(fd);
	return fd;
}
