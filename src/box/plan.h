/* What is to be mounted where: an array of steps, made of the spec, the settings and what was found
 * on the machine, before anything is done. Pure.
 *
 * The root is made of a skeleton, a tmpfs of ours that has all mount points and the files of /etc,
 * as the top of a read-only overlay above the stack: whatever a stack has in their place (links,
 * files, CVE-2026-41579, CVE-2026-47766, CVE-2023-27561) does not exist. Steps come in this order:
 * the skeleton, the root, what is mounted in it. */
#pragma once

#include "base/mem.h"
#include "wire/spec.h"

#include <stdbool.h>
#include <stdint.h>

enum plan_type {
	/* Made in the skeleton, or, once /dev was begun and until it is attached, in that. */
	PLAN_DIR,      /* a folder, of mode */
	PLAN_FILE,     /* an empty file: to be mounted upon */
	PLAN_TEXT,     /* a file with the text that `index` names, enum plan_text */
	PLAN_SYMLINK,  /* to text */
	PLAN_WHITEOUT, /* a name of the layer below that is not shown, when its folder is one */
	PLAN_NO_LINK,  /* fails when the stack has a link there: what lies behind it would go */
	PLAN_DEVICE,   /* the machine's own of that name: (major, minor) are mode >> 8, & 255 */
	/* Mounts. */
	PLAN_ROOT,	/* overlay: skeleton above the stack */
	PLAN_ROOT_HOST, /* the skeleton alone */
	PLAN_HOST,	/* a folder of the machine's root, with what is mounted below it */
	PLAN_HOST_ETC,	/* overlay: the skeleton's etc above the machine's */
	PLAN_PROC,
	PLAN_SYS,
	PLAN_EMPTY, /* a folder without anything */
	PLAN_DEV,   /* a tmpfs that is attached when it is complete, at PLAN_DEV_ATTACH */
	PLAN_DEV_ATTACH,
	PLAN_DEVPTS,
	PLAN_MQUEUE,
	PLAN_TMPFS,	/* of text bytes */
	PLAN_APP,	/* overlay: the layer's upper above the slug; or the upper alone */
	PLAN_TMP,	/* the layer's */
	PLAN_MASK,	/* nothing is to be seen of it: an empty file or folder; if it is there */
	PLAN_MASK_CPUS, /* `text` of each processor's folder below target */
	PLAN_READ_ONLY, /* mounted upon itself; if it is there */
	PLAN_BIND,	/* the spec's bind `index` */
};

enum plan_text {
	PLAN_PASSWD,
	PLAN_GROUP,
	PLAN_HOSTS,
	PLAN_HOSTNAME,
	PLAN_RESOLV_CONF,
};

/* How a bind's target comes to be. */
enum plan_target {
	PLAN_TARGET_IS,	   /* it is there already; it is never made: below another bind it would be
			    * made on the machine (CVE-2024-45310) */
	PLAN_TARGET_MADE,  /* made when it is not there, in what is the dyno's alone */
	PLAN_TARGET_GIVEN, /* likewise, and given to the dyno */
};

struct plan_step {
	enum plan_type type;
	enum wire_stage stage;
	const char *target; /* relative to the root, no link, dot or double slash in it */
	const char *text;
	uint64_t attributes; /* MOUNT_ATTR_* */
	unsigned mode;
	unsigned index;
	enum plan_target make; /* PLAN_BIND */
	bool of_dyno;	       /* owned by it; else by root */
};

#define PLAN_HOST_NAMES 8

/* What was found. */
struct plan_facts {
	bool root;	   /* else rootless */
	bool slug;	   /* else /app is the layer alone */
	bool sys;	   /* there may be a sysfs */
	bool host;	   /* the stack is the machine's root */
	struct plan_host { /* then: what there is of it, of plan_host_names */
		bool there;
		char link[64]; /* where the link leads; "" = a folder */
	} host_names[PLAN_HOST_NAMES];
	bool folder[SPEC_BOX_BINDS]; /* the bind's source is one */
	/* Left out, in developers' builds. */
	bool no_masks, no_read_only, no_nosuid, no_nodev;
};

/* Of the machine's root, for the stack "host". */
extern const char *const plan_host_names[PLAN_HOST_NAMES];

#define PLAN_STEPS 320
#define PLAN_CHARS 8192

struct plan {
	unsigned n;
	struct plan_step steps[PLAN_STEPS];
	size_t n_chars;
	char chars[PLAN_CHARS]; /* of targets */
};

struct plan_bind {
	const char *source; /* absolute; of source_len */
	size_t source_len;
	const char *target; /* absolute; of target_len */
	size_t target_len;
	bool read_only;
};

/* "SOURCE:TARGET[:ro]", both absolute. -EINVAL when it is not, or has an empty, "." or ".."
 * component. */
int plan_bind_parse(const char *text, struct plan_bind *ret) HSUP_MUST_CHECK;
/* Is `path` `folder` or below it? What follows the folder, relative ("" = itself), or NULL. */
const char *plan_below(const char *path, size_t len, const char *folder);

/* 0; or, of the spec's binds: -EINVAL what is not understood, -EACCES below /proc, /sys or /dev,
 * -ELOOP through a link, -E2BIG too many or too long. *ret_stage says of what it was. */
int plan_make(const struct spec *spec, const struct plan_facts *f, struct plan *ret,
	enum wire_stage *ret_stage) HSUP_MUST_CHECK;
