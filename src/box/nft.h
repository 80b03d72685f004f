/* The machine's packet filter for dynos: one table, whatever the number of dynos. */
#pragma once

#include "base/err.h"
#include "wire/box_settings.h"

#include <stdbool.h>

/* Made, or brought to what it is to be, in one transaction of the program nft; the subnet of these
 * settings is added to those it knows. */
int nft_make(const struct box_settings *s, struct err *err) HSUP_MUST_CHECK;
/* Is it there, in the network namespace we are in? One request by netlink. */
bool nft_stands(void);
/* 0 if there is none. */
int nft_remove(void) HSUP_MUST_CHECK;
