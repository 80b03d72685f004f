/* The native driver with a launcher that only takes note: what it orders, when, and what it makes
 * of the answers. */
#pragma once

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h> /* needs those above */
/* clang-format on */

#include "native-launcher.h"
#include "wire/box_presence.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define DYNO  4711
#define OWNER "0123456789abcdef0123456789abcdef"

/* ---- a supervisor ---- */

static inline void on_prepared(void *u, uint64_t release, int r, const struct err *err)
{
	(void)u;
	(void)err;
	assert_int_equal(release, 7);
	assert_int_equal(r, 0);
	house.prepared++;
}

static inline void on_started(void *u, uint64_t id, uint32_t generation, int pid, int out, int err)
{
	(void)u;
	(void)generation;
	(void)pid;
	(void)out;
	(void)err;
	assert_int_equal(id, DYNO);
	house.started++;
}

static inline void on_known(void *u, uint64_t id, uint32_t generation, int pid)
{
	struct driver_address a;

	(void)u;
	(void)pid;
	assert_true(driver_native.address(house.driver, id, generation, &a));
	house.known++;
}

static inline void on_exited(void *u, uint64_t id, uint32_t generation, const struct driver_exit *e)
{
	(void)u;
	(void)generation;
	assert_int_equal(id, DYNO);
	house.exited++;
	house.exit = *e;
}

static inline void on_adopted(void *u, struct driver_entry *e)
{
	(void)u;
	house.adopted++;
	house.entry = *e;
	assert_true(e->tag_len < sizeof house.entry_tag);
	memcpy(house.entry_tag, e->tag, e->tag_len);
	house.entry_tag[e->tag_len] = '\0';
}

static inline void on_adopt_done(void *u, int r)
{
	(void)u;
	assert_int_equal(r, 0);
}

static inline void on_exec_done(void *u, uint64_t id, const struct dyno_exit *e)
{
	(void)u;
	(void)e;
	house.done = id;
	house.n_done++;
}

static inline void on_used(
	void *u, uint64_t id, uint32_t generation, const struct dyno_usage *usage)
{
	(void)u;
	(void)id;
	(void)generation;
	house.used = *usage;
}

static inline void on_finished(void *u)
{
	(void)u;
	house.finished++;
}

static inline void on_note(void *u, const char *name, const char *text)
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

static inline void turn(void)
{
	assert_true(sd_event_run(house.context.loop, 0) >= 0);
}

/* A file of the house, with the folders above it. */
static inline void put(const char *name, const char *text)
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

static inline int set_up(void **state)
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

static inline int clean_up(void **state)
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

static inline struct native *open_driver(void)
{
	struct err err = {0};

	assert_int_equal(driver_native.open(&house.context, &house.driver, &err), 0);
	return house.driver;
}

static struct process process;
static struct release release;
static char *args[3];

static inline struct driver_start start_of(const char *line, const char *word)
{
	static char type[] = "web", line_text[100], word_text[100];

	unsigned refs = release.refs ? release.refs : 1; /* the driver may have one */

	memset(&release, 0, sizeof release);
	release.refs = refs;
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

static inline void started(struct driver_start start, int pid)
{
	struct err err = {0};

	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	house.to->spawned(
		house.to_userdata, (struct launch_child){start.id, start.generation}, pid, -1, -1);
}

static inline void ended(struct launch_child c, int32_t status)
{
	const struct wire_exited x = {
		.child = {.id = c.id, .generation = c.generation}, .status = status};

	house.to->exited(house.to_userdata, &x);
}

static inline const char *value_of(const struct spec *s, const char *name)
{
	size_t len = strlen(name);

	for (unsigned i = 0; i < s->n_env; i++)
		if (strncmp(s->env[i], name, len) == 0 && s->env[i][len] == '=')
			return s->env[i] + len + 1;
	return NULL;
}

#define BOX OWNER ".web.1.1267.2"

/* ---- sweeps ---- */

/* Its order is not looked at. */
static inline void start_one(uint32_t generation)
{
	struct driver_start start = start_of("true", NULL);
	struct err err = {0};

	start.generation = generation;
	assert_int_equal(driver_native.start(house.driver, &start, &err), 0);
	house.n_orders--;
	(void)munmap(house.orders[house.n_orders].map, house.orders[house.n_orders].len);
	free(house.orders[house.n_orders].spec);
}

static inline void end_one(uint32_t generation)
{
	start_one(generation);
	ended((struct launch_child){DYNO, generation}, 0);
}

/* A while has passed. */
static inline void later(void)
{
	struct native *n = house.driver;

	assert_true(sd_event_source_set_time(n->gathering, 0) >= 0);
	turn();
}

static inline const struct spec *sweep_at(unsigned i)
{
	assert_true(i < house.n_orders);
	assert_false(house.orders[i].box);
	assert_int_equal(house.orders[i].spec->box.mode, SPEC_BOX_SWEEP);
	return house.orders[i].spec;
}

/* ---- boxes that are parked ---- */

/* The order that parks one. */
static inline struct order *wait_parked(unsigned n_orders)
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

static inline struct native *open_warm(unsigned warm)
{
	house.can |= WIRE_CAN_WARM;
	house.context.warm = warm;
	return open_driver();
}

static inline struct driver_start another(uint32_t generation)
{
	struct driver_start start = start_of("true", NULL);

	start.generation = generation;
	return start;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, clean_up)
