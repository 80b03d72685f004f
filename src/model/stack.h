/* What `hsup stack` asks of the helper that touches what others have made. Plain data: the command
 * line knows where stacks lie, main.c where the helper is. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct stack_result {
	char source[65], tree[65]; /* SHA-256, lower-case hex */
	uint64_t bytes, entries, dropped, stripped, differences;
	bool image;	  /* root.img, not rootfs/ */
	const char *from; /* "tar", "folder", "image", "oci", "docker"; static */
};

struct stack_helper {
	/* The root of a stack in `folder`, out of a file or a folder; as root with the owners that
	 * the source says. */
	int (*add)(int source, int folder, struct stack_result *ret, struct err *err);
	/* A line for each difference on `out`. */
	int (*verify)(int folder, const char *tree, bool image, int out, struct stack_result *ret,
		struct err *err);
};
