/* Any bytes as a supervisor's packet. The first byte says how many descriptors came along. */
#include "wire/check.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where every byte ends up that a reader of the message would look at. */
extern volatile unsigned fuzz_seen;
volatile unsigned fuzz_seen;

static unsigned sum(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	unsigned total = 0;

	while (len-- > 0)
		total += *p++;
	return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct packet p;
	struct wire_request r;

	if (size < 1 || size - 1 > sizeof p.data)
		return 0;
	p.n_fds = data[0];
	p.len = size - 1;
	memcpy(p.data, data + 1, size - 1);
	/* What lies behind the packet is not the packet's. */
	memset(p.data + p.len, 0xa5, sizeof p.data - p.len);
	if (packet_check(&p) < 0 || wire_check_request(&p, &r) < 0)
		return 0;

	const unsigned char *end = p.data + p.len;
	if (p.n_fds > LIMIT_PACKET_FDS || (const unsigned char *)r.body > end)
		abort();
	if (r.n > 0) {
		size_t each = r.type == WIRE_SIGNAL ? sizeof *r.signal : sizeof *r.child;

		if (r.n > WIRE_RECORDS || (const unsigned char *)r.body + r.n * each != end)
			abort();
		fuzz_seen = sum(r.body, r.n * each);
	}
	if (r.type == WIRE_KEEP && p.n_fds != (r.spawn->output == WIRE_OUTPUT_PIPES ? 2U : 1U))
		abort();
	if (r.type == WIRE_SPAWN || r.type == WIRE_KEEP) {
		if (r.spawn->name_length > LIMIT_NAME || r.spawn->tag_length > LIMIT_TAG ||
			r.tag + r.spawn->tag_length != end ||
			(const unsigned char *)r.name + r.spawn->name_length != r.tag)
			abort();
		fuzz_seen = sum(r.name, r.spawn->name_length) + sum(r.tag, r.spawn->tag_length);
	}
	return 0;
}
