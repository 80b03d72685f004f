/* Requests to the kernel by netlink: several in one packet, one answer each. */
#pragma once

#include "base/mem.h"

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#define NETLINK_BATCH 2048 /* bytes; what is added beyond is an error when it is sent */

struct netlink_batch {
	size_t len, message; /* message: offset of the one that is being written */
	unsigned answers;    /* that will come */
	int error;	     /* it does not fit */
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_BATCH];
};

/* A socket of the network namespace we are in; NETLINK_ROUTE and the like. Or negative errno. */
int netlink_open(int protocol) HSUP_MUST_CHECK;

void netlink_begin(struct netlink_batch *b);
/* NLM_F_REQUEST is added; with NLM_F_ACK its answer is waited for. */
void netlink_message(
	struct netlink_batch *b, unsigned type, unsigned flags, const void *body, size_t len);
/* To the message that was begun last. Where it is: for netlink_end(), when others go into it. */
size_t netlink_attribute(struct netlink_batch *b, unsigned type, const void *data, size_t len);
void netlink_text(struct netlink_batch *b, unsigned type, const char *text);
void netlink_u32(struct netlink_batch *b, unsigned type, uint32_t value);
void netlink_end(struct netlink_batch *b, size_t attribute);

/* All of it, and all its answers: 0, or what the first refused one says. */
int netlink_send(int fd, const struct netlink_batch *b) HSUP_MUST_CHECK;
