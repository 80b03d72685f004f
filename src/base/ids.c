#include "base/ids.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int id_range_parse(const char *text, struct id_range *ret_range)
{
	const char *dash = strchr(text, '-');
	struct id_range range;
	char min[16];

	if (dash &&
		(size_t)snprintf(min, sizeof min, "%.*s", (int)(dash - text), text) >= sizeof min)
		return -EINVAL;
	if (parse_uint(dash ? min : text, ID_NONE - 1, &range.min) < 0 ||
		parse_uint(dash ? dash + 1 : text, ID_NONE - 1, &range.max) < 0 ||
		range.min > range.max)
		return -EINVAL;
	*ret_range = range;
	return 0;
}

int id_grant_add(struct id_grant *g, struct id_range range)
{
	if (g->n == IDS_RANGES)
		return -E2BIG;
	g->ranges[g->n++] = range;
	return 0;
}

static bool granted(const struct id_grant *g, uint32_t id, uint32_t own)
{
	if (id == 0)
		return g->root;
	if (id == ID_NONE)
		return false;
	for (unsigned i = 0; i < g->n; i++) {
		const struct id_range *r = &g->ranges[i];

		if (id >= r->min && id <= r->max && (id != own || r->min == r->max))
			return true;
	}
	return g->n == 0;
}

bool id_grant_uid(const struct id_grant *g, uint32_t uid)
{
	return granted(g, uid, g->own_uid);
}

bool id_grant_gid(const struct id_grant *g, uint32_t gid)
{
	return granted(g, gid, g->own_gid);
}
