/* Mounts: making, changing, undoing them; what they tell, what they let through. */
#include "probe.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#define CLONE_TREE 1 /* OPEN_TREE_CLONE */

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

/* A mount of a folder says where in its file system that is. */
static void look_host_paths(
	const char *line, const char *point, const char *options, const char *more)
{
	(void)options, (void)more;
	if (strcmp(point, "/tmp") != 0 && strcmp(point, "/var/tmp") != 0 &&
		strstr(line, getenv("PROBE_STATE")))
		open_because("%s", line);
}

static void look_host_path_of_tmp(
	const char *line, const char *point, const char *options, const char *more)
{
	(void)options, (void)more;
	if ((strcmp(point, "/tmp") == 0 || strcmp(point, "/var/tmp") == 0) &&
		strstr(line, getenv("PROBE_STATE")))
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

static void host_path_of_tmp(const void *what)
{
	(void)what;
	if (!fact("PROBE_STATE"))
		return;
	closed_because("none");
	each_mount(look_host_path_of_tmp);
}

const struct probe probes_mounts[] = {
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
	{"mounts-host-path-of-tmp", host_path_of_tmp, NULL},
	{NULL, NULL, NULL},
};
