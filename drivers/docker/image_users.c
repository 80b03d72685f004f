#include "drivers/docker/image_users.h"

#include "base/parse.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#define ID_FIRST 1000
#define ID_LAST	 59999
#define ID_SPAN	 (ID_LAST - ID_FIRST + 1)
#define FIELDS	 4

/* Which ids from ID_FIRST on are in use. */
struct ids {
	unsigned char used[ID_SPAN / 8 + 1];
};

static void mark(struct ids *ids, uint32_t id)
{
	if (id >= ID_FIRST && id <= ID_LAST)
		ids->used[(id - ID_FIRST) / 8] |= (unsigned char)(1U << (id - ID_FIRST) % 8);
}

static bool is_used(const struct ids *ids, uint32_t id)
{
	return ids->used[(id - ID_FIRST) / 8] & 1U << (id - ID_FIRST) % 8;
}

static bool field_id(const char *text, size_t len, uint32_t *ret_id)
{
	char copy[16];
	unsigned value;

	if (len == 0 || len >= sizeof copy)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (strlen(copy) != len || parse_uint(copy, UINT32_MAX - 1, &value) < 0)
		return false;
	*ret_id = value;
	return true;
}

/* A line of passwd or group: name:password:id:... ; passwd has the group's id behind. */
struct line {
	const char *field[FIELDS];
	size_t len[FIELDS];
	unsigned n;
};

/* *at moves behind the line. */
static bool next_line(const char **at, const char *end, struct line *ret_line)
{
	const char *s = *at;

	if (s == end)
		return false;
	const char *stop = memchr(s, '\n', (size_t)(end - s));
	*at = stop ? stop + 1 : end;
	if (!stop)
		stop = end;
	*ret_line = (struct line){0};
	while (ret_line->n < FIELDS) {
		const char *colon = memchr(s, ':', (size_t)(stop - s));
		const char *to = colon ? colon : stop;

		ret_line->field[ret_line->n] = s;
		ret_line->len[ret_line->n++] = (size_t)(to - s);
		if (!colon)
			break;
		s = colon + 1;
	}
	return true;
}

static bool is_dyno(const struct line *l)
{
	return l->len[0] == strlen(IMAGE_USER) && memcmp(l->field[0], IMAGE_USER, l->len[0]) == 0;
}

struct found {
	bool there, sound;
	uint32_t id, group;
};

/* The first line of dyno wins, as with getpwnam(). */
static struct found scan(const char *text, size_t len, bool passwd, struct ids *ids)
{
	struct found f = {0};
	const char *at = text, *end = len ? text + len : text;
	struct line l;

	while (next_line(&at, end, &l)) {
		uint32_t id = 0, group = 0;
		bool sound = l.n >= 3 && field_id(l.field[2], l.len[2], &id);

		if (sound)
			mark(ids, id);
		if (sound && passwd)
			sound = l.n >= 4 && field_id(l.field[3], l.len[3], &group);
		if (sound && passwd)
			mark(ids, group);
		if (!f.there && is_dyno(&l))
			f = (struct found){true, sound, id, group};
	}
	return f;
}

static void copy(struct strbuf *b, const char *text, size_t len)
{
	if (!text || len == 0)
		return;
	(void)strbuf_add(b, text, len);
	if (text[len - 1] != '\n')
		(void)strbuf_puts(b, "\n");
}

static int choose(struct image_users *u, const struct found *user, const struct found *group,
	const struct ids *ids, struct err *err)
{
	if ((user->there && !user->sound) || (!user->there && group->there && !group->sound))
		return err_set(err, -EINVAL, "its user or group " IMAGE_USER " has no number");
	if (user->there && user->id == 0)
		return err_set(err, -EINVAL, "its user " IMAGE_USER " is root");
	if (user->there) {
		u->uid = user->id;
		u->gid = user->group;
		return 0;
	}
	for (u->uid = ID_FIRST; u->uid <= ID_LAST && is_used(ids, u->uid);)
		u->uid++;
	if (u->uid > ID_LAST)
		return err_set(err, -ENOSPC, "it has no number left for the user " IMAGE_USER);
	u->gid = group->there ? group->id : u->uid;
	return 0;
}

int image_users_add(const char *passwd, size_t passwd_len, const char *group, size_t group_len,
	const char *shell, struct image_users *u, struct err *err)
{
	struct ids ids = {0};

	*u = (struct image_users){0};
	struct found user = scan(passwd, passwd_len, true, &ids);
	struct found its_group = scan(group, group_len, false, &ids);
	int r = choose(u, &user, &its_group, &ids, err);
	if (r < 0)
		return r;
	u->new_passwd = !user.there;
	u->new_group = !user.there && !its_group.there;
	copy(&u->passwd, passwd, passwd_len);
	copy(&u->group, group, group_len);
	if (u->new_passwd)
		(void)strbuf_printf(
			&u->passwd, IMAGE_USER ":x:%u:%u::/app:%s\n", u->uid, u->gid, shell);
	if (u->new_group)
		(void)strbuf_printf(&u->group, IMAGE_USER ":x:%u:\n", u->gid);
	if (u->passwd.error || u->group.error)
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

void image_users_done(struct image_users *u)
{
	strbuf_done(&u->passwd);
	strbuf_done(&u->group);
}
