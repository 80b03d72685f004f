/* The machine's packet filter for dynos: one table, whatever the number of dynos. */
#pragma once

#include "base/err.h"
#include "wire/box_settings.h"

#include <stdbool.h>

#define NFT_TABLE     BOX_FILTER
#define NFT_PUBLISHED "published" /* a map of it: port of the machine -> address and port */
#define NFT_EXTRAS    "extras"	  /* a set of it: addresses of dynos on an extra interface */

/* Made, or brought to what it is to be, in one transaction of the program nft; the subnet of these
 * settings is added to those it knows. What publishes ports, and what is for an extra interface, is
 * made if these settings have it, and left as it is if they do not: another hsup's may. */
int nft_make(const struct box_settings *s, struct err *err) HSUP_MUST_CHECK;

/* ---- nft_netlink.c ---- */

/* Is all there that these settings need, in the network namespace we are in? One request. */
bool nft_stands(const struct box_settings *s);
/* 0 if there is none. */
int nft_remove(void) HSUP_MUST_CHECK;

/* A socket for the next two, of the network namespace we are in. */
int nft_open(void) HSUP_MUST_CHECK;
/* From now on this port of the machine leads there, wherever it led before. Host order. */
int nft_publish(int fd, unsigned published, uint32_t address, unsigned port) HSUP_MUST_CHECK;
/* And now nowhere. 0 too if it led nowhere. */
int nft_unpublish(int fd, unsigned published) HSUP_MUST_CHECK;
