/* What a dyno uses: its cgroups know. Where there is none for it, the processes below its init are
 * asked, of which all of it are. */
#include "drivers/native/private.h"

#include "base/clock.h"
#include "base/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define PROCESSES 1024 /* looked at of one dyno */
#define TEXT	  4096

static bool read_text(const char *path, char ret_text[TEXT])
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret_text, TEXT - 1);

	if (n < 0)
		return false;
	ret_text[n] = '\0';
	return true;
}

/* A file of its cgroup in the hierarchy of this controller; NULL: the unified one. */
static bool read_cgroup(
	const struct native_life *l, const char *folder, const char *file, char ret_text[TEXT])
{
	char path[2 * CGROUP_PATH + SPEC_BOX_NAME_MAX];

	if (!folder || !folder[0])
		return false;
	(void)snprintf(path, sizeof path, "%s/" CGROUP_PARENT "/%s/%s", folder, l->box, file);
	return read_text(path, ret_text);
}

/* Of "name number" on a line of its own. */
static uint64_t number_of(const char *text, const char *name)
{
	size_t len = strlen(name);
	uint64_t value;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0 && sscanf(line + len, " %" SCNu64, &value) == 1)
			return value;
	}
	return USAGE_UNKNOWN;
}

static bool is_unified(const struct native *n, enum cgroup_controller c)
{
	return n->cgroups.controllers & (1U << c);
}

/* Without the files that were read long ago: the kernel drops them before it is short of any. */
static uint64_t memory_of(const struct native *n, const struct native_life *l)
{
	const char *folder = cgroup_folder(&n->cgroups, CGROUP_MEMORY);
	bool unified = is_unified(n, CGROUP_MEMORY);
	char text[TEXT];
	uint64_t used;

	if (!read_cgroup(l, folder, unified ? "memory.current" : "memory.usage_in_bytes", text) ||
		sscanf(text, "%" SCNu64, &used) != 1)
		return USAGE_UNKNOWN;
	if (!read_cgroup(l, folder, "memory.stat", text))
		return used;
	uint64_t old = number_of(text, unified ? "inactive_file" : "total_inactive_file");
	return old < used ? used - old : used;
}

static uint64_t cpu_of(const struct native *n, const struct native_life *l)
{
	char text[TEXT];
	uint64_t used;

	if (read_cgroup(l, n->cgroups.unified, "cpu.stat", text)) {
		used = number_of(text, "usage_usec");
		return used == USAGE_UNKNOWN ? used : used * NSEC_PER_USEC;
	}
	if (read_cgroup(l, cgroup_folder(&n->cgroups, CGROUP_CPUACCT), "cpuacct.usage", text) &&
		sscanf(text, "%" SCNu64, &used) == 1)
		return used;
	return USAGE_UNKNOWN;
}

bool native_out_of_memory(const struct native *n, const struct native_life *life)
{
	bool unified = is_unified(n, CGROUP_MEMORY);
	char text[TEXT];

	if (!read_cgroup(life, cgroup_folder(&n->cgroups, CGROUP_MEMORY),
		    unified ? "memory.events" : "memory.oom_control", text))
		return false;
	uint64_t killed = number_of(text, "oom_kill ");
	return killed != USAGE_UNKNOWN && killed > 0;
}

/* What is limited is counted; the root of a hierarchy that was not joined has nothing in it. */
static uint64_t processes_of(const struct native *n, const struct native_life *l)
{
	char text[TEXT];
	uint64_t tasks;

	if (!read_cgroup(l, cgroup_folder(&n->cgroups, CGROUP_PIDS), "pids.current", text) ||
		sscanf(text, "%" SCNu64, &tasks) != 1 || tasks == 0)
		return USAGE_UNKNOWN;
	return tasks;
}

/* "some avg10=1.23 ...": the unified hierarchy knows that without any controller, unless the kernel
 * was told not to. */
static uint64_t pressure_of(const struct native *n, const struct native_life *l, const char *file)
{
	unsigned whole, hundredths;
	char text[TEXT];

	if (!read_cgroup(l, n->cgroups.unified, file, text) ||
		sscanf(text, "some avg10=%u.%2u", &whole, &hundredths) != 2)
		return USAGE_UNKNOWN;
	return (uint64_t)whole * 100 + hundredths;
}

/* ---- without a cgroup ---- */

struct processes {
	int pids[PROCESSES];
	unsigned n;
};

static void add_children(struct processes *all, int pid)
{
	char path[64], text[TEXT];
	int used;

	(void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
	if (!read_text(path, text))
		return;
	for (const char *at = text; all->n < PROCESSES; at += used)
		if (sscanf(at, " %d%n", &all->pids[all->n], &used) == 1)
			all->n++;
		else
			return;
}

struct figures {
	uint64_t resident, private, cpu, processes;
};

static void add_memory(int pid, struct figures *sum)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), resident, shared;
	char path[40], text[TEXT];

	(void)snprintf(path, sizeof path, "/proc/%d/statm", pid);
	if (!read_text(path, text) ||
		sscanf(text, "%*u %" SCNu64 " %" SCNu64, &resident, &shared) != 2)
		return;
	sum->resident += resident * page;
	sum->private += (resident > shared ? resident - shared : 0) * page;
}

/* Behind the program's name, which may hold anything: from its state on, 11 fields. */
static void add_time(int pid, struct figures *sum)
{
	unsigned long long user, system, waited_user, waited_system, tasks;
	uint64_t tick = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	char path[40], text[TEXT];

	(void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
	const char *rest = read_text(path, text) ? strrchr(text, ')') : NULL;
	if (rest &&
		sscanf(rest,
			") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu %*d %*d "
			"%llu",
			&user, &system, &waited_user, &waited_system, &tasks) == 5) {
		sum->cpu += (user + system + waited_user + waited_system) * tick;
		sum->processes += tasks;
	}
}

/* What a cgroup of the old kind knows begins when it was joined, a moment after the start: what
 * was allocated before is nobody's there. */
static void add_up(int init, struct dyno_usage *u)
{
	struct processes all = {.pids = {init}, .n = 1};
	struct figures sum = {0};

	for (unsigned i = 0; i < all.n; i++) {
		add_memory(all.pids[i], &sum);
		add_time(all.pids[i], &sum);
		add_children(&all, all.pids[i]);
	}
	if (u->memory == USAGE_UNKNOWN)
		u->memory = sum.resident;
	else if (u->memory < sum.private)
		u->memory = sum.private;
	if (u->cpu == USAGE_UNKNOWN)
		u->cpu = sum.cpu;
	/* Init is not the dyno's. */
	if (u->processes == USAGE_UNKNOWN)
		u->processes = sum.processes > 0 ? sum.processes - 1 : 0;
}

void native_usage(void *state, uint64_t id, uint32_t generation)
{
	const struct native *n = state;
	const struct driver_context *context = n->context;
	const struct native_life *l = native_find(n, id, generation);

	if (!l || l->pid == 0)
		return;
	struct dyno_usage u = {
		.memory = memory_of(n, l),
		.cpu = cpu_of(n, l),
		.processes = processes_of(n, l),
		.memory_pressure = pressure_of(n, l, "memory.pressure"),
		.cpu_pressure = pressure_of(n, l, "cpu.pressure"),
	};
	if (u.memory == USAGE_UNKNOWN || u.cpu == USAGE_UNKNOWN || u.processes == USAGE_UNKNOWN ||
		!is_unified(n, CGROUP_MEMORY))
		add_up(l->pid, &u);
	context->events->used(context->userdata, id, generation, &u);
}
