/* Files, mounts, devices. */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define CLONE_TREE 1 /* OPEN_TREE_CLONE */

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

/* Something is in it. */
static void folder(const void *what)
{
	DIR *d = opendir(what);
	struct dirent *e;

	if (!d) {
		closed_because("%s", strerrorname_np(errno));
		return;
	}
	closed_because("empty");
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			open_because("has %s", e->d_name);
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

/* ---- mounts ---- */

static void mount_tmpfs(const void *what)
{
	(void)what;
	verdict_of(mount("probe", "/tmp", "tmpfs", 0, NULL));
}

static void mount_proc(const void *what)
{
	(void)what;
	verdict_of(mount("probe", "/tmp", "proc", 0, NULL));
}

static void mount_bind(const void *what)
{
	(void)what;
	verdict_of(mount("/tmp", "/tmp", NULL, MS_BIND, NULL));
}

static void remount(const void *what)
{
	verdict_of(mount(NULL, what, NULL, MS_REMOUNT | MS_BIND, NULL));
}

static void make_shared(const void *what)
{
	(void)what;
	verdict_of(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL));
}

static void unmount(const void *what)
{
	verdict_of(umount2(what, MNT_DETACH));
}

static void new_mount(const void *what)
{
	(void)what;
	verdict_of(syscall(SYS_fsopen, "tmpfs", 0));
}

static void tree(const void *what)
{
	(void)what;
	verdict_of(syscall(SYS_open_tree, AT_FDCWD, "/", CLONE_TREE));
}

static void set_attributes(const void *what)
{
	uint64_t attributes[4] = {0};

	(void)what;
	verdict_of(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, attributes, sizeof attributes));
}

static void pivot(const void *what)
{
	(void)what;
	verdict_of(syscall(SYS_pivot_root, "/", "/"));
}

static void change_root(const void *what)
{
	(void)what;
	verdict_of(chroot("/"));
}

static void handle_name(const void *what)
{
	struct {
		struct file_handle h;
		unsigned char bytes[128];
	} handle = {.h = {.handle_bytes = 128}};
	int id;

	(void)what;
	verdict_of(name_to_handle_at(AT_FDCWD, "/", &handle.h, &id, 0));
}

static void handle_open(const void *what)
{
	struct {
		struct file_handle h;
		unsigned char bytes[8];
	} handle = {.h = {.handle_bytes = 8, .handle_type = 1}, .bytes = {2}};

	(void)what;
	/* ESTALE, or a file: it was looked for. */
	verdict_of(open_by_handle_at(open("/", O_RDONLY | O_DIRECTORY), &handle.h, O_RDONLY));
}

/* ---- /proc/self/mountinfo ---- */

/* One mount: its point, its options, what follows behind them, its kind. */
static void each_mount(
	void (*look)(const char *line, const char *point, const char *options, const char *more))
{
	char point[512], options[256];
	char *line = NULL;
	size_t size = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (f && getline(&line, &size, f) > 0) {
		int at = 0;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%*s %*s %*s %*s %511s %255s %n", point, options, &at) == 2 && at)
			look(line, point, options, line + at);
	}
	free(line);
}

static void look_propagation(
	const char *line, const char *point, const char *options, const char *more)
{
	(void)line, (void)options;
	if (strstr(more, "shared:") || strstr(more, "master:"))
		open_because("%s: %s", point, more);
}

static void propagation(const void *what)
{
	(void)what;
	closed_because("private all");
	each_mount(look_propagation);
}

static void look_nosuid(const char *line, const char *point, const char *options, const char *more)
{
	(void)line, (void)more;
	if (!strstr(options, "nosuid"))
		open_because("%s: %s", point, options);
}

static void look_nodev(const char *line, const char *point, const char *options, const char *more)
{
	/* Of devices that were chosen each is a mount, or all are in a file system made for them.
	 */
	(void)line, (void)more;
	if (!strstr(options, "nodev") && strncmp(point, "/dev", 4) != 0)
		open_because("%s: %s", point, options);
}

static void look_writable(
	const char *line, const char *point, const char *options, const char *more)
{
	static const char *const fine[] = {"/app", "/tmp", "/var/tmp", "/dev", "/dev/shm",
		"/dev/pts", "/dev/mqueue", "/proc", "/run"};

	(void)line, (void)more;
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
		if (strcmp(point, fine[i]) == 0)
			return;
	/* A device takes what is written to it on a mount that is read-only, too. */
	if (strncmp(options, "rw", 2) == 0 && strncmp(point, "/dev/", 5) != 0)
		open_because("%s: %s", point, options);
}

static void look_host_paths(
	const char *line, const char *point, const char *options, const char *more)
{
	const char *state = getenv("PROBE_STATE");

	(void)point, (void)options, (void)more;
	if (state && strstr(line, state))
		open_because("%s", line);
}

static void nosuid(const void *what)
{
	(void)what;
	closed_because("all");
	each_mount(look_nosuid);
}

static void nodev(const void *what)
{
	(void)what;
	closed_because("all");
	each_mount(look_nodev);
}

static void writable(const void *what)
{
	(void)what;
	closed_because("a program's own only");
	each_mount(look_writable);
}

static void host_paths(const void *what)
{
	(void)what;
	if (!fact("PROBE_STATE"))
		return;
	closed_because("none");
	each_mount(look_host_paths);
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
	{"folder-root", folder, "/root"},
	{"folder-home", folder, "/home"},
	{"folder-boot", folder, "/boot"},
	{"folder-lib", folder, "/var/lib"},
	{"folder-log", folder, "/var/log"},
	{"folder-run", folder, "/run"},
	{"device-char", device, "char"},
	{"device-block", device, "block"},
	{"device-others", devices, NULL},
	{"device-mem", read_open, "/dev/mem"},
	{"device-kmsg", read_open, "/dev/kmsg"},
	{"device-kvm", read_open, "/dev/kvm"},
	{"device-fuse", read_open, "/dev/fuse"},
	{"mount-tmpfs", mount_tmpfs, NULL},
	{"mount-proc", mount_proc, NULL},
	{"mount-bind", mount_bind, NULL},
	{"mount-remount-root", remount, "/"},
	{"mount-remount-proc-sys", remount, "/proc/sys"},
	{"mount-shared", make_shared, NULL},
	{"mount-unmask", unmount, "/proc/interrupts"},
	{"mount-fsopen", new_mount, NULL},
	{"mount-open-tree", tree, NULL},
	{"mount-setattr", set_attributes, NULL},
	{"mount-pivot", pivot, NULL},
	{"mount-chroot", change_root, NULL},
	{"handle-name", handle_name, NULL},
	{"handle-open", handle_open, NULL},
	{"mounts-propagate", propagation, NULL},
	{"mounts-suid", nosuid, NULL},
	{"mounts-dev", nodev, NULL},
	{"mounts-writable", writable, NULL},
	{"mounts-host-paths", host_paths, NULL},
	{NULL, NULL, NULL},
};
