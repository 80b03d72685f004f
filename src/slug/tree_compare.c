/* Two trees in the same order, side by side: one on the disk, one written down. */
#include "base/fd.h"
#include "base/parse.h"
#include "base/str.h"
#include "slug/tree_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

struct compare {
	FILE *old;
	int out;
	char *text; /* the line of `entry`, which points into it */
	size_t cap;
	struct tree_entry entry;
	bool has_entry, ended;
	uint64_t differences;
};

static int number(char *text, uint64_t max, uint64_t *ret)
{
	return text && parse_u64(text, max, ret) == 0 ? 0 : -EBADMSG;
}

/* Splits a line; -EBADMSG when it is none of ours. */
static int parse_line(char *line, struct tree_entry *ret)
{
	char *save = NULL, *fields[7], *end;
	uint64_t uid, gid, size;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
		if (!fields[i])
			return -EBADMSG;
	}
	unsigned long mode = strtoul(fields[1], &end, 8);
	if (*end || mode > 07777 || !fields[0][0] || fields[0][1] ||
		number(fields[2], UINT32_MAX, &uid) < 0 ||
		number(fields[3], UINT32_MAX, &gid) < 0 ||
		number(fields[4], UINT64_MAX, &size) < 0 || strtok_r(NULL, " ", &save))
		return -EBADMSG;
	*ret = (struct tree_entry){.type = fields[0][0],
		.mode = (unsigned)mode,
		.uid = (uid_t)uid,
		.gid = (gid_t)gid,
		.size = size,
		.content = fields[5],
		.path = fields[6]};
	return 0;
}

static int next(struct compare *c, struct err *err)
{
	if (c->has_entry || c->ended)
		return 0;
	errno = 0;
	ssize_t n = getline(&c->text, &c->cap, c->old);
	if (n < 0 && errno)
		return err_errno(err, -errno, "cannot read what is written down");
	if (n < 0) {
		c->ended = true;
		return 0;
	}
	if (memchr(c->text, '\0', (size_t)n) || c->text[n - 1] != '\n')
		return err_set(err, -EBADMSG, "what is written down of it is damaged");
	c->text[n - 1] = '\0';
	if (parse_line(c->text, &c->entry) < 0)
		return err_set(err, -EBADMSG, "what is written down of it is damaged");
	c->has_entry = true;
	return 0;
}

/* A folder stands in front of what is in it, and the root in front of all. */
static int compare_paths(const char *a, const char *b)
{
	bool a_root = strcmp(a, ".") == 0, b_root = strcmp(b, ".") == 0;

	if (a_root || b_root)
		return b_root - a_root;
	while (*a && *a == *b) {
		a++;
		b++;
	}
	int x = *a == '/' ? 1 : (unsigned char)*a, y = *b == '/' ? 1 : (unsigned char)*b;
	return x - y;
}

static int say(struct compare *c, const char *line, size_t len, struct err *err)
{
	static const char more[] = "  and more\n";
	int r = 0;

	if (c->differences < TREE_SHOWN)
		r = fd_write_all(c->out, line, len);
	else if (c->differences == TREE_SHOWN)
		r = fd_write_all(c->out, more, sizeof more - 1);
	c->differences++;
	return r < 0 ? err_errno(err, r, "cannot say what differs") : 0;
}

static int say_one(struct compare *c, const char *what, const char *path, struct err *err)
{
	_cleanup_strbuf_ struct strbuf line = {0};

	if (strbuf_printf(&line, "  %s: %s\n", what, path) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	return say(c, line.data, line.len, err);
}

static int say_changes(struct compare *c, const struct tree_entry *now,
	const struct tree_entry *was, struct err *err)
{
	_cleanup_strbuf_ struct strbuf line = {0};

	(void)strbuf_printf(&line, "  changed: %s:", now->path);
	size_t len = line.len;
	if (now->type != was->type)
		(void)strbuf_printf(&line, " type %c, was %c;", now->type, was->type);
	if (now->mode != was->mode)
		(void)strbuf_printf(&line, " mode %04o, was %04o;", now->mode, was->mode);
	if (now->uid != was->uid || now->gid != was->gid)
		(void)strbuf_printf(
			&line, " owner %u:%u, was %u:%u;", now->uid, now->gid, was->uid, was->gid);
	if (now->size != was->size)
		(void)strbuf_printf(&line, " size %llu, was %llu;", (unsigned long long)now->size,
			(unsigned long long)was->size);
	if (strcmp(now->content, was->content) != 0)
		(void)strbuf_puts(&line, " content;");
	if (line.error)
		return err_set(err, -ENOMEM, "out of memory");
	if (line.len == len)
		return 0;
	line.data[line.len - 1] = '\n';
	return say(c, line.data, line.len, err);
}

/* All that is written down in front of `path` (NULL = all that is left) is not there any more. */
static int pass_missing(struct compare *c, const char *path, int *ret_order, struct err *err)
{
	for (;;) {
		int r = next(c, err);
		if (r < 0 || c->ended)
			return r;
		*ret_order = path ? compare_paths(c->entry.path, path) : -1;
		if (*ret_order >= 0)
			return 0;
		r = say_one(c, "missing", c->entry.path, err);
		if (r < 0)
			return r;
		c->has_entry = false;
	}
}

static int on_entry(void *userdata, const struct tree_entry *e, struct err *err)
{
	struct compare *c = userdata;
	int order = 1, r = pass_missing(c, e->path, &order, err);

	if (r < 0)
		return r;
	if (c->ended || order > 0)
		return say_one(c, "added", e->path, err);
	c->has_entry = false;
	return say_changes(c, e, &c->entry, err);
}

int tree_compare(int root, int old, int out, unpack_tick_fn tick, void *userdata,
	struct tree_count *ret_count, uint64_t *ret_differences, struct err *err)
{
	struct compare c = {.out = out};
	int copy = fcntl(old, F_DUPFD_CLOEXEC, 0), order;

	c.old = copy < 0 ? NULL : fdopen(copy, "r");
	if (!c.old) {
		(void)fd_close(copy);
		return err_errno(err, -ENOMEM, "cannot read what is written down");
	}
	int r = tree_walk(root, on_entry, &c, tick, userdata, ret_count, err);
	if (r == 0)
		r = pass_missing(&c, NULL, &order, err);
	(void)fclose(c.old);
	free(c.text);
	if (r == 0)
		*ret_differences = c.differences;
	return r;
}
