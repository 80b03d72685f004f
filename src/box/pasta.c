/* A network for the dyno of who is not root: pasta(1) passes on, as this user, what the dyno sends,
 * and what comes to its PORT on the machine's loopback. It is of our pid namespace, so that it dies
 * with us, holds nothing of the dyno's but its network, and gets no signal that we pass on. Who
 * becomes it keeps a capability that the dyno has not: it cannot be traced by it, only ended. */
#include "base/caps.h"
#include "base/fd.h"
#include "box/box_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define NETNS "/proc/self/fd/0" /* versions of 2024 close all above 2 */

/* "127.0.0.1/PORT", or "none". The dyno has said, or hsup has chosen, which. */
static void forward(const struct spec *spec, char ret[32])
{
	unsigned port = publish_port(spec);

	if (port)
		(void)snprintf(ret, 32, "127.0.0.1/%u", port);
	else
		(void)snprintf(ret, 32, "none");
}

void pasta_hush(int in)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	box_must_call(null, WIRE_STAGE_NETWORK);
	box_must_call(dup2(in < 0 ? null : in, STDIN_FILENO), WIRE_STAGE_NETWORK);
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		box_must_call(dup2(null, fd), WIRE_STAGE_NETWORK);
	fd_from(STDERR_FILENO + 1, true);
}

void pasta_run(const struct box *b, struct gate *gate)
{
	static char to_port[32];
	const char *const args[] = {
		"pasta",
		"--quiet",
		"--ipv4-only",
		"--config-net",
		"--no-dhcp",
		"--no-map-gw",
		"--no-netns-quit",
		"--netns-only",
		"--netns",
		NETNS,
		"--tcp-ports",
		to_port,
		"--udp-ports",
		"none",
		"--tcp-ns",
		"none",
		"--udp-ns",
		"none",
		NULL,
	};
	char *words[ARRAY_SIZE(args)], *const nothing[] = {NULL};
	int netns = gate_wait(gate);

	box_must_call(netns, WIRE_STAGE_NETWORK);
	forward(b->spec, to_port);
	/* Its network is that until it has joined it. */
	pasta_hush(netns);
	box_must(caps_pass_on(CAPS_ALL), WIRE_STAGE_NETWORK);
	memcpy(words, args, sizeof words);
	(void)execve(b->settings->passer, words, nothing);
	box_fail(WIRE_STAGE_NETWORK, errno);
}
