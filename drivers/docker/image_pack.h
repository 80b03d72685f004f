/* A slug as a tar stream: hsup-slug packs it, a pipe holds what the engine has not taken yet. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct image_pack;

struct image_pack_setup {
	sd_event *loop;
	const char *helper, *slug_path;
	uint32_t uid, gid; /* of every file in it */
	uint64_t patience; /* ns without a byte or an answer when one is waited for: -ETIMEDOUT */
	/* image_pack_read() has something again. */
	void (*ready)(void *userdata);
	void *userdata;
};

int image_pack_start(const struct image_pack_setup *setup, struct image_pack **ret_pack,
	struct err *err) HSUP_MUST_CHECK;
/* As the body of struct engine_stream: bytes, -EAGAIN (`ready` follows), 0 = that was all and it is
 * whole, -ECANCELED: it failed, image_pack_error() says of what. */
ssize_t image_pack_read(struct image_pack *p, char *data, size_t size);
const struct err *image_pack_error(const struct image_pack *p); /* code 0 = none so far */
struct image_pack *image_pack_free(struct image_pack *p);	/* NULL allowed */
