#include "passer.h"

#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NETWORK	 "LIBCONTAINER_DYNO_NETWORK"
#define FIRST_MS 5000
#define AGAIN_MS 10000

static bool find(const char *name, char ret_path[PATH_MAX])
{
	const char *path = getenv("PATH");

	for (const char *at = path && *path ? path : "/usr/bin:/bin"; *at;) {
		size_t len = strcspn(at, ":");

		if (*at == '/' &&
			snprintf(ret_path, PATH_MAX, "%.*s/%s", (int)len, at, name) < PATH_MAX &&
			access(ret_path, X_OK) == 0)
			return true;
		at += len + (at[len] == ':');
	}
	return false;
}

/* The one that is to be had is taken: the first that works. */
static const struct passer {
	const char *name, *setting;
	int (*run)(const char *path, int patience_ms);
	const char *before, *after; /* its path, of what shows why it does not work */
} passers[] = {
	{"pasta", "HSUP_BOX_PASTA", passer_try_pasta, "", " --ipv4-only --config-net -- true"},
	{"slirp4netns", "HSUP_BOX_SLIRP4NETNS", passer_try_slirp4netns,
		"unshare -Un sleep 9 & sleep 1; ", " -c --disable-dns --enable-seccomp $! eth0"},
};

/* err: why it does not. */
static int works(const struct passer *p, const char *path, struct err *err)
{
	int r = p->run(path, FIRST_MS);

	/* A machine that is busy, or has just come up. */
	if (r == -ETIMEDOUT)
		r = p->run(path, AGAIN_MS);
	if (r == -ETIMEDOUT)
		return err_set(
			err, r, "native dynos: %.150s was tried twice and took too long", path);
	if (r < 0)
		return err_set(err, r,
			"native dynos: %.120s does not work here: see what '%s%.120s%s' says", path,
			p->before, path, p->after);
	return 0;
}

struct choice {
	char path[PATH_MAX];
	bool installed, tried;
	struct err why; /* there is none */
};

static const struct passer *choose(struct choice *c)
{
	*c = (struct choice){0};
	(void)err_set(
		&c->why, -ENOENT, "native dynos: there is neither pasta nor slirp4netns in PATH");
	for (size_t i = 0; i < ARRAY_SIZE(passers); i++) {
		if (!find(passers[i].name, c->path))
			continue;
		c->installed = true;
		if (access("/dev/net/tun", R_OK | W_OK) < 0) {
			(void)err_errno(&c->why, -errno,
				"native dynos: %.150s cannot be used: /dev/net/tun", c->path);
			return NULL;
		}
		if (c->tried)
			log_warning("%s; %s is tried instead", c->why.text, c->path);
		c->tried = true;
		if (works(&passers[i], c->path, &c->why) == 0)
			return &passers[i];
	}
	return NULL;
}

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

int passer_settle(bool warns, struct err *err)
{
	const char *network = getenv(NETWORK);
	bool asked = network && strcmp(network, "own") == 0;
	struct choice c;

	if (is_set(NETWORK) && !asked)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(passers); i++)
		if (is_set(passers[i].setting))
			return 0;
	const struct passer *p = choose(&c);
	if (p && setenv(p->setting, c.path, 1) < 0)
		return err_errno(err, -errno, "%s", p->setting);
	if (p)
		return 0;
	/* Who says that they are to be apart is not to find them on the machine's. */
	if (asked)
		return err_set(err, c.why.code, "%.400s; " NETWORK "=own cannot be had without",
			c.why.text);
	if (c.tried || (c.installed && warns))
		log_warning("%s; they have the machine's network", c.why.text);
	return 0;
}
