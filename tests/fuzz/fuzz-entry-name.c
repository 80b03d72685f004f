/* Names of archive entries: what is taken is inside, in its one form, and means the same when it is
 * read again. */
#include "slug/entry_name.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void check_parts(const struct entry_name *name)
{
	unsigned depth = 0;

	for (const char *p = name->path; *p;) {
		size_t len = strcspn(p, "/");

		demand(len > 0 && len <= 255);
		demand(!(len == 1 && p[0] == '.') && !(len == 2 && p[0] == '.' && p[1] == '.'));
		depth++;
		p += len;
		if (*p == '/') {
			p++;
			demand(*p != '\0');
		}
	}
	demand(depth == name->depth && depth <= LIMIT_SLUG_DEPTH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *raw = malloc(size + 1);
	struct entry_name name, again;

	if (!raw)
		return 0;
	memcpy(raw, data, size);
	raw[size] = '\0';
	if (!entry_name_parse(raw, &name)) {
		demand(raw[0] != '/' && name.len <= LIMIT_SLUG_PATH);
		demand(name.len == strlen(name.path));
		check_parts(&name);
		demand(entry_name_parent(&name) <= name.len);
		demand(!strchr(entry_name_last(&name), '/'));
		if (name.len > 0) {
			demand(!entry_name_parse(name.path, &again));
			demand(strcmp(name.path, again.path) == 0 && name.depth == again.depth);
		}
	}
	free(raw);
	return 0;
}
