#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "io/stack_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[40];

static void make(const char *path)
{
	char full[300];

	(void)snprintf(full, sizeof full, "%s/%s", folder, path);
	for (char *slash = full + strlen(folder) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)mkdir(full, 0755);
		*slash = '/';
	}
	size_t len = strlen(full);
	if (full[len - 1] == '/')
		return;
	int fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	(void)close(fd);
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof folder, "/tmp/test-stack-dir-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return file_remove_tree(AT_FDCWD, folder);
}

static void expect(const char *name, const char *dir)
{
	char found[STACK_FOLDER] = "";
	struct err err = {0};

	assert_int_equal(stack_find(folder, name, found, &err), 0);
	assert_string_equal(found, dir);
}

static void the_newest_version_is_meant(void **state)
{
	(void)state;
	make("app-9/rootfs/");
	make("app-10/rootfs/");
	make("app-1.2/rootfs/");
	expect("app", "app-10");
	expect("app-9", "app-9");
	make("app-20260101000000/root.img");
	expect("app", "app-20260101000000");
}

/* A name with a dash is not the version of a shorter one. */
static void names_end_at_the_last_dash(void **state)
{
	char found[STACK_FOLDER];
	struct err err = {0};

	(void)state;
	make("heroku-24-1/rootfs/");
	make("heroku-22-7/rootfs/");
	expect("heroku-24", "heroku-24-1");
	expect("heroku-22", "heroku-22-7");
	assert_int_equal(stack_find(folder, "heroku", found, &err), -ENOENT);
	make("heroku-24/rootfs/");
	expect("heroku", "heroku-24");
	/* The exact one is meant, though it is the name of another, too. */
	expect("heroku-24", "heroku-24");
}

static void classic_trees_are_found(void **state)
{
	struct stack_entry *entries = NULL;
	struct err err = {0};
	size_t n = 0;

	(void)state;
	make("cedar-14-3/bin/sh");
	make("cedar-14-4/usr/");
	expect("cedar-14", "cedar-14-4");
	assert_int_equal(stack_list(folder, &entries, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(entries[0].kind, STACK_KIND_CLASSIC);
	assert_false(entries[0].has_manifest);
	assert_int_equal(entries[0].name, strlen("cedar-14"));
	free(entries);
}

static void what_is_no_stack_is_passed_over(void **state)
{
	struct stack_entry *entries = NULL;
	char path[100], found[STACK_FOLDER];
	struct err err = {0};
	size_t n = 9;

	(void)state;
	make(".adding-1234/rootfs/");
	make("empty-1/");
	make("file-1");
	make("nodash/rootfs/");
	make("b d-1/rootfs/");
	make("image-1/root.img/");
	make("fake-1/x");
	make("real-1/rootfs/");
	(void)snprintf(path, sizeof path, "%s/linked-1", folder);
	assert_int_equal(symlink("real-1", path), 0);
	/* rootfs as a link would lead out. */
	(void)snprintf(path, sizeof path, "%s/fake-1/rootfs", folder);
	assert_int_equal(symlink("/", path), 0);
	assert_int_equal(stack_list(folder, &entries, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_string_equal(entries[0].folder, "real-1");
	free(entries);
	assert_int_equal(stack_find(folder, "linked", found, &err), -ENOENT);
	assert_int_equal(stack_find(folder, "linked-1", found, &err), -ENOENT);
}

static void the_list_is_in_order(void **state)
{
	static const char *const order[] = {"a-10", "a-9", "a-b-1", "b-1.10", "b-1.9"};
	struct stack_entry *entries = NULL;
	struct err err = {0};
	size_t n = 0;

	(void)state;
	make("b-1.9/rootfs/");
	make("a-b-1/rootfs/");
	make("a-9/manifest.json");
	make("a-9/rootfs/");
	make("b-1.10/rootfs/");
	make("a-10/root.img");
	assert_int_equal(stack_list(folder, &entries, &n, &err), 0);
	assert_int_equal(n, ARRAY_SIZE(order));
	for (size_t i = 0; i < n; i++)
		assert_string_equal(entries[i].folder, order[i]);
	assert_int_equal(entries[0].kind, STACK_KIND_IMAGE);
	assert_int_equal(entries[1].kind, STACK_KIND_ROOTFS);
	assert_true(entries[1].has_manifest);
	free(entries);
}

static void none_says_how_to_add_one(void **state)
{
	char found[STACK_FOLDER] = "as it was";
	struct err err = {0};

	(void)state;
	assert_int_equal(stack_find(folder, "heroku-24", found, &err), -ENOENT);
	assert_non_null(strstr(err.text, "hsup stack add heroku-24 FROM"));
	assert_int_equal(stack_find("/nonexistent/stacks", "x", found, &err), -ENOENT);
	assert_string_equal(found, "as it was");
	assert_int_equal(stack_find("/dev/null", "x", found, &err), -ENOTDIR);
}

static void host_needs_no_folder(void **state)
{
	char found[STACK_FOLDER];
	struct err err = {0};

	(void)state;
	assert_int_equal(stack_find("/nonexistent/stacks", "host", found, &err), 0);
	assert_string_equal(found, "host");
}

static void names_cannot_lead_elsewhere(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", ".hidden", "a/b", "../etc", "a b", "a\n", "\xc3\xa4"};
	char found[STACK_FOLDER], longest[STACK_NAME + 2];
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(stack_find(folder, bad[i], found, &err), -EINVAL);
	memset(longest, 'x', sizeof longest);
	longest[STACK_NAME] = '\0';
	assert_int_equal(stack_find(folder, longest, found, &err), -ENOENT);
	longest[STACK_NAME] = 'x';
	longest[STACK_NAME + 1] = '\0';
	assert_int_equal(stack_find(folder, longest, found, &err), -EINVAL);
	assert_false(stack_is_name("host"));
	assert_true(stack_is_version("1.2_a"));
	assert_false(stack_is_version("1-2"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_newest_version_is_meant),
		TEST(names_end_at_the_last_dash),
		TEST(classic_trees_are_found),
		TEST(what_is_no_stack_is_passed_over),
		TEST(the_list_is_in_order),
		TEST(none_says_how_to_add_one),
		TEST(host_needs_no_folder),
		TEST(names_cannot_lead_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
