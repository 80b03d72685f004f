#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "box/plan.h"

#include <errno.h>
#include <linux/mount.h>
#include <stdio.h>

static struct spec spec;
static struct plan plan;
static struct plan_facts facts;
static enum wire_stage stage;

static int setup(void **state)
{
	(void)state;
	memset(&spec, 0, sizeof spec);
	facts = (struct plan_facts){.root = true, .slug = true, .sys = true};
	return 0;
}

static void on_host(void)
{
	static const char *const links[] = {
		NULL, "usr/bin", "usr/sbin", "usr/lib", NULL, "usr/lib64", NULL, NULL};

	facts.host = true;
	for (unsigned i = 0; i < PLAN_HOST_NAMES; i++) {
		facts.host_names[i].there = links[i] || strcmp(plan_host_names[i], "usr") == 0 ||
					    strcmp(plan_host_names[i], "opt") == 0;
		if (links[i])
			(void)snprintf(facts.host_names[i].link, sizeof facts.host_names[i].link,
				"%s", links[i]);
	}
}

static int make(void)
{
	return plan_make(&spec, &facts, &plan, &stage);
}

static int make_with(const char *bind)
{
	spec.binds[spec.n_binds++] = bind;
	return make();
}

/* Its place among the steps, or -1. */
static int at(enum plan_type type, const char *target)
{
	for (unsigned i = 0; i < plan.n; i++)
		if (plan.steps[i].type == type && strcmp(plan.steps[i].target, target) == 0)
			return (int)i;
	return -1;
}

static const struct plan_step *step(enum plan_type type, const char *target)
{
	int i = at(type, target);

	if (i < 0)
		fail_msg("no step %d for '%s'", (int)type, target);
	return &plan.steps[i];
}

static unsigned count(enum plan_type type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < plan.n; i++)
		n += plan.steps[i].type == type;
	return n;
}

static bool is_mount(enum plan_type type)
{
	return type >= PLAN_ROOT && type != PLAN_DEV && type != PLAN_DEV_ATTACH &&
	       type != PLAN_MASK && type != PLAN_MASK_CPUS && type != PLAN_EMPTY;
}

static void test_every_target_is_relative_and_has_no_dots(void **state)
{
	(void)state;
	on_host();
	assert_int_equal(make_with("/data/x:/data/./x"), -EINVAL);
	spec.n_binds = 0;
	assert_int_equal(make_with("/data/x:/data/x"), 0);
	for (unsigned i = 0; i < plan.n; i++) {
		const char *t = plan.steps[i].target;
		assert_true(t[0] != '/');
		assert_null(strstr(t, ".."));
		assert_null(strstr(t, "//"));
	}
}

static void test_parents_come_before_what_is_in_them(void **state)
{
	(void)state;
	assert_int_equal(make_with("/data/x:/a/b/c/d"), 0);
	for (unsigned i = 0; i < plan.n; i++) {
		char parent[256];

		if (plan.steps[i].type > PLAN_DEVICE || plan.steps[i].type == PLAN_NO_LINK)
			continue;
		(void)snprintf(parent, sizeof parent, "%s", plan.steps[i].target);
		char *slash = strrchr(parent, '/');
		if (!slash)
			continue;
		*slash = '\0';
		int of = at(PLAN_DIR, parent);
		assert_true(of >= 0 && of < (int)i);
	}
}

static void test_the_skeleton_is_complete_before_the_root(void **state)
{
	static const enum plan_type made[] = {PLAN_TEXT, PLAN_FILE, PLAN_WHITEOUT, PLAN_NO_LINK};

	(void)state;
	assert_int_equal(make_with("/data/x:/data/x"), 0);
	int root = at(PLAN_ROOT, ""), dev = at(PLAN_DEV, "dev"),
	    attach = at(PLAN_DEV_ATTACH, "dev");
	assert_true(root > 0 && root < dev && dev < attach);
	for (int i = root; i < (int)plan.n; i++) {
		enum plan_type type = plan.steps[i].type;
		for (unsigned k = 0; k < ARRAY_SIZE(made); k++)
			assert_int_not_equal(type, made[k]);
		if (type == PLAN_DIR || type == PLAN_SYMLINK || type == PLAN_DEVICE) {
			assert_true(i > dev && i < attach);
			assert_memory_equal(plan.steps[i].target, "dev/", 4);
		}
	}
}

/* Every mount has a folder of ours under it: what the stack has there is not asked. */
static void test_every_mount_point_is_in_the_skeleton(void **state)
{
	(void)state;
	assert_int_equal(make_with("/data/x:/data/x"), 0);
	for (unsigned i = 0; i < plan.n; i++) {
		const struct plan_step *s = &plan.steps[i];

		if (is_mount(s->type) && s->type != PLAN_ROOT && s->type != PLAN_READ_ONLY)
			assert_true(at(PLAN_DIR, s->target) >= 0 || at(PLAN_FILE, s->target) >= 0);
	}
}

static void test_no_mount_has_set_uid_or_devices(void **state)
{
	(void)state;
	assert_int_equal(make_with("/data/x:/data/x"), 0);
	for (unsigned i = 0; i < plan.n; i++) {
		const struct plan_step *s = &plan.steps[i];

		if (!is_mount(s->type) || s->type == PLAN_READ_ONLY)
			continue;
		assert_true(s->attributes & MOUNT_ATTR_NOSUID);
		if (s->type != PLAN_DEVPTS)
			assert_true(s->attributes & MOUNT_ATTR_NODEV);
	}
	assert_true(step(PLAN_DEV, "dev")->attributes & MOUNT_ATTR_NOSUID);
	assert_true(step(PLAN_DEV_ATTACH, "dev")->attributes & MOUNT_ATTR_RDONLY);
	assert_true(step(PLAN_ROOT, "")->attributes & MOUNT_ATTR_RDONLY);
}

/* Of moby's daemon/pkg/oci/defaults.go. */
static void test_masks_are_those_of_docker(void **state)
{
	static const char *const masks[] = {"proc/acpi", "proc/asound", "proc/interrupts",
		"proc/kcore", "proc/keys", "proc/latency_stats", "proc/sched_debug", "proc/scsi",
		"proc/timer_list", "proc/timer_stats", "sys/firmware",
		"sys/devices/virtual/powercap"};
	static const char *const read_only[] = {
		"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};

	(void)state;
	assert_int_equal(make(), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(masks); i++)
		assert_true(at(PLAN_MASK, masks[i]) > at(masks[i][0] == 'p' ? PLAN_PROC : PLAN_SYS,
							      masks[i][0] == 'p' ? "proc" : "sys"));
	assert_int_equal(count(PLAN_MASK), ARRAY_SIZE(masks));
	for (unsigned i = 0; i < ARRAY_SIZE(read_only); i++)
		assert_true(step(PLAN_READ_ONLY, read_only[i])->attributes & MOUNT_ATTR_RDONLY);
	assert_string_equal(
		step(PLAN_MASK_CPUS, "sys/devices/system/cpu")->text, "thermal_throttle");
}

static void test_a_step_left_out_is_left_out(void **state)
{
	(void)state;
	facts.no_masks = facts.no_read_only = facts.no_nosuid = facts.no_nodev = true;
	assert_int_equal(make(), 0);
	assert_int_equal(count(PLAN_MASK) + count(PLAN_MASK_CPUS) + count(PLAN_READ_ONLY), 0);
	for (unsigned i = 0; i < plan.n; i++)
		assert_false(plan.steps[i].attributes & (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
}

static void test_without_a_network_of_its_own_sys_is_empty(void **state)
{
	(void)state;
	facts.sys = false;
	assert_int_equal(make(), 0);
	assert_int_equal(at(PLAN_SYS, "sys"), -1);
	assert_true(at(PLAN_EMPTY, "sys") >= 0);
	assert_int_equal(at(PLAN_MASK, "sys/firmware"), -1);
}

static void test_of_the_machine_only_what_is_listed(void **state)
{
	(void)state;
	on_host();
	assert_int_equal(make(), 0);
	assert_int_equal(count(PLAN_HOST), 2);
	assert_true(step(PLAN_HOST, "usr")->attributes & MOUNT_ATTR_RDONLY);
	assert_true(step(PLAN_HOST, "opt")->attributes & MOUNT_ATTR_RDONLY);
	assert_string_equal(step(PLAN_SYMLINK, "lib64")->text, "usr/lib64");
	assert_int_equal(at(PLAN_DIR, "lib32"), -1);
	assert_true(at(PLAN_WHITEOUT, "etc/shadow") >= 0);
	assert_true(at(PLAN_WHITEOUT, "etc/ssl/private") >= 0);
	assert_true(step(PLAN_HOST_ETC, "etc")->attributes & MOUNT_ATTR_RDONLY);
	assert_int_equal(at(PLAN_ROOT, ""), -1);
}

static void test_bind_forms(void **state)
{
	static const char *const wrong[] = {"", ":", "/a", "/a:", ":/a", "a:/b", "/a:b", "/a:/b:rw",
		"/a:/b:ro:", "/a:/b:", "/a/../b:/c", "/a:/c/../d", "/a:/./d", "/a//b:/c",
		"/a:/c//d", "/:/a", "/a:/"};
	struct plan_bind b;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(plan_bind_parse(wrong[i], &b), -EINVAL);
	assert_int_equal(plan_bind_parse("/a/b/:/c:ro", &b), 0);
	assert_int_equal(b.source_len, 4);
	assert_int_equal(b.target_len, 2);
	assert_memory_equal(b.target, "/c", 2);
	assert_true(b.read_only);
	assert_int_equal(plan_bind_parse("/a:/...", &b), 0);
	assert_false(b.read_only);
}

static void test_below_is_by_whole_names(void **state)
{
	(void)state;
	assert_string_equal(plan_below("/a/b/c", 6, "/a"), "b/c");
	assert_string_equal(plan_below("/a/b/c", 6, "/a/"), "b/c");
	assert_string_equal(plan_below("/a", 2, "/a"), "");
	assert_string_equal(plan_below("/a", 2, "/"), "a");
	assert_null(plan_below("/ab", 3, "/a"));
	assert_null(plan_below("/", 1, "/a"));
}

static void test_a_bind_has_its_target_made_in_the_skeleton(void **state)
{
	(void)state;
	facts.folder[0] = true;
	spec.binds[spec.n_binds++] = "/data/x:/srv/x";
	assert_int_equal(make_with("/data/y:/srv/y:ro"), 0);
	assert_true(at(PLAN_NO_LINK, "srv") >= 0 && at(PLAN_NO_LINK, "srv") < at(PLAN_DIR, "srv"));
	assert_true(at(PLAN_DIR, "srv/x") >= 0);
	assert_true(at(PLAN_FILE, "srv/y") >= 0);
	assert_int_equal(step(PLAN_BIND, "srv/x")->make, PLAN_TARGET_IS);
	assert_false(step(PLAN_BIND, "srv/x")->attributes & MOUNT_ATTR_RDONLY);
	assert_true(step(PLAN_BIND, "srv/y")->attributes & MOUNT_ATTR_RDONLY);
	assert_int_equal(step(PLAN_BIND, "srv/y")->index, 1);
}

static void test_where_a_bind_may_make_its_target(void **state)
{
	(void)state;
	on_host();
	spec.binds[spec.n_binds++] = "/data/a:/app/a";
	spec.binds[spec.n_binds++] = "/data/t:/tmp/t";
	spec.binds[spec.n_binds++] = "/data/u:/usr/share/u";
	spec.binds[spec.n_binds++] = "/data/m:/m";
	spec.binds[spec.n_binds++] = "/data/n:/m/n";
	spec.binds[spec.n_binds++] = "/data/n:/app/a/b";
	assert_int_equal(make(), 0);
	assert_int_equal(step(PLAN_BIND, "app/a")->make, PLAN_TARGET_GIVEN);
	assert_int_equal(step(PLAN_BIND, "tmp/t")->make, PLAN_TARGET_MADE);
	/* The machine's: never made there. */
	assert_int_equal(step(PLAN_BIND, "usr/share/u")->make, PLAN_TARGET_IS);
	assert_int_equal(at(PLAN_DIR, "usr/share"), -1);
	assert_int_equal(step(PLAN_BIND, "m/n")->make, PLAN_TARGET_IS);
	assert_int_equal(at(PLAN_FILE, "m/n"), -1);
	assert_int_equal(step(PLAN_BIND, "app/a/b")->make, PLAN_TARGET_IS);
}

static void test_binds_that_are_refused(void **state)
{
	static const struct {
		const char *bind;
		int error;
	} refused[] = {
		{"/data/x:/proc/sys", -EACCES},
		{"/data/x:/proc", -EACCES},
		{"/data/x:/sys/firmware", -EACCES},
		{"/data/x:/dev/shm/x", -EACCES},
		{"/data/x:/bin/x", -ELOOP},
		{"/data/x:/var/run/x", -ELOOP},
		{"/data/x", -EINVAL},
	};

	(void)state;
	on_host();
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		spec.n_binds = 0;
		assert_int_equal(make_with(refused[i].bind), refused[i].error);
		assert_int_equal(stage, WIRE_STAGE_BINDS);
	}
}

static void test_more_than_fits_is_refused(void **state)
{
	static char deep[SPEC_BOX_BINDS][2100];

	(void)state;
	for (unsigned i = 0; i < SPEC_BOX_BINDS; i++) {
		int n = snprintf(deep[i], sizeof deep[i], "/s:/t%u", i);
		while (n < 2000)
			n += snprintf(deep[i] + n, sizeof deep[i] - (size_t)n, "/d");
		spec.binds[spec.n_binds++] = deep[i];
	}
	assert_int_equal(make(), -E2BIG);
	assert_true(plan.n <= PLAN_STEPS && plan.n_chars <= PLAN_CHARS);
}

static void test_as_many_binds_as_a_spec_has(void **state)
{
	static char text[SPEC_BOX_BINDS][64];

	(void)state;
	on_host();
	for (unsigned i = 0; i < SPEC_BOX_BINDS; i++) {
		(void)snprintf(text[i], sizeof text[i], "/source/%u:/mnt/of/%u/data", i, i);
		spec.binds[spec.n_binds++] = text[i];
	}
	assert_int_equal(make(), 0);
	assert_int_equal(count(PLAN_BIND), SPEC_BOX_BINDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_every_target_is_relative_and_has_no_dots, setup),
		cmocka_unit_test_setup(test_parents_come_before_what_is_in_them, setup),
		cmocka_unit_test_setup(test_the_skeleton_is_complete_before_the_root, setup),
		cmocka_unit_test_setup(test_every_mount_point_is_in_the_skeleton, setup),
		cmocka_unit_test_setup(test_no_mount_has_set_uid_or_devices, setup),
		cmocka_unit_test_setup(test_masks_are_those_of_docker, setup),
		cmocka_unit_test_setup(test_a_step_left_out_is_left_out, setup),
		cmocka_unit_test_setup(test_without_a_network_of_its_own_sys_is_empty, setup),
		cmocka_unit_test_setup(test_of_the_machine_only_what_is_listed, setup),
		cmocka_unit_test_setup(test_bind_forms, setup),
		cmocka_unit_test_setup(test_below_is_by_whole_names, setup),
		cmocka_unit_test_setup(test_a_bind_has_its_target_made_in_the_skeleton, setup),
		cmocka_unit_test_setup(test_where_a_bind_may_make_its_target, setup),
		cmocka_unit_test_setup(test_binds_that_are_refused, setup),
		cmocka_unit_test_setup(test_more_than_fits_is_refused, setup),
		cmocka_unit_test_setup(test_as_many_binds_as_a_spec_has, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
