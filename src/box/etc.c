#include "base/fd.h"
#include "base/parse.h"
#include "box/mnt.h"
#include "box/root_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY	  65534
#define SYSTEM_ID 999	       /* the highest id of a distribution's own users */
#define READ_MAX  (64u * 1024) /* of a file that is not ours */
#define LONGEST	  1024u	       /* line of it; half of what we write at once */

struct text {
	int fd;
	int error;
	size_t n;
	char data[2048];
};

static void flush(struct text *t)
{
	if (t->error == 0)
		t->error = fd_write_all(t->fd, t->data, t->n);
	t->n = 0;
}

static HSUP_PRINTF(2, 3) void put(struct text *t, const char *format, ...)
{
	va_list args;

	for (unsigned tries = 0; tries < 2; tries++) {
		va_start(args, format);
		int n = vsnprintf(t->data + t->n, sizeof t->data - t->n, format, args);
		va_end(args);
		if (n >= 0 && (size_t)n < sizeof t->data - t->n) {
			t->n += (size_t)n;
			return;
		}
		flush(t);
	}
	t->error = -EOVERFLOW;
}

/* A regular file below `in` as it is in `path`, on which nobody waits; -1 = there is none. */
static int open_file(int in, const char *path, uint64_t resolve)
{
	_cleanup_close_ int fd = mnt_open(in, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, resolve);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? TAKE_FD(fd) : -1;
}

/* Each line of a file (without its newline), as far as READ_MAX; those that are too long, or hold a
 * zero, are not given. */
static void each_line(int fd, void (*take)(void *context, char *line), void *context)
{
	char data[LONGEST + 1];
	size_t have = 0, total = 0;
	bool skip = false, end = fd < 0;

	while (!end && total < READ_MAX) {
		ssize_t n = fd_read_full(fd, data + have, sizeof data - 1 - have);
		if (n < 0)
			return;
		end = have + (size_t)n < sizeof data - 1;
		total += (size_t)n;
		have += (size_t)n;
		if (end && have > 0 && data[have - 1] != '\n')
			data[have++] = '\n';
		char *from = data, *newline;
		while ((newline = memchr(from, '\n', have))) {
			*newline = '\0';
			if (!skip && strlen(from) == (size_t)(newline - from))
				take(context, from);
			skip = false;
			have -= (size_t)(newline + 1 - from);
			from = newline + 1;
		}
		memmove(data, from, have);
		if (have == sizeof data - 1) {
			skip = true;
			have = 0;
		}
	}
}

/* ---- passwd, group ---- */

struct keeping {
	struct text *text;
	uint32_t dyno; /* its id */
};

/* "name:password:id:...": of the distribution's own, which programs look for. */
static void keep_line(void *context, char *line)
{
	static const char *const ours[] = {"root", "dyno", "nobody", "nogroup"};
	const struct keeping *k = context;
	char *name_end = strchr(line, ':');
	char *id = name_end ? strchr(name_end + 1, ':') : NULL;
	char *id_end = id ? strchr(id + 1, ':') : NULL;
	unsigned value;

	if (!id_end || name_end == line)
		return;
	*id_end = '\0';
	bool keep = parse_uint(id + 1, SYSTEM_ID, &value) == 0 && value != k->dyno && value != 0;
	*id_end = ':';
	for (unsigned i = 0; i < ARRAY_SIZE(ours); i++)
		keep = keep && !(strlen(ours[i]) == (size_t)(name_end - line) &&
				       strncmp(line, ours[i], (size_t)(name_end - line)) == 0);
	if (keep)
		put(k->text, "%s\n", line);
}

static void put_passwd(struct root_work *w, struct text *t, int tree)
{
	struct keeping k = {t, w->b->uid};
	_cleanup_close_ int bash =
		mnt_open(tree, "bin/bash", O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	_cleanup_close_ int old = open_file(tree, "etc/passwd", RESOLVE_IN_ROOT | MNT_STRICT);

	put(t, "root:x:0:0:root:/root:/bin/sh\ndyno:x:%u:%u:dyno:/app:/bin/%s\n", w->b->uid,
		w->b->gid, bash >= 0 ? "bash" : "sh");
	each_line(old, keep_line, &k);
	put(t, "nobody:x:%d:%d:nobody:/nonexistent:/usr/sbin/nologin\n", NOBODY, NOBODY);
}

static void put_group(struct root_work *w, struct text *t, int tree)
{
	struct keeping k = {t, w->b->gid};
	_cleanup_close_ int old = open_file(tree, "etc/group", RESOLVE_IN_ROOT | MNT_STRICT);

	put(t, "root:x:0:\ndyno:x:%u:\n", w->b->gid);
	each_line(old, keep_line, &k);
	put(t, "nogroup:x:%d:\n", NOBODY);
}

/* ---- hosts, resolv.conf ---- */

static const char *hostname(const struct root_work *w)
{
	const struct spec *s = w->b->spec;

	return w->r->hostname ? w->r->hostname : s->hostname ? s->hostname : s->box_name;
}

static void put_hosts(const struct root_work *w, struct text *t)
{
	struct in_addr own = {htonl(w->b->dyno_address ? w->b->dyno_address : 0x7f000101)};
	char address[INET_ADDRSTRLEN];

	put(t, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%s\t%s\n",
		inet_ntop(AF_INET, &own, address, sizeof address), hostname(w));
}

static void see_nameserver(void *context, char *line)
{
	bool *elsewhere = context;
	static const char word[] = "nameserver";

	if (strncmp(line, word, sizeof word - 1) != 0)
		return;
	const char *address = line + sizeof word - 1;
	address += strspn(address, " \t");
	*elsewhere =
		*elsewhere || (strncmp(address, "127.", 4) != 0 && strncmp(address, "::1", 3) != 0);
}

static void put_line(void *context, char *line)
{
	put(context, "%s\n", line);
}

/* The machine's own resolver, on its loopback, is not reached from another network: what it asks
 * itself is. */
static void put_resolv_conf(const struct root_work *w, struct text *t)
{
	_cleanup_close_ int conf = open_file(AT_FDCWD, "/etc/resolv.conf", 0);
	_cleanup_close_ int real = -1;
	bool elsewhere = false;

	if (w->b->spec->box.network == SPEC_BOX_NET_OWN) {
		each_line(conf, see_nameserver, &elsewhere);
		if (!elsewhere)
			real = open_file(AT_FDCWD, "/run/systemd/resolve/resolv.conf", 0);
		(void)lseek(conf, 0, SEEK_SET);
	}
	each_line(real >= 0 ? real : conf, put_line, t);
}

int etc_rename(struct box *b, struct box_root *r)
{
	static const char *const names[] = {"etc/hosts", "etc/hostname"};
	struct root_work w = {.b = b, .r = r};
	int error = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(names) && error == 0; i++) {
		_cleanup_close_ int file =
			openat(r->skeleton, names[i], O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
		struct text t = {.fd = file, .error = file < 0 ? -errno : 0};

		if (i == 0)
			put_hosts(&w, &t);
		else
			put(&t, "%s\n", hostname(&w));
		flush(&t);
		error = t.error;
	}
	return error;
}

int etc_write(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int file = openat(
		w->skeleton, s->target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	_cleanup_close_ int host =
		w->r->stack < 0 ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int tree = w->r->stack < 0 ? host : w->r->stack;
	struct text t = {.fd = file};

	if (file < 0)
		return -errno;
	switch ((enum plan_text)s->index) {
	case PLAN_PASSWD:
		put_passwd(w, &t, tree);
		break;
	case PLAN_GROUP:
		put_group(w, &t, tree);
		break;
	case PLAN_HOSTS:
		put_hosts(w, &t);
		break;
	case PLAN_HOSTNAME:
		put(&t, "%s\n", hostname(w));
		break;
	case PLAN_RESOLV_CONF:
		put_resolv_conf(w, &t);
		break;
	}
	flush(&t);
	return t.error < 0 ? t.error : root_own(w, w->skeleton, s->target, false);
}
