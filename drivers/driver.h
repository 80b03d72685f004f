/* A driver: the way dynos run. All that the supervisor sees of one.
 *
 * Drivers are const structs in one table (drivers.c); NULL functions mean the default said in
 * their comment. Everything slow is asynchronous and answers by an event from the loop, never from
 * inside the call. Grace and retry live in the core: a driver does what it is told, once. A driver
 * does not log; it returns errors and reports events. */
#pragma once

#include "base/err.h"
#include "base/ids.h"
#include "launch/client.h"
#include "model/exit.h"
#include "model/gc.h"
#include "model/release.h"
#include "model/usage.h"

#include <netinet/in.h>
#include <systemd/sd-event.h>

enum driver_caps {
	DRIVER_NEEDS_SLUG = 1 << 0,  /* a slug that cannot be had fails the release; without it a
				      * local slug that does not exist is only warned of */
	DRIVER_DRY = 1 << 2,	     /* runs nothing: nothing is written either */
	DRIVER_ONE_SLUG = 1 << 1,    /* dynos of another slug (or of none) start when no dyno of the
				      * one before is left */
	DRIVER_LIMITS_CPU = 1 << 3,  /* honours Limits.CPU */
	DRIVER_ENGINE = 1 << 4,	     /* somebody else runs the dynos, who may be gone, or slow */
	DRIVER_LEAVES = 1 << 5,	     /* what has ended leaves something, which is its owner's: every
				      * life is released, at the end of all, too */
	DRIVER_LIMITS_DISK = 1 << 7, /* honours Limits.Disk, where the file system can */
	DRIVER_OWN_ROOT = 1 << 6,    /* dynos have a root of their own: Binds are honoured */
};

struct driver_start {
	uint64_t id;
	uint32_t generation;
	const char *name; /* "web.1" */
	unsigned instance;
	unsigned type_index; /* of the type in its release, for PORT */
	unsigned failures;   /* starts and lives of it that failed in a row */
	unsigned bad_starts; /* starts in a row that did not come up, when the last exited by itself
			      */
	bool only_one;	     /* the type has one instance: a PORT of the operator's may stand */
	const struct process *process;
	const struct release *release;
	const char *app; /* HEROKU_APP_NAME */
	const void *tag; /* what adopt will be given back */
	size_t tag_len;
	const int *stdio;	   /* NULL, or stdin, stdout, stderr for an attached `run` */
	const char *notify_socket; /* the dyno gets it as NOTIFY_SOCKET; NULL = none */
	uint64_t watchdog_usec;	   /* and this as WATCHDOG_USEC; 0 = none */
};

/* A command that runs once beside a living dyno, as the dyno is: same user, directory, variables
 * (HEROKU_DYNO_ID, NOTIFY_SOCKET and WATCHDOG_USEC are the dyno's alone). */
struct driver_exec {
	uint64_t id; /* of the command: the supervisor's to choose, never 0, never used again */
	const struct driver_start *beside; /* as it was for this life; tag and stdio are not
					    * looked at */
	char *const *args;		   /* as struct process has them */
	size_t n_args;
};

struct driver_exit {
	struct dyno_exit exit;
	uint64_t at; /* CLOCK_MONOTONIC ns; 0 = not known: it is told at once, or failed to start */
	uint64_t user_usec, system_usec, max_rss_kb;
	bool out_of_memory;  /* killed for the limit of its memory */
	bool output_follows; /* not all it wrote is in its pipes yet: `output_over` says when */
};

/* Where a life can be reached. */
struct driver_address {
	char host[INET6_ADDRSTRLEN]; /* as seen from here; "" = this machine, 127.0.0.1 */
	unsigned port;		     /* there; 0 = none */
	unsigned published; /* a port of this machine's loopback that leads there; 0 = none */
	unsigned outside;   /* and one of its other addresses, for other machines; 0 = not known */
	int network_of;	    /* pid: who accepts there is not the dyno, whether it listens is seen in
			     * the network of this process; 0 = who accepts is the dyno */
};

struct driver_entry { /* what is there after a supervisor restart: alive, or not released yet */
	uint64_t id;
	uint32_t generation;
	const unsigned char *tag;
	size_t tag_len;
	int pid;
	bool left;
	bool ended;	  /* its exit follows as an event */
	uint64_t started; /* CLOCK_MONOTONIC ns */
	int out, err;	  /* owned by the callback; -1 = none */
};

struct driver_events {
	/* r: 0, or negative errno, and then err says why. */
	void (*prepared)(void *userdata, uint64_t release, int r, const struct err *err);
	/* A line for who waits for `prepared`: "pulling heroku/heroku:24: 45 %". */
	void (*progress)(void *userdata, uint64_t release, const char *text);
	/* pid 0 = none to show. out/err are owned by the callback, -1 = none. */
	void (*started)(
		void *userdata, uint64_t id, uint32_t generation, int pid, int out, int err);
	/* What was not known when it started: its pid, its address. */
	void (*known)(void *userdata, uint64_t id, uint32_t generation, int pid);
	void (*left)(void *userdata, uint64_t id, uint32_t generation);
	void (*exited)(void *userdata, uint64_t id, uint32_t generation,
		const struct driver_exit *exit); /* also EXIT_STAGE: could not start */
	void (*output_over)(void *userdata, uint64_t id, uint32_t generation);
	/* Answer of usage. */
	void (*used)(
		void *userdata, uint64_t id, uint32_t generation, const struct dyno_usage *usage);
	void (*adopted)(void *userdata, struct driver_entry *entry);
	void (*adopt_done)(void *userdata, int r);
	/* Once for every exec that was ordered: its command has ended, with all that it started in
	 * its group, or could not start (EXIT_STAGE). */
	void (*exec_done)(void *userdata, uint64_t id, const struct dyno_exit *exit);
	/* All that had ended is gone from where it lay. */
	void (*finished)(void *userdata);
	/* A line for the log, about no dyno: "docker is gone: ..."; or about the one of this name.
	 */
	void (*note)(void *userdata, const char *name, const char *text);
};

struct driver_context {
	sd_event *loop;
	struct launch *launch; /* the supervisor's; a driver that starts processes listens to it */
	const char *shell;     /* "/bin/bash" */
	const char *slug_helper;	 /* path of hsup-slug */
	const char *dyno_user;		 /* of process types without User; NULL = the launcher's */
	const struct id_grant *dyno_ids; /* what a root launcher grants; NULL = it is not root */
	const char *stdin_dir;	 /* of this supervisor alone, and its successors; made when it is
				  * needed, removed when it is empty; NULL = no dyno has a stdin */
	const char *control_dir; /* absolute: what people know the app by; NULL = none */
	const char *owner;     /* of this app on this machine, the same for every supervisor of it:
				* hex digits; "" unless the driver is DRIVER_LEAVES */
	const char *state_dir; /* absolute, of this app, kept over restarts; NULL = none */
	const char *app_dir;   /* absolute, of this app, until the machine stops; NULL = none */
	unsigned warm; /* boxes to be kept parked for each kind of dyno, by a driver that can */
	bool lasts;    /* false: `run` or `build`, beside a supervisor that may have dynos of
			* this owner: they are not ours */
	const struct driver_events *events;
	void *userdata;
};

struct driver {
	const char *name, *alias; /* alias may be NULL */
	const char *summary;	  /* one line for `hsup help` */
	unsigned caps;		  /* enum driver_caps */

	/* Makes *ret_state. The context lives as long as the state. */
	int (*open)(struct driver_context *context, void **ret_state, struct err *err);

	/* Makes a release ready to start dynos of (an image, a root), after its slug was unpacked;
	 * answers `prepared`, with the handle. The release is the caller's, and may be gone when
	 * that comes: then nobody listens. A negative errno: no event follows. NULL: nothing to
	 * do. */
	int (*prepare)(
		void *state, uint64_t handle, const struct release *release, struct err *err);

	/* Nobody waits for it any more: no `prepared` follows. NULL: it is not listened to. */
	void (*prepare_stop)(void *state, uint64_t handle);

	/* This release is in force now: of what was prepared, what it and the one before it need is
	 * kept, the rest may go when nothing runs of it. NULL: nothing is kept. */
	void (*keep)(void *state, const struct release *current);

	/* Orders one life of a dyno: answers `started`, then `exited`; or `exited` with EXIT_STAGE
	 * alone. A negative errno: it could not even be ordered, no event follows. */
	int (*start)(void *state, const struct driver_start *start, struct err *err);

	/* To every process of the dyno; nothing when it has ended meanwhile. */
	int (*signal)(void *state, uint64_t id, uint32_t generation, int signo);

	/* What adopt gives back of this life from now on. NULL: nothing. */
	int (*retag)(
		void *state, uint64_t id, uint32_t generation, const void *tag, size_t tag_len);

	/* This life has ended and everything of it may be released; until then adopt gives it back.
	 * NULL: nothing. */
	int (*release)(void *state, uint64_t id, uint32_t generation);

	/* Reports what is there by `adopted` for each, then `adopt_done`. NULL: nothing ever
	 * does. */
	int (*adopt)(void *state);

	/* Where this life can be reached. False: nowhere, or not yet. NULL: no dyno can. */
	bool (*address)(
		void *state, uint64_t id, uint32_t generation, struct driver_address *ret_address);

	/* Asks what it uses; answers by `used`, when it can. NULL: it is looked for in the
	 * processes below its pid. */
	void (*usage)(void *state, uint64_t id, uint32_t generation);

	/* For writing, and without waiting, what this life reads as its standard input: the
	 * caller's. It was started with Stdin: then it sees no end of file, whoever comes and
	 * goes. -ENXIO: it has none, or has ended. NULL: no dyno has one. */
	int (*open_stdin)(void *state, uint64_t id, uint32_t generation);

	/* Runs a command beside a dyno; answers `exec_done`. Its output goes nowhere. It does not
	 * outlive the supervisor for long: the next one has it killed. A negative errno: no event
	 * follows. NULL: -EOPNOTSUPP. */
	int (*exec)(void *state, const struct driver_exec *exec, struct err *err);

	/* KILL to the whole of it; `exec_done` follows. Nothing when it has ended meanwhile. */
	int (*exec_kill)(void *state, uint64_t id);

	/* Every life has been released: tells by `finished` when nothing is left of them, soon in
	 * any case. NULL: nothing is left. */
	void (*finish)(void *state);

	void (*close)(void *state);

	/* What its dynos do without on this machine and have elsewhere, a line each; NULL behind
	 * the last. It changes only while no loop runs, and is the state's. NULL: nothing. */
	const char *(*missing)(void *state, size_t index);

	/* `hsup gc`: removes what dead supervisors of any app left; no state, and it waits. NULL:
	 * nothing is ever left. */
	int (*gc)(const struct gc_order *order, struct err *err);
};

/* The table; by name or alias, NULL when there is none. */
const struct driver *driver_find(const char *name);
const struct driver *driver_at(size_t index); /* NULL behind the last */

/* What a release asks for and this driver does not give, one line for the log. False: nothing. */
bool driver_lacks(
	const struct driver *driver, const struct release *release, char *ret_text, size_t size);

/* What a release asks for and must not go without, and this driver does not give: -EOPNOTSUPP. */
int driver_refuses(const struct driver *driver, const struct release *release,
	struct err *err) HSUP_MUST_CHECK;

extern const struct driver driver_simple, driver_null, driver_docker, driver_native, driver_abspath;
