/* Which addresses a uid of the range means. */
#include "wire/box_settings.h"

#define PER_DYNO 4 /* addresses of a /30 */

uint32_t box_uids(const struct box_settings *s)
{
	uint64_t room = (UINT64_C(1) << (32 - s->subnet.bits)) / PER_DYNO,
		 uids = (uint64_t)s->uids.max - s->uids.min + 1;

	return (uint32_t)(room < uids ? room : uids);
}

bool box_addresses(
	const struct box_settings *s, uint32_t uid, uint32_t *ret_machine, uint32_t *ret_dyno)
{
	if (uid < s->uids.min || uid - s->uids.min >= box_uids(s))
		return false;
	uint32_t first = s->subnet.address + PER_DYNO * (uid - s->uids.min);
	*ret_machine = first + 1;
	*ret_dyno = first + 2;
	return true;
}

unsigned box_published(const struct box_settings *s, uint32_t uid)
{
	if (s->publish.min == 0 || uid < s->uids.min || uid - s->uids.min >= box_uids(s))
		return 0;
	return s->publish.min + (uid - s->uids.min);
}

uint32_t box_extra_address(const struct box_settings *s, uint32_t uid)
{
	return s->extra.address + (s->extra_last ? uid - s->uids.min : 0);
}
