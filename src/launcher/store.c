#include "launcher/store.h"

#include "base/fd.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN_PREFIX "launcher-"

static const char *const suffixes[2] = {"out", "err"};

static void fifo_name(uint64_t number, int which, char ret_name[30])
{
	(void)snprintf(ret_name, 30, "%llu.%s", (unsigned long long)number, suffixes[which]);
}

/* mkdir -p; parents as the umask has them, the last one for everybody to pass through. */
static int make_path(const char *path)
{
	char part[4096];
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof part)
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, i == len ? 0711 : 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* A launcher's directory whose lock can be had belongs to a dead one. */
static void sweep(int runtime)
{
	int copy = openat(runtime, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);

	if (!d) {
		(void)fd_close(copy);
		return;
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (strncmp(e->d_name, OWN_PREFIX, strlen(OWN_PREFIX)) != 0)
			continue;
		_cleanup_close_ int fd =
			openat(runtime, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			(void)file_remove_tree(runtime, e->d_name);
	}
	(void)closedir(d);
}

/* The pid names it; a launcher of another pid namespace may have the same one. */
static int make_own(struct store *s)
{
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(s->name, sizeof s->name, i ? OWN_PREFIX "%d-%u" : OWN_PREFIX "%d",
			(int)getpid(), i);
		if (mkdirat(s->runtime, s->name, 0711) == 0)
			break;
		if (errno != EEXIST)
			return -errno;
	}
	s->own = openat(s->runtime, s->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->own < 0 || fchmod(s->own, 0711) < 0 || flock(s->own, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return 0;
}

int store_open(struct store *ret_store, const char *runtime_dir, struct err *err)
{
	struct store s = {.runtime = -1, .own = -1};
	struct stat st;

	int r = make_path(runtime_dir);
	if (r < 0)
		return err_errno(err, r, "%s: cannot make it", runtime_dir);
	s.runtime = open(runtime_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s.runtime < 0)
		return err_errno(err, -errno, "%s", runtime_dir);
	if (fstat(s.runtime, &st) < 0)
		r = err_errno(err, -errno, "%s", runtime_dir);
	else if (st.st_uid != geteuid() || (st.st_mode & S_IWOTH))
		r = err_set(err, -EPERM, "%s: belongs to another user, or everyone may write to it",
			runtime_dir);
	if (r < 0) {
		s.runtime = fd_close(s.runtime);
		return r;
	}

	/* Nobody sweeps between our mkdir() and our lock. */
	(void)flock(s.runtime, LOCK_EX);
	sweep(s.runtime);
	r = make_own(&s);
	(void)flock(s.runtime, LOCK_UN);
	if (r < 0) {
		r = err_errno(err, r, "%s/%s", runtime_dir, s.name);
		s.own = fd_close(s.own);
		s.runtime = fd_close(s.runtime);
		return r;
	}
	*ret_store = s;
	return 0;
}

static void close_ends(struct fifos *pair)
{
	for (int i = 0; i < 2; i++) {
		pair->ends[i] = fd_close(pair->ends[i]);
		pair->own[i] = fd_close(pair->own[i]);
	}
}

void store_drop_spares(struct store *s)
{
	while (s->n_spares > 0) {
		struct fifos *pair = &s->spares[--s->n_spares];

		close_ends(pair);
		store_remove(s, pair->number);
	}
}

void store_close(struct store *s)
{
	store_drop_spares(s);
	(void)file_remove_tree(s->runtime, s->name);
	s->own = fd_close(s->own);
	s->runtime = fd_close(s->runtime);
}

static int make_one(const struct store *s, const char *name, int *ret_end, int *ret_own)
{
	if (mkfifoat(s->own, name, 0600) < 0)
		return -errno;
	*ret_own = openat(s->own, name, O_RDWR | O_CLOEXEC);
	*ret_end = *ret_own < 0 ? -1 : openat(s->own, name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return *ret_end < 0 ? -errno : 0;
}

static int make_pair(struct store *s, struct fifos *ret_pair)
{
	struct fifos pair = {.number = ++s->last, .ends = {-1, -1}, .own = {-1, -1}};
	int r = 0;

	for (int i = 0; i < 2 && r == 0; i++) {
		char name[30];

		fifo_name(pair.number, i, name);
		r = make_one(s, name, &pair.ends[i], &pair.own[i]);
	}
	if (r < 0) {
		close_ends(&pair);
		store_remove(s, pair.number);
		return r;
	}
	*ret_pair = pair;
	return 0;
}

int store_make(struct store *s, struct fifos *ret_pair)
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

void store_remove(const struct store *s, uint64_t number)
{
	for (int i = 0; i < 2 && number; i++) {
		char name[30];

		fifo_name(number, i, name);
		(void)unlinkat(s->own, name, 0);
	}
}
