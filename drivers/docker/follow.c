#include "drivers/docker/follow_private.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/ioctl.h>

/* At the end: how often it is looked whether the engine is there again, how often before it is
 * given up (10 s); and how long it may be silent (2 min: it reads a long log from its beginning).
 */
#define TICK_USEC    UINT64_C(250000)
#define TICKS_GONE   40
#define TICKS_SILENT 480

static size_t most_waits(const struct follow *f)
{
	size_t out = follow_pipe_waits(&f->pipes[0]), error = follow_pipe_waits(&f->pipes[1]);

	return out > error ? out : error;
}

bool follow_write(struct follow *f)
{
	/* Where the mark is but a time, a successor takes no byte to be behind it: the first
	 * message after a silence is marked before any of it is in the pipe. */
	follow_marks(f);
	for (unsigned i = 0; i < f->n_pipes; i++) {
		struct follow_pipe *p = &f->pipes[i];

		if (follow_pipe_flush(p))
			f->gone = 0;
		bool waits = follow_pipe_waits(p) > 0;
		(void)sd_event_source_set_enabled(p->writable, waits ? SD_EVENT_ON : SD_EVENT_OFF);
	}
	follow_marks(f);
	return most_waits(f) < FOLLOW_BATCH;
}

/* Nothing of f may be touched behind it. */
static void tell_over(struct follow *f, bool lost)
{
	(void)sd_event_source_set_enabled(f->tick, SD_EVENT_OFF);
	f->setup.over(f->setup.userdata, lost || f->lost);
}

static void written_some(struct follow *f)
{
	(void)follow_write(f);
	/* Not for every few bytes: to pause is dear. */
	if (f->paused && most_waits(f) <= FOLLOW_BATCH / 2) {
		f->paused = false;
		engine_resume(f->call);
	}
	if (f->reading && !f->call && most_waits(f) == 0) {
		f->reading = false;
		tell_over(f, false);
	}
}

static int on_flush(HSUP_UNUSED sd_event_source *source, void *userdata)
{
	written_some(userdata);
	return 0;
}

static int on_writable(HSUP_UNUSED sd_event_source *source, HSUP_UNUSED int fd,
	HSUP_UNUSED uint32_t events, void *userdata)
{
	struct follow_pipe *p = userdata;

	written_some(p->follow);
	return 0;
}

/* ---- the end ---- */

static int tick_again(struct follow *f, uint64_t usec)
{
	int r = sd_event_source_set_time_relative(f->tick, usec);

	return r < 0 ? r : sd_event_source_set_enabled(f->tick, SD_EVENT_ONESHOT);
}

void follow_read_done(struct follow *f, int r, const struct err *err)
{
	if (f->finishing && r == 0) {
		written_some(f);
		return;
	}
	follow_read_end(f);
	if (!f->finishing)
		f->setup.broke(f->setup.userdata, r, err);
	else if (r == -ENOENT || r == -EBADMSG)
		tell_over(f, true);
}

static int on_tick(HSUP_UNUSED sd_event_source *source, HSUP_UNUSED uint64_t usec, void *userdata)
{
	struct follow *f = userdata;
	struct err err;

	if (f->call && !f->paused && ++f->silent >= TICKS_SILENT) {
		follow_read_end(f);
		f->gone = TICKS_GONE;
	}
	if (f->reading && (!f->call || f->paused || engine_is_up(f->setup.engine)))
		return tick_again(f, TICK_USEC);
	if (f->gone++ >= TICKS_GONE) {
		follow_read_end(f);
		tell_over(f, true);
		return 0;
	}
	if (!f->reading)
		(void)follow_read(f, false, &err);
	return tick_again(f, TICK_USEC);
}

void follow_finish(struct follow *f)
{
	if (f->finishing)
		return;
	follow_read_end(f);
	f->finishing = true;
	(void)tick_again(f, 0);
}

int follow_go(struct follow *f, struct err *err)
{
	return f->reading || f->finishing ? 0 : follow_read(f, true, err);
}

/* ---- its life ---- */

static int add_pipe(struct follow *f, int fd)
{
	struct follow_pipe *p = &f->pipes[f->n_pipes++];
	sd_event *loop = f->setup.loop;

	p->follow = f;
	p->fd = fd;
	int r = sd_event_add_io(loop, &p->writable, fd, EPOLLOUT, on_writable, p);
	return r < 0 ? r : sd_event_source_set_enabled(p->writable, SD_EVENT_OFF);
}

static int add_sources(struct follow *f)
{
	sd_event *loop = f->setup.loop;
	int r = sd_event_add_defer(loop, &f->flush, on_flush, f);

	if (r >= 0)
		r = sd_event_source_set_enabled(f->flush, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(
			loop, &f->tick, CLOCK_MONOTONIC, 0, 10000, on_tick, f);
	if (r >= 0)
		r = sd_event_source_set_enabled(f->tick, SD_EVENT_OFF);
	return r;
}

static int recover(struct follow *f)
{
	for (unsigned i = 0; i < 2; i++) {
		int holds = 0;

		if (ioctl(f->pipes[f->n_pipes > 1 ? i : 0].fd, FIONREAD, &holds) < 0)
			return -errno;
		place_recover(&f->setup.place->streams[i], (size_t)holds);
	}
	return 0;
}

int follow_new(const struct follow_setup *setup, struct follow **ret_follow, struct err *err)
{
	_cleanup_close_ int out = setup->out, error = setup->err;
	struct follow *f = calloc(1, sizeof *f);

	if (!f)
		return err_errno(err, -ENOMEM, "log of container %s", setup->container);
	f->pipes[0].fd = f->pipes[1].fd = -1;
	f->setup = *setup;
	f->container = strdup(setup->container);
	int r = f->container ? add_pipe(f, TAKE_FD(out)) : -ENOMEM;
	if (r >= 0 && error >= 0)
		r = add_pipe(f, TAKE_FD(error));
	if (r >= 0)
		r = add_sources(f);
	if (r >= 0 && setup->recovers)
		r = recover(f);
	if (r < 0) {
		(void)follow_free(f);
		return err_errno(err, r, "log of container %s", setup->container);
	}
	*ret_follow = f;
	return 0;
}

struct follow *follow_free(struct follow *f)
{
	if (!f)
		return NULL;
	engine_cancel(f->call);
	for (unsigned i = 0; i < 2; i++) {
		(void)sd_event_source_disable_unref(f->pipes[i].writable);
		follow_pipe_drop(&f->pipes[i]);
		fd_close(f->pipes[i].fd);
	}
	(void)sd_event_source_disable_unref(f->flush);
	(void)sd_event_source_disable_unref(f->tick);
	free(f->container);
	free(f);
	return NULL;
}
