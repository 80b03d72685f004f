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
	unsigned n_args, n_env;
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

/* A memfd with the spec, sealed against every change, close-on-exec; the caller closes it. Or the
 * first error of any of the calls above (-E2BIG above LIMIT_SPEC), or of memfd_create. */
int spec_seal(struct spec_builder *b) HSUP_MUST_CHECK;
void spec_builder_done(struct spec_builder *b);

/* "entering the directory", "executing the program", ... */
const char *wire_stage_text(unsigned stage);
