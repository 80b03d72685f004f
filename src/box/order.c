/* What comes by a socket to who was there before it: to a parked box, or to a reserve. */
#include "box/box_private.h"
#include "spawn/policy.h"
#include "spawn/program.h"
#include "wire/packet.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

const struct birth_warm *order_check(const struct packet *p, enum wire_type type)
{
	const struct birth_warm *w = packet_body(p, sizeof *w, false);

	return packet_header(p)->type == type && p->n_fds == GATE_FDS ? w : NULL;
}

/* As the launcher's child does it with the spec of a dyno that is started: the descriptor may be
 * anybody's. */
void order_read_spec(int fd, struct spec *ret_spec, void **ret_text, size_t *ret_size)
{
	static const struct policy policy = {
		.box = true,
		.max_args = SPEC_MAX_ARGS,
		.max_env = SPEC_MAX_ENV,
	};
	int r = program_read(fd, ret_spec, ret_text, ret_size);

	if (r < 0)
		box_fail(WIRE_STAGE_SPEC, -r);
	r = policy_check(&policy, ret_spec, true);
	if (r > 0)
		box_fail(WIRE_STAGE_POLICY, r);
}

/* Whoever looks for this child by its mark reads what we were executed with. */
void order_set_mark(const struct birth_warm *w)
{
	char *own = environ[0], *room = own ? environ[1] : NULL;
	size_t len = own ? strlen(own) + 1 : 0;

	if (!room || room != own + len || len + strlen(room) < sizeof w->mark)
		box_fail(WIRE_STAGE_WARM, ENOSPC);
	memset(own, 0, len + strlen(room));
	memcpy(own, w->mark, strnlen(w->mark, sizeof w->mark - 1));
}

void order_connect(const int fds[3])
{
	for (int i = 0; i < 3; i++)
		box_must_call(dup2(fds[i], i), WIRE_STAGE_OUTPUT);
}

/* ---- a reserve ---- */

unsigned reserve_wait(struct packet *ret_order)
{
	static const char ready = 1;
	struct pollfd order = {.fd = BOX_FD_SPEC, .events = POLLIN};
	int r;

	if (write(BOX_FD_SPEC, &ready, sizeof ready) != sizeof ready)
		_exit(0);
	while ((r = packet_receive(BOX_FD_SPEC, ret_order)) == -EAGAIN)
		(void)poll(&order, 1, -1);
	const struct birth_warm *w = r > 0 ? order_check(ret_order, WIRE_SPAWN_BOX) : NULL;
	/* Its launcher has gone, or has no use for it. */
	if (!w)
		_exit(0);
	return w->slot;
}

void reserve_become(struct box *b, const struct packet *order)
{
	const struct birth_warm *w = order_check(order, WIRE_SPAWN_BOX);

	b->owns_output = w->owns_output;
	order_set_mark(w);
	box_must_call(dup2(order->fds[0], BOX_FD_SPEC), WIRE_STAGE_SPEC);
	order_connect(order->fds + 1);
	for (unsigned i = 0; i < order->n_fds; i++)
		(void)close(order->fds[i]);
}
