#include "slug/digest.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct digest {
	EVP_MD_CTX *context;
};

int digest_new(struct digest **ret_digest)
{
	struct digest *d = calloc(1, sizeof *d);

	if (!d)
		return -ENOMEM;
	/* openssl.cnf is not for us, and reading it costs memory. */
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	d->context = EVP_MD_CTX_new();
	if (!d->context || EVP_DigestInit_ex(d->context, EVP_sha256(), NULL) != 1) {
		(void)digest_free(d);
		return -ENOMEM;
	}
	*ret_digest = d;
	return 0;
}

struct digest *digest_free(struct digest *d)
{
	if (d) {
		EVP_MD_CTX_free(d->context);
		free(d);
	}
	return NULL;
}

int digest_add(struct digest *d, const void *data, size_t len)
{
	return EVP_DigestUpdate(d->context, data, len) == 1 ? 0 : -EIO;
}

int digest_hex(struct digest *d, char ret_hex[DIGEST_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (EVP_DigestFinal_ex(d->context, raw, &len) != 1 || len * 2 != DIGEST_HEX)
		return -EIO;
	for (unsigned i = 0; i < len; i++) {
		ret_hex[2 * i] = digits[raw[i] >> 4];
		ret_hex[2 * i + 1] = digits[raw[i] & 15];
	}
	ret_hex[DIGEST_HEX] = '\0';
	return 0;
}

int digest_of_fd(int fd, char ret_hex[DIGEST_HEX + 1])
{
	unsigned char buffer[64 << 10];
	struct digest *d;
	off_t at = 0;

	int r = digest_new(&d);
	if (r < 0)
		return r;
	while (r == 0) {
		ssize_t n = pread(fd, buffer, sizeof buffer, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			break;
		r = n < 0 ? -errno : digest_add(d, buffer, (size_t)n);
		at += n;
	}
	if (r == 0)
		r = digest_hex(d, ret_hex);
	(void)digest_free(d);
	return r;
}

int digest_parse(const char *checksum, char ret_hex[DIGEST_HEX + 1])
{
	static const char scheme[] = "SHA256:";

	if (strncasecmp(checksum, scheme, strlen(scheme)) != 0)
		return -EINVAL;
	checksum += strlen(scheme);
	if (strlen(checksum) != DIGEST_HEX ||
		strspn(checksum, "0123456789abcdefABCDEF") != DIGEST_HEX)
		return -EINVAL;
	for (size_t i = 0; i < DIGEST_HEX; i++)
		ret_hex[i] = (char)tolower((unsigned char)checksum[i]);
	ret_hex[DIGEST_HEX] = '\0';
	return 0;
}
