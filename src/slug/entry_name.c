#include "slug/entry_name.h"

#include <stdbool.h>
#include <string.h>

#define PART_MAX 255 /* what Linux file systems take */

static bool is_part(const char *part, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(part, text, len) == 0;
}

const char *entry_name_parse(const char *raw, struct entry_name *ret_name)
{
	size_t out = 0;
	unsigned depth = 0;

	if (!raw || !raw[0])
		return "the name is empty";
	if (raw[0] == '/')
		return "the name is absolute";

	while (*raw) {
		size_t len = strcspn(raw, "/");
		const char *part = raw;

		raw += len + (raw[len] == '/');
		if (len == 0 || is_part(part, len, "."))
			continue;
		if (is_part(part, len, ".."))
			return "the name holds \"..\"";
		if (len > PART_MAX)
			return "a part of the name is longer than 255 bytes";
		if (out + len + (out > 0) > LIMIT_SLUG_PATH)
			return "the name is too long";
		if (++depth > LIMIT_SLUG_DEPTH)
			return "the name is nested too deeply";
		if (out > 0)
			ret_name->path[out++] = '/';
		memcpy(ret_name->path + out, part, len);
		out += len;
	}
	ret_name->path[out] = '\0';
	ret_name->len = out;
	ret_name->depth = depth;
	return NULL;
}

size_t entry_name_parent(const struct entry_name *name)
{
	const char *slash = memrchr(name->path, '/', name->len);

	return slash ? (size_t)(slash - name->path) : 0;
}

const char *entry_name_last(const struct entry_name *name)
{
	size_t parent = entry_name_parent(name);

	return name->path + (parent ? parent + 1 : 0);
}
