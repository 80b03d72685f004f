#include "supervisor/private.h"

#include <errno.h>

/* Written and read by hsup of one machine, perhaps of two versions: the first field says which
 * layout this is, and a layout is never changed. */
struct tag_1 {
	uint32_t layout;
	uint32_t instance;
	uint64_t fingerprint;
	uint32_t restarts, failures;
	char type[LIMIT_TYPE_NAME + 1];
};

struct tag_2 {
	uint32_t layout;
	uint32_t instance;
	uint64_t fingerprint;
	uint32_t restarts, failures, bad_starts;
	uint32_t flags; /* enum tag_flags; those that are not known mean nothing */

	/* then the type, without a terminator */
};

enum tag_flags {
	TAG_RESTING = 1 << 0,
	TAG_ASKED = 1 << 1,
	TAG_WAS_UP = 1 << 2,
	TAG_BAD = 1 << 3,
};

_Static_assert(sizeof(struct tag_1) == 24 + LIMIT_TYPE_NAME + 1, "no padding");
_Static_assert(sizeof(struct tag_2) == 32, "no padding");

size_t tag_write(
	const struct dyno *d, const struct dyno_kept *kept, unsigned char ret_tag[LIMIT_TAG])
{
	size_t len = strlen(d->type);
	struct tag_2 tag = {
		.layout = 2,
		.instance = d->instance,
		.fingerprint = d->fingerprint,
		.restarts = kept->restarts,
		.failures = kept->failures,
		.bad_starts = kept->bad_starts,
		.flags = (kept->resting ? TAG_RESTING : 0) | (kept->asked ? TAG_ASKED : 0) |
			 (kept->was_up ? TAG_WAS_UP : 0) | (kept->bad ? TAG_BAD : 0),
	};

	memcpy(ret_tag, &tag, sizeof tag);
	memcpy(ret_tag + sizeof tag, d->type, len);
	return sizeof tag + len;
}

static int read_1(const unsigned char *bytes, size_t len, struct engine_adopted *ret)
{
	struct tag_1 tag;

	if (len != sizeof tag)
		return -EBADMSG;
	memcpy(&tag, bytes, sizeof tag);
	if (!memchr(tag.type, '\0', sizeof tag.type) || !tag.type[0])
		return -EBADMSG;
	ret->instance = tag.instance;
	ret->fingerprint = tag.fingerprint;
	ret->kept = (struct dyno_kept){.restarts = tag.restarts, .failures = tag.failures};
	memcpy(ret->type, tag.type, sizeof ret->type);
	return 0;
}

static int read_2(const unsigned char *bytes, size_t len, struct engine_adopted *ret)
{
	struct tag_2 tag;

	if (len <= sizeof tag || len > sizeof tag + LIMIT_TYPE_NAME)
		return -EBADMSG;
	memcpy(&tag, bytes, sizeof tag);
	bytes += sizeof tag;
	len -= sizeof tag;
	if (memchr(bytes, '\0', len))
		return -EBADMSG;
	ret->instance = tag.instance;
	ret->fingerprint = tag.fingerprint;
	ret->kept = (struct dyno_kept){
		.restarts = tag.restarts,
		.failures = tag.failures,
		.bad_starts = tag.bad_starts,
		.resting = tag.flags & TAG_RESTING,
		.asked = tag.flags & TAG_ASKED,
		.was_up = tag.flags & TAG_WAS_UP,
		.bad = tag.flags & TAG_BAD,
	};
	memcpy(ret->type, bytes, len);
	ret->type[len] = '\0';
	return 0;
}

int tag_read(const unsigned char *tag, size_t len, struct engine_adopted *ret)
{
	uint32_t layout;

	if (len < sizeof layout)
		return -EBADMSG;
	memcpy(&layout, tag, sizeof layout);
	switch (layout) {
	case 1:
		return read_1(tag, len, ret);
	case 2:
		return read_2(tag, len, ret);
	default:
		return -EBADMSG;
	}
}
