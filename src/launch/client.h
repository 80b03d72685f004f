/* The supervisor's end of the wire.
 *
 * A vtable, so that tests and `--dry-run` can put a fake behind the same calls (tests/fake/). The
 * real one is made from the descriptor in HSUP_LAUNCHER_FD and lives on an sd-event loop; messages
 * it cannot send at once are queued (bounded by LIMIT_DYNOS) and sent when the socket is writable.
 *
 * All callbacks come from the loop, never from inside a call. */
#pragma once

#include "base/err.h"
#include "wire/proto.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct launch_child {
	uint64_t id;
	uint32_t generation;
};

/* What a child has as standard input, output and error. */
struct launch_stdio {
	const int *given; /* three descriptors; NULL = pipes of the launcher's for what it writes */
	int in;		  /* with pipes: its input; -1 = /dev/null */
	bool merged;	  /* with pipes: one for both outputs */
};

struct launch_entry {
	struct launch_child child;
	enum wire_entry_state state;
	int pid;
	uint64_t spawn_time, start_time;
	const char *name; /* not terminated */
	size_t name_len;
	const unsigned char *tag;
	size_t tag_len;
	int out, err; /* read ends, -1 when none; the callback owns them */
};

/* What becomes of the children. */
struct launch_child_events {
	/* pid is only for show. out, err: read ends (non-blocking) the callback owns; -1 when the
	 * output was given, err also when it goes where out goes. */
	void (*spawned)(void *userdata, struct launch_child c, int pid, int out, int err);
	void (*failed)(void *userdata, struct launch_child c, unsigned stage, int error);
	void (*left)(void *userdata, struct launch_child c);
	void (*exited)(void *userdata, const struct wire_exited *x);
	void (*entry)(void *userdata, struct launch_entry *entry); /* answer of list */
	void (*list_end)(void *userdata);
};

/* What the launcher wants of this process. */
struct launch_events {
	void (*shutdown)(void *userdata, unsigned urgency, int signo);
	/* Another is to take over: exit with SUPERVISOR_EXIT_RESTART. */
	void (*restart)(void *userdata);
	/* The launcher is gone (r = 0), or the wire is broken (negative errno). Nothing follows. */
	void (*lost)(void *userdata, int r);
};

struct launch;

/* The real one: takes fd, says hello, checks the launcher's answer (-EPROTO on another version),
 * within 5 s. events is not copied. */
int launch_open(sd_event *loop, int fd, const struct launch_events *events, void *userdata,
	struct launch **ret_launch, struct err *err) HSUP_MUST_CHECK;
struct launch *launch_close(struct launch *l);

/* Who hears of the children: a driver. events is not copied; NULL: nobody, and what comes is let
 * go. */
void launch_listen(struct launch *l, const struct launch_child_events *events, void *userdata);

/* A launch with other functions behind it: for tests. */
struct launch_ops {
	void (*listen)(void *state, const struct launch_child_events *events, void *userdata);
	int (*spawn)(void *state, struct launch_child c, const char *name, const void *tag,
		size_t tag_len, int spec_fd, const struct launch_stdio *stdio);
	int (*spawn_box)(void *state, struct launch_child c, const char *name, const void *tag,
		size_t tag_len, int spec_fd, const struct launch_stdio *stdio);
	int (*park)(void *state, struct launch_child c, const char *name, const void *tag,
		size_t tag_len, int spec_fd, const struct launch_stdio *stdio);
	int (*spawn_warm)(void *state, struct launch_child parked, struct launch_child c,
		const char *name, const void *tag, size_t tag_len, int spec_fd,
		const struct launch_stdio *stdio);
	int (*keep)(void *state, struct launch_child c, const char *name, const void *tag,
		size_t tag_len, int out, int err);
	int (*signal)(void *state, struct launch_child c, int signo);
	int (*ack)(void *state, struct launch_child c);
	int (*tag)(void *state, struct launch_child c, const void *tag, size_t tag_len);
	int (*list)(void *state);
	int (*leave)(void *state, int code);
	void (*close)(void *state);
	unsigned (*can)(void *state); /* NULL = all there is */
};
struct launch *launch_fake(const struct launch_ops *ops, void *state);

/* What this launcher can: WIRE_CAN_ or-ed. */
unsigned launch_can(struct launch *l);

/* Orders a child. spec_fd (a sealed memfd, wire/spec.h) and the descriptors of stdio stay the
 * caller's; stdio is NULL for pipes and no input. The outcome comes as `spawned`,
 * then `failed` or `exited`. 0, -ENOBUFS (queue full), or another negative errno. */
int launch_spawn(struct launch *l, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int spec_fd, const struct launch_stdio *stdio) HSUP_MUST_CHECK;

/* The same, of a child whose spec is for a new box (SPEC_BOX_RUN): `exited` tells how the dyno's
 * own process has ended. -EOPNOTSUPP (no WIRE_CAN_BOX), or as launch_spawn(). */
int launch_spawn_box(struct launch *l, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int spec_fd, const struct launch_stdio *stdio) HSUP_MUST_CHECK;

/* The same, of a box that waits (SPEC_BOX_PARK; stdio is given): `spawned`, and `exited` when it
 * has ended without ever being a dyno's. -EOPNOTSUPP (no WIRE_CAN_WARM), or as launch_spawn(). */
int launch_park(struct launch *l, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int spec_fd, const struct launch_stdio *stdio) HSUP_MUST_CHECK;

/* As launch_spawn_box(), of a child that `parked` becomes: of that one nothing is told any more.
 * `failed` with WIRE_STAGE_WARM before `spawned`: it could not be had, and is what it was. */
int launch_spawn_warm(struct launch *l, struct launch_child parked, struct launch_child c,
	const char *name, const void *tag, size_t tag_len, int spec_fd,
	const struct launch_stdio *stdio) HSUP_MUST_CHECK;

/* Has the launcher keep a child that is none of its own: a name, a tag and the read ends of two
 * pipes (err -1 = none), which stay the caller's. It lists it (state WIRE_ENTRY_KEPT, pid 0), lets
 * its tag be changed, counts it in its hello, and forgets it when it is acknowledged; it sends it
 * no signal and knows nothing of its end. A launcher that is killed loses it. No answer; what is no
 * pipe, and an id that it has already, it refuses in its log. 0, -EOPNOTSUPP (no WIRE_CAN_KEEP),
 * -ENOBUFS (queue full), or another negative errno. */
int launch_keep(struct launch *l, struct launch_child c, const char *name, const void *tag,
	size_t tag_len, int out, int err) HSUP_MUST_CHECK;

/* To every process of the child's group; silently nothing when it has ended meanwhile. */
int launch_signal(struct launch *l, struct launch_child c, int signo) HSUP_MUST_CHECK;

/* The exit (or failure) was taken note of: the launcher may forget the child. */
int launch_ack(struct launch *l, struct launch_child c) HSUP_MUST_CHECK;

/* What a later supervisor will find as the child's tag, from now on; silently nothing when the
 * launcher knows no such child. */
int launch_tag(
	struct launch *l, struct launch_child c, const void *tag, size_t tag_len) HSUP_MUST_CHECK;

int launch_list(struct launch *l) HSUP_MUST_CHECK;

/* The launcher's exit code, before this process exits with SUPERVISOR_EXIT_DONE. Flushes. */
int launch_leave(struct launch *l, int code) HSUP_MUST_CHECK;
