#include "drivers/docker/settings.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PARALLEL_MAX	  256
#define PARALLEL_PER_CORE 4
#define LOG_LEAST	  (64U << 10)

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static int read_bool(const char *name, bool other, bool *ret, struct err *err)
{
	static const char *const yes[] = {"1", "yes", "true", "on"};
	static const char *const no[] = {"0", "no", "false", "off"};
	const char *value = setting(name);

	*ret = other;
	if (!value)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		*ret = strcasecmp(value, yes[i]) == 0;
		if (*ret || strcasecmp(value, no[i]) == 0)
			return 0;
	}
	return err_set(err, -EINVAL, "%s=%.60s: must be yes or no", name, value);
}

static int read_secrets(struct docker_settings *s, struct err *err)
{
	const char *value = setting("DOCKER_SECRETS");

	s->secret_file = value && strcmp(value, "file") == 0;
	if (value && !s->secret_file && strcmp(value, "env") != 0)
		return err_set(err, -EINVAL, "DOCKER_SECRETS=%.60s: must be env or file", value);
	return 0;
}

static bool is_network(const char *name)
{
	return strlen(name) <= 128 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       strlen(name);
}

static int read_network(struct docker_settings *s, struct err *err)
{
	const char *value = setting("DOCKER_NETWORK"), *publish = setting("DOCKER_PUBLISH");
	struct in6_addr address;

	s->network_name = value ? value : "bridge";
	s->network = strcmp(s->network_name, "host") == 0   ? DOCKER_NETWORK_HOST
		     : strcmp(s->network_name, "none") == 0 ? DOCKER_NETWORK_NONE
							    : DOCKER_NETWORK_OWN;
	if (!is_network(s->network_name))
		return err_set(err, -EINVAL,
			"DOCKER_NETWORK=%.60s: must be bridge, host, none, or a network's name",
			value);
	s->publish = publish ? publish : "127.0.0.1";
	if (inet_pton(AF_INET, s->publish, &address) != 1 &&
		inet_pton(AF_INET6, s->publish, &address) != 1)
		return err_set(err, -EINVAL,
			"DOCKER_PUBLISH=%.60s: must be an address, as 127.0.0.1 or 0.0.0.0",
			publish);
	return 0;
}

static int read_numbers(struct docker_settings *s, struct err *err)
{
	const char *parallel = setting("DOCKER_PARALLEL"), *log_max = setting("DOCKER_LOG_MAX");
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	s->parallel = PARALLEL_PER_CORE * (unsigned)(cores > 0 ? cores : 1);
	if (parallel && (parse_uint(parallel, PARALLEL_MAX, &s->parallel) < 0 || s->parallel == 0))
		return err_set(err, -EINVAL, "DOCKER_PARALLEL=%.60s: must be a number from 1 to %u",
			parallel, PARALLEL_MAX);
	s->log_max = 0;
	if (log_max && (parse_u64(log_max, INT64_MAX, &s->log_max) < 0 ||
			       (s->log_max && s->log_max < LOG_LEAST)))
		return err_set(err, -EINVAL,
			"DOCKER_LOG_MAX=%.60s: must be bytes, %u or more, or 0 for all", log_max,
			LOG_LEAST);
	return 0;
}

int docker_settings_read(struct docker_settings *ret_settings, struct err *err)
{
	struct docker_settings *s = ret_settings;

	*s = (struct docker_settings){
		.host = setting("DOCKER_HOST"),
		.cert_path = setting("DOCKER_CERT_PATH"),
		.tls_verify = setting("DOCKER_TLS_VERIFY") != NULL,
	};
	int r = read_bool("DOCKER_IMAGE_CACHE", true, &s->image_cache, err);
	if (r == 0)
		r = read_secrets(s, err);
	if (r == 0)
		r = read_network(s, err);
	if (r == 0)
		r = read_numbers(s, err);
	return r;
}
