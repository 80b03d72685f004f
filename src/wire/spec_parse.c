/* Runs in the launcher's forked child, on bytes an enemy may have written: no allocation, no copy,
 * nothing is believed before it was checked. */
#include "wire/spec.h"

#include "wire/spec_format.h"

#include <errno.h>

static bool is_string(const char *bytes, size_t len)
{
	return len > 0 && memchr(bytes, '\0', len) == bytes + len - 1;
}

static int take_arg(struct spec *s, char *text)
{
	if (s->n_args >= SPEC_MAX_ARGS)
		return -EBADMSG;
	s->argv[s->n_args++] = text;
	return 0;
}

static int take_env(struct spec *s, char *text)
{
	const char *equals = strchr(text, '=');

	if (s->n_env >= SPEC_MAX_ENV || !equals || equals == text)
		return -EBADMSG;
	s->env[s->n_env++] = text;
	return 0;
}

static const char **string_of(struct spec *s, unsigned type)
{
	return type == SPEC_PROGRAM	? &s->program
	       : type == SPEC_BOX_NAME	? &s->box_name
	       : type == SPEC_BOX_STACK ? &s->box_stack
	       : type == SPEC_BOX_SLUG	? &s->box_slug
	       : type == SPEC_HOSTNAME	? &s->hostname
					: &s->directory;
}

static int take_string(struct spec *s, unsigned type, char *text, size_t len)
{
	if (!is_string(text, len))
		return -EBADMSG;
	if (type == SPEC_ARG)
		return take_arg(s, text);
	if (type == SPEC_ENV)
		return take_env(s, text);
	if (!text[0])
		return -EBADMSG;
	if (type == SPEC_BIND) {
		if (s->n_binds >= SPEC_BOX_BINDS)
			return -EBADMSG;
		s->binds[s->n_binds++] = text;
		return 0;
	}
	*string_of(s, type) = text;
	return 0;
}

/* Names of files of ours: no way out of their folder. */
static bool is_name(const char *text)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(text);

	return len > 0 && len <= SPEC_BOX_NAME_MAX && text[0] != '.' &&
	       strspn(text, allowed) == len;
}

static int take_box(struct spec *s, const char *bytes, size_t len)
{
	const struct spec_box *box = &s->box;

	if (len != sizeof s->box)
		return -EBADMSG;
	memcpy(&s->box, bytes, sizeof s->box);
	s->has_box = true;
	bool known = box->mode >= SPEC_BOX_RUN && box->mode < SPEC_BOX_MODE_MAX &&
		     box->network < SPEC_BOX_NET_MAX && !(box->flags & ~SPEC_BOX_FLAGS_ALL) &&
		     box->target >= 0;
	return known ? 0 : -EBADMSG;
}

/* What its mode needs, and names that are names. */
static int check_box(const struct spec *s)
{
	bool given = s->box_name || s->box_stack || s->box_slug || s->hostname || s->n_binds > 0 ||
		     s->box_disk;

	if (!s->has_box)
		return given ? -EBADMSG : 0;
	if ((s->box_name && !is_name(s->box_name)) || (s->box_stack && !is_name(s->box_stack)) ||
		(s->hostname && !is_name(s->hostname)) || (s->box_slug && s->box_slug[0] != '/'))
		return -EBADMSG;
	switch ((enum spec_box_mode)s->box.mode) {
	case SPEC_BOX_RUN:
	case SPEC_BOX_PARK:
		return s->box_name && s->box_stack ? 0 : -EBADMSG;
	case SPEC_BOX_JOIN:
		return s->box.target > 0 && s->box_name ? 0 : -EBADMSG;
	case SPEC_BOX_SWEEP:
		for (unsigned i = 1; i < s->n_args; i++)
			if (!is_name(s->argv[i]))
				return -EBADMSG;
		return 0;
	case SPEC_BOX_MODE_MAX:
		break;
	}
	return -EBADMSG;
}

/* uid, gid and groups: the all-ones id means "leave it as it is" to the kernel, which here would
 * mean "stay root". */
static int take_user(struct spec *s, const char *bytes, size_t len)
{
	uint32_t ids[2 + LIMIT_GROUPS];

	if (len % sizeof ids[0] != 0 || len < 2 * sizeof ids[0] || len > sizeof ids)
		return -EBADMSG;
	memcpy(ids, bytes, len);
	size_t n = len / sizeof ids[0];
	for (size_t i = 0; i < n; i++)
		if (ids[i] == UINT32_MAX)
			return -EBADMSG;
	s->has_user = true;
	s->uid = ids[0];
	s->gid = ids[1];
	s->n_groups = (unsigned)(n - 2);
	memcpy(s->groups, ids + 2, sizeof ids[0] * (n - 2));
	return 0;
}

static int take_u32(const char *bytes, size_t len, uint32_t max, uint32_t *ret_value)
{
	uint32_t value;

	if (len != sizeof value)
		return -EBADMSG;
	memcpy(&value, bytes, sizeof value);
	if (value > max)
		return -EBADMSG;
	*ret_value = value;
	return 0;
}

static int take_limit(const char *bytes, size_t len, bool *ret_has, uint64_t *ret_limit)
{
	if (len != sizeof *ret_limit)
		return -EBADMSG;
	memcpy(ret_limit, bytes, sizeof *ret_limit);
	*ret_has = true;
	return *ret_limit > 0 ? 0 : -EBADMSG;
}

static int take_record(struct spec *s, unsigned type, char *bytes, size_t len)
{
	bool limited;

	switch ((enum spec_record_type)type) {
	case SPEC_PROGRAM:
	case SPEC_ARG:
	case SPEC_ENV:
	case SPEC_DIRECTORY:
	case SPEC_BOX_NAME:
	case SPEC_BOX_STACK:
	case SPEC_BOX_SLUG:
	case SPEC_HOSTNAME:
	case SPEC_BIND:
		return take_string(s, type, bytes, len);
	case SPEC_SESSION:
		return take_u32(bytes, len, SPEC_SESSION_FOREGROUND, &s->session);
	case SPEC_USER:
		return take_user(s, bytes, len);
	case SPEC_UMASK:
		s->has_umask = true;
		return take_u32(bytes, len, 0777, &s->umask);
	case SPEC_NOFILE:
		return take_limit(bytes, len, &s->has_nofile, &s->nofile);
	case SPEC_NPROC:
		return take_limit(bytes, len, &s->has_nproc, &s->nproc);
	case SPEC_BOX:
		return take_box(s, bytes, len);
	case SPEC_BOX_DISK:
		return take_limit(bytes, len, &limited, &s->box_disk);
	case SPEC_RECORD_MAX:
		break;
	}
	return -EBADMSG;
}

int spec_parse(void *data, size_t len, struct spec *ret_spec)
{
	struct spec_header header;
	unsigned seen = 0;
	char *bytes = data;

	if (len < sizeof header || len > LIMIT_SPEC)
		return -EBADMSG;
	memcpy(&header, bytes, sizeof header);
	if (header.magic != SPEC_MAGIC || header.version != SPEC_VERSION || header.size != len)
		return -EBADMSG;

	/* Too large for a stack, so it is filled in place; the caller looks only on success. The
	 * arrays are not cleared: that would cost every start a dozen page faults. */
	memset(ret_spec, 0, offsetof(struct spec, argv));
	for (size_t at = sizeof header; at < len;) {
		struct spec_record record;

		if (len - at < sizeof record)
			return -EBADMSG;
		memcpy(&record, bytes + at, sizeof record);
		at += sizeof record;
		if (record.zero != 0 || record.length > len - at ||
			spec_padded(record.length) > len - at || record.type >= SPEC_RECORD_MAX)
			return -EBADMSG;
		if ((seen & 1U << record.type) && record.type != SPEC_ARG &&
			record.type != SPEC_ENV && record.type != SPEC_BIND)
			return -EBADMSG;
		seen |= 1U << record.type;
		if (take_record(ret_spec, record.type, bytes + at, record.length) < 0)
			return -EBADMSG;
		at += spec_padded(record.length);
	}
	ret_spec->argv[ret_spec->n_args] = NULL;
	ret_spec->env[ret_spec->n_env] = NULL;
	return ret_spec->program && ret_spec->n_args > 0 ? check_box(ret_spec) : -EBADMSG;
}
