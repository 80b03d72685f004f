#include "drivers/environment.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const char *environment_var(const struct driver_start *start, const char *name)
{
	const char *own = env_get(&start->process->env, name);

	return own ? own : env_get(&start->release->env, name);
}

/* A variable that hsup gives: what the operator set under that name wins. */
static void offer(struct spec_builder *spec, const struct driver_start *start, const char *name,
	const char *value)
{
	if (value && !environment_var(start, name))
		(void)spec_env(spec, name, value);
}

/* A random (version 4) UUID: DYNO is not unique during a rollout, this is. */
static int dyno_uuid(char ret_text[37])
{
	unsigned char b[16];

	if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
		return -EIO;
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	(void)snprintf(ret_text, 37,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		b[15]);
	return 0;
}

/* Who a dyno is and where it listens is not the operator's to say. */
static bool is_ours(const struct driver_start *start, const char *name, const char *port)
{
	return strcmp(name, "DYNO") == 0 || (port && strcmp(name, "PORT") == 0) ||
	       (start->notify_socket && strcmp(name, "NOTIFY_SOCKET") == 0) ||
	       (start->watchdog_usec && strcmp(name, "WATCHDOG_USEC") == 0);
}

static void add_config_vars(
	struct spec_builder *spec, const struct driver_start *start, const char *port)
{
	const struct env *release = &start->release->env, *own = &start->process->env;

	for (size_t i = 0; i < release->n; i++) {
		const char *name = release->vars[i].name;

		if (!env_get(own, name) && !is_ours(start, name, port))
			(void)spec_env(spec, name, release->vars[i].value);
	}
	for (size_t i = 0; i < own->n; i++)
		if (!is_ours(start, own->vars[i].name, port))
			(void)spec_env(spec, own->vars[i].name, own->vars[i].value);
}

static void add_release(struct spec_builder *spec, const struct driver_start *start)
{
	char version[24];

	offer(spec, start, "HEROKU_APP_NAME", start->app);
	if (start->release->version > 0) {
		(void)snprintf(
			version, sizeof version, "v%lld", (long long)start->release->version);
		offer(spec, start, "HEROKU_RELEASE_VERSION", version);
	}
}

void environment_compose(struct spec_builder *spec, const struct driver_start *start, unsigned port,
	const char *directory, const struct account *account)
{
	char port_text[12];

	(void)snprintf(port_text, sizeof port_text, "%u", port);
	add_config_vars(spec, start, port ? port_text : NULL);
	if (port)
		(void)spec_env(spec, "PORT", port_text);

	const char *path = getenv("PATH"), *slug = start->release->slug_path;
	const char *home = account ? account->home : getenv("HOME");
	offer(spec, start, "PATH", path && *path ? path : DEFAULT_PATH);
	offer(spec, start, "HOME", slug ? slug : home ? home : "/");
	offer(spec, start, "PWD", directory);
	if (account) {
		offer(spec, start, "USER", account->name);
		offer(spec, start, "LOGNAME", account->name);
	}
	(void)spec_env(spec, "DYNO", start->name);
	add_release(spec, start);
}

int environment_of_life(
	struct spec_builder *spec, const struct driver_start *start, struct err *err)
{
	char uuid[37], watchdog[24];

	int r = dyno_uuid(uuid);
	if (r < 0)
		return err_errno(err, r, "HEROKU_DYNO_ID");
	offer(spec, start, "HEROKU_DYNO_ID", uuid);
	if (start->notify_socket)
		(void)spec_env(spec, "NOTIFY_SOCKET", start->notify_socket);
	if (start->watchdog_usec) {
		(void)snprintf(watchdog, sizeof watchdog, "%llu",
			(unsigned long long)start->watchdog_usec);
		(void)spec_env(spec, "WATCHDOG_USEC", watchdog);
	}
	if (start->stdio) { /* attached: the terminal's own */
		offer(spec, start, "TERM", getenv("TERM"));
		offer(spec, start, "COLUMNS", getenv("COLUMNS"));
		offer(spec, start, "LINES", getenv("LINES"));
	}
	return 0;
}
