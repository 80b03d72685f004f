/* What an operator can see and do: all that the control API may know of the supervisor.
 *
 * Every command is an event for the core. Functions return negative errno, and then err has one
 * line for the operator: -ENOENT no such dyno, type or release; -EINVAL cannot be meant so;
 * -ESHUTDOWN it is stopping; -EAGAIN it does not know yet what runs; -EBUSY; -E2BIG above a limit.
 * What is returned by reference is valid until the loop goes on. */
#pragma once

#include "core/engine.h"
#include "logs/ring.h"
#include "model/options.h"
#include "model/usage.h"
#include "supervisor/recorder.h"

#include <netinet/in.h>

struct supervisor;

/* Who asks: is logged, and in the events. */
struct asker {
	char who[80]; /* "uid 1000 (pid 4711)", "token ops (127.0.0.1)" */
};

enum health {
	HEALTH_NONE,	/* nothing is looked at */
	HEALTH_WAITING, /* not ready yet, or not looked at yet */
	HEALTH_OK,
	HEALTH_FAILING, /* the last tries failed, not yet as many as count */
	HEALTH_MAX,
};

struct dyno_view {
	const struct dyno *dyno;
	char name[LIMIT_NAME + 1];   /* "web.1" */
	char why[200];		     /* one line on its state; "" = nothing to say */
	int pid;		     /* 0 = none */
	char host[INET6_ADDRSTRLEN]; /* where who is on this machine reaches it; "" = nowhere */
	unsigned port;		     /* 0 = none */
	unsigned published;	     /* a port of this machine that leads there; 0 = none */
	int64_t version;	     /* of the release it was made of, 0 = not known */
	uint64_t started;	     /* CLOCK_MONOTONIC ns of its life's begin, 0 = no process */
	uint64_t since, retry_at;    /* CLOCK_MONOTONIC ns; retry_at 0 = no back-off */
	uint64_t ended_at;	     /* of the last life; 0 = none, or not known */
	bool stopped_by_operator;
	enum health health;
	struct dyno_usage used;
};

struct app_view {
	const char *name;
	enum run_mode mode; /* MODE_UP: its dynos are apps */
	int64_t version;    /* in force, 0 = none */
	int64_t previous;   /* to go back to, while it is rolled out; 0 = none */
	const char *status; /* "none", "restoring", "preparing", "rolling", "up", "stopping" */
	bool caught_up;
	bool hides; /* there may be dynos that are not listed yet: an earlier supervisor's, or apps
		     */
	size_t n_dynos, n_ready;
	uint64_t started; /* this supervisor: CLOCK_MONOTONIC ns */
	const char *control_dir, *driver, *software;
};

/* What dynos do without on this machine, a line each, in the words of the driver; NULL behind the
 * last. */
const char *operate_missing(struct supervisor *s, size_t index);

struct type_view {
	const char *name;
	unsigned quantity;	       /* wanted now */
	unsigned said;		       /* by the release */
	bool by_operator;	       /* they differ because somebody scaled it, or started it */
	const struct process *process; /* NULL = not of the release in force */
};

struct release_view {
	int64_t version;
	uint64_t wall_ns; /* when it was committed */
	bool in_force, settled;
	char slug[200]; /* "" = none */
	char note[100]; /* "rollback to v3"; "" = none */
};

/* ---- to see ---- */

void operate_app(struct supervisor *s, struct app_view *ret);
size_t operate_dynos(struct supervisor *s); /* how many; by index below, of the formation's order */
void operate_dyno(struct supervisor *s, size_t index, struct dyno_view *ret);
const struct dyno *operate_dyno_at(
	struct supervisor *s, size_t index); /* at a fraction of the cost */
size_t operate_types(struct supervisor *s);
void operate_type(struct supervisor *s, size_t index, struct type_view *ret);

/* Whether a pattern of names fits a dyno: "web.1", "web" and "web.*" (all of the type), fnmatch(3);
 * "*" and "all" fit every one. */
bool operate_matches(const char *pattern, const struct dyno *d);

/* The release in force: NULL = none. */
const struct release *operate_release(struct supervisor *s);

/* The history, newest first, at most LIMIT_HISTORY and one; how many. */
size_t operate_releases(struct supervisor *s, struct release_view ret[LIMIT_HISTORY + 1]);
/* The document of a version as it was submitted: the caller's. */
int operate_release_text(struct supervisor *s, int64_t version, char **ret_text, size_t *ret_len,
	struct err *err) HSUP_MUST_CHECK;

struct recorder *operate_recorder(struct supervisor *s);
/* All that it holds, a line each: the caller's. */
int operate_diag(struct supervisor *s, char **ret_text, size_t *ret_len) HSUP_MUST_CHECK;
struct rings *operate_rings(struct supervisor *s);

struct operate_counts { /* since this supervisor began, for /metrics */
	uint64_t starts, restarts, exits_code, exits_signal, exits_stage, exits_unknown;
	uint64_t stops, oom, unhealthy, start_timeouts, stop_timeouts, rollouts, rollbacks;
	uint64_t log_bytes, log_lines, log_dropped;
	uint64_t loop_latency_max, loop_latency_sum, loop_turns; /* ns */
	uint64_t wrong, stale;
};
void operate_counts(struct supervisor *s, struct operate_counts *ret);

/* ---- to do; each pattern must fit one dyno or type at least, else -ENOENT; *ret_n: how many ----
 */

enum operation {
	OPERATE_START,	 /* also ends a back-off, and starts a type that does not start by itself */
	OPERATE_STOP,	 /* until it is started again, also by a later supervisor or release */
	OPERATE_RESTART, /* all at once, each with its grace */
	OPERATE_SIGNAL,	 /* .signo to every process of it */
	OPERATE_ROLL,	 /* restart, in the way a release is rolled out */
};
/* A dyno that several of the patterns fit is done to once. */
int operate_do(struct supervisor *s, enum operation what, char *const *patterns, size_t n_patterns,
	int signo, const struct asker *asker, size_t *ret_n, struct err *err) HSUP_MUST_CHECK;

struct scale {
	char type[LIMIT_TYPE_NAME + 1];
	bool relative;
	int amount;
};
/* All or nothing. */
int operate_scale(struct supervisor *s, const struct scale *list, size_t n,
	const struct asker *asker, struct err *err) HSUP_MUST_CHECK;

/* A document, as if it were written to `new`. -EINVAL: errors has what is wrong with it. 0: it is
 * on its way, as this version. */
int operate_submit(struct supervisor *s, const char *text, size_t len, const struct asker *asker,
	int64_t *ret_version, struct release_errors *errors, struct err *err) HSUP_MUST_CHECK;

/* What was in force before (version 0), or this version of the history, becomes a new release.
 * While one is rolled out and no version is named: that is given up and goes back. */
int operate_rollback(struct supervisor *s, int64_t version, const struct asker *asker,
	int64_t *ret_version, struct err *err) HSUP_MUST_CHECK;

/* Gives the rollout that is under way up. -ENOENT: none is. */
int operate_abort(struct supervisor *s, const struct asker *asker, struct err *err) HSUP_MUST_CHECK;

/* urgency as in ENGINE_SHUTDOWN. */
void operate_shutdown(struct supervisor *s, unsigned urgency, const struct asker *asker);

/* Opens the files of the logs again, as after somebody has moved them away. */
void operate_reopen_logs(struct supervisor *s, const struct asker *asker);

/* The standard input of a dyno, for writing, and without waiting: the caller's. -ENXIO: it has
 * none (Stdin is not set). */
int operate_stdin(struct supervisor *s, const char *name, const struct asker *asker,
	struct err *err) HSUP_MUST_CHECK;
