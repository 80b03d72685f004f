#include "box/plan_private.h"

#include <errno.h>
#include <linux/mount.h>
#include <string.h>

#define NOSUID MOUNT_ATTR_NOSUID
#define NODEV  MOUNT_ATTR_NODEV
#define NOEXEC MOUNT_ATTR_NOEXEC
#define RDONLY MOUNT_ATTR_RDONLY

const char *const plan_host_names[PLAN_HOST_NAMES] = {
	"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt"};

/* What is in the machine's /etc that even its file modes are not trusted with. */
static const char *const secrets[] = {
	"etc/shadow",
	"etc/shadow-",
	"etc/gshadow",
	"etc/gshadow-",
	"etc/passwd-",
	"etc/group-",
	"etc/subuid-",
	"etc/subgid-",
	"etc/sudoers",
	"etc/sudoers.d",
	"etc/sudoers.dist",
	"etc/sudo.conf",
	"etc/sudo_logsrvd.conf",
	"etc/ssh",
	"etc/hsup",
	"etc/hsup.json",
	"etc/krb5.keytab",
	"etc/letsencrypt",
	"etc/wireguard",
	"etc/ssl/private",
	"etc/security/opasswd",
};

/* Docker's list (moby daemon/pkg/oci/defaults.go); the last ones tell of other processes by how
 * long something took. */
static const char *const proc_masks[] = {"proc/acpi", "proc/asound", "proc/interrupts",
	"proc/kcore", "proc/keys", "proc/latency_stats", "proc/sched_debug", "proc/scsi",
	"proc/timer_list", "proc/timer_stats"};
static const char *const sys_masks[] = {"sys/firmware", "sys/devices/virtual/powercap"};
static const char *const proc_read_only[] = {
	"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};

static const struct {
	const char *target;
	unsigned major, minor;
} devices[] = {
	{"dev/null", 1, 3},
	{"dev/zero", 1, 5},
	{"dev/full", 1, 7},
	{"dev/random", 1, 8},
	{"dev/urandom", 1, 9},
	{"dev/tty", 5, 0},
};

/* No console: a terminal of the dyno is reached by its descriptors (CVE-2025-52565). */
static const char *const dev_links[][2] = {
	{"dev/fd", "/proc/self/fd"},
	{"dev/stdin", "/proc/self/fd/0"},
	{"dev/stdout", "/proc/self/fd/1"},
	{"dev/stderr", "/proc/self/fd/2"},
	{"dev/ptmx", "pts/ptmx"},
};

struct plan_step *plan_add(struct planning *p, enum plan_type type, const char *target)
{
	static struct plan_step nowhere;

	if (p->plan->n == PLAN_STEPS) {
		p->error = -E2BIG;
		return &nowhere;
	}
	struct plan_step *s = &p->plan->steps[p->plan->n++];
	*s = (struct plan_step){.type = type, .stage = p->stage, .target = target};
	return s;
}

static void mount(struct planning *p, enum plan_type type, const char *target, uint64_t attributes)
{
	const struct plan_facts *f = p->facts;

	if (f->no_nosuid)
		attributes &= ~(uint64_t)NOSUID;
	if (f->no_nodev)
		attributes &= ~(uint64_t)NODEV;
	plan_add(p, type, target)->attributes = attributes;
}

static void dir(struct planning *p, const char *target, unsigned mode)
{
	plan_add(p, PLAN_DIR, target)->mode = mode;
}

static void symlink(struct planning *p, const char *target, const char *text)
{
	plan_add(p, PLAN_SYMLINK, target)->text = text;
}

static void skeleton(struct planning *p)
{
	static const char *const dirs[] = {
		"proc", "sys", "dev", "etc", "app", "tmp", "var", "var/tmp", "run"};
	static const char *const texts[] = {
		[PLAN_PASSWD] = "etc/passwd",
		[PLAN_GROUP] = "etc/group",
		[PLAN_HOSTS] = "etc/hosts",
		[PLAN_HOSTNAME] = "etc/hostname",
		[PLAN_RESOLV_CONF] = "etc/resolv.conf",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++)
		dir(p, dirs[i], 0755);
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		plan_add(p, PLAN_TEXT, texts[i])->index = i;
	symlink(p, "etc/mtab", "/proc/self/mounts");
}

static void host_skeleton(struct planning *p)
{
	symlink(p, "var/run", "/run");
	for (unsigned i = 0; i < PLAN_HOST_NAMES; i++) {
		const struct plan_host *h = &p->facts->host_names[i];
		if (h->there && h->link[0])
			symlink(p, plan_host_names[i], h->link);
		else if (h->there)
			dir(p, plan_host_names[i], 0755);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(secrets); i++)
		(void)plan_add(p, PLAN_WHITEOUT, secrets[i]);
}

static void root(struct planning *p)
{
	const struct plan_facts *f = p->facts;
	uint64_t attributes = RDONLY | NOSUID | NODEV;

	if (!f->host) {
		mount(p, PLAN_ROOT, "", attributes);
		return;
	}
	mount(p, PLAN_ROOT_HOST, "", attributes);
	for (unsigned i = 0; i < PLAN_HOST_NAMES; i++)
		if (f->host_names[i].there && !f->host_names[i].link[0])
			mount(p, PLAN_HOST, plan_host_names[i], attributes);
	mount(p, PLAN_HOST_ETC, "etc", attributes);
}

static void proc_and_sys(struct planning *p)
{
	const struct plan_facts *f = p->facts;

	mount(p, PLAN_PROC, "proc", NOSUID | NODEV | NOEXEC);
	for (unsigned i = 0; i < ARRAY_SIZE(proc_read_only) && !f->no_read_only; i++)
		plan_add(p, PLAN_READ_ONLY, proc_read_only[i])->attributes = RDONLY;
	for (unsigned i = 0; i < ARRAY_SIZE(proc_masks) && !f->no_masks; i++)
		(void)plan_add(p, PLAN_MASK, proc_masks[i]);
	if (!f->sys) {
		(void)plan_add(p, PLAN_EMPTY, "sys");
		return;
	}
	mount(p, PLAN_SYS, "sys", RDONLY | NOSUID | NODEV | NOEXEC);
	if (f->no_masks)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(sys_masks); i++)
		(void)plan_add(p, PLAN_MASK, sys_masks[i]);
	plan_add(p, PLAN_MASK_CPUS, "sys/devices/system/cpu")->text = "thermal_throttle";
}

static void dev(struct planning *p)
{
	mount(p, PLAN_DEV, "dev", NOSUID | NOEXEC);
	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		plan_add(p, PLAN_DEVICE, devices[i].target)->mode =
			devices[i].major << 8 | devices[i].minor;
	for (unsigned i = 0; i < ARRAY_SIZE(dev_links); i++)
		symlink(p, dev_links[i][0], dev_links[i][1]);
	dir(p, "dev/pts", 0755);
	dir(p, "dev/shm", 0755);
	dir(p, "dev/mqueue", 0755);
	mount(p, PLAN_DEV_ATTACH, "dev", RDONLY);
	mount(p, PLAN_DEVPTS, "dev/pts", NOSUID | NOEXEC);
	mount(p, PLAN_TMPFS, "dev/shm", NOSUID | NODEV | NOEXEC);
	p->plan->steps[p->plan->n - 1].text = "64m";
	p->plan->steps[p->plan->n - 1].mode = 01777;
	mount(p, PLAN_MQUEUE, "dev/mqueue", NOSUID | NODEV | NOEXEC);
}

static void writable(struct planning *p)
{
	p->stage = WIRE_STAGE_APP;
	mount(p, PLAN_APP, "app", NOSUID | NODEV);
	p->stage = WIRE_STAGE_MOUNTS;
	mount(p, PLAN_TMP, "tmp", NOSUID | NODEV);
	mount(p, PLAN_TMP, "var/tmp", NOSUID | NODEV);
	mount(p, PLAN_TMPFS, "run", NOSUID | NODEV | NOEXEC);
	p->plan->steps[p->plan->n - 1].text = "16m";
	p->plan->steps[p->plan->n - 1].mode = 0755;
	p->plan->steps[p->plan->n - 1].of_dyno = true;
}

void plan_mount(struct planning *p, enum plan_type type, const char *target, uint64_t attributes)
{
	mount(p, type, target, attributes);
}

int plan_make(const struct spec *spec, const struct plan_facts *f, struct plan *ret,
	enum wire_stage *ret_stage)
{
	struct planning p = {.spec = spec, .facts = f, .plan = ret, .stage = WIRE_STAGE_STACK};

	ret->n = 0;
	ret->n_chars = 0;
	skeleton(&p);
	if (f->host)
		host_skeleton(&p);
	p.stage = WIRE_STAGE_BINDS;
	plan_bind_targets(&p);
	p.stage = WIRE_STAGE_STACK;
	root(&p);
	p.stage = WIRE_STAGE_MOUNTS;
	proc_and_sys(&p);
	dev(&p);
	writable(&p);
	p.stage = WIRE_STAGE_BINDS;
	plan_binds(&p);
	*ret_stage = p.stage;
	return p.error;
}
