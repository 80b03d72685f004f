/* The box's own folder on the disk: what its dyno writes. */
#include "base/fd.h"
#include "base/quota.h"
#include "box/mnt.h"
#include "box/root_private.h"
#include "box/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER	 (O_PATH | O_DIRECTORY)
#define IN_PLACE (RESOLVE_BENEATH | MNT_STRICT)

static int give(const struct box *b, int layer)
{
	if (!b->root)
		return 0;
	if (fchownat(layer, LAYER_UPPER, b->uid, b->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return fchownat(layer, LAYER_TMP, b->uid, b->gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int root_layer_parts(const struct box *b, int layer)
{
	int r = spare_make_parts(layer, b->spec->box_slug);

	return r == 0 ? give(b, layer) : r;
}

/* It is empty yet: whatever will be in it is counted. What this file system cannot do is not done;
 * who has asked for it was told. */
static int limit(const struct box *b, int layer)
{
	if (!b->spec->box_disk)
		return 0;
	_cleanup_close_ int fd = openat(layer, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : quota_begin(fd, b->spec->box_disk);
	return r == -EOPNOTSUPP || (r == -EPERM && !b->root) ? 0 : r;
}

static int make_in(const struct box *b, int state, int boxes)
{
	const char *name = b->spec->box_name;
	/* What is in a spare one was not counted. */
	int taken = b->spec->box_disk ? -ENOENT : spare_take(state, boxes, name, b->uid);

	/* Never one that is there: its owner may be another, alive. */
	if (taken == -EEXIST || (taken < 0 && mkdirat(boxes, name, LAYER_MODE) < 0))
		return taken == -EEXIST ? taken : -errno;
	_cleanup_close_ int layer = mnt_open(boxes, name, FOLDER, IN_PLACE);
	if (layer < 0)
		return layer;
	if (taken == 0)
		return give(b, layer);
	int r = limit(b, layer);
	return r == 0 ? root_layer_parts(b, layer) : r;
}

int root_layer_make(const struct box *b)
{
	if (!b->settings->state[0])
		return 0;
	/* Links on the way to it are the operator's. */
	_cleanup_close_ int state = open(b->settings->state, FOLDER | O_CLOEXEC);
	if (state < 0)
		return -errno;
	if (mkdirat(state, "boxes", 0700) < 0 && errno != EEXIST)
		return -errno;
	/* What is in it while the dyno lives is nobody else's: a file there may be set-uid, or may
	 * be open to all because nobody else is in its container. */
	_cleanup_close_ int boxes = spare_open_ours(state, "boxes");
	if (boxes < 0)
		return boxes;
	mode_t mask = umask(0);
	int r = make_in(b, state, boxes);
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
