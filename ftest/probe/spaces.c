/* Namespaces: whether each is our own, and what of the machine can be reached past them. */
#include "probe.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* The machine's has this inode. */
static void namespace(const void *what)
{
	char path[64], variable[64];
	struct stat st;

	snprintf(path, sizeof path, "/proc/self/ns/%s", (const char *)what);
	snprintf(variable, sizeof variable, "PROBE_NS_%s", (const char *)what);
	for (char *c = variable; *c; c++)
		*c = (char)toupper(*c);
	const char *theirs = fact(variable);
	if (!theirs)
		return;
	if (stat(path, &st) < 0)
		na_because("%s: %s", path, strerrorname_np(errno));
	else
		(st.st_ino == strtoull(theirs, NULL, 10) ? open_because : closed_because)(
			"%llu", (unsigned long long)st.st_ino);
}

/* The machine's processes are not in /proc. */
static void processes(const void *what)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int n = 0;

	(void)what;
	while (d && (e = readdir(d)))
		n += isdigit((unsigned char)e->d_name[0]) != 0;
	(n > 8 ? open_because : closed_because)("%d", n);
}

static pid_t pid_fact(void)
{
	const char *text = fact("PROBE_PID");

	return text ? atoi(text) : 0;
}

static void host_kill(const void *what)
{
	pid_t pid = pid_fact();

	(void)what;
	if (pid > 0)
		verdict_of(kill(pid, 0));
}

/* Stops nothing: seizes only. */
static void host_ptrace(const void *what)
{
	pid_t pid = pid_fact();

	(void)what;
	if (pid > 0)
		verdict_of(ptrace(PTRACE_SEIZE, pid, 0, 0));
}

static void host_pidfd(const void *what)
{
	pid_t pid = pid_fact();

	(void)what;
	if (pid > 0)
		verdict_of(syscall(SYS_pidfd_open, pid, 0));
}

static void host_memory(const void *what)
{
	pid_t pid = pid_fact();
	char here;
	struct iovec to = {&here, 1}, from = {NULL, 1};

	(void)what;
	/* EFAULT: it would have been looked at. */
	if (pid > 0)
		verdict_of(process_vm_readv(pid, &to, 1, &from, 1, 0));
}

static void init_ptrace(const void *what)
{
	(void)what;
	verdict_of(ptrace(PTRACE_SEIZE, 1, 0, 0));
}

/* A file of init's: what it was told, its memory, its descriptors, its program. */
static void init_file(const void *what)
{
	char path[64], target[256];
	struct stat st;

	snprintf(path, sizeof path, "/proc/1/%s", (const char *)what);
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		verdict_of(readlink(path, target, sizeof target));
	else
		verdict_of(open(path, O_RDONLY));
}

static void init_write(const void *what)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/1/%s", (const char *)what);
	verdict_of(open(path, O_WRONLY));
}

static void init_setns(const void *what)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/1/ns/%s", (const char *)what);
	int fd = open(path, O_RDONLY);
	verdict_of(fd < 0 ? fd : setns(fd, 0));
}

/* Joining is refused whatever one has: here a namespace that we are in. (EINVAL of a user namespace
 * says that it was looked at.) */
static void own_setns(const void *what)
{
	int fd = open("/proc/self/ns/net", O_RDONLY);

	(void)what;
	verdict_of(fd < 0 ? fd : setns(fd, 0));
}

static void host_shm(const void *what)
{
	const char *key = fact("PROBE_SHM_KEY");

	(void)what;
	if (key)
		verdict_of(shmget(atoi(key), 0, 0));
}

static void host_queue(const void *what)
{
	const char *name = fact("PROBE_QUEUE");

	(void)what;
	if (name)
		verdict_of(mq_open(name, O_RDONLY | O_NONBLOCK));
}

static void host_name(const void *what)
{
	const char *name = fact("PROBE_HOSTNAME");
	char ours[256] = "";

	(void)what;
	gethostname(ours, sizeof ours - 1);
	if (name)
		verdict_if(strcmp(name, ours) == 0, ours);
}

const struct probe probes_spaces[] = {
	{"ns-mnt", namespace, "mnt"},
	{"ns-pid", namespace, "pid"},
	{"ns-net", namespace, "net"},
	{"ns-ipc", namespace, "ipc"},
	{"ns-uts", namespace, "uts"},
	{"ns-cgroup", namespace, "cgroup"},
	{"ns-user", namespace, "user"},
	{"ns-time", namespace, "time"},
	{"host-processes", processes, NULL},
	{"host-kill", host_kill, NULL},
	{"host-ptrace", host_ptrace, NULL},
	{"host-pidfd", host_pidfd, NULL},
	{"host-memory", host_memory, NULL},
	{"host-shm", host_shm, NULL},
	{"host-queue", host_queue, NULL},
	{"host-name", host_name, NULL},
	{"init-ptrace", init_ptrace, NULL},
	{"init-mem", init_file, "mem"},
	{"init-environ", init_file, "environ"},
	{"init-maps", init_file, "maps"},
	{"init-exe", init_file, "exe"},
	{"init-cwd", init_file, "cwd"},
	{"init-root", init_file, "root"},
	{"init-fd", init_file, "fd"},
	{"init-stack", init_file, "stack"},
	{"init-syscall", init_file, "syscall"},
	{"init-mem-write", init_write, "mem"},
	{"init-oom-score", init_write, "oom_score_adj"},
	{"init-setns-mnt", init_setns, "mnt"},
	{"init-setns-net", init_setns, "net"},
	{"init-setns-pid", init_setns, "pid"},
	{"own-setns", own_setns, NULL},
	{NULL, NULL, NULL},
};
