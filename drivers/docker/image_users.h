/* The user dyno in the /etc/passwd and /etc/group of a stack's image. Pure. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_USER "dyno"

struct image_users {
	struct strbuf passwd, group; /* what there is to be */
	bool new_passwd, new_group;  /* it is not what there was */
	uint32_t uid, gid;
};

/* Adds user and group dyno where they are not there: of the same number, the first from 1000 on
 * that neither has. Lines that are none of passwd's or group's stay as they are. The caller ends
 * ret_users by image_users_done(), also on failure. -EINVAL: the stack's own dyno is root or has no
 * number; -ENOSPC: no number is left; -ENOMEM. */
int image_users_add(const char *passwd, size_t passwd_len, const char *group, size_t group_len,
	const char *shell, struct image_users *ret_users, struct err *err) HSUP_MUST_CHECK;
void image_users_done(struct image_users *u);
