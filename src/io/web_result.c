/* What libcurl says, as negative errno. */
#include "io/web_private.h"

#include <errno.h>

static int not_connected(const struct transfer *t, const char **ret_text)
{
	long number = 0;

	(void)curl->getinfo(t->easy, CURLINFO_OS_ERRNO, &number);
	int r = t->web->socket ? curl_ask_socket(t->web->socket)
		: number       ? -(int)number
			       : -ECONNREFUSED;
	switch (-r) {
	case ENOENT:
	case ENOTDIR:
		*ret_text = "there is no such socket";
		return -ENOENT;
	case EACCES:
	case EPERM:
		*ret_text = "no right to open the socket";
		return -EACCES;
	case ENETUNREACH:
	case EHOSTUNREACH:
		return -EHOSTUNREACH;
	case ETIMEDOUT:
		return -ETIMEDOUT;
	case EAGAIN: /* its queue is full */
	default:
		if (t->web->socket)
			*ret_text = "nobody listens on the socket";
		return -ECONNREFUSED;
	}
}

/* TLS 1.3: what the server has against our certificate comes when the handshake is over for us. */
static bool is_tls_alert(const struct transfer *t)
{
	return strstr(t->text, "alert") && strstr(t->text, "SSL");
}

int web_error(const struct transfer *t, CURLcode code, const char **ret_text)
{
	*ret_text = t->text[0] ? t->text : code == CURLE_OK ? "" : curl->strerror(code);
	switch ((int)code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_CONNECT:
		return not_connected(t, ret_text);
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CLIENTCERT:
		return -EKEYREJECTED;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_SEND_FAIL_REWIND:
	case CURLE_RECV_ERROR:
		if (is_tls_alert(t))
			return -EKEYREJECTED;
		return strstr(t->text, "chunked") ? -EPROTO : -ECONNRESET;
	case CURLE_ABORTED_BY_CALLBACK:
		return -ECANCELED;
	default:
		return -EPROTO;
	}
}
