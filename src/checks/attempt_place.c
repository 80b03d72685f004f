/* Where a try connects to. */
#include "checks/private.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>

#define QUIET_NS (300 * NSEC_PER_MSEC)

socklen_t attempt_address(const struct attempt *a, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	const char *host = a->where.host;

	*ret = (struct sockaddr_storage){0};
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!a->second && (!*host || inet_pton(AF_INET, host, &v4->sin_addr) == 1)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)a->where.port);
		return sizeof *v4;
	}
	*v6 = (struct sockaddr_in6){
		.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)a->where.port)};
	v6->sin6_addr = in6addr_loopback;
	return *host && inet_pton(AF_INET6, host, &v6->sin6_addr) != 1 ? 0 : sizeof *v6;
}

bool attempt_meets_itself(const struct attempt *a)
{
	struct sockaddr_in6 own = {0}; /* the port of an IPv4 address is at the same place */
	socklen_t len = sizeof own;

	return !a->where.host[0] && getsockname(a->fd, (struct sockaddr *)&own, &len) == 0 &&
	       ntohs(own.sin6_port) == a->where.port;
}

/* Who accepts for another finds out at once whether that listens, now and then in 0.2 s. */
int attempt_wait_quiet(struct attempt *a, sd_event_time_handler_t on_quiet)
{
	uint64_t most = a->check->timeout / 2;
	uint64_t wait = most < QUIET_NS ? most : QUIET_NS;
	int r = sd_event_source_set_io_events(a->io, EPOLLIN);

	if (r >= 0)
		r = sd_event_add_time_relative(a->loop, &a->quiet, CLOCK_MONOTONIC,
			wait / NSEC_PER_USEC, 1000, on_quiet, a);
	return r < 0 ? r : 0;
}
