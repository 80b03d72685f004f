/* Signals: one after the other, and those of a time without an engine when it is back. */
#include "drivers/docker/private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define KILL_TIMEOUT (60 * NSEC_PER_SEC)
#define KILL_BIT     (UINT64_C(1) << (SIGKILL - 1))

static bool is_over(int r)
{
	return r == -ENOENT || r == -EEXIST;
}

static void on_signalled(
	void *userdata, int r, unsigned status, json_t *answer, const struct err *err)
{
	struct container *c = userdata;

	(void)status;
	(void)answer;
	c->kill = NULL;
	uint64_t sent = c->sending;
	c->sending = 0;
	if (is_over(r)) {
		container_inspect(c);
	} else if (r < 0 && !engine_is_up(c->owner->engine)) {
		/* It is sent again when it is back. */
		c->signals |= sent;
	} else if (r < 0) {
		if (!c->unkilled)
			container_note(c, "the signal could not be sent: %s", err->text);
		/* Nobody would ask for this one again. */
		c->unkilled = sent == KILL_BIT;
		if (c->unkilled) {
			c->signals |= sent;
			c->again = true;
			docker_later(c->owner);
			return;
		}
	}
	signals_send(c);
}

void signals_send(struct container *c)
{
	char rest[40], path[512];
	struct err err;

	if (c->signals == 0 || c->kill || c->phase != PHASE_RUNNING ||
		!engine_is_up(c->owner->engine))
		return;
	/* What ends it makes the others pointless. */
	c->sending = c->signals & KILL_BIT ? c->signals : c->signals & -c->signals;
	c->signals &= ~c->sending;
	c->sending = c->sending & KILL_BIT ? KILL_BIT : c->sending;
	(void)snprintf(rest, sizeof rest, "/kill?signal=%d", __builtin_ctzll(c->sending) + 1);
	container_path(c, rest, path);
	const struct engine_request request = {
		.method = "POST", .path = path, .timeout = KILL_TIMEOUT};
	if (engine_ask(c->owner->engine, &request, on_signalled, c, &c->kill, &err) < 0) {
		container_note(c, "the signal could not be sent: %s", err.text);
		c->sending = 0;
	}
}

int docker_signal(void *state, uint64_t id, uint32_t generation, int signo)
{
	struct container *c = container_find(state, id, generation);

	if (!c || c->told || signo < 1 || signo > 64)
		return 0;
	if (c->phase == PHASE_ENDED)
		c->unheard = true;
	else
		c->signals |= UINT64_C(1) << (signo - 1);
	if (c->phase == PHASE_ENDED || c->phase == PHASE_QUEUED)
		docker_work(state);
	signals_send(c);
	return 0;
}
