/* The table of the lives there are, and what each has on our side. */
#include "drivers/docker/private.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static struct container **bucket(struct docker *d, uint64_t id)
{
	return &d->buckets[(id * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

_Static_assert(CONTAINER_BUCKETS == 1 << (64 - 54), "bucket() yields as many values as there are");

struct container *container_find(struct docker *d, uint64_t id, uint32_t generation)
{
	struct container *c = *bucket(d, id);

	while (c && (c->id != id || c->generation != generation))
		c = c->next_in_bucket;
	return c;
}

struct container *container_new(
	struct docker *d, const char *name, uint64_t id, uint32_t generation)
{
	struct container *c = d->n < LIMIT_DYNOS ? calloc(1, sizeof *c) : NULL;

	if (!c)
		return NULL;
	c->owner = d;
	c->id = id;
	c->generation = generation;
	c->out = c->err = c->out_in = c->err_in = -1;
	(void)snprintf(c->name, sizeof c->name, "%s", name);

	struct container **head = bucket(d, id);
	c->next_in_bucket = *head;
	*head = c;
	c->prev = d->last;
	*(d->last ? &d->last->next : &d->first) = c;
	d->last = c;
	d->n++;
	return c;
}

static void unlink_container(struct container *c)
{
	struct docker *d = c->owner;
	struct container **at = bucket(d, c->id);

	while (*at != c)
		at = &(*at)->next_in_bucket;
	*at = c->next_in_bucket;
	*(c->prev ? &c->prev->next : &d->first) = c->next;
	*(c->next ? &c->next->prev : &d->last) = c->prev;
	d->n--;
}

struct container *container_free(struct container *c)
{
	if (!c)
		return NULL;
	unlink_container(c);
	c->owner->starting -= c->slot;
	engine_cancel(c->call);
	engine_cancel(c->inspect);
	engine_cancel(c->kill);
	if (c->stats)
		c->owner->measuring--;
	engine_cancel(c->stats);
	follow_free(c->follow);
	attach_free(c->attach);
	handover_free(c->handover);
	feed_free(c->feed, c->phase == PHASE_ENDED);
	json_decref(c->body);
	if (c->first.data)
		explicit_bzero(c->first.data, c->first.len);
	strbuf_done(&c->first);
	(void)fd_close(c->out);
	(void)fd_close(c->err);
	(void)fd_close(c->out_in);
	(void)fd_close(c->err_in);
	free(c->tag);
	free(c);
	return NULL;
}

void container_path(const struct container *c, const char *rest, char ret_path[512])
{
	(void)snprintf(ret_path, 512, "/containers/%.*s%s", CONTAINER_NAME - 1,
		c->ref[0] ? c->ref : c->called, rest);
}

void container_note(const struct container *c, const char *fmt, ...)
{
	const struct driver_context *context = c->owner->context;
	char text[700];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	if (context->events->note)
		context->events->note(context->userdata, c->name, text);
}

/* ---- its output ---- */

/* The same pipe, open for both directions: whoever goes, nobody sees a hang-up. */
static int open_again(const struct docker *d, int fd)
{
	char number[16];

	(void)snprintf(number, sizeof number, "%d", fd);
	int again = openat(d->proc, number, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

static int make_pipe(const struct docker *d, int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	_cleanup_close_ int reading = fds[0];
	_cleanup_close_ int writing = fds[1];
	_cleanup_close_ int read = open_again(d, reading);
	int write = open_again(d, writing);
	if (read < 0 || write < 0) {
		int r = read < 0 ? read : write;

		(void)fd_close(write < 0 ? -1 : write);
		return r;
	}
	*ret_read = TAKE_FD(read);
	*ret_write = write;
	return 0;
}

int container_pipes(struct container *c, bool merged)
{
	int r = make_pipe(c->owner, &c->out, &c->out_in);

	return r < 0 || merged ? r : make_pipe(c->owner, &c->err, &c->err_in);
}

int container_reopen(struct container *c)
{
	int r = open_again(c->owner, c->out);

	if (r >= 0) {
		c->out_in = r;
		r = c->err < 0 ? 0 : open_again(c->owner, c->err);
	}
	if (r > 0)
		c->err_in = r;
	return r < 0 ? r : 0;
}

int container_follow(struct container *c, struct err *err)
{
	struct docker *d = c->owner;
	int out = TAKE_FD(c->out_in), error = TAKE_FD(c->err_in);
	const struct follow_setup setup = {
		.engine = d->engine,
		.loop = d->context->loop,
		.place = c->place,
		.container = c->ref,
		.out = out,
		.err = error,
		.recovers = c->recovers,
		.broke = container_broke,
		.over = container_over,
		.userdata = c,
	};

	return follow_new(&setup, &c->follow, err);
}
