/* A terminal of the dyno's own: on the operator's it could type what the operator's shell then
 * runs. */
#include "base/fd.h"
#include "box/box_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void must(int r)
{
	if (r < 0)
		box_fail(WIRE_STAGE_TERMINAL, errno);
}

/* As another open file, so that it can be made not to block: the one we have is also our
 * operator's shell's. Who may not (a terminal of another user, after su) waits in writing. Nobody
 * waits for a file, in which where we are, or that it is the end, is the shell's to say. */
static int reopen(int fd, int flags)
{
	char path[32];
	struct stat st;

	if (fstat(fd, &st) < 0 || !(S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
		return fd;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int own = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return own < 0 ? fd : own;
}

void pty_find(struct pty *p, const struct box *b)
{
	p->master = p->peer = p->in.from = p->in.to = p->out.from = p->out.to = -1;
	if (!(b->spec->box.flags & SPEC_BOX_PTY))
		return;
	must(tcgetattr(STDIN_FILENO, &p->old));
	p->in.from = reopen(STDIN_FILENO, O_RDONLY);
	p->out.to = reopen(STDOUT_FILENO, O_WRONLY);
}

void pty_open(struct pty *p, const struct box *b)
{
	struct stat st;
	int zero = 0;

	if (p->out.to < 0)
		return;
	must(p->master = open(
		     "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
	must(fstat(p->master, &st));
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(TTYAUX_MAJOR, 2))
		box_fail(WIRE_STAGE_TERMINAL, ENOTTY);
	must(ioctl(p->master, TIOCSPTLCK, &zero));
	/* Not by name: what is there by then could be another. */
	must(p->peer = ioctl(p->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	if (b->root)
		must(fchown(p->peer, b->uid, (gid_t)-1));
	p->in.to = p->out.from = p->master;
	pty_resize(p);
}

void pty_resize(struct pty *p)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		(void)ioctl(p->master, TIOCSWINSZ, &size);
}

void pty_begin(struct pty *p)
{
	struct termios raw = p->old;

	if (p->master < 0)
		return;
	cfmakeraw(&raw);
	p->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

/* False: nothing more will come. */
static bool flow_read(struct flow *f)
{
	ssize_t n = read(f->from, f->bytes, sizeof f->bytes);

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	f->at = 0;
	f->len = f->to < 0 ? 0 : (size_t)n;
	return true;
}

static void flow_write(struct flow *f)
{
	ssize_t n = write(f->to, f->bytes + f->at, f->len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		/* Nobody is there any more who could read it. */
		f->to = -1;
		f->len = 0;
		return;
	}
	f->at += (size_t)n;
	f->len -= (size_t)n;
}

/* What is full is not read, so that whoever writes there waits. */
void pty_relay(struct pty *p, int signals)
{
	for (;;) {
		short master = (short)((p->in.len ? POLLOUT : 0) | (p->out.len ? 0 : POLLIN));
		struct pollfd polled[] = {
			{.fd = signals, .events = POLLIN},
			{.fd = p->in.len ? -1 : p->in.from, .events = POLLIN},
			{.fd = p->out.len ? p->out.to : -1, .events = POLLOUT},
			{.fd = master ? p->master : -1, .events = master},
		};

		if (poll(polled, ARRAY_SIZE(polled), -1) < 0 || polled[0].revents)
			return;
		if (polled[1].revents && !flow_read(&p->in))
			p->in.from = -1;
		if (polled[2].revents)
			flow_write(&p->out);
		if (polled[3].revents & POLLOUT)
			flow_write(&p->in);
		if (polled[3].revents & ~POLLOUT && p->out.len == 0)
			(void)flow_read(&p->out);
	}
}

/* The operator does not want to wait for a terminal that has stopped. */
static bool told_to_end(int signals)
{
	struct signalfd_siginfo s;

	if (read(signals, &s, sizeof s) != sizeof s)
		return true;
	return s.ssi_signo == SIGTERM || s.ssi_signo == SIGINT || s.ssi_signo == SIGHUP ||
	       s.ssi_signo == SIGQUIT;
}

static void drain(struct pty *p, int signals)
{
	for (;;) {
		struct pollfd polled[] = {
			{.fd = signals, .events = POLLIN},
			{.fd = p->out.to, .events = POLLOUT},
		};

		/* (Such a read first waits for what the kernel has still to pass on.) */
		if (p->out.len == 0) {
			if (!flow_read(&p->out) || p->out.len == 0)
				return;
		}
		if (poll(polled, ARRAY_SIZE(polled), -1) < 0)
			continue;
		if (polled[0].revents && told_to_end(signals))
			return;
		if (polled[1].revents)
			flow_write(&p->out);
	}
}

void pty_end(struct pty *p, int signals)
{
	if (p->master < 0)
		return;
	p->peer = fd_close(p->peer);
	drain(p, signals);
	if (p->raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &p->old);
}
