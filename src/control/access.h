/* Who asks, and what he may: by the peer of the Unix socket, or by a token on TCP. */
#pragma once

#include "control/request.h"
#include "model/options.h"

struct peer {
	bool tcp;
	int pid;
	unsigned uid, gid;
	char address[64]; /* of TCP: "127.0.0.1:53112" */
	enum role role;	  /* of the Unix socket; ROLE_NONE on TCP: the token says */
};

/* Of a connection that was just accepted. 0 or negative errno. */
int peer_of(int fd, bool tcp, const struct options *options, struct peer *ret_peer) HSUP_MUST_CHECK;

/* Pure: what somebody with these ids may. */
enum role access_role(const struct control_grant *grants, size_t n, unsigned own_uid, unsigned uid,
	const unsigned *gids, size_t n_gids);

/* For the log: "uid 1000 (pid 4711)". */
void peer_asker(const struct peer *p, struct asker *ret_asker);

/* ---- tokens.c: a file of lines "operate:TOKEN" or "watch:NAME:TOKEN" ---- */

#define TOKEN_MIN  16 /* bytes */
#define TOKEN_MAX  256
#define TOKEN_NAME 32

struct tokens;

/* NULL = out of memory. The file is read when it is asked for, and when it has changed. */
struct tokens *tokens_new(const char *path);
struct tokens *tokens_free(struct tokens *t); /* NULL allowed */

/* Looks at the file: 0; or negative errno and err when it cannot be used: then no token is good. */
int tokens_check(struct tokens *t, struct err *err) HSUP_MUST_CHECK;

/* What the holder of this header may ("Bearer TOKEN"; NULL = none was sent); *ret_name is "" when
 * the token has none. Takes as long for every token that is wrong. */
enum role tokens_role(struct tokens *t, const char *authorization, char ret_name[TOKEN_NAME + 1]);

/* Pure, for tests: the text of a file. -EINVAL with the line that is at fault. */
int tokens_parse(struct tokens *t, const char *text, size_t len, struct err *err) HSUP_MUST_CHECK;
