/* Files and devices. */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const char *own_folder(void)
{
	return access("/app", W_OK) == 0 ? "/app" : "/tmp";
}

static void create(const void *what)
{
	char path[256];

	snprintf(path, sizeof path, "%s/.probe-%d", (const char *)what, getpid());
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	verdict_of(fd);
	if (fd >= 0)
		unlink(path);
}

/* Opened only: nothing is written. */
static void write_open(const void *what)
{
	verdict_of(open(what, O_WRONLY));
}

static void read_open(const void *what)
{
	verdict_of(open(what, O_RDONLY));
}

static void host_file(const void *what)
{
	const char *path = fact(what);

	if (path)
		verdict_of(open(path, O_RDONLY));
}

static void device(const void *what)
{
	mode_t kind = strcmp(what, "block") == 0 ? S_IFBLK : S_IFCHR;
	char path[256];

	snprintf(path, sizeof path, "%s/.probe-%d", own_folder(), getpid());
	int r = mknod(path, kind | 0600, kind == S_IFBLK ? makedev(7, 0) : makedev(1, 3));
	verdict_of(r);
	if (r == 0)
		unlink(path);
}

/* Any that is none of a terminal, and none that gives and takes nothing. */
static void devices(const void *what)
{
	static const char *const fine[] = {".", "..", "null", "zero", "full", "random", "urandom",
		"tty", "ptmx", "pts", "shm", "mqueue", "console", "stdin", "stdout", "stderr", "fd",
		"core"};
	DIR *d = opendir("/dev");
	struct dirent *e;

	(void)what;
	closed_because("the usual");
	while (d && (e = readdir(d))) {
		bool known = false;

		for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
			known |= strcmp(e->d_name, fine[i]) == 0;
		if (!known)
			open_because("%s", e->d_name);
	}
}

const struct probe probes_files[] = {
	{"create-root", create, "/"},
	{"create-dev", create, "/dev"},
	{"create-etc", create, "/etc"},
	{"create-usr", create, "/usr"},
	{"write-program", write_open, "/usr/bin/env"},
	{"write-passwd", write_open, "/etc/passwd"},
	{"write-resolv", write_open, "/etc/resolv.conf"},
	{"read-shadow", read_open, "/etc/shadow"},
	{"read-host-file", host_file, "PROBE_FILE"},
	{"read-host-socket", host_file, "PROBE_RUN"},
	{"folder-root", probe_folder, "/root"},
	{"folder-home", probe_folder, "/home"},
	{"folder-boot", probe_folder, "/boot"},
	{"folder-lib", probe_folder, "/var/lib"},
	{"folder-log", probe_folder, "/var/log"},
	{"folder-run", probe_folder, "/run"},
	{"device-char", device, "char"},
	{"device-block", device, "block"},
	{"device-others", devices, NULL},
	{"device-mem", read_open, "/dev/mem"},
	{"device-kmsg", read_open, "/dev/kmsg"},
	{"device-kvm", read_open, "/dev/kvm"},
	{"device-fuse", read_open, "/dev/fuse"},
	{NULL, NULL, NULL},
};
