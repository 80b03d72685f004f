/* The native driver with a launcher that only takes note: what it orders, when, and what it makes
 * of the answers. */
#include "base/fd.h"
#include "drivers/native/private.h"
#include "wire/box_presence.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DYNO  4711
#define OWNER "0123456789abcdef0123456789abcdef"
#define MOST  8 /* orders that are looked at */

/* ---- a launcher ---- */

struct order {
	struct launch_child child;
	struct launch_child parked; /* that is to become it; id 0: none */
	bool box, park;
	char name[LIMIT_NAME + 1];
	unsigned char tag[LIMIT_TAG];
	size_t tag_len;
	void *map;
	size_t len;
	struct spec *spec;
};

static struct house {
	char folder[100];
	unsigned can;
	int refuses; /* negative errno of every order */
	struct order orders[MOST];
	unsigned n_orders, n_acks, n_kills;
	uint64_t acked;
	const struct launch_child_events *to;
	void *to_userdata;
	struct driver_context context;
	struct id_grant ids;
	void *driver;
	/* What the supervisor was told. */
	char note[700];
	unsigned prepared, started, known, exited, adopted, finished, n_done, n_notes;
	uint64_t done;
	struct dyno_usage used;
	struct driver_exit exit;
	struct driver_entry entry;
	char entry_tag[20];
} house;

static int fake_take(
	bool box, struct launch_child c, const char *name, const void *tag, size_t tag_len, int fd)
{
	struct order *o = &house.orders[house.n_orders];
	struct stat st;

	if (house.refuses)
		return house.refuses;
	assert_true(house.n_orders++ < MOST);
	o->child = c;
	o->box = box;
	(void)snprintf(o->name, sizeof o->name, "%s", name);
	memcpy(o->tag, tag, tag_len);
	o->tag_len = tag_len;
	assert_int_equal(fstat(fd, &st), 0);
	o->len = (size_t)st.st_size;
	o->map = mmap(NULL, o->len, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(o->map != MAP_FAILED);
	o->spec = calloc(1, sizeof *o->spec);
	assert_non_null(o->spec);
	assert_int_equal(spec_parse(o->map, o->len, o->spec), 0);
	return 0;
}

static int fake_spawn(void *s, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int fd, const struct launch_stdio *stdio)
{
	(void)s;
	(void)stdio;
	return fake_take(false, c, name, tag, tag_len, fd);
}

static int fake_spawn_box(void *s, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int fd, const struct launch_stdio *stdio)
{
	(void)s;
	(void)stdio;
	return fake_take(true, c, name, tag, tag_len, fd);
}

static int fake_park(void *s, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int fd, const struct launch_stdio *stdio)
{
	(void)s;
	assert_non_null(stdio->given);
	int r = fake_take(true, c, name, tag, tag_len, fd);
	if (r == 0)
		house.orders[house.n_orders - 1].park = true;
	return r;
}

static int fake_spawn_warm(void *s, struct launch_child parked, struct launch_child c,
	const char *name, const void *tag, size_t tag_len, int fd, const struct launch_stdio *stdio)
{
	(void)s;
	(void)stdio;
	int r = fake_take(true, c, name, tag, tag_len, fd);
	if (r == 0)
		house.orders[house.n_orders - 1].parked = parked;
	return r;
}

static void fake_listen(void *s, const struct launch_child_events *events, void *userdata)
{
	(void)s;
	house.to = events;
	house.to_userdata = userdata;
}

static int fake_signal(void *s, struct launch_child c, int signo)
{
	(void)s;
	(void)c;
	house.n_kills += signo == SIGKILL;
	return 0;
}

static int fake_ack(void *s, struct launch_child c)
{
	(void)s;
	house.n_acks++;
	house.acked = c.id;
	return 0;
}

static int fake_tag(void *s, struct launch_child c, const void *tag, size_t len)
{
	struct order *o = &house.orders[0];

	(void)s;
	(void)c;
	memcpy(o->tag, tag, len);
	o->tag_len = len;
	return 0;
}

static int fake_list(void *s)
{
	(void)s;
	return 0;
}

static unsigned fake_can(void *s)
{
	(void)s;
	return house.can;
}

static void fake_close(void *s)
{
	(void)s;
}

static const struct launch_ops fake_ops = {
	.listen = fake_listen,
	.spawn = fake_spawn,
	.spawn_box = fake_spawn_box,
	.park = fake_park,
	.spawn_warm = fake_spawn_warm,
	.signal = fake_signal,
	.ack = fake_ack,
	.tag = fake_tag,
	.list = fake_list,
	.can = fake_can,
	.close = fake_close,
};

/* ---- a supervisor ---- */

static void on_prepared(void *u, uint64_t release, int r, const struct err *err)
{
	(void)u;
	(void)err;
	assert_int_equal(release, 7);
	assert_int_equal(r, 0);
	house.prepared++;
}

static void on_started(void *u, uint64_t id, uint32_t generation, int pid, int out, int err)
{
	(void)u;
	(void)generation;
	(void)pid;
	(void)out;
	(void)err;
	assert_int_equal(id, DYNO);
	house.started++;
}

static void on_known(void *u, uint64_t id, uint32_t generation, int pid)
{
	struct driver_address a;

	(void)u;
	(void)pid;
	assert_true(driver_native.address(house.driver, id, generation, &a));
	house.known++;
}

static void on_exited(void *u, uint64_t id, uint32_t generation, const struct driver_exit *e)
{
	(void)u;
	(void)generation;
	assert_int_equal(id, DYNO);
	house.exited++;
	house.exit = *e;
}

static void on_adopted(void *u, struct driver_entry *e)
{
	(void)u;
	house.adopted++;
	house.entry = *e;
	assert_true(e->tag_len < sizeof house.entry_tag);
	memcpy(house.entry_tag, e->tag, e->tag_len);
	house.entry_tag[e->tag_len] = '\0';
}

static void on_adopt_done(void *u, int r)
{
	(void)u;
	assert_int_equal(r, 0);
}

static void on_exec_done(void *u, uint64_t id, const struct dyno_exit *e)
{
	(void)u;
	(void)e;
	house.done = id;
	house.n_done++;
}

static void on_used(void *u, uint64_t id, uint32_t generation, const struct dyno_usage *usage)
{
	(void)u;
	(void)id;
	(void)generation;
	house.used = *usage;
}

static void on_finished(void *u)
{
	(void)u;
	house.finished++;
}

static void on_note(void *u, const char *name, const char *text)
{
	(void)u;
	assert_null(name);
	house.n_notes++;
	(void)snprintf(house.note, sizeof house.note, "%s", text);
}

static const struct driver_events events = {
	.prepared = on_prepared,
	.started = on_started,
	.known = on_known,
	.exited = on_exited,
	.adopted = on_adopted,
	.adopt_done = on_adopt_done,
	.exec_done = on_exec_done,
	.used = on_used,
	.finished = on_finished,
	.note = on_note,
};

static void turn(void)
{
	assert_true(sd_event_run(house.context.loop, 0) >= 0);
}

/* A file of the house, with the folders above it. */
static void put(const char *name, const char *text)
{
	char path[300];

	(void)snprintf(path, sizeof path, "%s/%s", house.folder, name);
	for (char *slash = path + strlen(house.folder) + 1; (slash = strchr(slash, '/'));
		*slash++ = '/') {
		*slash = '\0';
		(void)mkdir(path, 0755);
	}
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
	assert_int_equal(chmod(path, 0755), 0);
}

static int set_up(void **state)
{
	char path[200];

	(void)state;
	house = (struct house){.can = WIRE_CAN_BOX};
	(void)snprintf(house.folder, sizeof house.folder, "/tmp/test-native.XXXXXX");
	assert_non_null(mkdtemp(house.folder));
	put("run/" BOX_PRESENT, "");
	put("stacks/heroku-24-1/rootfs/bin/sh", "");
	put("stacks/heroku-24-10/rootfs/bin/sh", "");
	put("stacks/heroku-24-10/rootfs/bin/bash", "");
	put("stacks/small-1/rootfs/bin/sh", "");
	put("stacks/packed-1/root.img", "");
	put("stacks/hollow-1/rootfs/bin/ls", "");
	(void)snprintf(path, sizeof path, "%s/run", house.folder);
	(void)setenv("HSUP_BOX_RUN", path, 1);
	(void)snprintf(path, sizeof path, "%s/stacks", house.folder);
	(void)setenv("HSUP_BOX_STACKS", path, 1);
	(void)setenv("LIBCONTAINER_DYNO_SUBNET", "10.201.4.0/24", 1);
	(void)setenv("LIBCONTAINER_DYNO_UID_MIN", "4400", 1);
	(void)setenv("LIBCONTAINER_DYNO_UID_MAX", "4499", 1);
	house.context = (struct driver_context){
		.launch = launch_fake(&fake_ops, NULL),
		.owner = OWNER,
		.dyno_ids = &house.ids,
		.lasts = true,
		.events = &events,
	};
	assert_non_null(house.context.launch);
	assert_true(sd_event_new(&house.context.loop) >= 0);
	return 0;
}

static int clean_up(void **state)
{
	char command[200];

	(void)state;
	driver_native.close(house.driver);
	for (unsigned i = 0; i < house.n_orders; i++) {
		(void)munmap(house.orders[i].map, house.orders[i].len);
		free(house.orders[i].spec);
	}
	(void)launch_close(house.context.launch);
	(void)sd_event_unref(house.context.loop);
	(void)unsetenv("LIBCONTAINER_DYNO_NETWORK");
	(void)unsetenv("HSUP_BOX_PUBLISH");
	(void)unsetenv("HSUP_NATIVE_STACK");
	(void)snprintf(command, sizeof command, "rm -r %s", house.folder);
	return system(command);
}

static struct native *open_driver(void)
{
	struct err err = {0};

	assert_int_equal(driver_native.open(&house.context, &house.driver, &err), 0);
	return house.driver;
}

static struct process process;
static struct release release;
static char *args[3];

static struct driver_start start_of(const char *line, const char *word)
{
	static char type[] = "web", line_text[100], word_text[100];

	memset(&release, 0, sizeof release);
	memset(args, 0, sizeof args);
	process_init(&process);
	process.type = type;
	(void)snprintf(line_text, sizeof line_text, "%s", line);
	(void)snprintf(word_text, sizeof word_text, "%s", word ? word : "");
	args[0] = line_text;
	args[1] = word ? word_text : NULL;
	process.args = args;
	process.n_args = word ? 2 : 1;
	release.processes = &process;
	release.n_processes = 1;
	return (struct driver_start){
		.id = DYNO,
		.generation = 2,
		.name = "web.1",
		.instance = 1,
		.process = &process,
		.release = &release,
		.app = "shop",
		.tag = "mine",
		.tag_len = 4,
	};
}

static void started(struct driver_start start, int pid)
{
	struct err err = {0};

	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	house.to->spawned(
		house.to_userdata, (struct launch_child){start.id, start.generation}, pid, -1, -1);
}

static void ended(struct launch_child c, int32_t status)
{
	const struct wire_exited x = {
		.child = {.id = c.id, .generation = c.generation}, .status = status};

	house.to->exited(house.to_userdata, &x);
}

static const char *value_of(const struct spec *s, const char *name)
{
	size_t len = strlen(name);

	for (unsigned i = 0; i < s->n_env; i++)
		if (strncmp(s->env[i], name, len) == 0 && s->env[i][len] == '=')
			return s->env[i] + len + 1;
	return NULL;
}

#define BOX OWNER ".web.1.1267.2"

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

/* ---- sweeps ---- */

/* Its order is not looked at. */
static void start_one(uint32_t generation)
{
	struct driver_start start = start_of("true", NULL);
	struct err err = {0};

	start.generation = generation;
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	house.n_orders--;
	(void)munmap(house.orders[house.n_orders].map, house.orders[house.n_orders].len);
	free(house.orders[house.n_orders].spec);
}

static void end_one(uint32_t generation)
{
	start_one(generation);
	ended((struct launch_child){DYNO, generation}, 0);
}

/* A while has passed. */
static void later(void)
{
	struct native *n = house.driver;

	assert_true(sd_event_source_set_time(n->gathering, 0) >= 0);
	turn();
}

static const struct spec *sweep_at(unsigned i)
{
	assert_true(i < house.n_orders);
	assert_false(house.orders[i].box);
	assert_int_equal(house.orders[i].spec->box.mode, SPEC_BOX_SWEEP);
	return house.orders[i].spec;
}

static void what_ends_together_is_swept_together(void **state)
{
	(void)state;
	(void)open_driver();
	end_one(1);
	end_one(2);
	/* Whoever takes their place comes first. */
	turn();
	assert_int_equal(house.n_orders, 0);
	later();
	assert_int_equal(sweep_at(0)->n_args, 3);
	assert_string_equal(sweep_at(0)->argv[1], OWNER ".web.1.1267.2");
	assert_string_equal(sweep_at(0)->argv[2], OWNER ".web.1.1267.1");
	/* The launcher's and the driver's idea of it: none of a dyno's. */
	assert_true(child_job_kind(house.orders[0].child.id) == CHILD_SWEEP);
	for (uint32_t generation = 3; generation <= 4; generation++)
		end_one(generation);
	later();
	assert_int_equal(house.n_orders, 1);
	ended(house.orders[0].child, 0);
	assert_int_equal(house.acked, house.orders[0].child.id);
	assert_int_equal(house.n_orders, 2);
	assert_int_equal(sweep_at(1)->n_args, 3);
	/* A failure is said; it is not tried for ever. */
	house.to->failed(house.to_userdata, house.orders[1].child, WIRE_STAGE_SWEEP, EBUSY);
	assert_non_null(strstr(house.note, "could not be removed"));
	later();
	assert_int_equal(house.n_orders, 2);
	assert_int_equal(house.exited, 4);
}

/* The launcher keeps its end until there is a next life, or for ever. */
static void what_ended_is_swept_though_nobody_lets_go_of_it(void **state)
{
	(void)state;
	struct native *n = open_driver();
	end_one(1);
	later();
	assert_int_equal(sweep_at(0)->n_args, 2);
	ended(house.orders[0].child, 0);
	house.n_acks = 0;
	assert_non_null(native_find(n, DYNO, 1));
	assert_int_equal(driver_native.release(house.driver, DYNO, 1), 0);
	assert_int_equal(house.n_acks, 1);
	assert_null(native_find(n, DYNO, 1));
	/* And only once. */
	later();
	assert_int_equal(house.n_orders, 1);
	/* So are those that could not start. */
	start_one(2);
	house.to->failed(house.to_userdata, (struct launch_child){DYNO, 2}, WIRE_STAGE_BOX, EIO);
	later();
	assert_string_equal(sweep_at(1)->argv[1], BOX);
}

static void the_last_takes_all_away(void **state)
{
	char run[200];

	(void)state;
	(void)snprintf(run, sizeof run, "%s/run", house.folder);
	(void)open_driver();
	end_one(2);
	driver_native.finish(house.driver);
	assert_int_equal(house.n_orders, 0);
	/* Nothing is waited for any more. */
	turn();
	assert_string_equal(sweep_at(0)->argv[1], BOX);
	assert_int_equal(house.n_orders, 1);
	ended(house.orders[0].child, 0);
	assert_int_equal(house.n_orders, 2);
	assert_int_equal(sweep_at(1)->n_args, 1);
	_cleanup_close_ int alone = box_presence_alone(run);
	assert_true(alone >= 0);
	assert_int_equal(house.finished, 0);
	ended(house.orders[1].child, 0);
	assert_int_equal(house.finished, 1);
	driver_native.finish(house.driver);
	turn();
	assert_int_equal(house.finished, 1);
}

static void a_finish_does_not_wait_for_who_cannot(void **state)
{
	(void)state;
	(void)open_driver();
	house.refuses = -ENOBUFS;
	driver_native.finish(house.driver);
	assert_int_equal(house.finished, 0);
	turn();
	assert_int_equal(house.finished, 1);
	assert_non_null(strstr(house.note, "not removed now"));
}

/* ---- what an earlier supervisor left ---- */

static struct launch_entry entry_of(const struct order *o, enum wire_entry_state state, int pid)
{
	return (struct launch_entry){
		.child = o->child,
		.state = state,
		.pid = pid,
		.name = o->name,
		.name_len = strlen(o->name),
		.tag = o->tag,
		.tag_len = o->tag_len,
		.out = -1,
		.err = -1,
	};
}

static void the_next_supervisor_knows_them_again(void **state)
{
	(void)state;
	(void)open_driver();
	started(start_of("true", NULL), 0);
	assert_int_equal(driver_native.retag(house.driver, DYNO, 2, "other", 5), 0);
	driver_native.close(house.driver);

	house.context.owner = "moved";
	struct native *n = open_driver();
	struct launch_entry e = entry_of(&house.orders[0], WIRE_ENTRY_RUNNING, 1);
	house.to->entry(house.to_userdata, &e);
	assert_int_equal(house.adopted, 1);
	assert_string_equal(house.entry_tag, "other");
	const struct native_life *l = native_find(n, DYNO, 2);
	assert_non_null(l);
	assert_string_equal(l->box, BOX);
	assert_int_equal(l->port, 5000);
	assert_int_equal(l->pid, 1);

	/* Jobs are nobody's to adopt: a command is ended, a sweep ends by itself. */
	e.child.id = CHILD_EXEC | 1;
	house.to->entry(house.to_userdata, &e);
	assert_int_equal(house.n_kills, 1);
	e.child.id = CHILD_SWEEP | 1;
	house.to->entry(house.to_userdata, &e);
	assert_int_equal(house.n_kills, 1);
	assert_int_equal(house.adopted, 1);
	ended(e.child, 0);
	assert_int_equal(house.acked, CHILD_SWEEP | 1);
	assert_int_equal(house.n_done, 0);

	/* What a crash left, when all that is there was told. */
	assert_int_equal(house.n_orders, 1);
	house.to->list_end(house.to_userdata);
	assert_int_equal(sweep_at(1)->n_args, 1);
	ended(house.orders[1].child, 0);
	assert_int_equal(driver_native.release(house.driver, DYNO, 2), 0);
	later();
	assert_string_equal(sweep_at(2)->argv[1], BOX);
}

static void a_run_leaves_what_others_left(void **state)
{
	(void)state;
	house.context.lasts = false;
	(void)open_driver();
	house.to->list_end(house.to_userdata);
	assert_int_equal(house.n_orders, 0);
}

/* ---- boxes that are parked ---- */

/* The order that parks one. */
static struct order *wait_parked(unsigned n_orders)
{
	for (int i = 0; i < 20 && house.n_orders < n_orders; i++)
		assert_true(sd_event_run(house.context.loop, 500000) >= 0);
	assert_int_equal(house.n_orders, n_orders);
	struct order *o = &house.orders[n_orders - 1];
	assert_true(o->park);
	assert_int_equal(o->spec->box.mode, SPEC_BOX_PARK);
	assert_true(child_job_kind(o->child.id) == CHILD_PARK);
	house.to->spawned(house.to_userdata, o->child, 50 + (int)n_orders, -1, -1);
	return o;
}

static struct native *open_warm(unsigned warm)
{
	house.can |= WIRE_CAN_WARM;
	house.context.warm = warm;
	return open_driver();
}

static struct driver_start another(uint32_t generation)
{
	struct driver_start start = start_of("true", NULL);

	start.generation = generation;
	return start;
}

static void a_start_is_ordered_of_one_that_is_parked(void **state)
{
	struct err err = {0};

	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	assert_int_equal(house.orders[0].parked.id, 0);
	const struct order *park = wait_parked(2);
	struct driver_start start = another(2);
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	const struct order *warm = &house.orders[2];
	assert_true(warm->parked.id == park->child.id);
	/* What there is of it is called as it was parked, and so it is found again. */
	assert_string_equal(native_find(n, DYNO, 2)->box, park->spec->box_name);
	assert_memory_equal(warm->tag + 4, park->spec->box_name, strlen(park->spec->box_name));
	house.to->spawned(house.to_userdata, warm->child, 11, -1, -1);
	assert_int_equal(house.started, 2);
	assert_null(native_find(n, DYNO, 2)->wish);
	assert_null(n->warm.parked);
	/* It is made up for. */
	assert_true(wait_parked(4)->child.id != park->child.id);
	ended(warm->child, 0);
	assert_int_equal(house.exited, 1);
	assert_int_equal(driver_native.release(house.driver, DYNO, 2), 0);
	later();
	assert_string_equal(sweep_at(4)->argv[1], park->spec->box_name);
}

/* A supervisor that is replaced in the midst of it. */
static void a_driver_is_closed_while_one_is_ordered(void **state)
{
	struct err err = {0};

	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	(void)wait_parked(2);
	struct driver_start start = another(2);
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	assert_non_null(native_find(n, DYNO, 2)->wish->parked);
	driver_native.close(house.driver); /* nothing freed is written to: the sanitizers' say */
	house.driver = NULL;
}

/* What passes a port on is told which before there is a dyno. */
static void none_is_parked_whose_port_is_passed_on(void **state)
{
	(void)state;
	struct native *n = open_warm(1);
	n->settings.network = SPEC_BOX_NET_OWN;
	(void)snprintf(n->settings.pasta, sizeof n->settings.pasta, "/usr/bin/pasta");
	n->root = false;
	started(another(1), 10);
	assert_null(n->warm.kinds);
	n->root = true;
	started(another(2), 11);
	assert_non_null(n->warm.kinds);
}

static void one_that_is_refused_is_started_without(void **state)
{
	struct err err = {0};

	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	const struct order *park = wait_parked(2);
	struct driver_start start = another(2);
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	const struct order *warm = &house.orders[2];
	assert_int_equal(driver_native.retag(house.driver, DYNO, 2, "newer", 5), 0);
	assert_int_equal(driver_native.signal(house.driver, DYNO, 2, SIGKILL), 0);
	assert_int_equal(house.n_kills, 1);
	house.to->failed(house.to_userdata, warm->child, WIRE_STAGE_WARM, ESRCH);
	/* Nobody hears of it; what was said meanwhile is said again; the other is ended. */
	assert_int_equal(house.exited, 0);
	const struct order *cold = &house.orders[3];
	assert_int_equal(house.n_orders, 4);
	assert_true(cold->child.generation == 2 && cold->parked.id == 0 && !cold->park);
	assert_string_equal(cold->spec->box_name, native_find(n, DYNO, 2)->box);
	assert_string_equal(cold->spec->box_name, BOX);
	assert_memory_equal(cold->tag + cold->tag_len - 5, "newer", 5);
	assert_int_equal(house.n_kills, 3);
	house.to->spawned(house.to_userdata, cold->child, 11, -1, -1);
	assert_int_equal(house.started, 2);
	ended(park->child, 9);
	assert_true(house.acked == park->child.id);
	later();
	assert_string_equal(sweep_at(4)->argv[1], park->spec->box_name);
}

static void any_other_failure_is_the_life_s_own(void **state)
{
	struct err err = {0};

	(void)state;
	(void)open_warm(1);
	started(another(1), 10);
	(void)wait_parked(2);
	struct driver_start start = another(2);
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	house.to->spawned(house.to_userdata, house.orders[2].child, 11, -1, -1);
	house.to->failed(house.to_userdata, house.orders[2].child, WIRE_STAGE_WARM, EINVAL);
	assert_int_equal(house.exited, 1);
	assert_int_equal(house.exit.exit.value, WIRE_STAGE_WARM);
}

static void none_is_parked_for_who_is_gone(void **state)
{
	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	const struct order *park = wait_parked(2);
	/* The release in force asks for the same, then for something else. */
	driver_native.keep(house.driver, &release);
	assert_int_equal(house.n_kills, 0);
	process.memory = 1 << 20;
	driver_native.keep(house.driver, &release);
	assert_int_equal(house.n_kills, 1);
	assert_null(n->warm.kinds);
	ended(park->child, 9);
	assert_null(n->warm.parked);
	/* Of an earlier supervisor's nothing is known but its name. */
	struct launch_entry e = {.child = park->child,
		.pid = 1,
		.state = WIRE_ENTRY_RUNNING,
		.tag = park->tag,
		.tag_len = park->tag_len,
		.out = -1,
		.err = -1};
	e.child.id++;
	house.to->entry(house.to_userdata, &e);
	assert_int_equal(house.n_kills, 2);
	assert_int_equal(house.adopted, 0);
	ended(e.child, 9);
	assert_true(house.acked == e.child.id);
	assert_int_equal(n->warm.n_parked, 0);
}

static void parked_ones_give_way(void **state)
{
	struct err err = {0};

	(void)state;
	(void)setenv("LIBCONTAINER_DYNO_UID_MAX", "4402", 1); /* three */
	struct native *n = open_warm(5);
	started(another(1), 10);
	(void)wait_parked(2);
	for (int i = 0; i < 3; i++)
		assert_true(sd_event_run(house.context.loop, 150000) >= 0);
	assert_int_equal(house.n_orders, 2);
	/* Another kind: neither of them is to fail for want of a uid. */
	struct driver_start start = another(2);
	process.memory = 1 << 20;
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	assert_int_equal(house.n_kills, 0);
	start.generation = 3;
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	assert_int_equal(house.n_kills, 1);
	assert_int_equal(n->warm.n_parked, 1);
}

static void the_end_waits_for_them(void **state)
{
	(void)state;
	struct native *n = open_warm(1);
	started(another(1), 10);
	const struct order *park = wait_parked(2);
	ended((struct launch_child){DYNO, 1}, 0);
	assert_int_equal(driver_native.release(house.driver, DYNO, 1), 0);
	later();
	ended(house.orders[2].child, 0);
	driver_native.finish(house.driver);
	assert_int_equal(house.n_kills, 1);
	turn();
	assert_int_equal(house.n_orders, 3);
	assert_int_equal(house.finished, 0);
	ended(park->child, 9);
	later();
	assert_string_equal(sweep_at(3)->argv[1], park->spec->box_name);
	ended(house.orders[3].child, 0);
	assert_int_equal(sweep_at(4)->n_args, 1);
	ended(house.orders[4].child, 0);
	assert_int_equal(house.finished, 1);
	assert_null(n->warm.parked);
}

/* ---- addresses ---- */

static pid_t init_with(uid_t uid)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (uid != getuid() && setresuid(uid, uid, uid) < 0)
			_exit(1);
		(void)close(ready[0]);
		if (write(ready[1], "x", 1) == 1)
			(void)pause();
		_exit(1);
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return pid;
}

static void end_init(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static void uid_says_where_it_is(bool asked)
{
	struct driver_address a;
	uid_t uid = getuid() == 0 ? 4403 : getuid();
	char least[20];

	(void)snprintf(least, sizeof least, "%u", uid - 3);
	(void)setenv("LIBCONTAINER_DYNO_UID_MIN", least, 1);
	(void)snprintf(least, sizeof least, "%u", uid + 9);
	(void)setenv("LIBCONTAINER_DYNO_UID_MAX", least, 1);
	if (asked)
		(void)setenv("HSUP_BOX_PUBLISH", "20000-20012", 1);
	struct native *n = open_driver();
	assert_false(driver_native.address(house.driver, DYNO, 2, &a));
	/* Its init has not become it yet. */
	started(start_of("true", NULL), 1);
	assert_false(driver_native.address(house.driver, DYNO, 2, &a));
	assert_int_equal(a.port, 0);
	assert_true(sd_event_run(house.context.loop, 1000000) > 0);
	assert_int_equal(house.known, 0);
	pid_t pid = init_with(uid);
	native_find(n, DYNO, 2)->pid = pid;
	/* It is told when it is known; nobody has to ask, and who does takes nothing away. */
	if (asked)
		assert_true(driver_native.address(house.driver, DYNO, 2, &a));
	for (int i = 0; i < 10 && house.known == 0; i++)
		assert_true(sd_event_run(house.context.loop, 1000000) >= 0);
	assert_int_equal(house.known, 1);
	assert_true(driver_native.address(house.driver, DYNO, 2, &a));
	assert_string_equal(a.host, "10.201.4.14");
	assert_int_equal(a.port, 5000);
	assert_int_equal(a.published, 0);
	assert_int_equal(a.outside, asked ? 20003 : 0);
	/* And is not asked again. */
	end_init(pid);
	assert_true(driver_native.address(house.driver, DYNO, 2, &a));
}

static void its_uid_says_where_it_is(void **state)
{
	(void)state;
	uid_says_where_it_is(false);
}

static void its_address_is_told_though_it_was_asked_for(void **state)
{
	(void)state;
	uid_says_where_it_is(true);
}

static unsigned missing(const char *text)
{
	const char *line;
	unsigned n = 0;

	for (size_t i = 0; (line = driver_native.missing(house.driver, i)); i++)
		n += !text || strstr(line, text) == line;
	return n;
}

static void what_is_missing_is_told(void **state)
{
	struct native *n = open_driver();

	(void)state;
	memset(&n->cgroups, 0, sizeof n->cgroups);
	assert_int_equal(missing(NULL), 2);
	assert_int_equal(missing("Limits."), 2);
	house.to->list_end(house.to_userdata);
	assert_non_null(strstr(house.note, "of this machine: Limits.Memory"));
	assert_non_null(strstr(house.note, "; Limits.CPU has no effect"));

	unsigned notes = house.n_notes;
	n->cgroups.controllers = 1U << CGROUP_CPU | 1U << CGROUP_MEMORY;
	(void)snprintf(n->cgroups.unified, CGROUP_PATH, "/v2");
	assert_int_equal(missing(NULL), 0);
	n->lacks_quota = true;
	assert_int_equal(missing("Limits.Disk has no effect"), 1);
	n->lacks_quota = false;
	house.to->list_end(house.to_userdata);
	assert_int_equal(house.n_notes, notes);

	n->root = false;
	assert_int_equal(missing(NULL), 2);
	assert_int_equal(missing("dynos have the machine's network"), 1);
	n->settings.network = SPEC_BOX_NET_HOST; /* as it was wished */
	assert_int_equal(missing(NULL), 1);
	assert_int_equal(missing("all dynos are the same user"), 1);
}

static void without_root_its_network_can_be_passed_on(void **state)
{
	struct driver_start start = start_of("true", NULL);
	struct driver_address a;

	(void)state;
	house.context.dyno_ids = NULL;
	(void)setenv("HSUP_BOX_PASTA", "/usr/bin/pasta", 1);
	(void)open_driver();
	assert_int_equal(missing("dynos have the machine's network"), 0);
	started(start, 4711);
	assert_int_equal(house.orders[0].spec->box.network, SPEC_BOX_NET_OWN);
	assert_true(driver_native.address(house.driver, DYNO, 2, &a));
	assert_string_equal(a.host, "");
	assert_true(a.port > 5000);
	assert_int_equal(a.network_of, 4711);
	(void)unsetenv("HSUP_BOX_PASTA");
}

static void without_root_it_is_on_the_machine_s_network(void **state)
{
	struct driver_start start = start_of("true", NULL);
	struct driver_address a;

	(void)state;
	house.context.dyno_ids = NULL;
	(void)setenv("HSUP_BOX_RUN", "/proc/nowhere", 1); /* nothing is set up for him */
	(void)open_driver();
	house.to->list_end(house.to_userdata);
	assert_non_null(strstr(house.note, "not root"));
	started(start, 1);
	const struct spec *s = house.orders[1].spec;
	assert_int_equal(s->box.network, SPEC_BOX_NET_HOST);
	assert_true(driver_native.address(house.driver, DYNO, 2, &a));
	assert_string_equal(a.host, "");
	assert_true(a.port > 5000);
	char port[12];
	(void)snprintf(port, sizeof port, "%u", a.port);
	assert_string_equal(value_of(s, "PORT"), port);
}

static void without_a_network_it_is_nowhere(void **state)
{
	struct driver_address a;

	(void)state;
	(void)setenv("LIBCONTAINER_DYNO_NETWORK", "none", 1);
	(void)open_driver();
	started(start_of("true", NULL), 1);
	assert_int_equal(house.orders[0].spec->box.network, SPEC_BOX_NET_NONE);
	assert_null(value_of(house.orders[0].spec, "PORT"));
	assert_false(driver_native.address(house.driver, DYNO, 2, &a));
}

/* ---- usage ---- */

static void its_cgroups_know_what_it_uses(void **state)
{
	(void)state;
	struct native *n = open_driver();
	memset(&n->cgroups, 0, sizeof n->cgroups);
	(void)snprintf(n->cgroups.unified, sizeof n->cgroups.unified, "%s/v2", house.folder);
	n->cgroups.controllers = 1U << CGROUP_MEMORY | 1U << CGROUP_PIDS;
	put("v2/hsup/" BOX "/memory.current", "5000000\n");
	put("v2/hsup/" BOX "/memory.stat", "anon 1\ninactive_file 1000000\nactive_file 5\n");
	put("v2/hsup/" BOX "/cpu.stat", "usage_usec 77\nuser_usec 5\n");
	put("v2/hsup/" BOX "/pids.current", "4\n");
	put("v2/hsup/" BOX "/memory.pressure", "some avg10=12.05 avg60=0.00 avg300=0.00 total=1\n");
	put("v2/hsup/" BOX "/cpu.pressure", "some avg10=0.40 avg60=0.00 avg300=0.00 total=1\n");
	put("v2/hsup/" BOX "/memory.events", "oom 3\noom_kill 0\noom_group_kill 0\n");
	started(start_of("true", NULL), INT_MAX);
	driver_native.usage(house.driver, DYNO, 2);
	assert_int_equal(house.used.memory, 4000000);
	assert_int_equal(house.used.cpu, 77000);
	assert_int_equal(house.used.processes, 4);
	assert_int_equal(house.used.memory_pressure, 1205);
	assert_int_equal(house.used.cpu_pressure, 40);
	assert_false(native_out_of_memory(n, native_find(n, DYNO, 2)));

	/* The old kind. What was there before it was joined is only known of its processes. */
	memset(&n->cgroups, 0, sizeof n->cgroups);
	(void)snprintf(n->cgroups.v1[CGROUP_MEMORY], CGROUP_PATH, "%s/memory", house.folder);
	(void)snprintf(n->cgroups.v1[CGROUP_CPUACCT], CGROUP_PATH, "%s/cpu", house.folder);
	put("memory/hsup/" BOX "/memory.usage_in_bytes", "3000\n");
	put("memory/hsup/" BOX "/memory.stat", "inactive_file 7\ntotal_inactive_file 1000\n");
	put("memory/hsup/" BOX "/memory.oom_control", "under_oom 0\noom_kill 2\n");
	put("cpu/hsup/" BOX "/cpuacct.usage", "123456\n");
	(void)snprintf(n->cgroups.v1[CGROUP_PIDS], CGROUP_PATH, "%s/pids", house.folder);
	put("pids/hsup/" BOX "/pids.current", "9\n");
	driver_native.usage(house.driver, DYNO, 2);
	assert_int_equal(house.used.memory, 2000);
	assert_int_equal(house.used.cpu, 123456);
	assert_int_equal(house.used.processes, 9);
	assert_int_equal(house.used.memory_pressure, USAGE_UNKNOWN);
	/* Nobody is in it yet. */
	put("pids/hsup/" BOX "/pids.current", "0\n");
	native_find(n, DYNO, 2)->pid = getpid();
	driver_native.usage(house.driver, DYNO, 2);
	assert_in_range(house.used.memory, 100000, UINT32_MAX);
	assert_int_equal(house.used.cpu, 123456);
	ended((struct launch_child){DYNO, 2}, SIGKILL);
	assert_int_equal(house.exited, 1);
	assert_int_equal(house.exit.exit.kind, EXIT_SIGNAL);
	assert_true(house.exit.out_of_memory);
}

static void without_cgroups_its_processes_are_asked(void **state)
{
	(void)state;
	struct native *n = open_driver();
	memset(&n->cgroups, 0, sizeof n->cgroups);
	started(start_of("true", NULL), getpid());
	driver_native.usage(house.driver, DYNO, 2);
	uint64_t alone = house.used.memory;
	assert_in_range(alone, 100000, UINT32_MAX);
	assert_true(house.used.cpu != UINT64_MAX);
	uint64_t processes = house.used.processes;
	pid_t child = init_with(getuid());
	driver_native.usage(house.driver, DYNO, 2);
	assert_true(house.used.memory > alone);
	assert_true(house.used.processes > processes);
	end_init(child);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, clean_up)
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
		TEST(what_ends_together_is_swept_together),
		TEST(what_ended_is_swept_though_nobody_lets_go_of_it),
		TEST(a_start_is_ordered_of_one_that_is_parked),
		TEST(a_driver_is_closed_while_one_is_ordered),
		TEST(none_is_parked_whose_port_is_passed_on),
		TEST(one_that_is_refused_is_started_without),
		TEST(any_other_failure_is_the_life_s_own),
		TEST(none_is_parked_for_who_is_gone),
		TEST(parked_ones_give_way),
		TEST(the_end_waits_for_them),
		TEST(the_last_takes_all_away),
		TEST(a_finish_does_not_wait_for_who_cannot),
		TEST(the_next_supervisor_knows_them_again),
		TEST(a_run_leaves_what_others_left),
		TEST(its_uid_says_where_it_is),
		TEST(its_address_is_told_though_it_was_asked_for),
		TEST(what_is_missing_is_told),
		TEST(without_root_its_network_can_be_passed_on),
		TEST(without_root_it_is_on_the_machine_s_network),
		TEST(without_a_network_it_is_nowhere),
		TEST(its_cgroups_know_what_it_uses),
		TEST(without_cgroups_its_processes_are_asked),
		TEST(a_command_joins_its_dyno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
