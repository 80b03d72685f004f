#include "slug/packed.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int packed_new(int fd, struct packed **ret_packed, struct err *err)
{
	struct packed *p = calloc(1, sizeof *p);

	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	int r = digest_new(&p->digest);
	if (r < 0) {
		(void)packed_free(p);
		return err_errno(err, r, "cannot begin a SHA-256");
	}
	p->fd = fd;
	p->next = p->buffer + PACKED_HISTORY;
	*ret_packed = p;
	return 0;
}

struct packed *packed_free(struct packed *p)
{
	if (p) {
		(void)digest_free(p->digest);
		free(p);
	}
	return NULL;
}

int packed_fill(struct packed *p, struct err *err)
{
	unsigned char *data = p->buffer + PACKED_HISTORY;
	ssize_t n;

	if (p->left > 0)
		return 1;
	/* Nothing is left, so next is the end of the last block (or the start of the first). */
	memmove(p->buffer, p->next - PACKED_HISTORY, PACKED_HISTORY);
	p->next = data;
	do
		n = pread(p->fd, data, PACKED_BUFFER, (off_t)atomic_load(&p->done));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(err, -errno, "cannot read the slug");
	if (n == 0)
		return 0;
	p->left = (size_t)n;
	atomic_fetch_add(&p->done, (uint64_t)n);
	int r = digest_add(p->digest, data, (size_t)n);
	return r < 0 ? err_errno(err, r, "cannot hash the slug") : 1;
}

int packed_byte(struct packed *p, struct err *err)
{
	int r = packed_fill(p, err);

	if (r <= 0)
		return r < 0 ? r : -ENODATA;
	p->left--;
	return *p->next++;
}
