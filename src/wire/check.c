#include "wire/check.h"

#include <errno.h>

static bool child_sound(const struct wire_child *c)
{
	return c->id != 0 && c->generation != 0 && c->reserved == 0;
}

/* The spec, and behind it standard input, output and error when they are given. */
static bool spawn_fds_sound(const struct wire_spawn *s, unsigned n_fds)
{
	return s->output < WIRE_OUTPUT_MAX &&
	       (s->output == WIRE_OUTPUT_GIVEN ? n_fds == 4 : n_fds >= 1 && n_fds <= 2);
}

static bool keep_fds_sound(const struct wire_spawn *s, unsigned n_fds)
{
	return s->output == WIRE_OUTPUT_PIPES	 ? n_fds == 2
	       : s->output == WIRE_OUTPUT_MERGED ? n_fds == 1
						 : false;
}

/* One that waits for its program has no output yet. */
static bool park_fds_sound(const struct wire_spawn *s, unsigned n_fds)
{
	return s->output == WIRE_OUTPUT_GIVEN && n_fds == 4;
}

static int check_spawn(const struct packet *p, struct wire_request *r)
{
	bool warm = r->type == WIRE_SPAWN_WARM;
	size_t fixed = warm ? sizeof *r->warm : sizeof *r->spawn;

	r->spawn = packet_body(p, fixed, true);
	if (!r->spawn || !child_sound(&r->spawn->child) || (warm && !child_sound(&r->warm->parked)))
		return -EBADMSG;
	if (!(r->type == WIRE_KEEP	   ? keep_fds_sound
		    : r->type == WIRE_PARK ? park_fds_sound
					   : spawn_fds_sound)(r->spawn, p->n_fds))
		return -EBADMSG;
	return packet_name_and_tag(
		p, fixed, r->spawn->name_length, r->spawn->tag_length, &r->name, &r->tag);
}

static bool signals_sound(const struct packet *p, struct wire_request *r)
{
	r->signal = packet_records(p, sizeof *r->signal, &r->n);
	for (unsigned i = 0; i < r->n; i++) {
		const struct wire_signal *s = &r->signal[i];

		if (!child_sound(&s->child) || s->signo < 1 || s->signo > 64 || s->reserved != 0)
			return false;
	}
	return r->n > 0;
}

static bool acknowledgements_sound(const struct packet *p, struct wire_request *r)
{
	r->child = packet_records(p, sizeof *r->child, &r->n);
	for (unsigned i = 0; i < r->n; i++)
		if (!child_sound(&r->child[i]))
			return false;
	return r->n > 0;
}

static bool tag_sound(const struct packet *p, struct wire_request *r)
{
	r->retag = packet_body(p, sizeof *r->retag, true);
	if (!r->retag || !child_sound(&r->retag->child) || r->retag->reserved != 0 ||
		r->retag->tag_length > LIMIT_TAG ||
		packet_header(p)->length !=
			sizeof(struct wire_header) + sizeof *r->retag + r->retag->tag_length)
		return false;
	r->tag = (const unsigned char *)(r->retag + 1);
	return true;
}

static bool fixed_sound(const struct packet *p, struct wire_request *r)
{
	switch (r->type) {
	case WIRE_HELLO:
		r->hello = packet_body(p, sizeof *r->hello, false);
		return r->hello && r->hello->children == 0 && r->hello->can == 0;
	case WIRE_SIGNAL:
		return signals_sound(p, r);
	case WIRE_ACK:
		return acknowledgements_sound(p, r);
	case WIRE_LEAVE:
		r->leave = packet_body(p, sizeof *r->leave, false);
		return r->leave && r->leave->code <= 255 && r->leave->reserved == 0;
	case WIRE_TAG:
		return tag_sound(p, r);
	case WIRE_LIST:
	case WIRE_PONG:
	case WIRE_UPGRADE:
		r->body = packet_body(p, 0, false);
		return r->body;
	case WIRE_SPAWN:
	case WIRE_SPAWN_BOX:
	case WIRE_PARK:
	case WIRE_SPAWN_WARM:
	case WIRE_KEEP:
	case WIRE_SPAWNED:
	case WIRE_FAILED:
	case WIRE_LEFT:
	case WIRE_EXITED:
	case WIRE_ENTRY:
	case WIRE_LIST_END:
	case WIRE_PING:
	case WIRE_SHUTDOWN:
	case WIRE_RESTART:
	case WIRE_TYPE_MAX:
		break;
	}
	return false;
}

static bool is_spawn(enum wire_type type)
{
	return type == WIRE_SPAWN || type == WIRE_SPAWN_BOX || type == WIRE_PARK ||
	       type == WIRE_SPAWN_WARM || type == WIRE_KEEP;
}

int wire_check_request(const struct packet *p, struct wire_request *ret_request)
{
	struct wire_request r = {.type = packet_header(p)->type};

	int error = is_spawn(r.type)			  ? check_spawn(p, &r)
		    : p->n_fds == 0 && fixed_sound(p, &r) ? 0
							  : -EBADMSG;
	if (error == 0)
		*ret_request = r;
	return error;
}
