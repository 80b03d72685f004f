/* DOCKER_HOST. */
#include "drivers/docker/engine_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define USUAL_SOCKET "/var/run/docker.sock"

static int refuse(const char *host, const char *why, struct err *err)
{
	return err_set(err, -EINVAL,
		"DOCKER_HOST=%.200s: %s; give unix:///path/of/socket or tcp://host:port", host,
		why);
}

static int unix_host(const char *host, const char *path, struct engine_host *h, struct err *err)
{
	if (path[0] != '/')
		return refuse(host, "the path of the socket must begin with a slash", err);
	if (strlen(path) >= sizeof h->socket)
		return refuse(host, "the path of the socket is longer than 107 bytes", err);
	(void)snprintf(h->socket, sizeof h->socket, "%s", path);
	(void)snprintf(h->base, sizeof h->base, "http://docker");
	return 0;
}

/* Bytes of a name, an IPv4 address, or an IPv6 one in brackets; 0 = that is none. */
static size_t name_length(const char *text)
{
	size_t n;

	if (text[0] == '[') {
		n = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
		return n > 1 && text[n] == ']' ? n + 1 : 0;
	}
	for (n = 0; isalnum((unsigned char)text[n]) || (text[n] && strchr("-._", text[n]));)
		n++;
	return n;
}

static bool is_port(const char *text, size_t len)
{
	unsigned long value = 0;

	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		value = value * 10 + (unsigned long)(text[i] - '0');
	}
	return value > 0 && value <= 65535;
}

static int net_host(const char *host, const char *rest, struct engine_host *h, struct err *err)
{
	size_t n = name_length(rest);
	const char *port = h->tls ? "2376" : "2375";
	size_t port_len = 4;

	if (n == 0 || n > 255)
		return refuse(host, "that is no name of a host", err);
	const char *at = rest + n;
	if (*at == ':') {
		port = at + 1;
		port_len = strcspn(port, "/");
		at = port + port_len;
		if (!is_port(port, port_len))
			return refuse(host, "that is no port", err);
	}
	if (*at && strcmp(at, "/") != 0)
		return refuse(host, "nothing may follow the port", err);
	(void)snprintf(h->base, sizeof h->base, "%s://%.*s:%.*s", h->tls ? "https" : "http", (int)n,
		rest, (int)port_len, port);
	return 0;
}

int engine_host_parse(const char *host, bool tls, struct engine_host *ret_host, struct err *err)
{
	struct engine_host h = {.tls = tls};
	int r;

	if (!host || !*host)
		host = "unix://" USUAL_SOCKET;
	if (strncmp(host, "unix://", 7) == 0) {
		h.tls = false;
		r = unix_host(host, host + 7, &h, err);
	} else if (strncmp(host, "tcp://", 6) == 0) {
		r = net_host(host, host + 6, &h, err);
	} else if (strncmp(host, "https://", 8) == 0) {
		h.tls = true;
		r = net_host(host, host + 8, &h, err);
	} else if (strncmp(host, "http://", 7) == 0) {
		h.tls = false;
		r = net_host(host, host + 7, &h, err);
	} else {
		r = refuse(host, "hsup cannot reach an engine that way", err);
	}
	if (r == 0)
		*ret_host = h;
	return r;
}

unsigned engine_api_parse(const char *text)
{
	unsigned major = 0, minor = 0;
	int end = 0;
	const char *dot = strchr(text, '.');

	/* A sign would be a number, too. */
	if (!isdigit((unsigned char)text[0]) || !dot || !isdigit((unsigned char)dot[1]) ||
		sscanf(text, "%2u.%2u%n", &major, &minor, &end) != 2 || text[end])
		return 0;
	return 100 * major + minor;
}
