#include "drivers/environment.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

const char *environment_var(const struct driver_start *start, const char *name)
{
	const char *own = env_get(&start->process->env, name);

	return own ? own : env_get(&start->release->env, name);
}

/* A variable that hsup gives: what the operator set under that name wins. */
static void offer(const struct environment_sink *sink, const struct driver_start *start,
	const char *name, const char *value)
{
	if (value && !environment_var(start, name))
		sink->add(sink->userdata, name, value, false);
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
	const struct environment_sink *sink, const struct driver_start *start, const char *port)
{
	const struct env *release = &start->release->env, *own = &start->process->env;

	for (size_t i = 0; i < release->n; i++) {
		const char *name = release->vars[i].name;

		if (!env_get(own, name) && !is_ours(start, name, port))
			sink->add(sink->userdata, name, release->vars[i].value, true);
	}
	for (size_t i = 0; i < own->n; i++)
		if (!is_ours(start, own->vars[i].name, port))
			sink->add(sink->userdata, own->vars[i].name, own->vars[i].value, true);
}

static void add_release(const struct environment_sink *sink, const struct driver_start *start)
{
	char version[24];

	offer(sink, start, "HEROKU_APP_NAME", start->app);
	if (start->release->version > 0) {
		(void)snprintf(
			version, sizeof version, "v%lld", (long long)start->release->version);
		offer(sink, start, "HEROKU_RELEASE_VERSION", version);
	}
}

void environment_compose(const struct environment_sink *sink, const struct driver_start *start,
	const struct environment_place *place)
{
	char port[12];

	(void)snprintf(port, sizeof port, "%u", place->port);
	add_config_vars(sink, start, place->port ? port : NULL);
	if (place->port)
		sink->add(sink->userdata, "PORT", port, false);
	offer(sink, start, "PATH", place->path);
	offer(sink, start, "HOME", place->home);
	offer(sink, start, "PWD", place->directory);
	offer(sink, start, "USER", place->user);
	offer(sink, start, "LOGNAME", place->user);
	offer(sink, start, "PS1", place->prompt);
	sink->add(sink->userdata, "DYNO", start->name, false);
	add_release(sink, start);
}

int environment_of_life(
	const struct environment_sink *sink, const struct driver_start *start, struct err *err)
{
	char uuid[37], watchdog[24];

	int r = dyno_uuid(uuid);
	if (r < 0)
		return err_errno(err, r, "HEROKU_DYNO_ID");
	offer(sink, start, "HEROKU_DYNO_ID", uuid);
	if (start->notify_socket)
		sink->add(sink->userdata, "NOTIFY_SOCKET", start->notify_socket, false);
	if (start->watchdog_usec) {
		(void)snprintf(watchdog, sizeof watchdog, "%llu",
			(unsigned long long)start->watchdog_usec);
		sink->add(sink->userdata, "WATCHDOG_USEC", watchdog, false);
	}
	if (start->stdio) { /* attached: the terminal's own */
		offer(sink, start, "TERM", getenv("TERM"));
		offer(sink, start, "COLUMNS", getenv("COLUMNS"));
		offer(sink, start, "LINES", getenv("LINES"));
	}
	return 0;
}
