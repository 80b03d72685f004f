/* A release: what the operator wants, as pure data.
 *
 * Made by release_parse() from a document that is valid as a whole, or by hand in tests. A release
 * owns all it points to; release_free() frees it. After parsing only the supervisor writes to it,
 * once, while it prepares it (`slug_digest`, env files merged), then it is shared read-only by
 * reference count. Durations are nanoseconds. The document's fields are described in
 * hsup-control(5) and control-examples/release.schema.json. */
#pragma once

#include "base/err.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct env_var {
	char *name, *value;
};

struct env {
	struct env_var *vars; /* in document order; names are unique */
	size_t n, cap;
};

enum restart_policy {
	RESTART_ALWAYS,	    /* any exit that was not asked for is a crash (Heroku; the default) */
	RESTART_ON_FAILURE, /* an exit code outside ExitCodes, or a signal */
	RESTART_NEVER,
	RESTART_POLICY_MAX,
};

enum rollout_strategy {
	ROLLOUT_ROLLING,  /* start new, wait until up, stop old */
	ROLLOUT_RECREATE, /* stop old, then start new */
	ROLLOUT_STRATEGY_MAX,
};

/* How dynos of one type are replaced. */
struct rollout {
	enum rollout_strategy strategy;
	unsigned surge;	  /* dynos above Quantity at most; 0 = a quarter of Quantity, at least 1 */
	unsigned batch;	  /* dynos replaced at once; 0 = as surge */
	uint64_t timeout; /* without progress for so long: rolled back; default 120 s */
	uint64_t settle;  /* SettleSeconds: a new dyno must have been up for so long before it
			   * counts; default 0: at once */
};

/* Ready, Healthy: how to find out. */
enum check_kind {
	CHECK_NONE,
	CHECK_LISTEN,  /* something accepts connections at the port */
	CHECK_HTTP,    /* GET path answers 2xx or 3xx at the port */
	CHECK_COMMAND, /* run beside the dyno, as the dyno is, exits with 0 */
	CHECK_NOTIFY,  /* it says READY=1 itself, sd_notify(3); Healthy: WATCHDOG=1 */
	CHECK_KIND_MAX,
};

struct check {
	enum check_kind kind;
	unsigned port; /* Listen, HTTP; 0 = the dyno's own PORT */
	char *path;    /* HTTP */
	char **args;   /* Command: as struct process has them */
	size_t n_args;
	uint64_t interval;  /* Ready: between tries, default 0.5 s; Healthy: default 10 s */
	uint64_t timeout;   /* of one try; default 5 s */
	unsigned threshold; /* Healthy: failures in a row that count; default 3 */
	uint64_t cooldown;  /* Healthy: nothing is looked at for so long after a start; default 0 */
};

enum after_condition {
	AFTER_STARTED,	 /* each of its dynos has a process, or needs none any more */
	AFTER_READY,	 /* each is up, or its job is done (default) */
	AFTER_SUCCEEDED, /* each has ended with an exit code that was expected */
	AFTER_CONDITION_MAX,
};

/* Its dynos start only when those of another type have come so far. */
struct after {
	char *type;
	enum after_condition condition;
};

enum log_format {
	LOG_FORMAT_HEROKU, /* "2026-11-21T08:00:00.123456+00:00 app[web.1]: text" */
	LOG_FORMAT_JSON,   /* an object per line */
	LOG_FORMAT_RAW,	   /* the text alone */
	LOG_FORMAT_MAX,
};

/* Log: what becomes of the output of a type, beside the log of hsup as a whole. */
struct log_options {
	char *file; /* NULL = none; "%d" in it is the dyno's name, "%s" stdout or stderr */
	enum log_format format;
	uint64_t max_bytes; /* rotated when it would grow past it; default 50 MiB; 0 = never */
	uint64_t max_age;   /* and when it is so old; default 0 = never */
	unsigned keep;	    /* rotated files; default 10; 0 = none */
	bool compress;	    /* the rotated ones, with zstd */
	int mode;	    /* of the files; default 0640 */
	char *owner;	    /* "user" or "user:group"; NULL = who the supervisor is */
	uint64_t ring;	    /* bytes kept in memory per dyno and stream; default 64 KiB; 0 = none */
	bool drop; /* when a sink stalls: drop and count, instead of letting the dyno wait */
};

struct process {
	char *type;  /* [A-Za-z0-9_-]{1,LIMIT_TYPE_NAME} */
	char **args; /* NULL-terminated; one string = a shell line, several = an argv */
	size_t n_args;
	unsigned quantity;
	struct env env;	 /* over the release's */
	char *directory; /* NULL = the slug, or the supervisor's own; may be relative to the slug */
	char *user;	 /* name or number, NULL = as the launcher */
	bool autostart;	 /* default true; false: started only when asked for */
	enum restart_policy restart;
	uint64_t start_time;	/* StartSeconds: lives so long = up; default 1 s; 0 = at once */
	uint64_t start_timeout; /* StartTimeout: not up by then = failed start; default 60 s */
	int start_retries; /* StartRetries: failed starts in a row before it gives up; -1 never */
	int exit_codes[LIMIT_EXIT_CODES]; /* ExitCodes: expected; default {0} */
	unsigned n_exit_codes;
	int stop_signal;       /* default SIGTERM */
	uint64_t stop_timeout; /* then KILL; default 30 s */
	int priority;	       /* 0..999, default 999; lower starts first, stops last */
	uint64_t open_files;   /* Limits.OpenFiles; 0 = as the launcher */
	uint64_t memory;       /* Limits.Memory: bytes of all its processes together; 0 = no limit:
				* above it R14 is said, above twice it the dyno is killed (R15) */
	uint64_t processes;    /* Limits.Processes of its user; 0 = as the launcher */
	uint64_t disk;	       /* Limits.Disk: bytes of what it writes; 0 = no limit */
	double cpu;	       /* Limits.CPU: cores; for drivers with cgroups; 0 = no limit */
	int umask;	       /* Umask; -1 = as the launcher */
	bool redirect_stderr;  /* RedirectStderr: into its standard output */
	bool stdin_open;       /* Stdin: it has one that `hsup attach` can write to */
	bool essential;	       /* Essential: hsup ends when one of it ends for good */
	struct check ready, healthy;
	struct after *after;
	size_t n_after;
	struct log_options log;
	struct rollout rollout; /* the release's, with this type's own values over it */
};

struct bind_mount {
	char *host, *container; /* absolute */
	bool read_only;
};

struct release {
	unsigned refs;
	int64_t version;			 /* 0 = none given */
	char *name, *slug, *stack, *logplex_url; /* NULL = not given or "" */
	char *slug_checksum; /* "SHA256:" and 64 lower-case hex digits, or NULL */
	struct env env;
	char **env_files; /* NULL-terminated, or NULL */
	size_t n_env_files;
	struct bind_mount *binds;
	size_t n_binds;
	struct process *processes;
	size_t n_processes;

	/* Known after preparation. */
	char *slug_digest; /* hex SHA-256 of the packed slug, NULL when there is none */
	char *slug_path;   /* where it is unpacked: absolute, NULL when there is none */
};

/* One fault of a document. */
struct release_error {
	char path[160];	       /* JSON path: "Processes[1].Quantity"; "" = the document */
	unsigned line, column; /* from 1, columns in bytes; 0 = unknown */
	char text[300];	       /* what is wrong and what to do, one line */
};

struct release_errors {
	struct release_error *list; /* in document order */
	size_t n, cap;
	bool more; /* LIMIT_RELEASE_ERRORS reached */
};

/* Checks the whole document and makes a release (refs = 1) of it. 0; -EINVAL with at least one
 * error in *errors; -ENOMEM. errors may hold earlier entries; the caller frees it. */
int release_parse(const char *text, size_t len, struct release **ret_release,
	struct release_errors *errors) HSUP_MUST_CHECK;

/* The document with another version, the caller's: what was in force before comes again under a
 * number of its own. 0, -EINVAL (it is not a release), -ENOMEM. */
int release_text_renumber(const char *text, size_t len, int64_t version, char **ret_text,
	size_t *ret_len) HSUP_MUST_CHECK;

/* Adds a copy of *e. -E2BIG (and ->more) at LIMIT_RELEASE_ERRORS, or -ENOMEM. */
int release_errors_add(struct release_errors *errors, const struct release_error *e);

/* "Processes[1].Quantity: line 4, column 17: must be a whole number from 0 to 4096, not -1" */
char *release_error_format(const struct release_error *e, char *ret_text, size_t size);
void release_errors_done(struct release_errors *errors);

/* An empty release (refs = 1). NULL = out of memory. */
struct release *release_new(void);
/* One more, in the place of one that leads to the same place; its own copy. -ENOMEM. */
int release_bind(struct release *r, const struct bind_mount *bind) HSUP_MUST_CHECK;

/* The type "release": it runs once with a new release, before that is in force. */
bool process_is_phase(const struct process *p);

/* What a process is that says nothing about itself: Quantity 1, a Heroku-like policy. */
void process_init(struct process *p);

struct release *release_ref(struct release *r);
struct release *release_unref(struct release *r); /* NULL allowed; returns NULL */
static inline void release_unrefp(struct release **r)
{
	*r = release_unref(*r);
}

/* NULL when there is no such type. */
const struct process *release_process(const struct release *r, const char *type);

/* Sets or replaces; copies both strings. 0, -ENOMEM, -E2BIG (LIMIT_ENV). */
int env_set(struct env *e, const char *name, const char *value) HSUP_MUST_CHECK;
/* As env_set() for a name that is known not to be there: takes no time to look. */
int env_append(struct env *e, const char *name, const char *value) HSUP_MUST_CHECK;
/* Bytes that execve() needs for it: each name, "=", value and NUL. */
size_t env_bytes(const struct env *e);
const char *env_get(const struct env *e, const char *name); /* NULL = not there */
void env_done(struct env *e);

/* Parses the text of an env file and sets each variable into e, a later line over an earlier one.
 *
 *     # a comment                   empty lines are skipped
 *     NAME=value                    all to the end of the line, without the blanks around it
 *     export NAME='raw $text'       "export " may stand in front; no escapes in single quotes
 *     NAME="two\nlines \t \" \\"   the only four escapes, in double quotes
 *
 * 0; -EINVAL, -ENOMEM or -E2BIG (LIMIT_ENV, LIMIT_ENV_BYTES) with err, *line (from 1) the line
 * that is at fault; e then holds the lines before it. */
int env_parse_file(struct env *e, const char *text, size_t len, unsigned *line,
	struct err *err) HSUP_MUST_CHECK;
