/* The box's own folder on the disk: what its dyno writes. */
#include "base/fd.h"
#include "box/mnt.h"
#include "box/root_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER	 (O_PATH | O_DIRECTORY)
#define IN_PLACE (RESOLVE_BENEATH | MNT_STRICT)

/* What is in it while the dyno lives is nobody else's: a file there may be set-uid, or may be open
 * to all because nobody else is in its container. */
static int open_boxes(const char *state_path)
{
	/* Links on the way to it are the operator's. */
	_cleanup_close_ int state = open(state_path, FOLDER | O_CLOEXEC);

	if (state < 0)
		return -errno;
	if (mkdirat(state, "boxes", 0700) < 0 && errno != EEXIST)
		return -errno;
	_cleanup_close_ int boxes = mnt_open(state, "boxes", FOLDER, IN_PLACE);
	struct stat st;
	if (boxes < 0 || fstat(boxes, &st) < 0)
		return boxes < 0 ? boxes : -errno;
	return st.st_uid == geteuid() && !(st.st_mode & 022) ? TAKE_FD(boxes) : -EPERM;
}

static int make_part(const struct box *b, int layer, const char *name, mode_t mode)
{
	if (mkdirat(layer, name, mode) < 0)
		return -errno;
	if (b->root && fchownat(layer, name, b->uid, b->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int make_in(const struct box *b, int boxes)
{
	const char *name = b->spec->box_name;

	/* Never one that is there: its owner may be another, alive. */
	if (mkdirat(boxes, name, 0711) < 0)
		return -errno;
	_cleanup_close_ int layer = mnt_open(boxes, name, FOLDER, IN_PLACE);
	if (layer < 0)
		return layer;
	/* (The kernel works in it, as who has mounted it; where there is an overlay.) */
	if (b->spec->box_slug && mkdirat(layer, "work", 0700) < 0)
		return -errno;
	int r = make_part(b, layer, "upper", 0755);
	return r < 0 ? r : make_part(b, layer, "tmp", 01777);
}

int root_layer_make(const struct box *b)
{
	if (!b->settings->state[0])
		return 0;
	_cleanup_close_ int boxes = open_boxes(b->settings->state);
	if (boxes < 0)
		return boxes;
	mode_t mask = umask(0);
	int r = make_in(b, boxes);
	(void)umask(mask);
	return r;
}

/* Whose the folders on the way are has been looked at when it was made. */
int root_layer_open(const struct box *b)
{
	_cleanup_close_ int state = open(b->settings->state, FOLDER | O_CLOEXEC);
	char path[sizeof "boxes/" + SPEC_BOX_NAME_MAX];

	if (state < 0)
		return -errno;
	(void)snprintf(path, sizeof path, "boxes/%s", b->spec->box_name);
	return mnt_open(state, path, FOLDER, IN_PLACE);
}
