#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spawn/policy.h"

#include <errno.h>

static struct spec spec;

static void reset(void)
{
	memset(&spec, 0, sizeof spec);
	spec.program = "true";
	spec.n_args = 1;
}

static void ask(uint32_t uid, uint32_t gid)
{
	reset();
	spec.has_user = true;
	spec.uid = uid;
	spec.gid = gid;
}

static struct id_grant grant(const char *range, bool root)
{
	struct id_grant g = {.own_uid = ID_NONE, .own_gid = ID_NONE, .root = root};
	struct id_range r;

	if (range) {
		assert_int_equal(id_range_parse(range, &r), 0);
		assert_int_equal(id_grant_add(&g, r), 0);
	}
	return g;
}

static int verdict(const struct policy *p, uint32_t uid, uint32_t gid)
{
	ask(uid, gid);
	return policy_check(p, &spec, false);
}

static void test_root_grants_any_id_but_its_own(void **state)
{
	struct id_grant g = grant(NULL, false);
	struct policy p;

	(void)state;
	policy_init(&p, 0, 0, NULL, 0, &g, true);
	reset();
	assert_int_equal(policy_check(&p, &spec, false), 0);
	ask(UINT32_MAX - 1, UINT32_MAX - 1);
	spec.groups[0] = 5;
	spec.n_groups = 1;
	assert_int_equal(policy_check(&p, &spec, false), 0);
	spec.groups[0] = 0;
	assert_int_equal(policy_check(&p, &spec, false), EPERM);
	assert_int_equal(verdict(&p, 1, 0), EPERM);
	assert_int_equal(verdict(&p, 0, 1), EPERM);
	assert_int_equal(verdict(&p, UINT32_MAX, 1), EPERM);
	assert_int_equal(verdict(&p, 1, UINT32_MAX), EPERM);
}

static void test_root_dynos_are_asked_for_at_launch(void **state)
{
	struct id_grant g = grant("1000-1999", true);
	struct policy p;

	(void)state;
	g.own_uid = g.own_gid = 900;
	policy_init(&p, 0, 0, NULL, 0, &g, true);
	reset();
	assert_int_equal(policy_check(&p, &spec, false), 0);
	assert_int_equal(verdict(&p, 0, 0), 0);
	assert_int_equal(verdict(&p, 999, 1000), EPERM);
	assert_int_equal(verdict(&p, UINT32_MAX, 1000), EPERM);
}

static void test_a_range_binds_root_too(void **state)
{
	struct id_grant g = grant("0-1999", false);
	struct policy p;

	(void)state;
	g.ranges[0].min = 1000;
	policy_init(&p, 0, 0, NULL, 0, &g, true);
	assert_int_equal(verdict(&p, 1000, 1999), 0);
	assert_int_equal(verdict(&p, 2000, 1000), EPERM);
	assert_int_equal(verdict(&p, 1000, 999), EPERM);
	ask(1000, 1000);
	spec.groups[0] = 1000;
	spec.groups[1] = 999;
	spec.n_groups = 2;
	assert_int_equal(policy_check(&p, &spec, false), EPERM);

	/* No range grants root. */
	p.grant.ranges[0].min = 0;
	assert_int_equal(verdict(&p, 0, 1000), EPERM);
	assert_int_equal(verdict(&p, 1000, 0), EPERM);
	assert_int_equal(verdict(&p, 1, 1), 0);
}

static void test_a_supervisor_of_its_own_user(void **state)
{
	struct id_grant g = grant("1000-1999", false);
	struct policy p;

	(void)state;
	g.own_uid = 1500;
	g.own_gid = 1501;
	policy_init(&p, 0, 0, NULL, 0, &g, true);
	reset();
	assert_int_equal(policy_check(&p, &spec, false), EPERM); /* it would be root */
	assert_int_equal(verdict(&p, 1499, 1000), 0);
	assert_int_equal(verdict(&p, 1500, 1000), EPERM);
	assert_int_equal(verdict(&p, 1499, 1501), EPERM);
	ask(1499, 1000);
	spec.groups[0] = 1501;
	spec.n_groups = 1;
	assert_int_equal(policy_check(&p, &spec, false), EPERM);

	/* Its own ids only by name. */
	assert_int_equal(id_grant_add(&p.grant, (struct id_range){1500, 1500}), 0);
	assert_int_equal(id_grant_add(&p.grant, (struct id_range){1501, 1501}), 0);
	assert_int_equal(verdict(&p, 1500, 1501), 0);
}

static void test_the_terminal(void **state)
{
	struct id_grant g = grant(NULL, false);
	struct policy p;

	(void)state;
	policy_init(&p, 1000, 100, NULL, 0, &g, false);
	reset();
	spec.session = SPEC_SESSION_FOREGROUND;
	assert_int_equal(policy_check(&p, &spec, false), EPERM);
	policy_init(&p, 1000, 100, NULL, 0, &g, true);
	assert_int_equal(policy_check(&p, &spec, false), 0);
}

static void test_ranges_are_read_strictly(void **state)
{
	static const char *const bad[] = {"", "-", "5-", "-5", "5-4", "a", "1-b", "1 - 2", "1-2-3",
		"4294967295", "0-4294967295", "+1", "99999999999999999999-1"};
	struct id_grant g = {0};
	struct id_range r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(id_range_parse(bad[i], &r), -EINVAL);
	assert_int_equal(id_range_parse("7", &r), 0);
	assert_true(r.min == 7 && r.max == 7);
	assert_int_equal(id_range_parse("0-4294967294", &r), 0);
	assert_true(r.min == 0 && r.max == UINT32_MAX - 1);
	for (unsigned i = 0; i < IDS_RANGES; i++)
		assert_int_equal(id_grant_add(&g, r), 0);
	assert_int_equal(id_grant_add(&g, r), -E2BIG);
}

static void test_others_grant_only_their_own(void **state)
{
	struct id_grant g = grant(NULL, false);
	struct policy p;

	(void)state;
	policy_init(&p, 1000, 100, (gid_t[]){27, 28}, 2, &g, true);
	reset();
	assert_int_equal(policy_check(&p, &spec, false), 0);
	ask(1000, 100);
	assert_int_equal(policy_check(&p, &spec, false), 0);
	ask(0, 0);
	assert_int_equal(policy_check(&p, &spec, false), EPERM);
	ask(1001, 100);
	assert_int_equal(policy_check(&p, &spec, false), EPERM);
	ask(1000, 27);
	assert_int_equal(policy_check(&p, &spec, false), EPERM);
	ask(1000, 100);
	spec.groups[0] = 100;
	spec.groups[1] = 28;
	spec.n_groups = 2;
	assert_int_equal(policy_check(&p, &spec, false), 0);
	spec.groups[1] = 29;
	assert_int_equal(policy_check(&p, &spec, false), EPERM);
}

static void test_counts_and_directory(void **state)
{
	struct id_grant g = grant(NULL, false);
	struct policy p;

	(void)state;
	policy_init(&p, 0, 0, NULL, 0, &g, true);
	reset();
	spec.directory = "app";
	assert_int_equal(policy_check(&p, &spec, false), EINVAL);
	spec.directory = "/app";
	assert_int_equal(policy_check(&p, &spec, false), 0);
	p.max_args = 3;
	spec.n_args = 4;
	assert_int_equal(policy_check(&p, &spec, false), E2BIG);
	spec.n_args = 3;
	p.max_env = 2;
	spec.n_env = 3;
	assert_int_equal(policy_check(&p, &spec, false), E2BIG);
}

static int order(const struct policy *p, unsigned mode, bool first)
{
	reset();
	spec.has_box = true;
	spec.box.mode = mode;
	return policy_check(p, &spec, first);
}

static void test_boxes(void **state)
{
	struct id_grant g = grant(NULL, false);
	struct policy p;

	(void)state;
	/* None was sealed: none, and no pid namespace either. */
	policy_init(&p, 0, 0, NULL, 0, &g, true);
	for (unsigned mode = SPEC_BOX_RUN; mode < SPEC_BOX_MODE_MAX; mode++) {
		assert_int_equal(order(&p, mode, true), EPERM);
		assert_int_equal(order(&p, mode, false), EPERM);
	}
	reset();
	assert_int_equal(policy_check(&p, &spec, true), EPERM);

	p.box = true;
	assert_int_equal(order(&p, SPEC_BOX_RUN, true), 0);
	assert_int_equal(order(&p, SPEC_BOX_RUN, false), EPERM);
	assert_int_equal(order(&p, SPEC_BOX_PARK, true), 0);
	assert_int_equal(order(&p, SPEC_BOX_PARK, false), EPERM);
	assert_int_equal(order(&p, SPEC_BOX_JOIN, true), EPERM);
	assert_int_equal(order(&p, SPEC_BOX_JOIN, false), 0);
	assert_int_equal(order(&p, SPEC_BOX_SWEEP, true), EPERM);
	assert_int_equal(order(&p, SPEC_BOX_SWEEP, false), 0);
	reset();
	assert_int_equal(policy_check(&p, &spec, false), 0);
	assert_int_equal(policy_check(&p, &spec, true), EPERM);

	/* Its ids are not for the spec to say, granted or not. */
	ask(1000, 1000);
	assert_int_equal(policy_check(&p, &spec, false), 0);
	spec.has_box = true;
	spec.box.mode = SPEC_BOX_RUN;
	assert_int_equal(policy_check(&p, &spec, true), EPERM);

	/* The rest binds it as it does others. */
	(void)order(&p, SPEC_BOX_RUN, true);
	spec.directory = "app";
	assert_int_equal(policy_check(&p, &spec, true), EINVAL);
	spec.directory = NULL;
	spec.session = SPEC_SESSION_FOREGROUND;
	assert_int_equal(policy_check(&p, &spec, true), 0);
	p.terminal = false;
	assert_int_equal(policy_check(&p, &spec, true), EPERM);
}

static void test_a_box_for_a_supervisor_of_its_own_user(void **state)
{
	struct id_grant g = grant("1000-1999", false);
	struct policy p;

	(void)state;
	g.own_uid = 1500;
	g.own_gid = 1501;
	policy_init(&p, 0, 0, NULL, 0, &g, true);
	assert_int_equal(order(&p, SPEC_BOX_RUN, true), EPERM);
	p.box = true;
	assert_int_equal(order(&p, SPEC_BOX_RUN, true), 0);
	/* That is no way to a process that is root. */
	reset();
	assert_int_equal(policy_check(&p, &spec, false), EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root_grants_any_id_but_its_own),
		cmocka_unit_test(test_root_dynos_are_asked_for_at_launch),
		cmocka_unit_test(test_a_range_binds_root_too),
		cmocka_unit_test(test_a_supervisor_of_its_own_user),
		cmocka_unit_test(test_the_terminal),
		cmocka_unit_test(test_ranges_are_read_strictly),
		cmocka_unit_test(test_others_grant_only_their_own),
		cmocka_unit_test(test_counts_and_directory),
		cmocka_unit_test(test_boxes),
		cmocka_unit_test(test_a_box_for_a_supervisor_of_its_own_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
