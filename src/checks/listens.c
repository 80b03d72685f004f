/* Who listens in the network of another process, by the word of the kernel. */
#include "checks/private.h"

#include <errno.h>
#include <stdio.h>

#define LISTENS	  0x0a /* of enum in net/tcp_states.h */
#define LINES_MAX 4096 /* a dyno may have as many as it likes */

/* A socket on each line behind the first: "0: ADDRESS:PORT ADDRESS:PORT STATE ...", in hex; those
 * that listen come before all others, of which there may be any number. */
static int look(int pid, const char *family, unsigned wanted)
{
	unsigned port, state;
	char path[40], line[256];
	bool found = false;
	int lines = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/net/%s", pid, family);
	FILE *file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!found && lines++ < LINES_MAX && fgets(line, sizeof line, file)) {
		if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &port, &state) != 2)
			continue;
		if (state != LISTENS)
			break;
		found = port == wanted;
	}
	(void)fclose(file);
	return found ? 1 : -ECONNREFUSED;
}

int listens(const struct check_address *where)
{
	int r = look(where->network_of, "tcp", where->port);

	/* At all addresses of both kinds. */
	return r == -ECONNREFUSED ? look(where->network_of, "tcp6", where->port) : r;
}
