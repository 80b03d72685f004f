/* A port of the machine that leads to the dyno: the uid says which, and an element of the packet
 * filter's map is all there is of it.
 *
 * Who may put it there, or take it away, has the lock of the port: a byte of RUN/native.uids behind
 * those of all uids, in the box's own description of that file, so that both are freed by its
 * death. (Of two hsups with uids of their own, both may have been given the same ports.) The box's
 * claim says which port it was, to whoever sweeps it: init could not remove the element, and may be
 * killed. It says where it leads, too, to whoever has to make all of the filter again. */
#include "base/fd.h"
#include "base/parse.h"
#include "box/box.h"
#include "box/nft.h"
#include "box/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define CLAIM	   48 /* bytes: port of the machine, port and address of the dyno, a line each */
#define FIRST_BYTE (INT64_C(1) << 32)

static int lock(int fd, unsigned port)
{
	struct flock l = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = FIRST_BYTE + port,
		.l_len = 1,
	};

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EADDRINUSE : -errno;
}

unsigned publish_port(const struct spec *spec)
{
	unsigned port;

	for (unsigned i = 0; i < spec->n_env; i++)
		if (strncmp(spec->env[i], "PORT=", 5) == 0)
			return parse_uint(spec->env[i] + 5, UINT16_MAX, &port) == 0 ? port : 0;
	return 0;
}

int publish_take(struct box *b)
{
	unsigned published = box_published(b->settings, b->uid);
	char text[CLAIM];

	if (!published || !b->root || b->dyno_address == 0)
		return 0;
	/* It may just be swept, or its box be ending. */
	int r;
	do
		r = lock(b->uid_lock, published);
	while (r == -EADDRINUSE && box_wait(b));
	if (r < 0)
		return r;
	b->published = published;
	b->port = publish_port(b->spec);
	int len = snprintf(text, sizeof text, "%u\n%u\n%u\n", published, b->port, b->dyno_address);
	return pwrite(b->claim, text, (size_t)len, 0) == len ? 0 : -EIO;
}

bool publish_fits(const struct box *b, const struct spec *spec)
{
	return !b->published || b->port == publish_port(spec);
}

/* Also when it is to lead nowhere, it may lead to who had the address before. */
int publish_make(const struct box *b, int fd)
{
	if (!b->published)
		return 0;
	return b->port ? nft_publish(fd, b->published, b->dyno_address, b->port)
		       : nft_unpublish(fd, b->published);
}

/* Fewer numbers than asked for: an older box's says the first only. */
static unsigned read_claim(int claim, unsigned ret_numbers[], unsigned most)
{
	char text[CLAIM + 1], *at = text, *newline;
	unsigned n = 0;

	ssize_t got = pread(claim, text, CLAIM, 0);
	text[got < 0 ? 0 : got] = '\0';
	for (; n < most && (newline = strchr(at, '\n')); at = newline + 1, n++) {
		*newline = '\0';
		if (parse_uint(at, UINT32_MAX, &ret_numbers[n]) < 0)
			break;
	}
	return n;
}

int publish_again(int claim, int fd)
{
	unsigned is[3];

	if (read_claim(claim, is, ARRAY_SIZE(is)) < ARRAY_SIZE(is) || is[1] == 0)
		return 0;
	return nft_publish(fd, is[0], is[2], is[1]);
}

int publish_sweep(const struct box_settings *s, int claim)
{
	char path[PATH_MAX + sizeof BOX_UIDS + 1];
	unsigned published;

	if (read_claim(claim, &published, 1) == 0)
		return 0;
	(void)snprintf(path, sizeof path, "%s/" BOX_UIDS, s->run);
	/* Nobody has a port where there is none; but somebody may be about to. */
	_cleanup_close_ int uids = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (uids < 0)
		return -errno;
	int r = lock(uids, published);
	if (r < 0)
		return r == -EADDRINUSE ? 0 : r; /* it is somebody else's by now */
	_cleanup_close_ int fd = nft_open();
	return fd < 0 ? fd : nft_unpublish(fd, published);
}
