/* What the environment says about the engine and how dynos are to be there: read once, checked
 * whole. hsup-docker(7) describes each for its users. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum docker_network {
	DOCKER_NETWORK_OWN,  /* a network of its own: PORT is the same for all, and published */
	DOCKER_NETWORK_HOST, /* the machine's: a port of its own for each dyno */
	DOCKER_NETWORK_NONE,
};

/* All texts are the environment's. */
struct docker_settings {
	const char *host, *cert_path; /* DOCKER_HOST, DOCKER_CERT_PATH; NULL = not set */
	bool tls_verify;	      /* DOCKER_TLS_VERIFY: set and not "" */
	bool image_cache;	      /* DOCKER_IMAGE_CACHE; default yes */
	bool secret_file;	      /* DOCKER_SECRETS=file; default env */
	enum docker_network network;
	const char *network_name; /* DOCKER_NETWORK: bridge (default), host, none, or a name */
	const char *publish; /* DOCKER_PUBLISH: the address ports are published at; 127.0.0.1 */
	unsigned parallel;   /* DOCKER_PARALLEL: starts at once; default 4 per core */
	uint64_t log_max; /* DOCKER_LOG_MAX: bytes the engine keeps of a dyno's output; 0 = all */
};

/* 0, or -EINVAL and err: which variable, what it says, what it may say. */
int docker_settings_read(struct docker_settings *ret_settings, struct err *err) HSUP_MUST_CHECK;
