/* The order of a life: its port, and what its container is to be. */
#include "drivers/docker/private.h"

#include <errno.h>
#include <stdio.h>

/* On the machine's network, as the simple driver has it: the port of the life before, or a new one.
 */
static int choose_port(
	struct docker *d, const struct driver_start *start, unsigned *ret_port, struct err *err)
{
	const char *own = environment_var(start, "PORT");

	*ret_port = 0;
	if (d->settings.network == DOCKER_NETWORK_NONE)
		return 0;
	if (d->settings.network == DOCKER_NETWORK_OWN) {
		*ret_port = own && atoi(own) > 0 && atoi(own) <= UINT16_MAX ? (unsigned)atoi(own)
									    : BODY_PORT;
		return 0;
	}
	if (start->only_one && own)
		return 0;
	*ret_port = port_life_choose(&d->lives, start);
	return *ret_port ? 0
			 : err_set(err, -EADDRINUSE, "no port from %u on is free",
				   port_wish(start->type_index, start->instance));
}

static int compose(struct container *c, const struct driver_start *start, struct err *err)
{
	struct docker *d = c->owner;
	const struct body_setup setup = {
		.settings = &d->settings,
		.context = d->context,
		.start = start,
		.image = images_find(d->images, start->release),
		.keeper = d->keeper,
		.port = c->port,
		.local = engine_is_local(d->engine),
		.podman = engine_is_podman(d->engine),
	};

	if (!setup.image)
		return err_set(err, -ENOENT,
			"its release has no image with %s: it was not made ready",
			engine_name(d->engine));
	c->body = body_create(&setup, &c->first, err);
	if (!c->body)
		return err->code;
	(void)snprintf(c->shell, sizeof c->shell, "%s", setup.image->shell);
	body_name(
		start->app, start->name, start->id, start->generation, c->called, sizeof c->called);
	return 0;
}

static int fill(struct container *c, const struct driver_start *start, struct err *err)
{
	const struct process *p = start->process;

	c->tag = malloc(start->tag_len + 1);
	if (!c->tag)
		return err_errno(err, -ENOMEM, "%s", start->name);
	memcpy(c->tag, start->tag, start->tag_len);
	c->tag_len = start->tag_len;
	c->attached = start->stdio != NULL;
	c->stdin_open = p->stdin_open && !c->attached;
	c->merged = p->redirect_stderr;
	for (unsigned i = 0; i < p->n_exit_codes; i++)
		codes_set(c->codes, p->exit_codes[i]);
	if (c->attached)
		memcpy(c->stdio, start->stdio, sizeof c->stdio);
	return compose(c, start, err);
}

int docker_start(void *state, const struct driver_start *start, struct err *err)
{
	struct docker *d = state;
	unsigned port;

	if (!(launch_can(d->context->launch) & WIRE_CAN_KEEP))
		return err_set(err, -EOPNOTSUPP,
			"the launcher that runs is too old for containers; `hsup upgrade` "
			"replaces it");
	int r = choose_port(d, start, &port, err);
	if (r < 0)
		return r;
	unsigned own = d->settings.network == DOCKER_NETWORK_HOST ? port : 0;
	r = port_life_add(&d->lives, start->id, start->generation, own);
	if (r < 0) {
		port_give_back(&d->lives.ports, own);
		return err_errno(err, r, "port");
	}
	struct container *c = container_new(d, start->name, start->id, start->generation);
	if (c) {
		c->phase = PHASE_QUEUED;
		c->port = port;
		r = fill(c, start, err);
	} else {
		r = err_errno(err, -ENOMEM, "%s", start->name);
	}
	if (r < 0) {
		container_free(c);
		port_life_remove(&d->lives, start->id, start->generation);
		return r;
	}
	docker_work(d);
	return 0;
}
