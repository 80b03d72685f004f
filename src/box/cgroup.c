#include "base/cgroup.h"
#include "base/fd.h"
#include "box/box.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PERIOD 100000 /* microseconds in which a share of the processor is counted */

static int write_file(int dir, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd_write_all(fd, text, strlen(text));
}

static int write_number(int dir, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
	return write_file(dir, name, text);
}

/* Each by itself: one that this machine lacks must not cost the others. Only what a box may limit;
 * whether it is there is seen when the limit is set. */
static void enable_controllers(int dir)
{
	(void)write_file(dir, "cgroup.subtree_control", "+memory");
	(void)write_file(dir, "cgroup.subtree_control", "+cpu");
	(void)write_file(dir, "cgroup.subtree_control", "+pids");
}

/* Our folder in the hierarchy, below which each box has its own. */
static int open_parent(const char *hierarchy, bool controllers)
{
	_cleanup_close_ int top = open(hierarchy, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	if (top < 0 || (mkdirat(top, CGROUP_PARENT, 0755) < 0 && errno != EEXIST))
		return -errno;
	int fd = openat(top, CGROUP_PARENT, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (controllers) {
		enable_controllers(top);
		enable_controllers(fd);
	}
	return fd;
}

/* Its cgroup; or negative errno: -EEXIST, it was somebody's already. */
static int make(const char *hierarchy, bool controllers, const char *name)
{
	_cleanup_close_ int parent = open_parent(hierarchy, controllers);

	if (parent < 0)
		return parent;
	/* A sweep may have found our folder empty, and removed it, before we are in it; to the
	 * kernel it is then a device that is gone. */
	for (int again = 0; mkdirat(parent, name, 0755) < 0; again++) {
		if ((errno != ENOENT && errno != ENODEV) || again == 3)
			return -errno;
		(void)fd_close(parent);
		parent = open_parent(hierarchy, controllers);
		if (parent < 0)
			return parent;
	}
	int fd = openat(parent, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* What this machine has no controller for is not limited, as with those of the old kind; who has
 * asked for it was told. */
static int limit_unified(int dir, unsigned controllers, const struct spec_box *s)
{
	char cpu[48];
	int r = 0;

	if (s->memory && controllers & 1U << CGROUP_MEMORY) {
		r = write_number(dir, "memory.max", s->memory);
		/* A dyno that swaps is as good as dead, and so are its neighbours. */
		if (r == 0)
			(void)write_number(dir, "memory.swap.max", 0);
	}
	/* Half of a dyno's processes are worth nothing. */
	(void)write_number(dir, "memory.oom.group", 1);
	if (r == 0 && s->cpu_percent && controllers & 1U << CGROUP_CPU) {
		(void)snprintf(cpu, sizeof cpu, "%llu %d",
			(unsigned long long)s->cpu_percent * (PERIOD / 100), PERIOD);
		r = write_file(dir, "cpu.max", cpu);
	}
	if (r == 0 && s->processes && controllers & 1U << CGROUP_PIDS)
		r = write_number(dir, "pids.max", s->processes);
	return r;
}

static int limit_v1(int dir, enum cgroup_controller c, const struct spec_box *s)
{
	int r = 0;

	if (c == CGROUP_MEMORY && s->memory) {
		r = write_number(dir, "memory.limit_in_bytes", s->memory);
		/* Swap and all; not every kernel counts that. */
		if (r == 0)
			(void)write_number(dir, "memory.memsw.limit_in_bytes", s->memory);
	}
	if (c == CGROUP_CPU && s->cpu_percent) {
		r = write_number(dir, "cpu.cfs_period_us", PERIOD);
		if (r == 0)
			r = write_number(
				dir, "cpu.cfs_quota_us", (uint64_t)s->cpu_percent * (PERIOD / 100));
	}
	if (c == CGROUP_PIDS && s->processes)
		r = write_number(dir, "pids.max", s->processes);
	return r;
}

/* Memory is joined by every box, limited or not: its usage is to be seen. That costs a few
 * microseconds of work and, on an idle machine, 7 to 11 ms in which init waits for it, beside the
 * dyno. What is not limited is left out. */
static bool wants(enum cgroup_controller c, const struct spec_box *s)
{
	return c == CGROUP_MEMORY || (c == CGROUP_CPU && s->cpu_percent) ||
	       (c == CGROUP_PIDS && s->processes);
}

/* Two controllers may be on one hierarchy. */
static bool is_other(
	const struct cgroup_layout *l, const struct spec_box *s, enum cgroup_controller c)
{
	for (enum cgroup_controller other = 0; other < c; other++)
		if (wants(other, s) && strcmp(l->v1[other], l->v1[c]) == 0)
			return true;
	return false;
}

static int make_v1(const struct cgroup_layout *l, const struct box *b, enum cgroup_controller c)
{
	_cleanup_close_ int dir = -1;

	if (is_other(l, &b->spec->box, c)) {
		char path[CGROUP_PATH + SPEC_BOX_NAME_MAX + 16];

		(void)snprintf(
			path, sizeof path, "%s/" CGROUP_PARENT "/%s", l->v1[c], b->spec->box_name);
		dir = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
		if (dir < 0)
			return -errno;
	} else {
		dir = make(l->v1[c], false, b->spec->box_name);
	}
	return dir < 0 ? dir : limit_v1(dir, c, &b->spec->box);
}

int cgroup_find(struct box *b)
{
	int r = cgroup_layout_load(&b->hierarchies);

	if (r == 0 && !b->root)
		cgroup_layout_delegated(&b->hierarchies);
	return r;
}

/* What a failure leaves is removed with the rest of the box, by its sweep. */
int cgroup_make(const struct box *b, struct box_cgroup *ret)
{
	const struct cgroup_layout *l = &b->hierarchies;
	int r = 0;

	*ret = (struct box_cgroup){.into = -1, .moving = -1};
	if (l->unified[0]) {
		r = ret->into = make(l->unified, l->controllers != 0, b->spec->box_name);
		if (r >= 0 && l->controllers)
			r = limit_unified(ret->into, l->controllers, &b->spec->box);
		ret->counts = r >= 0 && l->controllers & 1U << CGROUP_PIDS;
		/* What was delegated to a user may be for processes only, not to be parted. */
		if (r == -ENOENT && !b->root)
			r = 0;
	}
	for (enum cgroup_controller c = 0; r >= 0 && c < CGROUP_CPUACCT; c++) {
		if (!l->v1[c][0] || !wants(c, &b->spec->box) || is_other(l, &b->spec->box, c))
			continue;
		r = open(l->v1[c], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (r < 0)
			r = -errno;
		else
			ret->late[ret->n_late++] = r;
	}
	if (r < 0)
		cgroup_close(ret);
	return r < 0 ? r : 0;
}

int cgroup_make_late(const struct box *b)
{
	const struct cgroup_layout *l = &b->hierarchies;
	int r = 0;

	for (enum cgroup_controller c = 0; r >= 0 && c < CGROUP_CPUACCT; c++)
		if (l->v1[c][0] && wants(c, &b->spec->box))
			r = make_v1(l, b, c);
	return r < 0 ? r : 0;
}

static int open_late(const struct box *b, int hierarchy, const char *name)
{
	char path[SPEC_BOX_NAME_MAX + 64];

	(void)snprintf(path, sizeof path, CGROUP_PARENT "/%s/%s", b->spec->box_name, name);
	return openat(hierarchy, path, O_RDWR | O_CLOEXEC);
}

int cgroup_open_late(const struct box *b, struct box_cgroup *c)
{
	for (unsigned i = 0; i < c->n_late; i++) {
		int procs = open_late(b, c->late[i], "cgroup.procs");

		if (procs < 0)
			return -errno;
		if (c->moving < 0)
			c->moving = open_late(b, c->late[i], "memory.move_charge_at_immigrate");
		(void)close(c->late[i]);
		c->late[i] = procs;
	}
	return 0;
}

void cgroup_close(struct box_cgroup *c)
{
	c->into = fd_close(c->into);
	c->moving = fd_close(c->moving);
	for (unsigned i = 0; i < c->n_late; i++)
		(void)fd_close(c->late[i]);
	c->n_late = 0;
}
