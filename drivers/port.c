#include "drivers/port.h"

#include "base/fd.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define FIRST_PORT 5000u
#define PER_TYPE   100u
#define LAST_PORT  65535u

unsigned port_wish(unsigned type_index, unsigned instance)
{
	unsigned long wish = FIRST_PORT + (unsigned long)PER_TYPE * type_index + instance;

	return wish > LAST_PORT ? FIRST_PORT + (unsigned)(wish % (LAST_PORT - FIRST_PORT))
				: (unsigned)wish;
}

/* One socket asks for both families: bound to [::] without IPV6_V6ONLY it collides with whoever
 * listens on the port, on any address. Two would cost every start twice the time. */
static int open_probe(int *ret_family)
{
	int off = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_family = AF_INET6;
	if (fd >= 0) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
		return fd;
	}
	*ret_family = AF_INET;
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static bool bindable(unsigned port, enum port_care care)
{
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	int family, one = 1;
	_cleanup_close_ int fd = open_probe(&family);

	if (fd < 0)
		return true;
	/* With SO_REUSEADDR only a listener is in the way, not the old connections in TIME_WAIT
	 * that a dyno leaves behind when it is restarted. */
	if (care == PORT_LISTENERS)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (family == AF_INET6)
		return bind(fd, (const struct sockaddr *)&any6, sizeof any6) == 0;
	return bind(fd, (const struct sockaddr *)&any4, sizeof any4) == 0;
}

static bool is_taken(const struct port_pool *pool, unsigned port)
{
	return pool->taken[port / 64] >> (port % 64) & 1;
}

unsigned port_take(struct port_pool *pool, unsigned wish, enum port_care care)
{
	for (unsigned port = wish; port <= LAST_PORT; port++) {
		if (is_taken(pool, port) || !bindable(port, care))
			continue;
		port_mark(pool, port);
		return port;
	}
	return 0;
}

bool port_take_again(struct port_pool *pool, unsigned port)
{
	if (port == 0 || port > LAST_PORT || is_taken(pool, port))
		return false;
	port_mark(pool, port);
	return true;
}

void port_mark(struct port_pool *pool, unsigned port)
{
	if (port > 0 && port <= LAST_PORT)
		pool->taken[port / 64] |= UINT64_C(1) << (port % 64);
}

void port_give_back(struct port_pool *pool, unsigned port)
{
	if (port > 0 && port <= LAST_PORT)
		pool->taken[port / 64] &= ~(UINT64_C(1) << (port % 64));
}
