/* The machine's packet filter has a table without which nothing is between a native dyno and the
 * machine, and whoever loads a firewall anew removes or empties it. The kernel tells us, and
 * hsup-box makes it again; until that is done no parked box, which was made behind it, becomes a
 * dyno. */
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "launcher/launcher.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAMILY_INET 1	 /* NFPROTO_INET: its header drags much more in */
#define EVENTS	    8192 /* the kernel makes none that is larger */
#define AT_ONCE	    64
#define PATIENCE    (10 * NSEC_PER_SEC)

/* Without it (no right to, no such filter in this kernel) a start looks for itself, as ever. */
void filter_open(struct launcher *l)
{
	/* Not by joining the group alone: a socket that has no address yet is taken for who has
	 * sent the news, and is not told. */
	static const struct sockaddr_nl group = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1U << (NFNLGRP_NFTABLES - 1),
	};

	l->filter = (struct filter){.fd = -1};
	if (!l->options.box || geteuid() != 0)
		return;
	_cleanup_close_ int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&group, sizeof group) < 0) {
		log_debug("changes of the packet filter are not told: %s", err_name(errno));
		return;
	}
	l->filter.fd = TAKE_FD(fd);
}

/* Of a table and of a rule its name is the first attribute. */
static bool is_ours(const struct nlmsghdr *m)
{
	static const char name[] = BOX_FILTER;
	struct {
		struct nlmsghdr head;
		struct nfgenmsg family;
		struct nlattr attribute;
		char name[sizeof name];
	} is;

	_Static_assert((int)NFTA_TABLE_NAME == (int)NFTA_RULE_TABLE, "both are looked at");
	if (m->nlmsg_len < offsetof(__typeof__(is), name) + sizeof name)
		return false;
	memcpy(&is, m, offsetof(__typeof__(is), name) + sizeof name);
	return is.family.nfgen_family == FAMILY_INET && is.attribute.nla_type == NFTA_TABLE_NAME &&
	       is.attribute.nla_len == NLA_HDRLEN + sizeof name &&
	       memcmp(is.name, name, sizeof name) == 0;
}

/* True: it was removed, or some of its rules. A mending, another hsup's too, removes all rules and
 * makes as many: what is told of one transaction ends with a generation. */
static bool take(struct filter *f, const struct nlmsghdr *m)
{
	bool fewer = f->rules < 0;

	switch (m->nlmsg_type) {
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE:
		f->rules += is_ours(m);
		return false;
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELRULE:
		f->rules -= is_ours(m);
		return false;
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN:
		f->rules = 0;
		f->emptied |= fewer;
		return fewer;
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE:
		if (!is_ours(m))
			return false;
		f->rules = 0;
		return true;
	default:
		return false;
	}
}

static bool take_packet(struct filter *f, const char *packet, size_t len)
{
	bool removed = false;

	for (const struct nlmsghdr *m = (const void *)packet; NLMSG_OK(m, len);
		m = NLMSG_NEXT(m, len))
		removed |= take(f, m);
	return removed;
}

/* Reads some of what has come; *ret_more: there may be more. */
static bool read_news(struct filter *f, bool *ret_more)
{
	static _Alignas(struct nlmsghdr) char packet[EVENTS];
	bool removed = false;

	*ret_more = false;
	for (unsigned i = 0; i < AT_ONCE; i++) {
		ssize_t n = recv(f->fd, packet, sizeof packet, MSG_TRUNC);
		if (n < 0 && errno == EAGAIN)
			return removed;
		if (n >= 0 && (size_t)n <= sizeof packet) {
			removed |= take_packet(f, packet, (size_t)n);
			continue;
		}
		/* What was lost, or does not fit, may have told it. */
		f->rules = 0;
		removed |= n >= 0 || errno == ENOBUFS;
	}
	*ret_more = true;
	return removed;
}

HSUP_NORETURN static void become_box(const struct launcher *l, char *mode)
{
	static char name[] = "hsup-box";
	char *args[2 + BOX_SETTINGS + 1] = {name, mode};

	memcpy(args + 2, l->options.box_options, l->options.n_box_options * sizeof *args);
	/* Ctrl-C is not for it. */
	(void)setsid();
	(void)sigprocmask(SIG_SETMASK, &l->mask, NULL);
	(void)execv(l->options.box, args);
	log_error("%s: %s", l->options.box, err_name(errno));
	_exit(127);
}

/* Else nobody is to be protected; and it may be our own last sweep that has removed it. */
static bool has_boxes(const struct launcher *l)
{
	for (struct child *c = NULL; (c = children_next(l->children, c));)
		if (c->boxed && c->state == CHILD_RUNNING)
			return true;
	return false;
}

/* One at a time. */
static void mend(struct launcher *l)
{
	static char mode[] = "--mend";

	l->filter.again = false;
	l->filter.broken = has_boxes(l);
	bool emptied = l->filter.emptied && l->filter.broken;
	l->filter.emptied = false;
	if (!l->filter.broken)
		return;
	if (emptied)
		log_warning("rules of the packet filter of dynos were removed by somebody: they "
			    "are made again");
	pid_t pid = fork();
	if (pid == 0)
		become_box(l, mode);
	if (pid < 0) {
		log_warning("the packet filter is not made again now: %s", err_name(errno));
		return;
	}
	l->filter.pid = pid;
	l->filter.deadline = clock_now() + PATIENCE;
}

void filter_resume(struct launcher *l)
{
	if (l->filter.fd >= 0)
		mend(l);
}

bool filter_serve(struct launcher *l)
{
	bool more = false;

	if (l->filter.fd < 0)
		return false;
	/* Whatever else is told may be what a mending has done that failed. It is read all the
	 * time: the mendings of many launchers would overflow each other's sockets, and whoever
	 * has lost news has to mend. */
	bool removed = read_news(&l->filter, &more);
	if (removed && l->filter.pid)
		l->filter.again = true;
	else if (removed)
		mend(l);
	return more;
}

bool filter_stands(struct launcher *l)
{
	/* Of what is still to be read nobody knows. */
	bool more = filter_serve(l);

	if (l->filter.broken && !l->filter.pid)
		mend(l);
	return !more && !l->filter.broken;
}

bool filter_reaped(struct launcher *l, pid_t pid, int status)
{
	if (pid != l->filter.pid)
		return false;
	l->filter.pid = 0;
	l->filter.deadline = 0;
	l->filter.broken = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	log_debug("the packet filter %s", l->filter.broken ? "is broken" : "stands again");
	if (l->filter.again)
		mend(l);
	return true;
}

void filter_late(struct launcher *l)
{
	log_warning("the packet filter could not be made again within %u s",
		(unsigned)(PATIENCE / NSEC_PER_SEC));
	/* And nft, for which it waits. */
	(void)kill(-l->filter.pid, SIGKILL);
}

void filter_undo(const struct launcher *l)
{
	static char mode[] = "--undo";

	if (!l->options.box || geteuid() != 0)
		return;
	pid_t pid = fork();
	if (pid == 0)
		become_box(l, mode);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
