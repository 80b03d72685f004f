#include "fake/operate.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const types[] = {"web", "worker"};

void fake_supervisor_open(struct supervisor *s)
{
	*s = (struct supervisor){.recorder = recorder_new(1000), .n_dynos = 3};
	for (size_t i = 0; i < 3; i++) {
		struct dyno *d = &s->dynos[i];

		d->id = 10 + i;
		d->generation = 1;
		d->instance = i == 1 ? 2 : 1;
		(void)snprintf(d->type, sizeof d->type, "%s", types[i == 2]);
		d->state = DYNO_UP;
	}
	s->dynos[1].state = DYNO_BACKOFF;
	s->dynos[1].last_exit =
		(struct dyno_exit){.kind = EXIT_STAGE, .value = 12, .error = ENOENT};
	s->dynos[2].last_exit = (struct dyno_exit){.kind = EXIT_SIGNAL, .value = 9};
	s->quantity[0] = 2;
	s->quantity[1] = 1;
}

void fake_supervisor_close(struct supervisor *s)
{
	s->recorder = recorder_free(s->recorder);
}

void operate_app(struct supervisor *s, struct app_view *ret)
{
	*ret = (struct app_view){.name = "shop",
		.mode = s->daemon ? MODE_UP : MODE_START,
		.version = 7,
		.status = "up",
		.caught_up = !s->begins,
		.hides = s->hides,
		.n_dynos = s->n_dynos,
		.n_ready = 2,
		.started = 1,
		.control_dir = "/srv/shop",
		.driver = "simple",
		.software = "hsup"};
}

const char *operate_missing(struct supervisor *s, size_t index)
{
	static const char *const missing[] = {"no network", "no limits"};

	(void)s;
	return index < ARRAY_SIZE(missing) ? missing[index] : NULL;
}

size_t operate_dynos(struct supervisor *s)
{
	return s->n_dynos;
}

void operate_dyno(struct supervisor *s, size_t index, struct dyno_view *ret)
{
	const struct dyno *d = &s->dynos[index];

	*ret = (struct dyno_view){.dyno = d,
		.pid = 4711,
		.host = "127.0.0.1",
		.port = 5000,
		.version = 7,
		.started = 1,
		.since = 1,
		.retry_at = d->state == DYNO_BACKOFF ? UINT64_C(1) << 62 : 0,
		.ended_at = d->last_exit.kind ? 1 : 0,
		.health = HEALTH_OK,
		.used = DYNO_USAGE_UNKNOWN};
	if (index == 0)
		ret->used = (struct dyno_usage){.memory = 1 << 20,
			.cpu = 1500000000,
			.processes = 3,
			.memory_pressure = 5,
			.cpu_pressure = 10000};
	(void)snprintf(ret->name, sizeof ret->name, "%.60s.%u", d->type, d->instance);
	(void)snprintf(ret->why, sizeof ret->why, "a \"reason\"\x1b\xff");
}

const struct dyno *operate_dyno_at(struct supervisor *s, size_t index)
{
	return &s->dynos[index];
}

size_t operate_types(struct supervisor *s)
{
	(void)s;
	return 2;
}

void operate_type(struct supervisor *s, size_t index, struct type_view *ret)
{
	*ret = (struct type_view){.name = types[index], .quantity = s->quantity[index], .said = 1};
}

bool operate_matches(const char *pattern, const struct dyno *d)
{
	char name[LIMIT_NAME + 1];

	(void)snprintf(name, sizeof name, "%.60s.%u", d->type, d->instance);
	return strcmp(pattern, "all") == 0 || strcmp(pattern, d->type) == 0 ||
	       fnmatch(pattern, name, 0) == 0;
}

const struct release *operate_release(struct supervisor *s)
{
	(void)s;
	return NULL;
}

size_t operate_releases(struct supervisor *s, struct release_view ret[LIMIT_HISTORY + 1])
{
	(void)s;
	ret[0] = (struct release_view){.version = 7, .wall_ns = 1, .in_force = true};
	return 1;
}

int operate_release_text(
	struct supervisor *s, int64_t version, char **ret_text, size_t *ret_len, struct err *err)
{
	(void)s;
	if (version != 7)
		return err_set(err, -ENOENT, "there is no release v%lld", (long long)version);
	*ret_text = strdup("{}");
	*ret_len = 2;
	return *ret_text ? 0 : -ENOMEM;
}

struct recorder *operate_recorder(struct supervisor *s)
{
	return s->recorder;
}

struct rings *operate_rings(struct supervisor *s)
{
	return s->rings;
}

void operate_counts(struct supervisor *s, struct operate_counts *ret)
{
	(void)s;
	*ret = (struct operate_counts){.starts = 3};
}

HSUP_PRINTF(3, 4) static int wish(struct supervisor *s, struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (s->refuse)
		return err_set(err, s->refuse, "refused");
	s->wishes++;
	va_start(ap, fmt);
	(void)vsnprintf(s->last, sizeof s->last, fmt, ap);
	va_end(ap);
	recorder_add(s->recorder, &(struct record){.kind = RECORD_OPERATOR});
	return 0;
}

int operate_do(struct supervisor *s, enum operation what, char *const *patterns, size_t n_patterns,
	int signo, const struct asker *asker, size_t *ret_n, struct err *err)
{
	*ret_n = n_patterns;
	return wish(s, err, "%d %.80s %d by %s", what, patterns[0], signo, asker->who);
}

int operate_scale(struct supervisor *s, const struct scale *list, size_t n,
	const struct asker *asker, struct err *err)
{
	(void)asker;
	return wish(
		s, err, "%zu %s %s%d", n, list->type, list->relative ? "by " : "", list->amount);
}

int operate_submit(struct supervisor *s, const char *text, size_t len, const struct asker *asker,
	int64_t *ret_version, struct release_errors *errors, struct err *err)
{
	struct release *release = NULL;

	(void)asker;
	int r = release_parse(text, len, &release, errors);
	(void)release_unref(release);
	if (r < 0)
		return err_set(err, r, "not valid");
	*ret_version = 8;
	return wish(s, err, "submit");
}

int operate_rollback(struct supervisor *s, int64_t version, const struct asker *asker,
	int64_t *ret_version, struct err *err)
{
	(void)asker;
	*ret_version = 8;
	return wish(s, err, "rollback %lld", (long long)version);
}

int operate_abort(struct supervisor *s, const struct asker *asker, struct err *err)
{
	(void)asker;
	return wish(s, err, "abort");
}

void operate_shutdown(struct supervisor *s, unsigned urgency, const struct asker *asker)
{
	struct err err;

	(void)asker;
	(void)wish(s, &err, "shutdown %u", urgency);
}

void operate_reopen_logs(struct supervisor *s, const struct asker *asker)
{
	struct err err;

	(void)asker;
	(void)wish(s, &err, "reopen");
}

int operate_diag(struct supervisor *s, char **ret_text, size_t *ret_len)
{
	(void)s;
	*ret_text = strdup("1 supervisor: started\n");
	*ret_len = *ret_text ? strlen(*ret_text) : 0;
	return *ret_text ? 0 : -ENOMEM;
}

int operate_stdin(
	struct supervisor *s, const char *name, const struct asker *asker, struct err *err)
{
	(void)s;
	(void)name;
	(void)asker;
	return err_set(err, -ENXIO, "it has none");
}
