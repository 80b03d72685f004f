/* The launch spec: what a dyno's process is to be, in a sealed memfd.
 *
 * The supervisor composes it; the launcher's forked child (never the launcher itself) maps and
 * parses it, checks it against the policy and applies it. The format is a fixed header (magic,
 * version, size), then records {u16 type, u16 zero, u32 length, bytes, padded to 8}; strings end in
 * NUL inside their length. Unknown types, a type twice that may come once, missing required
 * records, sizes out of range: -EBADMSG. */
#pragma once

#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"
#include "wire/proto.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SPEC_MAX_ARGS (LIMIT_ARGS + 8)
#define SPEC_MAX_ENV  (LIMIT_ENV + 64)

enum spec_terminal {
	SPEC_SESSION_OWN = 0,	     /* setsid: own session and process group */
	SPEC_SESSION_FOREGROUND = 1, /* own process group in the launcher's session, made the
				      * foreground group of the controlling terminal when stdin is
				      * one: for `hsup run` */
};

/* What hsup-box is to do with a spec that has a box. */
enum spec_box_mode {
	SPEC_BOX_RUN = 1,   /* a dyno in a container of its own; ordered with WIRE_SPAWN_BOX */
	SPEC_BOX_JOIN = 2,  /* a command beside the dyno of that name whose init is `target`;
			     * WIRE_SPAWN */
	SPEC_BOX_SWEEP = 3, /* removes what ended boxes left: their names are the arguments;
			     * with none, whatever is left of any; WIRE_SPAWN */
	SPEC_BOX_PARK = 4,  /* a container as for RUN, which waits to be a dyno's; the program is
			     * none; WIRE_PARK */
	SPEC_BOX_MODE_MAX,
};

enum spec_box_network {
	SPEC_BOX_NET_OWN = 0,  /* a network of its own, linked to the machine's by a veth pair */
	SPEC_BOX_NET_HOST = 1, /* the machine's */
	SPEC_BOX_NET_NONE = 2, /* loopback only */
	SPEC_BOX_NET_MAX,
};

#define SPEC_BOX_PTY	   1u /* stdin is a terminal: the dyno gets one of its own, and we relay */
#define SPEC_BOX_FLAGS_ALL 1u

#define SPEC_BOX_NAME_MAX 100 /* [A-Za-z0-9._-], not beginning with a dot */
#define SPEC_BOX_BINDS	  32

/* The fixed part of a box: in the spec as it is, in host order. 0 = no limit. */
struct spec_box {
	uint32_t mode;	  /* enum spec_box_mode */
	uint32_t network; /* enum spec_box_network */
	uint32_t flags;
	int32_t target;	      /* JOIN: pid of the init, as the launcher's pid namespace has it */
	uint64_t memory;      /* bytes */
	uint32_t cpu_percent; /* of one processor; 150 = one and a half */
	uint32_t processes;   /* of the whole dyno, its init not counted */
};

/* A parsed spec: every pointer points into the text it was parsed from. */
struct spec {
	const char *program; /* argv[0] looked up: absolute, or with a slash relative to
			      * directory, or a bare name searched in the PATH of env */
	unsigned n_args, n_env;
	const char *directory; /* absolute, or NULL: stay */
	uint32_t session;      /* enum spec_terminal */
	bool has_user;	       /* else the launcher's own ids are kept */
	uint32_t uid, gid;
	uint32_t groups[LIMIT_GROUPS];
	unsigned n_groups;
	bool has_umask;
	uint32_t umask; /* 0..0777 */
	bool has_nofile;
	uint64_t nofile; /* soft limit of open files; the hard one is kept */
	bool has_nproc;
	uint64_t nproc; /* processes of its user, soft and hard; never more than the launcher's */
	bool has_box;	/* hsup-box is executed, and does the rest */
	struct spec_box box;
	const char *box_name;  /* of its cgroup and its folder, unique in time; NULL = none given */
	const char *box_stack; /* a stack's name as it is in the folder of the stacks, or "host" */
	const char *box_slug;  /* absolute: what is shown at /app; NULL = /app is empty */
	uint64_t box_disk;     /* bytes of its own files, on disk or in memory; 0 = no limit */
	const char *hostname;  /* NULL = the box's name */
	const char *binds[SPEC_BOX_BINDS]; /* "SOURCE:TARGET" or "SOURCE:TARGET:ro" */
	unsigned n_binds;
	/* Last, so that a parse need not clear them. */
	char *argv[SPEC_MAX_ARGS + 1]; /* NULL-terminated, at least one */
	char *env[SPEC_MAX_ENV + 2];   /* NULL-terminated "NAME=value"; room for one of the
					* launcher's */
};

/* Parses into *ret_spec without allocating or copying strings. 0 or -EBADMSG (then *ret_spec holds
 * nothing of use: it is too large for a copy). */
int spec_parse(void *data, size_t len, struct spec *ret_spec) HSUP_MUST_CHECK;

/* Composing. Zero-initialise, spec_begin(), add records in any order (program and at least one
 * argument are required, the others but arguments and variables may come once), then seal. The
 * buffer is reused by the next spec_begin(). Each call returns 0 or the first error so far: -E2BIG
 * above a limit, -EINVAL for an empty program or a bad variable name, -ENOMEM. */
struct spec_builder {
	struct strbuf text;
	unsigned n_args, n_env, n_binds;
};
void spec_begin(struct spec_builder *b);
int spec_program(struct spec_builder *b, const char *program);
int spec_arg(struct spec_builder *b, const char *arg);
int spec_env(struct spec_builder *b, const char *name, const char *value);
int spec_directory(struct spec_builder *b, const char *path);
int spec_session(struct spec_builder *b, enum spec_terminal session);
int spec_user(struct spec_builder *b, uid_t uid, gid_t gid, const gid_t *groups, unsigned n_groups);
int spec_umask(struct spec_builder *b, mode_t mask);
int spec_nofile(struct spec_builder *b, uint64_t soft);
int spec_nproc(struct spec_builder *b, uint64_t limit);
int spec_box(struct spec_builder *b, const struct spec_box *box);
int spec_box_name(struct spec_builder *b, const char *name);
int spec_box_stack(struct spec_builder *b, const char *name);
int spec_box_slug(struct spec_builder *b, const char *path);
int spec_box_disk(struct spec_builder *b, uint64_t bytes);
int spec_hostname(struct spec_builder *b, const char *name);
int spec_bind(struct spec_builder *b, const char *bind);

/* A memfd with the spec, sealed against every change, close-on-exec; the caller closes it. Or the
 * first error of any of the calls above (-E2BIG above LIMIT_SPEC), or of memfd_create. */
int spec_seal(struct spec_builder *b) HSUP_MUST_CHECK;
void spec_builder_done(struct spec_builder *b);

/* "entering the directory", "executing the program", ... */
const char *wire_stage_text(unsigned stage);
