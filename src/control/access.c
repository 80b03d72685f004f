#include "control/access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUPS_MAX 1024 /* of a peer that are looked at */

static bool has_group(const unsigned *gids, size_t n, unsigned gid)
{
	for (size_t i = 0; i < n; i++)
		if (gids[i] == gid)
			return true;
	return false;
}

enum role access_role(const struct control_grant *grants, size_t n, unsigned own_uid, unsigned uid,
	const unsigned *gids, size_t n_gids)
{
	enum role role = ROLE_NONE;

	/* What the kernel says of a peer that it does not know. */
	if (uid == ID_NONE)
		return ROLE_NONE;
	if (uid == 0 || uid == own_uid)
		return ROLE_OPERATE;
	for (size_t i = 0; i < n; i++) {
		enum role granted = grants[i].operate ? ROLE_OPERATE : ROLE_WATCH;

		if (granted > role && (grants[i].group ? has_group(gids, n_gids, grants[i].id)
						       : grants[i].id == uid))
			role = granted;
	}
	return role;
}

static int unix_peer(int fd, const struct options *o, struct peer *p)
{
	_cleanup_free_ unsigned *gids = calloc(GROUPS_MAX + 1, sizeof *gids);
	struct ucred cred = {.uid = ID_NONE, .gid = ID_NONE};
	socklen_t len = sizeof cred, size = GROUPS_MAX * sizeof *gids;
	size_t n = 0;

	if (!gids)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	p->pid = cred.pid;
	p->uid = cred.uid;
	p->gid = cred.gid;
	/* SO_PEERCRED has the first group only. */
	if (o->n_control_grants && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids, &size) == 0)
		n = size / sizeof *gids;
	gids[n++] = cred.gid;
	p->role = access_role(o->control_grants, o->n_control_grants, geteuid(), cred.uid, gids, n);
	return 0;
}

static int tcp_peer(int fd, struct peer *p)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} from = {0};
	socklen_t len = sizeof from;
	char text[INET6_ADDRSTRLEN] = "?";

	if (getpeername(fd, &from.any, &len) < 0)
		return -errno;
	bool v6 = from.any.sa_family == AF_INET6;
	(void)inet_ntop(from.any.sa_family,
		v6 ? (const void *)&from.v6.sin6_addr : (const void *)&from.v4.sin_addr, text,
		sizeof text);
	(void)snprintf(p->address, sizeof p->address, v6 ? "[%s]:%u" : "%s:%u", text,
		ntohs(v6 ? from.v6.sin6_port : from.v4.sin_port));
	return 0;
}

int peer_of(int fd, bool tcp, const struct options *options, struct peer *ret_peer)
{
	struct peer p = {.tcp = tcp, .uid = ID_NONE, .gid = ID_NONE};
	int r = tcp ? tcp_peer(fd, &p) : unix_peer(fd, options, &p);

	if (r == 0)
		*ret_peer = p;
	return r;
}

void peer_asker(const struct peer *p, struct asker *ret_asker)
{
	if (p->tcp)
		(void)snprintf(ret_asker->who, sizeof ret_asker->who, "somebody at %s", p->address);
	else
		(void)snprintf(
			ret_asker->who, sizeof ret_asker->who, "uid %u (pid %d)", p->uid, p->pid);
}
