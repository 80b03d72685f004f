#include "control/mhd.h"

#include <dlfcn.h>
#include <errno.h>

struct mhd mhd;

int mhd_load(struct err *err)
{
	static const struct {
		const char *name;
		void *slot;
	} wanted[] = {
		{"MHD_stop_daemon", &mhd.stop_daemon},
		{"MHD_run", &mhd.run},
		{"MHD_get_timeout", &mhd.get_timeout},
		{"MHD_get_daemon_info", &mhd.get_daemon_info},
		{"MHD_get_connection_info", &mhd.get_connection_info},
		{"MHD_set_connection_option", &mhd.set_connection_option},
		{"MHD_add_connection", &mhd.add_connection},
		{"MHD_suspend_connection", &mhd.suspend_connection},
		{"MHD_resume_connection", &mhd.resume_connection},
		{"MHD_lookup_connection_value", &mhd.lookup_connection_value},
		{"MHD_create_response_from_buffer_with_free_callback_cls",
			&mhd.response_from_buffer},
		{"MHD_create_response_from_callback", &mhd.response_from_callback},
		{"MHD_add_response_header", &mhd.add_response_header},
		{"MHD_queue_response", &mhd.queue_response},
		{"MHD_destroy_response", &mhd.destroy_response},
		/* The last: it being there says that all are. */
		{"MHD_start_daemon", &mhd.start_daemon},
	};

	if (mhd.start_daemon)
		return 0;
	void *library = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return err_set(err, -EOPNOTSUPP, "cannot serve: %s", dlerror());
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		void *symbol = dlsym(library, wanted[i].name);

		if (!symbol) {
			(void)dlclose(library);
			return err_set(err, -EOPNOTSUPP, "cannot serve: libmicrohttpd has no %s",
				wanted[i].name);
		}
		memcpy(wanted[i].slot, &symbol, sizeof symbol);
	}
	return 0;
}
