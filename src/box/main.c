/* What the launcher's child has become: nothing that it brought along is believed or kept. */
#include "base/fd.h"
#include "base/parse.h"
#include "box/box_private.h"
#include "box/sweep.h"
#include "spawn/program.h"
#include "wire/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE		   4096
#define KERNEL_SIGSET_SIZE 8
#define EXIT_USAGE	   64

/* By themselves in their pages, which go back when init has no more use for them. */
static struct {
	_Alignas(PAGE) struct box_settings settings;
	struct spec spec;
	struct packet order; /* of a reserve */
	void *text;
	size_t text_size;
} plan;

static struct box box = {
	.settings = &plan.settings,
	.spec = &plan.spec,
	.uid_lock = -1,
	.claim = -1,
	.layer_lock = -1,
	.stack_lock = -1,
	.warm = -1,
	.terminal = -1,
	.end = -1,
	.parent = -1,
	.cgroup.into = -1,
};

struct options {
	unsigned slot;
	bool has_slot, has_nofile, reserve;
};

void box_forget(struct box *b)
{
	b->settings = NULL;
	b->spec = NULL;
	(void)munmap(plan.text, plan.text_size);
	(void)madvise(&plan, sizeof plan, MADV_DONTNEED);
}

/* "NUMBER:NUMBER" */
static bool parse_pair(const char *text, uint64_t max, uint64_t *ret_first, uint64_t *ret_second)
{
	char first[24];
	const char *colon = strchr(text, ':');

	if (!colon || (size_t)(colon - text) >= sizeof first)
		return false;
	memcpy(first, text, (size_t)(colon - text));
	first[colon - text] = '\0';
	return parse_u64(first, max, ret_first) == 0 && parse_u64(colon + 1, max, ret_second) == 0;
}

static bool parse_nofile(const char *text)
{
	uint64_t soft, hard;

	if (!parse_pair(text, UINT64_MAX, &soft, &hard) || soft > hard)
		return false;
	box.nofile = (struct rlimit){.rlim_cur = soft, .rlim_max = hard};
	return true;
}

/* Who our launcher is: in a user namespace without a map there is no way to find out. */
static bool parse_ids(const char *text)
{
	uint64_t uid, gid;

	if (!parse_pair(text, ID_NONE - 1, &uid, &gid))
		return false;
	box.uid = (uid_t)uid;
	box.gid = (gid_t)gid;
	return true;
}

static bool parse_option(const char *arg, struct options *o)
{
	if (strcmp(arg, "--owns-output") == 0) {
		box.owns_output = true;
		return true;
	}
	if (strcmp(arg, "--warm") == 0) {
		box.warm = BOX_FD_WARM;
		return true;
	}
	if (strcmp(arg, "--reserve") == 0)
		return o->reserve = true;
	if (strncmp(arg, "--slot=", 7) == 0)
		return o->has_slot = parse_uint(arg + 7, LIMIT_DYNOS, &o->slot) == 0;
	if (strncmp(arg, "--nofile=", 9) == 0)
		return o->has_nofile = parse_nofile(arg + 9);
	if (strncmp(arg, "--ids=", 6) == 0)
		return parse_ids(arg + 6);
	return false;
}

/* All that is settled, each understood, and all together fitting. */
static int read_settings(char *const *settings, struct err *err)
{
	char *const none[] = {NULL};

	box_settings_init(&plan.settings);
	for (; *settings; settings++) {
		int r = box_settings_set(&plan.settings, *settings, err);
		if (r < 0)
			return r;
	}
	return box_settings_load(&plan.settings, none, err);
}

static int usage(const char *what, const char *arg)
{
	(void)fprintf(
		stderr, "hsup-box: %s%s (it is started by hsup-launcher; see --help)\n", what, arg);
	return EXIT_USAGE;
}

static void map_failures(unsigned slot)
{
	size_t at = slot * sizeof(struct birth_failure);
	struct stat st;

	if (fstat(BOX_FD_FAILURES, &st) < 0 ||
		(size_t)st.st_size < at + sizeof(struct birth_failure))
		_exit(EXIT_USAGE);
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, BOX_FD_FAILURES,
		(off_t)(at / PAGE * PAGE));
	if (page == MAP_FAILED)
		_exit(EXIT_USAGE);
	box_report_to((struct birth_failure *)(void *)(page + at % PAGE));
}

/* Nobody may look into a process that holds what the dyno is not to have; nothing arrives before
 * there is somebody to take it; what is inherited is what a dyno is to begin with. */
static void sanitise(void)
{
	struct stat end;
	sigset_t all;

	/* Not sigfillset() and sigprocmask(), which leave out what the C library has for itself. */
	memset(&all, 0xff, sizeof all);
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, KERNEL_SIGSET_SIZE);
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	fd_from((box.warm < 0 ? BOX_FD_END : BOX_FD_WARM) + 1, false);
	box.end = fstat(BOX_FD_END, &end) == 0 && S_ISFIFO(end.st_mode) ? BOX_FD_END : -1;
	if (box.end < 0)
		(void)close(BOX_FD_END);
	else
		(void)fd_cloexec(BOX_FD_END, true);
	if (box.warm >= 0 && fd_cloexec(box.warm, true) < 0)
		_exit(EXIT_USAGE);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			_exit(EXIT_USAGE);
	(void)umask(0);
	if (geteuid() == 0)
		(void)prctl(PR_SET_DUMPABLE, 0);
}

/* Where this machine keeps what is none of a dyno's business, and the dyno sees its init's command.
 */
static void hide_arguments(char *const *argv)
{
	for (argv++; *argv; argv++)
		memset(*argv, 0, strlen(*argv));
}

/* Nothing that fails before there is a slot can be told, or would matter to anybody. */
static void wait_in_reserve(void)
{
	map_failures(reserve_wait(&plan.order));
	reserve_become(&box, &plan.order);
	order_read_spec(BOX_FD_SPEC, &plan.spec, &plan.text, &plan.text_size);
}

/* Which our launcher has checked. */
static void read_spec(void)
{
	int r = program_read(BOX_FD_SPEC, &plan.spec, &plan.text, &plan.text_size);

	if (r < 0)
		box_fail(WIRE_STAGE_SPEC, -r);
}

HSUP_NORETURN static void run(const struct options *o, char *const *argv, char *const *settings)
{
	struct err err;

	if (read_settings(settings, &err) < 0) {
		(void)fprintf(stderr, "hsup-box: %s\n", err.text);
		box_fail(WIRE_STAGE_BOX, EINVAL);
	}
	hide_arguments(argv);
	if (o->reserve)
		wait_in_reserve();
	else
		read_spec();
	(void)close(BOX_FD_SPEC);
	(void)close(BOX_FD_FAILURES);
	box.root = geteuid() == 0;
	if (plan.spec.has_box &&
		plan.spec.box.mode == (box.warm < 0 ? SPEC_BOX_RUN : SPEC_BOX_PARK))
		birth_run(&box);
	if (plan.spec.has_box && plan.spec.box.mode == SPEC_BOX_JOIN)
		join_run(&box);
	if (plan.spec.has_box && plan.spec.box.mode == SPEC_BOX_SWEEP)
		sweep_run(&box);
	box_fail(WIRE_STAGE_SPEC, EBADMSG);
}

static int by_hand(char *const *settings, int (*act)(const struct box_settings *s))
{
	struct err err;

	/* Nothing else can be waited for, where who has started us ignores it. */
	(void)signal(SIGCHLD, SIG_DFL);
	if (read_settings(settings, &err) < 0) {
		(void)fprintf(stderr, "hsup-box: %s\n", err.text);
		return EXIT_USAGE;
	}
	return act(&plan.settings);
}

static int sweep(const struct box_settings *s)
{
	return sweep_by_hand(s, false);
}

static int sweep_dry(const struct box_settings *s)
{
	return sweep_by_hand(s, true);
}

int main(int argc, char *argv[])
{
	struct options o = {0};
	int i = 1;

	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return puts("hsup-box " HSUP_VERSION) < 0;
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return puts("Usage: hsup-box --setup [NAME=VALUE]...\n"
			    "       hsup-box --undo [NAME=VALUE]...\n"
			    "       hsup-box --mend [NAME=VALUE]...\n"
			    "       hsup-box --sweep [--dry-run] [NAME=VALUE]...\n"
			    "Gives native dynos their containers. hsup start and hsup gc run it.") <
		       0;
	if (argc > 1 && strcmp(argv[1], "--setup") == 0)
		return by_hand(argv + 2, setup_run);
	if (argc > 1 && strcmp(argv[1], "--undo") == 0)
		return by_hand(argv + 2, setup_undo);
	if (argc > 1 && strcmp(argv[1], "--mend") == 0)
		return by_hand(argv + 2, mend_run);
	if (argc > 2 && strcmp(argv[1], "--sweep") == 0 && strcmp(argv[2], "--dry-run") == 0)
		return by_hand(argv + 3, sweep_dry);
	if (argc > 1 && strcmp(argv[1], "--sweep") == 0)
		return by_hand(argv + 2, sweep);
	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++)
		if (!parse_option(argv[i], &o))
			return usage("not understood: ", argv[i]);
	if (o.has_slot == o.reserve || !o.has_nofile)
		return usage("--slot=N and --nofile=SOFT:HARD are needed", "");
	sanitise();
	if (o.has_slot)
		map_failures(o.slot);
	run(&o, argv, argv + i);
}
