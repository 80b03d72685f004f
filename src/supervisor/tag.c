#include "supervisor/private.h"

#include <errno.h>

/* Written and read by hsup of one machine, perhaps of two versions: the first field says which
 * layout this is, and a layout is never changed. */
#define TAG_LAYOUT 1

struct tag_layout {
	uint32_t layout;
	uint32_t instance;
	uint64_t fingerprint;
	uint32_t restarts, failures;
	char type[LIMIT_TYPE_NAME + 1];
};

_Static_assert(sizeof(struct tag_layout) == 24 + LIMIT_TYPE_NAME + 1, "no padding");

size_t tag_write(const struct dyno *d, unsigned char ret_tag[LIMIT_TAG])
{
	struct tag_layout tag = {
		.layout = TAG_LAYOUT,
		.instance = d->instance,
		.fingerprint = d->fingerprint,
		.restarts = d->restarts,
		.failures = d->failures,
	};

	memcpy(tag.type, d->type, sizeof tag.type);
	memcpy(ret_tag, &tag, sizeof tag);
	return sizeof tag;
}

int tag_read(const unsigned char *bytes, size_t len, struct engine_adopted *ret)
{
	struct tag_layout tag;

	if (len != sizeof tag)
		return -EBADMSG;
	memcpy(&tag, bytes, sizeof tag);
	if (tag.layout != TAG_LAYOUT || !memchr(tag.type, '\0', sizeof tag.type) || !tag.type[0])
		return -EBADMSG;
	ret->instance = tag.instance;
	ret->fingerprint = tag.fingerprint;
	ret->restarts = tag.restarts;
	ret->failures = tag.failures;
	memcpy(ret->type, tag.type, sizeof ret->type);
	return 0;
}
