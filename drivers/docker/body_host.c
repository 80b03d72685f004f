/* What the machine gives a container, and what it keeps from it: HostConfig. */
#include "drivers/docker/body_private.h"

#include "drivers/docker/script.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* Engines take no less. */
#define MEMORY_LEAST (6U << 20)

static void add_security(struct body *b)
{
	static const char *const roots[] = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL",
		"NET_BIND_SERVICE", "SETGID", "SETUID"};

	body_put(b, b->host, "Init", json_true());
	body_put(b, b->host, "SecurityOpt", json_pack("[s]", "no-new-privileges"));
	body_put(b, b->host, "CapDrop", json_pack("[s]", "ALL"));
	if (!b->root_user)
		return;
	json_t *given = json_array();
	body_put(b, b->host, "CapAdd", given);
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++)
		body_add(b, given, json_string(roots[i]));
}

/* Who is not root and has no capability can write where the image lets him: in /app, which is his.
 * A read-only root with a writable /app in it would be the engine's copy of the slug for each
 * container: that is done only for root, who could write anywhere. */
static void add_mounts(struct body *b)
{
	const struct body_setup *s = b->setup;
	const struct release *r = s->start->release;
	json_t *tmpfs = json_object(), *mounts = json_array();

	body_put(b, b->host, "Tmpfs", tmpfs);
	body_put(b, tmpfs, "/tmp", json_string("rw,exec,nosuid,nodev,mode=1777"));
	body_put(b, tmpfs, "/var/tmp", json_string("rw,exec,nosuid,nodev,mode=1777"));
	if (b->first && s->start->process->user)
		/* Whose number is not known: the file itself is his alone. */
		body_put(b, tmpfs, SCRIPT_SECRETS,
			json_string("rw,noexec,nosuid,nodev,size=4m,mode=1733"));
	else if (b->first)
		body_put(b, tmpfs, SCRIPT_SECRETS,
			json_sprintf("rw,noexec,nosuid,nodev,size=4m,mode=0700,uid=%u,gid=%u",
				(unsigned)s->image->uid, (unsigned)s->image->gid));
	body_put(b, b->host, "Mounts", mounts);
	if (b->root_user) {
		body_put(b, b->host, "ReadonlyRootfs", json_true());
		body_add(b, mounts, json_pack("{ssss}", "Type", "volume", "Target", "/app"));
	}
	for (size_t i = 0; i < r->n_binds; i++)
		body_add(b, mounts,
			json_pack("{sssssssb}", "Type", "bind", "Source", r->binds[i].host,
				"Target", r->binds[i].container, "ReadOnly",
				r->binds[i].read_only));
}

static int add_notify(struct body *b, struct err *err)
{
	const char *path = b->setup->start->notify_socket,
		   *slash = path ? strrchr(path, '/') : NULL;

	if (!slash)
		return 0;
	if (!b->setup->local)
		return err_set(err, -EOPNOTSUPP,
			"Notify: the engine is on another machine: a dyno there cannot reach the "
			"socket %.200s",
			path);
	json_t *folder = json_stringn(path, (size_t)(slash - path));
	json_t *mount = json_pack("{ssso}", "Type", "bind", "Source", folder);
	body_put(b, mount, "Target", json_incref(folder));
	body_add(b, json_object_get(b->host, "Mounts"), mount);
	return 0;
}

static void add_limits(struct body *b)
{
	const struct process *p = b->setup->start->process;
	double cpu = p->cpu;

	if (p->memory) {
		/* Where it is killed by any driver: R15. */
		uint64_t most = p->memory > INT64_MAX / 2 ? INT64_MAX : 2 * p->memory;

		most = most < MEMORY_LEAST ? MEMORY_LEAST : most;
		body_put(b, b->host, "Memory", json_integer((json_int_t)most));
		body_put(b, b->host, "MemorySwap", json_integer((json_int_t)most));
	}
	/* More than there are is refused, though it would limit nothing. */
	long cores = cpu > 0 && b->setup->local ? sysconf(_SC_NPROCESSORS_ONLN) : 0;
	if (cores > 0 && cpu > (double)cores)
		cpu = (double)cores;
	if (cpu > 0)
		body_put(b, b->host, "NanoCpus",
			json_integer((json_int_t)((cpu < 0.01 ? 0.01 : cpu) * 1e9)));
	if (p->processes)
		body_put(b, b->host, "PidsLimit", json_integer((json_int_t)p->processes));
	if (p->open_files)
		body_put(b, b->host, "Ulimits",
			json_pack("[{sssIsI}]", "Name", "nofile", "Soft", (json_int_t)p->open_files,
				"Hard", (json_int_t)p->open_files));
}

static void add_network(struct body *b)
{
	const struct docker_settings *s = b->setup->settings;
	char port[24];

	body_put(b, b->host, "NetworkMode", json_string(s->network_name));
	if (s->network != DOCKER_NETWORK_OWN || b->setup->port == 0)
		return;
	(void)snprintf(port, sizeof port, "%u/tcp", b->setup->port);
	body_put(b, b->root, "ExposedPorts", json_pack("{s{}}", port));
	body_put(b, b->host, "PortBindings",
		json_pack("{s[{ssss}]}", port, "HostIp", s->publish, "HostPort", ""));
}

/* Rotation loses what its reader has not read yet: only for who prefers that to a full disk. */
static void add_log(struct body *b)
{
	uint64_t most = b->setup->settings->log_max;
	json_t *config = json_object();

	if (most) {
		body_put(b, config, "max-size", json_sprintf("%" PRIu64, most));
		body_put(b, config, "max-file", json_string("2"));
	}
	body_put(b, b->host, "LogConfig",
		json_pack("{ssso}", "Type", "json-file", "Config", config));
}

int body_host(struct body *b, struct err *err)
{
	add_security(b);
	add_mounts(b);
	int r = add_notify(b, err);
	if (r < 0)
		return r;
	add_limits(b);
	add_network(b);
	add_log(b);
	body_put(b, b->host, "RestartPolicy", json_pack("{ss}", "Name", "no"));
	body_put(b, b->host, "AutoRemove", json_false());
	return 0;
}
