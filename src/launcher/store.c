#include "launcher/store.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int store_open(struct store *ret_store, struct err *err)
{
	int own = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (own < 0)
		return err_errno(err, -errno, "/proc/self/fd (is /proc mounted?)");
	*ret_store = (struct store){.own = own};
	return 0;
}

static void close_ends(struct pipes *pair)
{
	for (int i = 0; i < 2; i++) {
		pair->ends[i] = fd_close(pair->ends[i]);
		pair->own[i] = fd_close(pair->own[i]);
	}
}

void store_drop_spares(struct store *s)
{
	while (s->n_spares > 0)
		close_ends(&s->spares[--s->n_spares]);
}

void store_close(struct store *s)
{
	store_drop_spares(s);
	s->own = fd_close(s->own);
}

/* The same pipe, open for both directions; -1 and errno. */
static int open_again(const struct store *s, int fd, int flags)
{
	char number[16];

	(void)snprintf(number, sizeof number, "%d", fd);
	return openat(s->own, number, O_RDWR | O_CLOEXEC | flags);
}

static int make_one(const struct store *s, int *ret_end, int *ret_own, uint64_t *ret_ino)
{
	struct stat st;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	_cleanup_close_ int reading = fds[0];
	_cleanup_close_ int writing = fds[1];
	*ret_own = open_again(s, writing, 0);
	*ret_end = *ret_own < 0 ? -1 : open_again(s, reading, O_NONBLOCK);
	if (*ret_end < 0 || fstat(*ret_end, &st) < 0)
		return -errno;
	*ret_ino = st.st_ino;
	return 0;
}

static int make_pair(const struct store *s, struct pipes *ret_pair)
{
	struct pipes pair = {.ends = {-1, -1}, .own = {-1, -1}};
	int r = 0;

	for (int i = 0; i < 2 && r == 0; i++)
		r = make_one(s, &pair.ends[i], &pair.own[i], &pair.ino[i]);
	if (r < 0) {
		close_ends(&pair);
		return r;
	}
	*ret_pair = pair;
	return 0;
}

int store_make(struct store *s, struct pipes *ret_pair)
{
	if (s->n_spares == 0)
		return make_pair(s, ret_pair);
	*ret_pair = s->spares[--s->n_spares];
	return 0;
}

void store_refill(struct store *s)
{
	/* It can do without: a start then makes its own, and says what is wrong. */
	while (s->n_spares < STORE_SPARES && make_pair(s, &s->spares[s->n_spares]) == 0)
		s->n_spares++;
}
