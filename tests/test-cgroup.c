#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cgroup.h"

#include <stdio.h>

/* Each line by itself, as the loader gives them. */
static struct cgroup_layout layout_of(const char *text)
{
	struct cgroup_layout l = {0};
	char line[1024];

	while (*text) {
		size_t len = strcspn(text, "\n");

		assert_true(len < sizeof line);
		memcpy(line, text, len);
		line[len] = '\0';
		cgroup_layout_mount(&l, line);
		text += len + (text[len] == '\n');
	}
	return l;
}

#define ROOT "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"

static void test_v1(void **state)
{
	struct cgroup_layout l = layout_of(
		ROOT "31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
		     "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup "
		     "rw,cpu,cpuacct\n"
		     "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup "
		     "rw,memory\n"
		     "36 31 0:33 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n");

	(void)state;
	assert_string_equal(l.unified, "");
	assert_string_equal(cgroup_folder(&l, CGROUP_MEMORY), "/sys/fs/cgroup/memory");
	assert_string_equal(cgroup_folder(&l, CGROUP_CPU), "/sys/fs/cgroup/cpu,cpuacct");
	assert_string_equal(cgroup_folder(&l, CGROUP_CPUACCT), "/sys/fs/cgroup/cpu,cpuacct");
	assert_null(cgroup_folder(&l, CGROUP_PIDS));
}

static void test_v2(void **state)
{
	struct cgroup_layout l =
		layout_of(ROOT "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 "
			       "rw,nsdelegate,memory_recursiveprot\n");

	(void)state;
	assert_string_equal(l.unified, "/sys/fs/cgroup");
	assert_null(cgroup_folder(&l, CGROUP_MEMORY));
	cgroup_layout_controllers(&l, "cpuset cpu io memory hugetlb pids rdma misc\n");
	assert_string_equal(cgroup_folder(&l, CGROUP_MEMORY), "/sys/fs/cgroup");
	assert_string_equal(cgroup_folder(&l, CGROUP_CPU), "/sys/fs/cgroup");
	assert_string_equal(cgroup_folder(&l, CGROUP_PIDS), "/sys/fs/cgroup");
	assert_null(cgroup_folder(&l, CGROUP_CPUACCT));
	cgroup_layout_controllers(&l, "cpuset io memory\n");
	assert_null(cgroup_folder(&l, CGROUP_CPU));
	cgroup_layout_controllers(&l, "");
	assert_int_equal(l.controllers, 0);
}

/* Limits by the old hierarchies; processes are known by the unified one. */
static void test_hybrid_of_systemd(void **state)
{
	struct cgroup_layout l = layout_of(ROOT
		"31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
		"32 31 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw\n"
		"33 31 0:30 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup "
		"rw,xattr,name=systemd\n"
		"34 31 0:31 / /sys/fs/cgroup/pids rw,nosuid shared:12 - cgroup cgroup rw,pids\n"
		"35 31 0:32 / /sys/fs/cgroup/memory rw,nosuid shared:13 - cgroup cgroup "
		"rw,memory\n");

	(void)state;
	cgroup_layout_controllers(&l, "hugetlb\n");
	assert_string_equal(l.unified, "/sys/fs/cgroup/unified");
	assert_int_equal(l.controllers, 0);
	assert_string_equal(cgroup_folder(&l, CGROUP_MEMORY), "/sys/fs/cgroup/memory");
	assert_string_equal(cgroup_folder(&l, CGROUP_PIDS), "/sys/fs/cgroup/pids");
}

/* Names of hierarchies that only look like controllers. */
static void test_words_are_whole(void **state)
{
	struct cgroup_layout l = layout_of("1 2 0:1 / /a rw - cgroup cgroup rw,name=memory\n"
					   "2 2 0:1 / /b rw - cgroup cgroup rw,cpuset,memoryx\n");

	(void)state;
	for (enum cgroup_controller c = 0; c < CGROUP_CONTROLLERS; c++)
		assert_null(cgroup_folder(&l, c));
}

/* A container is shown its own part, often only to be read. */
static void test_inside_docker(void **state)
{
	struct cgroup_layout l = layout_of(
		"600 599 0:50 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755\n"
		"601 600 0:32 /docker/0f3c /sys/fs/cgroup/memory ro,nosuid master:13 - cgroup "
		"cgroup rw,memory\n"
		"602 600 0:31 /docker/0f3c /sys/fs/cgroup/pids rw,nosuid master:12 - cgroup "
		"cgroup rw,pids\n");

	(void)state;
	assert_null(cgroup_folder(&l, CGROUP_MEMORY));
	assert_string_equal(cgroup_folder(&l, CGROUP_PIDS), "/sys/fs/cgroup/pids");
	l = layout_of("601 600 0:32 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n");
	assert_string_equal(l.unified, "");
}

static void test_none(void **state)
{
	struct cgroup_layout l = layout_of(ROOT "22 27 0:21 / /proc rw - proc proc rw\n"
						"a line of no such form\n"
						"1 2 0:1 / /x rw shared:1\n"
						"1 2 0:1 / /x rw - cgroup2\n"
						"\n");

	(void)state;
	assert_string_equal(l.unified, "");
	for (enum cgroup_controller c = 0; c < CGROUP_CONTROLLERS; c++)
		assert_null(cgroup_folder(&l, c));
}

static void test_of_two_mounts_the_reachable_one(void **state)
{
	/* Twice in different places: the first. */
	struct cgroup_layout l = layout_of("1 2 0:1 / /a rw - cgroup2 cgroup2 rw\n"
					   "2 2 0:1 / /b rw - cgroup2 cgroup2 rw\n");

	(void)state;
	assert_string_equal(l.unified, "/a");
	/* Something else was mounted over it. */
	l = layout_of("1 2 0:1 / /a rw - cgroup cgroup rw,memory\n"
		      "2 2 0:1 / /b rw - cgroup2 cgroup2 rw\n"
		      "3 2 0:2 / /a rw - tmpfs tmpfs rw\n");
	assert_null(cgroup_folder(&l, CGROUP_MEMORY));
	assert_string_equal(l.unified, "/b");
}

static void test_odd_names(void **state)
{
	char line[CGROUP_PATH + 100];
	struct cgroup_layout l = layout_of("1 2 0:1 / /a\\040b\\134c rw - cgroup2 none rw\n");

	(void)state;
	assert_string_equal(l.unified, "/a b\\c");
	(void)snprintf(line, sizeof line, "1 2 0:1 / /%0*d rw - cgroup2 none rw", CGROUP_PATH, 1);
	l = layout_of(line);
	assert_string_equal(l.unified, "");
	(void)snprintf(
		line, sizeof line, "1 2 0:1 / /%0*d rw - cgroup2 none rw", CGROUP_PATH - 2, 1);
	l = layout_of(line);
	assert_int_equal(strlen(l.unified), CGROUP_PATH - 1);
}

static void test_own(void **state)
{
	char path[CGROUP_PATH], text[CGROUP_PATH + 20];

	(void)state;
	assert_true(cgroup_own("9:name=systemd:/x\n4:memory:/y\n0::/user.slice/a b\n", path));
	assert_string_equal(path, "/user.slice/a b");
	assert_true(cgroup_own("0::/\n", path));
	assert_string_equal(path, "/");
	assert_false(cgroup_own("10::/not\n1:cpu:/\n", path));
	assert_false(cgroup_own("", path));
	(void)snprintf(text, sizeof text, "0::/%0*d\n", CGROUP_PATH - 1, 1);
	assert_false(cgroup_own(text, path));
}

/* Whatever this machine has: what is found is there, and is a hierarchy. */
static void test_of_this_machine(void **state)
{
	struct cgroup_layout l;
	char path[CGROUP_PATH + 20];

	(void)state;
	assert_int_equal(cgroup_layout_load(&l), 0);
	for (enum cgroup_controller c = 0; c < CGROUP_CONTROLLERS; c++) {
		const char *folder = cgroup_folder(&l, c);

		if (!folder)
			continue;
		(void)snprintf(path, sizeof path, "%s/cgroup.procs", folder);
		FILE *f = fopen(path, "re");
		assert_non_null(f);
		(void)fclose(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v1),
		cmocka_unit_test(test_v2),
		cmocka_unit_test(test_hybrid_of_systemd),
		cmocka_unit_test(test_words_are_whole),
		cmocka_unit_test(test_inside_docker),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_of_two_mounts_the_reachable_one),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_of_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
