#include "wire/box_settings.h"

#include "base/parse.h"
#include "base/str.h"
#include "wire/spec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HSUP_DEVELOPER
#define FOR_DEVELOPERS true
#else
#define FOR_DEVELOPERS false
#endif

#define FIRST_PORT 1024u /* below them is what only root listens at */

void box_settings_init(struct box_settings *ret)
{
	/* Not all of it: paths are most of its pages, and every start would have them. */
	memset(ret, 0, offsetof(struct box_settings, state));
	memset(&ret->n_slugs, 0, sizeof *ret - offsetof(struct box_settings, n_slugs));
	ret->state[0] = '\0';
	ret->stacks[0] = '\0';
	ret->passer[0] = '\0';
	ret->uids = (struct id_range){3000, 11000};
	ret->subnet = (struct box_address){0xac100000, 12};
	(void)snprintf(ret->run, sizeof ret->run, "/run/hsup");
}

static bool parse_ip(const char *text, uint32_t *ret)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		return false;
	*ret = ntohl(a.s_addr);
	return true;
}

/* "ADDRESS/BITS" */
static bool parse_address(const char *text, struct box_address *ret)
{
	const char *slash = strchr(text, '/');
	char ip[INET_ADDRSTRLEN];

	if (!slash || (size_t)(slash - text) >= sizeof ip)
		return false;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	return parse_ip(ip, &ret->address) && parse_uint(slash + 1, 32, &ret->bits) == 0;
}

static uint32_t mask(unsigned bits)
{
	return bits == 0 ? 0 : UINT32_MAX << (32 - bits);
}

/* ---- one setting each; false = it is not understood ---- */

static bool set_subnet(struct box_settings *s, const char *v)
{
	return parse_address(v, &s->subnet) && s->subnet.bits <= 30 &&
	       (s->subnet.address & ~mask(s->subnet.bits)) == 0;
}

static bool set_uid_min(struct box_settings *s, const char *v)
{
	return parse_uint(v, INT_MAX, &s->uids.min) == 0 && s->uids.min > 0;
}

static bool set_uid_max(struct box_settings *s, const char *v)
{
	return parse_uint(v, INT_MAX, &s->uids.max) == 0 && s->uids.max > 0;
}

static bool set_network(struct box_settings *s, const char *v)
{
	static const char *const names[SPEC_BOX_NET_MAX] = {
		[SPEC_BOX_NET_OWN] = "own",
		[SPEC_BOX_NET_HOST] = "host",
		[SPEC_BOX_NET_NONE] = "none",
	};

	for (unsigned i = 0; i < SPEC_BOX_NET_MAX; i++)
		if (strcmp(v, names[i]) == 0) {
			s->network = i;
			return true;
		}
	return false;
}

static bool is_interface(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < BOX_NAMES && !strpbrk(name, "/: \t\n");
}

/* "IF:ADDRESS/BITS", or "IF:FIRST-LAST/BITS", both of one network */
static bool set_extra(struct box_settings *s, const char *v)
{
	const char *colon = strchr(v, ':'), *dash = colon ? strchr(colon, '-') : NULL;
	char first[INET_ADDRSTRLEN];
	struct box_address last;

	s->extra_last = 0;
	if (!colon || (size_t)(colon - v) >= sizeof s->extra_parent)
		return false;
	(void)snprintf(s->extra_parent, sizeof s->extra_parent, "%.*s", (int)(colon - v), v);
	if (!is_interface(s->extra_parent))
		return false;
	if (!dash)
		return parse_address(colon + 1, &s->extra);
	if ((size_t)snprintf(first, sizeof first, "%.*s", (int)(dash - colon - 1), colon + 1) >=
			sizeof first ||
		!parse_ip(first, &s->extra.address) || !parse_address(dash + 1, &last))
		return false;
	s->extra.bits = last.bits;
	s->extra_last = last.address;
	return last.address >= s->extra.address &&
	       ((last.address ^ s->extra.address) & mask(last.bits)) == 0;
}

static bool parse_route(char *text, struct box_route *r)
{
	char *rest = text;
	const char *to = strsep(&rest, ":"), *gateway = strsep(&rest, ":");

	if (!gateway || !rest || !is_interface(rest))
		return false;
	(void)snprintf(r->interface, sizeof r->interface, "%s", rest);
	r->has_gateway = strcmp(gateway, "default") != 0;
	if (r->has_gateway && !parse_ip(gateway, &r->gateway))
		return false;
	if (strcmp(to, "default") == 0) {
		r->to = (struct box_address){0, 0};
		return true;
	}
	return parse_address(to, &r->to) && (r->to.address & ~mask(r->to.bits)) == 0;
}

static bool set_routes(struct box_settings *s, const char *v)
{
	char text[1024];

	s->n_routes = 0;
	if ((size_t)snprintf(text, sizeof text, "%s", v) >= sizeof text)
		return false;
	for (char *rest = text, *one; (one = strsep(&rest, ","));) {
		if (s->n_routes == BOX_ROUTES || !parse_route(one, &s->routes[s->n_routes]))
			return false;
		s->n_routes++;
	}
	return true;
}

/* "FIRST-LAST" */
static bool set_publish(struct box_settings *s, const char *v)
{
	const char *dash = strchr(v, '-');
	char first[8];

	return dash && (size_t)(dash - v) < sizeof first &&
	       snprintf(first, sizeof first, "%.*s", (int)(dash - v), v) > 0 &&
	       parse_uint(first, UINT16_MAX, &s->publish.min) == 0 &&
	       parse_uint(dash + 1, UINT16_MAX, &s->publish.max) == 0 &&
	       s->publish.min >= FIRST_PORT && s->publish.min <= s->publish.max;
}

static bool copy_path(char to[PATH_MAX], const char *v)
{
	return v[0] == '/' && (size_t)snprintf(to, PATH_MAX, "%s", v) < PATH_MAX;
}

static bool set_state(struct box_settings *s, const char *v)
{
	return copy_path(s->state, v);
}

static bool set_stacks(struct box_settings *s, const char *v)
{
	return copy_path(s->stacks, v);
}

static bool set_run(struct box_settings *s, const char *v)
{
	return copy_path(s->run, v);
}

static bool set_pasta(struct box_settings *s, const char *v)
{
	s->slirp = false;
	return copy_path(s->passer, v);
}

/* Who names both has pasta, whichever comes first. */
static bool set_slirp4netns(struct box_settings *s, const char *v)
{
	if (s->passer[0] && !s->slirp)
		return v[0] == '/';
	s->slirp = true;
	return copy_path(s->passer, v);
}

static bool add_slugs(struct box_settings *s, const char *v)
{
	return s->n_slugs < BOX_FOLDERS && copy_path(s->slugs[s->n_slugs++], v);
}

static bool add_binds(struct box_settings *s, const char *v)
{
	return s->n_binds < BOX_FOLDERS && copy_path(s->binds[s->n_binds++], v);
}

static bool set_die_after(struct box_settings *s, const char *v)
{
	return parse_uint(v, 1000, &s->die_after) == 0;
}

static bool set_skip(struct box_settings *s, const char *v)
{
	return (size_t)snprintf(s->skip, sizeof s->skip, "%s", v) < sizeof s->skip;
}

static const struct setting {
	const char *name, *form;
	bool (*set)(struct box_settings *s, const char *value);
	bool weakens; /* what a dyno is confined by: for tests alone */
} known[] = {
	{"LIBCONTAINER_DYNO_SUBNET", "ADDRESS/BITS, of at most 30 bits, and none set behind them",
		set_subnet},
	{"LIBCONTAINER_DYNO_UID_MIN", "a uid above 0", set_uid_min},
	{"LIBCONTAINER_DYNO_UID_MAX", "a uid above 0", set_uid_max},
	{"LIBCONTAINER_DYNO_NETWORK", "own, host or none", set_network},
	{"LIBCONTAINER_DYNO_EXTRA_INTERFACE", "INTERFACE:ADDRESS[-LAST]/BITS", set_extra},
	{"LIBCONTAINER_DYNO_EXTRA_ROUTES",
		"ADDRESS/BITS:GATEWAY:INTERFACE,..., where the first two may be 'default'",
		set_routes},
	{"HSUP_BOX_PUBLISH", "FIRST-LAST, two ports from 1024 on", set_publish},
	{"HSUP_BOX_STATE", "an absolute path", set_state},
	{"HSUP_BOX_STACKS", "an absolute path", set_stacks},
	{"HSUP_BOX_RUN", "an absolute path", set_run},
	{"HSUP_BOX_PASTA", "an absolute path", set_pasta},
	{"HSUP_BOX_SLIRP4NETNS", "an absolute path", set_slirp4netns},
	{"HSUP_BOX_SLUGS", "an absolute path, at most 8 of them", add_slugs},
	{"HSUP_BOX_BINDS", "an absolute path, at most 8 of them", add_binds},
	{"HSUP_BOX_DIE_AFTER", "the number of a step", set_die_after, true},
	{"HSUP_BOX_SKIP", "the name of a step", set_skip, true},
};

int box_settings_set(struct box_settings *s, const char *text, struct err *err)
{
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		size_t len = strlen(known[i].name);

		if (strncmp(text, known[i].name, len) != 0 || text[len] != '=')
			continue;
		if (known[i].weakens && !FOR_DEVELOPERS)
			return err_set(
				err, -EINVAL, "%s: only in developers' builds", known[i].name);
		if (known[i].set(s, text + len + 1))
			return 0;
		return err_set(err, -EINVAL, "%s: '%.100s' is not %s", known[i].name,
			text + len + 1, known[i].form);
	}
	return err_set(err, -ENOENT, "'%.100s' is no setting of native dynos", text);
}
