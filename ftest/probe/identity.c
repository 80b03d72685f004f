/* Who we are, what we were left, what is open. */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static bool status_line(const char *key, char *ret, size_t size)
{
	char text[8192];
	const char *at;

	if (slurp("/proc/self/status", text, sizeof text) < 0 || !(at = strstr(text, key))) {
		na_because("no %s in /proc/self/status", key);
		return false;
	}
	at += strlen(key);
	at += strspn(at, "\t ");
	snprintf(ret, size, "%.*s", (int)strcspn(at, "\n"), at);
	return true;
}

static void capabilities(const void *key)
{
	char text[64];

	if (status_line(key, text, sizeof text))
		verdict_if(strtoull(text, NULL, 16) != 0, text);
}

/* Is what it should be. */
static void status_is(const void *what)
{
	const char *const *key_value = what;
	char text[64];

	if (status_line(key_value[0], text, sizeof text))
		verdict_if(strcmp(text, key_value[1]) != 0, text);
}

static void groups(const void *what)
{
	gid_t list[64];
	int n = getgroups(64, list);

	(void)what;
	(n > 0 ? open_because : closed_because)(
		"%d groups, first %d", n, n > 0 ? (int)list[0] : -1);
}

static void root_inside(const void *what)
{
	(void)what;
	(geteuid() == 0 || getegid() == 0 ? open_because : closed_because)(
		"%d:%d", geteuid(), getegid());
}

/* Who we are outside. */
static void root_outside(const void *what)
{
	char text[4096], *line, *rest = NULL;
	unsigned long me = geteuid(), inside, outside, n;

	(void)what;
	if (slurp("/proc/self/uid_map", text, sizeof text) < 0)
		return;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (sscanf(line, "%lu %lu %lu", &inside, &outside, &n) == 3 && me >= inside &&
			me - inside < n)
			(outside + (me - inside) == 0 ? open_because : closed_because)(
				"%lu", outside + (me - inside));
}

/* Root of our user namespace is root outside. */
static void root_mapped(const void *what)
{
	char text[4096], *line, *rest = NULL;
	unsigned long inside, outside, n;

	(void)what;
	if (slurp("/proc/self/uid_map", text, sizeof text) < 0)
		return;
	closed_because("nobody is");
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (sscanf(line, "%lu %lu %lu", &inside, &outside, &n) == 3 && outside == 0)
			open_because("%lu is", inside);
}

static void become_root(const void *what)
{
	(void)what;
	verdict_of(geteuid() == 0 ? 0 : setresuid(0, 0, 0));
}

static void join_group(const void *what)
{
	gid_t zero = 0;

	(void)what;
	verdict_of(setgroups(1, &zero));
}

/* Of those we have, were it one, so that a program we execute had it. */
static void ambient(const void *what)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2] = {0};

	(void)what;
	syscall(SYS_capget, &head, sets);
	sets[0].inheritable = sets[0].permitted;
	syscall(SYS_capset, &head, sets);
	verdict_of(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0));
}

/* A program of root's with the setuid bit, which says who it has become. */
static void setuid_program(const void *what)
{
	const char *path = fact(what);
	int status;

	if (!path)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		close(STDOUT_FILENO);
		open("/dev/null", O_WRONLY);
		execl(path, path, "--euid", (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 10))
		na_because("%s: %#x", path, status);
	else
		verdict_if(WEXITSTATUS(status) == 10, "its effective uid");
}

static void descriptors(const void *what)
{
	char path[64], target[200];
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	(void)what;
	if (!d)
		return;
	closed_because("three");
	while ((e = readdir(d))) {
		int fd = atoi(e->d_name);

		if (e->d_name[0] == '.' || fd < 3 || fd == dirfd(d))
			continue;
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		ssize_t n = readlink(path, target, sizeof target - 1);
		target[n < 0 ? 0 : n] = '\0';
		open_because("%d is %s", fd, target);
	}
}

/* A folder behind one of the three is a way out; a file, at least somebody else's. */
static void standard_streams(const void *what)
{
	struct stat st;

	(void)what;
	closed_because("as they should be");
	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &st) == 0 &&
			(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
			open_because("%d: mode %o", fd, st.st_mode);
}

static void current_folder(const void *what)
{
	char path[4096] = "";

	(void)what;
	long n = syscall(SYS_getcwd, path, sizeof path);
	verdict_if(n < 0 || path[0] != '/', path);
}

static void core_limit(const void *what)
{
	struct rlimit l;

	(void)what;
	getrlimit(RLIMIT_CORE, &l);
	/* 1: with a pipe as core_pattern, that is "none"; 0 is not. */
	(l.rlim_max > 1 ? open_because : closed_because)("%llu", (unsigned long long)l.rlim_max);
}

static void raise_limit(const void *what)
{
	struct rlimit l;

	(void)what;
	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_max++;
	verdict_of(setrlimit(RLIMIT_NOFILE, &l));
}

/* What the one who started us was told, or told us, that is none of a program's business. */
static void environment(const void *what)
{
	extern char **environ;

	(void)what;
	closed_because("nothing");
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "HSUP_BOX_", 9) == 0 || strncmp(*e, "HSUP_CHILD=", 11) == 0 ||
			strncmp(*e, "LIBCONTAINER_", 13) == 0)
			open_because("%s", *e);
}

static const char *const no_new_privs[] = {"NoNewPrivs:", "1"}, *const mode[] = {"Seccomp:", "2"},
			 *const filters[] = {"Seccomp_filters:", "1"};

const struct probe probes_identity[] = {
	{"id-root-inside", root_inside, NULL},
	{"id-root-outside", root_outside, NULL},
	{"id-root-mapped", root_mapped, NULL},
	{"id-groups", groups, NULL},
	{"id-become-root", become_root, NULL},
	{"id-setgroups", join_group, NULL},
	{"cap-inheritable", capabilities, "CapInh:"},
	{"cap-permitted", capabilities, "CapPrm:"},
	{"cap-effective", capabilities, "CapEff:"},
	{"cap-bounding", capabilities, "CapBnd:"},
	{"cap-ambient", capabilities, "CapAmb:"},
	{"cap-raise-ambient", ambient, NULL},
	{"no-new-privs", status_is, no_new_privs},
	{"seccomp-mode", status_is, mode},
	{"seccomp-filters", status_is, filters},
	{"setuid-stack", setuid_program, "PROBE_SUID_STACK"},
	{"setuid-app", setuid_program, "PROBE_SUID_APP"},
	{"fd-leaked", descriptors, NULL},
	{"fd-standard", standard_streams, NULL},
	{"cwd", current_folder, NULL},
	{"env-of-box", environment, NULL},
	{"limit-core", core_limit, NULL},
	{"limit-raise", raise_limit, NULL},
	{NULL, NULL, NULL},
};
