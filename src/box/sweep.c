#include "box/sweep.h"

#include "base/fd.h"
#include "base/quota.h"
#include "box/box.h"
#include "box/list.h"
#include "box/nft.h"
#include "box/remove.h"
#include "box/spare.h"
#include "wire/box_presence.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sweep {
	const struct box_settings *settings;
	int claims, layers; /* RUN/boxes and STATE/boxes; layers: -1 = nobody has any */
	int first;	    /* errno of what could not go */
	bool tells, dry;    /* by hand */
};

static void note(struct sweep *s, int r)
{
	if (r < 0 && s->first == 0)
		s->first = r;
}

static int open_layers(const struct box_settings *s)
{
	char path[PATH_MAX + sizeof BOX_CLAIMS + 1];

	(void)snprintf(path, sizeof path, "%s/" BOX_CLAIMS, s->state);
	int fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int remove_layer(int layers, const char *name)
{
	_cleanup_close_ int dir =
		openat(layers, name, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	uint32_t project = quota_of(dir);
	int r = remove_content(dir);
	/* Before a new folder can have its number. */
	if (r == 0)
		quota_end(dir, project);
	if (unlinkat(layers, name, AT_REMOVEDIR) < 0 && r == 0)
		r = -errno;
	return r;
}

/* Of whom nobody has told us: he may be another RUN's, and of a version that held no lock of his
 * layer. After a crash, or when the machine was started anew, nobody is in his cgroups. */
static bool is_of_others(const struct sweep *s, const char *name)
{
	bool known = s->claims >= 0 && faccessat(s->claims, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	return !known && sweep_cgroups_used(name);
}

/* Nothing is made, so that nothing is left of having looked. */
static bool has_ended(const struct sweep *s, const char *name)
{
	_cleanup_close_ int claim = claims_look(s->claims, name);

	if (layer_is_locked(s->settings, name) || is_of_others(s, name))
		return false;
	return claim_is_free(claim);
}

static void tell(const struct sweep *s, const char *what, const char *name, int r)
{
	if (s->tells)
		(void)dprintf(STDOUT_FILENO, "%s box %s%s%s\n", what, name, r < 0 ? ": " : "",
			r < 0 ? strerror(-r) : "");
}

/* Its claim goes last, and only if all else did: it is by its claim that it is found again. */
static int sweep_one(struct sweep *s, const char *name)
{
	_cleanup_close_ int lock = layer_lock(s->settings, name);

	if (lock < 0 && lock != -ENOENT)
		return lock;
	if (is_of_others(s, name))
		return -EBUSY;
	_cleanup_close_ int claim = claims_take(s->claims, name);
	if (claim < 0)
		return claim;
	int r = sweep_cgroups(name);
	int published = publish_sweep(s->settings, claim);
	if (r == 0)
		r = published;
	int layer = s->layers < 0 ? 0 : remove_layer(s->layers, name);
	if (r == 0)
		r = layer;
	if (r == 0 && unlinkat(s->claims, name, 0) < 0)
		r = -errno;
	return r;
}

/* Whoever is in this folder by name, and lives no more. */
static void sweep_folder(struct sweep *s, int folder)
{
	struct list l;
	const char *name;
	bool is_folder;

	if (folder < 0 || lseek(folder, 0, SEEK_SET) < 0)
		return;
	list_begin(&l, folder);
	while ((name = list_next(&l, &is_folder))) {
		if (s->dry) {
			/* By its claim it has been told already. */
			bool twice = folder == s->layers && s->claims >= 0 &&
				     faccessat(s->claims, name, F_OK, 0) == 0;
			if (!twice && has_ended(s, name))
				tell(s, "would remove", name, 0);
			continue;
		}
		int r = sweep_one(s, name);
		if (r == -EBUSY)
			continue;
		note(s, r);
		tell(s, r < 0 ? "cannot remove" : "removed", name, r);
	}
	if (l.failed)
		note(s, -errno);
}

/* No box has a uid, and none can get one while we have all. */
static int take_all_uids(int run)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	_cleanup_close_ int fd = openat(run, BOX_UIDS, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fcntl(fd, F_OFD_SETLK, &whole) < 0 ? -EBUSY : TAKE_FD(fd);
}

int sweep_setup(const struct box_settings *s)
{
	_cleanup_close_ int alone = box_presence_alone(s->run);
	_cleanup_close_ int run = open(s->run, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int state = open(s->state, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	if (alone < 0 || run < 0)
		return 0;
	_cleanup_close_ int uids = take_all_uids(run);
	/* Not empty: somebody is just being born, or could not be swept. */
	if (uids < 0 || unlinkat(run, BOX_CLAIMS, AT_REMOVEDIR) < 0)
		return 0;
	/* The table is everybody's: boxes of another RUN may still be behind it. */
	int r = sweep_cgroup_parents();
	if (r == 0)
		r = nft_remove();
	if (state >= 0) {
		(void)unlinkat(state, BOX_CLAIMS, AT_REMOVEDIR);
		spare_remove(state);
		layers_unlock_all(state);
	}
	(void)unlinkat(run, BOX_UIDS, 0);
	(void)unlinkat(run, BOX_PRESENT, 0);
	(void)rmdir(s->run);
	return r == -EBUSY ? 0 : r;
}

static void sweep_all(struct sweep *s, bool root)
{
	sweep_folder(s, s->claims);
	sweep_folder(s, s->layers);
	if (s->dry)
		return;
	sweep_cgroups_unknown(s->claims);
	/* Who is not root has set up nothing else. */
	int r = root ? sweep_setup(s->settings) : sweep_cgroup_parents();
	if (r != -EBUSY)
		note(s, r);
}

int sweep_by_hand(const struct box_settings *settings, bool dry)
{
	struct sweep s = {.settings = settings, .tells = true, .dry = dry};
	char path[PATH_MAX + sizeof BOX_CLAIMS + 1];

	(void)snprintf(path, sizeof path, "%s/" BOX_CLAIMS, settings->run);
	s.claims = dry ? open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC) : claims_open(settings);
	if (s.claims < 0 && !dry) {
		(void)dprintf(STDERR_FILENO, "hsup-box: %s: %s\n", path, strerror(-s.claims));
		return 1;
	}
	s.layers = open_layers(settings);
	sweep_all(&s, geteuid() == 0);
	/* Made to look, perhaps; whoever needs them makes them. */
	(void)rmdir(path);
	(void)rmdir(settings->run);
	return s.first < 0;
}

void sweep_run(struct box *b)
{
	struct sweep s = {.settings = b->settings, .claims = claims_open(b->settings)};

	if (s.claims < 0)
		box_fail(WIRE_STAGE_SWEEP, -s.claims);
	s.layers = open_layers(b->settings);
	for (unsigned i = 1; i < b->spec->n_args; i++)
		note(&s, sweep_one(&s, b->spec->argv[i]));
	if (b->spec->n_args <= 1)
		sweep_all(&s, b->root);
	else if (b->root)
		spare_fill(b->settings->state);
	if (s.first < 0)
		box_fail(WIRE_STAGE_SWEEP, -s.first);
	_exit(0);
}
