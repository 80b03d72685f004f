/* Children that somebody else runs: what a later supervisor needs of them is kept, and no more. */
#include "launcher/launcher.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>

/* The pipe is asked, not the inode: a file system of somebody else's answers fstat() when it likes,
 * and a FIFO there would look like a pipe. */
static bool all_pipes(const struct packet *p)
{
	for (unsigned i = 0; i < p->n_fds; i++)
		if (fcntl(p->fds[i], F_GETPIPE_SZ) < 0)
			return false;
	return true;
}

static void refuse(struct launcher *l, const struct wire_request *r, const char *why)
{
	if (reap_refused(l))
		log_warning("%.*s was refused (%u in all): it cannot be kept: %s",
			r->spawn->name_length, r->name, l->refused, why);
}

void kept_enter(struct launcher *l, struct packet *p, const struct wire_request *r)
{
	if (!all_pipes(p)) {
		refuse(l, r, "its output is no pipe");
		return;
	}
	/* The one that is there may hold output that nobody has read. An earlier life of it that is
	 * kept, too, has ended, though nobody could tell us. */
	const struct child *before = children_find_id(l->children, r->child->id);
	if (children_find(l->children, r->child) || (before && before->state != CHILD_KEPT)) {
		refuse(l, r, err_name(EEXIST));
		return;
	}
	struct child *c = children_add(l->children, r->child, r->name, r->tag,
		r->spawn->name_length, (uint16_t)r->spawn->tag_length);
	if (!c) {
		refuse(l, r, err_name(errno));
		return;
	}
	c->output = (uint8_t)r->spawn->output;
	c->out = TAKE_FD(p->fds[0]);
	c->err = p->n_fds > 1 ? TAKE_FD(p->fds[1]) : -1;
	c->spawn_time = clock_now();
	c->known = true;
	children_set_state(l->children, c, CHILD_KEPT);
}
