/* --user, --dyno-user, --dyno-ids and --allow-root-dynos: what the names mean on this machine, and
 * whether the supervisor's user can work with the directories. For hsup while it is still root,
 * just before it becomes the launcher. */
#pragma once

#include "base/err.h"
#include "model/options.h"

#define PRIVILEGES_ARGS (IDS_RANGES + 3)

struct privileges {
	char args[PRIVILEGES_ARGS][40]; /* for the launcher */
	unsigned n_args;
	uid_t uid; /* of the supervisor */
	gid_t gid;
	const char *dyno_user; /* to tell the supervisor, which was not told one; NULL = nothing */
};

/* Fills *ret and what o->dyno_ids lacks: the ids of the dyno user. Makes the state directory when
 * the supervisor would not be able to. Logs a warning when dynos will have the supervisor's user.
 * 0 or negative errno and err. */
int privileges_prepare(struct options *o, struct privileges *ret, struct err *err) HSUP_MUST_CHECK;

/* In the supervisor: *o knows what the launcher will grant, and its memory is nobody else's. */
int privileges_enter(struct options *o, struct err *err) HSUP_MUST_CHECK;
