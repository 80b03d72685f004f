/* A formation: what the core needs to know of a release to run it: types, quantities, policies and
 * a fingerprint per type. No strings of the operator's beyond the type's name. */
#pragma once

#include "model/release.h"

struct formation_after {
	unsigned type; /* index in the formation */
	enum after_condition condition;
};

struct formation_type {
	char name[LIMIT_TYPE_NAME + 1];
	unsigned quantity;    /* wanted, overrides applied */
	uint64_t fingerprint; /* of all that makes its dynos what they are; not of quantity,
			       * priority, rollout or the release's version */
	bool autostart;
	enum restart_policy restart;
	uint64_t start_time, start_timeout, stop_timeout; /* ns */
	int start_retries;				  /* -1 never gives up */
	int exit_codes[LIMIT_EXIT_CODES];
	unsigned n_exit_codes;
	int stop_signal;
	int priority;
	bool checked; /* Ready is given: up is who was said to be, not who has lived so long */
	bool essential;
	bool phase; /* the release phase: runs once, before the release is in force */
	unsigned n_after;
	struct formation_after after[LIMIT_AFTER];
	struct rollout rollout;
};

/* Plain data: copy by assignment. Allocated once per release, freed with free(). */
struct formation {
	int64_t version;
	uint64_t alone; /* dynos of another number do not live beside these; 0 = with any */
	unsigned n_types;
	struct formation_type types[]; /* in document order */
};

/* Of a prepared release. NULL = out of memory. */
struct formation *formation_new(const struct release *r);
struct formation *formation_copy(const struct formation *f);
const struct formation_type *formation_find(const struct formation *f, const char *type);
bool formation_exit_expected(const struct formation_type *t, int exit_code);

/* A quantity that is not the release's. */
struct quantity_override {
	char type[LIMIT_TYPE_NAME + 1];
	unsigned quantity;
	bool by_operator; /* while it runs; false: of the command line, for ever */
	unsigned base;	  /* by_operator: what the release said then; void when one says another */
};

/* Quantities given on the command line ("web=2", "worker" = 1): types listed get theirs, all
 * others 0. -ENOENT and err when a listed type does not exist. */
int formation_override(
	struct formation *f, const struct quantity_override *list, size_t n, struct err *err);

/* "web=2" or "worker". 0, or -EINVAL with err. */
int quantity_parse(const char *text, struct quantity_override *ret, struct err *err);
