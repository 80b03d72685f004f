/* A parked box: made for a release, and for nobody in it. What differs from dyno to dyno comes with
 * its order: the launcher says that it is one, and gives spec, standard input, output and error. */
#include "base/fd.h"
#include "box/box_private.h"
#include "wire/packet.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define PAGE	     4096
#define HOSTNAME_MAX 64

/* By itself in its pages, which go back when the dyno is on its way. */
static struct {
	_Alignas(PAGE) struct spec spec;
	struct packet packet;
	void *text;
	size_t text_size;
} order;

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The order is for a box as this one is: nothing of that can be changed any more. */
static bool fits(const struct spec *parked, const struct spec *s)
{
	const struct spec_box *is = &parked->box, *wanted = &s->box;

	if (wanted->mode != SPEC_BOX_RUN || wanted->network != is->network || wanted->flags ||
		wanted->memory != is->memory || wanted->cpu_percent != is->cpu_percent ||
		wanted->processes != is->processes || s->box_disk != parked->box_disk ||
		s->n_binds != parked->n_binds || !same(s->box_stack, parked->box_stack) ||
		!same(s->box_slug, parked->box_slug))
		return false;
	for (unsigned i = 0; i < s->n_binds; i++)
		if (!same(s->binds[i], parked->binds[i]))
			return false;
	return true;
}

/* Whatever comes instead of an order is our end. What came behind one is the dyno's, and stays
 * where it is. */
static void wait_for_order(const struct box *b)
{
	static const char ready = 1;
	sigset_t all;

	memset(&all, 0xff, sizeof all);
	_cleanup_close_ int signals = signalfd(-1, &all, SFD_CLOEXEC);
	if (signals < 0)
		box_fail(WIRE_STAGE_WARM, errno);
	struct pollfd fds[] = {
		{.fd = b->warm, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	if (write(b->warm, &ready, sizeof ready) != sizeof ready)
		_exit(0);
	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			box_fail(WIRE_STAGE_WARM, errno);
		int r = packet_receive(b->warm, &order.packet);
		if (r > 0)
			return;
		/* Of what the launcher has sent behind our back it hears: that is no dyno's end. */
		if (r < 0 && (r != -EAGAIN || fds[1].revents))
			box_fail(WIRE_STAGE_WARM, r == -EAGAIN ? ECANCELED : -r);
		if (r == 0)
			_exit(0);
	}
}

static const struct birth_warm *check_order(void)
{
	const struct birth_warm *w = order_check(&order.packet, WIRE_SPAWN_WARM);

	if (!w)
		box_fail(WIRE_STAGE_WARM, EBADMSG);
	return w;
}

static void read_spec(int fd)
{
	order_read_spec(fd, &order.spec, &order.text, &order.text_size);
}

static void set_hostname(struct box *b, struct box_root *root)
{
	const struct spec *s = &order.spec;

	root->hostname = s->hostname ? s->hostname : s->box_name;
	box_must_call(sethostname(root->hostname, strnlen(root->hostname, HOSTNAME_MAX)),
		WIRE_STAGE_NAMESPACES);
	box_must(etc_rename(b, root), WIRE_STAGE_MOUNTS);
}

/* Who has helped to make the box may have told its end. */
static void forget_helpers(pid_t dyno)
{
	const struct timespec now = {0};
	sigset_t child;

	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	while (sigtimedwait(&child, NULL, &now) > 0)
		;
	if (init_ended(dyno))
		box_fail(WIRE_STAGE_WARM, ECHILD);
}

void warm_park(struct box *b, struct box_root *root, struct gate *gate, pid_t dyno)
{
	int *fds = order.packet.fds;

	forget_helpers(dyno);
	/* Now there is time for it. */
	box_must(cgroup_join_late(&b->cgroup), WIRE_STAGE_CGROUP);
	cgroup_close(&b->cgroup);
	box_step(b);
	wait_for_order(b);
	box_step(b);
	const struct birth_warm *w = check_order();
	read_spec(fds[0]);
	if (!fits(b->spec, &order.spec) || !publish_fits(b, &order.spec))
		box_fail(WIRE_STAGE_WARM, EINVAL);
	b->owns_output = w->owns_output;
	order_set_mark(w);
	order_connect(fds + 1);
	box_give_output(b);
	set_hostname(b, root);
	box_step(b);
	gate_pass(gate, fds, GATE_FDS);
	for (unsigned i = 0; i < GATE_FDS; i++)
		(void)close(fds[i]);
	root->skeleton = fd_close(root->skeleton);
	b->warm = fd_close(b->warm);
	(void)munmap(order.text, order.text_size);
	(void)madvise(&order, sizeof order, MADV_DONTNEED);
}

void warm_become(struct box *b, struct gate *gate)
{
	int fds[GATE_FDS];

	if (unshare(CLONE_NEWCGROUP) < 0)
		box_fail(WIRE_STAGE_NAMESPACES, errno);
	last_confine(b);
	if (gate_take(gate, fds) != GATE_FDS)
		box_fail(WIRE_STAGE_WARM, EBADMSG);
	read_spec(fds[0]);
	order_connect(fds + 1);
	b->spec = &order.spec;
	last_become(b);
}
