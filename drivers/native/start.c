/* The order of a life: its port, and what its box is to be. */
#include "drivers/native/private.h"

#include "base/fd.h"
#include "base/parse.h"
#include "drivers/environment.h"

#include <errno.h>

unsigned native_network(const struct native *n)
{
	/* Who is not root cannot link a network to the machine's, but have it passed on. */
	bool has_own = n->root || n->settings.passer[0];

	return n->settings.network == SPEC_BOX_NET_OWN && !has_own ? SPEC_BOX_NET_HOST
								   : n->settings.network;
}

bool native_shares_ports(const struct native *n)
{
	unsigned network = native_network(n);

	return network == SPEC_BOX_NET_HOST || (network == SPEC_BOX_NET_OWN && !n->root);
}

unsigned native_port(const struct native *n, const struct driver_start *start)
{
	const char *own = environment_var(start, "PORT");
	unsigned port;

	if (native_network(n) != SPEC_BOX_NET_OWN || !n->root)
		return 0;
	return own && parse_uint(own, UINT16_MAX, &port) == 0 && port > 0 ? port : NATIVE_PORT;
}

/* With a network of its own the same for all, unless Env says otherwise. */
static int choose_port(
	struct native *n, const struct driver_start *start, unsigned *ret_port, struct err *err)
{
	*ret_port = native_port(n, start);
	if (!native_shares_ports(n) || (start->only_one && environment_var(start, "PORT")))
		return 0;
	*ret_port = port_life_choose(&n->ports, start);
	return *ret_port ? 0
			 : err_set(err, -EADDRINUSE, "no port from %u on is free",
				   port_wish(start->type_index, start->instance));
}

static int order(struct native *n, const struct driver_start *start, struct native_life *life,
	struct err *err)
{
	const struct launch_child child = {life->id, life->generation};
	struct launch_stdio stdio = {
		.given = start->stdio, .in = -1, .merged = start->process->redirect_stderr};
	unsigned char tag[LIMIT_TAG];

	_cleanup_close_ int spec = native_compose(n, start, life, err);
	if (spec < 0)
		return spec;
	_cleanup_close_ int in = -1;
	if (start->process->stdin_open && !start->stdio) {
		in = stdin_dir_make(&n->stdin_dir, child.id, child.generation);
		if (in < 0)
			return err_errno(err, in, "Stdin");
	}
	stdio.in = in;
	if (!start->stdio && native_warm_start(n, start, life, spec, &stdio) == 0)
		return 0;
	native_warm_yield(n);
	int tag_len = native_tag(life, start->tag, start->tag_len, tag);
	int r = tag_len;
	if (r >= 0)
		r = launch_spawn_box(
			n->context->launch, child, start->name, tag, (size_t)tag_len, spec, &stdio);
	if (r < 0) {
		stdin_dir_remove(&n->stdin_dir, child.id, child.generation);
		return err_errno(err, r, "order to the launcher");
	}
	return 0;
}

int native_start(void *state, const struct driver_start *start, struct err *err)
{
	struct native *n = state;
	struct native_life *life;
	unsigned port;

	int r = choose_port(n, start, &port, err);
	if (r < 0)
		return r;
	unsigned own = native_shares_ports(n) ? port : 0;
	r = port_life_add(&n->ports, start->id, start->generation, own);
	if (r < 0) {
		port_give_back(&n->ports.ports, own);
		return err_errno(err, r, "port");
	}
	r = native_add(n, start->id, start->generation, start->name, NULL, &life);
	if (r < 0) {
		(void)err_errno(err, r, "%s", start->name);
	} else {
		life->port = port;
		r = order(n, start, life, err);
	}
	if (r < 0) {
		native_forget(n, start->id, start->generation);
		return r;
	}
	if (!process_is_phase(start->process))
		native_stack_use(n, start->release);
	if (!start->stdio)
		native_warm_want(n, start, life);
	return 0;
}
