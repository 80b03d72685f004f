/* Who listens in the network of another process, by the word of the kernel. */
#include "checks/private.h"

#include <errno.h>
#include <stdio.h>

#define LISTENS 0x0a /* of enum in net/tcp_states.h */

/* A socket on each line behind the first: "0: ADDRESS:PORT ADDRESS:PORT STATE ...", in hex. */
static int look(int pid, const char *family, unsigned wanted)
{
	unsigned port, state;
	char path[40], line[256];
	bool found = false;

	(void)snprintf(path, sizeof path, "/proc/%d/net/%s", pid, family);
	FILE *file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!found && fgets(line, sizeof line, file))
		found = sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &port, &state) == 2 &&
			port == wanted && state == LISTENS;
	(void)fclose(file);
	return found ? 1 : -ECONNREFUSED;
}

int listens(const struct check_address *where)
{
	int r = look(where->network_of, "tcp", where->port);

	/* At all addresses of both kinds. */
	return r == -ECONNREFUSED ? look(where->network_of, "tcp6", where->port) : r;
}
