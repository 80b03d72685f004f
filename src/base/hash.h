/* FNV-1a, 64 bits: to tell two configurations apart, not to resist anyone. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_INIT UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* A string with its length, so that ("ab","c") and ("a","bc") differ; NULL differs from "". */
static inline uint64_t hash_str(uint64_t h, const char *text)
{
	size_t len = text ? strlen(text) : SIZE_MAX;

	h = hash_bytes(h, &len, sizeof len);
	return text ? hash_bytes(h, text, len) : h;
}

static inline uint64_t hash_u64(uint64_t h, uint64_t value)
{
	return hash_bytes(h, &value, sizeof value);
}
