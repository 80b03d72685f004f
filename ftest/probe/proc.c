/* /proc and /sys: what tells of the machine, and what changes it. */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

/* A byte of it can be read. */
static void reads(const void *what)
{
	char text[65]; /* of some in units of eight bytes */
	ssize_t n = slurp(what, text, sizeof text);

	if (n < 0)
		closed_because("%s", strerrorname_np(errno));
	else
		(n > 0 ? open_because : closed_because)("%zd bytes", n);
}

/* Opened only. */
static void writes(const void *what)
{
	verdict_of(open(what, O_WRONLY));
}

/* Where the kernel's functions are; zeros are nowhere. */
static void addresses(const void *what)
{
	char text[4096];

	if (slurp(what, text, sizeof text) <= 0) {
		closed_because("cannot be read");
		return;
	}
	closed_because("zeros");
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (!next)
			break;
		*next++ = '\0';
		if (strtoull(line, NULL, 16) != 0)
			open_because("%s", line);
	}
}

static void iomem(const void *what)
{
	char text[256];

	(void)what;
	if (slurp("/proc/iomem", text, sizeof text) <= 0)
		closed_because("cannot be read");
	else
		verdict_if(strncmp(text, "00000000-00000000", 17) != 0, "first line");
}

static void lower_oom_score(const void *what)
{
	char text[32] = "";

	(void)what;
	slurp("/proc/self/oom_score_adj", text, sizeof text);
	int now = atoi(text), fd = open("/proc/self/oom_score_adj", O_WRONLY);
	if (fd < 0 || now <= -1000)
		na_because("is %d", now);
	else
		verdict_of(dprintf(fd, "%d", now - 1));
}

/* A file of any cgroup, in the places where they are mounted. */
static int find_writable(const char *folder, int depth, char *ret, size_t size)
{
	char path[1024];
	DIR *d = opendir(folder);
	struct dirent *e;
	int found = 0;

	while (d && !found && (e = readdir(d))) {
		struct stat st;

		snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
		if (e->d_name[0] == '.' || lstat(path, &st) < 0 || S_ISLNK(st.st_mode))
			continue;
		if (S_ISDIR(st.st_mode))
			found = depth > 0 && find_writable(path, depth - 1, ret, size);
		else if (strncmp(e->d_name, "cgroup.", 7) == 0 && access(path, W_OK) == 0) {
			snprintf(ret, size, "%s", path);
			found = 1;
		}
	}
	if (d)
		closedir(d);
	return found;
}

static void cgroups(const void *what)
{
	char path[150] = "none";

	(void)what;
	verdict_if(find_writable("/sys/fs/cgroup", 3, path, sizeof path), path);
}

/* The name of the cgroup tells of the machine's layout when its namespace is the machine's. */
static void cgroup_path(const void *what)
{
	char text[4096], *line, *rest = NULL;

	(void)what;
	if (slurp("/proc/self/cgroup", text, sizeof text) < 0)
		return;
	closed_because("its own root");
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		const char *path = strrchr(line, ':');

		if (path && strcmp(path, ":/") != 0)
			open_because("%s", line);
	}
}

const struct probe probes_proc[] = {
	{"read-kcore", reads, "/proc/kcore"},
	{"read-keys", reads, "/proc/keys"},
	{"read-timer-list", reads, "/proc/timer_list"},
	{"read-kmsg", reads, "/proc/kmsg"},
	{"read-interrupts", reads, "/proc/interrupts"},
	{"read-sched-debug", reads, "/proc/sched_debug"},
	{"read-latency-stats", reads, "/proc/latency_stats"},
	{"read-slabinfo", reads, "/proc/slabinfo"},
	{"read-vmallocinfo", reads, "/proc/vmallocinfo"},
	{"read-pagetypeinfo", reads, "/proc/pagetypeinfo"},
	{"read-kpagecount", reads, "/proc/kpagecount"},
	{"read-acpi", probe_folder, "/proc/acpi"},
	{"read-asound", probe_folder, "/proc/asound"},
	{"read-scsi", probe_folder, "/proc/scsi"},
	{"read-firmware", probe_folder, "/sys/firmware"},
	{"read-powercap", probe_folder, "/sys/devices/virtual/powercap"},
	{"read-debugfs", probe_folder, "/sys/kernel/debug"},
	{"read-tracefs", probe_folder, "/sys/kernel/tracing"},
	{"read-security", probe_folder, "/sys/kernel/security"},
	{"read-bpffs", probe_folder, "/sys/fs/bpf"},
	{"read-addresses", addresses, "/proc/kallsyms"},
	{"read-iomem", iomem, NULL},
	{"write-core-pattern", writes, "/proc/sys/kernel/core_pattern"},
	{"write-sysrq", writes, "/proc/sys/kernel/sysrq"},
	{"write-sysrq-trigger", writes, "/proc/sysrq-trigger"},
	{"write-ip-forward", writes, "/proc/sys/net/ipv4/ip_forward"},
	{"write-overcommit", writes, "/proc/sys/vm/overcommit_memory"},
	{"write-modprobe", writes, "/proc/sys/kernel/modprobe"},
	{"write-ns-last-pid", writes, "/proc/sys/kernel/ns_last_pid"},
	{"write-hostname", writes, "/proc/sys/kernel/hostname"},
	{"write-shmmax", writes, "/proc/sys/kernel/shmmax"},
	{"write-max-userns", writes, "/proc/sys/user/max_user_namespaces"},
	{"write-irq", writes, "/proc/irq/default_smp_affinity"},
	{"write-thp", writes, "/sys/kernel/mm/transparent_hugepage/enabled"},
	{"write-uevent-helper", writes, "/sys/kernel/uevent_helper"},
	{"write-power-state", writes, "/sys/power/state"},
	{"write-oom-score", lower_oom_score, NULL},
	{"cgroup-write", cgroups, NULL},
	{"cgroup-path", cgroup_path, NULL},
	{NULL, NULL, NULL},
};
