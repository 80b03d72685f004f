#include "base/fd.h"
#include "box/mnt.h"
#include "box/root_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOWER (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* Paths are of the scratch folder, where we are: short, and none of the machine's is shown in
 * /proc/self/mountinfo. What attributes of hostile files would have a layer show another's
 * (redirect, metacopy) is off. */
static int overlay(const struct root_work *w, const char *lower, bool upper, uint64_t attributes)
{
	struct mnt_option options[12] = {
		{"lowerdir", lower},
		{"redirect_dir", "nofollow"},
		{"metacopy", "off"},
		{"index", "off"},
	};
	unsigned n = 4;

	/* Of a layer that is discarded, nothing need ever reach the disk. */
	if (upper) {
		options[n++] = (struct mnt_option){"upperdir", "layer/upper"};
		options[n++] = (struct mnt_option){"workdir", "layer/work"};
		options[n++] = (struct mnt_option){"volatile", NULL};
	}
	if (!w->b->root)
		options[n++] = (struct mnt_option){"userxattr", NULL};
	return mnt_new("overlay", options, attributes);
}

/* A folder as a lower one of an overlay: those are attached, by kernels before 6.13. */
static int lower(const struct root_work *w, int of, bool is_mount, int userns, const char *at)
{
	_cleanup_close_ int copy =
		is_mount ? fcntl(of, F_DUPFD_CLOEXEC, 0) : mnt_copy(of, "", false);

	if (copy < 0)
		return is_mount ? -errno : copy;
	int r = mnt_set_shown(copy, LOWER, userns, false);
	return r < 0 ? r : mnt_attach(copy, w->scratch, at);
}

int layer_root(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int mount = -1;
	int r = 0;

	if (s->type == PLAN_ROOT) {
		r = lower(w, w->r->stack, w->r->image, w->r->userns, "stack");
		if (r == 0)
			r = mount = overlay(w, "skeleton:stack", false, s->attributes);
	} else {
		r = mount = mnt_copy(w->skeleton, "", false);
		if (r >= 0)
			r = mnt_set(mount, s->attributes, -1, false);
	}
	if (r >= 0)
		r = mnt_attach(mount, w->scratch, "root");
	if (r < 0)
		return r;
	w->root = TAKE_FD(mount);
	/* Nothing more is made in it; and what is copied of it from now on has these. */
	return mnt_set(w->scratch, LOWER | MOUNT_ATTR_NOEXEC, -1, false);
}

int layer_host_etc(struct root_work *w, const struct plan_step *s)
{
	_cleanup_close_ int etc = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (etc < 0)
		return -errno;
	int r = lower(w, etc, false, w->r->userns, "stack");
	if (r < 0)
		return r;
	_cleanup_close_ int mount = overlay(w, "skeleton/etc:stack", false, s->attributes);
	return mount < 0 ? mount : root_attach(w, mount, s->target);
}

static int layer_in_memory(struct root_work *w)
{
	struct mnt_option options[3] = {{"mode", "711"}};
	char size[24];

	(void)snprintf(size, sizeof size, "%llu", (unsigned long long)w->b->spec->box_disk);
	if (w->b->spec->box_disk)
		options[1] = (struct mnt_option){"size", size};
	_cleanup_close_ int layer = mnt_new("tmpfs", options, 0);

	if (layer < 0)
		return layer;
	int r = root_layer_parts(w->b, layer);
	return r < 0 ? r : mnt_attach(layer, w->scratch, "layer");
}

static int attach_layer(struct root_work *w)
{
	if (w->layer)
		return 0;
	w->layer = true;
	if (!w->b->settings->state[0])
		return layer_in_memory(w);
	if (w->r->layer_wait)
		w->r->layer_wait(w->r->layer_of);
	_cleanup_close_ int layer = root_layer_open(w->b);
	_cleanup_close_ int copy = layer < 0 ? layer : mnt_copy(layer, "", false);
	return copy < 0 ? copy : mnt_attach(copy, w->scratch, "layer");
}

/* A part of the layer, as it is. */
static int show_part(struct root_work *w, const char *part, const struct plan_step *s)
{
	int r = attach_layer(w);

	if (r < 0)
		return r;
	/* Two components, of which both are ours, and the layer is the box's alone. */
	_cleanup_close_ int of =
		mnt_open(w->scratch, part, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | MNT_STRICT);
	_cleanup_close_ int copy = of < 0 ? of : mnt_copy(of, "", false);
	if (copy < 0)
		return copy;
	r = mnt_set(copy, s->attributes, -1, false);
	return r < 0 ? r : root_attach(w, copy, s->target);
}

int layer_tmp(struct root_work *w, const struct plan_step *s)
{
	return show_part(w, "layer/tmp", s);
}

int layer_app(struct root_work *w, const struct plan_step *s)
{
	if (w->r->slug < 0)
		return show_part(w, "layer/upper", s);
	int r = lower(w, w->r->slug, false, w->r->slug_userns, "slug");
	if (r == 0)
		r = attach_layer(w);
	if (r < 0)
		return r;
	_cleanup_close_ int mount = overlay(w, "slug", true, s->attributes);
	/* A file system that no layer can be on (another overlay, NFS): in memory, then. */
	if ((mount == -EINVAL || mount == -EOPNOTSUPP || mount == -EREMOTE) &&
		w->b->settings->state[0]) {
		r = layer_in_memory(w);
		mount = r < 0 ? r : overlay(w, "slug", true, s->attributes);
	}
	return mount < 0 ? mount : root_attach(w, mount, s->target);
}
