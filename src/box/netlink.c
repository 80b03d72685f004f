#include "box/netlink.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

int netlink_open(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), on = 1;

	if (fd < 0)
		return -errno;
	/* An error's answer is its number, not all of our request as well. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	return fd;
}

void netlink_begin(struct netlink_batch *b)
{
	memset(b, 0, offsetof(struct netlink_batch, data));
}

/* `len` bytes at the end, padded; where they are, or NULL: then nothing more is added at all. */
static void *reserve(struct netlink_batch *b, size_t len)
{
	size_t padded = NLMSG_ALIGN(len);

	if (b->error || padded > sizeof b->data - b->len) {
		b->error = -ENOBUFS;
		return NULL;
	}
	void *at = memset(b->data + b->len, 0, padded);
	b->len += padded;
	return at;
}

void netlink_message(
	struct netlink_batch *b, unsigned type, unsigned flags, const void *body, size_t len)
{
	size_t start = b->len;
	struct nlmsghdr *head = reserve(b, NLMSG_HDRLEN + len);

	if (!head)
		return;
	head->nlmsg_type = (uint16_t)type;
	head->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	head->nlmsg_seq = 1;
	head->nlmsg_len = (uint32_t)(NLMSG_HDRLEN + len);
	memcpy((char *)head + NLMSG_HDRLEN, body, len);
	b->message = start;
	b->answers += (flags & NLM_F_ACK) != 0;
}

size_t netlink_attribute(struct netlink_batch *b, unsigned type, const void *data, size_t len)
{
	size_t start = b->len;
	struct nlattr *a = reserve(b, NLA_HDRLEN + len);

	if (!a)
		return 0;
	a->nla_type = (uint16_t)type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + len);
	if (len)
		memcpy((char *)a + NLA_HDRLEN, data, len);
	struct nlmsghdr *head = (void *)(b->data + b->message);
	head->nlmsg_len = (uint32_t)(b->len - b->message);
	return start;
}

void netlink_text(struct netlink_batch *b, unsigned type, const char *text)
{
	(void)netlink_attribute(b, type, text, strlen(text) + 1);
}

void netlink_u32(struct netlink_batch *b, unsigned type, uint32_t value)
{
	(void)netlink_attribute(b, type, &value, sizeof value);
}

void netlink_end(struct netlink_batch *b, size_t attribute)
{
	if (b->error)
		return;
	struct nlattr *a = (void *)(b->data + attribute);
	a->nla_len = (uint16_t)(b->len - attribute);
}

/* Counts the answers of one packet, and keeps the first that is an error. */
static unsigned take_answers(const char *packet, size_t len, int *first)
{
	unsigned taken = 0;

	while (len >= NLMSG_HDRLEN) {
		struct nlmsghdr head;
		int32_t error;

		memcpy(&head, packet, sizeof head);
		if (head.nlmsg_len < NLMSG_HDRLEN || head.nlmsg_len > len)
			break;
		if (head.nlmsg_type == NLMSG_ERROR &&
			head.nlmsg_len >= NLMSG_HDRLEN + sizeof error) {
			memcpy(&error, packet + NLMSG_HDRLEN, sizeof error);
			taken++;
			if (error < 0 && *first == 0)
				*first = error;
		}
		size_t step = NLMSG_ALIGN(head.nlmsg_len);
		if (step >= len)
			break;
		packet += step;
		len -= step;
	}
	return taken;
}

int netlink_send(int fd, const struct netlink_batch *b)
{
	_Alignas(NLMSG_ALIGNTO) char answer[4096];
	int first = 0;

	if (b->error)
		return b->error;
	if (send(fd, b->data, b->len, 0) < 0)
		return -errno;
	for (unsigned left = b->answers; left > 0;) {
		ssize_t n = recv(fd, answer, sizeof answer, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPROTO;
		unsigned taken = take_answers(answer, (size_t)n, &first);
		left -= taken < left ? taken : left;
	}
	return first;
}
