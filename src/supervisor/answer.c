#include "supervisor/answer.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME	  "hsup.sock"
#define AT_ONCE	  16
#define LINE_SIZE 200

struct answer {
	int socket;
	sd_event_source *io;
	void (*say)(void *userdata, char *ret_line, size_t size);
	void *userdata;
};

static int on_connect(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct answer *a = userdata;
	char line[LINE_SIZE];

	(void)source;
	(void)revents;
	for (int i = 0; i < AT_ONCE; i++) {
		_cleanup_close_ int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (peer < 0)
			break;
		a->say(a->userdata, line, sizeof line - 1);
		size_t len = strlen(line);
		line[len++] = '\n';
		(void)send(peer, line, len, MSG_NOSIGNAL);
	}
	return 0;
}

static int listen_in(int folder)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* By way of a descriptor: a socket's address has room for 107 bytes only. */
	(void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" NAME, folder);
	if (fd < 0)
		return -errno;
	/* Who holds the daemon's lock owns the name: what is there is of a supervisor before us. */
	(void)unlinkat(folder, NAME, 0);
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int answer_open(sd_event *loop, const char *folder,
	void (*say)(void *userdata, char *ret_line, size_t size), void *userdata,
	struct answer **ret_answer, struct err *err)
{
	_cleanup_close_ int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct answer *a = calloc(1, sizeof *a);

	if (!a)
		return err_errno(err, -ENOMEM, NAME);
	a->say = say;
	a->userdata = userdata;
	a->socket = dir < 0 ? -errno : listen_in(dir);
	int r = a->socket;
	if (r >= 0)
		r = sd_event_add_io(loop, &a->io, a->socket, EPOLLIN, on_connect, a);
	if (r < 0) {
		answer_close(a);
		return err_errno(err, r, "%.300s/" NAME, folder);
	}
	*ret_answer = a;
	return 0;
}

struct answer *answer_close(struct answer *a)
{
	if (!a)
		return NULL;
	sd_event_source_disable_unref(a->io);
	fd_close(a->socket);
	free(a);
	return NULL;
}
