#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/box_settings.h"
#include "wire/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct box_settings s;
static struct err err;

static int set(const char *text)
{
	box_settings_init(&s);
	return box_settings_set(&s, text, &err);
}

static int load(const char *const *environment)
{
	char *const *list;

	memcpy(&list, &environment, sizeof list);
	box_settings_init(&s);
	return box_settings_load(&s, list, &err);
}

static void assert_says(const char *part)
{
	if (!strstr(err.text, part))
		fail_msg("'%s' is not in '%s'", part, err.text);
}

static void test_what_holds_when_nothing_is_said(void **state)
{
	(void)state;
	memset(&s, 0xff, sizeof s);
	assert_int_equal(
		load((const char *[]){"PATH=/bin", "HSUP_BOX", "LIBCONTAINER_DYNO_", NULL}), 0);
	assert_int_equal(s.uids.min, 3000);
	assert_int_equal(s.uids.max, 11000);
	assert_int_equal(s.subnet.address, 0xac100000);
	assert_int_equal(s.subnet.bits, 12);
	assert_int_equal(s.network, SPEC_BOX_NET_OWN);
	assert_string_equal(s.run, "/run/hsup");
	assert_string_equal(s.extra_parent, "");
	assert_string_equal(s.state, "");
	assert_string_equal(s.passer, "");
	assert_false(s.slirp);
	assert_string_equal(s.stacks, "");
	assert_int_equal(s.n_routes + s.n_slugs + s.n_binds + s.die_after, 0);
	assert_int_equal(s.publish.min + s.publish.max + s.extra_last, 0);
	assert_string_equal(s.skip, "");
}

static void test_each_is_understood(void **state)
{
	const char *all[] = {"LIBCONTAINER_DYNO_SUBNET=10.201.0.0/24",
		"LIBCONTAINER_DYNO_UID_MIN=4000", "LIBCONTAINER_DYNO_UID_MAX=4099",
		"LIBCONTAINER_DYNO_NETWORK=host",
		"LIBCONTAINER_DYNO_EXTRA_INTERFACE=ens5:192.0.2.7/25",
		"LIBCONTAINER_DYNO_EXTRA_ROUTES=10.0.0.0/8:192.0.2.1:eth1,default:default:eth0,"
		"198.51.100.4/32:default:eth0",
		"HSUP_BOX_STATE=/state", "HSUP_BOX_STACKS=/stacks", "HSUP_BOX_RUN=/locks",
		"HSUP_BOX_PASTA=/usr/bin/pasta", "HSUP_BOX_SLUGS=/slugs", "HSUP_BOX_BINDS=/",
		"HSUP_BOX_DIE_AFTER=7", "HSUP_BOX_SKIP=seccomp", NULL};

	(void)state;
	assert_int_equal(load(all), 0);
	assert_int_equal(s.subnet.address, 0x0ac90000);
	assert_int_equal(s.subnet.bits, 24);
	assert_int_equal(s.uids.min, 4000);
	assert_int_equal(s.uids.max, 4099);
	assert_int_equal(s.network, SPEC_BOX_NET_HOST);
	assert_string_equal(s.extra_parent, "ens5");
	assert_int_equal(s.extra.address, 0xc0000207); /* with what is behind the prefix */
	assert_int_equal(s.extra.bits, 25);
	assert_int_equal(s.n_routes, 3);
	assert_int_equal(s.routes[0].to.address, 0x0a000000);
	assert_int_equal(s.routes[0].to.bits, 8);
	assert_true(s.routes[0].has_gateway);
	assert_int_equal(s.routes[0].gateway, 0xc0000201);
	assert_string_equal(s.routes[0].interface, "eth1");
	assert_int_equal(s.routes[1].to.bits, 0);
	assert_false(s.routes[1].has_gateway);
	assert_string_equal(s.routes[1].interface, "eth0");
	assert_int_equal(s.routes[2].to.bits, 32);
	assert_string_equal(s.state, "/state");
	assert_string_equal(s.stacks, "/stacks");
	assert_string_equal(s.run, "/locks");
	assert_string_equal(s.passer, "/usr/bin/pasta");
	assert_false(s.slirp);
	assert_string_equal(s.slugs[0], "/slugs");
	assert_string_equal(s.binds[0], "/");
	assert_int_equal(s.die_after, 7);
	assert_string_equal(s.skip, "seccomp");
	assert_int_equal(set("LIBCONTAINER_DYNO_NETWORK=none"), 0);
	assert_int_equal(s.network, SPEC_BOX_NET_NONE);
	assert_int_equal(set("LIBCONTAINER_DYNO_NETWORK=own"), 0);
	assert_int_equal(s.network, SPEC_BOX_NET_OWN);
}

static void test_who_passes_a_network_on(void **state)
{
	(void)state;
	assert_int_equal(load((const char *[]){"HSUP_BOX_SLIRP4NETNS=/bin/slirp", NULL}), 0);
	assert_true(s.slirp);
	assert_string_equal(s.passer, "/bin/slirp");
	/* In whichever order. */
	assert_int_equal(load((const char *[]){"HSUP_BOX_SLIRP4NETNS=/bin/slirp",
				 "HSUP_BOX_PASTA=/bin/pasta", NULL}),
		0);
	assert_false(s.slirp);
	assert_string_equal(s.passer, "/bin/pasta");
	assert_int_equal(load((const char *[]){"HSUP_BOX_PASTA=/bin/pasta",
				 "HSUP_BOX_SLIRP4NETNS=/bin/slirp", NULL}),
		0);
	assert_false(s.slirp);
	assert_string_equal(s.passer, "/bin/pasta");
	assert_int_equal(set("HSUP_BOX_SLIRP4NETNS=bin/slirp"), -EINVAL);
	assert_says("HSUP_BOX_SLIRP4NETNS");
}

static void test_what_is_not_understood_is_named(void **state)
{
	static const char *const bad[] = {
		"SUBNET=10.0.0.0",
		"SUBNET=10.0.0.0/",
		"SUBNET=10.0.0.0/31",
		"SUBNET=10.0.0.0/33",
		"SUBNET=10.0.0.0/-1",
		"SUBNET=10.0.0.0/8x",
		"SUBNET=10.0.0.1/24",
		"SUBNET=10.0.0/24",
		"SUBNET=10.0.0.0.0/24",
		"SUBNET=256.0.0.0/8",
		"SUBNET=fd00::/64",
		"SUBNET=/24",
		"SUBNET=1111111111111111111111111111/8",
		"UID_MIN=0",
		"UID_MIN=-1",
		"UID_MIN=2147483648",
		"UID_MIN=3000x",
		"UID_MIN= 3000",
		"UID_MAX=0",
		"UID_MAX=root",
		"NETWORK=bridge",
		"NETWORK=OWN",
		"NETWORK=",
		"EXTRA_INTERFACE=ens5",
		"EXTRA_INTERFACE=:10.0.0.1/8",
		"EXTRA_INTERFACE=ens5:10.0.0.1",
		"EXTRA_INTERFACE=ens5:10.0.0.1/33",
		"EXTRA_INTERFACE=a/b:10.0.0.1/8",
		"EXTRA_INTERFACE=a b:10.0.0.1/8",
		"EXTRA_INTERFACE=sixteen-letters-:10.0.0.1/8",
		"EXTRA_INTERFACE=ens5:10.0.0.2-10.0.0.1/8",
		"EXTRA_INTERFACE=ens5:10.0.0.1-10.0.0.2",
		"EXTRA_INTERFACE=ens5:10.0.0.1-/8",
		"EXTRA_INTERFACE=ens5:-10.0.0.1/8",
		"EXTRA_INTERFACE=ens5:10.0.0.1/8-10.0.0.2/8",
		"EXTRA_INTERFACE=ens5:10.0.0.250-10.0.1.5/24",
		"EXTRA_INTERFACE=ens5:111.111.111.1111-112.0.0.1/1",
		"EXTRA_ROUTES=",
		"EXTRA_ROUTES=default:default",
		"EXTRA_ROUTES=default:default:",
		"EXTRA_ROUTES=default:default:eth0,",
		"EXTRA_ROUTES=10.0.0.0:default:eth0",
		"EXTRA_ROUTES=10.0.0.1/8:default:eth0",
		"EXTRA_ROUTES=10.0.0.0/8:gateway:eth0",
		"EXTRA_ROUTES=10.0.0.0/8:10.0.0.1/8:eth0",
		"EXTRA_ROUTES=10.0.0.0/8:default:eth0:more",
		"EXTRA_ROUTES=10.0.0.0/8:default:sixteen-letters-",
	};
	static const char *const ports[] = {"20000", "20000-", "-20000", "20001-20000", "1023-2000",
		"65000-65536", "20000-20001x", " 20000-20001", "00020000-20001",
		"20000-20001-20002", "a-b"};
	static const char *const paths[] = {"STATE", "STACKS", "RUN", "SLUGS", "BINDS"};
	static char long_path[PATH_MAX + 40];
	char text[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)snprintf(text, sizeof text, "LIBCONTAINER_DYNO_%s", bad[i]);
		if (set(text) != -EINVAL)
			fail_msg("%s was taken", text);
		*strchr(text, '=') = '\0';
		assert_says(text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		(void)snprintf(text, sizeof text, "HSUP_BOX_PUBLISH=%s", ports[i]);
		if (set(text) != -EINVAL)
			fail_msg("%s was taken", text);
		assert_says("HSUP_BOX_PUBLISH: '");
	}
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		(void)snprintf(text, sizeof text, "HSUP_BOX_%s=relative", paths[i]);
		assert_int_equal(set(text), -EINVAL);
		assert_says("absolute path");
		int n = snprintf(long_path, sizeof long_path, "HSUP_BOX_%s=/", paths[i]);
		memset(long_path + n, 'x', PATH_MAX - 1);
		long_path[n + PATH_MAX - 1] = '\0';
		assert_int_equal(set(long_path), -EINVAL);
		long_path[n + PATH_MAX - 2] = '\0';
		assert_int_equal(set(long_path), 0);
	}
	assert_int_equal(set("HSUP_BOX_DIE_AFTER=1001"), -EINVAL);
	assert_int_equal(set("HSUP_BOX_SKIP=a-name-of-thirty-two-letters-here"), -EINVAL);
	assert_int_equal(set("HSUP_BOX_SKIP=a-name-of-thirty-one-letters-xx"), 0);
}

static void test_names_that_are_not_ours(void **state)
{
	static const char *const others[] = {"", "=", "PATH=/bin", "HSUP_BOX_STATE",
		"HSUP_BOX_STATES=/x", "XHSUP_BOX_STATE=/x", "LIBCONTAINER_DYNO_UID=1",
		"libcontainer_dyno_uid_min=1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(set(others[i]), -ENOENT);
	/* And nobody need hear of it. */
	assert_int_equal(box_settings_set(&s, "PATH=/bin", NULL), -ENOENT);
	assert_int_equal(box_settings_set(&s, "HSUP_BOX_STATE=x", NULL), -EINVAL);
}

static void test_empty_is_unset(void **state)
{
	(void)state;
	assert_int_equal(load((const char *[]){"LIBCONTAINER_DYNO_SUBNET=", "HSUP_BOX_STATE=",
				 "HSUP_BOX_BINDS=", "LIBCONTAINER_DYNO_UID_MIN=", NULL}),
		0);
	assert_int_equal(s.uids.min, 3000);
	assert_int_equal(s.n_binds, 0);
}

static void test_as_many_as_there_may_be(void **state)
{
	char routes[1200] = "LIBCONTAINER_DYNO_EXTRA_ROUTES=default:default:eth0";

	(void)state;
	box_settings_init(&s);
	for (unsigned i = 0; i < BOX_FOLDERS; i++) {
		assert_int_equal(box_settings_set(&s, "HSUP_BOX_SLUGS=/a", &err), 0);
		assert_int_equal(box_settings_set(&s, "HSUP_BOX_BINDS=/a", &err), 0);
	}
	assert_int_equal(box_settings_set(&s, "HSUP_BOX_SLUGS=/a", &err), -EINVAL);
	assert_int_equal(box_settings_set(&s, "HSUP_BOX_BINDS=/a", &err), -EINVAL);
	assert_int_equal(s.n_slugs, BOX_FOLDERS);
	for (unsigned i = 1; i < BOX_ROUTES; i++)
		strcat(routes, ",default:default:eth0");
	assert_int_equal(set(routes), 0);
	assert_int_equal(s.n_routes, BOX_ROUTES);
	/* Set again it is another list, not a longer one. */
	assert_int_equal(box_settings_set(&s, routes, &err), 0);
	assert_int_equal(s.n_routes, BOX_ROUTES);
	strcat(routes, ",default:default:eth0");
	assert_int_equal(set(routes), -EINVAL);
	memset(strchr(routes, '=') + 1, 'x', 1100);
	assert_int_equal(set(routes), -EINVAL); /* longer than what is looked at */
}

static void test_what_does_not_fit_together(void **state)
{
	(void)state;
	assert_int_equal(load((const char *[]){"LIBCONTAINER_DYNO_UID_MIN=11000", NULL}),
		0); /* one is enough */
	assert_int_equal(load((const char *[]){"LIBCONTAINER_DYNO_UID_MIN=11001", NULL}), -EINVAL);
	assert_says("LIBCONTAINER_DYNO_UID_MIN (11001) is above LIBCONTAINER_DYNO_UID_MAX (11000)");
	assert_int_equal(load((const char *[]){"LIBCONTAINER_DYNO_UID_MAX=2999", NULL}), -EINVAL);
	assert_int_equal(
		load((const char *[]){"LIBCONTAINER_DYNO_EXTRA_ROUTES=default:default:eth1", NULL}),
		-EINVAL);
	assert_says("a dyno has no interface eth1");
	/* In whatever order they are set. */
	assert_int_equal(
		load((const char *[]){"LIBCONTAINER_DYNO_EXTRA_ROUTES=default:default:eth1",
			"LIBCONTAINER_DYNO_EXTRA_INTERFACE=ens5:10.0.0.1/8", NULL}),
		0);
	assert_int_equal(
		load((const char *[]){"LIBCONTAINER_DYNO_EXTRA_ROUTES=default:default:eth2",
			"LIBCONTAINER_DYNO_EXTRA_INTERFACE=ens5:10.0.0.1/8", NULL}),
		-EINVAL);
	assert_int_equal(
		load((const char *[]){"LIBCONTAINER_DYNO_SUBNET=10.0.0.0/31", NULL}), -EINVAL);
	/* Whose files a stack's are, no dyno may be. */
	static const struct {
		const char *min, *max;
		int result;
	} ranges[] = {{"1899990000", "1899999999", 0}, {"1899990000", "1900000000", -EINVAL},
		{"1900000001", "1900000002", -EINVAL}, {"1900065535", "1900070000", -EINVAL},
		{"1899990000", "1900070000", -EINVAL}, {"1900065536", "1900070000", 0}};
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		char min[60], max[60];

		(void)snprintf(min, sizeof min, "LIBCONTAINER_DYNO_UID_MIN=%s", ranges[i].min);
		(void)snprintf(max, sizeof max, "LIBCONTAINER_DYNO_UID_MAX=%s", ranges[i].max);
		assert_int_equal(load((const char *[]){max, min, NULL}), ranges[i].result);
		if (ranges[i].result < 0)
			assert_says("1900000000 to 1900065535 are those of stacks' files");
	}
	/* One for each uid, of those that have an address. */
	static const struct {
		const char *a, *b;
		const char *says; /* NULL: they fit */
	} each[] = {
		{"HSUP_BOX_PUBLISH=20000-28000", "", NULL},
		{"HSUP_BOX_PUBLISH=20000-27999", "",
			"20000 to 27999 are 8000 ports, and LIBCONTAINER_DYNO_UID_MIN to _MAX "
			"8001 dynos"},
		{"HSUP_BOX_PUBLISH=1024-1087", "LIBCONTAINER_DYNO_SUBNET=10.0.0.0/24", NULL},
		{"HSUP_BOX_PUBLISH=1024-1086", "LIBCONTAINER_DYNO_SUBNET=10.0.0.0/24", "63 ports"},
		{"HSUP_BOX_PUBLISH=65535-65535", "LIBCONTAINER_DYNO_UID_MIN=11000", NULL},
		{"HSUP_BOX_PUBLISH=20000-28000", "LIBCONTAINER_DYNO_NETWORK=host",
			"LIBCONTAINER_DYNO_NETWORK=host or none"},
		{"LIBCONTAINER_DYNO_EXTRA_INTERFACE=ens5:10.0.0.1-10.0.0.10/8",
			"LIBCONTAINER_DYNO_UID_MIN=10991", NULL},
		{"LIBCONTAINER_DYNO_EXTRA_INTERFACE=ens5:10.0.0.1-10.0.0.10/8",
			"LIBCONTAINER_DYNO_UID_MIN=10990",
			"10 addresses, and LIBCONTAINER_DYNO_UID_MIN to _MAX 11 dynos"},
		{"LIBCONTAINER_DYNO_EXTRA_INTERFACE=ens5:0.0.0.0-255.255.255.255/0", "", NULL},
		{"LIBCONTAINER_DYNO_EXTRA_INTERFACE=ens5:10.0.0.1-10.0.0.2/8",
			"LIBCONTAINER_DYNO_EXTRA_INTERFACE=ens5:10.0.0.1/8", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(each); i++) {
		const char *all[] = {each[i].a, each[i].b, NULL};

		assert_int_equal(load(all), each[i].says ? -EINVAL : 0);
		if (each[i].says)
			assert_says(each[i].says);
	}
	/* The first that is wrong is named. */
	assert_int_equal(
		load((const char *[]){"HSUP_BOX_RUN=x", "HSUP_BOX_STATE=x", NULL}), -EINVAL);
	assert_says("HSUP_BOX_RUN");
}

static void network(const char *subnet, unsigned min, unsigned max)
{
	char text[100];

	(void)snprintf(text, sizeof text, "LIBCONTAINER_DYNO_SUBNET=%s", subnet);
	assert_int_equal(set(text), 0);
	s.uids = (struct id_range){min, max};
}

static void test_addresses(void **state)
{
	uint32_t machine = 0, dyno = 0;

	(void)state;
	network("192.168.200.0/30", 3000, 3000);
	assert_int_equal(box_uids(&s), 1);
	assert_true(box_addresses(&s, 3000, &machine, &dyno));
	assert_int_equal(machine, 0xc0a8c801);
	assert_int_equal(dyno, 0xc0a8c802);
	assert_false(box_addresses(&s, 2999, &machine, &dyno));
	assert_false(box_addresses(&s, 3001, &machine, &dyno));

	/* More uids than there is room for. */
	network("10.201.0.0/24", 4000, 4099);
	assert_int_equal(box_uids(&s), 64);
	assert_true(box_addresses(&s, 4063, &machine, &dyno));
	assert_int_equal(machine, 0x0ac900fd);
	assert_int_equal(dyno, 0x0ac900fe);
	assert_false(box_addresses(&s, 4064, &machine, &dyno));

	/* More room than there are uids. */
	network("172.16.0.0/12", 3000, 11000);
	assert_int_equal(box_uids(&s), 8001);
	assert_true(box_addresses(&s, 11000, &machine, &dyno));
	assert_int_equal(dyno, 0xac100002 + 4 * 8000);
	assert_false(box_addresses(&s, 11001, &machine, &dyno));

	/* At the ends of what numbers there are. */
	network("0.0.0.0/0", 1, 2147483647);
	assert_int_equal(box_uids(&s), 1u << 30);
	assert_true(box_addresses(&s, 1u << 30, &machine, &dyno));
	assert_int_equal(dyno, 0xfffffffe);
	assert_false(box_addresses(&s, (1u << 30) + 1, &machine, &dyno));
	assert_false(box_addresses(&s, 0, &machine, &dyno));
	assert_false(box_addresses(&s, UINT32_MAX, &machine, &dyno));
}

static void test_ports_and_extra_addresses(void **state)
{
	(void)state;
	network("10.201.0.0/24", 4000, 4099);
	assert_int_equal(box_published(&s, 4000), 0);
	assert_int_equal(box_settings_set(&s, "HSUP_BOX_PUBLISH=20000-20063", &err), 0);
	assert_int_equal(box_published(&s, 4000), 20000);
	assert_int_equal(box_published(&s, 4063), 20063);
	assert_int_equal(box_published(&s, 4064), 0);
	assert_int_equal(box_published(&s, 3999), 0);
	assert_int_equal(
		box_settings_set(&s, "LIBCONTAINER_DYNO_EXTRA_INTERFACE=ens5:192.0.2.10/24", &err),
		0);
	assert_int_equal(box_extra_address(&s, 4000), 0xc000020a);
	assert_int_equal(box_extra_address(&s, 4005), 0xc000020a);
	assert_int_equal(
		box_settings_set(&s,
			"LIBCONTAINER_DYNO_EXTRA_INTERFACE=ens5:192.0.2.10-192.0.2.73/24", &err),
		0);
	assert_int_equal(s.extra.bits, 24);
	assert_int_equal(box_extra_address(&s, 4000), 0xc000020a);
	assert_int_equal(box_extra_address(&s, 4063), 0xc0000249);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_holds_when_nothing_is_said),
		cmocka_unit_test(test_each_is_understood),
		cmocka_unit_test(test_who_passes_a_network_on),
		cmocka_unit_test(test_what_is_not_understood_is_named),
		cmocka_unit_test(test_names_that_are_not_ours),
		cmocka_unit_test(test_empty_is_unset),
		cmocka_unit_test(test_as_many_as_there_may_be),
		cmocka_unit_test(test_what_does_not_fit_together),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_ports_and_extra_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
