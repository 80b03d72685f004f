/* What is asked of the packet filter by netlink: all that one dyno needs, where the program nft
 * would take thirty times as long. */
#include "base/fd.h"
#include "box/netlink.h"
#include "box/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define FAMILY_INET 1 /* NFPROTO_INET: its header drags much more in */

static void message(struct netlink_batch *m, unsigned type, unsigned flags, unsigned subsystem)
{
	struct nfgenmsg head = {
		.nfgen_family = subsystem ? 0 : FAMILY_INET,
		.version = NFNETLINK_V0,
		.res_id = htons((uint16_t)subsystem),
	};

	netlink_message(m, type, flags, &head, sizeof head);
}

static void begin(struct netlink_batch *m)
{
	netlink_begin(m);
	message(m, NFNL_MSG_BATCH_BEGIN, 0, NFNL_SUBSYS_NFTABLES);
}

static int end(struct netlink_batch *m, int fd)
{
	message(m, NFNL_MSG_BATCH_END, 0, NFNL_SUBSYS_NFTABLES);
	return netlink_send(fd, m);
}

int nft_open(void)
{
	return netlink_open(NETLINK_NETFILTER);
}

static void get_set(struct netlink_batch *m, const char *name)
{
	message(m, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSET, NLM_F_ACK, 0);
	netlink_text(m, NFTA_SET_TABLE, NFT_TABLE);
	netlink_text(m, NFTA_SET_NAME, name);
}

bool nft_stands(const struct box_settings *s)
{
	_cleanup_close_ int fd = nft_open();
	struct netlink_batch m;

	netlink_begin(&m);
	get_set(&m, "subnets");
	if (s->publish.min)
		get_set(&m, NFT_PUBLISHED);
	if (s->extra_parent[0])
		get_set(&m, NFT_EXTRAS);
	return fd >= 0 && netlink_send(fd, &m) == 0;
}

int nft_remove(void)
{
	_cleanup_close_ int fd = nft_open();
	struct netlink_batch m;

	if (fd < 0)
		return fd == -EPROTONOSUPPORT ? 0 : fd;
	begin(&m);
	message(&m, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, NLM_F_ACK, 0);
	netlink_text(&m, NFTA_TABLE_NAME, NFT_TABLE);
	int r = end(&m, fd);
	return r == -ENOENT ? 0 : r;
}

/* ---- elements of the map of ports ---- */

static void value(struct netlink_batch *m, unsigned type, const void *data, size_t len)
{
	size_t nest = netlink_attribute(m, type | NLA_F_NESTED, NULL, 0);

	(void)netlink_attribute(m, NFTA_DATA_VALUE, data, len);
	netlink_end(m, nest);
}

/* to: NULL = it is removed. */
static void element(struct netlink_batch *m, unsigned type, unsigned flags, unsigned published,
	const struct sockaddr_in *to)
{
	const uint16_t key = htons((uint16_t)published);
	/* Each part of a concatenation fills its registers. */
	struct {
		uint32_t address;
		uint16_t port, padding;
	} data = {0};

	message(m, NFNL_SUBSYS_NFTABLES << 8 | type, flags, 0);
	netlink_text(m, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
	netlink_text(m, NFTA_SET_ELEM_LIST_SET, NFT_PUBLISHED);
	size_t list = netlink_attribute(m, NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, NULL, 0);
	size_t one = netlink_attribute(m, NFTA_LIST_ELEM | NLA_F_NESTED, NULL, 0);
	value(m, NFTA_SET_ELEM_KEY, &key, sizeof key);
	if (to) {
		data.address = to->sin_addr.s_addr;
		data.port = to->sin_port;
		value(m, NFTA_SET_ELEM_DATA, &data, sizeof data);
	}
	netlink_end(m, one);
	netlink_end(m, list);
}

/* Only the last of a batch is to be answered: what fails before is answered in any case, and once
 * is waited for. */
static int put(int fd, unsigned published, const struct sockaddr_in *to, bool replace)
{
	struct netlink_batch m;

	begin(&m);
	if (replace)
		element(&m, NFT_MSG_DELSETELEM, 0, published, NULL);
	element(&m, NFT_MSG_NEWSETELEM, NLM_F_ACK | NLM_F_CREATE, published, to);
	return end(&m, fd);
}

int nft_publish(int fd, unsigned published, uint32_t address, unsigned port)
{
	const struct sockaddr_in to = {
		.sin_addr.s_addr = htonl(address),
		.sin_port = htons((uint16_t)port),
	};

	/* That it is there already, and the same, is no error; that it is another is: what somebody
	 * who has died has left. */
	int r = put(fd, published, &to, false);
	return r == -EEXIST || r == -EBUSY ? put(fd, published, &to, true) : r;
}

int nft_unpublish(int fd, unsigned published)
{
	struct netlink_batch m;

	begin(&m);
	element(&m, NFT_MSG_DELSETELEM, NLM_F_ACK, published, NULL);
	int r = end(&m, fd);
	return r == -ENOENT ? 0 : r;
}
