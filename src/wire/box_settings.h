/* What the operator has settled for native dynos: from the environment that hsup was started with
 * to the launcher, which seals it, and from there to hsup-box, always in the same words. The
 * LIBCONTAINER_ names and defaults are those of Go hsup. Pure. */
#pragma once

#include "base/err.h"
#include "base/ids.h"

#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>

#define BOX_FILTER   "hsup" /* the table of the packet filter, of family inet */
#define BOX_ROUTES   16
#define BOX_FOLDERS  8
#define BOX_NAMES    16 /* of an interface, with its end; IFNAMSIZ */
#define BOX_SETTINGS 32 /* of --box-option */

/* Ids of a stack's files outside: inside they are 0 to 65535. In a range that systemd's list of
 * uids (UIDS-GIDS) calls unused; no process ever has one. */
#define BOX_ROOT_ID 1900000000u
#define BOX_IDS	    65536u

struct box_address { /* host order */
	uint32_t address;
	unsigned bits; /* of the prefix, 0..32 */
};

/* "DESTINATION:GATEWAY:INTERFACE" of LIBCONTAINER_DYNO_EXTRA_ROUTES. */
struct box_route {
	struct box_address to; /* bits 0 = the default route */
	uint32_t gateway;
	bool has_gateway;	   /* else "default" was given: the machine's end of eth0's pair */
	char interface[BOX_NAMES]; /* inside: "eth0", "eth1" */
};

struct box_settings {
	struct id_range uids;	   /* LIBCONTAINER_DYNO_UID_MIN, _MAX: 3000 to 11000 */
	struct box_address subnet; /* LIBCONTAINER_DYNO_SUBNET: 172.16.0.0/12 */
	unsigned network;	   /* LIBCONTAINER_DYNO_NETWORK=own|host|none: spec_box_network */
	/* LIBCONTAINER_DYNO_EXTRA_INTERFACE=IF:ADDRESS[-LAST]/BITS; "" = none. `extra` is that of
	 * the first uid; with a LAST each other has the next one, else all have the same. */
	char extra_parent[BOX_NAMES];
	struct box_address extra;
	uint32_t extra_last; /* 0 = there is none */
	struct box_route routes[BOX_ROUTES];
	unsigned n_routes;
	struct id_range publish; /* HSUP_BOX_PUBLISH=FIRST-LAST: ports of the machine; 0 = none */
	bool slirp;		 /* `passer` is slirp4netns; else it is passt's pasta */
	/* Ours: where things lie. Absolute, of root, made before the launcher starts. */
	char state[PATH_MAX];  /* HSUP_BOX_STATE: folder of the boxes' layers */
	char stacks[PATH_MAX]; /* HSUP_BOX_STACKS: folder of the stacks */
	char run[PATH_MAX];    /* HSUP_BOX_RUN: the lock of the uids; "" = /run/hsup */
	/* HSUP_BOX_PASTA, HSUP_BOX_SLIRP4NETNS: what passes a network on for who is not root; "" =
	 * it cannot be had, and there is none. */
	char passer[PATH_MAX];
	/* What a supervisor may have shown at /app, and bound (HSUP_BOX_SLUGS, HSUP_BOX_BINDS; may
	 * be repeated): folders, with all below them; "/" = anything. */
	char slugs[BOX_FOLDERS][PATH_MAX], binds[BOX_FOLDERS][PATH_MAX];
	unsigned n_slugs, n_binds;
	/* Developers' builds only, -EINVAL in others: HSUP_BOX_DIE_AFTER=N: killed after step N, 0
	 * = never; HSUP_BOX_SKIP=NAME: one step of the sandbox is left out. */
	unsigned die_after;
	char skip[32];
};

void box_settings_init(struct box_settings *ret);
/* One "NAME=VALUE". -EINVAL, and err says what is wrong with it; -ENOENT for a name that is none of
 * ours. */
int box_settings_set(struct box_settings *s, const char *text, struct err *err) HSUP_MUST_CHECK;
/* All that is set in `environment`, where "" counts as unset; others are passed over. Checks that
 * they fit together: MIN above MAX, uids that are those of stacks' files, routes of an interface
 * that is not there, fewer ports or addresses than uids. */
int box_settings_load(
	struct box_settings *s, char *const *environment, struct err *err) HSUP_MUST_CHECK;

/* ---- box_address.c ---- */

/* Addresses of the dyno with this uid: the uid's own /30 of the subnet. False: the subnet ends
 * before it. Host order. */
bool box_addresses(
	const struct box_settings *s, uint32_t uid, uint32_t *ret_machine, uint32_t *ret_dyno);
/* How many uids there are that have a /30. */
uint32_t box_uids(const struct box_settings *s);
/* The port of the machine that leads to the dyno with this uid; 0 = none does. */
unsigned box_published(const struct box_settings *s, uint32_t uid);
/* Its address on the extra interface, host order. */
uint32_t box_extra_address(const struct box_settings *s, uint32_t uid);
