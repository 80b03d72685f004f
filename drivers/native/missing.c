/* What this machine, or who is not root on it, cannot give to dynos. */
#include "drivers/native/private.h"

#include "base/fd.h"
#include "base/quota.h"

#include <fcntl.h>
#include <stdio.h>

static bool lacks_network(const struct native *n)
{
	return native_network(n) != n->settings.network;
}

static bool lacks_users(const struct native *n)
{
	return !n->root;
}

static bool lacks_memory(const struct native *n)
{
	return !cgroup_folder(&n->cgroups, CGROUP_MEMORY);
}

static bool lacks_cpu(const struct native *n)
{
	return !cgroup_folder(&n->cgroups, CGROUP_CPU);
}

/* Few have them, and few miss them: only when it was asked for. */
static bool lacks_quota(const struct native *n)
{
	return n->lacks_quota;
}

static const struct {
	bool (*lacks)(const struct native *n);
	const char *text;
} all[] = {
	{lacks_network, "dynos have the machine's network: one of their own needs root, or "
			"/dev/net/tun and pasta (of passt, with a way out) or slirp4netns"},
	{lacks_users, "all dynos are the same user to the machine, and to themselves their files "
		      "of the stack are nobody's: more needs root"},
	{lacks_memory, "Limits.Memory is only looked at from time to time: no cgroup for it"},
	{lacks_cpu, "Limits.CPU has no effect: no cgroup for it"},
	{lacks_quota, "Limits.Disk has no effect: no project quotas for it"},
};

const char *native_missing(void *state, size_t index)
{
	const struct native *n = state;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].lacks(n) && index-- == 0)
			return all[i].text;
	return NULL;
}

void native_tell_missing(struct native *n)
{
	_cleanup_strbuf_ struct strbuf line = STRBUF(600);
	const char *text;

	for (size_t i = 0; (text = native_missing(n, i)); i++)
		(void)strbuf_printf(&line, "%s%s", i ? "; " : "", text);
	if (line.len)
		native_note(n, "%s: %s", n->root ? "of this machine" : "not root", line.data);
}

/* ---- what a release asks for ---- */

static void warn(struct native *n, enum cgroup_controller c, const struct process *p,
	const char *limit, const char *effect)
{
	if (n->lacks & 1U << c || cgroup_folder(&n->cgroups, c))
		return;
	n->lacks |= 1U << c;
	native_note(n, "warning: %s of %s %s: this machine has no cgroups for it", limit, p->type,
		effect);
}

/* Without a folder for them, files are in memory: there they are limited. */
static void warn_of_disk(struct native *n, const struct process *p)
{
	const char *state = n->settings.state;
	_cleanup_close_ int fd = state[0] ? open(state, O_PATH | O_CLOEXEC) : -1;

	if (n->lacks_quota || fd < 0 || (n->root && quota_enforced(fd) != 0))
		return;
	n->lacks_quota = true;
	native_note(n, "warning: Limits.Disk of %s has no effect: %s%.200s%s", p->type,
		n->root ? "the file system of " : "", n->root ? state : "only root can set that",
		n->root ? " has no project quotas (mounted with prjquota)" : "");
}

void native_warn_of_limits(struct native *n, const struct release *release)
{
	for (size_t i = 0; i < release->n_processes; i++) {
		const struct process *p = &release->processes[i];

		if (p->memory)
			warn(n, CGROUP_MEMORY, p, "Limits.Memory",
				"is looked at from time to time only");
		if (p->disk)
			warn_of_disk(n, p);
		if (p->cpu > 0)
			warn(n, CGROUP_CPU, p, "Limits.CPU", "has no effect");
	}
}
