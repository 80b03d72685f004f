/* One job for hsup-slug: fetch, verify, unpack; or pack again. Typed packets over a SOCK_SEQPACKET
 * socket that the helper (started with the argument --job) finds as descriptor 3, with the header
 * of wire/proto.h and these types (a range of their own: a packet can never be taken for one of the
 * launcher's).
 *
 * The supervisor sends JOB_SLUG with the directory to unpack under; the helper answers any number
 * of JOB_PROGRESS, then one of JOB_DONE or JOB_FAILED, and exits. End of file without either is a
 * failure ("ended without an answer"); the exit status is not looked at. The helper makes
 * `<target>/<digest>` by rename, so it is whole or absent, and removes what it began when it
 * fails; what a kill -9 leaves has a name that starts with ".tmp-".
 *
 * JOB_PACK instead: writes what was unpacked as a tar stream, and answers JOB_DONE when the end of
 * the archive is written and the descriptor closed. The files belong to the helper's user, so that
 * only it is sure to be able to read all of them.
 *
 * JOB_STACK: makes the root of a stack out of whatever the operator has, in a folder that the
 * orderer has made and will put into place: rootfs/ and tree.txt, or root.img. JOB_VERIFY: compares
 * one with what it was. Both answer JOB_STACK_DONE. */
#pragma once

#include "base/mem.h"
#include "wire/packet.h"

enum job_type {
	JOB_SLUG = 64, /* struct job_slug, strings; fd: the target directory (O_PATH or readable) */
	JOB_PROGRESS = 65, /* struct job_progress */
	JOB_DONE = 66,	   /* struct job_done */
	JOB_FAILED = 67,   /* struct job_failed, then the text */
	JOB_PACK = 68,	   /* struct job_pack; fds: the unpacked slug (O_PATH or readable), where
			    * the tar is written to: a pipe */
	JOB_STACK = 69,	   /* struct job_stack; fds: the source (a file or a folder, readable), the
			    * folder to make it in (readable) */
	JOB_VERIFY = 70,   /* struct job_verify; fds: the stack's folder (readable), where a line is
			    * written to for each difference */
	JOB_STACK_DONE = 71, /* struct job_stack_done */
	JOB_TYPE_MAX,
};

struct job_slug {
	uint64_t max_bytes; /* unpacked */
	uint64_t max_entries;
	uint64_t max_download;	/* packed */
	uint32_t uid, gid;	/* who is to own it, for others to read; UINT32_MAX = we stay who we
				 * are, and others need not read it */
	uint16_t source_length; /* then the source: a path, file:// or http(s):// */
	uint16_t checksum_length; /* then the checksum "SHA256:<hex>", may be empty */
	uint32_t reserved;
};

struct job_pack {
	uint32_t uid, gid;	       /* who may read it: whom the helper becomes; UINT32_MAX = we
					* stay who we are */
	uint32_t owner_uid, owner_gid; /* of every entry; not UINT32_MAX */
	uint64_t max_entries;
};

#define JOB_STACK_OWNERS 1u /* files get the owners that the source gives them: root */

struct job_stack {
	uint64_t max_bytes; /* of all files together, and of what is unpacked on the way to them */
	uint64_t max_entries;
	uint32_t flags;
	uint32_t reserved;
};

enum job_stack_kind {
	JOB_STACK_ROOTFS = 1,
	JOB_STACK_IMAGE = 2, /* of a file system */
};

/* What the source was. */
enum job_stack_from {
	JOB_FROM_TAR = 1,
	JOB_FROM_FOLDER = 2,
	JOB_FROM_IMAGE = 3,
	JOB_FROM_OCI = 4,
	JOB_FROM_DOCKER = 5, /* docker save */
	JOB_FROM_MAX,
};

struct job_verify {
	char tree[64]; /* as job_stack_done had it */
	uint32_t kind; /* enum job_stack_kind */
	uint32_t reserved;
};

/* Of JOB_VERIFY: only tree, bytes, entries, kind and differences. */
struct job_stack_done {
	char source[64]; /* lower-case hex SHA-256: of the file; of a folder: of its tree.txt; of an
			  * OCI layout in a folder: of the image's manifest */
	char tree[64];	 /* of tree.txt; of root.img */
	uint64_t bytes, entries;
	uint64_t dropped;  /* device nodes, FIFOs and sockets that were left out */
	uint64_t stripped; /* files whose setuid and setgid bits were */
	uint64_t differences;
	uint32_t kind; /* enum job_stack_kind */
	uint32_t from; /* enum job_stack_from; of JOB_VERIFY: 0 */
};

enum job_phase {
	JOB_FETCHING = 1,
	JOB_UNPACKING = 2,
};

struct job_progress {
	uint32_t phase; /* enum job_phase */
	uint32_t reserved;
	uint64_t done, total; /* packed bytes; total 0 = unknown */
};

struct job_done {
	char digest[64]; /* lower-case hex SHA-256 of the packed slug; the directory's name. Of
			  * JOB_PACK: zeros */
	uint64_t packed, unpacked, entries; /* of JOB_PACK: packed is the tar's size */
	uint32_t cached;		    /* 1 = it was there already */
	uint32_t reserved;
};

struct job_failed {
	int32_t error; /* positive errno: ENOENT = a local slug that does not exist, EBADMSG = a
			* hostile or damaged archive, EKEYREJECTED = wrong checksum, EFBIG = over a
			* limit, EREMOTEIO = the server said no, ETIMEDOUT, ... */
	uint32_t text_length;
	/* then the text: one line, printable */
};

WIRE_SIZED(struct job_slug, 40);
WIRE_SIZED(struct job_pack, 24);
WIRE_SIZED(struct job_progress, 24);
WIRE_SIZED(struct job_done, 96);
WIRE_SIZED(struct job_failed, 8);
WIRE_SIZED(struct job_stack, 24);
WIRE_SIZED(struct job_verify, 72);
WIRE_SIZED(struct job_stack_done, 176);

/* One packet to send: the fixed struct, then the strings; fd (-1 = none) stays the caller's. Never
 * raises SIGPIPE; waits only when the socket is a blocking one. 0, or negative errno as
 * packet_send. */
int job_send(int socket, enum job_type type, const struct packet_part *parts, unsigned n_parts,
	int fd) HSUP_MUST_CHECK;

/* As packet_receive, for the types above; waits when `wait`, else -EAGAIN. The caller ends the
 * packet with packet_done(). */
int job_receive(int socket, bool wait, struct packet *ret_packet) HSUP_MUST_CHECK;

/* Values checked; texts point into the packet and are not terminated. 0 or -EBADMSG. */
int job_parse_slug(const struct packet *p, struct job_slug *ret_job, const char **ret_source,
	const char **ret_checksum) HSUP_MUST_CHECK;
int job_parse_pack(const struct packet *p, struct job_pack *ret_job) HSUP_MUST_CHECK;
int job_parse_stack(const struct packet *p, struct job_stack *ret_job) HSUP_MUST_CHECK;
int job_parse_verify(const struct packet *p, struct job_verify *ret_job) HSUP_MUST_CHECK;
int job_parse_stack_done(const struct packet *p, struct job_stack_done *ret_done) HSUP_MUST_CHECK;
int job_parse_progress(const struct packet *p, struct job_progress *ret_progress) HSUP_MUST_CHECK;
int job_parse_done(const struct packet *p, struct job_done *ret_done) HSUP_MUST_CHECK;
int job_parse_failed(const struct packet *p, struct job_failed *ret_failed,
	const char **ret_text) HSUP_MUST_CHECK;
