/* What the native driver can be opened for, and what it orders of the launcher. */
#include "native.h"

/* ---- open ---- */

static void what_cannot_work_is_said_in_a_line(void **state)
{
	struct err err = {0};

	(void)state;
	house.can = WIRE_CAN_STDIO;
	assert_int_equal(driver_native.open(&house.context, &house.driver, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "too old"));
	assert_null(house.to);
	house.can = WIRE_CAN_BOX;
	(void)setenv("LIBCONTAINER_DYNO_NETWORK", "bridge", 1);
	assert_int_equal(driver_native.open(&house.context, &house.driver, &err), -EINVAL);
	assert_non_null(strstr(err.text, "LIBCONTAINER_DYNO_NETWORK: 'bridge'"));
	(void)setenv("LIBCONTAINER_DYNO_NETWORK", "host", 1);
	(void)setenv("HSUP_NATIVE_STACK", "cedar", 1);
	assert_int_equal(driver_native.open(&house.context, &house.driver, &err), -EINVAL);
	assert_non_null(strstr(err.text, "HSUP_NATIVE_STACK=cedar"));
	(void)setenv("HSUP_NATIVE_STACK", "", 1);
	(void)setenv("HSUP_BOX_RUN", "/proc/nowhere", 1);
	assert_int_equal(driver_native.open(&house.context, &house.driver, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/" BOX_PRESENT));
	assert_null(house.driver);
	assert_ptr_equal(driver_find("libcontainer"), &driver_native);
}

static void as_long_as_it_is_there_nobody_is_alone(void **state)
{
	char run[200];

	(void)state;
	(void)snprintf(run, sizeof run, "%s/run", house.folder);
	struct native *n = open_driver();
	assert_int_equal(box_presence_alone(run), -EBUSY);
	assert_true(n->lock >= 0);
}

/* The last one of others took it away between our setup and our coming. */
static void what_was_taken_away_is_made_again(void **state)
{
	char run[200];

	(void)state;
	(void)snprintf(run, sizeof run, "%s/gone", house.folder);
	int fd = box_presence_hold(run);
	if (geteuid() != 0) {
		assert_int_equal(fd, -ENOENT);
		return;
	}
	assert_true(fd >= 0);
	assert_int_equal(box_presence_alone(run), -EBUSY);
	assert_int_equal(close(fd), 0);
}

/* ---- stacks ---- */

static int prepare(const char *stack, struct err *err)
{
	char text[40];

	(void)start_of("true", NULL);
	(void)snprintf(text, sizeof text, "%s", stack ? stack : "");
	release.stack = stack ? text : NULL;
	return driver_native.prepare(house.driver, 7, &release, err);
}

static void a_release_has_the_newest_stack(void **state)
{
	struct err err = {0};

	(void)state;
	struct native *n = open_driver();
	assert_int_equal(prepare("heroku-24", &err), 0);
	assert_string_equal(n->stacks->folder, "heroku-24-10");
	assert_string_equal(n->stacks->shell, "/bin/bash");
	assert_int_equal(prepare("small", &err), 0);
	assert_string_equal(n->stacks->folder, "small-1");
	assert_string_equal(n->stacks->shell, "/bin/sh");
	assert_int_equal(prepare("packed", &err), 0);
	assert_null(n->stacks->shell);
	assert_int_equal(prepare(NULL, &err), 0);
	assert_string_equal(n->stacks->folder, "host");

	assert_int_equal(prepare("cedar-14", &err), -ENOENT);
	assert_non_null(strstr(err.text, "hsup stack add"));
	assert_int_equal(prepare("hollow", &err), -ENOENT);
	assert_non_null(strstr(err.text, "neither /bin/bash nor /bin/sh"));

	/* Told from the loop, and not to who does not wait any more. */
	assert_int_equal(house.prepared, 0);
	turn();
	assert_int_equal(house.prepared, 4);
	assert_int_equal(prepare("small", &err), 0);
	driver_native.prepare_stop(house.driver, 7);
	turn();
	assert_int_equal(house.prepared, 4);
}

static void a_limit_without_a_cgroup_is_told_of_once(void **state)
{
	struct err err = {0};

	(void)state;
	struct native *n = open_driver();
	memset(&n->cgroups, 0, sizeof n->cgroups);
	assert_int_equal(prepare("small", &err), 0);
	assert_int_equal(house.n_notes, 0);
	(void)start_of("true", NULL);
	process.memory = 1 << 20;
	assert_int_equal(driver_native.prepare(house.driver, 7, &release, &err), 0);
	assert_string_equal(house.note,
		"native: warning: Limits.Memory of web is looked at from time to time only: "
		"this machine has no cgroups for it");
	process.cpu = 1.5;
	assert_int_equal(driver_native.prepare(house.driver, 7, &release, &err), 0);
	assert_non_null(strstr(house.note, "Limits.CPU of web has no effect"));
	assert_int_equal(house.n_notes, 2);
	/* That one needs none. */
	process.processes = 5;
	assert_int_equal(driver_native.prepare(house.driver, 7, &release, &err), 0);
	assert_int_equal(house.n_notes, 2);
}

/* With one controller of its own the others are still missed; said once, whatever is asked again.
 */
static void a_unified_hierarchy_may_lack_a_controller(void **state)
{
	struct err err = {0};

	(void)state;
	struct native *n = open_driver();
	memset(&n->cgroups, 0, sizeof n->cgroups);
	(void)snprintf(n->cgroups.unified, CGROUP_PATH, "/cgroup");
	n->cgroups.controllers = 1U << CGROUP_MEMORY;
	(void)start_of("true", NULL);
	process.memory = 1 << 20;
	process.cpu = 1.5;
	process.processes = 5;
	assert_int_equal(driver_native.prepare(house.driver, 7, &release, &err), 0);
	assert_int_equal(driver_native.prepare(house.driver, 7, &release, &err), 0);
	assert_non_null(strstr(house.note, "Limits.CPU of web has no effect"));
	assert_int_equal(house.n_notes, 1);
}

static void every_stack_can_be_the_machine_s_own(void **state)
{
	struct err err = {0};

	(void)state;
	(void)setenv("HSUP_NATIVE_STACK", "host", 1);
	struct native *n = open_driver();
	assert_int_equal(prepare("cedar-14", &err), 0);
	assert_string_equal(n->stacks->folder, "host");
}

static void what_a_native_dyno_cannot_have_is_refused(void **state)
{
	struct bind_mount bind = {.host = (char[]){"/a:b"}, .container = (char[]){"/b"}};
	(void)start_of("true", NULL);
	struct err err = {0};

	(void)state;
	(void)open_driver();
	process.user = (char[]){"nobody"};
	assert_int_equal(driver_native.prepare(house.driver, 7, &release, &err), -EOPNOTSUPP);
	assert_string_equal(
		err.text, "User of web: a native dyno has a user of its own and cannot be nobody");
	process.user = NULL;
	release.binds = &bind;
	release.n_binds = 1;
	assert_int_equal(driver_native.prepare(house.driver, 7, &release, &err), -EINVAL);
	assert_non_null(strstr(err.text, "colon"));
	bind.host = (char[]){"/a"};
	release.n_binds = SPEC_BOX_BINDS;
	assert_int_equal(driver_native.prepare(house.driver, 7, &release, &err), -E2BIG);
}

/* ---- a dyno ---- */

static void a_dyno_is_ordered_as_its_release_says(void **state)
{
	struct bind_mount binds[] = {
		{.host = (char[]){"/srv/data"}, .container = (char[]){"/data"}},
		{.host = (char[]){"/srv/ro"}, .container = (char[]){"/ro"}, .read_only = true},
	};
	struct driver_start start = start_of("echo hello", NULL);

	(void)state;
	(void)open_driver();
	process.memory = 1 << 20;
	process.cpu = 0.5;
	process.processes = 33;
	process.open_files = 99;
	process.disk = 5 << 20;
	process.umask = 027;
	process.directory = (char[]){"web"};
	release.stack = (char[]){"heroku-24"};
	release.slug_path = (char[]){"/slugs/1"};
	release.binds = binds;
	release.n_binds = 2;
	start.notify_socket = "/run/notify/a/socket";
	started(start, 0);

	const struct order *o = &house.orders[0];
	const struct spec *s = o->spec;
	assert_true(o->box && s->has_box);
	assert_int_equal(s->box.mode, SPEC_BOX_RUN);
	assert_int_equal(s->box.network, SPEC_BOX_NET_OWN);
	assert_int_equal(s->box.flags, 0);
	assert_int_equal(s->box.memory, 2 << 20); /* R15 */
	assert_int_equal(s->box.cpu_percent, 50);
	assert_int_equal(s->box.processes, 33);
	assert_int_equal(s->box_disk, 5 << 20);
	assert_int_equal(s->nofile, 99);
	assert_int_equal(s->umask, 027);
	assert_string_equal(s->box_name, BOX);
	assert_string_equal(s->box_stack, "heroku-24-10");
	assert_string_equal(s->box_slug, "/slugs/1");
	assert_string_equal(s->hostname, "web-1");
	assert_string_equal(s->directory, "/app/web");
	assert_int_equal(s->n_binds, 3);
	assert_string_equal(s->binds[0], "/srv/data:/data");
	assert_string_equal(s->binds[1], "/srv/ro:/ro:ro");
	assert_string_equal(s->binds[2], "/run/notify/a:/run/notify/a");
	assert_false(s->has_user);
	assert_string_equal(s->program, "/bin/bash");
	assert_int_equal(s->n_args, 7);
	assert_non_null(strstr(s->argv[2], "/app/.profile.d/*.sh /app/.profile;"));
	assert_string_equal(s->argv[4], "/bin/bash");
	assert_string_equal(s->argv[6], "echo hello");
	assert_string_equal(value_of(s, "HOME"), "/app");
	assert_string_equal(value_of(s, "PWD"), "/app");
	assert_string_equal(value_of(s, "PATH"),
		"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	assert_string_equal(value_of(s, "PORT"), "5000");
	assert_string_equal(value_of(s, "DYNO"), "web.1");
	assert_null(value_of(s, "PS1"));
}

/* The shell of an image is looked for in the dyno, by any shell. */
static void words_are_run_as_they_are(void **state)
{
	struct driver_start start = start_of("printf", "%s");

	(void)state;
	(void)open_driver();
	release.stack = (char[]){"packed"};
	start.name = "odd name/of.a_type";
	started(start, 0);
	const struct spec *s = house.orders[0].spec;
	assert_string_equal(s->program, "/bin/sh");
	assert_string_equal(s->argv[s->n_args - 2], "printf");
	assert_string_equal(s->argv[s->n_args - 1], "%s");
	assert_string_equal(s->argv[s->n_args - 3], "dyno");
	assert_string_equal(s->box_name, OWNER ".odd-name-of.a_type.1267.2");
	assert_string_equal(s->hostname, "odd-name-of-a-type");
}

static void an_order_that_fails_leaves_nothing(void **state)
{
	struct driver_start start = start_of("true", NULL);
	struct err err = {0};

	(void)state;
	struct native *n = open_driver();
	house.refuses = -ENOBUFS;
	assert_int_equal(driver_native.start(house.driver, &start, &err), -ENOBUFS);
	assert_null(native_find(n, DYNO, 2));
}

/* ---- commands ---- */

static void a_command_joins_its_dyno(void **state)
{
	struct driver_start start = start_of("true", NULL);
	char *command[] = {(char[]){"check"}, (char[]){"it"}, NULL};
	struct driver_exec exec = {.id = 3, .beside = &start, .args = command, .n_args = 2};
	struct err err = {0};

	(void)state;
	(void)open_driver();
	assert_int_equal(driver_native.exec(house.driver, &exec, &err), -ESRCH);
	started(start, 4242);
	assert_int_equal(driver_native.exec(house.driver, &exec, &err), 0);
	const struct order *o = &house.orders[1];
	assert_false(o->box);
	assert_int_equal(o->spec->box.mode, SPEC_BOX_JOIN);
	assert_int_equal(o->spec->box.target, 4242);
	assert_string_equal(o->spec->box_name, BOX);
	assert_string_equal(o->spec->argv[o->spec->n_args - 1], "it");
	assert_null(value_of(o->spec, "HEROKU_DYNO_ID"));
	assert_string_equal(o->name, "web.1.check");
	ended(o->child, 256);
	assert_int_equal(house.done, 3);
	assert_int_equal(house.n_done, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_cannot_work_is_said_in_a_line),
		TEST(as_long_as_it_is_there_nobody_is_alone),
		TEST(what_was_taken_away_is_made_again),
		TEST(a_release_has_the_newest_stack),
		TEST(a_limit_without_a_cgroup_is_told_of_once),
		TEST(a_unified_hierarchy_may_lack_a_controller),
		TEST(every_stack_can_be_the_machine_s_own),
		TEST(what_a_native_dyno_cannot_have_is_refused),
		TEST(a_dyno_is_ordered_as_its_release_says),
		TEST(words_are_run_as_they_are),
		TEST(an_order_that_fails_leaves_nothing),
		TEST(a_command_joins_its_dyno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
