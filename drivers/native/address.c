/* Where a dyno can be reached: its uid says its address, and its init is of that uid. */
#include "drivers/native/private.h"

#include "base/clock.h"
#include "base/fd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define LOOK_FIRST (4 * NSEC_PER_MSEC)
#define LOOKS	   14 /* doubling: a minute */

/* 0 = not known: it has not become it yet, or it is gone. */
static uint32_t uid_of(const struct native *n, int pid)
{
	char path[40], text[1024];
	uint32_t machine, dyno;
	unsigned uid = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/status", pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	const char *line = strstr(text, "\nUid:");
	if (!line || sscanf(line, "\nUid: %u", &uid) != 1)
		return 0;
	return box_addresses(&n->settings, uid, &machine, &dyno) ? uid : 0;
}

static bool find_uid(const struct native *n, struct native_life *l)
{
	if (l->uid == 0 && l->pid > 0)
		l->uid = uid_of(n, l->pid);
	return l->uid != 0;
}

bool native_address(
	void *state, uint64_t id, uint32_t generation, struct driver_address *ret_address)
{
	const struct native *n = state;
	struct native_life *l = native_find(n, id, generation);
	uint32_t machine, dyno;

	bool passed_on = native_network(n) == SPEC_BOX_NET_OWN && !n->root;
	*ret_address = (struct driver_address){.network_of = passed_on && l ? l->pid : 0};
	if (!l || l->port == 0)
		return false;
	ret_address->port = l->port;
	if (native_shares_ports(n))
		return true;
	if (!find_uid(n, l) || !box_addresses(&n->settings, l->uid, &machine, &dyno)) {
		ret_address->port = 0;
		return false;
	}
	const struct in_addr address = {.s_addr = htonl(dyno)};
	(void)inet_ntop(AF_INET, &address, ret_address->host, sizeof ret_address->host);
	if (n->root)
		ret_address->outside = box_published(&n->settings, l->uid);
	return true;
}

/* ---- the dyno's init becomes its user some time after it has started ---- */

/* True: it is to be looked at again. */
static bool look_at(struct native *n, struct native_life *l)
{
	const struct driver_context *context = n->context;

	if (l->told || l->pid == 0 || l->port == 0 || l->looks >= LOOKS)
		return false;
	if (!find_uid(n, l)) {
		l->looks++;
		return true;
	}
	/* Also when somebody has asked for the address before us. */
	l->told = true;
	context->events->known(context->userdata, l->id, l->generation, l->pid);
	return false;
}

static void arm(struct native *n)
{
	(void)sd_event_source_set_time_relative(n->looking, n->look_after / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(n->looking, SD_EVENT_ONESHOT);
}

int native_on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct native *n = userdata;
	bool again = false;

	(void)source;
	(void)usec;
	for (size_t i = 0; i < NATIVE_BUCKETS; i++)
		for (struct native_life *l = n->buckets[i], *next; l; l = next) {
			next = l->next;
			again |= look_at(n, l);
		}
	n->look_after *= 2;
	if (again)
		arm(n);
	return 0;
}

void native_look(struct native *n)
{
	if (native_network(n) != SPEC_BOX_NET_OWN || native_shares_ports(n))
		return;
	n->look_after = LOOK_FIRST;
	arm(n);
}
