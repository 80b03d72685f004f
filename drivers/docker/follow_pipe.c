#include "drivers/docker/follow_private.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct follow_run run_at(const struct follow_pipe *p, size_t at)
{
	struct follow_run run;

	memcpy(&run, p->data + at, sizeof run);
	return run;
}

static void put_run(struct follow_pipe *p, size_t at, struct follow_run run)
{
	memcpy(p->data + at, &run, sizeof run);
}

size_t follow_pipe_waits(const struct follow_pipe *p)
{
	return p->end - p->start;
}

void follow_pipe_drop(struct follow_pipe *p)
{
	free(p->data);
	p->data = NULL;
	p->start = p->end = p->size = 0;
}

static int make_room(struct follow_pipe *p, size_t more)
{
	size_t size = p->size > 0 ? p->size : 4096;

	if (p->end + more <= p->size)
		return 0;
	if (p->start > 0) {
		memmove(p->data, p->data + p->start, p->end - p->start);
		p->end -= p->start;
		p->last -= p->start;
		p->start = 0;
	}
	while (size < p->end + more)
		size *= 2;
	if (size == p->size)
		return 0;
	char *data = realloc(p->data, size);
	if (!data)
		return -ENOMEM;
	p->data = data;
	p->size = size;
	return 0;
}

int follow_pipe_add(struct follow_pipe *p, unsigned stream, const char *data, size_t len)
{
	struct follow_run run = {.stream = stream};

	if (len == 0)
		return 0;
	int r = make_room(p, sizeof run + len);
	if (r < 0)
		return r;
	if (p->end > p->start && run_at(p, p->last).stream == stream) {
		run = run_at(p, p->last);
	} else {
		p->last = p->end;
		p->end += sizeof run;
	}
	run.len += (uint32_t)len;
	put_run(p, p->last, run);
	memcpy(p->data + p->end, data, len);
	p->end += len;
	return 0;
}

/* How much of it is in the pipe now. */
static size_t write_run(struct follow_pipe *p, struct follow_run run)
{
	struct place_stream *s = &p->follow->setup.place->streams[run.stream];
	size_t len = run.len < PLACE_WRITE_MAX ? run.len : PLACE_WRITE_MAX;
	int held = 0;
	ssize_t n;

	if (ioctl(p->fd, FIONREAD, &held) < 0 || held < 0 || (unsigned)held > PLACE_HELD_MAX)
		return 0;
	place_about(s, (size_t)held, len);
	do
		n = write(p->fd, p->data + p->start + sizeof run, len);
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		place_wrote(s, (size_t)n);
		return (size_t)n;
	}
	bool full = errno == EAGAIN;
	/* It would still be believed when the next write into this pipe is the other stream's. */
	place_about(s, 0, 0);
	if (full)
		return 0;
	/* Nobody will ever read it. */
	p->follow->lost = true;
	place_wrote(s, len);
	return len;
}

bool follow_pipe_flush(struct follow_pipe *p)
{
	bool some = false;

	while (p->start < p->end) {
		struct follow_run run = run_at(p, p->start);
		size_t n = write_run(p, run);

		if (n == 0)
			return some;
		some = true;
		run.len -= (uint32_t)n;
		if (run.len == 0) {
			p->start += sizeof run + n;
			continue;
		}
		if (p->last == p->start)
			p->last += n;
		p->start += n;
		put_run(p, p->start, run);
	}
	follow_pipe_drop(p);
	return some;
}
