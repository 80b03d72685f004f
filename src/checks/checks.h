/* Ready and Healthy: is a life up, and does it still do what it is for?
 *
 * One checker for each life that has something to be looked at; it is told when that life begins,
 * is up and is about to end, and tells what it finds. One timer each, and none where nothing waits;
 * at most LIMIT_CHECKS_AT_ONCE tries are under way, the others wait their turn. Intervals vary by a
 * tenth, so that a thousand dynos are not looked at in one millisecond.
 *
 * All callbacks come from the loop, never from inside a call, and may rest or free the checker. */
#pragma once

#include "base/err.h"
#include "checks/notify.h"
#include "model/release.h"

#include <netinet/in.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define CHECKER_TEXT 160

enum checker_state {
	CHECKER_NONE,	 /* nothing is to be looked at */
	CHECKER_WAITING, /* not ready yet; not looked at yet */
	CHECKER_OK,
	CHECKER_FAILING, /* the last tries failed; not yet as many as count */
};

struct checks; /* what the checkers of one supervisor share */
struct checker;

struct checker_events {
	void (*ready)(void *userdata); /* Ready holds */
	/* Another state, or another reason for it; see checker_state(). */
	void (*changed)(void *userdata, enum checker_state before);
	/* As many tries of Healthy have failed as count. Nothing is looked at from then on. */
	void (*unhealthy)(void *userdata, const char *why);
	/* Runs a Command: answered by checker_command_done(), also when it was killed. */
	int (*run)(void *userdata, const struct check *check, struct err *err);
	void (*kill)(void *userdata);
	/* Something that an operator should know, one line. */
	void (*note)(void *userdata, const char *text);
};

struct checker_setup {
	const struct check *ready, *healthy; /* must outlive the checker */
	uint64_t seed;			     /* of the jitter */
	const struct checker_events *events; /* not copied */
	void *userdata;
};

/* NULL = out of memory. */
struct checks *checks_new(sd_event *loop);
struct checks *checks_free(struct checks *all); /* when its checkers are gone */

int checker_new(struct checks *all, const struct checker_setup *setup, struct checker **ret,
	struct err *err) HSUP_MUST_CHECK;
/* kept: the name of its notify socket stays, for a later supervisor. NULL allowed. */
struct checker *checker_free(struct checker *c, bool kept);

/* Its socket, see notify_socket_open(). */
int checker_open_notify(
	struct checker *c, int dir, const char *name, struct err *err) HSUP_MUST_CHECK;

/* Where Listen and HTTP look. */
struct check_address {
	char host[INET6_ADDRSTRLEN]; /* a number; "" = this machine, at 127.0.0.1 or ::1 */
	unsigned port;		     /* when the check names none; 0 = it has none */
	int network_of; /* pid: who accepts there is not the dyno, but whether it listens can be
			 * seen in the network of this process; 0 = who accepts is the dyno */
};
void checker_set_address(struct checker *c, const struct check_address *address);

/* It has a process, whose session is `session` (0 = not known: what is said waits until
 * checker_known()). Ready begins. */
void checker_begin(struct checker *c, int session);
void checker_known(struct checker *c, int session);
/* It may have said READY=1 when nobody listened: at `when` (CLOCK_MONOTONIC ns) it counts as
 * ready. Only for Ready by Notify. */
void checker_assume_ready(struct checker *c, uint64_t when);
/* It is up, since then. Healthy begins. */
void checker_up(struct checker *c, uint64_t since);
/* It ends, or has ended: nothing is looked at any more. */
void checker_rest(struct checker *c);

/* good, or text says how it ended. */
void checker_command_done(struct checker *c, bool good, const char *text);

/* *ret_text: why, "" = nothing to say. Valid until the next call. */
enum checker_state checker_state(const struct checker *c, const char **ret_text);

/* Why it was not ready when last looked at, also when it rests now; "" = it was, or nothing is
 * known. For "Error R10". */
const char *checker_reason(const struct checker *c);
