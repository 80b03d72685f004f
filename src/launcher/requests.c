#include "launcher/launcher.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "launcher/upgrade.h"

#include <errno.h>
#include <unistd.h>

/* Then what is due is told and the dead are reaped: a flood of requests starves nobody. */
#define SERVE_AT_ONCE 32

static void acknowledge(struct launcher *l, const struct wire_child *name)
{
	struct child *c = children_find(l->children, name);

	if (!c || (c->state != CHILD_ENDED && c->state != CHILD_KEPT)) {
		log_debug("%llu.%u acknowledged, but %s", (unsigned long long)name->id,
			name->generation, c ? "it lives" : "there is none");
		return;
	}
	c->out = fd_close(c->out);
	c->err = fd_close(c->err);
	tell_forget(l, c);
	children_acknowledge(l->children, c);
}

static void retag(struct launcher *l, const struct wire_request *r)
{
	struct child *c = children_find(l->children, r->child);

	int error =
		c ? children_set_tag(l->children, c, r->tag, (uint16_t)r->retag->tag_length) : 0;
	if (error < 0)
		log_warning("a new tag has no room: %s", err_name(error));
}

/* Told to end, we will have no other supervisor: our copies of what the present one has are of no
 * use to anybody. They go while the dynos end, not after that. */
static void clear_away(struct child *c)
{
	if (c->known && !(c->news & (NEWS_SPAWNED | NEWS_ENTRY))) {
		c->out = fd_close(c->out);
		c->err = fd_close(c->err);
	}
}

static void deliver_signals(struct launcher *l, const struct wire_request *r)
{
	struct child *reached[WIRE_RECORDS];
	unsigned n = 0;

	for (unsigned i = 0; i < r->n; i++) {
		reached[n] = children_find(l->children, &r->signal[i].child);
		if (reached[n])
			signals_send(l, reached[n++], r->signal[i].signo);
	}
	if (!l->keeper.signo)
		return;
	store_drop_spares(&l->store);
	for (unsigned i = 0; i < n; i++)
		clear_away(reached[i]);
}

static void greet(struct launcher *l)
{
	l->keeper.greeted = l->keeper.ever_greeted = true;
	l->channel.due |= DUE_HELLO | (l->keeper.signo ? DUE_SHUTDOWN : 0U);
}

/* Acts on one request. False when its sender broke the protocol. */
static bool dispatch(struct launcher *l, struct packet *p, const struct wire_request *r)
{
	/* Hello comes first and once. */
	if ((r->type == WIRE_HELLO) == l->keeper.greeted)
		return false;

	switch (r->type) {
	case WIRE_HELLO:
		/* Safe: tells how many children there are, to the one program we started for it. */
		if (r->hello->wire_version != WIRE_VERSION)
			return false;
		greet(l);
		return true;
	case WIRE_SPAWN:
		/* Safe: what the child may become is checked in the child against the policy sealed
		 * at boot; here only a slot, two pipes and a fork are spent, and their number is
		 * bounded by the table. One pipe for both outputs is one less. A standard input is
		 * a descriptor that the sender has already: the child gets what it was given, and
		 * here it is closed unread. */
		spawn(l, p, r);
		return true;
	case WIRE_SPAWN_BOX:
		/* Safe: as above; and what is more is a pid namespace for that child. With it comes
		 * no choice of program: the child, before it does anything else, refuses every spec
		 * that is not for the hsup-box named at boot, and all when none was. To that goes
		 * the sealed spec, with settings that were sealed at boot, too; what it grants of
		 * it is its own to say. A child in a pid namespace is ended by one signal, with all
		 * that it has begun. */
		spawn(l, p, r);
		return true;
	case WIRE_PARK:
		/* Safe: as above; a parked box has less than a dyno: no program, and nothing of the
		 * sender's to read. What is more is one socket, whose other end nobody has but
		 * hsup-box, and their number is bounded. */
		spawn(l, p, r);
		return true;
	case WIRE_SPAWN_WARM:
		/* Safe: reaches only what this launcher has parked itself and knows to be alive,
		 * once; the name that it gets is checked as any other. The spec is not looked at
		 * here: the box, which is root as the child of a spawn is, checks it against the
		 * same rules before it acts on it, and ends when it is not for what it was made
		 * for. Nothing waits: a box that does not read costs a refusal. */
		spawn_warm(l, p, r);
		return true;
	case WIRE_SIGNAL:
		/* Safe: reaches a group that we started ourselves and know to be alive; a pid
		 * cannot be named. */
		deliver_signals(l, r);
		return true;
	case WIRE_LIST:
		/* Safe: hands out read ends of output that belongs to the supervisor anyway. */
		tell_list(l);
		return true;
	case WIRE_ACK:
		/* Safe: forgets only what has ended, or what is kept, which is the sender's own to
		 * forget; of a living child of ours it does nothing. */
		for (unsigned i = 0; i < r->n; i++)
			acknowledge(l, &r->child[i]);
		return true;
	case WIRE_PONG:
		/* Safe: does nothing; that it came was noted. */
		return true;
	case WIRE_LEAVE:
		/* Safe: one number, 0..255, for our own exit, should the sender exit orderly. */
		l->keeper.leave_code = (int)r->leave->code;
		return true;
	case WIRE_TAG:
		/* Safe: the tag is the supervisor's own, and bounded; nobody here looks into it. */
		retag(l, r);
		return true;
	case WIRE_UPGRADE:
		/* Safe: which program is not the sender's to say; it is asked first, one at a time.
		 */
		upgrade_begin(l);
		return true;
	case WIRE_KEEP:
		/* Safe: a slot and at most two descriptors, and the table bounds their number.
		 * They are pipes and nothing else: here nobody reads them, and to close one never
		 * waits. There is no pid: no signal is ever sent for it, and neither its end nor
		 * ours waits for the other's. What is there already is never replaced. */
		kept_enter(l, p, r);
		return true;
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

bool requests_serve(struct launcher *l)
{
	static struct packet p; /* 8 KB, of which most packets fill 100 bytes */

	for (unsigned served = 0; served < SERVE_AT_ONCE;) {
		struct wire_request r;

		if (l->channel.socket < 0 || l->channel.n_refusals == MAX_REFUSALS)
			return false;
		int n = packet_receive(l->channel.socket, &p);
		if (n == -EAGAIN)
			return false;
		if (n > 0 && (wire_check_request(&p, &r) < 0 || !dispatch(l, &p, &r)))
			n = -EBADMSG;
		if (n > 0) {
			packet_done(&p);
			served += r.n > 0 ? r.n : 1;
		}
		l->keeper.heard_at = clock_now();
		if (n <= 0) {
			if (n == -EBADMSG) {
				packet_done(&p);
				log_warning("a malformed request: connection to the supervisor "
					    "(pid %d) closed",
					(int)l->keeper.pid);
			} else if (n < 0) {
				log_warning(
					"the connection to the supervisor broke: %s", err_name(n));
			}
			tell_disconnect(l);
			return false;
		}
	}
	return true;
}
