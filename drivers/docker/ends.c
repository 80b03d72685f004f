/* How a container is found to have ended: by an event, by the end of its log, by a list; each of
 * them leads to an inspect, and the first one that says so is told. */
#include "drivers/docker/private.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

/* ---- its end ---- */

void container_ended(struct container *c, const struct driver_exit *exit)
{
	struct docker *d = c->owner;
	bool ran = c->phase == PHASE_RUNNING;

	if (c->told)
		return;
	if (c->phase != PHASE_ENDED) {
		c->exit = *exit;
		c->phase = PHASE_ENDED;
		port_life_ended(&d->lives, c->id, c->generation);
		if (ran && c->attach) {
			attach_finish(c->attach);
			return;
		}
	} else if (c->attach && !c->unheard) {
		return;
	}
	c->told = true;
	c->attach = attach_free(c->attach);
	c->handover = handover_free(c->handover);
	c->feed = feed_free(c->feed, true);
	execs_of_ended(c);
	c->exit.output_follows = c->follow != NULL;
	d->context->events->exited(d->context->userdata, c->id, c->generation, &c->exit);
	if (c->follow)
		follow_finish(c->follow);
}

void container_failed(struct container *c, const struct err *err)
{
	const struct driver_exit exit = exit_refused(err);

	container_note(c, "%s", err->text);
	container_ended(c, &exit);
}

void container_over(void *userdata, bool lost)
{
	struct container *c = userdata;
	const struct driver_context *context = c->owner->context;

	c->follow = follow_free(c->follow);
	if (lost)
		container_note(c, "the last of what it wrote could not be had from %s",
			engine_name(c->owner->engine));
	if (c->told)
		context->events->output_over(context->userdata, c->id, c->generation);
}

/* ---- what an inspect says ---- */

static void read_address(struct container *c, const json_t *answer)
{
	const struct docker *d = c->owner;
	const json_t *settings = json_object_get(answer, "NetworkSettings");
	json_t *networks = json_object_get(settings, "Networks"), *network;
	const char *name, *address = "";
	char port[24];

	c->address = (struct driver_address){.port = c->port};
	if (d->settings.network != DOCKER_NETWORK_OWN || c->port == 0)
		return;
	json_object_foreach(networks, name, network) address =
		*address ? address : json_text_of(network, "IPAddress");
	if (!*address)
		address = json_text_of(settings, "IPAddress");
	(void)snprintf(port, sizeof port, "%u/tcp", c->port);
	const json_t *bound =
		json_array_get(json_object_get(json_object_get(settings, "Ports"), port), 0);
	c->address.published = (unsigned)atoi(json_text_of(bound, "HostPort"));
	if (engine_is_local(d->engine) && *address) {
		(void)snprintf(c->address.host, sizeof c->address.host, "%s", address);
		return;
	}
	/* From here only the published port can be reached. */
	c->address.port = c->address.published;
	if (inet_addr(d->settings.publish) != htonl(INADDR_ANY))
		(void)snprintf(c->address.host, sizeof c->address.host, "%s", d->settings.publish);
}

static void tell_known(struct container *c, const json_t *answer)
{
	const struct driver_context *context = c->owner->context;
	int pid = (int)json_number_of(json_object_get(answer, "State"), "Pid", 0);

	read_address(c, answer);
	/* A process of another machine is none of ours. */
	if (!engine_is_local(c->owner->engine))
		pid = 0;
	bool before = c->known;
	/* Who is told asks for the address. */
	c->known = true;
	if (!before && context->events->known)
		context->events->known(context->userdata, c->id, c->generation, pid);
}

static void look_at_state(struct container *c, const json_t *answer)
{
	const json_t *state = json_object_get(answer, "State");
	struct driver_exit exit;

	switch (container_state(json_text_of(state, "Status"))) {
	case CONTAINER_ENDED:
	case CONTAINER_GOING:
		exit = exit_read(state, c->codes);
		container_ended(c, &exit);
		break;
	case CONTAINER_RUNS:
	case CONTAINER_CREATED:
		tell_known(c, answer);
		if (c->broke) {
			c->again = true;
			docker_later(c->owner);
		}
		break;
	}
}

void container_look(struct container *c, int r, const json_t *answer)
{
	const struct driver_exit gone = {.exit = {.kind = EXIT_UNKNOWN}};

	if (c->phase != PHASE_RUNNING)
		return;
	if (r == -ENOENT) {
		container_ended(c, &gone);
	} else if (r == 0) {
		look_at_state(c, answer);
	} else if (engine_is_up(c->owner->engine)) {
		c->again = true;
		docker_later(c->owner);
	}
}

static void on_inspected(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct container *c = userdata;
	bool again = c->inspect_again;

	(void)status;
	(void)err;
	if (r == 0 && !json_is_object(json_object_get(answer, "State")))
		r = -EBADMSG;
	c->inspect = NULL;
	c->inspect_again = false;
	if (c->phase == PHASE_FOUND)
		adopt_looked(c, r, answer);
	else if (again)
		container_inspect(c);
	else
		container_look(c, r, answer);
}

void container_inspect(struct container *c)
{
	char path[512];
	struct err err;

	if (c->phase != PHASE_RUNNING && c->phase != PHASE_FOUND)
		return;
	if (c->inspect) {
		c->inspect_again = true;
		return;
	}
	container_path(c, "/json", path);
	const struct engine_request request = {.method = "GET", .path = path};
	if (engine_ask(c->owner->engine, &request, on_inspected, c, &c->inspect, &err) < 0) {
		c->again = true;
		docker_later(c->owner);
	}
}

/* ---- its log ---- */

#define LOOKS 5 /* at one that runs though its log has ended, before that is read on */

void container_broke(void *userdata, int r, const struct err *err)
{
	struct container *c = userdata;

	(void)err;
	c->broke = true;
	if (r == 0) {
		container_inspect(c);
	} else if (engine_is_up(c->owner->engine)) {
		c->silent = LOOKS;
		c->again = true;
		docker_later(c->owner);
	}
}

void container_again(struct container *c)
{
	struct err err;

	if (!c->again || (c->phase != PHASE_RUNNING && c->phase != PHASE_FOUND))
		return;
	c->again = false;
	signals_send(c);
	if (c->broke && ++c->silent >= LOOKS) {
		c->silent = 0;
		c->broke = follow_go(c->follow, &err) < 0;
		c->again = c->broke;
	} else {
		container_inspect(c);
	}
}
