/* What the caller gives us to read, for the container. */
#include "drivers/docker/attach_private.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

bool attach_is_ours(int fd)
{
	pid_t group = tcgetpgrp(fd);

	return group < 0 || group == getpgrp();
}

/* Another may read from it, too, and be faster: then a read would wait, for whom it is not known.
 * O_NONBLOCK is set on an open file of our own only, as in io/outlet.h. */
static int open_own(int fd, bool *ret_socket)
{
	struct stat st;
	char path[40];

	*ret_socket = false;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_socket = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode) || isatty(fd)) {
		(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		int own = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (own >= 0)
			return own;
	}
	int same = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return same >= 0 ? same : -errno;
}

int attach_in_open(struct attach *a, const struct attach_setup *setup)
{
	struct attach_in *in = &a->in;
	int fd = setup->stdio[0];

	in->fd = -1;
	in->size = setup->first_len > ATTACH_IN_BYTES ? setup->first_len : ATTACH_IN_BYTES;
	in->data = malloc(in->size);
	if (!in->data)
		return -ENOMEM;
	if (setup->first_len > 0)
		memcpy(in->data, setup->first, setup->first_len);
	in->len = setup->first_len;
	if (!attach_is_ours(fd))
		return 0;
	in->fd = open_own(fd, &in->socket);
	return in->fd < 0 ? in->fd : 0;
}

static void no_more(struct attach_in *in)
{
	in->source = sd_event_source_disable_unref(in->source);
	in->fd = fd_close(in->fd);
}

void attach_in_end(struct attach *a)
{
	struct attach_in *in = &a->in;

	no_more(in);
	if (in->data)
		explicit_bzero(in->data, in->size);
	free(in->data);
	in->data = NULL;
	in->len = in->sent = 0;
}

static void fill(struct attach_in *in)
{
	ssize_t n = in->socket ? recv(in->fd, in->data, in->size, MSG_DONTWAIT)
			       : read(in->fd, in->data, in->size);

	in->sent = in->len = 0;
	if (n > 0)
		in->len = (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		no_more(in); /* EIO: a terminal that is gone, or not ours any more */
}

/* What there is goes; then it is read again, or was all. */
static void pump(struct attach *a)
{
	struct attach_in *in = &a->in;

	while (in->sent < in->len && a->pipe) {
		ssize_t n = web_pipe_send(a->pipe, in->data + in->sent, in->len - in->sent);

		if (n == 0)
			break; /* attach_in_more() */
		if (n < 0) {
			/* Nobody reads it there; what is said of it comes as the pipe's end. */
			no_more(in);
			in->sent = in->len;
			in->shut = true;
			return;
		}
		in->sent += (size_t)n;
	}
	bool all = in->sent == in->len;
	if (in->source)
		(void)sd_event_source_set_enabled(
			in->source, all ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	/* Of a terminal that is gone the container hears by a signal; it has no end of file. */
	if (all && in->fd < 0 && !in->shut && a->pipe && !a->tty.on) {
		in->shut = true;
		(void)web_pipe_shut(a->pipe);
	}
}

static int on_file(sd_event_source *source, void *userdata)
{
	struct attach *a = userdata;

	(void)source;
	fill(&a->in);
	pump(a);
	return 0;
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)fd;
	(void)events;
	return on_file(source, userdata);
}

void attach_in_begin(struct attach *a)
{
	struct attach_in *in = &a->in;

	if (in->fd >= 0) {
		int r = sd_event_add_io(a->loop, &in->source, in->fd, EPOLLIN, on_readable, a);

		if (r == -EPERM) /* a file, /dev/null: always readable */
			r = sd_event_add_defer(a->loop, &in->source, on_file, a);
		if (r >= 0)
			r = sd_event_source_set_enabled(in->source, SD_EVENT_OFF);
		if (r < 0) {
			attach_blame(a, r, "standard input");
			no_more(in);
		}
	}
	pump(a);
}

void attach_in_more(struct attach *a)
{
	if (a->started && !a->finishing)
		pump(a);
}
