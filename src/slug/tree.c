#include "base/fd.h"
#include "base/limits.h"
#include "base/str.h"
#include "slug/tree_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 4000000 /* in one directory */

struct walk {
	tree_fn each;
	void *each_userdata;
	unpack_tick_fn tick;
	void *userdata;
	struct tree_count count;
	struct strbuf path, content; /* as they are written down */
};

struct names {
	char **names;
	size_t n, cap;
};

static void names_done(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->names[i]);
	free(names->names);
}

static bool is_escaped(unsigned char c)
{
	return c <= ' ' || c > '~' || c == '\\';
}

static void escape(struct strbuf *b, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (is_escaped(c))
			(void)strbuf_printf(b, "\\%03o", c);
		else
			(void)strbuf_add(b, &text[i], 1);
	}
}

/* Where c stands among others in the escaped form. */
static int rank(char c)
{
	unsigned char u = (unsigned char)c;

	return u == 0 ? 0 : is_escaped(u) ? '\\' << 8 | u : u << 8;
}

static int compare_names(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	return rank(*x) - rank(*y);
}

static int read_names(DIR *d, struct names *names)
{
	for (;;) {
		errno = 0;
		const struct dirent *e = readdir(d);
		if (!e)
			break;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		int r = mem_grow(
			&names->names, &names->cap, names->n + 1, NAMES_MAX, sizeof *names->names);
		if (r < 0)
			return r;
		names->names[names->n] = strdup(e->d_name);
		if (!names->names[names->n++])
			return -ENOMEM;
	}
	if (errno)
		return -errno;
	if (names->n > 0)
		qsort(names->names, names->n, sizeof *names->names, compare_names);
	return 0;
}

static int failed(struct walk *w, int r, const char *what, struct err *err)
{
	return err_errno(err, r, "%.200s: %s", w->path.len ? w->path.data : "the root", what);
}

static char type_of(mode_t mode)
{
	return S_ISDIR(mode)	? 'd'
	       : S_ISREG(mode)	? 'f'
	       : S_ISLNK(mode)	? 'l'
	       : S_ISCHR(mode)	? 'c'
	       : S_ISBLK(mode)	? 'b'
	       : S_ISFIFO(mode) ? 'p'
				: 's';
}

static int hash_file(struct walk *w, int dir, const char *name, struct stat *st, struct err *err)
{
	char hex[DIGEST_HEX + 1];
	_cleanup_close_ int fd =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, st) < 0)
		return failed(w, -errno, "cannot open it", err);
	if (!S_ISREG(st->st_mode))
		return failed(w, -EAGAIN, "it changed meanwhile", err);
	int r = digest_of_fd(fd, hex);
	if (r < 0)
		return failed(w, r, "cannot read it", err);
	w->count.bytes += (uint64_t)st->st_size;
	return strbuf_puts(&w->content, hex);
}

static int read_target(struct walk *w, int dir, const char *name, struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof target);

	if (n < 0)
		return failed(w, -errno, "cannot read the link", err);
	escape(&w->content, target, (size_t)n);
	return w->content.error;
}

static int tell(struct walk *w, const struct stat *st, struct err *err)
{
	struct tree_entry e = {
		.type = type_of(st->st_mode),
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
		.content = w->content.len ? w->content.data : "-",
		.path = w->path.len ? w->path.data : ".",
	};

	if (w->path.error || w->content.error)
		return failed(w, w->path.error ? w->path.error : w->content.error, "its name", err);
	int r = w->each(w->each_userdata, &e, err);
	return r < 0 ? r : w->tick(w->userdata, err);
}

static int walk_directory(struct walk *w, int dir, unsigned depth, struct err *err);

static int walk_one(struct walk *w, int dir, const char *name, unsigned depth, struct err *err)
{
	struct stat st;
	int r = 0;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(w, -errno, "cannot look at it", err);
	w->count.entries++;
	if (S_ISDIR(st.st_mode)) {
		int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? failed(w, -errno, "cannot open it", err)
			      : walk_directory(w, fd, depth, err);
	}
	strbuf_reset(&w->content);
	if (S_ISREG(st.st_mode))
		r = hash_file(w, dir, name, &st, err);
	else if (S_ISLNK(st.st_mode))
		r = read_target(w, dir, name, err);
	return r < 0 ? r : tell(w, &st, err);
}

static int walk_names(
	struct walk *w, int dir, const struct names *names, unsigned depth, struct err *err)
{
	size_t len = w->path.len;
	int r = 0;

	for (size_t i = 0; r == 0 && i < names->n; i++) {
		if (len > 0)
			(void)strbuf_puts(&w->path, "/");
		escape(&w->path, names->names[i], strlen(names->names[i]));
		r = walk_one(w, dir, names->names[i], depth, err);
		w->path.len = len;
		if (w->path.data)
			w->path.data[len] = '\0';
	}
	return r;
}

/* dir is taken. */
static int walk_directory(struct walk *w, int dir, unsigned depth, struct err *err)
{
	struct names names = {0};
	struct stat st;
	DIR *d = fdopendir(dir);
	int r = 0;

	if (!d || fstat(dir, &st) < 0) {
		r = failed(w, -errno, "cannot list it", err);
		d ? (void)closedir(d) : (void)fd_close(dir);
		return r;
	}
	strbuf_reset(&w->content);
	if (depth > LIMIT_SLUG_DEPTH)
		r = failed(w, -ELOOP, "it is nested too deeply", err);
	else
		r = tell(w, &st, err);
	if (r == 0) {
		r = read_names(d, &names);
		if (r < 0)
			(void)failed(w, r, "cannot list it", err);
	}
	if (r == 0)
		r = walk_names(w, dir, &names, depth + 1, err);
	(void)closedir(d);
	names_done(&names);
	return r;
}

int tree_walk(int root, tree_fn each, void *each_userdata, unpack_tick_fn tick, void *userdata,
	struct tree_count *ret_count, struct err *err)
{
	struct walk w = {.each = each,
		.each_userdata = each_userdata,
		.tick = tick,
		.userdata = userdata,
		/* Every byte may become four. */
		.path = STRBUF(4 * (LIMIT_SLUG_PATH + 300)),
		.content = STRBUF(4 * PATH_MAX + 1)};
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	int r = fd < 0 ? err_errno(err, -errno, "cannot open the tree")
		       : walk_directory(&w, fd, 0, err);
	strbuf_done(&w.path);
	strbuf_done(&w.content);
	if (r == 0)
		*ret_count = w.count;
	return r;
}

struct listing {
	FILE *out;
	struct digest *digest;
	struct strbuf line;
};

static int write_line(void *userdata, const struct tree_entry *e, struct err *err)
{
	struct listing *l = userdata;

	strbuf_reset(&l->line);
	int r = strbuf_printf(&l->line, "%c %04o %u %u %llu %s %s\n", e->type, e->mode, e->uid,
		e->gid, (unsigned long long)e->size, e->content, e->path);
	if (r == 0)
		r = digest_add(l->digest, l->line.data, l->line.len);
	if (r == 0 && fwrite(l->line.data, 1, l->line.len, l->out) != l->line.len)
		r = -errno;
	return r < 0 ? err_errno(err, r, "cannot write down what is in it") : 0;
}

int tree_write(int root, int out, unpack_tick_fn tick, void *userdata, struct tree_count *ret_count,
	char ret_digest[DIGEST_HEX + 1], struct err *err)
{
	struct listing l = {0};
	int copy = fcntl(out, F_DUPFD_CLOEXEC, 0);
	int r = digest_new(&l.digest);

	l.out = copy < 0 ? NULL : fdopen(copy, "w");
	if (r < 0 || !l.out) {
		(void)(l.out ? fclose(l.out) : fd_close(copy));
		(void)digest_free(l.digest);
		return err_errno(err, -ENOMEM, "cannot write down what is in it");
	}
	r = tree_walk(root, write_line, &l, tick, userdata, ret_count, err);
	if (fclose(l.out) != 0 && r == 0)
		r = err_errno(err, -errno, "cannot write down what is in it");
	if (r == 0)
		r = digest_hex(l.digest, ret_digest);
	(void)digest_free(l.digest);
	strbuf_done(&l.line);
	return r;
}
