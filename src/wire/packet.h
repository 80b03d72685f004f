/* Composing, sending, receiving and checking one packet of the wire. No allocation. */
#pragma once

#include "base/mem.h"
#include "wire/proto.h"

#include <stdbool.h>
#include <stddef.h>

/* A received packet. Owner of the descriptors until it takes them (set to -1) or calls
 * packet_done(). `header` and the body are valid as long as the packet. */
struct packet {
	_Alignas(8) unsigned char data[LIMIT_PACKET];
	size_t len;
	int fds[LIMIT_PACKET_FDS];
	unsigned n_fds;
};

/* Receives one packet without blocking (MSG_DONTWAIT). Returns 1 and a packet whose header is
 * sound (magic, version, type in range, length equal to the packet's); 0 when the peer has closed;
 * -EAGAIN when none is there; -EBADMSG when malformed (too long, too many descriptors, header
 * wrong: any descriptors are closed); or another negative errno. Descriptors are close-on-exec. */
int packet_receive(int socket, struct packet *ret_packet) HSUP_MUST_CHECK;

/* Adds the descriptors that came with a message to p. False when there were too many: the rest is
 * closed. For receivers of their own (wire/job.c). */
struct msghdr;
bool packet_take_fds(struct msghdr *m, struct packet *p);

/* Closes the descriptors that were not taken. */
void packet_done(struct packet *p);

/* What packet_receive() demands of a header, without a socket. 0 or -EBADMSG. */
int packet_check(const struct packet *p) HSUP_MUST_CHECK;

static inline const struct wire_header *packet_header(const struct packet *p)
{
	return (const struct wire_header *)(const void *)p->data;
}

/* The body as a struct of `size` bytes; NULL when the packet is shorter, or when it is longer and
 * `tail` is false. Checks length only: values are the caller's (wire/check.h). */
const void *packet_body(const struct packet *p, size_t size, bool tail);

/* The body as 1..WIRE_RECORDS records of `size` bytes and nothing else: the first, and how many.
 * NULL, and 0 of them, when it is not that. */
const void *packet_records(const struct packet *p, size_t size, unsigned *ret_n);

#define PACKET_MAX_PARTS 4

struct packet_part {
	const void *data;
	size_t len;
};

/* Sends one message. type: an enum wire_type or enum job_type. parts[] are concatenated behind the
 * header. Returns 0, -EAGAIN when the socket is full (nothing was sent), -EMSGSIZE, -EPIPE or
 * -ECONNRESET when the peer is gone, or another negative errno. Never raises SIGPIPE, never blocks.
 * `fds` stay the caller's. */
int packet_send(int socket, unsigned type, uint32_t sequence, const struct packet_part *parts,
	unsigned n_parts, const int *fds, unsigned n_fds) HSUP_MUST_CHECK;

/* A name and tag that travel behind a fixed struct: checks that both lengths are in range and fill
 * the packet exactly, and that the name is printable ASCII without '/' and control characters.
 * Outputs point into the packet and are not terminated. 0 or -EBADMSG. */
int packet_name_and_tag(const struct packet *p, size_t fixed, uint32_t name_length,
	uint32_t tag_length, const char **ret_name, const unsigned char **ret_tag) HSUP_MUST_CHECK;
