/* Somebody has removed the table of the packet filter: a firewall that was loaded anew. Those who
 * begin make sure of it themselves; this is for those who run. */
#include "base/fd.h"
#include "box/box.h"
#include "box/list.h"
#include "box/nft.h"
#include "box/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Whoever has removed it may be at work for a while. */
#define TRIES  10
#define NAP_NS 100000000

/* The next one that lives, or -1. One that is being swept counts, too: its port leads nowhere until
 * its uid is taken again, which sets it right. */
static int next_living(struct list *l)
{
	const char *name;
	bool is_folder;

	while ((name = list_next(l, &is_folder))) {
		_cleanup_close_ int claim = claims_look(l->fd, name);

		if (!claim_is_free(claim))
			return TAKE_FD(claim);
	}
	return -1;
}

static bool anybody_lives(int claims)
{
	struct list l;

	if (lseek(claims, 0, SEEK_SET) < 0)
		return true;
	list_begin(&l, claims);
	_cleanup_close_ int one = next_living(&l);
	return one >= 0;
}

/* 0: it was made; 1: there is nobody whom it would be for. The last supervisor of the machine takes
 * it away when nobody is left: then it is to stay away. */
static int make(const struct box_settings *s, int claims, struct err *err)
{
	static const struct timespec nap = {.tv_nsec = NAP_NS};

	for (int i = 1; anybody_lives(claims); i++) {
		int r = nft_make(s, err);

		if (r == 0 || i == TRIES)
			return r;
		(void)nanosleep(&nap, NULL);
	}
	return 1;
}

static int publish_all(int claims)
{
	_cleanup_close_ int fd = nft_open();
	struct list l;
	int first = fd < 0 ? fd : 0;

	if (fd < 0 || lseek(claims, 0, SEEK_SET) < 0)
		return fd < 0 ? fd : -errno;
	list_begin(&l, claims);
	for (int claim; (claim = next_living(&l)) >= 0; claim = fd_close(claim)) {
		int r = publish_again(claim, fd);

		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

static int mend(const struct box_settings *s, int claims, struct err *err)
{
	bool stood = nft_stands(s);
	int r = make(s, claims, err);

	if (r != 0)
		return r;
	r = s->publish.min ? publish_all(claims) : 0;
	if (r < 0)
		return err_errno(err, r, "ports of the machine that lead to them");
	/* Of several hsups, the first says so. */
	if (!stood)
		(void)dprintf(STDERR_FILENO, "hsup-box: note: the packet filter of dynos was "
					     "removed by somebody, and is made again\n");
	return 0;
}

int mend_run(const struct box_settings *s)
{
	char path[PATH_MAX + sizeof BOX_CLAIMS + 1];
	struct err err;

	(void)snprintf(path, sizeof path, "%s/" BOX_CLAIMS, s->run);
	_cleanup_close_ int claims = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (geteuid() != 0 || s->network != SPEC_BOX_NET_OWN || claims < 0)
		return 0;
	if (mend(s, claims, &err) >= 0)
		return 0;
	(void)dprintf(STDERR_FILENO,
		"hsup-box: the packet filter of dynos was removed by somebody, and could not be "
		"made again: %s\n",
		err.text);
	return 1;
}
