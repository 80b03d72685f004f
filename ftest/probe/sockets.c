/* Sockets, terminals. */
#include "probe.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define PATIENCE_MS 1500

struct kind {
	int family, type, protocol;
};

static void makes(const void *what)
{
	const struct kind *k = what;

	verdict_of(socket(k->family, k->type, k->protocol));
}

static void makes_pair(const void *what)
{
	const struct kind *k = what;
	int two[2];

	verdict_of(socketpair(k->family, k->type, k->protocol, two));
}

static void connects(int s, const struct sockaddr *a, socklen_t size)
{
	int error = 0;
	socklen_t n = sizeof error;

	fcntl(s, F_SETFL, O_NONBLOCK);
	int r = connect(s, a, size);
	if (r < 0 && errno == EINPROGRESS) {
		if (poll(&(struct pollfd){s, POLLOUT, 0}, 1, PATIENCE_MS) == 0) {
			closed_because("no answer");
			return;
		}
		getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &n);
		errno = error;
		r = error ? -1 : 0;
	}
	verdict_of(r);
}

static void abstract(const void *what)
{
	const char *name = fact("PROBE_ABSTRACT");
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)what;
	if (!name)
		return;
	size_t n = strlen(name);
	memcpy(a.sun_path + 1, name, n);
	connects(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
}

/* Of the default route: the machine's end of a dyno's link. */
static bool gateway(struct in_addr *ret)
{
	char text[4096], *line, *rest = NULL;
	unsigned destination, address;

	if (slurp("/proc/net/route", text, sizeof text) < 0)
		return false;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (sscanf(line, "%*s %x %x", &destination, &address) == 2 && destination == 0) {
			ret->s_addr = address;
			return true;
		}
	return false;
}

/* An address, or the variable that has it. */
static void reaches_port(const char *name, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	const char *address = name;

	if (strncmp(name, "PROBE_", 6) == 0)
		address = fact(name);
	if (!port || !address)
		return;
	a.sin_port = htons((uint16_t)atoi(port));
	if (strcmp(address, "gateway") == 0 ? !gateway(&a.sin_addr)
					    : inet_pton(AF_INET, address, &a.sin_addr) != 1)
		na_because("%s: no address", address);
	else
		connects(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a);
}

/* That of the machine's listener. */
static void reaches(const void *what)
{
	reaches_port(what, fact("PROBE_PORT"));
}

/* One of the machine's that leads to another dyno. */
static void reaches_published(const void *what)
{
	reaches_port(what, fact("PROBE_PUBLISHED"));
}

static void reaches_link_local(const void *what)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	const char *address = fact("PROBE_LINK_LOCAL"), *port = fact("PROBE_PORT");

	(void)what;
	if (!address || !port)
		return;
	a.sin6_port = htons((uint16_t)atoi(port));
	a.sin6_scope_id = if_nametoindex("eth0");
	inet_pton(AF_INET6, address, &a.sin6_addr);
	connects(socket(AF_INET6, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a);
}

/* Links of the machine, by name. */
static void links(const void *what)
{
	struct if_nameindex *list = if_nameindex();

	(void)what;
	closed_because("its own");
	for (struct if_nameindex *i = list; i && i->if_index; i++)
		if (strcmp(i->if_name, "lo") != 0 && strcmp(i->if_name, "eth0") != 0 &&
			strcmp(i->if_name, "eth1") != 0)
			open_because("%s", i->if_name);
}

/* What it is already, so that nothing changes. */
static void configures(const void *what)
{
	struct ifreq r = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	(void)what;
	if (ioctl(s, SIOCGIFMTU, &r) < 0)
		na_because("no lo");
	else
		verdict_of(ioctl(s, SIOCSIFMTU, &r));
}

static void low_port(const void *what)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(81)};

	(void)what;
	verdict_of(bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a));
}

/* ---- terminals ---- */

/* A terminal of our own, as the dyno's would be: controlling, slave end. */
static int terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		return -1;
	setsid();
	return open(ptsname(master), O_RDWR);
}

static void types(const void *what)
{
	unsigned long request = *(const unsigned long *)what;
	int tty = terminal();
	char c[8] = "x";

	if (tty < 0)
		na_because("no terminal: %s", strerrorname_np(errno));
	else
		verdict_of(syscall(SYS_ioctl, tty, request, c));
}

/* Of a terminal that was given to it, if one was. */
static void types_standard(const void *what)
{
	char c = 'x';

	(void)what;
	if (!isatty(0))
		na_because("is no terminal");
	else
		verdict_of(ioctl(0, TIOCSTI, &c));
}

/* Terminals of others. */
static void terminals(const void *what)
{
	DIR *d = opendir("/dev/pts");
	struct dirent *e;

	(void)what;
	closed_because("none");
	while (d && (e = readdir(d)))
		if (e->d_name[0] >= '0' && e->d_name[0] <= '9' && !isatty(0))
			open_because("/dev/pts/%s", e->d_name);
}

static const unsigned long sti = 0x5412, sti_high = 0x100005412, linux_console = 0x541c;

#define SOCKET(name, ...)                                                                          \
	{                                                                                          \
		"socket-" name, makes, &(const struct kind)                                        \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

const struct probe probes_sockets[] = {
	SOCKET("vsock", 40, SOCK_STREAM, 0),
	SOCKET("vsock-datagram", 40, SOCK_DGRAM, 0),
	SOCKET("alg", 38, SOCK_SEQPACKET, 0),
	SOCKET("packet", AF_PACKET, SOCK_RAW, 0),
	SOCKET("packet-old", AF_INET, SOCK_PACKET, 0),
	SOCKET("raw", AF_INET, SOCK_RAW, 1),
	SOCKET("raw6", AF_INET6, SOCK_RAW, 58),
	SOCKET("xdp", 44, SOCK_RAW, 0),
	SOCKET("key", 15, SOCK_RAW, 2),
	SOCKET("bluetooth", 31, SOCK_RAW, 1),
	SOCKET("tipc", 30, SOCK_STREAM, 0),
	SOCKET("can", 29, SOCK_RAW, 1),
	SOCKET("rds", 21, SOCK_SEQPACKET, 0),
	SOCKET("kcm", 41, SOCK_DGRAM, 0),
	SOCKET("smc", 43, SOCK_STREAM, 0),
	SOCKET("x25", 9, SOCK_SEQPACKET, 0),
	SOCKET("appletalk", 5, SOCK_DGRAM, 0),
	SOCKET("netlink-diag", AF_NETLINK, SOCK_RAW, 4),
	SOCKET("netlink-xfrm", AF_NETLINK, SOCK_RAW, 6),
	SOCKET("netlink-audit", AF_NETLINK, SOCK_RAW, 9),
	SOCKET("netlink-connector", AF_NETLINK, SOCK_DGRAM, 11),
	SOCKET("netlink-netfilter", AF_NETLINK, SOCK_RAW, 12),
	SOCKET("netlink-uevent", AF_NETLINK, SOCK_RAW, 15),
	SOCKET("netlink-generic", AF_NETLINK, SOCK_RAW, 16),
	SOCKET("netlink-crypto", AF_NETLINK, SOCK_RAW, 21),
	{"socketpair-tipc", makes_pair, &(const struct kind){30, SOCK_STREAM, 0}},
	{"net-abstract", abstract, NULL},
	{"net-localhost", reaches, "127.0.0.1"},
	{"net-gateway", reaches, "gateway"},
	{"net-host", reaches, "PROBE_HOST"},
	{"net-other-dyno", reaches, "PROBE_OTHER"},
	{"net-published", reaches_published, "PROBE_HOST"},
	{"net-published-gateway", reaches_published, "gateway"},
	{"net-metadata", reaches, "169.254.169.254"},
	{"net-link-local", reaches_link_local, NULL},
	{"net-links", links, NULL},
	{"net-configure", configures, NULL},
	{"net-low-port", low_port, NULL},
	{"tty-sti", types, &sti},
	{"tty-sti-high", types, &sti_high},
	{"tty-linux", types, &linux_console},
	{"tty-standard", types_standard, NULL},
	{"tty-others", terminals, NULL},
	{NULL, NULL, NULL},
};
