/* Archives into the root of a stack: one, or an image's layers one after another. */
#include "slug/stack_private.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct reading {
	struct stack_run *run;
	struct feed *feed;
	uint64_t before; /* bytes read when it began */
};

static int on_tick(void *userdata, struct err *err)
{
	struct reading *r = userdata;

	r->run->read = r->before + feed_packed(r->feed);
	return stack_tick(r->run, err);
}

int stack_read_archive(struct stack_run *u, int fd, struct unpack_stack *how, const char *digest,
	bool plain, char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	struct reading reading = {.run = u, .before = u->read};
	char packed[DIGEST_HEX + 1];

	int r = feed_open(fd, &reading.feed, err);
	if (r == 0 && plain && feed_hash_plain(reading.feed) < 0)
		r = err_set(err, -ENOMEM, "out of memory");
	if (r == 0) {
		feed_start(reading.feed);
		r = unpack_stack(reading.feed, how, on_tick, &reading, err);
	}
	if (r == 0)
		r = feed_digest(reading.feed, packed);
	if (r == 0) {
		memcpy(ret_hex, packed, sizeof packed);
		if (plain)
			r = feed_plain_digest(reading.feed, packed);
	}
	(void)feed_close(reading.feed);
	if (r < 0)
		return err && err->code ? r : err_errno(err, r, "cannot hash it");
	if (digest && *digest && strcmp(digest, packed) != 0)
		return err_set(err, -EKEYREJECTED, "it is damaged: its SHA-256 is %s, not %s",
			packed, digest);
	return 0;
}

/* Twice: what it hides, then what it adds. */
static int apply(struct stack_run *u, int folder, const struct stack_layer *layer, struct err *err)
{
	static const enum unpack_as passes[] = {UNPACK_HIDES, UNPACK_LAYER};
	char hex[DIGEST_HEX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(passes); i++) {
		struct unpack_stack how = {.writer = u->writer, .as = passes[i]};
		_cleanup_close_ int fd = stack_open_member(folder, layer->path, err);

		if (fd < 0)
			return fd;
		int r = stack_read_archive(u, fd, &how, layer->digest, layer->plain, hex, err);
		if (r < 0)
			return r;
		u->done.dropped += how.dropped;
	}
	return 0;
}

enum job_stack_from stack_is_layers(int folder)
{
	static const int flags = AT_SYMLINK_NOFOLLOW;
	struct stat st;

	/* What docker save writes since version 25 is both, and manifest.json names one image. */
	if (fstatat(folder, "manifest.json", &st, flags) == 0 && S_ISREG(st.st_mode) &&
		fstatat(folder, "bin", &st, flags) < 0 && fstatat(folder, "usr", &st, flags) < 0)
		return JOB_FROM_DOCKER;
	if (fstatat(folder, "oci-layout", &st, flags) == 0 && S_ISREG(st.st_mode) &&
		fstatat(folder, "index.json", &st, flags) == 0 && S_ISREG(st.st_mode))
		return JOB_FROM_OCI;
	return 0;
}

int stack_apply_layers(struct stack_run *u, int folder, enum job_stack_from from,
	char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	_cleanup_free_ struct stack_layer *layers = NULL;
	size_t n = 0;
	int r = stack_list_layers(folder, from, &layers, &n, ret_hex, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = apply(u, folder, &layers[i], err);
		if (r < 0)
			(void)err_wrap(err, "layer %zu (%.12s)", i + 1, layers[i].digest);
	}
	return r;
}
