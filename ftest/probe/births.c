/* Namespaces that are new: whoever makes one of users has all capabilities in it, and with them the
 * parts of the kernel that only root could ask before. */
#include "probe.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

static const struct {
	const char *name;
	int flag;
} new_spaces[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS}, {"pid", CLONE_NEWPID},
	{"net", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS},
	{"cgroup", CLONE_NEWCGROUP}, {"time", 0x80}};

static int flag_of(const char *name)
{
	for (size_t i = 0; i < sizeof new_spaces / sizeof *new_spaces; i++)
		if (strcmp(new_spaces[i].name, name) == 0)
			return new_spaces[i].flag;
	return 0;
}

static void new_unshare(const void *what)
{
	verdict_of(unshare(flag_of(what)));
}

static void new_clone(const void *what)
{
	long pid = syscall(SYS_clone, flag_of(what) | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	verdict_of(pid);
}

static void new_clone3(const void *what)
{
	uint64_t args[8] = {(uint64_t)flag_of(what), 0, 0, 0, SIGCHLD};

	long pid = syscall(SYS_clone3, args, sizeof args);
	if (pid == 0)
		_exit(0);
	verdict_of(pid);
}

/* The clone() that libraries make, with a bit set that the kernel does not look at. */
static void new_clone_high(const void *what)
{
	long pid = syscall(SYS_clone, (1UL << 40) | (unsigned)flag_of(what) | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	verdict_of(pid);
}

#define NEW(kind)                                                                                  \
	{"new-" kind "-unshare", new_unshare, kind}, {"new-" kind "-clone", new_clone, kind},      \
	{                                                                                          \
		"new-" kind "-clone3", new_clone3, kind                                            \
	}

const struct probe probes_births[] = {
	NEW("user"),
	NEW("mnt"),
	NEW("pid"),
	NEW("net"),
	NEW("ipc"),
	NEW("uts"),
	NEW("cgroup"),
	{"new-time-unshare", new_unshare, "time"},
	{"new-time-clone3", new_clone3, "time"},
	{"new-user-clone-high", new_clone_high, "user"},
	{NULL, NULL, NULL},
};
