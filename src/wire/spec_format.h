/* The bytes of a launch spec: shared by spec_build.c and spec_parse.c, nobody else's. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SPEC_MAGIC   UINT32_C(0x63707368) /* "hspc" */
#define SPEC_VERSION 1

struct spec_header {
	uint32_t magic;
	uint32_t version;
	uint64_t size; /* of the whole spec, this header included */
};

enum spec_record_type {
	SPEC_PROGRAM = 1,   /* string, once, required */
	SPEC_ARG = 2,	    /* string, at least one */
	SPEC_ENV = 3,	    /* string "NAME=value" */
	SPEC_DIRECTORY = 4, /* string, once */
	SPEC_SESSION = 5,   /* u32, once */
	SPEC_USER = 6,	    /* u32 uid, u32 gid, u32 for each group; once */
	SPEC_UMASK = 7,	    /* u32, once */
	SPEC_NOFILE = 8,    /* u64, once */
	SPEC_NPROC = 9,	    /* u64, once; since WIRE_CAN_NPROC */
	/* Since WIRE_CAN_BOX. */
	SPEC_BOX = 10,	     /* struct spec_box, once; without it none of those below */
	SPEC_BOX_NAME = 11,  /* string, once */
	SPEC_BOX_STACK = 12, /* string, once */
	SPEC_BOX_SLUG = 13,  /* string, once */
	SPEC_HOSTNAME = 14,  /* string, once */
	SPEC_BIND = 15,	     /* string, at most SPEC_BOX_BINDS */
	SPEC_BOX_DISK = 16,  /* u64, once; a box that is older refuses it */
	SPEC_RECORD_MAX,
};

struct spec_record {
	uint16_t type; /* enum spec_record_type */
	uint16_t zero;
	uint32_t length; /* of the bytes behind it, padding not counted */
};

static inline size_t spec_padded(size_t length)
{
	return (length + 7) & ~(size_t)7;
}
