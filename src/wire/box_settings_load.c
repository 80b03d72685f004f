/* The settings as a whole: whether they fit together. */
#include "wire/box_settings.h"
#include "wire/spec.h"

#include <errno.h>
#include <string.h>

/* So that no book need be kept of which is whose. */
static int check_one_each(const struct box_settings *s, struct err *err)
{
	uint32_t uids = box_uids(s);

	if (s->publish.min && s->network != SPEC_BOX_NET_OWN)
		return err_set(err, -EINVAL,
			"HSUP_BOX_PUBLISH is for dynos with networks of their own, and not for "
			"LIBCONTAINER_DYNO_NETWORK=host or none");
	if (s->publish.min && s->publish.max - s->publish.min + 1 < uids)
		return err_set(err, -EINVAL,
			"HSUP_BOX_PUBLISH: %u to %u are %u ports, and LIBCONTAINER_DYNO_UID_MIN "
			"to _MAX %u dynos",
			s->publish.min, s->publish.max, s->publish.max - s->publish.min + 1, uids);
	if (s->extra_last && s->extra_last - s->extra.address + UINT64_C(1) < uids)
		return err_set(err, -EINVAL,
			"LIBCONTAINER_DYNO_EXTRA_INTERFACE: %u addresses, and "
			"LIBCONTAINER_DYNO_UID_MIN to _MAX %u dynos",
			s->extra_last - s->extra.address + 1, uids);
	return 0;
}

static int check(const struct box_settings *s, struct err *err)
{
	if (s->uids.min > s->uids.max)
		return err_set(err, -EINVAL,
			"LIBCONTAINER_DYNO_UID_MIN (%u) is above LIBCONTAINER_DYNO_UID_MAX (%u)",
			s->uids.min, s->uids.max);
	if (s->uids.min < BOX_ROOT_ID + BOX_IDS && s->uids.max >= BOX_ROOT_ID)
		return err_set(err, -EINVAL,
			"LIBCONTAINER_DYNO_UID_MIN to LIBCONTAINER_DYNO_UID_MAX: %u to %u are "
			"those of stacks' files",
			BOX_ROOT_ID, BOX_ROOT_ID + BOX_IDS - 1);
	for (unsigned i = 0; i < s->n_routes; i++) {
		const char *name = s->routes[i].interface;

		if (strcmp(name, "eth0") != 0 && (strcmp(name, "eth1") != 0 || !s->extra_parent[0]))
			return err_set(err, -EINVAL,
				"LIBCONTAINER_DYNO_EXTRA_ROUTES: a dyno has no interface %s", name);
	}
	return check_one_each(s, err);
}

int box_settings_load(struct box_settings *s, char *const *environment, struct err *err)
{
	for (; *environment; environment++) {
		const char *equals = strchr(*environment, '=');

		if (!equals || !equals[1])
			continue;
		int r = box_settings_set(s, *environment, err);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return check(s, err);
}
