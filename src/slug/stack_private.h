/* Of stack*.c. */
#pragma once

#include "slug/stack.h"
#include "slug/tree.h"
#include "slug/unpack.h"
#include "slug/writer.h"

#define STACK_ROOTFS "rootfs" /* names in the stack's folder; as io/stack_dir.h has them */
#define STACK_IMAGE  "root.img"
#define STACK_TREE   "tree.txt"

struct stack_run {
	const struct stack_job *job;
	struct job_stack_done done;
	int rootfs;
	struct writer *writer; /* into rootfs */
	uint64_t read;	       /* bytes, for the progress */
};

int stack_tick(void *userdata, struct err *err);

/* ---- stack_copy.c ---- */
/* All of a folder into the root; hard links stay, other file systems mounted in it are left out. */
int stack_copy_tree(struct stack_run *u, int source, struct err *err) HSUP_MUST_CHECK;
/* A file to root.img. */
int stack_copy_image(struct stack_run *u, int source, struct err *err) HSUP_MUST_CHECK;

/* ---- stack_layers.c ---- */
/* Reads an archive; digest NULL or "": whatever it hashes to. plain: the digest is of what is
 * packed, not of the file. *ret_hex: the file's. */
int stack_read_archive(struct stack_run *u, int fd, struct unpack_stack *how, const char *digest,
	bool plain, char ret_hex[DIGEST_HEX + 1], struct err *err) HSUP_MUST_CHECK;
/* What a folder is: an image's (an OCI layout, what docker save has written), or 0. */
enum job_stack_from stack_is_layers(int folder);
/* Applies its layers to the root, one after another. ret_hex: of the manifest. */
int stack_apply_layers(struct stack_run *u, int folder, enum job_stack_from from,
	char ret_hex[DIGEST_HEX + 1], struct err *err) HSUP_MUST_CHECK;

/* ---- stack_image.c: which layers, from what an image says of itself ---- */
struct stack_layer {
	char path[LIMIT_SLUG_PATH + 1]; /* in the image's folder */
	char digest[DIGEST_HEX + 1];
	bool plain; /* the digest is of the tar, not of the file */
};
int stack_list_layers(int folder, enum job_stack_from from, struct stack_layer **ret_layers,
	size_t *ret_n, char ret_hex[DIGEST_HEX + 1], struct err *err) HSUP_MUST_CHECK;
/* A file in the folder, read-only; nothing outside of it is reached. */
int stack_open_member(int folder, const char *path, struct err *err) HSUP_MUST_CHECK;
