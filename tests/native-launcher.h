/* A launcher that only takes note of what the native driver orders. After cmocka.h. */
#pragma once

#include "drivers/native/private.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MOST 8 /* orders that are looked at */

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

static inline int fake_take(
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

static inline int fake_spawn(void *s, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int fd, const struct launch_stdio *stdio)
{
	(void)s;
	(void)stdio;
	return fake_take(false, c, name, tag, tag_len, fd);
}

static inline int fake_spawn_box(void *s, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int fd, const struct launch_stdio *stdio)
{
	(void)s;
	(void)stdio;
	return fake_take(true, c, name, tag, tag_len, fd);
}

static inline int fake_park(void *s, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int fd, const struct launch_stdio *stdio)
{
	(void)s;
	assert_non_null(stdio->given);
	int r = fake_take(true, c, name, tag, tag_len, fd);
	if (r == 0)
		house.orders[house.n_orders - 1].park = true;
	return r;
}

static inline int fake_spawn_warm(void *s, struct launch_child parked, struct launch_child c,
	const char *name, const void *tag, size_t tag_len, int fd, const struct launch_stdio *stdio)
{
	(void)s;
	(void)stdio;
	int r = fake_take(true, c, name, tag, tag_len, fd);
	if (r == 0)
		house.orders[house.n_orders - 1].parked = parked;
	return r;
}

static inline void fake_listen(void *s, const struct launch_child_events *events, void *userdata)
{
	(void)s;
	house.to = events;
	house.to_userdata = userdata;
}

static inline int fake_signal(void *s, struct launch_child c, int signo)
{
	(void)s;
	(void)c;
	house.n_kills += signo == SIGKILL;
	return 0;
}

static inline int fake_ack(void *s, struct launch_child c)
{
	(void)s;
	house.n_acks++;
	house.acked = c.id;
	return 0;
}

static inline int fake_tag(void *s, struct launch_child c, const void *tag, size_t len)
{
	struct order *o = &house.orders[0];

	(void)s;
	(void)c;
	memcpy(o->tag, tag, len);
	o->tag_len = len;
	return 0;
}

static inline int fake_list(void *s)
{
	(void)s;
	return 0;
}

static inline unsigned fake_can(void *s)
{
	(void)s;
	return house.can;
}

static inline void fake_close(void *s)
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
