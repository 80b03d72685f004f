#include "fake/tls.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(what)                                                                                 \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			perror(#what);                                                             \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

void fake_tls_certificates(const char *dir)
{
	static const char script[] =
		"set -e; exec >/dev/null 2>&1; cd '%s'; for d in good other; do mkdir $d; (cd $d; "
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
		"-subj /CN=ca-$d -keyout ca-key.pem -out ca.pem; "
		"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x "
		"-keyout key.pem -out x.csr; "
		"echo subjectAltName=IP:127.0.0.1 >ext; openssl x509 -req -in x.csr -CA ca.pem "
		"-CAkey ca-key.pem -CAcreateserial -days 2 -extfile ext -out cert.pem); done";
	char command[1200];

	(void)snprintf(command, sizeof command, script, dir);
	MUST(system(command) == 0);
}

static int reach(const char *socket_path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(un.sun_path, sizeof un.sun_path, "%s", socket_path);
	MUST(connect(fd, (struct sockaddr *)&un, sizeof un) == 0);
	return fd;
}

/* Both ways, an end of a direction told as such. */
static void shuttle(SSL *ssl, int plain)
{
	struct pollfd fds[] = {
		{.fd = SSL_get_fd(ssl), .events = POLLIN}, {.fd = plain, .events = POLLIN}};
	char data[16384];

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		if (!SSL_pending(ssl))
			(void)poll(fds, 2, -1);
		if (fds[0].fd >= 0 && (fds[0].revents || SSL_pending(ssl))) {
			int n = SSL_read(ssl, data, sizeof data);
			if (n <= 0) {
				if (SSL_get_error(ssl, n) != SSL_ERROR_ZERO_RETURN)
					return; /* it has just gone */
				(void)shutdown(plain, SHUT_WR);
				fds[0].fd = -1;
			} else if (send(plain, data, (size_t)n, MSG_NOSIGNAL) < 0) {
				return;
			}
		}
		if (fds[1].fd >= 0 && fds[1].revents) {
			ssize_t n = read(plain, data, sizeof data);
			if (n <= 0) {
				(void)SSL_shutdown(ssl);
				return;
			}
			(void)SSL_write(ssl, data, (int)n);
		}
	}
}

static void serve(int fd, SSL_CTX *context, const char *socket_path)
{
	SSL *ssl = SSL_new(context);

	(void)SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		int plain = reach(socket_path);

		shuttle(ssl, plain);
		(void)close(plain);
	}
	/* Closed with bytes unread it would be a reset, which takes the alert with it. */
	char data[4096];
	(void)shutdown(fd, SHUT_WR);
	while (read(fd, data, sizeof data) > 0)
		;
	SSL_free(ssl);
}

static SSL_CTX *make_context(const char *dir)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	char file[200];

	(void)snprintf(file, sizeof file, "%s/good/cert.pem", dir);
	MUST(SSL_CTX_use_certificate_file(context, file, SSL_FILETYPE_PEM) == 1);
	(void)snprintf(file, sizeof file, "%s/good/key.pem", dir);
	MUST(SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) == 1);
	(void)snprintf(file, sizeof file, "%s/good/ca.pem", dir);
	MUST(SSL_CTX_load_verify_locations(context, file, NULL) == 1);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return context;
}

void fake_tls_start(struct fake_tls *t, const char *dir, const char *socket_path)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof in;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(bind(listener, (struct sockaddr *)&in, sizeof in) == 0);
	MUST(listen(listener, 100) == 0);
	MUST(getsockname(listener, (struct sockaddr *)&in, &len) == 0);
	t->port = ntohs(in.sin_port);
	t->pid = fork();
	MUST(t->pid >= 0);
	if (t->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)signal(SIGPIPE, SIG_IGN);
		SSL_CTX *context = make_context(dir);
		for (;;) {
			int fd = accept(listener, NULL, NULL);

			serve(fd, context, socket_path);
			(void)close(fd);
		}
	}
	(void)close(listener);
}

void fake_tls_stop(struct fake_tls *t)
{
	(void)kill(t->pid, SIGKILL);
	(void)waitpid(t->pid, NULL, 0);
}
