/* What this machine, or who is not root on it, cannot give to dynos. */
#include "drivers/native/private.h"

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

static bool lacks_processes(const struct native *n)
{
	return !cgroup_folder(&n->cgroups, CGROUP_PIDS);
}

static const struct {
	bool (*lacks)(const struct native *n);
	const char *text;
} all[] = {
	{lacks_network, "dynos have the machine's network: one of their own needs root"},
	{lacks_users, "all dynos are the same user to the machine, and to themselves their files "
		      "of the stack are nobody's: more needs root"},
	{lacks_memory, "Limits.Memory is only looked at from time to time: no cgroup for it"},
	{lacks_cpu, "Limits.CPU has no effect: no cgroup for it"},
	{lacks_processes, "Limits.Processes has no effect: no cgroup for it"},
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
