/* The floor of the control API: libmicrohttpd alone, on a Unix socket, with the same bytes for all.
 *
 *     bare SOCKET BYTES */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct MHD_Response *response;

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **state)
{
	(void)cls;
	(void)url;
	(void)method;
	(void)version;
	(void)data;
	(void)size;
	if (!*state) {
		*state = response;
		return MHD_YES;
	}
	return MHD_queue_response(connection, 200, response);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct epoll_event event;

	if (argc != 3)
		return 2;
	size_t n = strtoul(argv[2], NULL, 10);
	char *body = malloc(n + 1);
	if (!body)
		return 1;
	memset(body, 'x', n);
	response = MHD_create_response_from_buffer(n, body, MHD_RESPMEM_MUST_FREE);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 128) < 0)
		return 1;
	struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_END);
	if (!daemon)
		return 1;
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	event = (struct epoll_event){.events = EPOLLIN};
	(void)epoll_ctl(epoll, EPOLL_CTL_ADD, info->epoll_fd, &event);
	for (;;) {
		MHD_UNSIGNED_LONG_LONG ms = 0;
		int wait = MHD_get_timeout(daemon, &ms) == MHD_YES ? (int)ms : -1;

		(void)epoll_wait(epoll, &event, 1, wait);
		(void)MHD_run(daemon);
	}
}
