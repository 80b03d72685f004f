#include "base/fd.h"
#include "box/box_private.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

void gate_make(struct gate *g)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		box_fail(WIRE_STAGE_BOX, errno);
	*g = (struct gate){.ours = ends[0], .theirs = ends[1]};
}

/* One byte, and maybe descriptors. */
struct packet {
	char byte;
	struct iovec iov;
	_Alignas(struct cmsghdr) char rights[CMSG_SPACE(GATE_FDS * sizeof(int))];
	struct msghdr msg;
};

static void packet_init(struct packet *p)
{
	*p = (struct packet){.byte = 1};
	p->iov = (struct iovec){&p->byte, 1};
	p->msg.msg_iov = &p->iov;
	p->msg.msg_iovlen = 1;
	p->msg.msg_control = p->rights;
	p->msg.msg_controllen = sizeof p->rights;
}

void gate_pass(struct gate *g, const int *fds, unsigned n)
{
	struct packet p;

	packet_init(&p);
	p.msg.msg_controllen = n > 0 ? CMSG_SPACE(n * sizeof *fds) : 0;
	if (n > 0) {
		struct cmsghdr *c = CMSG_FIRSTHDR(&p.msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof *fds);
		memcpy(CMSG_DATA(c), fds, n * sizeof *fds);
	}
	/* It cannot have gone: it only ever waits. But somebody may have killed it: its status
	 * tells. */
	if (sendmsg(g->ours, &p.msg, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		box_fail(WIRE_STAGE_BOX, errno);
}

void gate_open(struct gate *g, int terminal)
{
	gate_pass(g, &terminal, terminal >= 0);
}

void gate_done(struct gate *g)
{
	char byte;

	g->theirs = fd_close(g->theirs);
	/* Nothing is ever sent this way: it is the end that is waited for. */
	while (recv(g->ours, &byte, sizeof byte, 0) > 0)
		;
	g->ours = fd_close(g->ours);
}

int gate_try(struct gate *g, int ret_fds[GATE_FDS])
{
	struct packet p;
	size_t size = 0;

	g->ours = fd_close(g->ours);
	packet_init(&p);
	if (recvmsg(g->theirs, &p.msg, MSG_CMSG_CLOEXEC) != 1)
		return -EPIPE;
	struct cmsghdr *c = CMSG_FIRSTHDR(&p.msg);
	if (c && c->cmsg_type == SCM_RIGHTS) {
		size = c->cmsg_len - CMSG_LEN(0);
		memcpy(ret_fds, CMSG_DATA(c), size);
	}
	return (int)(size / sizeof *ret_fds);
}

unsigned gate_take(struct gate *g, int ret_fds[GATE_FDS])
{
	int n = gate_try(g, ret_fds);

	/* Who was to open it has died: so shall we. */
	if (n < 0)
		_exit(BOX_TOLD);
	return (unsigned)n;
}

void gate_tell(const struct gate *g, const void *what, size_t size)
{
	/* As with gate_pass(). */
	if (send(g->theirs, what, size, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		box_fail(WIRE_STAGE_BOX, errno);
}

void gate_hear(const struct gate *g, void *what, size_t size)
{
	if (recv(g->ours, what, size, 0) != (ssize_t)size)
		_exit(BOX_TOLD); /* who was to tell has died */
}

int gate_wait(struct gate *g)
{
	int fds[GATE_FDS];

	return gate_take(g, fds) > 0 ? fds[0] : -1;
}
