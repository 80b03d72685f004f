/* A supervisor's packet as the launcher sees it: checked whole, length first, then every value's
 * range, before anything acts on it. Pure: no descriptor is touched, nothing is remembered. */
#pragma once

#include "wire/packet.h"

/* Every pointer points into the packet. `child` is valid for a spawn, a keep, a tag and for
 * acknowledgements. */
struct wire_request {
	enum wire_type type;
	union {
		const void *body;
		const struct wire_hello *hello;
		const struct wire_spawn *spawn; /* also of a keep */
		const struct wire_spawn_warm *warm;
		const struct wire_child *child;	  /* of acknowledgements: the first of n */
		const struct wire_signal *signal; /* the first of n */
		const struct wire_leave *leave;
		const struct wire_tag *retag;
	};
	unsigned n;		  /* records, of a body that is records */
	const char *name;	  /* of a spawn or a keep, not terminated */
	const unsigned char *tag; /* of a spawn, a keep or a tag */
};

/* 0 or -EBADMSG: the sender speaks another language, or is not the supervisor. */
int wire_check_request(const struct packet *p, struct wire_request *ret_request) HSUP_MUST_CHECK;
