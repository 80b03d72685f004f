/* Who reaches whom, and how much of it: for machines without a python.
 *
 *   reach hear PORT
 *	says "up", then a line for each that comes: "udp WORD", "tcp WORD"
 *   reach call WORD ADDRESS PORT [SOURCE [INTERFACE]]
 *	says WORD in a datagram, then in a connection: "WORD connected", or "WORD not connected".
 *	SOURCE is an address of ours, - any; the way can be by one interface alone */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORD	 64
#define PATIENCE 10 /* seconds */

static int must(int r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
	return r;
}

static int open_server(int type, int port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = must(socket(AF_INET6, type, 0), "socket"), off = 0;

	must(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), "IPV6_V6ONLY");
	must(bind(fd, (struct sockaddr *)&any, sizeof any), "bind");
	return fd;
}

static void hear(int port)
{
	struct pollfd fds[] = {
		{.fd = open_server(SOCK_DGRAM, port), .events = POLLIN},
		{.fd = open_server(SOCK_STREAM, port), .events = POLLIN},
	};
	char word[WORD + 1];

	must(listen(fds[1].fd, 100), "listen");
	printf("up\n");
	for (;;) {
		must(poll(fds, 2, -1), "poll");
		if (fds[0].revents) {
			ssize_t n = recv(fds[0].fd, word, WORD, 0);

			printf("udp %.*s\n", n < 0 ? 0 : (int)n, word);
		}
		if (fds[1].revents) {
			int peer = accept(fds[1].fd, NULL, NULL);
			ssize_t n = recv(peer, word, WORD, 0);

			printf("tcp %.*s\n", n < 0 ? 0 : (int)n, word);
			(void)!write(peer, "heard", 5);
			close(peer);
		}
	}
}

static int open_client(
	const struct addrinfo *to, int type, const char *source, const char *interface)
{
	struct addrinfo hints = {.ai_family = to->ai_family, .ai_flags = AI_NUMERICHOST}, *from;
	struct timeval patience = {.tv_sec = PATIENCE};
	int fd = must(socket(to->ai_family, type, 0), "socket");

	must(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), "SO_SNDTIMEO");
	must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), "SO_RCVTIMEO");
	if (interface)
		must(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, strlen(interface)),
			"SO_BINDTODEVICE");
	if (strcmp(source, "-") != 0) {
		must(getaddrinfo(source, NULL, &hints, &from) ? -1 : 0, source);
		must(bind(fd, from->ai_addr, from->ai_addrlen), "bind");
	}
	return fd;
}

static void call(const char *word, const char *address, const char *port, const char *source,
	const char *interface)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				.ai_socktype = SOCK_STREAM},
			*to;
	char answer[8];

	must(getaddrinfo(address, port, &hints, &to) ? -1 : 0, address);
	int fd = open_client(to, SOCK_DGRAM, source, interface);
	(void)!sendto(fd, word, strlen(word), 0, to->ai_addr, to->ai_addrlen);
	fd = open_client(to, SOCK_STREAM, source, interface);
	int heard = connect(fd, to->ai_addr, to->ai_addrlen) == 0 &&
		    send(fd, word, strlen(word), 0) > 0 && recv(fd, answer, sizeof answer, 0) > 0;
	printf("%s %s\n", word, heard ? "connected" : "not connected");
}

int main(int argc, char **argv)
{
	setlinebuf(stdout);
	if (argc == 3 && strcmp(argv[1], "hear") == 0)
		hear(atoi(argv[2]));
	if (argc >= 5 && argc <= 7 && strcmp(argv[1], "call") == 0) {
		call(argv[2], argv[3], argv[4], argc > 5 ? argv[5] : "-",
			argc > 6 ? argv[6] : NULL);
		return 0;
	}
	return 2;
}
