/* What a container is to be: the body of POST /containers/create. Pure. */
#pragma once

#include "base/str.h"
#include "drivers/docker/image.h"
#include "drivers/docker/settings.h"
#include "drivers/driver.h"

#include <jansson.h>

#define LABEL_PORT	 "hsup.port"	   /* inside; 0 = none */
#define LABEL_EXIT_CODES "hsup.exit-codes" /* ExitCodes: none of them is a signal's */
#define LABEL_STDIN	 "hsup.stdin"	   /* "1": it has one that stays open */
#define LABEL_MERGED	 "hsup.merged"	   /* "1": one pipe for both outputs */

/* On a network of its own, when the operator says nothing else. */
#define BODY_PORT 5000

struct body_setup {
	const struct docker_settings *settings;
	const struct driver_context *context;
	const struct driver_start *start;
	const struct image *image;
	const char *keeper;
	unsigned port; /* inside; 0 = none */
	bool local;    /* the engine is on this machine */
	bool podman;
};

/* first: with DOCKER_SECRETS=file, what the container is to read before all else; the rest of the
 * body is then free of config vars. NULL and err: -EPERM (a User it may not have), -EOPNOTSUPP
 * (notify socket with an engine elsewhere), -ENOMEM. */
json_t *body_create(
	const struct body_setup *setup, struct strbuf *first, struct err *err) HSUP_MUST_CHECK;

/* Of POST /containers/ID/exec: a command as the dyno is. mark: in its environment, and so in that
 * of all that it starts. attached: to what it reads, which is nothing. NULL = out of memory. */
json_t *body_exec(const char *shell, const struct process *process, char *const *args,
	size_t n_args, const char *mark, bool attached) HSUP_MUST_CHECK;
/* Kills all that has this mark; "" = any. */
json_t *body_exec_kill(const char *shell, const char *mark) HSUP_MUST_CHECK;

/* "hsup-shop-web.1-5f3a.1": what engines take as a name. */
void body_name(const char *app, const char *name, uint64_t id, uint32_t generation, char *ret_name,
	size_t size);
