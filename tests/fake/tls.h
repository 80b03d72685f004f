/* TLS in front of a Unix socket, in a child: a server of TLS that wants a certificate of who asks.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct fake_tls {
	pid_t pid;
	uint16_t port; /* of 127.0.0.1 */
};

/* Makes in dir: good/ and other/ with ca.pem, cert.pem, key.pem each (two authorities; the server's
 * certificate is of good's). What cannot be made fails the test. */
void fake_tls_certificates(const char *dir);
void fake_tls_start(struct fake_tls *t, const char *dir, const char *socket);
void fake_tls_stop(struct fake_tls *t);
