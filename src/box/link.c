#include "box/box.h"

#include "base/fd.h"
#include "box/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

/* Indexes are ours to choose, so that one packet can name what it makes. High ones: a new network
 * may have tunnels of its own in it, behind lo. */
#define INDEX_MACHINE 0x20000000 /* and the uid */
#define INDEX_ETH0    1000
#define INDEX_ETH1    1001

/* The pair of who had this uid last is removed some time after its death (14 to 90 ms). */
#define RETRY_MS 200
#define PAUSE_MS 2

#define PAIR_BITS 30

int link_open(void)
{
	return netlink_open(NETLINK_ROUTE);
}

static void up(struct netlink_batch *m, int index)
{
	struct ifinfomsg i = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	netlink_message(m, RTM_NEWLINK, NLM_F_ACK, &i, sizeof i);
}

static void address(struct netlink_batch *m, int index, uint32_t address, unsigned bits)
{
	struct ifaddrmsg a = {
		.ifa_family = AF_INET,
		.ifa_prefixlen = (uint8_t)bits,
		.ifa_index = (uint32_t)index,
	};

	netlink_message(m, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &a, sizeof a);
	netlink_u32(m, IFA_LOCAL, htonl(address));
	netlink_u32(m, IFA_ADDRESS, htonl(address));
}

static void route(
	struct netlink_batch *m, int index, const struct box_address *to, uint32_t gateway)
{
	struct rtmsg r = {
		.rtm_family = AF_INET,
		.rtm_dst_len = (uint8_t)to->bits,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
	};

	netlink_message(m, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, &r, sizeof r);
	if (to->bits)
		netlink_u32(m, RTA_DST, htonl(to->address));
	netlink_u32(m, RTA_GATEWAY, htonl(gateway));
	netlink_u32(m, RTA_OIF, (uint32_t)index);
}

/* One queue each, or the kernel makes one for each processor, and waits for all of them (RCU) when
 * it then gives back what was not asked for. */
static void one_queue(struct netlink_batch *m)
{
	netlink_u32(m, IFLA_NUM_TX_QUEUES, 1);
	netlink_u32(m, IFLA_NUM_RX_QUEUES, 1);
}

/* Both ends at once, each where it belongs: to make them here and to move one costs 16 ms. The
 * inner one cannot be up before it is paired. */
static void pair(struct netlink_batch *m, uid_t uid, int netns)
{
	struct ifinfomsg outer = {
		.ifi_index = INDEX_MACHINE + (int)uid,
		.ifi_flags = IFF_UP,
		.ifi_change = IFF_UP,
	};
	struct ifinfomsg inner = {.ifi_index = INDEX_ETH0};
	char name[BOX_NAMES];

	(void)snprintf(name, sizeof name, "hv%u", uid);
	netlink_message(
		m, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &outer, sizeof outer);
	netlink_text(m, IFLA_IFNAME, name);
	one_queue(m);
	size_t info = netlink_attribute(m, IFLA_LINKINFO, NULL, 0);
	netlink_text(m, IFLA_INFO_KIND, "veth");
	size_t data = netlink_attribute(m, IFLA_INFO_DATA, NULL, 0);
	size_t peer = netlink_attribute(m, VETH_INFO_PEER, &inner, sizeof inner);
	netlink_text(m, IFLA_IFNAME, "eth0");
	one_queue(m);
	netlink_u32(m, IFLA_NET_NS_FD, (uint32_t)netns);
	netlink_end(m, peer);
	netlink_end(m, data);
	netlink_end(m, info);
}

bool link_stands(int machine, uid_t uid)
{
	struct ifreq of;

	(void)snprintf(of.ifr_name, sizeof of.ifr_name, "hv%u", uid);
	return ioctl(machine, SIOCGIFINDEX, &of) == 0;
}

/* An interface of another kind on one that the machine has. Private: dynos do not reach each other
 * by it. */
static int make_extra(const struct box *b, int machine, int netns, bool ipvlan)
{
	struct ifinfomsg i = {.ifi_index = INDEX_ETH1};
	uint16_t l3 = IPVLAN_MODE_L3, private = IPVLAN_F_PRIVATE;
	struct ifreq parent;
	struct netlink_batch m;

	/* By this socket: it is of the machine's network, we may have left that. */
	(void)snprintf(parent.ifr_name, sizeof parent.ifr_name, "%s", b->settings->extra_parent);
	if (ioctl(machine, SIOCGIFINDEX, &parent) < 0)
		return -errno;
	netlink_begin(&m);
	netlink_message(&m, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
	netlink_text(&m, IFLA_IFNAME, "eth1");
	netlink_u32(&m, IFLA_LINK, (uint32_t)parent.ifr_ifindex);
	netlink_u32(&m, IFLA_NET_NS_FD, (uint32_t)netns);
	size_t info = netlink_attribute(&m, IFLA_LINKINFO, NULL, 0);
	netlink_text(&m, IFLA_INFO_KIND, ipvlan ? "ipvlan" : "macvlan");
	size_t data = netlink_attribute(&m, IFLA_INFO_DATA, NULL, 0);
	if (ipvlan) {
		(void)netlink_attribute(&m, IFLA_IPVLAN_MODE, &l3, sizeof l3);
		(void)netlink_attribute(&m, IFLA_IPVLAN_FLAGS, &private, sizeof private);
	} else {
		netlink_u32(&m, IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE);
	}
	netlink_end(&m, data);
	netlink_end(&m, info);
	return netlink_send(machine, &m);
}

bool link_has_ipvlan(int machine)
{
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC};
	struct netlink_batch m;

	netlink_begin(&m);
	/* Without its parent (IFLA_LINK) none is made: what is refused is that, or the kind. */
	netlink_message(&m, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
	size_t info = netlink_attribute(&m, IFLA_LINKINFO, NULL, 0);
	netlink_text(&m, IFLA_INFO_KIND, "ipvlan");
	netlink_end(&m, info);
	return netlink_send(machine, &m) != -EOPNOTSUPP;
}

int link_make(const struct box *b, int machine, int netns)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
	struct netlink_batch m;
	int r;

	netlink_begin(&m);
	pair(&m, b->uid, netns);
	address(&m, INDEX_MACHINE + (int)b->uid, b->machine_address, PAIR_BITS);
	for (int waited = 0; (r = netlink_send(machine, &m)) == -EEXIST || r == -EBUSY;
		waited += PAUSE_MS) {
		if (waited >= RETRY_MS)
			return r;
		(void)nanosleep(&pause, NULL);
	}
	if (r < 0 || !b->settings->extra_parent[0])
		return r;
	r = make_extra(b, machine, netns, true);
	/* Not every kernel has ipvlan. A macvlan needs a hardware address of its own of the
	 * network, but else it is the same. */
	return r == -EOPNOTSUPP ? make_extra(b, machine, netns, false) : r;
}

static void configure_routes(struct netlink_batch *m, const struct box *b)
{
	const struct box_settings *s = b->settings;
	const struct box_address everywhere = {0, 0};
	bool replaced = false;

	for (unsigned i = 0; i < s->n_routes; i++)
		replaced |= s->routes[i].to.bits == 0;
	if (!replaced)
		route(m, INDEX_ETH0, &everywhere, b->machine_address);
	for (unsigned i = 0; i < s->n_routes; i++) {
		const struct box_route *r = &s->routes[i];

		route(m, strcmp(r->interface, "eth1") == 0 ? INDEX_ETH1 : INDEX_ETH0, &r->to,
			r->has_gateway ? r->gateway : b->machine_address);
	}
}

/* An interface that goes up gives itself an address of IPv6, and by an ipvlan the machine hears
 * what is sent to its own. Before it goes up; a kernel that has no IPv6 for it needs nothing. */
static int no_ipv6(int fd, int index)
{
	struct ifinfomsg i = {.ifi_index = index};
	uint8_t none = IN6_ADDR_GEN_MODE_NONE;
	struct netlink_batch m;

	netlink_begin(&m);
	netlink_message(&m, RTM_NEWLINK, NLM_F_ACK, &i, sizeof i);
	size_t families = netlink_attribute(&m, IFLA_AF_SPEC, NULL, 0);
	size_t family = netlink_attribute(&m, AF_INET6, NULL, 0);
	(void)netlink_attribute(&m, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof none);
	netlink_end(&m, family);
	netlink_end(&m, families);
	int r = netlink_send(fd, &m);
	return r == -EAFNOSUPPORT ? 0 : r;
}

int link_configure(const struct box *b)
{
	bool own = b->spec->box.network == SPEC_BOX_NET_OWN;
	_cleanup_close_ int fd = link_open();
	struct netlink_batch m;

	int r = fd >= 0 && own && b->settings->extra_parent[0] ? no_ipv6(fd, INDEX_ETH1) : fd;
	if (r < 0)
		return r;
	netlink_begin(&m);
	up(&m, 1);
	if (own) {
		up(&m, INDEX_ETH0);
		address(&m, INDEX_ETH0, b->dyno_address, PAIR_BITS);
		if (b->settings->extra_parent[0]) {
			up(&m, INDEX_ETH1);
			address(&m, INDEX_ETH1, box_extra_address(b->settings, b->uid),
				b->settings->extra.bits);
		}
		configure_routes(&m, b);
	}
	return netlink_send(fd, &m);
}
