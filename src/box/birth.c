/* A dyno is born: from here on we are init of its pid namespace, and nothing else will be. */
#include "base/fd.h"
#include "box/box_private.h"
#include "box/mnt.h"
#include "box/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HOSTNAME_MAX 64
#define DYNO_PID     2 /* join.c counts on it */

struct birth_room {
	struct maker maker;
	struct box_root root;
	struct gate gate;
	pid_t dyno;
	struct pty pty;
};

/* Who is not root cannot link one to the machine's, but have it passed on. */
static enum spec_box_network can_have(const struct box *b, enum spec_box_network network)
{
	bool has_own = b->root || b->settings->passer[0];

	return network == SPEC_BOX_NET_OWN && !has_own ? SPEC_BOX_NET_HOST : network;
}

/* The network is the operator's choice; a dyno may do without one. */
static enum spec_box_network choose_network(const struct box *b)
{
	enum spec_box_network asked = can_have(b, b->spec->box.network);

	if (asked != SPEC_BOX_NET_NONE && asked != can_have(b, b->settings->network))
		box_fail(WIRE_STAGE_POLICY, EPERM);
	return asked;
}

static bool has_userns(const struct box *b)
{
	return b->root && !box_skips(b, "userns");
}

/* Nothing is made yet that could outlive us. */
static void plan(struct box *b, struct birth_room *room)
{
	if (getpid() != 1)
		box_fail(WIRE_STAGE_NAMESPACES, EINVAL);
	if (b->warm >= 0 && b->spec->box.flags)
		box_fail(WIRE_STAGE_SPEC, EBADMSG);
	room->maker.network = choose_network(b);
	maker_begin(b, &room->maker);
	box_must(b->root ? ids_take(b) : ids_map_own(b), WIRE_STAGE_UID);
	if (room->maker.network != SPEC_BOX_NET_OWN)
		b->machine_address = b->dyno_address = 0;
	box_step(b);
	/* From here on a sweep takes nothing of ours. */
	box_must(box_claim(b), WIRE_STAGE_BOX);
	box_must(publish_take(b), WIRE_STAGE_NETWORK);
	box_step(b);
	room->root = (struct box_root){
		.proc = -1,
		.userns = -1,
		.slug_userns = -1,
		.stack = -1,
		.slug = -1,
		.layer_wait = maker_wait_layer,
		.layer_of = &room->maker,
		.skeleton = -1,
		.root_id = has_userns(b) ? BOX_ROOT_ID : 0,
		.sys = room->maker.network != SPEC_BOX_NET_HOST,
		.hostname = b->spec->hostname ? b->spec->hostname : b->spec->box_name,
	};
	pty_find(&room->pty, b);
	if (room->maker.network == SPEC_BOX_NET_OWN && b->root)
		box_must(setup_ensure(b->settings), WIRE_STAGE_NETWORK);
}

/* All that the spec names is there, and may be had. */
static void open_root(struct box *b, struct box_root *root)
{
	enum wire_stage stage = WIRE_STAGE_STACK;
	int r = root_open(b, root, &stage);

	if (r < 0)
		box_fail(stage, -r);
}

static void leave_namespaces(const struct birth_room *room)
{
	size_t len = strlen(room->root.hostname);

	if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) < 0)
		box_fail(WIRE_STAGE_NAMESPACES, errno);
	if (sethostname(room->root.hostname, len < HOSTNAME_MAX ? len : HOSTNAME_MAX) < 0)
		box_fail(WIRE_STAGE_NAMESPACES, errno);
}

/* In its process: all is ready around it when the gate opens. A cgroup namespace begins where its
 * maker is, so that it is not made with the others. */
HSUP_NORETURN static void be_dyno(struct box *b, struct gate *gate)
{
	bool parked = b->warm >= 0;

	/* Now, while others work: whoever is the last to let go of a mount waits for the kernel. */
	if (!box_skips(b, "closefds")) {
		box_close_others(&gate->theirs, 1);
		gate->ours = -1;
	}
	last_prepare(b);
	if (parked)
		warm_become(b, gate);
	if (unshare(CLONE_NEWCGROUP) < 0)
		box_fail(WIRE_STAGE_NAMESPACES, errno);
	last_confine(b);
	b->terminal = gate_wait(gate);
	last_become(b);
}

/* Early, because files can be shown through no user namespace but one that somebody is in. */
static void start_dyno(struct box *b, struct birth_room *room)
{
	/* Chosen, not the next one: nft may have run before. */
	static const pid_t pid = DYNO_PID;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};

	if (has_userns(b))
		args.flags |= CLONE_NEWUSER;
	if (b->cgroup.into >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)b->cgroup.into;
	}
	gate_make(&room->gate);
	room->dyno = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (room->dyno == 0)
		be_dyno(b, &room->gate);
	if (room->dyno < 0)
		box_fail(args.flags & CLONE_INTO_CGROUP ? WIRE_STAGE_CGROUP : WIRE_STAGE_FORK,
			errno);
}

/* Who the dyno is in its user namespace, and how the slug's owner is shown. */
static void map_ids(const struct box *b, struct box_root *root)
{
	struct stat st;

	box_must(ids_map_dyno(b, root->proc, DYNO_PID), WIRE_STAGE_NAMESPACES);
	root->userns = openat(root->proc, "2/ns/user", O_RDONLY | O_CLOEXEC);
	if (root->userns < 0)
		box_fail(WIRE_STAGE_NAMESPACES, errno);
	if (root->slug < 0)
		return;
	if (fstat(root->slug, &st) < 0)
		box_fail(WIRE_STAGE_APP, errno);
	if (st.st_uid != b->uid || st.st_gid != b->gid)
		box_must(root->slug_userns = ids_owner_map(b, root->proc, st.st_uid, st.st_gid),
			WIRE_STAGE_APP);
}

static void begin_root(struct box *b, struct box_root *root)
{
	enum wire_stage stage = WIRE_STAGE_MOUNTS;
	int r = root_begin(b, root, &stage);

	if (r < 0)
		box_fail(stage, -r);
}

static void enter_root(struct box_root *root)
{
	enum wire_stage stage = WIRE_STAGE_MOUNTS;
	int r = root_enter(root, &stage);

	if (r < 0)
		box_fail(stage, -r);
}

void box_give_output(const struct box *b)
{
	if (!b->owns_output || !b->root)
		return;
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		if (fchown(fd, b->uid, b->gid) < 0)
			box_fail(WIRE_STAGE_OUTPUT, errno);
}

/* The order is the fastest that was found: the maker works beside us. */
void birth_run(struct box *b)
{
	static struct birth_room room;

	plan(b, &room);
	box_must(cgroup_find(b), WIRE_STAGE_CGROUP);
	maker_go(b, &room.maker);
	leave_namespaces(&room);
	box_step(b);
	open_root(b, &room.root);
	box_step(b);
	box_must(cgroup_make(b, &b->cgroup), WIRE_STAGE_CGROUP);
	box_step(b);
	maker_alone(b, &room.maker);
	begin_root(b, &room.root);
	box_step(b);
	maker_enter(&room.maker);
	box_must(room.root.proc = mnt_new(
			 "proc", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC),
		WIRE_STAGE_MOUNTS);
	start_dyno(b, &room);
	box_step(b);
	if (has_userns(b))
		map_ids(b, &room.root);
	box_step(b);
	enter_root(&room.root);
	box_step(b);
	maker_end(b, &room.maker);
	box_must(cgroup_open_late(b, &b->cgroup), WIRE_STAGE_CGROUP);
	box_step(b);
	box_give_output(b);
	pty_open(&room.pty, b);
	box_step(b);
	if (b->warm >= 0)
		warm_park(b, &room.root, &room.gate, room.dyno);
	else
		gate_open(&room.gate, room.pty.peer);
	init_run(b, room.dyno, &room.gate, &room.pty);
}
