#include "io/curl.h"

#include "base/fd.h"
#include "io/library.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct curl_api table;
const struct curl_api *const curl = &table;

static int find_all(struct err *err)
{
	static const struct library_symbol wanted[] = {
		{"curl_global_init", &table.global_init},
		{"curl_easy_init", &table.easy_init},
		{"curl_easy_setopt", &table.setopt},
		{"curl_easy_getinfo", &table.getinfo},
		{"curl_easy_cleanup", &table.cleanup},
		{"curl_easy_strerror", &table.strerror},
		{"curl_easy_pause", &table.pause},
		{"curl_easy_header", &table.header},
		{"curl_easy_send", &table.send},
		{"curl_easy_recv", &table.recv},
		{"curl_slist_append", &table.slist_append},
		{"curl_slist_free_all", &table.slist_free_all},
		{"curl_multi_init", &table.multi_init},
		{"curl_multi_cleanup", &table.multi_cleanup},
		{"curl_multi_setopt", &table.multi_setopt},
		{"curl_multi_add_handle", &table.add},
		{"curl_multi_remove_handle", &table.remove},
		{"curl_multi_perform", &table.perform},
		{"curl_multi_poll", &table.poll},
		{"curl_multi_info_read", &table.info_read},
		{"curl_multi_socket_action", &table.socket_action},
		{"curl_multi_assign", &table.assign},
	};

	return library_open("libcurl.so.4", wanted, ARRAY_SIZE(wanted), err);
}

int curl_load(struct err *err)
{
	static bool loaded;

	if (loaded)
		return 0;
	int r = find_all(err);
	if (r < 0)
		return r;
	/* (Since 7.57 it starts TLS whatever the flags are.) */
	if (table.global_init(CURL_GLOBAL_NOTHING) != CURLE_OK)
		return err_set(err, -EOPNOTSUPP, "libcurl does not start");
	loaded = true;
	return 0;
}

int curl_ask_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	return -ECONNREFUSED; /* it answers by now; at that moment it did not */
}
