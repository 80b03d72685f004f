/* The one /app of a root, and what it shows: a slug, shared by all dynos of its release.
 *
 * /app is a link to PLACE/app, and that one to the slug. PLACE is STATE/abspath/<hash of the
 * control directory>, the supervisor's own: another slug is shown by one rename there, and / is
 * written to at the first start and at the end only. Beside it: `lock`, held shared (an
 * open-file-description lock) by every hsup that has shown something, exclusively while that
 * becomes another thing; `holder`, the launcher of the one that lasts, which goes on while its
 * supervisor is another; `was`, what stood in the place of /app before it was ours, to be put back:
 * without it the link is somebody's who made this root ready, and stays.
 *
 * What is at /app and neither absent, an empty directory nor a link of hsup's is never touched. */
#pragma once

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>

struct abspath_root {
	int top;	       /* the root directory */
	char place[PATH_MAX];  /* absolute */
	char target[PATH_MAX]; /* PLACE/app: what our link says */
	int dir, lock;	       /* of PLACE; -1 = not taken yet */
	bool lasts;
};

enum abspath_kind {
	ABSPATH_ABSENT,
	ABSPATH_EMPTY,	/* a directory */
	ABSPATH_OURS,	/* leads to our place */
	ABSPATH_OTHERS, /* to another app's */
	ABSPATH_OWN,	/* anything else: this root's own */
};

/* top: "/", but for tests. What a predecessor has left of this app is ours at once. */
int abspath_root_open(struct abspath_root *root, const char *top, const char *state_dir,
	const char *control_dir, bool lasts, struct err *err) HSUP_MUST_CHECK;

/* Could this slug (absolute; NULL: none) be shown, by what is seen now? Changes nothing. */
int abspath_root_check(
	const struct abspath_root *root, const char *slug, struct err *err) HSUP_MUST_CHECK;

/* Makes /app show it. lives: dynos of ours run, so that it must be there already. -EBUSY: others
 * use what it shows. */
int abspath_root_show(
	struct abspath_root *root, const char *slug, bool lives, struct err *err) HSUP_MUST_CHECK;

/* Of a supervisor that is to be uid and gid, while hsup is root: what he could not make himself.
 * That link stays. An /app of the root's own is left alone (0). -EPERM: the way to the place leads
 * through a link, or to what is of neither root nor uid, and root lets it be. */
int abspath_root_ready(const char *top, const char *state_dir, const char *control_dir, uid_t uid,
	gid_t gid, struct err *err) HSUP_MUST_CHECK;

/* Puts back what stood there, unless somebody still uses it (lives: we do). Negative errno and err:
 * that could not be tried; root is closed in any case. */
int abspath_root_close(struct abspath_root *root, bool lives, struct err *err);

/* ---- abspath_claim.c ---- */

enum abspath_kind abspath_look(
	const struct abspath_root *root, char ret_link[PATH_MAX], struct err *err);
/* Opens the place, and takes the lock, shared. Before the turn: it makes files. */
int abspath_take(struct abspath_root *root, struct err *err) HSUP_MUST_CHECK;
/* Makes /app lead to our place, which is open. Under abspath_turn(). */
int abspath_lead(const struct abspath_root *root, struct err *err) HSUP_MUST_CHECK;
/* Puts back what `was` says. Under abspath_turn(), with the lock alone. */
void abspath_restore(struct abspath_root *root);

/* ---- abspath_turn.c ---- */

/* Beside /app, for moments, all of them hsup's. */
#define ABSPATH_ASIDE  ".app-hsup"
#define ABSPATH_FOLDER ".app-hsup-folder"
#define ABSPATH_TURN   ".app-hsup-turn"

struct abspath_turn {
	int top, fd; /* -1 = nothing is held */
};

/* The turn to change what is at /app, where all is whole; over with abspath_turn_done(), also after
 * a failure. Nothing is held where nobody like us can change it. */
int abspath_turn(const struct abspath_root *root, struct abspath_turn *turn,
	struct err *err) HSUP_MUST_CHECK;
void abspath_turn_done(struct abspath_turn *turn);
/* From aside to /app, when nothing is there. */
int abspath_place(int top, const char *name) HSUP_MUST_CHECK;
/* A link in the place of another, or of nothing, at once. */
int abspath_point(int dir, const char *name, const char *to) HSUP_MUST_CHECK;
bool abspath_read_link(int dir, const char *name, char *ret_text, size_t size);
bool abspath_is_place(const char *target);
/* F_RDLCK is waited for a moment. */
int abspath_lock(int fd, short type) HSUP_MUST_CHECK;
/* That of a place: a file with no other name, else -EPERM. flags: O_CREAT, or none. */
int abspath_open_lock(int dir, int flags) HSUP_MUST_CHECK;
/* Is the hsup of this place running? */
bool abspath_in_use(const char *place);
/* The one that lasts, with another launcher than ours, may have dynos. */
bool abspath_held_by_another(const struct abspath_root *root);
