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

struct tag_3 {
	uint32_t layout;
	uint32_t instance;
	uint64_t fingerprint;
	int64_t version; /* TAG_PHASE: of the release; else 0 */
	uint32_t restarts, failures, bad_starts;
	uint32_t flags;

	/* then the type, without a terminator */
};

enum tag_flags {
	TAG_RESTING = 1 << 0,
	TAG_ASKED = 1 << 1,
	TAG_WAS_UP = 1 << 2,
	TAG_BAD = 1 << 3,
	TAG_CONDEMNED = 1 << 4, /* from layout 3 on */
	TAG_PHASE = 1 << 5,
};

_Static_assert(sizeof(struct tag_1) == 24 + LIMIT_TYPE_NAME + 1, "no padding");
_Static_assert(sizeof(struct tag_2) == 32, "no padding");
_Static_assert(sizeof(struct tag_3) == 40, "no padding");

static uint32_t flags_of(const struct dyno_kept *k)
{
	return (k->resting ? TAG_RESTING : 0) | (k->asked ? TAG_ASKED : 0) |
	       (k->was_up ? TAG_WAS_UP : 0) | (k->bad ? TAG_BAD : 0) |
	       (k->condemned ? TAG_CONDEMNED : 0) | (k->phase ? TAG_PHASE : 0);
}

size_t tag_write(
	const struct dyno *d, const struct dyno_kept *kept, unsigned char ret_tag[LIMIT_TAG])
{
	size_t len = strlen(d->type);
	struct tag_3 tag = {
		.layout = 3,
		.instance = d->instance,
		.fingerprint = d->fingerprint,
		.version = kept->version,
		.restarts = kept->restarts,
		.failures = kept->failures,
		.bad_starts = kept->bad_starts,
		.flags = flags_of(kept),
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

/* What stands behind the fields of layouts 2 and 3. */
static int read_type(const unsigned char *bytes, size_t len, struct engine_adopted *ret)
{
	if (len == 0 || len > LIMIT_TYPE_NAME || memchr(bytes, '\0', len))
		return -EBADMSG;
	memcpy(ret->type, bytes, len);
	ret->type[len] = '\0';
	return 0;
}

static int read_2(const unsigned char *bytes, size_t len, struct engine_adopted *ret)
{
	struct tag_2 tag;

	if (len < sizeof tag || read_type(bytes + sizeof tag, len - sizeof tag, ret) < 0)
		return -EBADMSG;
	memcpy(&tag, bytes, sizeof tag);
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
	return 0;
}

static int read_3(const unsigned char *bytes, size_t len, struct engine_adopted *ret)
{
	struct tag_3 tag;

	if (len < sizeof tag || read_type(bytes + sizeof tag, len - sizeof tag, ret) < 0)
		return -EBADMSG;
	memcpy(&tag, bytes, sizeof tag);
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
		.condemned = tag.flags & TAG_CONDEMNED,
		.phase = tag.flags & TAG_PHASE,
		.version = tag.version,
	};
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
	case 3:
		return read_3(tag, len, ret);
	default:
		return -EBADMSG;
	}
}
