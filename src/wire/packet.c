#include "wire/packet.h"

#include "wire/job.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Both users of the header have a range of types of their own. */
static bool type_known(unsigned type)
{
	return (type >= WIRE_HELLO && type < WIRE_TYPE_MAX) ||
	       (type >= JOB_SLUG && type < JOB_TYPE_MAX);
}

int packet_check(const struct packet *p)
{
	const struct wire_header *h = packet_header(p);

	if (p->len < sizeof *h || p->len > LIMIT_PACKET || p->n_fds > LIMIT_PACKET_FDS)
		return -EBADMSG;
	if (h->magic != WIRE_MAGIC || h->version != WIRE_VERSION || !type_known(h->type) ||
		h->length != p->len)
		return -EBADMSG;
	return 0;
}

/* Specs, pipes and Unix sockets: what honest senders send nearly always. */
static bool closes_at_once(int fd)
{
	socklen_t len = sizeof(int);
	struct stat st;
	int domain;

	/* Large memory takes its time to be freed. */
	if (fcntl(fd, F_GET_SEALS) >= 0)
		return fstat(fd, &st) == 0 && (unsigned long long)st.st_size <= LIMIT_SPEC;
	return fcntl(fd, F_GETPIPE_SZ) >= 0 ||
	       (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX);
}

/* To close what somebody else has opened can wait for as long as that one likes (a socket that
 * lingers, a file on FUSE or NFS), and the launcher may not: another process with the same
 * descriptors closes them. Should there be none they stay open: better that than to wait. */
static void discard(const int *fds, unsigned n)
{
	bool all = true;

	for (unsigned i = 0; all && i < n; i++)
		all = closes_at_once(fds[i]);
	if (!all && syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0) != 0)
		return;
	for (unsigned i = 0; i < n; i++)
		(void)close(fds[i]);
	if (!all)
		_exit(0);
}

bool packet_take_fds(struct msghdr *m, struct packet *p)
{
	bool all = true;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (p->n_fds < LIMIT_PACKET_FDS) {
				p->fds[p->n_fds++] = fd;
			} else {
				discard(&fd, 1);
				all = false;
			}
		}
	}
	return all;
}

int packet_receive(int socket, struct packet *ret_packet)
{
	union {
		struct cmsghdr align;
		/* Room for one descriptor too many: whether the kernel flags the cut of an odd
		 * number depends on its padding, a count does not. */
		char space[CMSG_SPACE(sizeof(int) * (LIMIT_PACKET_FDS + 1))];
	} control;
	struct iovec iov = {.iov_base = ret_packet->data, .iov_len = sizeof ret_packet->data};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof control.space,
	};
	ssize_t n;
	int resets = 0;

	/* A peer that died with unread packets leaves ECONNRESET in front of what it had sent:
	 * reading the error clears it, and its last words follow. */
	do {
		n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || (errno == ECONNRESET && resets++ == 0)));
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;

	ret_packet->n_fds = 0;
	ret_packet->len = (size_t)n;
	size_t given = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			given += (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	(void)packet_take_fds(&m, ret_packet);

	if (n == 0 && given == 0 && !(m.msg_flags & MSG_CTRUNC))
		return 0;
	if ((m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || given > LIMIT_PACKET_FDS ||
		packet_check(ret_packet) < 0) {
		packet_done(ret_packet);
		return -EBADMSG;
	}
	return 1;
}

void packet_done(struct packet *p)
{
	int fds[LIMIT_PACKET_FDS];
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_fds; i++) {
		if (p->fds[i] >= 0)
			fds[n++] = p->fds[i];
		p->fds[i] = -1;
	}
	discard(fds, n);
	p->n_fds = 0;
}

const void *packet_body(const struct packet *p, size_t size, bool tail)
{
	size_t body = p->len - sizeof(struct wire_header);

	if (body < size || (body > size && !tail))
		return NULL;
	return p->data + sizeof(struct wire_header);
}

const void *packet_records(const struct packet *p, size_t size, unsigned *ret_n)
{
	size_t body = p->len - sizeof(struct wire_header), n = body / size;

	*ret_n = n <= WIRE_RECORDS && n * size == body ? (unsigned)n : 0;
	return *ret_n > 0 ? p->data + sizeof(struct wire_header) : NULL;
}

int packet_send(int socket, unsigned type, uint32_t sequence, const struct packet_part *parts,
	unsigned n_parts, const int *fds, unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * LIMIT_PACKET_FDS)];
	} control;
	struct wire_header header = {
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.type = (uint16_t)type,
		.sequence = sequence,
	};
	struct iovec iov[1 + PACKET_MAX_PARTS] = {{.iov_base = &header, .iov_len = sizeof header}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 1 + n_parts};
	size_t len = sizeof header;

	if (n_parts > PACKET_MAX_PARTS || n_fds > LIMIT_PACKET_FDS)
		return -EMSGSIZE;
	for (unsigned i = 0; i < n_parts; i++) {
		memcpy(&iov[1 + i].iov_base, &parts[i].data, sizeof iov[0].iov_base);
		iov[1 + i].iov_len = parts[i].len;
		len += parts[i].len;
	}
	if (len > LIMIT_PACKET)
		return -EMSGSIZE;
	header.length = (uint32_t)len;

	if (n_fds > 0) {
		memset(&control, 0, sizeof control);
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		struct cmsghdr *c = &control.align;
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}

	while (sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		/* The kernel's cap on descriptors in flight falls as the peer reads: as good as
		 * a full socket. */
		return errno == ETOOMANYREFS ? -EAGAIN : -errno;
	}
	return 0;
}

int packet_name_and_tag(const struct packet *p, size_t fixed, uint32_t name_length,
	uint32_t tag_length, const char **ret_name, const unsigned char **ret_tag)
{
	size_t at = sizeof(struct wire_header) + fixed;

	if (name_length < 1 || name_length > LIMIT_NAME || tag_length > LIMIT_TAG ||
		p->len != at + name_length + tag_length)
		return -EBADMSG;
	for (size_t i = at; i < at + name_length; i++)
		if (p->data[i] < 0x20 || p->data[i] > 0x7e || p->data[i] == '/')
			return -EBADMSG;
	*ret_name = (const char *)p->data + at;
	*ret_tag = p->data + at + name_length;
	return 0;
}
