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

static void test_root_grants_any_id(void **state)
{
	struct policy p;

	(void)state;
	policy_init(&p, 0, 0, NULL, 0);
	reset();
	assert_int_equal(policy_check(&p, &spec), 0);
	ask(0, 0);
	assert_int_equal(policy_check(&p, &spec), 0);
	ask(UINT32_MAX - 1, UINT32_MAX - 1);
	spec.groups[0] = 5;
	spec.n_groups = 1;
	assert_int_equal(policy_check(&p, &spec), 0);
	ask(UINT32_MAX, 1);
	assert_int_equal(policy_check(&p, &spec), EPERM);
	ask(1, UINT32_MAX);
	assert_int_equal(policy_check(&p, &spec), EPERM);
}

static void test_a_range_binds_root_too(void **state)
{
	struct policy p;

	(void)state;
	policy_init(&p, 0, 0, NULL, 0);
	p.uid_min = p.gid_min = 1000;
	p.uid_max = p.gid_max = 1999;
	ask(1000, 1999);
	assert_int_equal(policy_check(&p, &spec), 0);
	ask(0, 1000);
	assert_int_equal(policy_check(&p, &spec), EPERM);
	ask(2000, 1000);
	assert_int_equal(policy_check(&p, &spec), EPERM);
	ask(1000, 999);
	assert_int_equal(policy_check(&p, &spec), EPERM);
	ask(1000, 1000);
	spec.groups[0] = 1000;
	spec.groups[1] = 0;
	spec.n_groups = 2;
	assert_int_equal(policy_check(&p, &spec), EPERM);
}

static void test_others_grant_only_their_own(void **state)
{
	struct policy p;

	(void)state;
	policy_init(&p, 1000, 100, (gid_t[]){27, 28}, 2);
	reset();
	assert_int_equal(policy_check(&p, &spec), 0);
	ask(1000, 100);
	assert_int_equal(policy_check(&p, &spec), 0);
	ask(0, 0);
	assert_int_equal(policy_check(&p, &spec), EPERM);
	ask(1001, 100);
	assert_int_equal(policy_check(&p, &spec), EPERM);
	ask(1000, 27);
	assert_int_equal(policy_check(&p, &spec), EPERM);
	ask(1000, 100);
	spec.groups[0] = 100;
	spec.groups[1] = 28;
	spec.n_groups = 2;
	assert_int_equal(policy_check(&p, &spec), 0);
	spec.groups[1] = 29;
	assert_int_equal(policy_check(&p, &spec), EPERM);
}

static void test_counts_and_directory(void **state)
{
	struct policy p;

	(void)state;
	policy_init(&p, 0, 0, NULL, 0);
	reset();
	spec.directory = "app";
	assert_int_equal(policy_check(&p, &spec), EINVAL);
	spec.directory = "/app";
	assert_int_equal(policy_check(&p, &spec), 0);
	p.max_args = 3;
	spec.n_args = 4;
	assert_int_equal(policy_check(&p, &spec), E2BIG);
	spec.n_args = 3;
	p.max_env = 2;
	spec.n_env = 3;
	assert_int_equal(policy_check(&p, &spec), E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root_grants_any_id),
		cmocka_unit_test(test_a_range_binds_root_too),
		cmocka_unit_test(test_others_grant_only_their_own),
		cmocka_unit_test(test_counts_and_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
